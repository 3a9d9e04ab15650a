//! Functions of each element: activations and the mathematics between them. Each costs 1 FLOP per
//! element, whatever the function.

use std::fmt;

use candle_core::{DType as CandleDType, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::clamp::clamp;

use crate::{
    Arg, Arguments, Cost, DType, Entry, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    module::one_to_one,
};

/// An entry for a function of each element: its name in `torch.nn` and `torch.nn.functional`, its
/// arguments, what it computes, the settings that it reads from the arguments, how Candle computes
/// it with them, and what it makes of whole numbers, which it refuses unless that is said.
macro_rules! pointwise {
    ($name:literal, $function:literal, $params:expr, $summary:literal, $settings:expr, $apply:expr $(, $whole:expr)?) => {
        $crate::pointwise::pointwise!(
            $name,
            Some($function),
            concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            $params,
            $summary,
            $settings,
            $apply
            $(, $whole)?
        )
    };
    ($name:literal, $function:expr, $source:expr, $params:expr, $summary:literal, $settings:expr, $apply:expr) => {
        $crate::pointwise::pointwise!(
            $name,
            $function,
            $source,
            $params,
            $summary,
            $settings,
            $apply,
            |_| $crate::pointwise::Whole::Refused
        )
    };
    ($name:literal, $function:expr, $source:expr, $params:expr, $summary:literal, $settings:expr, $apply:expr, $whole:expr) => {
        $crate::Entry {
            name: $name,
            function: $function,
            params: $params,
            inputs: $crate::Inputs::Named(&["input"]),
            summary: $summary,
            doc: "`[*]` → `[*]`.\n\n1 FLOP per element, whatever the function.",
            source: $source,
            bind: |arguments, inputs| {
                use $crate::{Arguments, Refusal, pointwise};
                let read: fn(&Arguments) -> Result<pointwise::Settings, Refusal> = $settings;
                let whole: fn(&Arguments) -> pointwise::Whole = $whole;
                let whole = whole(arguments);
                whole.check($name, inputs)?;
                let settings = read(arguments)?;
                Ok(Box::new(pointwise::Pointwise { name: $name, settings, apply: $apply, whole }))
            },
            ..Entry::PLAIN
        }
    };
}
pub(crate) use pointwise;

/// The numbers that a function of each element may have.
pub(crate) type Settings = [f64; 2];

/// Of a function that has none.
pub(crate) const NONE: Settings = [0.0; 2];

/// What a function of each element makes of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It takes floating-point numbers alone.
    Refused,
    /// A negative power of a whole number, which is none.
    NegativePower,
    /// Whole numbers of the same type.
    Kept,
    /// PyTorch's default floating-point numbers.
    ToFloats,
}

impl Whole {
    /// That every number of the arguments is whole keeps whole numbers; one that is not makes
    /// floating-point ones of them.
    fn with(arguments: &Arguments, names: &[&str]) -> Whole {
        let is_float = |name: &&str| matches!(arguments.get(name), Arg::Float(_));
        if names.iter().any(is_float) { Whole::ToFloats } else { Whole::Kept }
    }

    pub(crate) fn check(self, name: &str, inputs: &[TensorType]) -> Result<(), Refusal> {
        let dtype = first_input(inputs)?.dtype;
        match self {
            Whole::Refused => float_input(name, inputs).map(|_| ()),
            Whole::NegativePower if !dtype.is_float() => Err(Refusal::dtype(
                0,
                format!(
                    "whole numbers, {dtype} here, have no negative power; an exponent with a point gives f32, as in `{name}(-1.0)`"
                ),
            )),
            Whole::Kept if dtype == DType::Bool => {
                Err(Refusal::dtype(0, format!("`{name}` takes numbers, not bool")))
            }
            Whole::Kept | Whole::ToFloats | Whole::NegativePower => Ok(()),
        }
    }

    /// The type of what comes of elements of `input`.
    fn dtype(self, input: DType) -> DType {
        if self == Whole::ToFloats && !input.is_float() { DType::F32 } else { input }
    }
}

macro_rules! maths {
    ($name:literal, $page:literal, $params:expr, $summary:literal, $settings:expr, $apply:expr, $whole:expr) => {
        pointwise!(
            $name,
            None,
            concat!("https://pytorch.org/docs/stable/generated/torch.", $page, ".html"),
            $params,
            $summary,
            $settings,
            $apply,
            $whole
        )
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    maths!("Exp", "exp", &[], "`e ** x`", |_| Ok(NONE), |x, _| x.exp(), |_| Whole::ToFloats),
    maths!("Log", "log", &[], "The natural logarithm", |_| Ok(NONE), |x, _| x.log(), |_| {
        Whole::ToFloats
    }),
    maths!("Sqrt", "sqrt", &[], "The square root", |_| Ok(NONE), |x, _| x.sqrt(), |_| {
        Whole::ToFloats
    }),
    maths!("Rsqrt", "rsqrt", &[], "`1 / sqrt(x)`", |_| Ok(NONE), |x, _| x.sqrt()?.recip(), |_| {
        Whole::ToFloats
    }),
    maths!("Abs", "abs", &[], "The absolute value", |_| Ok(NONE), |x, _| x.abs(), |_| Whole::Kept),
    maths!("Sin", "sin", &[], "The sine", |_| Ok(NONE), |x, _| x.sin(), |_| Whole::ToFloats),
    maths!("Cos", "cos", &[], "The cosine", |_| Ok(NONE), |x, _| x.cos(), |_| Whole::ToFloats),
    maths!(
        "Pow",
        "pow",
        &[Param::required("exponent", Kind::Float)],
        "`x ** exponent`",
        |arguments| Ok([arguments.float("exponent")?, 0.0]),
        |x, [exponent, _]| power(x, exponent),
        |arguments| match arguments.get("exponent") {
            Arg::Int(..0) => Whole::NegativePower,
            _ => Whole::with(arguments, &["exponent"]),
        }
    ),
    maths!(
        "Clamp",
        "clamp",
        &[Param::optional("min", Kind::Float, "none"), Param::optional("max", Kind::Float, "none")],
        "`x`, but at least `min` and at most `max`",
        |arguments| {
            let (min, max) = (arguments.optional_float("min")?, arguments.optional_float("max")?);
            if min.is_none() && max.is_none() {
                return Err(Refusal::argument("min", "`Clamp` needs `min`, `max` or both"));
            }
            Ok([min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY)])
        },
        |x, [min, max]| clamp(x, min, max),
        |arguments| Whole::with(arguments, &["min", "max"])
    ),
];

/// `x ** exponent`. Candle's power goes through a logarithm, which knows no negative number.
fn power(x: &Tensor, exponent: f64) -> CandleResult<Tensor> {
    let whole = exponent.fract() == 0.0 && exponent.abs() <= 64.0;
    if !whole {
        return x.powf(exponent);
    }
    let mut product = x.ones_like()?;
    for _ in 0..exponent.abs() as u32 {
        product = (product * x)?;
    }
    if exponent < 0.0 { product.recip() } else { Ok(product) }
}

/// The function of whole numbers, by way of f64: few of Candle's know whole numbers. It is exact up
/// to 2^53.
fn of_whole(
    input: &Tensor,
    whole: Whole,
    apply: impl Fn(&Tensor) -> CandleResult<Tensor>,
) -> CandleResult<Tensor> {
    let kept = if whole == Whole::ToFloats { CandleDType::F32 } else { input.dtype() };
    apply(&input.to_dtype(CandleDType::F64)?)?.to_dtype(kept)
}

/// A function of each element.
#[derive(Clone)]
pub(crate) struct Pointwise {
    pub name: &'static str,
    pub settings: Settings,
    pub apply: fn(&Tensor, Settings) -> CandleResult<Tensor>,
    pub whole: Whole,
}

/// Where the function lies in memory says nothing.
impl fmt::Debug for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pointwise { name, settings, apply: _, whole } = self;
        let mut fields = f.debug_struct("Pointwise");
        fields.field("name", name).field("settings", settings).field("whole", whole).finish()
    }
}

/// The name and the settings say which function it is, and `1` is another bound than `1.0`.
impl PartialEq for Pointwise {
    fn eq(&self, other: &Pointwise) -> bool {
        (self.name, self.settings, self.whole) == (other.name, other.settings, other.whole)
    }
}

impl Layer for Pointwise {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?.clone();
        Ok(vec![TensorType { dtype: self.whole.dtype(input.dtype), ..input }])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("per element", 1, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let Pointwise { settings, apply, whole, .. } = *self;
        one_to_one(move |input| match input.dtype().is_float() {
            true => apply(input, settings),
            false => of_whole(input, whole, |input| apply(input, settings)),
        })
    }
}
