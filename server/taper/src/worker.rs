//! A benchmark's worker as others see it: a process that is asked, heard and may be killed.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bench::{Event, Failure, Measured, PROTOCOL, Request};

/// The exit status of a program that lacks a library, as a CUDA build without a driver.
const CANNOT_START: i32 = 127;

/// A worker that has said nothing for so long hangs: building the largest models takes minutes.
const SILENCE: Duration = Duration::from_secs(300);

/// How soon a cancellation is seen.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a worker that has closed its output may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A process that measures. It is killed when nobody listens any more.
pub struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    /// What it writes, line by line.
    lines: mpsc::Receiver<Vec<u8>>,
    /// How long it may be silent.
    silence: Duration,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoResult {
    /// What the worker says of it; nothing if it could not say anything.
    pub failure: Option<Failure>,
    /// It was asked to stop.
    pub is_cancelled: bool,
    /// In the user's words.
    pub message: String,
}

impl std::fmt::Display for NoResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for NoResult {}

impl NoResult {
    /// Nobody wants it any more.
    pub fn cancelled() -> NoResult {
        NoResult { is_cancelled: true, ..NoResult::new("cancelled") }
    }

    fn new(message: impl Into<String>) -> NoResult {
        NoResult { failure: None, is_cancelled: false, message: message.into() }
    }
}

impl Worker {
    /// Starts a worker: a program with its arguments.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &[String]) -> Result<Worker, NoResult> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(NoResult::new("the command that measures is empty"));
        };
        let cannot = |error: std::io::Error| {
            NoResult::new(format!("`{program}` cannot be started: {error}"))
        };
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(cannot)?;
        let input = process.stdin.take();
        let output = process.stdout.take();
        let output = output.ok_or_else(|| NoResult::new("the worker's output is not there"))?;
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            loop {
                let mut line = Vec::new();
                let read = output.read_until(b'\n', &mut line);
                if !read.is_ok_and(|read| read > 0) || sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Worker { process, input, lines, silence: SILENCE })
    }

    /// Asks, and tells of each event until the result, unless it is cancelled.
    ///
    /// # Errors
    /// What the worker says went wrong, or that it says nothing that can be understood.
    pub fn ask(
        &mut self,
        request: &Request,
        cancelled: &AtomicBool,
        mut told: impl FnMut(&Event),
    ) -> Result<Measured, NoResult> {
        match self.next(cancelled)? {
            Event::Hello { protocol: PROTOCOL, .. } => {}
            Event::Hello { protocol, taper } => {
                return Err(NoResult::new(format!(
                    "the worker is Taper {taper} and speaks version {protocol} of what is spoken here in version {PROTOCOL}"
                )));
            }
            _ => return Err(NoResult::new("the worker does not say who it is")),
        }
        self.send(request)?;
        loop {
            match self.next(cancelled)? {
                Event::Result(measured) => return Ok(*measured),
                Event::Error { failure, message } => {
                    let failure = Some(failure);
                    return Err(NoResult { failure, is_cancelled: false, message });
                }
                event => told(&event),
            }
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), NoResult> {
        let line = serde_json::to_string(request)
            .map_err(|error| NoResult::new(format!("the request cannot be written: {error}")))?;
        let sent = self.input.as_mut().map(|input| writeln!(input, "{line}"));
        match sent {
            Some(Ok(())) => Ok(()),
            _ => Err(self.ended()),
        }
    }

    fn next(&mut self, cancelled: &AtomicBool) -> Result<Event, NoResult> {
        let asked = Instant::now();
        let line = loop {
            if cancelled.load(Ordering::SeqCst) {
                return Err(NoResult::cancelled());
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => break line,
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(mpsc::RecvTimeoutError::Timeout) if asked.elapsed() > self.silence => {
                    let seconds = self.silence.as_secs();
                    let message = format!("the worker has said nothing for {seconds} s");
                    return Err(NoResult::new(message));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        };
        serde_json::from_slice(&line).map_err(|_| {
            let shown: String = String::from_utf8_lossy(&line).chars().take(200).collect();
            NoResult::new(format!(
                "the worker says what cannot be understood: {}",
                shown.trim_end()
            ))
        })
    }

    /// Why a worker has ended without a result.
    fn ended(&mut self) -> NoResult {
        NoResult::new(match self.wait() {
            Ok(status) if status.code() == Some(CANNOT_START) => {
                "the worker cannot start here: what it needs, such as CUDA's libraries, is missing"
                    .to_owned()
            }
            Ok(status) => format!("the worker ended without a result: {}", why(status)),
            Err(error) => format!("the worker ended without a result: {error}"),
        })
    }
}

impl Worker {
    /// Waits for the end of a worker that has closed its output.
    fn wait(&mut self) -> std::io::Result<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < LAST_WORDS {
            if let Some(status) = self.process.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(PATIENCE);
        }
        self.process.kill()?;
        self.process.wait()
    }
}

/// How a process ended. One that is killed by the system mostly had too little memory.
fn why(status: ExitStatus) -> String {
    #[cfg(unix)]
    if std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) {
        return "it was killed, perhaps because memory ran out".to_owned();
    }
    status.to_string()
}

impl Drop for Worker {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, which is as well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program as a worker.
pub fn own_command() -> Result<Vec<String>, NoResult> {
    own_bench(["bench", "--stdio"])
}

/// The GPUs that this program finds, by their names, or why there is none. They are looked for in a
/// process of its own, as drivers may do anything.
pub fn gpus() -> Result<Vec<String>, String> {
    let command = own_bench(["bench", "--devices"]).map_err(|no| no.message)?;
    let output = Command::new(&command[0]).args(&command[1..]).output();
    let output = output.map_err(|error| format!("GPUs cannot be looked for: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter_map(|line| line.split_once(": "));
    let (mut found, mut reason) = (Vec::new(), "there is no GPU here".to_owned());
    for (name, rest) in lines {
        match name {
            "no CUDA device" => reason = rest.to_owned(),
            name if name.starts_with("cuda") => found.push(name.to_owned()),
            _ => {}
        }
    }
    if found.is_empty() { Err(reason) } else { Ok(found) }
}

fn own_bench(arguments: [&str; 2]) -> Result<Vec<String>, NoResult> {
    let program = std::env::current_exe().map_err(|error| {
        NoResult::new(format!("it is not known where this program is: {error}"))
    })?;
    let program = program.to_string_lossy().into_owned();
    Ok([program].into_iter().chain(arguments.map(str::to_owned)).collect())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// A worker that is a shell script; the request is read and dropped.
    fn ask(script: &str) -> Result<Measured, String> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let workspace = analysis::Workspace::default();
        let mut all = workspace.clone();
        let file = all.insert("m.taper", syntax::parse("model M { input x: f32[N = 1, 8]; ReLU }"));
        let request = Request::new(&all, file, "M", &Default::default(), "cpu");
        let mut worker = Worker::start(&command).map_err(|no| no.message)?;
        worker.silence = Duration::from_secs(1);
        worker.ask(&request, &AtomicBool::new(false), |_| {}).map_err(|no| no.message)
    }

    const HELLO: &str = r#"echo '{"event":"hello","protocol":1,"taper":"x"}'; read request; "#;

    #[test]
    fn workers_that_fail() {
        let hello = |then: &str| format!("{HELLO}{then}");
        for (script, expected) in [
            ("exit 127".to_owned(), "the worker cannot start here"),
            (hello("exit 3"), "the worker ended without a result: exit status: 3"),
            (hello("kill -9 $$"), "it was killed, perhaps because memory ran out"),
            (hello("echo garbage"), "the worker says what cannot be understood: garbage"),
            (hello(r"printf '\377\376\n'"), "the worker says what cannot be understood"),
            ("sleep 60".to_owned(), "the worker has said nothing for 1 s"),
            (hello("sleep 60"), "the worker has said nothing for 1 s"),
            (
                // It works, and then it does not.
                hello(
                    r#"for _ in 1 2 3 4; do sleep 0.4; echo '{"event":"working"}'; done; exit 4"#,
                ),
                "the worker ended without a result: exit status: 4",
            ),
            (hello("exec >&-; sleep 60"), "the worker ended without a result"),
            (
                r#"echo '{"event":"hello","protocol":0,"taper":"0.0.1"}'"#.to_owned(),
                "the worker is Taper 0.0.1 and speaks version 0",
            ),
            (r#"echo '{"event":"building"}'"#.to_owned(), "the worker does not say who it is"),
            (
                hello(
                    r#"echo '{"event":"error","failure":"out_of_memory","message":"too large"}'"#,
                ),
                "too large",
            ),
        ] {
            let message = ask(&script).expect_err("there is no result");
            assert!(message.contains(expected), "{script}: {message}");
        }
        let nowhere = Worker::start(&["/nonexistent/taper".to_owned()]);
        assert!(nowhere.is_err_and(|no| no.message.contains("cannot be started")));
    }

    #[test]
    fn a_cancelled_worker_is_killed() {
        let command = ["sh", "-c", "sleep 60"].map(str::to_owned);
        let mut worker = Worker::start(&command).expect("a shell");
        let mut workspace = analysis::Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(""));
        let request = Request::new(&workspace, file, "M", &Default::default(), "cpu");
        let no_result = worker.ask(&request, &AtomicBool::new(true), |_| {});
        assert!(no_result.is_err_and(|no| no.is_cancelled));
        let process = worker.process.id();
        drop(worker);
        assert!(!std::path::Path::new(&format!("/proc/{process}/cmdline")).exists());
    }
}
