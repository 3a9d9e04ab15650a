//! The language server: the only part that knows the protocol.
//!
//! Messages go the same way: [`transport`] reads them, [`backend`] turns each into an event on one
//! channel, [`main_loop`] owns the documents and applies events in the order in which they came,
//! and [`requests`] answers from an immutable snapshot on a pool of threads.

mod backend;
mod benchmarks;
mod capabilities;
mod client_watch;
mod convert;
mod documents;
mod event;
mod log;
mod main_loop;
mod pages;
mod records;
mod requests;
mod settings;
mod sources;
mod transport;
mod view;
mod views;
mod world;

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

/// What editors pass to every language server.
#[derive(Args)]
pub struct Arguments {
    /// Speak on standard input and output, as the server always does.
    #[arg(long)]
    stdio: bool,
    /// Write what happens to a file, for bug reports.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// End when this process has ended.
    #[arg(long = "clientProcessId", value_name = "PID")]
    client_process_id: Option<i32>,
}

/// The allocator would take memory in pages of 2 MiB, of which a server with a few documents uses
/// little. They make nothing faster here.
fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let _ = arguments.stdio;
    keep_pages_small();
    match transport::serve(arguments.log.as_deref(), arguments.client_process_id) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
