//! `taper hints`: the file as an editor shows it.

use std::{path::Path, process::ExitCode};

use analysis::Options;
use clap::{Args, ValueEnum};
use line_index::{LineIndex, WideEncoding};
use serde::Serialize;

use crate::{
    commands::{CountArguments, ModelArguments},
    report,
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    count: CountArguments,
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
    line: u32,
    column: u32,
    label: &'a str,
}

/// A config as an editor shows it.
pub fn of_config(file: &Path) -> super::Result {
    let model = ModelArguments::of(file);
    run(&Arguments { model, count: CountArguments { count: None }, format: Format::Human })
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    // An editor shows all of a file.
    let options = Options { count: arguments.count.count, model: None, ..options };
    let snapshot = match opened.configured {
        None => ide::Snapshot::new(opened.workspace, opened.file, options),
        Some(configured) => {
            let (config, model) = (configured.place.file, Ok((opened.file, configured)));
            ide::Snapshot::of_config(opened.workspace, config, model, options)
        }
    };
    let text = snapshot.workspace.parse(snapshot.shown_file()).text();
    let hints = ide::hints(&snapshot, None);
    match arguments.format {
        Format::Human => {
            let lens = ide::lenses(&snapshot).into_iter().next().filter(|_| snapshot.is_config());
            if let Some(lens) = lens {
                anstream::println!("{}", lens.title);
            }
            anstream::print!("{}", shown(text, &hints));
            report::print(&snapshot.workspace, &snapshot.analysis().diagnostics);
        }
        Format::Json => {
            let lines = LineIndex::new(text);
            let hints: Vec<JsonHint<'_>> = hints.iter().map(|hint| json(&lines, hint)).collect();
            anstream::println!("{}", serde_json::to_string_pretty(&hints)?);
        }
    }
    Ok(if snapshot.analysis().has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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

fn json<'h>(lines: &LineIndex, hint: &'h ide::Hint) -> JsonHint<'h> {
    let at = lines.line_col(hint.offset);
    let in_characters = lines.to_wide(WideEncoding::Utf32, at).map_or(at.col, |wide| wide.col);
    JsonHint { line: at.line + 1, column: in_characters + 1, label: &hint.label }
}
