//! The [FLOPs profiler of DeepSpeed](https://github.com/deepspeedai/DeepSpeed) 0.19.8: `flops_profiler/profiler.py`. It
//! patches functions, as calflops does, which was made from it.

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
const PRODUCTS: Rule = Rule::Products { bias: false };

pub(super) static CONVENTION: Convention = Convention {
    name: "deepspeed",
    summary: "DeepSpeed 0.19.8: FLOPs and MACs of functions; no bias of a Linear, 1 for an element of a pool or an activation",
    gives: &[Unit::Macs, Unit::Flops],
    rows: &[&[
        Row(All, CONVOLUTIONS, Rule::Convolution(Convolution::Symmetric)),
        Row(All, TRANSPOSED, Rule::ProductsAndBias),
        Row(All, &["Linear", "SelectiveScan"], PRODUCTS),
        Row(All, &["MatMul"], Rule::MatrixProduct),
        Row(All, &["Einsum"], Rule::Flops(&Rule::EinsumPath)),
        Row(All, &["MultiheadAttention", "ScaledDotProductAttention"], PRODUCTS),
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
        Row(All, UPSAMPLES, Rule::Flops(&Rule::SizeOrScaled)),
        Row(All, &["Interpolate"], Rule::Flops(&Rule::SizeOrScaled)),
        Row(All, &["LocalResponseNorm"], Rule::Flops(&Rule::LocalResponse)),
        Row(All, &["Embedding", "Dropout"], Rule::Zero),
        Row(Modules, RECURRENT, RNN),
        Row(Modules, CELLS, RNN),
    ]],
    ..MACS
};
