//! How a window moves over a tensor, in numbers: what the loops of convolutions and pools share, on a
//! CPU and on a GPU.

use std::ops::Range;

use candle_core::{Error, Result, Shape};

use crate::window::Window;

/// How a window moves over the last axes of a tensor, as over three: those that are missing come
/// first and have one element. `kernels.cu` has the same fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(C)]
pub(crate) struct Sweep {
    pub input: [u32; 3],
    pub kernel: [u32; 3],
    pub output: [u32; 3],
    pub stride: [u32; 3],
    pub dilation: [u32; 3],
    /// What stands before the first element of each axis.
    pub padding: [u32; 3],
}

impl Sweep {
    /// Of a window over the last axes of an input with these sizes.
    pub fn new(window: &Window, sizes: &[usize]) -> Result<Sweep> {
        let axes = window.kernel.len();
        let input: Vec<u64> = sizes[sizes.len() - axes..].iter().map(|size| *size as u64).collect();
        let along = |(axis, size): (usize, &u64)| window.windows(axis, *size)?.try_into().ok();
        let output: Option<Vec<u64>> = input.iter().enumerate().map(along).collect();
        let Some(output) = output else {
            candle_core::bail!("the window {window:?} has no place in an input of {input:?}")
        };
        Ok(Sweep {
            input: three(input, 1)?,
            kernel: three(window.kernel.iter().copied(), 1)?,
            output: three(output, 1)?,
            stride: three(window.stride.iter().copied(), 1)?,
            dilation: three(window.dilation.iter().copied(), 1)?,
            padding: three(window.padding.iter().map(|(before, _)| *before), 0)?,
        })
    }

    /// Elements of a plane of the input.
    pub fn input_area(&self) -> usize {
        area(self.input)
    }

    /// Elements of a plane of the output.
    pub fn output_area(&self) -> usize {
        area(self.output)
    }

    /// Elements of the window.
    pub fn places(&self) -> usize {
        area(self.kernel)
    }

    /// The shape of an output of so many axes, with its sizes before them.
    pub fn output_shape(&self, leading: &[usize], axes: usize) -> Shape {
        let sizes = self.output[3 - axes..].iter().map(|size| *size as usize);
        leading.iter().copied().chain(sizes).collect::<Vec<_>>().into()
    }

    /// Takes each element of an output plane together with the element of the input plane that a
    /// place of the window meets there; where that is the padding, nothing happens.
    pub fn meet<T: Copy>(
        &self,
        place: usize,
        output: &mut [T],
        input: &[T],
        mut take: impl FnMut(&mut T, T),
    ) {
        let [_, rows, columns] = self.kernel.map(|size| size as usize);
        let at = [place / (rows * columns), place / columns % rows, place % columns];
        let [layers, lines, inside] = [0, 1, 2].map(|axis| self.inside(axis, at[axis]));
        let [_, height, width] = self.output.map(|size| size as usize);
        let [_, input_height, input_width] = self.input.map(|size| size as usize);
        if inside.is_empty() {
            return;
        }
        let (first, stride) = (self.source(2, at[2], inside.start), self.stride[2] as usize);
        for z in layers {
            let plane = self.source(0, at[0], z) * input_height;
            for y in lines.clone() {
                let row = (z * height + y) * width;
                let row = &mut output[row + inside.start..row + inside.end];
                let source = &input[(plane + self.source(1, at[1], y)) * input_width + first..];
                // Steps of one are a loop of their own, as they can be taken several at a time.
                match stride {
                    1 => row.iter_mut().zip(source).for_each(|(out, value)| take(out, *value)),
                    _ => row
                        .iter_mut()
                        .zip(source.iter().step_by(stride))
                        .for_each(|(out, value)| take(out, *value)),
                }
            }
        }
    }

    /// The places of the output, along an axis, where an element of the window is inside the input.
    fn inside(&self, axis: usize, element: usize) -> Range<usize> {
        let stride = self.stride[axis] as usize;
        let reach = element * self.dilation[axis] as usize;
        let padding = self.padding[axis] as usize;
        let start = padding.saturating_sub(reach).div_ceil(stride);
        let end = (self.input[axis] as usize + padding).saturating_sub(reach).div_ceil(stride);
        start..end.min(self.output[axis] as usize)
    }

    /// Where the input stands, along an axis, that an element of the window meets.
    fn source(&self, axis: usize, element: usize, output: usize) -> usize {
        output * self.stride[axis] as usize + element * self.dilation[axis] as usize
            - self.padding[axis] as usize
    }

    /// How many elements each window has, along an axis: with or without those of the padding, which
    /// has the same size on both sides.
    pub fn counts(&self, axis: usize, with_padding: bool) -> impl Iterator<Item = u64> {
        let [input, kernel, stride, padding] =
            [self.input, self.kernel, self.stride, self.padding].map(|one| i64::from(one[axis]));
        let margin = if with_padding { padding } else { 0 };
        (0..i64::from(self.output[axis])).map(move |output| {
            let start = output * stride - padding;
            (start + kernel).min(input + margin).abs_diff(start.max(-margin))
        })
    }
}

fn area(sizes: [u32; 3]) -> usize {
    sizes.iter().map(|size| *size as usize).product()
}

/// A value for each of three axes; those that are missing come first.
fn three(values: impl IntoIterator<Item = u64>, missing: u32) -> Result<[u32; 3]> {
    let values: Vec<u64> = values.into_iter().collect();
    let mut all = [missing; 3];
    let first = 3 - values.len();
    for (place, value) in all[first..].iter_mut().zip(values) {
        *place = u32::try_from(value).map_err(Error::wrap)?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;

    use super::*;

    /// Over one axis of five elements: which element of the input each place of the window meets.
    #[test]
    fn a_window_meets_what_is_inside() {
        let window = Window {
            kernel: smallvec![3],
            stride: smallvec![2],
            dilation: smallvec![2],
            padding: smallvec![(2, 2)],
            ceil_mode: false,
        };
        let sweep = Sweep::new(&window, &[5]).expect("it fits");
        let met = |place: usize| {
            let mut output = vec![-1; 3];
            sweep.meet(place, &mut output, &[0, 1, 2, 3, 4], |out, value| *out = value);
            output
        };
        assert_eq!([met(0), met(1), met(2)], [[-1, 0, 2], [0, 2, 4], [2, 4, -1]]);
    }

    #[test]
    fn windows_are_counted_with_and_without_padding() {
        let window = Window {
            kernel: smallvec![3],
            stride: smallvec![2],
            dilation: smallvec![1],
            padding: smallvec![(1, 1)],
            ceil_mode: true,
        };
        // Starts at -1, 1, 3, and 5 with `ceil_mode`, of an input of 6.
        let sweep = Sweep::new(&window, &[6]).expect("it fits");
        assert_eq!(sweep.counts(2, true).collect::<Vec<_>>(), [3, 3, 3, 2]);
        assert_eq!(sweep.counts(2, false).collect::<Vec<_>>(), [2, 3, 3, 1]);
    }
}
