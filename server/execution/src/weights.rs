//! The weights of a checkpoint.

use std::path::Path;

use candle_core::{DType, Device, Result};
use candle_nn::VarBuilder;

/// The tensors of safetensors files under their names, mapped into memory and cast to a dtype when
/// a module asks for them.
///
/// # Errors
/// If a file cannot be mapped, or is no safetensors file.
#[allow(unsafe_code)]
pub fn weights(
    files: &[impl AsRef<Path>],
    dtype: DType,
    device: &Device,
) -> Result<VarBuilder<'static>> {
    // SAFETY: the mapped bytes change if somebody rewrites a file meanwhile, which Candle cannot
    // prevent. Weights are read for a run that the user asked for, in a process of its own; the
    // server reads headers only, and those without a map.
    unsafe { VarBuilder::from_mmaped_safetensors(files, dtype, device) }
}
