//! `taper inspect`: what a checkpoint holds, by module.

use std::{path::PathBuf, process::ExitCode};

use checkpoint::{Checkpoint, outline::outline};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use ide::Units;

use crate::report;

#[derive(Args)]
pub struct Arguments {
    /// A `.safetensors` file, a `model.safetensors.index.json`, a `.gguf` file, or a `config.json`.
    file: PathBuf,
    /// How deep the tree goes; `all` for every tensor.
    #[arg(long, default_value = "3", value_parser = super::summary::parse_depth)]
    depth: usize,
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

/// The most problems that are printed.
const MAX_PROBLEMS: usize = 20;

pub fn run(arguments: &Arguments) -> super::Result {
    if configs::is_config(&arguments.file) {
        return super::hints::of_config(&arguments.file);
    }
    let checkpoint = Checkpoint::read(&arguments.file)?;
    match arguments.format {
        Format::Human => {
            anstream::print!("{}", table(&checkpoint, arguments.depth));
            print_problems(&checkpoint);
        }
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&checkpoint)?),
    }
    Ok(if checkpoint.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that is known of a checkpoint, for an editor.
pub fn text(checkpoint: &Checkpoint) -> String {
    let mut text = table(checkpoint, usize::MAX);
    for problem in &checkpoint.problems {
        text.push_str(&format!("\nerror: {problem}"));
    }
    text
}

/// The table by module, and the totals below it.
fn table(checkpoint: &Checkpoint, depth: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["module", "dtype", "shape", "tensors", "elements", "bytes"]);
    for line in outline(&checkpoint.tensors, depth) {
        let shape = line.shape.map_or_else(String::new, |shape| format!("{shape:?}"));
        table.add_row([
            format!("{}{}", "  ".repeat(line.depth), line.name),
            line.dtypes.join(", "),
            shape,
            line.tensors.to_string(),
            UNITS.count(line.numel),
            UNITS.bytes(line.bytes),
        ]);
    }
    for column in 3..6 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{}\n\n{}\n", table.trim_fmt(), totals(checkpoint))
}

/// How much there is in all, and of which types.
fn totals(checkpoint: &Checkpoint) -> String {
    let (tensors, files) = (checkpoint.tensors.len(), checkpoint.files.len());
    let types: Vec<String> = checkpoint
        .dtypes()
        .into_iter()
        .map(|(name, numel, bytes)| {
            format!("{name} {} in {}", UNITS.count(numel), UNITS.bytes(bytes))
        })
        .collect();
    format!(
        "{tensors} tensor{} in {files} file{}: {} elements, {}\n{}",
        plural(tensors),
        plural(files),
        UNITS.count(checkpoint.numel()),
        UNITS.bytes(checkpoint.bytes()),
        types.join(" · ")
    )
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

fn print_problems(checkpoint: &Checkpoint) {
    let style = report::ERROR;
    for problem in checkpoint.problems.iter().take(MAX_PROBLEMS) {
        anstream::eprintln!("{}error:{} {problem}", style.render(), style.render_reset());
    }
    let more = checkpoint.problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        anstream::eprintln!("and {more} more");
    }
}
