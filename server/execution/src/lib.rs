//! A model, built of real Candle modules and run.
//!
//! [`Executable::build`] walks the written-out model, asks the weights for every parameter under its
//! path and keeps a module for each step; [`Executable::run`] sends tensors through them. The
//! analysis knows shapes and costs without any of this: here they come true.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//!
//! let mut workspace = analysis::Workspace::default();
//! let text = "model Head { input x: f32[N = 2, 8]; fc: Linear(3) -> ReLU }";
//! let file = workspace.insert("head.taper", syntax::parse(text));
//! let analysis = analysis::analyse(&workspace, file, &Default::default());
//!
//! let weights = execution::random_weights(7, DType::F32, &Device::Cpu);
//! let model = execution::Executable::build(&analysis.models[0], weights)?;
//! let outputs = model.run(&[Tensor::ones((2, 8), DType::F32, &Device::Cpu)?], &mut |_| {})?;
//! assert_eq!(outputs[0].dims(), [2, 3]);
//! # Ok::<(), candle_core::Error>(())
//! ```

mod build;
mod random;
mod run;
mod stacked;
mod weights;

pub use build::{Executable, is_out_of_memory};
pub use random::{random_inputs, random_weights};
pub use run::{Done, Observer};
pub use weights::weights;
