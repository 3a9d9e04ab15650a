//! What PyTorch keeps of a layer for the backward pass, and how much that pass computes.
//!
//! Source: `tools/autograd/derivatives.yaml` of PyTorch 2.9, and for layers that are several operations there
//! their sum.

use crate::{Arguments, Overflow, TensorType, Unit, layer::Layer};

/// What is kept of a layer until the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kept {
    /// Its inputs.
    pub inputs: Inputs,
    /// Its output.
    pub output: bool,
    /// Bytes of other tensors: statistics, indices, masks.
    pub others: u128,
}

/// Which inputs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Inputs {
    /// None.
    #[default]
    None,
    /// The first one.
    First,
    /// Each of which another one needs for its gradient: both factors of a product.
    Factors,
    /// All.
    All,
}

/// What is kept of a layer of a kind, in training.
///
/// # Errors
/// If the bytes do not fit in 128 bits.
pub fn kept(
    kind: &str,
    arguments: Option<&Arguments>,
    has_parameters: bool,
    inputs: &[TensorType],
    outputs: &[TensorType],
) -> Result<Kept, Overflow> {
    let (Some(input), Some(output)) = (inputs.first(), outputs.first()) else {
        return Ok(Kept::default());
    };
    let first = Kept { inputs: Inputs::First, ..Kept::default() };
    let result = Kept { output: true, ..Kept::default() };
    let with = |kept: Kept, others: u128| Ok(Kept { others, ..kept });
    let float = u128::from(input.dtype.bytes());
    let elements = |ty: &TensorType| ty.shape.numel();
    let product = |left: u128, right: u128| left.checked_mul(right).ok_or(Overflow);
    // Rows of the last dimension, each with statistics.
    let rows = |ty: &TensorType| {
        let leading = ty.shape.len().saturating_sub(1);
        ty.shape[..leading]
            .iter()
            .try_fold(1u128, |product, size| product.checked_mul(u128::from(*size)).ok_or(Overflow))
    };
    let channels = u128::from(input.shape.get(1).copied().unwrap_or(1));
    match kind {
        "BatchNorm1d" | "BatchNorm2d" | "BatchNorm3d" | "SyncBatchNorm" => {
            with(first, 2 * 4 * channels)
        }
        "InstanceNorm1d" | "InstanceNorm2d" | "InstanceNorm3d" => {
            let items = u128::from(input.shape.first().copied().unwrap_or(1));
            with(first, product(2 * 4 * channels, items)?)
        }
        "LayerNorm" => with(first, product(2 * 4, rows(input)?)?),
        "RMSNorm" => with(first, product(4, rows(input)?)?),
        "GroupNorm" | "LocalResponseNorm" => Ok(first),
        "MaxPool1d" | "MaxPool2d" | "MaxPool3d" | "AdaptiveMaxPool1d" | "AdaptiveMaxPool2d"
        | "AdaptiveMaxPool3d" => with(first, product(8, elements(output)?)?),
        "ReLU" | "Sigmoid" | "Tanh" | "Softmax" | "LogSoftmax" | "Softmin" | "Softmax2d"
        | "Exp" | "Sqrt" | "Rsqrt" => Ok(result),
        "ScaledDotProductAttention" => {
            with(Kept { inputs: Inputs::All, ..result }, product(4, rows(output)?)?)
        }
        // The input, its three projections, the attention as it is and as the last projection takes it,
        // and the sums of its scores.
        "MultiheadAttention" => {
            let heads = arguments.and_then(|given| given.size("num_heads", 1).ok()).unwrap_or(1);
            let sums = product(4 * u128::from(heads), rows(input)?)?;
            let tensors = product(5 * float, elements(input)?)?;
            with(first, tensors.checked_add(sums).ok_or(Overflow)?)
        }
        // One value for each channel is a mean, which needs sizes only.
        "AdaptiveAvgPool1d" | "AdaptiveAvgPool2d" | "AdaptiveAvgPool3d"
            if output.shape.iter().skip(2).all(|size| *size == 1) =>
        {
            Ok(Kept::default())
        }
        "Mul" | "MatMul" | "BatchMatMul" | "MatrixMul" | "Einsum" => {
            Ok(Kept { inputs: Inputs::Factors, ..Kept::default() })
        }
        "Div" => Ok(Kept { inputs: Inputs::All, ..Kept::default() }),
        "RNN" | "GRU" | "LSTM" | "RNNCell" | "GRUCell" | "LSTMCell" => {
            // Of each step the gates, and the cell of an LSTM.
            let gates = match kind {
                "LSTM" | "LSTMCell" => 5,
                "GRU" | "GRUCell" => 4,
                _ => 1,
            };
            let states = product(float, elements(output)?)?;
            with(Kept { inputs: Inputs::First, ..result }, product(gates, states)?)
        }
        "Max" | "Min" | "TopK" | "Gather" => with(Kept::default(), product(8, elements(output)?)?),
        "Embedding" | "EmbeddingBag" | "Pow" | "Abs" | "Sin" | "Cos" | "Log" | "Clamp"
        | "PReLU" | "GLU" | "Activation" | "Norm" | "CumSum" | "GridSample" | "AvgPool1d"
        | "AvgPool2d" | "AvgPool3d" | "AdaptiveAvgPool1d" | "AdaptiveAvgPool2d"
        | "AdaptiveAvgPool3d" => Ok(first),
        // Activations that need what went in.
        "ReLU6" | "LeakyReLU" | "ELU" | "CELU" | "GELU" | "SiLU" | "Mish" | "Hardswish"
        | "Hardsigmoid" | "Softplus" | "SELU" | "Hardtanh" | "Softsign" | "LogSigmoid"
        | "Tanhshrink" | "Hardshrink" | "Softshrink" | "Threshold" | "RReLU" => Ok(first),
        "Bilinear" | "SelectiveScan" => Ok(Kept { inputs: Inputs::All, ..Kept::default() }),
        _ if has_parameters => Ok(first),
        _ => Ok(Kept::default()),
    }
}

/// The work of a layer's backward pass, in the units of its forward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backward {
    /// Multiply-accumulates.
    pub macs: u128,
    /// All floating-point operations.
    pub flops: u128,
}

/// The products for the gradients: as many as forward for the parameters of a layer that has some, and as many
/// for each input that needs one; of attention two for each of its two, and the scores again, as fused kernels
/// compute them ([FlashAttention](https://arxiv.org/abs/2205.14135), algorithm 4). Other operations count as
/// often as forward.
///
/// # Errors
/// If a count does not fit in 128 bits.
pub fn backward(
    kind: &str,
    layer: &dyn Layer,
    has_parameters: bool,
    inputs: &[TensorType],
    outputs: &[TensorType],
    needs: &[bool],
) -> Result<Backward, Overflow> {
    let any = needs.iter().any(|needs| *needs);
    if !any && !has_parameters {
        return Ok(Backward::default());
    }
    let times = match kind {
        "MatMul" | "BatchMatMul" | "MatrixMul" | "Einsum" => {
            needs.iter().filter(|needs| **needs).count() as u128
        }
        "ScaledDotProductAttention" => 2,
        _ => u128::from(has_parameters) + u128::from(any),
    };
    let (mut macs, mut others) = (0u128, 0u128);
    for term in layer.cost(inputs, outputs).terms {
        let value = term.value()?;
        let (sum, more) = match (term.unit, term.name) {
            (Unit::Flops, _) => (&mut others, Some(value)),
            (Unit::Macs, "scores") => (&mut macs, value.checked_mul(times + 1)),
            // Of the two products of attention one is done again.
            (Unit::Macs, "scores and sums") => {
                (&mut macs, value.checked_mul(5).map(|five| five / 2))
            }
            (Unit::Macs, _) => (&mut macs, value.checked_mul(times)),
        };
        *sum = more.and_then(|more| sum.checked_add(more)).ok_or(Overflow)?;
    }
    let flops = macs.checked_mul(2).and_then(|twice| twice.checked_add(others));
    Ok(Backward { macs, flops: flops.ok_or(Overflow)? })
}
