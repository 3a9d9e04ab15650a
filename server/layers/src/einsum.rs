//! Einstein summation.

use std::collections::BTreeSet;

use candle_core::{Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Arguments, Cost, Entry, Inputs, Kind, Layer, Module, Param, Refusal, Shape, TensorType,
    arguments::float_input, module::many_to_many,
};

pub(crate) static ENTRIES: &[Entry] = &[Entry {
    name: "Einsum",
    function: None,
    params: &[Param::required("equation", Kind::Text)],
    inputs: Inputs::Many,
    summary: "Products of tensors, summed over the axes that the output does not name.",
    doc: "`Einsum(\"b i d, b j d -> b i j\")`, or PyTorch's `Einsum(\"bid,bjd->bij\")`: where a tensor's axes stand \
          apart they may have longer names. `...` stands for any leading axes.\n\n\
          MACs: the product of the sizes of all axes, for each pair of tensors from the left. Where nothing is \
          summed, 1 FLOP per output element; to sum an axis of a single tensor, 1 per input element.\n\n\
          Unlike PyTorch, an axis stands once in a tensor.",
    source: "https://pytorch.org/docs/stable/generated/torch.einsum.html",
    bind: Einsum::bind,
    ..Entry::PLAIN
}];

/// An axis by its number in the equation.
type Axis = usize;

#[derive(Debug, Clone, PartialEq)]
struct Einsum {
    terms: Vec<Vec<Axis>>,
    output: Vec<Axis>,
    /// How each axis is written.
    names: Vec<String>,
}

/// The axes of each tensor and of the output, by their numbers.
#[derive(Debug, Clone, Copy)]
pub struct Axes<'l> {
    /// Those of each tensor.
    pub terms: &'l [Vec<usize>],
    /// Those of the output.
    pub output: &'l [usize],
}

/// The axes of an einsum; `None` of another layer.
pub fn axes_of(layer: &dyn Layer) -> Option<Axes<'_>> {
    let layer: &dyn std::any::Any = layer;
    let Einsum { terms, output, .. } = layer.downcast_ref()?;
    Some(Axes { terms, output })
}

/// What a step of the evaluation does.
enum Work {
    /// A product of two tensors: sizes of all axes, and whether some are summed.
    Pair { axes: Vec<Axis>, sums: bool },
    /// Axes of one tensor are summed.
    Sum { axes: Vec<Axis> },
}

impl Einsum {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        float_input("Einsum", inputs)?;
        let equation = arguments.text("equation")?;
        let refuse = |message: String| Refusal::argument("equation", message);
        let (left, right) = match equation.split_once("->") {
            Some((left, right)) => (left, Some(right)),
            None => (equation.as_str(), None),
        };
        let texts: Vec<&str> = left.split(',').map(str::trim).collect();
        if texts.len() != inputs.len() {
            let message =
                format!("the equation has {} terms for {} tensors", texts.len(), inputs.len());
            return Err(refuse(message));
        }
        let apart = texts.iter().chain(&right.map(str::trim)).any(|text| text.contains(' '));
        let mut names = Names::default();
        let widest = texts
            .iter()
            .zip(inputs)
            .filter(|(text, _)| text.contains("..."))
            .map(|(text, input)| (input.shape.len() + 1).saturating_sub(split(text, apart).len()))
            .max()
            .unwrap_or(0);
        let mut terms = Vec::new();
        for (index, (text, input)) in texts.iter().zip(inputs).enumerate() {
            let written = split(text, apart);
            let rest = (input.shape.len() + 1).saturating_sub(written.len());
            let term = names.numbers(&written, widest - rest.min(widest)..widest);
            let unique: BTreeSet<Axis> = term.iter().copied().collect();
            if unique.len() != term.len() {
                return Err(refuse(format!("`{text}` names an axis twice")));
            }
            if term.len() != input.shape.len() {
                let message =
                    format!("`{text}` has {} axes; this tensor is {}", term.len(), input.shape);
                return Err(Refusal::shape(index, message));
            }
            terms.push(term);
        }
        let known: BTreeSet<Axis> = terms.iter().flatten().copied().collect();
        let output = match right {
            Some(text) => names.numbers(&split(text.trim(), apart), 0..widest),
            // As in PyTorch: the axes of `...`, then those that appear once, by name.
            None => names.implied(&terms, widest),
        };
        if let Some(axis) = output.iter().find(|axis| !known.contains(axis)) {
            return Err(refuse(format!("no tensor has the axis `{}`", names.0[*axis])));
        }
        Ok(Box::new(Einsum { terms, output, names: names.0 }))
    }

    /// The size of each axis, where 1 broadcasts.
    fn sizes(&self, shapes: &[&[u64]]) -> Result<Vec<u64>, Refusal> {
        let mut sizes = vec![1u64; self.names.len()];
        for (index, (term, shape)) in self.terms.iter().zip(shapes).enumerate() {
            for (axis, size) in term.iter().zip(shape.iter()) {
                if sizes[*axis] == 1 {
                    sizes[*axis] = *size;
                } else if *size != 1 && sizes[*axis] != *size {
                    let name = &self.names[*axis];
                    let message =
                        format!("the axis `{name}` is {} before and {size} here", sizes[*axis]);
                    return Err(Refusal::shape(index, message));
                }
            }
        }
        Ok(sizes)
    }

    /// The axes that the output or a later tensor needs.
    fn needed_after(&self, term: usize) -> BTreeSet<Axis> {
        let later = self.terms[term + 1..].iter().flatten();
        self.output.iter().chain(later).copied().collect()
    }

    /// What is done, pair by pair from the left, and the axes that are left at the end.
    fn plan(&self) -> Vec<Work> {
        let mut work = Vec::new();
        let mut held = self.terms[0].clone();
        let drop_alone =
            |axes: &mut Vec<Axis>, keep: &dyn Fn(Axis) -> bool, work: &mut Vec<Work>| {
                if axes.iter().any(|axis| !keep(*axis)) {
                    work.push(Work::Sum { axes: axes.clone() });
                    axes.retain(|axis| keep(*axis));
                }
            };
        for (index, term) in self.terms.iter().enumerate().skip(1) {
            let keep = self.needed_after(index);
            let mut next = term.clone();
            drop_alone(&mut held, &|axis| keep.contains(&axis) || term.contains(&axis), &mut work);
            let before = held.clone();
            drop_alone(
                &mut next,
                &|axis| keep.contains(&axis) || before.contains(&axis),
                &mut work,
            );
            let all: BTreeSet<Axis> = held.iter().chain(&next).copied().collect();
            let sums = all.iter().any(|axis| !keep.contains(axis));
            work.push(Work::Pair { axes: all.iter().copied().collect(), sums });
            held = all.into_iter().filter(|axis| keep.contains(axis)).collect();
        }
        let keep = &self.output;
        drop_alone(&mut held, &|axis| keep.contains(&axis), &mut work);
        work
    }
}

/// The axes of a term, as they are written.
fn split(term: &str, apart: bool) -> Vec<String> {
    if apart {
        return term.split_whitespace().map(str::to_owned).collect();
    }
    let mut axes = Vec::new();
    let mut rest = term;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("...") { 3 } else { first.len_utf8() };
        axes.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    axes
}

/// The names of the axes; those of `...` are `...0`, `...1` and so on.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn number(&mut self, name: &str) -> Axis {
        match self.0.iter().position(|known| known == name) {
            Some(axis) => axis,
            None => {
                self.0.push(name.to_owned());
                self.0.len() - 1
            }
        }
    }

    fn numbers(&mut self, written: &[String], rest: std::ops::Range<usize>) -> Vec<Axis> {
        let mut axes = Vec::new();
        for name in written {
            if name == "..." {
                axes.extend(rest.clone().map(|place| self.number(&format!("...{place}"))));
            } else {
                axes.push(self.number(name));
            }
        }
        axes
    }

    fn implied(&mut self, terms: &[Vec<Axis>], widest: usize) -> Vec<Axis> {
        let mut axes: Vec<Axis> =
            (0..widest).map(|place| self.number(&format!("...{place}"))).collect();
        let count = |axis: Axis| terms.iter().flatten().filter(|other| **other == axis).count();
        let mut once: Vec<Axis> =
            (0..self.0.len()).filter(|axis| !axes.contains(axis) && count(*axis) == 1).collect();
        once.sort_by(|left, right| self.0[*left].cmp(&self.0[*right]));
        axes.extend(once);
        axes
    }
}

impl Layer for Einsum {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let shapes: Vec<&[u64]> = inputs.iter().map(|input| &input.shape[..]).collect();
        let sizes = self.sizes(&shapes)?;
        let shape: Shape = self.output.iter().map(|axis| sizes[*axis]).collect();
        Ok(vec![inputs[0].with_shape(shape)])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let shapes: Vec<&[u64]> = inputs.iter().map(|input| &input.shape[..]).collect();
        let sizes = self.sizes(&shapes).unwrap_or_default();
        let factors = |axes: &[Axis]| -> Vec<(&'static str, u128)> {
            axes.iter().filter_map(|axis| Some(("axis", u128::from(*sizes.get(*axis)?)))).collect()
        };
        self.plan().iter().fold(Cost::free(), |cost, work| match work {
            Work::Pair { axes, sums: true } => cost.macs_of("products", &factors(axes)),
            Work::Pair { axes, sums: false } => cost.flops_of("products", &factors(axes)),
            Work::Sum { axes } => cost.flops_of("sums", &factors(axes)),
        })
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let einsum = self.clone();
        many_to_many(move |inputs| Ok(vec![einsum.run(inputs)?]))
    }
}

/// A tensor and what its dimensions are.
struct Named {
    tensor: Tensor,
    axes: Vec<Axis>,
}

impl Einsum {
    fn run(&self, inputs: &[Tensor]) -> CandleResult<Tensor> {
        let shapes: Vec<Vec<u64>> = inputs
            .iter()
            .map(|input| input.dims().iter().map(|size| *size as u64).collect())
            .collect();
        let shapes: Vec<&[u64]> = shapes.iter().map(Vec::as_slice).collect();
        let sizes = match self.sizes(&shapes) {
            Ok(sizes) => sizes,
            Err(refusal) => candle_core::bail!("{refusal}"),
        };
        let named = |index: usize| -> CandleResult<Named> {
            let axes = self.terms[index].clone();
            let full: Vec<usize> = axes.iter().map(|axis| sizes[*axis] as usize).collect();
            Ok(Named { tensor: inputs[index].broadcast_as(full)?, axes })
        };
        let mut held = named(0)?;
        for index in 1..inputs.len() {
            let keep = self.needed_after(index);
            let next = named(index)?;
            let (left, right) = (held.axes.clone(), next.axes.clone());
            let held_alone =
                held.sum_unless(|axis| keep.contains(&axis) || right.contains(&axis))?;
            let next_alone =
                next.sum_unless(|axis| keep.contains(&axis) || left.contains(&axis))?;
            held = held_alone.times(next_alone, &keep)?;
        }
        let output = held.sum_unless(|axis| self.output.contains(&axis))?;
        output.in_order(&self.output)
    }
}

impl Named {
    /// Sums the axes that are not kept.
    fn sum_unless(self, keep: impl Fn(Axis) -> bool) -> CandleResult<Named> {
        let Named { mut tensor, mut axes } = self;
        for dim in (0..axes.len()).rev().filter(|dim| !keep(axes[*dim])).collect::<Vec<_>>() {
            tensor = tensor.sum(dim)?;
            axes.remove(dim);
        }
        Ok(Named { tensor, axes })
    }

    fn in_order(&self, axes: &[Axis]) -> CandleResult<Tensor> {
        let dims: Vec<usize> =
            axes.iter().filter_map(|axis| self.axes.iter().position(|own| own == axis)).collect();
        if dims.is_empty() { Ok(self.tensor.clone()) } else { self.tensor.permute(dims) }
    }

    /// A batched matrix product, summed over the common axes that are not kept.
    fn times(self, other: Named, keep: &BTreeSet<Axis>) -> CandleResult<Named> {
        let common = |axis: &Axis| other.axes.contains(axis);
        let pick = |axes: &[Axis], fits: &dyn Fn(&Axis) -> bool| -> Vec<Axis> {
            axes.iter().copied().filter(|axis| fits(axis)).collect()
        };
        let batch = pick(&self.axes, &|axis| common(axis) && keep.contains(axis));
        let summed = pick(&self.axes, &|axis| common(axis) && !keep.contains(axis));
        let rows = pick(&self.axes, &|axis| !common(axis));
        let columns = pick(&other.axes, &|axis| !self.axes.contains(axis));
        let size = |axes: &[Axis], of: &Named| -> Vec<usize> {
            let dim = |axis: &Axis| of.axes.iter().position(|own| own == axis);
            axes.iter().filter_map(|axis| Some(of.tensor.dims()[dim(axis)?])).collect()
        };
        let (batches, inner) = (size(&batch, &self), size(&summed, &self));
        let (outer_rows, outer_columns) = (size(&rows, &self), size(&columns, &other));
        let number = |sizes: &[usize]| sizes.iter().product::<usize>();
        let left = self.in_order(&[&batch[..], &rows, &summed].concat())?.reshape((
            number(&batches),
            number(&outer_rows),
            number(&inner),
        ))?;
        let right = other.in_order(&[&batch[..], &summed, &columns].concat())?.reshape((
            number(&batches),
            number(&inner),
            number(&outer_columns),
        ))?;
        let product = left.contiguous()?.matmul(&right.contiguous()?)?;
        let shape = [batches, outer_rows, outer_columns].concat();
        Ok(Named { tensor: product.reshape(shape)?, axes: [batch, rows, columns].concat() })
    }
}
