//! [thop](https://github.com/Lyken17/pytorch-OpCounter) (pytorch-OpCounter) and
//! [that of Ultralytics](https://github.com/ultralytics/thop): `calc_func.py`, `vision/basic_hooks.py`, `rnn_hooks.py`. What it prints as FLOPs or MACs is counted here as MACs.

use crate::{
    attention::Attention,
    convention::{
        Calls::{All, Functional, Modules},
        Convention, MACS, Parameters, Row, Sum,
    },
    kinds::{
        ADAPTIVE_AVERAGES, ADAPTIVE_MAXIMA, AVERAGE_POOLS, BATCH_NORMS, CELLS, CONVOLUTIONS,
        DROPOUTS, INSTANCE_NORMS, MAX_POOLS, PADS, RECURRENT, TRANSPOSED, UPSAMPLES,
    },
    recurrent::Recurrent,
    rule::Rule,
    windows::{Convolution, Division, Window},
};

/// Two for an element, and twice that with weights.
const NORM: Rule = Rule::Normalization { plain: 2, weighted: 4 };
const PRODUCTS: Rule = Rule::Products { bias: false };

pub(crate) static CONVENTIONS: [Convention; 4] = [
    Convention {
        name: "thop",
        summary: "thop 0.1.1.post2209072238: MACs of modules; no bias of a convolution, 4 for an element of a norm",
        parameters: Parameters::OfKnownModules,
        rows: &[&[
            Row(Modules, CONVOLUTIONS, Rule::Convolution(Convolution::Products)),
            Row(Modules, TRANSPOSED, Rule::Convolution(Convolution::Products)),
            Row(Modules, BATCH_NORMS, NORM),
            Row(Modules, &["SyncBatchNorm", "LayerNorm"], NORM),
            Row(Modules, INSTANCE_NORMS, NORM),
            Row(Modules, &["PReLU"], Rule::Inputs(1)),
            Row(Modules, &["Softmax"], Rule::SoftmaxRows { more: 0 }),
            Row(Modules, AVERAGE_POOLS, Rule::Outputs(1)),
            Row(Modules, ADAPTIVE_AVERAGES, Rule::AdaptiveAverage(Division::Double)),
            Row(Modules, &["Linear"], Rule::Linear { sums: 0, bias: false }),
            Row(Modules, UPSAMPLES, Rule::Upsample { nearest: 1, trilinear: 0 }),
            Row(Modules, RECURRENT, Rule::Recurrent(Recurrent::Thop)),
            Row(Modules, CELLS, Rule::Recurrent(Recurrent::Thop)),
            Row(Modules, MAX_POOLS, Rule::Zero),
            Row(Modules, ADAPTIVE_MAXIMA, Rule::Zero),
            Row(
                Modules,
                &["ReLU", "ReLU6", "LeakyReLU", "Dropout", "ZeroPad2d", "PixelShuffle"],
                Rule::Zero,
            ),
        ]],
        ..MACS
    },
    Convention {
        name: "thop-2020",
        summary: "thop 0.0.31.post2005241907: MACs of modules; a bias of a convolution counts, 2 for an element of a norm",
        parameters: Parameters::OfKnownModules,
        rows: &[&[
            Row(Modules, CONVOLUTIONS, Rule::Convolution(Convolution::WithBias)),
            Row(Modules, TRANSPOSED, Rule::Convolution(Convolution::WithBias)),
            Row(Modules, BATCH_NORMS, Rule::Inputs(2)),
            Row(Modules, &["SyncBatchNorm"], Rule::Inputs(2)),
            Row(Modules, &["LeakyReLU"], Rule::Inputs(1)),
            Row(Modules, AVERAGE_POOLS, Rule::Outputs(1)),
            Row(Modules, ADAPTIVE_AVERAGES, Rule::AdaptiveAverage(Division::Floor)),
            Row(Modules, &["Linear"], Rule::Linear { sums: 0, bias: false }),
            Row(Modules, UPSAMPLES, Rule::Upsample { nearest: 0, trilinear: 0 }),
            Row(Modules, RECURRENT, Rule::Recurrent(Recurrent::Thop)),
            Row(Modules, CELLS, Rule::Recurrent(Recurrent::Thop)),
            Row(Modules, MAX_POOLS, Rule::Zero),
            Row(Modules, ADAPTIVE_MAXIMA, Rule::Zero),
            Row(Modules, &["ReLU", "ReLU6", "Dropout", "ZeroPad2d"], Rule::Zero),
        ]],
        ..MACS
    },
    Convention {
        name: "thop-2019",
        summary: "thop 0.0.22 to 0.0.23.post1907011323: MACs of the last call of each module, summed in float32; a bias for each input channel, activations and pools count",
        parameters: Parameters::OfLeaves,
        sum: Sum::LastCallsInSinglePrecision,
        rows: &[&[
            Row(Modules, CONVOLUTIONS, Rule::Convolution(Convolution::WithBiasPerChannel)),
            Row(Modules, &["ConvTranspose2d"], Rule::Convolution(Convolution::WithBias)),
            Row(Modules, BATCH_NORMS, Rule::Inputs(4)),
            Row(Modules, &["ReLU", "ReLU6", "LeakyReLU"], Rule::Inputs(1)),
            Row(Modules, MAX_POOLS, Rule::Pool { window: Window::AsGiven, more: 0 }),
            Row(Modules, AVERAGE_POOLS, Rule::Pool { window: Window::AsGiven, more: 1 }),
            Row(Modules, ADAPTIVE_MAXIMA, Rule::AdaptiveMaximum),
            Row(Modules, ADAPTIVE_AVERAGES, Rule::AdaptiveAverage(Division::Floor)),
            Row(Modules, &["Linear"], Rule::Linear { sums: 1, bias: false }),
            Row(Modules, &["Dropout"], Rule::Zero),
        ]],
        ..MACS
    },
    Convention {
        name: "ultralytics-thop",
        summary: "ultralytics-thop 2.2.3: MACs of modules, and of the products of functions; no bias, 4 for an element of a norm, attention",
        rows: &[&[
            Row(Modules, CONVOLUTIONS, PRODUCTS),
            Row(Modules, TRANSPOSED, PRODUCTS),
            Row(Modules, BATCH_NORMS, NORM),
            Row(Modules, INSTANCE_NORMS, NORM),
            Row(Modules, &["SyncBatchNorm", "LayerNorm", "GroupNorm", "RMSNorm"], NORM),
            Row(Modules, &["PReLU"], Rule::Inputs(1)),
            Row(Modules, &["Softmax", "Softmax2d", "Softmin"], Rule::SoftmaxRows { more: 0 }),
            Row(Modules, &["Softmin"], Rule::Inputs(1)),
            Row(Modules, &["LogSoftmax"], Rule::SoftmaxRows { more: 1 }),
            Row(Modules, AVERAGE_POOLS, Rule::AveragePool),
            Row(Modules, ADAPTIVE_AVERAGES, Rule::AdaptiveAverageOfWindows),
            Row(Modules, &["Linear", "Bilinear"], PRODUCTS),
            Row(Modules, UPSAMPLES, Rule::Upsample { nearest: 0, trilinear: 31 }),
            Row(Modules, RECURRENT, Rule::Recurrent(Recurrent::ThopProjected)),
            Row(Modules, CELLS, Rule::Recurrent(Recurrent::ThopProjected)),
            Row(Modules, &["MultiheadAttention"], PRODUCTS),
            Row(Modules, &["MultiheadAttention"], Rule::Attention(Attention::SoftmaxRows)),
            Row(Functional, &["Linear"], PRODUCTS),
            Row(All, &["MatMul", "BatchMatMul"], PRODUCTS),
            Row(All, &["ScaledDotProductAttention", "SelectiveScan"], PRODUCTS),
            Row(All, &["Einsum"], Rule::EinsumOfTwo),
            Row(Modules, MAX_POOLS, Rule::Zero),
            Row(Modules, ADAPTIVE_MAXIMA, Rule::Zero),
            Row(Modules, PADS, Rule::Zero),
            Row(Modules, DROPOUTS, Rule::Zero),
            Row(
                Modules,
                &[
                    "ReLU",
                    "ReLU6",
                    "LeakyReLU",
                    "Identity",
                    "Flatten",
                    "Unflatten",
                    "Unfold",
                    "Embedding",
                ],
                Rule::Zero,
            ),
            Row(Modules, &["PixelShuffle", "PixelUnshuffle", "ChannelShuffle"], Rule::Zero),
        ]],
        ..MACS
    },
];
