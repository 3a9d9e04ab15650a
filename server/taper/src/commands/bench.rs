//! `taper bench`: how long a model takes on a device.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use bench::{Ceilings, Event, LayerTime, Measured, Request};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use ide::{Units, percent};
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
    /// The device: `cpu`.
    #[arg(long, default_value = "cpu")]
    device: String,
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

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

pub fn run(arguments: &Arguments) -> super::Result {
    if arguments.stdio {
        let (input, output) = (std::io::BufReader::new(std::io::stdin()), std::io::stdout().lock());
        bench::serve(input, output, env!("CARGO_PKG_VERSION"))?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.devices {
        for device in bench::devices() {
            anstream::println!("{}", described(&device));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let file = arguments.file.as_deref().unwrap_or(Path::new("-"));
    let choice = &arguments.choice;
    let Some((opened, options)) = choice.open(file)? else { return Ok(ExitCode::FAILURE) };
    let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
    let name = &choice.choose(&analysis)?.name;
    let mut request =
        Request::new(&opened.workspace, opened.file, name, &options, &arguments.device);
    request.budget.most = arguments.time;
    match measured(&request) {
        Ok(measured) => {
            match arguments.format {
                Format::Human => anstream::print!("{}", human(&measured, arguments.top)),
                Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&measured)?),
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(no_result) => Err(no_result.message.into()),
    }
}

/// Asks a worker, and shows how far it is.
fn measured(request: &Request) -> Result<Measured, worker::NoResult> {
    let bar = ProgressBar::new(100);
    // The template is a constant that is right, so the default is never taken.
    let style = ProgressStyle::with_template("{msg} {wide_bar} {percent} %");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("starting");
    let result = Worker::start(&worker::own_command()?)?.ask(request, |event| match event {
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

fn described(device: &bench::Device) -> String {
    let threads = device.threads.map(|threads| format!(", {threads} threads")).unwrap_or_default();
    let memory =
        device.memory.map(|bytes| format!(", {}", UNITS.bytes(bytes.into()))).unwrap_or_default();
    format!("{}: {}{threads}{memory}", device.id, device.name)
}

/// The table of layers, and what is known of the whole below it.
fn human(measured: &Measured, top: usize) -> String {
    let whole = measured.whole.median;
    let mut layers: Vec<&LayerTime> = measured.layers.iter().collect();
    if top != usize::MAX {
        layers.sort_by(|one, other| other.median.total_cmp(&one.median));
    }
    let rest = layers.split_off(layers.len().min(top));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "layer",
        "kind",
        "time",
        "share",
        "FLOP/s",
        "bytes/s",
        "of what is possible",
    ]);
    for layer in layers {
        table.add_row([
            layer.path.clone(),
            layer.kind.clone(),
            duration(layer.median),
            share(layer.median, whole),
            rate(layer.flops, layer.median, |value| UNITS.count(value)),
            rate(layer.bytes, layer.median, |value| UNITS.bytes(value)),
            possible(layer, &measured.ceilings),
        ]);
    }
    let others: f64 = rest.iter().map(|layer| layer.median).sum();
    let mut more = |name: String, seconds: f64| {
        let empty = String::new;
        let row =
            [name, empty(), duration(seconds), share(seconds, whole), empty(), empty(), empty()];
        table.add_row(row);
    };
    if !rest.is_empty() {
        more(format!("{} more", rest.len()), others);
    }
    more("between layers".to_owned(), measured.between);
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n\n{}", table.trim_fmt(), footer(measured))
}

fn footer(measured: &Measured) -> String {
    let Measured { whole, ceilings, .. } = measured;
    let sizes: Vec<String> =
        measured.sizes.iter().map(|(name, size)| format!("{name} = {size}")).collect();
    let mut out = format!(
        "{} at {}, {}, on {}, with {}\n",
        measured.model,
        sizes.join(", "),
        measured.dtype,
        described(&measured.device),
        measured.backend
    );
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<18}{value}\n"));
    let (low, high) = whole.interval;
    line(
        "time",
        format!(
            "{} (median; 95 % between {} and {})",
            duration(whole.median),
            duration(low),
            duration(high)
        ),
    );
    let percentiles = whole.percentiles.map_or_else(
        || "too few samples for percentiles".to_owned(),
        |(low, high)| format!("5th percentile {}, 95th {}", duration(low), duration(high)),
    );
    line(
        "",
        format!("least {}, mean {}, {percentiles}", duration(whole.min), duration(whole.mean)),
    );
    let runs = match measured.runs_per_sample {
        1 => String::new(),
        runs => format!(" of {runs} runs each"),
    };
    let outliers = 100.0 * whole.outliers;
    line(
        "samples",
        format!(
            "{}{runs}, {outliers:.1} % outliers; first run {}",
            whole.samples,
            duration(measured.first_run)
        ),
    );
    line(
        "throughput",
        format!("{:.4} {}/s", measured.throughput.per_second, measured.throughput.unit),
    );
    let achieved = |amount: u64| (amount as f64 / whole.median) as u128;
    line(
        "FLOP/s",
        format!(
            "{} of {}",
            UNITS.count(achieved(measured.flops)),
            UNITS.count(ceilings.flops_per_second as u128)
        ),
    );
    line(
        "bytes/s",
        format!(
            "{} of {}",
            UNITS.bytes(achieved(measured.bytes)),
            UNITS.bytes(ceilings.bytes_per_second as u128)
        ),
    );
    for doubt in &measured.doubts {
        line("doubt", doubt.clone());
    }
    out
}

/// How near a layer is to the least time in which the device could do it, and what limits it.
fn possible(layer: &LayerTime, ceilings: &Ceilings) -> String {
    let (least, is_memory) = ceilings.least(layer.flops, layer.bytes);
    if least == 0.0 || layer.median == 0.0 {
        return String::new();
    }
    let limit = if is_memory { "memory" } else { "compute" };
    format!("{:.0} %, {limit}-bound", 100.0 * least / layer.median)
}

fn rate(amount: u64, seconds: f64, shown: impl Fn(u128) -> String) -> String {
    match amount == 0 || seconds == 0.0 {
        true => String::new(),
        false => shown((amount as f64 / seconds) as u128),
    }
}

fn share(seconds: f64, whole: f64) -> String {
    let in_parts = |seconds: f64| (seconds.max(0.0) * 1e12) as u128;
    percent(in_parts(seconds), in_parts(whole))
}

/// `1.42 ms`
fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds.abs() {
        s if s >= 1.0 => (seconds, "s"),
        s if s >= 1e-3 => (seconds * 1e3, "ms"),
        _ => (seconds * 1e6, "µs"),
    };
    let digits = if value.abs() >= 100.0 {
        0
    } else if value.abs() >= 10.0 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {unit}")
}
