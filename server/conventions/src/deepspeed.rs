//! The [FLOPs profiler of DeepSpeed](https://github.com/deepspeedai/DeepSpeed) 0.19.8: `flops_profiler/profiler.py`. It
//! patches functions, as calflops does, which was made from it.

use layers::{Unit, operators::MATRIX_PRODUCTS};

use crate::{
    calflops,
    convention::{
        Calls::{All, Patched},
        Convention, MACS, Row,
    },
    kinds::{TRANSPOSED, UPSAMPLES},
    rule::Rule,
};

pub(crate) static CONVENTION: Convention = Convention {
    name: "deepspeed",
    summary: "DeepSpeed 0.19.8: FLOPs and MACs of functions; no bias of a Linear, 1 for an element of a pool or an activation",
    gives: &[Unit::Macs, Unit::Flops],
    rows: &[
        calflops::SHARED,
        &[
            Row(Patched, TRANSPOSED, Rule::ProductsAndBias),
            Row(All, MATRIX_PRODUCTS, Rule::MatrixProduct),
            Row(All, &["Einsum"], Rule::Flops(&Rule::EinsumPath)),
            Row(
                Patched,
                &["MultiheadAttention", "ScaledDotProductAttention"],
                Rule::Products { bias: false },
            ),
            Row(Patched, UPSAMPLES, Rule::Flops(&Rule::SizeOrScaled)),
            Row(Patched, &["Interpolate"], Rule::Flops(&Rule::SizeOrScaled)),
        ],
    ],
    ..MACS
};
