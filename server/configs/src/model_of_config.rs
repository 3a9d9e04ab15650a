//! The model of a config.

use std::{fmt, ops::Range, path::Path};

use analysis::{Code, Configured, ConfiguredArgument, Diagnostic, FileId, Place, Workspace};
use checkpoint::config::Config;
use syntax::{Parse, TextRange, TextSize};

use crate::used::load_used;

/// A config, and the model that it configures.
pub struct ConfigFile {
    /// The config, and the file that has the model with those that it uses.
    pub workspace: Workspace,
    /// The text of the config.
    pub text: FileId,
    /// The model, or why there is none.
    pub model: Result<ConfiguredModel, Diagnostic>,
}

/// The model of a config.
pub struct ConfiguredModel {
    /// The file that has it.
    pub file: FileId,
    /// Its name and arguments, with their places in the config.
    pub configured: Configured,
    /// Where it was found.
    pub source: Source,
    /// The architecture of the library that it is.
    pub architecture: Option<&'static str>,
    /// The architecture that the config names, where another one of its type is shown.
    pub instead_of: Option<String>,
}

/// Where a model was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file beside the config, or one that the user names.
    File(String),
    /// A file of the library.
    Library(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => f.write_str(path),
            Source::Library(path) => write!(f, "the library's {path}"),
        }
    }
}

/// Where the model of a config may be.
#[derive(Default)]
pub struct Candidates {
    /// The `.taper` files beside the config.
    pub beside: Vec<String>,
    /// Those that the user names.
    pub named: Vec<String>,
    /// The checkpoint beside the config.
    pub weights: Option<String>,
}

/// Whether a text says at all that it configures a model: JSON is used for much else.
pub fn says_its_model(text: &str) -> bool {
    text.contains("\"architectures\"") || text.contains("\"model_type\"")
}

/// A config that says no more than its architecture.
pub fn naming(architecture: &str) -> String {
    serde_json::json!({ "architectures": [architecture] }).to_string()
}

/// Whether a path is that of a config: a JSON file that is no index of shards.
pub fn is_config(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".json") && !name.ends_with(".index.json")
}

/// Reads a config and finds its model.
pub fn load(
    path: &str,
    text: &str,
    candidates: Candidates,
    mut read: impl FnMut(&str) -> Option<Parse>,
) -> ConfigFile {
    let mut workspace = Workspace::default();
    // Only the text of this file is looked at, to show places in it.
    let file = workspace.insert(path, syntax::parse(text));
    let model = find(&mut workspace, file, text, candidates, &mut read);
    load_used(&mut workspace, read);
    ConfigFile { workspace, text: file, model }
}

fn find(
    workspace: &mut Workspace,
    text: FileId,
    json: &str,
    candidates: Candidates,
    read: &mut dyn FnMut(&str) -> Option<Parse>,
) -> Result<ConfiguredModel, Diagnostic> {
    let place = |range: &Range<usize>| Place { file: text, range: text_range(range) };
    let config = Config::parse(json)
        .map_err(|error| Diagnostic::new(Code::NoConfig, place(&error.place), error.message))?;
    let names_it = config.key("architectures").or_else(|| config.key("model_type"));
    let says =
        names_it.map_or(Place { file: text, range: TextRange::default() }, |key| place(&key.place));
    let name = config.architectures().next();
    let arguments = config.arguments().into_iter().map(|argument| ConfiguredArgument {
        at: Some((place(&argument.key.name), place(&argument.key.place))),
        name: argument.name,
        value: argument.value,
    });
    if let Some(name) = name {
        for paths in [candidates.beside, candidates.named] {
            let Some((path, parse)) = of_files(name, paths, says, read)? else { continue };
            let file = workspace.insert(&path, parse);
            let configured = Configured {
                model: name.to_owned(),
                place: says,
                arguments: arguments.collect(),
                weights: candidates.weights,
            };
            let source = Source::File(path);
            return Ok(ConfiguredModel {
                file,
                configured,
                source,
                architecture: None,
                instead_of: None,
            });
        }
    }
    let exact = name.and_then(library::find);
    let of_type = || library::of_type(config.text("model_type")?);
    let Some(found) = exact.or_else(of_type) else {
        return Err(Diagnostic::new(Code::UnknownArchitecture, says, unknown(&config)));
    };
    let file = workspace.insert(&found.file_path(), syntax::parse(found.file().text));
    let defaults = found.defaults.iter().map(|(name, value)| ConfiguredArgument {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
        at: None,
    });
    let configured = Configured {
        model: found.model.to_owned(),
        place: says,
        arguments: defaults.chain(arguments).collect(),
        weights: candidates.weights,
    };
    let source = Source::Library(found.file().path);
    let instead_of = name.filter(|_| exact.is_none()).map(str::to_owned);
    let architecture = Some(found.name);
    Ok(ConfiguredModel { file, configured, source, architecture, instead_of })
}

/// The one file of several that has a model of a name.
fn of_files(
    name: &str,
    paths: Vec<String>,
    says: Place,
    read: &mut dyn FnMut(&str) -> Option<Parse>,
) -> Result<Option<(String, Parse)>, Diagnostic> {
    let has = |parse: &Parse| {
        let mut models = parse.file().items().filter(|item| item.is_model());
        models.any(|item| item.name().is_some_and(|found| found.text() == name))
    };
    let parsed = paths.into_iter().filter_map(|path| Some((read(&path)?, path)));
    let mut found: Vec<(String, Parse)> =
        parsed.filter(|(parse, _)| has(parse)).map(|(parse, path)| (path, parse)).collect();
    if found.len() > 1 {
        let paths: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
        let message = format!("`{name}` is a model of several files: {}", paths.join(", "));
        return Err(Diagnostic::new(Code::UnknownArchitecture, says, message));
    }
    Ok(found.pop())
}

fn unknown(config: &Config) -> String {
    let Some(name) = config.architectures().next().or_else(|| config.text("model_type")) else {
        return "nothing here says which model this configures: `architectures` or `model_type`"
            .to_owned();
    };
    let names = library::architectures().map(|found| found.name);
    let hint = match layers::nearest(name, names) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!(
            "; write `model {name}(…)` in a `.taper` file beside this one, with the config's keys as its parameters"
        ),
    };
    format!("no model is called `{name}`{hint}")
}

fn text_range(range: &Range<usize>) -> TextRange {
    // A config has at most 1 MiB.
    let size = |at: usize| TextSize::try_from(at).unwrap_or_default();
    TextRange::new(size(range.start), size(range.end.max(range.start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA: &str = r#"{"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2}"#;
    const OWN: &str = "model LlamaForCausalLM(num_hidden_layers = 1) { input x: f32[N = 1, 8]; Linear(num_hidden_layers) }";

    fn found(json: &str, files: &[(&str, &str)]) -> Result<(String, Option<String>), String> {
        let candidates = Candidates {
            beside: files.iter().map(|(path, _)| (*path).to_owned()).collect(),
            named: Vec::new(),
            weights: None,
        };
        let read = |path: &str| {
            let (_, text) = files.iter().find(|(known, _)| *known == path)?;
            Some(syntax::parse(text))
        };
        match load("config.json", json, candidates, read).model {
            Ok(model) => Ok((model.source.to_string(), model.instead_of)),
            Err(diagnostic) => Err(diagnostic.message),
        }
    }

    #[test]
    fn a_file_beside_wins_over_the_library() {
        let library = "the library's huggingface/llama.taper".to_owned();
        assert_eq!(found(LLAMA, &[]), Ok((library.clone(), None)));
        assert_eq!(found(LLAMA, &[("own.taper", OWN)]), Ok(("own.taper".to_owned(), None)));
        assert_eq!(found(LLAMA, &[("other.taper", "model Other { }")]), Ok((library, None)));
        assert_eq!(
            found(LLAMA, &[("a.taper", OWN), ("b.taper", OWN)]),
            Err("`LlamaForCausalLM` is a model of several files: a.taper, b.taper".to_owned())
        );
    }

    #[test]
    fn the_type_is_enough() {
        let json = r#"{"architectures": ["LlamaForTokenClassification"], "model_type": "llama"}"#;
        let (_, instead_of) = found(json, &[]).expect("the type is known");
        assert_eq!(instead_of.as_deref(), Some("LlamaForTokenClassification"));
        assert_eq!(
            found(r#"{"architectures": ["LlamaForCausalLm"]}"#, &[]),
            Err("no model is called `LlamaForCausalLm`; did you mean `LlamaForCausalLM`?"
                .to_owned())
        );
        assert_eq!(
            found("{}", &[]),
            Err("nothing here says which model this configures: `architectures` or `model_type`"
                .to_owned())
        );
    }
}
