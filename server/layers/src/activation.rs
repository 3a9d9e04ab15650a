//! Activations.

use candle_core::{D, Result as CandleResult, Tensor};
use candle_nn::{VarBuilder, ops};

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input, nearest},
    module::one_to_one,
};

const INPLACE: Param = Param::optional("inplace", Kind::Ignored, "false");

/// An entry for a function of each element, which costs 1 FLOP whatever it is: its name in
/// `torch.nn` and `torch.nn.functional`, its arguments, what it computes, the settings that it reads
/// from the arguments, and how Candle computes it with them.
macro_rules! pointwise {
    ($name:literal, $function:literal, $params:expr, $summary:literal, $settings:expr, $apply:expr) => {
        Entry {
            name: $name,
            function: Some($function),
            params: $params,
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: "`[*]` → `[*]`.\n\n1 FLOP per element, whatever the function.",
            source: concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            bind: |arguments, inputs| {
                float_input(arguments.entry().name, inputs)?;
                let read: fn(&Arguments) -> Result<Settings, Refusal> = $settings;
                Ok(Box::new(Pointwise { name: $name, settings: read(arguments)?, apply: $apply }))
            },
        }
    };
}

/// The numbers that a function of each element may have.
type Settings = [f64; 2];

const NONE: Settings = [0.0; 2];

pub(crate) static ENTRIES: &[Entry] = &[
    pointwise!("ReLU", "relu", &[INPLACE], "`max(x, 0)`", |_| Ok(NONE), |x, _| x.relu()),
    pointwise!("ReLU6", "relu6", &[INPLACE], "`min(max(x, 0), 6)`", |_| Ok(NONE), |x, _| x
        .clamp(0.0, 6.0)),
    pointwise!(
        "LeakyReLU",
        "leaky_relu",
        &[Param::optional("negative_slope", Kind::Float, "0.01"), INPLACE],
        "`x` above 0, a small slope below",
        |arguments| Ok([arguments.float("negative_slope")?, 0.0]),
        |x, [slope, _]| ops::leaky_relu(x, slope)
    ),
    pointwise!(
        "ELU",
        "elu",
        &[Param::optional("alpha", Kind::Float, "1.0"), INPLACE],
        "`x` above 0, `alpha * (exp(x) - 1)` below",
        |arguments| Ok([arguments.float("alpha")?, 0.0]),
        |x, [alpha, _]| x.elu(alpha)
    ),
    pointwise!(
        "CELU",
        "celu",
        &[Param::optional("alpha", Kind::Float, "1.0"), INPLACE],
        "`x` above 0, `alpha * (exp(x / alpha) - 1)` below",
        |arguments| Ok([arguments.float("alpha")?, 0.0]),
        |x, [alpha, _]| x.relu()? + (((x.minimum(0.0)? / alpha)?.exp()? - 1.0)? * alpha)?
    ),
    pointwise!(
        "GELU",
        "gelu",
        &[Param::optional("approximate", Kind::Choice(&["none", "tanh"]), "\"none\"")],
        "`x` times the normal distribution's `Φ(x)`",
        |arguments| Ok([if arguments.text("approximate")? == "tanh" { 1.0 } else { 0.0 }, 0.0]),
        |x, [tanh, _]| if tanh == 1.0 { x.gelu() } else { x.gelu_erf() }
    ),
    pointwise!("SiLU", "silu", &[INPLACE], "`x * sigmoid(x)`", |_| Ok(NONE), |x, _| x.silu()),
    pointwise!(
        "Sigmoid",
        "sigmoid",
        &[],
        "`1 / (1 + exp(-x))`",
        |_| Ok(NONE),
        |x, _| ops::sigmoid(x)
    ),
    pointwise!("Tanh", "tanh", &[], "The hyperbolic tangent", |_| Ok(NONE), |x, _| x.tanh()),
    pointwise!("Mish", "mish", &[INPLACE], "`x * tanh(softplus(x))`", |_| Ok(NONE), |x, _| x
        * softplus(x)?.tanh()?),
    pointwise!(
        "Hardswish",
        "hardswish",
        &[INPLACE],
        "`x * ReLU6(x + 3) / 6`",
        |_| Ok(NONE),
        |x, _| x * ((x + 3.0)?.clamp(0.0, 6.0)? / 6.0)?
    ),
    pointwise!(
        "Hardsigmoid",
        "hardsigmoid",
        &[INPLACE],
        "`ReLU6(x + 3) / 6`",
        |_| Ok(NONE),
        |x, _| (x + 3.0)?.clamp(0.0, 6.0)? / 6.0
    ),
    pointwise!(
        "Softplus",
        "softplus",
        &[
            Param::optional("beta", Kind::Float, "1.0"),
            Param::optional("threshold", Kind::Float, "20.0")
        ],
        "`log(1 + exp(beta * x)) / beta`, and `x` where `beta * x` is above the threshold",
        |arguments| Ok([arguments.float("beta")?, arguments.float("threshold")?]),
        |x, [beta, threshold]| {
            let scaled = (x * beta)?;
            scaled.gt(threshold)?.where_cond(x, &(softplus(&scaled)? / beta)?)
        }
    ),
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
            Ok(Box::new(find_named(&arguments.text("name")?)?))
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
#[derive(Debug, Clone)]
struct Pointwise {
    name: &'static str,
    settings: Settings,
    apply: fn(&Tensor, Settings) -> CandleResult<Tensor>,
}

/// The name and the settings say which function it is.
impl PartialEq for Pointwise {
    fn eq(&self, other: &Pointwise) -> bool {
        (self.name, self.settings) == (other.name, other.settings)
    }
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
        let Pointwise { settings, apply, .. } = *self;
        one_to_one(move |input| apply(input, settings))
    }
}

/// The names of transformers' `ACT2FN`.
const NAMES: &[Pointwise] = &[
    named("relu", |x, _| x.relu()),
    named("relu6", |x, _| x.clamp(0.0, 6.0)),
    named("relu2", |x, _| x.relu()?.sqr()),
    named("leaky_relu", |x, _| ops::leaky_relu(x, 0.01)),
    named("gelu", |x, _| x.gelu_erf()),
    named("gelu_python", |x, _| x.gelu_erf()),
    named("gelu_new", |x, _| x.gelu()),
    named("gelu_fast", |x, _| x.gelu()),
    named("gelu_accurate", |x, _| x.gelu()),
    named("gelu_python_tanh", |x, _| x.gelu()),
    named("gelu_pytorch_tanh", |x, _| x.gelu()),
    named("quick_gelu", |x, _| x * ops::sigmoid(&(x * 1.702)?)?),
    named("silu", |x, _| x.silu()),
    named("swish", |x, _| x.silu()),
    named("sigmoid", |x, _| ops::sigmoid(x)),
    named("tanh", |x, _| x.tanh()),
    named("mish", |x, _| x * softplus(x)?.tanh()?),
    named("linear", |x, _| Ok(x.clone())),
];

const fn named(
    name: &'static str,
    apply: fn(&Tensor, Settings) -> CandleResult<Tensor>,
) -> Pointwise {
    Pointwise { name, settings: NONE, apply }
}

fn find_named(name: &str) -> Result<Pointwise, Refusal> {
    if let Some(function) = NAMES.iter().find(|known| known.name == name) {
        return Ok(function.clone());
    }
    let hint = match nearest(name, NAMES.iter().map(|known| known.name)) {
        Some(nearest) => format!("; did you mean \"{nearest}\"?"),
        None => String::new(),
    };
    Err(Refusal::argument("name", format!("no activation is called \"{name}\"{hint}")))
}

/// `log(1 + exp(x))`, written so that no exponential overflows.
fn softplus(x: &Tensor) -> CandleResult<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
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
