//! `taper fits`: what a model needs of a device's memory, and what fits there.

use std::process::ExitCode;

use analysis::{Analysis, Model, Options, Severity, Workspace};
use clap::{Args, ValueEnum};
use ide::Units;
use serde::Serialize;

use crate::{
    commands::{ModelArguments, mistakes},
    report,
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The memory of the device, such as 24GiB or 80GB.
    #[arg(long, value_name = "SIZE", value_parser = parse_memory)]
    memory: u128,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// The largest size that is tried.
const LARGEST: u64 = 1 << 24;

/// How far apart the sizes that a model takes may lie, where its steps decide: patches of 32 need a multiple.
const GAP: u64 = 128;

/// How far below what the memory allows a size is looked for that the file expects.
const REACH: u64 = 1024;

/// What a model needs, in bytes.
#[derive(Serialize)]
struct Need {
    model: String,
    symbols: std::collections::BTreeMap<String, u64>,
    weights: u128,
    cache: u128,
    peak_activations: u128,
    total: u128,
    memory: u128,
    fits: bool,
    /// For each symbol the largest size that fits, the others as they are; none if none does.
    largest: std::collections::BTreeMap<String, Option<u64>>,
    /// Symbols that are limited by the model and not by the memory.
    limited_by_model: Vec<String>,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
    if analysis.has_errors() {
        report::print(&opened.workspace, &analysis.diagnostics);
        return Ok(ExitCode::FAILURE);
    }
    let model = arguments.model.choose(&analysis)?;
    let weights = model.weight_bytes().total();
    let device = Device {
        weights,
        workspace: &opened.workspace,
        options: &options,
        name: &model.name,
        memory: arguments.memory,
    };
    let need = device.need(model);
    match arguments.format {
        Format::Human => anstream::print!("{}", human(&need)),
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&need)?),
    }
    Ok(if need.fits { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A model on a device.
struct Device<'d> {
    workspace: &'d Workspace,
    options: &'d Options,
    name: &'d str,
    memory: u128,
    /// Bytes of the weights, which no symbol changes.
    weights: u128,
}

impl Device<'_> {
    fn need(&self, model: &Model) -> Need {
        let total = self.weights.saturating_add(rest(model));
        let symbols = model.symbols.iter();
        let mut largest = std::collections::BTreeMap::new();
        let mut limited_by_model = Vec::new();
        for one in symbols.clone() {
            let (size, is_limited) = self.largest(model, &one.name, one.size);
            largest.insert(one.name.to_string(), size);
            if is_limited {
                limited_by_model.push(one.name.to_string());
            }
        }
        Need {
            model: model.name.to_string(),
            symbols: symbols.clone().map(|one| (one.name.to_string(), one.size)).collect(),
            weights: self.weights,
            cache: model.totals().cache_bytes,
            peak_activations: model.peak_activation_bytes(),
            total,
            memory: self.memory,
            fits: total <= self.memory,
            largest,
            limited_by_model,
        }
    }

    /// The largest size of a symbol that fits: more needs more. And whether it is the model that takes no more.
    fn largest(&self, model: &Model, symbol: &str, shown: u64) -> (Option<u64>, bool) {
        let needed = |size: u64| self.bytes(model, symbol, size);
        let fits = |size: u64| needed(size).is_some_and(|bytes| bytes <= self.memory);
        // The sizes that the model takes may have gaps; the memory that it needs has none.
        let by_memory = largest_with(shown, |size| {
            let nearby = (size.saturating_sub(GAP).max(1)..=size).rev();
            let mut needs = nearby.filter_map(|near| self.needs(model, symbol, near));
            needs.next().is_some_and(|bytes| bytes <= self.memory)
        });
        let below =
            (by_memory.saturating_sub(REACH) + 1..=by_memory).rev().find(|size| fits(*size));
        // Where it takes none so large, up to its own limit it takes all.
        let by_model = Some(largest_with(shown, fits)).filter(|size| *size > 0);
        let Some(largest) = below.max(by_model) else { return (None, false) };
        let is_limited =
            largest < LARGEST && (largest + 1..=largest + GAP).all(|size| needed(size).is_none());
        (Some(largest), is_limited)
    }

    /// What the model needs at this size; none if it cannot have it.
    fn bytes(&self, model: &Model, symbol: &str, size: u64) -> Option<u128> {
        self.analysed(model, symbol, size, |analysis| !analysis.has_errors())
    }

    /// What it would need, were it not for what it expects of its sizes.
    fn needs(&self, model: &Model, symbol: &str, size: u64) -> Option<u128> {
        self.analysed(model, symbol, size, |analysis| {
            mistakes(analysis).iter().all(|found| found.severity != Severity::Error)
        })
    }

    fn analysed(
        &self,
        model: &Model,
        symbol: &str,
        size: u64,
        is_right: impl Fn(&Analysis) -> bool,
    ) -> Option<u128> {
        let mut options = self.options.clone();
        options.set.push((symbol.to_owned(), size.to_string()));
        let analysis = analysis::analyse(self.workspace, model.item.file, &options);
        let model = analysis.model(self.name).filter(|_| is_right(&analysis))?;
        Some(self.weights.saturating_add(rest(model)))
    }
}

/// The largest size that fits, where each smaller one does.
fn largest_with(shown: u64, fits: impl Fn(u64) -> bool) -> u64 {
    let mut enough = if fits(shown) { shown } else { 0 };
    let mut step = LARGEST;
    while step > 0 {
        if enough + step <= LARGEST && fits(enough + step) {
            enough += step;
        }
        step /= 2;
    }
    enough
}

/// What is needed beside the weights.
fn rest(model: &Model) -> u128 {
    model.totals().cache_bytes.saturating_add(model.peak_activation_bytes())
}

fn human(need: &Need) -> String {
    let sizes: Vec<String> =
        need.symbols.iter().map(|(name, size)| format!("{name} = {size}")).collect();
    let mut out = format!("{} at {}\n", need.model, sizes.join(", "));
    let mut line = |name: &str, bytes: u128, more: &str| {
        out.push_str(&format!("  {name:<12} {:>9}{more}\n", UNITS.bytes(bytes)));
    };
    line("weights", need.weights, "");
    if need.cache > 0 {
        line("cache", need.cache, "");
    }
    line("activations", need.peak_activations, " at the peak");
    let verdict = match need.fits {
        true => format!("fits, {} left", UNITS.bytes(need.memory - need.total)),
        false => format!("does not fit, {} too much", UNITS.bytes(need.total - need.memory)),
    };
    line("together", need.total, &format!(" of {}: {verdict}", UNITS.bytes(need.memory)));
    for (symbol, largest) in &need.largest {
        out.push_str(&match largest {
            Some(LARGEST) => continue,
            Some(largest) if need.limited_by_model.contains(symbol) => {
                format!("  {symbol} up to {largest} fits, which is all that the model takes\n")
            }
            Some(largest) => format!("  the largest {symbol} that fits is {largest}\n"),
            None => format!("  no {symbol} fits\n"),
        });
    }
    out
}

/// `24GiB`, `80GB`, `512M` or a number of bytes.
fn parse_memory(text: &str) -> Result<u128, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: f64 = match unit.trim() {
        "" | "B" => 1.0,
        "KB" | "kB" | "K" => 1e3,
        "MB" | "M" => 1e6,
        "GB" | "G" => 1e9,
        "TB" | "T" => 1e12,
        "KiB" => 1024f64,
        "MiB" => 1024f64.powi(2),
        "GiB" => 1024f64.powi(3),
        "TiB" => 1024f64.powi(4),
        unit => return Err(format!("`{unit}` is no unit of memory; there are GiB, GB, MiB, MB")),
    };
    let number: f64 = number.parse().map_err(|_| format!("`{text}` is no size, such as 24GiB"))?;
    Ok((number * factor) as u128)
}
