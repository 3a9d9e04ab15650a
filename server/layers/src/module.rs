//! The Candle side of a layer.

use std::sync::{Mutex, PoisonError};

use candle_core::{Result, Tensor};

/// A built layer: tensors in, tensors out.
pub trait Module: Send + Sync {
    /// Runs it, as at inference.
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>>;
}

struct FromFn<F>(F);

impl<F> Module for FromFn<F>
where
    F: Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync,
{
    fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        (self.0)(inputs)
    }
}

/// A module from a function of all inputs.
pub(crate) fn many_to_many(
    forward: impl Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
) -> Result<Box<dyn Module>> {
    Ok(Box::new(FromFn(forward)))
}

/// A module with one input and one output.
pub(crate) fn one_to_one(
    forward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Box<dyn Module>> {
    many_to_many(move |inputs| Ok(vec![forward(first(inputs)?)?]))
}

/// A Candle module.
pub(crate) fn candle(
    module: impl candle_nn::Module + Send + Sync + 'static,
) -> Result<Box<dyn Module>> {
    one_to_one(move |input| module.forward(input))
}

pub(crate) fn first(inputs: &[Tensor]) -> Result<&Tensor> {
    match inputs.first() {
        Some(input) => Ok(input),
        None => candle_core::bail!("no input"),
    }
}

/// A module of a layer that is counted and cannot run, with the reason.
pub(crate) fn unbuilt(reason: &'static str) -> Result<Box<dyn Module>> {
    many_to_many(move |_| candle_core::bail!("this layer is counted, not built: {reason}"))
}

/// What a module has worked out for inputs of one kind, until another kind comes.
pub(crate) struct Remembered<K, V>(Mutex<Option<(K, V)>>);

impl<K: PartialEq, V: Clone> Remembered<K, V> {
    pub fn new() -> Remembered<K, V> {
        Remembered(Mutex::new(None))
    }

    pub fn of(&self, key: K, make: impl FnOnce() -> Result<V>) -> Result<V> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, value)) = &*known
            && *known == key
        {
            return Ok(value.clone());
        }
        let value = make()?;
        *known = Some((key, value.clone()));
        Ok(value)
    }
}
