//! [torchstat](https://github.com/Swall0w/torchstat) 0.0.7: `compute_flops.py` and `compute_madd.py`. Of a module
//! that is called again the last call counts.

use layers::Unit;

use crate::{
    convention::{Calls::Modules, Convention, MACS, Parameters, Row, Sum},
    kinds::UPSAMPLES,
    rule::Rule,
    windows::{Convolution, Window},
};

pub(crate) static CONVENTIONS: [Convention; 2] = [
    Convention {
        name: "torchstat",
        summary: "torchstat 0.0.7, column Flops: MACs of modules with the bias of a convolution, 1 for an element of an activation or a pool",
        parameters: Parameters::OfCalledLeaves,
        sum: Sum::LastCalls,
        per_item: true,
        rows: &[&[
            Row(Modules, &["Conv2d"], Rule::Convolution(Convolution::WithBias)),
            Row(Modules, &["BatchNorm2d"], Rule::Normalization { plain: 1, weighted: 2 }),
            Row(Modules, &["AvgPool2d", "MaxPool2d"], Rule::Inputs(1)),
            Row(Modules, &["ReLU", "ReLU6", "PReLU", "ELU", "LeakyReLU"], Rule::Inputs(1)),
            Row(Modules, UPSAMPLES, Rule::OutputsOfOneChannel),
            Row(Modules, &["Linear"], Rule::Linear { sums: 0, bias: false }),
        ]],
        ..MACS
    },
    Convention {
        name: "torchstat-madd",
        summary: "torchstat 0.0.7, column MAdd: FLOPs of one item's modules, products and the sums between them",
        gives: &[Unit::Flops],
        parameters: Parameters::OfCalledLeaves,
        sum: Sum::LastCalls,
        per_item: true,
        rows: &[&[
            Row(
                Modules,
                &["Conv2d", "ConvTranspose2d"],
                Rule::Flops(&Rule::Convolution(Convolution::WithSums)),
            ),
            Row(Modules, &["BatchNorm2d"], Rule::Flops(&Rule::Inputs(4))),
            Row(
                Modules,
                &["MaxPool2d"],
                Rule::Flops(&Rule::Pool { window: Window::All, more: -1 }),
            ),
            Row(Modules, &["AvgPool2d"], Rule::Flops(&Rule::Pool { window: Window::All, more: 0 })),
            Row(Modules, &["ReLU", "ReLU6"], Rule::Flops(&Rule::Inputs(1))),
            Row(Modules, &["Softmax"], Rule::Flops(&Rule::SoftmaxOfAll)),
            Row(Modules, &["Linear"], Rule::Flops(&Rule::Linear { sums: 1, bias: false })),
            Row(Modules, &["Bilinear"], Rule::Flops(&Rule::Bilinear)),
        ]],
        ..MACS
    },
];
