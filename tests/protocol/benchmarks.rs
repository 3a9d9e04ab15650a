//! Benchmarks from an editor: action, progress, cancellation, results that stay, and everything that
//! can go wrong with a worker.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{client::Client, clients::payload, project::Project};

const TEXT: &str = "model Net {\n    input x: f32[N = 4, 16]\n    fc1: Linear(64) -> ReLU\n    fc2: Linear(8)\n}\n";

/// What a fake worker says first, and reads.
const HELLO: &str = r#"echo '{"event":"hello","protocol":1,"taper":"x"}'; read -r request; "#;

/// An editor with a file, in a project whose folder is the user's cache too.
struct Editor {
    project: Project,
    client: Client,
    uri: String,
}

impl Editor {
    /// With settings for benchmarks.
    fn new(bench: Value) -> Editor {
        Editor::start(ANY, bench)
    }

    /// With what an editor says of itself.
    fn start(editor: &str, bench: Value) -> Editor {
        let project = Project::new(&[("net.taper", TEXT)]);
        let client = start(editor, &project, bench);
        let uri = project.uri("net.taper");
        let mut editor = Editor { project, client, uri };
        editor.client.open(&editor.uri, TEXT);
        editor
    }

    /// With a worker that is a shell script.
    fn with_worker(script: &str) -> Editor {
        Editor::new(json!({ "command": ["sh", "-c", script], "devices": ["cpu"], "seconds": 0.2 }))
    }

    /// The actions that benchmark, at a line.
    fn actions(&mut self, line: usize) -> Vec<Value> {
        let at = json!({ "line": line, "character": 9 });
        let params = json!({
            "textDocument": { "uri": self.uri },
            "range": { "start": at, "end": at },
            "context": { "diagnostics": [] },
        });
        let actions = self.client.request("textDocument/codeAction", params);
        let actions = actions.as_array().expect("actions").iter();
        let title = |action: &Value| action["title"].as_str().expect("a title").to_owned();
        actions.filter(|action| title(action).starts_with("Benchmark")).cloned().collect()
    }

    /// Does the action whose title begins so.
    fn act(&mut self, line: usize, title: &str) {
        let actions = self.actions(line);
        let action = actions
            .iter()
            .find(|action| action["title"].as_str().is_some_and(|found| found.starts_with(title)));
        let command = &action.unwrap_or_else(|| panic!("{title} is not in {actions:?}"))["command"];
        let params = json!({ "command": command["command"], "arguments": command["arguments"] });
        assert_eq!(self.client.request("workspace/executeCommand", params), Value::Null);
    }

    fn benchmark(&mut self) {
        self.act(2, "Benchmark `Net` and its layers on cpu");
    }

    /// The next step of a benchmark's progress; with the token of it.
    fn progress(&mut self) -> (Value, Value) {
        let params = self.client.notification("$/progress");
        (params["token"].clone(), params["value"].clone())
    }

    /// What the progress of the next benchmark that ends says last.
    fn end(&mut self) -> String {
        loop {
            let (_, value) = self.progress();
            if value["kind"] == "end" {
                return value["message"].as_str().expect("a message").to_owned();
            }
        }
    }

    /// Waits for progress of a kind.
    fn wait_for(&mut self, kind: &str) -> Value {
        loop {
            let (token, value) = self.progress();
            if value["kind"] == kind {
                return token;
            }
        }
    }

    fn cancel(&mut self, token: &Value) {
        let params = json!({ "token": token });
        self.client.notify("window/workDoneProgress/cancel", Some(params));
    }

    /// The labels of all hints.
    fn hints(&mut self) -> Vec<String> {
        let end = json!({ "line": 99, "character": 0 });
        let range = json!({ "start": { "line": 0, "character": 0 }, "end": end });
        let params = json!({ "textDocument": { "uri": self.uri }, "range": range });
        let hints = self.client.request("textDocument/inlayHint", params);
        let hints = hints.as_array().expect("hints").iter();
        let text = |hint: &Value| match &hint["label"] {
            Value::Array(parts) => parts.iter().filter_map(|part| part["value"].as_str()).collect(),
            label => label.as_str().expect("a label").to_owned(),
        };
        hints.map(text).collect()
    }

    /// The labels of all hints, once one of them says something.
    fn hints_with(&mut self, what: &str) -> Vec<String> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            let hints = self.hints();
            if hints.iter().any(|hint| hint.contains(what)) {
                return hints;
            }
            assert!(Instant::now() < until, "no hint says `{what}`: {hints:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn lenses(&mut self) -> Vec<String> {
        let params = json!({ "textDocument": { "uri": self.uri } });
        let lenses = self.client.request("textDocument/codeLens", params);
        let lenses = lenses.as_array().expect("lenses").iter();
        lenses.map(|lens| lens["command"]["title"].as_str().expect("a title").to_owned()).collect()
    }

    fn hover(&mut self, line: usize) -> String {
        let params = json!({
            "textDocument": { "uri": self.uri }, "position": { "line": line, "character": 9 },
        });
        let hover = self.client.request("textDocument/hover", params);
        hover["contents"]["value"].as_str().expect("a text").to_owned()
    }

    /// What the server says went wrong.
    fn message(&mut self) -> String {
        let params = self.client.notification("window/showMessage");
        assert_eq!(params["type"], 1, "{params}");
        params["message"].as_str().expect("a text").to_owned()
    }

    fn wait_for_workers(&self, count: usize) {
        let until = Instant::now() + Duration::from_secs(10);
        while self.workers() != count {
            assert!(Instant::now() < until, "{} workers, not {count}", self.workers());
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The processes that measure.
    fn workers(&self) -> usize {
        let entries = std::fs::read_dir("/proc").expect("processes").flatten();
        let parents = entries.filter_map(|entry| {
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok())
        });
        parents.filter(|parent| *parent == self.client.process()).count()
    }
}

/// An editor that shows progress and refreshes hints, and says no more.
const ANY: &str = "any";

fn start(editor: &str, project: &Project, bench: Value) -> Client {
    let mut client = Client::spawn_with_cache(&project.path(""));
    if editor != ANY {
        // Some say more than the protocol knows.
        client.is_odd = true;
        client.settings = json!({ "bench": bench });
        let mut params = payload(editor);
        params["processId"] = Value::Null;
        params["initializationOptions"] = json!({ "bench": bench });
        client.initialize(params);
        return client;
    }
    client.initialize(json!({
        "processId": null, "rootUri": project.uri(""),
        "initializationOptions": { "bench": bench },
        "capabilities": {
            "window": { "workDoneProgress": true },
            "workspace": {
                "inlayHint": { "refreshSupport": true },
                "codeLens": { "refreshSupport": true },
            },
            "textDocument": { "diagnostic": {}, "codeAction": { "disabledSupport": true } },
        },
    }));
    client
}

fn quick() -> Value {
    json!({ "seconds": 0.3 })
}

#[test]
fn from_the_action_to_the_hint_and_over_a_restart() {
    for name in [ANY, "vscode", "neovim", "helix"] {
        the_whole_way(name);
    }
}

fn the_whole_way(name: &str) {
    let mut editor = Editor::start(name, quick());
    assert!(editor.lenses().contains(&"Benchmark on cpu".to_owned()));
    assert!(editor.hints().iter().all(|hint| !hint.contains("of peak")));
    let titles: Vec<Value> =
        editor.actions(2).iter().map(|action| action["title"].clone()).collect();
    assert_eq!(
        titles,
        [
            "Benchmark this layer, `fc1`, on cpu (f32, N = 4)",
            "Benchmark `Net` and its layers on cpu (f32, N = 4)",
            "Benchmark this layer, `fc1`, on cuda:0 (f32, N = 4)",
            "Benchmark `Net` and its layers on cuda:0 (f32, N = 4)",
        ]
    );
    let reason = editor.actions(2)[2]["disabled"]["reason"].clone();
    assert_eq!(reason, "this build of Taper does not know CUDA");

    editor.benchmark();
    let (token, begin) = editor.progress();
    assert_eq!((&begin["kind"], &begin["cancellable"]), (&json!("begin"), &json!(true)));
    assert_eq!(begin["title"], "Benchmark of Net on cpu");
    let created = editor.client.wait_until_asked("window/workDoneProgress/create");
    assert_eq!(created["params"]["token"], token);
    let (_, report) = editor.progress();
    assert_eq!((&report["kind"], &report["percentage"]), (&json!("report"), &json!(0)));
    let end = editor.end();
    assert!(end.starts_with("Net on cpu: "), "{end}");
    let shown = editor.hints_with("of peak");
    // An editor that cannot be asked to refresh is told in words.
    if name == "helix" {
        let message = editor.client.notification("window/showMessage");
        let text = message["message"].as_str().expect("a text");
        assert!(text.starts_with("Net on cpu: ") && text.contains("samples/s"), "{text}");
    } else {
        editor.client.wait_until_asked("workspace/inlayHint/refresh");
    }
    assert_eq!(shown.iter().filter(|hint| hint.contains("of peak")).count(), 3, "{shown:?}");
    let lens = editor.lenses().pop().expect("a lens");
    assert!(lens.contains(" on cpu · ") && lens.contains("samples/s"), "{lens}");
    assert!(editor.hover(0).contains("| measured on | time |"));
    assert!(editor.hover(3).contains("Measured: "), "{}", editor.hover(3));

    // An edit of the words changes nothing, one of the work does.
    editor.client.change(&editor.uri.clone(), 2, 1, 0, 0, "    # The input.\n");
    assert_eq!(editor.hints().iter().filter(|hint| hint.contains("of peak")).count(), 3);
    editor.client.change(&editor.uri.clone(), 3, 4, 16, 17, "9");
    let stale = editor.hints();
    assert!(stale[1].contains("of peak"), "{stale:?}");
    assert!(stale[0].contains("was ") && stale[2].contains("was "), "{stale:?}");
    assert!(editor.lenses().pop().is_some_and(|lens| lens.ends_with("before an edit")));

    // Another server reads what this one has kept.
    editor.client.shut_down();
    editor.client = start(name, &editor.project, quick());
    editor.client.open(&editor.uri, TEXT);
    assert_eq!(editor.hints_with("of peak"), shown);
    editor.client.shut_down();
}

#[test]
fn a_layer_and_an_expectation() {
    let mut editor = Editor::new(quick());
    editor.act(3, "Benchmark this layer, `fc2`, on cpu");
    assert!(editor.end().starts_with("fc2 of Net on cpu: "));
    assert!(editor.hints_with("of peak")[2].contains(" alone · "));

    let line = "    expect latency < 1us on \"cpu\"\n";
    editor.client.change(&editor.uri.clone(), 2, 4, 0, 0, line);
    let found = |editor: &mut Editor| {
        let params = json!({ "textDocument": { "uri": editor.uri } });
        let report = editor.client.request("textDocument/diagnostic", params);
        report["items"][0]["message"].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(found(&mut editor), "this latency has not been measured");
    editor.benchmark();
    editor.end();
    editor.hints_with("params · 12.8 KFLOP · ");
    let message = found(&mut editor);
    assert!(message.starts_with("`latency < 1us` does not hold: "), "{message}");
    editor.client.shut_down();
}

#[test]
fn a_benchmark_is_cancelled_at_every_stage() {
    // While it starts, builds, warms up, measures.
    let event = |event: &str| format!("echo '{event}'; ");
    let stages = [
        String::new(),
        HELLO.to_owned(),
        format!("{HELLO}{}", event(r#"{"event":"building"}"#)),
        format!("{HELLO}{}", event(r#"{"event":"warming","first_run":0.1}"#)),
        format!(
            "{HELLO}{}",
            event(r#"{"event":"progress","percent":50,"samples":9,"median":0.001}"#)
        ),
    ];
    for stage in stages {
        let mut editor = Editor::with_worker(&format!("{stage}exec sleep 600"));
        editor.benchmark();
        let token = editor.wait_for("report");
        // The worker has had the time to say what it says.
        std::thread::sleep(Duration::from_millis(50));
        editor.cancel(&token);
        assert_eq!(editor.end(), "cancelled", "{stage}");
        editor.wait_for_workers(0);
        editor.client.shut_down();
    }
}

#[test]
fn one_that_waits_is_cancelled_and_the_next_one_runs() {
    let mut editor = Editor::with_worker(&format!("{HELLO}exec sleep 600"));
    editor.benchmark();
    let running = editor.wait_for("report");
    editor.act(3, "Benchmark this layer, `fc2`, on cpu");
    let waiting = editor.wait_for("begin");
    assert_ne!(running, waiting);
    editor.cancel(&waiting);
    assert_eq!(editor.end(), "cancelled");
    editor.wait_for_workers(1);
    editor.act(2, "Benchmark this layer, `fc1`, on cpu");
    editor.wait_for("begin");
    editor.cancel(&running);
    assert_eq!(editor.end(), "cancelled");
    // Its turn has come.
    editor.wait_for("report");
    editor.client.shut_down();
}

#[test]
fn what_workers_do_wrong_is_said_and_hurts_nobody() {
    let failure = |kind: &str, message: &str| {
        let event = json!({ "event": "error", "failure": kind, "message": message });
        format!("{HELLO}echo '{event}'")
    };
    for (script, expected) in [
        ("exit 127".to_owned(), "the worker cannot start here"),
        (format!("{HELLO}exit 3"), "the worker ended without a result: exit status: 3"),
        (format!("{HELLO}kill -9 $$"), "it was killed, perhaps because memory ran out"),
        (format!("{HELLO}kill -11 $$"), "signal: 11"),
        (format!("{HELLO}echo garbage"), "cannot be understood: garbage"),
        (
            r#"echo '{"event":"hello","protocol":0,"taper":"0.0.1"}'"#.to_owned(),
            "the worker is Taper 0.0.1 and speaks version 0",
        ),
        (failure("out_of_memory", "memory ran out"), "memory ran out"),
        (failure("no_device", "the device is gone"), "the device is gone"),
    ] {
        let mut editor = Editor::with_worker(&script);
        editor.benchmark();
        let message = editor.message();
        assert!(message.starts_with("Net on cpu: "), "{message}");
        assert!(message.contains(expected), "{script}: {message}");
        assert_eq!(editor.end(), "no result");
        assert_eq!(editor.hints().len(), 3);
        editor.client.shut_down();
    }
    let mut editor = Editor::new(json!({ "command": ["/nonexistent/taper"], "devices": ["cpu"] }));
    editor.benchmark();
    let message = editor.message();
    assert!(message.contains("`/nonexistent/taper` cannot be started"), "{message}");
    editor.client.shut_down();
}

#[test]
fn what_cannot_be_measured_says_why() {
    let mut editor = Editor::new(quick());
    let command = |editor: &mut Editor, argument: Value| {
        let params = json!({ "command": "taper.benchmark", "arguments": [argument] });
        editor.client.request_raw("workspace/executeCommand", Some(params))
    };
    let uri = editor.uri.clone();
    let of = |model: &str, scope: Value, device: &str| json!({ "uri": uri, "model": model, "scope": scope, "device": device });
    command(&mut editor, of("Nat", Value::Null, "cpu"));
    assert_eq!(editor.message(), "Nat cannot be measured: no model is called `Nat` now");
    command(&mut editor, of("Net", json!("fc9"), "cpu"));
    assert_eq!(editor.message(), "Net cannot be measured: there is no `fc9` now");
    command(&mut editor, of("Net", Value::Null, "cuda:0"));
    let message = editor.message();
    assert!(message.contains("this build of Taper does not know CUDA"), "{message}");
    let answer = command(&mut editor, json!({ "uri": 3 }));
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    // A mistake in the model, and one that needs too much memory.
    editor.client.change(&editor.uri.clone(), 2, 3, 9, 15, "Liner");
    editor.benchmark();
    assert!(editor.message().contains("is called `Liner`"));
    editor.client.change(&editor.uri.clone(), 3, 3, 9, 17, "Linear(10000000000000)");
    editor.benchmark();
    let message = editor.message();
    assert!(message.contains("MiB are free"), "{message}");
    editor.client.shut_down();
}

#[test]
fn fifty_at_once() {
    let log = r#"echo $$ >> "$0"; "#;
    let project = Project::new(&[]);
    let started = project.path("started");
    let script = format!("{log}{HELLO}sleep 0.01; exit 3");
    let mut editor = Editor::new(
        json!({ "command": ["sh", "-c", script, started], "devices": ["cpu", "cuda:0"] }),
    );
    let uri = editor.uri.clone();
    // Twenty-five pieces of work, each twice, on two devices.
    let text = (0..25).map(|layer| format!("    l{layer}: Linear({})\n", 8 + layer));
    let text =
        format!("model Net {{\n    input x: f32[N = 4, 16]\n{}}}\n", text.collect::<String>());
    let params = json!({
        "textDocument": { "uri": uri, "version": 2 }, "contentChanges": [{ "text": text }],
    });
    editor.client.notify("textDocument/didChange", Some(params));
    for number in 0..100 {
        let device = if number % 2 == 0 { "cpu" } else { "cuda:0" };
        let argument = json!({
            "uri": uri, "model": "Net", "scope": format!("l{}", number / 4), "device": device,
        });
        let params = json!({ "command": "taper.benchmark", "arguments": [argument] });
        editor.client.send("workspace/executeCommand", params);
    }
    for _ in 0..50 {
        let message = editor.message();
        assert!(message.contains("exit status: 3"), "{message}");
    }
    // Meanwhile the server answers, and never were there more workers than devices.
    assert_eq!(editor.hints().len(), 26);
    let text = std::fs::read_to_string(started).expect("a file");
    assert!(text.lines().count() >= 50, "{}", text.lines().count());
    editor.client.shut_down();
}

#[test]
fn the_end_of_the_server_is_the_end_of_the_worker() {
    // A real worker behind a wrapper, as behind ssh: it ends with its input.
    let taper = env!("CARGO_BIN_EXE_taper");
    let project = Project::new(&[]);
    let pid = project.path("pid");
    let script = r#"echo $$ > "$0"; exec "$1" bench --stdio"#;
    let mut editor = Editor::new(json!({
        "command": ["sh", "-c", script, pid, taper], "devices": ["cpu"], "seconds": 3600,
    }));
    editor.benchmark();
    editor.wait_for("report");
    let until = Instant::now() + Duration::from_secs(20);
    let process = loop {
        let text = std::fs::read_to_string(&pid).unwrap_or_default();
        if text.ends_with('\n') {
            break text.trim().to_owned();
        }
        assert!(Instant::now() < until, "the worker does not start");
    };
    editor.client.kill();
    let lives = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"));
        status.is_ok_and(|status| !status.contains("zombie"))
    };
    while lives() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(!lives(), "the worker outlives the server");
}

#[test]
fn another_program_measures() {
    // What a wrapper gets and gives is what Taper itself does.
    let taper = env!("CARGO_BIN_EXE_taper");
    let script = r#"exec "$0" bench --stdio"#;
    let mut editor = Editor::new(
        json!({ "command": ["sh", "-c", script, taper], "devices": ["cpu"], "seconds": 0.3 }),
    );
    editor.benchmark();
    assert!(editor.end().starts_with("Net on cpu: "));
    assert!(editor.hints_with("of peak")[0].contains("of peak"));
    editor.client.shut_down();
}

#[test]
#[cfg(unix)]
fn an_invalid_result_does_not_replace_a_good_one() {
    // The second time the GPU is too hot, as it were.
    let script = format!(
        r#""{}" bench --stdio | if [ -e "$0" ]; then sed -u 's/"invalid":\[\]/"invalid":["too hot"]/'; else : > "$0"; cat; fi"#,
        env!("CARGO_BIN_EXE_taper")
    );
    let folder = tempfile::tempdir().expect("a folder");
    let flag = folder.path().join("measured");
    let command = ["sh", "-c", &script, &flag.to_string_lossy()];
    let bench = json!({ "command": command, "devices": ["cpu"], "seconds": 0.2 });
    let mut editor = Editor::new(bench);
    editor.benchmark();
    editor.end();
    editor.hints_with("of peak");
    editor.benchmark();
    let said = editor.client.notification("window/showMessage");
    let expected = "Net on cpu was not measured well, so the time before stays: too hot";
    assert_eq!(said, json!({ "type": 2, "message": expected }));
    editor.hints_with("of peak");
    assert!(editor.lenses().iter().all(|lens| !lens.contains("INVALID")), "{:?}", editor.lenses());
    editor.client.shut_down();
}
