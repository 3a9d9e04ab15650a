[(body) (parameters) (list) (paren) (shape) (call)] @indent.begin
["}" ")" "]"] @indent.branch @indent.end
(comment) @indent.auto
