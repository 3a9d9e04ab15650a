//! A scale and a shift for each channel, as a norm has them, in one pass: Candle takes two.

use candle_core::{
    CpuStorage, CustomOp3, DType, Layout, Result as CandleResult, Shape, Tensor, WithDType,
};
use rayon::prelude::*;

use crate::{broadcast, operations::area};

/// `x * scale + shift` of `[N, C, *]`, with a number for each channel.
pub fn scale_and_shift(x: &Tensor, scale: &Tensor, shift: &Tensor) -> CandleResult<Tensor> {
    let is_known = match x.device().is_cpu() {
        true => matches!(x.dtype(), DType::F32 | DType::F64),
        false => x.device().is_cuda() && x.dtype().is_float(),
    };
    if is_known {
        return x.contiguous()?.apply_op3_no_bwd(
            &scale.contiguous()?,
            &shift.contiguous()?,
            &ScaleAndShift,
        );
    }
    let mut shape = vec![1; x.rank()];
    shape[1] = scale.dim(0)?;
    broadcast::add(&broadcast::multiply(x, &scale.reshape(shape.clone())?)?, &shift.reshape(shape)?)
}

struct ScaleAndShift;

impl ScaleAndShift {
    fn run<T: WithDType>([x, scale, shift]: [(&[T], &Layout); 3]) -> Vec<T> {
        let elements = |(values, layout): (&'_ [T], &Layout)| {
            let start = layout.start_offset();
            start..start + layout.shape().elem_count().min(values.len() - start)
        };
        let (scales, shifts) = (&scale.0[elements(scale)], &shift.0[elements(shift)]);
        let mut output = x.0[elements(x)].to_vec();
        let area = area(x.1);
        let planes = output.par_chunks_mut(area.max(1)).enumerate();
        planes.with_min_len(broadcast::AT_ONCE.div_ceil(area.max(1))).for_each(
            |(number, plane)| {
                let channel = number % scales.len();
                let (scale, shift) = (scales[channel], shifts[channel]);
                plane.iter_mut().for_each(|value| *value = *value * scale + shift);
            },
        );
        output
    }
}

impl CustomOp3 for ScaleAndShift {
    fn name(&self) -> &'static str {
        "scale-and-shift"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        scale: &CpuStorage,
        of_scale: &Layout,
        shift: &CpuStorage,
        of_shift: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let output = match (x, scale, shift) {
            (CpuStorage::F32(x), CpuStorage::F32(scale), CpuStorage::F32(shift)) => {
                CpuStorage::F32(ScaleAndShift::run([
                    (x, of_x),
                    (scale, of_scale),
                    (shift, of_shift),
                ]))
            }
            (CpuStorage::F64(x), CpuStorage::F64(scale), CpuStorage::F64(shift)) => {
                CpuStorage::F64(ScaleAndShift::run([
                    (x, of_x),
                    (scale, of_scale),
                    (shift, of_shift),
                ]))
            }
            _ => candle_core::bail!("the tensors are of different dtypes, or of whole numbers"),
        };
        Ok((output, of_x.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        of_x: &Layout,
        scale: &candle_core::CudaStorage,
        of_scale: &Layout,
        shift: &candle_core::CudaStorage,
        of_shift: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        let output =
            crate::cuda::scale_and_shift([(x, of_x), (scale, of_scale), (shift, of_shift)])?;
        Ok((output, of_x.shape().clone()))
    }
}
