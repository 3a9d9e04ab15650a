//! Every feature once, over the protocol. What each of them finds is tested in `ide`.

use serde_json::{Value, json};

use crate::{client::Client, project::Project};

const BLOCKS: &str = "## Two layers.\nblock Pair(width) {\n    input x: [N, C]\n    first: Linear(width)\n    second: Linear(C)\n}\n";

const MAIN: &str = "use \"blocks.taper\"\n\n# A model\n# of two pairs.\nmodel Net(width = 4) {\n    input x: f32[N = 1, 8]\n    a: Pair(width)\n    b: Pair(width=3)\n    let unused = width + 1\n    a + b -> ReLU\n    ReLU\n}\n";

/// A client of a project with two files, `main.taper` open.
fn start(capabilities: Value) -> (Client, Project, String) {
    let project = Project::new(&[("blocks.taper", BLOCKS), ("main.taper", MAIN)]);
    let folder = json!({ "uri": project.uri(""), "name": "project" });
    let mut client = Client::start_with(json!({
        "processId": null, "rootUri": null, "capabilities": capabilities,
        "workspaceFolders": [folder],
    }));
    let uri = project.uri("main.taper");
    client.open(&uri, MAIN);
    (client, project, uri)
}

/// The position of the first place of a text, and so many characters on.
fn at(wanted: &str, on: usize) -> Value {
    let offset = MAIN.find(wanted).expect("the text") + on;
    let line = MAIN[..offset].matches('\n').count();
    let column = offset - MAIN[..offset].rfind('\n').map_or(0, |at| at + 1);
    json!({ "line": line, "character": column })
}

fn position(uri: &str, wanted: &str, on: usize) -> Value {
    json!({ "textDocument": { "uri": uri }, "position": at(wanted, on) })
}

fn document(uri: &str) -> Value {
    json!({ "textDocument": { "uri": uri } })
}

/// A list's items by one field.
fn field<'v>(list: &'v Value, name: &str) -> Vec<&'v str> {
    let items = list.as_array().unwrap_or_else(|| panic!("a list, not {list}"));
    items.iter().map(|item| item[name].as_str().unwrap_or_default()).collect()
}

#[test]
fn completion_and_its_documentation() {
    let (mut client, _project, uri) = start(json!({
        "textDocument": { "completion": { "completionItem": { "snippetSupport": true } } }
    }));
    // In `a + b -> ReLU`, behind the arrow.
    let items = client.request("textDocument/completion", position(&uri, "ReLU\n", 2));
    assert!(field(&items, "label").contains(&"Pair"));
    let conv =
        items.as_array().and_then(|items| items.iter().find(|item| item["label"] == "Conv2d"));
    let conv = conv.expect("Conv2d").clone();
    assert_eq!(conv["textEdit"]["newText"], "Conv2d(${1:out_channels}, ${2:kernel_size})");
    assert_eq!(conv.get("documentation"), None);
    let resolved = client.request("completionItem/resolve", conv);
    let text = resolved["documentation"]["value"].as_str().expect("documentation");
    assert!(text.contains("C_out * H_out"), "{text}");
    client.shut_down();
}

#[test]
fn completion_of_a_path() {
    let (mut client, _project, uri) = start(json!({}));
    let items = client.request("textDocument/completion", position(&uri, "blocks.taper", 3));
    assert_eq!(field(&items, "label"), ["blocks.taper"]);
    client.shut_down();
}

#[test]
fn signature_help() {
    let (mut client, _project, uri) = start(json!({}));
    let help = client.request("textDocument/signatureHelp", position(&uri, "width)\n", 0));
    assert_eq!(help["signatures"][0]["label"], "Pair(width)");
    assert_eq!(help["activeParameter"], 0);
    client.shut_down();
}

#[test]
fn definitions_lead_to_other_files() {
    let (mut client, project, uri) = start(json!({}));
    let blocks = project.uri("blocks.taper");
    for (method, wanted, on, expected, line) in [
        ("textDocument/definition", "Pair(width)", 1, &blocks, 1),
        ("textDocument/declaration", "Pair(width)", 1, &blocks, 1),
        ("textDocument/definition", "blocks.taper", 1, &blocks, 0),
        ("textDocument/definition", "width=3", 0, &blocks, 1),
        ("textDocument/definition", "b -> ReLU", 0, &uri, 7),
        ("textDocument/typeDefinition", "b -> ReLU", 0, &blocks, 1),
    ] {
        let found = client.request(method, position(&uri, wanted, on));
        assert_eq!(found["uri"], **expected, "{wanted}");
        assert_eq!(found["range"]["start"]["line"], line, "{wanted}");
    }
    client.shut_down();
}

#[test]
fn definitions_as_links() {
    let capabilities = json!({ "textDocument": { "definition": { "linkSupport": true } } });
    let (mut client, _project, uri) = start(capabilities);
    let found = client.request("textDocument/definition", position(&uri, "Pair(width)", 1));
    assert_eq!(found[0]["targetRange"]["end"]["line"], 5);
    assert_eq!(found[0]["originSelectionRange"]["start"], at("Pair(width)", 0));
    client.shut_down();
}

#[test]
fn references_in_all_files() {
    let (mut client, project, uri) = start(json!({}));
    // Another file that uses the block and is not open.
    project.write("other.taper", "use \"blocks.taper\": Pair\nblock Other { Pair(width=2) }\n");
    let mut params = position(&uri, "Pair(width)", 1);
    params["context"] = json!({ "includeDeclaration": true });
    let found = client.request("textDocument/references", params.clone());
    let mut files = field(&found, "uri");
    files.sort_unstable();
    let (blocks, other) = (project.uri("blocks.taper"), project.uri("other.taper"));
    assert_eq!(files, [&*blocks, &*uri, &*uri, &*other, &*other]);
    params["context"] = json!({ "includeDeclaration": false });
    let found = client.request("textDocument/references", params);
    assert_eq!(found.as_array().map(Vec::len), Some(4));
    client.shut_down();
}

#[test]
fn highlights_and_linked_ranges() {
    let (mut client, _project, uri) = start(json!({}));
    let found = client.request("textDocument/documentHighlight", position(&uri, "a: Pair", 0));
    assert_eq!(found.as_array().map(Vec::len), Some(2));
    assert_eq!(found[0]["kind"], 3);
    let linked = client.request("textDocument/linkedEditingRange", position(&uri, "a: Pair", 0));
    assert_eq!(linked, Value::Null);
    client.shut_down();
}

#[test]
fn a_rename_reaches_all_files() {
    let capabilities = json!({ "workspace": { "workspaceEdit": {
        "documentChanges": true, "changeAnnotationSupport": {} } } });
    let (mut client, project, uri) = start(capabilities);
    let prepared = client.request("textDocument/prepareRename", position(&uri, "Pair(width)", 1));
    assert_eq!(prepared["placeholder"], "Pair");
    let mut params = position(&uri, "Pair(width)", 1);
    params["newName"] = json!("Two");
    let edit = client.request("textDocument/rename", params);
    let documents = edit["documentChanges"].as_array().expect("documents");
    let edits: Vec<(&str, usize)> = documents
        .iter()
        .map(|one| {
            let uri = one["textDocument"]["uri"].as_str().expect("an address");
            (uri, one["edits"].as_array().map_or(0, Vec::len))
        })
        .collect();
    assert_eq!(edits, [(&*project.uri("blocks.taper"), 1), (&*uri, 2)]);
    // A label is part of a checkpoint's paths, which is said.
    let mut params = position(&uri, "a: Pair", 0);
    params["newName"] = json!("left");
    let edit = client.request("textDocument/rename", params);
    let meaning = edit["changeAnnotations"]["meaning"]["description"].as_str();
    assert!(meaning.is_some_and(|meaning| meaning.contains("checkpoint")), "{edit}");
    client.shut_down();
}

#[test]
fn a_rename_that_would_break_is_refused() {
    let (mut client, _project, uri) = start(json!({}));
    let mut params = position(&uri, "a: Pair", 0);
    params["newName"] = json!("b");
    let answer = client.request_raw("textDocument/rename", Some(params));
    let message = answer["error"]["message"].as_str().expect("a refusal");
    assert!(message.contains("`b` is given twice"), "{message}");
    let params = position(&uri, "ReLU", 1);
    let answer = client.request_raw("textDocument/prepareRename", Some(params));
    assert_eq!(answer["error"]["message"], "`ReLU` is a layer of Taper");
    client.shut_down();
}

#[test]
fn outlines() {
    let (mut client, _project, uri) = start(json!({}));
    let symbols = client.request("textDocument/documentSymbol", document(&uri));
    assert_eq!(symbols[0]["name"], "Net");
    assert_eq!(field(&symbols[0]["children"], "name"), ["x", "a", "b", "unused"]);
    let found = client.request("workspace/symbol", json!({ "query": "pr" }));
    assert_eq!(field(&found, "name"), ["Pair"]);
    let found = client.request("workspace/symbol", json!({ "query": "" }));
    assert_eq!(field(&found, "name"), ["Pair", "Net"]);
    client.shut_down();
}

#[test]
fn folds_and_selections() {
    let capabilities = json!({ "textDocument": { "foldingRange": { "lineFoldingOnly": true } } });
    let (mut client, _project, uri) = start(capabilities);
    let folds = client.request("textDocument/foldingRange", document(&uri));
    assert_eq!(
        folds,
        json!([
            { "startLine": 2, "endLine": 3, "kind": "comment" },
            { "startLine": 4, "endLine": 10 },
        ])
    );
    let mut params = document(&uri);
    params["positions"] = json!([at("width=3", 0), at("ReLU", 0)]);
    let ranges = client.request("textDocument/selectionRange", params);
    assert_eq!(ranges.as_array().map(Vec::len), Some(2));
    let grown = &ranges[0]["parent"]["range"];
    assert_eq!(grown["end"], at("width=3)", 7));
    client.shut_down();
}

#[test]
fn tokens_whole_in_a_range_and_as_a_difference() {
    let (mut client, _project, uri) = start(json!({}));
    let whole = client.request("textDocument/semanticTokens/full", document(&uri));
    let numbers = |tokens: &Value| tokens["data"].as_array().map_or(0, Vec::len);
    assert_eq!(numbers(&whole) % 5, 0);
    let mut params = document(&uri);
    params["range"] = json!({ "start": at("a: Pair", 0), "end": at("b: Pair", 0) });
    let part = client.request("textDocument/semanticTokens/range", params);
    assert!(numbers(&part) < numbers(&whole) && numbers(&part) > 0);
    client.change(&uri, 2, 0, 0, 0, "# new\n");
    let mut params = document(&uri);
    params["previousResultId"] = whole["resultId"].clone();
    let delta = client.request("textDocument/semanticTokens/full/delta", params);
    assert_eq!(delta["edits"].as_array().map(Vec::len), Some(1));

    // The difference gives what a whole answer says.
    let edit = &delta["edits"][0];
    let number = |name: &str| edit[name].as_u64().unwrap_or(0) as usize;
    let mut data = whole["data"].as_array().cloned().unwrap_or_default();
    let new = edit["data"].as_array().cloned().unwrap_or_default();
    data.splice(number("start")..number("start") + number("deleteCount"), new);
    let again = client.request("textDocument/semanticTokens/full", document(&uri));
    assert_eq!(again["data"], Value::Array(data));
    client.shut_down();
}

#[test]
fn layouts() {
    let (mut client, _project, _) = start(json!({}));
    let uri = "untitled:layout";
    client.open(uri, "block A {\n  ReLU\n Tanh\n}\n");
    let options = json!({ "tabSize": 4, "insertSpaces": true });
    let mut params = document(uri);
    params["options"] = options.clone();
    params["range"] =
        json!({ "start": { "line": 1, "character": 0 }, "end": { "line": 1, "character": 3 } });
    let edits = client.request("textDocument/rangeFormatting", params);
    assert_eq!(field(&edits, "newText"), ["    ReLU\n"]);
    let mut params = document(uri);
    params["position"] = json!({ "line": 3, "character": 1 });
    params["ch"] = json!("}");
    params["options"] = options;
    let edits = client.request("textDocument/onTypeFormatting", params);
    assert_eq!(field(&edits, "newText"), ["    ReLU\n", "    Tanh\n"]);
    client.shut_down();
}

#[test]
fn links_and_lenses() {
    let (mut client, project, uri) = start(json!({}));
    let links = client.request("textDocument/documentLink", document(&uri));
    assert_eq!(field(&links, "target"), [project.uri("blocks.taper")]);
    let lenses = client.request("textDocument/codeLens", document(&uri));
    let title = lenses[0]["command"]["title"].as_str().expect("a title");
    assert!(title.starts_with("135 params · 271 FLOP · "), "{title}");
    client.shut_down();
}

#[test]
fn actions() {
    let capabilities = json!({ "textDocument": { "codeAction": { "disabledSupport": true } } });
    let (mut client, _project, uri) = start(capabilities);
    let ask = |client: &mut Client, only: Option<&str>| {
        let mut params = document(&uri);
        params["range"] = json!({ "start": at("a + b", 0), "end": at("a + b", 0) });
        params["context"] = json!({ "diagnostics": [] });
        if let Some(only) = only {
            params["context"]["only"] = json!([only]);
        }
        client.request("textDocument/codeAction", params)
    };
    let all = ask(&mut client, None);
    let titles = field(&all, "title");
    assert!(titles.contains(&"Pin the output shape here: [N, 8]"), "{titles:?}");
    let benchmark =
        all.as_array().and_then(|all| all.iter().find(|one| one["disabled"].is_object()));
    let title = benchmark.and_then(|one| one["title"].as_str()).expect("a disabled action");
    assert!(title.contains("on cuda:0"), "{title}");
    let rewrites = ask(&mut client, Some("refactor.rewrite"));
    assert!(field(&rewrites, "kind").iter().all(|kind| *kind == "refactor.rewrite"));
    assert_eq!(ask(&mut client, Some("quickfix")), json!([]));
    client.shut_down();
}

#[test]
fn a_hierarchy_of_blocks() {
    let (mut client, project, uri) = start(json!({}));
    let items = client.request("textDocument/prepareCallHierarchy", position(&uri, "model Net", 7));
    assert_eq!(field(&items, "name"), ["Net"]);
    let outgoing = client.request("callHierarchy/outgoingCalls", json!({ "item": items[0] }));
    assert_eq!(outgoing[0]["to"]["name"], "Pair");
    assert_eq!(outgoing[0]["fromRanges"].as_array().map(Vec::len), Some(2));
    let blocks = project.uri("blocks.taper");
    client.open(&blocks, BLOCKS);
    let incoming =
        client.request("callHierarchy/incomingCalls", json!({ "item": outgoing[0]["to"] }));
    assert_eq!(incoming[0]["from"]["name"], "Net");
    client.shut_down();
}

#[test]
fn symbols_in_hints_lead_to_their_place() {
    let capabilities = json!({ "textDocument": { "inlayHint": {
        "resolveSupport": { "properties": ["tooltip", "label.location"] } } } });
    let (mut client, _project, uri) = start(capabilities);
    let mut params = document(&uri);
    params["range"] = json!({ "start": at("a + b", 0), "end": at("a + b", 13) });
    let hints = client.request("textDocument/inlayHint", params);
    assert_eq!(hints[0]["label"][1]["value"], "N", "{hints}");
    let resolved = client.request("inlayHint/resolve", hints[0].clone());
    assert_eq!(resolved["label"][1]["location"]["range"]["start"], at("N = 1", 0));
    assert!(resolved["tooltip"]["value"].as_str().is_some_and(|text| text.contains("ReLU")));
    client.shut_down();
}

#[test]
fn diagnostics_that_did_not_change_are_not_sent_again() {
    let (mut client, _project, uri) = start(json!({ "textDocument": { "diagnostic": {} } }));
    let report = client.request("textDocument/diagnostic", document(&uri));
    assert_eq!(report["kind"], "full");
    let mut params = document(&uri);
    params["previousResultId"] = report["resultId"].clone();
    let report = client.request("textDocument/diagnostic", params.clone());
    assert_eq!(report["kind"], "unchanged");
    client.change(&uri, 2, 6, 7, 11, "Par");
    let report = client.request("textDocument/diagnostic", params);
    assert_eq!(report["items"][0]["code"], "T0102");
    client.shut_down();
}
