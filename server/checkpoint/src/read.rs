//! Reading a checkpoint, by its name.

use std::path::Path;

use crate::{
    contents::{Checkpoint, Format},
    error::Error,
    gguf, index, safetensors,
};

impl Checkpoint {
    /// Reads the headers of a checkpoint.
    ///
    /// # Errors
    /// If the file cannot be read, or is none that is known.
    pub fn read(path: &Path) -> Result<Checkpoint, Error> {
        match Format::of(path) {
            Some(Format::Safetensors) => safetensors::read(path),
            Some(Format::Index) => index::read(path),
            Some(Format::Gguf) => gguf::read(path),
            None => Err(Error::none(path)),
        }
    }

    /// Reads a checkpoint of which a file is held in memory; shards are looked for beside `path`.
    ///
    /// # Errors
    /// As those of [`Checkpoint::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Checkpoint, Error> {
        let size = bytes.len() as u64;
        match Format::of(path) {
            Some(Format::Safetensors) => safetensors::read_from(path, bytes, size),
            Some(Format::Index) => index::read_from(path, bytes),
            Some(Format::Gguf) => gguf::read_from(path, bytes, size),
            None => Err(Error::none(path)),
        }
    }
}
