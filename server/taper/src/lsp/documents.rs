//! Open documents. Each state of one is immutable; its analysis is made once, when first asked for.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use analysis::Workspace;
use line_index::LineIndex;
use rustc_hash::FxHashMap;
use tower_lsp::lsp_types::{TextDocumentContentChangeEvent, Url};

use super::convert::{Encoding, Positions, key};

/// The texts of open documents, by path.
pub type OpenTexts = Arc<FxHashMap<String, Arc<str>>>;

/// One state of a document, and of those that were open with it.
pub struct Document {
    pub uri: Url,
    pub version: i32,
    pub text: Arc<str>,
    pub encoding: Encoding,
    open: OpenTexts,
    lines: OnceLock<LineIndex>,
    snapshot: OnceLock<ide::Snapshot>,
}

impl Document {
    pub fn new(
        uri: Url,
        version: i32,
        text: Arc<str>,
        encoding: Encoding,
        open: OpenTexts,
    ) -> Document {
        let (lines, snapshot) = Default::default();
        Document { uri, version, text, encoding, open, lines, snapshot }
    }

    /// What is known of it. Files that it uses are those of open documents, else those on disk.
    pub fn snapshot(&self) -> &ide::Snapshot {
        self.snapshot.get_or_init(|| {
            let mut workspace = Workspace::default();
            let file = workspace.insert(&key(&self.uri), syntax::parse(&self.text));
            crate::files::load_used(&mut workspace, |path| match self.open.get(path) {
                Some(text) => Some(text.to_string()),
                None => crate::files::read(Path::new(path)).ok(),
            });
            ide::Snapshot::new(workspace, file, analysis::Options::default())
        })
    }

    pub fn positions(&self) -> Positions<'_> {
        let lines = self.lines.get_or_init(|| LineIndex::new(&self.text));
        Positions { text: &self.text, lines, encoding: self.encoding }
    }
}

/// Applies changes to a text, one after the other as the protocol says.
pub fn apply(
    text: &str,
    changes: Vec<TextDocumentContentChangeEvent>,
    encoding: Encoding,
) -> String {
    let mut text = text.to_owned();
    for change in changes {
        match change.range {
            None => text = change.text,
            Some(range) => {
                let lines = LineIndex::new(&text);
                let range = Positions { text: &text, lines: &lines, encoding }.text_range(range);
                text.replace_range(std::ops::Range::<usize>::from(range), &change.text);
            }
        }
    }
    text
}
