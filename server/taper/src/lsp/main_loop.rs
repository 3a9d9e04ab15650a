//! One thread owns the documents and takes events in the order in which they came. Answers are
//! computed on a pool of threads, each from the state that its request met.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::Duration,
};

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::Value;
use tower_lsp::{
    Client,
    lsp_types::{self as lsp, MessageType, Url},
};

use ide::Measurement;

use super::{
    benchmarks::{Benchmarks, Speaker},
    capabilities::{self},
    convert::key,
    documents::{Document, Known, Versioned, apply},
    event::{BenchmarkParams, Event, Job, Order},
    log::Log,
    records::{self, Record},
    requests,
    settings::Settings,
    sources::Source,
    view::View,
    views::{ContentRefresh, ContentRefreshParams},
    world::World,
};
use crate::worker;

/// How many answers are computed at once.
const THREADS: usize = 2;

/// How long changes are gathered before a client is asked to ask again.
const REFRESH_DELAY: Duration = Duration::from_millis(200);

pub struct MainLoop {
    client: Client,
    log: Log,
    runtime: tokio::runtime::Handle,
    events: mpsc::Sender<Event>,
    pool: mpsc::Sender<Box<dyn FnOnce() + Send>>,
    /// The client will be asked to ask again.
    refreshes: Arc<AtomicBool>,
    /// It will be asked to read the server's documents again.
    view_refreshes: Arc<AtomicBool>,
    /// The documents of the server that it has read.
    read_views: Arc<Mutex<FxHashSet<Url>>>,
    benchmarks: Benchmarks,
    /// The settings that came with `initialize`; those that come later lie over them.
    options: Value,
    /// What was said to be wrong in the settings.
    said: FxHashSet<String>,
    world: World,
}

impl MainLoop {
    /// Starts the thread; it ends with the process.
    pub fn start(client: Client, log: Log) -> mpsc::Sender<Event> {
        let (events, receiver) = mpsc::channel();
        let runtime = tokio::runtime::Handle::current();
        let sender = events.clone();
        std::thread::spawn(move || {
            let world = World {
                client: Arc::default(),
                documents: FxHashMap::default(),
                sources: Arc::default(),
                settings: Arc::default(),
                bench: Arc::default(),
                tokens: Arc::default(),
                folders: Vec::new(),
            };
            let pool = start_pool(&log);
            let (refreshes, view_refreshes, read_views, options, said) = Default::default();
            let events = sender;
            let benchmarks = Benchmarks::new(events.clone());
            let mut main_loop = MainLoop {
                client,
                log,
                runtime,
                events,
                pool,
                refreshes,
                view_refreshes,
                read_views,
                benchmarks,
                options,
                said,
                world,
            };
            while let Ok(event) = receiver.recv() {
                let handled = catch_unwind(AssertUnwindSafe(|| main_loop.handle(event)));
                if handled.is_err() {
                    main_loop.log.line(format_args!("an event panicked"));
                }
            }
        });
        events
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Initialize(initial) => {
                self.world.client = Arc::new(initial.client);
                self.world.folders = initial.folders;
                self.options = initial.options;
                self.set(&Value::Null);
            }
            Event::Initialized => {
                self.register();
                self.pull_settings();
                self.look_for_measurements();
            }
            Event::Open(item) => self.put(item.uri, item.version, item.text.into()),
            Event::Change(id, changes) => {
                let Some(document) = self.world.documents.get(&id.uri) else {
                    return self
                        .log
                        .line(format_args!("a change of {}, which is not open", id.uri));
                };
                let text = apply(document.text(), changes, document.encoding).into();
                self.put(id.uri, id.version, text);
            }
            Event::Close(uri) => self.close(&uri),
            Event::FilesChanged(uris) => {
                let paths: Vec<String> = uris.iter().map(key).collect();
                self.renew(|document| paths.iter().any(|path| document.may_use(path)));
                self.refresh_views();
            }
            Event::Folders { added, removed } => {
                self.world.folders.retain(|folder| !removed.contains(folder));
                self.world.folders.extend(added);
            }
            Event::SettingsChanged(value) => match self.world.client.configuration {
                true => self.pull_settings(),
                false => self.set(&value),
            },
            Event::Settings(value) => self.set(&value),
            Event::Shutdown(done) => {
                self.benchmarks.stop();
                let _ = done.send(());
            }
            Event::Show(view) => self.show(view),
            Event::Measurements(earlier) => self.know(self.world.bench.with(earlier)),
            Event::Gpus(gpus) => {
                let measurements = self.world.bench.measurements.clone();
                self.know(Known { measurements, gpus });
            }
            Event::Benchmark(params) => self.benchmark(params),
            Event::Order(order) => self.benchmarks.order(*order, self.speaker()),
            Event::CancelBenchmark(token) => self.benchmarks.cancel(&token),
            Event::BenchmarkEnded { token, result } => self.benchmark_ended(&token, result),
            Event::Request(uri, job) => {
                if let Some(uri) = uri {
                    self.check_disk(&uri);
                }
                self.answer(job);
            }
            Event::Read(view, job) => {
                self.remember_read(&view);
                self.answer(job);
            }
        }
    }

    fn answer(&self, job: Job) {
        let world = self.world.clone();
        self.spawn(move || job(&world));
    }

    /// The client shows a document of the server; those of the library never change.
    fn remember_read(&self, view: &View) {
        let changes = !matches!(view, View::Library { .. });
        if let (true, Some(uri), Ok(mut read)) = (changes, view.uri(), self.read_views.lock()) {
            read.insert(uri);
        }
    }

    /// A document has a new text, which those that use it see.
    fn put(&mut self, uri: Url, version: i32, text: Arc<str>) {
        let source = Arc::new(Source::new(text));
        Arc::make_mut(&mut self.world.sources).put(key(&uri), source.clone());
        let item = Versioned { uri: uri.clone(), version, source };
        let before = self.world.documents.get(&uri);
        let document = Document::new(item, before.map(Arc::as_ref), self.world.around());
        let document = Arc::new(document);
        let path = document.path.clone();
        self.world.documents.insert(uri.clone(), document.clone());
        self.push(document);
        self.renew(|other| other.uri != uri && other.may_use(&path));
        self.refresh_views();
    }

    fn close(&mut self, uri: &Url) {
        if let Some(document) = self.world.documents.remove(uri) {
            document.retire();
        }
        if let Ok(mut known) = self.world.tokens.lock() {
            known.remove(uri);
        }
        let path = key(uri);
        Arc::make_mut(&mut self.world.sources).remove(&path);
        if !self.world.client.pulls_diagnostics {
            let (client, uri) = (self.client.clone(), uri.clone());
            self.ask(async move { client.publish_diagnostics(uri, Vec::new(), None).await });
        }
        self.renew(|other| other.may_use(&path));
        self.refresh_views();
    }

    /// Gives some documents a new state, with the texts and settings as they are now.
    fn renew(&mut self, changed: impl Fn(&Document) -> bool) {
        let mut renewed = Vec::new();
        let old: Vec<_> =
            self.world.documents.values().filter(|one| changed(one)).cloned().collect();
        for document in old {
            let document = Arc::new(document.renewed(self.world.around()));
            self.world.documents.insert(document.uri.clone(), document.clone());
            renewed.push(document);
        }
        if !renewed.is_empty() {
            renewed.into_iter().for_each(|document| self.push(document));
            self.refresh();
        }
    }

    /// A client that cannot watch files: those that a document uses are looked at when it is asked
    /// about.
    fn check_disk(&mut self, uri: &Url) {
        let is_stale = !self.world.client.watches_files
            && self.world.documents.get(uri).is_some_and(|document| document.is_stale());
        if is_stale {
            self.renew(|document| document.uri == *uri);
            self.refresh_views();
        }
    }

    /// Takes settings, and says which of them are wrong.
    fn set(&mut self, value: &Value) {
        let (settings, wrong) = Settings::read(&self.options, value);
        for message in wrong {
            if !self.said.insert(message.clone()) {
                continue;
            }
            self.log.line(format_args!("{message}"));
            let client = self.client.clone();
            self.ask(async move { client.show_message(MessageType::WARNING, message).await });
        }
        if *self.world.settings != settings {
            self.world.settings = Arc::new(settings);
            self.renew(|_| true);
            self.refresh_views();
        }
    }

    /// Asks the client to show a document that the server makes.
    fn show(&self, view: View) {
        let (client, runtime, world) =
            (self.client.clone(), self.runtime.clone(), self.world.clone());
        self.spawn(move || {
            let (address, is_external) = (view.address(&world), view.is_external());
            runtime.spawn(async move {
                match address {
                    Ok(uri) => {
                        let show = lsp::ShowDocumentParams {
                            uri,
                            external: Some(is_external),
                            take_focus: Some(true),
                            selection: None,
                        };
                        let _ = client.show_document(show).await;
                    }
                    Err(message) => client.show_message(MessageType::ERROR, message).await,
                }
            });
        });
    }

    /// Reads earlier measurements and looks for GPUs, which nobody waits for.
    fn look_for_measurements(&self) {
        let events = self.events.clone();
        std::thread::spawn(move || {
            let _ = events.send(Event::Measurements(records::load()));
            if bench::HAS_CUDA {
                let _ = events.send(Event::Gpus(worker::gpus()));
            }
        });
    }

    fn know(&mut self, known: Known) {
        if *self.world.bench != known {
            self.world.bench = Arc::new(known);
            self.renew(|_| true);
        }
    }

    fn speaker(&self) -> Speaker {
        Speaker {
            client: self.client.clone(),
            runtime: self.runtime.clone(),
            shows_progress: self.world.client.shows_progress,
        }
    }

    /// Finds out what exactly is to be measured.
    fn benchmark(&self, params: BenchmarkParams) {
        let (events, speaker, world) = (self.events.clone(), self.speaker(), self.world.clone());
        self.spawn(move || {
            let own = &world.settings.bench.command;
            let command = match own.is_empty() {
                true => worker::own_command().map_err(|no| no.message),
                false => Ok(own.clone()),
            };
            let document = world.document(&params.uri).ok_or_else(|| "it is not open".to_owned());
            let order = document
                .and_then(|document| Order::new(document, &params, command?))
                .map_err(|reason| format!("{} cannot be measured: {reason}", params.model));
            match order {
                Ok(order) => drop(events.send(Event::Order(Box::new(order)))),
                Err(message) => speaker.say(MessageType::ERROR, message),
            }
        });
    }

    fn benchmark_ended(&mut self, token: &str, result: Option<Result<Box<Record>, String>>) {
        self.benchmarks.ended(token);
        match result {
            None => {}
            Some(Err(message)) => self.speaker().say(MessageType::ERROR, message),
            Some(Ok(record)) => {
                if let Err(message) = self.keep(&record) {
                    self.speaker().say(MessageType::WARNING, message);
                    return;
                }
                // An editor that shows nothing of it by itself says it in words.
                let refreshes = self.world.client.refreshes;
                if !refreshes.inlay_hints && !refreshes.code_lenses {
                    let Measurement { device, throughput, whole, model, .. } = record.measurement();
                    let time = ide::duration(whole.seconds);
                    let message = format!("{model} on {device}: {time}, {throughput}");
                    self.speaker().say(MessageType::INFO, message);
                }
            }
        }
    }

    /// A new measurement takes the place of the one before, unless it is invalid and that one is not.
    fn keep(&mut self, record: &Record) -> Result<(), String> {
        let new = Arc::new(record.measurement());
        let known = &self.world.bench;
        let mut measurements = known.measurements.to_vec();
        match measurements.iter_mut().find(|one| one.name == new.name) {
            Some(old) if new.is_invalid && !old.is_invalid => {
                let what = record.what();
                let reasons = record.measured.invalid.join(", ");
                return Err(format!(
                    "{what} was not measured well, so the time before stays: {reasons}"
                ));
            }
            Some(old) => *old = new,
            None => measurements.push(new),
        }
        let gpus = known.gpus.clone();
        self.know(Known { measurements: Arc::new(measurements), gpus });
        if let Err(error) = record.save() {
            self.log.line(format_args!("a measurement cannot be kept: {error}"));
        }
        Ok(())
    }

    /// Asks for what is under `taper` in the client's settings.
    fn pull_settings(&self) {
        if !self.world.client.configuration {
            return;
        }
        let (client, events) = (self.client.clone(), self.events.clone());
        self.ask(async move {
            let item =
                lsp::ConfigurationItem { scope_uri: None, section: Some("taper".to_owned()) };
            if let Ok(values) = client.configuration(vec![item]).await
                && let Some(value) = values.into_iter().next()
            {
                let _ = events.send(Event::Settings(value));
            }
        });
    }

    /// Asks to be told of changes of files and settings.
    fn register(&self) {
        let registrations = capabilities::registrations(&self.world.client);
        if !registrations.is_empty() {
            let client = self.client.clone();
            self.ask(async move {
                let _ = client.register_capability(registrations).await;
            });
        }
    }

    /// Asks the client, once for changes that come together, to ask again for what it shows.
    fn refresh(&self) {
        let can = self.world.client.refreshes;
        if !can.any() || self.refreshes.swap(true, Ordering::SeqCst) {
            return;
        }
        let (client, pending) = (self.client.clone(), self.refreshes.clone());
        self.ask(async move {
            tokio::time::sleep(REFRESH_DELAY).await;
            pending.store(false, Ordering::SeqCst);
            if can.inlay_hints {
                let _ = client.inlay_hint_refresh().await;
            }
            if can.diagnostics {
                let _ = client.workspace_diagnostic_refresh().await;
            }
            if can.semantic_tokens {
                let _ = client.semantic_tokens_refresh().await;
            }
            if can.code_lenses {
                let _ = client.code_lens_refresh().await;
            }
        });
    }

    /// Asks the client, once for changes that come together, to read again the documents of the
    /// server that it has read.
    fn refresh_views(&self) {
        let views = self.read_views.clone();
        let is_none_read = views.lock().is_ok_and(|views| views.is_empty());
        if is_none_read || self.view_refreshes.swap(true, Ordering::SeqCst) {
            return;
        }
        let (client, pending) = (self.client.clone(), self.view_refreshes.clone());
        self.ask(async move {
            tokio::time::sleep(REFRESH_DELAY).await;
            pending.store(false, Ordering::SeqCst);
            // What is still shown is read again, and so put back.
            let read = views.lock().map(|mut views| std::mem::take(&mut *views));
            for uri in read.into_iter().flatten() {
                let client = client.clone();
                let ask = async move {
                    client.send_request::<ContentRefresh>(ContentRefreshParams { uri }).await
                };
                tokio::spawn(ask);
            }
        });
    }

    /// Speaks to the client in a task of its own, for which nobody waits: it may never answer. The
    /// task is not given up either, as tower-lsp dies of an answer that comes too late.
    fn ask(&self, question: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(question);
    }

    /// Pushes the diagnostics of a document, unless it has changed again meanwhile.
    fn push(&self, document: Arc<Document>) {
        if self.world.client.pulls_diagnostics {
            return;
        }
        let (client, runtime) = (self.client.clone(), self.runtime.clone());
        let world = self.world.clone();
        self.spawn(move || {
            if !document.is_latest() {
                return;
            }
            let found = requests::all_diagnostics(&world, &document);
            if document.is_latest() {
                let (uri, version) = (document.uri.clone(), document.version);
                runtime.spawn(async move {
                    client.publish_diagnostics(uri, found, Some(version)).await;
                });
            }
        });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_answer_leaves_the_threads_alive() {
        let pool = start_pool(&Log::default());
        let (sender, receiver) = mpsc::channel();
        for number in 0..10 {
            let sender = sender.clone();
            let work = move || {
                assert_ne!(number % 2, 0);
                let _ = sender.send(number);
            };
            pool.send(Box::new(work)).expect("a thread");
        }
        let answered: Vec<i32> = receiver.iter().take(5).collect();
        assert_eq!(answered.len(), 5);
    }
}
