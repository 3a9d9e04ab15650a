//! The devices of this machine, and the clock of one that is open.

use std::time::Instant;

use candle_core::{Device as Place, Result};
use rayon::prelude::*;
use sysinfo::System;

use crate::{Condition, Device, Failure, event::Failed};

/// The devices of this machine that this build can use.
pub fn devices() -> Vec<Device> {
    [vec![cpu()], gpus().unwrap_or_default()].concat()
}

#[cfg(feature = "cuda")]
use crate::cuda::devices as gpus;

#[cfg(not(feature = "cuda"))]
fn gpus() -> std::result::Result<Vec<Device>, String> {
    Err("this build of Taper does not know CUDA".to_owned())
}

/// Why there is no device with CUDA; nothing if there is one.
pub fn no_cuda() -> Option<String> {
    gpus().err()
}

fn cpu() -> Device {
    let mut system = System::new();
    system.refresh_cpu_all();
    system.refresh_memory();
    let name = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
    Device {
        id: "cpu".to_owned(),
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "CPU".to_owned()),
        threads: Some(candle_core::utils::get_num_threads() as u64),
        memory: Some(system.total_memory()),
    }
}

/// Bytes that a core copies in one go.
const COPIED_AT_ONCE: usize = 1 << 20;

/// A device that is open.
pub(crate) struct Opened {
    pub described: Device,
    pub place: Place,
    #[cfg(feature = "cuda")]
    cuda: Option<crate::cuda::Gpu>,
}

/// A copy that can be made again and again.
pub(crate) enum Copies {
    Memory(Vec<u8>, Vec<u8>),
    #[cfg(feature = "cuda")]
    Gpu(crate::cuda::Copies),
}

impl Copies {
    pub fn run(&mut self) -> Result<()> {
        match self {
            // One core alone does not reach what the memory can.
            Copies::Memory(from, to) => {
                let parts = to.par_chunks_mut(COPIED_AT_ONCE).zip(from.par_chunks(COPIED_AT_ONCE));
                parts.for_each(|(to, from)| to.copy_from_slice(from));
                Ok(())
            }
            #[cfg(feature = "cuda")]
            Copies::Gpu(copies) => copies.run(),
        }
    }
}

/// A point in the work of a device.
pub(crate) enum Mark {
    Time(Instant),
    #[cfg(feature = "cuda")]
    Event(crate::cuda::Event),
}

impl Opened {
    pub fn open(id: &str) -> std::result::Result<Opened, Failed> {
        let all = devices();
        let Some(described) = all.iter().find(|device| device.id == id).cloned() else {
            let known: Vec<&str> = all.iter().map(|device| device.id.as_str()).collect();
            let reason = match no_cuda().filter(|_| id.starts_with("cuda")) {
                Some(reason) => format!("{reason}; it can measure on `cpu`"),
                None => format!("there is no device `{id}`, but {}", known.join(", ")),
            };
            return Err((Failure::NoDevice, reason));
        };
        #[cfg(feature = "cuda")]
        if let Some(number) = id.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
            let gpu = crate::cuda::Gpu::open(number)
                .map_err(|error| (Failure::NoDevice, format!("{id} cannot be used: {error}")))?;
            return Ok(Opened { described, place: gpu.place.clone(), cuda: Some(gpu) });
        }
        Ok(Opened {
            described,
            place: Place::Cpu,
            #[cfg(feature = "cuda")]
            cuda: None,
        })
    }

    /// The point where the work that was asked for so far is done. Nothing waits for it.
    pub fn mark(&self) -> Result<Mark> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            return Ok(Mark::Event(gpu.event()?));
        }
        Ok(Mark::Time(Instant::now()))
    }

    /// Seconds between two points; waits for the later one.
    pub fn seconds(from: &Mark, to: &Mark) -> Result<f64> {
        match (from, to) {
            (Mark::Time(from), Mark::Time(to)) => Ok((*to - *from).as_secs_f64()),
            #[cfg(feature = "cuda")]
            (Mark::Event(from), Mark::Event(to)) => from.seconds_until(to),
            #[cfg(feature = "cuda")]
            _ => candle_core::bail!("two clocks cannot be compared"),
        }
    }

    /// Copies of so many bytes, from one place to another that are both there already: new memory would
    /// cost more than the copy.
    pub fn copies(&self, bytes: usize) -> Result<Copies> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            return Ok(Copies::Gpu(gpu.copies(bytes)?));
        }
        Ok(Copies::Memory(vec![1; bytes], vec![0; bytes]))
    }

    /// Bytes that can be allocated; nothing where that is not known.
    pub fn free_memory(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            return gpu.free_memory();
        }
        let mut system = System::new();
        system.refresh_memory();
        Some(system.available_memory()).filter(|available| *available > 0)
    }

    /// From now on the peak of memory is that of what follows.
    pub fn reset_peak(&self) {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            gpu.reset_peak();
        }
    }

    /// The most bytes that tensors had at once; nothing on a CPU.
    pub fn peak_memory(&self) -> Option<u64> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            return gpu.peak_memory();
        }
        None
    }

    /// Clocks, temperature and who else is there; nothing on a CPU, or where nobody can say.
    pub fn condition(&self) -> Option<Condition> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            return gpu.condition();
        }
        None
    }

    /// The versions of what drives it.
    pub fn drivers(&self) -> Vec<(String, String)> {
        #[cfg(feature = "cuda")]
        if let Some(gpu) = &self.cuda {
            return gpu.drivers();
        }
        Vec::new()
    }
}
