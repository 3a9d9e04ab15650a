//! `model.safetensors.index.json`: which shard has which tensor.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    fs::File,
    io::Read,
    path::{Component, Path},
};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use crate::{Checkpoint, Error, Format, Problem, safetensors};

/// The largest index that is read: the largest published ones have some ten megabytes.
const MAX_INDEX: u64 = 100_000_000;

/// The JSON of an index.
#[derive(Deserialize)]
struct Index<'i> {
    #[serde(default)]
    metadata: BTreeMap<String, serde_json::Value>,
    #[serde(borrow)]
    weight_map: WeightMap<'i>,
}

/// Names of tensors with the shards that are said to have them, by their numbers.
#[derive(Default)]
struct WeightMap<'i> {
    tensors: Vec<(Name<'i>, u32)>,
    files: Vec<Name<'i>>,
}

/// A text that is borrowed from the index where nothing in it is escaped.
#[derive(Deserialize)]
struct Name<'i>(#[serde(borrow)] Cow<'i, str>);

impl<'de: 'i, 'i> Deserialize<'de> for WeightMap<'i> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(WeightMapVisitor)
    }
}

struct WeightMapVisitor;

impl<'de> Visitor<'de> for WeightMapVisitor {
    type Value = WeightMap<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that gives each tensor its file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap<'de>, A::Error> {
        let mut found = WeightMap::default();
        let mut numbers: FxHashMap<String, u32> = FxHashMap::default();
        while let Some((tensor, file)) = map.next_entry::<Name<'de>, Name<'de>>()? {
            let number = match numbers.get(&*file.0) {
                Some(number) => *number,
                None => {
                    let number = found.files.len() as u32;
                    numbers.insert(file.0.to_string(), number);
                    found.files.push(file);
                    number
                }
            };
            found.tensors.push((tensor, number));
        }
        Ok(found)
    }
}

/// Reads an index and the headers of the shards beside it.
pub(crate) fn read(path: &Path) -> Result<Checkpoint, Error> {
    read_from(path, &text(path)?)
}

/// Reads an index that is held in memory, and the headers of the shards beside it.
pub(crate) fn read_from(path: &Path, text: &[u8]) -> Result<Checkpoint, Error> {
    let index = parse(path, text)?;
    let files = index.weight_map.files.iter();
    let mut files: Vec<String> = files.map(|file| file.0.to_string()).collect();
    files.sort_unstable();
    if let Some(file) = files.iter().find(|file| !is_plain(file)) {
        return Err(Error::new(path, format!("the shard `{file}` is not a file beside the index")));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    let shards = shards(folder, &files);
    let count = shards.iter().flatten().map(|shard| shard.tensors.len()).sum();
    let mut tensors = Vec::with_capacity(count);
    let mut problems = Vec::new();
    let mut broken = FxHashSet::default();
    for (number, shard) in shards.into_iter().enumerate() {
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
    serde_json::from_slice(text).map_err(|error| {
        // Only an index that is wrong is read again, to learn where.
        let mut json = serde_json::Deserializer::from_slice(text);
        let place = serde_path_to_error::deserialize::<_, Index<'_>>(&mut json).err();
        let place = place.map_or_else(String::new, |error| error.path().to_string());
        Error::new(path, format!("is no index of shards: at `{place}`: {error}"))
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
    // Each tensor with its shard, and whether the index names it.
    let mut holders: FxHashMap<&str, (&str, bool)> = FxHashMap::default();
    holders.reserve(found.tensors.len());
    for tensor in &found.tensors {
        let file = found.files[tensor.file as usize].as_str();
        let before = holders.insert(&tensor.name, (file, false));
        if let Some((other, _)) = before.filter(|(other, _)| *other != file) {
            report(file, Some(&tensor.name), format!("is in `{other}` too"));
        }
    }
    for (Name(tensor), file) in &index.weight_map.tensors {
        let file = &*index.weight_map.files[*file as usize].0;
        let Some((holder, is_named)) = holders.get_mut(&**tensor) else {
            if !broken.contains(file) {
                let message = format!("is said to be in `{file}` and is in no shard");
                report(name, Some(tensor), message);
            }
            continue;
        };
        *is_named = true;
        if *holder != file && !broken.contains(file) {
            let message = format!("is said to be in `{file}` and is in `{holder}`");
            report(name, Some(tensor), message);
        }
    }
    for (tensor, (file, _)) in holders.iter().filter(|(_, (_, is_named))| !is_named) {
        report(file, Some(tensor), format!("`{name}` does not name it"));
    }
    // They were found in no order.
    problems.sort_by(|left, right| (&left.file, &left.tensor).cmp(&(&right.file, &right.tensor)));
    let said = index.metadata.get("total_size").and_then(total);
    if let Some(said) = said.filter(|said| broken.is_empty() && *said != found.bytes()) {
        let message = format!("`total_size` says {said} bytes; the shards have {}", found.bytes());
        problems.push(Problem { file: name.to_owned(), tensor: None, message });
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
