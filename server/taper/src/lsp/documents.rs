//! Open documents. Each state of one is immutable; its analysis is made once, when first asked for.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use analysis::Workspace;
use checkpoint::Checkpoint;
use ide::{Display, Measurement};
use line_index::LineIndex;
use syntax::{TextRange, TextSize};
use tower_lsp::lsp_types::{Position, Range, TextDocumentContentChangeEvent, Url};

use super::{
    convert::{Encoding, Positions, key},
    settings::Settings,
    sources::{Source, Sources, Stamps, shards},
};

/// One state of a document, with the texts that it may use and the settings.
pub struct Document {
    pub uri: Url,
    pub path: String,
    pub version: i32,
    pub source: Arc<Source>,
    pub encoding: Encoding,
    /// Tells this state from every other.
    pub state: u64,
    /// The newest state of the same document; shared by all of them.
    latest: Arc<AtomicU64>,
    sources: Arc<Sources>,
    settings: Arc<Settings>,
    bench: Arc<Known>,
    lines: OnceLock<LineIndex>,
    snapshot: OnceLock<ide::Snapshot>,
    index: OnceLock<Index>,
}

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Taper,
    /// A `config.json`.
    Config,
    /// The index of a checkpoint's shards.
    Index,
}

/// A checkpoint as its index and shards were when it was read.
struct Index {
    checkpoint: Result<Checkpoint, String>,
    files: Stamps,
}

/// A text at one version.
pub struct Versioned {
    pub uri: Url,
    pub version: i32,
    pub source: Arc<Source>,
}

/// What the analysis of a text depends on beside it.
pub struct Around {
    pub encoding: Encoding,
    pub sources: Arc<Sources>,
    pub settings: Arc<Settings>,
    pub bench: Arc<Known>,
}

/// What is known of benchmarks.
#[derive(PartialEq)]
pub struct Known {
    pub measurements: Arc<Vec<Arc<Measurement>>>,
    /// The GPUs of this machine, or why there is none.
    pub gpus: Result<Vec<String>, String>,
}

impl Default for Known {
    fn default() -> Known {
        let reason = match bench::HAS_CUDA {
            true => "GPUs are still being looked for".to_owned(),
            false => bench::no_cuda().unwrap_or_default(),
        };
        Known { measurements: Arc::default(), gpus: Err(reason) }
    }
}

impl Known {
    /// With earlier measurements too, of what was not measured since.
    pub fn with(&self, earlier: Vec<Arc<Measurement>>) -> Known {
        let known = &self.measurements;
        let is_new = |one: &Arc<Measurement>| known.iter().all(|known| known.name != one.name);
        let earlier = earlier.into_iter().filter(is_new);
        let measurements = Arc::new(known.iter().cloned().chain(earlier).collect());
        Known { measurements, gpus: self.gpus.clone() }
    }
}

impl Document {
    pub fn new(item: Versioned, before: Option<&Document>, around: Around) -> Document {
        static STATES: AtomicU64 = AtomicU64::new(1);
        let state = STATES.fetch_add(1, Ordering::Relaxed);
        let latest = before.map_or_else(Arc::default, |before| before.latest.clone());
        latest.store(state, Ordering::SeqCst);
        let Versioned { uri, version, source } = item;
        let Around { encoding, sources, settings, bench } = around;
        let path = key(&uri);
        let (lines, snapshot, index) = Default::default();
        Document {
            uri,
            path,
            version,
            source,
            encoding,
            state,
            latest,
            sources,
            settings,
            bench,
            lines,
            snapshot,
            index,
        }
    }

    /// The same text with what is around it as it is now.
    pub fn renewed(&self, around: Around) -> Document {
        let Document { uri, version, source, .. } = self;
        let item = Versioned { uri: uri.clone(), version: *version, source: source.clone() };
        Document::new(item, Some(self), around)
    }

    /// Whether no newer state has taken its place, and the document is still open.
    pub fn is_latest(&self) -> bool {
        self.latest.load(Ordering::SeqCst) == self.state
    }

    /// The document is closed: nothing more is said of it.
    pub fn retire(&self) {
        self.latest.store(0, Ordering::SeqCst);
    }

    pub fn text(&self) -> &str {
        &self.source.text
    }

    /// What is known of it. Files that it uses are those of open documents, else those on disk.
    pub fn snapshot(&self) -> &ide::Snapshot {
        self.snapshot.get_or_init(|| {
            let devices = self.settings.bench.devices(&self.bench.gpus);
            let display = Display { devices, ..self.settings.display() };
            snapshot(&self.path, &self.source, &self.sources, &self.settings)
                .measured(self.bench.measurements.clone())
                .shown(display)
        })
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether what is known of it may depend on a file: it uses it, or nobody knows yet.
    pub fn may_use(&self, path: &str) -> bool {
        if self.kind() == Kind::Index {
            return path.ends_with(".safetensors") && self.is_beside(path);
        }
        let Some(snapshot) = self.snapshot.get() else { return true };
        self.path != path && (uses(&snapshot.workspace, path) || self.may_be_configured_by(path))
    }

    /// Whether a file may have the model of this config.
    fn may_be_configured_by(&self, path: &str) -> bool {
        let is_named = self.settings.architectures.iter().any(|named| named == path);
        self.kind() == Kind::Config
            && path.ends_with(".taper")
            && (is_named || self.is_beside(path))
    }

    fn is_beside(&self, path: &str) -> bool {
        Path::new(path).parent() == Path::new(&self.path).parent()
    }

    pub fn kind(&self) -> Kind {
        let path = Path::new(&self.path);
        match checkpoint::Format::of(path) {
            Some(checkpoint::Format::Index) => Kind::Index,
            _ if configs::is_config(path) => Kind::Config,
            _ => Kind::Taper,
        }
    }

    /// What the shards of an index hold, or why it is none; nothing of any other document.
    pub fn index(&self) -> Option<&Result<Checkpoint, String>> {
        let read = || {
            let read = Checkpoint::from_bytes(Path::new(&self.path), self.text().as_bytes());
            let files = read.iter().flat_map(|checkpoint| shards(&self.path, checkpoint));
            let files = Stamps::of(files);
            Index { checkpoint: read.map_err(|error| error.message), files }
        };
        (self.kind() == Kind::Index).then(|| &self.index.get_or_init(read).checkpoint)
    }

    /// Whether a file that it uses has changed on disk since it was read.
    pub fn is_stale(&self) -> bool {
        if let Some(index) = self.index.get() {
            return !index.files.are_current();
        }
        let Some(snapshot) = self.snapshot.get() else { return false };
        let known = snapshot.workspace.files().map(|file| snapshot.workspace.path(file).to_owned());
        let weights = snapshot.workspace.weights_paths().map(str::to_owned);
        let used = known.chain(snapshot.workspace.missing()).chain(weights);
        let mut used = used.filter(|path| *path != self.path);
        used.any(|path| self.sources.is_stale(&path))
    }

    pub fn positions(&self) -> Positions<'_> {
        let lines = self.lines.get_or_init(|| LineIndex::new(self.text()));
        Positions { text: self.text(), lines, encoding: self.encoding }
    }

    /// The offset of a position in the text that is parsed; a text that is too large is not.
    pub fn offset(&self, position: Position) -> TextSize {
        self.positions().offset(position).min(TextSize::of(self.source.parse().text()))
    }

    pub fn text_range(&self, range: Range) -> TextRange {
        let end = TextSize::of(self.source.parse().text());
        let range = self.positions().text_range(range);
        TextRange::new(range.start().min(end), range.end().min(end))
    }

    pub fn range(&self, range: TextRange) -> Range {
        self.positions().range(range)
    }
}

fn uses(workspace: &Workspace, path: &str) -> bool {
    workspace.find(path).is_some()
        || workspace.missing().iter().any(|missing| missing == path)
        || workspace.weights_paths().any(|weights| weights == path)
}

/// Analyses a text and those that it uses.
pub fn snapshot(
    path: &str,
    source: &Source,
    sources: &Sources,
    settings: &Settings,
) -> ide::Snapshot {
    if configs::is_config(Path::new(path)) {
        return config_snapshot(path, source, sources, settings);
    }
    let mut workspace = Workspace::default();
    let file = workspace.insert(path, source.parse().clone());
    configs::load_used(&mut workspace, |path| Some(sources.get(path)?.parse().clone()));
    crate::files::load_weights(&mut workspace, None, |path| sources.weights(path));
    ide::Snapshot::new(workspace, file, settings.options()).shown(settings.display())
}

/// Analyses the model of a config.
fn config_snapshot(
    path: &str,
    source: &Source,
    sources: &Sources,
    settings: &Settings,
) -> ide::Snapshot {
    let of_config = |workspace, text, model| {
        ide::Snapshot::of_config(workspace, text, model, settings.options())
            .shown(settings.display())
    };
    // Other JSON is none of our business.
    if !configs::says_its_model(&source.text) {
        let mut workspace = Workspace::default();
        let text = workspace.insert(path, syntax::parse(""));
        return of_config(workspace, text, Err(None));
    }
    let folder = Path::new(path).parent().unwrap_or(Path::new(""));
    let mut beside = crate::files::taper_files_in(folder);
    let open = sources.open_paths().filter(|open| open.ends_with(".taper"));
    beside.extend(open.filter(|open| Path::new(open).parent() == Some(folder)).map(str::to_owned));
    beside.sort();
    beside.dedup();
    let named = settings.architectures.clone();
    let weights = crate::files::weights_beside(Path::new(path));
    let candidates = configs::Candidates { beside, named, weights };
    let read = |path: &str| Some(sources.get(path)?.parse().clone());
    let mut config = configs::load(path, &source.text, candidates, read);
    let configured = config.model.as_ref().ok().map(|model| &model.configured);
    crate::files::load_weights(&mut config.workspace, configured, |path| sources.weights(path));
    let model = config.model.map(|model| (model.file, model.configured)).map_err(Some);
    of_config(config.workspace, config.text, model)
}

/// Applies changes to a text, one after the other as the protocol says.
pub fn apply(
    text: &str,
    changes: Vec<TextDocumentContentChangeEvent>,
    encoding: Encoding,
) -> String {
    let mut text = text.to_owned();
    for change in changes {
        match change.range {
            None => text = change.text,
            Some(range) => {
                let lines = LineIndex::new(&text);
                let range = Positions { text: &text, lines: &lines, encoding }.text_range(range);
                text.replace_range(std::ops::Range::<usize>::from(range), &change.text);
            }
        }
    }
    text
}
