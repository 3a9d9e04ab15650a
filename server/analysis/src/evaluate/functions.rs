//! Python's functions on scalars.

use crate::{
    Code,
    evaluate::{MAX_STEPS, value::Value},
};

/// The functions of the language, by name.
pub(crate) const FUNCTIONS: &[&str] = &[
    "len",
    "min",
    "max",
    "sum",
    "abs",
    "ceil",
    "floor",
    "round",
    "int",
    "float",
    "range",
    "enumerate",
    "zip",
    "sqrt",
    "log2",
];

/// A mistake in a computation: its code and one sentence.
pub(crate) type Mistake = (Code, String);

pub(crate) fn wrong<T>(message: impl Into<String>) -> Result<T, Mistake> {
    Err((Code::WrongValue, message.into()))
}

pub(crate) fn no_result<T>(message: impl Into<String>) -> Result<T, Mistake> {
    Err((Code::Arithmetic, message.into()))
}

pub(crate) fn overflow<T>() -> Result<T, Mistake> {
    Err((Code::Overflow, "this number is too large: whole numbers go up to 2^63 - 1".to_owned()))
}

/// Calls a function. Arguments are known.
pub(crate) fn call(name: &str, arguments: &[Value]) -> Result<Value, Mistake> {
    match (name, arguments) {
        ("len", [Value::List(items)]) => Ok(Value::Int(items.len() as i64)),
        ("len", [Value::Text(text)]) => Ok(Value::Int(text.chars().count() as i64)),
        ("min" | "max", [Value::List(items)]) => extreme(name, items),
        ("min" | "max", [_, _, ..]) => extreme(name, arguments),
        ("sum", [Value::List(items)]) => sum(items),
        ("abs", [Value::Int(value)]) => {
            value.checked_abs().map_or_else(overflow, |value| Ok(Value::Int(value)))
        }
        ("abs", [Value::Float(value)]) => Ok(Value::Float(value.abs())),
        ("ceil" | "floor" | "round" | "int", [Value::Int(value)]) => Ok(Value::Int(*value)),
        ("int", [Value::Bool(value)]) => Ok(Value::Int((*value).into())),
        ("ceil", [Value::Float(value)]) => whole(value.ceil()),
        ("floor", [Value::Float(value)]) => whole(value.floor()),
        ("round", [Value::Float(value)]) => whole(value.round_ties_even()),
        ("int", [Value::Float(value)]) => whole(value.trunc()),
        ("int", [Value::Text(text)]) => match text.trim().replace('_', "").parse() {
            Ok(value) => Ok(Value::Int(value)),
            Err(_) => wrong(format!("\"{text}\" is no whole number")),
        },
        ("float", [Value::Text(text)]) => match text.trim().replace('_', "").parse() {
            Ok(value) => Ok(Value::Float(value)),
            Err(_) => wrong(format!("\"{text}\" is no number")),
        },
        ("round", [value, Value::Int(digits @ 0..=15)]) if number(value).is_some() => {
            // As Python: to the nearest, and the number itself where it has no more digits.
            let written = format!("{:.*}", *digits as usize, number(value).unwrap_or(0.0));
            Ok(Value::Float(written.parse().unwrap_or(f64::NAN)))
        }
        ("float", [value]) => {
            number(value).map_or_else(|| refuse(name, arguments), |value| Ok(Value::Float(value)))
        }
        ("sqrt", [value]) => match number(value) {
            Some(value) if value >= 0.0 => Ok(Value::Float(value.sqrt())),
            Some(value) => no_result(format!("{value} has no square root")),
            None => refuse(name, arguments),
        },
        ("log2", [value]) => match number(value) {
            Some(value) if value > 0.0 => Ok(Value::Float(value.log2())),
            Some(value) => no_result(format!("{value} has no logarithm")),
            None => refuse(name, arguments),
        },
        ("range", [Value::Int(stop)]) => range(0, *stop, 1),
        ("range", [Value::Int(start), Value::Int(stop)]) => range(*start, *stop, 1),
        ("range", [Value::Int(start), Value::Int(stop), Value::Int(step)]) => {
            range(*start, *stop, *step)
        }
        ("enumerate", [Value::List(items), rest @ ..]) if matches!(rest, [] | [Value::Int(_)]) => {
            let start = rest.first().and_then(int).unwrap_or(0);
            if start.checked_add(items.len() as i64).is_none() {
                return overflow();
            }
            let pairs = items
                .iter()
                .zip(start..)
                .map(|(item, index)| Value::list(vec![Value::Int(index), item.clone()]));
            Ok(Value::list(pairs.collect()))
        }
        ("zip", lists) if !lists.is_empty() => zip(lists),
        _ => refuse(name, arguments),
    }
}

fn refuse(name: &str, arguments: &[Value]) -> Result<Value, Mistake> {
    let described: Vec<String> = arguments.iter().map(Value::describe).collect();
    let described = if described.is_empty() { "nothing".to_owned() } else { described.join(", ") };
    wrong(format!("`{name}` does not take {described}"))
}

pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        _ => None,
    }
}

/// `True` and `False` are 1 and 0 in Python's arithmetic.
pub(crate) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => Some(*value),
        Value::Bool(value) => Some((*value).into()),
        _ => None,
    }
}

fn whole(value: f64) -> Result<Value, Mistake> {
    // 2^63 is exact as a float; everything below it fits.
    if value.abs() < 9_223_372_036_854_775_808.0 {
        Ok(Value::Int(value as i64))
    } else {
        overflow()
    }
}

fn extreme(name: &str, items: &[Value]) -> Result<Value, Mistake> {
    let Some(first) = items.first() else {
        return no_result(format!("`{name}` of an empty list"));
    };
    let mut best = first;
    for item in items {
        let (Some(new), Some(old)) = (number(item), number(best)) else {
            return refuse(name, items);
        };
        let exact = int(item).zip(int(best));
        let better = match (name, exact) {
            ("min", Some((new, old))) => new < old,
            (_, Some((new, old))) => new > old,
            ("min", None) => new < old,
            _ => new > old,
        };
        if better {
            best = item;
        }
    }
    Ok(best.clone())
}

fn sum(items: &[Value]) -> Result<Value, Mistake> {
    let mut total = Value::Int(0);
    for item in items {
        total = match (int(&total), int(item)) {
            (Some(left), Some(right)) => {
                left.checked_add(right).map_or_else(overflow, |sum| Ok(Value::Int(sum)))?
            }
            _ => match (number(&total), number(item)) {
                (Some(left), Some(right)) => Value::Float(left + right),
                _ => return refuse("sum", items),
            },
        };
    }
    Ok(total)
}

fn range(start: i64, stop: i64, step: i64) -> Result<Value, Mistake> {
    if step == 0 {
        return no_result("`range` with a step of 0");
    }
    let distance = if step > 0 {
        i128::from(stop) - i128::from(start)
    } else {
        i128::from(start) - i128::from(stop)
    };
    let count = (distance.max(0) as u128).div_ceil(u128::from(step.unsigned_abs()));
    if count > MAX_STEPS as u128 {
        return Err((
            Code::TooLarge,
            format!("a list of {count} items; at most {MAX_STEPS} are made"),
        ));
    }
    // Every item lies between the ends, which fit.
    let items = (0..count as i64).map(|index| Value::Int(start + index * step));
    Ok(Value::list(items.collect()))
}

fn zip(lists: &[Value]) -> Result<Value, Mistake> {
    let mut columns = Vec::new();
    for list in lists {
        match list {
            Value::List(items) => columns.push(items),
            _ => return refuse("zip", lists),
        }
    }
    let length = columns.iter().map(|items| items.len()).min().unwrap_or(0);
    let rows = (0..length)
        .map(|row| Value::list(columns.iter().map(|items| items[row].clone()).collect()));
    Ok(Value::list(rows.collect()))
}
