//! What happens: all that the main loop is told, in order.

use std::{path::PathBuf, sync::Arc};

use bench::Request;
use ide::Measurement;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tower_lsp::lsp_types::{
    TextDocumentContentChangeEvent, TextDocumentItem, Url, VersionedTextDocumentIdentifier,
};

use super::{capabilities::Initial, records::Record, view::View, world::World};

/// Computes an answer.
pub type Job = Box<dyn FnOnce(&World) + Send>;

/// What happens.
pub enum Event {
    Initialize(Box<Initial>),
    /// The client is ready to be asked.
    Initialized,
    Open(TextDocumentItem),
    Change(VersionedTextDocumentIdentifier, Vec<TextDocumentContentChangeEvent>),
    Close(Url),
    /// Files may have changed on disk.
    FilesChanged(Vec<Url>),
    /// Folders of the project came and went.
    Folders {
        added: Vec<PathBuf>,
        removed: Vec<PathBuf>,
    },
    /// The settings may have changed; a client that cannot be asked sends them.
    SettingsChanged(Value),
    Settings(Value),
    /// The server will end; told once its workers have.
    Shutdown(tokio::sync::oneshot::Sender<()>),
    /// A document that the server makes is to be shown.
    Show(View),
    /// What was measured earlier.
    Measurements(Vec<Arc<Measurement>>),
    /// The GPUs of this machine, or why there is none.
    Gpus(Result<Vec<String>, String>),
    /// Something is to be measured.
    Benchmark(BenchmarkParams),
    /// It is known what.
    Order(Box<Order>),
    CancelBenchmark(String),
    /// A benchmark has ended, with what is to be said of it.
    BenchmarkEnded {
        token: String,
        result: Option<Result<Box<Record>, String>>,
    },
    /// A request about a document, or about all.
    Request(Option<Url>, Job),
    /// A request for a document that the server makes.
    Read(View, Job),
}

/// What a client asks for with `taper.benchmark`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BenchmarkParams {
    /// The document.
    pub uri: Url,
    /// The model in it.
    pub model: String,
    /// The path of one layer or block.
    #[serde(default)]
    pub scope: Option<String>,
    /// `cpu`, `cuda:0`.
    pub device: String,
}

/// What a worker is to be asked, and what the answer will be about.
pub struct Order {
    pub document: String,
    /// What is measured, as a title.
    pub title: String,
    pub fingerprint: u64,
    pub layers: Vec<(String, u64)>,
    pub command: Vec<String>,
    pub request: Request,
}
