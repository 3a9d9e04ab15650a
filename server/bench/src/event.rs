//! What a worker says, one line of JSON for each event.

use std::sync::Arc;

use reports::Ceilings;
use serde::{Deserialize, Serialize};

use crate::{Statistics, Stop};

/// The version of requests and events.
pub const PROTOCOL: u32 = 1;

/// Something that happens in a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first line: who speaks.
    Hello {
        /// The version of requests and events.
        protocol: u32,
        /// The version of Taper.
        taper: String,
    },
    /// The device that will be used.
    Device(Device),
    /// Modules are being built.
    Building,
    /// The first runs, which are not counted; the first one pays for what is done once.
    Warming {
        /// Seconds of the first run.
        first_run: f64,
    },
    /// Runs are being counted.
    Progress {
        /// How much of what is needed is done.
        percent: u32,
        /// How many samples there are.
        samples: u64,
        /// Their median in seconds.
        median: f64,
    },
    /// Work goes on: said now and then where it takes long, as each silence ends somewhere.
    Working,
    /// The last line if all went well.
    Result(Box<Measured>),
    /// The last line if something did not.
    Error {
        /// What kind of thing.
        failure: Failure,
        /// What happened, in the user's words.
        message: String,
    },
}

/// Why there is no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The request cannot be read, or is of another version.
    WrongRequest,
    /// The model has mistakes, or is not there.
    WrongModel,
    /// The device is not there, or this build does not know its kind.
    NoDevice,
    /// The model needs more memory than there is.
    OutOfMemory,
    /// Candle cannot build a layer.
    CannotBuild,
    /// A run failed.
    RunFailed,
}

/// Where a measurement runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// As a request names it: `cpu`, `cuda:0`.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// How many cores compute; of a CPU.
    pub threads: Option<u64>,
    /// Bytes of memory in all, where that is known.
    pub memory: Option<u64>,
}

/// A model's time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The model.
    pub model: String,
    /// The path of the one layer or block of it that was measured.
    #[serde(default)]
    pub scope: Option<String>,
    /// The symbols and their sizes.
    pub sizes: Vec<(String, u64)>,
    /// The dtype of its weights.
    pub dtype: String,
    /// Products of 32-bit numbers were computed as TF32.
    #[serde(default)]
    pub tf32: bool,
    /// Where the weights are from: `random`, or the files.
    pub weights: Vec<String>,
    /// Where it ran.
    pub device: Device,
    /// With what: `candle 0.11.1 and Taper's own modules`.
    pub backend: String,
    /// The version of Taper, and of what drives the device.
    pub versions: Vec<(String, String)>,
    /// When it ended, in seconds since 1970.
    pub at: u64,
    /// Seconds of the first run, which pays for what is done once.
    pub first_run: f64,
    /// Seconds of the whole forward pass.
    pub whole: Statistics,
    /// Why no more was measured.
    pub stop: Stop,
    /// How many runs a sample is, where one would be too short to time.
    pub runs_per_sample: u64,
    /// How much is done in a second.
    pub throughput: Throughput,
    /// Floating-point operations of a run.
    pub flops: u64,
    /// Bytes that the layers of a run read and write, each by itself.
    pub bytes: u64,
    /// The most bytes of all tensors at once, weights included; of a GPU.
    #[serde(default)]
    pub peak_memory: Option<u64>,
    /// What the device can at best, measured in the same process, if that went well.
    pub ceilings: Option<Ceilings>,
    /// The layers in order of execution.
    pub layers: Vec<LayerTime>,
    /// Median seconds that belong to no layer.
    pub between: f64,
    /// How far the outputs are from those of the CPU at most, as a share of the largest value of each;
    /// if that was asked for.
    #[serde(default)]
    pub difference: Option<f64>,
    /// The layers that Candle cannot build, which are in no time here.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// The state of a GPU before and after.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// What makes the result doubtful.
    pub doubts: Vec<String>,
    /// Why the result is none: something else was at work, or the device was slowed down.
    #[serde(default)]
    pub invalid: Vec<String>,
}

/// A layer that was not measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Its path.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// The state of a GPU at one time, as far as it is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The clock of its processors, now.
    pub clock_mhz: Option<u64>,
    /// And at most.
    pub max_clock_mhz: Option<u64>,
    /// Degrees Celsius.
    pub temperature: Option<u64>,
    /// What it takes, in watts.
    pub power_watts: Option<f64>,
    /// What it may take.
    pub power_limit_watts: Option<f64>,
    /// What slows it down.
    pub throttled: Vec<String>,
    /// How many processes compute on it, without the worker.
    pub other_processes: Option<u64>,
}

/// A layer's time within the forward pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerTime {
    /// Its path, as in the table of the model.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// Median seconds.
    pub median: f64,
    /// Floating-point operations.
    pub flops: u64,
    /// Bytes that it reads and writes.
    pub bytes: u64,
}

/// How much is done in a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Throughput {
    /// How much.
    pub per_second: f64,
    /// Of what: `samples` or `tokens`.
    pub unit: String,
}

/// Why there is no result, and in which words.
pub(crate) type Failed = (Failure, String);

/// Called wherever a long piece of work gets on: a tensor is made, a layer is done.
pub(crate) type Heartbeat = Arc<dyn Fn() + Send + Sync>;
