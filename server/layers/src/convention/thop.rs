//! [thop](https://github.com/ultralytics/thop) (pytorch-OpCounter): `calc_func.py`, `vision/basic_hooks.py`,
//! `rnn_hooks.py`. What it prints as FLOPs or MACs is counted here as MACs.

use super::{Channels, Convention, Division, Rule};
use crate::Unit;

const CONVOLUTIONS: &[&str] =
    &["Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"];
const BATCH_NORMS: &[&str] = &["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"];
const INSTANCE_NORMS: &[&str] = &["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"];
const AVERAGES: &[&str] = &["AvgPool1d", "AvgPool2d", "AvgPool3d"];
const ADAPTIVE_AVERAGES: &[&str] = &["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"];
const UPSAMPLES: &[&str] = &["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"];
const ZEROS: &[&str] = &[
    "ReLU",
    "ReLU6",
    "Dropout",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "ZeroPad2d",
];

pub(super) static CONVENTIONS: [Convention; 2] = [
    Convention {
        name: "thop",
        summary: "thop 0.1.1.post2209072238: MACs of modules; no bias of a convolution, 4 for an element of a norm",
        unit: Unit::Macs,
        rules: &[
            (CONVOLUTIONS, Rule::Convolution { bias: false, channels: Channels::SecondDimension }),
            (BATCH_NORMS, Rule::Normalization(2)),
            (&["LayerNorm"], Rule::Normalization(2)),
            (INSTANCE_NORMS, Rule::Normalization(2)),
            (&["PReLU"], Rule::Inputs(1)),
            (&["LeakyReLU"], Rule::Zero),
            (&["Softmax"], Rule::SoftmaxRows),
            (AVERAGES, Rule::Outputs(1)),
            (ADAPTIVE_AVERAGES, Rule::AdaptiveAverage(Division::Double)),
            (&["Linear"], Rule::Linear),
            (UPSAMPLES, Rule::Upsample { nearest: 1 }),
            (&["RNN", "RNNCell"], Rule::Recurrent { gates: 1 }),
            (&["GRU", "GRUCell"], Rule::Recurrent { gates: 3 }),
            (&["LSTM", "LSTMCell"], Rule::Recurrent { gates: 4 }),
            (ZEROS, Rule::Zero),
            (&["PixelShuffle"], Rule::Zero),
        ],
    },
    Convention {
        name: "thop-2020",
        summary: "thop 0.0.31.post2005241907: MACs of modules; a bias of a convolution counts, 2 for an element of a norm",
        unit: Unit::Macs,
        rules: &[
            (CONVOLUTIONS, Rule::Convolution { bias: true, channels: Channels::Module }),
            (BATCH_NORMS, Rule::Inputs(2)),
            (&["LeakyReLU"], Rule::Inputs(1)),
            (AVERAGES, Rule::Outputs(1)),
            (ADAPTIVE_AVERAGES, Rule::AdaptiveAverage(Division::Floor)),
            (&["Linear"], Rule::Linear),
            (UPSAMPLES, Rule::Upsample { nearest: 0 }),
            (&["RNN", "RNNCell"], Rule::Recurrent { gates: 1 }),
            (&["GRU", "GRUCell"], Rule::Recurrent { gates: 3 }),
            (&["LSTM", "LSTMCell"], Rule::Recurrent { gates: 4 }),
            (ZEROS, Rule::Zero),
        ],
    },
];
