//! How long a model takes, measured on a device with Candle.
//!
//! A worker is a process that reads one [`Request`] on standard input and writes [`Event`]s, a line
//! of JSON each: it may crash, hang or be killed, and whoever started it loses nothing. It may be on
//! another machine, behind `ssh` or `srun`: the request holds all texts that it needs.

/// Whether this build knows CUDA.
pub const HAS_CUDA: bool = cfg!(feature = "cuda");

mod ceilings;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod event;
mod measure;
mod model;
mod request;
mod statistics;
mod worker;

pub use ceilings::ceilings;
pub use device::{devices, no_cuda};
pub use event::{
    Condition, Device, Event, Failure, Gap, LayerTime, Measured, PROTOCOL, Throughput,
};
pub use measure::{Budget, Samples, Stop, measure};
pub use request::{Argument, Request, Source};
pub use statistics::Statistics;
pub use worker::serve;
