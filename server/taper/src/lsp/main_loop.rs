//! One thread owns the documents and takes events in the order in which they came. Answers are
//! computed on a pool of threads, each from the state that its request met.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, mpsc},
};

use rustc_hash::FxHashMap;
use tower_lsp::{
    Client,
    lsp_types::{
        TextDocumentContentChangeEvent, TextDocumentItem, Url, VersionedTextDocumentIdentifier,
    },
};

use super::{
    capabilities::ClientCapabilities,
    convert::{Encoding, key},
    documents::{Document, OpenTexts, apply},
    requests,
    transport::Log,
};

/// How many answers are computed at once.
const THREADS: usize = 2;

/// Computes an answer from a document, if it is open.
pub type Job = Box<dyn FnOnce(Option<&Document>) + Send>;

/// What happens.
pub enum Event {
    Initialize(ClientCapabilities),
    Open(TextDocumentItem),
    Change(VersionedTextDocumentIdentifier, Vec<TextDocumentContentChangeEvent>),
    Close(Url),
    /// A file that a document uses may have changed on disk.
    FilesChanged,
    Request(Url, Job),
}

pub struct MainLoop {
    client: Client,
    log: Log,
    runtime: tokio::runtime::Handle,
    pool: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    capabilities: ClientCapabilities,
    documents: FxHashMap<Url, Arc<Document>>,
}

impl MainLoop {
    /// Starts the thread; it ends with the process.
    pub fn start(client: Client, log: Log) -> mpsc::Sender<Event> {
        let (events, receiver) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        std::thread::spawn(move || {
            let capabilities =
                ClientCapabilities { encoding: Encoding::Utf16, pulls_diagnostics: false };
            let (pool, documents) = (start_pool(&log), FxHashMap::default());
            let mut main_loop = MainLoop { client, log, runtime, pool, capabilities, documents };
            while let Ok(event) = receiver.recv() {
                main_loop.handle(event);
            }
        });
        events
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Initialize(capabilities) => self.capabilities = capabilities,
            Event::Open(item) => {
                let text = item.text.into();
                self.put(item.uri, item.version, text);
            }
            Event::Change(id, changes) => {
                let Some(document) = self.documents.get(&id.uri) else {
                    return self
                        .log
                        .line(format_args!("a change of {}, which is not open", id.uri));
                };
                let text = apply(&document.text, changes, self.capabilities.encoding).into();
                self.put(id.uri, id.version, text);
            }
            Event::Close(uri) => {
                self.documents.remove(&uri);
                self.refresh();
                self.push(uri, None, Vec::new());
            }
            Event::FilesChanged => self.refresh(),
            Event::Request(uri, job) => {
                let document = self.documents.get(&uri).cloned();
                self.spawn(move || job(document.as_deref()));
            }
        }
    }

    /// A document has a new text, which those that use it may see.
    fn put(&mut self, uri: Url, version: i32, text: Arc<str>) {
        let document = Document::new(
            uri.clone(),
            version,
            text,
            self.capabilities.encoding,
            OpenTexts::default(),
        );
        self.documents.insert(uri, Arc::new(document));
        self.refresh();
    }

    /// Gives every document a new state with the open texts as they are now.
    fn refresh(&mut self) {
        let texts =
            self.documents.values().map(|document| (key(&document.uri), document.text.clone()));
        let open: OpenTexts = Arc::new(texts.collect());
        for document in self.documents.values_mut() {
            let Document { uri, version, text, encoding, .. } = &**document;
            *document = Arc::new(Document::new(
                uri.clone(),
                *version,
                text.clone(),
                *encoding,
                open.clone(),
            ));
        }
        if !self.capabilities.pulls_diagnostics {
            self.push_all();
        }
    }

    /// Pushes the diagnostics of every document, unless it has changed again meanwhile.
    fn push_all(&self) {
        for document in self.documents.values().cloned() {
            let (client, runtime) = (self.client.clone(), self.runtime.clone());
            let latest = Arc::downgrade(&document);
            self.spawn(move || {
                // Only we hold it: a newer state has taken its place.
                if Arc::strong_count(&document) == 1 {
                    return;
                }
                let found = requests::all_diagnostics(&document);
                if latest.strong_count() > 1 {
                    let (uri, version) = (document.uri.clone(), document.version);
                    runtime.spawn(async move {
                        client.publish_diagnostics(uri, found, Some(version)).await
                    });
                }
            });
        }
    }

    fn push(&self, uri: Url, version: Option<i32>, found: Vec<tower_lsp::lsp_types::Diagnostic>) {
        let client = self.client.clone();
        self.runtime.spawn(async move { client.publish_diagnostics(uri, found, version).await });
    }

    fn spawn(&self, work: impl FnOnce() + Send + 'static) {
        let _ = self.pool.send(Box::new(work));
    }
}

/// Threads that compute answers. One that panics loses its answer and goes on.
fn start_pool(log: &Log) -> mpsc::Sender<Box<dyn FnOnce() + Send>> {
    let (sender, receiver) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..THREADS {
        let (receiver, log) = (receiver.clone(), log.clone());
        std::thread::spawn(move || {
            loop {
                let work = receiver.lock().ok().and_then(|receiver| receiver.recv().ok());
                let Some(work) = work else { return };
                if catch_unwind(AssertUnwindSafe(work)).is_err() {
                    log.line(format_args!("an answer panicked"));
                }
            }
        });
    }
    sender
}
