//! Weights and inputs without a checkpoint: small pseudo-random numbers that follow a seed.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::{
    Init, VarBuilder,
    var_builder::{SimpleBackend, VarBuilderArgs},
};
use layers::TensorType;
use rayon::prelude::*;

/// Weights for every name that is asked for: numbers around 0, variances around 1.
pub fn random_weights(seed: u64, dtype: DType, device: &Device) -> VarBuilder<'static> {
    let backend: Box<dyn SimpleBackend> = Box::new(Random { seed });
    VarBuilderArgs::new_with_args(backend, dtype, device)
}

/// A tensor of a type; whole numbers are below `bound`.
pub fn random_inputs(ty: &TensorType, bound: u32, seed: u64, device: &Device) -> Result<Tensor> {
    let shape: Vec<usize> = ty.shape.iter().map(|size| *size as usize).collect();
    let count: usize = shape.iter().product();
    let numbers = Numbers(seed);
    if ty.dtype.is_float() {
        let values = numbers.many(count, |number| 2.0 * number - 1.0);
        return Tensor::from_vec(values, shape, device)?.to_dtype(ty.dtype.candle());
    }
    let values = numbers.many(count, |number| (number * bound as f32) as i64);
    Tensor::from_vec(values, shape, device)?.to_dtype(ty.dtype.candle())
}

struct Random {
    seed: u64,
}

impl SimpleBackend for Random {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let numbers =
            Numbers(name.bytes().fold(self.seed, |seed, byte| {
                (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }));
        // As far from 0 as keeps a product with the last dimension near the size of its input.
        let fan = shape.dims().iter().skip(1).product::<usize>().max(1) as f32;
        let scale = 1.0 / fan.sqrt();
        let (offset, scale) = if name.ends_with("running_var") { (1.0, 0.5) } else { (0.0, scale) };
        let values =
            numbers.many(shape.elem_count(), |number| offset + scale * (2.0 * number - 1.0));
        Tensor::from_vec(values, shape, device)?.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        candle_core::bail!("`{name}` was asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014), from a seed: each number can be had without those before
/// it, so that the billions of a large model are made on all cores.
struct Numbers(u64);

impl Numbers {
    fn many<T: Send>(&self, count: usize, of: impl Fn(f32) -> T + Sync) -> Vec<T> {
        let numbers = (0..count).into_par_iter().with_min_len(1 << 14);
        numbers.map(|place| of(self.at(place as u64))).collect()
    }

    /// From 0 to below 1.
    fn at(&self, place: u64) -> f32 {
        let steps = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0.wrapping_add(steps);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }
}
