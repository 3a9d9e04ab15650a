//! What differs between two models, layer by layer, matched by path.

use std::ops::ControlFlow;

use analysis::{Model, Totals};
use rustc_hash::FxHashMap;

/// A layer that only one of two models has, or that differs in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// What it is in the first model.
    pub before: Option<Leaf>,
    /// What it is in the second model.
    pub after: Option<Leaf>,
}

/// A leaf of a written-out model.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// Its kind.
    pub kind: String,
    /// The shape of its first output.
    pub output: String,
    /// Its sums.
    pub totals: Totals,
}

/// The leaves that differ, in the order of the second model; what that has no more stands behind what
/// it followed.
pub fn changes(before: &Model, after: &Model) -> Vec<Change> {
    let (before, after) = (leaves(before), leaves(after));
    let places: FxHashMap<&(String, u32), usize> =
        before.iter().enumerate().map(|(place, (key, _))| (key, place)).collect();
    let kept: FxHashMap<&(String, u32), &Leaf> =
        after.iter().map(|(key, leaf)| (key, leaf)).collect();
    let removed = |from: usize| {
        let gone = before[from..].iter().take_while(|(key, _)| !kept.contains_key(key));
        gone.map(|(key, leaf)| Change {
            path: key.0.clone(),
            before: Some(leaf.clone()),
            after: None,
        })
    };
    let mut changes: Vec<Change> = removed(0).collect();
    for (key, leaf) in &after {
        let place = places.get(key).copied();
        let old = place.map(|place| &before[place].1);
        if old != Some(leaf) {
            let (path, after) = (key.0.clone(), Some(leaf.clone()));
            changes.push(Change { path, before: old.cloned(), after });
        }
        if let Some(place) = place {
            changes.extend(removed(place + 1));
        }
    }
    changes
}

/// All leaves by path and call.
fn leaves(model: &Model) -> Vec<((String, u32), Leaf)> {
    let mut leaves = Vec::new();
    model.rows(|row| {
        let output = row.step.outputs.first();
        let leaf = Leaf {
            kind: row.step.kind().to_owned(),
            output: output.map_or(String::new(), |output| output.ty.shape.to_string()),
            totals: row.totals,
        };
        leaves.push(((row.path, row.call), leaf));
        ControlFlow::Continue(())
    });
    leaves
}
