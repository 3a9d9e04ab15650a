//! Convolutions by cuDNN, where its library is found.

use std::{cell::RefCell, sync::Arc};

use candle_core::{
    CudaDevice, CudaStorage, DType, Error, Layout, Result, Tensor, WithDType,
    backend::BackendStorage,
    cuda_backend::{
        CudaStorageSlice as Slice, DeviceId,
        cudarc::{
            self,
            cudnn::{
                ConvDescriptor, ConvForward, Cudnn, CudnnDataType, CudnnError, FilterDescriptor,
                TensorDescriptor, sys,
            },
            driver::{CudaSlice, DeviceRepr},
        },
    },
};
use half::{bf16, f16};
use rustc_hash::FxHashMap;

use super::{elements, quietly};
use crate::convolve::Convolution;

/// What is known of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Problem {
    of: Convolution,
    input: [i32; 2],
    outputs: i32,
    group_in: i32,
    dtype: DType,
    tf32: bool,
}

/// What cuDNN would do it by, and the bytes that this needs.
type Plan = (sys::cudnnConvolutionFwdAlgo_t, usize);

#[derive(Default)]
struct Known {
    /// Nothing where the library is missing.
    handles: FxHashMap<DeviceId, Option<Arc<Cudnn>>>,
    /// Nothing where cuDNN has no way.
    plans: FxHashMap<(DeviceId, Problem), Option<Plan>>,
}

thread_local! {
    // A handle is for one thread.
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// The version of cuDNN, if its library is found.
pub fn version() -> Option<String> {
    let number = quietly(cudarc::cudnn::result::get_version)?;
    Some(format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100))
}

/// Whether cuDNN is there and can do it.
pub(super) fn can(of: &Convolution, input: &Tensor, weight: &Tensor) -> Result<bool> {
    // One channel after the other is no product of matrices, which cuDNN is good at.
    let is_depthwise = of.groups > 1 && weight.dim(1)? == 1;
    if is_depthwise {
        return Ok(false);
    }
    let device = input.device().as_cuda_device()?;
    let problem = Problem::of(of, input.layout(), weight.layout(), input.dtype())?;
    Ok(plan(device, &problem).is_some())
}

/// The output, if cuDNN is there and can do it.
pub(super) fn convolve(
    of: &Convolution,
    input: &CudaStorage,
    image: &Layout,
    weight: &CudaStorage,
    kernel: &Layout,
) -> Result<Option<CudaStorage>> {
    let device = input.device().clone();
    let problem = Problem::of(of, image, kernel, input.dtype())?;
    let is_depthwise = of.groups > 1 && problem.group_in == 1;
    let found = if is_depthwise { None } else { plan(&device, &problem) };
    let Some((cudnn, plan)) = found else { return Ok(None) };
    let run = Run { cudnn, plan, problem, device: &device };
    let slice = match (&input.slice, &weight.slice) {
        (Slice::F32(x), Slice::F32(w)) => Slice::F32(run.forward::<_, f32>(x, image, w, kernel)?),
        (Slice::F64(x), Slice::F64(w)) => Slice::F64(run.forward::<_, f64>(x, image, w, kernel)?),
        (Slice::F16(x), Slice::F16(w)) => Slice::F16(run.forward::<_, f32>(x, image, w, kernel)?),
        (Slice::BF16(x), Slice::BF16(w)) => {
            Slice::BF16(run.forward::<_, f32>(x, image, w, kernel)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(CudaStorage { slice, device }))
}

/// The handle and the way of a convolution, looked for once.
fn plan(device: &CudaDevice, problem: &Problem) -> Option<(Arc<Cudnn>, Plan)> {
    let cudnn = KNOWN.with_borrow_mut(|known| {
        known.handles.entry(device.id()).or_insert_with(|| handle(device)).clone()
    })?;
    let key = (device.id(), *problem);
    let known = KNOWN.with_borrow(|known| known.plans.get(&key).copied());
    let plan = known.unwrap_or_else(|| {
        let found = problem.plan(&cudnn).ok();
        KNOWN.with_borrow_mut(|known| known.plans.insert(key, found));
        found
    })?;
    Some((cudnn, plan))
}

/// A handle, if the library is found.
fn handle(device: &CudaDevice) -> Option<Arc<Cudnn>> {
    quietly(|| Cudnn::new(device.cuda_stream()))?.ok()
}

impl Problem {
    fn of(of: &Convolution, image: &Layout, kernel: &Layout, dtype: DType) -> Result<Problem> {
        let (image, kernel) = (image.dims(), kernel.dims());
        Ok(Problem {
            of: *of,
            input: [small(image[0])?, small(image[1])?],
            outputs: small(kernel[0])?,
            group_in: small(kernel[1])?,
            dtype,
            tf32: candle_core::cuda::gemm_reduced_precision_f32(),
        })
    }

    fn plan(&self, cudnn: &Arc<Cudnn>) -> std::result::Result<Plan, CudnnError> {
        match self.dtype {
            DType::F64 => self.described::<f64, f64>(cudnn)?.plan(),
            DType::F16 => self.described::<f16, f32>(cudnn)?.plan(),
            DType::BF16 => self.described::<bf16, f32>(cudnn)?.plan(),
            _ => self.described::<f32, f32>(cudnn)?.plan(),
        }
    }

    /// As cuDNN wants it described; `C` is what sums are made in.
    fn described<T: CudnnDataType, C: CudnnDataType>(
        &self,
        cudnn: &Arc<Cudnn>,
    ) -> std::result::Result<Described<T, C>, CudnnError> {
        let sweep = &self.of.sweep;
        // cuDNN takes two axes at least; three where the first does something.
        let first = usize::from(sweep.input[0] == 1 && sweep.kernel[0] == 1);
        let numbers = |sizes: &[u32; 3]| sizes[first..].iter().map(|size| *size as i32).collect();
        let tensor = |channels: i32, sizes: &[u32; 3]| {
            let sizes: Vec<i32> = numbers(sizes);
            let dims = [&[self.input[0], channels], &sizes[..]].concat();
            let mut strides = vec![1; dims.len()];
            for dim in (0..dims.len() - 1).rev() {
                strides[dim] = strides[dim + 1] * dims[dim + 1];
            }
            cudnn.create_nd_tensor::<T>(&dims, &strides)
        };
        let kernel: Vec<i32> = numbers(&sweep.kernel);
        let filter = [&[self.outputs, self.group_in], &kernel[..]].concat();
        let (padding, stride): (Vec<i32>, Vec<i32>) =
            (numbers(&sweep.padding), numbers(&sweep.stride));
        let mut conv = cudnn.create_convnd::<C>(
            &padding,
            &stride,
            &numbers(&sweep.dilation),
            sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
        )?;
        conv.set_group_count(self.of.groups as i32)?;
        conv.set_math_type(match self.dtype {
            DType::F32 if self.tf32 => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            DType::F32 | DType::F64 => sys::cudnnMathType_t::CUDNN_FMA_MATH,
            _ => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
        })?;
        let format = sys::cudnnTensorFormat_t::CUDNN_TENSOR_NCHW;
        Ok(Described {
            conv,
            x: tensor(self.input[1], &sweep.input)?,
            w: cudnn.create_nd_filter::<T>(format, &filter)?,
            y: tensor(self.outputs, &sweep.output)?,
        })
    }
}

/// A convolution in cuDNN's words.
struct Described<T, C> {
    conv: ConvDescriptor<C>,
    x: TensorDescriptor<T>,
    w: FilterDescriptor<T>,
    y: TensorDescriptor<T>,
}

impl<T: CudnnDataType, C: CudnnDataType> Described<T, C> {
    fn forward(&self) -> ConvForward<'_, T, C, T> {
        ConvForward { conv: &self.conv, x: &self.x, w: &self.w, y: &self.y }
    }

    fn plan(&self) -> std::result::Result<Plan, CudnnError> {
        let algorithm = self.forward().pick_algorithm()?;
        Ok((algorithm, self.forward().get_workspace_size(algorithm)?))
    }
}

/// A convolution that can run.
struct Run<'d> {
    cudnn: Arc<Cudnn>,
    plan: Plan,
    problem: Problem,
    device: &'d CudaDevice,
}

impl Run<'_> {
    #[allow(unsafe_code)]
    fn forward<T: DeviceRepr + CudnnDataType + WithDType, C: CudnnDataType>(
        &self,
        input: &CudaSlice<T>,
        image: &Layout,
        weight: &CudaSlice<T>,
        kernel: &Layout,
    ) -> Result<CudaSlice<T>> {
        let described = self.problem.described::<T, C>(&self.cudnn).map_err(Error::wrap)?;
        let (algorithm, bytes) = self.plan;
        let count = image.dims()[0] * kernel.dims()[0] * self.problem.of.sweep.output_area();
        // SAFETY: cuDNN writes every element, and nobody reads what it works in.
        let (mut output, mut space) =
            unsafe { (self.device.alloc::<T>(count)?, self.device.alloc::<u8>(bytes.max(1))?) };
        let (input, weight) = (elements(input, image), elements(weight, kernel));
        let (one, zero) = (T::one(), T::zero());
        // SAFETY: the tensors are contiguous and have the sizes that are described.
        unsafe {
            let forward = described.forward();
            forward.launch(algorithm, Some(&mut space), (one, zero), &input, &weight, &mut output)
        }
        .map_err(Error::wrap)?;
        Ok(output)
    }
}

fn small(size: usize) -> Result<i32> {
    i32::try_from(size).map_err(Error::wrap)
}
