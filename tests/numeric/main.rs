//! Candle modules against PyTorch: single layers with PyTorch's weights, inputs and outputs.
//!
//! `ops.json` names each case by the PyTorch expression that made it; the expression is read and
//! the same layer is made from the catalogue.

#![allow(clippy::panic, clippy::print_stdout)] // A test says what it compares.

use std::collections::HashMap;

use candle_core::{DType as CandleDType, Device, Tensor};
use candle_nn::VarBuilder;
use layers::{Arg, Arguments, DType, TensorType};
use serde_json::Value;

/// The largest difference that is allowed, as a share of the largest value.
const TOLERANCE: f32 = 1e-4;

/// Layers whose first argument is a size that the input tells.
const WITH_INPUT_SIZE: &[&str] = &[
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LayerNorm",
    "RMSNorm",
    "Linear",
    "LSTM",
    "MultiheadAttention",
];

/// A value as Python writes it.
fn python(text: &str) -> Arg {
    let text = text.trim();
    let inner = text.strip_prefix(['(', '[']).and_then(|text| text.strip_suffix([')', ']']));
    match text {
        "True" => Arg::Bool(true),
        "False" => Arg::Bool(false),
        "None" => Arg::None,
        _ if inner.is_some() => {
            let items = split(inner.unwrap_or_default());
            Arg::List(items.into_iter().map(|item| python(&item)).collect())
        }
        _ if text.starts_with('\'') => Arg::Text(text.trim_matches('\'').to_owned()),
        _ => match text.parse() {
            Ok(number) => Arg::Int(number),
            Err(_) => Arg::Float(text.parse().expect("a number")),
        },
    }
}

/// The parts between the commas that stand in no bracket.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for char in text.chars() {
        depth += i32::from(matches!(char, '(' | '[')) - i32::from(matches!(char, ')' | ']'));
        if char == ',' && depth == 0 {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("a part").push(char);
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// `nn.Conv2d(8,16,3,padding=1)` as the layer's name and arguments.
fn parse(expr: &str) -> (String, Vec<Arg>, Vec<(String, Arg)>) {
    let (name, rest) = expr.split_once('(').expect("a call");
    let name = name.rsplit('.').next().unwrap_or(name).to_owned();
    let (mut positional, mut named) = (Vec::new(), Vec::new());
    for part in split(rest.strip_suffix(')').expect("a call")) {
        match part.split_once('=') {
            Some((name, value)) => named.push((name.to_owned(), python(value))),
            None => positional.push(python(&part)),
        }
    }
    if WITH_INPUT_SIZE.contains(&name.as_str()) {
        positional.remove(0);
    }
    (name, positional, named)
}

/// The largest difference of a case, as a share of the largest value; an error says why the layer
/// cannot be built.
fn difference(case: &Value, tensors: &HashMap<String, Tensor>) -> Result<Option<f32>, String> {
    let id = case["id"].as_str().expect("an id");
    let (name, positional, named) = parse(case["expr"].as_str().expect("an expression"));
    let Some(entry) = layers::find(&name) else { return Ok(None) };
    let named: Vec<(&str, Arg)> =
        named.iter().map(|(name, arg)| (name.as_str(), arg.clone())).collect();
    let inputs: Vec<Tensor> =
        (0..).map_while(|index| tensors.get(&format!("{id}.in{index}")).cloned()).collect();
    let types: Vec<TensorType> = inputs.iter().map(type_of).collect();

    let arguments =
        Arguments::bind(entry, &positional, &named).map_err(|refusal| refusal.message)?;
    let layer = (entry.bind)(&arguments, &types).map_err(|refusal| refusal.message)?;
    let outputs = layer.outputs(&types).map_err(|refusal| refusal.message)?;
    let weights = VarBuilder::from_tensors(tensors.clone(), CandleDType::F32, &Device::Cpu)
        .pp(format!("{id}.w"));
    let module = layer.build(weights).map_err(|error| first_line(&error))?;
    let made = module.forward(&inputs).map_err(|error| first_line(&error))?;

    let mut largest = 0f32;
    for (index, (made, ty)) in made.iter().zip(&outputs).enumerate() {
        let Some(expected) = tensors.get(&format!("{id}.out{index}")) else { continue };
        let sizes: Vec<u64> = expected.dims().iter().map(|size| *size as u64).collect();
        assert_eq!(ty.shape[..], sizes[..], "{id} {name}: the shape of output {index}");
        assert_eq!(made.dims(), expected.dims(), "{id} {name}: Candle's output {index}");
        let values = |tensor: &Tensor| -> Vec<f32> {
            let flat = tensor.to_dtype(CandleDType::F32).and_then(|tensor| tensor.flatten_all());
            flat.and_then(|tensor| tensor.to_vec1()).expect("values")
        };
        let (made, expected) = (values(made), values(expected));
        let scale = expected.iter().fold(0f32, |largest, value| largest.max(value.abs())).max(1e-6);
        for (made, expected) in made.iter().zip(&expected) {
            let difference = (made - expected).abs() / scale;
            largest = if difference.is_nan() { f32::INFINITY } else { largest.max(difference) };
        }
    }
    Ok(Some(largest))
}

fn type_of(tensor: &Tensor) -> TensorType {
    let dtype = if tensor.dtype() == CandleDType::I64 { DType::I64 } else { DType::F32 };
    let sizes: Vec<u64> = tensor.dims().iter().map(|size| *size as u64).collect();
    TensorType::new(dtype, sizes)
}

fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

#[test]
fn single_layers_give_the_numbers_of_pytorch() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/numeric");
    let tensors = candle_core::safetensors::load(folder.join("ops.safetensors"), &Device::Cpu)
        .expect("tensors");
    let cases = std::fs::read_to_string(folder.join("ops.json")).expect("cases");
    let cases: Value = serde_json::from_str(&cases).expect("JSON");
    let (mut compared, mut absent, mut counted) = (0, Vec::new(), Vec::new());
    for case in cases["cases"].as_array().expect("cases") {
        let expr = case["expr"].as_str().unwrap_or_default();
        match difference(case, &tensors) {
            Ok(Some(difference)) => {
                assert!(
                    difference <= TOLERANCE,
                    "{expr} differs by {difference} of the largest value"
                );
                compared += 1;
            }
            Ok(None) => absent.push(expr),
            Err(reason) if reason.contains("counted, not built") => counted.push(expr),
            Err(reason) => panic!("{expr}: {reason}"),
        }
    }
    println!("{compared} layers give PyTorch's numbers");
    println!("counted, not built: {}", counted.join(" "));
    println!("not in the catalogue: {}", absent.join(" "));
    assert!(compared >= 50, "only {compared} layers were compared");
}
