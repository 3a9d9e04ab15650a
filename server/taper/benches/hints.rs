//! Text to all hints: what happens after each key. Figures are in docs/benchmarks.md.

#![allow(missing_docs)] // criterion's macros make public functions.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};

/// The allocator of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RESNET50: &str = include_str!("../../../examples/resnet50.taper");
const LLAMA: &str = include_str!("../../../examples/llama2_7b.taper");

/// Parses, analyses and makes every hint.
fn all_hints(text: &str, set: &[(&str, &str)]) -> Vec<ide::Hint> {
    let mut workspace = analysis::Workspace::default();
    let file = workspace.insert("bench.taper", syntax::parse(text));
    let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let options = analysis::Options { set, dtype: None, ..Default::default() };
    ide::hints(&ide::Snapshot::new(workspace, file, options), None)
}

/// The sizes of Llama 3.1 405B.
const LLAMA_405B: &[(&str, &str)] = &[
    ("vocab_size", "128256"),
    ("hidden_size", "16384"),
    ("intermediate_size", "53248"),
    ("num_hidden_layers", "126"),
    ("num_attention_heads", "128"),
    ("num_key_value_heads", "8"),
];

/// 3,000 lines with 2,500 layers, no two of them alike: a stack of convolutions whose channels,
/// kernels and dilations differ, with activations and comments between.
fn large() -> String {
    let mut text = String::from("model Large {\n    input image: f32[N = 1, 3, H = 64, W = 64]\n");
    for layer in 0..1250 {
        let (channels, kernel) = (8 + layer % 500, 1 + 2 * (layer % 3));
        let padding = kernel / 2 * (1 + layer / 500);
        let dilation = 1 + layer / 500;
        text.push_str(&format!(
            "    conv{layer}: Conv2d({channels}, {kernel}, padding={padding}, dilation={dilation})\n"
        ));
        text.push_str(&format!("    act{layer}: LeakyReLU(0.{:04})\n", layer + 1));
        if layer % 5 < 2 {
            text.push_str("    # a comment\n");
        }
    }
    text.push_str("}\n");
    text
}

fn hints(criterion: &mut Criterion) {
    let large = large();
    assert!((2_950..=3_050).contains(&large.lines().count()), "{}", large.lines().count());
    assert!(all_hints(&large, &[]).len() > 2_500);
    criterion
        .bench_function("resnet50", |bencher| bencher.iter(|| all_hints(black_box(RESNET50), &[])));
    criterion.bench_function("llama 405B", |bencher| {
        bencher.iter(|| all_hints(black_box(LLAMA), LLAMA_405B));
    });
    criterion.bench_function("3,000 lines", |bencher| {
        bencher.iter(|| all_hints(black_box(&large), &[]))
    });
    criterion.bench_function("3,000 lines, parse only", |bencher| {
        bencher.iter(|| syntax::parse(black_box(&large)));
    });
}

criterion_group!(benches, hints);
criterion_main!(benches);
