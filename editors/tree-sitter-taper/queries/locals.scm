(body) @local.scope
(parameter name: (path . (identifier) @local.definition.parameter))
(let name: (identifier) @local.definition.var)
(input name: (identifier) @local.definition.parameter)
(targets (identifier) @local.definition.var)
(identifier) @local.reference
