//! Normalisation layers, as at inference.

use std::sync::OnceLock;

use candle_core::{D, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{broadcast, scale::scale_and_shift};

use crate::{
    Arg, Arguments, Buffer, Cost, DType, Entry, GivenByInput, Inputs, Kind, Layer, Module, Param,
    Refusal, TensorType,
    arguments::{first_input, float_input},
    convolution::channels_of,
    given_by_input::{channels_after_batch, features},
    module::one_to_one,
};

const BATCH_NORM: &[Param] = &[
    Param::optional("eps", Kind::Float, "1e-5"),
    Param::optional("momentum", Kind::Float, "0.1"),
    Param::optional("affine", Kind::Bool, "true"),
    Param::optional("track_running_stats", Kind::Bool, "true"),
];

const NUM_FEATURES: &[GivenByInput] = &[GivenByInput::first("num_features", channels_after_batch)];

const NORMALIZED_SHAPE: &[GivenByInput] = &[GivenByInput::first("normalized_shape", features)];

const INSTANCE_NORM: &[Param] = &[
    Param::optional("eps", Kind::Float, "1e-5"),
    Param::optional("momentum", Kind::Float, "0.1"),
    Param::optional("affine", Kind::Bool, "false"),
    Param::optional("track_running_stats", Kind::Bool, "false"),
];

const INSTANCE_NORM_DOC: &str = "`[N, C, *]` → `[N, C, *]`, with the mean and variance of each channel of each sample.\n\n\
    5 FLOPs per element, as `LayerNorm`; 2 with stored statistics, as `BatchNorm`.";

const BATCH_NORM_DOC: &str = "`[N, C, *]` → `[N, C, *]`, with the stored mean and variance of each channel.\n\n\
    2 FLOPs per element at inference: a scale and a shift, into which the four stored vectors fold. \
    Without `track_running_stats` the statistics are those of the batch: 5 FLOPs per element.";

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "BatchNorm1d",
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel with stored statistics.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[2, 3]),
        given_by_input: NUM_FEATURES,
        ..Entry::PLAIN
    },
    Entry {
        name: "BatchNorm2d",
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of an image with stored statistics.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[4]),
        given_by_input: NUM_FEATURES,
        ..Entry::PLAIN
    },
    Entry {
        name: "BatchNorm3d",
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of a volume with stored statistics.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[5]),
        given_by_input: NUM_FEATURES,
        ..Entry::PLAIN
    },
    Entry {
        name: "SyncBatchNorm",
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "`BatchNorm` with statistics shared between devices while training.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.SyncBatchNorm.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[2, 3, 4, 5]),
        given_by_input: NUM_FEATURES,
        ..Entry::PLAIN
    },
    Entry {
        name: "FrozenBatchNorm2d",
        params: &[Param::optional("eps", Kind::Float, "1e-5")],
        inputs: Inputs::Named(&["input"]),
        summary: "`BatchNorm2d` whose scale and shift are stored, not trained.",
        doc: "`[N, C, H, W]` → `[N, C, H, W]`. Its four vectors are buffers.\n\n2 FLOPs per element, as `BatchNorm2d`.",
        source: "https://pytorch.org/vision/stable/generated/torchvision.ops.FrozenBatchNorm2d.html",
        bind: |arguments, inputs| {
            let num_features = norm_channels("FrozenBatchNorm2d", inputs, &[4])?;
            let eps = arguments.eps()?;
            let stored = Statistics::Frozen;
            Ok(Box::new(BatchNorm { num_features, eps, affine: true, statistics: stored }))
        },
        given_by_input: NUM_FEATURES,
        ..Entry::PLAIN
    },
    Entry {
        name: "InstanceNorm1d",
        params: INSTANCE_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of each sample.",
        doc: INSTANCE_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm1d.html",
        bind: |arguments, inputs| InstanceNorm::bind(arguments, inputs, 1),
        given_by_input: &[GivenByInput::first("num_features", |inputs| channels_of(inputs, 1))],
        ..Entry::PLAIN
    },
    Entry {
        name: "InstanceNorm2d",
        params: INSTANCE_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of each image.",
        doc: INSTANCE_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm2d.html",
        bind: |arguments, inputs| InstanceNorm::bind(arguments, inputs, 2),
        given_by_input: &[GivenByInput::first("num_features", |inputs| channels_of(inputs, 2))],
        ..Entry::PLAIN
    },
    Entry {
        name: "InstanceNorm3d",
        params: INSTANCE_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of each volume.",
        doc: INSTANCE_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.InstanceNorm3d.html",
        bind: |arguments, inputs| InstanceNorm::bind(arguments, inputs, 3),
        given_by_input: &[GivenByInput::first("num_features", |inputs| channels_of(inputs, 3))],
        ..Entry::PLAIN
    },
    Entry {
        name: "LocalResponseNorm",
        function: Some("local_response_norm"),
        params: &[
            Param::required("size", Kind::Int),
            Param::optional("alpha", Kind::Float, "0.0001"),
            Param::optional("beta", Kind::Float, "0.75"),
            Param::optional("k", Kind::Float, "1.0"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Scales each element by its neighbours in the channels.",
        doc: "`[N, C, *]` → `[N, C, *]`: `x / (k + alpha * mean(x ** 2)) ** beta`, with the mean over `size` channels.\n\n\
              `size + 5` FLOPs per element: a square, the sum, a scale, a shift, a power and a division.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.LocalResponseNorm.html",
        bind: |arguments, inputs| {
            let input = float_input("LocalResponseNorm", inputs)?;
            if input.shape.len() < 3 {
                let message = format!("`LocalResponseNorm` takes [N, C, *], not {}", input.shape);
                return Err(Refusal::shape(0, message));
            }
            Ok(Box::new(LocalResponseNorm {
                size: arguments.size("size", 1)?,
                alpha: arguments.float("alpha")?,
                beta: arguments.float("beta")?,
                k: arguments.float("k")?,
            }))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "LayerNorm",
        function: Some("layer_norm"),
        params: &[
            Param::optional("eps", Kind::Float, "1e-5"),
            Param::optional("elementwise_affine", Kind::Bool, "true"),
            Param::optional("bias", Kind::Bool, "true"),
            Param::optional("dims", Kind::Int, "1"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises over the last dimensions.",
        doc: "`[*, D]` → `[*, D]`, over the last dimension or the last `dims`.\n\n\
              5 FLOPs per element: mean, variance, normalisation, scale and shift.\n\n\
              Unlike PyTorch, `dims` counts the dimensions and the input tells their sizes (`normalized_shape`).",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html",
        bind: LayerNorm::bind,
        given_by_input: NORMALIZED_SHAPE,
        ..Entry::PLAIN
    },
    Entry {
        name: "RMSNorm",
        function: Some("rms_norm"),
        params: &[
            Param::optional("eps", Kind::Float, "none"),
            Param::optional("elementwise_affine", Kind::Bool, "true"),
            Param::optional("dims", Kind::Int, "1"),
            Param::optional("offset", Kind::Float, "0.0"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Scales by the root of the mean square of the last dimensions.",
        doc: "`[*, D]` → `[*, D]`.\n\n\
              4 FLOPs per element: square, mean, normalisation and scale.\n\n\
              Unlike PyTorch, `dims` counts the dimensions and the input tells their sizes (`normalized_shape`); \
              the weight is added to `offset` first (1 in Gemma).",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html",
        bind: RmsNorm::bind,
        given_by_input: NORMALIZED_SHAPE,
        ..Entry::PLAIN
    },
    Entry {
        name: "GroupNorm",
        function: Some("group_norm"),
        params: &[
            Param::required("num_groups", Kind::Int),
            Param::optional("eps", Kind::Float, "1e-5"),
            Param::optional("affine", Kind::Bool, "true"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises groups of channels.",
        doc: "`[N, C, *]` → `[N, C, *]`.\n\n5 FLOPs per element, as `LayerNorm`.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.GroupNorm.html",
        bind: GroupNorm::bind,
        given_by_input: &[GivenByInput {
            place: 1,
            ..GivenByInput::first("num_channels", channels_after_batch)
        }],
        ..Entry::PLAIN
    },
];

/// Refuses an input whose second dimension is not the one the layer was made for.
fn check_channels(input: &TensorType, channels: u64) -> Result<(), Refusal> {
    if input.shape.get(1) == Some(&channels) {
        return Ok(());
    }
    let message =
        format!("this layer was made for {channels} channels; its input is {}", input.shape);
    Err(Refusal::shape(0, message))
}

/// Where a norm's mean and variance come from.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Statistics {
    /// Stored, and updated while training.
    Running,
    /// Stored with scale and shift, and never updated.
    Frozen,
    /// Those of what is normalised.
    Own,
}

#[derive(Debug, PartialEq)]
struct BatchNorm {
    num_features: u64,
    eps: f64,
    affine: bool,
    statistics: Statistics,
}

/// The channels of an input with one of these ranks.
fn norm_channels(name: &str, inputs: &[TensorType], ranks: &[usize]) -> Result<u64, Refusal> {
    let input = float_input(name, inputs)?;
    if ranks.contains(&input.shape.len()) {
        return Ok(input.shape[1]);
    }
    let wanted = match ranks {
        [4] => "[N, C, H, W]",
        [5] => "[N, C, D, H, W]",
        [2, 3] => "[N, C] or [N, C, L]",
        _ => "[N, C, *]",
    };
    Err(Refusal::shape(0, format!("`{name}` takes {wanted}, not {}", input.shape)))
}

impl BatchNorm {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        ranks: &[usize],
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.signature().name;
        let num_features = norm_channels(name, inputs, ranks)?;
        let eps = arguments.eps()?;
        let tracks = arguments.bool("track_running_stats")?;
        let statistics = if tracks { Statistics::Running } else { Statistics::Own };
        let affine = arguments.bool("affine")?;
        Ok(Box::new(BatchNorm { num_features, eps, affine, statistics }))
    }
}

const STORED: &[Buffer] = &[
    Buffer { name: "running_mean", stored: None },
    Buffer { name: "running_var", stored: None },
    Buffer { name: "num_batches_tracked", stored: Some((DType::I64, &[])) },
];

impl Layer for BatchNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        check_channels(input, self.num_features)?;
        Ok(vec![input.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let flops = if self.statistics == Statistics::Own { 5 } else { 2 };
        Cost::free().per_element("per element", flops, &outputs[0].shape)
    }

    fn buffers(&self) -> &'static [Buffer] {
        match self.statistics {
            Statistics::Running => STORED,
            Statistics::Frozen => &[
                Buffer { name: "weight", stored: None },
                Buffer { name: "bias", stored: None },
                Buffer { name: "running_mean", stored: None },
                Buffer { name: "running_var", stored: None },
            ],
            Statistics::Own => &[],
        }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (channels, eps) = (self.num_features as usize, self.eps);
        if self.statistics != Statistics::Own {
            return stored_norm(channels, self.affine, eps, &weights);
        }
        let affine = affine(channels, self.affine, &weights)?;
        one_to_one(move |input| {
            // The channels first, so that what is normalised together is a row.
            let swapped = input.transpose(0, 1)?;
            let rows = standardized(&swapped.reshape((channels, ()))?, eps)?;
            let output = rows.reshape(swapped.shape())?.transpose(0, 1)?;
            scaled_and_shifted(&output, affine.as_ref())
        })
    }
}

/// The weight and bias of a norm, if it has them.
fn affine(
    channels: usize,
    has: bool,
    weights: &VarBuilder<'_>,
) -> CandleResult<Option<(Tensor, Tensor)>> {
    match has {
        true => Ok(Some((weights.get(channels, "weight")?, weights.get(channels, "bias")?))),
        false => Ok(None),
    }
}

fn scaled_and_shifted(x: &Tensor, affine: Option<&(Tensor, Tensor)>) -> CandleResult<Tensor> {
    match affine {
        Some((scale, shift)) => scale_and_shift(x, scale, shift),
        None => Ok(x.clone()),
    }
}

/// Each row with mean 0 and variance 1.
fn standardized(rows: &Tensor, eps: f64) -> CandleResult<Tensor> {
    let centred = rows.broadcast_sub(&rows.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    centred.broadcast_div(&(variance + eps)?.sqrt()?)
}

/// A norm with stored statistics. Candle's own copies them and runs four kernels over the input.
fn stored_norm(
    channels: usize,
    has_affine: bool,
    eps: f64,
    weights: &VarBuilder<'_>,
) -> CandleResult<Box<dyn Module>> {
    let affine = affine(channels, has_affine, weights)?;
    let mean = weights.get(channels, "running_mean")?;
    let variance = weights.get(channels, "running_var")?;
    let folded = OnceLock::new();
    one_to_one(move |input| {
        let folded = match folded.get() {
            Some(folded) => folded,
            None => {
                let made = fold(&mean, &variance, affine.as_ref(), eps)?;
                folded.get_or_init(|| made)
            }
        };
        scale_and_shift(input, &folded.0, &folded.1)
    })
}

/// The scale and shift of each channel that a norm with stored statistics comes down to.
fn fold(
    mean: &Tensor,
    variance: &Tensor,
    affine: Option<&(Tensor, Tensor)>,
    eps: f64,
) -> CandleResult<(Tensor, Tensor)> {
    let inverse = (variance + eps)?.sqrt()?.recip()?;
    let (scale, bias) = match affine {
        Some((weight, bias)) => ((weight * inverse)?, bias.clone()),
        None => (inverse, mean.zeros_like()?),
    };
    let shift = (bias - (mean * &scale)?)?;
    Ok((scale, shift))
}

#[derive(Debug, PartialEq)]
struct InstanceNorm {
    num_features: u64,
    axes: usize,
    eps: f64,
    affine: bool,
    tracks: bool,
}

impl InstanceNorm {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        axes: usize,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.signature().name;
        let num_features = crate::convolution::channels(name, first_input(inputs)?, axes)?;
        Ok(Box::new(InstanceNorm {
            num_features,
            axes,
            eps: arguments.eps()?,
            affine: arguments.bool("affine")?,
            tracks: arguments.bool("track_running_stats")?,
        }))
    }
}

impl Layer for InstanceNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let dim = input.shape.len().checked_sub(self.axes + 1);
        if dim.and_then(|dim| input.shape.get(dim)) != Some(&self.num_features) {
            let message = format!(
                "this layer was made for {} channels; its input is {}",
                self.num_features, input.shape
            );
            return Err(Refusal::shape(0, message));
        }
        Ok(vec![input.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let flops = if self.tracks { 2 } else { 5 };
        Cost::free().per_element("per element", flops, &outputs[0].shape)
    }

    fn buffers(&self) -> &'static [Buffer] {
        if self.tracks { STORED } else { &[] }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (channels, eps, axes) = (self.num_features as usize, self.eps, self.axes);
        let norm: Box<dyn Module> = if self.tracks {
            stored_norm(channels, self.affine, eps, &weights)?
        } else {
            let affine = affine(channels, self.affine, &weights)?;
            one_to_one(move |input| {
                let rows = input.reshape((input.dim(0)? * channels, ()))?;
                let output = standardized(&rows, eps)?.reshape(input.shape())?;
                scaled_and_shifted(&output, affine.as_ref())
            })?
        };
        one_to_one(move |input| {
            let batched = input.rank() == axes + 2;
            let input = if batched { input.clone() } else { input.unsqueeze(0)? };
            let mut outputs = norm.forward(std::slice::from_ref(&input))?;
            let output = outputs.remove(0);
            if batched { Ok(output) } else { output.squeeze(0) }
        })
    }
}

#[derive(Debug, PartialEq)]
struct LocalResponseNorm {
    size: u64,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl Layer for LocalResponseNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("per element", u128::from(self.size) + 5, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (size, alpha, beta, k) = (self.size as usize, self.alpha, self.beta, self.k);
        one_to_one(move |input| {
            let channels = input.dim(1)?;
            let squares = input.sqr()?.pad_with_zeros(1, size / 2, (size - 1) / 2)?;
            let mut sum = squares.narrow(1, 0, channels)?;
            for place in 1..size {
                sum = (sum + squares.narrow(1, place, channels)?)?;
            }
            input / ((sum * (alpha / size as f64))? + k)?.powf(beta)?
        })
    }
}

/// The sizes of the last `dims` dimensions.
fn normalized_shape(arguments: &Arguments, input: &TensorType) -> Result<Vec<u64>, Refusal> {
    let dims = arguments.size("dims", 1)?;
    let rank = input.shape.len();
    match usize::try_from(dims).ok().and_then(|dims| rank.checked_sub(dims)) {
        Some(first) => Ok(input.shape[first..].to_vec()),
        None => {
            Err(Refusal::argument("dims", format!("`dims={dims}`: the input is {}", input.shape)))
        }
    }
}

fn check_normalized(shape: &[u64], inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
    let input = first_input(inputs)?;
    if !input.shape.ends_with(shape) {
        let made_for = crate::Shape::from(shape.to_vec());
        let message = format!("this layer was made for {made_for}; its input is {}", input.shape);
        return Err(Refusal::shape(0, message));
    }
    Ok(vec![input.clone()])
}

fn dims(shape: &[u64]) -> Vec<usize> {
    shape.iter().map(|size| *size as usize).collect()
}

#[derive(Debug, PartialEq)]
struct LayerNorm {
    shape: Vec<u64>,
    eps: f64,
    affine: bool,
    bias: bool,
}

impl LayerNorm {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("LayerNorm", inputs)?;
        let affine = arguments.bool("elementwise_affine")?;
        Ok(Box::new(LayerNorm {
            shape: normalized_shape(arguments, input)?,
            eps: arguments.eps()?,
            affine,
            bias: affine && arguments.bool("bias")?,
        }))
    }
}

impl Layer for LayerNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        check_normalized(&self.shape, inputs)
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("per element", 5, &outputs[0].shape)
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        if let ([size], true) = (&self.shape[..], self.affine) {
            let config = candle_nn::LayerNormConfig {
                eps: self.eps,
                affine: self.bias,
                ..Default::default()
            };
            let norm = candle_nn::layer_norm(*size as usize, config, weights)?;
            // Candle's fused kernel wants contiguous memory.
            return one_to_one(move |input| {
                candle_nn::Module::forward(&norm, &input.contiguous()?)
            });
        }
        let shape = dims(&self.shape);
        let weight = if self.affine { Some(weights.get(shape.clone(), "weight")?) } else { None };
        let bias = if self.bias { Some(weights.get(shape.clone(), "bias")?) } else { None };
        let eps = self.eps;
        one_to_one(move |input| {
            let full = input.dims().to_vec();
            let leading = full[..full.len() - shape.len()].to_vec();
            let rows: Vec<usize> =
                leading.iter().copied().chain([shape.iter().product()]).collect();
            let mut output = standardized(&input.reshape(rows)?, eps)?.reshape(full)?;
            if let Some(weight) = &weight {
                output = broadcast::multiply(&output, weight)?;
            }
            match &bias {
                Some(bias) => broadcast::add(&output, bias),
                None => Ok(output),
            }
        })
    }
}

#[derive(Debug, PartialEq)]
struct RmsNorm {
    shape: Vec<u64>,
    eps: f64,
    affine: bool,
    offset: f64,
}

impl RmsNorm {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("RMSNorm", inputs)?;
        let epsilon_of_dtype = match input.dtype {
            DType::F64 => f64::EPSILON,
            DType::F16 => 9.765_625e-4,
            DType::BF16 => 7.812_5e-3,
            _ => f64::from(f32::EPSILON),
        };
        Ok(Box::new(RmsNorm {
            shape: normalized_shape(arguments, input)?,
            eps: match arguments.get("eps") {
                Arg::None => epsilon_of_dtype,
                _ => arguments.eps()?,
            },
            affine: arguments.bool("elementwise_affine")?,
            offset: arguments.float("offset")?,
        }))
    }
}

impl Layer for RmsNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        check_normalized(&self.shape, inputs)
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("per element", 4, &outputs[0].shape)
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (eps, offset) = (self.eps, self.offset);
        if let ([size], true, true) = (&self.shape[..], self.affine, offset == 0.0) {
            let norm = candle_nn::rms_norm(*size as usize, eps, weights)?;
            return one_to_one(move |input| {
                candle_nn::Module::forward(&norm, &input.contiguous()?)
            });
        }
        let shape = dims(&self.shape);
        let weight = if self.affine { Some(weights.get(shape.clone(), "weight")?) } else { None };
        one_to_one(move |input| {
            let full = input.dims().to_vec();
            let leading = full[..full.len() - shape.len()].to_vec();
            let rows: Vec<usize> =
                leading.iter().copied().chain([shape.iter().product()]).collect();
            let flat = input.reshape(rows)?;
            let mean_square = flat.sqr()?.mean_keepdim(D::Minus1)?;
            let output = flat.broadcast_div(&(mean_square + eps)?.sqrt()?)?.reshape(full)?;
            match &weight {
                Some(weight) => broadcast::multiply(&output, &(weight + offset)?),
                None => Ok(output),
            }
        })
    }
}

#[derive(Debug, PartialEq)]
struct GroupNorm {
    num_groups: u64,
    num_channels: u64,
    eps: f64,
    affine: bool,
}

impl GroupNorm {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("GroupNorm", inputs)?;
        let num_groups = arguments.size("num_groups", 1)?;
        let Some(num_channels) = input.shape.get(1).copied() else {
            return Err(Refusal::shape(
                0,
                format!("`GroupNorm` takes [N, C, *], not {}", input.shape),
            ));
        };
        if num_channels % num_groups != 0 {
            let message =
                format!("`num_groups={num_groups}` does not divide the {num_channels} channels");
            return Err(Refusal::argument("num_groups", message));
        }
        let (eps, affine) = (arguments.eps()?, arguments.bool("affine")?);
        Ok(Box::new(GroupNorm { num_groups, num_channels, eps, affine }))
    }
}

impl Layer for GroupNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        check_channels(input, self.num_channels)?;
        Ok(vec![input.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("per element", 5, &outputs[0].shape)
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (groups, eps) = (self.num_groups as usize, self.eps);
        let affine = affine(self.num_channels as usize, self.affine, &weights)?;
        // Candle's own takes no [N, C].
        one_to_one(move |input| {
            let rows = input.reshape((input.dim(0)? * groups, ()))?;
            let output = standardized(&rows, eps)?.reshape(input.shape())?;
            scaled_and_shifted(&output, affine.as_ref())
        })
    }
}
