//! One expert's weights, where those of all are in one tensor.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use analysis::Expert;
use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};

/// The stacked tensors that were asked for, by their names: the experts share their memory.
pub(crate) type Stacked = Arc<Mutex<HashMap<String, Tensor>>>;

/// Of each tensor of `weights` below the path of the experts the element along dimension 0 that is
/// this expert's; what is elsewhere is shared by all.
pub(crate) fn element<'w>(
    weights: &VarBuilder<'w>,
    expert: &Expert,
    path: &str,
    stacked: &Stacked,
) -> VarBuilder<'w> {
    let (number, of) = (expert.number as usize, expert.of as usize);
    let below = format!("{path}.");
    let element = Element { weights: weights.clone(), stacked: stacked.clone(), below, number, of };
    VarBuilder::from_backend(Box::new(element), weights.dtype(), weights.device().clone())
}

struct Element<'w> {
    weights: VarBuilder<'w>,
    stacked: Stacked,
    /// What the names of stacked tensors begin with.
    below: String,
    number: usize,
    of: usize,
}

impl SimpleBackend for Element<'_> {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: Init,
        dtype: DType,
        _: &Device,
    ) -> Result<Tensor> {
        if !name.starts_with(&self.below) {
            return self.weights.get_with_hints_dtype(shape, name, init, dtype);
        }
        // A tensor is put in whole, so a thread that panicked has left nothing half done.
        let mut stacked = self.stacked.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = match stacked.get(name) {
            Some(whole) => whole.clone(),
            None => {
                let dims: Vec<usize> = [&[self.of], shape.dims()].concat();
                let whole = self.weights.get_with_hints_dtype(dims, name, init, dtype)?;
                stacked.insert(name.to_owned(), whole.clone());
                whole
            }
        };
        whole.get(self.number)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, _: &Device) -> Result<Tensor> {
        let whole = self.weights.get_unchecked_dtype(name, dtype)?;
        if name.starts_with(&self.below) { whole.get(self.number) } else { Ok(whole) }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.weights.contains_tensor(name)
    }
}
