//! The model of a `config.json`, from the library.

use analysis::{Configured, ConfiguredArgument, FileId, Place, Workspace};
use checkpoint::config::Config;
use syntax::TextRange;

/// A workspace with the model's file, and the model with the config's arguments; none if the
/// library lacks the architecture.
pub fn load(text: &str) -> Option<(Workspace, FileId, Configured)> {
    let config = Config::parse(text).expect("a config");
    let name = config.architectures().next().expect("an architecture");
    let found = library::find(name)?;
    let mut workspace = Workspace::default();
    let text = workspace.insert("config.json", syntax::parse(""));
    let file = workspace.insert(&found.file_path(), syntax::parse(found.file().text));
    while let Some(path) = workspace.missing().first() {
        let used = library::file(path).expect("a file of the library");
        workspace.insert(path, syntax::parse(used.text));
    }
    let place = Place { file: text, range: TextRange::default() };
    let argument = |(name, value)| ConfiguredArgument { name, value, at: Some((place, place)) };
    let defaults = found.defaults.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let own = config.arguments().into_iter().map(|argument| (argument.name, argument.value));
    let configured = Configured {
        model: found.model.to_owned(),
        place,
        arguments: defaults.chain(own).map(argument).collect(),
        weights: None,
    };
    Some((workspace, file, configured))
}
