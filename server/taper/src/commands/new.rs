//! `taper new`: an architecture of the library as a file to edit.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use library::Architecture;
use syntax::{TextRange, ast};

use crate::files::ReadError;

#[derive(Args)]
pub struct Arguments {
    /// The architecture: `resnet34`, `LlamaForCausalLM`, or a config's `model_type` as `llama`.
    architecture: String,
    /// The file that is written; one that is there already is left alone.
    file: PathBuf,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let name = arguments.architecture.trim_start_matches(library::PREFIX);
    let found = library::find(name).or_else(|| library::of_type(name));
    let found = found.ok_or_else(|| ReadError::NoArchitecture(name.to_owned()))?;
    let folder = arguments.file.parent().unwrap_or(Path::new(""));
    let mut written = vec![arguments.file.clone()];
    write(&arguments.file, &text(found))?;
    for used in used_by(&found.file_path()) {
        let path = folder.join(used.path.rsplit('/').next().unwrap_or(used.path));
        write(&path, used.text)?;
        written.push(path);
    }
    let written: Vec<String> = written.iter().map(|path| path.display().to_string()).collect();
    let (model, name) = (found.model, found.name);
    anstream::println!("wrote {}: the library's {name}, as `{model}`", written.join(" and "));
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that is not there yet.
fn write(path: &Path, text: &str) -> Result<(), String> {
    let file = std::fs::File::create_new(path);
    let written = file.and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// The architecture's file, whose model has the architecture's values as its defaults.
fn text(architecture: &Architecture) -> String {
    let mut text = architecture.file().text.to_owned();
    let parse = syntax::parse(&text);
    let model = parse
        .file()
        .items()
        .find(|item| item.name().is_some_and(|name| name.text() == architecture.model));
    let parameters: Vec<ast::Parameter<'_>> =
        model.map_or_else(Vec::new, |model| model.parameters().collect());
    let mut edits: Vec<(TextRange, &str)> = Vec::new();
    for (name, value) in architecture.defaults {
        let named = |parameter: &&ast::Parameter<'_>| {
            parameter.path().is_some_and(|path| path.text() == *name)
        };
        let default = parameters.iter().find(named).and_then(|parameter| parameter.default());
        edits.extend(default.map(|default| (default.syntax().range(), *value)));
    }
    // From the end, so that places before stay as they are.
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start()));
    for (range, value) in edits {
        text.replace_range(std::ops::Range::<usize>::from(range), value);
    }
    text
}

/// The files of the library that a file of it uses, and those that these use.
fn used_by(path: &str) -> Vec<&'static library::File> {
    let mut workspace = analysis::Workspace::default();
    let Some(first) = library::file(path) else { return Vec::new() };
    workspace.insert(path, syntax::parse(first.text));
    let mut used = Vec::new();
    loop {
        let missing = workspace.missing();
        let found: Vec<_> = missing.iter().filter_map(|path| library::file(path)).collect();
        if found.is_empty() {
            return used;
        }
        for (path, file) in missing.iter().zip(&found) {
            workspace.insert(path, syntax::parse(file.text));
        }
        used.extend(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every architecture is a file that checks, with the parameters that the library says.
    #[test]
    fn every_architecture_is_a_file() {
        for architecture in library::architectures() {
            let count = |text: &str, set: &[(&str, &str)]| {
                let mut workspace = analysis::Workspace::default();
                let path = architecture.file_path();
                let file = workspace.insert(&path, syntax::parse(text));
                configs::load_used(&mut workspace, |_| None);
                let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string()));
                let options = analysis::Options { set: set.collect(), ..Default::default() };
                let analysis = analysis::analyse(&workspace, file, &options);
                analysis.model(architecture.model).map(|model| model.totals().params)
            };
            let ours = count(&text(architecture), &[]);
            let expected = count(architecture.file().text, architecture.defaults);
            assert_eq!(ours, expected, "{}", architecture.name);
        }
    }
}
