//! What users of PyTorch, Keras and Python write by habit: each gives one message, with the way out; and where the
//! same text means something here, none.

#![allow(clippy::panic)] // A test says what it found.

use analysis::{Analysis, Code, Diagnostic, Options, Workspace};

fn analyse(text: &str) -> Analysis {
    let mut workspace = Workspace::default();
    let file = workspace.insert("main.taper", syntax::parse(text));
    analysis::analyse(&workspace, file, &Options::default())
}

/// One step on an input of a shape. `y` is another one.
fn model(step: &str, shape: &str) -> String {
    format!(
        "model M {{\n    input x: f32[N = 2, {shape}]\n    input y: f32[N, {shape}]\n    {step}\n}}"
    )
}

/// Mistakes without the hints of what such a small model does not use.
fn mistakes(text: &str) -> Vec<Diagnostic> {
    let mut found = analyse(text).diagnostics;
    found.retain(|one| one.code != Code::Unused);
    found
}

/// The text after the first fix.
fn fixed(text: &str, found: &Diagnostic) -> Option<String> {
    let mut edits = found.fixes.first()?.edits.clone();
    edits.sort_by_key(|(place, _)| std::cmp::Reverse(place.range.start()));
    let mut text = text.to_owned();
    for (place, new) in edits {
        text.replace_range(std::ops::Range::<usize>::from(place.range), &new);
    }
    Some(text)
}

/// Steps that have one mistake, whose fix gives this step and no mistake.
const SIZES: &[(&str, &str, &str)] = &[
    ("Conv2d(3, 8, 3)", "3, 32, 32", "Conv2d(8, 3)"),
    ("Conv2d(3, 64, 7, 2, 3)", "3, 32, 32", "Conv2d(64, 7, 2, 3)"),
    ("Conv2d(64, 64, 3, 1, 1)", "64, 8, 8", "Conv2d(64, 3, 1, 1)"),
    ("Conv2d(64, 1, 3)", "64, 8, 8", "Conv2d(1, 3)"),
    ("Conv2d(3, 64, kernel_size=3)", "3, 8, 8", "Conv2d(64, kernel_size=3)"),
    (
        "Conv2d(in_channels=3, out_channels=8, kernel_size=3)",
        "3, 8, 8",
        "Conv2d(out_channels=8, kernel_size=3)",
    ),
    ("Conv1d(16, 33, 3, stride=2)", "16, 50", "Conv1d(33, 3, stride=2)"),
    ("Conv3d(4, 8, (3, 3, 3))", "4, 9, 9, 9", "Conv3d(8, (3, 3, 3))"),
    ("ConvTranspose2d(64, 32, 2, 2)", "64, 8, 8", "ConvTranspose2d(32, 2, 2)"),
    ("BatchNorm2d(64)", "64, 8, 8", "BatchNorm2d"),
    ("BatchNorm1d(64, eps=1e-3)", "64", "BatchNorm1d(eps=1e-3)"),
    ("BatchNorm2d(num_features=64)", "64, 8, 8", "BatchNorm2d"),
    ("GroupNorm(8, 64)", "64, 8, 8", "GroupNorm(8)"),
    ("GroupNorm(num_groups=8, num_channels=64)", "64, 8, 8", "GroupNorm(num_groups=8)"),
    ("InstanceNorm2d(64, affine=true)", "64, 8, 8", "InstanceNorm2d(affine=true)"),
    ("LayerNorm(64)", "5, 64", "LayerNorm"),
    ("LayerNorm([64], eps=1e-6)", "5, 64", "LayerNorm(eps=1e-6)"),
    ("LayerNorm([5, 64])", "5, 64", "LayerNorm(dims=2)"),
    ("LayerNorm(normalized_shape=64)", "5, 64", "LayerNorm"),
    ("RMSNorm(64)", "5, 64", "RMSNorm"),
    ("GRU(64, 64)", "5, 64", "GRU(64)"),
    ("LSTM(64, 128)", "5, 64", "LSTM(128)"),
    ("LSTM(64, 128, 2)", "5, 64", "LSTM(128, 2)"),
    ("LSTM(input_size=64, hidden_size=3)", "5, 64", "LSTM(hidden_size=3)"),
    ("RNN(64, 20, 2)", "5, 64", "RNN(20, 2)"),
    ("GRUCell(64, 32)", "64", "GRUCell(32)"),
    ("MultiheadAttention(64, 4)", "5, 64", "MultiheadAttention(4)"),
    ("MultiheadAttention(64, 4, 0.1)", "5, 64", "MultiheadAttention(4, 0.1)"),
    ("MultiheadAttention(embed_dim=64, num_heads=4)", "5, 64", "MultiheadAttention(num_heads=4)"),
    ("Linear(64, 10)", "64", "Linear(10)"),
    ("Linear(32, 10)", "64", "Linear(10)"),
    ("Linear(in_features=64, out_features=10)", "64", "Linear(out_features=10)"),
    ("BatchNorm2d(eps=1.0)", "64, 8, 8", "BatchNorm2d"),
    ("Dropout(2)", "8", "Dropout"),
    ("LSTM(8, dropout=3)", "4, 8", "LSTM(8)"),
];

#[test]
fn a_size_that_the_input_gives() {
    for (step, shape, right) in SIZES {
        for more in ["", "a: ", "x -> ", "{ "] {
            let end = if more == "{ " { " }" } else { "" };
            let text = model(&format!("{more}{step}{end}"), shape);
            let found = mistakes(&text);
            let [found] = &found[..] else { panic!("{text}\n{found:#?}") };
            assert_eq!(found.code, Code::WrongArgument, "{text}");
            let by_fix = fixed(&text, found).unwrap_or_else(|| panic!("no fix: {text}"));
            assert_eq!(by_fix, model(&format!("{more}{right}{end}"), shape));
            assert_eq!(mistakes(&by_fix), [], "{by_fix}");
        }
    }
}

/// The first number is that of the input by chance.
/// Beside another slip, which leaves an argument unknown.
#[test]
fn a_size_that_the_input_gives_beside_another_slip() {
    for (step, shape) in [
        ("MultiheadAttention(embed_dim=64, num_heads=4, batch_first=True)", "5, 64"),
        ("Conv2d(in_channels=3, out_channels=8, kernel_size=3, bias=False)", "3, 8, 8"),
        ("BatchNorm2d(num_features=64, affine=False)", "64, 8, 8"),
        ("GRU(input_size=64, hidden_size=64, bidirectional=True)", "5, 64"),
        ("Linear(in_features=64, out_features=unknown)", "5, 64"),
    ] {
        let found = mistakes(&model(step, shape));
        let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
        let of_size = |message: &&&str| message.contains("the input gives the size");
        assert_eq!(
            (messages.len(), messages.iter().filter(of_size).count()),
            (2, 1),
            "{messages:?}"
        );
    }
}

#[test]
fn a_size_that_is_meant() {
    let steps = [
        ("Conv2d(3, 3)", "3, 32, 32"),
        ("Conv2d(64, 3, 2)", "64, 32, 32"),
        ("Conv2d(64, 3, 1, 1)", "64, 32, 32"),
        ("Conv2d(64, 7, 2, 3)", "64, 32, 32"),
        ("Conv2d(96, 4, 4)", "96, 32, 32"),
        ("Conv2d(64, 1, 1)", "64, 32, 32"),
        ("Conv2d(64, 16, 16)", "64, 32, 32"),
        ("Conv2d(64, 7, 1, 3, groups=64)", "64, 32, 32"),
        ("Conv2d(64, kernel_size=32)", "64, 32, 32"),
        ("Conv1d(256, 31, 1, 15, groups=256)", "256, 50"),
        ("ConvTranspose2d(64, 4, 2, 1)", "64, 8, 8"),
        ("ConvTranspose2d(64, 2, 2)", "64, 8, 8"),
        ("GroupNorm(4)", "64, 8, 8"),
        ("GroupNorm(64)", "64, 8, 8"),
        ("LSTM(64, 2)", "5, 64"),
        ("LSTM(64, num_layers=16)", "5, 64"),
        ("GRU(64, 3, true)", "5, 64"),
        ("Linear(64)", "64"),
        ("Linear(64, false)", "64"),
        ("MultiheadAttention(8, 0.1)", "5, 64"),
        ("MultiheadAttention(1)", "5, 64"),
        ("BatchNorm2d(1e-3, 0.01)", "64, 8, 8"),
        ("LayerNorm(1e-6)", "5, 64"),
        ("PReLU(64)", "64, 8, 8"),
        ("Embedding(64, 64)", "64"),
    ];
    for (step, shape) in steps {
        let text = model(step, shape);
        let text = if step.starts_with("Embedding") { text.replace("f32", "i64") } else { text };
        assert_eq!(mistakes(&text), [], "{text}");
    }
}

/// Steps that have one mistake whose message names the way out, and whose fix, if there is one, is no mistake.
#[test]
fn spellings_of_others() {
    let steps = [
        ("Linear(3, bias=False)", "`false`"),
        ("Linear(3, bias=None)", "`none`"),
        ("if True { ReLU }", "`true`"),
        ("nn.Conv1d(8, 3)", "`Conv1d`"),
        ("nn.ReLU", "`ReLU`"),
        ("nn.ReLU()", "`ReLU`"),
        ("torch.nn.Linear(3)", "`Linear`"),
        ("x -> nn.Linear(3)", "`Linear`"),
        ("F.relu(x)", "`x -> F.relu`"),
        ("F.softmax(x, dim=-1)", "`x -> F.softmax(dim=-1)`"),
        ("torch.relu(x)", "`x -> torch.relu`"),
        ("x -> torch.mm", "`torch.mm` takes 2 tensors"),
        ("x @ torch.matmul", "`torch.matmul` is a layer"),
        ("x -> F.matmul", "it is `torch.matmul`"),
        ("x -> torch.conv1d(3, 1)", "`torch.conv1d` has no parameters of its own"),
        ("torch.cat([x, y], dim=1)", "`x, y -> Cat(dim=1)`"),
        ("torch.cat((x, y), -1)", "`x, y -> Cat(-1)`"),
        ("z: torch.stack([x, y])", "`x, y -> Stack`"),
        ("torch.einsum(\"ntc,nsc->nts\", x, y)", "`x, y -> Einsum(\"ntc,nsc->nts\")`"),
        ("z: torch.cat([x, y]) + x", "`x, y -> Cat`"),
        ("Linear(3)(x)", "`x -> Linear(3)`"),
        ("Cat([x, y], dim=1)", "`x, y -> Cat(dim=1)`"),
        ("x.softmax(-1)", "`x -> torch.softmax(-1)`"),
        ("z: x.softmax(-1)", "`x -> torch.softmax(-1)`"),
        ("x.mean(dim=1)", "`x -> Mean(dim=1)`"),
        ("x.view(-1, 8)", "`x -> Reshape(-1, 8)`"),
        ("x.relu()", "`x -> torch.relu`"),
        ("x.flatten(1)", "`x -> Flatten(1)`"),
        ("x.size(0)", "`x.shape[0]`"),
        ("Linear(x.size(-1))", "`x.shape[-1]`"),
        ("Linear(x.size())", "`x.shape`"),
        ("Linear(x.size(dim=1))", "`x.shape[1]`"),
        ("x.view(x.size(0), -1)", "`x -> Reshape(x.shape[0], -1)`"),
        ("conv: Conv1d(4, 1)\n    z: self.conv(x)", "`x -> conv`"),
        ("conv: Conv1d(4, 1)\n    z: conv(x)", "`x -> conv`"),
        ("conv1d(8, 3)", "`Conv1d`"),
        ("x / math.sqrt(16)", "`16 ** 0.5`"),
        ("x * math.pi", "of numbers here"),
        ("nn.Sequential(ReLU, Tanh)", "braces"),
        ("TransformerEncoderLayer(8, 2)", "`taper import"),
        ("nn.TransformerDecoderLayer(8, 2)", "`taper import`"),
        ("print(x)", "`expect`"),
        ("x @ (y -> Transpose(-2, -1))", "a step of its own"),
        ("z: x + (y -> ReLU) * 2", "a step of its own"),
        ("x = ReLU", "`:`"),
        ("z: ReLU\n    z = Tanh", "`:`"),
        ("LSTM(8)\n    Linear(3)", "`\"0\"[0] -> Linear(3)`"),
        ("l: LSTM(8)\n    Softmax(-1)", "`l[0] -> Softmax(-1)`"),
        ("g: { m: MultiheadAttention(2, need_weights=true) }\n    ReLU", "`g.m[0] -> ReLU`"),
        ("h, c: LSTM(8)\n    h[0] -> Linear(3)", "`h: …`"),
        ("out, w: MultiheadAttention(2)\n    out -> Linear(3)", "`out: …`"),
        ("h[0]", "no name is called `h` here"),
        ("prnt(3)", "no name is called `prnt` here"),
        ("x @ y.T", "`y -> Transpose(-2, -1)`"),
        ("x.cuda()", "leave it out"),
        ("fc = Linear(3)", "`:`"),
        ("z = x + y", "`:`"),
        ("[x, y] -> Cat", "`x, y -> …`"),
        ("[x, y] -> Cat(dim=1)", "`x, y -> …`"),
        ("Dense(3)", "`Linear`"),
        ("Swish", "`SiLU`"),
        ("Relu", "`ReLU`"),
        ("Gelu", "`GELU`"),
        ("Conv1D(8, 3)", "`Conv1d`"),
        ("View(-1, 8)", "`Reshape`"),
        ("DropPath(0.1)", "`StochasticDepth`"),
        ("Concat", "`Cat`"),
        ("Conv(3, 3)", "`Conv2d`"),
        ("BatchNorm", "`BatchNorm2d`"),
        ("Sequential(Linear(3), ReLU)", "`{ Linear(64); ReLU }`"),
        ("x, y -> Add", "`a + b`"),
        ("relu", "`F.relu`"),
        ("x -> relu", "`F.relu`"),
        ("x -> floor", "function of numbers"),
        ("F.cat", "`Cat`"),
        ("let c = [2 * k for k in [1, 2, 3]]\n    Linear(c[1])", "comprehensions"),
        ("let n = sum(k for k in [1, 2, 3])\n    Linear(n)", "comprehensions"),
        ("z: [2 * k for k in [1, 2]]", "comprehensions"),
        ("return x", "last step"),
        ("def forward(self, x)", "Python"),
        ("ReLU + x", "a layer, which is a step of its own"),
        ("if x == 0 { ReLU }", "about scalars and sizes"),
        ("if not x { ReLU }", "about scalars and sizes"),
        ("if x { ReLU } else { Tanh }", "about scalars and sizes"),
        ("z: x if x > 0 else y", "about scalars and sizes"),
        ("z: x and y", "about scalars and sizes"),
        ("m: MultiheadAttention(2)\n    m[0] -> Linear(3)", "`m[0, ...]`"),
        ("m: MultiheadAttention(2)\n    m[0] -> Linear(3)", "`need_weights=true`"),
        ("m: Linear(2)\n    m[1]", "has one value"),
        ("g: { a: Linear(2); b: Linear(3) }\n    g[1]", "is a group"),
        ("g: for i in range(2) { Linear(i + 1) }\n    g[1]", "`g.*`"),
    ];
    for (step, way) in steps {
        let text = model(step, "4, 8");
        let found = mistakes(&text);
        let [found] = &found[..] else { panic!("{text}\n{found:#?}") };
        assert!(found.message.contains(way), "{text}\n{}", found.message);
        if let Some(by_fix) = fixed(&text, found) {
            assert_eq!(mistakes(&by_fix), [], "{by_fix}");
        }
    }
}

/// What has no meaning here is taken and left, whatever it is given: the model is in evaluation, on no device.
#[test]
fn arguments_without_a_meaning() {
    for step in [
        "F.dropout(0.5, training=self.training)",
        "F.dropout(p=0.5, training=true, inplace=True)",
        "ReLU(inplace=True)",
        "Linear(3, device=device, dtype=torch.float32)",
        "Linear(3, device=x.device)",
    ] {
        assert_eq!(mistakes(&model(step, "4, 8")), [], "{step}");
    }
    let found = mistakes(&model("Linear(3, trainign=true)", "4, 8"));
    assert_eq!(found[0].code, Code::UnknownArgument);
    let found = mistakes(&model("Dropout(inplace=true, 0.5)", "4, 8"));
    assert_eq!(found[0].code, Code::UnknownArgument);
    let block = "block B(training) { Linear(training) }\n";
    assert_eq!(mistakes(&(block.to_owned() + &model("B(training=3)", "4, 8"))), []);
}

/// A layer as PyTorch writes it: without the module before it, and without the sizes that the input gives.
#[test]
fn layers_with_their_module() {
    for (step, here) in [
        ("nn.Conv1d(4, 3, 3, padding=1)", "Conv1d(3, 3, padding=1)"),
        ("nn.Conv1d(4, 1, 1)", "Conv1d(1, 1)"),
        (
            "torch.nn.Conv1d(in_channels=4, out_channels=8, kernel_size=3)",
            "Conv1d(out_channels=8, kernel_size=3)",
        ),
        ("nn.Conv1d(8, 3)", "Conv1d(8, 3)"),
        ("nn.ConvTranspose1d(4, 2, 2)", "ConvTranspose1d(2, 2)"),
        ("nn.Linear(8, 3, bias=False)", "Linear(3, bias=False)"),
        ("nn.Linear(8, 2 * 5)", "Linear(2 * 5)"),
        ("nn.Linear(3)", "Linear(3)"),
        ("nn.LSTM(8, 2, batch_first=True)", "LSTM(2, batch_first=True)"),
        ("nn.LSTM(8, num_layers=2)", "LSTM(8, num_layers=2)"),
        ("nn.BatchNorm1d(4)", "BatchNorm1d"),
        ("nn.LayerNorm(8)", "LayerNorm"),
        ("nn.GroupNorm(2, 4)", "GroupNorm(2)"),
        ("nn.ReLU()", "ReLU()"),
    ] {
        let text = model(step, "4, 8");
        let found = mistakes(&text);
        assert!(found[0].message.contains("layers are written without"), "{step}: {found:?}");
        let by_fix = fixed(&text, &found[0]).expect("a fix");
        assert_eq!(by_fix, model(here, "4, 8"), "{step}");
    }
}

/// What cannot be told apart is proposed nothing.
#[test]
fn calls_with_tensors_that_are_computed() {
    for step in [
        "z: torch.cat([l[0] * 2, y], dim=1)",
        "torch.cat([x * 2, y], dim=1)",
        "torch.cat(tensors=[x, y], dim=1)",
        "torch.cat([x, F.relu(y)], dim=1)",
        "torch.cat([x, y] + [x], dim=1)",
        "torch.cat(parts, dim=1)",
    ] {
        let text = model(&format!("l: LSTM(8)\n    {step}"), "4, 8");
        let found = mistakes(&text);
        assert_eq!(found.len(), 1, "{step}: {found:?}");
        assert!(
            found[0].message.ends_with("`x, y -> Cat(…)`") && found[0].fixes.is_empty(),
            "{found:?}"
        );
    }
    let text = model("l: LSTM(8)\n    torch.cat([l[0], y], dim=1)", "4, 8");
    assert_eq!(
        fixed(&text, &mistakes(&text)[0]),
        Some(model("l: LSTM(8)\n    l[0], y -> Cat(dim=1)", "4, 8"))
    );
}

/// A fix takes the place of a whole step or of nothing: what follows the call stays.
#[test]
fn calls_that_go_on() {
    for step in ["self.conv(x).relu()", "conv(x)[0]", "self.conv(x) + x", "conv(x) + x"] {
        let found = mistakes(&model(&format!("conv: Conv1d(4, 1)\n    {step}"), "4, 8"));
        assert!(found.iter().all(|one| one.fixes.is_empty()), "{step}: {found:?}");
        assert!(found[0].message.contains("`x -> conv`"), "{step}: {found:?}");
    }
}

/// No value is picked of steps that give one, nor for what takes two.
#[test]
fn several_tensors_that_are_no_steps() {
    for step in [
        "a: ReLU\n    b: Tanh\n    a, b -> Softmax(-1)",
        "a: LSTM(8)\n    torch.matmul",
        "x, y -> ReLU",
    ] {
        let found = mistakes(&model(step, "4, 8"));
        assert!(found.iter().all(|one| !one.message.contains("picked")), "{step}: {found:?}");
        assert_eq!(found[0].code, Code::WrongInputs, "{step}");
    }
}

/// A layer that takes whole numbers is told which input has them.
#[test]
fn an_embedding_of_what_flows() {
    let text = "model M { input ids: i64[N = 1, T = 4]; input x: f32[N, T, 8]; x; e: Embedding(10, 8); it + x }";
    let found = mistakes(text);
    assert!(found[0].message.contains("`ids -> Embedding(10, 8)`"), "{found:?}");
    let by_fix = fixed(text, &found[0]).expect("a fix");
    assert_eq!(mistakes(&by_fix), [], "{by_fix}");
    let two = text.replace("input x", "input others: i64[N, T]; input x");
    assert!(!mistakes(&two)[0].message.contains("->"));
}

/// Of what a mistake leaves unknown nothing is said that would be wrong of what was meant.
#[test]
fn nothing_is_said_of_the_unknown() {
    for step in [
        "a: Linaer(4)\n    a.softmax(-1)",
        "a: Linaer(4)\n    Linear(a.shape[0])",
        "a: Linaer(4)\n    a.b.c",
    ] {
        let found = mistakes(&model(step, "4, 8"));
        assert_eq!(found.len(), 1, "{step}: {found:?}");
    }
}

/// What is near to nothing is proposed nothing, and never the model itself.
#[test]
fn proposals_are_near() {
    for (text, proposed) in [
        ("model Deform { input x: f32[N = 1, 4]; x -> DeformConv2d(8, 3) }", None),
        ("model Decoder { input x: f32[N = 1, 4]; Decoder2(8) }", None),
        ("block Stem { Stem2 }\nmodel M { input x: f32[N = 1, 4]; Stem }", None),
        ("model M { input x: f32[N = 1, 4]; Liner(8) }", Some("`Linear`")),
        ("model M(width = 4) { input x: f32[N = 1, 4]; Linear(wdith) }", Some("`width`")),
    ] {
        let found = mistakes(text);
        let [found] = &found[..] else { panic!("{text}\n{found:#?}") };
        let hint =
            found.message.split_once("did you mean ").map(|(_, hint)| hint.trim_end_matches('?'));
        assert_eq!(hint, proposed, "{text}");
    }
}

#[test]
fn labels_that_are_indexed_as_tensors() {
    let steps = [
        // The layer has made a first dimension of its own.
        "q: Linear(24) -> Reshape(N, 4, 3, 8) -> Permute(2, 0, 1, 3)\n    q[0] + q[1]",
        "q: { Linear(24); Reshape(N, 4, 3, 8); Permute(2, 0, 1, 3) }\n    q[0] + q[1]",
        "x, y -> Stack(dim=0)\n    it[0]",
        "s: x, y -> Stack(dim=0)\n    s[0] + s[1]",
        "l: LSTM(8)\n    l[0]",
        "m: MultiheadAttention(2, need_weights=true)\n    m[0]\n    m[1] -> Mean",
        "s: x + y\n    s[0]",
        "l: Linear(3)\n    l[:, 0]",
        "l: Linear(3)\n    l[0, ...]",
        "l: Linear(3)\n    l[none]",
    ];
    for step in steps {
        let text = model(step, "4, 8");
        assert_eq!(mistakes(&text), [], "{text}");
    }
}

#[test]
fn what_nothing_uses() {
    let unused = |text: &str| -> Vec<String> {
        let found = analyse(text).diagnostics;
        let all = found.iter().map(|one| {
            assert_eq!(one.code, Code::Unused, "{text}\n{found:#?}");
            text[std::ops::Range::<usize>::from(one.place.range)].to_owned()
        });
        all.collect()
    };
    for (steps, expected) in [
        ("Linear(3)", &[][..]),
        ("gate: Linear(3)\n up: x -> Linear(3)", &["gate"]),
        ("x -> Linear(3)\n x -> Linear(4)", &["Linear(3)"]),
        ("param p: [3]\n Linear(3)", &["param p: [3]"]),
        ("param p: [3]\n Linear(3)\n it + p", &[]),
        ("## For the checkpoint.\n param p: [3]\n Linear(3)", &[]),
        ("param p: [3, 8]\n Linear(3, bias=false, weight=p)", &[]),
        ("param p: [3, 8]\n Linear(p.shape[0])", &[]),
        ("a: Linear(3)\n x -> a", &[]),
        ("a: Linear(8)\n b: x -> Linear(8, bias=false, weight=a.weight)", &[]),
        ("for i in range(3) { \"a{i}\": x -> Linear(3) }\n \"a0\", \"a1\" -> Cat", &[]),
        ("l: LSTM(4)\n l[0]", &[]),
        ("a, b: Chunk(2, dim=-1)\n a", &[]),
        ("if false { a: Linear(3) }\n ReLU", &[]),
        ("g: { a: Linear(3); b: x -> Linear(4) }\n g.a", &["b"]),
        ("g: { a: Linear(3); b: x -> Linear(4) }\n ReLU", &["a"]),
    ] {
        let text = format!("model M {{ input x: f32[N = 2, 4, 8]\n {} }}", steps);
        assert_eq!(unused(&text), expected, "{text}");
    }
    // What one use of a block needs is used.
    let block = "block B(both) { input x: [N, C]; input y: [N, C]; if both { x + y } else { x -> ReLU } }\n";
    let text = format!(
        "{block}model M {{ input x: f32[N = 2, 8]\n a: x, x -> B(false)\n a, x -> B(true) }}"
    );
    assert_eq!(unused(&text), [""; 0]);
    // So is what a branch names that is not taken.
    let text = format!("{block}model M {{ input x: f32[N = 2, 8]\n x, x -> B(false) }}");
    assert_eq!(unused(&text), [""; 0]);
    let text = "block B { input x: [N, C]; input i: [N, H]; x -> Linear(H) }\nmodel M { input x: f32[N = 2, 8]; x, x -> B }";
    assert_eq!(unused(text), [""; 0]);
}

#[test]
fn negative_powers_of_whole_numbers() {
    let message = |exponent: &str| {
        let analysis = analyse(&format!("model M {{ input x: i64[N = 2]\n Pow({exponent}) }}"));
        analysis.diagnostics.first().map(|found| found.message.clone())
    };
    assert!(message("-2").is_some_and(|told| told.ends_with("`Pow(-1.0)`")), "{:?}", message("-2"));
    assert_eq!(message("-2.0"), None);
    assert_eq!(message("2"), None);
}
