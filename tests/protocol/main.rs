//! The real binary over standard input and output, driven as an editor drives it.

#![allow(clippy::panic)] // A test that cannot go on says so.

mod benchmarks;
mod client;
mod clients;
mod configs;
mod features;
mod framing;
mod lifecycle;
mod meta_model;
mod project;
mod session;
mod settings;
mod views;
mod watching;

use client::Client;
use serde_json::{Value, json};

const RESNET: &str = include_str!("../../examples/resnet50.taper");

fn everything() -> Value {
    json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 10_000, "character": 0 } })
}

/// The labels of all hints, by line from 0.
fn hints(client: &mut Client, uri: &str) -> Vec<(u64, String)> {
    let result = client.request(
        "textDocument/inlayHint",
        json!({ "textDocument": { "uri": uri }, "range": everything() }),
    );
    let hints = result.as_array().expect("hints");
    let one = |hint: &Value| {
        let line = hint["position"]["line"].as_u64().expect("a line");
        (line, hint["label"].as_str().expect("a label").to_owned())
    };
    hints.iter().map(one).collect()
}

fn hint_on<'h>(hints: &'h [(u64, String)], text: &str, wanted: &str) -> &'h str {
    let line = text.lines().position(|line| line.contains(wanted)).expect("the line") as u64;
    let found = hints.iter().find(|(at, _)| *at == line);
    &found.unwrap_or_else(|| panic!("no hint on the line of `{wanted}`: {hints:?}")).1
}

#[test]
fn hints_follow_an_edit() {
    let mut client = Client::start(json!({}));
    let uri = "file:///models/resnet50.taper";
    client.open(uri, RESNET);
    let before = hints(&mut client, uri);
    assert_eq!(
        hint_on(&before, RESNET, "fc: Linear"),
        "[N, 1000] · 2.05 M params · 4.10 MFLOP · <0.1 %"
    );
    assert_eq!(hint_on(&before, RESNET, "model ResNet50"), "25.6 M params · 8.22 GFLOP");

    // `num_classes = 1000` becomes `num_classes = 10`, as a person deletes two characters.
    let line = RESNET.lines().position(|line| line.starts_with("model")).expect("the model");
    let column = RESNET.lines().nth(line).and_then(|line| line.find("1000")).expect("the number");
    client.change(uri, 2, line, column + 2, column + 4, "");
    let after = hints(&mut client, uri);
    assert_eq!(
        hint_on(&after, RESNET, "fc: Linear"),
        "[N, 10] · 20.5 K params · 41.0 KFLOP · <0.1 %"
    );
    assert_eq!(hint_on(&after, RESNET, "model ResNet50"), "23.5 M params · 8.21 GFLOP");
    client.shut_down();
}

/// The conversation of a session, as docs/session.md shows it.
#[test]
fn the_session_in_the_documents_is_current() {
    let text = "model Net(classes = 10) {\n    input x: f32[N = 1, 3, H = 32, W = 32]\n    \
                conv: Conv2d(16, 3, padding=1)\n    ReLU\n    AdaptiveAvgPool2d(1) -> Flatten\n    \
                fc: Linear(classes)\n}\n";
    let mut client = Client::start(json!({}));
    let uri = "file:///net.taper";
    let mut page = String::from(
        "# A session\n\nWhat an editor and `taper lsp` say to each other while a person changes a number. \
         Made by tests/protocol.\n\nThe editor opens a file and asks for its hints:\n",
    );
    client.open(uri, text);
    page.push_str(&format!("\n```text\n{}```\n", shown(text, &hints(&mut client, uri))));
    let line = text.lines().position(|line| line.contains("Conv2d")).expect("the line");
    client.change(uri, 2, line, 17, 19, "64");
    let edited = text.replace("Conv2d(16", "Conv2d(64");
    page.push_str(
        "\nThe person replaces `16` by `64`. The editor sends the change and asks again:\n",
    );
    page.push_str(
        "\n```json\n{ \"method\": \"textDocument/didChange\", \"params\": { \"contentChanges\": [\n    \
         { \"range\": { \"start\": { \"line\": 2, \"character\": 17 }, \"end\": { \"line\": 2, \"character\": 19 } },\n      \
         \"text\": \"64\" } ] } }\n```\n",
    );
    page.push_str(&format!("\n```text\n{}```\n", shown(&edited, &hints(&mut client, uri))));
    let line = text.lines().position(|line| line.contains("Linear")).expect("the line");
    client.change(uri, 3, line, 15, 22, "0");
    let wrong = edited.replace("Linear(classes)", "Linear(0)");
    page.push_str("\nThen `classes` by `0`. Hints stay for what can still be known, and the mistake has its message:\n");
    page.push_str(&format!("\n```text\n{}```\n", shown(&wrong, &hints(&mut client, uri))));
    loop {
        let mut pushed = client.notification("textDocument/publishDiagnostics");
        if pushed["version"] == 3 {
            // The link leads to a file of this machine.
            let found = pushed["diagnostics"].as_array_mut().into_iter().flatten();
            for one in found.filter_map(Value::as_object_mut) {
                one.remove("codeDescription");
            }
            let found = serde_json::to_string_pretty(&pushed["diagnostics"]).expect("JSON");
            page.push_str(&format!("\n```json\n{found}\n```\n"));
            break;
        }
    }
    client.shut_down();
    expect_test::expect_file!["../../docs/session.md"].assert_eq(&page);
}

/// A text with its hints at the ends of the lines.
fn shown(text: &str, hints: &[(u64, String)]) -> String {
    let lines = text.lines().enumerate().map(|(number, line)| {
        let hint = hints.iter().find(|(at, _)| *at == number as u64);
        hint.map_or_else(|| format!("{line}\n"), |(_, label)| format!("{line}  ‹{label}›\n"))
    });
    lines.collect()
}

#[test]
fn a_hint_resolves_to_its_details() {
    let mut client = Client::start(json!({}));
    let uri = "file:///models/resnet50.taper";
    client.open(uri, RESNET);
    let result = client.request(
        "textDocument/inlayHint",
        json!({ "textDocument": { "uri": uri }, "range": everything() }),
    );
    let hint = result.as_array().and_then(|hints| {
        hints.iter().find(|hint| {
            hint["label"].as_str().is_some_and(|label| label.starts_with("[N, 1000] · 2.05"))
        })
    });
    let hint = hint.expect("the hint of `if num_classes`").clone();
    let resolved = client.request("inlayHint/resolve", hint.clone());
    assert_eq!(resolved["label"], hint["label"]);
    let tooltip = resolved["tooltip"]["value"].as_str().expect("a tooltip");
    assert!(tooltip.contains("2,049,000"), "{tooltip}");
    client.shut_down();
}

#[test]
fn hover_explains_a_layer() {
    let mut client = Client::start(json!({}));
    let uri = "file:///models/resnet50.taper";
    client.open(uri, RESNET);
    let line = RESNET.lines().position(|line| line.contains("fc: Linear")).expect("fc");
    let result = client.request(
        "textDocument/hover",
        json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": 14 } }),
    );
    let text = result["contents"]["value"].as_str().expect("Markdown");
    for expected in [
        "Linear(out_features=1000)",
        "[N, 2048] → [N, 1000]",
        "`weight f32[1000, 2048]`",
        "2,048,000",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    client.shut_down();
}

#[test]
fn diagnostics_are_pushed_to_clients_that_do_not_pull() {
    let mut client = Client::start(json!({}));
    let uri = "file:///m.taper";
    client.open(uri, "model M {\n    input x: f32[N = 1, 8]\n    Liner(4)\n}\n");
    let pushed = client.notification("textDocument/publishDiagnostics");
    let found = &pushed["diagnostics"][0];
    assert_eq!(found["code"], "T0102");
    let page = found["codeDescription"]["href"].as_str().expect("a link");
    let (page, section) = page.split_once('#').expect("a section");
    let page = std::fs::read_to_string(page.trim_start_matches("file://")).expect("the page");
    assert!(page.contains("## T0102") && section == "t0102", "{section}");
    assert_eq!(pushed["diagnostics"][0]["range"]["start"], json!({ "line": 2, "character": 4 }));
    client.change(uri, 2, 2, 8, 8, "a");
    loop {
        let pushed = client.notification("textDocument/publishDiagnostics");
        if pushed["version"] == 2 {
            assert_eq!(pushed["diagnostics"], json!([]));
            break;
        }
    }
    client.shut_down();
}

#[test]
fn diagnostics_are_pulled_by_clients_that_can() {
    let mut client = Client::start(json!({ "textDocument": { "diagnostic": {} } }));
    let uri = "file:///m.taper";
    client.open(uri, "model M { input x: f32[N = 1, 8]; Linear( }\n");
    let report =
        client.request("textDocument/diagnostic", json!({ "textDocument": { "uri": uri } }));
    assert_eq!(report["kind"], "full");
    assert_eq!(report["items"][0]["code"], "T0001");
    client.shut_down();
}

#[test]
fn columns_are_counted_as_the_client_says() {
    for (encoding, column) in [("utf-8", 18), ("utf-16", 16), ("utf-32", 15)] {
        let mut client = Client::start(json!({ "general": { "positionEncodings": [encoding] } }));
        assert_eq!(client.capabilities["positionEncoding"], encoding);
        let uri = "file:///m.taper";
        // 😀 is four bytes, two UTF-16 units, one character.
        client.open(uri, "block A { \"😀\": Liner(1) }\n");
        let pushed = client.notification("textDocument/publishDiagnostics");
        assert_eq!(pushed["diagnostics"][0]["range"]["start"]["character"], column, "{encoding}");
        // An edit at that column meets the same place.
        client.change(uri, 2, 0, column + 4, column + 4, "a");
        let report =
            client.request("textDocument/diagnostic", json!({ "textDocument": { "uri": uri } }));
        assert_eq!(report["items"], json!([]), "{encoding}");
        client.shut_down();
    }
}

#[test]
fn a_burst_of_edits_keeps_its_order() {
    let mut client = Client::start(json!({}));
    let uri = "file:///m.taper";
    client.open(uri, "model M { input x: f32[N = 1, 8]; Linear() }\n");
    // Five hundred digits typed and deleted again, then 77 typed.
    let at = "model M { input x: f32[N = 1, 8]; Linear(".len();
    for version in 0..250 {
        client.change(uri, 2 + 2 * version, 0, at, at, "9");
        client.change(uri, 3 + 2 * version, 0, at, at + 1, "");
    }
    client.change(uri, 1000, 0, at, at, "7");
    client.change(uri, 1001, 0, at + 1, at + 1, "7");
    let hints = hints(&mut client, uri);
    assert!(hints.iter().any(|(_, label)| label.starts_with("[N, 77]")), "{hints:?}");
    client.shut_down();
}

#[test]
fn an_open_file_is_used_before_the_one_on_disk() {
    let mut client = Client::start(json!({}));
    client.open("file:///models/blocks.taper", "block Head { Linear(5) }\n");
    let uri = "file:///models/main.taper";
    client.open(uri, "use \"blocks.taper\"\nmodel M { input x: f32[N = 1, 8]; Head }\n");
    assert!(hints(&mut client, uri).iter().any(|(_, label)| label.starts_with("45 params")));
    let at = "block Head { Linear(".len();
    client.change("file:///models/blocks.taper", 2, 0, at, at + 1, "6");
    assert!(hints(&mut client, uri).iter().any(|(_, label)| label.starts_with("54 params")));
    client.shut_down();
}

#[test]
fn formatting_changes_only_what_differs() {
    let mut client = Client::start(json!({}));
    let uri = "file:///m.taper";
    client.open(uri, "block A {\n    ReLU\n  Linear( 4 )\n    Tanh\n}\n");
    let edits = client.request(
        "textDocument/formatting",
        json!({ "textDocument": { "uri": uri }, "options": { "tabSize": 4, "insertSpaces": true } }),
    );
    let expected = json!([{
        "range": { "start": { "line": 2, "character": 0 }, "end": { "line": 3, "character": 0 } },
        "newText": "    Linear(4)\n",
    }]);
    assert_eq!(edits, expected);
    client.shut_down();
}

#[test]
fn unknown_documents_have_no_answers() {
    let mut client = Client::start(json!({}));
    let answer = client.request(
        "textDocument/inlayHint",
        json!({ "textDocument": { "uri": "untitled:Untitled-1" }, "range": everything() }),
    );
    assert_eq!(answer, Value::Null);
    client.shut_down();
}

#[test]
fn an_untitled_document_is_served() {
    let mut client = Client::start(json!({}));
    client.open("untitled:Untitled-1", "model M { input x: f32[N = 1, 8]; Linear(4) }");
    assert!(
        hints(&mut client, "untitled:Untitled-1")
            .iter()
            .any(|(_, label)| label.starts_with("36 params"))
    );
    client.shut_down();
}
