//! The window of a convolution or a pool, from its arguments, and the sizes that it gives.

use kernels::Window;
use smallvec::smallvec;

use crate::{Arg, Arguments, Refusal, shape::MAX_SIZE};

/// The window that the arguments of a convolution say.
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
        _ => arguments.per_axis("padding", axes, 0)?.into_iter().map(|size| (size, size)).collect(),
    };
    Ok(Window { kernel, stride, dilation, padding, ceil_mode: false })
}

/// The sizes of the output.
pub(crate) fn outputs(window: &Window, sizes: &[u64]) -> Result<Vec<u64>, Refusal> {
    (0..sizes.len()).map(|axis| outputs_of(window, axis, sizes[axis])).collect()
}

/// The size of one axis of the output.
pub(crate) fn outputs_of(window: &Window, axis: usize, size: u64) -> Result<u64, Refusal> {
    let Some(output) = window.windows(axis, size) else {
        let (reach, padded) = (window.reach(axis), window.padded(axis, size));
        let with = if window.padding[axis] == (0, 0) { "" } else { ", with its padding" };
        let message = format!("the kernel covers {reach}, but its input has only {padded}{with}");
        return Err(Refusal::shape(0, message));
    };
    u64::try_from(output)
        .ok()
        .filter(|size| *size <= MAX_SIZE)
        .ok_or_else(|| Refusal::overflow("the output"))
}
