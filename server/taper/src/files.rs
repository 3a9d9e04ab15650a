//! Reading files, and those they use.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use analysis::{Configured, Diagnostic, FileId, Workspace};
use checkpoint::Checkpoint;

use configs::{ConfigFile, load_used};

/// The largest file that is read: nothing larger is parsed.
const MAX_FILE: u64 = 16 << 20;

/// Why a file cannot be read, in the user's words.
#[derive(Debug)]
pub enum ReadError {
    /// The system refused.
    Io(PathBuf, io::Error),
    /// It is larger than [`MAX_FILE`].
    TooLarge(PathBuf, u64),
    /// It is no text: the line and column of the first bad byte.
    NotUtf8(PathBuf, usize, usize),
    /// The library has no architecture of this name.
    NoArchitecture(String),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            ReadError::TooLarge(path, size) => {
                write!(f, "{} has {size} bytes; at most {MAX_FILE} are read", path.display())
            }
            ReadError::NotUtf8(path, line, column) => {
                write!(
                    f,
                    "{}:{line}:{column}: this byte is not UTF-8, so the file is no Taper text",
                    path.display()
                )
            }
            ReadError::NoArchitecture(name) => {
                let names = library::architectures().map(|found| found.name);
                let hint = match layers::nearest(name, names) {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None => "; docs/architectures.md lists all".to_owned(),
                };
                write!(f, "the library has no architecture `{name}`{hint}")
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// Reads a text; `-` is standard input.
pub fn read(path: &Path) -> Result<String, ReadError> {
    let bytes = match path.to_str() {
        Some("-") => {
            let mut bytes = Vec::new();
            io::Read::read_to_end(&mut io::stdin().lock(), &mut bytes)
                .map_err(|error| ReadError::Io(path.to_owned(), error))?;
            bytes
        }
        _ => read_bytes(path)?,
    };
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let line_start = valid.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&valid[line_start..]).chars().count() + 1;
        ReadError::NotUtf8(path.to_owned(), line, column)
    })
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, ReadError> {
    let refuse = |error| ReadError::Io(path.to_owned(), error);
    let size = std::fs::metadata(path).map_err(refuse)?.len();
    if size > MAX_FILE {
        return Err(ReadError::TooLarge(path.to_owned(), size));
    }
    std::fs::read(path).map_err(refuse)
}

/// A workspace with a file and all that it uses, as far as it can be read. What cannot be read is
/// reported at its `use`.
pub fn load(path: &Path) -> Result<(Workspace, FileId), ReadError> {
    let mut workspace = Workspace::default();
    let file = workspace.insert(&key(path), syntax::parse(&read(path)?));
    load_used(&mut workspace, |path| Some(syntax::parse(&read(Path::new(path)).ok()?)));
    Ok((workspace, file))
}

/// A file with a model, or a config of one.
pub struct Opened {
    pub workspace: Workspace,
    /// The file that has the model.
    pub file: FileId,
    /// The model of the config, if the file is one.
    pub configured: Option<Configured>,
    /// Where that model was found, as a user is told.
    pub source: Option<String>,
}

/// Opens a Taper file, a config with the model that it configures, or an architecture of the library
/// by its name or its `model_type`: `library:resnet50`, `library:llama`.
///
/// # Errors
/// If it cannot be read; a config whose model is not known gives its workspace and what is wrong.
pub fn open(
    path: &Path,
    architectures: &[PathBuf],
) -> Result<Result<Opened, (Workspace, Diagnostic)>, ReadError> {
    let architecture = path.to_str().and_then(|path| path.strip_prefix(library::PREFIX));
    if architecture.is_none() && !configs::is_config(path) {
        let (mut workspace, file) = load(path)?;
        load_weights(&mut workspace, None, read_weights);
        return Ok(Ok(Opened { workspace, file, configured: None, source: None }));
    }
    let (text, candidates) = match architecture {
        // A config that says no more than its architecture.
        Some(name) => {
            let found = library::find(name).or_else(|| library::of_type(name));
            let found = found.ok_or_else(|| ReadError::NoArchitecture(name.to_owned()))?;
            (configs::naming(found.name), configs::Candidates::default())
        }
        None => {
            let candidates = configs::Candidates {
                beside: taper_files_in(path.parent().unwrap_or(Path::new(""))),
                named: architectures.iter().map(|path| key(path)).collect(),
                weights: weights_beside(path),
            };
            (read(path)?, candidates)
        }
    };
    let config = configs::load(&key(path), &text, candidates, |path| {
        Some(syntax::parse(&read(Path::new(path)).ok()?))
    });
    let ConfigFile { mut workspace, model, .. } = config;
    let configured = model.as_ref().ok().map(|model| &model.configured);
    load_weights(&mut workspace, configured, read_weights);
    Ok(match model {
        Ok(model) => {
            let (name, from) = (&model.configured.model, &model.source);
            let source = match (&model.instead_of, model.architecture) {
                (Some(asked), _) => {
                    format!("`{asked}` is shown as `{name}`, the model of its type, from {from}")
                }
                (None, Some(variant)) if variant != name => {
                    format!("`{variant}`, a `{name}` from {from}")
                }
                _ => format!("`{name}` from {from}"),
            };
            let (configured, source) = (Some(model.configured), Some(source));
            Ok(Opened { workspace, file: model.file, configured, source })
        }
        Err(diagnostic) => Err((workspace, diagnostic)),
    })
}

/// The checkpoint that lies beside a config.
pub fn weights_beside(path: &Path) -> Option<String> {
    let folder = path.parent()?;
    Checkpoint::beside(folder).map(|path| key(&path))
}

/// Reads the checkpoints that models name.
pub fn load_weights(
    workspace: &mut Workspace,
    configured: Option<&Configured>,
    mut read: impl FnMut(&str) -> Result<Arc<Checkpoint>, String>,
) {
    let beside = configured.and_then(|configured| configured.weights.clone());
    for path in workspace.wanted_weights().into_iter().chain(beside) {
        let checkpoint = read(&path);
        workspace.insert_weights(&path, checkpoint);
    }
}

/// Reads the headers of a checkpoint; the message of an error does not name the file again.
pub fn read_weights(path: &str) -> Result<Arc<Checkpoint>, String> {
    Checkpoint::read(Path::new(path)).map(Arc::new).map_err(|error| error.to_string())
}

/// The Taper files of a folder, by name.
pub fn taper_files_in(folder: &Path) -> Vec<String> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut files: Vec<String> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "taper"))
        .map(|path| key(&path))
        .collect();
    files.sort();
    files
}

/// The path of a file as a workspace knows it: with `/` whatever the system writes.
pub fn key(path: &Path) -> String {
    path.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/")
}
