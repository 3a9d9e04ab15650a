//! Single modules against PyTorch's: parameters, buffers, output shapes, MACs, refusals. The tables
//! are made by PyTorch; each of its expressions is written in Taper's words and analysed.

#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)] // A test says what it compares.

#[path = "../pytorch/mod.rs"]
mod pytorch;

use std::{collections::BTreeSet, ops::ControlFlow, path::Path};

use analysis::{Analysis, Options, Severity, Workspace};
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

/// What they see without gradients, where a whole `nn.TransformerEncoderLayer` is one kernel that no one counts. That
/// is a block here.
const AT_INFERENCE: [&str; 2] = ["torch-default", "torch-2.15"];

/// Each tool's figure for each module, and which modules thop does not know: tests/counters/run.sh asks the tools.
#[test]
fn counters() {
    let table = table("modules.json");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/counters");
    let text = std::fs::read_to_string(folder.join("figures.json")).expect("figures");
    let figures: Value = serde_json::from_str(&text).expect("JSON");
    let mut wrong = Vec::new();
    for convention in conventions::all() {
        let options = Options { count: Some(convention), ..Options::default() };
        let mut compared = 0;
        for case in table["cases"].as_array().expect("cases") {
            let expr = case["expr"].as_str().expect("an expression");
            let class = pytorch::parse(expr).expect("a call").class;
            let theirs = &figures["modules"][format!("{expr} of {}", list(&case["inputs"]))];
            let theirs = &theirs[convention.name];
            assert!(theirs.is_object(), "{} {expr}", convention.name);
            let takes_fast_path =
                class.starts_with("Transformer") && AT_INFERENCE.contains(&convention.name);
            if takes_fast_path || ABSENT.iter().any(|(name, _)| *name == class) {
                continue;
            }
            // PyTorch gives the weights unless told not to.
            let asked =
                expr.replace("nn.MultiheadAttention(", "nn.MultiheadAttention(need_weights=True,");
            let stage = pytorch::stage(if class == "MultiheadAttention" { &asked } else { expr });
            let step = format!("    m: {} -> {stage}", sources(case, &class));
            let analysis = analyse_with(&model(case, &step), &options);
            let totals = analysis.models[0].totals();
            let mut is_seen = false;
            analysis.models[0].rows(|row| {
                is_seen |= row.step.is_seen();
                ControlFlow::Continue(())
            });
            for (unit, ours) in [("macs", totals.macs), ("flops", totals.flops)] {
                if let Some(theirs) = number(&theirs[unit]) {
                    compared += 1;
                    if ours != theirs {
                        wrong.push(format!(
                            "{} {step}: {ours} {unit}, not {theirs}",
                            convention.name
                        ));
                    }
                }
            }
            let key = match convention.name {
                "thop" => "thop_new_has_rule",
                "thop-2020" => "thop_old_has_rule",
                _ => continue,
            };
            if theirs["fails"].is_null()
                && case["counts"][key].as_bool().is_some_and(|has_rule| has_rule != is_seen)
            {
                wrong.push(format!("{} {expr}: seen {is_seen}", convention.name));
            }
        }
        println!("{}: {compared} figures of single modules compared", convention.name);
        assert!(compared >= 70, "{}: only {compared}", convention.name);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A list of numbers and lists as Python prints it.
fn list(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(list).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
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
