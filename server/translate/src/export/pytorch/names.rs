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

/// What every `nn.Module` has, `dir(nn.Module())` of PyTorch 2.9, and the methods of its lists, so that no module or
/// parameter can have the name.
const OF_MODULES: &str = "
    T_destination _apply _backward_hooks _backward_pre_hooks _buffers _call_impl _compiled_call_impl _forward_hooks
    _forward_hooks_always_called _forward_hooks_with_kwargs _forward_pre_hooks _forward_pre_hooks_with_kwargs
    _get_backward_hooks _get_backward_pre_hooks _get_name _is_full_backward_hook _load_from_state_dict
    _load_state_dict_post_hooks _load_state_dict_pre_hooks _maybe_warn_non_full_backward_hook _modules _named_members
    _non_persistent_buffers_set _parameters _register_load_state_dict_pre_hook _register_state_dict_hook
    _replicate_for_data_parallel _save_to_state_dict _slow_forward _state_dict_hooks _state_dict_pre_hooks _version
    _wrapped_call_impl add_module apply bfloat16 buffers call_super_init children compile cpu cuda double dump_patches eval
    extra_repr float forward get_buffer get_extra_state get_parameter get_submodule half ipu load_state_dict modules mtia
    named_buffers named_children named_modules named_parameters parameters register_backward_hook register_buffer
    register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module register_parameter
    register_state_dict_post_hook register_state_dict_pre_hook requires_grad_ set_extra_state set_submodule share_memory
    state_dict to to_empty train training type xpu zero_grad
    append insert extend pop keys values items
";

/// Whether a module can own what has this path.
pub(crate) fn can_be_owned(path: &str) -> bool {
    let is_taken = |segment: &str| OF_MODULES.split_whitespace().any(|name| name == segment);
    let is_free = |segment: &str| !is_taken(segment) && !segment.starts_with("__");
    path.split('.').all(is_free)
        && !path.contains(|letter: char| matches!(letter, '"' | '\\') || letter.is_control())
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
