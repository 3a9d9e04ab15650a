//! Functions of each element: activations and the mathematics between them. Each costs 1 FLOP per
//! element, whatever the function.

use std::fmt;

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Cost, Entry, Kind, Layer, Module, Param, Refusal, TensorType, arguments::first_input,
    clamp::clamp, module::one_to_one,
};

/// An entry for a function of each element: its name in `torch.nn` and `torch.nn.functional`, its
/// arguments, what it computes, the settings that it reads from the arguments, and how Candle
/// computes it with them.
macro_rules! pointwise {
    ($name:literal, $function:literal, $params:expr, $summary:literal, $settings:expr, $apply:expr) => {
        $crate::pointwise::pointwise!(
            $name,
            Some($function),
            concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            $params,
            $summary,
            $settings,
            $apply
        )
    };
    ($name:literal, $function:expr, $source:expr, $params:expr, $summary:literal, $settings:expr, $apply:expr) => {
        $crate::Entry {
            name: $name,
            function: $function,
            params: $params,
            inputs: $crate::Inputs::Named(&["input"]),
            summary: $summary,
            doc: "`[*]` → `[*]`.\n\n1 FLOP per element, whatever the function.",
            source: $source,
            bind: |arguments, inputs| {
                $crate::arguments::float_input(arguments.entry().name, inputs)?;
                let read: fn(
                    &$crate::Arguments,
                ) -> Result<$crate::pointwise::Settings, $crate::Refusal> = $settings;
                Ok(Box::new($crate::pointwise::Pointwise {
                    name: $name,
                    settings: read(arguments)?,
                    apply: $apply,
                }))
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

macro_rules! maths {
    ($name:literal, $page:literal, $params:expr, $summary:literal, $settings:expr, $apply:expr) => {
        pointwise!(
            $name,
            None,
            concat!("https://pytorch.org/docs/stable/generated/torch.", $page, ".html"),
            $params,
            $summary,
            $settings,
            $apply
        )
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    maths!("Exp", "exp", &[], "`e ** x`", |_| Ok(NONE), |x, _| x.exp()),
    maths!("Log", "log", &[], "The natural logarithm", |_| Ok(NONE), |x, _| x.log()),
    maths!("Sqrt", "sqrt", &[], "The square root", |_| Ok(NONE), |x, _| x.sqrt()),
    maths!("Rsqrt", "rsqrt", &[], "`1 / sqrt(x)`", |_| Ok(NONE), |x, _| x.sqrt()?.recip()),
    maths!("Abs", "abs", &[], "The absolute value", |_| Ok(NONE), |x, _| x.abs()),
    maths!("Sin", "sin", &[], "The sine", |_| Ok(NONE), |x, _| x.sin()),
    maths!("Cos", "cos", &[], "The cosine", |_| Ok(NONE), |x, _| x.cos()),
    maths!(
        "Pow",
        "pow",
        &[Param::required("exponent", Kind::Float)],
        "`x ** exponent`",
        |arguments| Ok([arguments.float("exponent")?, 0.0]),
        |x, [exponent, _]| power(x, exponent)
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
        |x, [min, max]| clamp(x, min, max)
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

/// A function of each element.
#[derive(Clone)]
pub(crate) struct Pointwise {
    pub name: &'static str,
    pub settings: Settings,
    pub apply: fn(&Tensor, Settings) -> CandleResult<Tensor>,
}

/// Where the function lies in memory says nothing.
impl fmt::Debug for Pointwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Pointwise { name, settings, apply: _ } = self;
        f.debug_struct("Pointwise").field("name", name).field("settings", settings).finish()
    }
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
        Cost::free().per_element("per element", 1, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let Pointwise { settings, apply, .. } = *self;
        one_to_one(move |input| apply(input, settings))
    }
}
