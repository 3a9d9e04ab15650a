//! How long a language server takes from a keystroke to what it shows. Drives Taper's server and
//! others the same way: `cargo bench -p taper --bench latency`, or tests/latency/run.sh for all.
//!
//! For each size of file and each request: the text is changed at one place, the request is sent at
//! once, and the time is taken until its answer has been read. Keys come every 150 ms, which is 80
//! words a minute, and in bursts of 50.

#![allow(clippy::print_stdout, clippy::panic)] // It says what it measures.

#[path = "../protocol/framing.rs"]
mod framing;

use std::{
    io::{BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between keys of a person who types 80 words a minute.
const KEY: Duration = Duration::from_millis(150);

const KEYS: usize = 40;
const BURST: usize = 50;

/// A language server and the texts that it is given.
struct Subject {
    name: &'static str,
    command: Vec<String>,
    language: &'static str,
    /// A text of so many lines, with a number at the end of the line in its middle.
    text: fn(usize) -> String,
    requests: &'static [&'static str],
}

fn taper(lines: usize) -> String {
    let mut text = String::from("model Large {\n    input image: f32[N = 1, 3, H = 64, W = 64]\n");
    let mut layer = 0;
    while text.lines().count() < lines - 1 {
        let channels = 8 + layer % 500;
        let kernel = 1 + 2 * (layer % 3);
        let padding = kernel / 2 * (1 + layer % 7);
        let dilation = 1 + layer % 7;
        text.push_str(&format!(
            "    conv{layer}: Conv2d({channels}, {kernel}, padding={padding}, dilation={dilation})\n"
        ));
        text.push_str(&format!("    act{layer}: LeakyReLU(0.{:04})\n", layer % 9_000 + 1));
        if layer % 5 < 2 {
            text.push_str("    # a comment\n");
        }
        layer += 1;
    }
    text.push_str("}\n");
    text
}

fn toml(lines: usize) -> String {
    let tables = (0..lines / 5).map(|table| {
        format!("[table{table}]\nname = \"layer {table}\"\nkernel = [3, 3]\nchannels = {table}\n\n")
    });
    tables.collect()
}

fn python(lines: usize) -> String {
    let functions = (0..lines / 5).map(|number| {
        format!(
            "def layer{number}(x, kernel=3):\n    y = x + {number}\n    return y * kernel\n\n\n"
        )
    });
    functions.collect()
}

/// A server that runs.
struct Server {
    process: Child,
    input: ChildStdin,
    answers: mpsc::Receiver<(Instant, Value)>,
    next_id: i64,
    version: i64,
}

impl Server {
    fn start(subject: &Subject) -> (Server, Duration) {
        let start = Instant::now();
        let mut process = Command::new(&subject.command[0])
            .args(&subject.command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", subject.command[0]));
        let input = process.stdin.take().expect("a pipe");
        let output = process.stdout.take().expect("a pipe");
        let (sender, answers) = mpsc::channel();
        std::thread::spawn(move || {
            let mut output = BufReader::with_capacity(1 << 20, output);
            while let Some(body) = framing::read(&mut output) {
                let now = Instant::now();
                let message = serde_json::from_slice(&body).expect("JSON");
                if sender.send((now, message)).is_err() {
                    return;
                }
            }
        });
        let mut server = Server { process, input, answers, next_id: 0, version: 1 };
        let capabilities = json!({
            "general": { "positionEncodings": ["utf-8", "utf-16"] },
            "textDocument": { "diagnostic": {}, "inlayHint": {}, "hover": {}, "completion": {} },
        });
        let folder = "file:///models";
        let params = json!({
            "processId": null, "rootUri": folder, "capabilities": capabilities,
            "workspaceFolders": [{ "uri": folder, "name": "models" }],
        });
        let id = server.send("initialize", params);
        let initialized = server.wait(id) - start;
        server.write(&json!({ "jsonrpc": "2.0", "method": "initialized", "params": {} }));
        (server, initialized)
    }

    fn write(&mut self, message: &Value) {
        let text = message.to_string();
        write!(self.input, "Content-Length: {}\r\n\r\n{text}", text.len()).expect("a pipe");
        self.input.flush().expect("a pipe");
    }

    fn send(&mut self, method: &str, params: Value) -> i64 {
        self.next_id += 1;
        let id = self.next_id;
        self.write(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    /// Waits for an answer; answers what the server asks meanwhile.
    fn wait(&mut self, id: i64) -> Instant {
        loop {
            let (at, message) = self.answers.recv_timeout(PATIENCE).expect("an answer");
            if message.get("method").is_some() {
                if let Some(asked) = message.get("id") {
                    let items = message["params"]["items"].as_array().map_or(0, Vec::len);
                    let result = match message["method"] == "workspace/configuration" {
                        true => json!(vec![Value::Null; items]),
                        false => Value::Null,
                    };
                    self.write(&json!({ "jsonrpc": "2.0", "id": asked, "result": result }));
                }
            } else if message["id"] == id {
                assert!(message.get("error").is_none(), "{message}");
                return at;
            }
        }
    }

    fn open(&mut self, subject: &Subject, uri: &str, text: &str) {
        let document = json!({
            "uri": uri, "languageId": subject.language, "version": 1, "text": text,
        });
        let params = json!({ "textDocument": document });
        self.version = 1;
        self.write(&json!({
            "jsonrpc": "2.0", "method": "textDocument/didOpen", "params": params,
        }));
    }

    /// Replaces one character.
    fn change(&mut self, uri: &str, line: usize, column: usize, text: &str) {
        self.version += 1;
        let range = json!({
            "start": { "line": line, "character": column },
            "end": { "line": line, "character": column + 1 },
        });
        let params = json!({
            "textDocument": { "uri": uri, "version": self.version },
            "contentChanges": [{ "range": range, "text": text }],
        });
        self.write(&json!({
            "jsonrpc": "2.0", "method": "textDocument/didChange", "params": params,
        }));
    }

    /// Resident memory in MiB.
    fn memory(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or(0.0) / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A request about the line in the middle.
fn request(method: &str, uri: &str, line: usize, lines: usize) -> (String, Value) {
    let document = json!({ "uri": uri });
    let at = json!({ "line": line, "character": 6 });
    let range = |from: usize, to: usize| json!({ "start": { "line": from, "character": 0 }, "end": { "line": to, "character": 0 } });
    let (method, params) = match method {
        "hints" => ("inlayHint", json!({ "textDocument": document, "range": range(0, lines) })),
        "hints in view" => {
            let view = range(line.saturating_sub(30), (line + 30).min(lines));
            ("inlayHint", json!({ "textDocument": document, "range": view }))
        }
        "diagnostics" => ("diagnostic", json!({ "textDocument": document })),
        "symbols" => ("documentSymbol", json!({ "textDocument": document })),
        "tokens" => ("semanticTokens/full", json!({ "textDocument": document })),
        "formatting" => {
            let options = json!({ "tabSize": 4, "insertSpaces": true });
            ("formatting", json!({ "textDocument": document, "options": options }))
        }
        other => (other, json!({ "textDocument": document, "position": at })),
    };
    (format!("textDocument/{method}"), params)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

fn measure(subject: &Subject, lines: usize) {
    let text = (subject.text)(lines);
    let uri = format!("file:///models/large.{}", subject.language);
    // The digit that changes: the last one of a line in the middle.
    let middle = text.lines().count() / 2;
    let is_edited = |line: &str| {
        line.trim_end_matches([')', ']']).ends_with(|last: char| last.is_ascii_digit())
            && !line.trim_start().starts_with('#')
    };
    let (line, edited) =
        text.lines().enumerate().skip(middle).find(|(_, line)| is_edited(line)).expect("a number");
    let column = edited.trim_end_matches([')', ']']).len() - 1;

    let (mut server, initialized) = Server::start(subject);
    server.open(subject, &uri, &text);
    for name in subject.requests {
        let (method, params) = request(name, &uri, line, lines);
        let id = server.send(&method, params.clone());
        server.wait(id);
        let mut typed = Vec::new();
        for key in 0..KEYS {
            std::thread::sleep(KEY);
            let start = Instant::now();
            server.change(&uri, line, column, &(1 + key % 9).to_string());
            let id = server.send(&method, params.clone());
            typed.push((server.wait(id) - start).as_secs_f64() * 1000.0);
        }
        let mut bursts = Vec::new();
        for _ in 0..3 {
            for key in 0..BURST {
                server.change(&uri, line, column, &(1 + key % 9).to_string());
            }
            let start = Instant::now();
            let id = server.send(&method, params.clone());
            bursts.push((server.wait(id) - start).as_secs_f64() * 1000.0);
        }
        typed.sort_by(f64::total_cmp);
        bursts.sort_by(f64::total_cmp);
        println!(
            "| {lines} | {name} | {} | {:.2} | {:.2} | {:.2} | {:.2} |",
            subject.name,
            percentile(&typed, 0.5),
            percentile(&typed, 0.95),
            percentile(&typed, 0.99),
            percentile(&bursts, 0.5),
        );
    }
    println!(
        "| {lines} | start · memory | {} | {:.1} ms | {:.0} MiB | | |",
        subject.name,
        initialized.as_secs_f64() * 1000.0,
        server.memory()
    );
}

/// Memory with twenty files of 300 lines open and asked about.
fn measure_many(subject: &Subject) {
    let (mut server, _) = Server::start(subject);
    let text = (subject.text)(300);
    for file in 0..20 {
        let uri = format!("file:///models/file{file}.{}", subject.language);
        server.open(subject, &uri, &text);
        let (method, params) = request(subject.requests[0], &uri, 150, 300);
        let id = server.send(&method, params);
        server.wait(id);
    }
    println!("| 20 × 300 | memory | {} | {:.0} MiB | | | |", subject.name, server.memory());
}

fn main() {
    let own = vec![env!("CARGO_BIN_EXE_taper").to_owned(), "lsp".to_owned()];
    let given: Vec<String> =
        std::env::args().skip(1).filter(|one| !one.starts_with("--")).collect();
    let other = |name: &'static str, arguments: &[&str]| -> Option<Vec<String>> {
        let path = given.iter().find(|path| path.ends_with(name))?;
        Some(
            std::iter::once(path.clone())
                .chain(arguments.iter().map(|one| (*one).to_owned()))
                .collect(),
        )
    };
    let mut subjects = vec![Subject {
        name: "taper",
        command: own,
        language: "taper",
        text: taper,
        requests: &[
            "hints",
            "hints in view",
            "hover",
            "completion",
            "diagnostics",
            "symbols",
            "tokens",
            "formatting",
        ],
    }];
    subjects.extend(other("tombi", &["lsp"]).map(|command| Subject {
        name: "tombi",
        command,
        language: "toml",
        text: toml,
        requests: &["hover", "completion", "diagnostics", "symbols", "tokens", "formatting"],
    }));
    subjects.extend(other("ruff", &["server"]).map(|command| Subject {
        name: "ruff",
        command,
        language: "python",
        text: python,
        requests: &["diagnostics", "formatting"],
    }));
    subjects.extend(other("ty", &["server"]).map(|command| Subject {
        name: "ty",
        command,
        language: "python",
        text: python,
        requests: &["hints", "hover", "completion", "diagnostics", "symbols", "tokens"],
    }));
    println!("| lines | what | server | p50 ms | p95 ms | p99 ms | after a burst, p50 ms |");
    println!("| ---: | --- | --- | ---: | ---: | ---: | ---: |");
    for lines in [300, 3_000, 10_000] {
        for subject in &subjects {
            measure(subject, lines);
        }
    }
    subjects.iter().for_each(measure_many);
}
