//! The grammar of `language.md` §14: here files, and below what stands in them. One function per production, named as there.

mod expressions;
mod items;
mod keywords;
mod lines;
mod patterns;

use crate::{Kind, parser::Parser};

use items::{item, line, p_step};
use keywords::{at_item, at_keyword};

/// `file := { use | item }`
pub(crate) fn file(p: &mut Parser<'_>) {
    let file = p.start();
    loop {
        p.skip_newline();
        match p.current() {
            Kind::Eof => break,
            Kind::Semicolon => p.bump(),
            _ if at_keyword(p, "use") => p_step(p, use_),
            _ if at_item(p) => p_step(p, item),
            _ => stray_lines(p),
        }
    }
    p.finish(file, Kind::File);
}

/// Lines outside any item, perhaps because the head of theirs is half-typed: one message for all
/// of them, and each line keeps its tree.
fn stray_lines(p: &mut Parser<'_>) {
    p.error_expected("`model`, `block` or `use`");
    let error = p.start();
    p.mute(true);
    loop {
        p.skip_newline();
        if p.at(Kind::Eof) || at_item(p) || at_keyword(p, "use") {
            break;
        }
        if p.current().is_closing() || p.at(Kind::Semicolon) {
            p.bump();
        } else {
            line(p);
        }
    }
    p.mute(false);
    p.finish(error, Kind::Error);
}

/// `use := "use" STRING [ ":" NAME { "," NAME } ]`
fn use_(p: &mut Parser<'_>) {
    let use_ = p.start();
    p.bump();
    p.expect(Kind::String);
    if p.eat(Kind::Colon) {
        p.expect(Kind::Name);
        while p.eat(Kind::Comma) {
            p.expect(Kind::Name);
        }
    }
    p.finish(use_, Kind::Use);
}
