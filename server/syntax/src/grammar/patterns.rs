//! Shapes, as they are declared and matched.

use crate::{Kind, parser::Parser};

use super::expressions::{expr, no_comprehension};

/// `shape-pattern := "[" [ dim { "," dim } ] "]"`
pub(super) fn pattern(p: &mut Parser<'_>) {
    let pattern = p.start();
    let opened = p.range();
    p.open_bracket();
    while !matches!(p.current(), Kind::RightBracket | Kind::Newline | Kind::Eof) {
        dim(p);
        no_comprehension(p, Kind::RightBracket);
        if !p.eat(Kind::Comma) {
            break;
        }
    }
    p.close_bracket(Kind::RightBracket, opened);
    p.finish(pattern, Kind::Pattern);
}

/// `dim := "..." | "_" | NAME "=" expr | expr`
fn dim(p: &mut Parser<'_>) {
    let dim = p.start();
    let kind = if p.eat(Kind::Ellipsis) {
        Kind::DimRest
    } else if p.at_word("_") {
        p.bump();
        Kind::DimAny
    } else if p.at(Kind::Name) && p.next() == Kind::Equal {
        p.bump();
        p.bump();
        expr(p);
        Kind::DimDefault
    } else {
        expr(p);
        Kind::Dim
    };
    p.finish(dim, kind);
}
