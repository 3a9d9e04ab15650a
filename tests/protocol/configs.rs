//! A `config.json` in an editor: lens, hints, hover, diagnostics with their fixes.

use serde_json::{Value, json};

use crate::{client::Client, project::Project};

/// Llama 3.2 1B's published config, shortened, with a mistake.
const CONFIG: &str = r#"{
  "architectures": ["LlamaForCausalLM"],
  "head_dim": 64,
  "hidden_size": 2048,
  "intermediate_sise": 8192,
  "intermediate_size": 8192,
  "num_attention_heads": 32,
  "num_hidden_layers": 16,
  "num_key_value_heads": 8,
  "tie_word_embeddings": true,
  "torch_dtype": "bfloat16",
  "vocab_size": 128256
}
"#;

const OWN: &str =
    "model OwnModel(width = 4) {\n    input x: f32[N = 1, 8]\n    fc: Linear(width)\n}\n";

fn start(files: &[(&str, &str)], name: &str) -> (Client, Project, String) {
    let project = Project::new(files);
    let folder = json!({ "uri": project.uri(""), "name": "project" });
    let mut client = Client::start_with(json!({
        "processId": null, "rootUri": null, "workspaceFolders": [folder],
        "capabilities": { "textDocument": { "diagnostic": {} } },
    }));
    let uri = project.uri(name);
    let (_, text) = files.iter().find(|(file, _)| *file == name).expect("the file");
    client.open(&uri, text);
    (client, project, uri)
}

fn document(uri: &str) -> Value {
    json!({ "textDocument": { "uri": uri } })
}

fn position(uri: &str, line: u32, character: u32) -> Value {
    json!({ "textDocument": { "uri": uri }, "position": { "line": line, "character": character } })
}

fn hints(client: &mut Client, uri: &str) -> Vec<String> {
    let range =
        json!({ "start": { "line": 0, "character": 0 }, "end": { "line": 99, "character": 0 } });
    let hints = client.request(
        "textDocument/inlayHint",
        json!({ "textDocument": { "uri": uri }, "range": range }),
    );
    let hints = hints.as_array().expect("hints").iter();
    let shown = hints.map(|hint| {
        format!("{} {}", hint["position"]["line"], hint["label"].as_str().expect("a text"))
    });
    shown.collect()
}

#[test]
fn hints_lens_and_hover() {
    let (mut client, _project, uri) = start(&[("config.json", CONFIG)], "config.json");
    assert_eq!(
        hints(&mut client, &uri),
        [
            "2 self_attn 168 M, 13.6 % · cache 32.0 KiB per token",
            "3 model 1.24 G, 100.0 %",
            "5 mlp 805 M, 65.2 %",
            "6 self_attn 134 M, 10.9 %",
            "7 16 × 60.8 M params",
            "8 self_attn 33.6 M, 2.7 % · cache 32.0 KiB per token",
            "10 2.30 GiB weights",
            "11 embed_tokens 263 M, 21.3 %",
        ]
    );
    let lenses = client.request("textDocument/codeLens", document(&uri));
    let title = lenses[0]["command"]["title"].as_str().expect("a title");
    assert!(title.starts_with("LlamaForCausalLM · 1.24 G params · 2.30 GiB bf16"), "{title}");
    let hover = client.request("textDocument/hover", position(&uri, 7, 6));
    let text = hover["contents"]["value"].as_str().expect("a text");
    assert!(text.contains("With 17 instead: +60.8 M params"), "{text}");
    // What is about Taper's text says nothing.
    assert_eq!(client.request("textDocument/foldingRange", document(&uri)), Value::Null);
    client.shut_down();
}

#[test]
fn a_misspelt_key_and_its_fix() {
    let text = CONFIG.replace("  \"intermediate_size\": 8192,\n", "");
    let (mut client, _project, uri) = start(&[("config.json", &text)], "config.json");
    let report = client.request("textDocument/diagnostic", document(&uri));
    let found = &report["items"][0];
    assert_eq!(found["code"], "T0703");
    assert_eq!(
        found["message"],
        "`intermediate_sise` is no key of `LlamaForCausalLM`; did you mean `intermediate_size`?"
    );
    let range = found["range"].clone();
    let context = json!({ "diagnostics": [found] });
    let params = json!({ "textDocument": { "uri": uri }, "range": range, "context": context });
    let actions = client.request("textDocument/codeAction", params);
    assert_eq!(actions[0]["title"], "Write `intermediate_size`");
    let edit = &actions[0]["edit"]["changes"][uri.as_str()][0];
    assert_eq!(edit["newText"], "\"intermediate_size\"");
    client.shut_down();
}

#[test]
fn a_model_beside_the_config() {
    let config = r#"{"architectures": ["OwnModel"], "width": 16}"#;
    let (mut client, project, uri) =
        start(&[("config.json", config), ("own.taper", OWN)], "config.json");
    assert_eq!(hints(&mut client, &uri), ["0 fc 144, 100.0 %"]);
    // The buffer wins over the disk.
    client.open(&project.uri("own.taper"), &OWN.replace("Linear(width)", "Linear(2 * width)"));
    assert_eq!(hints(&mut client, &uri), ["0 fc 288, 100.0 %"]);
    client.shut_down();
}

#[test]
fn other_json_is_left_alone() {
    let (mut client, _project, uri) =
        start(&[("tsconfig.json", "{ \"compilerOptions\": {} }")], "tsconfig.json");
    assert_eq!(hints(&mut client, &uri), Vec::<String>::new());
    let report = client.request("textDocument/diagnostic", document(&uri));
    assert_eq!(report["items"], json!([]));
    assert_eq!(client.request("textDocument/codeLens", document(&uri)), json!([]));
    client.shut_down();
}

#[test]
fn an_unknown_architecture_says_how_to_add_it() {
    let (mut client, _project, uri) =
        start(&[("config.json", "{\"architectures\": [\"Frobnicator\"]}")], "config.json");
    let report = client.request("textDocument/diagnostic", document(&uri));
    let message = report["items"][0]["message"].as_str().expect("a message");
    assert!(
        message.contains("write `model Frobnicator(…)` in a `.taper` file beside this one"),
        "{message}"
    );
    client.shut_down();
}
