//! What is known at one point in the order of messages: documents, texts, settings, folders.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

use analysis::{NodeRef, Place};
use line_index::LineIndex;
use rustc_hash::FxHashMap;
use tower_lsp::lsp_types::{Location, SemanticTokens, Url};

use super::{
    capabilities::ClientCapabilities,
    convert::{Positions, key, uri},
    documents::{Around, Document, Known, snapshot},
    settings::Settings,
    sources::Sources,
    view::View,
};

/// The most files of a project that are looked at.
const MAX_FILES: usize = 10_000;

/// The last whole answer for each document.
pub type KnownTokens = Mutex<FxHashMap<Url, SemanticTokens>>;

/// An immutable state. Cheap to clone.
#[derive(Clone)]
pub struct World {
    pub client: Arc<ClientCapabilities>,
    pub documents: FxHashMap<Url, Arc<Document>>,
    pub sources: Arc<Sources>,
    pub settings: Arc<Settings>,
    pub bench: Arc<Known>,
    /// The colours that clients know.
    pub tokens: Arc<KnownTokens>,
    /// The folders of the project.
    pub folders: Vec<PathBuf>,
}

impl World {
    /// What documents depend on.
    pub fn around(&self) -> Around {
        Around {
            encoding: self.client.encoding,
            sources: self.sources.clone(),
            settings: self.settings.clone(),
            bench: self.bench.clone(),
        }
    }

    /// The paths of the project's Taper files, and of those that are open.
    pub fn taper_files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.sources.open_paths().map(str::to_owned).collect();
        for folder in &self.folders {
            let walk = ignore::WalkBuilder::new(folder).require_git(false).build();
            let entries = walk.filter_map(Result::ok).take(MAX_FILES);
            let paths = entries.filter(|entry| {
                entry.path().extension().is_some_and(|extension| extension == "taper")
            });
            files.extend(paths.map(|entry| crate::files::key(entry.path())));
        }
        files.sort();
        files.dedup();
        files
    }

    /// What is known of a file, open or not.
    pub fn with_snapshot<R>(
        &self,
        path: &str,
        read: impl FnOnce(&ide::Snapshot) -> R,
    ) -> Option<R> {
        let open = uri(path).and_then(|uri| self.documents.get(&uri));
        if let Some(document) = open.filter(|document| document.path == path) {
            return Some(read(document.snapshot()));
        }
        let source = self.sources.get(path)?;
        Some(read(&snapshot(path, &source, &self.sources, &self.settings)))
    }

    /// Visits every file of the project that knows a node's file and has a text in it, with the
    /// node as that file's snapshot calls it.
    pub fn for_each_user(
        &self,
        from: &ide::Snapshot,
        node: NodeRef,
        text: &str,
        mut visit: impl FnMut(&ide::Snapshot, NodeRef),
    ) {
        let path = from.workspace.path(node.file);
        for file in self.taper_files() {
            let has_text = self.sources.get(&file).is_some_and(|source| source.text.contains(text));
            if !has_text {
                continue;
            }
            self.with_snapshot(&file, |snapshot| {
                if let Some(own) = snapshot.workspace.find(path) {
                    visit(snapshot, NodeRef { file: own, node: node.node });
                }
            });
        }
    }

    /// What the client can open of a file that a workspace knows by a path.
    pub fn address(&self, path: &str) -> Option<Url> {
        match View::of_library(path) {
            Some(view) => view.address(self).ok(),
            None => uri(path),
        }
    }

    /// A place in a file of a workspace as the client counts.
    pub fn location(&self, workspace: &analysis::Workspace, place: Place) -> Option<Location> {
        let uri = self.address(workspace.path(place.file))?;
        if let Some(document) = self.documents.get(&uri) {
            return Some(Location { range: document.range(place.range), uri });
        }
        let text = workspace.parse(place.file).text();
        let lines = LineIndex::new(text);
        let positions = Positions { text, lines: &lines, encoding: self.client.encoding };
        Some(Location { uri, range: positions.range(place.range) })
    }

    /// The open document of an address.
    pub fn document(&self, uri: &Url) -> Option<&Arc<Document>> {
        self.documents.get(uri).or_else(|| {
            let path = key(uri);
            self.documents.values().find(|document| document.path == path)
        })
    }
}
