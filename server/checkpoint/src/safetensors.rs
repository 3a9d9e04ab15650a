//! The header of a safetensors file.
//!
//! The `safetensors` crate refuses a whole file for one type that it does not know and takes the
//! last of two tensors of one name, so the header is read here, and what is wrong is told with the
//! tensor's name. Format: <https://github.com/huggingface/safetensors#format>.

use std::{borrow::Cow, fmt, fs::File, io::Read, path::Path};

use rustc_hash::FxHashSet;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};

use crate::{Checkpoint, Dtype, Error, Format, Problem, Shape, Tensor, contents::MAX_DIMS};

/// The largest header that the format allows.
const MAX_HEADER: u64 = 100_000_000;

/// Reads the header of a file.
pub(crate) fn read(path: &Path) -> Result<Checkpoint, Error> {
    let io = |error| Error::io(path, &error);
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    read_from(path, file, size)
}

/// Reads the header at the beginning of a file of a size.
pub(crate) fn read_from(path: &Path, mut file: impl Read, size: u64) -> Result<Checkpoint, Error> {
    let io = |error| Error::io(path, &error);
    let mut length = [0; 8];
    if size < length.len() as u64 {
        let message = format!(
            "has {size} bytes; a safetensors file begins with 8 for the length of its header"
        );
        return Err(Error::new(path, message));
    }
    file.read_exact(&mut length).map_err(io)?;
    let length = u64::from_le_bytes(length);
    let rest = size - 8;
    if length > rest {
        let message = format!(
            "its first 8 bytes say that the header has {length} bytes; after them come {rest}: the file is cut short, or no safetensors file"
        );
        return Err(Error::new(path, message));
    }
    if length > MAX_HEADER {
        let message = format!("the header has {length} bytes; the format allows {MAX_HEADER}");
        return Err(Error::new(path, message));
    }
    // At most the file's size, and at most `MAX_HEADER`.
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(io)?;
    parse(path, &header, rest - length)
}

/// Reads a header whose data has so many bytes.
fn parse(path: &Path, header: &[u8], data: u64) -> Result<Checkpoint, Error> {
    let parsed: Header = serde_json::from_slice(header).map_err(|error| {
        // Only a header that is wrong is read again, to learn where.
        let mut json = serde_json::Deserializer::from_slice(header);
        let place = serde_path_to_error::deserialize::<_, Header>(&mut json).err();
        let place = place.map(|error| error.path().to_string()).filter(|place| place != ".");
        Error::new(
            path,
            match place {
                Some(place) => format!("the header is wrong at `{place}`: {error}"),
                None => format!("the header is wrong: {error}"),
            },
        )
    })?;
    let file =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut checker = Checker { file: &file, data, problems: Vec::new() };
    let mut entries = parsed.tensors;
    checker.check_names(&entries);
    entries.sort_by_key(|(_, entry)| entry.data_offsets);
    checker.check_places(&entries);
    let tensors = entries.into_iter().map(|(name, entry)| checker.tensor(name, entry)).collect();
    let problems = checker.problems;
    let metadata = parsed.metadata;
    Ok(Checkpoint { format: Format::Safetensors, tensors, files: vec![file], metadata, problems })
}

/// The JSON of a header, in its order and with what is given twice.
#[derive(Default)]
struct Header {
    tensors: Vec<(String, Entry)>,
    metadata: Vec<(String, String)>,
}

/// What the header says of one tensor.
#[derive(Deserialize)]
struct Entry {
    #[serde(deserialize_with = "dtype")]
    dtype: Dtype,
    #[serde(deserialize_with = "shape")]
    shape: Shape,
    /// Where it begins and ends in the data.
    data_offsets: (u64, u64),
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

/// Names of types repeat, so they are not kept.
fn dtype<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Dtype, D::Error> {
    let name: Cow<'de, str> = Cow::deserialize(deserializer)?;
    Ok(Dtype::safetensors(&name))
}

/// Two bytes of a header can state a size that takes eight, so only so many are taken as a tensor
/// can have.
fn shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Shape, D::Error> {
    struct Sizes;

    impl<'de> Visitor<'de> for Sizes {
        type Value = Shape;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MAX_DIMS} sizes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Shape, A::Error> {
            let mut shape = Shape::new();
            while let Some(size) = list.next_element()? {
                if shape.len() == MAX_DIMS {
                    return Err(A::Error::invalid_length(MAX_DIMS + 1, &self));
                }
                shape.push(size);
            }
            Ok(shape)
        }
    }

    deserializer.deserialize_seq(Sizes)
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that describes tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
        let mut header = Header::default();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "__metadata__" if !header.metadata.is_empty() => {
                    return Err(A::Error::custom("`__metadata__` is given twice"));
                }
                "__metadata__" => {
                    let metadata: std::collections::BTreeMap<String, String> = map.next_value()?;
                    header.metadata = metadata.into_iter().collect();
                }
                _ => header.tensors.push((name, map.next_value()?)),
            }
        }
        Ok(header)
    }
}

/// Looks for what is wrong with tensors.
struct Checker<'f> {
    file: &'f str,
    /// Bytes after the header.
    data: u64,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn report(&mut self, tensor: Option<&str>, message: String) {
        let tensor = tensor.map(str::to_owned);
        self.problems.push(Problem { file: self.file.to_owned(), tensor, message });
    }

    fn check_names(&mut self, entries: &[(String, Entry)]) {
        let mut seen = FxHashSet::default();
        seen.reserve(entries.len());
        for (name, _) in entries {
            if !seen.insert(name.as_str()) {
                self.report(Some(name), "two tensors have this name".to_owned());
            }
        }
    }

    /// Tensors, sorted by their places, lie one after the other and fill the data.
    fn check_places(&mut self, entries: &[(String, Entry)]) {
        let (mut end, mut before) = (0, None);
        for (name, Entry { data_offsets: (from, to), .. }) in entries {
            if to < from {
                self.report(
                    Some(name),
                    format!("its data ends at byte {to}, before it begins at {from}"),
                );
                continue;
            }
            if *to > self.data {
                let data = self.data;
                self.report(
                    Some(name),
                    format!("its data ends at byte {to}; the file has {data} bytes of data"),
                );
            }
            match before {
                Some(before) if *from < end => {
                    self.report(Some(name), format!("its data overlaps that of `{before}`"));
                }
                _ if *from > end => {
                    self.report(
                        Some(name),
                        format!("{} bytes before its data belong to no tensor", from - end),
                    );
                }
                _ => {}
            }
            (end, before) = (end.max(*to), Some(name.as_str()));
        }
        if end < self.data {
            self.report(None, format!("the last {} bytes belong to no tensor", self.data - end));
        }
    }

    /// A tensor, whose bytes must be those of its shape.
    fn tensor(&mut self, name: String, entry: Entry) -> Tensor {
        let (from, to) = entry.data_offsets;
        let tensor = Tensor {
            name,
            dtype: entry.dtype,
            shape: entry.shape,
            bytes: to.saturating_sub(from),
            file: 0,
        };
        let (name, dtype, bytes) = (&tensor.name, &tensor.dtype, tensor.bytes);
        match tensor.numel() {
            None => self.report(
                Some(name),
                format!("a shape of {:?} has more elements than 2^64", &tensor.shape[..]),
            ),
            Some(_) if !dtype.is_known() => {
                self.report(
                    Some(name),
                    format!("the type `{dtype}` is not known, so its size is not checked"),
                );
            }
            Some(numel) => match dtype.bytes(numel) {
                Some(wanted) if wanted == bytes => {}
                Some(wanted) => self.report(
                    Some(name),
                    format!(
                        "{dtype} of shape {:?} is {wanted} bytes; its data has {bytes}",
                        &tensor.shape[..]
                    ),
                ),
                None => self.report(
                    Some(name),
                    format!("{numel} elements of {dtype} do not fill whole bytes"),
                ),
            },
        }
        tensor
    }
}
