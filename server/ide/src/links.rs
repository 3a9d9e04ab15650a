//! Links: the files that a text names.

use analysis::FileId;
use syntax::{Kind, TextRange, ast};

use crate::Snapshot;

/// The name of a file in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The path between the quotes.
    pub range: TextRange,
    /// The path of the file, as the workspace would know it.
    pub path: String,
}

/// The files that `use` and `weights` name.
pub fn links(snapshot: &Snapshot) -> Vec<Link> {
    let tree = snapshot.parse().tree();
    let lines = tree.nodes().filter(|node| matches!(node.kind(), Kind::Use | Kind::Weights));
    let links = lines.filter_map(|line| {
        let token = line.token(Kind::String)?;
        let written = token.text().strip_prefix('"')?.strip_suffix('"')?;
        let path = snapshot.workspace.path_from(snapshot.file(), written);
        let inner = token.range().len().checked_sub(2.into())?;
        let range = TextRange::at(token.range().start() + syntax::TextSize::new(1), inner);
        Some(Link { range, path })
    });
    links.collect()
}

/// The file that a `use` names, if it could be read.
pub(crate) fn file_of(snapshot: &Snapshot, from: FileId, use_: ast::Use<'_>) -> Option<FileId> {
    let written = use_.path()?.text().strip_prefix('"')?.strip_suffix('"')?;
    snapshot.workspace.resolve(from, written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    #[test]
    fn files_that_are_used() {
        let snapshot = snapshot(
            "//- net/main.taper\nuse \"../blocks.taper\"\nmodel M { input x: f32[1]; ReLU; weights \"m.safetensors\" }",
        );
        let paths: Vec<String> = links(&snapshot).into_iter().map(|link| link.path).collect();
        assert_eq!(paths, ["blocks.taper", "net/m.safetensors"]);
    }
}
