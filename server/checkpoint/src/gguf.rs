//! The header of a GGUF file.
//!
//! Candle's reader refuses a file for one type that it does not know, and panics at an alignment of
//! 0; this one reads what can be read. Format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
};

use crate::{Checkpoint, Dtype, Error, Format, Problem, Shape, Tensor, contents::MAX_DIMS};

/// Where the data begins unless the file says otherwise.
const DEFAULT_ALIGNMENT: u64 = 32;

/// How deep arrays may hold arrays.
const MAX_NESTING: usize = 8;

/// The longest text that is kept of a value; licences and templates are longer.
const MAX_SHOWN: usize = 200;

/// Reads the header of a file.
pub(crate) fn read(path: &Path) -> Result<Checkpoint, Error> {
    let file = File::open(path).map_err(|error| Error::io(path, &error))?;
    let size = file.metadata().map_err(|error| Error::io(path, &error))?.len();
    read_from(path, BufReader::with_capacity(1 << 16, file), size)
}

/// Reads a header from the first bytes of a file of a size.
pub(crate) fn read_from(path: &Path, input: impl Read, size: u64) -> Result<Checkpoint, Error> {
    let mut reader = Reader { path, input, at: 0, size, version: 0 };
    let (count, pairs) = reader.start()?;
    let mut metadata = Vec::new();
    let mut alignment = None;
    for _ in 0..pairs {
        let key = reader.text("a key of the metadata")?;
        let kind = reader.number::<4>(&key)? as u32;
        let value = reader.value(&key, kind, 0)?;
        if key == "general.alignment" {
            alignment = value.parse().ok();
        }
        metadata.push((key, value));
    }
    let name =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut problems = Vec::new();
    let mut placed = Vec::new();
    for _ in 0..count {
        placed.push(reader.tensor()?);
    }
    let alignment = alignment.unwrap_or(DEFAULT_ALIGNMENT);
    if alignment == 0 {
        let message = "`general.alignment` is 0, so nothing says where the data begins";
        problems.push(Problem { file: name.clone(), tensor: None, message: message.to_owned() });
    }
    let start = reader.at.checked_next_multiple_of(alignment.max(1)).unwrap_or(u64::MAX);
    let data = size.saturating_sub(start);
    let mut seen = rustc_hash::FxHashSet::default();
    for (tensor, offset) in &placed {
        let mut report = |message: String| {
            let tensor = Some(tensor.name.clone());
            problems.push(Problem { file: name.clone(), tensor, message });
        };
        if !seen.insert(tensor.name.as_str()) {
            report("two tensors have this name".to_owned());
        }
        if !tensor.dtype.is_known() {
            report(format!("the {} is not known, so its size is not", tensor.dtype));
        } else if tensor.numel().and_then(|numel| tensor.dtype.bytes(numel)).is_none() {
            report(format!(
                "a shape of {:?} does not fill blocks of {}",
                &tensor.shape[..],
                tensor.dtype
            ));
        }
        // A file of which only the header is there is no mistake: that is how headers are shared.
        let end = offset.checked_add(tensor.bytes);
        if data > 0 && end.is_none_or(|end| end > data) {
            report(format!("its data ends after the file, which has {data} bytes of data"));
        }
    }
    let tensors = placed.into_iter().map(|(tensor, _)| tensor).collect();
    Ok(Checkpoint { format: Format::Gguf, tensors, files: vec![name], metadata, problems })
}

struct Reader<'p, R> {
    path: &'p Path,
    input: R,
    /// How many bytes were read.
    at: u64,
    size: u64,
    version: u32,
}

impl<R: Read> Reader<'_, R> {
    fn wrong(&self, message: impl Into<String>) -> Error {
        Error::new(self.path, message)
    }

    /// The beginning; gives the numbers of tensors and of pairs of metadata.
    fn start(&mut self) -> Result<(u64, u64), Error> {
        if self.size < 4 || self.bytes::<4>("the mark")? != *b"GGUF" {
            return Err(self.wrong("does not begin with `GGUF`, so it is no GGUF file"));
        }
        self.version = self.number::<4>("the version")? as u32;
        match self.version {
            1..=3 => {}
            version if version.swap_bytes() <= 3 => {
                return Err(self.wrong("is written for big-endian machines, which is not read"));
            }
            version => {
                return Err(
                    self.wrong(format!("has version {version} of the format; 1 to 3 are read"))
                );
            }
        }
        Ok((self.count("the number of tensors")?, self.count("the number of metadata pairs")?))
    }

    /// A count, which has 4 bytes in version 1 and 8 since.
    fn count(&mut self, what: &str) -> Result<u64, Error> {
        if self.version == 1 { self.number::<4>(what) } else { self.number::<8>(what) }
    }

    fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8], what: &str) -> Result<(), Error> {
        self.input.read_exact(bytes).map_err(|_| self.cut_short(what))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn cut_short(&self, what: &str) -> Error {
        self.wrong(format!("ends in the header, at byte {}, within {what}", self.at))
    }

    /// A number of N bytes.
    fn number<const N: usize>(&mut self, what: &str) -> Result<u64, Error> {
        let bytes = self.bytes::<N>(what)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A text; one that cannot be in the file is not made room for.
    fn text(&mut self, what: &str) -> Result<String, Error> {
        let length = self.count(what)?;
        if length > self.size.saturating_sub(self.at) {
            return Err(self.cut_short(what));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes, what)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn skip(&mut self, length: u64, what: &str) -> Result<(), Error> {
        let skipped = std::io::copy(&mut self.input.by_ref().take(length), &mut std::io::sink());
        if skipped.ok() != Some(length) {
            return Err(self.cut_short(what));
        }
        self.at += length;
        Ok(())
    }

    /// A value of metadata as it is shown.
    fn value(&mut self, key: &str, kind: u32, depth: usize) -> Result<String, Error> {
        Ok(match kind {
            0 => self.number::<1>(key)?.to_string(),
            1 => (self.number::<1>(key)? as u8 as i8).to_string(),
            2 => self.number::<2>(key)?.to_string(),
            3 => (self.number::<2>(key)? as u16 as i16).to_string(),
            4 => self.number::<4>(key)?.to_string(),
            5 => (self.number::<4>(key)? as u32 as i32).to_string(),
            6 => f32::from_le_bytes(self.bytes(key)?).to_string(),
            7 => (self.number::<1>(key)? != 0).to_string(),
            8 => shortened(self.text(key)?),
            9 => self.array(key, depth)?,
            10 => self.number::<8>(key)?.to_string(),
            11 => (self.number::<8>(key)? as i64).to_string(),
            12 => f64::from_le_bytes(self.bytes(key)?).to_string(),
            kind => {
                let message =
                    format!("`{key}` has a value of type {kind}, which the format does not know");
                return Err(self.wrong(message));
            }
        })
    }

    /// An array: what is in it is passed over, as a vocabulary has 100,000 texts.
    fn array(&mut self, key: &str, depth: usize) -> Result<String, Error> {
        let kind = self.number::<4>(key)? as u32;
        let count = self.count(key)?;
        // Each item has a byte at least.
        if count > self.size.saturating_sub(self.at) {
            return Err(self.cut_short(key));
        }
        if depth >= MAX_NESTING {
            return Err(self
                .wrong(format!("`{key}` has arrays within arrays more than {MAX_NESTING} deep")));
        }
        let width = match kind {
            0 | 1 | 7 => Some(1),
            2 | 3 => Some(2),
            4..=6 => Some(4),
            10..=12 => Some(8),
            _ => None,
        };
        match (width, kind) {
            (Some(width), _) => self.skip(count.saturating_mul(width), key)?,
            (None, 8) => {
                for _ in 0..count {
                    let length = self.count(key)?;
                    self.skip(length, key)?;
                }
            }
            _ => {
                for _ in 0..count {
                    self.value(key, kind, depth + 1)?;
                }
            }
        }
        Ok(format!("{count} values"))
    }

    /// A tensor, and where its data begins.
    fn tensor(&mut self) -> Result<(Tensor, u64), Error> {
        let name = self.text("the name of a tensor")?;
        let dims = self.number::<4>(&name)? as u32;
        if dims as usize > MAX_DIMS {
            return Err(self.wrong(format!("`{name}` has {dims} dimensions")));
        }
        let mut shape = Shape::new();
        for _ in 0..dims {
            shape.push(self.count(&name)?);
        }
        // The fastest dimension comes first in the file, and last in PyTorch.
        shape.reverse();
        let dtype = Dtype::ggml(self.number::<4>(&name)? as u32);
        let offset = self.number::<8>(&name)?;
        let mut tensor = Tensor { name, dtype, shape, bytes: 0, file: 0 };
        let bytes = tensor.numel().and_then(|numel| tensor.dtype.bytes(numel));
        tensor.bytes = bytes.unwrap_or(0);
        Ok((tensor, offset))
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
