//! Candle's numbers against PyTorch's: models built from Taper files with PyTorch's weights give its
//! outputs, and its activations on the way.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test says what it compares.

#[path = "../files/config.rs"]
mod config;
#[path = "../files/mod.rs"]
mod files;
#[path = "../pytorch/mod.rs"]
mod pytorch;

mod fixtures;
mod integers;
mod operations;
mod sharing;

use std::{collections::HashMap, path::PathBuf};

use analysis::{Analysis, Options, Severity, Workspace};
use candle_core::{DType, Device, Tensor};

/// The largest difference that is allowed, as a share of the largest value.
const TOLERANCE: f32 = 1e-4;

type Tensors = HashMap<String, Tensor>;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/numeric")
}

fn load(path: &str) -> Tensors {
    candle_core::safetensors::load(folder().join(path), &Device::Cpu).expect("tensors")
}

fn analyse(text: &str, set: Vec<(String, String)>) -> Analysis {
    let mut workspace = Workspace::default();
    let file = workspace.insert("model.taper", syntax::parse(text));
    let analysis =
        analysis::analyse(&workspace, file, &Options { set, dtype: None, ..Default::default() });
    let errors = analysis.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    let messages: Vec<String> = errors
        .map(|found| {
            let range = std::ops::Range::<usize>::from(found.place.range);
            format!("{} at `{}`", found.message, &text[range])
        })
        .collect();
    assert_eq!(messages, Vec::<String>::new());
    analysis
}

/// The largest difference of two tensors, as a share of the largest value.
fn difference(ours: &Tensor, theirs: &Tensor) -> f32 {
    if ours.dims() != theirs.dims() {
        return f32::INFINITY;
    }
    let values = |tensor: &Tensor| -> Vec<f32> {
        let flat = tensor.to_dtype(DType::F32).and_then(|tensor| tensor.flatten_all());
        flat.and_then(|tensor| tensor.to_vec1()).expect("values")
    };
    let (ours, theirs) = (values(ours), values(theirs));
    let scale = theirs.iter().fold(0f32, |largest, value| largest.max(value.abs())).max(1e-6);
    let mut largest = 0f32;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let difference = (ours - theirs).abs() / scale;
        largest = if difference.is_nan() { f32::INFINITY } else { largest.max(difference) };
    }
    largest
}
