//! Python's operators on scalars, and the texts of literals.

use syntax::Kind;

use crate::{
    Code,
    evaluate::{
        MAX_STEPS,
        functions::{Mistake, int, no_result, number, overflow, wrong},
        value::Value,
    },
};

/// The longest text that is computed.
const MAX_TEXT: usize = 1 << 16;

/// A list, unless it and the lists in it are too large together.
pub(crate) fn small_list(items: Vec<Value>) -> Result<Value, Mistake> {
    fn count(items: &[Value], left: &mut usize) {
        for item in items {
            *left = left.saturating_sub(1);
            if let (Value::List(items), true) = (item, *left > 0) {
                count(items, left);
            }
        }
    }
    let mut left = MAX_STEPS;
    count(&items, &mut left);
    match left {
        0 => too_large_list(),
        _ => Ok(Value::list(items)),
    }
}

fn small_text(text: String) -> Result<Value, Mistake> {
    match text.len() <= MAX_TEXT {
        true => Ok(Value::text(&text)),
        false => too_large_text(),
    }
}

fn too_large_list() -> Result<Value, Mistake> {
    Err((Code::TooLarge, format!("a list of more than {MAX_STEPS} items")))
}

fn too_large_text() -> Result<Value, Mistake> {
    Err((Code::TooLarge, format!("a text of more than {MAX_TEXT} bytes")))
}

/// An operator between two scalars, as Python has it.
pub(crate) fn binary(
    kind: Kind,
    symbol: &str,
    left: &Value,
    right: &Value,
) -> Result<Value, Mistake> {
    match (kind, left, right) {
        (Kind::Plus, Value::Text(left), Value::Text(right)) => small_text(format!("{left}{right}")),
        (Kind::Star, Value::List(items), times) | (Kind::Star, times, Value::List(items))
            if int(times).is_some() =>
        {
            let times = int(times).unwrap_or(0).max(0) as usize;
            if items.len().saturating_mul(times) > MAX_STEPS {
                return too_large_list();
            }
            small_list(items.iter().cycle().take(items.len() * times).cloned().collect())
        }
        (Kind::Star, Value::Text(text), times) | (Kind::Star, times, Value::Text(text))
            if int(times).is_some() =>
        {
            let times = int(times).unwrap_or(0).max(0) as usize;
            if text.len().saturating_mul(times) > MAX_TEXT {
                return too_large_text();
            }
            small_text(text.repeat(times))
        }
        (Kind::Plus, Value::List(left), Value::List(right)) => {
            if left.len() + right.len() > MAX_STEPS {
                return too_large_list();
            }
            small_list(left.iter().chain(right.iter()).cloned().collect())
        }
        _ => match (int(left), int(right), number(left), number(right)) {
            (Some(left), Some(right), ..) => int_arithmetic(kind, symbol, left, right),
            (_, _, Some(left), Some(right)) => float_arithmetic(kind, symbol, left, right),
            _ => wrong(format!(
                "`{symbol}` does not combine {} and {}",
                left.describe(),
                right.describe()
            )),
        },
    }
}

fn int_arithmetic(kind: Kind, symbol: &str, left: i64, right: i64) -> Result<Value, Mistake> {
    let exact = |value: Option<i64>| value.map_or_else(overflow, |value| Ok(Value::Int(value)));
    match kind {
        Kind::Plus => exact(left.checked_add(right)),
        Kind::Minus => exact(left.checked_sub(right)),
        Kind::Star => exact(left.checked_mul(right)),
        Kind::Slash | Kind::SlashSlash | Kind::Percent if right == 0 => {
            no_result(format!("`{left} {symbol} 0`: division by zero"))
        }
        Kind::Slash => Ok(Value::Float(left as f64 / right as f64)),
        Kind::SlashSlash => {
            // Python rounds down, Rust towards zero.
            let quotient = left.checked_div(right);
            let rest = left.checked_rem(right).unwrap_or(0);
            let rounds = rest != 0 && (left < 0) != (right < 0);
            exact(quotient.and_then(|quotient| quotient.checked_sub(rounds.into())))
        }
        Kind::Percent => {
            let rest = left.checked_rem(right).unwrap_or(0);
            exact(Some(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }))
        }
        Kind::StarStar if right < 0 && left == 0 => no_result("0 to a negative power"),
        Kind::StarStar if right < 0 => Ok(Value::Float((left as f64).powf(right as f64))),
        Kind::StarStar => match left {
            // These do not grow, whatever the exponent.
            0 | 1 => Ok(Value::Int(if right == 0 { 1 } else { left })),
            -1 => Ok(Value::Int(if right % 2 == 0 { 1 } else { -1 })),
            _ => exact(u32::try_from(right).ok().and_then(|right| left.checked_pow(right))),
        },
        _ => wrong(format!("`{symbol}` multiplies tensors, not numbers")),
    }
}

fn float_arithmetic(kind: Kind, symbol: &str, left: f64, right: f64) -> Result<Value, Mistake> {
    let value = match kind {
        Kind::Plus => left + right,
        Kind::Minus => left - right,
        Kind::Star => left * right,
        Kind::Slash | Kind::SlashSlash | Kind::Percent if right == 0.0 => {
            return no_result(format!("`{left} {symbol} 0`: division by zero"));
        }
        Kind::Slash => left / right,
        Kind::SlashSlash => (left / right).floor(),
        Kind::Percent => left - right * (left / right).floor(),
        Kind::StarStar => left.powf(right),
        _ => return wrong(format!("`{symbol}` multiplies tensors, not numbers")),
    };
    if value.is_nan() {
        return no_result(format!("`{left} {symbol} {right}` is no number"));
    }
    Ok(Value::Float(value))
}

pub(crate) fn compare(
    kind: Kind,
    symbol: &str,
    left: &Value,
    right: &Value,
) -> Result<bool, Mistake> {
    let equal =
        |left: &Value, right: &Value| match (int(left), int(right), number(left), number(right)) {
            (Some(left), Some(right), ..) => left == right,
            (_, _, Some(left), Some(right)) => left == right,
            _ => left == right,
        };
    let contains = || match (left, right) {
        (_, Value::List(items)) => Ok(items.iter().any(|item| equal(item, left))),
        (Value::Text(part), Value::Text(whole)) => Ok(whole.contains(&**part)),
        _ => wrong(format!("`in` looks into a list, not {}", right.describe())),
    };
    match kind {
        Kind::EqualEqual => return Ok(equal(left, right)),
        Kind::NotEqual => return Ok(!equal(left, right)),
        Kind::InKw => return contains(),
        Kind::NotKw => return contains().map(|found| !found),
        _ => {}
    }
    let order = match (int(left), int(right), number(left), number(right), left, right) {
        (Some(left), Some(right), ..) => left.partial_cmp(&right),
        (_, _, Some(left), Some(right), ..) => left.partial_cmp(&right),
        (.., Value::Text(left), Value::Text(right)) => left.partial_cmp(right),
        _ => {
            return wrong(format!(
                "`{symbol}` does not compare {} and {}",
                left.describe(),
                right.describe()
            ));
        }
    };
    let Some(order) = order else { return Ok(false) };
    Ok(match kind {
        Kind::Less => order.is_lt(),
        Kind::LessEqual => order.is_le(),
        Kind::Greater => order.is_gt(),
        _ => order.is_ge(),
    })
}

/// `5.4M`, `16GiB`, `2ms`: exact where the product is whole. Times are milliseconds.
pub(crate) fn magnitude(text: &str) -> Result<Value, Mistake> {
    let split = text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: (i64, i64) = match unit {
        "K" | "KB" => (1_000, 1),
        "M" | "MB" => (1_000_000, 1),
        "G" | "GB" => (1_000_000_000, 1),
        "T" | "TB" => (1_000_000_000_000, 1),
        "B" | "ms" => (1, 1),
        "KiB" => (1 << 10, 1),
        "MiB" => (1 << 20, 1),
        "GiB" => (1 << 30, 1),
        "TiB" => (1 << 40, 1),
        "s" => (1_000, 1),
        "us" => (1, 1_000),
        _ => {
            return wrong(format!(
                "`{unit}` is no unit; there are K, M, G, T, KB … TB, KiB … TiB, us, ms and s"
            ));
        }
    };
    let digits = digits.replace('_', "");
    let (whole, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
    let scale = 10i128.checked_pow(fraction.len() as u32);
    let scaled = format!("{whole}{fraction}").parse::<i128>().ok();
    let (Some(scaled), Some(scale)) = (scaled, scale) else { return overflow() };
    let (Some(top), Some(bottom)) =
        (scaled.checked_mul(factor.0.into()), scale.checked_mul(factor.1.into()))
    else {
        return overflow();
    };
    if top % bottom != 0 {
        return Ok(Value::Float(top as f64 / bottom as f64));
    }
    i64::try_from(top / bottom).map_or_else(|_| overflow(), |value| Ok(Value::Int(value)))
}

/// Python's escapes; in a label `{{` and `}}` are braces.
pub(crate) fn unescape(text: &str, is_label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '{' | '}' if is_label && chars.peek() == Some(&char) => {
                chars.next();
                out.push(char);
            }
            '\\' => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some('0') => out.push('\0'),
                Some(length @ ('x' | 'u' | 'U')) => {
                    let digits = match length {
                        'x' => 2,
                        'u' => 4,
                        _ => 8,
                    };
                    let code: String = chars.by_ref().take(digits).collect();
                    let decoded = u32::from_str_radix(&code, 16).ok().and_then(char::from_u32);
                    out.push(decoded.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                Some(other @ ('\\' | '"' | '\'')) => out.push(other),
                Some(other) => out.extend(['\\', other]),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_is_pythons() {
        let whole = |left, right| match int_arithmetic(Kind::SlashSlash, "//", left, right) {
            Ok(Value::Int(value)) => value,
            other => panic!("{other:?}"),
        };
        let rest = |left, right| match int_arithmetic(Kind::Percent, "%", left, right) {
            Ok(Value::Int(value)) => value,
            other => panic!("{other:?}"),
        };
        for (left, right, quotient, remainder) in
            [(7, 2, 3, 1), (-7, 2, -4, 1), (7, -2, -4, -1), (-7, -2, 3, -1)]
        {
            assert_eq!(
                (whole(left, right), rest(left, right)),
                (quotient, remainder),
                "{left}, {right}"
            );
        }
        assert!(int_arithmetic(Kind::SlashSlash, "//", i64::MIN, -1).is_err());
    }

    #[test]
    fn magnitudes_are_exact() {
        assert_eq!(magnitude("5.4M"), Ok(Value::Int(5_400_000)));
        assert_eq!(magnitude("16GiB"), Ok(Value::Int(16 << 30)));
        assert_eq!(magnitude("1.5B"), Ok(Value::Float(1.5)));
        assert!(magnitude("3x").is_err());
    }
}
