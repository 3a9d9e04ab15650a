//! The [FLOPs profiler of DeepSpeed](https://github.com/deepspeedai/DeepSpeed) 0.19.8: `flops_profiler/profiler.py`. It
//! patches functions, as calflops does, which was made from it.

use super::{
    ADAPTIVE_AVERAGES, ADAPTIVE_MAXIMA, AVERAGE_POOLS, BATCH_NORMS, CELLS, CONVOLUTIONS,
    Calls::{All, Functional, Modules, Patched},
    Convention, INSTANCE_NORMS, MACS, MATRIX_PRODUCTS, MAX_POOLS, RECURRENT, Row, TRANSPOSED,
    UPSAMPLES,
    attention::Attention,
    recurrent::Recurrent,
    rule::Rule,
    windows::Convolution,
};
use crate::Unit;

const EACH: Rule = Rule::Flops(&Rule::Inputs(1));
const NORM: Rule = Rule::Flops(&Rule::Normalization { plain: 4, weighted: 5 });
const RNN: Rule = Rule::Flops(&Rule::Recurrent(Recurrent::WeightsTwice));
const PRODUCTS: Rule = Rule::Products { bias: false };

pub(super) static CONVENTION: Convention = Convention {
    name: "deepspeed",
    summary: "DeepSpeed 0.19.8: FLOPs and MACs of functions; no bias of a Linear, 1 for an element of a pool or an activation",
    gives: &[Unit::Macs, Unit::Flops],
    rows: &[&[
        Row(Patched, CONVOLUTIONS, Rule::Convolution(Convolution::Symmetric)),
        Row(Patched, TRANSPOSED, Rule::ProductsAndBias),
        Row(Patched, &["Linear"], PRODUCTS),
        Row(All, &["SelectiveScan"], PRODUCTS),
        Row(All, MATRIX_PRODUCTS, Rule::MatrixProduct),
        Row(All, &["Einsum"], Rule::Flops(&Rule::EinsumPath)),
        Row(Patched, &["MultiheadAttention", "ScaledDotProductAttention"], PRODUCTS),
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
        Row(Patched, UPSAMPLES, Rule::Flops(&Rule::SizeOrScaled)),
        Row(Patched, &["Interpolate"], Rule::Flops(&Rule::SizeOrScaled)),
        Row(Patched, &["LocalResponseNorm"], Rule::Flops(&Rule::LocalResponse)),
        Row(Patched, &["Embedding", "Dropout"], Rule::Zero),
        Row(Modules, RECURRENT, RNN),
        Row(Modules, CELLS, RNN),
    ]],
    ..MACS
};
