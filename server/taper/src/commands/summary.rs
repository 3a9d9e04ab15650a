//! `taper summary`: the model as a table.

mod json;
mod table;

use std::process::ExitCode;

use analysis::{Model, Options};
use clap::{
    Args, ValueEnum,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use layers::{Convention, Unit};

use crate::{commands::ModelArguments, report};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    layout: Layout,
    /// Whose rules count the work.
    #[arg(long, value_parser = parse_count(), default_value = OWN)]
    count: Count,
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

/// Another tool's rules, or ours.
pub type Count = Option<&'static Convention>;

/// What our own rules are called.
pub const OWN: &str = "taper";

/// Whether the rules give a figure of this unit; ours give both.
fn gives(count: Count, unit: Unit) -> bool {
    count.is_none_or(|convention| convention.gives(unit))
}

fn parse_count() -> impl TypedValueParser<Value = Count> {
    let own = PossibleValue::new(OWN)
        .help("Every floating-point operation, by the rules of docs/counting.md");
    let others = layers::conventions().map(|one| PossibleValue::new(one.name).help(one.summary));
    PossibleValuesParser::new([own].into_iter().chain(others))
        .map(|name| layers::conventions().find(|one| one.name == name))
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Csv,
    Markdown,
}

pub fn parse_depth(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "a number or `all`".to_owned()),
    }
}

/// Every layer of a model, for an editor.
pub fn layers(model: &Model) -> String {
    let layout = Layout { by: By::Tree, depth: usize::MAX, sort: None };
    anstream::adapter::strip_str(&table::human(model, &layout, None)).to_string()
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    let (workspace, file, source) = (opened.workspace, opened.file, opened.source);
    let count = arguments.count;
    let options = Options { count, ..options };
    let analysis = analysis::analyse(&workspace, file, &options);
    if arguments.format != Format::Json {
        report::print(&workspace, &analysis.diagnostics);
    }
    let model = arguments.model.choose(&analysis)?;
    match arguments.format {
        Format::Json => {
            let summary = json::Summary::new(&workspace, &analysis, model, count);
            anstream::println!("{}", serde_json::to_string_pretty(&summary)?);
        }
        Format::Human => {
            anstream::print!("{}", table::human(model, &arguments.layout, count));
            if let Some(source) = source {
                anstream::println!("{source}");
            }
        }
        Format::Csv => anstream::print!("{}", table::csv(model, &arguments.layout, count)),
        Format::Markdown => {
            anstream::print!("{}", table::markdown(model, &arguments.layout, count))
        }
    }
    Ok(if analysis.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
