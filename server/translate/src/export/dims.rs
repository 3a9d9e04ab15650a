//! A number that follows the sizes of the input, as an expression of sizes that are at hand.

use crate::export::sizes::AtSizes;

/// A size that is at hand.
pub(crate) struct Known {
    /// How it is written.
    pub text: String,
    /// Where it comes from, to be told once the size is used.
    pub source: usize,
    pub values: AtSizes<u64>,
}

/// An expression, and the sources of the sizes in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expression {
    pub text: String,
    pub sources: Vec<usize>,
}

/// Finds an expression with these values; `None` if none of those tried has them.
pub(crate) fn expression(values: &AtSizes<i64>, known: &[Known]) -> Option<Expression> {
    let wanted: Vec<i128> = values.0.iter().map(|value| i128::from(*value)).collect();
    let at = |known: &Known| -> Vec<i128> {
        known.values.0.iter().map(|value| i128::from(*value)).collect()
    };
    let sizes: Vec<(&Known, Vec<i128>)> = known.iter().map(|known| (known, at(known))).collect();
    let varying: Vec<&(&Known, Vec<i128>)> =
        sizes.iter().filter(|(known, _)| !known.values.is_constant()).collect();
    for (known, size) in &varying {
        if let Some(text) = of_one(&wanted, size, &known.text) {
            return Some(Expression { text, sources: vec![known.source] });
        }
    }
    for (index, (left, left_size)) in varying.iter().enumerate() {
        for (right, right_size) in &varying[index..] {
            if let Some(text) = of_two(&wanted, (left_size, &left.text), (right_size, &right.text))
            {
                let sources = vec![left.source, right.source];
                return Some(Expression { text, sources });
            }
        }
    }
    None
}

/// An expression of one size and a number.
fn of_one(wanted: &[i128], size: &[i128], text: &str) -> Option<String> {
    let all = |of: &dyn Fn(i128) -> Option<i128>| {
        size.iter().zip(wanted).all(|(size, wanted)| of(*size) == Some(*wanted))
    };
    if all(&|size| Some(size)) {
        return Some(text.to_owned());
    }
    let (first, first_size) = (wanted[0], size[0]);
    // The number with which it holds at the sizes shown; then it must at the others.
    if first_size > 0 && first % first_size == 0 {
        let factor = first / first_size;
        if all(&|size| size.checked_mul(factor)) {
            return Some(format!("{text} * {factor}"));
        }
    }
    // A part of it, without a rest.
    if first > 0 && first_size > 0 && first_size % first == 0 {
        let divisor = first_size / first;
        if all(&|size| (size % divisor == 0).then_some(size / divisor)) {
            return Some(format!("{text} // {divisor}"));
        }
    }
    let offset = first - first_size;
    if all(&|size| size.checked_add(offset)) {
        let sign = if offset < 0 { '-' } else { '+' };
        return Some(format!("{text} {sign} {}", offset.abs()));
    }
    if all(&|size| Some(-size)) {
        return Some(format!("-{text}"));
    }
    for divisor in 2..=64 {
        if all(&|size| Some(size.div_euclid(divisor))) {
            return Some(format!("{text} // {divisor}"));
        }
        for factor in 2..divisor.min(17) {
            if all(&|size| Some(size.checked_mul(factor)?.div_euclid(divisor))) {
                return Some(format!("{text} * {factor} // {divisor}"));
            }
        }
        if all(&|size| Some((size + divisor - 1).div_euclid(divisor))) {
            return Some(format!("({text} + {}) // {divisor}", divisor - 1));
        }
        if all(&|size| Some((size + divisor - 1).div_euclid(divisor) * divisor)) {
            return Some(format!("({text} + {}) // {divisor} * {divisor}", divisor - 1));
        }
        if all(&|size| Some((-size).rem_euclid(divisor))) {
            return Some(format!("({divisor} - {text} % {divisor}) % {divisor}"));
        }
        if all(&|size| Some(size.rem_euclid(divisor))) {
            return Some(format!("{text} % {divisor}"));
        }
    }
    None
}

/// An expression of two sizes.
fn of_two(
    wanted: &[i128],
    (left, left_text): (&[i128], &str),
    (right, right_text): (&[i128], &str),
) -> Option<String> {
    let pairs = || left.iter().zip(right).zip(wanted);
    let product = |left: &i128, right: &i128| left.checked_mul(*right);
    let factor = {
        let first = product(&left[0], &right[0])?;
        (first > 0 && wanted[0] % first == 0).then(|| wanted[0] / first)
    };
    if let Some(factor) = factor
        && pairs().all(|((left, right), wanted)| {
            product(left, right).and_then(|both| both.checked_mul(factor)) == Some(*wanted)
        })
    {
        let factor = if factor == 1 { String::new() } else { format!(" * {factor}") };
        return Some(format!("{left_text} * {right_text}{factor}"));
    }
    for (one, other, texts) in
        [(left, right, (left_text, right_text)), (right, left, (right_text, left_text))]
    {
        if one.iter().zip(other).zip(wanted).all(|((one, other), wanted)| one - other == *wanted) {
            return Some(format!("{} - {}", texts.0, texts.1));
        }
    }
    let sum = pairs().all(|((left, right), wanted)| left + right == *wanted);
    sum.then(|| format!("{left_text} + {right_text}"))
}
