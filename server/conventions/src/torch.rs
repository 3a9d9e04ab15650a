//! [`torch.utils.flop_counter.FlopCounterMode`](https://docs.pytorch.org/docs/stable/index.html), torch 2.9.1 and 2.15.0:
//! 2 FLOPs for each product of a convolution or of matrices.

use layers::{Unit, operators::MATRIX_PRODUCTS};

use crate::{
    attention::Attention,
    convention::{Calls::All, Convention, MACS, Row},
    kinds::{CELLS, CONVOLUTIONS, RECURRENT, TRANSPOSED},
    rule::Rule,
};

const PRODUCTS: Rule = Rule::Products { bias: false };

/// What no attention is part of.
const OTHERS: &[Row] = &[
    Row(All, CONVOLUTIONS, PRODUCTS),
    Row(All, TRANSPOSED, PRODUCTS),
    Row(All, MATRIX_PRODUCTS, Rule::ProductOfMatrices),
    Row(All, &["Linear", "Einsum", "SelectiveScan"], PRODUCTS),
    Row(All, RECURRENT, Rule::RecurrentProducts { bias: false }),
    Row(All, CELLS, PRODUCTS),
];

pub(crate) static CONVENTIONS: [Convention; 3] = [
    Convention {
        name: "torch",
        summary: "torch 2.9.1 FlopCounterMode with attention by plain products: FLOPs of convolutions and matrix products",
        gives: &[Unit::Flops],
        rows: &[
            OTHERS,
            &[Row(All, &["MultiheadAttention", "ScaledDotProductAttention"], PRODUCTS)],
        ],
        ..MACS
    },
    Convention {
        name: "torch-default",
        summary: "torch 2.9.1 FlopCounterMode as it prints at inference on a CPU: fused attention is not seen",
        gives: &[Unit::Flops],
        rows: &[
            OTHERS,
            &[
                Row(
                    All,
                    &["MultiheadAttention"],
                    Rule::Attention(Attention::FastPath { fused: false }),
                ),
                Row(All, &["ScaledDotProductAttention"], Rule::UnfusedAttention),
            ],
        ],
        ..MACS
    },
    Convention {
        name: "torch-2.15",
        summary: "torch 2.15.0 FlopCounterMode as it prints at inference on a CPU: fused attention is seen, but no fast path",
        gives: &[Unit::Flops],
        rows: &[
            OTHERS,
            &[
                Row(
                    All,
                    &["MultiheadAttention"],
                    Rule::Attention(Attention::FastPath { fused: true }),
                ),
                Row(All, &["ScaledDotProductAttention"], PRODUCTS),
            ],
        ],
        ..MACS
    },
];
