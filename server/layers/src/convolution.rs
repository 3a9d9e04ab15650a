//! Convolutions.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{
    PerAxis, Window, broadcast,
    conv::{convolve, convolve_transposed},
    pad::Fill,
};

use crate::{
    Arg, Arguments, Cost, Entry, GivenByInput, Inputs, Kind, Layer, Module, Param, Refusal, Shape,
    TensorType,
    arguments::{first_input, float_input},
    module::one_to_one,
    padding::padded,
    window,
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

const fn transposed_params(axes: usize) -> [Param; 9] {
    [
        Param::required("out_channels", Kind::Int),
        Param::required("kernel_size", Kind::PerAxis(axes)),
        Param::optional("stride", Kind::PerAxis(axes), "1"),
        Param::optional("padding", Kind::PerAxis(axes), "0"),
        Param::optional("output_padding", Kind::PerAxis(axes), "0"),
        Param::optional("groups", Kind::Int, "1"),
        Param::optional("bias", Kind::Bool, "true"),
        Param::optional("dilation", Kind::PerAxis(axes), "1"),
        Param::optional("padding_mode", Kind::Choice(&["zeros"]), "\"zeros\""),
    ]
}

macro_rules! transposed {
    ($name:literal, $function:literal, $axes:literal, $input:literal, $output:literal, $size:literal, $macs:literal) => {
        Entry {
            name: $name,
            function: Some($function),
            params: &transposed_params($axes),
            inputs: Inputs::Named(&["input"]),
            summary: "Spreads each input element over a kernel's reach.",
            doc: concat!(
                "`", $input, "` → `", $output, "`, where\n`", $size, "_out = (", $size,
                " - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1`.\n\n",
                "MACs: `", $macs, "`; a bias adds 1 FLOP per output element."
            ),
            source: concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $name, ".html"),
            bind: |arguments, inputs| ConvTranspose::bind(arguments, inputs, $axes),
            given_by_input: &[GivenByInput {
                is_doubtful: has_unlikely_kernel,
                ..GivenByInput::first("in_channels", |inputs| channels_of(inputs, $axes))
            }],
            ..Entry::PLAIN
        }
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Conv1d",
        function: Some("conv1d"),
        params: &params(1),
        inputs: Inputs::Named(&["input"]),
        summary: "Slides a kernel along one axis.",
        doc: "`[N, C_in, L]` → `[N, C_out, L_out]`, with `L_out` as for `Conv2d`.\n\n\
              MACs: `N * C_out * L_out * (C_in / groups) * K`; a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html",
        bind: |arguments, inputs| Conv::bind(arguments, inputs, 1),
        given_by_input: &[GivenByInput {
            is_doubtful: has_unlikely_kernel,
            ..GivenByInput::first("in_channels", |inputs| channels_of(inputs, 1))
        }],
        ..Entry::PLAIN
    },
    Entry {
        name: "Conv2d",
        function: Some("conv2d"),
        params: &params(2),
        inputs: Inputs::Named(&["input"]),
        summary: "Slides a kernel over an image.",
        doc: "`[N, C_in, H, W]` → `[N, C_out, H_out, W_out]`, where\n\
              `H_out = (H + 2 * padding - dilation * (kernel_size - 1) - 1) // stride + 1`.\n\n\
              MACs: `N * C_out * H_out * W_out * (C_in / groups) * K_h * K_w`; \
              a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html",
        bind: |arguments, inputs| Conv::bind(arguments, inputs, 2),
        given_by_input: &[GivenByInput {
            is_doubtful: has_unlikely_kernel,
            ..GivenByInput::first("in_channels", |inputs| channels_of(inputs, 2))
        }],
        ..Entry::PLAIN
    },
    Entry {
        name: "Conv3d",
        function: Some("conv3d"),
        params: &params(3),
        inputs: Inputs::Named(&["input"]),
        summary: "Slides a kernel through a volume.",
        doc: "`[N, C_in, D, H, W]` → `[N, C_out, D_out, H_out, W_out]`, each size as for `Conv2d`.\n\n\
              MACs: `N * C_out * D_out * H_out * W_out * (C_in / groups) * K_d * K_h * K_w`; \
              a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Conv3d.html",
        bind: |arguments, inputs| Conv::bind(arguments, inputs, 3),
        given_by_input: &[GivenByInput {
            is_doubtful: has_unlikely_kernel,
            ..GivenByInput::first("in_channels", |inputs| channels_of(inputs, 3))
        }],
        ..Entry::PLAIN
    },
    transposed!(
        "ConvTranspose1d",
        "conv_transpose1d",
        1,
        "[N, C_in, L]",
        "[N, C_out, L_out]",
        "L",
        "N * C_in * L * (C_out / groups) * K"
    ),
    transposed!(
        "ConvTranspose2d",
        "conv_transpose2d",
        2,
        "[N, C_in, H, W]",
        "[N, C_out, H_out, W_out]",
        "H",
        "N * C_in * H * W * (C_out / groups) * K_h * K_w"
    ),
    transposed!(
        "ConvTranspose3d",
        "conv_transpose3d",
        3,
        "[N, C_in, D, H, W]",
        "[N, C_out, D_out, H_out, W_out]",
        "D",
        "N * C_in * D * H * W * (C_out / groups) * K_d * K_h * K_w"
    ),
];

/// The channels of an image, if it has them where convolutions look.
pub(crate) fn channels_of(inputs: &[TensorType], axes: usize) -> Option<u64> {
    channels("", inputs.first()?, axes).ok()
}

/// Whether kernel and stride would rather be the channels and the kernel of PyTorch's
/// `(in_channels, out_channels, kernel_size)`: kernels are small, and odd if they are not the stride.
fn has_unlikely_kernel(arguments: &Arguments) -> bool {
    let largest = |value: Arg| match value {
        Arg::Int(value) => Some(value),
        Arg::List(items) => items
            .iter()
            .filter_map(|item| match item {
                Arg::Int(value) => Some(*value),
                _ => None,
            })
            .max(),
        _ => None,
    };
    let (kernel, stride) = (arguments.get("kernel_size"), arguments.get("stride"));
    let (kernel, stride) = (largest(kernel), largest(stride));
    let Some((kernel, stride)) = kernel.zip(stride) else { return false };
    let is_even = kernel % 2 == 0;
    kernel > 31 || stride > kernel || (is_even && kernel != stride && (kernel >= 6 || stride == 3))
}

/// What stands beyond the border of an image.
fn padding_mode(arguments: &Arguments) -> Result<Fill, Refusal> {
    Ok(match arguments.text("padding_mode")?.as_str() {
        "reflect" => Fill::Reflect,
        "replicate" => Fill::Replicate,
        "circular" => Fill::Circular,
        _ => Fill::Constant(0.0),
    })
}

#[derive(Debug, PartialEq)]
struct Conv {
    in_channels: u64,
    out_channels: u64,
    window: Window,
    groups: u64,
    bias: bool,
    padding_mode: Fill,
}

impl Conv {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.signature().name;
        let input = first_input(inputs)?;
        let in_channels = channels(name, input, axes)?;
        let out_channels = arguments.size("out_channels", 1)?;
        let groups = groups(arguments, in_channels, out_channels)?;
        Ok(Box::new(Conv {
            in_channels,
            out_channels,
            window: window::of_convolution(arguments, axes)?,
            groups,
            bias: arguments.bool("bias")?,
            padding_mode: padding_mode(arguments)?,
        }))
    }
}

/// The number of groups, which divides the channels.
fn groups(arguments: &Arguments, in_channels: u64, out_channels: u64) -> Result<u64, Refusal> {
    let groups = arguments.size("groups", 1)?;
    for (channels, what) in [(in_channels, "input"), (out_channels, "output")] {
        if channels % groups != 0 {
            let message = format!(
                "`groups={groups}` does not divide the {channels} {what} channels of `{}`",
                arguments.signature().name
            );
            return Err(Refusal::argument("groups", message));
        }
    }
    Ok(groups)
}

/// Refuses an input with other channels than the layer was made for.
fn check_channels(input: &TensorType, axes: usize, made_for: u64) -> Result<(), Refusal> {
    let channels = channels("this convolution", input, axes)?;
    if channels == made_for {
        return Ok(());
    }
    let message = format!("this convolution was made for {made_for} channels, not {channels}");
    Err(Refusal::shape(0, message))
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
        check_channels(input, axes, self.in_channels)?;
        let leading = input.shape.len() - axes - 1;
        for (size, (before, after)) in input.shape[leading + 1..].iter().zip(&self.window.padding) {
            padded(self.padding_mode, "padding", *size, *before as i64, *after as i64)?;
        }
        let mut sizes = input.shape[..leading].to_vec();
        sizes.push(self.out_channels);
        sizes.extend(window::outputs(&self.window, &input.shape[leading + 1..])?);
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let axes = self.window.kernel.len();
        let mut factors = spatial_factors(&outputs[0].shape, axes);
        let bias = factors.clone();
        factors.push(("(C_in / groups)", (self.in_channels / self.groups).into()));
        factors.extend(
            kernel_names(axes)
                .iter()
                .copied()
                .zip(self.window.kernel.iter().map(|size| (*size).into())),
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
        let (window, groups, fill) = (self.window.clone(), self.groups as usize, self.padding_mode);
        one_to_one(move |input| {
            let output = convolve(input, &weight, &window, groups, fill)?;
            add_bias(output, bias.as_ref(), window.kernel.len())
        })
    }
}

/// Adds a number to each channel.
fn add_bias(output: Tensor, bias: Option<&Tensor>, axes: usize) -> CandleResult<Tensor> {
    let Some(bias) = bias else { return Ok(output) };
    let mut shape = vec![1; output.rank()];
    shape[output.rank() - axes - 1] = bias.dim(0)?;
    broadcast::add(&output, &bias.reshape(shape)?)
}

/// The names of a kernel's sizes in a formula.
fn kernel_names(axes: usize) -> &'static [&'static str] {
    match axes {
        1 => &["K"],
        2 => &["K_h", "K_w"],
        _ => &["K_d", "K_h", "K_w"],
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

/// A convolution turned around: its output is the input of the convolution with the same arguments.
#[derive(Debug, PartialEq)]
struct ConvTranspose {
    in_channels: u64,
    out_channels: u64,
    window: Window,
    output_padding: PerAxis<u64>,
    groups: u64,
    bias: bool,
}

impl ConvTranspose {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let in_channels = channels(arguments.signature().name, first_input(inputs)?, axes)?;
        let out_channels = arguments.size("out_channels", 1)?;
        let window = window::of_convolution(arguments, axes)?;
        let output_padding = arguments.per_axis("output_padding", axes, 0)?;
        for (axis, extra) in output_padding.iter().enumerate() {
            if *extra >= window.stride[axis].max(window.dilation[axis]) {
                let message = format!(
                    "`output_padding={extra}` is less than the stride or the dilation, {} and {}",
                    window.stride[axis], window.dilation[axis]
                );
                return Err(Refusal::argument("output_padding", message));
            }
        }
        Ok(Box::new(ConvTranspose {
            in_channels,
            out_channels,
            window,
            output_padding,
            groups: groups(arguments, in_channels, out_channels)?,
            bias: arguments.bool("bias")?,
        }))
    }

    fn output_size(&self, axis: usize, size: u64) -> Result<u64, Refusal> {
        let window = &self.window;
        let of = |sizes: &PerAxis<u64>| i128::from(sizes[axis]);
        let output = (i128::from(size) - 1) * of(&window.stride)
            - 2 * i128::from(window.padding[axis].0)
            + of(&window.dilation) * (of(&window.kernel) - 1)
            + of(&self.output_padding)
            + 1;
        if output < 1 {
            return Err(Refusal::shape(0, format!("this gives an output of size {output}")));
        }
        u64::try_from(output)
            .ok()
            .filter(|size| *size <= crate::MAX_SIZE)
            .ok_or_else(|| Refusal::overflow("the output"))
    }
}

impl Layer for ConvTranspose {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let axes = self.window.kernel.len();
        check_channels(input, axes, self.in_channels)?;
        let leading = input.shape.len() - axes - 1;
        let mut sizes = input.shape[..leading].to_vec();
        sizes.push(self.out_channels);
        for (axis, size) in input.shape[leading + 1..].iter().enumerate() {
            sizes.push(self.output_size(axis, *size)?);
        }
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        let axes = self.window.kernel.len();
        let names: &[&'static str] = match axes {
            1 => &["N", "C_in", "L"],
            2 => &["N", "C_in", "H", "W"],
            _ => &["N", "C_in", "D", "H", "W"],
        };
        let shape = &inputs[0].shape;
        let names = &names[names.len().saturating_sub(shape.len())..];
        let mut factors: Vec<_> =
            names.iter().copied().zip(shape.iter().map(|size| u128::from(*size))).collect();
        factors.push(("(C_out / groups)", (self.out_channels / self.groups).into()));
        let kernel = self.window.kernel.iter().map(|size| u128::from(*size));
        factors.extend(kernel_names(axes).iter().copied().zip(kernel));
        let cost = Cost::free().macs_of("products", &factors);
        if self.bias {
            cost.flops_of("bias", &spatial_factors(&outputs[0].shape, axes))
        } else {
            cost
        }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (inputs, outputs) = (self.in_channels as usize, self.out_channels as usize);
        let groups = self.groups as usize;
        let mut shape = vec![inputs, outputs / groups];
        shape.extend(self.window.kernel.iter().map(|size| *size as usize));
        let weight = weights.get(shape, "weight")?;
        let bias = if self.bias { Some(weights.get(outputs, "bias")?) } else { None };
        let (window, output_padding) = (self.window.clone(), self.output_padding.clone());
        one_to_one(move |input| {
            let output = convolve_transposed(input, &weight, &window, &output_padding, groups)?;
            add_bias(output, bias.as_ref(), window.kernel.len())
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Arg, DType, Reason, TensorType, find};

    fn conv2d(named: &[(&str, Arg)], input: [u64; 4]) -> Result<String, (Reason, String)> {
        let input = TensorType::new(DType::F32, input);
        let outputs = || {
            let entry = find("Conv2d").expect("Conv2d");
            let arguments = entry.arguments(&[Arg::Int(8), Arg::Int(3)], named)?;
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
