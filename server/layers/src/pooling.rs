//! Pools.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{
    PerAxis, Window,
    pool::{Reduction, pool},
};

use crate::{
    Arg, Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::first_input,
    convolution::{channels, spatial_factors},
    module::one_to_one,
    window,
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
            ..Entry::PLAIN
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
        let name = arguments.signature().name;
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
        sizes.extend(window::outputs(&self.window, &input.shape[leading..])?);
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let mut factors = spatial_factors(&outputs[0].shape, self.window.kernel.len());
        factors.extend(self.window.kernel.iter().map(|size| ("window", u128::from(*size))));
        Cost::free().flops_of("windows", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (window, reduction) = (self.window.clone(), self.reduction);
        one_to_one(move |input| pool(input, &window, reduction))
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
        channels(arguments.signature().name, first_input(inputs)?, axes)?;
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

/// The window of a plain pool that does the same, where every output has as many elements.
fn equal_windows(sizes: &[usize], outputs: &[Option<u64>]) -> Option<Window> {
    let size_of = |(size, output): (&usize, &Option<u64>)| {
        let output = output.unwrap_or(*size as u64);
        (output > 0 && (*size as u64).is_multiple_of(output)).then(|| *size as u64 / output)
    };
    let kernel = sizes.iter().zip(outputs).map(size_of).collect::<Option<PerAxis<u64>>>()?;
    let axes = kernel.len();
    Some(Window {
        stride: kernel.clone(),
        kernel,
        dilation: smallvec::smallvec![1; axes],
        padding: smallvec::smallvec![(0, 0); axes],
        ceil_mode: false,
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
            let sizes = &input.dims()[first..];
            if let Some(window) = equal_windows(sizes, &outputs) {
                return pool(input, &window, if max { Reduction::Max } else { Reduction::MEAN });
            }
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
