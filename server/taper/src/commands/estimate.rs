//! `taper estimate`: how long a model takes at least, by a data sheet.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use ide::{Units, duration};
use reports::{Ceilings, DATA_SHEETS, DataSheet, EstimatedLayer};
use serde_json::json;

use crate::commands::{ModelChoice, least, print_wrong_here};

#[derive(Args)]
pub struct Arguments {
    /// A `.taper` file, a `config.json`, an architecture as `library:resnet50`, or `-` for standard
    /// input.
    #[arg(required_unless_present = "devices")]
    file: Option<PathBuf>,
    #[command(flatten)]
    choice: ModelChoice,
    /// The device, or `cpu`: this one, whose limits are measured now.
    #[arg(long, default_value = "h100")]
    device: String,
    /// How many layers are listed, the slowest first; `all` in order of execution.
    #[arg(long, default_value = "15", value_parser = super::summary::parse_depth)]
    top: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// List the devices that are known, with their data sheets.
    #[arg(long, exclusive = true)]
    devices: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

pub fn run(arguments: &Arguments) -> super::Result {
    let Some(file) = arguments.file.as_deref().filter(|_| !arguments.devices) else {
        anstream::print!("{}", devices());
        return Ok(ExitCode::SUCCESS);
    };
    let choice = &arguments.choice;
    let Some((opened, options)) = choice.open(file)? else { return Ok(ExitCode::FAILURE) };
    let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
    let fails = print_wrong_here(&opened.workspace, &analysis, &mut Vec::new());
    let model = choice.choose(&analysis)?;
    let (name, ceilings) = limits(&arguments.device, model.dtype())?;
    let layers = reports::estimate(model, &ceilings);
    let seconds: f64 = layers.iter().map(|layer| layer.seconds).sum();
    match arguments.format {
        Format::Json => {
            let value = json!({
                "model": *model.name, "device": name, "is_estimate": true, "seconds": seconds,
                "uncounted": model.uncounted(),
                "layers": layers.iter().map(json_of).collect::<Vec<_>>(),
            });
            anstream::println!("{}", serde_json::to_string_pretty(&value)?);
        }
        Format::Human => {
            anstream::println!("{}\n", table(layers, arguments.top, seconds));
            anstream::println!(
                "An estimate, not a measurement: {} at {}, {}, on {name}, takes at least {}.",
                model.name,
                model.sizes(),
                model.dtype(),
                duration(seconds)
            );
            least(model.uncounted()).iter().for_each(|least| anstream::println!("{least}"));
        }
    }
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The name of a device, and what it does at best.
pub fn limits(device: &str, dtype: layers::DType) -> Result<(String, Ceilings), String> {
    if device == "cpu" {
        let measured = bench::ceilings("cpu", dtype)?;
        return Ok(("this CPU (its limits measured now)".to_owned(), measured));
    }
    let sheet = DataSheet::find(device).ok_or_else(|| {
        let known: Vec<&str> = DATA_SHEETS.iter().map(|sheet| sheet.id).collect();
        format!("no device is called `{device}`; there are {} and cpu", known.join(", "))
    })?;
    Ok((sheet.name.to_owned(), sheet.ceilings(dtype)))
}

fn json_of(layer: &EstimatedLayer) -> serde_json::Value {
    let EstimatedLayer { path, kind, flops, bytes, seconds, is_memory_bound } = layer;
    json!({
        "path": path, "kind": kind, "flops": flops.to_string(), "bytes": bytes.to_string(),
        "seconds": seconds, "is_memory_bound": is_memory_bound,
    })
}

fn table(mut layers: Vec<EstimatedLayer>, top: usize, whole: f64) -> String {
    if top != usize::MAX {
        layers.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    }
    let rest = layers.split_off(layers.len().min(top));
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["layer", "kind", "at least", "share", "FLOPs", "bytes", "bound by"]);
    let share = |seconds: f64| format!("{:.1} %", 100.0 * seconds / whole);
    for layer in layers {
        table.add_row([
            layer.path,
            layer.kind,
            duration(layer.seconds),
            share(layer.seconds),
            UNITS.count(layer.flops),
            UNITS.bytes(layer.bytes),
            if layer.is_memory_bound { "memory" } else { "compute" }.to_owned(),
        ]);
    }
    if !rest.is_empty() {
        let seconds = rest.iter().map(|layer| layer.seconds).sum();
        table.add_row([
            format!("{} more", rest.len()),
            String::new(),
            duration(seconds),
            share(seconds),
        ]);
    }
    for column in 2..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// The data sheets.
fn devices() -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["id", "device", "f32 TFLOP/s", "f16, bf16", "GB/s", "GB", "source"]);
    for sheet in DATA_SHEETS {
        table.add_row([
            sheet.id.to_owned(),
            sheet.name.to_owned(),
            sheet.f32.to_string(),
            sheet.half.to_string(),
            sheet.bandwidth.to_string(),
            sheet.memory.to_string(),
            sheet.source.to_owned(),
        ]);
    }
    format!("{}\n", table.trim_fmt())
}
