//! Convolutions in numbers. Candle has one stride, padding and dilation for all axes, no third axis,
//! and runs one convolution for each group.

use candle_core::{
    CpuStorage, CustomOp2, DType, DeviceLocation, Layout, Result as CandleResult, Shape, Tensor,
    WithDType,
};
use rayon::prelude::*;

use crate::{operations::Convolution, pad::Fill, window::Window, window_walk::Sweep};

/// The most products of channels in a group for which a loop beats matrix products on a CPU.
const SMALL_GROUP: usize = 64;

/// A convolution of any number of axes, with everything per axis.
/// `[N, C_in, *]` or `[C_in, *]`, and a weight `[C_out, C_in / groups, *]`.
pub fn convolve(
    input: &Tensor,
    weight: &Tensor,
    window: &Window,
    groups: usize,
    fill: Fill,
) -> CandleResult<Tensor> {
    let axes = window.kernel.len();
    if input.rank() == axes + 1 {
        return convolve(&input.unsqueeze(0)?, weight, window, groups, fill)?.squeeze(0);
    }
    if input.device().is_cpu() && input.dtype() == DType::BF16 {
        // Candle's product of patches on a CPU knows no bf16.
        let (input, weight) = (input.to_dtype(DType::F32)?, weight.to_dtype(DType::F32)?);
        return convolve(&input, &weight, window, groups, fill)?.to_dtype(DType::BF16);
    }
    // cuDNN pads both sides alike.
    let pads_apart =
        input.device().is_cuda() && window.padding.iter().any(|(before, after)| before != after);
    if fill != Fill::Constant(0.0) || pads_apart {
        let (input, window) = padded(input, window, fill)?;
        return convolve(&input, weight, &window, groups, Fill::Constant(0.0));
    }
    // Candle's one-dimensional kernel on CUDA misreads a weight that is not contiguous.
    let (input, weight) = (input.contiguous()?, weight.contiguous()?);
    let sweep = Sweep::new(window, input.dims())?;
    let convolution = Convolution { sweep, groups };
    if convolution.is_better(&input, &weight)? {
        return input.apply_op2_no_bwd(&weight, &convolution);
    }
    let (input, window) = padded(&input, window, fill)?;
    let (stride, dilation) = (window.stride[0] as usize, window.dilation[0] as usize);
    match axes {
        1 => input.conv1d(&weight, 0, stride, dilation, groups),
        2 if all_equal(&window.stride) && all_equal(&window.dilation) => {
            input.conv2d(&weight, 0, stride, dilation, groups)
        }
        _ => convolve_by_windows(&input, &weight, &window, groups),
    }
}

/// The input with its padding, and the window without.
fn padded(input: &Tensor, window: &Window, fill: Fill) -> CandleResult<(Tensor, Window)> {
    let mut input = input.clone();
    for (axis, (before, after)) in window.padding.iter().enumerate() {
        if *before > 0 || *after > 0 {
            input = fill.pad(&input, axis + 2, *before as i64, *after as i64)?;
        }
    }
    let padding = smallvec::smallvec![(0, 0); window.padding.len()];
    Ok((input.contiguous()?, Window { padding, ..window.clone() }))
}

fn all_equal(sizes: &[u64]) -> bool {
    sizes.windows(2).all(|pair| pair[0] == pair[1])
}

/// A transposed convolution: the input with zeros between its elements, convolved with the kernel
/// turned around. The weight is `[C_in, C_out / groups, *]`.
pub fn convolve_transposed(
    input: &Tensor,
    weight: &Tensor,
    window: &Window,
    output_padding: &[u64],
    groups: usize,
) -> CandleResult<Tensor> {
    let axes = window.kernel.len();
    if input.rank() == axes + 1 {
        let input = input.unsqueeze(0)?;
        return convolve_transposed(&input, weight, window, output_padding, groups)?.squeeze(0);
    }
    let (mut spread, mut turned) = (input.clone(), weight.clone());
    for (axis, extra) in output_padding.iter().enumerate() {
        let dim = axis + 2;
        let reach = (window.dilation[axis] * (window.kernel[axis] - 1)) as i64;
        let margin = reach - window.padding[axis].0 as i64;
        spread = spread_out(&spread, dim, window.stride[axis] as usize)?;
        spread = Fill::Constant(0.0).pad(&spread, dim, margin, margin + *extra as i64)?;
        turned = turned.flip(&[dim])?;
    }
    // [groups * in, out, *] to [groups * out, in, *]
    let (inputs, outputs) = (weight.dim(0)? / groups, weight.dim(1)?);
    let kernel = weight.dims()[2..].to_vec();
    let grouped: Vec<usize> = [groups, inputs, outputs].into_iter().chain(kernel.clone()).collect();
    let swapped: Vec<usize> = [groups * outputs, inputs].into_iter().chain(kernel).collect();
    let turned = turned.reshape(grouped)?.transpose(1, 2)?.reshape(swapped)?;
    let plain = Window {
        stride: smallvec::smallvec![1; axes],
        padding: smallvec::smallvec![(0, 0); axes],
        ..window.clone()
    };
    convolve(&spread, &turned, &plain, groups, Fill::Constant(0.0))
}

/// Zeros between the elements of a dimension, so that they stand `stride` apart.
fn spread_out(x: &Tensor, dim: usize, stride: usize) -> CandleResult<Tensor> {
    if stride == 1 {
        return Ok(x.clone());
    }
    let size = x.dim(dim)?;
    let apart = x.unsqueeze(dim + 1)?.pad_with_zeros(dim + 1, 0, stride - 1)?;
    let mut shape = x.dims().to_vec();
    shape[dim] = size * stride;
    apart.reshape(shape)?.narrow(dim, 0, (size - 1) * stride + 1)
}

/// One strided view of the input for each place in the kernel, and one matrix product.
fn convolve_by_windows(
    input: &Tensor,
    weight: &Tensor,
    window: &Window,
    groups: usize,
) -> CandleResult<Tensor> {
    let (batch, channels) = (input.dim(0)?, input.dim(1)?);
    let patches = window_places(input, window)?;
    let sizes: Vec<usize> = patches[0].dims()[2..].to_vec();
    let area: usize = sizes.iter().product();
    let places = patches.len();
    // [N, groups, C/groups * places, area]
    let columns =
        Tensor::stack(&patches, 2)?.reshape((batch, groups, channels / groups * places, area))?;
    let out_channels = weight.dim(0)?;
    let kernel = weight
        .reshape((1, groups, out_channels / groups, channels / groups * places))?
        .broadcast_as((batch, groups, out_channels / groups, channels / groups * places))?
        .contiguous()?;
    let output = kernel.matmul(&columns.contiguous()?)?;
    let shape: Vec<usize> = [batch, out_channels].into_iter().chain(sizes).collect();
    output.reshape(shape)
}

/// For each place in the kernel, in order, what stands there in every window of a padded input.
pub fn window_places(input: &Tensor, window: &Window) -> CandleResult<Vec<Tensor>> {
    let mut patches = vec![input.contiguous()?];
    for axis in 0..window.kernel.len() {
        let (kernel, stride) = (window.kernel[axis] as usize, window.stride[axis] as usize);
        let dilation = window.dilation[axis] as usize;
        let count = outputs_along(input.dim(axis + 2)?, kernel, stride, dilation);
        let mut next = Vec::with_capacity(patches.len() * kernel);
        for patch in &patches {
            for place in 0..kernel {
                let starts: Vec<u32> =
                    (0..count).map(|index| (place * dilation + index * stride) as u32).collect();
                let starts = Tensor::from_vec(starts, count, input.device())?;
                next.push(patch.index_select(&starts, axis + 2)?);
            }
        }
        patches = next;
    }
    Ok(patches)
}

fn outputs_along(size: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
    (size - dilation * (kernel - 1) - 1) / stride + 1
}

impl Convolution {
    /// Whether it is faster than Candle's.
    fn is_better(&self, input: &Tensor, weight: &Tensor) -> CandleResult<bool> {
        let per_group = (weight.dim(0)? / self.groups) * weight.dim(1)?;
        Ok(match input.device().location() {
            DeviceLocation::Cpu => {
                let is_float = matches!(input.dtype(), DType::F32 | DType::F64);
                self.groups > 1 && per_group <= SMALL_GROUP && is_float
            }
            #[cfg(feature = "cuda")]
            DeviceLocation::Cuda { .. } => crate::cuda::has_convolution(self, input, weight)?,
            _ => false,
        })
    }

    fn run<T: WithDType>(
        &self,
        input: &[T],
        weight: &[T],
        image: &Layout,
        kernel: &Layout,
    ) -> Vec<T> {
        let (input, weight) = (&input[image.start_offset()..], &weight[kernel.start_offset()..]);
        let (in_channels, out_channels) = (image.dims()[1], kernel.dims()[0]);
        let (group_in, group_out) = (kernel.dims()[1], out_channels / self.groups);
        let (area, places) = (self.sweep.input_area(), self.sweep.places());
        let planes = image.dims()[0] * out_channels;
        let mut output = vec![T::zero(); planes * self.sweep.output_area()];
        let planes = output.par_chunks_exact_mut(self.sweep.output_area().max(1)).enumerate();
        planes.for_each(|(number, plane)| {
            let (sample, out_channel) = (number / out_channels, number % out_channels);
            let first = sample * in_channels + out_channel / group_out * group_in;
            for channel in 0..group_in {
                let source = &input[(first + channel) * area..][..area];
                let taps = &weight[(out_channel * group_in + channel) * places..][..places];
                for (place, tap) in taps.iter().enumerate() {
                    self.sweep.meet(place, plane, source, |sum, value| *sum += *tap * value);
                }
            }
        });
        output
    }
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        image: &Layout,
        weight: &CpuStorage,
        kernel: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let output = match (input, weight) {
            (CpuStorage::F32(input), CpuStorage::F32(weight)) => {
                CpuStorage::F32(self.run(input, weight, image, kernel))
            }
            (CpuStorage::F64(input), CpuStorage::F64(weight)) => {
                CpuStorage::F64(self.run(input, weight, image, kernel))
            }
            _ => candle_core::bail!("a convolution of our own takes f32 or f64"),
        };
        Ok((output, self.output_shape(image, kernel)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        image: &Layout,
        weight: &candle_core::CudaStorage,
        kernel: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        let output = crate::cuda::convolve(self, input, image, weight, kernel)?;
        Ok((output, self.output_shape(image, kernel)))
    }
}

impl Convolution {
    fn output_shape(&self, image: &Layout, kernel: &Layout) -> Shape {
        let leading = [image.dims()[0], kernel.dims()[0]];
        self.sweep.output_shape(&leading, image.dims().len() - 2)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn half_precision_is_that_of_single_rounded() {
        let window = Window {
            kernel: smallvec::smallvec![3, 3],
            stride: smallvec::smallvec![2, 1],
            padding: smallvec::smallvec![(1, 1), (0, 0)],
            dilation: smallvec::smallvec![1, 1],
            ceil_mode: false,
        };
        let random = |shape: &[usize]| {
            let tensor = Tensor::randn(0f32, 1., shape, &Device::Cpu).expect("a tensor");
            tensor.to_dtype(DType::BF16).expect("a tensor")
        };
        for groups in [1, 4] {
            let (input, weight) = (random(&[2, 4, 8, 8]), random(&[8, 4 / groups, 3, 3]));
            let run = |dtype: DType| {
                let (input, weight) = (input.to_dtype(dtype), weight.to_dtype(dtype));
                let (input, weight) = (input.expect("a tensor"), weight.expect("a tensor"));
                let fill = Fill::Constant(0.0);
                let output = convolve(&input, &weight, &window, groups, fill).expect("an output");
                assert_eq!(output.dtype(), dtype);
                let output = output.to_dtype(DType::F32).and_then(|output| output.flatten_all());
                output.and_then(|output| output.to_vec1::<f32>()).expect("values")
            };
            let pairs = run(DType::BF16).into_iter().zip(run(DType::F32));
            // bf16 has eight significant bits.
            assert!(pairs.into_iter().all(|(half, single)| {
                (half - single).abs() <= single.abs() / 256.0 + f32::EPSILON
            }));
        }
    }
}
