//! Files that change outside the editor.

use serde_json::{Value, json};

use crate::{client::Client, hints, project::Project};

const MAIN: &str = "use \"blocks.taper\"\nmodel M { input x: f32[N = 1, 8]; Head }\n";
const ALONE: &str = "model Alone { input x: f32[N = 1, 8]; ReLU }\n";

fn start(capabilities: Value) -> (Client, Project) {
    let project = Project::new(&[
        ("blocks.taper", "block Head { Linear(5) }\n"),
        ("main.taper", MAIN),
        ("alone.taper", ALONE),
    ]);
    let mut client = Client::start(capabilities);
    client.open(&project.uri("main.taper"), MAIN);
    client.open(&project.uri("alone.taper"), ALONE);
    (client, project)
}

fn params_of(client: &mut Client, project: &Project) -> String {
    let hints = hints(client, &project.uri("main.taper"));
    let mut figures = hints.iter().filter_map(|(_, label)| label.split(" · ").next());
    figures.find(|figure| figure.ends_with("params")).unwrap_or_default().to_owned()
}

fn changed(client: &mut Client, project: &Project, name: &str, kind: u8) {
    let change = json!({ "uri": project.uri(name), "type": kind });
    client.notify("workspace/didChangeWatchedFiles", Some(json!({ "changes": [change] })));
}

#[test]
fn a_watched_file_refreshes_those_that_use_it_and_only_those() {
    let (mut client, project) = start(json!({ "workspace": {
        "didChangeWatchedFiles": { "dynamicRegistration": true },
        "inlayHint": { "refreshSupport": true }, "semanticTokens": { "refreshSupport": true },
        "codeLens": { "refreshSupport": true },
    } }));
    let registered = client.wait_until_asked("client/registerCapability");
    let watched = registered["params"]["registrations"][0]["registerOptions"]["watchers"].clone();
    assert_eq!(watched[0]["globPattern"], "**/*.taper");
    for name in ["main.taper", "alone.taper"] {
        let pushed = client.notification("textDocument/publishDiagnostics");
        assert!(pushed["uri"].as_str().is_some_and(|uri| uri.ends_with("taper")), "{name}");
    }
    assert_eq!(params_of(&mut client, &project), "45 params");

    project.write("blocks.taper", "block Head { Linear(6) }\n");
    changed(&mut client, &project, "blocks.taper", 2);
    for method in ["inlayHint", "semanticTokens", "codeLens"] {
        client.wait_until_asked(&format!("workspace/{method}/refresh"));
    }
    assert_eq!(params_of(&mut client, &project), "54 params");
    // Only the file that uses it has new diagnostics.
    let pushed = client.notification("textDocument/publishDiagnostics");
    assert_eq!(pushed["uri"], project.uri("main.taper"));

    // A file that goes is missed, and one that comes is found.
    project.remove("blocks.taper");
    changed(&mut client, &project, "blocks.taper", 3);
    let pushed = client.notification("textDocument/publishDiagnostics");
    assert_eq!(pushed["uri"], project.uri("main.taper"));
    assert_eq!(pushed["diagnostics"][0]["severity"], 1, "{pushed}");
    project.write("blocks.taper", "block Head { Linear(7) }\n");
    changed(&mut client, &project, "blocks.taper", 1);
    let pushed = client.notification("textDocument/publishDiagnostics");
    assert_eq!(pushed["diagnostics"], json!([]));
    assert_eq!(params_of(&mut client, &project), "63 params");
    client.shut_down();
}

#[test]
fn a_client_that_cannot_watch_sees_the_change_when_it_asks() {
    let (mut client, project) = start(json!({}));
    assert_eq!(params_of(&mut client, &project), "45 params");
    project.write("blocks.taper", "block Head { Linear(16) }\n");
    assert_eq!(params_of(&mut client, &project), "144 params");
    client.shut_down();
}

#[test]
fn an_unsaved_text_wins_over_the_disk() {
    let (mut client, project) = start(json!({}));
    let blocks = project.uri("blocks.taper");
    client.open(&blocks, "block Head { Linear(2) }\n");
    assert_eq!(params_of(&mut client, &project), "18 params");
    project.write("blocks.taper", "block Head { Linear(7) }\n");
    changed(&mut client, &project, "blocks.taper", 2);
    assert_eq!(params_of(&mut client, &project), "18 params");
    // Once it is closed, the disk counts.
    client.notify("textDocument/didClose", Some(json!({ "textDocument": { "uri": blocks } })));
    assert_eq!(params_of(&mut client, &project), "63 params");
    client.shut_down();
}

#[test]
fn folders_come_and_go() {
    let (mut client, project) = start(json!({}));
    let other = Project::new(&[("far.taper", "block Far { ReLU }\n")]);
    let count = |client: &mut Client| {
        let found = client.request("workspace/symbol", json!({ "query": "Far" }));
        found.as_array().map_or(0, Vec::len)
    };
    assert_eq!(count(&mut client), 0);
    let folder = json!({ "uri": other.uri(""), "name": "other" });
    let event = json!({ "event": { "added": [folder], "removed": [] } });
    client.notify("workspace/didChangeWorkspaceFolders", Some(event));
    assert_eq!(count(&mut client), 1);
    let event = json!({ "event": { "added": [], "removed": [folder] } });
    client.notify("workspace/didChangeWorkspaceFolders", Some(event));
    assert_eq!(count(&mut client), 0);
    // A file that is renamed is another one for those that use it.
    let files =
        json!([{ "oldUri": project.uri("blocks.taper"), "newUri": project.uri("gone.taper") }]);
    project.remove("blocks.taper");
    client.notify("workspace/didRenameFiles", Some(json!({ "files": files })));
    assert_eq!(params_of(&mut client, &project), "≥ 0 params");
    client.shut_down();
}
