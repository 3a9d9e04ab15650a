//! `taper bench`: how long a model takes on a device.

mod table;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::AtomicBool,
};

use bench::{Event, Measured, Request};
use clap::{Args, ValueEnum};
use ide::duration;
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    commands::ModelChoice,
    worker::{self, Worker},
};

#[derive(Args)]
pub struct Arguments {
    /// A `.taper` file, a `config.json`, an architecture as `library:resnet50`, or `-` for standard
    /// input.
    #[arg(required_unless_present_any = ["devices", "stdio"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    choice: ModelChoice,
    /// The device: `cpu`, `cuda:0`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Measure one layer or block by itself, by its path, as `layer1.0`.
    #[arg(long, value_name = "PATH")]
    layer: Option<String>,
    /// Measure at several sizes of a symbol or values of a parameter, as `N=1,8,32`.
    #[arg(long, value_name = "NAME=VALUES", value_parser = super::parse_setting)]
    sweep: Option<(String, String)>,
    /// A safetensors file with the weights, which else are random; of a sharded checkpoint all files.
    #[arg(long, value_name = "FILE")]
    weights: Vec<String>,
    /// Let a GPU compute products of 32-bit numbers as TF32.
    #[arg(long)]
    tf32: bool,
    /// Compare the outputs with those of the CPU.
    #[arg(long)]
    check: bool,
    /// What measures, as `"ssh gpu-box taper bench --stdio"`; else this program.
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// How many layers are listed, the slowest first; `all` in order of execution.
    #[arg(long, default_value = "15", value_parser = super::summary::parse_depth)]
    top: usize,
    /// The most seconds of counted runs.
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    time: f64,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// List the devices of this machine.
    #[arg(long, exclusive = true)]
    devices: bool,
    /// Read one request and write events, as a worker does.
    #[arg(long, exclusive = true)]
    stdio: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

pub fn run(arguments: &Arguments) -> super::Result {
    if arguments.stdio {
        let (input, output) = (std::io::BufReader::new(std::io::stdin()), std::io::stdout());
        bench::serve(input, output, env!("CARGO_PKG_VERSION"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.devices {
        for device in bench::devices() {
            anstream::println!("{}", table::described(&device));
        }
        if let Some(reason) = bench::no_cuda() {
            anstream::println!("no CUDA device: {reason}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let file = arguments.file.as_deref().unwrap_or(Path::new("-"));
    let mut choice = arguments.choice.clone();
    let Some((opened, options)) = choice.open(file)? else { return Ok(ExitCode::FAILURE) };
    let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
    // The symbol of a sweep must be one of the model, as one that is set.
    choice.set.extend(arguments.sweep.clone());
    let name = &choice.choose(&analysis)?.name;
    let mut request =
        Request::new(&opened.workspace, opened.file, name, &options, &arguments.device);
    request.budget.most = arguments.time;
    request.scope = arguments.layer.clone();
    request.weights = arguments.weights.clone();
    request.tf32 = arguments.tf32;
    request.compares_with_cpu = arguments.check;
    let command = match &arguments.command {
        Some(command) => shell_words::split(command)?,
        None => worker::own_command()?,
    };
    let Some((symbol, sizes)) = &arguments.sweep else {
        let measured = measured(&command, &request)?;
        print(arguments.format, &measured, || table::human(&measured, arguments.top))?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut all = Vec::new();
    for size in sizes.split(',').map(str::trim) {
        let mut request = request.clone();
        request.set.push((symbol.clone(), size.to_owned()));
        all.push((size.to_owned(), measured(&command, &request)?));
    }
    let results: Vec<&Measured> = all.iter().map(|(_, measured)| measured).collect();
    print(arguments.format, &results, || table::sweep(symbol, &all))?;
    Ok(ExitCode::SUCCESS)
}

fn print(
    format: Format,
    results: &impl serde::Serialize,
    human: impl FnOnce() -> String,
) -> Result<(), serde_json::Error> {
    match format {
        Format::Human => anstream::print!("{}", human()),
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(results)?),
    }
    Ok(())
}

/// Asks a worker, and shows how far it is.
fn measured(command: &[String], request: &Request) -> Result<Measured, worker::NoResult> {
    let bar = ProgressBar::new(100);
    // The template is a constant that is right, so the default is never taken.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("starting");
    let result =
        Worker::start(command)?.ask(request, &AtomicBool::new(false), |event| match event {
            Event::Building => bar.set_message("building"),
            Event::Warming { first_run } => {
                bar.set_message(format!("warming up (first run {})", duration(*first_run)));
            }
            Event::Progress { percent, samples, median } => {
                bar.set_message(format!("{} in {samples} samples", duration(*median)));
                bar.set_position(u64::from(*percent));
            }
            _ => {}
        });
    bar.finish_and_clear();
    result
}
