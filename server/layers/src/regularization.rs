//! Layers that do nothing at inference.

use crate::{Entry, Inputs, Kind, Param, linear::Identity};

const DOC: &str = "`[*]` → `[*]`, without work at inference.";

macro_rules! dropout {
    ($name:literal, $function:expr, $params:expr, $summary:literal, $source:literal) => {
        Entry {
            name: $name,
            function: $function,
            params: $params,
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: DOC,
            source: $source,
            bind: |arguments, _| {
                arguments.probability("p")?;
                Ok(Box::new(Identity))
            },
            ..Entry::PLAIN
        }
    };
}

const P: &[Param] =
    &[Param::optional("p", Kind::Float, "0.5"), Param::optional("inplace", Kind::Ignored, "false")];

pub(crate) static ENTRIES: &[Entry] = &[
    dropout!(
        "Dropout",
        Some("dropout"),
        P,
        "Drops elements while training.",
        "https://pytorch.org/docs/stable/generated/torch.nn.Dropout.html"
    ),
    dropout!(
        "Dropout1d",
        Some("dropout1d"),
        P,
        "Drops channels of a sequence while training.",
        "https://pytorch.org/docs/stable/generated/torch.nn.Dropout1d.html"
    ),
    dropout!(
        "Dropout2d",
        Some("dropout2d"),
        P,
        "Drops channels of an image while training.",
        "https://pytorch.org/docs/stable/generated/torch.nn.Dropout2d.html"
    ),
    dropout!(
        "AlphaDropout",
        Some("alpha_dropout"),
        P,
        "Drops elements while training, and keeps mean and variance.",
        "https://pytorch.org/docs/stable/generated/torch.nn.AlphaDropout.html"
    ),
    dropout!(
        "StochasticDepth",
        None,
        &[
            Param::required("p", Kind::Float),
            Param::optional("mode", Kind::Choice(&["batch", "row"]), "\"row\""),
        ],
        "Drops whole branches while training.",
        "https://pytorch.org/vision/stable/generated/torchvision.ops.stochastic_depth.html"
    ),
];
