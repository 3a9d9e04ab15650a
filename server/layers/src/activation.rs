//! Activations.

use candle_core::{D, Result as CandleResult, Tensor};
use candle_nn::{VarBuilder, ops};

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input, nearest},
    module::one_to_one,
};

const INPLACE: Param = Param::optional("inplace", Kind::Ignored, "false");

/// An entry for a function of each element, which costs 1 FLOP whatever it is.
macro_rules! pointwise {
    ($name:literal, $function:expr, $params:expr, $summary:literal, $make:expr) => {
        Entry {
            name: $name,
            function: $function,
            params: $params,
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: "`[*]` → `[*]`.\n\n1 FLOP per element, whatever the function.",
            source: concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            bind: |arguments, inputs| {
                float_input(arguments.entry().name, inputs)?;
                let make: fn(&Arguments) -> Result<Pointwise, Refusal> = $make;
                Ok(Box::new(make(arguments)?))
            },
        }
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    pointwise!("ReLU", Some("relu"), &[INPLACE], "`max(x, 0)`", |_| Ok(Pointwise::Relu)),
    pointwise!("ReLU6", Some("relu6"), &[INPLACE], "`min(max(x, 0), 6)`", |_| Ok(
        Pointwise::Hardtanh { min: 0.0, max: 6.0 }
    )),
    pointwise!(
        "LeakyReLU",
        Some("leaky_relu"),
        &[Param::optional("negative_slope", Kind::Float, "0.01"), INPLACE],
        "`x` above 0, a small slope below",
        |arguments| Ok(Pointwise::LeakyRelu { slope: arguments.float("negative_slope")? })
    ),
    pointwise!(
        "ELU",
        Some("elu"),
        &[Param::optional("alpha", Kind::Float, "1.0"), INPLACE],
        "`x` above 0, `alpha * (exp(x) - 1)` below",
        |arguments| Ok(Pointwise::Elu { alpha: arguments.float("alpha")? })
    ),
    pointwise!(
        "GELU",
        Some("gelu"),
        &[Param::optional("approximate", Kind::Choice(&["none", "tanh"]), "\"none\"")],
        "`x` times the normal distribution's `Φ(x)`",
        |arguments| Ok(Pointwise::Gelu { tanh: arguments.text("approximate")? == "tanh" })
    ),
    pointwise!("SiLU", Some("silu"), &[INPLACE], "`x * sigmoid(x)`", |_| Ok(Pointwise::Silu)),
    pointwise!("Sigmoid", Some("sigmoid"), &[], "`1 / (1 + exp(-x))`", |_| Ok(Pointwise::Sigmoid)),
    pointwise!("Tanh", Some("tanh"), &[], "The hyperbolic tangent", |_| Ok(Pointwise::Tanh)),
    pointwise!("Mish", Some("mish"), &[INPLACE], "`x * tanh(softplus(x))`", |_| Ok(
        Pointwise::Mish
    )),
    pointwise!("Hardswish", Some("hardswish"), &[INPLACE], "`x * ReLU6(x + 3) / 6`", |_| Ok(
        Pointwise::Hardswish
    )),
    pointwise!("Hardsigmoid", Some("hardsigmoid"), &[INPLACE], "`ReLU6(x + 3) / 6`", |_| Ok(
        Pointwise::Hardsigmoid
    )),
    pointwise!("Softplus", Some("softplus"), &[], "`log(1 + exp(x))`", |_| Ok(Pointwise::Softplus)),
    Entry {
        name: "Activation",
        function: None,
        params: &[Param::required("name", Kind::Text)],
        inputs: Inputs::Named(&["input"]),
        summary: "The activation of a name that Hugging Face configs use.",
        doc: "`Activation(\"silu\")` is `SiLU`; the names are those of transformers' `ACT2FN`.\n\n\
              1 FLOP per element, whatever the function.",
        source: "https://huggingface.co/docs/transformers/main_classes/configuration",
        bind: |arguments, inputs| {
            float_input("Activation", inputs)?;
            Ok(Box::new(named(&arguments.text("name")?)?))
        },
    },
    Entry {
        name: "Softmax",
        function: Some("softmax"),
        params: &[Param::optional("dim", Kind::Int, "none")],
        inputs: Inputs::Named(&["input"]),
        summary: "Exponentials that add up to 1 along a dimension.",
        doc: "`[*]` → `[*]`.\n\n5 FLOPs per element: maximum, subtraction, exponential, sum, division.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Softmax.html",
        bind: |arguments, inputs| {
            let input = float_input("Softmax", inputs)?;
            // PyTorch's default dimension, kept from its early versions.
            let old = if matches!(input.shape.len(), 0 | 1 | 3) { 0 } else { 1 };
            let dim = arguments.optional_int("dim")?.unwrap_or(old);
            arguments.resolve_dim("dim", dim, input.shape.len().max(1))?;
            Ok(Box::new(Softmax { dim }))
        },
    },
];

/// A function of each element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pointwise {
    Relu,
    LeakyRelu { slope: f64 },
    Elu { alpha: f64 },
    Gelu { tanh: bool },
    QuickGelu,
    Silu,
    Sigmoid,
    Tanh,
    Mish,
    Hardtanh { min: f64, max: f64 },
    Hardswish,
    Hardsigmoid,
    Softplus,
    SquaredRelu,
    Linear,
}

/// The names of transformers' `ACT2FN`.
const NAMES: &[(&str, Pointwise)] = &[
    ("relu", Pointwise::Relu),
    ("relu6", Pointwise::Hardtanh { min: 0.0, max: 6.0 }),
    ("relu2", Pointwise::SquaredRelu),
    ("leaky_relu", Pointwise::LeakyRelu { slope: 0.01 }),
    ("gelu", Pointwise::Gelu { tanh: false }),
    ("gelu_python", Pointwise::Gelu { tanh: false }),
    ("gelu_new", Pointwise::Gelu { tanh: true }),
    ("gelu_fast", Pointwise::Gelu { tanh: true }),
    ("gelu_accurate", Pointwise::Gelu { tanh: true }),
    ("gelu_python_tanh", Pointwise::Gelu { tanh: true }),
    ("gelu_pytorch_tanh", Pointwise::Gelu { tanh: true }),
    ("quick_gelu", Pointwise::QuickGelu),
    ("silu", Pointwise::Silu),
    ("swish", Pointwise::Silu),
    ("sigmoid", Pointwise::Sigmoid),
    ("tanh", Pointwise::Tanh),
    ("mish", Pointwise::Mish),
    ("linear", Pointwise::Linear),
];

fn named(name: &str) -> Result<Pointwise, Refusal> {
    if let Some((_, function)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(function.clone());
    }
    let hint = match nearest(name, NAMES.iter().map(|(known, _)| *known)) {
        Some(nearest) => format!("; did you mean \"{nearest}\"?"),
        None => String::new(),
    };
    Err(Refusal::argument("name", format!("no activation is called \"{name}\"{hint}")))
}

impl Pointwise {
    fn apply(&self, x: &Tensor) -> CandleResult<Tensor> {
        match self {
            Pointwise::Relu => x.relu(),
            Pointwise::LeakyRelu { slope } => ops::leaky_relu(x, *slope),
            Pointwise::Elu { alpha } => x.elu(*alpha),
            Pointwise::Gelu { tanh: false } => x.gelu_erf(),
            Pointwise::Gelu { tanh: true } => x.gelu(),
            Pointwise::QuickGelu => x * ops::sigmoid(&(x * 1.702)?)?,
            Pointwise::Silu => x.silu(),
            Pointwise::Sigmoid => ops::sigmoid(x),
            Pointwise::Tanh => x.tanh(),
            Pointwise::Mish => x * softplus(x)?.tanh()?,
            Pointwise::Hardtanh { min, max } => x.clamp(*min, *max),
            Pointwise::Hardswish => x * ((x + 3.0)?.clamp(0.0, 6.0)? / 6.0)?,
            Pointwise::Hardsigmoid => (x + 3.0)?.clamp(0.0, 6.0)? / 6.0,
            Pointwise::Softplus => softplus(x),
            Pointwise::SquaredRelu => x.relu()?.sqr(),
            Pointwise::Linear => Ok(x.clone()),
        }
    }
}

/// `log(1 + exp(x))`, written so that no exponential overflows.
fn softplus(x: &Tensor) -> CandleResult<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

impl Layer for Pointwise {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let factors: Vec<_> =
            outputs[0].shape.iter().map(|size| ("size", u128::from(*size))).collect();
        Cost::free().flops_of("per element", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let function = self.clone();
        one_to_one(move |input| function.apply(input))
    }
}

#[derive(Debug, PartialEq)]
struct Softmax {
    dim: i64,
}

impl Layer for Softmax {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let mut factors: Vec<_> =
            outputs[0].shape.iter().map(|size| ("size", u128::from(*size))).collect();
        factors.push(("operations", 5));
        Cost::free().flops_of("softmax", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let dim = self.dim;
        one_to_one(move |input| match usize::try_from(dim) {
            Ok(dim) => ops::softmax(input, dim),
            Err(_) if dim == -1 => ops::softmax(input, D::Minus1),
            Err(_) => ops::softmax(input, (input.rank() as i64 + dim) as usize),
        })
    }
}
