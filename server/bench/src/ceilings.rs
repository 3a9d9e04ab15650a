//! What a device does at best: a large matrix product and a large copy, in the same process.

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor};

use crate::Ceilings;

/// Rows and columns of the matrices.
const SIDE: usize = 1024;

/// Elements that are copied, too many for any cache; in place, as new memory would cost more than
/// the copy.
const COPIED: usize = 1 << 25;

/// How long each is tried, and the best is taken.
const SECONDS: f64 = 0.3;

/// Measures the ceilings for a dtype.
pub(crate) fn measure(dtype: DType, device: &Device) -> Result<Ceilings> {
    let matrix = Tensor::rand(-1f32, 1f32, (SIDE, SIDE), device)?.to_dtype(dtype)?;
    let product = best(device, || matrix.matmul(&matrix))?;
    let long = Tensor::rand(-1f32, 1f32, COPIED, device)?.to_dtype(dtype)?;
    let target = long.zeros_like()?;
    let copy = best(device, || target.slice_set(&long, 0, 0))?;
    Ok(Ceilings {
        flops_per_second: 2.0 * (SIDE as f64).powi(3) / product,
        bytes_per_second: 2.0 * (COPIED * dtype.size_in_bytes()) as f64 / copy,
    })
}

/// The least seconds of several tries.
fn best<T>(device: &Device, work: impl Fn() -> Result<T>) -> Result<f64> {
    let started = Instant::now();
    let mut least = f64::INFINITY;
    while started.elapsed().as_secs_f64() < SECONDS {
        let one = Instant::now();
        let _kept = work()?;
        device.synchronize()?;
        least = least.min(one.elapsed().as_secs_f64());
    }
    Ok(least)
}
