//! What the tools count for convolutions and pools: windows of many kinds.

use layers::{Arg, Cost, Overflow, TensorType, sizes};

use crate::{
    call::Call,
    factors::{Factors, product},
    kinds::TRANSPOSED,
};

/// What a tool counts for a convolution.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Convolution {
    /// The products; the input channels are taken from the second dimension of the input.
    Products,
    /// The products and a bias; a transposed one as if it were none, on its output.
    WithBias,
    /// The products and a bias for each input channel.
    WithBiasPerChannel,
    /// The products and a bias, whatever the second dimensions are: without a batch other ones.
    AsBatched,
    /// Products and biases, where the output is as large as symmetric padding would make it.
    Symmetric,
    /// A transposed one whose groups divide twice, with biases of a plain one's output.
    DividedTwice,
    /// Products, and the sums between them and the bias; of a transposed one on its input.
    WithSums,
}

/// Where a tool takes a pooling window from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    /// All its sizes.
    All,
    /// The number as it was given: one number is not squared.
    AsGiven,
}

/// How a tool divides the sizes of an adaptive pool.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Division {
    /// Each quotient is rounded down.
    Floor,
    /// In floating point; the product with the output's elements is rounded down.
    Double,
}

impl Call<'_> {
    pub(crate) fn convolution(
        &self,
        rule: Convolution,
        input: &TensorType,
        output: &TensorType,
    ) -> Result<Cost, Overflow> {
        let axes = self.axes();
        let channels = |ty: &TensorType| {
            let dimension = ty.shape.len().checked_sub(axes + 1);
            dimension.map_or(0, |dimension| u128::from(ty.shape[dimension]))
        };
        let (in_channels, out_channels) = (channels(input), channels(output));
        let groups = u128::from(self.size("groups").unwrap_or(1).max(1));
        let kernel = sizes("kernel", &self.per_axis("kernel_size"));
        let outputs = sizes("output", &output.shape);
        let is_transposed = TRANSPOSED.contains(&self.kind);
        let biased = self.is_on("bias");
        let free = Cost::free();
        let with = |positions: &[(&'static str, u128)], each: &[(&'static str, u128)]| {
            free.clone().macs_of("products", &[positions, &kernel[..], each].concat())
        };
        let spatial = |ty: &TensorType, name| sizes(name, ty.shape.get(2..).unwrap_or(&[]));
        let batch = ("N", u128::from(input.shape.first().copied().unwrap_or(1)));
        Ok(match rule {
            Convolution::Products => {
                let second = u128::from(input.shape.get(1).copied().unwrap_or(0));
                with(&outputs, &[("C_in / groups", second / groups)])
            }
            Convolution::WithBias => {
                let cost = with(&outputs, &[("C_in / groups", in_channels / groups)]);
                if biased { cost.macs_of("bias", &outputs) } else { cost }
            }
            Convolution::WithBiasPerChannel => {
                // The whole is divided by the groups, and not the channels.
                let window = product(&kernel)?.checked_add(biased.into()).ok_or(Overflow)?;
                let all = product(&outputs)?.checked_mul(window).ok_or(Overflow)?;
                let all = all.checked_mul(in_channels).ok_or(Overflow)? / groups;
                free.macs_of("products and biases", &[("output, kernel and C_in / groups", all)])
            }
            Convolution::AsBatched => {
                let positions = if is_transposed { input } else { output };
                let positions = [vec![batch], spatial(positions, "position")].concat();
                let cost = with(
                    &positions,
                    &[("C_in", in_channels), ("C_out / groups", out_channels / groups)],
                );
                let after = sizes("output", output.shape.get(1..).unwrap_or(&[]));
                if biased { cost.macs_of("bias", &[vec![batch], after].concat()) } else { cost }
            }
            Convolution::Symmetric | Convolution::DividedTwice => {
                let out_channels = if is_transposed { out_channels / groups } else { out_channels };
                let of_plain = self.plain_output(input, output);
                let positions = match is_transposed {
                    true => spatial(input, "position"),
                    false => of_plain.clone(),
                };
                let cost = with(
                    &[vec![batch], positions].concat(),
                    &[("C_in", in_channels), ("C_out / groups", out_channels / groups)],
                );
                let biases = [vec![batch, ("C_out", out_channels)], of_plain].concat();
                if biased { cost.flops_of("bias", &biases) } else { cost }
            }
            Convolution::WithSums => {
                let window = product(&kernel)?.checked_mul(in_channels / groups);
                let twice = window.and_then(|window| window.checked_mul(2)).ok_or(Overflow)?;
                let each = twice.saturating_sub(u128::from(!biased));
                let positions = spatial(if is_transposed { input } else { output }, "position");
                let all = [vec![batch, ("C_out", out_channels)], positions, vec![("each", each)]];
                free.macs_of("products and sums", &all.concat())
            }
        })
    }

    /// The sizes after a plain convolution with the paddings halved, as if none were uneven.
    fn plain_output(&self, input: &TensorType, output: &TensorType) -> Factors {
        let padding = self.arguments.map(|arguments| arguments.get("padding"));
        let reflects = self.arguments.and_then(|arguments| arguments.text("padding_mode").ok());
        if reflects.is_some_and(|mode| mode != "zeros") {
            return sizes("position", output.shape.get(2..).unwrap_or(&[]));
        }
        let (kernel, stride) = (self.per_axis("kernel_size"), self.per_axis("stride"));
        let dilation = self.per_axis("dilation");
        let padding: Vec<u64> = match padding {
            Some(Arg::Text(text)) if text == "same" => {
                let total = kernel
                    .iter()
                    .zip(&dilation)
                    .map(|(kernel, dilation)| dilation * kernel.saturating_sub(1) / 2);
                total.collect()
            }
            Some(Arg::Text(_)) => vec![0; kernel.len()],
            _ => self.per_axis("padding"),
        };
        let axes = input.shape.get(2..).unwrap_or(&[]).iter().enumerate().map(|(axis, size)| {
            let of =
                |sizes: &[u64], least: u64| sizes.get(axis).copied().unwrap_or(least).max(least);
            let reach = of(&dilation, 1) * (of(&kernel, 1) - 1) + 1;
            let room = (size + 2 * of(&padding, 0)).saturating_sub(reach);
            room / of(&stride, 1) + 1
        });
        sizes("position", &axes.collect::<Vec<u64>>())
    }

    pub(crate) fn pooling_window(&self, window: Window) -> Result<u128, Overflow> {
        let given = self.arguments.map(|arguments| arguments.get("kernel_size"));
        match (window, given) {
            (Window::AsGiven, Some(Arg::Int(size))) => Ok(size.max(0) as u128),
            _ => product(&sizes("kernel", &self.per_axis("kernel_size"))),
        }
    }

    /// The sum over all output elements of a window of even size and `more`.
    pub(crate) fn adaptive(&self, division: Division, more: u128) -> Result<u128, Overflow> {
        let (input, output) = (&self.inputs[0].shape, &self.outputs[0].shape);
        let elements = output.numel()?;
        let pooled = input.iter().zip(output.iter()).skip(2);
        match division {
            Division::Floor => {
                let window = pooled
                    .map(|(size, out)| u128::from(size.checked_div(*out).unwrap_or(0)))
                    .try_fold(1u128, |product, size| product.checked_mul(size).ok_or(Overflow))?;
                let each = window.checked_add(more);
                each.and_then(|each| each.checked_mul(elements)).ok_or(Overflow)
            }
            // The tool's own arithmetic, with its rounding.
            Division::Double => {
                let window: f64 = pooled.map(|(size, out)| *size as f64 / *out as f64).product();
                Ok(((window + more as f64) * elements as f64) as u128)
            }
        }
    }

    /// The elements in all windows, of the padding only what `count_include_pad` counts.
    pub(crate) fn average_windows(
        &self,
        input: &TensorType,
        output: &TensorType,
    ) -> Result<u128, Overflow> {
        let axes = self.axes();
        let (kernel, stride) = (self.per_axis("kernel_size"), self.per_axis("stride"));
        let padding = self.per_axis("padding");
        let counts_padding = self.is_on("count_include_pad");
        let outer = input.shape.len().saturating_sub(axes);
        let mut all = product(&sizes("outer", &input.shape[..outer]))?;
        for axis in 0..axes {
            let (size, out) = (input.shape[outer + axis], output.shape[outer + axis]);
            let stride = if stride[axis] == 0 { kernel[axis] } else { stride[axis] };
            let (size, padding) = (i128::from(size), i128::from(padding[axis]));
            let (lower, upper) =
                if counts_padding { (-padding, size + padding) } else { (0, size) };
            let (out, stride) = (i128::from(out), i128::from(stride));
            // PyTorch begins no window behind the input, so no window is empty.
            let ends = sum_of_least(out, stride, i128::from(kernel[axis]) - padding, upper);
            let begins = sum_of_least(out, -stride, padding, -lower);
            let windows = ends.zip(begins).and_then(|(ends, begins)| ends.checked_add(begins));
            let windows = windows.and_then(|sum| u128::try_from(sum).ok()).ok_or(Overflow)?;
            all = u128::checked_mul(all, windows).ok_or(Overflow)?;
        }
        Ok(all)
    }
}

/// The sum of `min(first + step * i, limit)` for `i` below `count`.
fn sum_of_least(count: i128, step: i128, first: i128, limit: i128) -> Option<i128> {
    if step < 0 {
        // From the other end it grows.
        let last = step.checked_mul(count - 1)?.checked_add(first)?;
        return sum_of_least(count, -step, last, limit);
    }
    // So many are at most the limit.
    let below = match step {
        0 if first <= limit => count,
        0 => 0,
        _ => ((limit - first).div_euclid(step) + 1).clamp(0, count),
    };
    let pairs = below.checked_mul(below - 1)? / 2;
    let sum = first.checked_mul(below)?.checked_add(step.checked_mul(pairs)?)?;
    sum.checked_add(limit.checked_mul(count - below)?)
}
