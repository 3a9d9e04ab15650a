//! `taper`: a command line and a language server over the same analysis.

mod cache;
mod commands;
mod count;
mod files;
mod lsp;
mod report;
mod revision;
mod training;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};

/// Analysis makes many small objects and drops them soon, which this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What a layer costs, where the model is written.
#[derive(Parser)]
#[command(name = "taper", version = VERSION)]
struct Cli {
    /// When to write in colour.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    color: Color,
    #[command(subcommand)]
    command: Command,
}

/// The version and what it was built with, for bug reports.
#[cfg(feature = "cuda")]
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (cpu and cuda, commit ", env!("TAPER_COMMIT"), ")");
#[cfg(not(feature = "cuda"))]
const VERSION: &str =
    concat!(env!("CARGO_PKG_VERSION"), " (cpu, commit ", env!("TAPER_COMMIT"), ")");

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    /// Print a file as an editor shows it, with its inlay hints.
    Hints(commands::hints::Arguments),
    /// Print a table of the model: layers, outputs, parameters, MACs, FLOPs, shares.
    Summary(commands::summary::Arguments),
    /// Say why two tools give two numbers, or which of them gives a published one.
    Why(commands::why::Arguments),
    /// Say what a model costs at several sizes or settings.
    Sweep(commands::sweep::Arguments),
    /// Compare two models, layer by layer: files, settings, or a file with what it was in git.
    Diff(commands::diff::Arguments),
    /// Copy an architecture of the library to a file to edit.
    New(commands::new::Arguments),
    /// Turn a PyTorch module into a file to edit.
    Import(commands::import::Arguments),
    /// Write a model as source for another framework: PyTorch, or Candle in Rust.
    Export(commands::export::Arguments),
    /// Check files, and print what is wrong as rustc does.
    Check(commands::check::Arguments),
    /// Write files in the one layout.
    Fmt(commands::fmt::Arguments),
    /// Measure how long a model takes on a device, layer by layer.
    Bench(commands::bench::Arguments),
    /// Estimate how long a model takes at least, by a device's data sheet.
    Estimate(commands::estimate::Arguments),
    /// Say what a model needs of a device's memory, and what fits there.
    Fits(commands::fits::Arguments),
    /// Print what a checkpoint holds (safetensors, an index of shards, GGUF), or what a config's numbers mean.
    Inspect(commands::inspect::Arguments),
    /// Explain a diagnostic, such as T0103.
    Explain(commands::explain::Arguments),
    /// Run the language server on standard input and output.
    Lsp(lsp::Arguments),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let result = match cli.command {
        Command::Hints(arguments) => commands::hints::run(&arguments),
        Command::Summary(arguments) => commands::summary::run(&arguments),
        Command::Why(arguments) => commands::why::run(&arguments),
        Command::Sweep(arguments) => commands::sweep::run(&arguments),
        Command::Diff(arguments) => commands::diff::run(&arguments),
        Command::New(arguments) => commands::new::run(&arguments),
        Command::Import(arguments) => commands::import::run(&arguments),
        Command::Export(arguments) => commands::export::run(&arguments),
        Command::Check(arguments) => commands::check::run(&arguments),
        Command::Fmt(arguments) => commands::fmt::run(&arguments),
        Command::Bench(arguments) => commands::bench::run(&arguments),
        Command::Estimate(arguments) => commands::estimate::run(&arguments),
        Command::Fits(arguments) => commands::fits::run(&arguments),
        Command::Inspect(arguments) => commands::inspect::run(&arguments),
        Command::Explain(arguments) => commands::explain::run(&arguments),
        Command::Lsp(arguments) => return lsp::run(&arguments),
    };
    result.unwrap_or_else(|error| {
        anstream::eprintln!(
            "{}error:{} {error}",
            report::ERROR.render(),
            report::ERROR.render_reset()
        );
        ExitCode::from(2)
    })
}
