//! A log of messages.

use std::{
    io::Write,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tower_lsp::jsonrpc::{Id, Request};

/// How much of a message is logged.
const MAX_LOGGED: usize = 16_384;

/// A file that says what happens, for bug reports.
#[derive(Clone, Default)]
pub struct Log(Option<Arc<Mutex<std::fs::File>>>);

impl Log {
    pub fn open(path: Option<&Path>) -> std::io::Result<Log> {
        let file = path.map(std::fs::File::create).transpose()?;
        Ok(Log(file.map(|file| Arc::new(Mutex::new(file)))))
    }

    /// Writes a message that came, shortened.
    pub fn request(&self, request: &Request) {
        if self.0.is_none() {
            return;
        }
        let id = request.id().map_or(String::new(), Id::to_string);
        let params = request.params().map_or(String::new(), Value::to_string);
        let shown: String = params.chars().take(MAX_LOGGED).collect();
        self.line(format_args!("{} {id} {shown}", request.method()));
    }

    /// Writes a line; a log that cannot be written is no reason to stop.
    pub fn line(&self, line: std::fmt::Arguments<'_>) {
        if let Some(mut file) = self.0.as_ref().and_then(|file| file.lock().ok()) {
            let _ = writeln!(file, "{line}");
        }
    }
}
