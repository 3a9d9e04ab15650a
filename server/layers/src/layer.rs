//! What a layer must say of itself.

use std::{any::Any, fmt::Debug};

use candle_nn::VarBuilder;

use crate::{Cost, DType, Module, Refusal, TensorType};

/// A layer with all its sizes known: what `nn.Conv2d(64, 128, 3)` is in PyTorch.
///
/// It is made by its entry's `bind`, which has checked the arguments against the first input.
/// Two equal layers have the same parameters and the same module.
/// Two that show the same as [`Debug`] do the same work, in this process and in the next one.
pub trait Layer: Debug + Send + Sync + DynEq {
    /// The tensors that come out, or why these cannot go in.
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal>;

    /// The work. `outputs` are this layer's own for `inputs`.
    fn cost(&self, inputs: &[TensorType], outputs: &[TensorType]) -> Cost;

    /// The Candle module. It asks `weights` for each of its parameters and buffers, which is how
    /// they are counted.
    fn build(&self, weights: VarBuilder<'_>) -> candle_core::Result<Box<dyn Module>>;

    /// Which of the tensors it asks for are buffers, and which others PyTorch stores.
    fn buffers(&self) -> &'static [Buffer] {
        &[]
    }

    /// Whether the output shares the memory of the first input.
    fn is_view(&self) -> bool {
        false
    }
}

/// A tensor that is stored with the weights and not trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    /// Its name below the layer's path.
    pub name: &'static str,
    /// The dtype and shape of one that PyTorch stores and Candle does not ask for.
    pub stored: Option<(DType, &'static [u64])>,
}

/// Equality of layers behind a `dyn`.
pub trait DynEq: Any {
    /// Whether both are the same layer with the same sizes.
    fn same(&self, other: &dyn Layer) -> bool;
}

impl<T: Layer + PartialEq + Any> DynEq for T {
    fn same(&self, other: &dyn Layer) -> bool {
        let other: &dyn Any = other;
        other.downcast_ref::<T>() == Some(self)
    }
}
