//! The language: what models mean, and what is said of those that mean nothing.

#![allow(clippy::panic)] // A test says what it found.

use std::ops::ControlFlow;

use analysis::{Analysis, Code, Model, Options, Workspace};

fn analyse(text: &str) -> Analysis {
    analyse_with(text, &[])
}

fn analyse_with(text: &str, set: &[(&str, &str)]) -> Analysis {
    let mut workspace = Workspace::default();
    let file = workspace.insert("main.taper", syntax::parse(text));
    let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    analysis::analyse(&workspace, file, &Options { set, dtype: None, ..Default::default() })
}

/// The model of a text without mistakes. What a test is about is not always used.
#[track_caller]
fn model(text: &str) -> Model {
    let mut analysis = analyse(text);
    analysis.diagnostics.retain(|found| found.code != Code::Unused);
    assert_eq!(analysis.diagnostics, []);
    analysis.models.remove(0)
}

/// The names and shapes of all parameters, in order.
fn parameters(model: &Model) -> Vec<String> {
    let mut names = Vec::new();
    model.rows(|row| {
        let own = row.tensors();
        names.extend(own.iter().map(|(name, tensor)| format!("{name} {}", tensor.shape)));
        ControlFlow::Continue(())
    });
    names
}

/// The path, kind and output of every row.
fn rows(model: &Model) -> Vec<String> {
    let mut rows = Vec::new();
    model.rows(|row| {
        let dims = (0..row.step.outputs.len()).map(|output| model.output_dims(row.step, output));
        let shapes: Vec<String> = dims
            .map(|dims| dims.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            .collect();
        rows.push(format!("{} {} {}", row.path, row.step.kind(), shapes.join(", ")));
        ControlFlow::Continue(())
    });
    rows
}

/// The one mistake of a text: its code and message.
#[track_caller]
fn mistake(text: &str) -> (Code, String) {
    let analysis = analyse(text);
    let [found] = &analysis.diagnostics[..] else { panic!("{:#?}", analysis.diagnostics) };
    (found.code, found.message.clone())
}

#[test]
fn what_depends_on_an_unknown_condition_is_not_told() {
    let text = "model M(n = 2) { input x: f32[N = 1, 8]; if nothing { a: Linear(4) } else { a: Linear(8) }; a + 1 }";
    let messages: Vec<String> =
        analyse(text).diagnostics.into_iter().map(|found| found.message).collect();
    assert_eq!(messages.len(), 1, "{messages:?}");
    let text = r#"model M { input x: f32[N = 1, 8]; a: { for i in range(3) {
        let g = i // 2
        if i % 2 == 0 { "b.{g}": it -> Linear(8) } else { it -> "b.{g}" }
    } } }"#;
    assert_eq!(analyse(text).diagnostics, []);
    let text = "model M(two = false) { input x: f32[N = 1, 8]; if two { a: Linear(8) }; b: Linear(8); if two { a + b } }";
    assert_eq!(analyse(text).diagnostics, []);
}

#[test]
fn numbers_and_labels_make_paths() {
    let model = model(
        "block Pair { Linear(4); ReLU; Linear(2) }
         model M {
             input x: f32[N = 1, 8]
             first: Pair
             gate.inner: Linear(3)
             layers: repeat 2 { Linear(3, bias=false) }
             \"tail{1 + 1}\": { act: Tanh; out: Linear(1) }
         }",
    );
    let expected = [
        "first.0.weight [4, 8]",
        "first.0.bias [4]",
        "first.2.weight [2, 4]",
        "first.2.bias [2]",
        "gate.inner.weight [3, 2]",
        "gate.inner.bias [3]",
        "layers.0.weight [3, 3]",
        "layers.1.weight [3, 3]",
        "tail2.out.weight [1, 3]",
        "tail2.out.bias [1]",
    ];
    assert_eq!(parameters(&model), expected);
}

#[test]
fn dimensions_are_named_by_the_symbols_they_follow() {
    let model = model(
        "model M { input x: f32[N = 1, 3, H = 8, W = 8]; Conv2d(4, 3, padding=1); Transpose(2, 3); MaxPool2d(2); Flatten }",
    );
    let expected =
        ["0 Conv2d N 4 H W", "1 Transpose N 4 W H", "2 MaxPool2d N 4 4 4", "3 Flatten N 64"];
    assert_eq!(rows(&model), expected);
}

#[test]
fn a_symbol_is_a_promise() {
    let text = "model M { input x: f32[N = 1, 4, H = 224, W = 224]
        up: Conv2d(4, 2, stride=2) -> Reshape(N, 4, 112, 112) }";
    let analysis = analyse(text);
    let found = &analysis.diagnostics[0];
    assert_eq!(found.code, Code::Promise);
    assert!(found.message.starts_with("fails at H = 226: "), "{}", found.message);
    let (code, message) = mistake(
        "model M { input x: f32[N = 1, 4, H = 224, 8]
         half: MaxPool2d((2, 1)); both: half, half -> Cat(dim=2); sum: both + x }",
    );
    assert_eq!(code, Code::Promise);
    assert!(message.starts_with("fails at H = 225: "), "{message}");
    assert!(message.ends_with("Write `224` for `H`, or `expect H % 2 == 0`"), "{message}");
    let (code, message) =
        mistake("model M { input a: f32[N = 1, 8]; input b: f32[B = 1, 8]; a + b }");
    assert_eq!(code, Code::Promise);
    assert!(message.contains("fails at N = 2, B = 3"), "{message}");
}

#[test]
fn expectations_say_which_sizes_are_promised() {
    let base = "input x: f32[N = 1, T = 16, 4]; param p: [1, 16, 4]";
    let (code, message) = mistake(&format!("model M {{ {base}; x + p[:, :T] }}"));
    assert_eq!(code, Code::Promise);
    assert!(message.contains("fails at T = 17") && message.contains("expect T <= 16"), "{message}");
    model(&format!("model M {{ {base}; expect T <= 16; x + p[:, :T] }}"));
    let text =
        "model M { input x: f32[N = 1, H = 64, 4]; expect H % 32 == 0; Reshape(N, 32, -1, 4) }";
    model(text);
    let in_block = "block B { input x: [N, H, C]; expect H % 32 == 0; Reshape(N, 32, -1, C) }
        model M { input x: f32[N = 1, H = 64, 4]; B }";
    model(in_block);
}

#[test]
fn blocks_see_parameters_and_scalars_around_them() {
    let text = "model M(width = 4) {
        input x: f32[N = 1, 8]
        let double = 2 * width
        block Inner(extra = 0) { Linear(double + extra, bias=false) }
        Inner; Inner(extra=1)
    }";
    assert_eq!(parameters(&model(text)), ["0.0.weight [8, 8]", "1.0.weight [9, 8]"]);
    let (code, message) =
        mistake("model M { input x: f32[N = 1, 8]; let n = x.shape[1]; block B { Linear(n) }; B }");
    assert_eq!(code, Code::OutsideBlock);
    assert!(message.contains("`n` is not seen from this block"), "{message}");
}

#[test]
fn recipes_make_a_new_layer_at_each_use() {
    let text = "block Two(act = ReLU, norm = LayerNorm(eps=1e-6)) { norm; act; norm }
        model M { input x: f32[N = 1, 8]; Two(act=PickGelu); for make in [Linear(4), Linear(2)] { (make) } }
        block PickGelu { GELU }";
    let expected = [
        "0.0.weight [8]",
        "0.0.bias [8]",
        "0.2.weight [8]",
        "0.2.bias [8]",
        "1.weight [4, 8]",
        "1.bias [4]",
        "2.weight [2, 4]",
        "2.bias [2]",
    ];
    assert_eq!(parameters(&model(text)), expected);
}

#[test]
fn a_label_after_an_arrow_uses_its_layers_again() {
    let model = model(
        "model M { input a: f32[N = 1, 8]; input b: f32[N, 8]
           head: a -> { Linear(4); ReLU }; b -> head; fc: a -> Linear(2); b -> fc }",
    );
    assert_eq!(model.totals().params, 36 + 18);
    assert_eq!(model.totals().macs, 2 * 32 + 2 * 16);
    let (code, message) = mistake(
        "model M { input a: f32[N = 1, 8]; input b: f32[N, 9]; fc: a -> Linear(2); b -> fc }",
    );
    assert_eq!(code, Code::WrongShape);
    assert!(
        message.contains("`fc` has a weight of [2, 8]; this input would need [2, 9]"),
        "{message}"
    );
}

#[test]
fn tied_tensors_count_once() {
    let text = "model M { input t: i64[N = 1, T = 4]; wte: Embedding(10, 8); head: Linear(10, bias=false, weight=wte.weight) }";
    assert_eq!(parameters(&model(text)), ["wte.weight [10, 8]"]);
}

#[test]
fn dotted_names_look_inside() {
    let text = "block Body { one: Linear(4); two: { Linear(3); Linear(2) } }
        model M { input x: f32[N = 1, 8]; body: Body
          body.one, body.two.0 -> Cat(dim=1); parts: { a: x -> Linear(1); b: x -> Linear(2) }
          parts.* -> Cat(dim=1) -> [N, 3] }";
    model(text);
    let (code, message) =
        mistake("model M { input x: f32[N = 1, 8]; a: { b: Linear(2) }; a.c -> ReLU }");
    assert_eq!(code, Code::NotInside);
    assert!(message.contains("nothing is called `c` in there"), "{message}");
}

#[test]
fn a_branch_that_is_not_taken_does_not_exist() {
    let text = "model M(wide = false) { input x: f32[N = 1, 8]
        if wide { fc: Linear(16) } else { fc: Linear(2) }
        fc -> ReLU }";
    assert_eq!(parameters(&model(text)), ["fc.weight [2, 8]", "fc.bias [2]"]);
    let (code, message) = mistake(
        "model M(deep = false) { input x: f32[N = 1, 8]; if deep { extra: Linear(8) }; extra -> ReLU }",
    );
    assert_eq!(code, Code::UnknownName);
    assert!(message.contains("the condition above it did not hold"), "{message}");
    // Names in it are checked all the same.
    let (code, _) = mistake(
        "model M(deep = false) { input x: f32[N = 1, 8]; if deep { Linear(wdith) }; ReLU }",
    );
    assert_eq!(code, Code::UnknownName);
}

#[test]
fn experts_that_are_not_chosen_do_no_work() {
    let text = "model M { input x: f32[N = 1, T = 4, 8]
        gate: Linear(4, bias=false) -> Softmax(dim=-1)
        top, chosen: TopK(2)
        experts: x, top, chosen -> choose 2 of 4 { Linear(8, bias=false) } }";
    let model = model(text);
    let totals = model.totals();
    assert_eq!((totals.params, totals.active_params), (32 + 4 * 64, 32 + 2 * 64));
    assert_eq!(totals.macs, 4 * 32 + 2 * 4 * 64);
    assert_eq!(parameters(&model)[4], "experts.3.weight [8, 8]");
}

#[test]
fn parameters_of_experts_can_be_stacked() {
    let text = "model M { input x: f32[N = 1, T = 4, 8]
        gate: Linear(4, bias=false) -> Softmax(dim=-1)
        top, chosen: TopK(2)
        experts: x, top, chosen -> choose 2 of 4 stacked {
            param scale: [8]
            up: it * scale -> Linear(16, bias=false)
            down: Linear(8, bias=false) }
        head: Linear(experts.scale.shape[0]) }";
    let stacked = model(text);
    assert_eq!(
        parameters(&stacked)[1..4],
        ["experts.scale [4, 8]", "experts.up.weight [4, 16, 8]", "experts.down.weight [4, 8, 16]"]
    );
    let (each, rest) = (8 + 2 * 8 * 16, 32 + 8 * 4 + 4);
    let totals = stacked.totals();
    assert_eq!((totals.params, totals.active_params), (rest + 4 * each, rest + 2 * each));
    // It costs what it does when each expert has tensors of its own.
    let single = model(&text.replace(" stacked", "").replace("experts.scale.shape[0]", "4").replace(
        "            param scale: [8]
            up: it * scale -> Linear(16, bias=false)
            down: Linear(8, bias=false) }",
        "{ param scale: [8]; up: it * scale -> Linear(16, bias=false); down: Linear(8, bias=false) } }",
    ));
    assert_eq!(parameters(&single)[1], "experts.0.scale [8]");
    assert_eq!(single.totals(), totals);
    // What is read from outside is of all experts, at every size.
    let read = model(
        "model M { input x: f32[N = 1, 8]; gate: Linear(4); weights, indices: TopK(1)
        experts: x, weights, indices -> choose 1 of 4 stacked { up: Linear(8, bias=false) }
        head: Linear(experts.up.weight.shape[0])
        table: experts.up.weight[0] -> Transpose(0, 1)
        head @ table[:4] }",
    );
    assert_eq!(parameters(&read)[2], "experts.up.weight [4, 8, 8]");
    let alone = analyse(
        "model M { input x: f32[N = 1, 8]; gate: Linear(4); weights, indices: TopK(1)
        experts: x, weights, indices -> choose 1 of 4 stacked { up: Linear(8, bias=false) }
        experts -> experts.up }",
    );
    assert!(alone.diagnostics[0].message.contains("has the parameters of all experts"));
    // Blocks can be experts; a number is a number.
    let block = model(
        "block Expert { input x: [..., C]; param up: [C, 16]; param down: [16, C]; x @ up @ down }
        model M { input x: f32[N = 1, 8]; gate: Linear(4)
        weights, indices: TopK(1)
        mlp: x, weights, indices -> choose 1 of 4 stacked { Expert } }",
    );
    assert_eq!(parameters(&block)[2..], ["mlp.0.up [4, 8, 16]", "mlp.0.down [4, 16, 8]"]);
}

#[test]
fn stated_rules_count_a_block() {
    let text = "block Mix(k) { input x: [N, C]; param weight: [C, k]; output y: [N, k]
          macs = N * C * k; elementwise = N }
        model M { input x: f32[N = 2, 8]; Mix(4); Linear(1, bias=false) }";
    let model = model(text);
    let totals = model.totals();
    assert_eq!((totals.params, totals.macs, totals.flops), (32 + 4, 64 + 8, 2 * 72 + 2));
    assert_eq!(rows(&model), ["0 Mix N 4", "1 Linear N 1"]);
}

#[test]
fn settings_replace_sizes_and_parameters() {
    let text =
        "model M(depth, width = 8) { input x: f32[N = 1, 8]; repeat depth { Linear(width) } }";
    let analysis = analyse(text);
    assert_eq!(analysis.incomplete[0].1, ["depth"]);
    let analysis = analyse_with(text, &[("depth", "3"), ("N", "5"), ("width", "4")]);
    assert_eq!(analysis.diagnostics, []);
    let totals = analysis.models[0].totals();
    assert_eq!((totals.params, totals.macs), (36 + 20 + 20, 5 * (32 + 16 + 16)));
}

/// What is no size is said of the symbol, once, whether it is set or written; it is never left out.
#[test]
fn a_size_that_is_none() {
    let with = |size: &str| {
        format!("model M {{ input x: f32[N = 1, 3, H = {size}, H]; Conv2d(4, 3, padding=1) }}")
    };
    let set =
        ["abc", "64.5", "1e3", "-2", "true", "none", "[64]", "64x64", "9223372036854775808", ""];
    for size in set {
        let found = analyse_with(&with("8"), &[("H", size)]).diagnostics;
        assert_eq!(found.len(), 1, "{size}: {found:?}");
        assert!(found[0].message.contains("the size `H` that is set"), "{size}: {found:?}");
    }
    for size in ["\"abc\"", "64.5", "-2", "true", "[64]", "9223372036854775808"] {
        assert_eq!(analyse(&with(size)).diagnostics.len(), 1, "{size}");
    }
    assert_eq!(analyse_with(&with("8"), &[("H", "1_0")]).models[0].symbols[1].size, 10);
}

/// Whether work that is not all known is what is expected cannot be told, be it above or below.
#[test]
fn an_expectation_of_work_that_is_not_known() {
    let with = |line: &str| {
        format!(
            "block Own {{ input x: [N, C]; output y: [N, 4] }}
            model M {{ input x: f32[N = 1, 8]; Own; Linear(2, bias=false); {line} }}"
        )
    };
    // 8 MACs and 16 FLOPs are known.
    for line in [
        "macs < 9",
        "9 > macs",
        "macs <= 8",
        "flops == 17",
        "flops != 16",
        "macs > 8",
        "1 < flops < 20",
    ] {
        assert_eq!(mistake(&with(&format!("expect {line}"))).0, Code::UnknownWork, "{line}");
    }
    for line in ["macs < 8", "macs <= 7", "8 > macs", "flops == 15", "7 >= macs"] {
        assert_eq!(mistake(&with(&format!("expect {line}"))).0, Code::Expectation, "{line}");
    }
    for line in ["macs > 7", "macs >= 8", "8 <= macs", "flops != 15"] {
        assert_eq!(analyse(&with(&format!("expect {line}"))).diagnostics, [], "{line}");
    }
    assert_eq!(analyse(&with("expect params == 8")).diagnostics, []);
    assert_eq!(mistake(&with("expect params == 9")).0, Code::Expectation);
}

#[test]
fn parameters_may_be_dotted() {
    let text = "model M(text_config.hidden_size = 4) { input x: f32[N = 1, 8]; Linear(text_config.hidden_size) }";
    assert_eq!(parameters(&model(text))[0], "0.weight [4, 8]");
}

#[test]
fn functions_are_no_modules() {
    let model = model(
        "model M { input x: f32[N = 1, 3, H = 8, W = 8]; F.relu; Conv2d(4, 1); F.adaptive_avg_pool2d(1) }",
    );
    assert_eq!(
        rows(&model),
        ["@0 ReLU N 3 H W", "0 Conv2d N 4 H W", "@1 AdaptiveAvgPool2d N 4 1 1"]
    );
}

#[test]
fn functions_take_their_parameters() {
    let text = "model M { input x: f32[N = 1, 8]; param w: [4, 8]; param b: [4]; F.linear(4, weight=w, bias=b); Linear(2) }";
    let found = model(text);
    assert_eq!(parameters(&found), ["w [4, 8]", "b [4]", "0.weight [2, 4]", "0.bias [2]"]);
    assert_eq!(found.totals().macs, 4 * 8 + 2 * 4);
    let expected = "`F.linear` has no parameters of its own: give it `weight` and `bias` (`weight=`), or use `Linear`";
    assert_eq!(
        mistake("model M { input x: f32[N = 1, 8]; F.linear(4) }"),
        (Code::MissingArgument, expected.to_owned())
    );
    let (code, _) = mistake(
        "model M { input x: f32[N = 1, 8]; param w: [4, 9]; F.linear(4, false, weight=w) }",
    );
    assert_eq!(code, Code::TiedShape);
}

/// A tool that sums last calls sees a module that is called twice once.
#[test]
fn a_module_that_is_called_again() {
    let mut workspace = Workspace::default();
    let text = "model M { input x: f32[N = 2, 8, 4, 4]; act: ReLU; MaxPool2d(2) -> act; F.relu }";
    let file = workspace.insert("m.taper", syntax::parse(text));
    let macs = |tool: &str| {
        let count = conventions::all().find(|one| one.name == tool);
        let analysis =
            analysis::analyse(&workspace, file, &Options { count, ..Options::default() });
        analysis.models[0].totals().macs
    };
    let (large, small) = (8 * 4 * 4, 8 * 2 * 2);
    // Of one item, without the first call; the pool counts its input.
    assert_eq!(macs("torchstat"), large + small);
    assert_eq!(macs("ptflops-modules"), large + large + small);
    // Functions count for all items: those of the modules, and `F.relu`.
    assert_eq!(macs("ptflops"), 3 * (large + large + small) + 2 * small);
    assert_eq!(macs("thop"), 0);
}

/// What does not fit is told, whoever counts.
#[test]
fn another_tools_counts_may_not_fit() {
    let mut workspace = Workspace::default();
    let text = "model M { input x: f32[N = 1, 1099511627776, L = 1099511627776, 1099511627776]
        Conv2d(1099511627776, 3, padding=1); ReLU; Softmax(dim=1); MaxPool2d(3); LayerNorm; AdaptiveAvgPool2d(7) }";
    let file = workspace.insert("m.taper", syntax::parse(text));
    for count in std::iter::once(None).chain(conventions::all().map(Some)) {
        let analysis =
            analysis::analyse(&workspace, file, &Options { count, ..Options::default() });
        assert!(analysis.has_errors(), "{count:?}");
    }
}

#[test]
fn an_error_in_a_block_says_where_it_is_used() {
    let analysis =
        analyse("block B { Conv2d(4, 9) }\nmodel M { input x: f32[N = 1, 3, 4, 4]; B; B }");
    let [found] = &analysis.diagnostics[..] else { panic!("{:#?}", analysis.diagnostics) };
    assert_eq!(found.code, Code::WrongShape);
    assert!(found.related.iter().any(|(_, message)| message == "in this use of `B`"));
}

#[test]
fn peak_memory_holds_what_is_needed_later() {
    // x (8) lives to the sum; a (16) dies when b (8) is made: 8 + 16 + 8.
    let residual = model("model M { input x: f32[8]; a: x -> Linear(16); b: Linear(8); x + b }");
    assert_eq!(residual.peak_activation_bytes(), 4 * (8 + 16 + 8));
    // The same in a block, whose input the caller needs no more.
    let block = model(
        "block B { input x: [C]; a: x -> Linear(16); b: Linear(8); x + b }
        model M { input x: f32[8]; B }",
    );
    assert_eq!(block.peak_activation_bytes(), residual.peak_activation_bytes());
    // Views share memory: 8, then 8 and 16.
    let views = model("model M { input x: f32[8]; Reshape(2, 4); Flatten(0); Linear(16) }");
    assert_eq!(views.peak_activation_bytes(), 4 * (8 + 16));
    // A tensor inside a block that is read later lives on.
    let read = model(
        "block B { big: Linear(64); small: Linear(1) }
        model M { input x: f32[8]; b: B; mid: Linear(32); last: b.big -> Linear(1) }",
    );
    assert_eq!(read.peak_activation_bytes(), 4 * (64 + 1 + 32));
}

#[test]
fn a_recipe_with_the_name_of_a_layer_is_that_of_its_call() {
    // A capitalised parameter reads like a layer, and is another one at each use.
    let text = "block B(Act = ReLU) { Linear(8); Act }
        model M { input x: f32[N = 1, 4]; a: B; b: B(Act=GELU); c: B(Act=Softmax) }";
    let analysis = analyse(text);
    let kinds: Vec<String> = rows(&analysis.models[0]);
    assert_eq!(
        kinds.iter().filter(|row| !row.contains("Linear")).collect::<Vec<_>>(),
        ["a.1 ReLU N 8", "b.1 GELU N 8", "c.1 Softmax N 8"]
    );
}

#[test]
fn two_parameters_have_two_paths() {
    let m8 = |steps: &str| format!("model M {{ input x: f32[N = 1, 8]; {steps} }}");
    for steps in [
        "a: Linear(8); param a.weight: [8]",
        "param a.weight: [8]; a: Linear(8)",
        "0: Linear(8); Linear(8)",
        "a.0: Linear(8); a: { Linear(8) }",
        "a.0: Linear(8); a: { Linear(8); ReLU }",
    ] {
        assert_eq!(analyse(&m8(steps)).diagnostics[0].code, Code::GivenTwice, "{steps}");
    }
    let block = "block B { Linear(8); ReLU }\n";
    assert_eq!(mistake(&format!("{block}{}", m8("a.0: Linear(8); a: B"))).0, Code::GivenTwice);
    assert_eq!(
        parameters(&model(&m8("_: Linear(8); _: Linear(8)"))),
        ["0.weight [8, 8]", "0.bias [8]", "1.weight [8, 8]", "1.bias [8]"]
    );
}

#[test]
fn the_steps_of_a_chain_are_one_use() {
    let text = "model M { input x: f32[N = 1, 8]; param p: [8]; y: x + p + p - 1; repeat 2 { it * 2 * 3 } }";
    let model = model(text);
    let mut flops: Vec<(usize, Vec<(u128, u128)>)> = Vec::new();
    for (at, _) in text.match_indices(['+', '*']) {
        let range = syntax::TextRange::empty(syntax::TextSize::new(at as u32));
        let tree = syntax::parse(text);
        let node = tree.tree().nodes().filter(|node| {
            matches!(node.kind(), syntax::Kind::Sum | syntax::Kind::Term)
                && node.range().contains_range(range)
        });
        let node =
            analysis::NodeRef { file: model.item.file, node: node.last().expect("a chain").id() };
        flops.push((
            at,
            model.uses(node).iter().map(|one| (one.totals().flops, one.times)).collect(),
        ));
    }
    let uses: Vec<_> = flops.into_iter().map(|(_, uses)| uses).collect();
    assert_eq!(uses[0], [(24, 1)]);
    assert_eq!(uses[2], [(16, 1), (16, 1)]);
}

#[test]
fn a_group_used_again_has_its_paths() {
    let text = "model M { input x: f32[N = 1, 8]; a: { Linear(8); ReLU }; x -> a; b: Flatten -> Linear(8) -> ReLU; x -> b }";
    let rows = rows(&model(text));
    let paths: Vec<&str> =
        rows.iter().map(|row| row.split(' ').next().unwrap_or_default()).collect();
    assert_eq!(paths, ["a.0", "a.1", "a.0", "a.1", "b@0", "b", "b@2", "b@0", "b", "b@2"]);
}

#[test]
fn symbols_that_keep_their_distance_are_told_apart() {
    let text = "model M { input x: f32[N = 1, 4, H = 7, W = 9]; Conv2d(8, 3) }";
    assert_eq!(rows(&model(text)), ["0 Conv2d N 8 5 7"]);
    let text = "model M { input a: f32[N = 1, H = 8]; input b: f32[N, W = 9]; b[:, 1:] + a }";
    assert_eq!(mistake(text).0, Code::Promise);
}

#[test]
fn a_block_that_states_its_cost_has_its_parameters() {
    let text = "block S { input x: [N, C]; fc: Linear(3); param gain: [C]; macs = 7 }
        model M { input x: f32[N = 1, 4]; s: S }";
    let model = model(text);
    assert_eq!(parameters(&model), ["s.fc.weight [3, 4]", "s.fc.bias [3]", "s.gain [4]"]);
}

#[test]
fn pytorch_arguments_without_meaning_are_ignored() {
    let text = "model M { input x: f32[N = 1, 8]; Linear(4, device=\"cpu\", dtype=none); ReLU(inplace=true) }";
    assert_eq!(model(text).totals().params, 36);
}

#[test]
fn nothing_given_leaves_a_layer_its_own_parameter() {
    let text = "model M { input x: f32[N = 1, 8]; Linear(8, bias=none, weight=none) }";
    assert_eq!(model(text).totals().params, 72);
}

#[test]
fn computed_paths_tie() {
    let text = "model M { input x: f32[N = 1, 8]; l0: Linear(8, bias=false)
        for i in range(1) { \"m{i}\": Linear(8, bias=false, weight=\"l{i}.weight\" if i == 0 else none) } }";
    assert_eq!(model(text).totals().params, 64);
}

#[test]
fn conditions_are_about_scalars() {
    let m8 = |steps: &str| format!("model M {{ input x: f32[N = 1, 8]; {steps} }}");
    for steps in ["if x { Linear(3) }", "let k = 3 if x else 4", "expect x"] {
        assert_eq!(mistake(&m8(steps)).0, Code::WrongValue, "{steps}");
    }
    assert_eq!(mistake(&m8("let k = 1K; Linear(k)")).0, Code::WrongValue);
    assert_eq!(mistake(&m8("Dropout(inplace=true, 0.5)")).0, Code::UnknownArgument);
    assert_eq!(mistake("model M { Linear(2) }").0, Code::NotATensor);
    assert_eq!(mistake(&m8("let k = (-8.0) ** 0.5; Linear(3)")).0, Code::Arithmetic);
    assert_eq!(mistake(&m8("expect N == 2; ReLU")).0, Code::Expectation);
}

#[test]
fn scalars_are_pythons() {
    let text = "model M { input x: f32[N = 1, 8]
        expect ([0] * 3) == [0, 0, 0] and \"ab\" * 2 == \"abab\" and round(2.567, 2) == 2.57
        expect int(\"42\") == 42 and float(\"1e3\") == 1000.0 and enumerate([5], 1) == [[1, 5]]
        ReLU }";
    assert_eq!(model(text).totals().params, 0);
}

#[test]
fn a_latency_is_compared_with_its_measurement() {
    let text = "model M { input x: f32[N = 1, 8]; ReLU; expect latency < 2ms on \"cuda\" }";
    let found = |device: &str, seconds: f64| {
        let mut workspace = Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(text));
        let latency =
            analysis::Latency { model: "M".to_owned(), device: device.to_owned(), seconds };
        let options = Options { latencies: vec![latency], ..Options::default() };
        let found = analysis::analyse(&workspace, file, &options).diagnostics;
        found.into_iter().map(|one| one.message).collect::<Vec<_>>()
    };
    assert_eq!(found("cuda:0", 0.0019), Vec::<String>::new());
    assert_eq!(found("cuda:0", 0.0021), ["`latency < 2ms` does not hold: 2.1 < 2"]);
    assert_eq!(found("cpu", 0.0019), ["this latency has not been measured"]);
}

/// `expect` is about our own counts, whoever's are shown.
#[test]
fn another_tools_counts_break_no_expectation() {
    let mut workspace = Workspace::default();
    let text = "model M { input x: f32[N = 1, 4]; Linear(3)
    expect flops == 27
    expect params == 99
}";
    let file = workspace.insert("m.taper", syntax::parse(text));
    for count in std::iter::once(None).chain(conventions::all().map(Some)) {
        let options = Options { count, ..Options::default() };
        let analysis = analysis::analyse(&workspace, file, &options);
        let messages: Vec<&str> =
            analysis.diagnostics.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(messages, ["`params == 99` does not hold: 15 == 99"], "{count:?}");
        assert!(analysis.models[0].totals().flops > 0, "{count:?}");
    }
}
