//! Names in Python.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// Words that cannot be names, and names that mean something in every file.
const TAKEN: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "nonlocal",
    "not",
    "or",
    "pass",
    "raise",
    "return",
    "try",
    "while",
    "with",
    "yield",
    "self",
    "torch",
    "nn",
    "F",
    "math",
    "torchvision",
    "OrderedDict",
    "range",
    "expert",
];

/// What every `nn.Module` has, so that no module or parameter can have the name.
const OF_MODULES: &[&str] = &[
    "forward",
    "train",
    "eval",
    "training",
    "half",
    "float",
    "double",
    "bfloat16",
    "type",
    "to",
    "cpu",
    "cuda",
    "xpu",
    "apply",
    "children",
    "modules",
    "parameters",
    "buffers",
    "state_dict",
    "load_state_dict",
    "add_module",
    "register_buffer",
    "register_parameter",
    "register_module",
    "extra_repr",
    "zero_grad",
    "requires_grad_",
    "share_memory",
    "compile",
    "dump_patches",
    "get_parameter",
    "get_buffer",
    "get_submodule",
    "set_submodule",
    "named_parameters",
    "named_buffers",
    "named_children",
    "named_modules",
    "append",
    "insert",
    "extend",
    "pop",
];

/// Whether a module can own what has this path.
pub(crate) fn can_be_owned(path: &str) -> bool {
    let is_free = |segment: &str| !OF_MODULES.contains(&segment) && !segment.starts_with("__");
    path.split('.').all(is_free) && !path.contains(['"', '\\'])
}

pub(crate) fn is_identifier(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !TAKEN.contains(&text)
}

/// Whether a name can begin so: `0` cannot.
pub(crate) fn begins_name(text: &str) -> bool {
    text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '_')
}

/// Names with dots between them.
pub(crate) fn is_path(text: &str) -> bool {
    text.split('.').all(is_identifier)
}

/// Functions and names of loops, which no variable may hide.
const FUNCTIONS: &[&str] = &[
    "module",
    "attention",
    "rotary_embedding",
    "relative_position_buckets",
    "with_cache",
    "weighted_sum",
    "selective_scan",
    "quick_gelu",
    "depth_to_space",
    "space_to_depth",
];

/// A name for a variable.
pub(crate) fn variable(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let is_free = is_identifier(&name) && !FUNCTIONS.contains(&name.as_str());
    if is_free { name } else { format!("{name}_") }
}

/// `max_pool2d` for `MaxPool2d`, `relu` for `ReLU`.
pub(crate) fn snake(name: &str) -> String {
    if let Some(function) = layers::find(name).and_then(|entry| entry.function) {
        return function.to_owned();
    }
    variable(&name.to_snake_case())
}

/// `Layer1` for `layer1`, `Features0` for `features.0`.
pub(crate) fn class(path: &str) -> String {
    let segments: Vec<&str> = path.split('.').collect();
    let from = segments.iter().rposition(|one| is_identifier(one)).unwrap_or(0);
    let name: String = segments[from..].iter().map(|one| one.to_upper_camel_case()).collect();
    if is_identifier(&name) { name } else { format!("Block{name}") }
}
