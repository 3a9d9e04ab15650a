//! The report: one HTML file with everything in it, that an editor or a browser opens without a network.

use std::ops::ControlFlow;

use analysis::{Counted, Model, Seen, What};
use ide::Units;
use layers::Unit;
use reports::{DATA_SHEETS, grouped};
use serde::Serialize;

const PAGE: &str = include_str!("../../../assets/report.html");
const SCRIPT: &str = include_str!("../../../assets/report.js");
/// Made by scripts/build-charts.sh.
const CHARTS: &str = include_str!("../../../assets/echarts.min.js");

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// What the page shows. Numbers are those of JavaScript: a chart needs no more than their 53 bits.
#[derive(Serialize)]
struct Report {
    model: String,
    at: String,
    /// What work is told in.
    unit: &'static str,
    dtype: String,
    /// Names, numbers with a unit, and exact numbers.
    totals: Vec<(&'static str, String, String)>,
    layers: Vec<Layer>,
    devices: Vec<Device>,
    footer: String,
}

#[derive(Serialize)]
struct Layer {
    path: String,
    kind: String,
    output: String,
    params: f64,
    work: f64,
    /// By our own rules: a device does the work whatever a tool counts.
    flops: f64,
    activation_bytes: f64,
    /// Bytes read and written.
    traffic: f64,
}

/// What a device does at best.
#[derive(Serialize)]
struct Device {
    id: &'static str,
    name: &'static str,
    flops: f64,
    bandwidth: f64,
}

/// The report of a model.
///
/// # Errors
/// If its numbers cannot be written as JSON.
pub fn page(model: &Model) -> Result<String, serde_json::Error> {
    let report = Report {
        model: model.name.to_string(),
        at: at(model),
        unit: model.unit().name(),
        dtype: model.dtype().to_string(),
        totals: totals(model),
        layers: layers(model),
        devices: devices(model),
        footer: footer(model),
    };
    // A name in the model must not end the script.
    let data = serde_json::to_string(&report)?.replace('<', "\\u003c");
    let title = report.model.replace('&', "&amp;").replace('<', "&lt;");
    Ok(PAGE
        .replace("{{title}}", &title)
        .replace("{{charts}}", CHARTS)
        .replace("{{page}}", SCRIPT)
        .replace("{{data}}", &data))
}

fn at(model: &Model) -> String {
    if model.symbols.is_empty() { String::new() } else { format!("at {}", model.sizes()) }
}

fn totals(model: &Model) -> Vec<(&'static str, String, String)> {
    let totals = model.totals();
    let bound = totals.bound();
    let count = |name, bound: &str, value: u128| {
        (name, format!("{bound}{}", UNITS.count(value)), format!("{bound}{}", grouped(value)))
    };
    let bytes = |name, value: u128| {
        let exact = format!("{bound}{} bytes", grouped(value));
        (name, format!("{bound}{}", UNITS.bytes(value)), exact)
    };
    let mut found = vec![count("parameters", bound, totals.params)];
    if totals.active_params != totals.params {
        found.push(count("active", bound, totals.active_params));
    }
    for (name, unit) in [("MACs", Unit::Macs), ("FLOPs", Unit::Flops)] {
        if model.gives(unit) {
            found.push(count(name, totals.work_bound(), totals.work(unit)));
        }
    }
    found.push(bytes("weights", model.weight_bytes().total()));
    found.push(bytes("peak activations", model.peak_activation_bytes()));
    if totals.cache_bytes > 0 {
        found.push(bytes("cache", totals.cache_bytes));
    }
    found
}

fn layers(model: &Model) -> Vec<Layer> {
    let mut layers = Vec::new();
    model.rows(|row| {
        let output = row.step.outputs.first();
        let flops = match &row.step.what {
            What::Layer(_) if !row.idle => row.step.own_cost().flops().unwrap_or(u128::MAX),
            _ => 0,
        };
        let traffic = if row.idle { 0 } else { row.step.traffic() };
        let layer = Layer {
            kind: row.step.kind().to_owned(),
            output: output.map_or(String::new(), |output| output.ty.shape.to_string()),
            params: row.totals.params as f64,
            work: row.totals.work(model.unit()) as f64,
            flops: flops as f64,
            activation_bytes: row.totals.activation_bytes as f64,
            traffic: traffic as f64,
            path: row.path,
        };
        // Views and functions that do nothing are no lines of a report.
        if layer.params + layer.work + layer.flops + layer.activation_bytes > 0.0 {
            layers.push(layer);
        }
        ControlFlow::Continue(())
    });
    layers
}

fn devices(model: &Model) -> Vec<Device> {
    let device = |sheet: &'static reports::DataSheet| {
        let ceilings = sheet.ceilings(model.dtype());
        let (id, name) = (sheet.id, sheet.name);
        Device { id, name, flops: ceilings.flops_per_second, bandwidth: ceilings.bytes_per_second }
    };
    DATA_SHEETS.iter().map(device).collect()
}

fn footer(model: &Model) -> String {
    let left_out = model.left_out().map_or(String::new(), |left_out| format!(" · {left_out}"));
    let taper = format!("taper {}{left_out}", env!("CARGO_PKG_VERSION"));
    let Some(Counted { convention, .. }) = model.counted else {
        return taper;
    };
    let skipped =
        Seen::of(model).skipped().map_or(String::new(), |kinds| format!(" · skips {kinds}"));
    format!("{taper} · counted as by {}{skipped}", convention.summary)
}
