//! [ptflops](https://github.com/sovrasov/flops-counter.pytorch) 0.7.5: `pytorch_ops.py`, `pytorch_engine.py`
//! and `aten_ops.py`.

use layers::operators::MATRIX_PRODUCTS;

use crate::{
    attention::Attention,
    convention::{
        Calls::{All, Functional, Modules, Named, Patched},
        Convention, MACS, Row,
    },
    kinds::{
        ADAPTIVE_AVERAGES, ADAPTIVE_MAXIMA, AVERAGE_POOLS, BATCH_NORMS, CELLS, CONVOLUTIONS,
        INSTANCE_NORMS, MAX_POOLS, RECURRENT, TRANSPOSED, UPSAMPLES,
    },
    recurrent::Recurrent,
    rule::Rule,
    windows::Convolution,
};

const NORM: Rule = Rule::Normalization { plain: 1, weighted: 2 };

/// What it hooks.
const MODULES: &[Row] = &[
    Row(Modules, CONVOLUTIONS, Rule::Convolution(Convolution::AsBatched)),
    Row(Modules, TRANSPOSED, Rule::Convolution(Convolution::AsBatched)),
    Row(Modules, &["Linear"], Rule::Linear { sums: 0, bias: true }),
    Row(Modules, BATCH_NORMS, NORM),
    Row(Modules, INSTANCE_NORMS, NORM),
    Row(Modules, &["GroupNorm"], NORM),
    // It looks for `affine`, which a LayerNorm calls otherwise.
    Row(Modules, &["LayerNorm"], Rule::Inputs(1)),
    Row(Modules, &["ReLU", "PReLU", "ELU", "LeakyReLU", "ReLU6", "GELU"], Rule::Outputs(1)),
    Row(Modules, MAX_POOLS, Rule::Inputs(1)),
    Row(Modules, AVERAGE_POOLS, Rule::Inputs(1)),
    Row(Modules, ADAPTIVE_AVERAGES, Rule::Inputs(1)),
    Row(Modules, ADAPTIVE_MAXIMA, Rule::Inputs(1)),
    Row(Modules, &["Upsample"], Rule::OutputsOfOneItem),
    Row(Modules, RECURRENT, Rule::Recurrent(Recurrent::Weights)),
    Row(Modules, CELLS, Rule::Recurrent(Recurrent::Weights)),
    Row(Modules, &["MultiheadAttention"], Rule::Attention(Attention::Ptflops)),
];

/// The functions that it patches; a module calls the one of its name, but for ReLU6.
const FUNCTIONS: &[Row] = &[
    Row(Patched, &["ReLU", "PReLU", "ELU", "GELU", "SiLU", "Softmax"], Rule::Inputs(1)),
    Row(Patched, &["Softmax2d"], Rule::Inputs(1)),
    Row(Functional, &["ReLU6"], Rule::Inputs(1)),
    Row(Patched, MAX_POOLS, Rule::Inputs(1)),
    Row(Patched, AVERAGE_POOLS, Rule::Inputs(1)),
    Row(Patched, ADAPTIVE_AVERAGES, Rule::Inputs(1)),
    Row(Patched, ADAPTIVE_MAXIMA, Rule::Inputs(1)),
    Row(Patched, UPSAMPLES, Rule::Scaled),
    Row(Patched, &["Interpolate"], Rule::Scaled),
    Row(Patched, &["LocalResponseNorm"], Rule::LocalResponse),
    Row(Named, MATRIX_PRODUCTS, Rule::MatrixProduct),
    Row(Patched, &["MultiheadAttention"], Rule::Attention(Attention::Products)),
    Row(Patched, &["MultiheadAttention"], Rule::Attention(Attention::Softmax)),
    Row(All, &["SelectiveScan"], Rule::Products { bias: false }),
];

pub(crate) static CONVENTIONS: [Convention; 3] = [
    Convention {
        name: "ptflops",
        summary: "ptflops 0.7.5, backend pytorch: MACs of modules by the batch, and of functions, so that activations and pools count twice",
        per_item: true,
        rows: &[MODULES, FUNCTIONS],
        ..MACS
    },
    Convention {
        name: "ptflops-modules",
        summary: "ptflops 0.7.5 with count_functional=False, or before 0.7.0: MACs of modules by the batch",
        per_item: true,
        rows: &[MODULES],
        ..MACS
    },
    Convention {
        name: "ptflops-aten",
        summary: "ptflops 0.7.5, backend aten: MACs of convolutions and matrix products with their biases, no attention",
        rows: &[&[
            Row(All, CONVOLUTIONS, Rule::Products { bias: true }),
            Row(All, TRANSPOSED, Rule::Products { bias: true }),
            Row(All, &["Linear"], Rule::Products { bias: true }),
            Row(All, MATRIX_PRODUCTS, Rule::ProductOfMatrices),
            Row(All, &["Einsum", "SelectiveScan"], Rule::Products { bias: false }),
            Row(All, &["ScaledDotProductAttention"], Rule::UnfusedAttention),
            Row(All, RECURRENT, Rule::RecurrentProducts { bias: true }),
            Row(All, CELLS, Rule::RecurrentProducts { bias: true }),
            Row(
                All,
                &["MultiheadAttention"],
                Rule::Attention(Attention::Projections { bias: true }),
            ),
            Row(All, &["MultiheadAttention"], Rule::Attention(Attention::Products)),
        ]],
        ..MACS
    },
];
