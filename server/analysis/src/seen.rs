//! What another tool sees of a model, what it passes over without a word, and how it sums.

use std::{collections::BTreeMap, ops::ControlFlow};

use conventions::{Convention, Parameters, Sum};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::{Model, Row, Totals, What};

/// What a tool sees of a model.
#[derive(Debug, Default)]
pub struct Seen {
    /// The parameters that it sums, as it sums them.
    pub params: u128,
    /// What does work by our own rules and is not seen: kinds, and how often each is done.
    pub skipped: BTreeMap<String, u64>,
}

impl Seen {
    /// What the tool sees whose rules count the model.
    pub fn of(model: &Model) -> Seen {
        let convention = model.counted.map(|counted| counted.convention);
        let parameters = convention.map_or(Parameters::All, |convention| convention.parameters);
        let mut seen = Seen::default();
        let mut of_modules = Vec::new();
        let containers = match parameters {
            Parameters::OfLeaves | Parameters::OfCalledLeaves => containers(model),
            _ => FxHashSet::default(),
        };
        model.rows(|row| {
            if !row.idle && !row.step.is_seen() && row.step.own_cost().flops().is_ok_and(is_some) {
                *seen.skipped.entry(row.step.kind().to_owned()).or_default() += 1;
            }
            let own = match parameters {
                Parameters::All => row.totals.params,
                Parameters::AllOfModules => row.totals.params.saturating_add(tied(&row)),
                Parameters::OfKnownModules => of_known_module(&row),
                Parameters::OfLeaves | Parameters::OfCalledLeaves => {
                    of_leaves(&row, &containers, parameters == Parameters::OfCalledLeaves)
                }
            };
            of_modules.push(own);
            ControlFlow::Continue(())
        });
        seen.params = match convention.map(|convention| convention.sum) {
            Some(Sum::LastCallsInSinglePrecision) => in_float32(of_modules),
            // The sum over all rows fits, so this one does.
            _ => of_modules.into_iter().fold(0, u128::saturating_add),
        };
        seen
    }

    /// What is skipped, in words: `MultiheadAttention ×12`.
    pub fn skipped(&self) -> Option<String> {
        let each = self.skipped.iter().map(|(kind, times)| format!("{kind} ×{times}"));
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| each.join(", "))
    }
}

fn is_some(flops: u128) -> bool {
    flops > 0
}

/// The elements of a module's parameters that are another's: one that asks each module counts them at each.
fn tied(row: &Row<'_>) -> u128 {
    let What::Layer(used) = &row.step.what else { return 0 };
    if row.reused || !used.is_module() || used.given.is_empty() {
        return 0;
    }
    let dtype = row.step.outputs.first().map_or(layers::DType::F32, |output| output.ty.dtype);
    let all = layers::parameters(&*used.layer, dtype).unwrap_or_default();
    let is_given = |name: &str| used.given.iter().any(|(given, _)| given == name);
    let given = all.iter().filter(|tensor| is_given(&tensor.name));
    given.filter_map(|tensor| tensor.shape.numel().ok()).fold(0, u128::saturating_add)
}

/// Those of a layer that the tool knows and sees called.
fn of_known_module(row: &Row<'_>) -> u128 {
    let is_known = matches!(row.step.what, What::Layer(_)) && row.step.is_seen() && !row.idle;
    if is_known { row.totals.params.saturating_add(tied(row)) } else { 0 }
}

/// Those of modules that have none inside. What a layer or a block names with a dot, `out_proj.weight`, is that
/// of a module inside it, which is not called.
fn of_leaves(row: &Row<'_>, containers: &FxHashSet<String>, only_called: bool) -> u128 {
    let is_counted = |owner: &str| {
        !containers.contains(owner) && (!only_called || owner == row.path && !row.idle)
    };
    let tensors = row.tensors();
    let own = tensors.iter().filter(|(path, tensor)| !tensor.is_buffer && is_counted(owner(path)));
    let own = own.filter_map(|(_, tensor)| tensor.shape.numel().ok()).fold(0, u128::saturating_add);
    if is_counted(&row.path) { own.saturating_add(tied(row)) } else { own }
}

/// The path of the module that a parameter belongs to.
fn owner(parameter: &str) -> &str {
    parameter.rsplit_once('.').map_or("", |(owner, _)| owner)
}

/// The paths of modules that have others inside.
fn containers(model: &Model) -> FxHashSet<String> {
    let mut found = FxHashSet::default();
    model.rows(|row| {
        let tensors = row.tensors();
        let owners = tensors.iter().map(|(path, _)| owner(path));
        // What it does not know and owns nothing is likely a function there, as `Permute` is.
        let is_known = row.step.is_seen() || row.step.totals.params > 0;
        let is_module = matches!(&row.step.what, What::Layer(used) if used.is_module()) && is_known;
        for mut inner in
            owners.chain(is_module.then_some(&*row.path)).filter(|path| !path.is_empty())
        {
            while !inner.is_empty() && found.insert(owner(inner).to_owned()) {
                inner = owner(inner);
            }
        }
        ControlFlow::Continue(())
    });
    found
}

/// The model's totals as the tool sums them whose rules count it.
pub(crate) fn totals(model: &Model, convention: &Convention) -> Totals {
    let totals = *model.totals();
    if convention.sum == Sum::AllCalls {
        return totals;
    }
    let mut places = FxHashMap::default();
    let mut calls: Vec<(u128, u128)> = Vec::new();
    model.rows(|row| {
        let call = (row.totals.macs, row.totals.flops);
        match places.get(&row.path) {
            Some(place) => calls[*place] = call,
            None => {
                places.insert(row.path, calls.len());
                calls.push(call);
            }
        }
        ControlFlow::Continue(())
    });
    let macs = calls.iter().map(|(macs, _)| *macs);
    let flops = calls.iter().map(|(_, flops)| *flops);
    match convention.sum {
        Sum::LastCallsInSinglePrecision => {
            let macs = in_float32(macs);
            Totals { macs, flops: macs.saturating_mul(2), ..totals }
        }
        // They are fewer than all calls, whose sum fits.
        _ => Totals { macs: macs.sum(), flops: flops.sum(), ..totals },
    }
}

/// The sum in the tool's own arithmetic: each number and each sum is rounded.
fn in_float32(numbers: impl IntoIterator<Item = u128>) -> u128 {
    numbers.into_iter().fold(0.0f32, |sum, number| sum + number as f32) as u128
}
