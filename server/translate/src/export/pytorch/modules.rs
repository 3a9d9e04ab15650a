//! What each layer is as a module of PyTorch.

use layers::Arg;

use super::arguments::{Used, constant, literal, python, shape};
use crate::{
    export::{
        sizes::AtSizes,
        unit::{LayerStep, layer_of},
    },
    template::Template,
};

/// How a module is called, and what it gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `x = module(x)`
    Direct,
    /// `x = module(query, key, value, need_weights=False)[0]`, of one source three times the same.
    Attention,
    /// `x, weights = module(query, key, value)`
    AttentionWithWeights,
    /// The same with the weights of each head.
    AttentionWithAllWeights,
    /// `y, state = module(x, state)`
    Recurrent,
    /// `y, (h, c) = module(x, (h, c))`
    Lstm,
    /// `h, c = module(x, (h, c))`
    LstmCell,
}

/// A module as it is made.
pub(crate) struct Module {
    pub constructor: Template,
    pub style: Style,
    /// A helper that it needs.
    pub helper: Option<&'static str>,
}
/// Modules of `torch.nn` that take no size of their input.
pub(super) const SIZELESS: &[&str] = &[
    "EmbeddingBag",
    "Embedding",
    "Identity",
    "LocalResponseNorm",
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "ELU",
    "CELU",
    "GELU",
    "SiLU",
    "Sigmoid",
    "Tanh",
    "Mish",
    "Hardswish",
    "Hardsigmoid",
    "Softplus",
    "SELU",
    "Hardtanh",
    "Softsign",
    "LogSigmoid",
    "Tanhshrink",
    "Hardshrink",
    "Softshrink",
    "Threshold",
    "RReLU",
    "PReLU",
    "GLU",
    "Softmax",
    "LogSoftmax",
    "Softmin",
    "Softmax2d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "Flatten",
    "Unflatten",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "PixelShuffle",
    "PixelUnshuffle",
    "ChannelShuffle",
    "Unfold",
    "Fold",
    "Upsample",
    "UpsamplingNearest2d",
    "UpsamplingBilinear2d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "AlphaDropout",
];

/// What activations of configs are as modules; the others are functions.
pub(super) const NAMED_ACTIVATIONS: &[(&str, &str)] = &[
    ("relu", "nn.ReLU()"),
    ("relu6", "nn.ReLU6()"),
    ("leaky_relu", "nn.LeakyReLU()"),
    ("gelu", "nn.GELU()"),
    ("gelu_python", "nn.GELU()"),
    ("gelu_new", "nn.GELU(approximate=\"tanh\")"),
    ("gelu_fast", "nn.GELU(approximate=\"tanh\")"),
    ("gelu_accurate", "nn.GELU(approximate=\"tanh\")"),
    ("gelu_python_tanh", "nn.GELU(approximate=\"tanh\")"),
    ("gelu_pytorch_tanh", "nn.GELU(approximate=\"tanh\")"),
    ("silu", "nn.SiLU()"),
    ("swish", "nn.SiLU()"),
    ("sigmoid", "nn.Sigmoid()"),
    ("tanh", "nn.Tanh()"),
    ("mish", "nn.Mish()"),
    ("linear", "nn.Identity()"),
];

/// The layer as a module; `None` if it is none in PyTorch, or if its arguments follow the input's sizes.
pub(crate) fn module(step: &LayerStep<'_>) -> Option<Module> {
    let used = Used::of(step)?;
    let follows_input = !used.is_constant() && used.used.parameters.is_empty();
    if used.used.entry.is_none() || follows_input {
        return None;
    }
    let kind = used.used.kind;
    let direct =
        |constructor: Template| Some(Module { constructor, style: Style::Direct, helper: None });
    if kind == "Activation" {
        let Some(Arg::Text(name)) = used.shown("name") else { return None };
        let (_, text) = NAMED_ACTIVATIONS.iter().find(|(known, _)| known == name)?;
        return direct(Template::text(*text));
    }
    if SIZELESS.contains(&kind) {
        return direct(constructor(&used, &format!("nn.{kind}"), &[], &[]));
    }
    let from_end =
        |index: usize| used.input(0).len().checked_sub(index).map(|dim| used.input(0)[dim]);
    let last = || from_end(1);
    let channels = |axes: usize| from_end(axes + 1);
    let of = |name: &'static str, size: Option<u64>| {
        let size = size?.to_string();
        direct(constructor(&used, &format!("nn.{kind}"), &[(name, size)], &[]))
    };
    match kind {
        "Conv1d" | "ConvTranspose1d" => of("in_channels", channels(1)),
        "Conv2d" | "ConvTranspose2d" => of("in_channels", channels(2)),
        "Conv3d" | "ConvTranspose3d" => of("in_channels", channels(3)),
        "Linear" => of("in_features", last()),
        "Bilinear" => {
            let sizes = [0, 1].map(|index| used.input(index).last().copied().unwrap_or(0));
            let leading =
                [("in1_features", sizes[0].to_string()), ("in2_features", sizes[1].to_string())];
            direct(constructor(&used, "nn.Bilinear", &leading, &[]))
        }
        "BatchNorm1d" | "BatchNorm2d" | "BatchNorm3d" | "SyncBatchNorm" => {
            of("num_features", used.input(0).get(1).copied())
        }
        "InstanceNorm1d" => of("num_features", channels(1)),
        "InstanceNorm2d" => of("num_features", channels(2)),
        "InstanceNorm3d" => of("num_features", channels(3)),
        "FrozenBatchNorm2d" => {
            let size = used.input(0).get(1)?.to_string();
            let name = "torchvision.ops.FrozenBatchNorm2d";
            direct(constructor(&used, name, &[("num_features", size)], &[]))
        }
        "GroupNorm" => {
            let mut text = Template::text("nn.GroupNorm(");
            let mut arguments = used.arguments(&[], &mut constant)?;
            let size = used.input(0).get(1)?.to_string();
            arguments.insert(1.min(arguments.len()), Template::hole("num_channels", size));
            text.append(Template::joined(arguments, ", "));
            text.push(")");
            direct(text)
        }
        "LayerNorm" | "RMSNorm" if !has_one_size(&used) => None,
        "LayerNorm" => direct(constructor(&used, "nn.LayerNorm", &[normalized(&used)?], &["dims"])),
        "RMSNorm" if used.shown("offset").is_none_or(is_zero) => {
            direct(constructor(&used, "nn.RMSNorm", &[normalized(&used)?], &["dims", "offset"]))
        }
        "RMSNorm" => Some(Module {
            constructor: constructor(&used, "OffsetRMSNorm", &[normalized(&used)?], &["dims"]),
            style: Style::Direct,
            helper: Some("OffsetRMSNorm"),
        }),
        "StochasticDepth" => {
            let mut text = Template::text("torchvision.ops.StochasticDepth(");
            text.append(literal("p", used.get("p")?, &mut constant)?);
            text.push(", ");
            let mode = used.shown("mode").map_or("\"row\"".to_owned(), python);
            text.push(&format!("{mode})"));
            direct(text)
        }
        "RNN" | "GRU" | "RNNCell" | "GRUCell" | "LSTM" | "LSTMCell" => {
            let size = last()?.to_string();
            let style = match kind {
                "LSTM" => Style::Lstm,
                "LSTMCell" => Style::LstmCell,
                "RNNCell" | "GRUCell" => Style::Direct,
                _ => Style::Recurrent,
            };
            let constructor =
                constructor(&used, &format!("nn.{kind}"), &[("input_size", size)], &[]);
            Some(Module { constructor, style, helper: None })
        }
        "MultiheadAttention" => {
            let mut text = Template::text("nn.MultiheadAttention(");
            // The weights are asked for where it is called.
            let elsewhere = ["kdim", "vdim", "need_weights", "average_attn_weights"];
            let mut arguments = used.arguments(&elsewhere, &mut constant)?;
            arguments.insert(0, Template::hole("embed_dim", last()?.to_string()));
            for (index, name) in [(1, "kdim"), (2, "vdim")] {
                let width = step.shown().inputs.get(index).and_then(|input| input.ty.shape.last());
                if let Some(width) = width.filter(|width| Some(**width) != last()) {
                    let mut argument = Template::text(format!("{name}="));
                    argument.append(Template::hole(name, width.to_string()));
                    arguments.push(argument);
                }
            }
            text.append(Template::joined(arguments, ", "));
            text.push(")");
            let is_averaged = used.shown("average_attn_weights") != Some(&Arg::Bool(false));
            let style = match (used.is_on("need_weights"), is_averaged) {
                (false, _) => Style::Attention,
                (true, true) => Style::AttentionWithWeights,
                (true, false) => Style::AttentionWithAllWeights,
            };
            Some(Module { constructor: text, style, helper: None })
        }
        _ => None,
    }
}

pub(super) fn is_zero(value: &Arg) -> bool {
    matches!(value, Arg::Float(value) if *value == 0.0) || *value == Arg::Int(0)
}

/// `nn.Linear(64, 128, bias=False)`: the sizes of the input come first.
fn constructor(
    used: &Used<'_>,
    name: &str,
    leading: &[(&'static str, String)],
    without: &[&str],
) -> Template {
    let mut text = Template::text(format!("{name}("));
    let mut arguments: Vec<Template> =
        leading.iter().map(|(name, value)| Template::hole(name, value.clone())).collect();
    // Modules with parameters have the same ones at all sizes, so the shown arguments are those of all.
    let mut size_of = |values: &AtSizes<i64>| Some(Template::text(values.shown().to_string()));
    arguments.extend(used.arguments(without, &mut size_of).unwrap_or_default());
    text.append(Template::joined(arguments, ", "));
    text.push(")");
    text
}

/// Whether a layer normalises over the same sizes whatever the input's are.
fn has_one_size(used: &Used<'_>) -> bool {
    let dims = match used.shown("dims") {
        Some(Arg::Int(dims)) => usize::try_from(*dims).unwrap_or(1),
        _ => 1,
    };
    let sizes = used.step.map(|step| {
        let shape = &step.inputs[0].ty.shape;
        shape[shape.len().saturating_sub(dims)..].to_vec()
    });
    sizes.is_constant()
}

/// The sizes over which a layer normalises.
fn normalized(used: &Used<'_>) -> Option<(&'static str, String)> {
    Some(("normalized_shape", normalized_sizes(used)?))
}

pub(super) fn normalized_sizes(used: &Used<'_>) -> Option<String> {
    let dims = match used.shown("dims") {
        Some(Arg::Int(dims)) => usize::try_from(*dims).ok()?,
        _ => 1,
    };
    let sizes = used.input(0);
    let sizes = &sizes[sizes.len().checked_sub(dims)?..];
    Some(if let [one] = sizes { one.to_string() } else { shape(sizes) })
}

/// Whether it is a module; else it is called as a function.
pub(crate) fn is_module(step: &LayerStep<'_>) -> bool {
    module(step).is_some() || layer_of(step.shown()).is_some_and(|used| !used.parameters.is_empty())
}

/// How it is called if it is a module.
pub(crate) fn style(step: &LayerStep<'_>) -> Style {
    module(step).map_or(Style::Direct, |module| module.style)
}
