//! Texts by path: those of open documents before those on disk.

use std::{
    path::Path,
    sync::{Arc, Mutex, OnceLock},
    time::SystemTime,
};

use checkpoint::Checkpoint;
use rustc_hash::FxHashMap;
use syntax::Parse;

/// A text, parsed when first asked for.
pub struct Source {
    pub text: Arc<str>,
    parse: OnceLock<Parse>,
}

impl Source {
    pub fn new(text: impl Into<Arc<str>>) -> Source {
        Source { text: text.into(), parse: OnceLock::new() }
    }

    pub fn parse(&self) -> &Parse {
        self.parse.get_or_init(|| syntax::parse(&self.text))
    }
}

/// What a file on disk was when it was read.
struct OnDisk {
    stamp: Option<Stamp>,
    source: Option<Arc<Source>>,
}

/// When a file was last written, and its size; none if it is not there.
type Stamp = (SystemTime, u64);

/// The texts that documents may use.
#[derive(Clone, Default)]
pub struct Sources {
    open: FxHashMap<String, Arc<Source>>,
    /// Shared by all states: a file is read again when its stamp has changed.
    disk: Arc<Mutex<FxHashMap<String, OnDisk>>>,
    /// Headers of checkpoints, kept in the same way.
    weights: Arc<Mutex<KnownHeaders>>,
}

/// Headers by path, with what their files were when they were read.
type KnownHeaders = FxHashMap<String, (Stamps, Headers)>;

/// The headers of a checkpoint, or why they cannot be read.
type Headers = Result<Arc<Checkpoint>, String>;

impl Sources {
    pub fn put(&mut self, path: String, source: Arc<Source>) {
        self.open.insert(path, source);
    }

    pub fn remove(&mut self, path: &str) {
        self.open.remove(path);
    }

    /// The paths of open documents.
    pub fn open_paths(&self) -> impl Iterator<Item = &str> {
        self.open.keys().map(String::as_str)
    }

    /// The text of a path, if there is one that can be read.
    pub fn get(&self, path: &str) -> Option<Arc<Source>> {
        if let Some(source) = self.open.get(path) {
            return Some(source.clone());
        }
        let stamp = stamp(path);
        let mut disk = self.disk.lock().ok()?;
        let known = disk.get(path).filter(|known| known.stamp == stamp);
        if let Some(known) = known {
            return known.source.clone();
        }
        let text = stamp.and_then(|_| crate::files::read(Path::new(path)).ok());
        let source = text.map(|text| Arc::new(Source::new(text)));
        disk.insert(path.to_owned(), OnDisk { stamp, source: source.clone() });
        source
    }

    /// The headers of a checkpoint.
    pub fn weights(&self, path: &str) -> Headers {
        let known = self.weights.lock().ok().and_then(|known| known.get(path).cloned());
        if let Some((_, headers)) = known.filter(|(stamps, _)| stamps.are_current()) {
            return headers;
        }
        let own = Stamps::of([path.to_owned()]);
        let headers = crate::files::read_weights(path);
        let shards = headers.iter().flat_map(|headers| shards(path, headers));
        let stamps = own.and(Stamps::of(shards));
        if let Ok(mut known) = self.weights.lock() {
            known.insert(path.to_owned(), (stamps, headers.clone()));
        }
        headers
    }

    /// Whether a file on disk is another one than the one that was read.
    pub fn is_stale(&self, path: &str) -> bool {
        if self.open.contains_key(path) {
            return false;
        }
        let now = stamp(path);
        let text = self.disk.lock().ok().and_then(|known| Some(known.get(path)?.stamp != now));
        let weights = self.weights.lock().ok();
        let weights = weights.and_then(|known| Some(!known.get(path)?.0.are_current()));
        text.or(weights).unwrap_or(false)
    }
}

/// Files with what they were when they were read.
#[derive(Clone)]
pub struct Stamps(Vec<(String, Option<Stamp>)>);

impl Stamps {
    pub fn of(paths: impl IntoIterator<Item = String>) -> Stamps {
        Stamps(paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect())
    }

    fn and(mut self, other: Stamps) -> Stamps {
        for one in other.0 {
            if self.0.iter().all(|(path, _)| *path != one.0) {
                self.0.push(one);
            }
        }
        self
    }

    /// Whether the files are still those that were read.
    pub fn are_current(&self) -> bool {
        self.0.iter().all(|(path, known)| stamp(path) == *known)
    }
}

/// The files of a checkpoint's tensors.
pub fn shards(path: &str, checkpoint: &Checkpoint) -> impl Iterator<Item = String> {
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    checkpoint.files.iter().map(|file| crate::files::key(&folder.join(file)))
}

fn stamp(path: &str) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
