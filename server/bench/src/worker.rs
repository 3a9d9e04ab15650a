//! The worker: one request in, events out.

use std::{
    io::{BufRead, Write},
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use analysis::{
    Analysis, Configured, ConfiguredArgument, Located, Model, Options, Place, What, Workspace,
};
use candle_core::Tensor;
use candle_nn::VarBuilder;
use layers::DType;
use sysinfo::System;

use crate::{
    Condition, Event, Failure, Measured, PROTOCOL, Request, Samples, Statistics, Stop, ceilings,
    device::Opened,
    event::{Failed, Heartbeat},
    measure::{Phase, Told, measure},
    model::{Built, SEED, is_finite, throughput, without_numbers},
};

/// What computes.
const BACKEND: &str = "candle 0.11.1 and Taper's own modules";

/// The medians of all parts sum to the whole but for this share.
const SUM: f64 = 0.05;

/// The medians of the first and the last third differ by no more than this.
const DRIFT: f64 = 0.05;

/// A worker is silent for no longer while it gets on, as one that hangs is killed.
const WORKING_EVERY: Duration = Duration::from_secs(10);

/// Candle's kernels for GPUs count elements in 32 bits and step beyond the last one: from half of that
/// range on some compute elements again, and beyond it they never end.
const COUNTABLE: u64 = 1 << 31;

/// As NVML calls it.
const POWER_CAP: &str = "sw power cap";

/// Reads one request and measures, until the result or an error is written.
///
/// # Errors
/// If nobody reads what is written.
pub fn serve(
    mut input: impl BufRead + Send + 'static,
    output: impl Write + Send + 'static,
    version: &str,
) -> std::io::Result<()> {
    let events = Events::new(output, WORKING_EVERY);
    events.send(&Event::Hello { protocol: PROTOCOL, taper: version.to_owned() })?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    let request = serde_json::from_str::<Request>(&line);
    if request.as_ref().is_ok_and(|request| request.while_input_is_open) {
        end_with(input);
    }
    let measured = match request {
        Ok(request) => answer(&request, &events),
        Err(error) => Err((Failure::WrongRequest, format!("the request cannot be read: {error}"))),
    };
    events.send(&match measured {
        Ok(measured) => Event::Result(Box::new(measured)),
        Err((failure, message)) => Event::Error { failure, message },
    })
}

/// Ends the process when its input ends: nobody is left to hear.
fn end_with(mut input: impl BufRead + Send + 'static) {
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut input, &mut std::io::sink());
        end();
    });
}

/// Ends the process at once. An orderly end would let CUDA wait for what a GPU computes, which may
/// take for ever.
fn end() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::exit(1)
}

/// Writes events as they happen.
struct Events<W> {
    said: Arc<Mutex<Said<W>>>,
    working_every: Duration,
}

/// Where events go, and when the last one went there.
struct Said<W> {
    output: W,
    at: Instant,
}

impl<W: Write + Send + 'static> Events<W> {
    fn new(output: W, working_every: Duration) -> Events<W> {
        let said = Said { output, at: Instant::now() };
        Events { said: Arc::new(Mutex::new(said)), working_every }
    }

    fn send(&self, event: &Event) -> std::io::Result<()> {
        // A line that another thread was writing when it panicked is no reason to be silent.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.at = Instant::now();
        serde_json::to_writer(&mut said.output, event)?;
        said.output.write_all(b"\n")?;
        said.output.flush()
    }

    /// Tells of progress. Who no longer listens has killed this process, or will.
    fn tell(&self, event: &Event) {
        let _ = self.send(event);
    }

    /// Says that work goes on, where nothing was said for long.
    fn heartbeat(&self) -> Heartbeat {
        let events = Events { said: self.said.clone(), working_every: self.working_every };
        Arc::new(move || {
            let at = events.said.lock().unwrap_or_else(PoisonError::into_inner).at;
            if at.elapsed() >= events.working_every {
                events.tell(&Event::Working);
            }
        })
    }
}

/// How a measurement runs, as its environment.
struct Conduct {
    invalid: Vec<String>,
    doubts: Vec<String>,
    conditions: Vec<Condition>,
}

fn answer(
    request: &Request,
    events: &Events<impl Write + Send + 'static>,
) -> Result<Measured, Failed> {
    if request.protocol != PROTOCOL {
        let message =
            format!("the request is of version {}, this worker of {PROTOCOL}", request.protocol);
        return Err((Failure::WrongRequest, message));
    }
    let device = Opened::open(&request.device)?;
    events.tell(&Event::Device(device.described.clone()));
    let analysis = analyse(request)?;
    let model = analysis
        .model(&request.model)
        .ok_or_else(|| (Failure::WrongModel, format!("no model is called `{}`", request.model)))?;
    let scope = scope(request, model)?;
    if !device.place.is_cpu() {
        check_counts(model, request.scope.as_deref(), COUNTABLE)?;
    }
    check_memory(model, scope.as_ref(), &device)?;
    events.tell(&Event::Building);
    let dtype = model.dtype();
    candle_core::cuda::set_gemm_reduced_precision_f32(request.tf32);
    let heartbeat = events.heartbeat();
    let mut built = built(request, model, scope.as_ref(), &device, &heartbeat)?;
    let before = device.condition();
    device.reset_peak();
    let samples = samples(request, &mut built, events).map_err(|error| failed(&error))?;
    let peak_memory = device.peak_memory();
    let conduct = conduct(before, device.condition());
    let whole = Statistics::of(&samples.seconds)
        .ok_or_else(|| (Failure::RunFailed, "no run was timed".to_owned()))?;
    let layers = built.layers();
    let parts = built.between() + layers.iter().map(|layer| layer.median).sum::<f64>();
    let mut doubts = doubts(&samples, &whole, parts, request.budget.precision);
    doubts.extend(conduct.doubts);
    // What else is looked at comes after all that is timed, which it can no longer take away.
    let mut looked_at = |what: &str, refused: Failed| doubts.push(format!("{what}: {}", refused.1));
    let outputs = built.outputs().map_err(|error| {
        looked_at("the outputs could not be looked at", failed(&error));
    });
    let wrong = outputs.as_deref().map_or(Ok(Vec::new()), without_numbers);
    let wrong = wrong.map_err(|error| looked_at("the outputs could not be read", failed(&error)));
    let difference = outputs.ok().filter(|_| request.compares_with_cpu).and_then(|outputs| {
        let found = difference(request, model, scope.as_ref(), &outputs, &heartbeat);
        found.map_err(|no| looked_at("the outputs could not be compared with the CPU's", no)).ok()
    });
    let ceilings = ceilings::measure(dtype.candle(), &device)
        .map_err(|error| looked_at("the device's limits could not be measured", failed(&error)));
    doubts.extend(wrong.unwrap_or_default().into_iter().map(|output| {
        format!("output {output} has values that are no numbers: with other weights it may take longer or shorter")
    }));
    Ok(Measured {
        model: model.name.to_string(),
        scope: request.scope.clone(),
        sizes: model.symbols.iter().map(|one| (one.name.to_string(), one.size)).collect(),
        dtype: dtype.to_string(),
        tf32: request.tf32,
        weights: match request.weights.is_empty() {
            true => vec!["random".to_owned()],
            false => request.weights.clone(),
        },
        versions: versions(&device),
        at: std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs()),
        backend: BACKEND.to_owned(),
        first_run: samples.first_run,
        stop: samples.stop,
        runs_per_sample: samples.runs_per_sample,
        throughput: throughput(model, whole.median),
        flops: layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.flops)),
        bytes: layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.bytes)),
        peak_memory,
        ceilings: ceilings.ok(),
        between: built.between(),
        difference,
        gaps: built.gaps(),
        conditions: conduct.conditions,
        invalid: conduct.invalid,
        doubts,
        layers,
        whole,
        device: device.described,
    })
}

/// A model, or the one step of it, with the weights that are asked for.
fn built<'d>(
    request: &Request,
    model: &Model,
    scope: Option<&Located<'_>>,
    device: &'d Opened,
    heartbeat: &Heartbeat,
) -> Result<Built<'d>, Failed> {
    let is_random = request.weights.is_empty();
    let made = heartbeat.clone();
    let weights = weights(request, model.dtype(), device)?.rename_f(move |name| {
        made();
        name.to_owned()
    });
    Built::new(model, scope, weights, is_random, device, heartbeat.clone())
        .map_err(|error| refused(Failure::CannotBuild, &error))
}

/// How far outputs are from those of the same model on the CPU.
fn difference(
    request: &Request,
    model: &Model,
    scope: Option<&Located<'_>>,
    ours: &[Tensor],
    heartbeat: &Heartbeat,
) -> Result<f64, Failed> {
    let cpu = Opened::open("cpu")?;
    let there = built(request, model, scope, &cpu, heartbeat)?;
    let compared = there.outputs().and_then(|theirs| {
        let pairs = ours.iter().zip(&theirs);
        pairs.map(|(ours, theirs)| largest_difference(ours, theirs)).try_fold(
            0f64,
            |largest, one| {
                // What is not a number is further away than anything.
                one.map(|one| if one.is_nan() { f64::INFINITY } else { largest.max(one) })
            },
        )
    });
    compared.map_err(|error| failed(&error))
}

/// As a share of the largest value.
fn largest_difference(ours: &Tensor, theirs: &Tensor) -> candle_core::Result<f64> {
    let number = candle_core::DType::F64;
    let ours = ours.to_device(&candle_core::Device::Cpu)?.to_dtype(number)?;
    let theirs = theirs.to_dtype(number)?;
    if !is_finite(&ours)? || !is_finite(&theirs)? {
        candle_core::bail!("an output has values that are no numbers: nothing to compare");
    }
    let largest = theirs.abs()?.max_all()?.to_scalar::<f64>()?.max(f64::MIN_POSITIVE);
    Ok((ours - theirs)?.abs()?.max_all()?.to_scalar::<f64>()? / largest)
}

fn failed(error: &candle_core::Error) -> Failed {
    refused(Failure::RunFailed, error)
}

/// An error of Candle's; memory that ran out is a case of its own.
fn refused(failure: Failure, error: &candle_core::Error) -> Failed {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    match execution::is_out_of_memory(error) {
        true => (
            Failure::OutOfMemory,
            format!("memory ran out ({line}); a smaller batch or another dtype may fit"),
        ),
        false => (failure, line.to_owned()),
    }
}

/// The one step that is asked for.
fn scope<'m>(request: &Request, model: &'m Model) -> Result<Option<Located<'m>>, Failed> {
    let Some(path) = &request.scope else { return Ok(None) };
    let found = model.find(path);
    let found = found.filter(|found| matches!(found.step.what, What::Layer(_) | What::Part(_)));
    found.map(Some).ok_or_else(|| {
        (Failure::WrongModel, format!("`{}` has no layer or block at `{path}`", model.name))
    })
}

/// The weights of the checkpoint that is named, else random ones: zeros would take a device less
/// power, and less time.
fn weights(
    request: &Request,
    dtype: DType,
    device: &Opened,
) -> Result<VarBuilder<'static>, Failed> {
    if request.weights.is_empty() {
        return Ok(execution::random_weights(SEED, dtype.candle(), &device.place));
    }
    execution::weights(&request.weights, dtype.candle(), &device.place)
        .map_err(|error| refused(Failure::WrongRequest, &error))
}

/// What was used, as far as it is known.
fn versions(device: &Opened) -> Vec<(String, String)> {
    let system = [System::name(), System::os_version()].into_iter().flatten();
    let mut versions = vec![("taper".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    versions.push(("system".to_owned(), system.collect::<Vec<_>>().join(" ")));
    versions.extend(device.drivers());
    versions
}

/// What the device's state before and after says of what was measured in between.
fn conduct(before: Option<Condition>, after: Option<Condition>) -> Conduct {
    let conditions: Vec<Condition> = before.into_iter().chain(after).collect();
    let (mut invalid, mut doubts) = (Vec::new(), Vec::new());
    let add = |to: &mut Vec<String>, reason: String| {
        if !to.contains(&reason) {
            to.push(reason);
        }
    };
    let last = conditions.last().and_then(|last| last.clock_mhz.zip(last.max_clock_mhz));
    for condition in &conditions {
        if let Some(others) = condition.other_processes.filter(|others| *others > 0) {
            add(&mut invalid, format!("{others} other processes were computing on the GPU"));
        }
        for reason in &condition.throttled {
            // Under full load a GPU runs at the limit of its power: that is how fast it is.
            match last.filter(|_| reason == POWER_CAP) {
                Some((clock, most)) => add(
                    &mut doubts,
                    format!("the GPU ran at the limit of its power, at {clock} of {most} MHz"),
                ),
                None => add(&mut invalid, format!("the GPU was slowed down: {reason}")),
            }
        }
    }
    if let Some((clock, most)) = last.filter(|(clock, most)| clock * 4 < most * 3) {
        add(&mut invalid, format!("the GPU ran at {clock} MHz, of {most}"));
    }
    Conduct { invalid, doubts, conditions }
}

/// The samples of the whole, with those of every layer in between.
fn samples(
    request: &Request,
    built: &mut Built<'_>,
    events: &Events<impl Write + Send + 'static>,
) -> candle_core::Result<Samples> {
    let mut was_counted = false;
    measure(
        &request.budget,
        |runs, phase| {
            if phase == Phase::Counted && !was_counted {
                was_counted = true;
                built.forget();
            }
            built.run(runs)
        },
        |told| {
            events.tell(&match told {
                Told::FirstRun(first_run) => Event::Warming { first_run },
                Told::Progress { done, samples, median } => {
                    Event::Progress { percent: (done * 100.0) as u32, samples, median }
                }
            });
        },
    )
}

fn analyse(request: &Request) -> Result<Analysis, Failed> {
    let mut workspace = Workspace::default();
    let files: Vec<_> = request
        .sources
        .iter()
        .map(|source| (source, workspace.insert(&source.path, syntax::parse(&source.text))))
        .collect();
    let file = files.iter().find(|(source, _)| source.path == request.file).map(|(_, file)| *file);
    let file = file.ok_or_else(|| {
        (Failure::WrongRequest, format!("the text of `{}` is not among the sources", request.file))
    })?;
    let place = Place { file, range: syntax::TextRange::default() };
    let argument = |given: &crate::Argument| ConfiguredArgument {
        name: given.name.clone(),
        value: given.value.clone(),
        at: None,
    };
    let arguments: Vec<_> = request.arguments.iter().map(argument).collect();
    let configured = (!arguments.is_empty()).then(|| Configured {
        model: request.model.clone(),
        place,
        arguments,
        weights: None,
    });
    let dtype = match &request.dtype {
        Some(name) => Some(DType::parse(name).ok_or_else(|| {
            (Failure::WrongRequest, format!("`{name}` is no dtype that Taper knows"))
        })?),
        None => None,
    };
    let set = request.set.clone();
    let options = Options { set, dtype, configured, ..Options::default() };
    let analysis = analysis::analyse(&workspace, file, &options);
    // An expectation that fails is no reason not to measure.
    let is_mistake = |found: &&analysis::Diagnostic| {
        found.severity == analysis::Severity::Error
            && !matches!(found.code, analysis::Code::Expectation | analysis::Code::Promise)
    };
    match analysis.diagnostics.iter().find(is_mistake) {
        Some(first) => Err((Failure::WrongModel, first.message.clone())),
        None => Ok(analysis),
    }
}

/// Refuses what does not fit before anything is allocated: a process that asks for too much dies.
fn check_memory(model: &Model, scope: Option<&Located<'_>>, device: &Opened) -> Result<(), Failed> {
    let Some(free) = device.free_memory().map(u128::from) else { return Ok(()) };
    let (totals, activations) = match scope {
        Some(found) => (&found.step.totals, found.step.peak_activation_bytes()),
        None => (model.totals(), model.peak_activation_bytes()),
    };
    let need = totals.memory().saturating_add(activations);
    if need <= free {
        return Ok(());
    }
    let what = match scope {
        Some(found) => format!("`{}`", found.step.kind()),
        None => "the model".to_owned(),
    };
    let mib = |bytes: u128| bytes >> 20;
    let message = format!(
        "{what} needs {} MiB at least, and {} MiB are free; a smaller batch or `--dtype` may fit",
        mib(need),
        mib(free)
    );
    Err((Failure::OutOfMemory, message))
}

/// Refuses tensors with more elements than can be counted, of a model or of a step of it.
fn check_counts(model: &Model, scope: Option<&str>, countable: u64) -> Result<(), Failed> {
    let is_meant = |path: &str| {
        let rest = scope.map_or(Some(""), |scope| path.strip_prefix(scope));
        rest.is_some_and(|rest| scope.is_none() || rest.is_empty() || rest.starts_with(['.', '@']))
    };
    let mut too_large = None;
    model.rows(|row| {
        let mut counts =
            row.step.outputs.iter().map(|output| output.ty.numel().unwrap_or(u128::MAX));
        match counts.find(|count| *count > countable.into()) {
            Some(count) if is_meant(&row.path) => {
                too_large = Some((row.path, count));
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    });
    let Some((path, count)) = too_large else { return Ok(()) };
    let message = format!(
        "`{path}` makes a tensor of {count} numbers, and Candle counts them up to {countable} on a \
         GPU; a smaller batch may do"
    );
    Err((Failure::CannotBuild, message))
}

/// What makes a result doubtful.
fn doubts(samples: &Samples, whole: &Statistics, parts: f64, wanted: f64) -> Vec<String> {
    let mut doubts = Vec::new();
    match whole.precision() {
        None => doubts.push(format!("{} samples are too few for an interval", whole.samples)),
        Some(precision) if samples.stop == Stop::Time && precision > wanted => {
            let percent = 100.0 * precision;
            doubts.push(format!("the time was over when the median was known to {percent:.1} %"));
        }
        Some(_) => {}
    }
    if !(1.0 - SUM..=1.0 + SUM).contains(&(parts / whole.median)) {
        let sum = 100.0 * parts / whole.median;
        doubts.push(format!("the layers and what is between them sum to {sum:.0} % of the whole"));
    }
    let third = samples.seconds.len() / 3;
    let median = |part: &[f64]| Statistics::of(part).map(|found| found.median);
    let ends = median(&samples.seconds[..third])
        .zip(median(&samples.seconds[samples.seconds.len() - third..]));
    if let Some((first, last)) = ends.filter(|(first, last)| (last - first).abs() / first > DRIFT) {
        let change = 100.0 * (last / first - 1.0).abs();
        let way = if last > first { "longer" } else { "shorter" };
        doubts.push(format!(
            "the runs became {change:.0} % {way}: something else was at work, or the clock changed"
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where several can write, and what they wrote can be read.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("nobody panicked").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn tensors_that_cannot_be_counted_are_refused_where_they_are_made() {
        let mut workspace = Workspace::default();
        let text = "model M { input x: f32[N = 2, 8]; a: Linear(16) -> ReLU; b: Linear(4) }";
        let file = workspace.insert("m.taper", syntax::parse(text));
        let analysis = analysis::analyse(&workspace, file, &Options::default());
        let refused = |scope: Option<&str>, countable: u64| {
            check_counts(&analysis.models[0], scope, countable).err().map(|(_, message)| message)
        };
        assert_eq!(refused(None, 32), None);
        let message = refused(None, 31).expect("a refusal");
        assert!(message.starts_with("`a` makes a tensor of 32 numbers"), "{message}");
        assert_eq!(refused(Some("b"), 31), None);
        assert!(refused(Some("a"), 31).is_some());
    }

    #[test]
    fn work_that_gets_on_is_heard_of() {
        let mut workspace = Workspace::default();
        let text = "model M { input x: f32[N = 2, 8]; a: Linear(16) -> ReLU; b: Linear(4) }";
        let file = workspace.insert("m.taper", syntax::parse(text));
        let request = Request::new(&workspace, file, "M", &Options::default(), "cpu");
        let analysis = analyse(&request).expect("a model");
        let output = Shared::default();
        let heard = || {
            let lines = std::mem::take(&mut *output.0.lock().expect("nobody panicked"));
            String::from_utf8(lines).expect("JSON").matches(r#"{"event":"working"}"#).count()
        };
        let device = Opened::open("cpu").expect("a CPU");
        let often = Events::new(output.clone(), Duration::ZERO).heartbeat();
        let model = built(&request, &analysis.models[0], None, &device, &often).expect("a model");
        assert_eq!(heard(), 4, "two weights and two biases");
        model.outputs().expect("a run");
        assert_eq!(heard(), 3, "three layers");
        let seldom = Events::new(output.clone(), Duration::from_secs(60)).heartbeat();
        seldom();
        assert_eq!(heard(), 0);
    }
}
