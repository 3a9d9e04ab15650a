//! The helpers that an exported file may need, each once: `helpers.rs`.

const HELPERS: &str = include_str!("helpers.rs");

/// The helpers by their names, with their texts.
pub(super) fn sections() -> Vec<(&'static str, &'static str)> {
    HELPERS
        .split("// section: ")
        .skip(1)
        .filter_map(|section| section.split_once('\n'))
        .map(|(name, text)| (name, text.trim_end()))
        .collect()
}

/// Whether a helper has the name: a variable would hide it.
pub(super) fn is_helper(name: &str) -> bool {
    HELPERS.contains(&format!("// section: {name}\n"))
}

/// The types that helpers are.
pub(super) fn helper_types() -> impl Iterator<Item = &'static str> {
    let types = HELPERS.lines().filter_map(|line| {
        line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))
    });
    types.map(|rest| rest.split([' ', '<']).next().unwrap_or_default())
}
