//! Arithmetic, matrix products and indexing as operations on Candle's tensors.

use std::any::Any;

use layers::operators::{Arithmetic, Index, IndexItem, Operator};

use super::{
    arguments::{dtype, float, rust_float, tuple},
    functions::{Found, Function, Writer, lent, method, plain},
    varies,
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
            return self.method("neg", Vec::new());
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
        let steps = self.used.step.clone();
        let item = |place: usize| -> Result<AtSizes<IndexItem>, String> {
            let items: Option<_> = steps
                .0
                .iter()
                .map(|step| {
                    let layer: &dyn Any = &*layer_of(step)?.layer;
                    layer.downcast_ref::<Index>()?.0.get(place).copied()
                })
                .collect();
            Ok(AtSizes(items.ok_or_else(varies)?))
        };
        let shapes = steps.map(|step| step.inputs[0].ty.shape.clone());
        let rank = shapes.shown().len();
        let taken =
            index.0.iter().filter(|item| !matches!(item, IndexItem::NewAxis | IndexItem::Rest));
        let (taken, index_count) = (taken.count(), index.0.len());
        let mut text = self.first()?.text.clone();
        let mut is_view = false;
        // The dimension of the input that comes next, and that of what has been made of it.
        let (mut from, mut to) = (0, 0);
        for (place, shown) in index.0.iter().enumerate() {
            match shown {
                IndexItem::NewAxis => {
                    text = method(text, "unsqueeze", vec![to.to_string().into()]);
                    to += 1;
                }
                IndexItem::Rest => {
                    from += rank - taken;
                    to += rank - taken;
                }
                IndexItem::Tensor => {
                    let index = self.operands.get(1).ok_or_else(varies)?;
                    let ranks = self.used.input(1)?.shape.len();
                    let list = match ranks {
                        1 => lent(index),
                        _ => {
                            let mut list = Template::text("&");
                            list.append(method(index.text.clone(), "flatten_all", Vec::new()));
                            list
                        }
                    };
                    text = method(text, "index_select", vec![list, to.to_string().into()]);
                    if ranks != 1 {
                        if place + 1 != index_count {
                            return Err("a table of places comes last here".to_owned());
                        }
                        let shapes = self.used.output(0);
                        let sizes = self.sizes(&shapes, true)?;
                        text = method(text, "reshape", vec![tuple(sizes)]);
                    }
                    (from, to) = (from + 1, to + 1);
                }
                IndexItem::At(_) => {
                    let all = item(place)?;
                    let places = all.0.iter().zip(&shapes.0).map(|(item, shape)| match item {
                        IndexItem::At(at) => from_end(*at, shape[from]),
                        _ => None,
                    });
                    let places: Option<_> = places.collect();
                    let at = self.size("index", &AtSizes(places.ok_or_else(varies)?))?;
                    text = method(text, "get_on_dim", vec![to.to_string().into(), at]);
                    is_view |= to > 0;
                    from += 1;
                }
                IndexItem::Slice(_, _, step) => {
                    let all = item(place)?;
                    let bounds = all.0.iter().zip(&shapes.0).map(|(item, shape)| match item {
                        IndexItem::Slice(start, stop, step) => {
                            slice_bounds(*start, *stop, *step, shape[from])
                        }
                        _ => None,
                    });
                    let bounds: Option<Vec<(u64, u64)>> = bounds.collect();
                    let bounds = bounds.ok_or_else(varies)?;
                    let starts = AtSizes(bounds.iter().map(|(start, _)| *start).collect());
                    let lengths = AtSizes(bounds.iter().map(|(_, length)| *length).collect());
                    let is_all = bounds
                        .iter()
                        .zip(&shapes.0)
                        .all(|(bounds, shape)| *bounds == (0, shape[from]));
                    if !is_all {
                        let (start, length) =
                            (self.size("start", &starts)?, self.size("length", &lengths)?);
                        text = if *step == 1 {
                            is_view |= to > 0;
                            method(text, "narrow", vec![to.to_string().into(), start, length])
                        } else {
                            let mut every = Template::text("every(&");
                            every.append(text);
                            every.push(&format!(", {to}, "));
                            every.append(Template::joined([start, length], ", "));
                            every.push(&format!(", {step})?"));
                            every
                        };
                    }
                    (from, to) = (from + 1, to + 1);
                }
            }
        }
        let helper = text.plain().contains("every(&").then_some("every");
        if is_view {
            text = method(text, "contiguous", Vec::new());
        }
        let operand = self.first()?;
        let is_lent = text == operand.text && operand.is_lent;
        Ok(Function { text, is_lent, helper })
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
