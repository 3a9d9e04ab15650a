//! What stands beyond the border of a tensor.

use candle_core::{Result, Tensor};

/// What stands beyond the border.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fill {
    /// A number.
    Constant(f64),
    /// The input mirrored, its border not repeated.
    Reflect,
    /// The border again and again.
    Replicate,
    /// The other end of the input.
    Circular,
}

impl Fill {
    /// Pads one dimension; negative numbers cut.
    pub fn pad(self, x: &Tensor, dim: usize, before: i64, after: i64) -> Result<Tensor> {
        let size = x.dim(dim)? as i64;
        if before <= 0 && after <= 0 {
            return x.narrow(dim, -before as usize, (size + before + after) as usize);
        }
        if let Fill::Constant(value) = self {
            let kept = x.narrow(
                dim,
                (-before).max(0) as usize,
                (size + before.min(0) + after.min(0)) as usize,
            )?;
            let filler = |count: i64| -> Result<Tensor> {
                let mut shape = x.dims().to_vec();
                shape[dim] = count.max(0) as usize;
                Tensor::full(value, shape, x.device())?.to_dtype(x.dtype())
            };
            return Tensor::cat(&[filler(before)?, kept, filler(after)?], dim);
        }
        let source = |place: i64| match self {
            Fill::Reflect if place < 0 => -place,
            Fill::Reflect if place >= size => 2 * size - 2 - place,
            Fill::Circular => place.rem_euclid(size),
            _ => place.clamp(0, size - 1),
        };
        let sources: Vec<u32> = (-before..size + after).map(|place| source(place) as u32).collect();
        let count = sources.len();
        x.contiguous()?.index_select(&Tensor::from_vec(sources, count, x.device())?, dim)
    }
}
