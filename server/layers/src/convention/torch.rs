//! [`torch.utils.flop_counter.FlopCounterMode`](https://docs.pytorch.org/docs/stable/index.html), torch 2.9.1:
//! 2 FLOPs for each product of a convolution or of matrices.

use super::{
    CELLS, CONVOLUTIONS,
    Calls::All,
    Convention, Parameters, RECURRENT, Row, Sum, TRANSPOSED,
    rule::{Attention, Rule},
};
use crate::Unit;

const PRODUCTS: Rule = Rule::Products { bias: false };

pub(super) static CONVENTIONS: [Convention; 2] = [
    Convention {
        name: "torch",
        summary: "torch 2.9.1 FlopCounterMode with attention by plain products: FLOPs of convolutions and matrix products",
        gives: &[Unit::Flops],
        parameters: Parameters::All,
        sum: Sum::AllCalls,
        per_item: false,
        block: None,
        rows: &[&[
            Row(All, CONVOLUTIONS, PRODUCTS),
            Row(All, TRANSPOSED, PRODUCTS),
            Row(All, &["Linear", "MatMul", "Einsum", "SelectiveScan"], PRODUCTS),
            Row(All, &["MultiheadAttention", "ScaledDotProductAttention"], PRODUCTS),
            Row(All, RECURRENT, Rule::RecurrentProducts { bias: false }),
            Row(All, CELLS, PRODUCTS),
        ]],
    },
    Convention {
        name: "torch-default",
        summary: "torch 2.9.1 FlopCounterMode as it prints at inference on a CPU: fused attention is not seen",
        gives: &[Unit::Flops],
        parameters: Parameters::All,
        sum: Sum::AllCalls,
        per_item: false,
        block: None,
        rows: &[&[
            Row(All, CONVOLUTIONS, PRODUCTS),
            Row(All, TRANSPOSED, PRODUCTS),
            Row(All, &["Linear", "MatMul", "Einsum", "SelectiveScan"], PRODUCTS),
            Row(All, &["MultiheadAttention"], Rule::Attention(Attention::FastPath)),
            Row(All, RECURRENT, Rule::RecurrentProducts { bias: false }),
            Row(All, CELLS, PRODUCTS),
        ]],
    },
];
