//! Programs from a tiny pool of names, in every arrangement: labels that hide each other, blocks in blocks, loops,
//! tied weights, things used inside themselves. Most are wrong, as what is half-typed is.

/// Where choices come from: the bytes of a fuzzer, or of a random number. When they run out each choice is the
/// first, which is the simplest, so that a program ends.
pub struct Choices<'b> {
    bytes: &'b [u8],
    at: usize,
}

const NAMES: &[&str] = &["x", "a", "b", "y", "head", "w", "k", "N", "C", "T", "it", "n"];
const LABELS: &[&str] = &[
    "a",
    "b",
    "head",
    "y",
    "k",
    "0",
    "1",
    "a.b",
    "g.0",
    "\"l{i}\"",
    "\"a.{n}\"",
    "x",
    "a, b",
    "_, a",
];
const BLOCKS: &[&str] = &["A", "B", "D", "E"];
const INPUTS: &[&str] = &[
    "f32[N = 2, 8]",
    "f32[N = 1, C = 4]",
    "f32[N = 1, T = 3, 8]",
    "f32[N = 2, 4, H = 8, W = 8]",
    "f32[8]",
    "i64[N = 1, T = 4]",
];
/// Layers that take what most others give come first.
const LAYERS: &[&str] = &[
    "Linear(8)",
    "ReLU",
    "Linear(4)",
    "Linear(8, bias=false)",
    "LayerNorm",
    "Dropout(0.1)",
    "F.relu",
    "F.softmax(dim=-1)",
    "Cat(dim=-1)",
    "Linear(8, bias=false, weight=w)",
    "Linear(8, bias=false, weight=a.weight)",
    "Linear(8, bias=false, weight=head.fc.weight)",
    "Linear(8, weight=w, bias=none)",
    "F.linear(8, weight=w, bias=false)",
    "Conv2d(4, 3, padding=1)",
    "BatchNorm2d",
    "MaxPool2d(2)",
    "Flatten(1)",
    "Reshape(-1, 8)",
    "Transpose(-2, -1)",
    "Chunk(2, dim=-1)",
    "TopK(1)",
    "MultiheadAttention(2, need_weights=true)",
    "LSTM(8)",
    "Embedding(10, 8)",
    "GRUCell(8)",
    "Mean(dim=-1)",
    "Identity",
    "Linear",
    "Conv2d(3, 64, 3)",
];
const NUMBERS: &[&str] = &[
    "8",
    "4",
    "2",
    "1",
    "3",
    "0",
    "-1",
    "N",
    "C",
    "n",
    "2 * N",
    "C // 2",
    "x.shape[0]",
    "a.rank",
    "1.5",
    "none",
    "true",
    "i",
];
const LISTS: &[&str] =
    &["range(2)", "[1, 2]", "enumerate([4, 8])", "range(n)", "zip([1], [2])", "[]", "[ReLU, GELU]"];
const PATTERNS: &[&str] = &[
    "[N, C]",
    "[N, _]",
    "[..., C]",
    "[N, T, C]",
    "[N, C, H, W]",
    "[N, 8]",
    "[C]",
    "[n, m]",
    "[N, C = 8]",
];

impl<'b> Choices<'b> {
    pub fn new(bytes: &'b [u8]) -> Choices<'b> {
        Choices { bytes, at: 0 }
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        usize::from(byte) % count.max(1)
    }

    fn of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    /// True so often in 16.
    fn chance(&mut self, times: usize) -> bool {
        (1..=times).contains(&self.below(16))
    }

    fn times(&mut self, most: usize) -> usize {
        self.below(most + 1)
    }
}

/// A source with some blocks and a model.
pub fn program(c: &mut Choices<'_>) -> String {
    let mut items: Vec<String> =
        (0..c.times(3)).map(|number| block(c, BLOCKS[number], 0)).collect();
    for name in ["M", "M2"].iter().take(1 + usize::from(c.chance(2))) {
        let parameters = c.of(&["", "(n = 2)", "(n = 2, w = 8)", "(act = ReLU)"]);
        let mut lines = vec![format!("input x: {}", c.of(INPUTS))];
        if c.chance(4) {
            lines
                .push(format!("input y: {}", c.of(INPUTS).replace(" = 1", "").replace(" = 2", "")));
        }
        lines.extend((0..1 + c.times(7)).map(|_| line(c, 0)));
        items.push(item("model", name, parameters, &lines, 0));
    }
    items.join("\n") + "\n"
}

/// Lines that are often right on tensors of 8 features: `{l}` is a label, `{s}` a tensor, `{p}` a parameter, `{b}` a
/// block.
const LIKELY: &[&str] = &[
    "{l}: {s} -> Linear(8)",
    "Linear(8)",
    "{s} -> Linear(8, bias=false)",
    "{l}: Linear(8, bias=false)",
    "{l}: {s} -> {b}",
    "{l}: {s}, {p} -> {b}",
    "{s} -> {b}({p})",
    "{b}",
    "{l}: {b}({p})",
    "{l}: {s} + {s}",
    "{s} * {s} + 1",
    "{s} @ {p}",
    "{s} -> {l}",
    "{s} -> {l}.{l}",
    "{s} -> {l} -> {l}",
    "{l}: {s} -> Linear(8, bias=false, weight={p})",
    "{l}: {s} -> F.linear(8, weight={p}, bias=false)",
    "{l}: { Linear(8); ReLU }",
    "{l}: { {l}: Linear(8); it + {s} }",
    "{l}: { {l}: Linear(8, bias=false); {l}: {b} }",
    "{ Linear(8); {b} }",
    "{l}.{l}: {s} -> Linear(8)",
    "{l}.{l}: {b}",
    "repeat 2 { Linear(8); ReLU }",
    "{l}: repeat 2 { {b} }",
    "for i in range(2) { \"{l}{i}\": {s} -> Linear(8) }",
    "\"{l}0\" + {s}",
    "if n > 1 { {l}: {s} -> Linear(8) } else { {l}: {b} }",
    "if false { {l}: {s} -> {b} }",
    "block E { input x: [..., C]; {l}: Linear(8); it + x }",
    "block E(w) { {l}: Linear(8, bias=false, weight=w) }",
    "{l}: E",
    "{l}: E({p})",
    "param {l}.weight: [8, 8]",
    "param {l}: [8, 8]",
    "{l}: MultiheadAttention(2)",
    "{l}: {s} -> LayerNorm -> ReLU",
    "{l}: F.softmax(dim=-1)",
    "{l}.* -> Cat(dim=-1) -> Linear(8)",
    "let r = Linear(8, bias=false, weight={p})",
    "{l}: r",
    "{s}[..., :4] -> Linear(8)",
    "expect params > 0",
];

fn likely(c: &mut Choices<'_>) -> String {
    let template = c.of(LIKELY);
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let hole = after.get(..2).filter(|hole| hole.ends_with('}'));
        match hole {
            Some("l}") => text.push_str(c.of(&["a", "b", "head", "y", "g", "0"])),
            Some("s}") => text.push_str(
                c.of(&["x", "it", "x", "a", "b", "head", "a.b", "g.a", "g.0", "head.y", "it"]),
            ),
            Some("p}") => text.push_str(c.of(&[
                "w",
                "w",
                "a.weight",
                "b.weight",
                "head.weight",
                "a.b.weight",
                "g.0.weight",
                "head.a.weight",
            ])),
            Some("b}") => text.push_str(c.of(BLOCKS)),
            _ => text.push('{'),
        }
        rest = if hole.is_some_and(|hole| matches!(hole, "l}" | "s}" | "p}" | "b}")) {
            &after[2..]
        } else {
            after
        };
    }
    text + rest
}

/// How many lines are tried for a program of accepted ones.
const TRIES: usize = 40;

/// A source that grows line by line: one that is not accepted is left out.
pub fn accepted(c: &mut Choices<'_>, is_accepted: impl Fn(&str) -> bool) -> String {
    let mut bodies: Vec<(&str, String, Vec<String>)> = Vec::new();
    let mut probe = vec!["input x: f32[N = 2, 8]".to_owned(), "param w: [8, 8]".to_owned()];
    for name in BLOCKS.iter().take(1 + c.times(2)) {
        let parameters = c.of(&["", "(n = 2)", "(w)", "(act = ReLU)"]);
        let inputs = c.of(&[
            "",
            "input x: [..., C]",
            "input x: [N, C]",
            "input x: [..., C];input w: [8, 8]",
        ]);
        let sources = if inputs.contains('w') { "x, w" } else { "x" };
        let arguments = if parameters == "(w)" { parameters } else { "" };
        probe.push(format!("{sources} -> {name}{arguments}"));
        let lines = inputs.split_terminator(';').map(str::to_owned).collect();
        bodies.push(("block", format!("{name}{parameters}"), lines));
    }
    let head = format!("M{}", c.of(&["", "(n = 2)", "(n = 2, act = ReLU)"]));
    let first = vec![format!("input x: {}", c.of(INPUTS)), "param w: [8, 8]".to_owned()];
    bodies.push(("model", head, first));
    let written = |bodies: &[(&str, String, Vec<String>)]| -> String {
        let items = bodies.iter().map(|(kind, head, lines)| item(kind, head, "", lines, 0) + "\n");
        items.collect()
    };
    // What a block has is tried by a use of it.
    let probe = item("model", "Probe", "", &probe, 0);
    let last = bodies.len() - 1;
    for _ in 0..TRIES {
        if c.at >= c.bytes.len() {
            break;
        }
        // Mostly lines of the model.
        let at = if c.chance(11) { last } else { c.below(bodies.len()) };
        let line = if c.chance(13) { likely(c) } else { line(c, 0) };
        bodies[at].2.push(line);
        let probe = if at == last { "" } else { probe.as_str() };
        if !is_accepted(&(written(&bodies) + probe)) {
            bodies[at].2.pop();
        }
    }
    written(&bodies)
}

fn item(kind: &str, name: &str, parameters: &str, lines: &[String], depth: usize) -> String {
    format!("{kind} {name}{parameters} {}", braces(lines, depth))
}

fn braces(lines: &[String], depth: usize) -> String {
    let indent = "    ".repeat(depth);
    let lines: String = lines.iter().map(|line| format!("{indent}    {line}\n")).collect();
    format!("{{\n{lines}{indent}}}")
}

fn block(c: &mut Choices<'_>, name: &str, depth: usize) -> String {
    let parameters = c.of(&["", "", "(n)", "(n = 2)", "(w)", "(act = ReLU)"]);
    let mut lines = Vec::new();
    for name in ["x", "w"].iter().take(c.times(2)) {
        lines.push(format!("input {name}: {}", c.of(PATTERNS)));
    }
    lines.extend(body(c, depth, 4));
    item("block", name, parameters, &lines, depth)
}

fn body(c: &mut Choices<'_>, depth: usize, most: usize) -> Vec<String> {
    (0..1 + c.times(most - 1)).map(|_| line(c, depth + 1)).collect()
}

fn line(c: &mut Choices<'_>, depth: usize) -> String {
    match c.below(24) {
        0..=14 => step(c, depth),
        15 => format!(
            "let {} = {}",
            c.of(NAMES),
            if c.chance(8) { layer(c).to_owned() } else { scalar(c) }
        ),
        16 | 17 => {
            let name = c.of(&["w", "a.weight", "head.fc.weight", "k", "\"p.{n}\"", "g.0.bias"]);
            format!(
                "{} {name}: {}",
                c.of(&["param", "param", "buffer"]),
                c.of(&["[8, 8]", "[8]", "[4, C]", "[C]", "[N, 8]"])
            )
        }
        18 if depth < 2 => {
            let name = c.of(BLOCKS);
            block(c, name, depth + 1)
        }
        19 => format!(
            "expect {}",
            c.of(&[
                "N > 0",
                "params >= 0",
                "C % 2 == 0",
                "macs < 1G at N = 3",
                "x == 0",
                "n in [1, 2]"
            ])
        ),
        20 => c
            .of(&[
                "output o: [N, 8]",
                "macs = N * C",
                "elementwise = 4",
                "dtype bf16",
                "input z: [N, C]",
            ])
            .to_owned(),
        _ => step(c, depth),
    }
}

fn step(c: &mut Choices<'_>, depth: usize) -> String {
    let mut text = String::new();
    if c.chance(8) {
        text.push_str(&format!("{}: ", c.of(LABELS)));
    }
    match c.below(8) {
        0..=3 => {}
        4..=6 => text.push_str(&format!("{} -> ", sources(c))),
        _ => return text + &sources(c),
    }
    let stages: Vec<String> = (0..1 + c.times(1)).map(|_| stage(c, depth)).collect();
    text + &stages.join(" -> ")
}

fn sources(c: &mut Choices<'_>) -> String {
    let count = 1 + usize::from(c.chance(4));
    let all: Vec<String> = (0..count).map(|_| tensor(c, 0)).collect();
    all.join(", ")
}

fn tensor(c: &mut Choices<'_>, depth: usize) -> String {
    if depth > 2 {
        return c.of(NAMES).to_owned();
    }
    match c.below(12) {
        0..=5 => c.of(NAMES).to_owned(),
        6 => format!("{}.{}", c.of(NAMES), c.of(&["b", "0", "1", "fc", "weight", "*", "a"])),
        7 => format!(
            "{} {} {}",
            tensor(c, depth + 1),
            c.of(&["+", "*", "-", "@", "/"]),
            tensor(c, depth + 1)
        ),
        8 => format!("{}[{}]", c.of(NAMES), c.of(&["0", ":, 0", "..., none", "1:", "-1"])),
        9 => format!("\"{}\"", c.of(&["l{i}", "a.{n}", "l0", "g.0", "1"])),
        10 => format!("{} if {} else {}", tensor(c, depth + 1), condition(c), tensor(c, depth + 1)),
        _ => format!("-{}", c.of(NAMES)),
    }
}

fn scalar(c: &mut Choices<'_>) -> String {
    match c.below(4) {
        0 | 1 => c.of(NUMBERS).to_owned(),
        2 => format!("{} {} {}", c.of(NUMBERS), c.of(&["+", "-", "*", "//", "%"]), c.of(NUMBERS)),
        _ => c.of(LISTS).to_owned(),
    }
}

fn condition(c: &mut Choices<'_>) -> &'static str {
    c.of(&["N > 0", "false", "true", "n == 2", "C > 4", "x.rank == 2", "i > 0", "x", "not n"])
}

fn layer(c: &mut Choices<'_>) -> String {
    match c.below(10) {
        0..=5 => c.of(LAYERS).to_owned(),
        6 => c.of(BLOCKS).to_owned(),
        7 => format!(
            "{}({})",
            c.of(BLOCKS),
            c.of(&["2", "a.weight", "w", "n", "ReLU", "head.fc.weight", "n=2", "x", "act=GELU"])
        ),
        _ => c
            .of(&["head", "a", "act", "k", "\"l{i}\"", "a.b", "(act if n > 1 else ReLU)", "g.0"])
            .to_owned(),
    }
}

fn stage(c: &mut Choices<'_>, depth: usize) -> String {
    if depth > 3 {
        return layer(c);
    }
    let inside = |c: &mut Choices<'_>| braces(&body(c, depth, 3), depth + 1);
    match c.below(20) {
        0..=13 => layer(c),
        14 => inside(c),
        15 => format!("repeat {} {}", c.of(&["2", "1", "0", "n", "3"]), inside(c)),
        16 => format!("for {} in {} {}", c.of(&["i", "i, n", "_"]), c.of(LISTS), inside(c)),
        17 => {
            let branch = format!("if {} {}", condition(c), inside(c));
            if c.chance(8) { format!("{branch} else {}", inside(c)) } else { branch }
        }
        18 => format!(
            "choose {} of {} {}{}",
            c.of(&["1", "2"]),
            c.of(&["2", "n"]),
            c.of(&["", "stacked "]),
            inside(c)
        ),
        _ => c.of(PATTERNS).to_owned(),
    }
}
