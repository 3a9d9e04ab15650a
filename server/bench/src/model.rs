//! A model with real weights and inputs, and the times of its layers.

use std::ops::ControlFlow;

use analysis::{Located, Model, Step, What};
use candle_core::{DType as CandleDType, Result, Tensor};
use candle_nn::VarBuilder;
use execution::{Executable, random_inputs};

use crate::{
    Gap, LayerTime, Statistics, Throughput,
    device::{Mark, Opened},
    event::Heartbeat,
};

/// How many samples of each layer are kept.
const MAX_SAMPLES: usize = 1_000;

/// After so many samples there is a pass in which the layers are timed, where that is apart.
const MARKED_EVERY: u64 = 4;

/// The seed of weights and inputs, so that two runs do the same.
pub(crate) const SEED: u64 = 1;

/// A model, or one step of it, that runs.
pub(crate) struct Built<'d> {
    device: &'d Opened,
    executable: Executable,
    inputs: Vec<Tensor>,
    layers: Vec<Timed>,
    /// Seconds of each sample that belong to no layer.
    between: Vec<f64>,
    /// The layers are timed in passes of their own: on a GPU each mark costs the host some
    /// microseconds, which would be part of the whole.
    marks_apart: bool,
    samples: u64,
    heartbeat: Heartbeat,
}

/// A layer with its samples.
struct Timed {
    path: String,
    kind: String,
    flops: u64,
    bytes: u64,
    seconds: Vec<f64>,
}

impl Built<'_> {
    /// Builds a model, or the one step of it that is asked for. With random weights what Candle
    /// cannot build is left out; a checkpoint must have everything.
    pub fn new<'d>(
        model: &Model,
        scope: Option<&Located<'_>>,
        weights: VarBuilder<'_>,
        is_random: bool,
        device: &'d Opened,
        heartbeat: Heartbeat,
    ) -> Result<Built<'d>> {
        let executable = match scope {
            Some(found) => Executable::build_step(found, weights)?,
            None if is_random => Executable::build_all_but_gaps(model, weights)?,
            None => Executable::build(model, weights)?,
        };
        let types: Vec<_> = match scope {
            Some(found) => {
                found.step.flowing_inputs().into_iter().map(|input| input.ty.clone()).collect()
            }
            None => model.part.inputs.iter().map(|input| input.ty.clone()).collect(),
        };
        let bound = smallest_table(model);
        let inputs = types
            .iter()
            .enumerate()
            .map(|(number, ty)| random_inputs(ty, bound, SEED + number as u64, &device.place));
        let inputs = inputs.collect::<Result<_>>()?;
        let marks_apart = !device.place.is_cpu();
        let (layers, between) = (Vec::new(), Vec::new());
        Ok(Built {
            device,
            executable,
            inputs,
            layers,
            between,
            marks_apart,
            samples: 0,
            heartbeat,
        })
    }

    /// What was left out.
    pub fn gaps(&self) -> Vec<Gap> {
        let gaps = self.executable.gaps().iter();
        gaps.map(|(path, reason)| Gap { path: path.clone(), reason: reason.clone() }).collect()
    }

    /// The outputs of a run.
    pub fn outputs(&self) -> Result<Vec<Tensor>> {
        self.executable.run(&self.inputs, &mut |_| (self.heartbeat)())
    }

    /// Runs the model so often. Nothing waits for the device before all is done.
    pub fn run(&mut self, runs: u64) -> Result<f64> {
        if !self.marks_apart {
            return self.run_marked(runs);
        }
        let from = self.device.mark()?;
        for _ in 0..runs {
            self.executable.run(&self.inputs, &mut |_| {})?;
        }
        let seconds = Opened::seconds(&from, &self.device.mark()?)?;
        if self.samples.is_multiple_of(MARKED_EVERY) {
            self.run_marked(1)?;
        }
        self.samples += 1;
        Ok(seconds)
    }

    /// Runs the model so often, and notes when each layer is done.
    fn run_marked(&mut self, runs: u64) -> Result<f64> {
        let (device, inputs) = (self.device, &self.inputs);
        let layers = &mut self.layers;
        // For each run its start, and then the end of each step with the number of its layer.
        let mut marks: Vec<(Option<usize>, Mark)> = Vec::new();
        let started = device.mark()?;
        for _ in 0..runs {
            let mut number = 0;
            let mut failed = None;
            marks.push((None, device.mark()?));
            self.executable.run(inputs, &mut |done| {
                (self.heartbeat)();
                let layer = is_leaf(done.step).then_some(number);
                if layer.is_some() {
                    // The first run finds out which layers there are.
                    if number == layers.len() {
                        layers.push(Timed::new(done.path, done.step));
                    }
                    number += 1;
                }
                match device.mark() {
                    Ok(mark) => marks.push((layer, mark)),
                    Err(error) => failed = Some(error),
                }
            })?;
            failed.map_or(Ok(()), Err)?;
        }
        let ended = device.mark()?;
        let seconds = Opened::seconds(&started, &ended)?;
        let mut sums = vec![0.0; layers.len()];
        for pair in marks.windows(2) {
            if let (_, from) = &pair[0]
                && let (Some(layer), to) = &pair[1]
            {
                sums[*layer] += Opened::seconds(from, to)?;
            }
        }
        if self.between.len() < MAX_SAMPLES {
            self.between.push((seconds - sums.iter().sum::<f64>()) / runs as f64);
        }
        for (layer, sum) in layers.iter_mut().zip(sums) {
            if layer.seconds.len() < MAX_SAMPLES {
                layer.seconds.push(sum / runs as f64);
            }
        }
        Ok(seconds)
    }

    /// Forgets the times of the runs so far.
    pub fn forget(&mut self) {
        self.layers.iter_mut().for_each(|layer| layer.seconds.clear());
        self.between.clear();
    }

    /// Median seconds of a run that belong to no layer.
    pub fn between(&self) -> f64 {
        Statistics::of(&self.between).map_or(0.0, |found| found.median)
    }

    /// The layers with their median times.
    pub fn layers(&self) -> Vec<LayerTime> {
        let time = |layer: &Timed| LayerTime {
            path: layer.path.clone(),
            kind: layer.kind.clone(),
            median: Statistics::of(&layer.seconds).map_or(0.0, |found| found.median),
            flops: layer.flops,
            bytes: layer.bytes,
        };
        self.layers.iter().map(time).collect()
    }
}

impl Timed {
    fn new(path: &str, step: &Step) -> Timed {
        Timed {
            path: path.to_owned(),
            kind: step.kind().to_owned(),
            flops: small(step.totals.flops),
            bytes: small(step.traffic()),
            seconds: Vec::new(),
        }
    }
}

/// The outputs that have values which are no numbers, by their places.
pub(crate) fn without_numbers(outputs: &[Tensor]) -> Result<Vec<usize>> {
    let mut wrong = Vec::new();
    for (number, output) in outputs.iter().enumerate() {
        if output.dtype().is_float() && !is_finite(output)? {
            wrong.push(number);
        }
    }
    Ok(wrong)
}

/// Whether every value is a number: one that is none makes the sum such a one, while a maximum
/// passes over it.
pub(crate) fn is_finite(tensor: &Tensor) -> Result<bool> {
    let sum = tensor.to_dtype(CandleDType::F32)?.sum_all()?.to_scalar::<f32>()?;
    Ok(sum.is_finite())
}

/// Whether a step computes by itself.
fn is_leaf(step: &Step) -> bool {
    matches!(step.what, What::Layer(_))
}

/// What a machine can do in a lifetime fits in 64 bits.
pub(crate) fn small(amount: u128) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

/// The fewest rows of a table that whole numbers look up; all inputs are below it.
fn smallest_table(model: &Model) -> u32 {
    let mut least = u32::MAX;
    model.rows(|row| {
        if matches!(row.step.kind(), "Embedding" | "EmbeddingBag") {
            let rows = row.tensors().first().map(|(_, tensor)| tensor.shape[0]);
            least = rows.map_or(least, |rows| least.min(u32::try_from(rows).unwrap_or(least)));
        }
        ControlFlow::Continue(())
    });
    if least == u32::MAX { 2 } else { least }
}

/// How much a model does in a second: tokens if its first input is a table of them, else samples.
pub(crate) fn throughput(model: &Model, seconds: f64) -> Throughput {
    let first = model.part.inputs.first();
    let (count, unit) = match first.map(|input| (&input.ty.shape[..], input.ty.dtype.is_float())) {
        Some(([batch, length, ..], false)) => (*batch as f64 * *length as f64, "tokens"),
        Some(([batch, ..], _)) => (*batch as f64, "samples"),
        _ => (1.0, "samples"),
    };
    Throughput { per_second: count / seconds, unit: unit.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_can_be_timed_in_passes_of_their_own() {
        let mut workspace = analysis::Workspace::default();
        let text = "model M { input x: f32[N = 2, 8]; a: Linear(16) -> ReLU; b: Linear(4) }";
        let file = workspace.insert("m.taper", syntax::parse(text));
        let analysis = analysis::analyse(&workspace, file, &Default::default());
        let device = Opened::open("cpu").expect("a CPU");
        let weights = execution::random_weights(SEED, CandleDType::F32, &device.place);
        let heartbeat: Heartbeat = std::sync::Arc::new(|| {});
        let mut built = Built::new(&analysis.models[0], None, weights, true, &device, heartbeat)
            .expect("a model");
        built.marks_apart = true;
        for _ in 0..9 {
            assert!(built.run(2).expect("a run") > 0.0);
        }
        let paths: Vec<String> = built.layers().into_iter().map(|layer| layer.path).collect();
        assert_eq!(paths, ["a", "a@1", "b"]);
        assert!(built.layers.iter().all(|layer| layer.seconds.len() == 3));
        assert_eq!(built.between.len(), 3);
    }
}
