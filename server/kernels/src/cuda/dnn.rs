//! Convolutions by cuDNN, where its library is found. How one is done best is looked for once, so that
//! afterwards little is left to do on the CPU.

mod descriptor;

use std::{cell::RefCell, rc::Rc};

use candle_core::{
    CudaDevice, CudaStorage, DType, Error, Layout, Result, Tensor, WithDType,
    backend::BackendStorage,
    cuda_backend::{
        DeviceId, Map2,
        cudarc::{
            cudnn::{
                result,
                sys::{
                    self, cudnnBackendAttributeName_t as Name,
                    cudnnBackendDescriptorType_t as Kind, cudnnBackendHeurMode_t as Heuristics,
                    cudnnBackendNumericalNote_t as Note, cudnnConvolutionMode_t as Mode,
                    cudnnDataType_t as Data,
                },
            },
            driver::{CudaSlice, DevicePtr, DevicePtrMut, DeviceRepr, ValidAsZeroBits},
        },
    },
};
use descriptor::{Address, Descriptor, NumericalNote, Result as DnnResult};
use rustc_hash::FxHashMap;

use super::driver::{elements, quietly};
use crate::operations::Convolution;

/// What the input, the weight and the output of a convolution are called.
const NAMES: [i64; 3] = [0, 1, 2];

/// The bytes that an address is a multiple of, at best; more helps no engine.
const ALIGNMENT: usize = 16;

/// What is known of one convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Problem {
    of: Convolution,
    input: [usize; 2],
    outputs: usize,
    group_in: usize,
    dtype: DType,
    tf32: bool,
    /// The bytes that the addresses of the input and of the weight are multiples of.
    alignments: [usize; 2],
}

/// What is known of cuDNN.
#[derive(Default)]
struct Known {
    /// Nothing where cuDNN has no way.
    plans: FxHashMap<(DeviceId, Problem), Option<Rc<Plan>>>,
    /// Nothing where the library is missing.
    handles: FxHashMap<DeviceId, Option<Rc<Handle>>>,
}

thread_local! {
    // A handle is for one thread.
    static KNOWN: RefCell<Known> = RefCell::default();
}

/// The version of cuDNN, if its library is found.
pub fn version() -> Option<String> {
    let number = quietly(result::get_version)?;
    Some(format!("{}.{}.{}", number / 10_000, number / 100 % 100, number % 100))
}

/// Whether cuDNN is there and can do it.
pub(super) fn can(of: &Convolution, input: &Tensor, weight: &Tensor) -> Result<bool> {
    let device = input.device().as_cuda_device()?;
    let problem = Problem::of(of, input.layout(), weight.layout(), input.dtype());
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
    let Some(plan) = plan(&device, &Problem::of(of, image, kernel, input.dtype())) else {
        return Ok(None);
    };
    let slice = plan.map(&input.slice, image, &weight.slice, kernel, &device)?;
    Ok(Some(CudaStorage { slice, device }))
}

/// How cuDNN does it, looked for once.
fn plan(device: &CudaDevice, problem: &Problem) -> Option<Rc<Plan>> {
    // One channel after the other is no product of matrices, which cuDNN is good at.
    if problem.of.groups > 1 && problem.group_in == 1 {
        return None;
    }
    KNOWN.with_borrow_mut(|known| {
        let handle = known.handles.entry(device.id()).or_insert_with(|| Handle::new(device));
        let handle = handle.as_ref()?;
        let plan = known.plans.entry((device.id(), *problem));
        plan.or_insert_with(|| problem.plan(handle).ok().flatten().map(Rc::new)).clone()
    })
}

/// cuDNN on the stream of a device.
#[derive(Debug)]
struct Handle(sys::cudnnHandle_t);

impl Handle {
    /// Nothing where the library is missing.
    #[allow(unsafe_code)]
    fn new(device: &CudaDevice) -> Option<Rc<Handle>> {
        let stream = device.cuda_stream();
        stream.context().bind_to_thread().ok()?;
        let handle = Handle(quietly(result::create_handle)?.ok()?);
        // SAFETY: the stream is that of the device, which lives as long as what is computed on it.
        unsafe { result::set_stream(handle.0, stream.cu_stream().cast()) }.ok()?;
        Some(Rc::new(handle))
    }
}

impl Drop for Handle {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: cuDNN made the handle, and it is used no more. Nothing can be done about a failure.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

impl Problem {
    fn of(of: &Convolution, image: &Layout, kernel: &Layout, dtype: DType) -> Problem {
        let alignment = |layout: &Layout| {
            let offset = layout.start_offset() * dtype.size_in_bytes();
            (1 << offset.trailing_zeros().min(ALIGNMENT.trailing_zeros())) as usize
        };
        Problem {
            of: *of,
            input: [image.dims()[0], image.dims()[1]],
            outputs: kernel.dims()[0],
            group_in: kernel.dims()[1],
            dtype,
            tf32: candle_core::cuda::gemm_reduced_precision_f32(),
            alignments: [alignment(image), alignment(kernel)],
        }
    }

    /// The first of the ways that cuDNN thinks best, if it has one.
    fn plan(&self, handle: &Rc<Handle>) -> DnnResult<Option<Plan>> {
        let graph = self.graph(handle)?;
        for heuristics in [Heuristics::CUDNN_HEUR_MODE_A, Heuristics::CUDNN_HEUR_MODE_FALLBACK] {
            for way in ways(&graph.descriptor, heuristics).unwrap_or_default() {
                if !self.is_exact(&way)? {
                    continue;
                }
                let plan = Descriptor::new(Kind::CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)?
                    .with(Name::CUDNN_ATTR_EXECUTION_PLAN_HANDLE, &handle.0)?
                    .with(Name::CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, &way)?
                    .finished();
                // Some turn out not to be for this device.
                let Ok(descriptor) = plan else { continue };
                let mut bytes = [0i64];
                descriptor.read(Name::CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, &mut bytes)?;
                return Ok(Some(Plan {
                    descriptor,
                    bytes: usize::try_from(bytes[0]).unwrap_or(0),
                    area: self.of.sweep.output_area(),
                    handle: handle.clone(),
                    _of: (way, graph),
                }));
            }
        }
        Ok(None)
    }

    /// The convolution in cuDNN's words.
    fn graph(&self, handle: &Handle) -> DnnResult<Graph> {
        let sweep = &self.of.sweep;
        // cuDNN takes two axes at least; three where the first does something.
        let first = usize::from(sweep.input[0] == 1 && sweep.kernel[0] == 1);
        let numbers =
            |sizes: &[u32; 3]| sizes[first..].iter().map(|size| i64::from(*size)).collect();
        let shape = |leading: [usize; 2], sizes: &[u32; 3]| {
            let sizes: Vec<i64> = numbers(sizes);
            leading.iter().map(|size| *size as i64).chain(sizes).collect::<Vec<i64>>()
        };
        let tensor = |name: i64, alignment: usize, sizes: Vec<i64>| {
            Descriptor::new(Kind::CUDNN_BACKEND_TENSOR_DESCRIPTOR)?
                .with(Name::CUDNN_ATTR_TENSOR_UNIQUE_ID, &name)?
                .with(Name::CUDNN_ATTR_TENSOR_DATA_TYPE, &data_type(self.dtype))?
                .with(Name::CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, &(alignment as i64))?
                .with_all(Name::CUDNN_ATTR_TENSOR_STRIDES, &contiguous(&sizes))?
                .with_all(Name::CUDNN_ATTR_TENSOR_DIMENSIONS, &sizes)?
                .finished()
        };
        let [of_input, of_weight] = self.alignments;
        let tensors = [
            tensor(NAMES[0], of_input, shape(self.input, &sweep.input))?,
            tensor(NAMES[1], of_weight, shape([self.outputs, self.group_in], &sweep.kernel))?,
            tensor(NAMES[2], ALIGNMENT, shape([self.input[0], self.outputs], &sweep.output))?,
        ];
        let sums = if self.dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let padding: Vec<i64> = numbers(&sweep.padding);
        let strides: Vec<i64> = numbers(&sweep.stride);
        let dilations: Vec<i64> = numbers(&sweep.dilation);
        let convolution = Descriptor::new(Kind::CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR)?
            .with(Name::CUDNN_ATTR_CONVOLUTION_COMP_TYPE, &data_type(sums))?
            .with(Name::CUDNN_ATTR_CONVOLUTION_CONV_MODE, &Mode::CUDNN_CROSS_CORRELATION)?
            .with(Name::CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, &(padding.len() as i64))?
            .with_all(Name::CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &padding)?
            .with_all(Name::CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &padding)?
            .with_all(Name::CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &strides)?
            .with_all(Name::CUDNN_ATTR_CONVOLUTION_DILATIONS, &dilations)?
            .finished()?;
        let forward = Kind::CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
        let operation = Descriptor::new(forward)?
            .with(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, &tensors[0])?
            .with(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, &tensors[1])?
            .with(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, &tensors[2])?
            .with(Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, &convolution)?;
        let alpha = Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA;
        let beta = Name::CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA;
        let operation = match sums {
            DType::F64 => operation.with(alpha, &1f64)?.with(beta, &0f64)?,
            _ => operation.with(alpha, &1f32)?.with(beta, &0f32)?,
        }
        .finished()?;
        let descriptor = Descriptor::new(Kind::CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR)?
            .with(Name::CUDNN_ATTR_OPERATIONGRAPH_HANDLE, &handle.0)?
            .with(Name::CUDNN_ATTR_OPERATIONGRAPH_OPS, &operation)?
            .finished()?;
        Ok(Graph { descriptor, _of: (operation, convolution, tensors) })
    }

    /// Whether a way has the precision that was asked for.
    fn is_exact(&self, way: &Descriptor) -> DnnResult<bool> {
        let mut engine = [Descriptor::new(Kind::CUDNN_BACKEND_ENGINE_DESCRIPTOR)?];
        way.read(Name::CUDNN_ATTR_ENGINECFG_ENGINE, &mut engine)?;
        let name = Name::CUDNN_ATTR_ENGINE_NUMERICAL_NOTE;
        let count = engine[0].count::<NumericalNote>(name)?;
        let mut notes = vec![NumericalNote(u32::MAX); count];
        engine[0].read(name, &mut notes)?;
        let has = |note: Note| notes.contains(&NumericalNote(note as u32));
        // Tensor cores take single precision for TF32.
        let is_rounded =
            self.dtype == DType::F32 && !self.tf32 && has(Note::CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
        Ok(!is_rounded && !has(Note::CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS))
    }
}

/// The ways that cuDNN would do it, best first.
fn ways(graph: &Descriptor, heuristics: Heuristics) -> DnnResult<Vec<Descriptor>> {
    let asked = Descriptor::new(Kind::CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)?
        .with(Name::CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph)?
        .with(Name::CUDNN_ATTR_ENGINEHEUR_MODE, &heuristics)?
        .finished()?;
    let name = Name::CUDNN_ATTR_ENGINEHEUR_RESULTS;
    let mut found = Vec::new();
    for _ in 0..asked.count::<Descriptor>(name)? {
        found.push(Descriptor::new(Kind::CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)?);
    }
    let count = asked.read(name, &mut found)?;
    found.truncate(count);
    Ok(found)
}

fn data_type(dtype: DType) -> Data {
    match dtype {
        DType::F64 => Data::CUDNN_DATA_DOUBLE,
        DType::F16 => Data::CUDNN_DATA_HALF,
        DType::BF16 => Data::CUDNN_DATA_BFLOAT16,
        _ => Data::CUDNN_DATA_FLOAT,
    }
}

/// The strides of a contiguous tensor.
fn contiguous(sizes: &[i64]) -> Vec<i64> {
    let mut strides = vec![1; sizes.len()];
    for dim in (1..sizes.len()).rev() {
        strides[dim - 1] = strides[dim] * sizes[dim];
    }
    strides
}

/// What is to be computed, with all that it is made of.
struct Graph {
    descriptor: Descriptor,
    _of: (Descriptor, Descriptor, [Descriptor; 3]),
}

/// How cuDNN does a convolution, with all that it is made of.
struct Plan {
    descriptor: Descriptor,
    /// That it works in.
    bytes: usize,
    /// Elements of a plane of the output.
    area: usize,
    _of: (Descriptor, Graph),
    handle: Rc<Handle>,
}

impl Map2 for Plan {
    #[allow(unsafe_code)]
    fn f<T: DeviceRepr + WithDType + ValidAsZeroBits>(
        &self,
        input: &CudaSlice<T>,
        image: &Layout,
        weight: &CudaSlice<T>,
        kernel: &Layout,
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        let count = image.dims()[0] * kernel.dims()[0] * self.area;
        // SAFETY: cuDNN writes every element, and nobody reads what it works in.
        let (mut output, mut space) =
            unsafe { (device.alloc::<T>(count)?, device.alloc::<u8>(self.bytes.max(1))?) };
        let (input, weight) = (elements(input, image), elements(weight, kernel));
        let stream = device.cuda_stream();
        {
            let (input, _reading_input) = input.device_ptr(&stream);
            let (weight, _reading_weight) = weight.device_ptr(&stream);
            let (output, _writing) = output.device_ptr_mut(&stream);
            let (space, _working) = space.device_ptr_mut(&stream);
            let pack = pack([input, weight, output], space).map_err(Error::wrap)?;
            // SAFETY: the tensors are contiguous and have the sizes that the plan was made for.
            unsafe { self.descriptor.execute(self.handle.0, &pack) }.map_err(Error::wrap)?;
        }
        Ok(output)
    }
}

/// What a plan works on.
fn pack(tensors: [u64; 3], space: u64) -> DnnResult<Descriptor> {
    Descriptor::new(Kind::CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR)?
        .with_all(Name::CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &NAMES)?
        .with_all(Name::CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &tensors.map(Address))?
        .with(Name::CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &Address(space))?
        .finished()
}
