//! Names in Rust.

use heck::{ToSnakeCase, ToUpperCamelCase};

/// Words that cannot be names, and names that mean something in every file.
const TAKEN: &[&str] = &[
    "abstract", "as", "async", "await", "become", "block", "box", "break", "const", "continue",
    "crate", "do", "dyn", "else", "enum", "expert", "extern", "false", "final", "fn", "for", "gen",
    "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv",
    "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield", "vb",
];

/// Types that stand in every file, so that no struct may have the name.
pub(super) const TYPES: &[&str] = &[
    "Self",
    "Result",
    "Tensor",
    "DType",
    "Device",
    "Module",
    "ModuleT",
    "IndexOp",
    "Vec",
    "Option",
    "Some",
    "None",
    "Ok",
    "Err",
    "VarBuilder",
    "String",
    "D",
];

/// A name for a variable, field or argument.
pub(super) fn variable(text: &str) -> String {
    let name: String = text
        .to_snake_case()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let parts: Vec<&str> = name.split('_').filter(|part| !part.is_empty()).collect();
    let name = parts.join("_");
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let name = if begins { name } else { format!("x{name}") };
    let is_taken = TAKEN.contains(&name.as_str()) || super::helper_texts::is_helper(&name);
    if is_taken { format!("{name}_") } else { name }
}

/// `max_pool2d` for `MaxPool2d`, `relu` for `ReLU`.
pub(super) fn snake(name: &str) -> String {
    match layers::find(name).and_then(|entry| entry.function) {
        Some(function) => function.to_owned(),
        None => variable(name),
    }
}

/// `Layer` for `layer1` and `layer2`, which may be one struct; `Features` for `features.0`.
pub(super) fn type_name(path: &str) -> String {
    let path = path.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let begins = |text: &&str| text.starts_with(|first: char| first.is_ascii_alphabetic());
    let segments: Vec<&str> = path.split('.').collect();
    let from = segments.iter().rposition(begins).unwrap_or(0);
    let name: String = segments[from..].iter().map(|one| one.to_upper_camel_case()).collect();
    if begins(&name.as_str()) { name } else { format!("Block{name}") }
}
