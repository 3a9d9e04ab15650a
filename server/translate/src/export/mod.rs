//! A written-out model as source in another language: classes that own the same parameters under the same
//! names, and give the same numbers.
//!
//! [`sizes`] writes the model out at several sizes, so that it is known which numbers follow the input.
//! [`unit`] makes of it what owns and calls what. [`classes`](crate::classes) finds out which units are one class that takes
//! arguments. [`pytorch`] and its like write each unit in their language.

mod candle;
mod dims;
mod error;
mod naming;
mod pytorch;
mod sizes;
mod unit;

use analysis::{Model, Workspace};
pub use candle::candle;
pub use error::Error;
pub use pytorch::pytorch;
use smol_str::SmolStr;
use syntax::ast;

use self::{
    sizes::Freedom,
    unit::{ChildKind, Unit},
};

/// How long a line should be.
const LINE: usize = 100;

/// A model as source.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The source.
    pub text: String,
    /// The sizes whose steps these are, where others have others: `H = 224`.
    pub fixed: Vec<String>,
}

/// How deep units lie in each other below each unit. Units come after those that they own.
fn heights(units: &[Unit<'_>]) -> Vec<usize> {
    let mut heights: Vec<usize> = Vec::new();
    for unit in units {
        let below = unit.children.iter().filter_map(|child| match &child.what {
            ChildKind::Unit(id) => Some(heights[id.0] + 1),
            _ => None,
        });
        heights.push(below.max().unwrap_or(0));
    }
    heights
}

/// The name that the class of a unit should have: that of its block, or for braces what their path makes,
/// which no block has.
fn class_name(units: &[Unit<'_>], unit: &Unit<'_>, of_path: fn(&str) -> String) -> String {
    if unit.item.is_some() {
        return unit.name.clone();
    }
    let name = of_path(&unit.name);
    let is_blocks = units.iter().any(|other| other.item.is_some() && other.name == name);
    if is_blocks { format!("{name}Layers") } else { name }
}

/// What the block's text calls what flows in.
fn input_names(workspace: &Workspace, unit: &Unit<'_>) -> Vec<String> {
    let Some(item) = unit.item else { return Vec::new() };
    let body = ast::Item::cast(workspace.node(item)).and_then(|item| item.body());
    let lines = body.into_iter().flat_map(|body| body.lines());
    let inputs = lines.filter_map(|line| match line {
        ast::Line::Input(input) => Some(input),
        _ => None,
    });
    inputs.filter_map(|input| Some(input.name()?.text().to_owned())).collect()
}

/// What the text says of the block above it.
fn doc(workspace: &Workspace, unit: &Unit<'_>) -> Option<String> {
    ast::doc_comment(workspace.node(unit.item?))
}

/// The sizes of a model that may be what is wanted: `H = 224`.
fn sizes_that_are(wanted: &Freedom, model: &Model, freedom: &[Freedom]) -> Vec<String> {
    let symbols = model.symbols.iter().zip(freedom).filter(|(_, freedom)| *freedom == wanted);
    symbols.map(|(symbol, _)| format!("{} = {}", symbol.name, symbol.size)).collect()
}

/// What stands at the top of a file; `note` is what the language adds.
fn introduction(model: &Model, freedom: &[Freedom], note: &str) -> String {
    let of = |wanted: &Freedom| sizes_that_are(wanted, model, freedom);
    let mut text = format!("{}, written by `taper export`.\n\n", model.name);
    let mut paragraph = |words: String| {
        text.push_str(&textwrap::fill(&words, LINE));
        text.push('\n');
    };
    if !model.arguments.is_empty() {
        let arguments = model.arguments.iter().map(|(name, value)| format!("{name}={value}"));
        paragraph(format!("Its arguments: {}.", arguments.collect::<Vec<_>>().join(", ")));
    }
    paragraph(
        "Its parameters have the names of the Taper model's, so the same checkpoints load.".into(),
    );
    if !note.is_empty() {
        paragraph(note.to_owned());
    }
    let names: Vec<SmolStr> = model
        .symbols
        .iter()
        .zip(freedom)
        .filter(|(_, freedom)| **freedom == Freedom::Any)
        .map(|(symbol, _)| symbol.name.clone())
        .collect();
    if !names.is_empty() {
        paragraph(format!("Sizes that may be any that the model promises: {}.", names.join(", ")));
    }
    let multiples = of(&Freedom::Multiples);
    if !multiples.is_empty() {
        let multiples = multiples.join(", ");
        paragraph(format!(
            "These steps are those of multiples of {multiples}; other sizes have others."
        ));
    }
    let fixed = of(&Freedom::Fixed);
    if !fixed.is_empty() {
        paragraph(format!("These steps are those of {} only.", fixed.join(", ")));
    }
    text
}

fn indented(text: &str, levels: usize) -> String {
    let margin = "    ".repeat(levels);
    let lines = text.lines().map(|line| match line.is_empty() {
        true => String::new(),
        false => format!("{margin}{line}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}
