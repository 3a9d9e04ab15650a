//! A figure as a function of the symbols: the polynomial that fits several runs exactly and is
//! confirmed on further ones.
//!
//! There is no symbolic algebra. The model is run on a grid of sizes, three for each symbol, and
//! Newton's forward differences give the one polynomial of degree 2 in each symbol through these
//! points. Where pools and strides round down, the sizes are multiples of the shown one's power
//! of two, on which nothing is rounded.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use layers::{TensorType, Unit, product};
use smol_str::SmolStr;

use analysis::{Elsewhere, Model, NodeRef, Options, Part, What, Workspace};

/// The degree in each symbol: attention is quadratic in its sequence.
const DEGREE: usize = 2;

/// The most symbols that are varied: a grid of 27 runs.
const MAX_SYMBOLS: usize = 3;

/// A polynomial in the symbols of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The symbols, in the order of the powers.
    pub symbols: Vec<SmolStr>,
    /// The terms, the highest powers first.
    pub terms: Vec<GrowthTerm>,
    /// Symbols for which it holds at multiples of a number only.
    pub multiples: Vec<(SmolStr, u64)>,
}

/// `coefficient * N ** p * T ** q`; the coefficient is a fraction in lowest terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrowthTerm {
    /// The numerator.
    pub numerator: i128,
    /// The denominator, at least 1.
    pub denominator: i128,
    /// The power of each symbol.
    pub powers: Vec<usize>,
}

/// The most different steps of a model that is run on a grid: more would take too long to wait for.
const MAX_STEPS: usize = 150;

/// FLOPs of all uses of a node's steps, or of the whole model, as a function of its symbols.
/// `None` where no polynomial fits, or where finding it would take too long.
///
/// ```
/// let text = "model M { input x: f32[B = 1, T = 128, 64]; Linear(64); it @ Transpose(1, 2) }";
/// # let text = "model M { input x: f32[B = 1, T = 128, 64]; y: Transpose(1, 2); x @ y }";
/// let mut workspace = analysis::Workspace::default();
/// let file = workspace.insert("m.taper", syntax::parse(text));
/// let analysis = analysis::analyse(&workspace, file, &Default::default());
/// let growth = reports::flops_growth(&workspace, &analysis.models[0], &Default::default(), None);
/// assert_eq!(growth.unwrap().to_string(), "128·B·T²");
/// ```
pub fn flops_growth(
    workspace: &Workspace,
    model: &Model,
    options: &Options,
    node: Option<NodeRef>,
) -> Option<Growth> {
    // Other tools' figures are no polynomials: they see some calls and round.
    if options.count.is_some() {
        return None;
    }
    if let Some(growth) = node.and_then(|node| growth_of_layer(model, node)) {
        return Some(growth);
    }
    if model.different_steps() > MAX_STEPS {
        return None;
    }
    let measure = |part: &std::sync::Arc<Part>| -> Option<i128> {
        let flops = match node {
            None => part.totals.flops,
            Some(node) => {
                let uses = analysis::uses_in(part, node);
                uses.first()?;
                uses.iter().map(|one| one.times.saturating_mul(one.totals().flops)).sum()
            }
        };
        i128::try_from(flops).ok()
    };
    let shown: Vec<u64> = model.symbols.iter().map(|symbol| symbol.size).collect();
    if shown.is_empty() || shown.len() > MAX_SYMBOLS {
        return None;
    }
    let run = |sizes: &[u64]| -> Option<i128> {
        let elsewhere = Elsewhere { sizes, ..Elsewhere::default() };
        measure(&analysis::instantiate(workspace, model, options, &elsewhere)?)
    };
    // First every size, then multiples of a power of two.
    [false, true].into_iter().find_map(|even| fit(model, &shown, even, &run))
}

/// The growth of a layer that the model uses once, from the runs that were made already: each
/// factor of its cost is the same in all of them or grows with one symbol, `H_out` as `H`.
fn growth_of_layer(model: &Model, node: NodeRef) -> Option<Growth> {
    let [one] = model.uses(node) else { return None };
    let (runs, other_sizes) = (model.samples(&one.step), model.other_sizes());
    if one.times != 1 || runs.is_empty() || runs.len() != other_sizes.len() {
        return None;
    }
    let shown: Vec<u64> = model.symbols.iter().map(|symbol| symbol.size).collect();
    let What::Layer(used) = &one.step.what else { return None };
    let terms = one.step.cost().terms;
    let mut others = Vec::new();
    for (sample, sizes) in runs.iter().zip(other_sizes) {
        if !sample.same_layer {
            return None;
        }
        let types = |types: &[Arc<TensorType>]| -> Vec<TensorType> {
            types.iter().map(|ty| (**ty).clone()).collect()
        };
        let cost = used.layer.cost(&types(sample.inputs()), &types(sample.outputs()));
        others.push((cost.terms, sizes));
    }
    let mut sum: BTreeMap<Reverse<(usize, Vec<usize>)>, i128> = BTreeMap::new();
    for (index, term) in terms.iter().enumerate() {
        let mut powers = vec![0; shown.len()];
        let mut coefficient = Fraction::whole(if term.unit == Unit::Macs { 2 } else { 1 });
        for (place, (_, value)) in term.factors.iter().enumerate() {
            let value = i128::try_from(*value).ok()?;
            let there: Vec<i128> = others
                .iter()
                .map(|(terms, _)| i128::try_from(terms.get(index)?.factors.get(place)?.1).ok())
                .collect::<Option<_>>()?;
            coefficient = coefficient.times(value)?;
            if there.iter().all(|other| *other == value) {
                continue;
            }
            let grows_with = |symbol: &usize| {
                let own = i128::from(shown[*symbol]);
                there.iter().zip(&others).all(|(other, (_, sizes))| {
                    other.checked_mul(own) == value.checked_mul(sizes[*symbol].into())
                })
            };
            let symbol = (0..shown.len()).find(grows_with)?;
            powers[symbol] += 1;
            coefficient = coefficient.over(shown[symbol].into())?;
        }
        if coefficient.bottom != 1 || powers.iter().any(|power| *power > DEGREE) {
            return None;
        }
        let total = sum.entry(Reverse((powers.iter().sum(), powers))).or_default();
        *total = total.checked_add(coefficient.top)?;
    }
    let symbols = model.symbols.iter().map(|symbol| symbol.name.clone()).collect();
    let terms = sum.into_iter().filter(|(_, numerator)| *numerator != 0);
    let terms = terms
        .map(|(Reverse((_, powers)), numerator)| GrowthTerm { numerator, denominator: 1, powers })
        .collect();
    Some(Growth { symbols, terms, multiples: Vec::new() })
}

fn fit(
    model: &Model,
    shown: &[u64],
    even: bool,
    run: &dyn Fn(&[u64]) -> Option<i128>,
) -> Option<Growth> {
    let steps: Vec<i128> =
        (0..shown.len()).map(|symbol| step(shown, symbol, even, run)).collect::<Option<_>>()?;
    let at = |places: &[usize]| -> Option<Vec<u64>> {
        let sizes = shown.iter().zip(&steps).zip(places);
        sizes
            .map(|((size, step), place)| {
                u64::try_from(i128::from(*size) + step * *place as i128).ok()
            })
            .collect()
    };
    let values: Vec<i128> =
        places(shown.len()).map(|places| run(&at(&places)?)).collect::<Option<_>>()?;
    let terms = interpolate(shown, &steps, values)?;
    for further in [DEGREE + 1, DEGREE + 2] {
        let sizes = at(&vec![further; shown.len()])?;
        if evaluate(&terms, &sizes)? != run(&sizes)? {
            return None;
        }
    }
    let symbols: Vec<SmolStr> = model.symbols.iter().map(|symbol| symbol.name.clone()).collect();
    let multiples = symbols.iter().cloned().zip(&steps).filter(|(_, step)| step.abs() > 1);
    let multiples = multiples.map(|(name, step)| (name, step.unsigned_abs() as u64)).collect();
    Some(Growth { symbols, terms, multiples })
}

/// The distance between a symbol's sizes: upwards if the model allows it, else downwards.
fn step(
    shown: &[u64],
    symbol: usize,
    even: bool,
    run: &dyn Fn(&[u64]) -> Option<i128>,
) -> Option<i128> {
    let power = 1i128 << shown[symbol].trailing_zeros().min(6);
    let step = if even { power } else { 1 };
    let allowed = |step: i128| {
        let far = i128::from(shown[symbol]) + step * (DEGREE as i128 + 2);
        let mut sizes = shown.to_vec();
        sizes[symbol] = u64::try_from(far).ok().filter(|size| *size > 0)?;
        run(&sizes).map(|_| step)
    };
    allowed(step).or_else(|| allowed(-step))
}

/// All points of the grid, the last symbol fastest.
fn places(symbols: usize) -> impl Iterator<Item = Vec<usize>> {
    let count = (DEGREE + 1).pow(symbols as u32);
    (0..count).map(move |mut number| {
        let mut places = vec![0; symbols];
        for place in places.iter_mut().rev() {
            *place = number % (DEGREE + 1);
            number /= DEGREE + 1;
        }
        places
    })
}

/// Newton's interpolation along one symbol after the other, with exact fractions.
fn interpolate(shown: &[u64], steps: &[i128], values: Vec<i128>) -> Option<Vec<GrowthTerm>> {
    let mut values: Vec<Fraction> = values.into_iter().map(Fraction::whole).collect();
    for symbol in 0..shown.len() {
        let stride = (DEGREE + 1).pow((shown.len() - 1 - symbol) as u32);
        for start in 0..values.len() {
            if !(start / stride).is_multiple_of(DEGREE + 1) {
                continue;
            }
            let points: Vec<Fraction> =
                (0..=DEGREE).map(|place| values[start + place * stride]).collect();
            let powers = along(shown[symbol].into(), steps[symbol], &points)?;
            for (power, coefficient) in powers.into_iter().enumerate() {
                values[start + power * stride] = coefficient;
            }
        }
    }
    let terms = places(shown.len()).zip(values).filter(|(_, coefficient)| coefficient.top != 0);
    let mut terms: Vec<GrowthTerm> = terms
        .map(|(powers, Fraction { top, bottom })| GrowthTerm {
            numerator: top,
            denominator: bottom,
            powers,
        })
        .collect();
    terms.sort_by_key(|term| {
        std::cmp::Reverse((term.powers.iter().sum::<usize>(), term.powers.clone()))
    });
    Some(terms)
}

/// The coefficients of 1, x, x² of the polynomial through three points with equal distances.
fn along(first: i128, step: i128, points: &[Fraction]) -> Option<[Fraction; 3]> {
    let [zero, one, two] = points else { return None };
    let slope = one.minus(*zero)?.over(step)?;
    let bend = two.minus(one.times(2)?)?.plus(*zero)?.over(2 * step * step)?;
    // zero + slope * (x - first) + bend * (x - first) * (x - first - step)
    let constant = zero.minus(slope.times(first)?)?.plus(bend.times(first * (first + step))?)?;
    let linear = slope.minus(bend.times(2 * first + step)?)?;
    Some([constant, linear, bend])
}

fn evaluate(terms: &[GrowthTerm], sizes: &[u64]) -> Option<i128> {
    let mut sum = Fraction::whole(0);
    for term in terms {
        let factors = term
            .powers
            .iter()
            .zip(sizes)
            .flat_map(|(power, size)| std::iter::repeat_n(*size, *power));
        let factor = i128::try_from(product(factors).ok()?).ok()?;
        let coefficient = Fraction { top: term.numerator, bottom: term.denominator };
        sum = sum.plus(coefficient.times(factor)?)?;
    }
    (sum.bottom == 1).then_some(sum.top)
}

/// An exact fraction in lowest terms. What does not fit in 128 bits is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fraction {
    top: i128,
    /// At least 1.
    bottom: i128,
}

impl Fraction {
    fn whole(top: i128) -> Fraction {
        Fraction { top, bottom: 1 }
    }

    fn reduced(top: i128, bottom: i128) -> Option<Fraction> {
        let (mut a, mut b) = (top.checked_abs()?, bottom.checked_abs()?);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        let sign = if bottom < 0 { -1 } else { 1 };
        (bottom != 0).then(|| Fraction { top: sign * top / a, bottom: sign * bottom / a })
    }

    fn plus(self, other: Fraction) -> Option<Fraction> {
        let left = self.top.checked_mul(other.bottom)?;
        let right = other.top.checked_mul(self.bottom)?;
        Fraction::reduced(left.checked_add(right)?, self.bottom.checked_mul(other.bottom)?)
    }

    fn minus(self, other: Fraction) -> Option<Fraction> {
        self.plus(other.times(-1)?)
    }

    fn times(self, factor: i128) -> Option<Fraction> {
        Fraction::reduced(self.top.checked_mul(factor)?, self.bottom)
    }

    fn over(self, divisor: i128) -> Option<Fraction> {
        Fraction::reduced(self.top, self.bottom.checked_mul(divisor)?)
    }
}

impl std::fmt::Display for Growth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.terms.is_empty() {
            return f.write_str("0");
        }
        for (index, term) in self.terms.iter().enumerate() {
            let sign = match (index, term.numerator < 0) {
                (0, false) => "",
                (0, true) => "-",
                (_, false) => " + ",
                (_, true) => " - ",
            };
            write!(f, "{sign}{}", grouped(term.numerator.unsigned_abs()))?;
            if term.denominator != 1 {
                write!(f, "/{}", grouped(term.denominator.unsigned_abs()))?;
            }
            for (symbol, power) in self.symbols.iter().zip(&term.powers) {
                match power {
                    0 => {}
                    1 => write!(f, "·{symbol}")?,
                    _ => write!(f, "·{symbol}²")?,
                }
            }
        }
        Ok(())
    }
}

/// A whole number with its digits in groups of three: `61,100,840`.
///
/// ```
/// assert_eq!(reports::grouped(61_100_840), "61,100,840");
/// ```
pub fn grouped(value: u128) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_follows_what_is_ignored() {
        let text = "model M { input x: f32[N = 2, 8]; Linear(4, bias=false); ReLU }";
        let mut workspace = Workspace::default();
        let file = workspace.insert("main.taper", syntax::parse(text));
        for (options, expected) in [
            (Options::default(), "68·N"),
            (Options { ignore: vec!["ReLU".into()], ..Options::default() }, "64·N"),
            (Options { only: vec!["ReLU".into()], ..Options::default() }, "4·N"),
        ] {
            let analysis = analysis::analyse(&workspace, file, &options);
            let model = &analysis.models[0];
            let growth = flops_growth(&workspace, model, &options, None).expect("growth");
            assert_eq!(growth.to_string(), expected);
            assert_eq!(
                model.totals().flops,
                if expected == "68·N" {
                    136
                } else if expected == "64·N" {
                    128
                } else {
                    8
                }
            );
        }
    }
}
