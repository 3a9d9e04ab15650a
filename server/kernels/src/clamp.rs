//! Activations that keep a number between two bounds, in one pass. Candle takes one for each step and
//! copies each bound to a GPU each time.

use candle_core::{
    CpuStorage, CustomOp1, DType, Layout, Result as CandleResult, Shape, Tensor, WithDType,
};
use rayon::prelude::*;

use crate::{broadcast, operations::Clamp};

/// Each element, but at least `low` and at most `high`. What is no number stays none.
pub fn clamp(x: &Tensor, low: f64, high: f64) -> CandleResult<Tensor> {
    Clamp { shift: 0.0, low, high, divisor: 1.0, is_gate: false }.apply(x)
}

/// `ReLU6(x + 3) / 6`
pub fn hard_sigmoid(x: &Tensor) -> CandleResult<Tensor> {
    Clamp { shift: 3.0, low: 0.0, high: 6.0, divisor: 6.0, is_gate: false }.apply(x)
}

/// `x * ReLU6(x + 3) / 6`
pub fn hard_swish(x: &Tensor) -> CandleResult<Tensor> {
    Clamp { shift: 3.0, low: 0.0, high: 6.0, divisor: 6.0, is_gate: true }.apply(x)
}

impl Clamp {
    fn apply(&self, x: &Tensor) -> CandleResult<Tensor> {
        let is_known = match x.dtype() {
            DType::F32 | DType::F64 => true,
            DType::F16 | DType::BF16 => x.device().is_cuda(),
            _ => false,
        };
        if !is_known {
            return self.apply(&x.to_dtype(DType::F32)?)?.to_dtype(x.dtype());
        }
        x.contiguous()?.apply_op1_no_bwd(self)
    }

    fn run<T: WithDType + PartialOrd>(&self, values: &[T], layout: &Layout) -> Vec<T> {
        let [shift, low, high, divisor] =
            [self.shift, self.low, self.high, self.divisor].map(T::from_f64);
        let values = &values[layout.start_offset()..][..layout.shape().elem_count()];
        let element = |value: &T| {
            let mut kept = *value + shift;
            if kept < low {
                kept = low;
            }
            if kept > high {
                kept = high;
            }
            if self.is_gate { *value * (kept / divisor) } else { kept / divisor }
        };
        values.par_iter().with_min_len(broadcast::AT_ONCE).map(element).collect()
    }
}

impl CustomOp1 for Clamp {
    fn name(&self) -> &'static str {
        "clamp"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let output = match x {
            CpuStorage::F32(values) => CpuStorage::F32(self.run(values, layout)),
            CpuStorage::F64(values) => CpuStorage::F64(self.run(values, layout)),
            _ => candle_core::bail!("only single and double precision are clamped here"),
        };
        Ok((output, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        Ok((crate::cuda::clamp(self, x, layout)?, layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, test_utils::to_vec1_round};

    use super::*;

    #[test]
    fn bounds_hold_what_is_no_number_stays_none_and_half_precision_is_kept() {
        let values = [-7.0f32, -3.0, -0.5, 0.0, 2.0, 3.0, 9.0];
        let x = Tensor::new(&values, &Device::Cpu).expect("a tensor");
        let round =
            |x: CandleResult<Tensor>| to_vec1_round(&x.expect("an output"), 4).expect("values");
        assert_eq!(round(clamp(&x, -1.0, 2.5)), [-1.0, -1.0, -0.5, 0.0, 2.0, 2.5, 2.5]);
        assert_eq!(round(hard_sigmoid(&x)), [0.0, 0.0, 0.4167, 0.5, 0.8333, 1.0, 1.0]);
        assert_eq!(round(hard_swish(&x)), [0.0, 0.0, -0.2083, 0.0, 1.6667, 3.0, 9.0]);
        let nan = Tensor::new(&[f32::NAN], &Device::Cpu).and_then(|x| clamp(&x, 0.0, 1.0));
        assert!(nan.and_then(|x| x.to_vec1::<f32>()).expect("values")[0].is_nan());
        let half = x.to_dtype(DType::BF16).and_then(|x| clamp(&x, -1.0, 2.5)).expect("an output");
        assert_eq!(half.dtype(), DType::BF16);
    }
}
