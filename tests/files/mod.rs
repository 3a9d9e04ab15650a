//! A model's file and those that it uses, by paths from the root of the project.

use std::path::{Path, PathBuf};

use analysis::{FileId, Workspace};

/// The root of the project.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Reads a file and all that it uses.
pub fn load(path: &str) -> (Workspace, FileId) {
    let read = |path: &str| {
        let text = std::fs::read_to_string(root().join(path));
        text.unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let mut workspace = Workspace::default();
    let file = workspace.insert(path, syntax::parse(&read(path)));
    loop {
        let missing = workspace.missing();
        if missing.is_empty() {
            return (workspace, file);
        }
        for path in missing {
            workspace.insert(&path, syntax::parse(&read(&path)));
        }
    }
}
