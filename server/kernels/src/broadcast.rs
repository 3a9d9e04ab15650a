//! Sums and products where a smaller tensor is repeated over a larger one, as a bias is: Candle takes
//! one thread on a CPU, and looks for the place of every element on a GPU.

use candle_core::{
    CpuStorage, CustomOp2, DType, Layout, Result as CandleResult, Shape, Tensor, WithDType,
};
use rayon::prelude::*;

use crate::operations::{Operation, Repeat};

/// Elements that are worth a thread.
pub(crate) const AT_ONCE: usize = 1 << 14;

/// `left + right`, broadcast.
pub fn add(left: &Tensor, right: &Tensor) -> CandleResult<Tensor> {
    combine(left, right, Operation::Add)
}

/// `left * right`, broadcast.
pub fn multiply(left: &Tensor, right: &Tensor) -> CandleResult<Tensor> {
    combine(left, right, Operation::Multiply)
}

fn combine(left: &Tensor, right: &Tensor, operation: Operation) -> CandleResult<Tensor> {
    // Both operations are the same from either side.
    for (large, small) in [(left, right), (right, left)] {
        if let Some(inner) = repeated(large, small) {
            let repeat = Repeat { operation, inner };
            return large.contiguous()?.apply_op2_no_bwd(&small.contiguous()?, &repeat);
        }
    }
    match operation {
        Operation::Add => left.broadcast_add(right),
        Operation::Multiply => left.broadcast_mul(right),
    }
}

/// How many elements in a row meet one element of `small`, if it is repeated as a whole over
/// `large`: its sizes are some of those of `large`, one after the other.
fn repeated(large: &Tensor, small: &Tensor) -> Option<usize> {
    let is_known = match large.device().is_cpu() {
        true => matches!(large.dtype(), DType::F32 | DType::F64),
        false => large.device().is_cuda() && large.dtype().is_float(),
    };
    if !is_known || small.elem_count() >= large.elem_count() || small.elem_count() == 0 {
        return None;
    }
    inner(large.dims(), small.dims())
}

fn inner(large: &[usize], small: &[usize]) -> Option<usize> {
    if small.iter().all(|size| *size == 1) && small.len() <= large.len() {
        return Some(large.iter().product());
    }
    let large = &large[large.len().checked_sub(small.len())?..];
    let end = small.iter().rposition(|size| *size != 1).map_or(0, |last| last + 1);
    let start = small.iter().position(|size| *size != 1).unwrap_or(end);
    (large[start..end] == small[start..end]).then(|| large[end..].iter().product())
}

impl Repeat {
    fn run<T: WithDType>(
        &self,
        large: &[T],
        of_large: &Layout,
        small: &[T],
        of_small: &Layout,
    ) -> Vec<T> {
        let large = &large[of_large.start_offset()..][..of_large.shape().elem_count()];
        let small = &small[of_small.start_offset()..][..of_small.shape().elem_count()];
        let combined = |a: T, b: T| match self.operation {
            Operation::Add => a + b,
            Operation::Multiply => a * b,
        };
        let mut output = large.to_vec();
        let row = if self.inner == 1 { small.len() } else { self.inner };
        let rows = output.par_chunks_mut(row).with_min_len(AT_ONCE.div_ceil(row)).enumerate();
        rows.for_each(|(number, row)| match self.inner {
            1 => row.iter_mut().zip(small).for_each(|(out, value)| *out = combined(*out, *value)),
            _ => {
                let value = small[number % small.len()];
                row.iter_mut().for_each(|out| *out = combined(*out, value));
            }
        });
        output
    }
}

impl CustomOp2 for Repeat {
    fn name(&self) -> &'static str {
        "repeat"
    }

    fn cpu_fwd(
        &self,
        large: &CpuStorage,
        of_large: &Layout,
        small: &CpuStorage,
        of_small: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        let output = match (large, small) {
            (CpuStorage::F32(large), CpuStorage::F32(small)) => {
                CpuStorage::F32(self.run(large, of_large, small, of_small))
            }
            (CpuStorage::F64(large), CpuStorage::F64(small)) => {
                CpuStorage::F64(self.run(large, of_large, small, of_small))
            }
            _ => candle_core::bail!("the tensors are of different dtypes, or of whole numbers"),
        };
        Ok((output, of_large.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        large: &candle_core::CudaStorage,
        of_large: &Layout,
        small: &candle_core::CudaStorage,
        of_small: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        let output = crate::cuda::repeat(self, large, of_large, small, of_small)?;
        Ok((output, of_large.shape().clone()))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn what_is_repeated_as_a_whole() {
        for (large, small, expected) in [
            (&[2, 3, 4][..], &[4][..], Some(1)),
            (&[2, 3, 4], &[3, 4], Some(1)),
            (&[2, 3, 4], &[3, 1], Some(4)),
            (&[2, 3, 4, 5], &[2, 3, 1, 1], Some(20)),
            (&[2, 3, 4, 5], &[1, 3, 1, 1], Some(20)),
            (&[2, 3], &[1], Some(6)),
            (&[2, 3], &[], Some(6)),
            (&[2, 3, 4], &[2, 1, 4], None),
            (&[1, 4], &[3, 4], None),
            (&[4], &[3, 4], None),
        ] {
            assert_eq!(inner(large, small), expected, "{large:?} {small:?}");
        }
    }

    #[test]
    fn it_is_what_candle_gives() {
        let random =
            |shape: &[usize]| Tensor::randn(0f32, 1., shape, &Device::Cpu).expect("a tensor");
        for (left, right) in [
            (&[2, 3, 4][..], &[4][..]),
            (&[3, 1], &[2, 3, 4]),
            (&[2, 3, 4], &[2, 1, 1]),
            (&[2, 3], &[]),
        ] {
            let (left, right) = (random(left), random(right));
            let values = |tensor: CandleResult<Tensor>| {
                let flat = tensor.and_then(|tensor| tensor.flatten_all());
                flat.and_then(|flat| flat.to_vec1::<f32>()).expect("values")
            };
            assert_eq!(values(add(&left, &right)), values(left.broadcast_add(&right)));
            assert_eq!(values(multiply(&left, &right)), values(left.broadcast_mul(&right)));
        }
    }
}
