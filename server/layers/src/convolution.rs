//! Convolutions.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use smallvec::{SmallVec, smallvec};

use crate::{
    Arg, Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, Shape, TensorType,
    arguments::{first_input, float_input},
    module::one_to_one,
    shape::MAX_SIZE,
};

const MODES: &[&str] = &["zeros", "reflect", "replicate", "circular"];

const fn params(axes: usize) -> [Param; 8] {
    [
        Param::required("out_channels", Kind::Int),
        Param::required("kernel_size", Kind::PerAxis(axes)),
        Param::optional("stride", Kind::PerAxis(axes), "1"),
        Param::optional("padding", Kind::Padding(axes), "0"),
        Param::optional("dilation", Kind::PerAxis(axes), "1"),
        Param::optional("groups", Kind::Int, "1"),
        Param::optional("bias", Kind::Bool, "true"),
        Param::optional("padding_mode", Kind::Choice(MODES), "\"zeros\""),
    ]
}

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Conv1d",
        function: None,
        params: &params(1),
        inputs: Inputs::Named(&["input"]),
        summary: "Slides a kernel along one axis.",
        doc: "`[N, C_in, L]` → `[N, C_out, L_out]`, with `L_out` as for `Conv2d`.\n\n\
              MACs: `N * C_out * L_out * (C_in / groups) * K`; a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html",
        bind: |arguments, inputs| Conv::bind(arguments, inputs, 1),
    },
    Entry {
        name: "Conv2d",
        function: None,
        params: &params(2),
        inputs: Inputs::Named(&["input"]),
        summary: "Slides a kernel over an image.",
        doc: "`[N, C_in, H, W]` → `[N, C_out, H_out, W_out]`, where\n\
              `H_out = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1`.\n\n\
              MACs: `N * C_out * H_out * W_out * (C_in / groups) * K_h * K_w`; \
              a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html",
        bind: |arguments, inputs| Conv::bind(arguments, inputs, 2),
    },
    Entry {
        name: "Conv3d",
        function: None,
        params: &params(3),
        inputs: Inputs::Named(&["input"]),
        summary: "Slides a kernel through a volume.",
        doc: "`[N, C_in, D, H, W]` → `[N, C_out, D_out, H_out, W_out]`, each size as for `Conv2d`.\n\n\
              MACs: `N * C_out * D_out * H_out * W_out * (C_in / groups) * K_d * K_h * K_w`; \
              a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Conv3d.html",
        bind: |arguments, inputs| Conv::bind(arguments, inputs, 3),
    },
];

/// What stands beyond the border of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Zeros,
    Reflect,
    Replicate,
    Circular,
}

impl Mode {
    fn of(arguments: &Arguments) -> Result<Mode, Refusal> {
        Ok(match arguments.text("padding_mode")?.as_str() {
            "reflect" => Mode::Reflect,
            "replicate" => Mode::Replicate,
            "circular" => Mode::Circular,
            _ => Mode::Zeros,
        })
    }
}

#[derive(Debug, PartialEq)]
struct Conv {
    in_channels: u64,
    out_channels: u64,
    window: Window,
    groups: u64,
    bias: bool,
    padding_mode: Mode,
}

impl Conv {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.entry().name;
        let input = first_input(inputs)?;
        let in_channels = channels(name, input, axes)?;
        let out_channels = arguments.size("out_channels", 1)?;
        let groups = arguments.size("groups", 1)?;
        for (channels, what) in [(in_channels, "input"), (out_channels, "output")] {
            if channels % groups != 0 {
                let message = format!(
                    "`groups={groups}` does not divide the {channels} {what} channels of `{name}`"
                );
                return Err(Refusal::argument("groups", message));
            }
        }
        Ok(Box::new(Conv {
            in_channels,
            out_channels,
            window: Window::of_convolution(arguments, axes)?,
            groups,
            bias: arguments.bool("bias")?,
            padding_mode: Mode::of(arguments)?,
        }))
    }
}

/// The channels of an image with or without a batch dimension.
pub(crate) fn channels(name: &str, input: &TensorType, axes: usize) -> Result<u64, Refusal> {
    let input = float_input(name, std::slice::from_ref(input))?;
    let rank = input.shape.len();
    if rank != axes + 1 && rank != axes + 2 {
        let example = ["[N, C, L]", "[N, C, H, W]", "[N, C, D, H, W]"][axes - 1];
        let message = format!("`{name}` takes {example}, not {}", input.shape);
        return Err(Refusal::shape(0, message));
    }
    Ok(input.shape[rank - axes - 1])
}

impl Layer for Conv {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let axes = self.window.kernel.len();
        let channels = channels("this convolution", input, axes)?;
        if channels != self.in_channels {
            let message = format!(
                "this convolution was made for {} channels, not {channels}",
                self.in_channels
            );
            return Err(Refusal::shape(0, message));
        }
        let leading = input.shape.len() - axes - 1;
        let mut sizes = input.shape[..leading].to_vec();
        sizes.push(self.out_channels);
        sizes.extend(self.window.outputs(&input.shape[leading + 1..])?);
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let axes = self.window.kernel.len();
        let mut factors = spatial_factors(&outputs[0].shape, axes);
        let bias = factors.clone();
        factors.push(("(C_in / groups)", (self.in_channels / self.groups).into()));
        let names: &[&'static str] = match axes {
            1 => &["K"],
            2 => &["K_h", "K_w"],
            _ => &["K_d", "K_h", "K_w"],
        };
        factors.extend(
            names.iter().copied().zip(self.window.kernel.iter().map(|size| (*size).into())),
        );
        let cost = Cost::free().macs_of("products", &factors);
        if self.bias { cost.flops_of("bias", &bias) } else { cost }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let mut shape = vec![self.out_channels as usize, (self.in_channels / self.groups) as usize];
        shape.extend(self.window.kernel.iter().map(|size| *size as usize));
        let weight = weights.get(shape, "weight")?;
        let bias = match self.bias {
            true => Some(weights.get(self.out_channels as usize, "bias")?),
            false => None,
        };
        if self.padding_mode != Mode::Zeros {
            let mode = self.padding_mode;
            return one_to_one(move |_| {
                candle_core::bail!("padding_mode {mode:?} is counted, not built")
            });
        }
        let (window, groups) = (self.window.clone(), self.groups as usize);
        one_to_one(move |input| {
            let output = convolve(input, &weight, &window, groups)?;
            match &bias {
                Some(bias) => {
                    let mut shape = vec![1; output.rank()];
                    shape[output.rank() - window.kernel.len() - 1] = bias.dim(0)?;
                    output.broadcast_add(&bias.reshape(shape)?)
                }
                None => Ok(output),
            }
        })
    }
}

/// `N * C_out * H_out * W_out`, by name; a missing batch dimension has no factor.
pub(crate) fn spatial_factors(output: &Shape, axes: usize) -> Vec<(&'static str, u128)> {
    let names: &[&'static str] = match axes {
        1 => &["N", "C_out", "L_out"],
        2 => &["N", "C_out", "H_out", "W_out"],
        _ => &["N", "C_out", "D_out", "H_out", "W_out"],
    };
    let names = &names[names.len().saturating_sub(output.len())..];
    names.iter().copied().zip(output.iter().map(|size| u128::from(*size))).collect()
}

/// A value for each axis of an image.
pub(crate) type PerAxis<T> = SmallVec<[T; 3]>;

/// The window that a convolution or a pool slides over an image, per axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub kernel: PerAxis<u64>,
    pub stride: PerAxis<u64>,
    pub dilation: PerAxis<u64>,
    /// Added before and after each axis.
    pub padding: PerAxis<(u64, u64)>,
    pub ceil_mode: bool,
}

impl Window {
    fn of_convolution(arguments: &Arguments, axes: usize) -> Result<Window, Refusal> {
        let kernel = arguments.per_axis("kernel_size", axes, 1)?;
        let stride = arguments.per_axis("stride", axes, 1)?;
        let dilation = arguments.per_axis("dilation", axes, 1)?;
        let padding = match arguments.get("padding") {
            Arg::Text(text) if text == "valid" => smallvec![(0, 0); axes],
            Arg::Text(text) if text == "same" => {
                if stride.iter().any(|stride| *stride != 1) {
                    let message = "`padding=\"same\"` needs a stride of 1";
                    return Err(Refusal::argument("padding", message));
                }
                let total = kernel.iter().zip(&dilation).map(|(kernel, dilation)| {
                    dilation.checked_mul(kernel - 1).ok_or_else(|| Refusal::overflow("the padding"))
                });
                // An odd amount goes behind, as in PyTorch.
                total
                    .map(|total| total.map(|total| (total / 2, total - total / 2)))
                    .collect::<Result<_, _>>()?
            }
            Arg::Text(text) => {
                let message =
                    format!("`padding` is a whole number, \"same\" or \"valid\", not \"{text}\"");
                return Err(Refusal::argument("padding", message));
            }
            _ => arguments
                .per_axis("padding", axes, 0)?
                .into_iter()
                .map(|size| (size, size))
                .collect(),
        };
        Ok(Window { kernel, stride, dilation, padding, ceil_mode: false })
    }

    /// The sizes of the output.
    pub(crate) fn outputs(&self, sizes: &[u64]) -> Result<Vec<u64>, Refusal> {
        (0..sizes.len()).map(|axis| self.outputs_of(axis, sizes[axis])).collect()
    }

    /// The size of one axis of the output.
    pub(crate) fn outputs_of(&self, axis: usize, size: u64) -> Result<u64, Refusal> {
        let (kernel, stride) = (i128::from(self.kernel[axis]), i128::from(self.stride[axis]));
        let (before, after) = self.padding[axis];
        let reach = i128::from(self.dilation[axis]) * (kernel - 1) + 1;
        let padded = i128::from(size) + i128::from(before) + i128::from(after);
        if reach > padded || size == 0 {
            let with = if before + after > 0 { ", with its padding" } else { "" };
            let message =
                format!("the kernel covers {reach}, but its input has only {padded}{with}");
            return Err(Refusal::shape(0, message));
        }
        let mut output = (padded - reach) / stride + 1;
        if self.ceil_mode && (padded - reach) % stride != 0 {
            // The last window must begin inside the input or its left padding.
            if output * stride < i128::from(size) + i128::from(before) {
                output += 1;
            }
        }
        u64::try_from(output)
            .ok()
            .filter(|size| *size <= MAX_SIZE)
            .ok_or_else(|| Refusal::overflow("the output"))
    }
}

/// A convolution of any number of axes, with everything per axis.
fn convolve(
    input: &Tensor,
    weight: &Tensor,
    window: &Window,
    groups: usize,
) -> CandleResult<Tensor> {
    let axes = window.kernel.len();
    if input.rank() == axes + 1 {
        return convolve(&input.unsqueeze(0)?, weight, window, groups)?.squeeze(0);
    }
    let mut input = input.clone();
    for (axis, (before, after)) in window.padding.iter().enumerate() {
        input = input.pad_with_zeros(axis + 2, *before as usize, *after as usize)?;
    }
    let input = input.contiguous()?;
    let weight = weight.contiguous()?;
    let (stride, dilation) = (window.stride[0] as usize, window.dilation[0] as usize);
    match axes {
        1 => input.conv1d(&weight, 0, stride, dilation, groups),
        2 if all_equal(&window.stride) && all_equal(&window.dilation) => {
            input.conv2d(&weight, 0, stride, dilation, groups)
        }
        _ => convolve_by_windows(&input, &weight, window, groups),
    }
}

fn all_equal(sizes: &[u64]) -> bool {
    sizes.windows(2).all(|pair| pair[0] == pair[1])
}

/// One strided view of the input for each place in the kernel, and one matrix product. Candle has
/// one stride and one dilation for all axes, and no third axis.
fn convolve_by_windows(
    input: &Tensor,
    weight: &Tensor,
    window: &Window,
    groups: usize,
) -> CandleResult<Tensor> {
    let axes = window.kernel.len();
    let (batch, channels) = (input.dim(0)?, input.dim(1)?);
    let mut patches = vec![input.clone()];
    for axis in 0..axes {
        let (kernel, stride) = (window.kernel[axis] as usize, window.stride[axis] as usize);
        let dilation = window.dilation[axis] as usize;
        let size = input.dim(axis + 2)?;
        let count = (size - dilation * (kernel - 1) - 1) / stride + 1;
        let mut next = Vec::with_capacity(patches.len() * kernel);
        for patch in &patches {
            for place in 0..kernel {
                let starts: Vec<u32> =
                    (0..count).map(|index| (place * dilation + index * stride) as u32).collect();
                let starts = Tensor::from_vec(starts, count, input.device())?;
                next.push(patch.index_select(&starts, axis + 2)?);
            }
        }
        patches = next;
    }
    let sizes: Vec<usize> = patches[0].dims()[2..].to_vec();
    let area: usize = sizes.iter().product();
    let places = patches.len();
    // [N, groups, C/groups * places, area]
    let columns =
        Tensor::stack(&patches, 2)?.reshape((batch, groups, channels / groups * places, area))?;
    let out_channels = weight.dim(0)?;
    let kernel = weight
        .reshape((1, groups, out_channels / groups, channels / groups * places))?
        .broadcast_as((batch, groups, out_channels / groups, channels / groups * places))?
        .contiguous()?;
    let output = kernel.matmul(&columns.contiguous()?)?;
    let shape: Vec<usize> = [batch, out_channels].into_iter().chain(sizes).collect();
    output.reshape(shape)
}

#[cfg(test)]
mod tests {
    use crate::{Arg, Arguments, DType, Reason, TensorType, find};

    fn conv2d(named: &[(&str, Arg)], input: [u64; 4]) -> Result<String, (Reason, String)> {
        let input = TensorType::new(DType::F32, input);
        let outputs = || {
            let entry = find("Conv2d").expect("Conv2d");
            let arguments = Arguments::bind(entry, &[Arg::Int(8), Arg::Int(3)], named)?;
            let layer = (entry.bind)(&arguments, std::slice::from_ref(&input))?;
            layer.outputs(std::slice::from_ref(&input))
        };
        match outputs() {
            Ok(outputs) => Ok(outputs[0].shape.to_string()),
            Err(refusal) => Err((refusal.reason, refusal.message)),
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(conv2d(&[], [1, 4, 8, 9]), Ok("[1, 8, 6, 7]".into()));
        assert_eq!(
            conv2d(&[("padding", Arg::Text("same".into()))], [1, 4, 8, 9]),
            Ok("[1, 8, 8, 9]".into())
        );
        let stride = Arg::List(vec![Arg::Int(2), Arg::Int(1)]);
        assert_eq!(conv2d(&[("stride", stride)], [1, 4, 8, 9]), Ok("[1, 8, 3, 7]".into()));
        assert_eq!(conv2d(&[("dilation", Arg::Int(3))], [1, 4, 8, 9]), Ok("[1, 8, 2, 3]".into()));
    }

    #[test]
    fn refusals_name_the_mistake() {
        let refused = |named: &[(&str, Arg)], input| conv2d(named, input).expect_err("a refusal").1;
        assert_eq!(
            refused(&[("groups", Arg::Int(0))], [1, 4, 8, 8]),
            "`groups` of `Conv2d` is at least 1, not 0"
        );
        assert_eq!(
            refused(&[("groups", Arg::Int(3))], [1, 4, 8, 8]),
            "`groups=3` does not divide the 4 input channels of `Conv2d`"
        );
        assert_eq!(
            refused(&[("stride", Arg::Int(0))], [1, 4, 8, 8]),
            "`stride` of `Conv2d` is at least 1, not 0"
        );
        assert_eq!(refused(&[], [1, 4, 2, 8]), "the kernel covers 3, but its input has only 2");
        assert_eq!(
            refused(&[("strides", Arg::Int(2))], [1, 4, 8, 8]),
            "`Conv2d` has no argument `strides`; did you mean `stride`?"
        );
    }
}
