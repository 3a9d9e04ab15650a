(model body: (body) @class.inside) @class.around
(block body: (body) @class.inside) @class.around
(model body: (body) @class.inner) @class.outer
(block body: (body) @class.inner) @class.outer
(step) @statement.outer
(parameter) @parameter.inner
(call [(argument) (identifier) (integer) (float) (string) (list)] @parameter.inner)
(comment)+ @comment.around
(comment) @comment.outer
