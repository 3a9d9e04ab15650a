//! What belongs to one body and what another may see of it: labels, tensors, parameters given through blocks,
//! and what is remembered of a block from one use to the next.

#![allow(clippy::panic)] // A test says what it found.

use analysis::{Analysis, Code, Options, Workspace};

fn analyse(text: &str) -> Analysis {
    let mut workspace = Workspace::default();
    let file = workspace.insert("main.taper", syntax::parse(text));
    analysis::analyse(&workspace, file, &Options::default())
}

fn codes(text: &str) -> Vec<Code> {
    analyse(text).diagnostics.iter().map(|found| found.code).collect()
}

/// Every text has just these mistakes.
#[track_caller]
fn check(expected: &[Code], texts: &[&str]) {
    for text in texts {
        assert_eq!(codes(text), expected, "{text}\n{:#?}", analyse(text).diagnostics);
    }
}

#[test]
fn a_label_that_is_being_made_is_not_there_yet() {
    check(
        &[Code::Recursion],
        &[
            "model M { input x: f32[N = 1, 4]; head: { y: Linear(4); y -> head } }",
            "model M { input x: f32[N = 1, 4]; head: { head } }",
            "model M { input x: f32[N = 1, 4]; head: { y: Linear(4); y + head } }",
            "model M { input x: f32[N = 1, 4]; a: { b: { Linear(4); it -> a } } }",
            "model M { input x: f32[N = 1, 4]; repeat 1 { head: { y: Linear(4); y -> head } } }",
            "model M { input x: f32[N = 1, 4]; if N > 0 { head: { y: Linear(4); y -> head } } }",
        ],
    );
    // That it is given twice is another mistake.
    check(
        &[Code::GivenTwice, Code::Recursion],
        &[
            "model M { input x: f32[N = 1, 4]\n repeat 2 { head: { y: Linear(4); y -> head } } }",
            "model M { input x: f32[N = 1, 4]\n for i in range(3) { head: { y: Linear(4); z: y -> head } } }",
        ],
    );
}

#[test]
fn what_flows_in_a_body_is_not_seen_from_another() {
    check(
        &[Code::OutsideBlock],
        &[
            "model M { input x: f32[N = 1, 4]; head: Linear(4); block B { input y: [N, C]; y -> head }; B }",
            "model M { input x: f32[N = 1, 4]; block B { input y: [N, C]; y -> head }; head: Linear(4) }",
            "model M { input x: f32[N = 1, 4]; a: ReLU; b: ReLU; head: Linear(4); block B { input y: [N, C]; if N > 0 { y -> head } }; B }",
            "model M { input x: f32[N = 1, 4]; head: Linear(4); block B { input y: [N, C]; y + head }; B }",
            "model M { input x: f32[N = 1, 4]; head: Linear(4); block B { block D { input y: [N, C]; y + head }; D }; B }",
            "model M { input x: f32[N = 1, 4]; block B { input y: [N, C]; y + x }; B }",
            // Braces of a block that read what flows in it, used again from outside.
            "block B { l: Linear(4); h: { Linear(4); it + l } }\nmodel M { input x: f32[N = 1, 4]; b: B; b -> b.h }",
            "block B { input x: [N, C]; h: { Linear(4); it + x } }\nmodel M { input x: f32[N = 1, 4]; b: B; b -> b.h }",
        ],
    );
    check(
        &[Code::WrongValue],
        &[
            "block B(w) { Linear(4); it + w }\nmodel M { input x: f32[N = 1, 4]; B(x) }",
            "block B(w) { Linear(4) }\nmodel M { input x: f32[N = 1, 4]; a: x + 1; B([1, a]) }",
        ],
    );
}

#[test]
fn braces_are_used_again_from_outside_their_block() {
    check(
        &[],
        &[
            "block B(n) { h: { Linear(n); ReLU } }\nmodel M { input x: f32[N = 1, 4]; b: B(4); b -> b.h }",
            // A computed label in braces that are used again.
            "model M { input x: f32[N = 2, 4]; \"a{0}\": ReLU; h: { Linear(4); it + \"a0\" }; h -> h }",
        ],
    );
}

/// The path and tied weights of each layer with a given weight, as the model has them.
fn tied(text: &str) -> Vec<String> {
    let analysis = analyse(text);
    assert_eq!(analysis.diagnostics, [], "{text}");
    let mut tied = Vec::new();
    analysis.models[0].steps(|visited| {
        let analysis::What::Layer(used) = &visited.step.what else {
            return std::ops::ControlFlow::Continue(());
        };
        for (name, source) in &used.given {
            let analysis::Source::Parameter(seen) = source else { panic!("{source:?}") };
            let owner = &visited.parts[visited.parts.len() - 1 - seen.up as usize];
            tied.push(format!(
                "{}.{name} = {}",
                visited.path,
                analysis::join_path(owner, &seen.path)
            ));
        }
        std::ops::ControlFlow::Continue(())
    });
    tied
}

#[test]
fn a_parameter_given_through_blocks_is_that_of_its_owner() {
    let linear = "block G(w) { fc: Linear(8, bias=false, weight=w) }\nblock H(w) { g: G(w) }\n";
    let input = "block G { input x: [N, C]; input w: [8, C]; fc: x -> Linear(8, bias=false, weight=w) }\n\
                 block H { input x: [N, C]; input w: [8, C]; g: x, w -> G }\n";
    let cases: &[(&str, &str, &[&str])] = &[
        (
            linear,
            "first: Linear(8, bias=false); g: G(first.weight)",
            &["g.fc.weight = first.weight"],
        ),
        (
            linear,
            "first: Linear(8, bias=false); h: { G(first.weight) }",
            &["h.0.fc.weight = first.weight"],
        ),
        (
            linear,
            "first: Linear(8, bias=false); h: H(first.weight)",
            &["h.g.fc.weight = first.weight"],
        ),
        (
            linear,
            "param s.weight: [8, 8]; a: { G(s.weight); H(s.weight) }",
            &["a.0.fc.weight = s.weight", "a.1.g.fc.weight = s.weight"],
        ),
        (input, "param s.weight: [8, 8]; a: x, s.weight -> G", &["a.fc.weight = s.weight"]),
        (
            input,
            "param s.weight: [8, 8]; a: x, s.weight -> H; b: a, s.weight -> G",
            &["a.g.fc.weight = s.weight", "b.fc.weight = s.weight"],
        ),
        // Below the path of the block that takes it.
        (
            input,
            "param a.fc.weight: [8, 8]; a: x, a.fc.weight -> G; b: a, a.fc.weight -> G",
            &["a.fc.weight = a.fc.weight", "b.fc.weight = a.fc.weight"],
        ),
        // A recipe, and what an inner block sees around it, at two depths.
        (
            linear,
            "a: Linear(8, bias=false); let r = Linear(8, bias=false, weight=a.weight); block I { f: r }; block J { i: I }; i: I; j: J",
            &["i.f.weight = a.weight", "j.i.f.weight = a.weight"],
        ),
        // The parameter of a layer inside a block.
        (
            "block B { fc: Linear(8, bias=false) }\nblock K { b: B }\n",
            "k: K; l: Linear(8, bias=false, weight=k.b.fc.weight)",
            &["l.weight = k.b.fc.weight"],
        ),
        // A tied layer inside a block, used again from outside it.
        (
            "block B { e: Linear(8, bias=false); f: Linear(8, bias=false, weight=e.weight) }\n",
            "b: B; b -> b.f",
            &["b.f.weight = b.e.weight", "b.f.weight = b.e.weight"],
        ),
    ];
    for (blocks, steps, expected) in cases {
        let text = format!(
            "{blocks}model M {{ input x: f32[N = 2, 8]\n {} }}",
            steps.replace("; ", "\n ")
        );
        assert_eq!(tied(&text), *expected, "{text}");
    }
}

#[test]
fn a_mistake_shows_wherever_it_is_first_met() {
    let block = "block B { Linear(8); Conv2d(4, 3) }\n";
    let before = [
        "",
        "if false { a: x -> B }",
        "if false { a: x -> B } else { ReLU }",
        "if N > 9 { repeat 2 { x -> B } }",
    ];
    for before in before {
        let text = format!("{block}model M {{ input x: f32[N = 1, 8]\n {before}\n b: x -> B }}");
        let errors = |text: &str| -> Vec<Code> {
            codes(text).into_iter().filter(|code| *code != Code::Unused).collect()
        };
        assert_eq!(errors(&text), [Code::WrongShape], "{text}");
        let text = text.replace("Conv2d(4, 3)", "expect params < 10");
        assert_eq!(errors(&text), [Code::Expectation], "{text}");
    }
}

#[test]
fn a_mistake_in_one_model_hides_none_in_another() {
    let twice = "model A { input x: f32[N = 1, 8]\n a: Linear(4)\n a: Linear(4) }";
    let paths = "model B { input x: f32[N = 1, 8]\n g: { Linear(4) }\n param g.0.bias: [3] }";
    for text in [format!("{twice}\n{paths}"), format!("{paths}\n{twice}")] {
        assert_eq!(codes(&text), [Code::GivenTwice, Code::GivenTwice], "{text}");
    }
}

#[test]
fn a_pattern_that_fails_twice_stops_both_times() {
    // The second use fails at the same place; what follows from it is no mistake of its own.
    let text = "block B { input x: [N, 4]; Linear(4) }\n\
                model M { input x: f32[N = 1, 8]; a: x -> B; b: x + 0 -> B; a + b -> Conv2d(3, 3) }";
    assert_eq!(codes(text), [Code::Pattern]);
}
