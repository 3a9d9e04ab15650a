//! Activations.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::{VarBuilder, ops};
use kernels::clamp::{clamp, hard_sigmoid, hard_swish};

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input, nearest},
    module::one_to_one,
    pointwise::{NONE, Pointwise, Settings, Whole, pointwise},
};

const INPLACE: Param = Param::optional("inplace", Kind::Ignored, "false");

const SOFTMAX: &[Param] = &[Param::optional("dim", Kind::Int, "none")];

const SOFTMAX_DOC: &str = "`[*]` → `[*]`.\n\n\
    5 FLOPs per element: maximum, subtraction, exponential, sum, and a division or logarithm.";

pub(crate) static ENTRIES: &[Entry] = &[
    pointwise!("ReLU", "relu", &[INPLACE], "`max(x, 0)`", |_| Ok(NONE), |x, _| x.relu(), |_| {
        Whole::Kept
    }),
    pointwise!(
        "ReLU6",
        "relu6",
        &[INPLACE],
        "`min(max(x, 0), 6)`",
        |_| Ok(NONE),
        |x, _| clamp(x, 0.0, 6.0),
        |_| Whole::Kept
    ),
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
        |x, [alpha, _]| x.relu()?
            + (((clamp(x, f64::NEG_INFINITY, 0.0)? / alpha)?.exp()? - 1.0)? * alpha)?
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
        |x, _| ops::sigmoid(x),
        |_| Whole::ToFloats
    ),
    pointwise!(
        "Tanh",
        "tanh",
        &[],
        "The hyperbolic tangent",
        |_| Ok(NONE),
        |x, _| x.tanh(),
        |_| Whole::ToFloats
    ),
    pointwise!("Mish", "mish", &[INPLACE], "`x * tanh(softplus(x))`", |_| Ok(NONE), |x, _| x
        * softplus(x)?.tanh()?),
    pointwise!(
        "Hardswish",
        "hardswish",
        &[INPLACE],
        "`x * ReLU6(x + 3) / 6`",
        |_| Ok(NONE),
        |x, _| hard_swish(x)
    ),
    pointwise!(
        "Hardsigmoid",
        "hardsigmoid",
        &[INPLACE],
        "`ReLU6(x + 3) / 6`",
        |_| Ok(NONE),
        |x, _| hard_sigmoid(x)
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
    pointwise!(
        "SELU",
        "selu",
        &[INPLACE],
        "A scaled `ELU` that keeps mean and variance",
        |_| Ok(NONE),
        |x, _| x.elu(1.673_263_242_354_377_2)? * 1.050_700_987_355_480_5
    ),
    pointwise!(
        "Hardtanh",
        "hardtanh",
        &[
            Param::optional("min_val", Kind::Float, "-1.0"),
            Param::optional("max_val", Kind::Float, "1.0"),
            INPLACE
        ],
        "`x`, but at least `min_val` and at most `max_val`",
        |arguments| {
            let (min, max) = (arguments.float("min_val")?, arguments.float("max_val")?);
            if min >= max {
                let message = format!("`max_val` is above `min_val`, not {max} against {min}");
                return Err(Refusal::argument("max_val", message));
            }
            Ok([min, max])
        },
        |x, [min, max]| clamp(x, min, max)
    ),
    pointwise!(
        "Softsign",
        "softsign",
        &[],
        "`x / (1 + |x|)`",
        |_| Ok(NONE),
        |x, _| x / (x.abs()? + 1.0)?,
        |_| Whole::ToFloats
    ),
    pointwise!("LogSigmoid", "logsigmoid", &[], "`log(sigmoid(x))`", |_| Ok(NONE), |x, _| {
        softplus(&x.neg()?)?.neg()
    }),
    pointwise!(
        "Tanhshrink",
        "tanhshrink",
        &[],
        "`x - tanh(x)`",
        |_| Ok(NONE),
        |x, _| x - x.tanh()?,
        |_| Whole::ToFloats
    ),
    pointwise!(
        "Hardshrink",
        "hardshrink",
        &[Param::optional("lambd", Kind::Float, "0.5")],
        "`x`, and 0 where `|x|` is at most `lambd`",
        |arguments| Ok([arguments.float("lambd")?, 0.0]),
        |x, [lambd, _]| x.abs()?.gt(lambd)?.where_cond(x, &x.zeros_like()?)
    ),
    pointwise!(
        "Softshrink",
        "softshrink",
        &[Param::optional("lambd", Kind::Float, "0.5")],
        "`x` moved by `lambd` towards 0",
        |arguments| Ok([arguments.float("lambd")?, 0.0]),
        |x, [lambd, _]| x - clamp(x, -lambd, lambd)?
    ),
    pointwise!(
        "Threshold",
        "threshold",
        &[
            Param::required("threshold", Kind::Float),
            Param::required("value", Kind::Float),
            INPLACE
        ],
        "`x` above the threshold, `value` elsewhere",
        |arguments| Ok([arguments.float("threshold")?, arguments.float("value")?]),
        |x, [threshold, value]| {
            let value = (x.zeros_like()? + value)?;
            x.gt(threshold)?.where_cond(x, &value)
        }
    ),
    pointwise!(
        "RReLU",
        "rrelu",
        &[
            Param::optional("lower", Kind::Float, "0.125"),
            Param::optional("upper", Kind::Float, "0.3333333333333333"),
            INPLACE
        ],
        "`LeakyReLU` with a random slope while training, with its mean at inference",
        |arguments| Ok([arguments.float("lower")?, arguments.float("upper")?]),
        |x, [lower, upper]| ops::leaky_relu(x, (lower + upper) / 2.0)
    ),
    Entry {
        name: "PReLU",
        function: Some("prelu"),
        params: &[
            Param::optional("num_parameters", Kind::Int, "1"),
            Param::optional("init", Kind::Float, "0.25"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "`x` above 0, a learnt slope below",
        doc: "`[N, C, *]` → `[N, C, *]`, with one slope for all channels or one for each.\n\n\
              1 FLOP per element, whatever the function.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.PReLU.html",
        bind: PRelu::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "GLU",
        function: Some("glu"),
        params: &[Param::optional("dim", Kind::Int, "-1")],
        inputs: Inputs::Named(&["input"]),
        summary: "One half times the sigmoid of the other.",
        doc: "`[*, 2 * D, *]` → `[*, D, *]` along `dim`.\n\n2 FLOPs per output element: a sigmoid and a product.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.GLU.html",
        bind: Glu::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "Activation",
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
        ..Entry::PLAIN
    },
    Entry {
        name: "Softmax",
        function: Some("softmax"),
        params: SOFTMAX,
        inputs: Inputs::Named(&["input"]),
        summary: "Exponentials that add up to 1 along a dimension.",
        doc: SOFTMAX_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Softmax.html",
        bind: |arguments, inputs| Softmax::bind(arguments, inputs, false),
        ..Entry::PLAIN
    },
    Entry {
        name: "LogSoftmax",
        function: Some("log_softmax"),
        params: SOFTMAX,
        inputs: Inputs::Named(&["input"]),
        summary: "The logarithm of `Softmax`.",
        doc: SOFTMAX_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.LogSoftmax.html",
        bind: |arguments, inputs| Softmax::bind(arguments, inputs, true),
        ..Entry::PLAIN
    },
    Entry {
        name: "Softmin",
        function: Some("softmin"),
        params: SOFTMAX,
        inputs: Inputs::Named(&["input"]),
        summary: "`Softmax` of the negated input.",
        doc: SOFTMAX_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Softmin.html",
        bind: |arguments, inputs| {
            let dim = Softmax::dim(arguments, inputs)?;
            Ok(Box::new(Softmax { dim, sign: -1.0, logarithm: false }))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "Softmax2d",
        params: &[],
        inputs: Inputs::Named(&["input"]),
        summary: "`Softmax` over the channels of an image.",
        doc: "`[N, C, H, W]` → `[N, C, H, W]`.\n\n5 FLOPs per element, as `Softmax`.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Softmax2d.html",
        bind: |_, inputs| {
            let input = float_input("Softmax2d", inputs)?;
            if !matches!(input.shape.len(), 3 | 4) {
                let message = format!("`Softmax2d` takes [N, C, H, W], not {}", input.shape);
                return Err(Refusal::shape(0, message));
            }
            Ok(Box::new(Softmax { dim: -3, sign: 1.0, logarithm: false }))
        },
        ..Entry::PLAIN
    },
];

/// The names of transformers' `ACT2FN`.
const NAMES: &[Pointwise] = &[
    named("relu", |x, _| x.relu()),
    named("relu6", |x, _| clamp(x, 0.0, 6.0)),
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
    Pointwise { name, settings: NONE, apply, whole: Whole::Refused }
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
pub(crate) fn softplus(x: &Tensor) -> CandleResult<Tensor> {
    x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?
}

#[derive(Debug, PartialEq)]
struct PRelu {
    num_parameters: u64,
}

impl PRelu {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("PReLU", inputs)?;
        let num_parameters = arguments.size("num_parameters", 1)?;
        let channels = if input.shape.len() < 2 { 1 } else { input.shape[1] };
        if num_parameters != 1 && num_parameters != channels {
            let message =
                format!("`num_parameters={num_parameters}`: the input has {channels} channels");
            return Err(Refusal::argument("num_parameters", message));
        }
        Ok(Box::new(PRelu { num_parameters }))
    }
}

impl Layer for PRelu {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        if self.num_parameters != 1 && input.shape.get(1) != Some(&self.num_parameters) {
            let message = format!(
                "this layer was made for {} channels; its input is {}",
                self.num_parameters, input.shape
            );
            return Err(Refusal::shape(0, message));
        }
        Ok(vec![input.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("per element", 1, &outputs[0].shape)
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let count = self.num_parameters as usize;
        let slope = weights.get(count, "weight")?;
        one_to_one(move |input| {
            let mut shape = vec![1; input.rank()];
            if count > 1 {
                shape[1] = count;
            }
            let below =
                clamp(input, f64::NEG_INFINITY, 0.0)?.broadcast_mul(&slope.reshape(shape)?)?;
            input.relu()? + below
        })
    }
}

#[derive(Debug, PartialEq)]
struct Glu {
    dim: usize,
}

impl Glu {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("GLU", inputs)?;
        let dim = arguments.dim("dim", input.shape.len())?;
        if input.shape[dim] % 2 != 0 {
            let message = format!("`GLU` halves dimension {dim}; its size is {}", input.shape[dim]);
            return Err(Refusal::shape(0, message));
        }
        Ok(Box::new(Glu { dim }))
    }
}

impl Layer for Glu {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        Ok(vec![input.with_shape(input.shape.with(self.dim, input.shape[self.dim] / 2))])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("sigmoid and product", 2, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let dim = self.dim;
        one_to_one(move |input| {
            let half = input.dim(dim)? / 2;
            let gate = ops::sigmoid(&input.narrow(dim, half, half)?)?;
            input.narrow(dim, 0, half)? * gate
        })
    }
}

#[derive(Debug, PartialEq)]
struct Softmax {
    /// Negative ones count from the end.
    dim: i64,
    /// -1 for the softmax of the negated input.
    sign: f64,
    logarithm: bool,
}

impl Softmax {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        logarithm: bool,
    ) -> Result<Box<dyn Layer>, Refusal> {
        Ok(Box::new(Softmax { dim: Softmax::dim(arguments, inputs)?, sign: 1.0, logarithm }))
    }

    fn dim(arguments: &Arguments, inputs: &[TensorType]) -> Result<i64, Refusal> {
        let input = float_input(arguments.signature().name, inputs)?;
        // PyTorch's default dimension, kept from its early versions.
        let old = if matches!(input.shape.len(), 0 | 1 | 3) { 0 } else { 1 };
        let dim = arguments.optional_int("dim")?.unwrap_or(old);
        arguments.resolve_dim("dim", dim, input.shape.len().max(1))?;
        Ok(dim)
    }
}

impl Layer for Softmax {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("softmax", 5, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let Softmax { dim, sign, logarithm } = *self;
        one_to_one(move |input| {
            let input = if sign < 0.0 { input.neg()? } else { input.clone() };
            let dim = if dim < 0 { input.rank() as i64 + dim } else { dim } as usize;
            if input.rank() == 0 {
                return if logarithm { input.zeros_like() } else { input.ones_like() };
            }
            if logarithm { ops::log_softmax(&input, dim) } else { ops::softmax(&input, dim) }
        })
    }
}
