//! The worker: one request in, events out.

use std::io::{BufRead, Write};

use analysis::{Analysis, Configured, ConfiguredArgument, Model, Options, Place, Workspace};
use layers::DType;
use sysinfo::System;

use crate::{
    Device, Event, Failure, Measured, PROTOCOL, Request, Samples, Statistics, Stop, ceilings,
    measure::{Phase, Told, measure},
    model::{Built, small, throughput},
};

/// What computes.
const BACKEND: &str = "candle 0.11.1";

/// The medians of all parts sum to the whole but for this share.
const SUM: f64 = 0.05;

/// The medians of the first and the last third differ by no more than this.
const DRIFT: f64 = 0.05;

/// Reads one request and measures, until the result or an error is written.
///
/// # Errors
/// If nobody reads what is written.
pub fn serve(mut input: impl BufRead, output: impl Write, version: &str) -> std::io::Result<()> {
    let mut events = Events(output);
    events.send(&Event::Hello { protocol: PROTOCOL, taper: version.to_owned() })?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    let measured = match serde_json::from_str::<Request>(&line) {
        Ok(request) => answer(&request, &mut events),
        Err(error) => Err((Failure::WrongRequest, format!("the request cannot be read: {error}"))),
    };
    events.send(&match measured {
        Ok(measured) => Event::Result(Box::new(measured)),
        Err((failure, message)) => Event::Error { failure, message },
    })
}

/// The devices of this machine that this build can use.
pub fn devices() -> Vec<Device> {
    let mut system = System::new();
    system.refresh_cpu_all();
    system.refresh_memory();
    let name = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
    vec![Device {
        id: "cpu".to_owned(),
        name: name.filter(|name| !name.is_empty()).unwrap_or_else(|| "CPU".to_owned()),
        threads: Some(candle_core::utils::get_num_threads() as u64),
        memory: Some(system.total_memory()),
    }]
}

/// Writes events as they happen.
struct Events<W>(W);

impl<W: Write> Events<W> {
    fn send(&mut self, event: &Event) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.0, event)?;
        self.0.write_all(b"\n")?;
        self.0.flush()
    }

    /// Tells of progress. Who no longer listens has killed this process, or will.
    fn tell(&mut self, event: &Event) {
        let _ = self.send(event);
    }
}

type Refused = (Failure, String);

fn answer(request: &Request, events: &mut Events<impl Write>) -> Result<Measured, Refused> {
    if request.protocol != PROTOCOL {
        let message =
            format!("the request is of version {}, this worker of {PROTOCOL}", request.protocol);
        return Err((Failure::WrongRequest, message));
    }
    let device = device(&request.device)?;
    events.tell(&Event::Device(device.clone()));
    let analysis = analyse(request)?;
    let model = analysis
        .model(&request.model)
        .ok_or_else(|| (Failure::WrongModel, format!("no model is called `{}`", request.model)))?;
    check_memory(model)?;
    events.tell(&Event::Building);
    let dtype = weights_dtype(model);
    let place = candle_core::Device::Cpu;
    let mut built = Built::new(model, dtype, &place)
        .map_err(|error| (Failure::CannotBuild, first_line(&error)))?;
    let samples = samples(request, &mut built, events)
        .map_err(|error| (Failure::RunFailed, first_line(&error)))?;
    let ceilings = ceilings::measure(dtype.candle(), &place)
        .map_err(|error| (Failure::RunFailed, first_line(&error)))?;
    let whole = Statistics::of(&samples.seconds)
        .ok_or_else(|| (Failure::RunFailed, "no run was timed".to_owned()))?;
    let layers = built.layers();
    let parts = built.between() + layers.iter().map(|layer| layer.median).sum::<f64>();
    Ok(Measured {
        model: model.name.to_string(),
        sizes: model.symbols.iter().map(|one| (one.name.to_string(), one.size)).collect(),
        dtype: dtype.to_string(),
        device,
        backend: BACKEND.to_owned(),
        first_run: samples.first_run,
        stop: samples.stop,
        runs_per_sample: samples.runs_per_sample,
        throughput: throughput(model, whole.median),
        flops: small(model.totals().flops),
        bytes: layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.bytes)),
        ceilings,
        between: built.between(),
        doubts: doubts(&samples, &whole, parts),
        layers,
        whole,
    })
}

/// The samples of the whole, with those of every layer in between.
fn samples(
    request: &Request,
    built: &mut Built,
    events: &mut Events<impl Write>,
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

fn device(id: &str) -> Result<Device, Refused> {
    let all = devices();
    let known: Vec<String> = all.iter().map(|device| device.id.clone()).collect();
    all.into_iter().find(|device| device.id == id).ok_or_else(|| {
        let message = match id.starts_with("cuda") {
            true => "this build of Taper does not know CUDA; it can measure on `cpu`".to_owned(),
            false => format!("there is no device `{id}`, but {}", known.join(", ")),
        };
        (Failure::NoDevice, message)
    })
}

fn analyse(request: &Request) -> Result<Analysis, Refused> {
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
fn check_memory(model: &Model) -> Result<(), Refused> {
    let mut system = System::new();
    system.refresh_memory();
    let available = u128::from(system.available_memory());
    let totals = model.totals();
    let need = totals.memory().saturating_add(model.peak_activation_bytes());
    if available == 0 || need <= available {
        return Ok(());
    }
    let mib = |bytes: u128| bytes >> 20;
    let message = format!(
        "the model needs {} MiB at least, and {} MiB are free; a smaller batch or `--dtype` may fit",
        mib(need),
        mib(available)
    );
    Err((Failure::OutOfMemory, message))
}

/// The dtype of most weights.
fn weights_dtype(model: &Model) -> DType {
    let weights = model.weight_bytes().params;
    let most = weights.into_iter().max_by_key(|(_, bytes)| *bytes);
    most.map_or(DType::F32, |(dtype, _)| dtype)
}

/// What makes a result doubtful.
fn doubts(samples: &Samples, whole: &Statistics, parts: f64) -> Vec<String> {
    let mut doubts = Vec::new();
    if samples.stop == Stop::Time {
        let precision = 100.0 * whole.precision();
        doubts.push(format!("the time was over when the median was known to {precision:.1} %"));
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
        let change = 100.0 * (last / first - 1.0);
        doubts.push(format!("the runs became {change:+.0} % longer: something else was at work, or the clock changed"));
    }
    doubts
}

fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
