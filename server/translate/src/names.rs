//! Names that are not taken yet, and names that count.

/// The first of a name and the same with numbers from 2 that is free.
pub(crate) fn free(wanted: &str, is_free: impl Fn(&str) -> bool) -> String {
    let numbered = (2u64..).map(|number| format!("{wanted}{number}"));
    let mut names = std::iter::once(wanted.to_owned()).chain(numbered);
    // There are more numbers than names that could be taken.
    names.find(|name| is_free(name)).unwrap_or_default()
}

/// A name that ends in a number: what stands before it, and the number.
pub(crate) fn counted(name: &str) -> Option<(&str, usize)> {
    let prefix = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let number = &name[prefix.len()..];
    let is_plain = number == "0" || !number.starts_with('0');
    (is_plain && !prefix.is_empty()).then_some(())?;
    Some((prefix, number.parse().ok()?))
}
