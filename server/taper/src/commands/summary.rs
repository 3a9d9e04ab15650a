//! `taper summary`: the model as a table.

mod charts;
mod html;
mod json;
mod table;

pub use table::bar;

use std::process::ExitCode;

use analysis::{Model, Options, Totals};
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

/// What the table shows.
#[derive(Args)]
struct Layout {
    /// What a line of the table is.
    #[arg(long, value_enum, default_value_t = By::Tree)]
    by: By,
    /// How deep the tree goes; `all` for every leaf.
    #[arg(long, default_value = "3", value_parser = parse_depth)]
    depth: usize,
    /// The largest first, by this column.
    #[arg(long, value_enum)]
    sort: Option<Sort>,
    /// How many lines are shown.
    #[arg(long)]
    top: Option<usize>,
}

/// What a line of the table is.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// A layer or block below what holds it; equal neighbours are one line.
    Tree,
    /// A layer, in order of execution.
    Layer,
    /// All uses of a block.
    Block,
    /// All layers of a kind.
    Kind,
}

/// A column by which lines can be sorted.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    Params,
    Macs,
    Flops,
    /// Bytes of activations.
    Memory,
}

impl Sort {
    /// The column in sums.
    fn of(self, totals: &Totals) -> u128 {
        match self {
            Sort::Params => totals.params,
            Sort::Macs => totals.macs,
            Sort::Flops => totals.flops,
            Sort::Memory => totals.activation_bytes,
        }
    }
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

pub fn parse_depth(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "a number or `all`".to_owned()),
    }
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
