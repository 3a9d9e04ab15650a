//! Why a checkpoint cannot be read, and what is wrong with one that can.

use serde::Serialize;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, in the user's words.
    pub message: String,
}

impl Error {
    pub(crate) fn new(file: &Path, message: impl Into<String>) -> Error {
        Error { file: file.to_owned(), message: message.into() }
    }

    pub(crate) fn none(file: &Path) -> Error {
        Error::new(
            file,
            "this is no checkpoint: those that are read end in `.safetensors`, `.safetensors.index.json` or `.gguf`",
        )
    }

    pub(crate) fn io(file: &Path, error: &std::io::Error) -> Error {
        Error::new(file, format!("cannot be read: {error}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file.display(), self.message)
    }
}

impl std::error::Error for Error {}

/// What is wrong with a checkpoint that can be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file, without its folder.
    pub file: String,
    /// The tensor that it is about, if it is about one.
    pub tensor: Option<String>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tensor {
            Some(tensor) => write!(f, "{}: `{tensor}`: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}
