//! The grammar of `language.md` §14: files, items and lines. Steps and expressions have files of
//! their own. One function per production, named as there.

mod expressions;
mod steps;

use crate::{Kind, parser::Parser};

use expressions::{expr, path_tokens};

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

/// Whether a contextual keyword stands here, with its operand on the same line (§2).
fn at_keyword(p: &Parser<'_>, word: &str) -> bool {
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

fn at_item(p: &Parser<'_>) -> bool {
    at_keyword(p, "model") || at_keyword(p, "block")
}

/// Runs a production as a step that begins on the current line.
fn p_step(p: &mut Parser<'_>, production: fn(&mut Parser<'_>)) {
    let indent = p.indent();
    p.in_step(indent, production);
    end_of_line(p);
}

fn end_of_line(p: &mut Parser<'_>) {
    if !matches!(p.current(), Kind::Newline | Kind::Eof | Kind::Semicolon | Kind::RightBrace) {
        p.error_expected("the end of the line");
        p.skip_until(&[Kind::Semicolon, Kind::RightBrace]);
        if p.at(Kind::LeftBrace) {
            // What a broken line opens is read, so that its closing brace is not taken for another.
            steps::group(p);
        }
    }
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

/// `item := ( "model" | "block" ) NAME [ "(" parameters ")" ] body`
fn item(p: &mut Parser<'_>) {
    let kind = if p.at_word("model") { Kind::Model } else { Kind::Block };
    let indent = p.indent();
    let item = p.start();
    p.bump();
    p.expect(Kind::Name);
    if p.at(Kind::LeftParen) {
        parameters(p);
    }
    if p.at(Kind::LeftBrace) {
        body(p);
    } else {
        p.error_expected(if kind == Kind::Model {
            "`{` and the model's steps"
        } else {
            "`{` and the block's steps"
        });
        p.skip_until(&[Kind::LeftBrace, Kind::RightBrace]);
        if p.at(Kind::LeftBrace) {
            body(p);
        } else if p.at(Kind::Newline) && !p.dedented(indent) {
            // The head is half-typed; the lines below it are its body all the same.
            let body = p.start();
            p.in_body(indent, |p| lines(p, indent));
            p.eat(Kind::RightBrace);
            p.finish(body, Kind::Body);
        }
    }
    p.finish(item, kind);
}

fn parameters(p: &mut Parser<'_>) {
    let parameters = p.start();
    let opened = p.range();
    p.open_bracket();
    p.in_head(|p| {
        while !matches!(p.current(), Kind::RightParen | Kind::Newline | Kind::Eof) {
            parameter(p);
            if p.eat(Kind::Comma) {
                continue;
            }
            if !p.at_new_parameter() {
                break;
            }
            p.error_expected("`,`");
        }
        p.close_bracket(Kind::RightParen, opened);
    });
    p.finish(parameters, Kind::Parameters);
}

/// `param := path [ "=" expr ]`
fn parameter(p: &mut Parser<'_>) {
    let parameter = p.start();
    if p.at(Kind::Name) {
        path(p);
    } else {
        p.error_expected("the name of a parameter");
        p.skip_until(&[Kind::Comma, Kind::RightParen]);
    }
    if p.eat(Kind::Equal) {
        if p.at_new_parameter() {
            p.error("expected a default before the next parameter".to_owned());
        } else {
            expr(p);
        }
    }
    p.finish(parameter, Kind::Parameter);
}

fn path(p: &mut Parser<'_>) {
    let path = p.start();
    path_tokens(p);
    p.finish(path, Kind::Path);
}

/// `body := "{" { sep } [ line { sep { sep } line } ] { sep } "}"`
fn body(p: &mut Parser<'_>) {
    let indent = p.step_indent();
    let body = p.start();
    let opened = p.range();
    p.bump();
    p.in_body(indent, |p| p.nested(|p| lines(p, indent)));
    if !p.eat(Kind::RightBrace) {
        p.error_at_range("this `{` is not closed".to_owned(), opened);
    }
    p.finish(body, Kind::Body);
}

/// The lines of a body, up to its closing brace or to the line that shows that it is missing.
fn lines(p: &mut Parser<'_>, indent: u32) {
    loop {
        if p.dedented(indent) {
            break;
        }
        p.skip_newline();
        match p.current() {
            Kind::Eof => break,
            Kind::RightBrace if p.closes_nothing(indent) => {
                p.error("this `}` closes nothing".to_owned());
                let error = p.start();
                p.bump();
                p.finish(error, Kind::Error);
            }
            Kind::RightBrace => break,
            Kind::Semicolon => p.bump(),
            _ => line(p),
        }
    }
}

/// `line := item | step | "let" … | "input" … | …`
fn line(p: &mut Parser<'_>) {
    let production = match p.text() {
        "model" | "block" if at_item(p) => item,
        "let" if at_keyword(p, "let") => let_,
        "input" if at_keyword(p, "input") => input,
        "output" if at_keyword(p, "output") => output,
        "param" if at_keyword(p, "param") => param_decl,
        "buffer" if at_keyword(p, "buffer") => buffer_decl,
        "macs" if at_keyword(p, "macs") => stated_macs,
        "elementwise" if at_keyword(p, "elementwise") => stated_elementwise,
        "dtype" if at_keyword(p, "dtype") => dtype_line,
        "expect" if at_keyword(p, "expect") => expect,
        "weights" if at_keyword(p, "weights") => weights,
        word if PYTHON_STATEMENTS.contains(&word) && at_statement(p) => python_statement,
        _ => steps::step,
    };
    p_step(p, production);
}

/// Words with which Python's statements begin.
const PYTHON_STATEMENTS: [&str; 11] = [
    "def", "class", "return", "import", "from", "while", "with", "assert", "raise", "del", "yield",
];

/// Whether an operand follows on the line, as it does after no name.
fn at_statement(p: &Parser<'_>) -> bool {
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
fn python_statement(p: &mut Parser<'_>) {
    p.error(match p.text() {
        "return" => "nothing is returned: a body gives the value of its last step".to_owned(),
        word => format!(
            "`{word}` is Python: here stand `input x: f32[N = 1, 8]`, steps and labels; `taper import` reads PyTorch's modules"
        ),
    });
    p.skip_until(&[Kind::Semicolon, Kind::RightBrace]);
}

/// `"let" NAME "=" expr`
fn let_(p: &mut Parser<'_>) {
    let let_ = p.start();
    p.bump();
    p.expect(Kind::Name);
    if p.expect(Kind::Equal) {
        expr(p);
    }
    p.finish(let_, Kind::Let);
}

fn input(p: &mut Parser<'_>) {
    typed_line(p, Kind::Input, |p| {
        p.expect(Kind::Name);
    });
}

fn output(p: &mut Parser<'_>) {
    typed_line(p, Kind::Output, |p| {
        p.expect(Kind::Name);
    });
}

fn param_decl(p: &mut Parser<'_>) {
    typed_line(p, Kind::ParamDecl, declared_path);
}

fn buffer_decl(p: &mut Parser<'_>) {
    typed_line(p, Kind::BufferDecl, declared_path);
}

/// `path | STRING`
fn declared_path(p: &mut Parser<'_>) {
    if matches!(p.current(), Kind::String | Kind::StringHead) {
        expressions::postfix(p);
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
        steps::pattern(p);
    } else {
        p.error_expected("a shape such as `[N, 3, 224, 224]`");
    }
    p.finish(shape, Kind::Shape);
}

fn stated_macs(p: &mut Parser<'_>) {
    stated(p, Kind::StatedMacs);
}

fn stated_elementwise(p: &mut Parser<'_>) {
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
fn dtype_line(p: &mut Parser<'_>) {
    let line = p.start();
    p.bump();
    expr(p);
    p.finish(line, Kind::DtypeLine);
}

/// `"expect" expr [ "at" NAME "=" expr { "," NAME "=" expr } ] [ "on" STRING ]`
fn expect(p: &mut Parser<'_>) {
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
fn weights(p: &mut Parser<'_>) {
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
