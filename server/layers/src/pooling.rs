//! Pools.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Arg, Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::first_input,
    convolution::{channels, spatial_factors},
    module::one_to_one,
    window::Window,
};

const fn max_params(axes: usize) -> [Param; 6] {
    [
        Param::required("kernel_size", Kind::PerAxis(axes)),
        Param::optional("stride", Kind::PerAxis(axes), "none"),
        Param::optional("padding", Kind::PerAxis(axes), "0"),
        Param::optional("dilation", Kind::PerAxis(axes), "1"),
        Param::optional("return_indices", Kind::Ignored, "false"),
        Param::optional("ceil_mode", Kind::Bool, "false"),
    ]
}

const fn average_params(axes: usize) -> [Param; 6] {
    [
        Param::required("kernel_size", Kind::PerAxis(axes)),
        Param::optional("stride", Kind::PerAxis(axes), "none"),
        Param::optional("padding", Kind::PerAxis(axes), "0"),
        Param::optional("ceil_mode", Kind::Bool, "false"),
        Param::optional("count_include_pad", Kind::Bool, "true"),
        Param::optional("divisor_override", Kind::Int, "none"),
    ]
}

const fn adaptive_params(axes: usize) -> [Param; 1] {
    [Param::required("output_size", Kind::OutputSize(axes))]
}

const POOL_DOC: &str = "`[N, C, *]` → `[N, C, *_out]`, each size as for a convolution; `stride` is `kernel_size` \
    unless given.\n\nFLOPs: the size of the window for each output element.";

const ADAPTIVE_DOC: &str = "`[N, C, *]` → `[N, C, output_size]`, with windows of nearly equal size.\n\n\
    FLOPs: the sum of the sizes of the exact windows.";

macro_rules! pool {
    ($name:literal, $function:literal, $params:expr, $summary:literal, $doc:expr, $bind:expr) => {
        Entry {
            name: $name,
            function: Some($function),
            params: $params,
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: $doc,
            source: concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            bind: $bind,
        }
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    pool!(
        "MaxPool1d",
        "max_pool1d",
        &max_params(1),
        "The largest value of each window.",
        POOL_DOC,
        |a, i| { Pool::bind(a, i, 1, Reduction::Max) }
    ),
    pool!(
        "MaxPool2d",
        "max_pool2d",
        &max_params(2),
        "The largest value of each window.",
        POOL_DOC,
        |a, i| { Pool::bind(a, i, 2, Reduction::Max) }
    ),
    pool!(
        "MaxPool3d",
        "max_pool3d",
        &max_params(3),
        "The largest value of each window.",
        POOL_DOC,
        |a, i| { Pool::bind(a, i, 3, Reduction::Max) }
    ),
    pool!(
        "AvgPool1d",
        "avg_pool1d",
        &average_params(1),
        "The mean of each window.",
        POOL_DOC,
        |a, i| { Pool::bind(a, i, 1, average(a)?) }
    ),
    pool!(
        "AvgPool2d",
        "avg_pool2d",
        &average_params(2),
        "The mean of each window.",
        POOL_DOC,
        |a, i| { Pool::bind(a, i, 2, average(a)?) }
    ),
    pool!(
        "AvgPool3d",
        "avg_pool3d",
        &average_params(3),
        "The mean of each window.",
        POOL_DOC,
        |a, i| { Pool::bind(a, i, 3, average(a)?) }
    ),
    pool!(
        "AdaptiveAvgPool1d",
        "adaptive_avg_pool1d",
        &adaptive_params(1),
        "The mean of as many windows as asked for.",
        ADAPTIVE_DOC,
        |a, i| AdaptivePool::bind(a, i, 1, false)
    ),
    pool!(
        "AdaptiveAvgPool2d",
        "adaptive_avg_pool2d",
        &adaptive_params(2),
        "The mean of as many windows as asked for.",
        ADAPTIVE_DOC,
        |a, i| AdaptivePool::bind(a, i, 2, false)
    ),
    pool!(
        "AdaptiveAvgPool3d",
        "adaptive_avg_pool3d",
        &adaptive_params(3),
        "The mean of as many windows as asked for.",
        ADAPTIVE_DOC,
        |a, i| AdaptivePool::bind(a, i, 3, false)
    ),
    pool!(
        "AdaptiveMaxPool1d",
        "adaptive_max_pool1d",
        &adaptive_params(1),
        "The largest value of as many windows as asked for.",
        ADAPTIVE_DOC,
        |a, i| AdaptivePool::bind(a, i, 1, true)
    ),
    pool!(
        "AdaptiveMaxPool2d",
        "adaptive_max_pool2d",
        &adaptive_params(2),
        "The largest value of as many windows as asked for.",
        ADAPTIVE_DOC,
        |a, i| AdaptivePool::bind(a, i, 2, true)
    ),
    pool!(
        "AdaptiveMaxPool3d",
        "adaptive_max_pool3d",
        &adaptive_params(3),
        "The largest value of as many windows as asked for.",
        ADAPTIVE_DOC,
        |a, i| AdaptivePool::bind(a, i, 3, true)
    ),
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Reduction {
    Max,
    Average { count_padding: bool, divisor: Option<u64> },
}

fn average(arguments: &Arguments) -> Result<Reduction, Refusal> {
    let divisor = match arguments.get("divisor_override") {
        Arg::None => None,
        _ => Some(arguments.size("divisor_override", 1)?),
    };
    Ok(Reduction::Average { count_padding: arguments.bool("count_include_pad")?, divisor })
}

#[derive(Debug, PartialEq)]
struct Pool {
    window: Window,
    reduction: Reduction,
}

impl Pool {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
        reduction: Reduction,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.entry().name;
        channels(name, first_input(inputs)?, axes)?;
        let kernel = arguments.per_axis("kernel_size", axes, 1)?;
        let stride = match arguments.get("stride") {
            Arg::None => kernel.clone(),
            _ => arguments.per_axis("stride", axes, 1)?,
        };
        let padding = arguments.per_axis("padding", axes, 0)?;
        if let Some((padding, kernel)) =
            padding.iter().zip(&kernel).find(|(padding, kernel)| **padding > **kernel / 2)
        {
            let message = format!(
                "`padding={padding}` of `{name}` is more than half of its kernel, {kernel}"
            );
            return Err(Refusal::argument("padding", message));
        }
        let dilation = match reduction {
            Reduction::Max => arguments.per_axis("dilation", axes, 1)?,
            Reduction::Average { .. } => smallvec::smallvec![1; axes],
        };
        let padding = padding.into_iter().map(|size| (size, size)).collect();
        let window =
            Window { kernel, stride, dilation, padding, ceil_mode: arguments.bool("ceil_mode")? };
        Ok(Box::new(Pool { window, reduction }))
    }
}

impl Layer for Pool {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let leading = input.shape.len() - self.window.kernel.len();
        let mut sizes = input.shape[..leading].to_vec();
        sizes.extend(self.window.outputs(&input.shape[leading..])?);
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let mut factors = spatial_factors(&outputs[0].shape, self.window.kernel.len());
        factors.extend(self.window.kernel.iter().map(|size| ("window", u128::from(*size))));
        Cost::free().flops_of("windows", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (window, reduction) = (self.window.clone(), self.reduction);
        one_to_one(move |input| {
            let first = input.rank() - window.kernel.len();
            let mut output = input.clone();
            // A window is a box, so one axis after the other gives the same maximum or sum.
            for axis in 0..window.kernel.len() {
                output = reduce_axis(&output, first + axis, &window, axis, reduction)?;
            }
            match reduction {
                Reduction::Average { divisor: Some(divisor), .. } => output / divisor as f64,
                Reduction::Average { count_padding, .. } => {
                    let mut counts = input.ones_like()?;
                    for axis in 0..window.kernel.len() {
                        let counted = Counted { padding: count_padding };
                        counts = counted.along(&counts, first + axis, &window, axis)?;
                    }
                    output / counts
                }
                Reduction::Max => Ok(output),
            }
        })
    }
}

/// Where the windows of an axis begin and end, with the padding, and cut to it.
fn windows(window: &Window, axis: usize, size: usize) -> CandleResult<Vec<(i64, i64)>> {
    let outputs = match window.outputs_of(axis, size as u64) {
        Ok(outputs) => outputs as i64,
        Err(refusal) => candle_core::bail!("{refusal}"),
    };
    let (kernel, stride) = (window.kernel[axis] as i64, window.stride[axis] as i64);
    let reach = window.dilation[axis] as i64 * (kernel - 1) + 1;
    let before = window.padding[axis].0 as i64;
    Ok((0..outputs)
        .map(|index| (index * stride - before, index * stride - before + reach))
        .collect())
}

/// The maximum or the sum of each window along one axis.
fn reduce_axis(
    x: &Tensor,
    dim: usize,
    window: &Window,
    axis: usize,
    reduction: Reduction,
) -> CandleResult<Tensor> {
    let size = x.dim(dim)? as i64;
    let dilation = window.dilation[axis] as i64;
    let windows = windows(window, axis, size as usize)?;
    let mut reduced = Vec::with_capacity(windows.len());
    for (start, end) in windows {
        let places: Vec<u32> = (start..end)
            .step_by(dilation as usize)
            .filter(|place| (0..size).contains(place))
            .map(|place| place as u32)
            .collect();
        let count = places.len();
        let values =
            x.contiguous()?.index_select(&Tensor::from_vec(places, count, x.device())?, dim)?;
        reduced.push(match reduction {
            Reduction::Max => values.max_keepdim(dim)?,
            Reduction::Average { .. } => values.sum_keepdim(dim)?,
        });
    }
    Tensor::cat(&reduced, dim)
}

/// By what a mean divides: the elements of its window, perhaps with those of the padding.
struct Counted {
    padding: bool,
}

impl Counted {
    fn along(
        &self,
        counts: &Tensor,
        dim: usize,
        window: &Window,
        axis: usize,
    ) -> CandleResult<Tensor> {
        let size = counts.dim(dim)? as i64;
        let after = window.padding[axis].1 as i64;
        let mut slices = Vec::new();
        for (start, end) in windows(window, axis, size as usize)? {
            let inside = end.min(size) - start.max(0);
            let padded = end.min(size + after) - start;
            let count = if self.padding { padded } else { inside };
            slices.push((counts.narrow(dim, 0, 1)? * count as f64)?);
        }
        Tensor::cat(&slices, dim)
    }
}

#[derive(Debug, PartialEq)]
struct AdaptivePool {
    /// `None` keeps the input's size.
    outputs: Vec<Option<u64>>,
    max: bool,
}

impl AdaptivePool {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
        max: bool,
    ) -> Result<Box<dyn Layer>, Refusal> {
        channels(arguments.entry().name, first_input(inputs)?, axes)?;
        let outputs = match arguments.get("output_size") {
            Arg::List(items) if items.len() == axes && items.contains(&Arg::None) => items
                .iter()
                .map(|item| match item {
                    Arg::None => Ok(None),
                    Arg::Int(size) if *size >= 1 => Ok(Some(*size as u64)),
                    _ => Err(Refusal::argument(
                        "output_size",
                        format!("`output_size` is at least 1, not {item}"),
                    )),
                })
                .collect::<Result<_, _>>()?,
            _ => arguments.per_axis("output_size", axes, 1)?.into_iter().map(Some).collect(),
        };
        Ok(Box::new(AdaptivePool { outputs, max }))
    }
}

/// The windows of one axis: from `i * size // outputs` to `(i + 1) * size / outputs`, rounded up.
fn adaptive_windows(size: u64, outputs: u64) -> impl Iterator<Item = (u64, u64)> {
    let (size, outputs) = (u128::from(size), u128::from(outputs));
    (0..outputs).map(move |index| {
        let start = index * size / outputs;
        let end = ((index + 1) * size).div_ceil(outputs);
        (start as u64, end as u64)
    })
}

/// The sum of the sizes of an axis's windows, without listing them: windows overlap by one where
/// `outputs` does not divide their border.
pub(crate) fn adaptive_sum(size: u64, outputs: u64) -> u128 {
    let (size, outputs) = (u128::from(size), u128::from(outputs));
    size + outputs - greatest_common_divisor(size, outputs)
}

fn greatest_common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

impl Layer for AdaptivePool {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let leading = input.shape.len() - self.outputs.len();
        let mut sizes = input.shape[..leading].to_vec();
        for (axis, output) in self.outputs.iter().enumerate() {
            let size = input.shape[leading + axis];
            if size == 0 {
                return Err(Refusal::shape(
                    0,
                    format!("a pool needs at least one element, not {}", input.shape),
                ));
            }
            sizes.push(output.unwrap_or(size));
        }
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let leading = outputs[0].shape.len() - self.outputs.len();
        let mut factors: Vec<_> =
            outputs[0].shape[..leading].iter().map(|size| ("size", u128::from(*size))).collect();
        for (axis, output) in outputs[0].shape[leading..].iter().enumerate() {
            let size = inputs[0].shape[leading + axis];
            factors.push(("windows", adaptive_sum(size, *output)));
        }
        Cost::free().flops_of("windows", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (outputs, max) = (self.outputs.clone(), self.max);
        one_to_one(move |input| {
            let first = input.rank() - outputs.len();
            let mut x = input.clone();
            // The mean of means is the mean, as the windows of two axes form boxes.
            for (axis, output) in outputs.iter().enumerate() {
                let size = x.dim(first + axis)?;
                let mut slices = Vec::new();
                for (start, end) in adaptive_windows(size as u64, output.unwrap_or(size as u64)) {
                    let window = x.narrow(first + axis, start as usize, (end - start) as usize)?;
                    slices.push(match max {
                        true => window.max_keepdim(first + axis)?,
                        false => window.mean_keepdim(first + axis)?,
                    });
                }
                x = Tensor::cat(&slices, first + axis)?;
            }
            Ok(x)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_adaptive_windows_is_exact() {
        for size in 1..40 {
            for outputs in 1..40 {
                let listed: u64 =
                    adaptive_windows(size, outputs).map(|(start, end)| end - start).sum();
                assert_eq!(adaptive_sum(size, outputs), u128::from(listed), "{size} to {outputs}");
            }
        }
    }
}
