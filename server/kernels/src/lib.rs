//! What Candle lacks, on Candle's tensors: convolutions and pools with everything per axis, the softmax of attention, sums and
//! products that broadcast, norms' scale and shift, matrix products of any rank; on CPUs, and on GPUs with the feature `cuda`.
//!
//! It knows no layer, no argument and no message of Taper: sizes are right when they come here. Begin with [`conv`], which says when
//! which implementation runs.

pub mod broadcast;
pub mod clamp;
pub mod conv;
pub mod matmul;
pub mod pad;
pub mod pool;
pub mod scale;
pub mod softmax;

#[cfg(feature = "cuda")]
mod cuda;
mod operations;
mod window;
mod window_walk;

#[cfg(feature = "cuda")]
pub use cuda::{cudnn_version, quietly};
pub use window::{PerAxis, Window};
