[(body) (parameters) (list) (shape) (call)] @fold
(comment)+ @fold
(use)+ @fold
