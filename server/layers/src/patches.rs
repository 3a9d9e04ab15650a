//! Elements moved between channels and space.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{PerAxis, Window, conv::window_places, pad::Fill};

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, MAX_SIZE, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    module::one_to_one,
    window,
};

macro_rules! moved {
    ($name:literal, $function:expr, $page:literal, $param:literal, $summary:literal, $doc:literal, $bind:expr) => {
        Entry {
            name: $name,
            function: $function,
            params: &[Param::required($param, Kind::Int)],
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: concat!($doc, " It costs no FLOP."),
            source: concat!("https://pytorch.org/docs/stable/generated/torch.nn.", $page, ".html"),
            bind: $bind,
            ..Entry::PLAIN
        }
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    moved!(
        "PixelShuffle",
        Some("pixel_shuffle"),
        "PixelShuffle",
        "upscale_factor",
        "Moves channels into space.",
        "`[*, C * r * r, H, W]` → `[*, C, H * r, W * r]`.",
        |arguments, inputs| Shuffle::bind(arguments, inputs, "upscale_factor", Direction::Up)
    ),
    moved!(
        "PixelUnshuffle",
        Some("pixel_unshuffle"),
        "PixelUnshuffle",
        "downscale_factor",
        "Moves space into channels.",
        "`[*, C, H * r, W * r]` → `[*, C * r * r, H, W]`.",
        |arguments, inputs| Shuffle::bind(arguments, inputs, "downscale_factor", Direction::Down)
    ),
    moved!(
        "DepthToSpace",
        None,
        "PixelShuffle",
        "block_size",
        "Moves channels into space, as ONNX's `DepthToSpace` in its DCR mode.",
        "`[N, r * r * C, H, W]` → `[N, C, H * r, W * r]`; the place in a block is the outer part of a channel's number.",
        |arguments, inputs| Shuffle::bind(arguments, inputs, "block_size", Direction::UpOuter)
    ),
    moved!(
        "SpaceToDepth",
        None,
        "PixelUnshuffle",
        "block_size",
        "Moves space into channels, as ONNX's `SpaceToDepth`.",
        "`[N, C, H * r, W * r]` → `[N, r * r * C, H, W]`; the place in a block is the outer part of a channel's number.",
        |arguments, inputs| Shuffle::bind(arguments, inputs, "block_size", Direction::DownOuter)
    ),
    moved!(
        "ChannelShuffle",
        Some("channel_shuffle"),
        "ChannelShuffle",
        "groups",
        "Deals the channels of groups in turn.",
        "`[N, groups * C, *]` → the same shape, with channel `c * groups + g` from place `c` of group `g`.",
        |arguments, inputs| {
            let input = first_input(inputs)?;
            let groups = arguments.size("groups", 1)?;
            match input.shape.get(1) {
                Some(channels) if input.shape.len() > 2 && channels % groups == 0 => {
                    Ok(Box::new(ChannelShuffle { groups }))
                }
                Some(channels) if input.shape.len() > 2 => {
                    let message =
                        format!("`groups={groups}` does not divide the {channels} channels");
                    Err(Refusal::argument("groups", message))
                }
                _ => {
                    let message = format!("`ChannelShuffle` takes [N, C, *], not {}", input.shape);
                    Err(Refusal::shape(0, message))
                }
            }
        }
    ),
    Entry {
        name: "Unfold",
        function: Some("unfold"),
        params: &[
            Param::required("kernel_size", Kind::PerAxis(2)),
            Param::optional("dilation", Kind::PerAxis(2), "1"),
            Param::optional("padding", Kind::PerAxis(2), "0"),
            Param::optional("stride", Kind::PerAxis(2), "1"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "The windows of an image as columns.",
        doc: "`[N, C, H, W]` → `[N, C * K_h * K_w, windows]`. It costs no FLOP.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Unfold.html",
        bind: Unfold::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "Fold",
        function: Some("fold"),
        params: &[
            Param::required("output_size", Kind::PerAxis(2)),
            Param::required("kernel_size", Kind::PerAxis(2)),
            Param::optional("dilation", Kind::PerAxis(2), "1"),
            Param::optional("padding", Kind::PerAxis(2), "0"),
            Param::optional("stride", Kind::PerAxis(2), "1"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "An image as the sum of windows.",
        doc: "`[N, C * K_h * K_w, windows]` → `[N, C, H, W]`; where windows overlap they add up.\n\n\
              1 FLOP per input element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Fold.html",
        bind: Fold::bind,
        ..Entry::PLAIN
    },
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Direction {
    /// The place in a block is the inner part of a channel's number.
    Up,
    Down,
    /// It is the outer part.
    UpOuter,
    DownOuter,
}

#[derive(Debug, Clone, PartialEq)]
struct Shuffle {
    factor: u64,
    direction: Direction,
    argument: &'static str,
}

impl Shuffle {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        argument: &'static str,
        direction: Direction,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let input = first_input(inputs)?;
        if input.shape.len() < 3 {
            let name = arguments.signature().name;
            let message = format!("`{name}` takes [*, C, H, W], not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        let factor = arguments.size(argument, 1)?;
        if factor.checked_mul(factor).is_none() {
            return Err(Refusal::overflow("the square of the factor"));
        }
        Ok(Box::new(Shuffle { factor, direction, argument }))
    }

    fn ups(&self) -> bool {
        matches!(self.direction, Direction::Up | Direction::UpOuter)
    }
}

impl Layer for Shuffle {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let rank = input.shape.len();
        let (factor, square) = (self.factor, self.factor * self.factor);
        let (leading, tail) = input.shape.split_at(rank - 3);
        let [channels, height, width] = *tail else {
            return Err(Refusal::shape(0, format!("[*, C, H, W] is needed, not {}", input.shape)));
        };
        let refuse = |size: u64, what: &str, divisor: u64| {
            let name = self.argument;
            let message =
                format!("`{name}={factor}` needs {what} that {divisor} divides, not {size}");
            Err(Refusal::shape(0, message))
        };
        let times = |size: u64, factor: u64| {
            size.checked_mul(factor)
                .filter(|size| *size <= MAX_SIZE)
                .ok_or_else(|| Refusal::overflow("the output"))
        };
        let tail = if self.ups() {
            if channels % square != 0 {
                return refuse(channels, "channels", square);
            }
            [channels / square, times(height, factor)?, times(width, factor)?]
        } else {
            for (size, what) in [(height, "a height"), (width, "a width")] {
                if size % factor != 0 {
                    return refuse(size, what, factor);
                }
            }
            [times(channels, square)?, height / factor, width / factor]
        };
        Ok(vec![input.with_shape([leading, &tail[..]].concat())])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let shuffle = self.clone();
        one_to_one(move |input| {
            let dims = input.dims();
            let (leading, r) = (dims[..dims.len() - 3].to_vec(), shuffle.factor as usize);
            let flat: usize = leading.iter().product();
            let [c, h, w] = [dims.len() - 3, dims.len() - 2, dims.len() - 1].map(|dim| dims[dim]);
            let (output, sizes) = if shuffle.ups() {
                let c = c / (r * r);
                let split = match shuffle.direction {
                    Direction::Up => input.reshape(&[flat, c, r, r, h, w][..])?,
                    _ => input.reshape(&[flat, r, r, c, h, w][..])?.permute([0, 3, 1, 2, 4, 5])?,
                };
                (split.permute([0, 1, 4, 2, 5, 3])?, vec![c, h * r, w * r])
            } else {
                let (h, w) = (h / r, w / r);
                let split = input.reshape(&[flat, c, h, r, w, r][..])?;
                let order = match shuffle.direction {
                    Direction::Down => [0, 1, 3, 5, 2, 4],
                    _ => [0, 3, 5, 1, 2, 4],
                };
                (split.permute(order)?, vec![c * r * r, h, w])
            };
            output.reshape([leading, sizes].concat())
        })
    }
}

#[derive(Debug, PartialEq)]
struct ChannelShuffle {
    groups: u64,
}

impl Layer for ChannelShuffle {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let groups = self.groups as usize;
        one_to_one(move |input| {
            let (batch, channels) = (input.dim(0)?, input.dim(1)?);
            let split = input.reshape((batch, groups, channels / groups, ()))?;
            split.transpose(1, 2)?.reshape(input.shape())
        })
    }
}

fn window_of(arguments: &Arguments) -> Result<Window, Refusal> {
    let padding = arguments.per_axis("padding", 2, 0)?;
    Ok(Window {
        kernel: arguments.per_axis("kernel_size", 2, 1)?,
        stride: arguments.per_axis("stride", 2, 1)?,
        dilation: arguments.per_axis("dilation", 2, 1)?,
        padding: padding.into_iter().map(|size| (size, size)).collect(),
        ceil_mode: false,
    })
}

#[derive(Debug, Clone, PartialEq)]
struct Unfold {
    window: Window,
}

impl Unfold {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = first_input(inputs)?;
        if !matches!(input.shape.len(), 3 | 4) {
            let message = format!("`Unfold` takes [N, C, H, W], not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        Ok(Box::new(Unfold { window: window_of(arguments)? }))
    }
}

/// The product of sizes as a size.
fn joined(sizes: impl IntoIterator<Item = u64>) -> Result<u64, Refusal> {
    let product = crate::product(sizes)?;
    u64::try_from(product)
        .ok()
        .filter(|size| *size <= MAX_SIZE)
        .ok_or_else(|| Refusal::overflow("the output"))
}

impl Layer for Unfold {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let leading = input.shape.len() - 3;
        let windows = window::outputs(&self.window, &input.shape[leading + 1..])?;
        let channels = [input.shape[leading]].into_iter().chain(self.window.kernel.iter().copied());
        let mut sizes = input.shape[..leading].to_vec();
        sizes.extend([joined(channels)?, joined(windows)?]);
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let window = self.window.clone();
        one_to_one(move |input| {
            if input.rank() == 3 {
                return unfold(&input.unsqueeze(0)?, &window)?.squeeze(0);
            }
            unfold(input, &window)
        })
    }
}

fn unfold(input: &Tensor, window: &Window) -> CandleResult<Tensor> {
    let (batch, channels) = (input.dim(0)?, input.dim(1)?);
    let mut padded = input.clone();
    for (axis, (before, after)) in window.padding.iter().enumerate() {
        padded = Fill::Constant(0.0).pad(&padded, axis + 2, *before as i64, *after as i64)?;
    }
    let patches = window_places(&padded, window)?;
    let places = patches.len();
    // [N, C, places, H_out, W_out]
    Tensor::stack(&patches, 2)?.reshape((batch, channels * places, ()))
}

#[derive(Debug, Clone, PartialEq)]
struct Fold {
    output_size: PerAxis<u64>,
    window: Window,
}

impl Fold {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("Fold", inputs)?;
        if !matches!(input.shape.len(), 2 | 3) {
            let message = format!("`Fold` takes [N, C * K_h * K_w, windows], not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        let output_size = arguments.per_axis("output_size", 2, 1)?;
        Ok(Box::new(Fold { output_size, window: window_of(arguments)? }))
    }
}

impl Layer for Fold {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let leading = input.shape.len() - 2;
        let (columns, windows) = (input.shape[leading], input.shape[leading + 1]);
        let places = joined(self.window.kernel.iter().copied())?;
        if columns % places != 0 {
            let message = format!("the kernel has {places} places, which do not divide {columns}");
            return Err(Refusal::shape(0, message));
        }
        let expected = joined(window::outputs(&self.window, &self.output_size)?)?;
        if windows != expected {
            let message = format!("this output has {expected} windows; the input has {windows}");
            return Err(Refusal::shape(0, message));
        }
        let mut sizes = input.shape[..leading].to_vec();
        sizes.push(columns / places);
        sizes.extend(self.output_size.iter());
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free().per_element("sums", 1, &inputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let fold = self.clone();
        one_to_one(move |input| {
            if input.rank() == 2 {
                return fold.run(&input.unsqueeze(0)?)?.squeeze(0);
            }
            fold.run(input)
        })
    }
}

impl Fold {
    /// Each column is added where its window lies; windows are few, so places are counted on the host.
    fn run(&self, input: &Tensor) -> CandleResult<Tensor> {
        let window = &self.window;
        let outputs = match window::outputs(window, &self.output_size) {
            Ok(outputs) => outputs,
            Err(refusal) => candle_core::bail!("{refusal}"),
        };
        let padded: Vec<i64> = (0..2)
            .map(|axis| self.output_size[axis] as i64 + 2 * window.padding[axis].0 as i64)
            .collect();
        let mut targets = Vec::new();
        for ky in 0..window.kernel[0] * window.dilation[0] {
            for kx in 0..window.kernel[1] * window.dilation[1] {
                if ky % window.dilation[0] != 0 || kx % window.dilation[1] != 0 {
                    continue;
                }
                for y in 0..outputs[0] {
                    for x in 0..outputs[1] {
                        let row = y * window.stride[0] + ky;
                        targets.push((row * padded[1] as u64 + x * window.stride[1] + kx) as u32);
                    }
                }
            }
        }
        let (batch, columns) = (input.dim(0)?, input.dim(1)?);
        let places: usize = window.kernel.iter().map(|size| *size as usize).product();
        let channels = columns / places;
        let count = targets.len();
        let targets = Tensor::from_vec(targets, count, input.device())?;
        let values = input.reshape((batch * channels, count))?.contiguous()?;
        let area = (padded[0] * padded[1]) as usize;
        let sums = Tensor::zeros((batch * channels, area), input.dtype(), input.device())?
            .index_add(&targets, &values, 1)?;
        let mut image = sums.reshape((batch, channels, padded[0] as usize, padded[1] as usize))?;
        for axis in 0..2 {
            let padding = window.padding[axis].0 as i64;
            image = Fill::Constant(0.0).pad(&image, axis + 2, -padding, -padding)?;
        }
        Ok(image)
    }
}
