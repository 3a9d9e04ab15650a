//! Lines of a body that are no steps.

use crate::{Kind, parser::Parser};

use super::{
    expressions::{expr, path_tokens, postfix},
    patterns::pattern,
};

/// Words with which Python's statements begin.
pub(super) const PYTHON_STATEMENTS: [&str; 11] = [
    "def", "class", "return", "import", "from", "while", "with", "assert", "raise", "del", "yield",
];

/// Whether an operand follows on the line, as it does after no name.
pub(super) fn at_statement(p: &Parser<'_>) -> bool {
    matches!(
        p.next_on_line(),
        Kind::Name
            | Kind::Int
            | Kind::Float
            | Kind::String
            | Kind::ItKw
            | Kind::NotKw
            | Kind::TrueKw
            | Kind::FalseKw
            | Kind::NoneKw
    )
}

/// A line of Python, which is no step.
pub(super) fn python_statement(p: &mut Parser<'_>) {
    p.error(match p.text() {
        "return" => "nothing is returned: a body gives the value of its last step".to_owned(),
        word => format!(
            "`{word}` is Python: here stand `input x: f32[N = 1, 8]`, steps and labels; `taper import` reads PyTorch's modules"
        ),
    });
    p.skip_until(&[Kind::Semicolon, Kind::RightBrace]);
}

/// `"let" NAME "=" expr`
pub(super) fn let_(p: &mut Parser<'_>) {
    let let_ = p.start();
    p.bump();
    p.expect(Kind::Name);
    if p.expect(Kind::Equal) {
        expr(p);
    }
    p.finish(let_, Kind::Let);
}

pub(super) fn input(p: &mut Parser<'_>) {
    typed_line(p, Kind::Input, |p| {
        p.expect(Kind::Name);
    });
}

pub(super) fn output(p: &mut Parser<'_>) {
    typed_line(p, Kind::Output, |p| {
        p.expect(Kind::Name);
    });
}

pub(super) fn param_decl(p: &mut Parser<'_>) {
    typed_line(p, Kind::ParamDecl, declared_path);
}

pub(super) fn buffer_decl(p: &mut Parser<'_>) {
    typed_line(p, Kind::BufferDecl, declared_path);
}

/// `path | STRING`
fn declared_path(p: &mut Parser<'_>) {
    if matches!(p.current(), Kind::String | Kind::StringHead) {
        postfix(p);
        return;
    }
    let path = p.start();
    path_tokens(p);
    p.finish(path, Kind::Path);
    if p.at(Kind::LeftBrace) {
        p.skip_braces();
    }
}

/// A word, what it declares, and a shape: `"input" NAME ":" shape`.
fn typed_line(p: &mut Parser<'_>, kind: Kind, name: fn(&mut Parser<'_>)) {
    let line = p.start();
    p.bump();
    name(p);
    if p.expect(Kind::Colon) {
        shape(p);
    }
    p.finish(line, kind);
}

/// `shape := [ DTYPE ] shape-pattern`
fn shape(p: &mut Parser<'_>) {
    let shape = p.start();
    if p.at(Kind::Name) {
        let dtype = p.start();
        p.bump();
        p.finish(dtype, Kind::Dtype);
    }
    if p.at(Kind::LeftBracket) {
        pattern(p);
    } else {
        p.error_expected("a shape such as `[N, 3, 224, 224]`");
    }
    p.finish(shape, Kind::Shape);
}

pub(super) fn stated_macs(p: &mut Parser<'_>) {
    stated(p, Kind::StatedMacs);
}

pub(super) fn stated_elementwise(p: &mut Parser<'_>) {
    stated(p, Kind::StatedElementwise);
}

/// `( "macs" | "elementwise" ) "=" expr`
fn stated(p: &mut Parser<'_>, kind: Kind) {
    let line = p.start();
    p.bump();
    if p.expect(Kind::Equal) {
        expr(p);
    }
    p.finish(line, kind);
}

/// `"dtype" ( DTYPE | expr )`
pub(super) fn dtype_line(p: &mut Parser<'_>) {
    let line = p.start();
    p.bump();
    expr(p);
    p.finish(line, Kind::DtypeLine);
}

/// `"expect" expr [ "at" NAME "=" expr { "," NAME "=" expr } ] [ "on" STRING ]`
pub(super) fn expect(p: &mut Parser<'_>) {
    let line = p.start();
    p.bump();
    expr(p);
    if p.at_word("at") {
        let at = p.start();
        p.bump();
        size_setting(p);
        while p.eat(Kind::Comma) {
            size_setting(p);
        }
        p.finish(at, Kind::ExpectAt);
    }
    if p.at_word("on") {
        let on = p.start();
        p.bump();
        p.expect(Kind::String);
        p.finish(on, Kind::ExpectOn);
    }
    p.finish(line, Kind::Expect);
}

/// `NAME "=" expr`, as an argument.
fn size_setting(p: &mut Parser<'_>) {
    let setting = p.start();
    p.expect(Kind::Name);
    if p.expect(Kind::Equal) {
        expr(p);
    }
    p.finish(setting, Kind::Argument);
}

/// `"weights" STRING [ "under" STRING ] [ "for" path ]`
pub(super) fn weights(p: &mut Parser<'_>) {
    let line = p.start();
    p.bump();
    p.expect(Kind::String);
    if p.at_word("under") {
        p.bump();
        p.expect(Kind::String);
    }
    if p.eat(Kind::ForKw) {
        path(p);
    }
    p.finish(line, Kind::Weights);
}

pub(super) fn path(p: &mut Parser<'_>) {
    let path = p.start();
    path_tokens(p);
    p.finish(path, Kind::Path);
}
