//! Input that no model should be: each gives one diagnostic at its place, never a panic, a hang or
//! a wrong number.

#![allow(clippy::panic)] // A test says what it found.

use analysis::{Analysis, Code, Workspace};

fn analyse(text: &str) -> Analysis {
    analyse_files(&[("main.taper", text)])
}

/// The first file is analysed; the others are there to be used.
fn analyse_files(files: &[(&str, &str)]) -> Analysis {
    let mut workspace = Workspace::default();
    let ids: Vec<_> =
        files.iter().map(|(path, text)| workspace.insert(path, syntax::parse(text))).collect();
    analysis::analyse(&workspace, ids[0], &Default::default())
}

/// One diagnostic: its code, the text it stands at (its first 40 characters), and its message.
#[track_caller]
fn one(text: &str, code: Code, at: &str, message: &str) {
    let analysis = analyse(text);
    let [found] = &analysis.diagnostics[..] else {
        panic!("{} diagnostics: {:#?}", analysis.diagnostics.len(), analysis.diagnostics);
    };
    let range = std::ops::Range::<usize>::from(found.place.range);
    let place: String = text[range.start..range.end.min(text.len())].chars().take(40).collect();
    assert_eq!((found.code, place.as_str()), (code, at), "{}", found.message);
    assert!(found.message.contains(message), "`{message}` is not in: {}", found.message);
}

fn model(steps: &str) -> String {
    format!("model M {{ input x: f32[N = 1, 4, H = 8, W = 8]; {steps} }}")
}

#[test]
fn an_unclosed_brace() {
    let text = "model M {\n    input x: f32[N = 1, 8]\n    head: {\n        Linear(4)\n}\n";
    one(text, Code::Syntax, "{", "is not closed");
}

#[test]
fn a_nul_byte() {
    one("model M { input x: f32[N = 1, 8]; \0 }", Code::Syntax, "\0", "expected");
}

#[test]
fn a_mebibyte_of_braces() {
    one(&"{".repeat(1 << 20), Code::Syntax, "{", "expected `model`, `block` or `use`");
    one(&"{".repeat((1 << 20) + 1), Code::Syntax, "{", "bytes");
    let nested = format!("block A {}", "{".repeat(1 << 19));
    one(&nested, Code::Syntax, "{", "nested more than 128 deep");
}

#[test]
fn nested_parentheses() {
    let nested = |text: String, at: &str| one(&text, Code::Syntax, at, "nested more than 128 deep");
    nested(format!("block A {{ let x = {}1{} }}", "(".repeat(200_000), ")".repeat(200_000)), "(");
    nested(format!("block A {{ let x = {}1 }}", "-".repeat(200_000)), "-");
    nested(format!("block A {{ let x = 1{} }}", " ** 1".repeat(100_000)), "1");
    nested(format!("block A {{ let x = {}1 }}", "1 if true else ".repeat(50_000)), "1");
}

#[test]
fn a_long_sum_is_no_nesting() {
    let sum = " + 1".repeat(10_000);
    let analysis = analyse(&format!("model M {{ input x: f32[N = 1, 8]; Linear(1{sum}) }}"));
    assert_eq!(analysis.diagnostics, []);
    assert_eq!(analysis.models[0].totals().params, 10_001 * 9);
}

#[test]
fn endless_repetition() {
    let step = "repeat 10 ** 12 { Linear(1) }";
    one(&model(step), Code::TooLarge, step, "at most 100000");
    let range = "range(10 ** 12)";
    one(&model("for i in range(10 ** 12) { ReLU }"), Code::TooLarge, range, "at most 100000");
    let nested = model("repeat 1000 { repeat 1000 { ReLU } }");
    one(&nested, Code::TooLarge, "repeat 1000 { ReLU }", "more than 100000 steps");
    for idle in ["", "let k = 1", "[N, 4, H, W]", "if false { ReLU }"] {
        let nested = model(&format!("repeat 50000 {{ repeat 50000 {{ {idle} }} }}"));
        one(&nested, Code::TooLarge, &format!("repeat 50000 {{ {idle} }}"), "more than 100000");
    }
    let doubled = format!("{}ReLU{}", "repeat 2 { ".repeat(60), " }".repeat(60));
    assert_eq!(analyse(&model(&doubled)).diagnostics[0].code, Code::TooLarge);
}

#[test]
fn scalars_that_double() {
    let doubling = |first: &str, next: &str| {
        let lets =
            (1..60).map(|n| format!("let s{n} = {}", next.replace('s', &format!("s{}", n - 1))));
        format!("let s0 = {first}; {}; ReLU", lets.collect::<Vec<_>>().join("; "))
    };
    for (first, next) in
        [("\"a\"", "s + s"), ("[1]", "[s, s]"), ("[1]", "s + s"), ("[1, 2]", "s * 9")]
    {
        let analysis = analyse(&model(&doubling(first, next)));
        assert_eq!(analysis.diagnostics[0].code, Code::TooLarge, "{next}");
    }
}

#[test]
fn blocks_that_double_count_exactly() {
    let mut text = "block B0 { Linear(4) }\n".to_owned();
    for level in 1..=60 {
        text.push_str(&format!("block B{level} {{ B{0}; B{0} }}\n", level - 1));
    }
    text.push_str("model M { input x: f32[N = 1, 4]; B60 }");
    let analysis = analyse(&text);
    assert_eq!(analysis.diagnostics, []);
    assert_eq!(analysis.models[0].totals().params, 20 << 60);
}

#[test]
fn a_block_that_contains_itself() {
    one("block A { A }\nmodel M { input x: f32[N = 1, 8]; A }", Code::Recursion, "A", "A → A");
    let text = "block A { B }\nblock B { A }\nmodel M { input x: f32[N = 1, 8]; A }";
    one(text, Code::Recursion, "A", "A → B → A");
}

#[test]
fn missing_and_circular_files() {
    one("use \"no.taper\"", Code::MissingFile, "\"no.taper\"", "no.taper");
    let circle = "main.taper → main.taper";
    one("use \"main.taper\"", Code::UseCircle, "\"main.taper\"", circle);
    let analysis = analyse_files(&[("a.taper", "use \"b.taper\""), ("b.taper", "use \"a.taper\"")]);
    let [found] = &analysis.diagnostics[..] else { panic!("{:?}", analysis.diagnostics) };
    assert_eq!(found.code, Code::UseCircle);
    assert!(found.message.contains("a.taper → b.taper → a.taper"), "{}", found.message);
}

#[test]
fn sizes_that_are_too_large() {
    let size = "9223372036854775808";
    one(&model("Conv2d(9223372036854775808, 1)"), Code::Overflow, size, "2^63 - 1");
    one(&model("Conv2d(2 ** 63, 1)"), Code::Overflow, "2 ** 63", "2^63 - 1");
    let text = "model M { input x: f32[9223372036854775808]; ReLU }";
    one(text, Code::Overflow, size, "2^63 - 1");
}

#[test]
fn counts_that_are_too_large() {
    let text = "model M { input x: f32[2 ** 62, 2 ** 62, 2 ** 62]; ReLU }";
    one(text, Code::Overflow, "ReLU", "too large");
    let text = "model M { input x: f32[1, 2 ** 40]; Expand(2 ** 62, -1); Repeat(1, 2 ** 24) }";
    one(text, Code::Overflow, "Repeat(1, 2 ** 24)", "too large");
    let text =
        "model M { input x: f32[1, 2 ** 62]; Linear(2 ** 62); Unsqueeze(0); Linear(2 ** 62) }";
    let analysis = analyse(text);
    assert_eq!(analysis.diagnostics, []);
    assert_eq!(analysis.models[0].totals().params, 2 * ((1 << 124) + (1 << 62)));
}

#[test]
fn arithmetic_without_a_result() {
    one(&model("Conv2d(8 // 0, 1)"), Code::Arithmetic, "8 // 0", "division by zero");
    one(&model("Conv2d(8 % 0, 1)"), Code::Arithmetic, "8 % 0", "division by zero");
    one(&model("let a = 1 / 0"), Code::Arithmetic, "1 / 0", "division by zero");
    one(&model("let a = [1][3]"), Code::Arithmetic, "[3]", "outside a list of 1");
    one(&model("let a = max([])"), Code::Arithmetic, "max([])", "empty list");
}

#[test]
fn convolutions_that_cannot_be() {
    let refused = |step: &str, at: &str, message: &str| {
        one(&model(step), Code::WrongArgument, at, message);
    };
    refused("Conv2d(8, 3, groups=0)", "groups=0", "at least 1, not 0");
    refused("Conv2d(8, 3, groups=3)", "groups=3", "does not divide the 4 input channels");
    refused("Conv2d(6, 3, groups=4)", "groups=4", "does not divide the 6 output channels");
    refused("Conv2d(8, 3, stride=0)", "stride=0", "at least 1, not 0");
    refused("Conv2d(-8, 3)", "-8", "at least 1, not -8");
    refused("Conv2d(8, 3, padding=-1)", "padding=-1", "at least 0, not -1");
    one(&model("Conv2d(8, 11)"), Code::WrongShape, "Conv2d(8, 11)", "the kernel covers 11");
}

#[test]
fn a_negative_size() {
    let text = "model M { input x: f32[N = 1, -8]; ReLU }";
    one(text, Code::WrongValue, "-8", "at least 0, not -8");
}

#[test]
fn a_very_long_label() {
    let label = "a".repeat(500_000);
    let analysis = analyse(&format!("model M {{ input x: f32[N = 1, 8]; {label}: Linear(1) }}"));
    assert_eq!(analysis.diagnostics, []);
    assert_eq!(analysis.models[0].totals().params, 9);
}

#[test]
fn too_many_dimensions() {
    let dims = vec!["1"; 65].join(", ");
    let text = format!("model M {{ input x: f32[{dims}]; ReLU }}");
    one(&text, Code::TooLarge, &format!("[{dims}]")[..40], "at most 64 dimensions");
    let text = format!("model M {{ input x: f32[1]; Reshape({dims}) }}");
    one(&text, Code::WrongArgument, "1", "at most 64 dimensions");
}
