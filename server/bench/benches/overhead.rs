//! A bare loop over the Candle modules of a model, for what `taper bench` says of the same model to be
//! compared with: `cargo bench -p bench --bench overhead`.

#![allow(clippy::unwrap_used, missing_docs)] // A benchmark stops where something is missing.

use candle_core::{DType, Device};
use criterion::{Criterion, criterion_group, criterion_main};
use execution::Executable;

/// Two that are short and long.
const MODELS: [(&str, &str); 2] = [
    (
        "mlp",
        "model Mlp { input x: f32[N = 16, 256]; Linear(512) -> ReLU; Linear(256) -> ReLU; Linear(10) }",
    ),
    ("resnet18", include_str!("../../../examples/resnet18.taper")),
];

fn bare_loops(criterion: &mut Criterion) {
    for (name, text) in MODELS {
        let mut workspace = analysis::Workspace::default();
        let file = workspace.insert("model.taper", syntax::parse(text));
        let analysis = analysis::analyse(&workspace, file, &Default::default());
        let model = &analysis.models[0];
        let weights = execution::random_weights(1, DType::F32, &Device::Cpu);
        let executable = Executable::build(model, weights).unwrap();
        let input = &model.part.inputs[0].ty;
        let inputs = [execution::random_inputs(input, 2, 1, &Device::Cpu).unwrap()];
        let run = || executable.run(&inputs, &mut |_| {}).unwrap();
        criterion.bench_function(name, |bencher| bencher.iter(run));
    }
}

criterion_group!(benches, bare_loops);
criterion_main!(benches);
