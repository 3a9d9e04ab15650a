//! [fvcore](https://github.com/facebookresearch/fvcore) 0.1.5.post20221221: `nn/jit_handles.py`. It traces
//! operators, and what it prints as FLOPs is counted here as MACs.

use layers::operators::MATRIX_PRODUCTS;

use crate::{
    attention::Attention,
    convention::{Calls::All, Convention, MACS, Row},
    kinds::{BATCH_NORMS, CELLS, CONVOLUTIONS, INSTANCE_NORMS, TRANSPOSED, UPSAMPLES},
    rule::Rule,
};

const NORM: Rule = Rule::Normalization { plain: 4, weighted: 5 };

pub(crate) static CONVENTION: Convention = Convention {
    name: "fvcore",
    summary: "fvcore 0.1.5.post20221221: MACs of convolutions, matrix products and norms, without biases; no attention, pools or activations",
    rows: &[&[
        Row(All, CONVOLUTIONS, Rule::ProductsOfNumberedPadding),
        Row(All, TRANSPOSED, Rule::Products { bias: false }),
        Row(All, &["Linear", "SelectiveScan"], Rule::Products { bias: false }),
        Row(All, MATRIX_PRODUCTS, Rule::MatrixProduct),
        Row(All, &["Einsum"], Rule::HalfOfEinsumPath),
        Row(All, CELLS, Rule::Products { bias: false }),
        Row(All, &["MultiheadAttention"], Rule::Attention(Attention::Projections { bias: false })),
        Row(All, &["MultiheadAttention"], Rule::Attention(Attention::Products)),
        Row(All, BATCH_NORMS, Rule::BatchNorm),
        Row(All, &["SyncBatchNorm"], Rule::BatchNorm),
        Row(All, INSTANCE_NORMS, NORM),
        Row(All, &["LayerNorm", "GroupNorm"], NORM),
        Row(All, &["AdaptiveAvgPool2d"], Rule::Inputs(1)),
        Row(All, UPSAMPLES, Rule::UpsampledImage { nearest: 1, bilinear: 4 }),
        Row(All, &["Interpolate"], Rule::UpsampledImage { nearest: 1, bilinear: 4 }),
        Row(All, &["GridSample"], Rule::Outputs(4)),
    ]],
    ..MACS
};
