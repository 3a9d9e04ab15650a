//! The written-out model as a table: every leaf in order of execution, every copy on its own.

use std::{ops::ControlFlow, sync::Arc};

use layers::ParameterTensor;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::{Part, Step, Totals, What, join_path};

/// A leaf of a written-out model: a layer, an operation, a block that states its cost, or a tensor
/// that is declared.
#[derive(Debug)]
pub struct Row<'m> {
    /// Its module path, or its place in its step after an `@`.
    pub path: String,
    /// How often the same path was used before.
    pub call: u32,
    /// What it is.
    pub step: &'m Arc<Step>,
    /// Its sums in this place: parameters count at the first use, work where it is done.
    pub totals: Totals,
    /// It does no work here: it belongs to an expert that is not chosen.
    pub idle: bool,
    /// Its parameters were made by an earlier row.
    pub reused: bool,
    /// The blocks around it, from the outside in.
    pub blocks: Vec<SmolStr>,
}

impl<'m> Row<'m> {
    /// The parameters and buffers that are made here, with their full names. A block that states its
    /// cost is one row with all that is in it.
    pub fn tensors(&self) -> Vec<(String, &'m ParameterTensor)> {
        let mut tensors = Vec::new();
        if !self.reused {
            own_tensors(self.step, &self.path, &mut tensors);
        }
        tensors
    }
}

fn own_tensors<'m>(step: &'m Step, path: &str, out: &mut Vec<(String, &'m ParameterTensor)>) {
    let named = |tensor: &'m ParameterTensor| (join_path(path, &tensor.name), tensor);
    match &step.what {
        What::Layer(layer) => out.extend(layer.parameters.iter().map(named)),
        What::Declared(tensor) => out.push(named(tensor)),
        What::Part(part) => tensors_below(&part.steps, path, path, out),
        What::Group(_) | What::Splice(_) | What::Expert(_) => {}
    }
}

fn tensors_below<'m>(
    steps: &'m [Arc<Step>],
    group: &str,
    part: &str,
    out: &mut Vec<(String, &'m ParameterTensor)>,
) {
    for step in steps.iter().filter(|step| !step.reused) {
        let path = step.path.within(group, part);
        match &step.what {
            What::Group(inner) => tensors_below(inner, &path, part, out),
            What::Splice(_) | What::Expert(_) => tensors_below(step.children(), group, part, out),
            _ => own_tensors(step, &path, out),
        }
    }
}

/// A step with where it stands.
#[derive(Debug)]
pub struct Located<'m> {
    /// The step.
    pub step: &'m Arc<Step>,
    /// The path of the braces around it.
    pub group: String,
    /// The paths of the parts that it is in: that of the model, which is empty, first, its own last.
    pub parts: Vec<String>,
}

/// A step, as a walk over all of them comes by.
#[derive(Debug, Clone, Copy)]
pub struct Visited<'v, 'm> {
    /// The step.
    pub step: &'m Arc<Step>,
    /// Its path in the model.
    pub path: &'v str,
    /// The path of the braces around it.
    pub group: &'v str,
    /// The paths of the parts that it is in, from the outside in.
    pub parts: &'v [String],
    /// The steps around it, from the outside in.
    pub around: &'v [&'m Arc<Step>],
}

impl<'m> Visited<'_, 'm> {
    /// The same, to keep.
    pub(crate) fn located(&self) -> Located<'m> {
        Located { step: self.step, group: self.group.to_owned(), parts: self.parts.to_vec() }
    }

    /// Its sums in this place: parameters count at the first use, work where it is done.
    pub fn totals(&self) -> Totals {
        let reused = self.is_within(|step| step.reused);
        self.step.totals.in_place(reused, self.is_within(|step| step.idle))
    }

    /// It has a path of its own: copies that a loop writes and experts have that of what they are in.
    pub(crate) fn is_named(&self) -> bool {
        !matches!(self.step.what, What::Splice(_) | What::Expert(_))
    }

    /// It or something around it is so.
    fn is_within(&self, is_so: impl Fn(&Step) -> bool) -> bool {
        is_so(self.step) || self.around.iter().any(|step| is_so(step))
    }
}

type Visitor<'v, 'm> = dyn FnMut(Visited<'_, 'm>) -> ControlFlow<()> + 'v;

/// Visits every step in order of execution, each before those in it, until the visitor breaks off.
pub(crate) fn walk<'m>(part: &'m Part, visitor: &mut Visitor<'_, 'm>) {
    let _ = walk_in(&part.steps, "", &[String::new()], &mut Vec::new(), visitor);
}

fn walk_in<'m>(
    steps: &'m [Arc<Step>],
    group: &str,
    parts: &[String],
    around: &mut Vec<&'m Arc<Step>>,
    visitor: &mut Visitor<'_, 'm>,
) -> ControlFlow<()> {
    for step in steps {
        let part = parts.last().map_or("", String::as_str);
        let path = step.path.within(group, part);
        visitor(Visited { step, path: &path, group, parts, around })?;
        around.push(step);
        match &step.what {
            What::Splice(steps) => walk_in(steps, group, parts, around, visitor)?,
            What::Expert(expert) => walk_in(&expert.steps, group, parts, around, visitor)?,
            What::Group(steps) => walk_in(steps, &path, parts, around, visitor)?,
            What::Part(part) => {
                let inner = [parts, std::slice::from_ref(&path)].concat();
                walk_in(&part.steps, &path, &inner, around, visitor)?;
            }
            What::Layer(_) | What::Declared(_) => {}
        }
        around.pop();
    }
    ControlFlow::Continue(())
}

/// Visits every row, until the visitor breaks off.
pub(crate) fn visit<'m>(part: &'m Part, visitor: &mut dyn FnMut(Row<'m>) -> ControlFlow<()>) {
    let mut calls: FxHashMap<String, u32> = FxHashMap::default();
    walk(part, &mut |visited| {
        let is_inside_one = visited.around.iter().any(|step| is_row(step));
        if is_inside_one || !is_row(visited.step) {
            return ControlFlow::Continue(());
        }
        let count = calls.entry(visited.path.to_owned()).or_default();
        let call = *count;
        *count += 1;
        let idle = visited.is_within(|step| step.idle);
        let reused = visited.is_within(|step| step.reused);
        visitor(Row {
            path: visited.path.to_owned(),
            call,
            step: visited.step,
            totals: visited.step.totals.in_place(reused, idle),
            idle,
            reused,
            blocks: visited.around.iter().filter_map(|step| block(step)).cloned().collect(),
        })
    });
}

/// A layer, a tensor that is declared, or a block that states its cost.
fn is_row(step: &Step) -> bool {
    match &step.what {
        What::Splice(_) | What::Expert(_) | What::Group(_) => false,
        What::Part(part) => part.stated.is_some(),
        What::Layer(_) | What::Declared(_) => true,
    }
}

fn block(step: &Step) -> Option<&SmolStr> {
    match &step.what {
        What::Part(part) => Some(&part.name),
        _ => None,
    }
}
