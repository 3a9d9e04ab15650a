//! Tensors through the modules.

use std::collections::HashMap;

use analysis::{Inner, Source, Step, TensorId, What};
use candle_core::{Result, Tensor};

use crate::build::{Body, BuiltPart, BuiltStep, Executable, Parameters, at};

/// Sees every step that has a path as it is done, with its outputs.
pub type Observer<'o> = dyn FnMut(&Done<'_>) + 'o;

/// A step that is done.
pub struct Done<'d> {
    /// Its path in the model.
    pub path: &'d str,
    /// What it is.
    pub step: &'d Step,
    /// What it gave.
    pub outputs: &'d [Tensor],
}

/// The tensors of a part after it has run, and those of the parts in it that are read from outside.
#[derive(Default)]
struct Tensors {
    own: HashMap<TensorId, Tensor>,
    inner: HashMap<u32, Tensors>,
}

impl Executable {
    /// Runs the model once, as at inference.
    ///
    /// # Errors
    /// Candle's, with the path of the step.
    pub fn run(&self, inputs: &[Tensor], observer: &mut Observer<'_>) -> Result<Vec<Tensor>> {
        Ok(run_part(&self.root, inputs.to_vec(), observer)?.0)
    }
}

fn run_part(
    built: &BuiltPart,
    inputs: Vec<Tensor>,
    observer: &mut Observer<'_>,
) -> Result<(Vec<Tensor>, Tensors)> {
    let part = &built.part;
    if inputs.len() != part.inputs.len() {
        candle_core::bail!(
            "`{}` takes {} tensors, not {}",
            part.name,
            part.inputs.len(),
            inputs.len()
        );
    }
    let ids = part.inputs.iter().map(|input| input.id);
    let mut tensors = Tensors { own: ids.zip(inputs).collect(), ..Tensors::default() };
    run_steps(&built.steps, built, &built.parameters, &mut tensors, observer)?;
    let outputs = part.outputs.iter().map(|output| find(&tensors, output.id));
    Ok((outputs.collect::<Result<_>>()?, tensors))
}

fn find(tensors: &Tensors, id: TensorId) -> Result<Tensor> {
    match tensors.own.get(&id) {
        Some(tensor) => Ok(tensor.clone()),
        None => candle_core::bail!("a tensor is read before it is made"),
    }
}

fn run_steps(
    steps: &[BuiltStep],
    built: &BuiltPart,
    parameters: &Parameters,
    tensors: &mut Tensors,
    observer: &mut Observer<'_>,
) -> Result<()> {
    for one in steps {
        run_step(one, built, parameters, tensors, observer)
            .map_err(|error| at(&one.path, error))?;
    }
    Ok(())
}

fn run_step(
    one: &BuiltStep,
    built: &BuiltPart,
    parameters: &Parameters,
    tensors: &mut Tensors,
    observer: &mut Observer<'_>,
) -> Result<()> {
    let step = &one.step;
    let outputs = match &one.body {
        Body::Declared => return Ok(()),
        Body::Steps(steps) => {
            run_steps(steps, built, parameters, tensors, observer)?;
            // A loop or condition without a label has no path of its own.
            if matches!(step.what, What::Group(_)) {
                let outputs = step.outputs.iter().map(|output| find(tensors, output.id));
                let outputs = outputs.collect::<Result<Vec<_>>>()?;
                observer(&Done { path: &one.path, step, outputs: &outputs });
            }
            return Ok(());
        }
        Body::Expert { steps, parameters } => {
            return run_steps(steps, built, parameters, tensors, observer);
        }
        Body::Module(module) => module.forward(&taken(one, parameters, tensors)?)?,
        Body::Part(inner) => {
            let (outputs, ran) = run_part(inner, taken(one, parameters, tensors)?, observer)?;
            for export in built.part.exports.iter().filter(|export| export.step == step.id) {
                tensors.own.insert(export.outer, exported(&ran, &export.inner)?);
            }
            // Parts are shared, so this one does not know who reads from inside it.
            tensors.inner.insert(step.id, ran);
            outputs
        }
    };
    observer(&Done { path: &one.path, step, outputs: &outputs });
    tensors.own.extend(step.outputs.iter().map(|output| output.id).zip(outputs));
    Ok(())
}

fn taken(one: &BuiltStep, parameters: &Parameters, tensors: &Tensors) -> Result<Vec<Tensor>> {
    let read = |source: &Source| match source {
        Source::Tensor(id) => find(tensors, *id),
        Source::Parameter(path) => match parameters.get(path) {
            Some(parameter) => Ok(parameter.clone()),
            None => candle_core::bail!("the parameter `{path}` is read before it is made"),
        },
    };
    one.step.inputs.iter().map(|input| read(&input.source)).collect()
}

/// The tensor inside a part that somebody outside reads.
fn exported(ran: &Tensors, inner: &Inner) -> Result<Tensor> {
    match inner {
        Inner::Tensor(id) => find(ran, *id),
        Inner::Deeper(step, inner) => match ran.inner.get(step) {
            Some(ran) => exported(ran, inner),
            None => candle_core::bail!("a tensor is read from a part that has not run"),
        },
    }
}
