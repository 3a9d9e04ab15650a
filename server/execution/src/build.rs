//! Modules for the steps of a written-out model.

use std::{cell::RefCell, collections::HashMap, rc::Rc, sync::Arc};

use analysis::{
    Export, Flowing, LayerUse, Located, Model, ParameterPath, Part, Source, Step, Taken, TensorId,
    What, join_path,
};
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use layers::{DType, Module};

use crate::stacked::{Stacked, element};

/// A model with a module for each of its steps.
pub struct Executable {
    pub(crate) root: BuiltPart,
    gaps: Vec<(String, String)>,
}

/// A model or block in one place, with the modules of its steps.
pub(crate) struct BuiltPart {
    pub name: String,
    pub inputs: Vec<TensorId>,
    pub outputs: Vec<TensorId>,
    /// The tensors inside its steps' parts that its own steps read.
    pub exports: Vec<Export>,
    pub steps: Vec<BuiltStep>,
    pub parameters: Parameters,
    /// The tensors that nobody reads after a step, by its number.
    pub last: HashMap<u32, Vec<TensorId>>,
}

/// Parameters that steps read as tensors, as their part sees them.
pub(crate) type Parameters = HashMap<ParameterPath, Tensor>;

pub(crate) struct BuiltStep {
    pub step: Arc<Step>,
    /// Its path in the model.
    pub path: String,
    pub body: Body,
}

pub(crate) enum Body {
    Module(Box<dyn Module>),
    Part(Box<BuiltPart>),
    /// Braces, a loop or a condition: its steps share the tensors of the part around it.
    Steps(Vec<BuiltStep>),
    /// An expert whose parameters are stacked: its steps share the tensors too, and read its own
    /// element of the parameters.
    Expert {
        steps: Vec<BuiltStep>,
        parameters: Parameters,
    },
    /// A tensor that others read.
    Declared,
    /// It cannot be built: its outputs are these.
    Gap(Vec<Tensor>),
}

impl BuiltPart {
    fn has_module(&self) -> bool {
        has_module(&self.steps)
    }
}

fn has_module(steps: &[BuiltStep]) -> bool {
    steps.iter().any(|one| match &one.body {
        Body::Module(_) => true,
        Body::Part(part) => part.has_module(),
        Body::Steps(steps) | Body::Expert { steps, .. } => has_module(steps),
        Body::Declared | Body::Gap(_) => false,
    })
}

impl Executable {
    /// Builds every module of a model.
    ///
    /// # Errors
    /// Where a weight is missing or has another shape, and for a block that is counted by the rules
    /// it states and has no steps. The message begins with the path of the step.
    pub fn build(model: &Model, weights: VarBuilder<'_>) -> Result<Executable> {
        let builder = Builder::new(weights);
        Ok(Executable { root: builder.part(&model.part, &[String::new()])?, gaps: Vec::new() })
    }

    /// Builds what can be built. In place of any other step stand zeros, and [`Executable::gaps`]
    /// says why.
    ///
    /// # Errors
    /// If there is nothing that can be built.
    pub fn build_all_but_gaps(model: &Model, weights: VarBuilder<'_>) -> Result<Executable> {
        let gaps = Rc::default();
        let builder = Builder { gaps: Some(Rc::clone(&gaps)), ..Builder::new(weights) };
        let root = builder.part(&model.part, &[String::new()])?;
        let gaps = gaps.take();
        match gaps.first() {
            Some((path, reason)) if !root.has_module() => {
                candle_core::bail!("at `{path}`: {reason}")
            }
            _ => Ok(Executable { root, gaps }),
        }
    }

    /// The paths of the steps that could not be built, with the reasons.
    pub fn gaps(&self) -> &[(String, String)] {
        &self.gaps
    }

    /// Builds one step of a model. It takes the tensors that flow into the step.
    ///
    /// # Errors
    /// As those of [`Executable::build`].
    pub fn build_step(found: &Located<'_>, weights: VarBuilder<'_>) -> Result<Executable> {
        let builder = Builder::new(weights);
        let mut parameters = HashMap::new();
        let steps = std::slice::from_ref(found.step);
        let built = builder.steps(steps, &found.group, &found.parts, &mut parameters)?;
        let outputs = ids(&found.step.outputs);
        let root = BuiltPart {
            name: found.step.kind().to_owned(),
            inputs: found.step.flowing_inputs().iter().filter_map(|input| input.id()).collect(),
            last: last_readers(steps, &outputs),
            outputs,
            exports: Vec::new(),
            steps: built,
            parameters,
        };
        Ok(Executable { root, gaps: Vec::new() })
    }
}

struct Builder<'w> {
    weights: VarBuilder<'w>,
    stacked: Stacked,
    /// Inside an expert whose parameters are stacked: `weights` has its elements.
    is_expert: bool,
    /// Where steps go that cannot be built; else they are errors.
    gaps: Option<Gaps>,
}

type Gaps = Rc<RefCell<Vec<(String, String)>>>;

impl<'w> Builder<'w> {
    fn new(weights: VarBuilder<'w>) -> Builder<'w> {
        Builder { weights, stacked: Stacked::default(), is_expert: false, gaps: None }
    }

    /// `parts` are the paths of the parts around its steps, its own last.
    fn part(&self, part: &Arc<Part>, parts: &[String]) -> Result<BuiltPart> {
        if part.stated.as_ref().is_some_and(|stated| stated.opaque) {
            candle_core::bail!(
                "`{}` is counted by the rules it states, and has no steps",
                part.name
            );
        }
        let mut parameters = HashMap::new();
        let steps = self.steps(&part.steps, own(parts), parts, &mut parameters)?;
        let outputs = ids(&part.outputs);
        Ok(BuiltPart {
            name: part.name.to_string(),
            inputs: ids(&part.inputs),
            last: last_readers(&part.steps, &outputs),
            outputs,
            exports: part.exports.clone(),
            steps,
            parameters,
        })
    }

    /// `group` is the path of the braces around the steps, `parts` those of the parts around them.
    fn steps(
        &self,
        steps: &[Arc<Step>],
        group: &str,
        parts: &[String],
        parameters: &mut Parameters,
    ) -> Result<Vec<BuiltStep>> {
        let mut built = Vec::with_capacity(steps.len());
        for step in steps {
            let path = step.path.within(group, own(parts));
            let body = match self.body(step, &path, group, parts, parameters) {
                Ok(body) => body,
                Err(error) => self.gap(step, &path, error)?,
            };
            self.read_parameters(step, parts, parameters).map_err(|error| at(&path, error))?;
            built.push(BuiltStep { step: step.clone(), path, body });
        }
        Ok(built)
    }

    /// What stands for a step that cannot be built.
    fn gap(&self, step: &Step, path: &str, error: candle_core::Error) -> Result<Body> {
        let gaps = self.gaps.as_ref().filter(|_| !is_out_of_memory(&error));
        let Some(gaps) = gaps else { return Err(at(path, error)) };
        let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
        gaps.borrow_mut().push((path.to_owned(), reason));
        let zeros = step.outputs.iter().map(|output| {
            let shape: Vec<usize> = output.ty.shape.iter().map(|size| *size as usize).collect();
            Tensor::zeros(shape, output.ty.dtype.candle(), self.weights.device())
        });
        zeros.collect::<Result<_>>().map(Body::Gap)
    }

    fn body(
        &self,
        step: &Step,
        path: &str,
        group: &str,
        parts: &[String],
        parameters: &mut Parameters,
    ) -> Result<Body> {
        Ok(match &step.what {
            What::Layer(layer) => Body::Module(self.module(layer, path, parts)?),
            What::Part(inner) => {
                let parts = [parts, &[path.to_owned()]].concat();
                Body::Part(Box::new(self.part(inner, &parts)?))
            }
            What::Group(inner) => Body::Steps(self.steps(inner, path, parts, parameters)?),
            What::Splice(inner) => Body::Steps(self.steps(inner, group, parts, parameters)?),
            What::Expert(expert) => {
                let weights = element(&self.weights, expert, group, &self.stacked);
                let stacked = self.stacked.clone();
                let gaps = self.gaps.clone();
                let builder = Builder { weights, stacked, is_expert: true, gaps };
                // What others have read of the experts are the tensors of all.
                let below = format!("{}.", below(group, own(parts)));
                let mut parameters = parameters.clone();
                parameters.retain(|seen, _| seen.up > 0 || !seen.path.starts_with(&below));
                let steps = builder.steps(&expert.steps, group, parts, &mut parameters)?;
                Body::Expert { steps, parameters }
            }
            What::Declared(tensor) => {
                let below = ParameterPath { up: 0, path: below(path, own(parts)).into() };
                // A declaration is that of all experts.
                let shape = &tensor.shape[usize::from(self.is_expert)..];
                parameters.insert(below, self.tensor(shape, tensor.dtype, path)?);
                Body::Declared
            }
        })
    }

    /// A layer's module. Tensors that are given for its parameters are asked for where they are.
    fn module(&self, layer: &LayerUse, path: &str, parts: &[String]) -> Result<Box<dyn Module>> {
        let given = layer.given.iter().map(|(name, from)| match from {
            Source::Parameter(from) => Ok((join_path(path, name), path_in(parts, from)?)),
            Source::Tensor(_) => {
                candle_core::bail!("`{path}` cannot be built: its `{name}` is computed by steps")
            }
        });
        let given: HashMap<String, String> = given.collect::<Result<_>>()?;
        let weights = match given.is_empty() {
            true => self.weights.clone(),
            false => self
                .weights
                .clone()
                .rename_f(move |name| given.get(name).cloned().unwrap_or_else(|| name.to_owned())),
        };
        layer.layer.build(weights.pp(path))
    }

    fn tensor(&self, shape: &[u64], dtype: DType, path: &str) -> Result<Tensor> {
        let shape: Vec<usize> = shape.iter().map(|size| *size as usize).collect();
        self.weights.get_with_hints_dtype(shape, path, Init::Const(0.0), dtype.candle())
    }

    /// Parameters of layers that a step reads as tensors, such as `x @ wte.weight`.
    fn read_parameters(
        &self,
        step: &Step,
        parts: &[String],
        parameters: &mut Parameters,
    ) -> Result<()> {
        for taken in &step.inputs {
            let Source::Parameter(seen) = &taken.source else { continue };
            if !parameters.contains_key(seen) {
                let path = path_in(parts, seen)?;
                let tensor = self.tensor(&taken.ty.shape, taken.ty.dtype, &path)?;
                parameters.insert(seen.clone(), tensor);
            }
        }
        Ok(())
    }
}

/// The path of the innermost part.
fn own(parts: &[String]) -> &str {
    parts.last().map_or("", String::as_str)
}

/// The path in the model of a parameter that the innermost part sees.
fn path_in(parts: &[String], seen: &ParameterPath) -> Result<String> {
    let owner = parts.iter().rev().nth(seen.up as usize);
    match owner {
        Some(owner) => Ok(join_path(owner, &seen.path)),
        None => candle_core::bail!("`{}` is no parameter of this part", seen.path),
    }
}

fn ids(flowing: &[Flowing]) -> Vec<TensorId> {
    flowing.iter().map(|one| one.id).collect()
}

/// For each step the tensors that nobody reads after it, without those that leave the part.
fn last_readers(steps: &[Arc<Step>], outputs: &[TensorId]) -> HashMap<u32, Vec<TensorId>> {
    let mut readers = HashMap::new();
    note_readers(steps, &mut readers);
    let mut last: HashMap<u32, Vec<TensorId>> = HashMap::new();
    for (id, step) in readers.into_iter().filter(|(id, _)| !outputs.contains(id)) {
        last.entry(step).or_default().push(id);
    }
    last
}

fn note_readers(steps: &[Arc<Step>], readers: &mut HashMap<TensorId, u32>) {
    for step in steps {
        let inputs = step.inputs.iter().filter_map(Taken::id);
        readers.extend(inputs.map(|id| (id, step.id)));
        // The tensors of a part are its own.
        if !matches!(step.what, What::Part(_)) {
            note_readers(step.children(), readers);
        }
        // What nobody reads ends with the step that makes it.
        readers.extend(step.outputs.iter().map(|output| (output.id, step.id)));
    }
}

/// A path below that of its part.
fn below<'p>(path: &'p str, part: &str) -> &'p str {
    path.strip_prefix(part).unwrap_or(path).trim_start_matches('.')
}

/// Whether memory has run out, which only the text says by the time it is here.
pub fn is_out_of_memory(error: &candle_core::Error) -> bool {
    let text = error.to_string().to_ascii_lowercase().replace('_', " ");
    text.contains("out of memory") || text.contains("alloc failed")
}

/// An error with the path of the step that it is about; of nested steps the innermost.
pub(crate) fn at(path: &str, error: candle_core::Error) -> candle_core::Error {
    match error {
        candle_core::Error::Msg(message) if message.starts_with("at `") => {
            candle_core::Error::Msg(message)
        }
        error => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            candle_core::Error::Msg(format!("at `{path}`: {line}"))
        }
    }
}
