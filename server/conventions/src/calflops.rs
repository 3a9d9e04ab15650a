//! [calflops](https://github.com/MrYxJ/calculate-flops.pytorch) 0.3.2: `pytorch_ops.py`. It patches functions,
//! and gives FLOPs and MACs.

use layers::Unit;

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

const EACH: Rule = Rule::Flops(&Rule::Inputs(1));
const NORM: Rule = Rule::Flops(&Rule::Normalization { plain: 4, weighted: 5 });
const RNN: Rule = Rule::Flops(&Rule::Recurrent(Recurrent::WeightsTwice));

/// What DeepSpeed, which it was made from, counts the same.
pub(crate) const SHARED: &[Row] = &[
    Row(Patched, CONVOLUTIONS, Rule::Convolution(Convolution::Symmetric)),
    Row(Patched, &["Linear"], Rule::Products { bias: false }),
    Row(All, &["SelectiveScan"], Rule::Products { bias: false }),
    Row(Patched, &["MultiheadAttention"], Rule::Flops(&Rule::Attention(Attention::Softmax))),
    Row(Patched, BATCH_NORMS, Rule::Flops(&Rule::BatchNorm)),
    Row(Patched, &["SyncBatchNorm"], Rule::Flops(&Rule::BatchNorm)),
    Row(Patched, INSTANCE_NORMS, NORM),
    Row(Patched, &["LayerNorm", "GroupNorm"], NORM),
    Row(Patched, &["ReLU", "PReLU", "ELU", "LeakyReLU", "GELU", "SiLU", "Softmax"], EACH),
    Row(Patched, &["Softmax2d"], EACH),
    Row(Functional, &["ReLU6"], EACH),
    Row(Patched, MAX_POOLS, EACH),
    Row(Patched, AVERAGE_POOLS, EACH),
    Row(Patched, ADAPTIVE_AVERAGES, EACH),
    Row(Patched, ADAPTIVE_MAXIMA, EACH),
    Row(Patched, &["LocalResponseNorm"], Rule::Flops(&Rule::LocalResponse)),
    Row(Patched, &["Embedding", "Dropout"], Rule::Zero),
    Row(Modules, RECURRENT, RNN),
    Row(Modules, CELLS, RNN),
];

pub(crate) static CONVENTION: Convention = Convention {
    name: "calflops",
    summary: "calflops 0.3.2: FLOPs and MACs of functions; no bias of a Linear, no fused attention, 1 for an element of a pool or an activation",
    gives: &[Unit::Macs, Unit::Flops],
    rows: &[
        SHARED,
        &[
            Row(Patched, TRANSPOSED, Rule::Convolution(Convolution::DividedTwice)),
            Row(Named, &["MatMul"], Rule::MatrixProduct),
            Row(Named, &["Einsum"], Rule::Flops(&Rule::EinsumPath)),
            Row(
                Patched,
                &["MultiheadAttention"],
                Rule::Attention(Attention::Projections { bias: false }),
            ),
            Row(Patched, UPSAMPLES, Rule::Flops(&Rule::SizeOrInputs)),
            Row(Patched, &["Interpolate"], Rule::Flops(&Rule::SizeOrInputs)),
        ],
    ],
    ..MACS
};
