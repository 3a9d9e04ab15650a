//! [thop](https://github.com/ultralytics/thop) (pytorch-OpCounter): `calc_func.py`, `vision/basic_hooks.py`,
//! `rnn_hooks.py`. What it prints as FLOPs or MACs is counted here as MACs.

use super::{
    ADAPTIVE_AVERAGES, ADAPTIVE_MAXIMA, AVERAGE_POOLS, BATCH_NORMS, CELLS, CONVOLUTIONS,
    Calls::Modules,
    Convention, INSTANCE_NORMS, MACS, MAX_POOLS, Parameters, RECURRENT, Row, Sum, TRANSPOSED,
    UPSAMPLES,
    rule::{Convolution, Division, Recurrent, Rule, Window},
};

/// Two for an element, and twice that with weights.
const NORM: Rule = Rule::Normalization { plain: 2, weighted: 4 };

pub(super) static CONVENTIONS: [Convention; 3] = [
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
            Row(Modules, &["Softmax"], Rule::SoftmaxRows),
            Row(Modules, AVERAGE_POOLS, Rule::Outputs(1)),
            Row(Modules, ADAPTIVE_AVERAGES, Rule::AdaptiveAverage(Division::Double)),
            Row(Modules, &["Linear"], Rule::Linear { sums: 0, bias: false }),
            Row(Modules, UPSAMPLES, Rule::Upsample { nearest: 1 }),
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
            Row(Modules, UPSAMPLES, Rule::Upsample { nearest: 0 }),
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
];
