//! Convolutions in numbers. Candle has one stride, padding and dilation for all axes, no third axis,
//! and runs one convolution for each group.

use candle_core::{
    CpuStorage, CustomOp2, DType, Layout, Result as CandleResult, Shape, Tensor, WithDType,
};

use crate::{
    padding::Fill,
    window::{PerAxis, Window},
};

/// The most products of channels in a group for which a loop beats matrix products: on a CPU, and on
/// a GPU, where each group would have kernels of its own.
const SMALL_GROUP: usize = 64;
const SMALL_GROUP_ON_CUDA: usize = 4096;

/// A convolution of any number of axes, with everything per axis.
/// `[N, C_in, *]` or `[C_in, *]`, and a weight `[C_out, C_in / groups, *]`.
pub(crate) fn convolve(
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
    let mut input = input.clone();
    for (axis, (before, after)) in window.padding.iter().enumerate() {
        if *before > 0 || *after > 0 {
            input = fill.pad(&input, axis + 2, *before as i64, *after as i64)?;
        }
    }
    let input = input.contiguous()?;
    // Candle's one-dimensional kernel on CUDA misreads a weight that is not contiguous.
    let weight = weight.contiguous()?;
    let per_group = (weight.dim(0)? / groups) * weight.dim(1)?;
    let is_small = match input.device().is_cuda() {
        true => per_group <= SMALL_GROUP_ON_CUDA && input.dtype().is_float(),
        false => per_group <= SMALL_GROUP && matches!(input.dtype(), DType::F32 | DType::F64),
    };
    let has_loop = input.device().is_cpu() || input.device().is_cuda();
    if groups > 1 && is_small && has_loop {
        return input.apply_op2_no_bwd(&weight, &GroupedConvolution { window, groups });
    }
    let (stride, dilation) = (window.stride[0] as usize, window.dilation[0] as usize);
    match axes {
        1 => input.conv1d(&weight, 0, stride, dilation, groups),
        2 if all_equal(&window.stride) && all_equal(&window.dilation) => {
            input.conv2d(&weight, 0, stride, dilation, groups)
        }
        _ => convolve_by_windows(&input, &weight, window, groups),
    }
}

fn all_equal(sizes: &[u64]) -> bool {
    sizes.windows(2).all(|pair| pair[0] == pair[1])
}

/// A transposed convolution: the input with zeros between its elements, convolved with the kernel
/// turned around. The weight is `[C_in, C_out / groups, *]`.
pub(crate) fn convolve_transposed(
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
pub(crate) fn window_places(input: &Tensor, window: &Window) -> CandleResult<Vec<Tensor>> {
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

/// A convolution whose groups are small, of an input that is padded already: a depthwise layer runs
/// in one pass instead of one convolution, copy and join for each channel.
struct GroupedConvolution<'w> {
    window: &'w Window,
    groups: usize,
}

impl CustomOp2 for GroupedConvolution<'_> {
    fn name(&self) -> &'static str {
        "grouped-convolution"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let (image, kernel) = (Volume::of(input_layout), Volume::of(weight_layout));
        match (input, weight) {
            (CpuStorage::F32(input), CpuStorage::F32(weight)) => {
                let (output, shape) = self.run(input, &image, weight, &kernel, input_layout)?;
                Ok((CpuStorage::F32(output), shape))
            }
            (CpuStorage::F64(input), CpuStorage::F64(weight)) => {
                let (output, shape) = self.run(input, &image, weight, &kernel, input_layout)?;
                Ok((CpuStorage::F64(output), shape))
            }
            _ => candle_core::bail!("a grouped convolution takes f32 or f64"),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        input_layout: &Layout,
        weight: &candle_core::CudaStorage,
        weight_layout: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        let (image, kernel) = (Volume::of(input_layout), Volume::of(weight_layout));
        let sizes = self.output_sizes(&image, &kernel);
        let small = |sizes: [usize; 3]| sizes.map(|size| size as u32);
        let geometry = crate::convolve_cuda::Geometry {
            samples: image.outer as u32,
            in_channels: image.channels as u32,
            out_channels: kernel.outer as u32,
            group_in: kernel.channels as u32,
            group_out: (kernel.outer / self.groups) as u32,
            input: small(image.sizes),
            kernel: small(kernel.sizes),
            output: small(sizes),
            stride: small(three_of(&self.window.stride)),
            dilation: small(three_of(&self.window.dilation)),
        };
        let output = crate::convolve_cuda::grouped_convolution(
            geometry,
            input,
            input_layout,
            weight,
            weight_layout,
        )?;
        Ok((output, output_shape(input_layout, kernel.outer, sizes)))
    }
}

/// A tensor of up to three axes as one of three.
struct Volume {
    outer: usize,
    channels: usize,
    sizes: [usize; 3],
    offset: usize,
}

impl Volume {
    /// Both operands are contiguous.
    fn of(layout: &Layout) -> Volume {
        let dims = layout.dims();
        Volume {
            outer: dims[0],
            channels: dims[1],
            sizes: three(&dims[2..], 1),
            offset: layout.start_offset(),
        }
    }
}

/// A value for each of three axes; those that are missing come first.
fn three(values: &[usize], missing: usize) -> [usize; 3] {
    let mut out = [missing; 3];
    out[3 - values.len()..].copy_from_slice(values);
    out
}

fn three_of(sizes: &PerAxis<u64>) -> [usize; 3] {
    let sizes: Vec<usize> = sizes.iter().map(|size| *size as usize).collect();
    three(&sizes, 1)
}

/// The shape of the output for an input of a layout.
fn output_shape(input: &Layout, channels: usize, sizes: [usize; 3]) -> Shape {
    let mut shape = input.dims().to_vec();
    shape[1] = channels;
    let axes = shape.len() - 2;
    shape[2..].copy_from_slice(&sizes[3 - axes..]);
    shape.into()
}

impl GroupedConvolution<'_> {
    fn output_sizes(&self, image: &Volume, kernel: &Volume) -> [usize; 3] {
        let (stride, dilation) = (three_of(&self.window.stride), three_of(&self.window.dilation));
        std::array::from_fn(|axis| {
            outputs_along(image.sizes[axis], kernel.sizes[axis], stride[axis], dilation[axis])
        })
    }

    fn run<T: WithDType>(
        &self,
        input: &[T],
        image: &Volume,
        weight: &[T],
        kernel: &Volume,
        layout: &Layout,
    ) -> CandleResult<(Vec<T>, Shape)> {
        let (stride, dilation) = (three_of(&self.window.stride), three_of(&self.window.dilation));
        let sizes = self.output_sizes(image, kernel);
        let [depth, height, width] = sizes;
        let area: usize = image.sizes.iter().product();
        let places: usize = kernel.sizes.iter().product();
        let per_group = kernel.outer / self.groups;
        let mut output = vec![T::zero(); image.outer * kernel.outer * depth * height * width];
        let planes = output.chunks_exact_mut((depth * height * width).max(1));
        for (plane_index, plane) in planes.enumerate() {
            let (sample, out_channel) = (plane_index / kernel.outer, plane_index % kernel.outer);
            let first = out_channel / per_group * kernel.channels;
            for channel in 0..kernel.channels {
                let image_start = image.offset + (sample * image.channels + first + channel) * area;
                let source = &input[image_start..image_start + area];
                let kernel_start =
                    kernel.offset + (out_channel * kernel.channels + channel) * places;
                let taps = &weight[kernel_start..kernel_start + places];
                for (place, tap) in taps.iter().enumerate() {
                    let [_, rows, columns] = kernel.sizes;
                    let at = [
                        place / (rows * columns) * dilation[0],
                        place / columns % rows * dilation[1],
                        place % columns * dilation[2],
                    ];
                    for (line, row) in plane.chunks_exact_mut(width).enumerate() {
                        let (z, y) =
                            (line / height * stride[0] + at[0], line % height * stride[1] + at[1]);
                        let start = (z * image.sizes[1] + y) * image.sizes[2] + at[2];
                        let values = source[start..].iter().step_by(stride[2]);
                        for (sum, value) in row.iter_mut().zip(values) {
                            *sum += *tap * *value;
                        }
                    }
                }
            }
        }
        Ok((output, output_shape(layout, kernel.outer, sizes)))
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
