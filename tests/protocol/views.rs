//! Documents that the server makes, indexes of shards, and checkpoints beside configs.

use serde_json::{Value, json};

use crate::{client::Client, project::Project};

/// Llama 3 8B's published config.
const LLAMA: &str = include_str!("../../examples/llama3_8b/config.json");

/// A client that can show documents, and asks for their content or does not.
fn start(project: &Project, reads_content: bool) -> Client {
    let mut workspace = json!({});
    if reads_content {
        workspace["textDocumentContent"] = json!({ "dynamicRegistration": true });
    }
    Client::start_with(json!({
        "processId": null, "rootUri": project.uri(""),
        "capabilities": {
            "workspace": workspace,
            "textDocument": { "diagnostic": {} },
            "window": { "showDocument": { "support": true } },
        },
    }))
}

fn document(uri: &str) -> Value {
    json!({ "textDocument": { "uri": uri } })
}

fn lenses(client: &mut Client, uri: &str) -> Vec<Value> {
    let lenses = client.request("textDocument/codeLens", document(uri));
    lenses.as_array().expect("lenses").iter().map(|lens| lens["command"].clone()).collect()
}

/// Clicks a lens; gives the address that the client is asked to show.
fn click(client: &mut Client, command: &Value) -> String {
    let params = json!({ "command": command["command"], "arguments": command["arguments"] });
    client.request("workspace/executeCommand", params);
    let asked = client.wait_until_asked("window/showDocument");
    asked["params"]["uri"].as_str().expect("an address").to_owned()
}

/// A safetensors file of one tensor of bytes.
fn shard(name: &str, size: usize) -> Vec<u8> {
    let header =
        format!(r#"{{"{name}":{{"dtype":"U8","shape":[{size}],"data_offsets":[0,{size}]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; size]);
    bytes
}

/// The report is a file for a browser, also where the client reads the server's documents itself.
#[test]
fn the_report_of_a_model() {
    let text = "model Net { input x: f32[N = 1, 8]; Linear(4) }";
    let project = Project::new(&[("net.taper", text)]);
    let mut client = start(&project, true);
    let uri = project.uri("net.taper");
    client.open(&uri, text);
    let start = json!({ "line": 0, "character": 7 });
    let params = json!({
        "textDocument": { "uri": uri }, "range": { "start": start, "end": start },
        "context": { "diagnostics": [] },
    });
    let actions = client.request("textDocument/codeAction", params);
    let actions = actions.as_array().expect("actions");
    let title = "Show the report of `Net`";
    let action = actions.iter().find(|action| action["title"] == title).expect("the report");
    let command = &action["command"];
    let params = json!({ "command": command["command"], "arguments": command["arguments"] });
    client.request("workspace/executeCommand", params);
    let asked = client.wait_until_asked("window/showDocument");
    assert_eq!(asked["params"]["external"], true);
    let address = asked["params"]["uri"].as_str().expect("an address");
    let path = address.strip_prefix("file://").expect("a file");
    assert!(path.ends_with("/net.taper/Net.html"), "{path}");
    let page = std::fs::read_to_string(path).expect("the report");
    assert!(page.starts_with("<!doctype html>") && page.contains("\"path\":\"0\""), "{path}");
}

#[test]
fn the_layers_of_a_config() {
    let project = Project::new(&[("config.json", LLAMA)]);
    let mut client = start(&project, true);
    let registered = client.wait_until_asked("client/registerCapability");
    let registrations = registered["params"]["registrations"].as_array().expect("a list").clone();
    let content = registrations.iter().find(|one| one["id"] == "workspace/textDocumentContent");
    assert_eq!(
        content.expect("it is registered")["registerOptions"],
        json!({ "schemes": ["taper"] })
    );
    let uri = project.uri("config.json");
    client.open(&uri, LLAMA);
    let commands = lenses(&mut client, &uri);
    assert_eq!(commands[1]["title"], "Show layers");
    let address = click(&mut client, &commands[1]);
    assert!(address.starts_with("taper://layers/"), "{address}");
    assert!(address.ends_with("/config.json/LlamaForCausalLM.txt"), "{address}");
    let content = client.request("workspace/textDocumentContent", json!({ "uri": address }));
    let text = content["text"].as_str().expect("a text");
    let line = |start: &str| text.lines().find(|line| line.trim_start().starts_with(start));
    assert!(line("0 … 31").expect("equal layers are one line").contains("DecoderLayer ×32"));
    assert!(line("lm_head").expect("the head").contains("525 M"));
    assert!(text.contains("8.03 G (8030261248, 15.0 GiB bf16)"), "{text}");
    // What is typed is shown when it is asked for again.
    let line = LLAMA.lines().position(|line| line.contains("\"num_hidden_layers\"")).expect("it");
    let column = LLAMA.lines().nth(line).and_then(|line| line.find("32")).expect("the number");
    client.change(&uri, 2, line, column, column + 2, "7");
    let asked = client.wait_until_asked("workspace/textDocumentContent/refresh");
    assert_eq!(asked["params"]["uri"], address);
    let content = client.request("workspace/textDocumentContent", json!({ "uri": address }));
    assert!(content["text"].as_str().is_some_and(|text| text.contains("DecoderLayer ×7")));
    client.shut_down();
}

#[test]
fn a_file_for_clients_that_do_not_ask_for_content() {
    let text = "model M {\n    input x: f32[N = 1, 8]\n    fc: Linear(4)\n}\n";
    let project = Project::new(&[("m.taper", text)]);
    let mut client = start(&project, false);
    let uri = project.uri("m.taper");
    client.open(&uri, text);
    let commands = lenses(&mut client, &uri);
    let address = click(&mut client, &commands[0]);
    let path = address.strip_prefix("file://").expect("a file");
    let shown = std::fs::read_to_string(path).expect("the file");
    assert!(shown.contains("fc     Linear  [N, 4]"), "{shown}");
    assert!(std::fs::metadata(path).expect("the file").permissions().readonly());
    client.shut_down();
}

#[test]
fn a_client_that_shows_nothing_has_no_dead_buttons() {
    let project = Project::new(&[("config.json", LLAMA)]);
    let uri = project.uri("config.json");
    let mut client = Client::start(json!({}));
    client.open(&uri, LLAMA);
    let lenses = lenses(&mut client, &uri);
    assert!(lenses.iter().all(|command| command["command"] != "taper.show"), "{lenses:?}");
    client.shut_down();
}

#[test]
fn an_index_of_shards() {
    let index = r#"{
  "metadata": { "total_size": 12 },
  "weight_map": {
    "layers.0.w": "1.safetensors",
    "layers.1.w": "2.safetensors",
    "norm": "gone.safetensors"
  }
}
"#;
    let project = Project::new(&[("model.safetensors.index.json", index)]);
    project.write("1.safetensors", shard("layers.0.w", 4));
    project.write("2.safetensors", shard("layers.2.w", 4));
    let mut client = start(&project, true);
    let uri = project.uri("model.safetensors.index.json");
    client.open(&uri, index);
    let commands = lenses(&mut client, &uri);
    assert_eq!(commands[0]["title"], "3 shards · 2 tensors · 8 elements · 8 B U8");

    let report = client.request("textDocument/diagnostic", document(&uri));
    let items = report["items"].as_array().expect("a list");
    let found: Vec<(u64, &str)> = items
        .iter()
        .map(|item| {
            let line = item["range"]["start"]["line"].as_u64().expect("a line");
            (line, item["message"].as_str().expect("a message"))
        })
        .collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].0 == 5 && found[0].1.starts_with("gone.safetensors: cannot be read"));
    let unnamed = "2.safetensors: `layers.2.w`: `model.safetensors.index.json` does not name it";
    assert_eq!(found[1], (4, unnamed));
    assert!(found[2].0 == 4 && found[2].1.contains("is in no shard"), "{found:?}");

    let address = click(&mut client, &commands[0]);
    let content = client.request("workspace/textDocumentContent", json!({ "uri": address }));
    let text = content["text"].as_str().expect("a text");
    assert!(text.contains("layers") && text.contains("gone.safetensors: cannot be read"), "{text}");
    // The rest of the protocol says nothing of an index.
    for method in ["textDocument/foldingRange", "textDocument/documentSymbol"] {
        assert_eq!(client.request(method, document(&uri)), Value::Null, "{method}");
    }
    // A shard that has come is seen, though this client watches no file.
    project.write("2.safetensors", shard("layers.1.w", 4));
    project.write("gone.safetensors", shard("norm", 4));
    let report = client.request("textDocument/diagnostic", document(&uri));
    assert_eq!(report["items"], json!([]));
    client.shut_down();
}

#[test]
fn the_tensors_of_a_file() {
    let project = Project::new(&[]);
    project.write("model.safetensors", shard("layers.0.w", 4));
    let mut client = start(&project, true);
    let address = project.uri("model.safetensors").replace("file://", "taper://tensors") + ".txt";
    let content = client.request("workspace/textDocumentContent", json!({ "uri": address }));
    let text = content["text"].as_str().expect("a text");
    for line in ["module", "layers", "1 tensor in 1 file: 4 elements, 4 B"] {
        assert!(text.contains(line), "{text}");
    }
    let wrong = json!({ "uri": address.replace("model.safe", "other.safe") });
    let answer = client.request_raw("workspace/textDocumentContent", Some(wrong));
    let message = answer["error"]["message"].as_str().expect("a reason");
    assert!(message.contains("No such file"), "{message}");
    client.shut_down();
}

#[test]
fn places_in_the_library_can_be_opened() {
    let config = r#"{"architectures": ["LlamaForCausalLM"], "num_attention_heads": 3}"#;
    for reads_content in [true, false] {
        let project = Project::new(&[("config.json", config)]);
        let mut client = start(&project, reads_content);
        let uri = project.uri("config.json");
        client.open(&uri, config);
        let report = client.request("textDocument/diagnostic", document(&uri));
        let mut found = report["items"].as_array().expect("a list").iter();
        let failed = found.rfind(|found| found["code"] == "T0501").expect("it fails");
        let related = &failed["relatedInformation"][0]["location"];
        let address = related["uri"].as_str().expect("an address").to_owned();
        let text = match address.strip_prefix("file://") {
            Some(path) => std::fs::read_to_string(path).expect("the file"),
            None => {
                let params = json!({ "uri": address });
                let content = client.request("workspace/textDocumentContent", params);
                content["text"].as_str().expect("a text").to_owned()
            }
        };
        assert_eq!(reads_content, address == "taper://library/huggingface/llama.taper");
        let line = related["range"]["start"]["line"].as_u64().expect("a line") as usize;
        assert!(text.lines().nth(line).is_some_and(|line| line.contains("expect")), "{address}");
        client.shut_down();
    }
}

#[test]
fn a_checkpoint_beside_a_config_is_compared() {
    let config = r#"{"architectures": ["OwnModel"]}"#;
    let own = "model OwnModel {\n    input x: f32[N = 1, 8]\n    fc: Linear(4, bias=false)\n}\n";
    let project = Project::new(&[("config.json", config), ("own.taper", own)]);
    project.write("model.safetensors", shard("fc.weight", 4));
    let mut client = start(&project, true);
    let uri = project.uri("config.json");
    client.open(&uri, config);
    let report = client.request("textDocument/diagnostic", document(&uri));
    assert_eq!(report["items"][0]["code"], "T0803");
    let message = report["items"][0]["message"].as_str().expect("a message");
    assert!(message.contains("[4, 8]") && message.contains("[4]"), "{message}");
    client.shut_down();
}

#[test]
fn documents_of_the_library_use_each_other() {
    let project = Project::new(&[]);
    let mut client = start(&project, true);
    let uri = "taper://library/huggingface/llava.taper";
    let content = client.request("workspace/textDocumentContent", json!({ "uri": uri }));
    let text = content["text"].as_str().expect("a text").to_owned();
    client.open(uri, &text);
    let report = client.request("textDocument/diagnostic", document(uri));
    assert_eq!(report["items"], json!([]));
    let links = client.request("textDocument/documentLink", document(uri));
    assert_eq!(links[0]["target"], "taper://library/huggingface/clip.taper");
    let line = text.lines().position(|line| line.starts_with("use ")).expect("a use");
    let at = json!({
        "textDocument": { "uri": uri },
        "position": { "line": line, "character": text.lines().nth(line).expect("it").len() - 1 },
    });
    let target = client.request("textDocument/definition", at);
    assert_eq!(target["uri"], "taper://library/huggingface/clip.taper");
    client.shut_down();
}

#[test]
fn tensors_follow_the_shards() {
    let index = r#"{"weight_map": {"w": "1.safetensors"}}"#;
    let project = Project::new(&[("model.safetensors.index.json", index)]);
    project.write("1.safetensors", shard("w", 4));
    let mut client = start(&project, true);
    let uri = project.uri("model.safetensors.index.json");
    let address = uri.replace("file://", "taper://tensors") + ".txt";
    let shown = |client: &mut Client, what: &str| {
        let content = client.request("workspace/textDocumentContent", json!({ "uri": address }));
        let text = content["text"].as_str().expect("a text").to_owned();
        assert!(text.contains(what), "{text}");
    };
    shown(&mut client, "4 elements");
    project.write("1.safetensors", shard("w", 5));
    shown(&mut client, "5 elements");
    // What is typed into an open index counts, not what was saved.
    client.open(&uri, &index.replace("1.safetensors", "2.safetensors"));
    project.write("2.safetensors", shard("w", 6));
    let asked = client.wait_until_asked("workspace/textDocumentContent/refresh");
    assert_eq!(asked["params"]["uri"], address);
    shown(&mut client, "6 elements");
    client.shut_down();
}
