//! A benchmark's worker as others see it: a process that is asked, heard and may be killed.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
};

use bench::{Event, Failure, Measured, PROTOCOL, Request};

/// The exit status of a program that lacks a library, as a CUDA build without a driver.
const CANNOT_START: i32 = 127;

/// A process that measures. It is killed when nobody listens any more.
pub struct Worker {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Why there is no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoResult {
    /// What the worker says of it; nothing if it could not say anything.
    pub failure: Option<Failure>,
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
    fn new(message: impl Into<String>) -> NoResult {
        NoResult { failure: None, message: message.into() }
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
        Ok(Worker { process, input, output: BufReader::new(output) })
    }

    /// Asks, and tells of each event until the result.
    ///
    /// # Errors
    /// What the worker says went wrong, or that it says nothing that can be understood.
    pub fn ask(
        &mut self,
        request: &Request,
        mut told: impl FnMut(&Event),
    ) -> Result<Measured, NoResult> {
        match self.next()? {
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
            match self.next()? {
                Event::Result(measured) => return Ok(*measured),
                Event::Error { failure, message } => {
                    return Err(NoResult { failure: Some(failure), message });
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

    fn next(&mut self) -> Result<Event, NoResult> {
        let mut line = Vec::new();
        match self.output.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return Err(self.ended()),
            Ok(_) => {}
        }
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
        NoResult::new(match self.process.wait() {
            Ok(status) if status.code() == Some(CANNOT_START) => {
                "the worker cannot start here: what it needs, such as CUDA's libraries, is missing"
                    .to_owned()
            }
            Ok(status) => format!("the worker ended without a result: {}", why(status)),
            Err(error) => format!("the worker ended without a result: {error}"),
        })
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
    let program = std::env::current_exe().map_err(|error| {
        NoResult::new(format!("it is not known where this program is: {error}"))
    })?;
    let arguments = ["bench", "--stdio"].map(str::to_owned);
    Ok([vec![program.to_string_lossy().into_owned()], arguments.to_vec()].concat())
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
        worker.ask(&request, |_| {}).map_err(|no| no.message)
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
    fn a_worker_that_hangs_is_killed() {
        let started = std::time::Instant::now();
        let command = ["sh", "-c", "sleep 60"].map(str::to_owned);
        drop(Worker::start(&command).expect("a shell"));
        assert!(started.elapsed().as_secs() < 30);
    }
}
