//! Tensors through the modules. A tensor is freed after its last use.

use std::collections::HashMap;

use analysis::{Export, Inner, Source, Step, TensorId, What};
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

impl Executable {
    /// Runs the model once, as at inference.
    ///
    /// # Errors
    /// Candle's, with the path of the step.
    pub fn run(&self, inputs: &[Tensor], observer: &mut Observer<'_>) -> Result<Vec<Tensor>> {
        Ok(run_part(&self.root, inputs.to_vec(), &[], observer)?.0)
    }
}

/// Runs a part. Gives its outputs, and the tensors inside it that are `wanted` outside.
fn run_part(
    built: &BuiltPart,
    inputs: Vec<Tensor>,
    wanted: &[&Inner],
    observer: &mut Observer<'_>,
) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
    if inputs.len() != built.inputs.len() {
        candle_core::bail!(
            "`{}` takes {} tensors, not {}",
            built.name,
            built.inputs.len(),
            inputs.len()
        );
    }
    let tensors = built.inputs.iter().copied().zip(inputs).collect();
    let mut run = Run { built, wanted, found: vec![None; wanted.len()], tensors };
    run.steps(&built.steps, &built.parameters, observer)?;
    let outputs = built.outputs.iter().map(|id| run.tensor(*id)).collect::<Result<_>>()?;
    Ok((outputs, run.wanted_tensors()?))
}

/// A part that is being run.
struct Run<'r> {
    built: &'r BuiltPart,
    /// What those around it read from inside it, and what of that was found in parts of it.
    wanted: &'r [&'r Inner],
    found: Vec<Option<Tensor>>,
    /// The tensors that somebody will still read.
    tensors: HashMap<TensorId, Tensor>,
}

impl Run<'_> {
    fn steps(
        &mut self,
        steps: &[BuiltStep],
        parameters: &Parameters,
        observer: &mut Observer<'_>,
    ) -> Result<()> {
        for one in steps {
            self.step(one, parameters, observer).map_err(|error| at(&one.path, error))?;
        }
        Ok(())
    }

    fn step(
        &mut self,
        one: &BuiltStep,
        parameters: &Parameters,
        observer: &mut Observer<'_>,
    ) -> Result<()> {
        let step = &one.step;
        let outputs = match &one.body {
            Body::Declared => return Ok(()),
            Body::Gap(zeros) => {
                self.release(step);
                self.tensors
                    .extend(step.outputs.iter().map(|output| output.id).zip(zeros.iter().cloned()));
                return Ok(());
            }
            Body::Steps(steps) => {
                self.steps(steps, parameters, observer)?;
                // A loop or condition without a label has no path of its own.
                if matches!(step.what, What::Group(_)) {
                    let outputs = step.outputs.iter().map(|output| self.tensor(output.id));
                    let outputs = outputs.collect::<Result<Vec<_>>>()?;
                    observer(&Done { path: &one.path, step, outputs: &outputs });
                }
                self.release(step);
                return Ok(());
            }
            Body::Expert { steps, parameters } => {
                self.steps(steps, parameters, observer)?;
                self.release(step);
                return Ok(());
            }
            Body::Module(module) => {
                let inputs = self.taken(step, parameters)?;
                module.forward(&inputs)?
            }
            Body::Part(inner) => {
                let inputs = self.taken(step, parameters)?;
                self.part(step, inner, inputs, observer)?
            }
        };
        observer(&Done { path: &one.path, step, outputs: &outputs });
        self.tensors.extend(step.outputs.iter().map(|output| output.id).zip(outputs));
        self.release(step);
        Ok(())
    }

    /// Runs the part of a step, and keeps what is read from inside it here and further out.
    fn part(
        &mut self,
        step: &Step,
        inner: &BuiltPart,
        inputs: Vec<Tensor>,
        observer: &mut Observer<'_>,
    ) -> Result<Vec<Tensor>> {
        let exports: Vec<&Export> =
            self.built.exports.iter().filter(|export| export.step == step.id).collect();
        let deeper: Vec<(usize, &Inner)> = self
            .wanted
            .iter()
            .enumerate()
            .filter_map(|(number, wanted)| match wanted {
                Inner::Deeper(deeper, inner) if *deeper == step.id => Some((number, &**inner)),
                _ => None,
            })
            .collect();
        let own = exports.iter().map(|export| &export.inner);
        let wanted: Vec<&Inner> = own.chain(deeper.iter().map(|(_, inner)| *inner)).collect();
        let (outputs, found) = run_part(inner, inputs, &wanted, observer)?;
        let mut found = found.into_iter();
        for (export, tensor) in exports.into_iter().zip(found.by_ref()) {
            self.tensors.insert(export.outer, tensor);
        }
        for ((number, _), tensor) in deeper.into_iter().zip(found) {
            self.found[number] = Some(tensor);
        }
        Ok(outputs)
    }

    /// The inputs of a step. Those that nobody reads after it are no longer kept here.
    fn taken(&mut self, step: &Step, parameters: &Parameters) -> Result<Vec<Tensor>> {
        let read = |source: &Source| match source {
            Source::Tensor(id) => self.tensor(*id),
            Source::Parameter(seen) => match parameters.get(seen) {
                Some(parameter) => Ok(parameter.clone()),
                None => {
                    candle_core::bail!("the parameter `{}` is read before it is made", seen.path)
                }
            },
        };
        let inputs = step.inputs.iter().map(|input| read(&input.source)).collect();
        self.release(step);
        inputs
    }

    fn tensor(&self, id: TensorId) -> Result<Tensor> {
        match self.tensors.get(&id) {
            Some(tensor) => Ok(tensor.clone()),
            None => candle_core::bail!("a tensor is read before it is made"),
        }
    }

    /// Frees the tensors that a step reads last.
    fn release(&mut self, step: &Step) {
        for id in self.built.last.get(&step.id).into_iter().flatten() {
            if !self.wanted.contains(&&Inner::Tensor(*id)) {
                self.tensors.remove(id);
            }
        }
    }

    fn wanted_tensors(self) -> Result<Vec<Tensor>> {
        let own = self.wanted.iter().map(|wanted| match wanted {
            Inner::Tensor(id) => self.tensors.get(id),
            Inner::Deeper(..) => None,
        });
        let all = own.zip(&self.found).map(|(own, found)| match own.or(found.as_ref()) {
            Some(tensor) => Ok(tensor.clone()),
            None => candle_core::bail!("a tensor is read from a part that has not run"),
        });
        all.collect()
    }
}
