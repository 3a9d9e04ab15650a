//! `taper hints`: the file as an editor shows it.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{commands::ModelArguments, files, report};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

/// A hint in the JSON output: line and column from 1, columns in characters.
#[derive(Serialize)]
struct JsonHint<'a> {
    line: usize,
    column: usize,
    label: &'a str,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let (workspace, file) = files::load(&arguments.model.file)?;
    let snapshot = ide::Snapshot::new(workspace, file, arguments.model.options());
    let hints = ide::hints(&snapshot, None);
    match arguments.format {
        Format::Human => {
            anstream::print!("{}", shown(snapshot.text(), &hints));
            report::print(&snapshot.workspace, &snapshot.analysis.diagnostics);
        }
        Format::Json => {
            let hints: Vec<JsonHint<'_>> =
                hints.iter().map(|hint| json(snapshot.text(), hint)).collect();
            anstream::println!("{}", serde_json::to_string_pretty(&hints)?);
        }
    }
    Ok(if snapshot.analysis.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The text with its hints between the characters.
fn shown(text: &str, hints: &[ide::Hint]) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut at = 0;
    for hint in hints {
        let offset = usize::from(hint.offset);
        out.push_str(&text[at..offset]);
        let style = report::HINT;
        out.push_str(&format!("  {}{}{}", style.render(), hint.label, style.render_reset()));
        at = offset;
    }
    out.push_str(&text[at..]);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out
}

fn json<'h>(text: &str, hint: &'h ide::Hint) -> JsonHint<'h> {
    let before = &text[..usize::from(hint.offset)];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    JsonHint {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        label: &hint.label,
    }
}
