//! What tables of other tools are compared with: a model's tensors, and the work of its modules.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use analysis::Model;

/// A tensor as a checkpoint stores it: dtype and shape.
pub type Stored = (String, Vec<u64>);

/// All tensors of a model, by name.
pub fn stored(model: &Model) -> BTreeMap<String, Stored> {
    let mut tensors = BTreeMap::new();
    model.rows(|row| {
        for (name, tensor) in row.tensors() {
            let shape = (tensor.dtype.to_string(), tensor.shape.to_vec());
            assert_eq!(tensors.insert(name.clone(), shape), None, "{name} twice");
        }
        ControlFlow::Continue(())
    });
    tensors
}

/// MACs of every path and of every prefix of it.
pub fn macs_by_module(model: &Model) -> BTreeMap<String, u128> {
    let mut macs = BTreeMap::new();
    model.rows(|row| {
        let path = row.path.split('@').next().unwrap_or_default();
        let mut ends: BTreeSet<usize> = path.match_indices('.').map(|(at, _)| at).collect();
        ends.extend([0, path.len()]);
        for end in ends {
            *macs.entry(path[..end].to_owned()).or_default() += row.totals.macs;
        }
        ControlFlow::Continue(())
    });
    macs
}
