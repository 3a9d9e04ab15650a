//! All layers, and finding one.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::{
    Called, Entry,
    arguments::nearest,
    operators::{MATRIX_PRODUCTS, Operator, PRODUCTS},
};

static FAMILIES: &[&[Entry]] = &[
    crate::convolution::ENTRIES,
    crate::linear::ENTRIES,
    crate::normalization::ENTRIES,
    crate::activation::ENTRIES,
    crate::pointwise::ENTRIES,
    crate::pooling::ENTRIES,
    crate::recurrent::ENTRIES,
    crate::attention::ENTRIES,
    crate::rearrangement::ENTRIES,
    crate::padding::ENTRIES,
    crate::patches::ENTRIES,
    crate::resampling::ENTRIES,
    crate::indexing::ENTRIES,
    crate::einsum::ENTRIES,
    crate::scan::ENTRIES,
    crate::reduction::ENTRIES,
    crate::regularization::ENTRIES,
];

/// Every layer, family by family.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    static BY_NAME: LazyLock<FxHashMap<&'static str, &'static Entry>> =
        LazyLock::new(|| all().map(|entry| (entry.name, entry)).collect());
    BY_NAME.get(name).copied()
}

/// Whether a layer or an operation of expressions is called so in tables.
pub fn is_kind(name: &str) -> bool {
    let operator = || Operator::ALL.iter().any(|operator| operator.name() == name);
    find(name).is_some() || operator() || MATRIX_PRODUCTS.contains(&name)
}

/// The kind nearest to a name that is none, if one is near.
pub fn nearest_kind(name: &str) -> Option<&'static str> {
    let operators = Operator::ALL.iter().map(|operator| operator.name());
    let all = all().map(|entry| entry.name).chain(operators);
    nearest(name, all.chain(MATRIX_PRODUCTS.iter().copied()))
}

/// The functions of `torch.nn.functional` that are functions of `torch` too, with the same arguments
/// (<https://pytorch.org/docs/stable/torch.html>).
const IN_TORCH: &[&str] = &[
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "bilinear",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "relu",
    "celu",
    "sigmoid",
    "tanh",
    "selu",
    "hardshrink",
    "threshold",
    "prelu",
    "softmax",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "avg_pool1d",
    "adaptive_avg_pool1d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
];

/// What is called so: a layer as a function, or a product of matrices.
pub fn find_called(called: Called, name: &str) -> Option<&'static Entry> {
    match called {
        Called::Module => find(name),
        Called::Functional => find_function(name),
        Called::Torch if IN_TORCH.contains(&name) => find_function(name),
        Called::Torch => PRODUCTS.iter().find(|entry| entry.function == Some(name)),
        Called::Operator => None,
    }
}

/// The names of all functions that are called so.
pub fn functions(called: Called) -> impl Iterator<Item = &'static str> {
    let all = all().chain(&PRODUCTS).filter_map(|entry| entry.function);
    all.filter(move |name| called != Called::Module && find_called(called, name).is_some())
}

/// The layer that is called so in `torch.nn.functional`.
pub fn find_function(name: &str) -> Option<&'static Entry> {
    static BY_FUNCTION: LazyLock<FxHashMap<&'static str, &'static Entry>> = LazyLock::new(|| {
        all().filter_map(|entry| entry.function.map(|function| (function, entry))).collect()
    });
    BY_FUNCTION.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_torch_are_known() {
        let known: Vec<&str> = functions(Called::Torch).collect();
        assert!(IN_TORCH.iter().all(|name| known.contains(name)));
        assert!(known.contains(&"matmul"));
    }

    #[test]
    fn names_are_unique_and_documented() {
        let mut names = std::collections::HashSet::new();
        let mut functions = std::collections::HashSet::new();
        for entry in all() {
            assert!(names.insert(entry.name), "{} twice", entry.name);
            assert!(entry.function.is_none_or(|name| functions.insert(name)), "{}", entry.name);
            assert!(!entry.summary.is_empty() && !entry.doc.is_empty(), "{}", entry.name);
            assert!(entry.source.starts_with("https://"), "{}", entry.name);
        }
    }

    #[test]
    fn defaults_can_be_read() {
        for entry in all() {
            for param in entry.params {
                if let Some(default) = param.default {
                    assert!(crate::Arg::parse(default).is_some(), "{}.{}", entry.name, param.name);
                }
            }
        }
    }
}
