//! What the tools count for a call, in multiply-accumulates or operations as each calls them.

use super::{CELLS, Call, RECURRENT, TRANSPOSED, einsum_path};
use crate::{Arg, Cost, Overflow, ParameterTensor, TensorType, Unit, cost::sizes, einsum};

/// How a tool counts a kind of layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rule {
    /// The tool knows it, and counts nothing.
    Zero,
    /// The same, in FLOPs where the tool tells them from MACs.
    Flops(&'static Rule),
    /// So many for each element of the input.
    Inputs(u128),
    /// So many for each element of the output.
    Outputs(u128),
    /// One for each element of one item's output, whatever the batch.
    OutputsOfOneItem,
    /// One for each element of the output's first channel.
    OutputsOfOneChannel,
    /// So many for each element of the input, and so many with a weight.
    Normalization { plain: u128, weighted: u128 },
    /// The MACs of our own rules; of biases one for each output element, if the tool counts them.
    Products { bias: bool },
    /// The same without biases; nothing where PyTorch works out the padding, `padding="same"`.
    ProductsOfNumberedPadding,
    /// So many for each element of the input, more where the statistics are the input's own.
    BatchNorm,
    /// For each output element a window of the first tensor, and more.
    Convolution(Convolution),
    /// For each output element the products, and the sums between them.
    Linear { sums: u128, bias: bool },
    /// For each output element its window with so many more.
    Pool { window: Window, more: i128 },
    /// For each output element the sizes of the input by those of the output, and one more.
    AdaptiveAverage(Division),
    /// The same without the one.
    AdaptiveMaximum,
    /// For each row of `n` elements `n` exponentials, `n - 1` sums and `n` quotients.
    SoftmaxRows,
    /// The same as if all elements were one row.
    SoftmaxOfAll,
    /// For each output element what its mode takes; `nearest` is the tool's to say.
    Upsample { nearest: u128 },
    /// For each output element so many, by mode; of an image only.
    UpsampledImage { nearest: u128, bilinear: u128 },
    /// What `size` is a product of, or else the elements of the input.
    SizeOrInputs,
    /// The elements of the input by the product of the scales.
    Scaled,
    /// For each step and item the products of the gates and more.
    Recurrent(Recurrent),
    /// The products of cells, and the biases that a fused kernel does not hide.
    RecurrentProducts { bias: bool },
    /// What NumPy says of an einsum.
    EinsumPath,
    /// Half of it, rounded down; of a batch of products that with each other's rows or columns just these.
    HalfOfEinsumPath,
    /// An attention of four projections.
    Attention(Attention),
    /// For each element of the left factor a row of the right one.
    MatrixProduct,
    /// What `torch.mul`, `add` and the pooling inside count for.
    LocalResponse,
    /// The elements of the parameters, as often as torchinfo thinks that each is used.
    Parameters,
    /// For each pair of features two operations, less one for each output.
    Bilinear,
}

/// What a tool counts for a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) enum Convolution {
    /// The products; the input channels are taken from the second dimension of the input.
    Products,
    /// The products and a bias; a transposed one as if it were none, on its output.
    WithBias,
    /// The products and a bias for each input channel.
    WithBiasPerChannel,
    /// The products and a bias, whatever the second dimensions are: without a batch other ones.
    AsBatched,
    /// Products and biases, where the output is as large as symmetric padding would make it.
    Symmetric,
    /// A transposed one whose groups divide twice, with biases of a plain one's output.
    DividedTwice,
    /// Products, and the sums between them and the bias; of a transposed one on its input.
    WithSums,
}

/// Where a tool takes a pooling window from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Window {
    /// All its sizes.
    All,
    /// The number as it was given: one number is not squared.
    AsGiven,
}

/// How a tool divides the sizes of an adaptive pool.
#[derive(Debug, Clone, Copy)]
pub(super) enum Division {
    /// Each quotient is rounded down.
    Floor,
    /// In floating point; the product with the output's elements is rounded down.
    Double,
}

/// How a tool counts a recurrent layer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Recurrent {
    /// For each gate the products, their sum and two biases, and 4 sums and products of gated cells.
    Thop,
    /// The elements of the weights and biases, and the pointwise sums and products.
    Weights,
    /// The same with two operations for an element of a weight, less one for each of its rows.
    WeightsTwice,
}

/// How a tool counts `MultiheadAttention`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Attention {
    /// The four projections. A bias counts where PyTorch adds it within the product: of the inputs not,
    /// if `batch_first` makes them others in memory.
    Projections { bias: bool },
    /// Nothing where PyTorch takes its fast path, else the projections.
    FastPath,
    /// Projections by the squares of the inputs' features, scores, softmax, sums and biases.
    Ptflops,
    /// The two products, where the weights are a value: else they are within a fused kernel.
    Products,
    /// One for each of the weights, where they are a value.
    Softmax,
}

/// The terms of one formula of a call.
type Factors = Vec<(&'static str, u128)>;

impl Rule {
    pub(super) fn cost(self, call: &Call<'_>) -> Result<Cost, Overflow> {
        let (Some(input), Some(output)) = (call.inputs.first(), call.outputs.first()) else {
            return Ok(Cost::free());
        };
        let inputs = sizes("input", &input.shape);
        let outputs = sizes("output", &output.shape);
        let free = Cost::free();
        let each = |sizes: &[(&'static str, u128)], each: u128| {
            free.clone().macs_of("elements", &[sizes, &[("each", each)]].concat())
        };
        Ok(match self {
            Rule::Zero => free,
            Rule::Flops(rule) => rule.cost(call)?.all_as_flops(),
            Rule::Inputs(count) => each(&inputs, count),
            Rule::Outputs(count) => each(&outputs, count),
            Rule::OutputsOfOneItem => each(outputs.get(1..).unwrap_or(&[]), 1),
            Rule::OutputsOfOneChannel => {
                let spatial = outputs.get(2..).unwrap_or(&[]);
                each(&[outputs.get(..1).unwrap_or(&[]), spatial].concat(), 1)
            }
            Rule::Normalization { plain, weighted } => {
                each(&inputs, if call.has_weight() { weighted } else { plain })
            }
            Rule::Products { bias } => call.products(bias),
            Rule::ProductsOfNumberedPadding if call.pads_by_name() => free,
            Rule::ProductsOfNumberedPadding => call.products(false),
            Rule::BatchNorm => {
                let own = !call.arguments.is_none_or(|given| given.is_on("track_running_stats"));
                let plain = if own { 4 } else { 1 };
                each(&inputs, plain + u128::from(call.has_weight()))
            }
            Rule::Convolution(convolution) => call.convolution(convolution, input, output)?,
            Rule::Linear { sums, bias } => {
                let features = u128::from(input.shape.last().copied().unwrap_or(0));
                let sums = sums * features.saturating_sub(1);
                let bias = u128::from(bias && call.is_on("bias"));
                let operations = ("in, sums and bias", features + sums + bias);
                free.macs_of("outputs", &[&outputs[..], &[operations]].concat())
            }
            Rule::Pool { window, more } => {
                let window = call.pooling_window(window).checked_add_signed(more);
                each(&outputs, window.ok_or(Overflow)?)
            }
            Rule::AdaptiveAverage(division) => {
                free.macs_of("windows", &[("output and windows", call.adaptive(division, 1)?)])
            }
            Rule::AdaptiveMaximum => {
                free.macs_of("windows", &[("windows", call.adaptive(Division::Floor, 0)?)])
            }
            Rule::SoftmaxRows => softmax(input.shape.numel()?, call.size_along("dim", input))?,
            Rule::SoftmaxOfAll => softmax(input.shape.numel()?, input.shape.numel()?)?,
            Rule::Upsample { nearest } => each(
                &outputs,
                match call.mode().as_str() {
                    "linear" => 5,
                    "bilinear" => 11,
                    "bicubic" => 259,
                    "nearest" => nearest,
                    _ => 0,
                },
            ),
            Rule::UpsampledImage { nearest, bilinear } => each(
                &outputs,
                match (call.mode().as_str(), input.shape.len()) {
                    ("nearest", 4) => nearest,
                    ("bilinear", 4) => bilinear,
                    _ => 0,
                },
            ),
            Rule::SizeOrInputs => match call.given_size() {
                Some(size) => free.macs_of("size", &sizes("size", &size)),
                None => each(&inputs, 1),
            },
            Rule::Scaled => match call.given_scale() {
                Some(scale) => free.macs_of(
                    "scaled input",
                    &[("input by scales", (input.shape.numel()? as f64 * scale) as u128)],
                ),
                None => each(&outputs, 1),
            },
            Rule::Recurrent(recurrent) => call.recurrent(recurrent, input)?,
            Rule::RecurrentProducts { bias } => call.recurrent_products(bias, input)?,
            Rule::EinsumPath => free.macs_of("einsum_path", &[("FLOPs", call.einsum_path()?)]),
            Rule::HalfOfEinsumPath if call.is_batch_of_products() => call.products(false),
            Rule::HalfOfEinsumPath => {
                free.macs_of("einsum_path", &[("FLOPs // 2", call.einsum_path()? / 2)])
            }
            Rule::Attention(attention) => call.attention(attention),
            Rule::MatrixProduct => {
                let columns = call.inputs.get(1).and_then(|right| right.shape.last());
                let columns = columns.copied().unwrap_or(0);
                free.macs_of("products", &[inputs, sizes("columns", &[columns])].concat())
            }
            Rule::LocalResponse => call.local_response(input),
            Rule::Parameters => {
                let parameters = crate::parameters(call.layer, input.dtype).unwrap_or_default();
                let own = parameters.iter().filter(|tensor| !tensor.is_buffer);
                let own: Vec<_> = own.map(|tensor| (tensor.name.as_str(), tensor)).collect();
                of_parameters(call.kind, &own, output)?
            }
            Rule::Bilinear => call.bilinear(output),
        })
    }
}

/// For each row of `n` elements `3 n - 1`.
fn softmax(numel: u128, along: u128) -> Result<Cost, Overflow> {
    let rows = numel.checked_div(along).unwrap_or(0);
    let each = along.checked_mul(3).ok_or(Overflow)?.saturating_sub(1);
    Ok(Cost::free().macs_of("rows", &[("rows", rows), ("3 n - 1", each)]))
}

fn product(factors: &[(&'static str, u128)]) -> Result<u128, Overflow> {
    let mut sizes = factors.iter().map(|(_, size)| *size);
    sizes.try_fold(1u128, |product, size| product.checked_mul(size).ok_or(Overflow))
}

/// What torchinfo counts: the elements of a parameter, for a convolution once for each position and item;
/// for others, if it is named `weight` or `bias`, once for each item, and if its name has more, once for
/// each of the first two sizes.
///
/// # Errors
/// If the count does not fit in 128 bits.
pub(super) fn of_parameters(
    kind: &str,
    parameters: &[(&str, &ParameterTensor)],
    output: &TensorType,
) -> Result<Cost, Overflow> {
    let shape = &output.shape;
    let first = |count: usize| sizes("output", &shape[..count.min(shape.len())]);
    let mut cost = Cost::free();
    for (name, parameter) in parameters {
        let mut factors = match *name {
            "weight" | "bias" if kind.contains("Conv") => {
                [first(1), sizes("output", shape.get(2..).unwrap_or(&[]))].concat()
            }
            "weight" | "bias" => first(1),
            _ if name.contains("weight") || name.contains("bias") => first(2),
            _ => continue,
        };
        factors.push(("elements", parameter.shape.numel()?));
        cost = cost.macs_of("parameters", &factors);
    }
    Ok(cost)
}

impl Call<'_> {
    /// The MACs of our own rules, and its biases, which are MACs to many a tool.
    fn products(&self, bias: bool) -> Cost {
        let mut cost = self.layer.cost(self.inputs, self.outputs);
        cost.terms.retain(|term| term.unit == Unit::Macs || bias && term.name == "bias");
        for term in &mut cost.terms {
            term.unit = Unit::Macs;
        }
        cost.cache = 0;
        cost
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.arguments.and_then(|arguments| arguments.size(name, 0).ok())
    }

    fn is_on(&self, name: &str) -> bool {
        self.arguments.is_some_and(|arguments| arguments.is_on(name))
    }

    /// The padding is a word, and PyTorch does not pad by itself before.
    fn pads_by_name(&self) -> bool {
        let text = |name: &str| self.arguments.and_then(|given| given.text(name).ok());
        text("padding").is_some() && text("padding_mode").is_none_or(|mode| mode == "zeros")
    }

    fn has_weight(&self) -> bool {
        ["affine", "elementwise_affine"].iter().any(|name| self.is_on(name))
    }

    /// How many axes the kind's name says, `Conv2d`.
    fn axes(&self) -> usize {
        let digit = self.kind.bytes().find_map(|byte| char::from(byte).to_digit(10));
        digit.unwrap_or(0) as usize
    }

    /// The sizes of an argument that has one for each axis.
    fn per_axis(&self, name: &str) -> Vec<u64> {
        let axes = self.axes();
        let sizes = self.arguments.and_then(|arguments| arguments.per_axis(name, axes, 0).ok());
        sizes.map_or_else(|| vec![0; axes], |sizes| sizes.to_vec())
    }

    /// The size of the input along a dimension that an argument names.
    fn size_along(&self, argument: &str, input: &TensorType) -> u128 {
        let dimension =
            self.arguments.and_then(|arguments| arguments.dim(argument, input.shape.len()).ok());
        dimension.map_or(1, |dimension| input.shape[dimension].into())
    }

    fn convolution(
        &self,
        rule: Convolution,
        input: &TensorType,
        output: &TensorType,
    ) -> Result<Cost, Overflow> {
        let axes = self.axes();
        let channels = |ty: &TensorType| {
            let dimension = ty.shape.len().checked_sub(axes + 1);
            dimension.map_or(0, |dimension| u128::from(ty.shape[dimension]))
        };
        let (in_channels, out_channels) = (channels(input), channels(output));
        let groups = u128::from(self.size("groups").unwrap_or(1).max(1));
        let kernel = sizes("kernel", &self.per_axis("kernel_size"));
        let outputs = sizes("output", &output.shape);
        let is_transposed = TRANSPOSED.contains(&self.kind);
        let biased = self.is_on("bias");
        let free = Cost::free();
        let with = |positions: &[(&'static str, u128)], each: &[(&'static str, u128)]| {
            free.clone().macs_of("products", &[positions, &kernel[..], each].concat())
        };
        let spatial = |ty: &TensorType, name| sizes(name, ty.shape.get(2..).unwrap_or(&[]));
        let batch = ("N", u128::from(input.shape.first().copied().unwrap_or(1)));
        Ok(match rule {
            Convolution::Products => {
                let second = u128::from(input.shape.get(1).copied().unwrap_or(0));
                with(&outputs, &[("C_in / groups", second / groups)])
            }
            Convolution::WithBias => {
                let cost = with(&outputs, &[("C_in / groups", in_channels / groups)]);
                if biased { cost.macs_of("bias", &outputs) } else { cost }
            }
            Convolution::WithBiasPerChannel => {
                // The whole is divided by the groups, and not the channels.
                let window = product(&kernel)?.checked_add(biased.into()).ok_or(Overflow)?;
                let all = product(&outputs)?.checked_mul(window).ok_or(Overflow)?;
                let all = all.checked_mul(in_channels).ok_or(Overflow)? / groups;
                free.macs_of("products and biases", &[("output, kernel and C_in / groups", all)])
            }
            Convolution::AsBatched => {
                let positions = if is_transposed { input } else { output };
                let positions = [vec![batch], spatial(positions, "position")].concat();
                let cost = with(
                    &positions,
                    &[("C_in", in_channels), ("C_out / groups", out_channels / groups)],
                );
                let after = sizes("output", output.shape.get(1..).unwrap_or(&[]));
                if biased { cost.macs_of("bias", &[vec![batch], after].concat()) } else { cost }
            }
            Convolution::Symmetric | Convolution::DividedTwice => {
                let out_channels = if is_transposed { out_channels / groups } else { out_channels };
                let of_plain = self.plain_output(input, output);
                let positions = match is_transposed {
                    true => spatial(input, "position"),
                    false => of_plain.clone(),
                };
                let cost = with(
                    &[vec![batch], positions].concat(),
                    &[("C_in", in_channels), ("C_out / groups", out_channels / groups)],
                );
                let biases = [vec![batch, ("C_out", out_channels)], of_plain].concat();
                if biased { cost.flops_of("bias", &biases) } else { cost }
            }
            Convolution::WithSums => {
                let window = product(&kernel)?.checked_mul(in_channels / groups);
                let twice = window.and_then(|window| window.checked_mul(2)).ok_or(Overflow)?;
                let each = twice.saturating_sub(u128::from(!biased));
                let positions = spatial(if is_transposed { input } else { output }, "position");
                let all = [vec![batch, ("C_out", out_channels)], positions, vec![("each", each)]];
                free.macs_of("products and sums", &all.concat())
            }
        })
    }

    /// The sizes after a plain convolution with the paddings halved, as if none were uneven.
    fn plain_output(&self, input: &TensorType, output: &TensorType) -> Factors {
        let padding = self.arguments.map(|arguments| arguments.get("padding"));
        let reflects = self.arguments.and_then(|arguments| arguments.text("padding_mode").ok());
        if reflects.is_some_and(|mode| mode != "zeros") {
            return sizes("position", output.shape.get(2..).unwrap_or(&[]));
        }
        let (kernel, stride) = (self.per_axis("kernel_size"), self.per_axis("stride"));
        let dilation = self.per_axis("dilation");
        let padding: Vec<u64> = match padding {
            Some(Arg::Text(text)) if text == "same" => {
                let total = kernel
                    .iter()
                    .zip(&dilation)
                    .map(|(kernel, dilation)| dilation * kernel.saturating_sub(1) / 2);
                total.collect()
            }
            Some(Arg::Text(_)) => vec![0; kernel.len()],
            _ => self.per_axis("padding"),
        };
        let axes = input.shape.get(2..).unwrap_or(&[]).iter().enumerate().map(|(axis, size)| {
            let of =
                |sizes: &[u64], least: u64| sizes.get(axis).copied().unwrap_or(least).max(least);
            let reach = of(&dilation, 1) * (of(&kernel, 1) - 1) + 1;
            let room = (size + 2 * of(&padding, 0)).saturating_sub(reach);
            room / of(&stride, 1) + 1
        });
        sizes("position", &axes.collect::<Vec<u64>>())
    }

    fn pooling_window(&self, window: Window) -> u128 {
        let given = self.arguments.map(|arguments| arguments.get("kernel_size"));
        match (window, given) {
            (Window::AsGiven, Some(Arg::Int(size))) => size.max(0) as u128,
            _ => self.per_axis("kernel_size").into_iter().map(u128::from).product(),
        }
    }

    /// The sum over all output elements of a window of even size and `more`.
    fn adaptive(&self, division: Division, more: u128) -> Result<u128, Overflow> {
        let (input, output) = (&self.inputs[0].shape, &self.outputs[0].shape);
        let elements = output.numel()?;
        let pooled = input.iter().zip(output.iter()).skip(2);
        match division {
            Division::Floor => {
                let window = pooled
                    .map(|(size, out)| u128::from(size.checked_div(*out).unwrap_or(0)))
                    .try_fold(1u128, |product, size| product.checked_mul(size).ok_or(Overflow))?;
                let each = window.checked_add(more);
                each.and_then(|each| each.checked_mul(elements)).ok_or(Overflow)
            }
            // The tool's own arithmetic, with its rounding.
            Division::Double => {
                let window: f64 = pooled.map(|(size, out)| *size as f64 / *out as f64).product();
                Ok(((window + more as f64) * elements as f64) as u128)
            }
        }
    }

    /// How an image is resized.
    fn mode(&self) -> String {
        match self.kind {
            "UpsamplingBilinear2d" => "bilinear".to_owned(),
            "UpsamplingNearest2d" => "nearest".to_owned(),
            _ => self.arguments.and_then(|given| given.text("mode").ok()).unwrap_or_default(),
        }
    }

    /// The sizes that `size` gives: one number is one size.
    fn given_size(&self) -> Option<Vec<u64>> {
        let sizes = self.arguments?.ints("size").ok().filter(|sizes| !sizes.is_empty())?;
        Some(sizes.into_iter().map(|size| size.max(0) as u64).collect())
    }

    /// The product of the scales over all axes.
    fn given_scale(&self) -> Option<f64> {
        let axes = self.inputs[0].shape.len().checked_sub(2)?;
        let scales = self.arguments?.floats("scale_factor", axes).ok()?;
        Some(scales.into_iter().product())
    }

    /// The number of gates of a cell: matrices that are multiplied with the input.
    fn gates(&self) -> u128 {
        match self.kind {
            "GRU" | "GRUCell" => 3,
            "LSTM" | "LSTMCell" => 4,
            _ => 1,
        }
    }

    fn recurrent(&self, rule: Recurrent, input: &TensorType) -> Result<Cost, Overflow> {
        let is_cell = CELLS.contains(&self.kind);
        let hidden = u128::from(self.size("hidden_size").unwrap_or(0));
        let projected = u128::from(self.size("proj_size").unwrap_or(0));
        // thop does not know of projections.
        let projects = projected > 0 && !matches!(rule, Recurrent::Thop);
        let out = if projects { projected } else { hidden };
        let features = u128::from(input.shape.last().copied().unwrap_or(0));
        // Without a batch the second dimension is the features', and is counted all the same.
        let items = input.shape.iter().take(if is_cell { 1 } else { 2 });
        let items = items.map(|size| u128::from(*size)).product::<u128>();
        let layers = if is_cell { 1 } else { self.size("num_layers").unwrap_or(1) };
        let directions = if !is_cell && self.is_on("bidirectional") { 2 } else { 1 };
        let (gates, biased) = (self.gates(), self.is_on("bias"));
        let factor = |more: &[(&'static str, u128)]| {
            [&[("items", items), ("directions", directions)][..], more].concat()
        };
        let mut cost = Cost::free();
        for layer in 0..layers {
            let taken = if layer == 0 { features } else { directions * out };
            let rows = [("gates", gates), ("hidden", hidden)];
            let of_rows = |each: (&'static str, u128)| factor(&[&rows[..], &[each]].concat());
            let width = taken.checked_add(out).ok_or(Overflow)?;
            let cells = match (rule, self.kind) {
                (Recurrent::Thop, _) if gates == 1 => 0,
                (Recurrent::Thop, _) => 4,
                (_, "GRU" | "GRUCell") => 7,
                (_, "LSTM" | "LSTMCell") => 10,
                _ => 1,
            };
            cost = match rule {
                Recurrent::Thop => {
                    let sums = if biased { 3 } else { 1 };
                    cost.macs_of("products", &of_rows(("in + hidden", width)))
                        .macs_of("sums and biases", &of_rows(("each", sums)))
                }
                Recurrent::Weights | Recurrent::WeightsTwice => {
                    let each = match rule {
                        Recurrent::WeightsTwice => (2 * width).saturating_sub(2),
                        _ => width,
                    };
                    let biases = if biased { 2 } else { 0 };
                    cost.macs_of("weights", &of_rows(("in + out", each)))
                        .macs_of("biases", &of_rows(("each", biases)))
                }
            };
            if cells > 0 {
                let of_cells = factor(&[("hidden", hidden), ("each", cells)]);
                cost = cost.macs_of("gated sums", &of_cells);
            }
        }
        Ok(cost)
    }

    /// Our own products; a whole `LSTM` is one kernel unless it projects. The bias of the first layer's
    /// input is not added within the product if `batch_first` makes the input another one in memory.
    fn recurrent_products(&self, bias: bool, input: &TensorType) -> Result<Cost, Overflow> {
        let is_layer = RECURRENT.contains(&self.kind);
        if self.kind == "LSTM" && self.size("proj_size").unwrap_or(0) == 0 {
            return Ok(Cost::free());
        }
        let cost = self.products(false);
        if !bias || !self.is_on("bias") {
            return Ok(cost);
        }
        let rank = input.shape.len();
        let positions = sizes("positions", &input.shape[..rank.saturating_sub(1)]);
        let layers = if is_layer { self.size("num_layers").unwrap_or(1).into() } else { 1 };
        let directions = if is_layer && self.is_on("bidirectional") { 2 } else { 1 };
        let is_moved = is_layer && rank == 3 && self.is_on("batch_first") && input.shape[0] > 1;
        let pairs = 2 * layers - u128::from(is_moved);
        let hidden = u128::from(self.size("hidden_size").unwrap_or(0));
        let rows = [("biases", pairs), ("directions", directions), ("gates", self.gates())];
        Ok(cost.macs_of("bias", &[&positions[..], &rows, &[("hidden", hidden)]].concat()))
    }

    fn einsum_path(&self) -> Result<u128, Overflow> {
        match einsum::axes_of(self.layer) {
            Some(axes) => einsum_path::flops(axes, self.inputs),
            None => Ok(0),
        }
    }

    /// `abc,abd->acd` or `abc,adc->adb`, whatever the letters.
    fn is_batch_of_products(&self) -> bool {
        let Some(axes) = einsum::axes_of(self.layer) else { return false };
        let ([left, right], output) = (axes.terms, axes.output) else { return false };
        match (left.as_slice(), right.as_slice(), output) {
            ([a, b, c], [d, e, f], [x, y, z]) => {
                let is_first = (d, e) == (a, b) && (x, y, z) == (a, c, f);
                let is_second = (d, f) == (a, c) && (x, y, z) == (a, e, b);
                is_first || is_second
            }
            _ => false,
        }
    }

    fn attention(&self, rule: Attention) -> Cost {
        let sources: Vec<&TensorType> = match self.inputs {
            [query] => vec![query; 3],
            [query, memory] => vec![query, memory, memory],
            _ => self.inputs.iter().take(3).collect(),
        };
        let [query, key, value] = sources[..] else { return Cost::free() };
        let batch_first = self.is_on("batch_first");
        let sizes_of = |ty: &TensorType| -> (u128, u128, u128) {
            let shape: Vec<u128> = ty.shape.iter().map(|size| u128::from(*size)).collect();
            match (shape.as_slice(), batch_first) {
                ([batch, length, features], true) => (*batch, *length, *features),
                ([length, batch, features], false) => (*batch, *length, *features),
                ([length, features], _) => (1, *length, *features),
                _ => (0, 0, 0),
            }
        };
        let (n, l, e) = sizes_of(query);
        let ((_, s, kdim), (_, s_values, vdim)) = (sizes_of(key), sizes_of(value));
        let heads = u128::from(self.size("num_heads").unwrap_or(1).max(1));
        let biased = self.is_on("bias");
        let projections = |cost: Cost| {
            cost.macs_of("query projection", &[("N", n), ("L", l), ("E", e), ("E", e)])
                .macs_of("key projection", &[("N", n), ("S", s), ("kdim", kdim), ("E", e)])
                .macs_of("value projection", &[("N", n), ("S", s_values), ("vdim", vdim), ("E", e)])
                .macs_of("output projection", &[("N", n), ("L", l), ("E", e), ("E", e)])
        };
        let free = Cost::free();
        let extra = u128::from(self.is_on("add_bias_kv")) + u128::from(self.is_on("add_zero_attn"));
        let scores = [("N", n), ("heads", heads), ("L", l), ("S", s + extra)];
        match rule {
            Attention::Products | Attention::Softmax if !self.is_on("need_weights") => free,
            Attention::Products => free.macs_of(
                "scores and sums",
                &[&scores[..], &[("E / heads", e / heads), ("2", 2)]].concat(),
            ),
            Attention::Softmax => free.macs_of("softmax", &scores),
            Attention::Projections { bias } => {
                let cost = projections(free);
                if !bias || !biased {
                    return cost;
                }
                let is_moved = batch_first && n > 1 && query.shape.len() == 3;
                let inputs = if is_moved { 0 } else { l + s + s_values };
                cost.macs_of("biases", &[("N", n), ("lengths", inputs + l), ("E", e)])
            }
            Attention::FastPath => {
                let is_plain = extra == 0;
                let is_self = self.inputs.len() == 1 && query.shape.len() == 3;
                if is_self && batch_first && biased && is_plain && heads % 2 == 0 {
                    return free;
                }
                // Without it the products are those of a fused kernel, unless the weights are asked for.
                let mut cost = projections(free);
                cost.terms.extend(self.attention(Attention::Products).terms);
                cost
            }
            Attention::Ptflops => {
                let (of_queries, of_values) = (e / heads, vdim / heads);
                let cost = free
                    .macs_of("scale", &[("N", n), ("L", l), ("E", e)])
                    .macs_of("query projection", &[("N", n), ("L", l), ("E", e), ("E", e)])
                    .macs_of(
                        "key projection",
                        &[("N", n), ("S", s), ("kdim", kdim), ("kdim", kdim)],
                    )
                    .macs_of(
                        "value projection",
                        &[("N", n), ("S", s_values), ("vdim", vdim), ("vdim", vdim)],
                    )
                    .macs_of(
                        "scores, softmax and sums",
                        &[
                            ("N", n),
                            ("heads", heads),
                            ("L", l),
                            ("S", s),
                            ("features and 1", of_queries + 1 + of_values),
                        ],
                    )
                    .macs_of(
                        "output projection",
                        &[("N", n), ("L", l), ("vdim", vdim), ("vdim + 1", vdim + 1)],
                    );
                if !biased {
                    return cost;
                }
                cost.macs_of("biases", &[("N", n), ("lengths", l + s + s_values), ("E", e)])
            }
        }
    }

    /// `torch.mul` twice and `add` once for each element, and the pooled input with its padding.
    fn local_response(&self, input: &TensorType) -> Cost {
        let all = sizes("input", &input.shape);
        let size = u128::from(self.size("size").unwrap_or(1).max(1));
        let mut padded = all.clone();
        if let Some((name, channels)) = padded.get_mut(1) {
            *name = "C + size - 1";
            *channels += size - 1;
        }
        Cost::free()
            .macs_of("products and sum", &[&all[..], &[("each", 3)]].concat())
            .macs_of("pooled with its padding", &padded)
    }

    fn bilinear(&self, output: &TensorType) -> Cost {
        let features = |index: usize| {
            let last = self.inputs.get(index).and_then(|input| input.shape.last());
            last.map_or(0, |size| u128::from(*size))
        };
        let (first, second) = (features(0), features(1));
        let each = (2 * (first * second + second)).saturating_sub(1);
        let last = output.shape.last().copied().unwrap_or(0);
        Cost::free().macs_of("outputs", &[("out", last.into()), ("each", each)])
    }
}
