//! What `numpy.einsum_path(…, optimize="optimal")` says of an einsum, which fvcore, calflops and DeepSpeed read: as
//! text, with four digits.

use std::collections::BTreeSet;

use layers::{Axes, Overflow, TensorType};

type Term = BTreeSet<usize>;

/// The most tensors whose best order is looked for; more give that of the equation.
const MOST_TENSORS: usize = 6;

/// The FLOPs, one more than the contractions have, rounded to four digits.
///
/// # Errors
/// If the count does not fit in 128 bits.
pub(crate) fn flops(axes: Axes<'_>, inputs: &[TensorType]) -> Result<u128, Overflow> {
    let path = Path::new(&axes, inputs)?;
    let terms: Vec<Term> = axes.terms.iter().map(|term| term.iter().copied().collect()).collect();
    let cost = match terms.len() {
        0..=2 => path.contraction(&terms, &[])?.cost,
        3..=MOST_TENSORS => path.best(terms)?,
        _ => path.in_written_order(terms)?,
    };
    let exact = cost.checked_add(1).ok_or(Overflow)?;
    // "%.3e" of a float, read again.
    let rounded: f64 = format!("{:.3e}", exact as f64).parse().map_err(|_| Overflow)?;
    Ok(rounded as u128)
}

struct Path {
    output: Term,
    sizes: Vec<u128>,
    /// The elements of the largest tensor: no other may be larger on the way.
    limit: u128,
}

struct Contraction {
    result: Term,
    cost: u128,
}

impl Path {
    fn new(axes: &Axes<'_>, inputs: &[TensorType]) -> Result<Path, Overflow> {
        let most = axes.terms.iter().flatten().chain(axes.output).max().map_or(0, |axis| axis + 1);
        let mut sizes = vec![1u128; most];
        for (term, input) in axes.terms.iter().zip(inputs) {
            for (axis, size) in term.iter().zip(input.shape.iter()) {
                sizes[*axis] = sizes[*axis].max((*size).into());
            }
        }
        let output: Term = axes.output.iter().copied().collect();
        let mut path = Path { output, sizes, limit: 0 };
        let terms = axes.terms.iter().map(|term| term.iter().copied().collect::<Term>());
        for term in terms.chain([path.output.clone()]) {
            path.limit = path.limit.max(path.elements(&term)?);
        }
        Ok(path)
    }

    fn elements(&self, term: &Term) -> Result<u128, Overflow> {
        let mut sizes = term.iter().map(|axis| self.sizes[*axis]);
        sizes.try_fold(1u128, |product, size| product.checked_mul(size).ok_or(Overflow))
    }

    /// All axes once for each product and, if some are summed, once more.
    fn contraction(&self, terms: &[Term], others: &[Term]) -> Result<Contraction, Overflow> {
        let all: Term = terms.iter().flatten().copied().collect();
        let needed: Term = others.iter().flatten().chain(&self.output).copied().collect();
        let result: Term = all.intersection(&needed).copied().collect();
        let products = (terms.len() as u128).saturating_sub(1).max(1);
        let each = products + u128::from(result.len() < all.len());
        let cost = self.elements(&all)?.checked_mul(each).ok_or(Overflow)?;
        Ok(Contraction { result, cost })
    }

    /// The least cost over all orders of pairs whose results are not too large; else all at once.
    fn best(&self, terms: Vec<Term>) -> Result<u128, Overflow> {
        let mut open = vec![(0u128, terms)];
        while open.first().is_some_and(|(_, terms)| terms.len() > 1) {
            let mut next = Vec::new();
            for (cost, terms) in &open {
                for first in 0..terms.len() {
                    for second in first + 1..terms.len() {
                        let pair = [terms[first].clone(), terms[second].clone()];
                        let mut others = terms.clone();
                        others.remove(second);
                        others.remove(first);
                        let done = self.contraction(&pair, &others)?;
                        if self.elements(&done.result)? > self.limit {
                            continue;
                        }
                        others.push(done.result);
                        next.push((cost.checked_add(done.cost).ok_or(Overflow)?, others));
                    }
                }
            }
            if next.is_empty() {
                let least = open.into_iter().min_by_key(|(cost, _)| *cost).ok_or(Overflow)?;
                let rest = self.contraction(&least.1, &[])?.cost;
                return least.0.checked_add(rest).ok_or(Overflow);
            }
            open = next;
        }
        open.into_iter().map(|(cost, _)| cost).min().ok_or(Overflow)
    }

    fn in_written_order(&self, terms: Vec<Term>) -> Result<u128, Overflow> {
        let mut sum = 0u128;
        let mut held = terms[0].clone();
        for (index, term) in terms.iter().enumerate().skip(1) {
            let done = self.contraction(&[held, term.clone()], &terms[index + 1..])?;
            sum = sum.checked_add(done.cost).ok_or(Overflow)?;
            held = done.result;
        }
        Ok(sum)
    }
}
