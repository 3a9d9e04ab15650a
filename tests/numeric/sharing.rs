//! Parameters that are given through blocks: the same model, with its blocks written out by hand, gives the same
//! numbers from the same weights.

use candle_core::{DType, Device};

use crate::{analyse, difference};

const CASES: &[(&str, &str, &str)] = &[
    (
        "block G(w) { fc: Linear(8, bias=false, weight=w) }\nblock H(w) { g: G(w) }",
        "first: Linear(8, bias=false)\n h: H(first.weight)\n g: { G(first.weight) }",
        "first: Linear(8, bias=false)\n h.g.fc: Linear(8, bias=false, weight=first.weight)\n \
         g.0.fc: Linear(8, bias=false, weight=first.weight)",
    ),
    (
        "block G { input x: [N, C]\n input w: [8, C]\n fc: x -> Linear(8, bias=false, weight=w) }",
        "param a.fc.weight: [8, 8]\n a: x, a.fc.weight -> G\n b: a, a.fc.weight -> G",
        "param w: [8, 8]\n a: x -> Linear(8, bias=false, weight=w)\n b: Linear(8, bias=false, weight=w)",
    ),
    (
        "block G(w) { it @ w }\nblock H(w) { G(w)\n x: it\n x + 0.5 -> G(w) }",
        "param p.w: [8, 8]\n h: H(p.w)",
        "param p.w: [8, 8]\n x @ p.w\n it + 0.5\n it @ p.w",
    ),
    (
        "block W { input x: [N, C]\n param w: [C, C]\n w }",
        "b: W\n x @ b",
        "param b.w: [8, 8]\n x @ b.w",
    ),
    (
        "block B { fc: Linear(8, bias=false) }\nblock K { b: B }",
        "k: K\n l: Linear(8, bias=false, weight=k.b.fc.weight)\n x @ k.b.fc.weight",
        "k.b.fc: Linear(8, bias=false)\n x @ k.b.fc.weight",
    ),
    // Weights of layers that are given theirs.
    (
        "block G(w) { fc: Linear(8, bias=false, weight=w) }",
        "first: Linear(8, bias=false)\n g: G(first.weight)\n h: G(g.fc.weight)\n Linear(8, bias=false, weight=h.fc.weight)",
        "first: Linear(8, bias=false)\n for i in range(3) { Linear(8, bias=false, weight=first.weight) }",
    ),
    (
        "block G { a: Linear(8, bias=false)\n b: Linear(8, bias=false, weight=a.weight) }",
        "g: G\n Linear(8, bias=false, weight=g.b.weight)",
        "g.a: Linear(8, bias=false)\n for i in range(2) { Linear(8, bias=false, weight=g.a.weight) }",
    ),
];

#[test]
fn parameters_that_are_given_through_blocks() {
    for (blocks, through, by_hand) in CASES {
        let outputs: Vec<_> = [through, by_hand]
            .iter()
            .map(|steps| {
                let text = format!("{blocks}\nmodel M {{ input x: f32[N = 2, 8]\n {steps} }}");
                let analysis = analyse(&text, Vec::new());
                // `a.fc.weight` is named `w` where it is written by hand.
                let weights = execution::random_weights(7, DType::F32, &Device::Cpu)
                    .rename_f(|name| name.replace("a.fc.weight", "w"));
                let model = analysis.models.last().expect("a model");
                let built = execution::Executable::build(model, weights).expect(&text);
                let input = &model.part.inputs[0].ty;
                let input = execution::random_inputs(input, 1, 3, &Device::Cpu).expect("an input");
                built.run(&[input], &mut |_| ()).expect(&text).remove(0)
            })
            .collect();
        let difference = difference(&outputs[0], &outputs[1]);
        assert!(difference < 1e-6, "{difference} between\n{through}\nand\n{by_hand}");
    }
}
