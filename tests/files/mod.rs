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

/// The keys of a config with their values, those of nested objects with a dot between.
pub fn settings(config: &serde_json::Value) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, value) in config.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Object(_) => {
                let inner = self::settings(value).into_iter();
                settings.extend(inner.map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            serde_json::Value::String(text) => settings.push((name.clone(), text.clone())),
            other => settings.push((name.clone(), other.to_string())),
        }
    }
    settings
}
