//! Models in other languages. Whether these texts give PyTorch's numbers is checked with PyTorch, by the
//! scripts beside them; here it is checked that they stay the same.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test says what it compares.

mod candle;
#[path = "../files/config.rs"]
mod config;
#[path = "../files/mod.rs"]
mod files;

use std::{collections::BTreeSet, ops::ControlFlow};

use analysis::{Code, Diagnostic, Model, Options, Severity, Workspace};
use expect_test::expect_file;
use translate::{export, import};

/// Examples that show each kind of structure: blocks, windows and loops, tied weights, experts.
const EXPORTED: &[&str] = &["resnet18", "unet", "swin_t", "t5_small", "mixtral_8x7b"];

#[test]
fn exported_examples() {
    for name in EXPORTED {
        let (workspace, file) = files::load(&format!("examples/{name}.taper"));
        let options = Options::default();
        let analysis = analysis::analyse(&workspace, file, &options);
        let text = export::pytorch(&workspace, file, &options, &analysis.models[0]);
        let page = format!("../../tests/translate/pytorch/{name}.py");
        let exported = text.unwrap_or_else(|error| panic!("{name}: {error}"));
        expect_file![page].assert_eq(&exported.text);
    }
}

/// Windows that are larger than the picture are not shifted: there is no expression for that.
#[test]
fn a_size_at_which_an_argument_jumps_is_fixed() {
    let (workspace, file) = files::load("examples/swin_t.taper");
    let set = ["H", "W"].map(|name| (name.to_owned(), "256".to_owned())).to_vec();
    let options = Options { set, ..Options::default() };
    let analysis = analysis::analyse(&workspace, file, &options);
    let exported = export::pytorch(&workspace, file, &options, &analysis.models[0]);
    let exported = exported.expect("a module");
    assert_eq!(exported.fixed, ["H = 256", "W = 256"]);
    assert!(exported.text.contains("Sizes that may be any that the model promises: N.\n"));
    assert!(exported.text.contains("These steps are those of H = 256, W = 256 only."));
}

/// Every layer of the catalogue is something in PyTorch.
#[test]
fn every_layer_is_exported() {
    let mut seen = BTreeSet::new();
    let lines = include_str!("pytorch/layers.txt").lines().filter(|line| !line.starts_with('#'));
    for line in lines {
        let (inputs, stage) = line.split_once(": ").expect("inputs and a use");
        let mut text = String::from("model M {\n");
        let mut names = Vec::new();
        for (name, shape) in ["a", "b", "c", "d", "e", "f"].iter().zip(inputs.split("; ")) {
            let (dtype, shape) = match shape.strip_prefix("i ") {
                Some(shape) => ("i64", shape),
                None => ("f32", shape),
            };
            if !shape.is_empty() {
                text.push_str(&format!("    input {name}: {dtype}[{shape}]\n"));
                names.push(*name);
            }
        }
        let sources = if names.is_empty() { String::new() } else { names.join(", ") + " -> " };
        text.push_str(&format!("    m: {sources}{stage}\n}}\n"));
        let mut workspace = Workspace::default();
        let file = workspace.insert("layer.taper", syntax::parse(&text));
        let options = Options::default();
        let analysis = analysis::analyse(&workspace, file, &options);
        let errors = analysis.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let errors: Vec<&str> = errors.map(|error| error.message.as_str()).collect();
        assert_eq!(errors, Vec::<&str>::new(), "{stage}");
        let exported = export::pytorch(&workspace, file, &options, &analysis.models[0]);
        exported.unwrap_or_else(|error| panic!("{stage}: {error}"));
        seen.insert(stage.split('(').next().unwrap_or_default().to_owned());
    }
    let all: BTreeSet<String> = layers::all().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(seen, all);
}

/// A module that was traced: a list of modules, a state, tied weights, and a function that Taper lacks.
#[test]
fn an_imported_module() {
    let trace: import::Trace =
        serde_json::from_str(include_str!("import/net.json")).expect("a trace");
    let imported = import::pytorch(&trace, "net.py:Net(8)", &["i64[N = 2, T = 10]".to_owned()]);
    expect_file!["../../tests/translate/import/net.taper"].assert_eq(&imported.text);
    let lost = "`flip`: Taper has no such function; a block of its shapes stands for it";
    assert_eq!(imported.lost, [lost]);
    let mut workspace = Workspace::default();
    let file = workspace.insert("net.taper", syntax::parse(&imported.text));
    let analysis = analysis::analyse(&workspace, file, &Options::default());
    assert_eq!(analysis.diagnostics, []);
    assert_eq!(analysis.models[0].part.outputs.len(), 2);
}

fn shapes(model: &Model) -> Vec<Vec<u64>> {
    model.part.outputs.iter().map(|output| output.ty.shape.to_vec()).collect()
}

/// Idioms that were traced: the file checks, and has PyTorch's FLOPs, parameters and shapes, also at sizes that were not
/// traced, unless it says that it is not for these. What Taper lacks makes totals lower bounds unless it moves numbers only.
#[test]
fn imported_idioms() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("import/traces.json")).expect("cases");
    let torch = conventions::all().find(|one| one.name == "torch");
    let (mut wrong, mut refused) = (Vec::new(), BTreeSet::new());
    for case in &cases {
        let name = case["name"].as_str().expect("a name");
        let trace: import::Trace = serde_json::from_value(case["trace"].clone()).expect("a trace");
        let inputs: Vec<String> = serde_json::from_value(case["inputs"].clone()).expect("inputs");
        let options = Options { count: torch, ..Options::default() };
        let mut imported = import::pytorch(&trace, name, &inputs);
        imported.expect_traced_sizes(&trace, &options);
        let mut workspace = Workspace::default();
        let file = workspace.insert("idiom.taper", syntax::parse(&imported.text));
        let analysis = analysis::analyse(&workspace, file, &options);
        if analysis.has_errors() {
            wrong.push(format!("{name}: {:?}\n{}", analysis.diagnostics, imported.text));
            continue;
        }
        let model = analysis.model(&imported.model).expect("the model");
        let totals = model.totals();
        let ours = serde_json::json!([totals.flops, totals.params, shapes(model)]);
        let theirs = serde_json::json!([case["flops"], case["params"], case["outputs"]]);
        let is_unknown = imported.lost.iter().any(|lost| lost.contains("unknown (≥)"));
        assert_eq!(trace.differences(model), Vec::<String>::new(), "{name}");
        for there in case["at"].as_array().expect("other sizes") {
            let set: (String, String) =
                serde_json::from_value(there["set"].clone()).expect("a size");
            let at = format!("{name} at {} = {}", set.0, set.1);
            let options = Options { set: vec![set], count: torch, ..Options::default() };
            let analysis = analysis::analyse(&workspace, file, &options);
            let errors = analysis.diagnostics.iter().filter(|one| one.severity == Severity::Error);
            let errors: Vec<&Diagnostic> = errors.collect();
            if !errors.is_empty() {
                let is_told = [Code::Expectation, Code::Promise];
                refused.insert(name);
                if errors.iter().any(|error| !is_told.contains(&error.code)) {
                    wrong.push(format!("{at}: {errors:?}\n{}", imported.text));
                }
                continue;
            }
            let model = analysis.model(&imported.model).expect("the model");
            let ours = serde_json::json!([model.totals().flops, shapes(model)]);
            if ours != serde_json::json!([there["flops"], there["outputs"]]) {
                wrong.push(format!("{at}: {ours}, not {there}\n{}", imported.text));
            }
        }
        if ours != theirs || (totals.uncounted > 0) != is_unknown {
            wrong.push(format!(
                "{name}: {ours}, not {theirs}; {:?}\n{}",
                imported.lost, imported.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    // All others are right at every size.
    let for_traced_sizes = [
        "AtMost",
        "Complex",
        "Distances",
        "HalfOfSizes",
        "HalvesWhileLong",
        "PadsToEven",
        "Spectrum",
        "WindowsOfTensor",
    ];
    assert_eq!(refused.into_iter().collect::<Vec<_>>(), for_traced_sizes);
    assert!(cases.len() >= 30, "{}", cases.len());
}

/// What a file cannot say of its module is told, and nothing is lost in silence: each tensor of the file is one of `state_dict`'s,
/// which has others only under other names, and those are told. What it lacks is told by the command, which compares both.
#[test]
fn what_an_import_loses() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("import/traces.json")).expect("cases");
    let told = [
        ("WithAndWithoutWeights", "`mha` is called with and without `need_weights`"),
        (
            "OfTwoParents",
            "`second.ff`: another name of `first.ff`, which the file has; a checkpoint has 4 tensors",
        ),
        (
            "OfTwoParents",
            "`head`: another name of `second.last`, which the file has; a checkpoint has 2 tensors",
        ),
        ("Spectrum", "whose work is unknown (≥)"),
    ];
    let mut found = 0;
    for case in &cases {
        let trace: import::Trace = serde_json::from_value(case["trace"].clone()).expect("a trace");
        let inputs: Vec<String> = serde_json::from_value(case["inputs"].clone()).expect("inputs");
        let imported = import::pytorch(&trace, "idiom", &inputs);
        let again: usize = trace.again.iter().map(|one| one.tensors).sum();
        assert_eq!(case["state"], trace.state.len() + again, "{}", case["name"]);
        let mut workspace = Workspace::default();
        let file = workspace.insert("idiom.taper", syntax::parse(&imported.text));
        let analysis = analysis::analyse(&workspace, file, &Options::default());
        let model = analysis.model(&imported.model).expect("the model");
        let mut names = BTreeSet::new();
        model.rows(|row| {
            names.extend(row.tensors().into_iter().map(|(name, _)| name));
            ControlFlow::Continue(())
        });
        let state: BTreeSet<String> = trace.state.keys().cloned().collect();
        let is_told = |name: &&String| imported.lost.iter().any(|lost| lost.contains(&name[..]));
        let untold: Vec<&String> = names.difference(&state).filter(|one| !is_told(one)).collect();
        assert_eq!(untold, [""; 0], "{}", case["name"]);
        for (_, text) in told.iter().filter(|(name, _)| case["name"] == *name) {
            assert!(imported.lost.iter().any(|lost| lost.contains(text)), "{:?}", imported.lost);
            found += 1;
        }
    }
    assert_eq!(found, told.len());
}

/// A file that does other work than the module, or gives other shapes, says so.
#[test]
fn an_import_that_differs_from_a_run() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("import/traces.json")).expect("cases");
    let case = cases.iter().find(|case| case["name"] == "AsksWhetherTensor").expect("the case");
    let inputs: Vec<String> = serde_json::from_value(case["inputs"].clone()).expect("inputs");
    let differences = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut run = case["trace"].clone();
        change(&mut run["run"]);
        let trace: import::Trace = serde_json::from_value(run).expect("a trace");
        let imported = import::pytorch(&trace, "idiom", &inputs);
        let mut workspace = Workspace::default();
        let file = workspace.insert("idiom.taper", syntax::parse(&imported.text));
        let count = conventions::all().find(|one| one.name == "torch");
        let options = Options { count, ..Options::default() };
        let analysis = analysis::analyse(&workspace, file, &options);
        trace.differences(analysis.model(&imported.model).expect("the model"))
    };
    assert_eq!(differences(&|_| ()), Vec::<String>::new());
    assert_eq!(
        differences(&|run| run["flops"] = 1.into()),
        ["as PyTorch's FlopCounterMode counts it has 221184 FLOPs, and a run of the module 1"]
    );
    assert_eq!(
        differences(&|run| run["outputs"]["shape"][0] = 5.into()),
        ["it gives [[2, 8, 16, 16]], and a run of the module [[5, 8, 16, 16]]"]
    );
}
