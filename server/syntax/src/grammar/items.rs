//! Items, their bodies and the steps in them, which may hold bodies again.

use crate::{
    Kind,
    parser::{Finished, Parser},
};

use super::{
    expressions::{self, expr},
    keywords::{at_item, at_keyword},
    lines,
    patterns::pattern,
};

/// `item := ( "model" | "block" ) NAME [ "(" parameters ")" ] body`
pub(super) fn item(p: &mut Parser<'_>) {
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
            p.in_body(indent, |p| body_lines(p, indent));
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
        lines::path(p);
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

/// `body := "{" { sep } [ line { sep { sep } line } ] { sep } "}"`
fn body(p: &mut Parser<'_>) {
    let indent = p.step_indent();
    let body = p.start();
    let opened = p.range();
    p.bump();
    p.in_body(indent, |p| p.nested(|p| body_lines(p, indent)));
    if !p.eat(Kind::RightBrace) {
        p.error_at_range("this `{` is not closed".to_owned(), opened);
    }
    p.finish(body, Kind::Body);
}

/// The lines of a body, up to its closing brace or to the line that shows that it is missing.
fn body_lines(p: &mut Parser<'_>, indent: u32) {
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
pub(super) fn line(p: &mut Parser<'_>) {
    let production = match p.text() {
        "model" | "block" if at_item(p) => item,
        "let" if at_keyword(p, "let") => lines::let_,
        "input" if at_keyword(p, "input") => lines::input,
        "output" if at_keyword(p, "output") => lines::output,
        "param" if at_keyword(p, "param") => lines::param_decl,
        "buffer" if at_keyword(p, "buffer") => lines::buffer_decl,
        "macs" if at_keyword(p, "macs") => lines::stated_macs,
        "elementwise" if at_keyword(p, "elementwise") => lines::stated_elementwise,
        "dtype" if at_keyword(p, "dtype") => lines::dtype_line,
        "expect" if at_keyword(p, "expect") => lines::expect,
        "weights" if at_keyword(p, "weights") => lines::weights,
        word if lines::PYTHON_STATEMENTS.contains(&word) && lines::at_statement(p) => {
            lines::python_statement
        }
        _ => step,
    };
    p_step(p, production);
}

/// Runs a production as a step that begins on the current line.
pub(super) fn p_step(p: &mut Parser<'_>, production: fn(&mut Parser<'_>)) {
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
            group(p);
        }
    }
}

/// `step := [ label { "," label } ":" ] flow`
fn step(p: &mut Parser<'_>) {
    let step = p.start();
    if at_stage(p) {
        flow(p);
    } else {
        // Labels and sources look the same up to the colon.
        let first = p.start();
        let read = expressions::expr_list(p);
        if p.at(Kind::Colon) || (p.at(Kind::Equal) && are_labels(&read)) {
            check_labels(p, &read);
            p.finish(first, Kind::Labels);
            p.bump();
            flow(p);
        } else {
            p.finish(first, Kind::Sources);
            stages(p);
        }
    }
    p.finish(step, Kind::Step);
}

fn are_labels(read: &[Finished]) -> bool {
    let is_label = |node: &Finished| {
        matches!(node.kind, Kind::NameExpr | Kind::Literal | Kind::Interpolated | Kind::Postfix)
    };
    !read.is_empty() && read.iter().all(is_label)
}

/// `label := path | STRING`
fn check_labels(p: &mut Parser<'_>, read: &[Finished]) {
    if !are_labels(read) {
        p.error("a label is a name, a whole number or a string".to_owned());
    } else if p.at(Kind::Equal) {
        // Python's `fc = Linear(3)` is read as what it means.
        let message =
            "a step is labelled with `:`, as in `fc: Linear(3)`; a scalar is bound by `let n = 3`";
        p.error(message.to_owned());
    }
}

/// `flow := ( stage | exprs ) { "->" stage }`
fn flow(p: &mut Parser<'_>) {
    if at_stage(p) {
        stage(p);
    } else {
        let sources = p.start();
        expressions::expr_list(p);
        p.finish(sources, Kind::Sources);
    }
    stages(p);
}

fn stages(p: &mut Parser<'_>) {
    while p.eat(Kind::Arrow) {
        if at_stage(p) {
            stage(p);
        } else {
            layer(p);
        }
    }
}

/// Whether a stage begins that cannot be taken for an expression.
fn at_stage(p: &Parser<'_>) -> bool {
    match p.current() {
        Kind::LeftBrace | Kind::LeftBracket | Kind::ForKw | Kind::IfKw => true,
        Kind::Name => at_keyword(p, "repeat") || at_keyword(p, "choose"),
        _ => false,
    }
}

fn stage(p: &mut Parser<'_>) {
    p.nested(|p| match p.current() {
        Kind::LeftBrace => group(p),
        Kind::LeftBracket => pattern(p),
        Kind::ForKw => for_(p),
        Kind::IfKw => if_(p),
        _ if p.at_word("repeat") => repeat(p),
        _ => choose(p),
    });
}

/// `layer := path [ "(" args ")" ] | STRING | "(" expr ")"`
fn layer(p: &mut Parser<'_>) {
    let layer = p.start();
    match p.current() {
        Kind::Name | Kind::Int | Kind::String | Kind::StringHead | Kind::LeftParen => {
            expressions::postfix(p);
        }
        _ => {
            p.error_expected("a layer after `->`");
            p.skip_until(&[Kind::Arrow, Kind::Semicolon, Kind::RightBrace]);
        }
    }
    p.finish(layer, Kind::LayerStage);
}

fn group(p: &mut Parser<'_>) {
    let group = p.start();
    body(p);
    p.finish(group, Kind::Group);
}

fn body_or_error(p: &mut Parser<'_>, expected: &str) {
    if p.at(Kind::LeftBrace) {
        body(p);
    } else {
        p.error_expected(expected);
    }
}

/// `"repeat" expr body`
fn repeat(p: &mut Parser<'_>) {
    let repeat = p.start();
    p.bump();
    p.in_head(|p| {
        expr(p);
    });
    body_or_error(p, "`{` and the steps to repeat");
    p.finish(repeat, Kind::Repeat);
}

/// `"for" targets "in" expr body`
fn for_(p: &mut Parser<'_>) {
    let for_ = p.start();
    p.bump();
    p.in_head(|p| {
        targets(p);
        if p.expect(Kind::InKw) {
            expr(p);
        }
    });
    body_or_error(p, "`{` and the steps of the loop");
    p.finish(for_, Kind::For);
}

/// `targets := target { "," target }`
fn targets(p: &mut Parser<'_>) {
    let targets = p.start();
    target(p);
    while p.eat(Kind::Comma) {
        target(p);
    }
    p.finish(targets, Kind::Targets);
}

/// `target := NAME | "(" targets ")"`
fn target(p: &mut Parser<'_>) {
    let target = p.start();
    if p.at(Kind::LeftParen) {
        let opened = p.range();
        p.open_bracket();
        p.nested(targets);
        p.close_bracket(Kind::RightParen, opened);
    } else {
        p.expect(Kind::Name);
    }
    p.finish(target, Kind::Target);
}

/// `"if" expr body { "else" "if" expr body } [ "else" body ]`
fn if_(p: &mut Parser<'_>) {
    let if_ = p.start();
    branch(p, true);
    while p.at(Kind::ElseKw) {
        let last = p.next_on_line() != Kind::IfKw;
        branch(p, !last);
        if last {
            break;
        }
    }
    p.finish(if_, Kind::If);
}

/// One branch, from its `if`, `else if` or `else`.
fn branch(p: &mut Parser<'_>, has_condition: bool) {
    let branch = p.start();
    p.eat(Kind::ElseKw);
    if has_condition && p.expect(Kind::IfKw) {
        p.in_head(|p| {
            expr(p);
        });
    }
    body_or_error(p, "`{` and the steps of this branch");
    p.finish(branch, Kind::Branch);
}

/// `"choose" expr "of" expr [ "stacked" ] body`
fn choose(p: &mut Parser<'_>) {
    let choose = p.start();
    p.bump();
    expr(p);
    if p.at_word("of") {
        p.bump();
        expr(p);
        if p.at_word("stacked") {
            p.bump();
        }
        body_or_error(p, "`{` and the expert");
    } else {
        p.error_expected("`of` and the number of experts");
    }
    p.finish(choose, Kind::Choose);
}
