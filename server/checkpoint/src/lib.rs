//! What a checkpoint holds, read from its headers alone: safetensors files, sharded indexes, GGUF.
//!
//! Headers are read, not mapped: a file that is rewritten under a map kills the process. Nothing is
//! allocated that is larger than the file, whatever its header says.

pub mod config;
mod contents;
mod dtype;
mod error;
mod gguf;
mod index;
pub mod outline;
mod read;
mod safetensors;

pub use contents::{Checkpoint, Format, Shape, Tensor};
pub use dtype::{Dtype, KnownDtype};
pub use error::{Error, Problem};
