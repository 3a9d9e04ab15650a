//! The softmax of attention, with its scale and mask: in one pass where Candle takes four, and without
//! a mask that has to be made.

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, DType, Layout, Result as CandleResult, Shape, Tensor,
    WithDType,
};
use rayon::prelude::*;

use crate::{operations::Rows, pool::keep_larger};

pub use crate::operations::ScoreSoftmax;

impl ScoreSoftmax {
    /// Softmax of what is seen of each row; what is not seen becomes 0. Each head may have a sink, a
    /// score `[heads]` that takes a share and has no value.
    pub fn of(self, scores: &Tensor, sinks: Option<&Tensor>) -> CandleResult<Tensor> {
        if scores.device().is_cpu() && matches!(scores.dtype(), DType::F16 | DType::BF16) {
            let sinks = sinks.map(|sinks| sinks.to_dtype(DType::F32)).transpose()?;
            let weights = self.of(&scores.to_dtype(DType::F32)?, sinks.as_ref())?;
            return weights.to_dtype(scores.dtype());
        }
        let scores = scores.contiguous()?;
        match sinks {
            None => scores.apply_op1_no_bwd(&self),
            Some(sinks) => scores.apply_op2_no_bwd(&sinks.contiguous()?, &self),
        }
    }

    fn run<T: WithDType>(
        &self,
        scores: &[T],
        layout: &Layout,
        sinks: Option<&[T]>,
        exp: fn(T) -> T,
    ) -> Vec<T> {
        let Rows { queries, keys, heads } = Rows::of(layout);
        let scores = &scores[layout.start_offset()..][..layout.shape().elem_count()];
        let mut weights = vec![T::zero(); scores.len()];
        let rows =
            weights.par_chunks_exact_mut(keys.max(1)).zip(scores.par_chunks_exact(keys.max(1)));
        rows.enumerate().for_each(|(row, (weights, scores))| {
            let seen = self.seen(row % queries, queries, keys);
            let (scale, sink) =
                (T::from_f64(self.scale), sinks.map(|sinks| sinks[row / queries % heads]));
            let mut largest = sink.unwrap_or(T::from_f64(f64::NEG_INFINITY));
            for (weight, score) in weights[seen.clone()].iter_mut().zip(&scores[seen.clone()]) {
                *weight = *score * scale;
                keep_larger(&mut largest, *weight);
            }
            let power = |score: T| exp(score - largest);
            let mut sum = sink.map_or(T::zero(), power);
            for weight in &mut weights[seen.clone()] {
                *weight = power(*weight);
                sum += *weight;
            }
            for weight in &mut weights[seen] {
                *weight /= sum;
            }
        });
        weights
    }

    /// The keys that a query sees. The last one sees the last key, so that all see a cache in front.
    fn seen(&self, query: usize, queries: usize, keys: usize) -> std::ops::Range<usize> {
        let after = (query + keys + 1).saturating_sub(queries);
        let end = if self.is_causal { after.min(keys) } else { keys };
        let window = self.window.map_or(usize::MAX, |window| window as usize);
        after.saturating_sub(window).min(end)..end
    }
}

impl CustomOp1 for ScoreSoftmax {
    fn name(&self) -> &'static str {
        "score-softmax"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let weights = match scores {
            CpuStorage::F32(scores) => CpuStorage::F32(self.run(scores, layout, None, f32::exp)),
            CpuStorage::F64(scores) => CpuStorage::F64(self.run(scores, layout, None, f64::exp)),
            _ => candle_core::bail!("scores are floating-point numbers"),
        };
        Ok((weights, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        scores: &candle_core::CudaStorage,
        layout: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        Ok((crate::cuda::softmax(self, scores, layout, None)?, layout.shape().clone()))
    }
}

impl CustomOp2 for ScoreSoftmax {
    fn name(&self) -> &'static str {
        "score-softmax-with-sinks"
    }

    fn cpu_fwd(
        &self,
        scores: &CpuStorage,
        layout: &Layout,
        sinks: &CpuStorage,
        of_sinks: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let first = of_sinks.start_offset();
        let weights = match (scores, sinks) {
            (CpuStorage::F32(scores), CpuStorage::F32(sinks)) => {
                CpuStorage::F32(self.run(scores, layout, Some(&sinks[first..]), f32::exp))
            }
            (CpuStorage::F64(scores), CpuStorage::F64(sinks)) => {
                CpuStorage::F64(self.run(scores, layout, Some(&sinks[first..]), f64::exp))
            }
            _ => candle_core::bail!("scores and sinks are floating-point numbers of one dtype"),
        };
        Ok((weights, layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        scores: &candle_core::CudaStorage,
        layout: &Layout,
        sinks: &candle_core::CudaStorage,
        of_sinks: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        let weights = crate::cuda::softmax(self, scores, layout, Some((sinks, of_sinks)))?;
        Ok((weights, layout.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_see_what_came_before() {
        let seen = |is_causal: bool, window: Option<u64>, query: usize| {
            ScoreSoftmax { scale: 1.0, is_causal, window }.seen(query, 2, 5)
        };
        // Two queries behind a cache of three.
        assert_eq!([seen(true, None, 0), seen(true, None, 1)], [0..4, 0..5]);
        assert_eq!([seen(true, Some(2), 0), seen(true, Some(2), 1)], [2..4, 3..5]);
        assert_eq!([seen(false, None, 0), seen(false, Some(1), 1)], [0..5, 4..5]);
    }
}
