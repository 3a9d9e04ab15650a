//! Steps and their stages.

use crate::{
    Kind,
    parser::{Finished, Parser},
};

use super::{at_keyword, body, expressions, expressions::expr};

/// `step := [ label { "," label } ":" ] flow`
pub(super) fn step(p: &mut Parser<'_>) {
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

pub(super) fn group(p: &mut Parser<'_>) {
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

/// `shape-pattern := "[" [ dim { "," dim } ] "]"`
pub(super) fn pattern(p: &mut Parser<'_>) {
    let pattern = p.start();
    let opened = p.range();
    p.open_bracket();
    while !matches!(p.current(), Kind::RightBracket | Kind::Newline | Kind::Eof) {
        dim(p);
        expressions::no_comprehension(p, Kind::RightBracket);
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
