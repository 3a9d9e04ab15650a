//! `taper check`: diagnostics, as rustc prints them.

use std::{path::PathBuf, process::ExitCode};

use analysis::{Diagnostic, Options, Severity, Workspace};
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::{commands::Architectures, files, report};

#[derive(Args)]
pub struct Arguments {
    /// `.taper` files and configs, or `-` for standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    architectures: Architectures,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    /// GitHub's annotations of a workflow.
    Github,
    Sarif,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let mut failed = false;
    let mut found = Vec::new();
    let mut count = 0;
    for path in &arguments.files {
        let (workspace, diagnostics) =
            match files::open(path, &arguments.architectures.architectures) {
                Ok(Ok(opened)) => checked(opened),
                Ok(Err((workspace, diagnostic))) => (workspace, vec![diagnostic]),
                Err(error) => {
                    let style = report::ERROR;
                    anstream::eprintln!("{}error:{} {error}", style.render(), style.render_reset());
                    failed = true;
                    continue;
                }
            };
        failed |= diagnostics.iter().any(|found| found.severity == Severity::Error);
        count += diagnostics.len();
        match arguments.format {
            Format::Human => report::print(&workspace, &diagnostics),
            Format::Github => diagnostics.iter().for_each(|found| print_github(&workspace, found)),
            Format::Json | Format::Sarif => {
                found.extend(diagnostics.iter().map(|found| report::Json::new(&workspace, found)));
            }
        }
    }
    match arguments.format {
        Format::Human if count == 0 && !failed => {
            let files = arguments.files.len();
            anstream::println!(
                "{files} file{} checked, nothing found",
                if files == 1 { "" } else { "s" }
            );
        }
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&found)?),
        Format::Sarif => anstream::println!("{}", serde_json::to_string_pretty(&sarif(&found))?),
        _ => {}
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is wrong with a file.
fn checked(opened: files::Opened) -> (Workspace, Vec<Diagnostic>) {
    let options = Options { configured: opened.configured, ..Options::default() };
    let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
    (opened.workspace, analysis.diagnostics)
}

fn print_github(workspace: &Workspace, diagnostic: &Diagnostic) {
    let json = report::Json::new(workspace, diagnostic);
    let command = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "notice",
    };
    let message = json.message.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let (file, range) = (json.file, json.range);
    anstream::println!(
        "::{command} file={file},line={},col={},endLine={},endColumn={},title={}::{message}",
        range.start.line,
        range.start.column,
        range.end.line,
        range.end.column,
        json.code
    );
}

/// The few fields of SARIF 2.1.0 that its readers need.
fn sarif(found: &[report::Json]) -> impl Serialize {
    let results: Vec<serde_json::Value> = found
        .iter()
        .map(|one| {
            let level = if one.severity == "hint" { "note" } else { one.severity };
            serde_json::json!({
                "ruleId": one.code,
                "level": level,
                "message": { "text": one.message },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": one.file },
                    "region": {
                        "startLine": one.range.start.line, "startColumn": one.range.start.column,
                        "endLine": one.range.end.line, "endColumn": one.range.end.column,
                    },
                } }],
            })
        })
        .collect();
    let rules: Vec<serde_json::Value> = analysis::Code::ALL
        .iter()
        .map(|code| serde_json::json!({ "id": code.number(), "shortDescription": { "text": code.title() } }))
        .collect();
    serde_json::json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "taper", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "results": results,
        }],
    })
}
