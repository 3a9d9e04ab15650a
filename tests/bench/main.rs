//! `taper bench` as people and editors start it: the real binary, on the CPU.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

const MODEL: &str = "model Net(width = 32) {
    input x: f32[N = 4, 16]
    body: { fc1: Linear(width); ReLU; fc2: Linear(8) }
    norm: LayerNorm
}
";

fn taper(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_taper"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("taper");
    let mut pipe = process.stdin.take().expect("a pipe");
    // One that refuses at once has closed it.
    let _ = pipe.write_all(input.as_bytes());
    drop(pipe);
    process.wait_with_output().expect("it ends")
}

fn request() -> Value {
    json!({
        "protocol": 1,
        "sources": [{ "path": "net.taper", "text": MODEL }],
        "file": "net.taper",
        "model": "Net",
        "device": "cpu",
        "budget": { "warm": [0.01, 0.1], "least": [10, 0.05], "most": 0.3, "precision": 0.5 },
    })
}

/// The events of a worker that is asked this.
fn events(request: &Value) -> Vec<Value> {
    let output = taper(&["bench", "--stdio"], &format!("{request}\n"));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What a worker refuses, and why.
fn refused(request: &Value) -> (String, String) {
    let events = events(request);
    let last = events.last().expect("an event");
    assert_eq!(last["event"], "error", "{last}");
    let text = |key: &str| last[key].as_str().expect("a text").to_owned();
    (text("failure"), text("message"))
}

#[test]
fn a_result_says_what_it_is_of() {
    let events = events(&request());
    let kinds: Vec<&str> =
        events.iter().map(|event| event["event"].as_str().expect("a kind")).collect();
    assert_eq!(kinds[..4], ["hello", "device", "building", "warming"]);
    let result = events.last().expect("a result");
    assert_eq!(result["event"], "result");
    assert_eq!(result["sizes"], json!([["N", 4]]));
    assert_eq!((&result["dtype"], &result["device"]["id"]), (&json!("f32"), &json!("cpu")));
    // 2 × 4 × (16 × 32 + 32 × 8) of products, 4 × (32 + 8) of biases, 4 × 32 of ReLU, 5 × 4 × 8.
    assert_eq!(result["flops"], 6144 + 160 + 128 + 160);
    let layers = result["layers"].as_array().expect("layers");
    let paths: Vec<&str> =
        layers.iter().map(|layer| layer["path"].as_str().expect("a path")).collect();
    assert_eq!(paths, ["body.fc1", "body.0", "body.fc2", "norm"]);
    let number = |value: &Value| value.as_f64().expect("a number");
    let median = number(&result["whole"]["median"]);
    assert!(median > 0.0 && number(&result["whole"]["min"]) <= median);
    assert!(layers.iter().all(|layer| number(&layer["median"]) > 0.0));
    // Bytes of the first layer: its input, output, weight and bias.
    assert_eq!(layers[0]["bytes"], 4 * (4 * 16 + 4 * 32 + 32 * 16 + 32));
    assert_eq!(result["throughput"]["unit"], "samples");
    let per_second = number(&result["throughput"]["per_second"]);
    assert!((per_second * median - 4.0).abs() < 1e-9, "{per_second} samples a second");
    assert!(number(&result["ceilings"]["flops_per_second"]) > 1e8);
}

#[test]
fn sizes_arguments_and_dtypes() {
    let mut wide = request();
    wide["set"] = json!([["N", "2"]]);
    wide["arguments"] = json!([{ "name": "width", "value": "64" }]);
    wide["dtype"] = json!("f16");
    let events = events(&wide);
    let result = events.last().expect("a result");
    assert_eq!((&result["sizes"], &result["dtype"]), (&json!([["N", 2]]), &json!("f16")));
    assert_eq!(result["layers"][0]["flops"], 2 * 2 * 16 * 64 + 2 * 64);
}

#[test]
fn what_cannot_be_measured_says_why() {
    let with = |key: &str, value: Value| {
        let mut request = request();
        request[key] = value;
        request
    };
    let text = |text: &str| json!([{ "path": "net.taper", "text": text }]);
    let cases = [
        (json!("nonsense"), "wrong_request", "the request cannot be read"),
        (with("protocol", json!(7)), "wrong_request", "of version 7, this worker of 1"),
        (with("file", json!("other.taper")), "wrong_request", "`other.taper` is not among"),
        (with("dtype", json!("f5")), "wrong_request", "`f5` is no dtype"),
        (with("model", json!("Nat")), "wrong_model", "no model is called `Nat`"),
        (with("device", json!("cuda:0")), "no_device", "does not know CUDA"),
        (with("device", json!("tpu")), "no_device", "there is no device `tpu`, but cpu"),
        (
            with("sources", text("model Net { input x: f32[N = 1, 8]; Liner(4) }")),
            "wrong_model",
            "no layer, block or model is called `Liner`",
        ),
        (
            with("set", json!([["width", "100000000000"]])),
            "out_of_memory",
            "MiB are free; a smaller batch",
        ),
        (
            with(
                "sources",
                text(
                    "block Odd { input x: [N, C]; output y: [N, C]; macs = N }\nmodel Net { input x: f32[N = 1, 8]; Odd }",
                ),
            ),
            "cannot_build",
            "`Odd` is counted by the rules it states",
        ),
    ];
    for (request, failure, message) in cases {
        let found = refused(&request);
        assert_eq!(found.0, failure, "{}", found.1);
        assert!(found.1.contains(message), "{}", found.1);
    }
}

#[test]
fn the_command_prints_a_table() {
    let output = taper(&["bench", "-", "--time", "0.5", "--top", "2"], MODEL);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for expected in ["layer", "2 more", "between layers", "Net at N = 4, f32, on cpu", "throughput"]
    {
        assert!(text.contains(expected), "`{expected}` is not in:\n{text}");
    }
    let output = taper(&["bench", "--devices"], "");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("cpu: "));
    let output = taper(&["bench", "-", "--device", "cuda:0"], MODEL);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("does not know CUDA"));
}

#[test]
fn what_candle_cannot_build_is_left_out_and_said() {
    let text = "block Odd { input x: [N, C]; output y: [N, C]; macs = N }
        model Net { input x: f32[N = 1, 8]; fc: Linear(8); odd: Odd; out: Linear(4) }";
    let mut with_gap = request();
    with_gap["sources"] = json!([{ "path": "net.taper", "text": text }]);
    let events = events(&with_gap);
    let result = events.last().expect("a result");
    let paths: Vec<&Value> =
        result["layers"].as_array().expect("layers").iter().map(|layer| &layer["path"]).collect();
    assert_eq!(paths, ["fc", "out"]);
    assert_eq!(result["gaps"][0]["path"], "odd");
    let reason = result["gaps"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("counted by the rules it states"), "{reason}");
}

#[test]
fn outputs_that_are_no_numbers_make_a_result_doubtful() {
    let text = "model Net { input x: f32[N = 1, 8]; fc: Linear(8); y: fc * 0; z: y / y }";
    let mut without = request();
    without["sources"] = json!([{ "path": "net.taper", "text": text }]);
    let events = events(&without);
    let doubts = events.last().expect("a result")["doubts"].to_string();
    assert!(doubts.contains("output 0 has values that are no numbers"), "{doubts}");
}

#[test]
fn one_layer_or_block() {
    let of = |path: &str| {
        let mut request = request();
        request["scope"] = json!(path);
        events(&request).pop().expect("an event")
    };
    let layer = of("body.fc2");
    assert_eq!(
        (&layer["scope"], &layer["flops"]),
        (&json!("body.fc2"), &json!(2 * 4 * 32 * 8 + 32))
    );
    assert_eq!(layer["layers"].as_array().map(Vec::len), Some(1));
    let nowhere = of("body.fc3");
    assert_eq!(nowhere["failure"], "wrong_model");
    assert_eq!(nowhere["message"], "`Net` has no layer or block at `body.fc3`");
}

#[test]
fn the_weights_of_a_checkpoint() {
    let weights = "tests/numeric/fixtures/lstm_classifier";
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(weights);
    let files = std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path());
    let file = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
        .find(|path| !path.ends_with("io.safetensors"))
        .expect("weights");
    let model = folder.join("../../models/lstm_classifier.taper");
    let mut with_weights = request();
    let text = std::fs::read_to_string(model).expect("a model");
    with_weights["sources"] = json!([{ "path": "net.taper", "text": text }]);
    with_weights["model"] = json!("LSTMClassifier");
    with_weights["weights"] = json!([file]);
    let measured = events(&with_weights).pop().expect("an event");
    assert_eq!(measured["weights"], json!([file]), "{measured}");
    // A checkpoint must have everything.
    let mut wrong = request();
    wrong["weights"] = json!([file]);
    let found = refused(&wrong);
    assert_eq!(found.0, "cannot_build");
    assert!(found.1.starts_with("at `body.fc1`"), "{}", found.1);
}

#[test]
fn sizes_one_after_the_other() {
    let output = taper(&["bench", "-", "--time", "0.2", "--sweep", "N=1,3"], MODEL);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let first: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(first, ["N", "1", "3"], "{text}");
    let output = taper(&["bench", "-", "--sweep", "Q=1"], MODEL);
    assert!(String::from_utf8_lossy(&output.stderr).contains("no symbol or parameter `Q`"));
}

#[test]
fn an_estimate_says_that_it_is_one() {
    let estimate = |arguments: &[&str]| {
        let output = taper(&[&["estimate", "-"], arguments].concat(), MODEL);
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let text = estimate(&["--device", "t4"]);
    assert!(
        text.contains("An estimate, not a measurement: Net at N = 4, f32, on NVIDIA T4"),
        "{text}"
    );
    let json: Value =
        serde_json::from_str(&estimate(&["--device", "t4", "--format", "json"])).expect("JSON");
    let seconds = |layer: &Value| layer["seconds"].as_f64().expect("seconds");
    let layers = json["layers"].as_array().expect("layers");
    // Its input, output, weight and bias at 320 GB/s.
    let expected = f64::from(4 * (4 * 16 + 4 * 32 + 32 * 16 + 32)) / 320e9;
    assert!((seconds(&layers[0]) / expected - 1.0).abs() < 1e-9);
    let sum: f64 = layers.iter().map(seconds).sum();
    assert!((sum / seconds(&json) - 1.0).abs() < 1e-9);
}
