//! The words of the language (§2).

use crate::Kind;

/// Words that are keywords wherever they stand.
pub const RESERVED_WORDS: [(&str, Kind); 11] = [
    ("for", Kind::ForKw),
    ("in", Kind::InKw),
    ("if", Kind::IfKw),
    ("else", Kind::ElseKw),
    ("and", Kind::AndKw),
    ("or", Kind::OrKw),
    ("not", Kind::NotKw),
    ("true", Kind::TrueKw),
    ("false", Kind::FalseKw),
    ("none", Kind::NoneKw),
    ("it", Kind::ItKw),
];

/// Words that are keywords only where the grammar looks for one; elsewhere they are names.
pub const CONTEXTUAL_WORDS: [&str; 20] = [
    "use",
    "model",
    "block",
    "let",
    "input",
    "output",
    "param",
    "buffer",
    "macs",
    "elementwise",
    "dtype",
    "expect",
    "weights",
    "repeat",
    "choose",
    "of",
    "stacked",
    "at",
    "on",
    "under",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// What the grammar looks for, read from its source, as each place names the word that it expects.
    #[test]
    fn the_contextual_words_are_those_of_the_grammar() {
        let sources = [
            include_str!("grammar.rs"),
            include_str!("grammar/items.rs"),
            include_str!("grammar/keywords.rs"),
            include_str!("grammar/lines.rs"),
        ]
        .concat();
        let mut used: Vec<&str> = ["at_word(\"", "at_keyword(p, \""]
            .iter()
            .flat_map(|call| sources.split(call).skip(1))
            .filter_map(|rest| rest.split('"').next())
            // `_` is a name that is thrown away.
            .filter(|word| *word != "_")
            .collect();
        used.sort_unstable();
        used.dedup();
        let mut listed = CONTEXTUAL_WORDS.to_vec();
        listed.sort_unstable();
        assert_eq!(used, listed);
    }
}
