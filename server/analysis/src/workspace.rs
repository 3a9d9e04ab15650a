//! The files that an analysis may read: texts that somebody else has loaded.

use std::sync::Arc;

use checkpoint::Checkpoint;
use rustc_hash::FxHashMap;
use syntax::{NodeId, Parse, SyntaxNode, TextRange, ast};

/// A file of a [`Workspace`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(u32);

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Place {
    /// The file.
    pub file: FileId,
    /// The text in it.
    pub range: TextRange,
}

/// A node of a file's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeRef {
    /// The file.
    pub file: FileId,
    /// The node in its tree.
    pub node: NodeId,
}

/// Parsed files by their paths. Paths are plain texts with `/`; nothing is read here.
///
/// ```
/// let mut workspace = analysis::Workspace::default();
/// let blocks = workspace.insert("net/blocks.taper", syntax::parse("block A { ReLU }"));
/// let main = workspace.insert("net/main.taper", syntax::parse("use \"blocks.taper\""));
/// assert_eq!(workspace.resolve(main, "blocks.taper"), Some(blocks));
/// assert_eq!(workspace.missing(), Vec::<String>::new());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Workspace {
    files: Vec<(String, Parse)>,
    by_path: FxHashMap<String, FileId>,
    weights: FxHashMap<String, Result<Arc<Checkpoint>, String>>,
}

impl Workspace {
    /// Adds a file, or gives a known one another text.
    pub fn insert(&mut self, path: &str, parse: Parse) -> FileId {
        if let Some(id) = self.by_path.get(path) {
            self.files[id.0 as usize].1 = parse;
            return *id;
        }
        let id = FileId(self.files.len() as u32);
        self.files.push((path.to_owned(), parse));
        self.by_path.insert(path.to_owned(), id);
        id
    }

    /// Adds a checkpoint, or why it cannot be read.
    pub fn insert_weights(&mut self, path: &str, checkpoint: Result<Arc<Checkpoint>, String>) {
        self.weights.insert(path.to_owned(), checkpoint);
    }

    /// The checkpoint of a path, if somebody looked for it.
    pub fn weights(&self, path: &str) -> Option<Result<&Arc<Checkpoint>, &str>> {
        self.weights.get(path).map(|found| found.as_ref().map_err(String::as_str))
    }

    /// The paths of the checkpoints that somebody looked for.
    pub fn weights_paths(&self) -> impl Iterator<Item = &str> {
        self.weights.keys().map(String::as_str)
    }

    /// The checkpoints that models here name.
    pub fn wanted_weights(&self) -> Vec<String> {
        let lines = self.files().flat_map(|file| {
            let lines = self.parse(file).tree().nodes().filter_map(ast::Weights::cast);
            lines.filter_map(move |line| Some((file, line.file()?)))
        });
        lines.map(|(file, token)| self.path_from(file, unquote(token.text()))).collect()
    }

    /// The path of a file.
    pub fn path(&self, file: FileId) -> &str {
        &self.files[file.0 as usize].0
    }

    /// The parsed text of a file.
    pub fn parse(&self, file: FileId) -> &Parse {
        &self.files[file.0 as usize].1
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        (0..self.files.len() as u32).map(FileId)
    }

    /// The file of a path.
    pub fn find(&self, path: &str) -> Option<FileId> {
        self.by_path.get(path).copied()
    }

    /// A node of a file.
    pub fn node(&self, node: NodeRef) -> SyntaxNode<'_> {
        self.parse(node.file).tree().node(node.node)
    }

    /// Where a node stands.
    pub fn place(&self, node: NodeRef) -> Place {
        Place { file: node.file, range: self.node(node).range() }
    }

    /// The file that a `use` in another one names, if it is here.
    pub fn resolve(&self, from: FileId, relative: &str) -> Option<FileId> {
        self.find(&self.path_from(from, relative))
    }

    /// The path that a text in a file names.
    pub fn path_from(&self, from: FileId, relative: &str) -> String {
        join(self.path(from), relative)
    }

    /// The paths that files here use and that are not here.
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (path, parse) in &self.files {
            let used = parse.file().uses().filter_map(|item| item.path());
            for used in used.map(|token| join(path, unquote(token.text()))) {
                if !self.by_path.contains_key(&used) && !missing.contains(&used) {
                    missing.push(used);
                }
            }
        }
        missing
    }
}

/// The text between the quotes of a path.
pub(crate) fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// A path relative to the file `from`, without `.` and `..` as far as they can be resolved.
fn join(from: &str, relative: &str) -> String {
    let absolute = relative.starts_with('/');
    let mut parts: Vec<&str> = if absolute { Vec::new() } else { from.split('/').collect() };
    parts.pop();
    if absolute {
        parts.push("");
    }
    for part in relative.split('/').filter(|part| !part.is_empty()) {
        match part {
            "." => {}
            ".." if parts.last().is_some_and(|last| !last.is_empty() && *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::join;

    #[test]
    fn paths_are_relative_to_their_file() {
        assert_eq!(join("/a/b/main.taper", "blocks.taper"), "/a/b/blocks.taper");
        assert_eq!(join("/a/b/main.taper", "../c/./x.taper"), "/a/c/x.taper");
        assert_eq!(join("main.taper", "../x.taper"), "../x.taper");
        assert_eq!(join("a/main.taper", "/x.taper"), "/x.taper");
    }
}
