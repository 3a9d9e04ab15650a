//! Single modules: `ops.json` names each case by the PyTorch expression that made it.

use candle_core::{DType as CandleDType, Device};
use candle_nn::VarBuilder;
use serde_json::Value;

use super::{TOLERANCE, Tensors, analyse, difference, folder, load, pytorch};

/// What Taper has no word for, as in the test of single modules.
const ABSENT: &[&str] = &["LPPool2d", "DeformConv2d", "CosineSimilarity", "PairwiseDistance"];

const COMPOSITES: &str = include_str!("../modules/composites.taper");

#[test]
fn single_modules_give_the_numbers_of_pytorch() {
    let tensors = load("ops.safetensors");
    let cases = std::fs::read_to_string(folder().join("ops.json")).expect("cases");
    let cases: Value = serde_json::from_str(&cases).expect("JSON");
    let (mut compared, mut absent, mut wrong) = (0, Vec::new(), Vec::new());
    let mut stages = String::new();
    for case in cases["cases"].as_array().expect("cases") {
        let expr = case["expr"].as_str().expect("an expression");
        let class = pytorch::parse(expr).expect("a call").class;
        if ABSENT.contains(&class.as_str()) {
            absent.push(expr);
            continue;
        }
        let id = case["id"].as_str().expect("an id");
        stages.push_str(&format!("{id} {}\n", pytorch::stage(expr)));
        match compare(id, expr, &class, &tensors) {
            Ok(()) => compared += 1,
            Err(reason) => wrong.push(format!("{expr}: {reason}")),
        }
    }
    // The check of exported modules reads them.
    expect_test::expect_file!["../../tests/numeric/operations.txt"].assert_eq(&stages);
    println!("{compared} modules give PyTorch's numbers");
    println!("not in the catalogue: {}", absent.join(" "));
    assert_eq!(wrong, Vec::<String>::new());
    assert!(compared >= 100, "only {compared}");
}

fn compare(id: &str, expr: &str, class: &str, tensors: &Tensors) -> Result<(), String> {
    let inputs: Vec<_> =
        (0..).map_while(|index| tensors.get(&format!("{id}.in{index}")).cloned()).collect();
    let names = &["a", "b", "c"][..inputs.len()];
    let mut text = format!("{COMPOSITES}\nmodel M {{\n");
    for (name, input) in names.iter().zip(&inputs) {
        let dtype = if input.dtype() == CandleDType::I64 { "i64" } else { "f32" };
        text.push_str(&format!("    input {name}: {dtype}{:?}\n", input.dims()));
    }
    text.push_str(&format!("    m: {} -> {}\n}}\n", names.join(", "), pytorch::stage(expr)));
    let analysis = analyse(&text, Vec::new());

    let prefix = format!("{id}.w.");
    let weights = tensors.iter().filter_map(|(name, tensor)| {
        Some((format!("m.{}", name.strip_prefix(&prefix)?), tensor.clone()))
    });
    let weights = VarBuilder::from_tensors(weights.collect(), CandleDType::F32, &Device::Cpu);
    let first_line =
        |error: candle_core::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let model = execution::Executable::build(&analysis.models[0], weights).map_err(first_line)?;
    let outputs = model.run(&inputs, &mut |_| {}).map_err(first_line)?;
    let mut compared = 0;
    for (index, output) in outputs.iter().enumerate() {
        let Some(expected) = tensors.get(&format!("{id}.out{index}")) else { continue };
        let shape = &analysis.models[0].part.outputs[index].ty.shape;
        let made: Vec<u64> = output.dims().iter().map(|size| *size as u64).collect();
        if shape[..] != made[..] {
            return Err(format!("output {index} is {made:?}; the analysis says {shape}"));
        }
        let difference = difference(output, expected);
        if difference > TOLERANCE {
            return Err(format!(
                "output {index} differs by {difference} of the largest value ({:?} against {:?})",
                output.dims(),
                expected.dims()
            ));
        }
        compared += 1;
    }
    if compared == 0 { Err(format!("{class} has no output to compare")) } else { Ok(()) }
}
