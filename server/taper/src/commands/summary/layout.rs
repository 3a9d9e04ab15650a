//! What the table shows: its lines, their order, and how many.

use analysis::Totals;
use clap::{Args, ValueEnum};

/// What the table shows.
#[derive(Args)]
pub struct Layout {
    /// What a line of the table is.
    #[arg(long, value_enum, default_value_t = By::Tree)]
    pub by: By,
    /// How deep the tree goes; `all` for every leaf.
    #[arg(long, default_value = "3", value_parser = parse_depth)]
    pub depth: usize,
    /// The largest first, by this column.
    #[arg(long, value_enum)]
    pub sort: Option<Sort>,
    /// How many lines are shown.
    #[arg(long)]
    pub top: Option<usize>,
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
    pub fn of(self, totals: &Totals) -> u128 {
        match self {
            Sort::Params => totals.params,
            Sort::Macs => totals.macs,
            Sort::Flops => totals.flops,
            Sort::Memory => totals.activation_bytes,
        }
    }
}

/// A depth, or `all`.
pub fn parse_depth(text: &str) -> Result<usize, String> {
    match text {
        "all" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| "a number or `all`".to_owned()),
    }
}
