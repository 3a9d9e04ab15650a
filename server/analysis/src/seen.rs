//! What another tool sees of a model, what it passes over without a word, and how it sums.

use std::{collections::BTreeMap, ops::ControlFlow};

use layers::{Convention, Parameters, Sum};
use rustc_hash::FxHashMap;

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
        model.rows(|row| {
            if !row.idle && !row.step.is_seen() && row.step.own_cost().flops().is_ok_and(is_some) {
                *seen.skipped.entry(row.step.kind().to_owned()).or_default() += 1;
            }
            if sums_parameters(parameters, &row) {
                let tied = if parameters == Parameters::All { 0 } else { tied(&row) };
                of_modules.push(row.totals.params.saturating_add(tied));
            }
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

/// Whether the tool sums the parameters of a row. Those that a block declares are no leaf's.
fn sums_parameters(parameters: Parameters, row: &Row<'_>) -> bool {
    let is_layer = matches!(row.step.what, What::Layer(_));
    match parameters {
        Parameters::OfKnownModules => is_layer && row.step.is_seen() && !row.idle,
        Parameters::OfLeaves => is_layer,
        Parameters::OfCalledLeaves => is_layer && !row.idle,
        Parameters::AllOfModules | Parameters::All => true,
    }
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
