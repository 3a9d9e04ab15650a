//! What is ours to be done, in plain numbers: the same on a CPU and on a GPU.

use candle_core::Layout;

use crate::window_walk::Sweep;

/// A convolution of our own, padded with zeros: a depthwise layer runs in one pass instead of one
/// convolution, copy and join for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Convolution {
    pub sweep: Sweep,
    pub groups: usize,
}

/// What becomes of the elements of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reduction {
    /// The largest of them.
    Max,
    /// Their sum by a divisor.
    Average {
        /// Whether the elements of the padding count, where no divisor is given.
        count_padding: bool,
        /// What sums are divided by; how many elements there are unless given.
        divisor: Option<u64>,
    },
}

impl Reduction {
    /// The mean, where there is no padding.
    pub const MEAN: Reduction = Reduction::Average { count_padding: false, divisor: None };
}

/// A reduction of each window over the last axes of a tensor.
pub(crate) struct Pool {
    pub sweep: Sweep,
    pub axes: usize,
    pub reduction: Reduction,
}

impl Pool {
    /// How many planes a tensor has.
    pub fn planes(&self, layout: &Layout) -> usize {
        self.leading(layout).iter().product()
    }

    /// The sizes before those of the planes.
    pub fn leading<'l>(&self, layout: &'l Layout) -> &'l [usize] {
        &layout.dims()[..layout.dims().len() - self.axes]
    }
}

/// What becomes of the scores `[*, heads, queries, keys]`.
#[derive(Debug, Clone, Copy)]
pub struct ScoreSoftmax {
    /// What they are multiplied by.
    pub scale: f64,
    /// No query sees what comes after it.
    pub is_causal: bool,
    /// How many keys a query sees, with its own.
    pub window: Option<u64>,
}

/// The last sizes of scores.
pub(crate) struct Rows {
    pub queries: usize,
    pub keys: usize,
    pub heads: usize,
}

impl Rows {
    pub fn of(layout: &Layout) -> Rows {
        let size = |from_last: usize| {
            layout.dims().len().checked_sub(from_last).map_or(1, |dim| layout.dims()[dim])
        };
        Rows { queries: size(2), keys: size(1), heads: size(3) }
    }
}

/// Of two tensors, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    Multiply,
}

/// Combines each element with the one that stands over it and over its `inner` neighbours.
pub(crate) struct Repeat {
    pub operation: Operation,
    pub inner: usize,
}

/// `clamp(x + shift, low, high) / divisor`
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clamp {
    pub shift: f64,
    pub low: f64,
    pub high: f64,
    pub divisor: f64,
    /// Whether the element itself is multiplied by that.
    pub is_gate: bool,
}

/// Elements of a channel of a sample.
pub(crate) fn area(layout: &Layout) -> usize {
    layout.dims().iter().skip(2).product()
}
