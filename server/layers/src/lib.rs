//! The catalogue: what every layer is, what it costs, and how Candle builds it.
//!
//! A layer is one [`Entry`]: its name and signature (PyTorch's), its documentation, and the
//! function that binds arguments to an input and gives a [`Layer`], which knows its output
//! shapes, its cost and its Candle module. Everything that is said about a layer anywhere is read
//! from there. This crate knows no text and no file.
//!
//! ```
//! use layers::{Arg, DType, TensorType};
//!
//! let entry = layers::find("Conv2d").unwrap();
//! let image = TensorType::new(DType::F32, [1, 3, 224, 224]);
//! let arguments = entry.arguments(&[Arg::Int(64), Arg::Int(7)], &[("stride", Arg::Int(2))])?;
//! let layer = (entry.bind)(&arguments, &[image.clone()])?;
//!
//! let outputs = layer.outputs(&[image.clone()])?;
//! assert_eq!(outputs[0].shape.to_string(), "[1, 64, 109, 109]");
//! let cost = layer.cost(&[image], &outputs);
//! assert_eq!(cost.macs()?, 109 * 109 * 64 * 3 * 7 * 7);
//! let tensors = layers::parameters(&*layer, DType::F32)?;
//! assert_eq!(tensors[0].name, "weight");
//! assert_eq!(tensors[0].shape.to_string(), "[64, 3, 7, 7]");
//! # Ok::<(), layers::Refusal>(())
//! ```

mod arguments;
mod catalogue;
mod cost;
mod dtype;
mod entry;
mod given_by_input;
mod hollow;
mod layer;
mod module;
mod refusal;
mod shape;
mod signature;
mod training;
mod window;

pub mod operators;

mod activation;
mod attention;
mod convolution;
mod einsum;
mod indexing;
mod linear;
mod normalization;
mod padding;
mod patches;
mod pointwise;
mod pooling;
mod rearrangement;
mod recurrent;
mod reduction;
mod regularization;
mod resampling;
mod scan;

pub use arguments::{Arg, Arguments, is_one_edit_away, nearest};
pub use catalogue::{all, find, find_called, find_function, functions, is_kind, nearest_kind};
pub use cost::{Cost, Term, Unit, sizes};
pub use dtype::DType;
pub use einsum::{Axes, axes_of as einsum_axes};
pub use entry::{Bind, Entry, GivenByInput};
pub use given_by_input::size_given_by_input;
pub use hollow::{ParameterTensor, parameters};
pub use layer::{Buffer, Layer};
pub use module::Module;
pub use refusal::{At, Reason, Refusal, WayOut};
pub use shape::{MAX_DIMS, MAX_SIZE, Overflow, Shape, TensorType, product};
pub use signature::{Called, Inputs, Kind, Param, Signature};
pub use training::{Backward, Inputs as KeptInputs, Kept, backward, kept};
