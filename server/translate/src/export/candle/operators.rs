//! Arithmetic, matrix products and indexing as operations on Candle's tensors.

use std::{any::Any, sync::Arc};

use analysis::Step;
use layers::operators::{Arithmetic, Index, IndexItem, Operator};

use super::{
    arguments::{dtype, float, rust_float, tuple, varies},
    functions::{Found, Function, Writer, lent, method, plain},
};
use crate::{
    export::{naming::Written, sizes::AtSizes, unit::layer_of},
    template::Template,
};

impl Writer<'_, '_> {
    /// An operand as a number of the output's kind.
    fn converted(&self, place: usize) -> Result<Written, String> {
        let operand = &self.operands[place];
        let (own, wanted) = (self.used.input(place)?.dtype, self.used.output_dtype());
        if own == wanted {
            return Ok(operand.clone());
        }
        // The dtype of the other operand, which may be another one where the module is used.
        let inputs = self.used.step.shown().inputs.iter().enumerate();
        let other =
            inputs.filter(|(_, input)| input.ty.dtype == wanted).map(|(other, _)| other).next();
        let to = match other {
            Some(other) => {
                let mut text = self.operands[other].text.clone();
                text.push(".dtype()");
                text
            }
            None => Template::text(dtype(wanted)?),
        };
        let text = method(operand.text.clone(), "to_dtype", vec![to]);
        Ok(Written::simple(text))
    }

    pub(super) fn arithmetic(&mut self, arithmetic: &Arithmetic) -> Found {
        if let Some(number) = arithmetic.number {
            return self.with_number(arithmetic.operator, number.is_first);
        }
        if arithmetic.operator == Operator::Neg {
            // Candle negates no whole numbers.
            let operand = lent(self.first()?);
            return plain(Template::joined(["(".into(), operand, " * -1.0)?".into()], ""));
        }
        if arithmetic.operator == Operator::MatMul {
            return self.matmul();
        }
        let (left, right) = (self.converted(0)?, self.converted(1)?);
        let shapes = |place: usize| self.used.step.map(|step| step.inputs[place].ty.shape.clone());
        let is_same = shapes(0) == shapes(1);
        let symbol = arithmetic.operator.symbol();
        if arithmetic.operator == Operator::Pow {
            return plain(method(left.text.clone(), "broadcast_pow", vec![lent(&right)]));
        }
        if is_same {
            let mut text = Template::text("(");
            text.append(Template::joined([lent(&left), lent(&right)], &format!(" {symbol} ")));
            text.push(")?");
            return plain(text);
        }
        let name = match arithmetic.operator {
            Operator::Add => "broadcast_add",
            Operator::Sub => "broadcast_sub",
            Operator::Mul => "broadcast_mul",
            _ => "broadcast_div",
        };
        plain(method(left.text.clone(), name, vec![lent(&right)]))
    }

    fn matmul(&mut self) -> Found {
        let ranks = [self.used.input(0)?.shape.len(), self.used.input(1)?.shape.len()];
        if ranks.contains(&1) {
            return Err(
                "Candle multiplies matrices only; give the vector a dimension of one".to_owned()
            );
        }
        let right = &self.operands[1];
        let leading = |place: usize| {
            self.used.step.map(|step| {
                let shape = &step.inputs[place].ty.shape;
                shape[..shape.len() - 2].to_vec()
            })
        };
        if ranks.iter().any(|rank| *rank > 4) {
            return self.helped("batched_matmul", Vec::new());
        }
        let name = if leading(0) == leading(1) { "matmul" } else { "broadcast_matmul" };
        plain(method(self.operands[0].text.clone(), name, vec![lent(right)]))
    }

    fn with_number(&mut self, operator: Operator, is_first: bool) -> Found {
        let values: Option<_> = self
            .used
            .step
            .0
            .iter()
            .map(|step| {
                let layer: &dyn Any = &*layer_of(step)?.layer;
                Some(layer.downcast_ref::<Arithmetic>()?.number?.value)
            })
            .collect();
        let values = AtSizes(values.ok_or_else(varies)?);
        let number = match values.is_constant() {
            true => float("factor", *values.shown()),
            false => {
                let whole =
                    values.0.iter().map(|value| (value.fract() == 0.0).then_some(*value as i64));
                let whole: Option<_> = whole.collect();
                let size = whole.and_then(|whole| (self.size_of)(&AtSizes(whole)));
                let mut text = Template::text("(");
                text.append(size.ok_or_else(varies)?);
                text.push(") as f64");
                text
            }
        };
        let mut operand = self.first()?.clone();
        let (own, wanted) = (self.used.input(0)?.dtype, self.used.output_dtype());
        if own != wanted {
            let text = method(operand.text, "to_dtype", vec![dtype(wanted)?.into()]);
            operand = Written::simple(text);
        }
        if operator == Operator::Pow && !wanted.is_float() {
            return Err("Candle has no powers of whole numbers".to_owned());
        }
        if operator == Operator::Pow && !is_first {
            return plain(match *values.shown() {
                2.0 if values.is_constant() => method(operand.text, "sqr", Vec::new()),
                _ => method(operand.text, "powf", vec![number]),
            });
        }
        if operator == Operator::Pow {
            // b ** x is e ** (x * ln b).
            let base = rust_float(values.shown().ln());
            let mut text = Template::text("(");
            text.append(lent(&operand));
            text.push(&format!(" * {base})?"));
            return plain(method(text, "exp", Vec::new()));
        }
        let symbol = operator.symbol();
        let sides = if is_first { [number, lent(&operand)] } else { [lent(&operand), number] };
        let mut text = Template::text("(");
        text.append(Template::joined(sides, &format!(" {symbol} ")));
        text.push(")?");
        plain(text)
    }

    pub(super) fn index(&mut self, index: &Index) -> Found {
        let is_taken = |item: &&IndexItem| !matches!(item, IndexItem::NewAxis | IndexItem::Rest);
        let rest = self.used.rank()? - index.0.iter().filter(is_taken).count();
        let mut view = View { text: self.first()?.text.clone(), from: 0, to: 0, is_cut: false };
        for (place, item) in index.0.iter().enumerate() {
            match item {
                IndexItem::NewAxis => {
                    view.text = method(view.text, "unsqueeze", vec![view.to.to_string().into()]);
                    view.to += 1;
                }
                IndexItem::Rest => view.pass(rest),
                IndexItem::Tensor => self.index_by_tensor(&mut view, place + 1 == index.0.len())?,
                IndexItem::At(_) => self.index_at(&mut view, &self.items(place)?)?,
                IndexItem::Slice(_, _, step) => {
                    self.index_slice(&mut view, &self.items(place)?, *step)?;
                }
            }
        }
        let helper = view.text.plain().contains("every(&").then_some("every");
        let text = match view.is_cut {
            true => method(view.text, "contiguous", Vec::new()),
            false => view.text,
        };
        let operand = self.first()?;
        let is_lent = text == operand.text && operand.is_lent;
        Ok(Function { text, is_lent, helper })
    }

    /// An item of the index at all sizes.
    fn items(&self, place: usize) -> Result<AtSizes<IndexItem>, String> {
        let item = |step: &&Arc<Step>| -> Option<IndexItem> {
            let layer: &dyn Any = &*layer_of(step)?.layer;
            layer.downcast_ref::<Index>()?.0.get(place).copied()
        };
        let items: Option<_> = self.used.step.0.iter().map(item).collect();
        Ok(AtSizes(items.ok_or_else(varies)?))
    }

    /// What an item makes of the size of the view's dimension, at all sizes.
    fn of_sizes<T>(
        &self,
        view: &View,
        items: &AtSizes<IndexItem>,
        of: impl Fn(&IndexItem, u64) -> Option<T>,
    ) -> Result<AtSizes<T>, String> {
        let steps = items.0.iter().zip(&self.used.step.0);
        let all: Option<_> =
            steps.map(|(item, step)| of(item, step.inputs[0].ty.shape[view.from])).collect();
        all.map(AtSizes).ok_or_else(varies)
    }

    fn index_by_tensor(&mut self, view: &mut View, is_last: bool) -> Result<(), String> {
        let index = self.operands.get(1).ok_or_else(varies)?;
        let is_list = self.used.input(1)?.shape.len() == 1;
        let list = match is_list {
            true => lent(index),
            false => lent(&Written::simple(method(index.text.clone(), "flatten_all", Vec::new()))),
        };
        if std::mem::take(&mut view.is_cut) {
            view.apply("contiguous", |_| Vec::new());
        }
        view.apply("index_select", |dim| vec![list, dim]);
        if !is_list {
            if !is_last {
                return Err("a table of places comes last here".to_owned());
            }
            let shapes = self.used.output(0);
            let sizes = tuple(self.sizes(&shapes, true)?);
            view.apply("reshape", |_| vec![sizes]);
        }
        view.pass(1);
        Ok(())
    }

    fn index_at(&mut self, view: &mut View, items: &AtSizes<IndexItem>) -> Result<(), String> {
        let places = self.of_sizes(view, items, |item, size| match item {
            IndexItem::At(at) => from_end(*at, size),
            _ => None,
        })?;
        let at = self.size("index", &places)?;
        view.apply("get_on_dim", |dim| vec![dim, at]);
        view.is_cut |= view.to > 0;
        view.from += 1;
        Ok(())
    }

    fn index_slice(
        &mut self,
        view: &mut View,
        items: &AtSizes<IndexItem>,
        step: i64,
    ) -> Result<(), String> {
        let bounds = self.of_sizes(view, items, |item, size| match item {
            IndexItem::Slice(start, stop, step) => {
                let (start, length) = slice_bounds(*start, *stop, *step, size)?;
                Some((start, length, (start, length) == (0, size)))
            }
            _ => None,
        })?;
        if bounds.0.iter().all(|(_, _, is_all)| *is_all) {
            view.pass(1);
            return Ok(());
        }
        let start = self.size("start", &bounds.map(|(start, ..)| *start))?;
        let length = self.size("length", &bounds.map(|(_, length, _)| *length))?;
        if step == 1 {
            view.apply("narrow", |dim| vec![dim, start, length]);
            view.is_cut |= view.to > 0;
        } else {
            let arguments = [
                lent(&Written::simple(view.text.clone())),
                view.to.to_string().into(),
                start,
                length,
                step.to_string().into(),
            ];
            view.text = Template::text("every(");
            view.text.append(Template::joined(arguments, ", "));
            view.text.push(")?");
        }
        view.pass(1);
        Ok(())
    }
}

/// What an index has made of a tensor so far.
struct View {
    text: Template,
    /// The dimension of the input that comes next.
    from: usize,
    /// Where that is now.
    to: usize,
    /// It lies apart in memory.
    is_cut: bool,
}

impl View {
    fn pass(&mut self, dims: usize) {
        self.from += dims;
        self.to += dims;
    }

    /// Calls a method; the arguments may need the dimension.
    fn apply(&mut self, name: &str, arguments: impl FnOnce(Template) -> Vec<Template>) {
        let arguments = arguments(self.to.to_string().into());
        self.text = method(std::mem::take(&mut self.text), name, arguments);
    }
}

/// A place counted from the front.
fn from_end(at: i64, size: u64) -> Option<u64> {
    if at < 0 { size.checked_sub(at.unsigned_abs()) } else { u64::try_from(at).ok() }
}

/// The start of a slice, and how many elements it has.
fn slice_bounds(start: Option<i64>, stop: Option<i64>, step: i64, size: u64) -> Option<(u64, u64)> {
    let bound = |at: i64| from_end(at, size).unwrap_or(0).min(size);
    let start = start.map_or(0, bound);
    let stop = stop.map_or(size, bound).max(start);
    let step = u64::try_from(step).ok().filter(|step| *step > 0)?;
    Some((start, (stop - start).div_ceil(step)))
}
