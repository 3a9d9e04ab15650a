//! What training a model needs of a device, in words and numbers.

use analysis::Model;
use clap::{Args, ValueEnum};
use layers::Overflow;
use reports::{Recomputation, Training};
use serde::Serialize;

/// How a model is trained.
#[derive(Args, Clone, Copy)]
pub struct Arguments {
    /// What training needs with this optimiser.
    #[arg(long, value_enum, value_name = "OPTIMIZER")]
    pub training: Option<Optimizer>,
    /// Weights and gradients in the model's half precision, with a master copy and states in f32.
    #[arg(long, requires = "training")]
    mixed: bool,
    /// Blocks that repeat are computed again in the backward pass, and keep only their inputs.
    #[arg(long, requires = "training")]
    recompute: bool,
}

/// What updates the parameters.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Optimizer {
    /// SGD without momentum: no state.
    Sgd,
    /// SGD with momentum: one number for each parameter.
    Momentum,
    /// Adam or AdamW: two numbers for each parameter.
    Adam,
}

impl Optimizer {
    fn states(self) -> u128 {
        match self {
            Optimizer::Sgd => 0,
            Optimizer::Momentum => 1,
            Optimizer::Adam => 2,
        }
    }
}

/// What a step of training needs.
#[derive(Serialize)]
pub struct Need {
    pub weight_bytes: u128,
    /// The copy in f32 of weights that are stored in fewer bits.
    pub master_bytes: u128,
    pub gradient_bytes: u128,
    pub state_bytes: u128,
    /// Tensors kept for the backward pass.
    pub kept_bytes: u128,
    /// What the optimiser makes for a moment: as much as the parameters, as PyTorch's does for all at once.
    pub temporary_bytes: u128,
    pub forward_flops: u128,
    pub backward_flops: u128,
    pub recomputed_flops: u128,
}

/// Bytes of a number in f32.
const F32: u128 = 4;

impl Need {
    /// What training a model needs.
    ///
    /// # Errors
    /// If a count does not fit in 128 bits.
    pub fn of(model: &Model, optimizer: Optimizer, arguments: Arguments) -> Result<Need, Overflow> {
        let how = if arguments.recompute { Recomputation::Blocks } else { Recomputation::None };
        let training = Training::of(model, how)?;
        let totals = model.totals();
        let of_params = |each: u128| totals.params.checked_mul(each).ok_or(Overflow);
        let each = if arguments.mixed { F32 } else { u128::from(model.dtype().bytes()) };
        let temporaries = if optimizer == Optimizer::Adam { of_params(each)? } else { 0 };
        Ok(Need {
            weight_bytes: totals.param_bytes.saturating_add(totals.buffer_bytes),
            master_bytes: if arguments.mixed { of_params(F32)? } else { 0 },
            gradient_bytes: totals.param_bytes,
            state_bytes: of_params(each * optimizer.states())?,
            kept_bytes: training.kept_bytes,
            temporary_bytes: temporaries,
            forward_flops: totals.flops,
            backward_flops: training.backward_flops,
            recomputed_flops: training.recomputed_flops,
        })
    }

    /// All that is there at once: what is kept for the backward pass is gone when the optimiser works.
    pub fn bytes(&self) -> u128 {
        let held = [self.weight_bytes, self.master_bytes, self.gradient_bytes, self.state_bytes];
        let held = held.into_iter().fold(0, u128::saturating_add);
        held.saturating_add(self.kept_bytes.max(self.temporary_bytes))
    }

    /// The FLOPs of a step.
    pub fn flops(&self) -> u128 {
        let passes = [self.forward_flops, self.backward_flops, self.recomputed_flops];
        passes.into_iter().fold(0, u128::saturating_add)
    }
}
