//! A long session of random edits, in each encoding: the server's text stays ours, and no feature
//! fails on what is half-typed.

use serde_json::{Value, json};

use crate::{RESNET, client::Client};

/// Edits in each encoding, and how often the texts are compared.
const EDITS: i32 = 10_000;
const BETWEEN: i32 = 100;

/// What is typed: pieces of models, and what is hard to count.
const PIECES: [&str; 32] = [
    "Linear(4)",
    "Conv2d(8, 3)",
    "ReLU",
    "-> ",
    "{",
    "}",
    "(",
    ")",
    "[N, C]",
    ", ",
    "\n",
    "\r\n",
    "    ",
    "a: ",
    "\"a{i}\"",
    "x",
    " + ",
    "repeat 1 {\n",
    "for i in range(2) { ",
    "if N > 1 {",
    "block B(n = 2) { Linear(n) }\n",
    "model M { input x: f32[N = 1, 8]; ",
    "B(3)",
    "let n = 3\n",
    "😀",
    "é",
    "# 𝔸 note\n",
    "\u{feff}",
    "param w: [8, 8]\n",
    "expect params > 0\n",
    ".shape[1]",
    "choose 1 of 2 { Linear(8) }",
];

/// Numbers that look random and are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        // Knuth's MMIX generator; its high bits are the good ones.
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// How many units of an encoding a character has.
fn units(encoding: &str, letter: char) -> usize {
    match encoding {
        "utf-8" => letter.len_utf8(),
        "utf-16" => letter.len_utf16(),
        _ => 1,
    }
}

/// The position of an offset, at the start of a character.
fn position(text: &str, offset: usize, encoding: &str) -> Value {
    let start = text[..offset].rfind('\n').map_or(0, |at| at + 1);
    let column: usize = text[start..offset].chars().map(|letter| units(encoding, letter)).sum();
    json!({ "line": text[..start].matches('\n').count(), "character": column })
}

/// An offset before which a client can stand: not within a line's end.
fn place(text: &str, numbers: &mut Numbers) -> usize {
    let mut offset = numbers.below(text.len() + 1);
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    while text[..offset].ends_with('\r') {
        offset -= 1;
    }
    offset
}

/// One change of a text, and what the client says of it.
fn edit(text: &mut String, encoding: &str, numbers: &mut Numbers) -> Value {
    let start = place(text, numbers);
    let grows = text.len() < 1_500 && numbers.below(5) > 0;
    let mut end = start;
    if !grows || numbers.below(4) == 0 {
        end = (start + 1 + numbers.below(if grows { 12 } else { 200 })).min(text.len());
        while !text.is_char_boundary(end) || text[..end].ends_with('\r') {
            end -= 1;
        }
        end = end.max(start);
    }
    let piece = if grows { PIECES[numbers.below(PIECES.len())] } else { "" };
    let (from, to) = (position(text, start, encoding), position(text, end, encoding));
    text.replace_range(start..end, piece);
    match numbers.below(100) {
        // The whole text at once.
        0 => json!({ "text": text }),
        // The ends the other way round.
        1 => json!({ "range": { "start": to, "end": from }, "text": piece }),
        _ => json!({ "range": { "start": from, "end": to }, "text": piece }),
    }
}

/// Asks one feature about a random place. A refusal is an answer, a failure is not.
fn ask(client: &mut Client, uri: &str, text: &str, encoding: &str, numbers: &mut Numbers) {
    let (one, other) = (place(text, numbers), place(text, numbers));
    let at = position(text, one, encoding);
    let range = json!({
        "start": position(text, one.min(other), encoding), "end": position(text, one.max(other), encoding),
    });
    let document = json!({ "uri": uri });
    let options = json!({ "tabSize": 4, "insertSpaces": true });
    let (method, params) = match numbers.below(24) {
        0 => ("hover", json!({ "position": at })),
        1 => ("completion", json!({ "position": at })),
        2 => ("signatureHelp", json!({ "position": at })),
        3 => ("definition", json!({ "position": at })),
        4 => ("typeDefinition", json!({ "position": at })),
        5 => ("references", json!({ "position": at, "context": { "includeDeclaration": true } })),
        6 => ("documentHighlight", json!({ "position": at })),
        7 => ("documentSymbol", json!({})),
        8 => ("foldingRange", json!({})),
        9 => ("selectionRange", json!({ "positions": [at] })),
        10 => ("semanticTokens/full", json!({})),
        11 => ("semanticTokens/range", json!({ "range": range })),
        12 => ("semanticTokens/full/delta", json!({ "previousResultId": "0" })),
        13 => ("formatting", json!({ "options": options })),
        14 => ("rangeFormatting", json!({ "options": options, "range": range })),
        15 => ("onTypeFormatting", json!({ "options": options, "position": at, "ch": "}" })),
        16 => ("codeAction", json!({ "range": range, "context": { "diagnostics": [] } })),
        17 => ("codeLens", json!({})),
        18 => ("documentLink", json!({})),
        19 => ("linkedEditingRange", json!({ "position": at })),
        20 => ("prepareCallHierarchy", json!({ "position": at })),
        21 => ("prepareRename", json!({ "position": at })),
        22 => ("rename", json!({ "position": at, "newName": "renamed" })),
        _ => ("inlayHint", json!({ "range": range })),
    };
    let mut params = params;
    params["textDocument"] = document;
    let answer = client.request_raw(&format!("textDocument/{method}"), Some(params));
    let code = answer["error"]["code"].as_i64();
    assert!(matches!(code, None | Some(-32803)), "{method}: {answer}\n{text}");
}

/// Everything that a text decides.
fn everything_of(client: &mut Client, uri: &str) -> [Value; 3] {
    let document = json!({ "textDocument": { "uri": uri } });
    let mut tokens = client.request("textDocument/semanticTokens/full", document.clone());
    tokens["resultId"] = Value::Null;
    let symbols = client.request("textDocument/documentSymbol", document.clone());
    let mut params = document;
    params["range"] = crate::everything();
    let mut hints = client.request("textDocument/inlayHint", params);
    for hint in hints.as_array_mut().into_iter().flatten() {
        hint["data"] = Value::Null;
    }
    [tokens, symbols, hints]
}

fn session(encoding: &str, seed: u64) {
    let capabilities = json!({ "general": { "positionEncodings": [encoding] } });
    let mut client = Client::start(capabilities);
    let uri = "file:///session.taper";
    let mut text = RESNET.to_owned();
    client.open(uri, &text);
    let mut numbers = Numbers(seed);
    let mut version = 1;
    let mut edits = 0;
    while edits < EDITS {
        let together = 1 + numbers.below(3) as i32;
        let changes: Vec<Value> =
            (0..together).map(|_| edit(&mut text, encoding, &mut numbers)).collect();
        edits += together;
        version += 1;
        let params = json!({
            "textDocument": { "uri": uri, "version": version }, "contentChanges": changes,
        });
        client.notify("textDocument/didChange", Some(params));
        if numbers.below(10) == 0 {
            ask(&mut client, uri, &text, encoding, &mut numbers);
        }
        if version % BETWEEN == 0 {
            let fresh = "file:///fresh.taper";
            client.open(fresh, &text);
            assert_eq!(
                everything_of(&mut client, uri),
                everything_of(&mut client, fresh),
                "{encoding}, after {edits} edits:\n{text}"
            );
            let closed = json!({ "textDocument": { "uri": fresh } });
            client.notify("textDocument/didClose", Some(closed));
            client.forget_notifications();
        }
    }
    client.shut_down();
}

#[test]
fn ten_thousand_edits_in_utf_8() {
    session("utf-8", 8);
}

#[test]
fn ten_thousand_edits_in_utf_16() {
    session("utf-16", 16);
}

#[test]
fn ten_thousand_edits_in_utf_32() {
    session("utf-32", 32);
}
