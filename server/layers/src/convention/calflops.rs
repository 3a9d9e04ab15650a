//! [calflops](https://github.com/MrYxJ/calculate-flops.pytorch) 0.3.2: `pytorch_ops.py`. It patches functions,
//! and gives FLOPs and MACs.

use super::{
    ADAPTIVE_AVERAGES, ADAPTIVE_MAXIMA, AVERAGE_POOLS, BATCH_NORMS, CELLS, CONVOLUTIONS,
    Calls::{All, Functions, Modules},
    Convention, INSTANCE_NORMS, MACS, MAX_POOLS, RECURRENT, Row, TRANSPOSED, UPSAMPLES,
    attention::Attention,
    recurrent::Recurrent,
    rule::Rule,
    windows::Convolution,
};
use crate::Unit;

const EACH: Rule = Rule::Flops(&Rule::Inputs(1));
const NORM: Rule = Rule::Flops(&Rule::Normalization { plain: 4, weighted: 5 });
const RNN: Rule = Rule::Flops(&Rule::Recurrent(Recurrent::WeightsTwice));

pub(super) static CONVENTION: Convention = Convention {
    name: "calflops",
    summary: "calflops 0.3.2: FLOPs and MACs of functions; no bias of a Linear, no fused attention, 1 for an element of a pool or an activation",
    gives: &[Unit::Macs, Unit::Flops],
    rows: &[&[
        Row(All, CONVOLUTIONS, Rule::Convolution(Convolution::Symmetric)),
        Row(All, TRANSPOSED, Rule::Convolution(Convolution::DividedTwice)),
        Row(All, &["Linear", "MatMul", "SelectiveScan"], Rule::Products { bias: false }),
        Row(All, &["Einsum"], Rule::Flops(&Rule::EinsumPath)),
        Row(All, &["MultiheadAttention"], Rule::Attention(Attention::Projections { bias: false })),
        Row(All, &["MultiheadAttention"], Rule::Flops(&Rule::Attention(Attention::Softmax))),
        Row(All, BATCH_NORMS, Rule::Flops(&Rule::BatchNorm)),
        Row(All, &["SyncBatchNorm"], Rule::Flops(&Rule::BatchNorm)),
        Row(All, INSTANCE_NORMS, NORM),
        Row(All, &["LayerNorm", "GroupNorm"], NORM),
        Row(All, &["ReLU", "PReLU", "ELU", "LeakyReLU", "GELU", "SiLU", "Softmax"], EACH),
        Row(All, &["Softmax2d"], EACH),
        Row(Functions, &["ReLU6"], EACH),
        Row(All, MAX_POOLS, EACH),
        Row(All, AVERAGE_POOLS, EACH),
        Row(All, ADAPTIVE_AVERAGES, EACH),
        Row(All, ADAPTIVE_MAXIMA, EACH),
        Row(All, UPSAMPLES, Rule::Flops(&Rule::SizeOrInputs)),
        Row(All, &["Interpolate"], Rule::Flops(&Rule::SizeOrInputs)),
        Row(All, &["LocalResponseNorm"], Rule::Flops(&Rule::LocalResponse)),
        Row(All, &["Embedding", "Dropout"], Rule::Zero),
        Row(Modules, RECURRENT, RNN),
        Row(Modules, CELLS, RNN),
    ]],
    ..MACS
};
