//! What a device does at best: a large matrix product and a large copy, in the same process.

use std::time::Instant;

use candle_core::{DType, Result, Tensor};
use reports::Ceilings;

use crate::device::Opened;

/// Rows and columns of the matrices: large enough that nothing but the product counts.
const SIDE_ON_CPU: usize = 1024;
const SIDE_ON_GPU: usize = 8192;

/// Bytes that are copied, too many for any cache.
const COPIED_ON_CPU: usize = 1 << 27;
const COPIED_ON_GPU: usize = 1 << 30;

/// How long and how often each is tried at least, and the best is taken.
const SECONDS: f64 = 0.3;
const TRIES: usize = 5;

/// What a device of this machine does at best, measured now.
///
/// # Errors
/// If it is not there, or cannot compute with this dtype.
pub fn ceilings(device: &str, dtype: layers::DType) -> std::result::Result<Ceilings, String> {
    let device = Opened::open(device).map_err(|(_, message)| message)?;
    measure(dtype.candle(), &device).map_err(|error| error.to_string())
}

/// Measures the ceilings for a dtype.
pub(crate) fn measure(dtype: DType, device: &Opened) -> Result<Ceilings> {
    let place = &device.place;
    let (mut side, mut copied) = match place.is_cpu() {
        true => (SIDE_ON_CPU, COPIED_ON_CPU),
        false => (SIDE_ON_GPU, COPIED_ON_GPU),
    };
    // Beside a model there may be little room.
    let room = usize::try_from(device.free_memory().unwrap_or(u64::MAX)).unwrap_or(usize::MAX) / 8;
    while side > 256 && side * side * 4 > room {
        side /= 2;
    }
    copied = copied.min(room.max(1 << 20));
    let matrix = Tensor::rand(-1f32, 1f32, (side, side), place)?.to_dtype(dtype)?;
    let product = best(device, || matrix.matmul(&matrix))?;
    let mut copies = device.copies(copied)?;
    let copy = best(device, || copies.run())?;
    Ok(Ceilings {
        flops_per_second: 2.0 * (side as f64).powi(3) / product,
        bytes_per_second: 2.0 * copied as f64 / copy,
    })
}

/// The least seconds of several tries.
fn best<T>(device: &Opened, mut work: impl FnMut() -> Result<T>) -> Result<f64> {
    let started = Instant::now();
    let mut least = f64::INFINITY;
    let mut tries = 0;
    while tries < TRIES || started.elapsed().as_secs_f64() < SECONDS {
        tries += 1;
        let from = device.mark()?;
        let _kept = work()?;
        least = least.min(Opened::seconds(&from, &device.mark()?)?);
    }
    Ok(least)
}
