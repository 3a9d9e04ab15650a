//! What a message proposes is tried: the text after each fix lacks that message, and has no new one.

#![allow(clippy::panic)] // A test says what it found.

use analysis::{Analysis, Code, Severity, Workspace};

fn analyse(text: &str) -> Analysis {
    let mut workspace = Workspace::default();
    let file = workspace.insert("main.taper", syntax::parse(text));
    analysis::analyse(&workspace, file, &Default::default())
}

fn errors(text: &str) -> Vec<(Code, String)> {
    let found = analyse(text).diagnostics.into_iter();
    let errors = found.filter(|one| one.severity == Severity::Error);
    errors.map(|one| (one.code, one.message)).collect()
}

/// Models with one mistake, and what its message must propose.
const CASES: &[(&str, &[&str])] = &[
    (
        "model M {\n    input x: f32[N = 2, 64, H = 224, W = 224]\n    expect H <= 224\n    expect W <= 224\n    \
         MaxPool2d(2, 2)\n    MaxPool2d(3)\n    Reshape(N, 64, 37, 37)\n}",
        &["`224` for `H`"],
    ),
    (
        "model M {\n    input x: f32[N = 2, 3, H = 32, 32]\n    a: Conv2d(3, 2, stride=2)\n    Upsample(scale_factor=2)\n    x + it\n}",
        &["`32` for `H`", "expect H % 2 == 0"],
    ),
    (
        "model M { input x: f32[N = 2, 3, H = 32, 32]; a: Conv2d(3, 2, stride=2); Upsample(scale_factor=2); x + it }",
        &["expect H % 2 == 0"],
    ),
    (
        "model M {\n    input x: f32[N = 1, T = 8] # a sequence\n    pos: Arange(8)\n    x + pos\n}",
        &["`8` for `T`"],
    ),
    (
        "model M {\n    input x: f32[N = 1, T = 64, 8]\n    param p: [64, 8]\n    x + p[:T]\n}",
        &["`64` for `T`", "expect T <= 64"],
    ),
    (
        "model M {\n    input x: f32[N = 4, 32, H = 16, W = 16]\n    Flatten(2)\n    ln: LayerNorm\n}",
        &["`16` for `H` and `16` for `W`"],
    ),
    (
        "block A(area) {\n    input x: [B, C, H, W]\n    Reshape(B * area, H * W // area, C)\n}\nmodel Y { input x: f32[B = 1, 64, H = 20, W = 20]; A(4) }",
        &["expect H % 4 == 0"],
    ),
];

#[test]
fn fixes_remove_the_mistake() {
    for (text, proposed) in CASES {
        let found = analyse(text).diagnostics;
        let all: Vec<_> = found.iter().filter(|one| one.severity == Severity::Error).collect();
        let [found] = all[..] else { panic!("{text}\n{all:#?}") };
        for proposal in *proposed {
            assert!(found.message.contains(proposal), "{text}\n{}", found.message);
        }
        assert!(!found.fixes.is_empty(), "{text}");
        for fix in &found.fixes {
            let mut edits = fix.edits.clone();
            edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.range.start()));
            let mut fixed = (*text).to_owned();
            for (place, new) in edits {
                fixed.replace_range(std::ops::Range::<usize>::from(place.range), &new);
            }
            // Another symbol may be no freer.
            let left = errors(&fixed);
            let is_same = |(code, message): &(Code, String)| {
                *code == found.code && found.message.split(':').next() == message.split(':').next()
            };
            assert!(!left.iter().any(is_same), "{fixed}\n{left:#?}");
            assert!(left.iter().all(|(code, _)| *code == found.code), "{fixed}\n{left:#?}");
        }
    }
}
