//! The window that a convolution or a pool slides over an image.

use smallvec::{SmallVec, smallvec};

use crate::{Arg, Arguments, Refusal, shape::MAX_SIZE};

/// A value for each axis of an image.
pub(crate) type PerAxis<T> = SmallVec<[T; 3]>;

/// The window that a convolution or a pool slides over an image, per axis.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    pub kernel: PerAxis<u64>,
    pub stride: PerAxis<u64>,
    pub dilation: PerAxis<u64>,
    /// Added before and after each axis.
    pub padding: PerAxis<(u64, u64)>,
    pub ceil_mode: bool,
}

impl Window {
    pub(crate) fn of_convolution(arguments: &Arguments, axes: usize) -> Result<Window, Refusal> {
        let kernel = arguments.per_axis("kernel_size", axes, 1)?;
        let stride = arguments.per_axis("stride", axes, 1)?;
        let dilation = arguments.per_axis("dilation", axes, 1)?;
        let padding = match arguments.get("padding") {
            Arg::Text(text) if text == "valid" => smallvec![(0, 0); axes],
            Arg::Text(text) if text == "same" => {
                if stride.iter().any(|stride| *stride != 1) {
                    let message = "`padding=\"same\"` needs a stride of 1";
                    return Err(Refusal::argument("padding", message));
                }
                let total = kernel.iter().zip(&dilation).map(|(kernel, dilation)| {
                    dilation.checked_mul(kernel - 1).ok_or_else(|| Refusal::overflow("the padding"))
                });
                // An odd amount goes behind, as in PyTorch.
                total
                    .map(|total| total.map(|total| (total / 2, total - total / 2)))
                    .collect::<Result<_, _>>()?
            }
            Arg::Text(text) => {
                let message =
                    format!("`padding` is a whole number, \"same\" or \"valid\", not \"{text}\"");
                return Err(Refusal::argument("padding", message));
            }
            _ => arguments
                .per_axis("padding", axes, 0)?
                .into_iter()
                .map(|size| (size, size))
                .collect(),
        };
        Ok(Window { kernel, stride, dilation, padding, ceil_mode: false })
    }

    /// The sizes of the output.
    pub(crate) fn outputs(&self, sizes: &[u64]) -> Result<Vec<u64>, Refusal> {
        (0..sizes.len()).map(|axis| self.outputs_of(axis, sizes[axis])).collect()
    }

    /// The size of one axis of the output.
    pub(crate) fn outputs_of(&self, axis: usize, size: u64) -> Result<u64, Refusal> {
        let (kernel, stride) = (i128::from(self.kernel[axis]), i128::from(self.stride[axis]));
        let (before, after) = self.padding[axis];
        let reach = i128::from(self.dilation[axis]) * (kernel - 1) + 1;
        let padded = i128::from(size) + i128::from(before) + i128::from(after);
        if reach > padded || size == 0 {
            let with = if before + after > 0 { ", with its padding" } else { "" };
            let message =
                format!("the kernel covers {reach}, but its input has only {padded}{with}");
            return Err(Refusal::shape(0, message));
        }
        let mut output = (padded - reach) / stride + 1;
        if self.ceil_mode && (padded - reach) % stride != 0 {
            // The last window must begin inside the input or its left padding.
            if output * stride < i128::from(size) + i128::from(before) {
                output += 1;
            }
        }
        u64::try_from(output)
            .ok()
            .filter(|size| *size <= MAX_SIZE)
            .ok_or_else(|| Refusal::overflow("the output"))
    }
}
