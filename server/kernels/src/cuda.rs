//! What is ours on a GPU: the kernels of `kernels.cu`, and convolutions by cuDNN.

mod dnn;
mod driver;

use candle_core::{
    CudaDevice, CudaStorage, DType, Layout, Result, Tensor, WithDType,
    backend::BackendStorage,
    cuda_backend::{
        Map1, Map2, Map3, WrapErr,
        cudarc::driver::{
            CudaSlice, CudaView, DeviceRepr, LaunchConfig, PushKernelArg, ValidAsZeroBits,
        },
        kernel_name,
    },
};

use crate::{
    operations::{
        Clamp, Convolution, Operation, Pool, Reduction, Repeat, Rows, ScoreSoftmax, area,
    },
    window_walk::Sweep,
};

use self::driver::elements;

pub use self::{dnn::version as cudnn_version, driver::quietly};

/// The kernels, for all GPUs that are new enough.
const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.ptx"));

/// What they are called together.
const MODULE: &str = "taper";

/// The most threads of a block that a kernel is started with.
const THREADS: usize = 256;

/// The most products of channels in a group for which our kernel is used where there is no cuDNN:
/// Candle's starts several for each group.
const SMALL_GROUP: usize = 4096;

/// How many elements each thread takes where nothing else decides.
const PER_THREAD: usize = 4;

// SAFETY: all of them are plain numbers, laid out as C does.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Sweep {}
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Channels {}
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Scores {}

/// The channels of a convolution, as the kernel takes them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Channels {
    input: u32,
    output: u32,
    group_in: u32,
    group_out: u32,
}

/// The scores of queries for keys, as the kernel takes them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Scores {
    queries: u32,
    keys: u32,
    heads: u32,
    is_causal: u32,
    window: u32,
    scale: f32,
}

/// Whether a convolution of contiguous tensors is faster here than Candle's.
pub(crate) fn has_convolution(of: &Convolution, input: &Tensor, weight: &Tensor) -> Result<bool> {
    if !matches!(input.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        return Ok(false);
    }
    if dnn::can(of, input, weight)? {
        return Ok(true);
    }
    let per_group = weight.dim(0)? / of.groups * weight.dim(1)?;
    Ok(of.groups > 1 && per_group <= SMALL_GROUP)
}

/// Convolves contiguous tensors.
pub(crate) fn convolve(
    of: &Convolution,
    input: &CudaStorage,
    image: &Layout,
    weight: &CudaStorage,
    kernel: &Layout,
) -> Result<CudaStorage> {
    if let Some(output) = dnn::convolve(of, input, image, weight, kernel)? {
        return Ok(output);
    }
    let device = input.device().clone();
    let slice = of.map(&input.slice, image, &weight.slice, kernel, &device)?;
    Ok(CudaStorage { slice, device })
}

impl Map2 for Convolution {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        input: &CudaSlice<T>,
        image: &Layout,
        weight: &CudaSlice<T>,
        kernel: &Layout,
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        let (outputs, group_in) = (kernel.dims()[0], kernel.dims()[1]);
        let channels = Channels {
            input: small(image.dims()[1])?,
            output: small(outputs)?,
            group_in: small(group_in)?,
            group_out: small(outputs / self.groups)?,
        };
        let (input, weight) = (elements(input, image), elements(weight, kernel));
        let planes = image.dims()[0] * outputs;
        let area = self.sweep.output_area();
        let function =
            device.get_or_load_custom_func(&kernel_name::<T>("convolution"), MODULE, PTX)?;
        // SAFETY: the kernel writes every element.
        let output = unsafe { device.alloc::<T>(planes * area)? };
        let mut builder = function.builder();
        builder.arg(&self.sweep).arg(&channels).arg(&input).arg(&weight).arg(&output);
        // SAFETY: the arguments are those of the kernel, and the tensors have the sizes that it
        // reads and writes, which the shapes of the layer were checked for.
        unsafe { builder.launch(over_planes(planes, area)?) }.w()?;
        Ok(output)
    }
}

/// Pools a contiguous tensor.
pub(crate) fn pool(of: &Pool, input: &CudaStorage, layout: &Layout) -> Result<CudaStorage> {
    let device = input.device().clone();
    let slice = of.map(&input.slice, &device, layout)?;
    Ok(CudaStorage { slice, device })
}

impl Map1 for Pool {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        input: &CudaSlice<T>,
        device: &CudaDevice,
        layout: &Layout,
    ) -> Result<CudaSlice<T>> {
        let (planes, area) = (self.planes(layout), self.sweep.output_area());
        let input = elements(input, layout);
        // SAFETY: the kernel writes every element.
        let output = unsafe { device.alloc::<T>(planes * area)? };
        let launch = over_planes(planes, area)?;
        match self.reduction {
            Reduction::Max => {
                let function =
                    device.get_or_load_custom_func(&kernel_name::<T>("max_pool"), MODULE, PTX)?;
                let mut builder = function.builder();
                builder.arg(&self.sweep).arg(&input).arg(&output);
                // SAFETY: as for a convolution.
                unsafe { builder.launch(launch) }.w()?;
            }
            Reduction::Average { count_padding, divisor } => {
                let count_padding = u32::from(count_padding);
                let divisor = small(divisor.unwrap_or(0) as usize)?;
                let function = device.get_or_load_custom_func(
                    &kernel_name::<T>("average_pool"),
                    MODULE,
                    PTX,
                )?;
                let mut builder = function.builder();
                builder.arg(&self.sweep).arg(&count_padding).arg(&divisor);
                builder.arg(&input).arg(&output);
                // SAFETY: as for a convolution.
                unsafe { builder.launch(launch) }.w()?;
            }
        }
        Ok(output)
    }
}

/// Scales and shifts each channel of a contiguous tensor.
pub(crate) fn scale_and_shift(
    [(x, of_x), (scale, of_scale), (shift, of_shift)]: [(&CudaStorage, &Layout); 3],
) -> Result<CudaStorage> {
    let device = x.device().clone();
    let layouts = (of_x, of_scale, of_shift);
    let slice = ScaleAndShift.map(
        &x.slice,
        layouts.0,
        &scale.slice,
        layouts.1,
        &shift.slice,
        layouts.2,
        &device,
    )?;
    Ok(CudaStorage { slice, device })
}

struct ScaleAndShift;

impl Map3 for ScaleAndShift {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        x: &CudaSlice<T>,
        of_x: &Layout,
        scale: &CudaSlice<T>,
        of_scale: &Layout,
        shift: &CudaSlice<T>,
        of_shift: &Layout,
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        let (count, area) = (of_x.shape().elem_count(), area(of_x));
        let (channels, plane) = (small(of_x.dims()[1])?, small(area)?);
        let (x, scale) = (elements(x, of_x), elements(scale, of_scale));
        let shift = elements(shift, of_shift);
        let function =
            device.get_or_load_custom_func(&kernel_name::<T>("scale_and_shift"), MODULE, PTX)?;
        // SAFETY: the kernel writes every element.
        let output = unsafe { device.alloc::<T>(count)? };
        let mut builder = function.builder();
        builder.arg(&channels).arg(&plane).arg(&x).arg(&scale).arg(&shift).arg(&output);
        // SAFETY: as for a convolution.
        unsafe { builder.launch(over_planes(count / area.max(1), area)?) }.w()?;
        Ok(output)
    }
}

/// Combines a contiguous tensor with one that is repeated over it.
pub(crate) fn repeat(
    of: &Repeat,
    large: &CudaStorage,
    of_large: &Layout,
    small: &CudaStorage,
    of_small: &Layout,
) -> Result<CudaStorage> {
    let device = large.device().clone();
    let slice = of.map(&large.slice, of_large, &small.slice, of_small, &device)?;
    Ok(CudaStorage { slice, device })
}

impl Map2 for Repeat {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        large: &CudaSlice<T>,
        of_large: &Layout,
        repeated: &CudaSlice<T>,
        of_repeated: &Layout,
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        let count = of_large.shape().elem_count();
        let (all, inner) = (count as u64, self.inner as u64);
        let period = of_repeated.shape().elem_count() as u64;
        let (large, repeated) = (elements(large, of_large), elements(repeated, of_repeated));
        let name = match self.operation {
            Operation::Add => "repeat_add",
            Operation::Multiply => "repeat_multiply",
        };
        let function = device.get_or_load_custom_func(&kernel_name::<T>(name), MODULE, PTX)?;
        // SAFETY: the kernel writes every element.
        let output = unsafe { device.alloc::<T>(count)? };
        let mut builder = function.builder();
        builder.arg(&all).arg(&inner).arg(&period).arg(&large).arg(&repeated).arg(&output);
        // SAFETY: as for a convolution.
        unsafe { builder.launch(over_elements(count)?) }.w()?;
        Ok(output)
    }
}

/// Keeps each element of a contiguous tensor between two bounds.
pub(crate) fn clamp(of: &Clamp, input: &CudaStorage, layout: &Layout) -> Result<CudaStorage> {
    let device = input.device().clone();
    let slice = of.map(&input.slice, &device, layout)?;
    Ok(CudaStorage { slice, device })
}

impl Map1 for Clamp {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        input: &CudaSlice<T>,
        device: &CudaDevice,
        layout: &Layout,
    ) -> Result<CudaSlice<T>> {
        let Clamp { shift, low, high, divisor, is_gate } = self;
        let count = layout.shape().elem_count();
        let (all, is_gate) = (count as u64, u32::from(*is_gate));
        let input = elements(input, layout);
        let function = device.get_or_load_custom_func(&kernel_name::<T>("clamp"), MODULE, PTX)?;
        // SAFETY: the kernel writes every element.
        let output = unsafe { device.alloc::<T>(count)? };
        let mut builder = function.builder();
        builder.arg(&all).arg(shift).arg(low).arg(high).arg(divisor).arg(&is_gate);
        builder.arg(&input).arg(&output);
        // SAFETY: as for a convolution.
        unsafe { builder.launch(over_elements(count)?) }.w()?;
        Ok(output)
    }
}

/// The softmax of contiguous scores, perhaps with a sink for each head.
pub(crate) fn softmax(
    of: &ScoreSoftmax,
    scores: &CudaStorage,
    layout: &Layout,
    sinks: Option<(&CudaStorage, &Layout)>,
) -> Result<CudaStorage> {
    let device = scores.device().clone();
    let slice = match sinks {
        None => WithoutSinks(of).map(&scores.slice, &device, layout)?,
        Some((sinks, of_sinks)) => {
            of.map(&scores.slice, layout, &sinks.slice, of_sinks, &device)?
        }
    };
    Ok(CudaStorage { slice, device })
}

struct WithoutSinks<'s>(&'s ScoreSoftmax);

impl Map1 for WithoutSinks<'_> {
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        scores: &CudaSlice<T>,
        device: &CudaDevice,
        layout: &Layout,
    ) -> Result<CudaSlice<T>> {
        run_softmax(self.0, scores, layout, None, device)
    }
}

impl Map2 for ScoreSoftmax {
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        scores: &CudaSlice<T>,
        layout: &Layout,
        sinks: &CudaSlice<T>,
        of_sinks: &Layout,
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        run_softmax(self, scores, layout, Some(elements(sinks, of_sinks)), device)
    }
}

#[allow(unsafe_code)]
fn run_softmax<T: DeviceRepr + WithDType>(
    of: &ScoreSoftmax,
    scores: &CudaSlice<T>,
    layout: &Layout,
    sinks: Option<CudaView<'_, T>>,
    device: &CudaDevice,
) -> Result<CudaSlice<T>> {
    let (rows, count) = (Rows::of(layout), layout.shape().elem_count());
    let sizes = Scores {
        queries: small(rows.queries)?,
        keys: small(rows.keys)?,
        heads: small(rows.heads)?,
        is_causal: u32::from(of.is_causal),
        window: small(of.window.unwrap_or(0) as usize)?,
        scale: of.scale as f32,
    };
    let scores = elements(scores, layout);
    let function = device.get_or_load_custom_func(&kernel_name::<T>("softmax"), MODULE, PTX)?;
    // SAFETY: the kernel writes every element.
    let weights = unsafe { device.alloc::<T>(count)? };
    let nothing = 0u64;
    let mut builder = function.builder();
    builder.arg(&sizes).arg(&scores);
    match &sinks {
        Some(sinks) => builder.arg(sinks),
        None => builder.arg(&nothing),
    };
    builder.arg(&weights);
    let threads = rows.keys.div_ceil(PER_THREAD).next_multiple_of(32).min(THREADS);
    // SAFETY: as for a convolution; a pointer that is null is not followed.
    unsafe { builder.launch(launch([count / rows.keys.max(1), 1], threads)?) }.w()?;
    Ok(weights)
}

/// A thread for several elements.
fn over_elements(count: usize) -> Result<LaunchConfig> {
    // More elements than so many blocks have are taken in turns.
    launch([count.div_ceil(THREADS * PER_THREAD).clamp(1, 1 << 20), 1], THREADS)
}

/// A block, or several, for each plane.
fn over_planes(planes: usize, area: usize) -> Result<LaunchConfig> {
    let threads = area.next_multiple_of(32).clamp(32, THREADS);
    // More elements than so many blocks have are taken in turns.
    launch([planes, area.div_ceil(threads).clamp(1, 1 << 15)], threads)
}

fn launch(blocks: [usize; 2], threads: usize) -> Result<LaunchConfig> {
    Ok(LaunchConfig {
        grid_dim: (small(blocks[0])?, small(blocks[1])?, 1),
        block_dim: (small(threads)?, 1, 1),
        shared_mem_bytes: 0,
    })
}

fn small(size: usize) -> Result<u32> {
    u32::try_from(size).map_err(candle_core::Error::wrap)
}
