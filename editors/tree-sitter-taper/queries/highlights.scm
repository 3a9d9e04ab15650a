(comment) @comment
((comment) @comment.documentation (#match? @comment.documentation "^##"))

(string) @string
(escape) @string.escape
(interpolation "{" @punctuation.special "}" @punctuation.special)
[(integer) (float) (magnitude)] @number
(boolean) @boolean
(none) @constant.builtin
(it) @variable.builtin

["model" "block" "let" "input" "output" "param" "buffer" "dtype" "expect" "macs" "elementwise"] @keyword
["use" "weights" "under"] @keyword.import
["for" "in" "repeat" "choose" "of" "stacked"] @keyword.repeat
["if" "else"] @keyword.conditional
["and" "or" "not"] @keyword.operator
["at" "on"] @keyword
["+" "-" "*" "/" "//" "%" "@" "**" "==" "!=" "<" "<=" ">" ">=" "=" "->"] @operator
["(" ")" "[" "]" "{" "}"] @punctuation.bracket
["," ":" ";" "."] @punctuation.delimiter
(rest) @punctuation.special

(model name: (identifier) @type)
(block name: (identifier) @type)
(use name: (identifier) @type)
(type dtype: (identifier) @type.builtin)
(parameter name: (path (identifier) @variable.parameter))
(input name: (identifier) @variable.parameter)
(output name: (identifier) @variable.parameter)
(let name: (identifier) @variable)
(dim_default name: (identifier) @constant)
(targets (identifier) @variable)
(labels (identifier) @property)
(labels (field (identifier) @property))
(argument name: (identifier) @variable.parameter)
(setting name: (identifier) @constant)
(field name: (identifier) @property)

(call function: (identifier) @function)
(sources . (identifier) @function (#match? @function "^[A-Z][A-Za-z0-9]*[a-z]"))
(step (identifier) @function (#match? @function "^[A-Z][A-Za-z0-9]*[a-z]"))
