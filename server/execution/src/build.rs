//! Modules for the steps of a written-out model.

use std::{collections::HashMap, sync::Arc};

use analysis::{LayerUse, Model, Part, Step, What, join_path};
use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};
use layers::{DType, Module};

use crate::stacked::{Stacked, element};

/// A model with a module for each of its steps.
pub struct Executable {
    pub(crate) root: BuiltPart,
}

/// A model or block in one place, with the modules of its steps.
pub(crate) struct BuiltPart {
    pub part: Arc<Part>,
    pub steps: Vec<BuiltStep>,
    pub parameters: Parameters,
}

/// Parameters that steps read as tensors, by their path below the part.
pub(crate) type Parameters = HashMap<Arc<str>, Tensor>;

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
}

impl Executable {
    /// Builds every module of a model.
    ///
    /// # Errors
    /// Where a weight is missing or has another shape, and for a block that is counted by the rules
    /// it states and has no steps. The message begins with the path of the step.
    pub fn build(model: &Model, weights: VarBuilder<'_>) -> Result<Executable> {
        let builder = Builder { weights, stacked: Stacked::default(), is_expert: false };
        Ok(Executable { root: builder.part(&model.part, "")? })
    }
}

struct Builder<'w> {
    weights: VarBuilder<'w>,
    stacked: Stacked,
    /// Inside an expert whose parameters are stacked: `weights` has its elements.
    is_expert: bool,
}

impl Builder<'_> {
    fn part(&self, part: &Arc<Part>, path: &str) -> Result<BuiltPart> {
        if part.stated.as_ref().is_some_and(|stated| stated.opaque) {
            candle_core::bail!(
                "`{}` is counted by the rules it states, and has no steps",
                part.name
            );
        }
        let mut parameters = HashMap::new();
        let steps = self.steps(&part.steps, path, path, &mut parameters)?;
        Ok(BuiltPart { part: part.clone(), steps, parameters })
    }

    /// `group` is the path of the braces around the steps, `part` that of their part.
    fn steps(
        &self,
        steps: &[Arc<Step>],
        group: &str,
        part: &str,
        parameters: &mut Parameters,
    ) -> Result<Vec<BuiltStep>> {
        let mut built = Vec::with_capacity(steps.len());
        for step in steps {
            let path = step.path.within(group, part);
            let body = self
                .body(step, &path, group, part, parameters)
                .map_err(|error| at(&path, error))?;
            self.read_parameters(step, part, parameters).map_err(|error| at(&path, error))?;
            built.push(BuiltStep { step: step.clone(), path, body });
        }
        Ok(built)
    }

    fn body(
        &self,
        step: &Step,
        path: &str,
        group: &str,
        part: &str,
        parameters: &mut Parameters,
    ) -> Result<Body> {
        Ok(match &step.what {
            What::Layer(layer) => Body::Module(self.module(layer, path, part)?),
            What::Part(inner) => Body::Part(Box::new(self.part(inner, path)?)),
            What::Group(inner) => Body::Steps(self.steps(inner, path, part, parameters)?),
            What::Splice(inner) => Body::Steps(self.steps(inner, group, part, parameters)?),
            What::Expert(expert) => {
                let weights = element(&self.weights, expert, group, &self.stacked);
                let stacked = self.stacked.clone();
                let builder = Builder { weights, stacked, is_expert: true };
                // What others have read of the experts are the tensors of all.
                let below = format!("{}.", below(group, part));
                let mut parameters = parameters.clone();
                parameters.retain(|path, _| !path.starts_with(&below));
                let steps = builder.steps(&expert.steps, group, part, &mut parameters)?;
                Body::Expert { steps, parameters }
            }
            What::Declared(tensor) => {
                let below = below(path, part);
                // A declaration is that of all experts.
                let shape = &tensor.shape[usize::from(self.is_expert)..];
                parameters.insert(below.into(), self.tensor(shape, tensor.dtype, path)?);
                Body::Declared
            }
        })
    }

    /// A layer's module. Tensors that are given for its parameters are asked for where they are.
    fn module(&self, layer: &LayerUse, path: &str, part: &str) -> Result<Box<dyn Module>> {
        let given: HashMap<String, String> = layer
            .given
            .iter()
            .map(|(name, from)| (join_path(path, name), join_path(part, from)))
            .collect();
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
    fn read_parameters(&self, step: &Step, part: &str, parameters: &mut Parameters) -> Result<()> {
        for taken in &step.inputs {
            let analysis::Source::Parameter(path) = &taken.source else { continue };
            if !parameters.contains_key(path) {
                let at = join_path(part, path);
                let tensor = self.tensor(&taken.ty.shape, taken.ty.dtype, &at)?;
                parameters.insert(path.clone(), tensor);
            }
        }
        Ok(())
    }
}

/// A path below that of its part.
fn below<'p>(path: &'p str, part: &str) -> &'p str {
    path.strip_prefix(part).unwrap_or(path).trim_start_matches('.')
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
