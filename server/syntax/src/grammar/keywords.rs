//! Contextual keywords.

use crate::{Kind, parser::Parser};

/// Whether a contextual keyword stands here, with its operand on the same line (§2).
pub(super) fn at_keyword(p: &Parser<'_>, word: &str) -> bool {
    p.at_word(word)
        && match p.next_on_line() {
            Kind::Name | Kind::Int | Kind::Float | Kind::Magnitude => true,
            Kind::String | Kind::StringHead | Kind::ItKw | Kind::NotKw => true,
            Kind::TrueKw | Kind::FalseKw | Kind::NoneKw => true,
            Kind::LeftParen => matches!(word, "repeat" | "choose" | "expect"),
            Kind::Equal => matches!(word, "macs" | "elementwise"),
            _ => false,
        }
}

pub(super) fn at_item(p: &Parser<'_>) -> bool {
    at_keyword(p, "model") || at_keyword(p, "block")
}
