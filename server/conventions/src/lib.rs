//! How other tools count: tables over the kinds of layers, bug for bug, a file for each tool.
//!
//! A tool sees the calls that it hooks or patches and nothing else. What it does not see it skips without a word; here that has no
//! row, which is not a row that gives 0. To add one, write a file like `torchinfo.rs`, add it to [`all`] and to
//! `tests/counters`, which asks the tool itself. This crate knows layers and their types, no model and no text.

mod call;
mod convention;
mod kinds;

mod attention;
mod einsum_path;
mod factors;
mod recurrent;
mod rule;
mod windows;

mod calflops;
mod deepspeed;
mod fvcore;
mod ptflops;
mod thop;
mod torch;
mod torchinfo;
mod torchstat;

pub use call::Call;
pub use convention::{Convention, Parameters, Sum};

/// All conventions, in the order in which they are listed.
pub fn all() -> impl Iterator<Item = &'static Convention> {
    thop::CONVENTIONS
        .iter()
        .chain(&ptflops::CONVENTIONS)
        .chain([&fvcore::CONVENTION])
        .chain(&torch::CONVENTIONS)
        .chain([&torchinfo::CONVENTION, &calflops::CONVENTION, &deepspeed::CONVENTION])
        .chain(&torchstat::CONVENTIONS)
}
