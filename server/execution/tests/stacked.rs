//! Experts whose parameters are stacked give what experts with their own parameters give.

#![allow(clippy::unwrap_used)] // A test fails where something is missing.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use execution::Executable;

const HEAD: &str = "model M {
    input x: f32[N = 3, 8]
    shared: Linear(8)
    gate: Linear(4)
    weights, indices: TopK(2)";

/// Experts that use layers from outside in every way there is.
const EXPERTS: &str = "{
        it -> shared
        down: Linear(8, weight=shared.weight)
        it @ shared.weight
        up: Linear(8, bias=false)
    }";

#[test]
fn stacked_experts_share_what_is_outside() {
    let outputs = |experts: &str, tensors: HashMap<String, Tensor>| {
        let text = format!("{HEAD}\n experts: x, weights, indices -> choose 2 of 4 {experts} }}");
        let mut workspace = analysis::Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(&text));
        let analysis = analysis::analyse(&workspace, file, &Default::default());
        assert!(analysis.diagnostics.is_empty(), "{:?}", analysis.diagnostics);
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let model = Executable::build(&analysis.models[0], weights).unwrap();
        let input = Tensor::arange(0f32, 24., &Device::Cpu).unwrap().reshape((3, 8)).unwrap();
        let outputs = model.run(&[(input / 24.).unwrap()], &mut |_| {}).unwrap();
        outputs[0].to_vec2::<f32>().unwrap()
    };
    let random = |shape: &[usize]| Tensor::randn(0f32, 0.5, shape, &Device::Cpu).unwrap();
    let outside = HashMap::from([
        ("shared.weight".to_string(), random(&[8, 8])),
        ("shared.bias".to_string(), random(&[8])),
        ("gate.weight".to_string(), random(&[4, 8])),
        ("gate.bias".to_string(), random(&[4])),
    ]);
    let inside = [("down.bias", random(&[4, 8])), ("up.weight", random(&[4, 8, 8]))];
    let mut whole = outside.clone();
    let mut apart = outside;
    for (name, tensor) in inside {
        for expert in 0..4 {
            apart.insert(format!("experts.{expert}.{name}"), tensor.get(expert).unwrap());
        }
        whole.insert(format!("experts.{name}"), tensor);
    }
    assert_eq!(
        outputs(&format!("stacked {EXPERTS}"), whole),
        outputs(&format!("{{ {EXPERTS} }}"), apart)
    );
}
