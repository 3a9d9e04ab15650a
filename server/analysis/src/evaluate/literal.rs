//! Values that are given outside of a text: by `--set`, and by configs.

use crate::{evaluate::value::Value, workspace::unquote};

/// A value as `--set` or a config gives it: a literal of the language, or a text.
pub(crate) fn parse_value(text: &str) -> Value {
    let text = text.trim();
    match text {
        "none" | "null" => return Value::None,
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(value) = text.replace('_', "").parse() {
        return Value::Int(value);
    }
    if let Some(value) = text.parse().ok().filter(|value: &f64| value.is_finite()) {
        return Value::Float(value);
    }
    let within = |open, close| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(inner) = within('[', ']').or_else(|| within('(', ')')) {
        return Value::list(split_items(inner).into_iter().map(parse_value).collect());
    }
    Value::text(unquote(text))
}

/// The items between the commas that stand in no bracket.
fn split_items(text: &str) -> Vec<&str> {
    let (mut items, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, char) in text.char_indices() {
        match char {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&text[start..]);
    items.retain(|item| !item.trim().is_empty());
    items
}
