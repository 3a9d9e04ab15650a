//! The written-out model as a table: every leaf in order of execution, every copy on its own.

use std::{ops::ControlFlow, sync::Arc};

use layers::ParameterTensor;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::{Part, Step, Totals, What, evaluate::adjusted, join_path};

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
    /// The path of its part.
    pub part: String,
}

/// The first step that is the one, with its path.
pub(crate) fn find<'m>(
    steps: &'m [Arc<Step>],
    group: &str,
    part: &str,
    is_it: &dyn Fn(&Step, &str) -> bool,
) -> Option<(Located<'m>, String)> {
    steps.iter().find_map(|step| {
        let own = step.path.within(group, part);
        let is_silent = matches!(step.what, What::Splice(_) | What::Expert(_));
        if !is_silent && is_it(step, &own) {
            let found = Located { step, group: group.to_owned(), part: part.to_owned() };
            return Some((found, own));
        }
        match &step.what {
            _ if is_silent => find(step.children(), group, part, is_it),
            What::Part(_) => find(step.children(), &own, &own, is_it),
            _ => find(step.children(), &own, part, is_it),
        }
    })
}

/// Visits every row, until the visitor breaks off.
pub(crate) fn visit<'m>(part: &'m Part, visitor: &mut dyn FnMut(Row<'m>) -> ControlFlow<()>) {
    let mut walk = Walk {
        visitor,
        calls: FxHashMap::default(),
        blocks: Vec::new(),
        idle: false,
        reused: false,
    };
    let _ = walk.steps(&part.steps, "", "");
}

struct Walk<'v, 'm> {
    visitor: &'v mut dyn FnMut(Row<'m>) -> ControlFlow<()>,
    calls: FxHashMap<String, u32>,
    blocks: Vec<SmolStr>,
    /// Inside an expert that is not chosen, or a block that is used again.
    idle: bool,
    reused: bool,
}

impl<'m> Walk<'_, 'm> {
    fn steps(&mut self, steps: &'m [Arc<Step>], group: &str, part: &str) -> ControlFlow<()> {
        for step in steps {
            let path = step.path.within(group, part);
            match &step.what {
                What::Splice(_) | What::Expert(_) => self.steps(step.children(), group, part)?,
                What::Group(inner) => self.steps(inner, &path, part)?,
                What::Part(inner) if inner.stated.is_none() => {
                    let outer = (self.idle, self.reused);
                    self.idle |= step.idle;
                    self.reused |= step.reused;
                    self.blocks.push(inner.name.clone());
                    self.steps(&inner.steps, &path, &path)?;
                    self.blocks.pop();
                    (self.idle, self.reused) = outer;
                }
                _ => self.leaf(step, path)?,
            }
        }
        ControlFlow::Continue(())
    }

    fn leaf(&mut self, step: &'m Arc<Step>, path: String) -> ControlFlow<()> {
        let count = self.calls.entry(path.clone()).or_default();
        let call = *count;
        *count += 1;
        let (idle, reused) = (self.idle || step.idle, self.reused || step.reused);
        let totals = adjusted(step.totals, reused, idle);
        (self.visitor)(Row { path, call, step, totals, idle, reused, blocks: self.blocks.clone() })
    }
}
