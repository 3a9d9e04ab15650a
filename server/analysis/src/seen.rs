//! What another tool sees of a model, and what it passes over without a word.

use std::{collections::BTreeMap, ops::ControlFlow};

use crate::Model;

/// What a tool sees of a model.
#[derive(Debug, Default)]
pub struct Seen {
    /// The parameters of modules that it knows.
    pub params: u128,
    /// What does work by our own rules and is not seen: kinds, and how often each is done.
    pub skipped: BTreeMap<String, u64>,
}

impl Seen {
    /// What the tool sees whose rules count the model.
    pub fn of(model: &Model) -> Seen {
        let mut seen = Seen::default();
        model.rows(|row| {
            if row.step.is_seen() && !row.idle {
                // The sum over all rows fits, so this one does.
                seen.params = seen.params.saturating_add(row.totals.params);
            } else if !row.idle && row.step.own_cost().flops().is_ok_and(|flops| flops > 0) {
                *seen.skipped.entry(row.step.kind().to_owned()).or_default() += 1;
            }
            ControlFlow::Continue(())
        });
        seen
    }
}
