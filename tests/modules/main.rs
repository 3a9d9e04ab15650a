//! Single modules against PyTorch's: parameters, buffers, output shapes, MACs, refusals. The tables
//! are made by PyTorch; each of its expressions is written in Taper's words and analysed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test says what it compares.

#[path = "../pytorch/mod.rs"]
mod pytorch;

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use analysis::{Analysis, Options, Severity, Workspace};
use layers::Unit;
use serde_json::Value;

const COMPOSITES: &str = include_str!("composites.taper");

/// What Taper has no word for.
const ABSENT: &[(&str, &str)] = &[
    ("LPPool2d", "no model of the library uses it"),
    ("FractionalMaxPool2d", "its windows are random"),
    ("DeformConv2d", "no model of the library uses it"),
    ("CosineSimilarity", "a loss"),
    ("PairwiseDistance", "a loss"),
];

fn table(name: &str) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/modules");
    let text = std::fs::read_to_string(folder.join(name)).expect("the table");
    serde_json::from_str(&text).expect("JSON")
}

fn analyse(text: &str) -> Analysis {
    analyse_with(text, &Default::default())
}

fn analyse_with(text: &str, options: &Options) -> Analysis {
    let mut workspace = Workspace::default();
    let file = workspace.insert("module.taper", syntax::parse(text));
    analysis::analyse(&workspace, file, options)
}

fn errors(analysis: &Analysis) -> Vec<&str> {
    let errors = analysis.diagnostics.iter().filter(|found| found.severity == Severity::Error);
    errors.map(|found| found.message.as_str()).collect()
}

/// A shape, or the shapes of several values in any nesting.
fn shapes(value: &Value) -> Vec<Vec<u64>> {
    let items = value.as_array().expect("a list");
    match items.first() {
        Some(Value::Array(_)) => items.iter().flat_map(shapes).collect(),
        _ => vec![items.iter().map(|size| size.as_u64().expect("a size")).collect()],
    }
}

fn dtype(case: &Value, index: usize) -> &str {
    match case["input_dtypes"][index].as_str() {
        Some("int64") => "i64",
        _ => "f32",
    }
}

/// A model of one step on the inputs `a`, `b`, `c`.
fn model(case: &Value, step: &str) -> String {
    let mut text = format!("{COMPOSITES}\nmodel M {{\n");
    let inputs: Vec<Vec<u64>> =
        case["inputs"].as_array().expect("inputs").iter().flat_map(shapes).collect();
    for (index, (name, shape)) in ["a", "b", "c"].iter().zip(inputs).enumerate() {
        text.push_str(&format!("    input {name}: {}{shape:?}\n", dtype(case, index)));
    }
    text + step + "\n}\n"
}

/// The names before an arrow for so many inputs.
fn sources(case: &Value, class: &str) -> String {
    let count = case["inputs"].as_array().map_or(0, Vec::len);
    // MultiheadAttention of one source attends to itself, as PyTorch does when given it three times.
    let count = if class == "MultiheadAttention" { count.min(3) } else { count };
    ["a", "b", "c"][..count].join(", ")
}

#[test]
fn modules() {
    let table = table("modules.json");
    let (mut compared, mut counted, mut absent) = (0, 0, Vec::new());
    for case in table["cases"].as_array().expect("cases") {
        let expr = case["expr"].as_str().expect("an expression");
        let class = pytorch::parse(expr).expect("a call").class;
        if let Some((_, reason)) = ABSENT.iter().find(|(name, _)| *name == class) {
            absent.push(format!("{expr}: {reason}"));
            continue;
        }
        let step = format!("    m: {} -> {}", sources(case, &class), pytorch::stage(expr));
        let analysis = analyse(&model(case, &step));
        assert_eq!(errors(&analysis), Vec::<&str>::new(), "{expr}: {step}");
        let model = &analysis.models[0];
        check_tensors(expr, case, model);
        check_outputs(expr, case, model);
        counted += usize::from(check_macs(expr, &class, case, model));
        compared += 1;
    }
    println!("{compared} modules have PyTorch's parameters and output shapes, {counted} its MACs");
    println!("not in the catalogue:\n  {}", absent.join("\n  "));
    assert!(compared >= 150, "only {compared}");
}

/// The names in the table of modules of what ours are called.
const TOOLS: [(&str, &str); 8] = [
    ("thop", "thop_new"),
    ("thop-2020", "thop_old"),
    ("ptflops", "ptflops"),
    ("ptflops-aten", "ptflops_aten"),
    ("fvcore", "fvcore"),
    ("torch", "torch_flop_counter"),
    ("torchinfo", "torchinfo"),
    ("calflops", "calflops"),
];

/// Each tool's figure for each module that it knows, and which it does not know.
#[test]
fn conventions() {
    let table = table("modules.json");
    let mut wrong = Vec::new();
    for (name, key) in TOOLS {
        let convention = layers::conventions().find(|one| one.name == name).expect("a convention");
        let options = Options { count: Some(convention), ..Options::default() };
        let mut compared = 0;
        for case in table["cases"].as_array().expect("cases") {
            let expr = case["expr"].as_str().expect("an expression");
            let class = pytorch::parse(expr).expect("a call").class;
            let Some(theirs) = figures(&case["counts"], key) else { continue };
            if ABSENT.iter().any(|(name, _)| *name == class) {
                continue;
            }
            let step = format!("    m: {} -> {}", sources(case, &class), pytorch::stage(expr));
            let analysis = analyse_with(&model(case, &step), &options);
            let totals = analysis.models[0].totals();
            let ours = match (convention.gives(Unit::Macs), convention.gives(Unit::Flops)) {
                (true, true) => vec![totals.flops, totals.macs],
                (true, false) => vec![totals.macs],
                (false, _) => vec![totals.flops],
            };
            let mut is_seen = false;
            analysis.models[0].rows(|row| {
                is_seen |= row.step.is_seen();
                ControlFlow::Continue(())
            });
            let has_rule = case["counts"][format!("{key}_has_rule")].as_bool().unwrap_or(is_seen);
            if ours != theirs || is_seen != has_rule {
                wrong.push(format!("{name} {expr}: {ours:?} {is_seen}; {theirs:?} {has_rule}"));
            }
            compared += 1;
        }
        assert!(compared >= 150, "{name}: only {compared}");
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A tool's figures, without what it counts because the table's attention is asked for its weights: those
/// are no value of ours, and without them PyTorch does not call `bmm` and `softmax`.
fn figures(counts: &Value, key: &str) -> Option<Vec<u128>> {
    let figures: Vec<u128> = match &counts[key] {
        Value::Array(figures) => figures.iter().filter_map(number).collect(),
        one => number(one).into_iter().collect(),
    };
    let asked = |function: &str| number(&counts["ptflops_functional"][function]).unwrap_or(0);
    if figures.is_empty() || asked("bmm") == 0 {
        return Some(figures).filter(|figures| !figures.is_empty());
    }
    let less = match key {
        "ptflops" => asked("bmm") + asked("softmax"),
        "ptflops_aten" | "fvcore" => asked("bmm"),
        "calflops" => asked("softmax"),
        _ => 0,
    };
    Some(
        figures
            .iter()
            .enumerate()
            .map(|(at, one)| if at == 0 { one - less } else { *one })
            .collect(),
    )
}

fn number(value: &Value) -> Option<u128> {
    value.as_f64().map(|number| number as u128)
}

fn check_tensors(expr: &str, case: &Value, model: &analysis::Model) {
    let (mut params, mut buffers) = (BTreeSet::new(), BTreeSet::new());
    model.rows(|row| {
        for (path, tensor) in row.tensors() {
            let name = path.strip_prefix("m.").unwrap_or(&path).to_owned();
            let list = if tensor.is_buffer { &mut buffers } else { &mut params };
            list.insert(format!("{name} {}", tensor.shape));
        }
        ControlFlow::Continue(())
    });
    let theirs = |list: &Value| -> BTreeSet<String> {
        let one =
            |tensor: &Value| format!("{} {:?}", tensor[0].as_str().unwrap(), shapes(&tensor[1])[0]);
        list.as_array().expect("tensors").iter().map(one).collect()
    };
    assert_eq!(params, theirs(&case["param_tensors"]), "{expr}: parameters");
    assert_eq!(buffers, theirs(&case["buffers"]), "{expr}: buffers");
    let total = u128::from(case["params"].as_u64().expect("params"));
    assert_eq!(model.totals().params, total, "{expr}: params");
}

fn check_outputs(expr: &str, case: &Value, model: &analysis::Model) {
    let ours: Vec<Vec<u64>> =
        model.part.outputs.iter().map(|output| output.ty.shape.to_vec()).collect();
    let mut theirs = shapes(&case["output"]);
    if expr.contains("nn.MultiheadAttention") || expr.contains("return_indices") {
        // The weights and the indices are no value of ours.
        theirs.truncate(1);
    }
    assert_eq!(ours, theirs, "{expr}: outputs");
}

/// Compares MACs with FlopCounterMode's; false where it has no rule.
fn check_macs(expr: &str, class: &str, case: &Value, model: &analysis::Model) -> bool {
    let theirs = u128::from(case["counts"]["torch_flop_counter"].as_u64().expect("a count"));
    let unseen = match class {
        // It sees the products of a fused LSTM only where a projection keeps it from being fused.
        "LSTM" => theirs == 0,
        "Bilinear" => true,
        _ => false,
    };
    if !unseen {
        assert_eq!(2 * model.totals().macs, theirs, "{expr}: MACs");
    }
    !unseen
}

#[test]
fn functions() {
    let table = table("functional_shapes.json");
    let lines = include_str!("functional.txt").lines().filter(|line| !line.starts_with('#'));
    let (mut compared, mut refused, mut absent) = (0, 0, Vec::new());
    let written: Vec<(&str, Result<&str, &str>)> = lines
        .map(|line| match line.split_once(" => ") {
            Some((expr, steps)) => (expr, Ok(steps)),
            None => {
                let (expr, reason) = line.split_once(" none: ").expect("`=>` or `none:`");
                (expr, Err(reason))
            }
        })
        .collect();
    for case in table["cases"].as_array().expect("cases") {
        let expr = case["expr"].as_str().expect("an expression");
        let (_, steps) = written
            .iter()
            .find(|(written, _)| *written == expr)
            .unwrap_or_else(|| panic!("{expr} is not in functional.txt"));
        let steps = match steps {
            Ok(steps) => steps,
            Err(reason) => {
                absent.push(format!("{expr}: {reason}"));
                continue;
            }
        };
        let integer = steps.strip_prefix("a:i64 ");
        let mut text = model(case, integer.unwrap_or(steps));
        if integer.is_some() {
            text = text.replace("input a: f32", "input a: i64");
        }
        let analysis = analyse(&text);
        if case["error"].is_string() {
            assert_ne!(errors(&analysis), Vec::<&str>::new(), "{expr}: PyTorch refuses it");
            refused += 1;
            continue;
        }
        assert_eq!(errors(&analysis), Vec::<&str>::new(), "{expr}");
        check_outputs(expr, case, &analysis.models[0]);
        let flops = u128::from(case["torch_flops"].as_u64().expect("a count"));
        // FlopCounterMode has no rule for a product with a vector on the right.
        let vector = expr == "a@b" && shapes(&case["inputs"][1])[0].len() == 1;
        if !vector || flops > 0 {
            assert_eq!(2 * analysis.models[0].totals().macs, flops, "{expr}: MACs");
        }
        compared += 1;
    }
    println!(
        "{compared} functions have PyTorch's output shapes and MACs, {refused} are refused as there"
    );
    println!("no such function:\n  {}", absent.join("\n  "));
    assert!(compared + refused >= 70, "only {compared} and {refused}");
}

/// What PyTorch refuses is refused. A size that the input tells can be wrong only where a layer is
/// used again, so there it is made for the size that PyTorch is given.
#[test]
fn refusals() {
    let table = table("shape_errors.json");
    let (mut refused, mut absent) = (0, Vec::new());
    for case in table["errors"].as_array().expect("errors") {
        let expr = case["expr"].as_str().expect("an expression");
        let call = pytorch::parse(expr).expect("a call");
        if call.class == "Sequential" {
            absent.push(format!("{expr}: the second layer reads its channels from the first"));
            continue;
        }
        let stage = pytorch::stage(expr);
        let sources = sources(case, &call.class);
        let mut text = model(case, &format!("    m: {sources} -> {stage}"));
        if errors(&analyse(&text)).is_empty() {
            text = model(
                case,
                &format!("    m: {} -> {stage}\n    {sources} -> m", made_for(case, &call)),
            );
            // The input for which the layer is made is declared first.
            text = text
                .replace("model M {\n", &format!("model M {{\n{}", made_for_input(case, &call)));
        }
        let analysis = analyse(&text);
        assert_ne!(errors(&analysis), Vec::<&str>::new(), "{expr}: PyTorch refuses it\n{text}");
        println!("{expr}: {}", errors(&analysis)[0]);
        refused += 1;
    }
    println!("cannot be written:\n  {}", absent.join("\n  "));
    println!("{refused} mistakes are refused as by PyTorch");
}

/// The sources for which a layer is made: one input with the size of the constructor.
fn made_for(case: &Value, call: &pytorch::Call) -> String {
    let count = case["inputs"].as_array().map_or(1, Vec::len);
    let mut names = vec!["made"; count];
    if call.class == "Bilinear" {
        names = vec!["made", "made2"];
    }
    names.join(", ")
}

fn made_for_input(case: &Value, call: &pytorch::Call) -> String {
    let mut text = String::new();
    let wanted: Vec<u64> = call.positional.iter().filter_map(|size| size.parse().ok()).collect();
    for (index, name) in ["made", "made2"].iter().enumerate() {
        let Some(shape) = case["inputs"].get(index) else { break };
        let mut shape = shapes(shape)[0].clone();
        let last = shape.len() - 1;
        match call.class.as_str() {
            "GroupNorm" => shape[1] = wanted[1],
            "Linear" | "LayerNorm" | "LSTM" | "MultiheadAttention" | "Bilinear" => {
                shape[last] = wanted[index.min(wanted.len() - 1)];
                if call.class == "MultiheadAttention" {
                    shape[last] = wanted[0];
                }
            }
            _ => shape[1] = wanted[0],
        }
        text.push_str(&format!("    input {name}: f32{shape:?}\n"));
    }
    text
}
