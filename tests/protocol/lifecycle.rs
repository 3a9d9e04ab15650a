//! How a server begins and ends, and what does not bring it down.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{RESNET, client::Client, everything, hints};

#[test]
fn newer_clients_are_understood() {
    let capabilities = json!({
        "textDocument": { "foldingRange": { "foldingRangeKind": { "valueSet": ["comment", "future"] } } },
        "workspace": { "workspaceEdit": { "resourceOperations": ["create", "future"] } },
    });
    let params = json!({ "capabilities": capabilities, "trace": "compact", "processId": null, "rootUri": null });
    let mut client = Client::start_as(params, Value::Null, true);
    client.shut_down();
}

#[test]
fn shutdown_takes_any_parameters() {
    for params in [Value::Null, json!({})] {
        let mut client = Client::start(json!({}));
        client.is_odd = true;
        assert_eq!(client.request_raw("shutdown", Some(params)).get("error"), None);
        client.notify("exit", None);
        assert_eq!(client.wait(), Some(0));
    }
}

#[test]
fn exit_ends_the_server_while_the_pipe_is_open() {
    let mut client = Client::start(json!({}));
    client.request("shutdown", Value::Null);
    client.notify("exit", None);
    client.notify("textDocument/didSave", Some(json!({ "textDocument": { "uri": "file:///x" } })));
    assert_eq!(client.wait(), Some(0));
}

#[test]
fn the_end_of_the_pipe_ends_the_server() {
    let mut client = Client::start(json!({}));
    client.close_input();
    assert_eq!(client.wait(), Some(1));
}

#[test]
fn the_end_of_the_client_ends_the_server() {
    let mut parent = std::process::Command::new("sleep").arg("1000").spawn().expect("sleep");
    let mut client = Client::start_with(
        json!({ "capabilities": {}, "rootUri": null, "processId": parent.id() }),
    );
    client.request(
        "textDocument/hover",
        json!({
            "textDocument": { "uri": "file:///none" }, "position": { "line": 0, "character": 0 },
        }),
    );
    parent.kill().expect("to be killed");
    parent.wait().expect("to have ended");
    assert_eq!(client.wait(), Some(1));
}

#[test]
fn a_cancelled_request_is_answered_so() {
    let mut client = Client::start(json!({}));
    let uri = "file:///m.taper";
    client.open(uri, RESNET);
    // Many requests fill both threads; the last one is cancelled before its turn.
    for _ in 0..50 {
        client.send(
            "textDocument/hover",
            json!({
                "textDocument": { "uri": uri }, "position": { "line": 5, "character": 14 },
            }),
        );
    }
    let id = client.send(
        "textDocument/inlayHint",
        json!({ "textDocument": { "uri": uri }, "range": everything() }),
    );
    client.notify("$/cancelRequest", Some(json!({ "id": id })));
    let answer = client.answer(id);
    // It may have been answered before the cancellation was read; it is answered once.
    let cancelled = answer["error"]["code"] == -32800;
    assert!(cancelled || answer["result"].is_array(), "{answer}");
    client.shut_down();
}

#[test]
fn requests_come_after_initialize_and_before_shutdown() {
    let mut client = Client::spawn();
    let answer = client.request_raw("workspace/symbol", Some(json!({ "query": "" })));
    assert_eq!(answer["error"]["code"], -32002);
    client.initialize(json!({ "capabilities": {}, "processId": null, "rootUri": null }));
    client.request("shutdown", Value::Null);
    let answer = client.request_raw("workspace/symbol", Some(json!({ "query": "" })));
    assert_eq!(answer["error"]["code"], -32600);
    client.notify("exit", None);
    assert_eq!(client.wait(), Some(0));
}

#[test]
fn exit_without_shutdown_is_a_failure() {
    let mut client = Client::start(json!({}));
    client.notify("exit", None);
    assert_eq!(client.wait(), Some(1));
}

/// A client that is killed leaves no server behind, though the pipe stays open: the server's
/// standard input is ours, not the client's.
#[cfg(target_os = "linux")]
#[test]
fn killing_the_client_leaves_no_server() {
    // What a shell starts in the background has an empty input unless it is given another.
    let script = format!(
        "exec 3<&0; {} lsp --clientProcessId=$$ <&3 & echo $!; wait",
        env!("CARGO_BIN_EXE_taper")
    );
    let mut client = Command::new("sh")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell");
    let still_open = client.stdin.take().expect("a pipe");
    let output = client.stdout.take().expect("a pipe");
    let mut server = String::new();
    BufReader::new(output).read_line(&mut server).expect("a number");
    let is_there = || std::path::Path::new(&format!("/proc/{}", server.trim())).exists();
    std::thread::sleep(Duration::from_millis(100));
    assert!(is_there(), "the server has ended before its client");
    client.kill().expect("to be killed");
    client.wait().expect("to have ended");
    let start = Instant::now();
    while is_there() {
        assert!(start.elapsed() < Duration::from_secs(30), "the server lives on");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(still_open);
}

#[test]
fn a_closed_output_ends_the_server() {
    let mut client = Client::start(json!({}));
    client.close_output();
    for version in 2..200 {
        client.notify(
            "textDocument/didOpen",
            Some(json!({ "textDocument": {
            "uri": format!("file:///{version}.taper"), "languageId": "taper", "version": version,
            "text": "block A { Liner }" } })),
        );
    }
    client.close_input();
    assert_eq!(client.wait(), Some(1));
}

#[test]
fn a_client_that_never_answers_is_served() {
    let mut client = Client::spawn();
    client.answers = false;
    client.initialize(json!({ "processId": null, "rootUri": null, "capabilities": { "workspace": {
        "configuration": true, "inlayHint": { "refreshSupport": true },
        "didChangeWatchedFiles": { "dynamicRegistration": true } } } }));
    let asked = client.wait_until_asked("workspace/configuration");
    let uri = "file:///m.taper";
    client.open(uri, RESNET);
    for version in 0..300 {
        client.change(uri, 2 + version, 0, 0, 0, "#\n");
        client.notify("workspace/didChangeConfiguration", Some(json!({ "settings": null })));
    }
    assert!(!hints(&mut client, uri).is_empty());
    // An answer that comes late is taken.
    let nothing = json!({ "hints": { "steps": false, "items": false, "values": false } });
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": [nothing] });
    client.write(&answer);
    let start = Instant::now();
    while !hints(&mut client, uri).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(30), "the settings are not taken");
    }
    client.shut_down();
}

#[test]
fn a_text_that_is_too_large_is_said_so() {
    let mut client = Client::start(json!({ "textDocument": { "diagnostic": {} } }));
    let uri = "file:///large.taper";
    let text =
        format!("model M {{\n{}}}\n", "    # four million bytes of comments\n".repeat(110_000));
    client.open(uri, &text);
    let document = json!({ "textDocument": { "uri": uri } });
    let report = client.request("textDocument/diagnostic", document.clone());
    let message = report["items"][0]["message"].as_str().expect("a message");
    assert!(message.contains("a Taper file may have 1048576"), "{message}");
    // No feature is hurt by a place that is not there.
    let far = json!({ "line": 90_000, "character": 7 });
    for method in [
        "hover",
        "definition",
        "typeDefinition",
        "documentHighlight",
        "completion",
        "signatureHelp",
        "linkedEditingRange",
        "prepareCallHierarchy",
    ] {
        let mut params = document.clone();
        params["position"] = far.clone();
        client.request(&format!("textDocument/{method}"), params);
    }
    for method in
        ["documentSymbol", "foldingRange", "documentLink", "codeLens", "semanticTokens/full"]
    {
        client.request(&format!("textDocument/{method}"), document.clone());
    }
    let mut params = document.clone();
    params["range"] = json!({ "start": far, "end": far });
    params["context"] = json!({ "diagnostics": [] });
    client.request("textDocument/codeAction", params);
    // It becomes small enough again.
    let whole = json!([{ "text": "block A { Liner }" }]);
    let params = json!({ "textDocument": { "uri": uri, "version": 2 }, "contentChanges": whole });
    client.notify("textDocument/didChange", Some(params));
    let report = client.request("textDocument/diagnostic", document);
    assert_eq!(report["items"][0]["code"], "T0102");
    client.shut_down();
}

#[test]
fn windows_texts_keep_their_line_ends() {
    let mut client = Client::start(json!({}));
    let uri = "file:///m.taper";
    client.open(uri, "\u{feff}model M {\r\n  input x: f32[N = 1, 8]\r\n    fc: Linear(4)\r\n}\r\n");
    assert_eq!(hints(&mut client, uri).last().map(|(line, _)| *line), Some(2));
    client.change(uri, 2, 2, 15, 16, "5");
    assert!(hints(&mut client, uri).iter().any(|(_, label)| label.starts_with("[N, 5]")));
    let edits = client.request(
        "textDocument/formatting",
        json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 4, "insertSpaces": true } }),
    );
    assert_eq!(edits[0]["newText"], "    input x: f32[N = 1, 8]\r\n");
    assert_eq!(edits.as_array().map(Vec::len), Some(1));
    client.shut_down();
}
