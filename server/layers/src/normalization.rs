//! Normalisation layers, as at inference.

use std::sync::OnceLock;

use candle_core::{D, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Arguments, Buffer, Cost, DType, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    module::{candle, one_to_one},
};

const BATCH_NORM: &[Param] = &[
    Param::optional("eps", Kind::Float, "1e-5"),
    Param::optional("momentum", Kind::Float, "0.1"),
    Param::optional("affine", Kind::Bool, "true"),
    Param::optional("track_running_stats", Kind::Ignored, "true"),
];

const BATCH_NORM_DOC: &str = "`[N, C, *]` → `[N, C, *]`, with the stored mean and variance of each channel.\n\n\
    2 FLOPs per element at inference: a scale and a shift, into which the four stored vectors fold.";

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "BatchNorm1d",
        function: None,
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel with stored statistics.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm1d.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[2, 3]),
    },
    Entry {
        name: "BatchNorm2d",
        function: None,
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of an image with stored statistics.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm2d.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[4]),
    },
    Entry {
        name: "BatchNorm3d",
        function: None,
        params: BATCH_NORM,
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises each channel of a volume with stored statistics.",
        doc: BATCH_NORM_DOC,
        source: "https://pytorch.org/docs/stable/generated/torch.nn.BatchNorm3d.html",
        bind: |arguments, inputs| BatchNorm::bind(arguments, inputs, &[5]),
    },
    Entry {
        name: "LayerNorm",
        function: None,
        params: &[
            Param::optional("eps", Kind::Float, "1e-5"),
            Param::optional("elementwise_affine", Kind::Bool, "true"),
            Param::optional("bias", Kind::Bool, "true"),
            Param::optional("dims", Kind::Int, "1"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Normalises over the last dimensions.",
        doc: "`[*, D]` → `[*, D]`, over the last dimension or the last `dims`, \
              which PyTorch calls `normalized_shape`.\n\n\
              5 FLOPs per element: mean, variance, normalisation, scale and shift.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.LayerNorm.html",
        bind: LayerNorm::bind,
    },
    Entry {
        name: "RMSNorm",
        function: None,
        params: &[
            Param::optional("eps", Kind::Float, "none"),
            Param::optional("elementwise_affine", Kind::Bool, "true"),
            Param::optional("dims", Kind::Int, "1"),
            Param::optional("offset", Kind::Float, "0.0"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Scales by the root of the mean square of the last dimensions.",
        doc: "`[*, D]` → `[*, D]`. The weight is added to `offset` first (1 in Gemma).\n\n\
              4 FLOPs per element: square, mean, normalisation and scale.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.RMSNorm.html",
        bind: RmsNorm::bind,
    },
    Entry {
        name: "GroupNorm",
        function: None,
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

fn per_element(flops: u128, outputs: &[TensorType]) -> Cost {
    let mut factors: Vec<_> =
        outputs[0].shape.iter().map(|size| ("size", u128::from(*size))).collect();
    factors.push(("operations", flops));
    Cost::free().flops_of("per element", &factors)
}

#[derive(Debug, PartialEq)]
struct BatchNorm {
    num_features: u64,
    eps: f64,
    affine: bool,
}

impl BatchNorm {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        ranks: &[usize],
    ) -> Result<Box<dyn Layer>, Refusal> {
        let name = arguments.entry().name;
        let input = float_input(name, inputs)?;
        if !ranks.contains(&input.shape.len()) {
            let wanted = match ranks {
                [4] => "[N, C, H, W]",
                [5] => "[N, C, D, H, W]",
                _ => "[N, C] or [N, C, L]",
            };
            let message = format!("`{name}` takes {wanted}, not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        let num_features = input.shape[1];
        let eps = arguments.float("eps")?;
        if eps < 0.0 {
            return Err(Refusal::argument(
                "eps",
                format!("`eps` of `{name}` is not negative, as {eps} is"),
            ));
        }
        Ok(Box::new(BatchNorm { num_features, eps, affine: arguments.bool("affine")? }))
    }
}

impl Layer for BatchNorm {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        check_channels(input, self.num_features)?;
        Ok(vec![input.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        per_element(2, outputs)
    }

    fn buffers(&self) -> &'static [Buffer] {
        &[
            Buffer { name: "running_mean", stored: None },
            Buffer { name: "running_var", stored: None },
            Buffer { name: "num_batches_tracked", stored: Some((DType::I64, &[])) },
        ]
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let channels = self.num_features as usize;
        let mean = weights.get(channels, "running_mean")?;
        let variance = weights.get(channels, "running_var")?;
        let affine = match self.affine {
            true => Some((weights.get(channels, "weight")?, weights.get(channels, "bias")?)),
            false => None,
        };
        let eps = self.eps;
        // Candle's own layer copies the statistics and runs four kernels over the input.
        let folded = OnceLock::new();
        one_to_one(move |input| {
            let (scale, shift) = match folded.get() {
                Some(folded) => folded,
                None => {
                    let made = fold(&mean, &variance, affine.as_ref(), eps)?;
                    folded.get_or_init(|| made)
                }
            };
            let per_channel = |vector: &Tensor| {
                let mut shape = vec![1; input.rank()];
                shape[1] = channels;
                vector.reshape(shape)
            };
            input.broadcast_mul(&per_channel(scale)?)?.broadcast_add(&per_channel(shift)?)
        })
    }
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
            eps: arguments.float("eps")?,
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
        per_element(5, outputs)
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
            let flat = input.reshape(rows)?;
            let centred = flat.broadcast_sub(&flat.mean_keepdim(D::Minus1)?)?;
            let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
            let mut output = centred.broadcast_div(&(variance + eps)?.sqrt()?)?.reshape(full)?;
            if let Some(weight) = &weight {
                output = output.broadcast_mul(weight)?;
            }
            match &bias {
                Some(bias) => output.broadcast_add(bias),
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
            eps: arguments.optional_float("eps")?.unwrap_or(epsilon_of_dtype),
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
        per_element(4, outputs)
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
                Some(weight) => output.broadcast_mul(&(weight + offset)?),
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
        let (eps, affine) = (arguments.float("eps")?, arguments.bool("affine")?);
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
        per_element(5, outputs)
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (groups, channels) = (self.num_groups as usize, self.num_channels as usize);
        if self.affine {
            return candle(candle_nn::group_norm(groups, channels, self.eps, weights)?);
        }
        let ones = Tensor::ones(channels, weights.dtype(), weights.device())?;
        candle(candle_nn::GroupNorm::new(
            ones.clone(),
            ones.zeros_like()?,
            channels,
            groups,
            self.eps,
        )?)
    }
}
