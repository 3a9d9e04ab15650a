//! The window that a convolution or a pool slides over an image.

use smallvec::SmallVec;

/// A value for each axis of an image.
pub type PerAxis<T> = SmallVec<[T; 3]>;

/// The window that a convolution or a pool slides over an image, per axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Its elements.
    pub kernel: PerAxis<u64>,
    /// How far it moves at once.
    pub stride: PerAxis<u64>,
    /// How far its elements stand apart.
    pub dilation: PerAxis<u64>,
    /// Added before and after each axis.
    pub padding: PerAxis<(u64, u64)>,
    /// Whether the last window may reach over the end.
    pub ceil_mode: bool,
}

impl Window {
    /// How many elements of an axis it covers.
    pub fn reach(&self, axis: usize) -> i128 {
        i128::from(self.dilation[axis]) * (i128::from(self.kernel[axis]) - 1) + 1
    }

    /// The size of an axis with its padding.
    pub fn padded(&self, axis: usize, size: u64) -> i128 {
        let (before, after) = self.padding[axis];
        i128::from(size) + i128::from(before) + i128::from(after)
    }

    /// How many windows there are along an axis; none if it has no place there.
    pub fn windows(&self, axis: usize, size: u64) -> Option<i128> {
        let (reach, padded) = (self.reach(axis), self.padded(axis, size));
        if reach > padded || size == 0 {
            return None;
        }
        let stride = i128::from(self.stride[axis]);
        let mut windows = (padded - reach) / stride + 1;
        if self.ceil_mode && (padded - reach) % stride != 0 {
            // The last window must begin inside the input or its left padding.
            if windows * stride < i128::from(size) + i128::from(self.padding[axis].0) {
                windows += 1;
            }
        }
        Some(windows)
    }
}
