//! GPUs with CUDA: events as a clock, the memory pool that Candle allocates from, and what NVIDIA's
//! management library says of the GPU's state.

use std::ffi::OsStr;

use candle_core::{
    Device as Place, Error, Result,
    cuda_backend::cudarc::driver::{
        CudaContext, CudaEvent, CudaSlice, CudaStream, DriverError, result,
        sys::{CUevent_flags, CUmemPool_attribute as Attribute, CUmemoryPool},
    },
};
use kernels::quietly;
use nvml_wrapper::{
    Nvml,
    bitmasks::device::ThrottleReasons,
    enum_wrappers::device::{Clock, TemperatureSensor},
};

use crate::{Condition, Device};

/// The GPUs, or why there is none.
pub(crate) fn devices() -> std::result::Result<Vec<Device>, String> {
    let count = quietly(CudaContext::device_count).ok_or("CUDA's driver is not on this machine")?;
    let count = count.map_err(|error| format!("CUDA does not start: {error}"))?;
    if count == 0 {
        return Err("this machine has no GPU that CUDA can use".to_owned());
    }
    // One that does not answer hides no other.
    let all: Vec<_> = (0..count).map(described).collect();
    let (found, refused): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.is_ok());
    let found: Vec<Device> = found.into_iter().flatten().collect();
    match refused.into_iter().find_map(std::result::Result::err) {
        Some(error) if found.is_empty() => Err(format!("a GPU cannot be asked: {error}")),
        _ => Ok(found),
    }
}

/// A GPU, without opening it: that takes memory of it, and time.
#[allow(unsafe_code)]
fn described(number: i32) -> std::result::Result<Device, DriverError> {
    let device = result::device::get(number)?;
    Ok(Device {
        id: format!("cuda:{number}"),
        name: result::device::get_name(device)?,
        threads: None,
        // SAFETY: the device is one that the driver has named.
        memory: Some(unsafe { result::device::total_mem(device)? } as u64),
    })
}

/// NVIDIA's management library. Where there is a driver and no toolkit only its versioned name is
/// there.
fn nvml() -> Option<Nvml> {
    let name = OsStr::new("libnvidia-ml.so.1");
    Nvml::builder().lib_path(name).init().or_else(|_| Nvml::init()).ok()
}

/// A GPU that is open, with a stream of its own.
pub(crate) struct Gpu {
    pub place: Place,
    stream: std::sync::Arc<CudaStream>,
    pool: Option<Pool>,
    nvml: Option<Nvml>,
    uuid: String,
}

/// A point in the work of a stream.
pub(crate) struct Event(CudaEvent);

impl Event {
    pub fn seconds_until(&self, later: &Event) -> Result<f64> {
        let milliseconds = self.0.elapsed_ms(&later.0).map_err(Error::wrap)?;
        Ok(f64::from(milliseconds) / 1e3)
    }
}

impl Gpu {
    #[allow(unsafe_code)]
    pub fn open(number: usize) -> Result<Gpu> {
        // The bindings panic where one of CUDA's libraries is missing.
        let place = quietly(|| Place::new_cuda_with_stream(number)).unwrap_or_else(|| {
            let needs =
                "cuBLAS and cuRAND of CUDA 13, which come with its toolkit and with PyTorch";
            candle_core::bail!("a library is missing: it needs {needs}, on LD_LIBRARY_PATH")
        })?;
        let device = place.as_cuda_device()?.clone();
        // SAFETY: all work goes to this one stream, so no other has to wait for its events.
        unsafe { device.disable_event_tracking() };
        let stream = device.cuda_stream();
        let pool = stream.context().has_async_alloc().then(|| Pool::of(stream.context()));
        let uuid = stream.context().uuid().map_err(Error::wrap)?;
        Ok(Gpu {
            place,
            pool: pool.and_then(std::result::Result::ok),
            nvml: quietly(nvml).flatten(),
            uuid: uuid_text(&uuid.bytes.map(|byte| byte.cast_unsigned())),
            stream,
        })
    }

    pub fn event(&self) -> Result<Event> {
        let event = self.stream.record_event(Some(CUevent_flags::CU_EVENT_DEFAULT));
        event.map(Event).map_err(Error::wrap)
    }

    pub fn copies(&self, bytes: usize) -> Result<Copies> {
        let space = || self.stream.alloc_zeros::<u8>(bytes).map_err(Error::wrap);
        Ok(Copies { stream: self.stream.clone(), from: space()?, to: space()? })
    }

    pub fn free_memory(&self) -> Option<u64> {
        let (free, _) = self.stream.context().mem_get_info().ok()?;
        // What the pool holds and nobody uses can be allocated too.
        let pooled = self.pool.as_ref().and_then(Pool::unused).unwrap_or(0);
        Some(free as u64 + pooled)
    }

    pub fn reset_peak(&self) {
        if let Some(pool) = &self.pool {
            pool.set(Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH, 0);
        }
    }

    pub fn peak_memory(&self) -> Option<u64> {
        self.pool.as_ref()?.get(Attribute::CU_MEMPOOL_ATTR_USED_MEM_HIGH)
    }

    pub fn condition(&self) -> Option<Condition> {
        let device = self.nvml.as_ref()?.device_by_uuid(self.uuid.as_str()).ok()?;
        let reasons = device.current_throttle_reasons().ok();
        let processes = device.running_compute_processes().ok();
        Some(Condition {
            clock_mhz: device.clock_info(Clock::SM).ok().map(u64::from),
            max_clock_mhz: device.max_clock_info(Clock::SM).ok().map(u64::from),
            temperature: device.temperature(TemperatureSensor::Gpu).ok().map(u64::from),
            power_watts: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
            power_limit_watts: device
                .enforced_power_limit()
                .ok()
                .map(|milliwatts| f64::from(milliwatts) / 1e3),
            throttled: reasons.map_or(Vec::new(), throttled),
            // This process is one of them.
            other_processes: processes.map(|all| all.len().saturating_sub(1) as u64),
        })
    }

    pub fn drivers(&self) -> Vec<(String, String)> {
        let nvml = self.nvml.as_ref();
        let driver = nvml.and_then(|nvml| nvml.sys_driver_version().ok());
        let cuda = nvml.and_then(|nvml| nvml.sys_cuda_driver_version().ok());
        let cuda = cuda.map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
        let capability = self.stream.context().compute_capability().ok();
        let capability = capability.map(|(major, minor)| format!("{major}.{minor}"));
        let known = [
            ("driver", driver),
            ("CUDA", cuda),
            ("cuDNN", kernels::cudnn_version()),
            ("compute capability", capability),
        ];
        known.into_iter().filter_map(|(name, version)| Some((name.to_owned(), version?))).collect()
    }
}

/// A copy within the GPU's memory.
pub(crate) struct Copies {
    stream: std::sync::Arc<CudaStream>,
    from: CudaSlice<u8>,
    to: CudaSlice<u8>,
}

impl Copies {
    pub fn run(&mut self) -> Result<()> {
        self.stream.memcpy_dtod(&self.from, &mut self.to).map_err(Error::wrap)
    }
}

/// The reasons that make a GPU slower than it is, by their names.
fn throttled(reasons: ThrottleReasons) -> Vec<String> {
    let harmless = ThrottleReasons::GPU_IDLE | ThrottleReasons::APPLICATIONS_CLOCKS_SETTING;
    let names = (reasons - harmless).iter_names();
    names.map(|(name, _)| name.to_lowercase().replace('_', " ")).collect()
}

/// A GPU's identity as NVIDIA's tools write it.
fn uuid_text(bytes: &[u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("GPU-{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The pool that all tensors of a device are allocated from.
struct Pool(CUmemoryPool);

impl Pool {
    #[allow(unsafe_code)]
    fn of(context: &CudaContext) -> std::result::Result<Pool, DriverError> {
        // SAFETY: the device is that of an open context.
        let pool = Pool(unsafe { result::device::get_default_mem_pool(context.cu_device())? });
        // Memory that is freed stays with us, else every run would pay for getting it again.
        pool.set(Attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, u64::MAX);
        Ok(pool)
    }

    #[allow(unsafe_code)]
    fn get(&self, attribute: Attribute) -> Option<u64> {
        let mut value = 0u64;
        // SAFETY: the attributes asked for here are unsigned numbers of 64 bits.
        let got =
            unsafe { result::mem_pool::get_attribute(self.0, attribute, (&raw mut value).cast()) };
        got.ok().map(|()| value)
    }

    #[allow(unsafe_code)]
    fn set(&self, attribute: Attribute, mut value: u64) {
        // SAFETY: as above. One that cannot be set leaves a figure unknown.
        let _ =
            unsafe { result::mem_pool::set_attribute(self.0, attribute, (&raw mut value).cast()) };
    }

    /// Bytes that it has and no tensor uses.
    fn unused(&self) -> Option<u64> {
        let reserved = self.get(Attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT)?;
        Some(reserved.saturating_sub(self.get(Attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_driver_has_no_devices_and_says_why() {
        // On a machine with one there is nothing to see here.
        if let Err(reason) = devices() {
            assert!(reason.contains("CUDA"), "{reason}");
        }
    }

    #[test]
    fn identities_and_reasons_are_named() {
        let bytes: [u8; 16] = std::array::from_fn(|byte| byte as u8);
        assert_eq!(uuid_text(&bytes), "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
        let reasons = ThrottleReasons::GPU_IDLE | ThrottleReasons::SW_POWER_CAP;
        assert_eq!(throttled(reasons), ["sw power cap"]);
    }
}
