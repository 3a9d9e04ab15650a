//! Whose rules count the work, by name.

use conventions::Convention;

/// Another tool's rules, or ours.
pub type Count = Option<&'static Convention>;

/// What our own rules are called.
const OWN: &str = "taper";

/// All names, with what they are.
pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = (OWN, "every floating-point operation, by the rules of docs/counting.md");
    let others = conventions::all().map(|convention| (convention.name, convention.summary));
    [own].into_iter().chain(others)
}

/// The rules of a name.
pub fn find(name: &str) -> Option<Count> {
    match name {
        OWN => Some(None),
        _ => conventions::all().find(|convention| convention.name == name).map(Some),
    }
}

/// What rules are called.
pub fn name(count: Count) -> &'static str {
    count.map_or(OWN, |convention| convention.name)
}
