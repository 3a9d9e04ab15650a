//! Calls of layers as PyTorch's signatures have them.

use layers::{Arg, Entry};
use syntax::{SyntaxNode, ast};

use crate::evaluate::{functions::FUNCTIONS, literal::parse_value};

/// A layer as it is written here, where it was called as PyTorch's is: without the sizes that its input gives. None if it
/// has none of these, or would lack an argument without them: `nn.Linear(10)` means what it does here.
pub(super) fn as_here(entry: &Entry, call: ast::Call<'_>) -> Option<String> {
    let arguments: Vec<ast::Argument<'_>> = call.arguments().collect();
    let is_given = |place: usize, argument: &ast::Argument<'_>| {
        entry.given_by_input.iter().any(|given| match argument.name() {
            Some(name) => given.name == name.text(),
            None => given.place == place,
        })
    };
    let others = arguments.iter().enumerate().filter(|(place, one)| !is_given(*place, one));
    let others: Vec<&ast::Argument<'_>> = others.map(|(_, one)| one).collect();
    if others.len() == arguments.len() {
        return None;
    }
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for argument in &others {
        let value = value(argument.value()?.text());
        match argument.name() {
            Some(name) => named.push((name.text(), value)),
            None => positional.push(value),
        }
    }
    entry.arguments(&positional, &named).ok()?;
    let texts: Vec<&str> = others.iter().map(|one| one.syntax().text()).collect();
    Some(match texts.is_empty() {
        true => entry.name.to_owned(),
        false => format!("{}({})", entry.name, texts.join(", ")),
    })
}

/// A value as it is written; what is computed may be any number.
fn value(text: &str) -> Arg {
    match text {
        "True" | "true" => Arg::Bool(true),
        "False" | "false" => Arg::Bool(false),
        "None" | "none" => Arg::None,
        text if text.starts_with('"') => Arg::Text(text.trim_matches('"').to_owned()),
        text => parse_value(text)
            .to_arg()
            .filter(|value| !matches!(value, Arg::Text(_)))
            .unwrap_or(Arg::Int(1)),
    }
}

/// What there is instead of Python's functions of numbers.
pub(super) fn of_numbers(function: &str, call: Option<ast::Call<'_>>) -> String {
    let argument = call.and_then(|call| call.arguments().next()?.value());
    match (function, argument) {
        ("sqrt", Some(number)) => {
            let number = sizes_as_here(number.text());
            let is_one = number.chars().all(|c| c.is_alphanumeric() || "._[]".contains(c));
            let number = if is_one { number } else { format!("({number})") };
            format!("there is no `sqrt` of numbers; it is written as a power: `{number} ** 0.5`")
        }
        _ => format!(
            "there is no `{function}` of numbers here: they are written out, or computed with `+ - * / // % **` and the functions {}",
            FUNCTIONS.join(", ")
        ),
    }
}

/// Sizes as they are written here: `x.size(0)` is `x.shape[0]`.
pub(super) fn sizes_as_here(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(".size(") {
        let Some((dim, after)) = after.split_once(')') else { break };
        out.push_str(before);
        out.push_str(".shape");
        if !dim.trim().is_empty() {
            out.push_str(&format!("[{}]", dim.trim_start_matches("dim=").trim()));
        }
        rest = after;
    }
    out + rest
}

/// What an expression has before one of its suffixes.
pub(super) fn text_before<'t>(expr: ast::Expr<'t>, suffix: SyntaxNode<'t>) -> &'t str {
    let before = suffix.range().start() - expr.syntax().range().start();
    expr.text()[..usize::from(before)].trim_end()
}
