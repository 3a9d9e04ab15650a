//! Building a module without memory, to learn its parameters.
//!
//! The weights that a module asks for are noted and answered with a tensor of stride 0, so that a
//! 405-billion-parameter model is built in a few megabytes. There is no second parameter rule.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError},
};

use candle_core::{DType as CandleDType, Device, Result, Shape as CandleShape, Tensor};
use candle_nn::{
    Init, VarBuilder,
    var_builder::{SimpleBackend, VarBuilderArgs},
};

use crate::{DType, Layer, Overflow, Reason, Refusal, Shape, refusal::At};

/// A parameter or buffer of a layer, below the layer's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterTensor {
    /// Its name, such as `weight`.
    pub name: String,
    /// Its dtype.
    pub dtype: DType,
    /// Its shape.
    pub shape: Shape,
    /// It is stored and not trained.
    pub is_buffer: bool,
}

impl ParameterTensor {
    /// The number of bytes.
    pub fn bytes(&self) -> std::result::Result<u128, Overflow> {
        self.shape.numel()?.checked_mul(self.dtype.bytes().into()).ok_or(Overflow)
    }
}

/// The parameters and buffers of a layer, read off its Candle module.
///
/// # Errors
/// Where Candle cannot build the module, with Candle's reason.
pub fn parameters(
    layer: &dyn Layer,
    dtype: DType,
) -> std::result::Result<Vec<ParameterTensor>, Refusal> {
    let backend = Hollow::default();
    let asked = backend.asked.clone();
    let backend: Box<dyn SimpleBackend> = Box::new(backend);
    let weights: VarBuilder<'_> =
        VarBuilderArgs::new_with_args(backend, dtype.candle(), &Device::Cpu);
    // Candle's constructors check little; a panic in one is a refusal of this layer, no more.
    let built = catch_unwind(AssertUnwindSafe(|| layer.build(weights).map(drop)));
    match built {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(refusal(&error.to_string())),
        Err(_) => return Err(refusal("its constructor panicked")),
    }

    let buffers = layer.buffers();
    let asked = std::mem::take(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner));
    let mut tensors: Vec<ParameterTensor> = asked
        .into_iter()
        .map(|(name, shape)| {
            let is_buffer = buffers.iter().any(|buffer| buffer.name == name);
            ParameterTensor { name, dtype, shape, is_buffer }
        })
        .collect();
    tensors.extend(buffers.iter().filter_map(|buffer| {
        let (dtype, shape) = buffer.stored?;
        let shape = shape.to_vec().into();
        Some(ParameterTensor { name: buffer.name.to_owned(), dtype, shape, is_buffer: true })
    }));
    Ok(tensors)
}

fn refusal(reason: &str) -> Refusal {
    // Candle's messages may carry a backtrace or a whole tensor.
    let line: String = reason.lines().next().unwrap_or_default().chars().take(200).collect();
    Refusal::new(
        Reason::WrongArgument,
        At::Layer,
        format!("Candle cannot build this layer: {line}"),
    )
}

#[derive(Default)]
struct Hollow {
    asked: Arc<Mutex<Vec<(String, Shape)>>>,
}

impl SimpleBackend for Hollow {
    fn get(
        &self,
        shape: CandleShape,
        name: &str,
        _: Init,
        dtype: CandleDType,
        device: &Device,
    ) -> Result<Tensor> {
        let sizes: Vec<u64> = shape.dims().iter().map(|size| *size as u64).collect();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push((name.to_owned(), sizes.into()));
        Tensor::zeros((1,), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: CandleDType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("`{name}` was asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}
