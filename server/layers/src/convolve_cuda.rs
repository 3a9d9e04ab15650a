//! The kernel of `convolve.cu` on a GPU.

use candle_core::{
    CudaDevice, CudaStorage, DType, Layout, Result, WithDType,
    backend::BackendStorage,
    cuda_backend::{
        Map2, WrapErr,
        cudarc::driver::{CudaSlice, DeviceRepr, LaunchConfig, PushKernelArg, ValidAsZeroBits},
        kernel_name,
    },
};

/// The kernels, for all GPUs that are new enough.
const PTX: &str = include_str!(concat!(env!("OUT_DIR"), "/convolve.ptx"));

/// The sizes of all tensors, as the kernel takes them.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Geometry {
    pub samples: u32,
    pub in_channels: u32,
    pub out_channels: u32,
    pub group_in: u32,
    pub group_out: u32,
    pub input: [u32; 3],
    pub kernel: [u32; 3],
    pub output: [u32; 3],
    pub stride: [u32; 3],
    pub dilation: [u32; 3],
}

// SAFETY: it is plain numbers, laid out as C does.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Geometry {}

/// Convolves contiguous tensors.
pub(crate) fn grouped_convolution(
    geometry: Geometry,
    input: &CudaStorage,
    input_layout: &Layout,
    weight: &CudaStorage,
    weight_layout: &Layout,
) -> Result<CudaStorage> {
    if !matches!(input.dtype(), DType::F32 | DType::F64 | DType::F16 | DType::BF16) {
        candle_core::bail!("a grouped convolution takes f32, f64, f16 or bf16");
    }
    let device = input.device().clone();
    let slice = geometry.map(&input.slice, input_layout, &weight.slice, weight_layout, &device)?;
    Ok(CudaStorage { slice, device })
}

impl Map2 for Geometry {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        input: &CudaSlice<T>,
        input_layout: &Layout,
        weight: &CudaSlice<T>,
        weight_layout: &Layout,
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        let sizes = [self.samples, self.out_channels].into_iter().chain(self.output);
        let count = sizes.map(|size| size as usize).product();
        let input = input.slice(input_layout.start_offset()..);
        let weight = weight.slice(weight_layout.start_offset()..);
        let name = kernel_name::<T>("grouped_convolution");
        let function = device.get_or_load_custom_func(&name, "taper_convolve", PTX)?;
        // SAFETY: the kernel writes every element.
        let output = unsafe { device.alloc::<T>(count)? };
        let mut builder = function.builder();
        builder.arg(self).arg(&input).arg(&weight).arg(&output);
        let threads = 256;
        let blocks = u32::try_from(count.div_ceil(threads)).map_err(candle_core::Error::wrap)?;
        let launch = LaunchConfig {
            grid_dim: (blocks, 1, 1),
            block_dim: (threads as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        // SAFETY: the arguments are those of the kernel, and the tensors have the sizes that it
        // reads and writes, which the shapes of the layer were checked for.
        unsafe { builder.launch(launch) }.w()?;
        Ok(output)
    }
}
