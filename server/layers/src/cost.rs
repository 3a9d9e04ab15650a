//! The work of a layer: a sum of products of sizes, so that a figure can show how it came about.

use crate::{Overflow, Shape};

/// What a term counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Multiplications with an addition each: 2 FLOPs.
    Macs,
    /// Other floating-point operations.
    Flops,
}

impl Unit {
    /// What a number is of, `9.41 K MAC`.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Macs => "MAC",
            Unit::Flops => "FLOP",
        }
    }
}

/// A product of named sizes, such as `N * C_out * H_out * W_out * (C_in / groups) * K_h * K_w`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// What it counts.
    pub unit: Unit,
    /// What the work is, such as `bias`.
    pub name: &'static str,
    /// The factors with the names that they have in the formula.
    pub factors: Vec<(&'static str, u128)>,
}

impl Term {
    /// The product.
    pub fn value(&self) -> Result<u128, Overflow> {
        let mut factors = self.factors.iter();
        factors.try_fold(1u128, |product, (_, size)| product.checked_mul(*size).ok_or(Overflow))
    }
}

/// The work of one use of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// The sum that it is.
    pub terms: Vec<Term>,
    /// Elements of a cache that it keeps, beside its output.
    pub cache: u128,
}

impl Cost {
    /// No work: a view, or a layer that does nothing at inference.
    pub fn free() -> Cost {
        Cost::default()
    }

    /// One more product of MACs.
    pub fn macs_of(mut self, name: &'static str, factors: &[(&'static str, u128)]) -> Cost {
        self.terms.push(Term { unit: Unit::Macs, name, factors: factors.to_vec() });
        self
    }

    /// One more product of other FLOPs.
    pub fn flops_of(mut self, name: &'static str, factors: &[(&'static str, u128)]) -> Cost {
        self.terms.push(Term { unit: Unit::Flops, name, factors: factors.to_vec() });
        self
    }

    /// So many FLOPs for each element of a tensor.
    pub fn per_element(self, name: &'static str, flops: u128, shape: &Shape) -> Cost {
        let mut factors = sizes("size", shape);
        if flops != 1 {
            factors.push(("operations", flops));
        }
        self.flops_of(name, &factors)
    }

    /// The same work, all of it as FLOPs.
    pub fn all_as_flops(mut self) -> Cost {
        for term in &mut self.terms {
            term.unit = Unit::Flops;
        }
        self
    }

    /// The work of one of `parts` equal parts, rounded down.
    pub fn divided(mut self, parts: u128) -> Result<Cost, Overflow> {
        for term in &mut self.terms {
            match term.factors.iter_mut().find(|(_, factor)| *factor % parts == 0) {
                Some((_, factor)) => *factor /= parts,
                None => term.factors = vec![("for one item", term.value()? / parts)],
            }
        }
        Ok(self)
    }

    /// The multiply-accumulates.
    pub fn macs(&self) -> Result<u128, Overflow> {
        self.sum(Unit::Macs)
    }

    /// All floating-point operations: 2 for a MAC.
    pub fn flops(&self) -> Result<u128, Overflow> {
        let twice = self.macs()?.checked_mul(2).ok_or(Overflow)?;
        twice.checked_add(self.sum(Unit::Flops)?).ok_or(Overflow)
    }

    fn sum(&self, unit: Unit) -> Result<u128, Overflow> {
        let mut terms = self.terms.iter().filter(|term| term.unit == unit);
        terms.try_fold(0u128, |sum, term| sum.checked_add(term.value()?).ok_or(Overflow))
    }
}

/// Sizes as factors of one name.
pub fn sizes(name: &'static str, sizes: &[u64]) -> Vec<(&'static str, u128)> {
    sizes.iter().map(|size| (name, u128::from(*size))).collect()
}
