//! Settings: asked for, sent, wrong ones named.

use serde_json::{Value, json};

use crate::{client::Client, hints};

const TEXT: &str = "model M {\n    input x: f32[N = 1, 8]\n    fc: Linear(4)\n}\n";

fn hint_of_fc(client: &mut Client) -> String {
    let hints = hints(client, "file:///m.taper");
    hints.into_iter().find(|(line, _)| *line == 2).map_or(String::new(), |(_, label)| label)
}

fn start(capabilities: Value, settings: Value, options: Value) -> Client {
    let params = json!({
        "processId": null, "rootUri": null, "capabilities": capabilities,
        "initializationOptions": options,
    });
    let mut client = Client::start_as(params, settings, false);
    client.open("file:///m.taper", TEXT);
    client
}

#[test]
fn settings_are_asked_for() {
    let capabilities = json!({ "workspace": {
        "configuration": true, "didChangeConfiguration": { "dynamicRegistration": true },
        "inlayHint": { "refreshSupport": true },
    } });
    let settings = json!({ "hints": { "work": "macs", "memory": true }, "sizes": { "N": 3 } });
    let mut client = start(capabilities, settings, Value::Null);
    client.wait_until_asked("workspace/configuration");
    let registered = client.wait_until_asked("client/registerCapability");
    let methods: Vec<&Value> = registered["params"]["registrations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| &one["method"])
        .collect();
    assert_eq!(methods, ["workspace/didChangeConfiguration"]);
    // Hints are asked for again once the settings are there.
    client.wait_until_asked("workspace/inlayHint/refresh");
    assert_eq!(hint_of_fc(&mut client), "[N, 4] · ● 36 params · 96 MAC · ● 48 B · ● 100.0 %");

    client.set(json!({ "hints": { "params": false, "share": false } }));
    client.wait_until_asked("workspace/inlayHint/refresh");
    assert_eq!(hint_of_fc(&mut client), "[N, 4] · 68 FLOP");
    client.shut_down();
}

#[test]
fn settings_of_a_client_that_cannot_be_asked() {
    let options = json!({ "heat": { "mark": "" }, "units": { "digits": 4 } });
    let mut client = start(json!({}), Value::Null, options);
    assert_eq!(hint_of_fc(&mut client), "[N, 4] · 36 params · 68 FLOP · 100.0 %");
    // It sends them when they change.
    let settings = json!({ "settings": { "taper": { "hints": { "steps": false } } } });
    client.notify("workspace/didChangeConfiguration", Some(settings));
    assert_eq!(hint_of_fc(&mut client), "");
    client.shut_down();
}

#[test]
fn a_wrong_setting_is_named() {
    let mut client = start(json!({}), Value::Null, json!({ "hints": { "shape": "no" } }));
    let message = client.notification("window/showMessage");
    assert_eq!(message["type"], 2);
    let text = message["message"].as_str().expect("a text");
    assert!(text.contains("`taper.hints.shape`"), "{text}");
    client.shut_down();
}

#[test]
fn the_work_of_kinds_can_be_ignored() {
    let mut client = start(json!({}), Value::Null, json!({ "ignore": ["Linear"], "dtype": "f16" }));
    let hover = client.request(
        "textDocument/hover",
        json!({ "textDocument": { "uri": "file:///m.taper" }, "position": { "line": 2, "character": 10 } }),
    );
    let text = hover["contents"]["value"].as_str().expect("a text");
    assert!(text.contains("no FLOPs") && text.contains("f16[4, 8]"), "{text}");
    client.shut_down();
}
