//! What PyTorch, Python and Keras write otherwise, and how it is written here. One message each, with the way out.

use heck::ToUpperCamelCase;
use smol_str::SmolStr;
use syntax::{Kind, TextRange, ast};

use crate::{
    Code, Diagnostic, NodeRef, Place,
    evaluate::{
        Run,
        frame::{Frame, Label},
        functions::FUNCTIONS,
        labels::label_path,
        pytorch_calls::{as_here, of_numbers, sizes_as_here, text_before},
        value::{Argument, LabelId, Recipe, Tensor, Value},
    },
};
use layers::Called;

/// A word of others.
enum Spelling {
    /// It is called so here.
    Word(&'static str),
    /// It is written otherwise.
    Way(&'static str),
}

use Spelling::{Way, Word};

const SPELLINGS: &[(&str, Spelling)] = &[
    ("True", Word("true")),
    ("False", Word("false")),
    ("None", Word("none")),
    ("Dense", Word("Linear")),
    ("FullyConnected", Word("Linear")),
    ("Swish", Word("SiLU")),
    ("View", Word("Reshape")),
    ("DropPath", Word("StochasticDepth")),
    ("Concat", Word("Cat")),
    ("Concatenate", Word("Cat")),
    ("HSwish", Word("Hardswish")),
    ("HSigmoid", Word("Hardsigmoid")),
    ("MaxPooling1D", Word("MaxPool1d")),
    ("MaxPooling2D", Word("MaxPool2d")),
    ("AveragePooling1D", Word("AvgPool1d")),
    ("AveragePooling2D", Word("AvgPool2d")),
    ("UpSampling2D", Word("Upsample")),
    ("LayerNormalization", Word("LayerNorm")),
    ("BatchNormalization", Way("`BatchNorm1d`, `BatchNorm2d` or `BatchNorm3d`")),
    ("GlobalAveragePooling2D", Way("`AdaptiveAvgPool2d(1) -> Flatten`")),
    ("GlobalAvgPool2d", Way("`AdaptiveAvgPool2d(1) -> Flatten`")),
    ("GlobalMaxPooling2D", Way("`AdaptiveMaxPool2d(1) -> Flatten`")),
    ("Attention", Way("`MultiheadAttention`, or `q, k, v -> ScaledDotProductAttention`")),
    ("Sequential", Way("braces: `{ Linear(64); ReLU }`")),
    ("ModuleList", Way("a group with a label: `layers: { … }`, or `layers: repeat 3 { … }`")),
    ("ModuleDict", Way("a group whose steps have labels")),
    (
        "TransformerEncoderLayer",
        Way(
            "a block of its steps: `taper import \"torch.nn:TransformerEncoderLayer(64, 8)\" --input \"f32[N = 1, T = 16, 64]\"` writes it",
        ),
    ),
    (
        "TransformerDecoderLayer",
        Way("a block of its steps: `taper import` writes that of PyTorch (docs/frameworks.md)"),
    ),
    (
        "Transformer",
        Way("blocks of its steps: `taper import` writes those of PyTorch (docs/frameworks.md)"),
    ),
    ("print", Way("nothing: a figure of each step stands beside it, and `expect` checks one")),
    ("Parameter", Way("a line `param name: [64, 64]`")),
    ("Lambda", Way("an expression: `x * 2`")),
    ("Add", Way("an expression: `a + b`")),
    ("Sub", Way("an expression: `a - b`")),
    ("Subtract", Way("an expression: `a - b`")),
    ("Mul", Way("an expression: `a * b`")),
    ("Multiply", Way("an expression: `a * b`")),
    ("Div", Way("an expression: `a / b`")),
    ("MatMul", Way("an expression: `a @ b`, or `a, b -> torch.matmul`")),
    ("Matmul", Way("an expression: `a @ b`, or `a, b -> torch.matmul`")),
    ("BMM", Way("an expression: `a @ b`, or `a, b -> torch.bmm`")),
];

/// What stands before the names of layers elsewhere.
const MODULES: &[&str] =
    &["nn", "torch", "torchvision", "tf", "keras", "layers", "self", "np", "math"];

/// A method of PyTorch's tensors that no function or layer is called by.
fn of_method(name: &str) -> Option<Spelling> {
    Some(match name {
        "view" => Word("Reshape"),
        "repeat" => Word("Repeat"),
        "size" => Way("a size is `x.shape[0]`, all of them `x.shape`"),
        "dim" | "ndim" => Way("the number of dimensions is `x.rank`"),
        "t" | "T" | "mT" => Way("a transposed tensor is `x -> Transpose(-2, -1)`"),
        "matmul" => Way("a matrix product is `x @ y`, or `x, y -> torch.matmul`"),
        "mm" => Way("a matrix product is `x @ y`, or `x, y -> torch.mm`"),
        "bmm" => Way("a matrix product is `x @ y`, or `x, y -> torch.bmm`"),
        "add" | "sub" | "mul" | "div" => Way("arithmetic is written `x + y`"),
        "contiguous" | "clone" | "detach" | "cuda" | "cpu" | "float" | "half" | "to" | "type" => {
            Way("it changes no shape and costs nothing: leave it out")
        }
        _ => return None,
    })
}

impl<'w> Run<'w> {
    /// Says how a word of others is written here, if it is one.
    pub(super) fn report_spelling(&mut self, node: NodeRef, name: &str) -> bool {
        let place = self.place(node);
        if let Some((_, spelling)) = SPELLINGS.iter().find(|(word, _)| *word == name) {
            let code = match spelling {
                Word("true" | "false" | "none") => Code::UnknownName,
                _ => Code::UnknownLayer,
            };
            let diagnostic = |message: String| Diagnostic::new(code, place, message);
            self.report(match spelling {
                Word(word) => diagnostic(format!("`{name}` is called `{word}` here")).fix(
                    format!("Write `{word}`"),
                    place,
                    *word,
                ),
                Way(way) => diagnostic(format!("there is no `{name}`; it is written as {way}")),
            });
            return true;
        }
        if FUNCTIONS.contains(&name) {
            let message = format!(
                "`{name}` is a function of numbers, called as `{name}(…)`, and no layer or tensor"
            );
            self.error(Code::UnknownName, node, message);
            return true;
        }
        let by_axes = ["1d", "2d", "3d"].map(|axes| format!("{name}{axes}"));
        if by_axes.iter().all(|name| layers::find(name).is_some()) {
            let message = format!("no layer is called `{name}`; it is `{}`", by_axes.join("`, `"));
            self.error(Code::UnknownLayer, node, message);
            return true;
        }
        let spelt = match layers::find_function(name) {
            // A function of that name has no parameters of its own.
            Some(entry) if !entry.given_by_input.is_empty() => Some(SmolStr::new(entry.name)),
            Some(_) => Some(SmolStr::new(format!("F.{name}"))),
            None => layers::all()
                .find(|entry| entry.name.eq_ignore_ascii_case(name))
                .map(|entry| SmolStr::new(entry.name)),
        };
        let Some(spelt) = spelt else { return false };
        let message = format!("`{name}` is written `{spelt}`");
        self.report(Diagnostic::new(Code::UnknownLayer, place, message).fix(
            format!("Write `{spelt}`"),
            place,
            spelt,
        ));
        true
    }

    /// `nn.Conv2d(…)`, `torch.relu(x)`, `self.fc`: Python's modules have no names here.
    pub(super) fn report_module(
        &mut self,
        frame: &Frame,
        expr: ast::Expr<'w>,
        name: &str,
        suffixes: &[ast::Suffix<'w>],
    ) -> bool {
        if !MODULES.contains(&name) || frame.scope.find(name).is_some() {
            return false;
        }
        let fields: Vec<ast::Field<'w>> = suffixes
            .iter()
            .map_while(|suffix| match suffix {
                ast::Suffix::Field(field) => Some(*field),
                _ => None,
            })
            .collect();
        let Some(last) = fields.last().and_then(|field| field.name()) else { return false };
        let before = TextRange::new(expr.syntax().range().start(), last.range().start());
        let prefix = Place { file: frame.file, range: before };
        let prefix_text = &expr.text()[..usize::from(before.len())];
        let word = last.text();
        let spelt = SPELLINGS.iter().find_map(|(foreign, spelling)| match spelling {
            Word(here) if *foreign == word => Some(*here),
            _ => None,
        });
        let call = suffixes.get(fields.len()).copied().and_then(ast::Suffix::as_call);
        let (message, replacement) = if matches!(name, "math" | "np") {
            (of_numbers(word, call), None)
        } else if name == "self"
            && let Some(call) = call
            && let (step, true) = self.flowing(frame, word, Some(call))
        {
            let message =
                format!("a label is read by its name alone, and called after an arrow: `{step}`");
            let is_whole = suffixes.len() == fields.len() + 1;
            self.report_step(frame.node(expr), Code::UnknownName, message, step, is_whole);
            return true;
        } else if name == "self" {
            (format!("a label is read by its name alone: `{word}`"), Some(String::new()))
        } else if let Some(spelt) = spelt {
            (format!("`{prefix_text}{word}` is written `{spelt}`"), None)
        } else if let Some(entry) = layers::find(word) {
            if let Some((call, here)) = call.and_then(|call| Some((call, as_here(entry, call)?))) {
                let end = call.syntax().range().end();
                let place = Place { file: frame.file, range: TextRange::new(before.start(), end) };
                let message = format!(
                    "layers are written without `{prefix_text}`, and without the size that their input gives: `{here}`"
                );
                let diagnostic = Diagnostic::new(Code::UnknownName, place, message);
                self.report(diagnostic.fix(format!("Write `{here}`"), place, here));
                return true;
            }
            (format!("layers are written without `{prefix_text}`: `{word}`"), Some(String::new()))
        } else if layers::find_function(word).is_some() {
            let message = format!(
                "functions of `torch.nn.functional` begin with `F.`, and tensors flow into them: `x -> F.{word}`"
            );
            (message, None)
        } else if layers::find(&word.to_upper_camel_case()).is_some() {
            let (step, is_known) = self.flowing(frame, &word.to_upper_camel_case(), call);
            let message = format!(
                "`{prefix_text}{word}` is a layer here, and tensors flow into it: `{step}`"
            );
            let is_whole = suffixes.len() == fields.len() + usize::from(call.is_some());
            if is_known && is_whole {
                self.report_step(frame.node(expr), Code::UnknownName, message, step, true);
                return true;
            }
            (message, None)
        } else if let Some(way) = SPELLINGS.iter().find_map(|(foreign, spelling)| match spelling {
            Way(way) if *foreign == word => Some(*way),
            _ => None,
        }) {
            (format!("there is no `{prefix_text}{word}`; it is written as {way}"), None)
        } else {
            let message = format!(
                "there is no `{prefix_text}{word}` here: layers have PyTorch's names alone, functions begin with `F.` or `torch.`"
            );
            (message, None)
        };
        let place =
            Place { file: frame.file, range: TextRange::new(before.start(), last.range().end()) };
        let mut diagnostic = Diagnostic::new(Code::UnknownName, place, message);
        if let Some(replacement) = replacement {
            diagnostic = diagnostic.fix(format!("Leave out `{prefix_text}`"), prefix, replacement);
        }
        self.report(diagnostic);
        true
    }

    /// `conv(x)`, where `conv` is a step: its layers are used again after an arrow. Whether it is that.
    pub(super) fn report_called_label(&mut self, frame: &Frame, call: ast::Call<'w>) -> bool {
        let Some(expr) = call.syntax().parent().and_then(ast::Expr::cast) else { return false };
        let written = text_before(expr, call.syntax());
        let (step, is_known) = self.flowing(frame, written, Some(call));
        if !is_known {
            return false;
        }
        let message = format!("what a label names is used again after an arrow: `{step}`");
        let is_whole = call.syntax().range().end() == expr.syntax().range().end();
        self.report_step(frame.node(expr), Code::NotALayer, message, step, is_whole);
        true
    }

    /// What is to be written as a step. It takes the node's place where that is `whole`, and all before the first arrow.
    fn report_step(
        &mut self,
        node: NodeRef,
        code: Code,
        message: String,
        step: String,
        is_whole: bool,
    ) {
        let place = self.place(node);
        let diagnostic = Diagnostic::new(code, place, message);
        self.report(match is_whole && is_alone(self.workspace.node(node)) {
            true => diagnostic.fix(format!("Write `{step}`"), place, step),
            false => diagnostic,
        });
    }

    /// What Python writes as a call of a function with tensors: they flow into the layer, and the rest are arguments.
    /// Whether it is known which is which.
    fn flowing(&self, frame: &Frame, layer: &str, call: Option<ast::Call<'w>>) -> (String, bool) {
        let is_named = |name: &str| self.is_tensor(frame, name);
        let is_tensor = |expr: ast::Expr<'w>| match expr.kind() {
            Kind::NameExpr => is_named(expr.text()),
            // `h[0]`, `block.fc`
            Kind::Postfix => {
                let is_read = |suffix| !matches!(suffix, ast::Suffix::Call(_));
                expr.suffixes().all(is_read)
                    && expr.operand().is_some_and(|operand| is_named(operand.text()))
            }
            _ => false,
        };
        let (mut tensors, mut others, mut is_known) = (Vec::new(), Vec::new(), true);
        for argument in call.into_iter().flat_map(ast::Call::arguments) {
            let value = argument.value().filter(|_| argument.name().is_none());
            match value {
                Some(value) if is_tensor(value) => tensors.push(value.text()),
                Some(value) if value.kind() == Kind::List && value.operands().all(is_tensor) => {
                    tensors.extend(value.operands().map(|one| one.text()));
                }
                _ => {
                    let mut names = argument.syntax().descendants();
                    is_known &=
                        !names.any(|node| node.kind() == Kind::NameExpr && is_named(node.text()));
                    others.push(argument.syntax().text());
                }
            }
        }
        // What is computed within the call is a step of its own.
        if !is_known || tensors.is_empty() {
            return (format!("x, y -> {layer}(…)"), false);
        }
        let tensors = tensors.join(", ");
        let step = match others.is_empty() {
            true => format!("{tensors} -> {layer}"),
            false => format!("{tensors} -> {layer}({})", others.join(", ")),
        };
        (step, true)
    }

    /// `x.softmax(-1)`: tensors have no methods; what they do are steps. `written` is the text before the dot.
    pub(super) fn report_method(
        &mut self,
        frame: &Frame,
        expr: ast::Expr<'w>,
        written: &str,
        name: &str,
        call: Option<ast::Call<'w>>,
    ) -> bool {
        let layer = name.to_upper_camel_case();
        let spelt = match of_method(name) {
            Some(Way(way)) => {
                // `x.size(-1)` is that size, `x.size()` all of them.
                let call = call.filter(|call| name == "size" && call.arguments().next().is_some());
                let way = match call {
                    Some(call) => {
                        let size =
                            sizes_as_here(&format!("{written}.size{}", call.syntax().text()));
                        format!("a size is `{size}`")
                    }
                    None => way.replace('x', written),
                };
                return self.report_spelt(frame, expr, way, None);
            }
            Some(Word(word)) => word.to_owned(),
            None if call.is_none() => return false,
            // `x.softmax(-1)` is `torch.softmax(x, -1)`, which some counters tell from the function of `F`.
            None if layers::find_called(Called::Torch, name).is_some() => format!("torch.{name}"),
            None if layers::find_function(name).is_some() => format!("F.{name}"),
            None if layers::find(&layer).is_some() => layer,
            None => return false,
        };
        let arguments = call.map_or(String::new(), |call| sizes_as_here(call.syntax().text()));
        let arguments = if arguments == "()" { "" } else { &arguments };
        let step = format!("{written} -> {spelt}{arguments}");
        let message = format!("tensors have no methods; what they do are steps: `{step}`");
        let is_whole =
            call.is_some_and(|call| call.syntax().range().end() == expr.syntax().range().end());
        self.report_spelt(frame, expr, message, Some(step).filter(|_| is_whole))
    }

    /// `F.relu(x)`, `Linear(3)(x)`: tensors flow.
    pub(super) fn report_tensor_argument(
        &mut self,
        node: NodeRef,
        recipe: &Recipe,
        argument: &Argument,
    ) {
        let text_of = |argument: &Argument| self.workspace.node(argument.node).text();
        let holds_tensors =
            |argument: &&Argument| argument.name.is_none() && argument.value.holds_tensors();
        let (tensors, others): (Vec<&Argument>, Vec<&Argument>) =
            recipe.arguments.iter().partition(|argument| holds_tensors(argument));
        let tensors: Vec<&str> = tensors
            .into_iter()
            .map(|one| text_of(one).trim_start_matches(['[', '(']).trim_end_matches([']', ')']))
            .collect();
        let others: Vec<&str> = others.into_iter().map(text_of).collect();
        let callee = recipe.callee.written();
        let mut step = format!("{} -> {callee}", tensors.join(", "));
        if !others.is_empty() {
            step.push_str(&format!("({})", others.join(", ")));
        }
        let message = format!("tensors flow into a layer, and are no arguments: `{step}`");
        let place = self.place(argument.node);
        let mut diagnostic = Diagnostic::new(Code::WrongValue, place, message);
        if is_alone(self.workspace.node(node)) {
            diagnostic = diagnostic.fix(format!("Write `{step}`"), self.place(node), step);
        }
        self.report(diagnostic);
    }

    /// A step that gives several tensors before a layer that takes one: one of them is picked.
    pub(super) fn report_several(
        &mut self,
        frame: &Frame,
        node: NodeRef,
        message: String,
        tensors: &[Tensor],
    ) {
        let gives_them = |label: &Label| {
            label.value.as_ref().and_then(Value::as_tensors).is_some_and(|given| given == tensors)
        };
        let label = frame.labels.iter().rposition(gives_them).and_then(|at| {
            Some(label_path(&frame.labels, LabelId(u32::try_from(at).ok()?)).join("."))
        });
        let Some(label) = label else { return self.error(Code::WrongInputs, node, message) };
        // A number is read as a text.
        let is_name =
            label.split('.').all(|segment| !segment.starts_with(|c: char| c.is_ascii_digit()));
        let label = if is_name { label } else { format!("\"{label}\"") };
        let stage = self.workspace.node(node);
        let step = format!("{label}[0] -> {}", stage.text());
        let message = format!("{message}; of several values one is picked: `{step}`");
        self.report_step(node, Code::WrongInputs, message, step, true);
    }

    /// `[x, y] -> Cat`: a pattern of sizes, in which tensors stand.
    pub(super) fn report_list_of_tensors(
        &mut self,
        frame: &mut Frame,
        pattern: ast::Pattern<'w>,
    ) -> bool {
        let holds_tensor = pattern.dims().any(|dim| match dim {
            ast::Dim::Expr(expr) => {
                expr.as_name().is_some_and(|name| self.is_tensor(frame, name.text()))
            }
            _ => false,
        });
        if !holds_tensor {
            return false;
        }
        let text = pattern.syntax().text();
        let list = text.trim_start_matches('[').trim_end_matches(']').trim();
        let place = self.place(NodeRef { file: frame.file, node: pattern.id() });
        let message = format!(
            "several tensors are listed without brackets: `{list} -> …`; brackets are a pattern of sizes"
        );
        self.report(Diagnostic::new(Code::Pattern, place, message).fix(
            format!("Write `{list}`"),
            place,
            list,
        ));
        true
    }

    fn report_spelt(
        &mut self,
        frame: &Frame,
        expr: ast::Expr<'w>,
        message: String,
        step: Option<String>,
    ) -> bool {
        let place = self.place(frame.node(expr));
        let mut diagnostic = Diagnostic::new(Code::NotInside, place, message);
        if let Some(step) = step.filter(|_| is_alone(expr.syntax())) {
            diagnostic = diagnostic.fix(format!("Write `{step}`"), place, step);
        }
        self.report(diagnostic);
        true
    }
}

/// Whether an expression is all that stands before the first arrow of a step.
pub(super) fn is_alone(syntax: syntax::SyntaxNode<'_>) -> bool {
    syntax
        .parent()
        .is_some_and(|parent| parent.kind() == Kind::Sources && parent.text() == syntax.text())
}
