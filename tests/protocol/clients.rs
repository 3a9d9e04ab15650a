//! What real editors send first, recorded: VS Code (code-server 4.139.1, vscode-languageclient 11),
//! Neovim 0.12.4, Helix 25.07.1.

use serde_json::{Value, json};

use crate::{RESNET, client::Client, everything};

pub fn payload(editor: &str) -> Value {
    let path =
        format!("{}/../../tests/protocol/initialize/{editor}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).expect("the payload")).expect("JSON")
}

#[test]
fn editors_are_served_as_they_ask() {
    for (editor, encoding, watches) in
        [("vscode", "utf-16", true), ("neovim", "utf-8", false), ("helix", "utf-8", true)]
    {
        // Some say more than the protocol knows.
        let mut client = Client::start_as(payload(editor), Value::Null, true);
        assert_eq!(client.capabilities["positionEncoding"], encoding, "{editor}");
        assert!(client.capabilities["diagnosticProvider"].is_object(), "{editor}");
        client.wait_until_asked("workspace/configuration");
        if watches {
            let asked = client.wait_until_asked("client/registerCapability");
            assert!(asked.to_string().contains("**/*.taper"), "{editor}");
        }
        let uri = "file:///models/resnet50.taper";
        client.open(uri, RESNET);
        let document = json!({ "textDocument": { "uri": uri } });
        let report = client.request("textDocument/diagnostic", document.clone());
        assert_eq!(report["items"], json!([]), "{editor}");
        let mut params = document;
        params["range"] = everything();
        let hints = client.request("textDocument/inlayHint", params);
        let last = hints.as_array().and_then(|hints| hints.last()).expect("hints").clone();
        let resolved = client.request("inlayHint/resolve", last);
        assert!(resolved["tooltip"].is_object(), "{editor}");
        // Diagnostics are asked for again when the settings change.
        client.set(json!({ "sizes": { "N": 2 } }));
        client.wait_until_asked("workspace/diagnostic/refresh");
        client.shut_down();
    }
}
