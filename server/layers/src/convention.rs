//! How other tools count: tables over the kinds of layers, bug for bug.
//!
//! A tool that hooks modules sees those of the kinds it knows and nothing else: no function, no
//! expression, no other class. What it does not see it skips without a word; here that has no rule,
//! which is not a rule that gives 0.

mod thop;

use crate::{Arguments, Cost, Overflow, TensorType, Unit, cost::sizes};

/// Whose rules count the work.
#[derive(Debug)]
pub struct Convention {
    /// Its name, as users give it.
    pub name: &'static str,
    /// The tool with its versions, and what its figure is, in one line.
    pub summary: &'static str,
    /// What the tool counts, whatever it calls it.
    unit: Unit,
    /// The kinds of layers that the tool knows, with the rule of each.
    rules: &'static [(&'static [&'static str], Rule)],
}

impl PartialEq for Convention {
    fn eq(&self, other: &Convention) -> bool {
        self.name == other.name
    }
}

/// All conventions, in the order in which they are listed.
pub fn conventions() -> impl Iterator<Item = &'static Convention> {
    thop::CONVENTIONS.iter()
}

impl Convention {
    /// Whether the tool gives a figure of this unit.
    pub fn gives(&self, unit: Unit) -> bool {
        self.unit == unit
    }

    /// Whether the tool knows modules of a kind.
    pub fn knows(&self, kind: &str) -> bool {
        self.rule(kind).is_some()
    }

    /// The work of a module, by its arguments, as the tool counts it; none of what it does not see.
    ///
    /// # Errors
    /// If the count does not fit in 128 bits.
    pub fn cost(
        &self,
        module: Option<&Arguments>,
        inputs: &[TensorType],
        outputs: &[TensorType],
    ) -> Result<Cost, Overflow> {
        let (Some(arguments), Some(input), Some(output)) =
            (module, inputs.first(), outputs.first())
        else {
            return Ok(Cost::free());
        };
        match self.rule(arguments.entry().name) {
            Some(rule) => rule.cost(&Call { arguments, input, output }),
            None => Ok(Cost::free()),
        }
    }

    fn rule(&self, kind: &str) -> Option<&'static Rule> {
        self.rules.iter().find(|(kinds, _)| kinds.contains(&kind)).map(|(_, rule)| rule)
    }
}

/// A module that is called once.
struct Call<'a> {
    arguments: &'a Arguments,
    input: &'a TensorType,
    output: &'a TensorType,
}

/// How the tools count a kind of layer, in multiply-accumulates as they call them.
#[derive(Debug, Clone, Copy)]
enum Rule {
    /// The tool knows it, and counts nothing.
    Zero,
    /// So many for each element of the input.
    Inputs(u128),
    /// So many for each element of the input, and as many again with a weight.
    Normalization(u128),
    /// So many for each element of the output.
    Outputs(u128),
    /// The products of each output element; one more with a bias, if the tool counts it. A transposed
    /// convolution is counted as if it were none, on its output.
    Convolution { bias: bool, channels: Channels },
    /// The products of each output element; the bias is not counted.
    Linear,
    /// For each output element the sizes of the input by those of the output, and one more.
    AdaptiveAverage(Division),
    /// For each row of `n` elements `n` exponentials, `n - 1` sums and `n` quotients.
    SoftmaxRows,
    /// For each output element what its mode takes; `nearest` is the tool's to say.
    Upsample { nearest: u128 },
    /// For each step and item the products of the gates, a sum, two biases, and 4 more for gates.
    Recurrent { gates: u128 },
}

/// Where a tool finds the input channels of a convolution.
#[derive(Debug, Clone, Copy)]
enum Channels {
    /// In the module.
    Module,
    /// In the second dimension of the input, which without a batch is another one.
    SecondDimension,
}

/// How a tool divides the sizes of an adaptive pool.
#[derive(Debug, Clone, Copy)]
enum Division {
    /// Each quotient is rounded down.
    Floor,
    /// In floating point; the product with the output's elements is rounded down.
    Double,
}

impl Rule {
    fn cost(self, call: &Call<'_>) -> Result<Cost, Overflow> {
        let Call { arguments, input, output } = call;
        let inputs = sizes("input", &input.shape);
        let outputs = sizes("output", &output.shape);
        let free = Cost::free();
        Ok(match self {
            Rule::Zero => free,
            Rule::Inputs(each) => {
                free.macs_of("elements", &[&inputs[..], &[("each", each)]].concat())
            }
            Rule::Outputs(each) => {
                free.macs_of("elements", &[&outputs[..], &[("each", each)]].concat())
            }
            Rule::Normalization(each) => {
                let has_weight =
                    ["affine", "elementwise_affine"].iter().any(|name| arguments.is_on(name));
                let each = if has_weight { 2 * each } else { each };
                free.macs_of("elements", &[&inputs[..], &[("each", each)]].concat())
            }
            Rule::Convolution { bias, channels } => {
                let cost =
                    free.macs_of("products", &[outputs.clone(), call.window(channels)].concat());
                if bias && arguments.is_on("bias") { cost.macs_of("bias", &outputs) } else { cost }
            }
            Rule::Linear => {
                let features = input.shape.last().copied().unwrap_or(0);
                free.macs_of("products", &[outputs, sizes("in", &[features])].concat())
            }
            Rule::AdaptiveAverage(division) => {
                free.macs_of("windows", &[("output and windows", call.adaptive(division)?)])
            }
            Rule::SoftmaxRows => {
                let numel = input.shape.numel()?;
                let along = u128::from(call.size_along("dim"));
                let rows = numel.checked_div(along).unwrap_or(0);
                free.macs_of("rows", &[("rows", rows), ("3 n - 1", (3 * along).saturating_sub(1))])
            }
            Rule::Upsample { nearest } => {
                let mode = match arguments.entry().name {
                    "Upsample" => arguments.text("mode").unwrap_or_default(),
                    "UpsamplingBilinear2d" => "bilinear".to_owned(),
                    _ => "nearest".to_owned(),
                };
                let each = match mode.as_str() {
                    "linear" => 5,
                    "bilinear" => 11,
                    "bicubic" => 259,
                    "nearest" => nearest,
                    _ => 0,
                };
                free.macs_of("elements", &[&outputs[..], &[("each", each)]].concat())
            }
            Rule::Recurrent { gates } => call.recurrent(gates)?,
        })
    }
}

impl Call<'_> {
    /// What an output element of a convolution is a sum of.
    fn window(&self, channels: Channels) -> Vec<(&'static str, u128)> {
        let axes =
            self.arguments.entry().name.bytes().find_map(|byte| char::from(byte).to_digit(10));
        let axes = axes.unwrap_or(0) as usize;
        let shape = &self.input.shape;
        let dimension = match channels {
            Channels::Module => shape.len().checked_sub(axes + 1),
            Channels::SecondDimension => Some(1),
        };
        let channels = dimension.and_then(|dimension| shape.get(dimension)).copied().unwrap_or(0);
        let groups = self.arguments.size("groups", 1).unwrap_or(1);
        let kernel = self.arguments.per_axis("kernel_size", axes, 1).unwrap_or_default();
        let mut factors = vec![("C_in / groups", u128::from(channels / groups))];
        factors.extend(sizes("kernel", &kernel));
        factors
    }

    /// The size of the input along a dimension that an argument names.
    fn size_along(&self, argument: &str) -> u64 {
        let shape = &self.input.shape;
        let dimension = self.arguments.dim(argument, shape.len());
        dimension.map_or(1, |dimension| shape[dimension])
    }

    fn adaptive(&self, division: Division) -> Result<u128, Overflow> {
        let elements = self.output.shape.numel()?;
        let pooled = self.input.shape.iter().zip(self.output.shape.iter()).skip(2);
        match division {
            Division::Floor => {
                let window = pooled
                    .map(|(size, out)| u128::from(size.checked_div(*out).unwrap_or(0)))
                    .try_fold(1u128, |product, size| product.checked_mul(size).ok_or(Overflow))?;
                window.checked_add(1).and_then(|each| each.checked_mul(elements)).ok_or(Overflow)
            }
            // The tool's own arithmetic, with its rounding.
            Division::Double => {
                let window: f64 = pooled.map(|(size, out)| *size as f64 / *out as f64).product();
                Ok(((window + 1.0) * elements as f64) as u128)
            }
        }
    }

    /// For each layer and direction, each step and item: `gates` products with the input and the state,
    /// a sum and two biases of each gate, and four sums and products of gated cells.
    fn recurrent(&self, gates: u128) -> Result<Cost, Overflow> {
        let arguments = self.arguments;
        let hidden = u128::from(arguments.size("hidden_size", 1).unwrap_or(0));
        let features = self.input.shape.last().copied().unwrap_or(0);
        let is_cell = arguments.entry().name.ends_with("Cell");
        // Without a batch the second dimension is the features', and is counted all the same.
        let items = self.input.shape.iter().take(if is_cell { 1 } else { 2 });
        let items = items.map(|size| u128::from(*size)).product::<u128>();
        let layers = if is_cell { 1 } else { arguments.size("num_layers", 1).unwrap_or(1) };
        let directions = if !is_cell && arguments.is_on("bidirectional") { 2 } else { 1 };
        let sums = if arguments.is_on("bias") { 3 } else { 1 };
        let mut cost = Cost::free();
        for layer in 0..layers {
            let taken = if layer == 0 { u128::from(features) } else { directions * hidden };
            let factor = [
                ("items", items),
                ("directions", directions),
                ("gates", gates),
                ("hidden", hidden),
            ];
            let both = taken.checked_add(hidden).ok_or(Overflow)?;
            cost = cost
                .macs_of("products", &[&factor[..], &[("in + hidden", both)]].concat())
                .macs_of("sums and biases", &[&factor[..], &[("each", sums)]].concat());
            if gates > 1 {
                let cell =
                    [("items", items), ("directions", directions), ("hidden", hidden), ("each", 4)];
                cost = cost.macs_of("gated sums", &cell);
            }
        }
        Ok(cost)
    }
}
