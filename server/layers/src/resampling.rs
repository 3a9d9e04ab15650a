//! Images at other sizes, and values read between their elements.

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::matmul::matmul;

use crate::{
    Arg, Arguments, Cost, Entry, Inputs, Kind, Layer, MAX_SIZE, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    cost::sizes,
    module::{one_to_one, unbuilt},
};

const MODES: &[&str] =
    &["nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "area"];

const SIZE: Param = Param::optional("size", Kind::Ints, "none");
const SCALE: Param = Param::optional("scale_factor", Kind::Floats, "none");
const MODE: Param = Param::optional("mode", Kind::Choice(MODES), "\"nearest\"");
const ALIGN: Param = Param::optional("align_corners", Kind::Bool, "none");
const RECOMPUTE: Param = Param::optional("recompute_scale_factor", Kind::Bool, "none");

const DOC: &str = "`[N, C, *]` → `[N, C, *_out]`, where each size is given, or `*_out = floor(* * scale_factor)`.\n\n\
    FLOPs per output element, for the products and sums of the elements it is made of: nearest 0, linear 3, \
    bilinear 7, trilinear 15, bicubic 31; area: the sum of the sizes of the exact windows.";

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Upsample",
        params: &[SIZE, SCALE, MODE, ALIGN, RECOMPUTE],
        inputs: Inputs::Named(&["input"]),
        summary: "An image at another size.",
        doc: DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Upsample.html",
        bind: bind_by_name,
        ..Entry::PLAIN
    },
    Entry {
        name: "Interpolate",
        function: Some("interpolate"),
        params: &[
            SIZE,
            SCALE,
            MODE,
            ALIGN,
            RECOMPUTE,
            Param::optional("antialias", Kind::Bool, "false"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "An image at another size; with `antialias` it is counted and not built.",
        doc: DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html",
        bind: bind_by_name,
        ..Entry::PLAIN
    },
    Entry {
        name: "UpsamplingNearest2d",
        params: &[SIZE, SCALE],
        inputs: Inputs::Named(&["input"]),
        summary: "`Upsample` with `mode=\"nearest\"`.",
        doc: DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.UpsamplingNearest2d.html",
        bind: |arguments, inputs| Interpolate::bind(arguments, inputs, Mode::Nearest, false),
        ..Entry::PLAIN
    },
    Entry {
        name: "UpsamplingBilinear2d",
        params: &[SIZE, SCALE],
        inputs: Inputs::Named(&["input"]),
        summary: "`Upsample` with `mode=\"bilinear\"` and `align_corners=true`.",
        doc: DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.UpsamplingBilinear2d.html",
        bind: |arguments, inputs| Interpolate::bind(arguments, inputs, Mode::Linear(2), true),
        ..Entry::PLAIN
    },
    Entry {
        name: "GridSample",
        function: Some("grid_sample"),
        params: &[
            Param::optional(
                "mode",
                Kind::Choice(&["bilinear", "nearest", "bicubic"]),
                "\"bilinear\"",
            ),
            Param::optional(
                "padding_mode",
                Kind::Choice(&["zeros", "border", "reflection"]),
                "\"zeros\"",
            ),
            ALIGN,
        ],
        inputs: Inputs::Named(&["input", "grid"]),
        summary: "Reads an image at the places that a grid names.",
        doc: "`[N, C, H, W]` and `[N, H_out, W_out, 2]` → `[N, C, H_out, W_out]`.\n\n\
              FLOPs per output element: nearest 0, bilinear 7, bicubic 31.\n\n\
              Counted, not built: Candle has no gather by fractional places.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.functional.grid_sample.html",
        bind: |arguments, inputs| {
            float_input("GridSample", inputs)?;
            let flops = match arguments.text("mode")?.as_str() {
                "nearest" => 0,
                "bicubic" => 31,
                _ => 7,
            };
            Ok(Box::new(GridSample { flops }))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "RoIAlign",
        params: &[
            Param::required("output_size", Kind::PerAxis(2)),
            Param::optional("spatial_scale", Kind::Float, "1.0"),
            Param::optional("sampling_ratio", Kind::Int, "-1"),
            Param::optional("aligned", Kind::Bool, "false"),
        ],
        inputs: Inputs::Named(&["input", "boxes"]),
        summary: "The means of an image in the cells of boxes.",
        doc: "`[N, C, H, W]` and boxes `[K, 5]` (the image's index and two corners) → `[K, C, H_out, W_out]`.\n\n\
              FLOPs per output element: 8 for each of its `sampling_ratio ** 2` samples (7 to read it, 1 to add \
              it). A ratio of -1 depends on the boxes; it is counted as 2.\n\n\
              Counted, not built: Candle has no gather by fractional places.",
        source: "https://pytorch.org/vision/stable/generated/torchvision.ops.roi_align.html",
        bind: RoiAlign::bind,
        ..Entry::PLAIN
    },
];

/// `Upsample` and `Interpolate`, whose mode is an argument.
fn bind_by_name(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
    let mode = Mode::parse(&arguments.text("mode")?);
    let align_corners = arguments.get("align_corners") == Arg::Bool(true);
    Interpolate::bind(arguments, inputs, mode, align_corners)
}

/// How a value between elements comes about.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Nearest,
    NearestExact,
    /// Of so many axes.
    Linear(usize),
    Cubic,
    Area,
}

impl Mode {
    fn parse(name: &str) -> Mode {
        match name {
            "nearest-exact" => Mode::NearestExact,
            "linear" => Mode::Linear(1),
            "bilinear" => Mode::Linear(2),
            "trilinear" => Mode::Linear(3),
            "bicubic" => Mode::Cubic,
            "area" => Mode::Area,
            _ => Mode::Nearest,
        }
    }

    /// The axes that it works on; any number for some.
    fn axes(self) -> Option<usize> {
        match self {
            Mode::Linear(axes) => Some(axes),
            Mode::Cubic => Some(2),
            Mode::Nearest | Mode::NearestExact | Mode::Area => None,
        }
    }

    /// Elements that an output is made of, if their number is fixed.
    fn taps(self) -> Option<u128> {
        match self {
            Mode::Nearest | Mode::NearestExact => Some(1),
            Mode::Linear(axes) => Some(1 << axes),
            Mode::Cubic => Some(16),
            Mode::Area => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Interpolate {
    mode: Mode,
    align_corners: bool,
    antialias: bool,
    /// Sizes of the output, and factors where they were given as such.
    axes: Vec<(u64, Option<f64>)>,
}

impl Interpolate {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        mode: Mode,
        align_corners: bool,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.signature().name;
        let input = float_input(name, inputs)?;
        let spatial = input.shape.len().saturating_sub(2);
        if !(1..=3).contains(&spatial) || mode.axes().is_some_and(|axes| axes != spatial) {
            let wanted = match mode.axes() {
                Some(1) => "[N, C, L]",
                Some(2) => "[N, C, H, W]",
                Some(_) => "[N, C, D, H, W]",
                None => "[N, C, *] with one to three sizes",
            };
            let message = format!("`{name}` in this mode takes {wanted}, not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        if align_corners && !matches!(mode, Mode::Linear(_) | Mode::Cubic) {
            let message = "`align_corners` is for the linear and cubic modes";
            return Err(Refusal::argument("align_corners", message));
        }
        let has = |name: &str| arguments.get(name) != Arg::None;
        if has("size") == has("scale_factor") {
            let message = format!("`{name}` needs `size` or `scale_factor`, one of them");
            return Err(Refusal::argument("size", message));
        }
        let knows =
            |name: &str| arguments.signature().params.iter().any(|param| param.name == name);
        let recomputes = knows("recompute_scale_factor")
            && arguments.get("recompute_scale_factor") == Arg::Bool(true);
        let axes = if has("size") {
            arguments.per_axis("size", spatial, 1)?.into_iter().map(|size| (size, None)).collect()
        } else {
            let factors = arguments.floats("scale_factor", spatial)?;
            let scaled = factors.iter().zip(&input.shape[2..]).map(|(factor, size)| {
                scaled(*size, *factor).map(|size| (size, (!recomputes).then_some(*factor)))
            });
            scaled.collect::<Result<_, _>>()?
        };
        let antialias = knows("antialias") && arguments.bool("antialias")?;
        Ok(Box::new(Interpolate { mode, align_corners, antialias, axes }))
    }
}

fn scaled(size: u64, factor: f64) -> Result<u64, Refusal> {
    let scaled = (size as f64 * factor).floor();
    if scaled >= 1.0 && scaled < MAX_SIZE as f64 {
        return Ok(scaled as u64);
    }
    Err(Refusal::argument("scale_factor", format!("{size} times {factor} is no size")))
}

impl Layer for Interpolate {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        if input.shape[2..].contains(&0) {
            let message = format!("an image has at least one element, not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        let mut sizes = input.shape[..2].to_vec();
        sizes.extend(self.axes.iter().map(|(size, _)| *size));
        Ok(vec![input.with_shape(sizes)])
    }

    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost {
        match self.mode.taps() {
            Some(1) => Cost::free(),
            Some(taps) => {
                Cost::free().per_element("products and sums", 2 * taps - 1, &outputs[0].shape)
            }
            None => {
                let mut factors = sizes("size", &outputs[0].shape[..2]);
                let pairs = inputs[0].shape[2..].iter().zip(&outputs[0].shape[2..]);
                factors.extend(pairs.map(|(size, output)| {
                    ("windows", crate::pooling::adaptive_sum(*size, *output))
                }));
                Cost::free().flops_of("windows", &factors)
            }
        }
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        if self.antialias {
            return unbuilt("the filters of antialiasing are not written yet");
        }
        let layer = self.clone();
        one_to_one(move |input| {
            let mut output = input.clone();
            for (axis, (size, factor)) in layer.axes.iter().enumerate() {
                output = layer.along(&output, axis + 2, *size as usize, *factor)?;
            }
            Ok(output)
        })
    }
}

impl Interpolate {
    /// One axis: every mode is a product of what it does along each.
    fn along(
        &self,
        x: &Tensor,
        dim: usize,
        outputs: usize,
        factor: Option<f64>,
    ) -> CandleResult<Tensor> {
        let size = x.dim(dim)?;
        let step = match factor {
            Some(factor) => 1.0 / factor,
            None => size as f64 / outputs as f64,
        };
        let mut weights = vec![0f32; size * outputs];
        let mut add = |output: usize, place: i64, weight: f64| {
            let place = place.clamp(0, size as i64 - 1) as usize;
            weights[place * outputs + output] += weight as f32;
        };
        for output in 0..outputs {
            let centre = match self.align_corners {
                true if outputs == 1 => 0.0,
                true => output as f64 * (size - 1) as f64 / (outputs - 1) as f64,
                false => (output as f64 + 0.5) * step - 0.5,
            };
            match self.mode {
                Mode::Nearest => add(output, (output as f64 * step).floor() as i64, 1.0),
                Mode::NearestExact => {
                    add(output, ((output as f64 + 0.5) * step).floor() as i64, 1.0)
                }
                Mode::Linear(_) => {
                    let centre = centre.max(0.0);
                    let (left, share) = (centre.floor() as i64, centre.fract());
                    add(output, left, 1.0 - share);
                    add(output, left + 1, share);
                }
                Mode::Cubic => {
                    let left = centre.floor();
                    for tap in -1..=2 {
                        let distance = (centre - left - f64::from(tap)).abs();
                        add(output, left as i64 + i64::from(tap), cubic(distance));
                    }
                }
                Mode::Area => {
                    let (start, end) =
                        (output * size / outputs, ((output + 1) * size).div_ceil(outputs));
                    let share = 1.0 / (end - start) as f64;
                    (start..end).for_each(|place| add(output, place as i64, share));
                }
            }
        }
        let weights =
            Tensor::from_vec(weights, (size, outputs), x.device())?.to_dtype(x.dtype())?;
        let last = x.rank() - 1;
        matmul(&x.transpose(dim, last)?, &weights)?.transpose(dim, last)
    }
}

/// The cubic convolution of Keys (1981) with the coefficient -0.75 that PyTorch has.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let (x, x2) = (distance, distance * distance);
    if x <= 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x2 + 1.0
    } else if x < 2.0 {
        ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A
    } else {
        0.0
    }
}

#[derive(Debug, PartialEq)]
struct GridSample {
    flops: u128,
}

impl Layer for GridSample {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let [input, grid] = inputs else {
            return Err(Refusal::shape(0, "`GridSample` takes an image and a grid"));
        };
        match (&input.shape[..], &grid.shape[..]) {
            ([n, c, _, _], [batch, height, width, 2]) if n == batch => {
                Ok(vec![input.with_shape([*n, *c, *height, *width])])
            }
            _ => {
                let message = format!(
                    "`GridSample` takes [N, C, H, W] and [N, H_out, W_out, 2], not {} and {}",
                    input.shape, grid.shape
                );
                Err(Refusal::shape(1, message))
            }
        }
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("products and sums", self.flops, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        unbuilt("Candle has no gather by fractional places")
    }
}

#[derive(Debug, PartialEq)]
struct RoiAlign {
    output_size: [u64; 2],
    samples: u64,
}

impl RoiAlign {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        float_input("RoIAlign", inputs)?;
        let size = arguments.per_axis("output_size", 2, 1)?;
        let ratio = arguments.int("sampling_ratio")?;
        let samples = if ratio > 0 { ratio as u64 } else { 2 };
        Ok(Box::new(RoiAlign { output_size: [size[0], size[1]], samples }))
    }
}

impl Layer for RoiAlign {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        match inputs {
            [input, boxes] if input.shape.len() == 4 && matches!(boxes.shape[..], [_, 5]) => {
                let [height, width] = self.output_size;
                Ok(vec![input.with_shape([boxes.shape[0], input.shape[1], height, width])])
            }
            [input, boxes] => {
                let message = format!(
                    "`RoIAlign` takes [N, C, H, W] and boxes [K, 5], not {} and {}",
                    input.shape, boxes.shape
                );
                Err(Refusal::shape(1, message))
            }
            _ => Err(Refusal::shape(0, "`RoIAlign` takes an image and boxes")),
        }
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let mut factors = sizes("size", &outputs[0].shape);
        let samples = u128::from(self.samples);
        factors.extend([("samples", samples), ("samples", samples), ("operations", 8)]);
        Cost::free().flops_of("samples", &factors)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        unbuilt("Candle has no gather by fractional places")
    }
}
