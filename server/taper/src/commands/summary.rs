//! `taper summary`: the model as a table.

mod charts;
mod html;
mod json;
mod layout;
mod table;

pub use layout::{By, parse_depth};
pub use table::bar;

use layout::Layout;

use std::process::ExitCode;

use analysis::{Model, Options};
use clap::{Args, ValueEnum};

use crate::{
    commands::{CountArguments, ModelArguments, estimate},
    report,
    training::{self, Need},
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    layout: Layout,
    #[command(flatten)]
    count: CountArguments,
    #[command(flatten)]
    training: training::Arguments,
    /// A treemap of the work, and what bounds each layer on a device: `--charts h100`.
    #[arg(long, value_name = "DEVICE", num_args = 0..=1, default_missing_value = "h100")]
    charts: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Csv,
    Markdown,
    /// A report with a treemap and a roofline chart, in one file for a browser.
    Html,
}

/// Every layer of a model, for an editor.
pub fn layers(model: &Model) -> String {
    let layout = Layout { by: By::Tree, depth: usize::MAX, sort: None, top: None };
    anstream::adapter::strip_str(&table::human(model, &layout)).to_string()
}

/// The report of a model, for an editor.
pub fn report(model: &Model) -> serde_json::Result<String> {
    html::page(model)
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    let (workspace, file, source) = (opened.workspace, opened.file, opened.source);
    let options = Options { count: arguments.count.count, ..options };
    let analysis = analysis::analyse(&workspace, file, &options);
    if arguments.format != Format::Json {
        report::print(&workspace, &analysis.diagnostics);
    }
    let model = arguments.model.choose(&analysis)?;
    let need = match arguments.training.training {
        Some(_) if model.counted.is_some() => {
            return Err(
                "what training needs is counted by Taper's own rules: leave --count out".into()
            );
        }
        Some(optimizer) => {
            let need = Need::of(model, optimizer, arguments.training);
            Some(need.map_err(|overflow| overflow.to_string())?)
        }
        None => None,
    };
    match arguments.format {
        Format::Json => {
            let summary = json::Summary::new(&workspace, &analysis, model, need);
            anstream::println!("{}", serde_json::to_string_pretty(&summary)?);
        }
        Format::Human => {
            anstream::print!("{}", table::human(model, &arguments.layout));
            anstream::print!("{}", need.map_or(String::new(), |need| table::training(&need)));
            if let Some(device) = &arguments.charts {
                let (name, ceilings) = estimate::limits(device, model.dtype())?;
                anstream::print!("\n{}", charts::charts(model, &name, ceilings));
            }
            if let Some(source) = source {
                anstream::println!("{source}");
            }
        }
        Format::Html => anstream::print!("{}", self::report(model)?),
        Format::Csv => anstream::print!("{}", table::csv(model, &arguments.layout)),
        Format::Markdown => anstream::print!("{}", table::markdown(model, &arguments.layout)),
    }
    Ok(if analysis.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
