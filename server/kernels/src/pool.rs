//! Pools in numbers. Candle has one size for both axes and no padding.

use candle_core::{
    CpuStorage, CustomOp1, DType, Layout, Result as CandleResult, Shape, Tensor, WithDType,
};
use rayon::prelude::*;

use crate::{operations::Pool, window::Window, window_walk::Sweep};

pub use crate::operations::Reduction;

/// What is no number is the largest, as in PyTorch.
#[expect(clippy::neg_cmp_op_on_partial_ord, reason = "what is no number compares with nothing")]
pub(crate) fn keep_larger<T: PartialOrd>(largest: &mut T, value: T) {
    if !(value <= *largest) {
        *largest = value;
    }
}

/// Reduces each window over the last axes of a tensor.
pub fn pool(input: &Tensor, window: &Window, reduction: Reduction) -> CandleResult<Tensor> {
    if input.device().is_cpu() && matches!(input.dtype(), DType::F16 | DType::BF16) {
        // Sums in half precision would lose digits.
        return pool(&input.to_dtype(DType::F32)?, window, reduction)?.to_dtype(input.dtype());
    }
    let sweep = Sweep::new(window, input.dims())?;
    input.contiguous()?.apply_op1_no_bwd(&Pool { sweep, axes: window.kernel.len(), reduction })
}

impl Pool {
    fn run<T: WithDType>(&self, input: &[T], layout: &Layout, least: T) -> Vec<T> {
        let input = &input[layout.start_offset()..][..layout.shape().elem_count()];
        let (input_area, output_area) = (self.sweep.input_area(), self.sweep.output_area());
        let start = if self.reduction == Reduction::Max { least } else { T::zero() };
        let mut output = vec![start; self.planes(layout) * output_area];
        let divisors = self.divisors();
        let planes = output.par_chunks_exact_mut(output_area.max(1));
        planes.zip(input.par_chunks_exact(input_area.max(1))).for_each(|(plane, image)| {
            for place in 0..self.sweep.places() {
                match self.reduction {
                    Reduction::Max => self.sweep.meet(place, plane, image, keep_larger),
                    Reduction::Average { .. } => {
                        self.sweep.meet(place, plane, image, |sum, value| *sum += value);
                    }
                }
            }
            for (sum, divisor) in plane.iter_mut().zip(&divisors) {
                *sum = T::from_f64(sum.to_f64() / divisor);
            }
        });
        output
    }

    /// By what each element of a plane of sums is divided; nothing for a maximum.
    fn divisors(&self) -> Vec<f64> {
        match self.reduction {
            Reduction::Max => Vec::new(),
            Reduction::Average { divisor: Some(divisor), .. } => {
                vec![divisor as f64; self.sweep.output_area()]
            }
            Reduction::Average { count_padding, .. } => {
                let along =
                    |axis: usize| self.sweep.counts(axis, count_padding).collect::<Vec<_>>();
                let [layers, rows, columns] = [along(0), along(1), along(2)];
                let of_row = |count: u64| columns.iter().map(move |column| (count * column) as f64);
                let counts =
                    layers.iter().flat_map(|layer| rows.iter().map(move |row| layer * row));
                counts.flat_map(of_row).collect()
            }
        }
    }

    fn output_shape(&self, layout: &Layout) -> Shape {
        self.sweep.output_shape(self.leading(layout), self.axes)
    }
}

impl CustomOp1 for Pool {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let output = match input {
            CpuStorage::F32(input) => CpuStorage::F32(self.run(input, layout, f32::NEG_INFINITY)),
            CpuStorage::F64(input) => CpuStorage::F64(self.run(input, layout, f64::NEG_INFINITY)),
            _ => candle_core::bail!("a pool takes floating-point numbers"),
        };
        Ok((output, self.output_shape(layout)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        input: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        Ok((crate::cuda::pool(self, input, layout)?, self.output_shape(layout)))
    }
}
