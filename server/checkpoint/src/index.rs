//! `model.safetensors.index.json`: which shard has which tensor.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Component, Path},
};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::{Checkpoint, Error, Format, Problem, safetensors};

/// The largest index that is read: the largest published ones have some ten megabytes.
const MAX_INDEX: u64 = 100_000_000;

/// The JSON of an index.
#[derive(Deserialize)]
struct Index<'i> {
    #[serde(default)]
    metadata: BTreeMap<String, serde_json::Value>,
    #[serde(borrow)]
    weight_map: BTreeMap<Cow<'i, str>, Cow<'i, str>>,
}

/// Reads an index and the headers of the shards beside it.
pub(crate) fn read(path: &Path) -> Result<Checkpoint, Error> {
    let text = text(path)?;
    let index = parse(path, &text)?;
    let files: Vec<String> = index
        .weight_map
        .values()
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|file| file.to_string())
        .collect();
    if let Some(file) = files.iter().find(|file| !is_plain(file)) {
        return Err(Error::new(path, format!("the shard `{file}` is not a file beside the index")));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut tensors = Vec::new();
    let mut problems = Vec::new();
    let mut broken = FxHashSet::default();
    for (number, shard) in shards(folder, &files).into_iter().enumerate() {
        match shard {
            Ok(mut shard) => {
                shard.tensors.iter_mut().for_each(|tensor| tensor.file = number as u32);
                tensors.append(&mut shard.tensors);
                problems.append(&mut shard.problems);
            }
            Err(error) => {
                broken.insert(files[number].clone());
                let file = files[number].clone();
                problems.push(Problem { file, tensor: None, message: error.message });
            }
        }
    }
    let metadata = index
        .metadata
        .iter()
        .map(|(name, value)| {
            (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    let mut checkpoint = Checkpoint { format: Format::Index, tensors, files, metadata, problems };
    let name =
        path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let found = compare(&name, &index, &checkpoint, &broken);
    checkpoint.problems.extend(found);
    Ok(checkpoint)
}

fn text(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |error| Error::io(path, &error);
    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    if size > MAX_INDEX {
        return Err(Error::new(
            path,
            format!("has {size} bytes; an index of at most {MAX_INDEX} is read"),
        ));
    }
    let mut text = Vec::with_capacity(size as usize);
    file.read_to_end(&mut text).map_err(io)?;
    Ok(text)
}

fn parse<'t>(path: &Path, text: &'t [u8]) -> Result<Index<'t>, Error> {
    let mut json = serde_json::Deserializer::from_slice(text);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = error.path().to_string();
        Error::new(path, format!("is no index of shards: at `{place}`: {}", error.inner()))
    })
}

/// A name of a file, and no way to another folder.
fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
}

/// Reads the headers of all shards, several at once.
fn shards(folder: &Path, files: &[String]) -> Vec<Result<Checkpoint, Error>> {
    let threads =
        std::thread::available_parallelism().map_or(1, usize::from).min(files.len()).max(1);
    let each = files.len().div_ceil(threads).max(1);
    let read = |files: &[String]| -> Vec<Result<Checkpoint, Error>> {
        files.iter().map(|file| safetensors::read(&folder.join(file))).collect()
    };
    std::thread::scope(|scope| {
        let readers: Vec<_> =
            files.chunks(each).map(|files| scope.spawn(move || read(files))).collect();
        let joined = readers.into_iter().zip(files.chunks(each)).map(|(reader, files)| {
            reader.join().unwrap_or_else(|_| {
                files
                    .iter()
                    .map(|file| Err(Error::new(&folder.join(file), "cannot be read")))
                    .collect()
            })
        });
        joined.flatten().collect()
    })
}

/// Each tensor must be in the shard that the index names, and in no other.
fn compare(
    name: &str,
    index: &Index<'_>,
    found: &Checkpoint,
    broken: &FxHashSet<String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut report = |file: &str, tensor: Option<&str>, message: String| {
        let (file, tensor) = (file.to_owned(), tensor.map(str::to_owned));
        problems.push(Problem { file, tensor, message });
    };
    let mut holders: FxHashMap<&str, &str> = FxHashMap::default();
    for tensor in &found.tensors {
        let file = found.files[tensor.file as usize].as_str();
        if let Some(other) = holders.insert(&tensor.name, file).filter(|other| *other != file) {
            report(file, Some(&tensor.name), format!("is in `{other}` too"));
        }
        if !index.weight_map.contains_key(tensor.name.as_str()) {
            report(file, Some(&tensor.name), format!("`{name}` does not name it"));
        }
    }
    for (tensor, file) in &index.weight_map {
        match holders.get(&**tensor) {
            _ if broken.contains(&**file) => {}
            Some(holder) if *holder == &**file => {}
            Some(holder) => report(
                name,
                Some(tensor),
                format!("is said to be in `{file}` and is in `{holder}`"),
            ),
            None => {
                report(name, Some(tensor), format!("is said to be in `{file}` and is in no shard"))
            }
        }
    }
    let said = index.metadata.get("total_size").and_then(total);
    if let Some(said) = said.filter(|said| broken.is_empty() && *said != found.bytes()) {
        report(
            name,
            None,
            format!("`total_size` says {said} bytes; the shards have {}", found.bytes()),
        );
    }
    problems
}

/// Some tools write the size as a float or as a text.
fn total(value: &serde_json::Value) -> Option<u128> {
    let number = || value.as_f64().filter(|size| *size >= 0.0 && size.fract() == 0.0);
    value
        .as_u64()
        .map(u128::from)
        .or_else(|| value.as_str()?.parse().ok())
        .or_else(|| number().map(|size| size as u128))
}
