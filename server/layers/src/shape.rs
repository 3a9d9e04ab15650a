//! Sizes: exact, checked whole numbers.

use std::{fmt, ops::Deref};

use smallvec::SmallVec;

use crate::DType;

/// The largest size of a dimension.
pub const MAX_SIZE: u64 = i64::MAX as u64;

/// The most dimensions that a tensor may have.
pub const MAX_DIMS: usize = 64;

/// A count that does not fit in 128 bits, or a size past [`MAX_SIZE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overflow;

impl fmt::Display for Overflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this count is too large to be computed exactly")
    }
}

/// The exact product of sizes.
///
/// ```
/// assert_eq!(layers::product([64, 3, 7, 7]), Ok(9408));
/// assert_eq!(layers::product([layers::MAX_SIZE; 3]), Err(layers::Overflow));
/// assert_eq!(layers::product([]), Ok(1));
/// ```
pub fn product(sizes: impl IntoIterator<Item = u64>) -> Result<u128, Overflow> {
    let mut sizes = sizes.into_iter();
    sizes.try_fold(1u128, |product, size| product.checked_mul(size.into()).ok_or(Overflow))
}

/// The sizes of a tensor's dimensions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape(SmallVec<[u64; 5]>);

impl Shape {
    /// The number of elements.
    pub fn numel(&self) -> Result<u128, Overflow> {
        product(self.0.iter().copied())
    }

    /// The shape of so many tensors of this one, stacked along a new first dimension.
    pub fn stacked(&self, count: u64) -> Shape {
        std::iter::once(count).chain(self.iter().copied()).collect::<Vec<u64>>().into()
    }

    /// The same shape with another last dimension.
    pub fn with_last(&self, size: u64) -> Shape {
        let mut sizes = self.0.clone();
        if let Some(last) = sizes.last_mut() {
            *last = size;
        }
        Shape(sizes)
    }

    /// The same shape with another size of one dimension.
    pub fn with(&self, dim: usize, size: u64) -> Shape {
        let mut sizes = self.0.clone();
        sizes[dim] = size;
        Shape(sizes)
    }

    /// The sizes, to be changed.
    pub fn into_sizes(self) -> Vec<u64> {
        self.0.into_vec()
    }
}

impl Deref for Shape {
    type Target = [u64];

    fn deref(&self) -> &[u64] {
        &self.0
    }
}

impl From<Vec<u64>> for Shape {
    fn from(sizes: Vec<u64>) -> Shape {
        Shape(sizes.into())
    }
}

impl FromIterator<u64> for Shape {
    fn from_iter<I: IntoIterator<Item = u64>>(sizes: I) -> Shape {
        Shape(sizes.into_iter().collect())
    }
}

impl<const N: usize> From<[u64; N]> for Shape {
    fn from(sizes: [u64; N]) -> Shape {
        Shape(SmallVec::from_slice(&sizes))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, size) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{size}")?;
        }
        f.write_str("]")
    }
}

/// What is known of a tensor without its values.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TensorType {
    /// The type of its elements.
    pub dtype: DType,
    /// Its sizes.
    pub shape: Shape,
}

impl TensorType {
    /// A tensor of this dtype and shape.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype, shape: shape.into() }
    }

    /// The number of elements.
    pub fn numel(&self) -> Result<u128, Overflow> {
        self.shape.numel()
    }

    /// The number of bytes.
    pub fn bytes(&self) -> Result<u128, Overflow> {
        self.numel()?.checked_mul(self.dtype.bytes().into()).ok_or(Overflow)
    }

    /// The same dtype with another shape.
    pub fn with_shape(&self, shape: impl Into<Shape>) -> TensorType {
        TensorType { dtype: self.dtype, shape: shape.into() }
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.dtype, self.shape)
    }
}
