//! Benchmarks that were asked for: a queue, progress, cancellation.
//!
//! Each runs in a worker, a process of its own, on a thread that does nothing else. Whatever becomes
//! of a worker, the server hears of it as a message.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bench::Request;
use ide::duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tower_lsp::{
    Client,
    lsp_types::{
        MessageType, NumberOrString, ProgressParams, ProgressParamsValue, WorkDoneProgress,
        WorkDoneProgressBegin, WorkDoneProgressCreateParams, WorkDoneProgressEnd,
        WorkDoneProgressReport, notification::Progress as ProgressNotification,
        request::WorkDoneProgressCreate,
    },
};

use super::{
    documents::Document,
    event::{BenchmarkParams, Event, Order},
    records::Record,
};
use crate::worker::{NoResult, Worker};

/// A client is told no more often.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// How long the end of the server waits for the end of its workers.
const LAST_WAIT: Duration = Duration::from_secs(1);

impl Order {
    /// An order for what a document says now, or why there can be none.
    pub fn new(
        document: &Document,
        params: &BenchmarkParams,
        command: Vec<String>,
    ) -> Result<Order, String> {
        let snapshot = document.snapshot();
        let model = snapshot.analysis().model(&params.model);
        let model = model.ok_or_else(|| format!("no model is called `{}` now", params.model))?;
        let mut request = Request::new(
            &snapshot.workspace,
            snapshot.file(),
            &params.model,
            &snapshot.options,
            &params.device,
        );
        request.scope = params.scope.clone();
        request.budget.most = document.settings().bench.seconds;
        let (whole, layers) = ide::fingerprints(model);
        let (fingerprint, layers, what) = match &params.scope {
            None => (whole, layers, params.model.clone()),
            Some(path) => {
                let print = ide::fingerprint_of(model, path);
                let print = print.ok_or_else(|| format!("there is no `{path}` now"))?;
                (print, Vec::new(), format!("{path} of {}", params.model))
            }
        };
        Ok(Order {
            document: document.path.clone(),
            title: format!("{what} on {}", params.device),
            fingerprint,
            layers,
            command,
            request,
        })
    }

    /// Orders of the same work on the same device are one; of layers and blocks by themselves only
    /// those of the same place.
    fn work(&self) -> Work {
        let Request { model, scope, device, .. } = &self.request;
        let place = scope.clone().map(|scope| [self.document.clone(), model.clone(), scope]);
        Work { fingerprint: self.fingerprint, device: device.clone(), place }
    }
}

#[derive(PartialEq)]
struct Work {
    fingerprint: u64,
    device: String,
    place: Option<[String; 3]>,
}

/// An order that waits or is carried out.
struct Job {
    work: Work,
    cancelled: Arc<AtomicBool>,
    progress: Progress,
}

/// The queue. Devices have none of their own: what one computes disturbs the times of another, by
/// the host that both need.
pub struct Benchmarks {
    queue: mpsc::Sender<Turn>,
    /// By the token of their progress.
    jobs: HashMap<String, Job>,
    /// How many workers there are.
    workers: Arc<AtomicUsize>,
    next: u64,
}

/// An order whose turn comes.
struct Turn {
    token: String,
    order: Order,
    cancelled: Arc<AtomicBool>,
    progress: Progress,
}

impl Benchmarks {
    pub fn new(events: mpsc::Sender<Event>) -> Benchmarks {
        let workers = Arc::<AtomicUsize>::default();
        let queue = start_queue(events, workers.clone());
        Benchmarks { queue, jobs: HashMap::new(), workers, next: 1 }
    }

    /// Puts an order at the end of the queue, unless it is there already.
    pub fn order(&mut self, order: Order, speaker: Speaker) {
        let work = order.work();
        if self.jobs.values().any(|job| job.work == work) {
            return;
        }
        let token = format!("taper/benchmark/{}", self.next);
        self.next += 1;
        let progress = speaker.start(&token, &order.title);
        let cancelled = Arc::<AtomicBool>::default();
        let job = Job { work, cancelled: cancelled.clone(), progress: progress.clone() };
        self.jobs.insert(token.clone(), job);
        // The thread of the queue ends with the process.
        let _ = self.queue.send(Turn { token, order, cancelled, progress });
    }

    /// The user wants no more of it. One that waits has ended with that.
    pub fn cancel(&mut self, token: &str) {
        if let Some(job) = self.jobs.remove(token) {
            job.cancelled.store(true, Ordering::SeqCst);
            job.progress.end("cancelled");
        }
    }

    /// Ends all that run or wait, with their workers.
    pub fn stop(&mut self) {
        self.jobs.values().for_each(|job| job.cancelled.store(true, Ordering::SeqCst));
        let started = Instant::now();
        while self.workers.load(Ordering::SeqCst) > 0 && started.elapsed() < LAST_WAIT {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// An order was carried out, or could not be.
    pub fn ended(&mut self, token: &str) {
        self.jobs.remove(token);
    }
}

/// Starts the thread that carries out orders, one after the other.
fn start_queue(events: mpsc::Sender<Event>, workers: Arc<AtomicUsize>) -> mpsc::Sender<Turn> {
    let (sender, turns) = mpsc::channel::<Turn>();
    std::thread::spawn(move || {
        for turn in turns {
            workers.fetch_add(1, Ordering::SeqCst);
            let result = turn.run();
            workers.fetch_sub(1, Ordering::SeqCst);
            let ended = Event::BenchmarkEnded { token: turn.token.clone(), result };
            if events.send(ended).is_err() {
                return;
            }
        }
    });
    sender
}

impl Turn {
    /// Measures. Nothing is said of one that was cancelled.
    fn run(&self) -> Option<Result<Box<Record>, String>> {
        match self.measured() {
            Ok(record) => {
                let whole = &record.measured.whole;
                self.progress.end(&format!("{}: {}", self.order.title, duration(whole.median)));
                Some(Ok(Box::new(record)))
            }
            Err(no) if no.is_cancelled => None,
            Err(no) => {
                self.progress.end("no result");
                Some(Err(format!("{}: {}", self.order.title, no.message)))
            }
        }
    }

    fn measured(&self) -> Result<Record, NoResult> {
        let Order { document, fingerprint, layers, command, request, .. } = &self.order;
        if self.cancelled.load(Ordering::SeqCst) {
            return Err(NoResult::cancelled());
        }
        self.progress.report(0, "starting");
        let mut worker = Worker::start(command)?;
        let measured = worker.ask(request, &self.cancelled, |event| match event {
            bench::Event::Building => self.progress.report(0, "building"),
            bench::Event::Warming { .. } => self.progress.report(0, "warming up"),
            bench::Event::Progress { percent, samples, median } => {
                let message = format!("{} in {samples} samples", duration(*median));
                self.progress.report(*percent, &message);
            }
            _ => {}
        })?;
        Ok(Record {
            document: document.clone(),
            fingerprint: *fingerprint,
            layers: layers.clone(),
            measured,
        })
    }
}

/// Who speaks of progress to the client, if it listens.
pub struct Speaker {
    pub client: Client,
    pub runtime: tokio::runtime::Handle,
    /// The client shows progress.
    pub shows_progress: bool,
}

/// The progress of one order. Once it has ended nothing more is said.
#[derive(Clone)]
struct Progress(UnboundedSender<Step>);

enum Step {
    Report(u32, String),
    End(String),
}

impl Progress {
    fn report(&self, percent: u32, message: &str) {
        let _ = self.0.send(Step::Report(percent, message.to_owned()));
    }

    fn end(&self, message: &str) {
        let _ = self.0.send(Step::End(message.to_owned()));
    }
}

impl Speaker {
    fn start(self, token: &str, title: &str) -> Progress {
        let (sender, steps) = unbounded_channel();
        if self.shows_progress {
            let (token, title) = (NumberOrString::String(token.to_owned()), title.to_owned());
            self.runtime.clone().spawn(self.tell(token, title, steps));
        }
        Progress(sender)
    }

    /// Tells the client of each step, but not faster than anybody reads.
    async fn tell(self, token: NumberOrString, title: String, mut steps: UnboundedReceiver<Step>) {
        let create = WorkDoneProgressCreateParams { token: token.clone() };
        if self.client.send_request::<WorkDoneProgressCreate>(create).await.is_err() {
            return;
        }
        let tell = |progress: WorkDoneProgress| {
            let value = ProgressParamsValue::WorkDone(progress);
            let params = ProgressParams { token: token.clone(), value };
            self.client.send_notification::<ProgressNotification>(params)
        };
        tell(WorkDoneProgress::Begin(WorkDoneProgressBegin {
            title: format!("Benchmark of {title}"),
            cancellable: Some(true),
            message: Some("waiting".to_owned()),
            percentage: Some(0),
        }))
        .await;
        let mut told = Instant::now() - REPORT_EVERY;
        while let Some(step) = steps.recv().await {
            match step {
                Step::Report(percent, message) if told.elapsed() >= REPORT_EVERY => {
                    told = Instant::now();
                    tell(WorkDoneProgress::Report(WorkDoneProgressReport {
                        cancellable: Some(true),
                        message: Some(message),
                        percentage: Some(percent.min(100)),
                    }))
                    .await;
                }
                Step::Report(..) => {}
                Step::End(message) => {
                    let message = Some(message);
                    tell(WorkDoneProgress::End(WorkDoneProgressEnd { message })).await;
                    return;
                }
            }
        }
    }

    /// Says something that the user must see.
    pub fn say(self, kind: MessageType, message: String) {
        let Speaker { client, runtime, .. } = self;
        runtime.spawn(async move { client.show_message(kind, message).await });
    }
}
