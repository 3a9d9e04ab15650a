//! Padding: what stands beyond the border of a tensor.

use candle_core::Result as CandleResult;
use candle_nn::VarBuilder;
use kernels::pad::Fill;

use crate::{
    Arg, Arguments, Cost, Entry, Inputs, Kind, Layer, MAX_SIZE, Module, Param, Refusal, TensorType,
    arguments::first_input, module::one_to_one,
};

const MODES: &[&str] = &["constant", "reflect", "replicate", "circular"];

const DOC: &str = "`[*, C, *]` → the last dimensions larger by `padding`: one number for all sides, or two for \
    each dimension, from the last one on. Negative numbers cut. It costs no FLOP.";

macro_rules! pad {
    ($name:literal, $axes:literal, $fill:expr, $params:expr, $summary:literal) => {
        Entry {
            name: $name,
            function: None,
            params: $params,
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: DOC,
            source: concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            bind: |arguments, inputs| {
                let fill: fn(&Arguments) -> Result<Fill, Refusal> = $fill;
                Pad::of_axes(arguments, inputs, $axes, fill(arguments)?)
            },
            ..Entry::PLAIN
        }
    };
}

const PADDING: &[Param] = &[Param::required("padding", Kind::Ints)];
const CONSTANT: &[Param] =
    &[Param::required("padding", Kind::Ints), Param::required("value", Kind::Float)];

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Pad",
        function: Some("pad"),
        params: &[
            Param::required("pad", Kind::Variadic),
            Param::optional("mode", Kind::Choice(MODES), "\"constant\""),
            Param::optional("value", Kind::Float, "none"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Adds elements before and after dimensions.",
        doc: "`Pad(left, right, top, bottom)`: two numbers for each dimension, from the last one on. \
              Negative numbers cut. It costs no FLOP.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.functional.pad.html",
        bind: |arguments, inputs| {
            let fill = match arguments.text("mode")?.as_str() {
                "reflect" => Fill::Reflect,
                "replicate" => Fill::Replicate,
                "circular" => Fill::Circular,
                _ => Fill::Constant(arguments.optional_float("value")?.unwrap_or(0.0)),
            };
            Pad::bind("pad", &arguments.ints("pad")?, first_input(inputs)?, fill)
        },
        ..Entry::PLAIN
    },
    pad!("ZeroPad1d", 1, |_| Ok(Fill::Constant(0.0)), PADDING, "Adds zeros around an input."),
    pad!("ZeroPad2d", 2, |_| Ok(Fill::Constant(0.0)), PADDING, "Adds zeros around an input."),
    pad!("ZeroPad3d", 3, |_| Ok(Fill::Constant(0.0)), PADDING, "Adds zeros around an input."),
    pad!("ConstantPad1d", 1, value, CONSTANT, "Adds a value around an input."),
    pad!("ConstantPad2d", 2, value, CONSTANT, "Adds a value around an input."),
    pad!("ConstantPad3d", 3, value, CONSTANT, "Adds a value around an input."),
    pad!("ReflectionPad1d", 1, |_| Ok(Fill::Reflect), PADDING, "Mirrors an input at its border."),
    pad!("ReflectionPad2d", 2, |_| Ok(Fill::Reflect), PADDING, "Mirrors an input at its border."),
    pad!("ReflectionPad3d", 3, |_| Ok(Fill::Reflect), PADDING, "Mirrors an input at its border."),
    pad!("ReplicationPad1d", 1, |_| Ok(Fill::Replicate), PADDING, "Repeats an input's border."),
    pad!("ReplicationPad2d", 2, |_| Ok(Fill::Replicate), PADDING, "Repeats an input's border."),
    pad!("ReplicationPad3d", 3, |_| Ok(Fill::Replicate), PADDING, "Repeats an input's border."),
    pad!(
        "CircularPad1d",
        1,
        |_| Ok(Fill::Circular),
        PADDING,
        "Continues an input at its other end."
    ),
    pad!(
        "CircularPad2d",
        2,
        |_| Ok(Fill::Circular),
        PADDING,
        "Continues an input at its other end."
    ),
    pad!(
        "CircularPad3d",
        3,
        |_| Ok(Fill::Circular),
        PADDING,
        "Continues an input at its other end."
    ),
];

fn value(arguments: &Arguments) -> Result<Fill, Refusal> {
    Ok(Fill::Constant(arguments.float("value")?))
}

/// The size of a dimension with its padding, or why it cannot have it.
pub(crate) fn padded(
    fill: Fill,
    argument: &str,
    size: u64,
    before: i64,
    after: i64,
) -> Result<u64, Refusal> {
    let (most, padding) = (i128::from(before.max(after)), i128::from(before) + i128::from(after));
    let size = i128::from(size);
    let fits = match fill {
        Fill::Reflect => most < size,
        Fill::Circular => most <= size,
        Fill::Replicate => size > 0,
        Fill::Constant(_) => true,
    };
    if !fits {
        let bound = if fill == Fill::Circular { "at most" } else { "less than" };
        let message =
            format!("a padding that repeats the input is {bound} its size, {size}, not {most}");
        return Err(Refusal::argument(argument, message));
    }
    let padded = size + padding;
    u64::try_from(padded)
        .ok()
        .filter(|size| *size <= MAX_SIZE)
        .ok_or_else(|| Refusal::argument(argument, format!("this gives a size of {padded}")))
}

#[derive(Debug, Clone, PartialEq)]
struct Pad {
    /// Before and after, from the last dimension on; negative numbers cut.
    amounts: Vec<(i64, i64)>,
    fill: Fill,
    /// The argument that says so.
    argument: &'static str,
}

impl Pad {
    fn bind(
        argument: &'static str,
        amounts: &[i64],
        input: &TensorType,
        fill: Fill,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let dims = amounts.len() / 2;
        if !amounts.len().is_multiple_of(2) || dims > input.shape.len() {
            let message = format!(
                "a padding has two numbers for each dimension; {} are given for {}",
                amounts.len(),
                input.shape
            );
            return Err(Refusal::argument(argument, message));
        }
        // PyTorch repeats an input along its last dimensions only, and wants channels before them.
        if !matches!(fill, Fill::Constant(_)) && !matches!(input.shape.len() - dims, 1 | 2) {
            let message = format!(
                "a padding of {dims} dimensions that repeats its input takes {} or {} dimensions, not {}",
                dims + 1,
                dims + 2,
                input.shape
            );
            return Err(Refusal::shape(0, message));
        }
        let amounts = amounts.chunks(2).map(|pair| (pair[0], pair[1])).collect();
        Ok(Box::new(Pad { amounts, fill, argument }))
    }

    /// `ZeroPad2d` and the like: one number for all sides, or two for each of the axes.
    fn of_axes(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
        fill: Fill,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let input = first_input(inputs)?;
        let amounts = match arguments.get("padding") {
            Arg::Int(amount) => vec![amount; 2 * axes],
            _ => arguments.ints("padding")?,
        };
        if amounts.len() != 2 * axes {
            let message = format!(
                "`padding` is a whole number or a list of {}, not {} of them",
                2 * axes,
                amounts.len()
            );
            return Err(Refusal::argument("padding", message));
        }
        Pad::bind("padding", &amounts, input, fill)
    }
}

impl Layer for Pad {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let mut sizes = input.shape.to_vec();
        for (size, (before, after)) in sizes.iter_mut().rev().zip(&self.amounts) {
            *size = padded(self.fill, self.argument, *size, *before, *after)?;
        }
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let pad = self.clone();
        one_to_one(move |input| {
            let mut output = input.clone();
            for (index, (before, after)) in pad.amounts.iter().enumerate() {
                let dim = output.rank() - 1 - index;
                output = pad.fill.pad(&output, dim, *before, *after)?;
            }
            Ok(output)
        })
    }
}
