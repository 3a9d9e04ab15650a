//! What everything here asks of CUDA's bindings.

use std::panic::{AssertUnwindSafe, catch_unwind};

use candle_core::{
    Layout,
    cuda_backend::cudarc::driver::{CudaSlice, CudaView},
};

/// What a function gives, or nothing if it panics, as CUDA's bindings do where a library is missing.
pub fn quietly<T>(ask: impl FnOnce() -> T) -> Option<T> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let found = catch_unwind(AssertUnwindSafe(ask));
    std::panic::set_hook(hook);
    found.ok()
}

/// The elements of a contiguous tensor.
pub(super) fn elements<'s, T>(slice: &'s CudaSlice<T>, layout: &Layout) -> CudaView<'s, T> {
    slice.slice(layout.start_offset()..)
}
