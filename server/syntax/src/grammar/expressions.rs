//! Expressions. An operator level is one node with all its operands, so that a long sum is flat.

use crate::{
    Kind,
    parser::{Finished, Parser},
};

/// `exprs := expr { "," expr }`, without a node of its own.
pub(super) fn expr_list(p: &mut Parser<'_>) -> Vec<Finished> {
    let mut read = Vec::new();
    read.extend(expr(p));
    while p.eat(Kind::Comma) {
        read.extend(expr(p));
    }
    read
}

/// `expr := or [ "if" or "else" expr ]`
pub(super) fn expr(p: &mut Parser<'_>) -> Option<Finished> {
    let value = or(p)?;
    if !p.at(Kind::IfKw) {
        return Some(value);
    }
    let conditional = p.wrap(value);
    p.bump();
    or(p);
    if p.expect(Kind::ElseKw) {
        p.nested(|p| {
            expr(p);
        });
    }
    Some(p.finish(conditional, Kind::Conditional))
}

/// One level of operators: `operand { operator operand }`.
fn level(
    p: &mut Parser<'_>,
    kind: Kind,
    operand: fn(&mut Parser<'_>) -> Option<Finished>,
    operator: fn(&Parser<'_>) -> usize,
) -> Option<Finished> {
    let first = operand(p)?;
    if operator(p) == 0 {
        return Some(first);
    }
    let node = p.wrap(first);
    loop {
        let tokens = operator(p);
        if tokens == 0 {
            break;
        }
        (0..tokens).for_each(|_| p.bump());
        operand(p);
    }
    Some(p.finish(node, kind))
}

fn or(p: &mut Parser<'_>) -> Option<Finished> {
    level(p, Kind::Or, and, |p| p.at(Kind::OrKw).into())
}

fn and(p: &mut Parser<'_>) -> Option<Finished> {
    level(p, Kind::And, not, |p| p.at(Kind::AndKw).into())
}

/// `not := "not" not | cmp`
fn not(p: &mut Parser<'_>) -> Option<Finished> {
    if !p.at(Kind::NotKw) {
        return comparison(p);
    }
    let node = p.start();
    p.bump();
    p.nested(|p| {
        not(p);
    });
    Some(p.finish(node, Kind::Not))
}

fn comparison(p: &mut Parser<'_>) -> Option<Finished> {
    level(p, Kind::Comparison, sum, |p| match p.current() {
        Kind::EqualEqual | Kind::NotEqual | Kind::Less | Kind::LessEqual => 1,
        Kind::Greater | Kind::GreaterEqual | Kind::InKw => 1,
        Kind::NotKw if p.next() == Kind::InKw => 2,
        _ => 0,
    })
}

fn sum(p: &mut Parser<'_>) -> Option<Finished> {
    level(p, Kind::Sum, term, |p| matches!(p.current(), Kind::Plus | Kind::Minus).into())
}

fn term(p: &mut Parser<'_>) -> Option<Finished> {
    level(p, Kind::Term, unary, |p| {
        let multiplies = matches!(
            p.current(),
            Kind::Star | Kind::Slash | Kind::SlashSlash | Kind::Percent | Kind::At
        );
        multiplies.into()
    })
}

/// `unary := "-" unary | postfix [ "**" unary ]`
fn unary(p: &mut Parser<'_>) -> Option<Finished> {
    if p.at(Kind::Minus) {
        let node = p.start();
        p.bump();
        p.nested(|p| {
            unary(p);
        });
        return Some(p.finish(node, Kind::Unary));
    }
    let base = postfix(p)?;
    if !p.at(Kind::StarStar) {
        return Some(base);
    }
    let power = p.wrap(base);
    p.bump();
    p.nested(|p| {
        unary(p);
    });
    Some(p.finish(power, Kind::Power))
}

/// `postfix := primary { "." ( NAME | INT | "*" ) | "(" args ")" | "[" index { "," index } "]" }`
pub(super) fn postfix(p: &mut Parser<'_>) -> Option<Finished> {
    let value = primary(p)?;
    if !matches!(p.current(), Kind::Dot | Kind::LeftParen | Kind::LeftBracket) {
        return Some(value);
    }
    let node = p.wrap(value);
    loop {
        match p.current() {
            Kind::Dot => field(p),
            Kind::LeftParen => call(p),
            Kind::LeftBracket => index(p),
            _ => break,
        }
    }
    Some(p.finish(node, Kind::Postfix))
}

fn field(p: &mut Parser<'_>) {
    let field = p.start();
    p.bump();
    // A reserved word after a dot is a name, as `attn.in` would be in a checkpoint.
    match p.current() {
        Kind::Name | Kind::Int | Kind::Star => p.bump(),
        word if word.is_reserved() => p.bump(),
        _ => p.error_expected("a name after `.`"),
    }
    p.finish(field, Kind::Field);
}

/// `path := ( NAME | INT ) { "." ( NAME | INT ) }`, as tokens of the node around it.
pub(super) fn path_tokens(p: &mut Parser<'_>) {
    loop {
        match p.current() {
            Kind::Name | Kind::Int => p.bump(),
            word if word.is_reserved() => p.bump(),
            Kind::LeftBrace => {
                p.error("a path that computes is a string: `\"gates.{i}\"`".to_owned());
            }
            _ => p.error_expected("a name"),
        }
        if !p.eat(Kind::Dot) {
            break;
        }
    }
}

/// Says so where Python would have a comprehension, up to the bracket that ends it.
pub(super) fn no_comprehension(p: &mut Parser<'_>, end: Kind) {
    if p.at(Kind::ForKw) {
        p.error(
            "there are no comprehensions: write the list out, or the steps with `for x in list { … }`"
                .to_owned(),
        );
        p.skip_until(&[end, Kind::RightBrace]);
    }
}

/// `"(" args ")"`
fn call(p: &mut Parser<'_>) {
    let call = p.start();
    let opened = p.range();
    p.open_bracket();
    p.nested(|p| {
        while !matches!(p.current(), Kind::RightParen | Kind::Newline | Kind::Eof) {
            argument(p);
            no_comprehension(p, Kind::RightParen);
            if !p.eat(Kind::Comma) {
                break;
            }
        }
    });
    p.close_bracket(Kind::RightParen, opened);
    p.finish(call, Kind::Call);
}

/// `arg := [ NAME "=" ] expr`
fn argument(p: &mut Parser<'_>) {
    let argument = p.start();
    if p.at(Kind::Name) && p.next() == Kind::Equal {
        p.bump();
        p.bump();
    }
    if expr(p).is_none() {
        p.skip_until(&[Kind::Comma, Kind::RightParen, Kind::RightBrace]);
    }
    p.finish(argument, Kind::Argument);
}

fn index(p: &mut Parser<'_>) {
    let index = p.start();
    let opened = p.range();
    p.open_bracket();
    p.nested(|p| {
        while !matches!(p.current(), Kind::RightBracket | Kind::Newline | Kind::Eof) {
            index_item(p);
            if !p.eat(Kind::Comma) {
                break;
            }
        }
    });
    p.close_bracket(Kind::RightBracket, opened);
    p.finish(index, Kind::Index);
}

/// `index := "..." | expr | [ expr ] ":" [ expr ] [ ":" [ expr ] ]`
fn index_item(p: &mut Parser<'_>) {
    if p.at(Kind::Ellipsis) {
        let rest = p.start();
        p.bump();
        p.finish(rest, Kind::EllipsisExpr);
        return;
    }
    let slice = p.start();
    if !p.at(Kind::Colon) {
        expr(p);
    }
    if !p.at(Kind::Colon) {
        p.abandon(slice);
        return;
    }
    while p.eat(Kind::Colon) {
        if !matches!(p.current(), Kind::Colon | Kind::Comma | Kind::RightBracket) {
            expr(p);
        }
    }
    p.finish(slice, Kind::Slice);
}

fn primary(p: &mut Parser<'_>) -> Option<Finished> {
    let node = p.start();
    let kind = match p.current() {
        Kind::Name => Kind::NameExpr,
        Kind::ItKw => Kind::ItExpr,
        Kind::Int | Kind::Float | Kind::Magnitude | Kind::String => Kind::Literal,
        Kind::TrueKw | Kind::FalseKw | Kind::NoneKw => Kind::Literal,
        Kind::StringHead => return Some(interpolated(p, node)),
        Kind::LeftParen => return Some(paren(p, node)),
        Kind::LeftBracket => return Some(list(p, node)),
        _ => {
            p.abandon(node);
            p.error_expected("a layer or a value");
            return None;
        }
    };
    p.bump();
    Some(p.finish(node, kind))
}

fn interpolated(p: &mut Parser<'_>, node: crate::parser::Marker) -> Finished {
    p.bump();
    loop {
        if expr(p).is_none() || !matches!(p.current(), Kind::StringMid | Kind::StringTail) {
            p.error_expected("the `}` of this string");
            p.skip_until(&[Kind::StringMid, Kind::StringTail]);
        }
        let more = p.at(Kind::StringMid);
        p.bump();
        if !more {
            break;
        }
    }
    p.finish(node, Kind::Interpolated)
}

/// `"(" exprs [ "," ] ")"`: a list if there is a comma.
fn paren(p: &mut Parser<'_>, node: crate::parser::Marker) -> Finished {
    let opened = p.range();
    let mut commas = false;
    p.open_bracket();
    p.nested(|p| {
        expr(p);
        if p.at(Kind::Arrow) {
            let message = "what flows through a layer is a step of its own: `y: x -> Transpose(-2, -1)` on a line before, and `y` here";
            p.error(message.to_owned());
            p.skip_until(&[Kind::RightParen, Kind::RightBrace]);
        }
        while p.eat(Kind::Comma) {
            commas = true;
            if matches!(p.current(), Kind::RightParen | Kind::Newline | Kind::Eof) {
                break;
            }
            expr(p);
        }
    });
    p.close_bracket(Kind::RightParen, opened);
    p.finish(node, if commas { Kind::List } else { Kind::Paren })
}

/// `"[" [ exprs [ "," ] ] "]"`
fn list(p: &mut Parser<'_>, node: crate::parser::Marker) -> Finished {
    let opened = p.range();
    p.open_bracket();
    p.nested(|p| {
        while !matches!(p.current(), Kind::RightBracket | Kind::Newline | Kind::Eof) {
            expr(p);
            no_comprehension(p, Kind::RightBracket);
            if !p.eat(Kind::Comma) {
                break;
            }
        }
    });
    p.close_bracket(Kind::RightBracket, opened);
    p.finish(node, Kind::List)
}
