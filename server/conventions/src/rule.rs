//! What the tools count for a call, in multiply-accumulates or operations as each calls them.

use std::collections::BTreeMap;

use layers::{Cost, Overflow, ParameterTensor, TensorType, Unit, einsum_axes, sizes};

use crate::{
    attention::Attention,
    call::Call,
    einsum_path,
    factors::product,
    recurrent::Recurrent,
    windows::{Convolution, Division, Window},
};

/// How a tool counts a kind of layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rule {
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
    /// The same, and biases as the FLOPs that they are.
    ProductsAndBias,
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
    /// For each output element what is in its window, without the padding that does not count, and a quotient.
    AveragePool,
    /// For each output element the sizes of the input by those of the output, and one more.
    AdaptiveAverage(Division),
    /// For each output element what is in its window, as PyTorch takes them, and a quotient.
    AdaptiveAverageOfWindows,
    /// For each output element the sizes of the input by those of the output.
    AdaptiveMaximum,
    /// For each row of `n` elements `n` exponentials, `n - 1` sums, `n` quotients, and more.
    SoftmaxRows { more: u128 },
    /// The same as if all elements were one row.
    SoftmaxOfAll,
    /// For each output element what its mode takes; `nearest` and `trilinear` are the tool's to say.
    Upsample { nearest: u128, trilinear: u128 },
    /// For each output element so many, by mode; of an image only.
    UpsampledImage { nearest: u128, bilinear: u128 },
    /// What `size` is a product of, or else the elements of the input.
    SizeOrInputs,
    /// The elements of the input by the product of the scales.
    Scaled,
    /// What `size` is a product of, or else the elements of the input by the product of the scales.
    SizeOrScaled,
    /// For each step and item the products of the gates and more.
    Recurrent(Recurrent),
    /// The products of cells, and the biases that a fused kernel does not hide.
    RecurrentProducts { bias: bool },
    /// What NumPy says of an einsum.
    EinsumPath,
    /// Half of it, rounded down; of a batch of products that with each other's rows or columns just these.
    HalfOfEinsumPath,
    /// An einsum of two: a product for each element of all axes but those that one of both sums alone.
    EinsumOfTwo,
    /// The products of an attention that no fused kernel of a CPU takes.
    UnfusedAttention,
    /// An attention of four projections.
    Attention(Attention),
    /// For each element of the left factor a row of the right one.
    MatrixProduct,
    /// The MACs of our own rules; nothing with a vector on the right, which is another operator.
    ProductOfMatrices,
    /// What `torch.mul`, `add` and the pooling inside count for.
    LocalResponse,
    /// The elements of the parameters, as often as torchinfo thinks that each is used.
    Parameters,
    /// For each pair of features two operations, less one for each output.
    Bilinear,
}

impl Rule {
    pub(crate) fn cost(self, call: &Call<'_>) -> Result<Cost, Overflow> {
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
            Rule::ProductsAndBias => {
                let mut cost = call.layer.cost(call.inputs, call.outputs);
                cost.terms.retain(|term| term.unit == Unit::Macs || term.name == "bias");
                Cost { cache: 0, ..cost }
            }
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
                let window = call.pooling_window(window)?.checked_add_signed(more);
                each(&outputs, window.ok_or(Overflow)?)
            }
            Rule::AveragePool => free
                .macs_of("windows", &[("in windows", call.average_windows(input, output)?)])
                .macs_of("quotients", &outputs),
            Rule::AdaptiveAverage(division) => {
                free.macs_of("windows", &[("output and windows", call.adaptive(division, 1)?)])
            }
            Rule::AdaptiveAverageOfWindows => {
                let mut cost = call.layer.cost(call.inputs, call.outputs);
                cost.terms.iter_mut().for_each(|term| term.unit = Unit::Macs);
                cost.macs_of("quotients", &outputs)
            }
            Rule::AdaptiveMaximum => {
                free.macs_of("windows", &[("windows", call.adaptive(Division::Floor, 0)?)])
            }
            Rule::SoftmaxRows { more } => {
                softmax(input.shape.numel()?, call.size_of_row(input), more)?
            }
            Rule::SoftmaxOfAll => softmax(input.shape.numel()?, input.shape.numel()?, 0)?,
            Rule::Upsample { nearest, trilinear } => each(
                &outputs,
                match call.mode().as_str() {
                    "linear" => 5,
                    "bilinear" => 11,
                    "bicubic" => 259,
                    "trilinear" => trilinear,
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
            Rule::SizeOrScaled => match call.given_size() {
                Some(size) => free.macs_of("size", &sizes("size", &size)),
                None => Rule::Scaled.cost(call)?,
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
            Rule::EinsumOfTwo => free.macs_of("products", &[("products", call.einsum_of_two()?)]),
            Rule::UnfusedAttention if call.is_fused() => free,
            Rule::UnfusedAttention => call.products(false),
            Rule::Attention(attention) => call.attention(attention),
            Rule::ProductOfMatrices => match call.inputs.get(1) {
                Some(right) if right.shape.len() > 1 => call.products(false),
                _ => free,
            },
            Rule::MatrixProduct => {
                let columns = call.inputs.get(1).and_then(|right| right.shape.last());
                let columns = columns.copied().unwrap_or(0);
                free.macs_of("products", &[inputs, sizes("columns", &[columns])].concat())
            }
            Rule::LocalResponse => call.local_response(input),
            Rule::Parameters => {
                let parameters = layers::parameters(call.layer, input.dtype).unwrap_or_default();
                let own = parameters.iter().filter(|tensor| !tensor.is_buffer);
                let own: Vec<_> = own.map(|tensor| (tensor.name.as_str(), tensor)).collect();
                of_parameters(call.kind, &own, output)?
            }
            Rule::Bilinear => call.bilinear(output),
        })
    }
}

/// For each row of `n` elements `3 n - 1`, and more.
fn softmax(numel: u128, along: u128, more: u128) -> Result<Cost, Overflow> {
    let rows = numel.checked_div(along).unwrap_or(0);
    let each = along.checked_mul(3).ok_or(Overflow)?.saturating_sub(1);
    let name = if more == 0 { "3 n - 1" } else { "3 n" };
    Ok(Cost::free().macs_of("rows", &[("rows", rows), (name, each + more)]))
}

/// What torchinfo counts: the elements of a parameter, for a convolution once for each position and item;
/// for others, if it is named `weight` or `bias`, once for each item, and if its name has more, once for
/// each of the first two sizes.
///
/// # Errors
/// If the count does not fit in 128 bits.
pub(crate) fn of_parameters(
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
    pub(crate) fn products(&self, bias: bool) -> Cost {
        let mut cost = self.layer.cost(self.inputs, self.outputs);
        cost.terms.retain(|term| term.unit == Unit::Macs || bias && term.name == "bias");
        for term in &mut cost.terms {
            term.unit = Unit::Macs;
        }
        cost.cache = 0;
        cost
    }

    pub(crate) fn size(&self, name: &str) -> Option<u64> {
        self.arguments.and_then(|arguments| arguments.size(name, 0).ok())
    }

    pub(crate) fn is_on(&self, name: &str) -> bool {
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
    pub(crate) fn axes(&self) -> usize {
        let digit = self.kind.bytes().find_map(|byte| char::from(byte).to_digit(10));
        digit.unwrap_or(0) as usize
    }

    /// The sizes of an argument that has one for each axis.
    pub(crate) fn per_axis(&self, name: &str) -> Vec<u64> {
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

    /// The size of the rows that a softmax normalizes; of `Softmax2d` they are the channels.
    fn size_of_row(&self, input: &TensorType) -> u128 {
        match (self.kind, input.shape.len().checked_sub(3)) {
            ("Softmax2d", Some(channels)) => input.shape[channels].into(),
            _ => self.size_along("dim", input),
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

    fn einsum_path(&self) -> Result<u128, Overflow> {
        match einsum_axes(self.layer) {
            Some(axes) => einsum_path::flops(axes, self.inputs),
            None => Ok(0),
        }
    }

    /// One product for each element of the axes that remain or that both sum: an axis of one alone, or that one
    /// broadcasts, is summed before.
    fn einsum_of_two(&self) -> Result<u128, Overflow> {
        let Some(axes) = einsum_axes(self.layer) else { return Ok(0) };
        let ([left, right], [first, second]) = (axes.terms, self.inputs) else { return Ok(0) };
        let sizes_of = |term: &[usize], ty: &TensorType| -> BTreeMap<usize, u64> {
            term.iter()
                .copied()
                .zip(ty.shape.iter().copied())
                .filter(|(_, size)| *size != 1)
                .collect()
        };
        let (left, right) = (sizes_of(left, first), sizes_of(right, second));
        let all: BTreeMap<usize, u64> =
            left.iter().chain(&right).map(|(axis, size)| (*axis, *size)).collect();
        let multiplied = all.iter().filter(|(axis, _)| {
            axes.output.contains(axis) || left.contains_key(axis) && right.contains_key(axis)
        });
        let multiplied: Vec<_> = multiplied.map(|(_, size)| ("axis", u128::from(*size))).collect();
        product(&multiplied)
    }

    /// `abc,abd->acd` or `abc,adc->adb`, whatever the letters.
    fn is_batch_of_products(&self) -> bool {
        let Some(axes) = einsum_axes(self.layer) else { return false };
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
