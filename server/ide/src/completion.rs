//! What can be typed at a place.

use analysis::{DefinitionKind, NodeRef, What};
use layers::{Called, DType, Entry};
use syntax::{Kind, SyntaxNode, SyntaxToken, TextRange, TextSize, ast};

use crate::{
    Snapshot,
    calls::{Callee, open_call},
    scope::{around, items_in_scope, names_in_scope},
};

/// What kind of thing is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum CompletionKind {
    Keyword,
    Layer,
    Block,
    Function,
    Argument,
    Parameter,
    Variable,
    Size,
    Label,
    Dtype,
    Value,
    Figure,
    File,
}

/// One thing that can be typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// What is shown, and inserted unless there is more to insert.
    pub label: String,
    /// What it is.
    pub kind: CompletionKind,
    /// A short note beside it.
    pub detail: Option<String>,
    /// What is inserted, with `${1:…}` at the places to be filled in.
    pub snippet: Option<String>,
    /// Smaller comes first.
    pub rank: u8,
}

/// What can be typed, and the text that it replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completions {
    /// The word at the cursor.
    pub replaces: TextRange,
    /// What can be typed.
    pub items: Vec<Completion>,
}

/// Where the path of a file is typed: the folder-relative text before the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePath<'s> {
    /// The text between the quote and the cursor.
    pub typed: &'s str,
    /// The text from the last `/` to the end of the path, which a name replaces.
    pub replaces: TextRange,
    /// It is a `use`, not `weights`.
    pub is_use: bool,
}

/// The path that is typed at an offset; the files of the folder are not known here.
pub fn file_path(snapshot: &Snapshot, offset: TextSize) -> Option<FilePath<'_>> {
    let tree = snapshot.parse().tree();
    let token = token_before(tree, offset)?;
    let text = token.text().strip_prefix('"')?;
    let start = token.range().start() + TextSize::new(1);
    let is_closed = text.ends_with('"');
    let end = token.range().end() - TextSize::new(u32::from(is_closed));
    if offset < start || offset > end {
        return None;
    }
    let is_use = match significant_before(tree, token.range().start())?.text() {
        "use" => true,
        "weights" => false,
        _ => return None,
    };
    let typed = &snapshot.text()[usize::from(start)..usize::from(offset)];
    let name = typed.rfind('/').map_or(0, |at| at + 1);
    let from = start + TextSize::of(&typed[..name]);
    Some(FilePath { typed, replaces: TextRange::new(from, end), is_use })
}

/// What stands before an offset since the line or its braces began.
fn line_before(text: &str, offset: TextSize) -> &str {
    let before = &text[..usize::from(offset)];
    &before[before.rfind(['\n', ';', '{']).map_or(0, |at| at + 1)..]
}

/// The token that ends at an offset or holds it.
fn token_before(tree: &syntax::Tree, offset: TextSize) -> Option<SyntaxToken<'_>> {
    let token = tree.token_at(offset)?;
    match token.range().start() == offset && offset > TextSize::new(0) {
        true => token.previous(),
        false => Some(token),
    }
}

/// What can be typed at an offset.
pub fn completions(snapshot: &Snapshot, offset: TextSize) -> Option<Completions> {
    let tree = snapshot.parse().tree();
    let token = token_before(tree, offset);
    let is_word =
        |token: &SyntaxToken<'_>| token.kind() == Kind::Name || token.kind().is_reserved();
    let word = token.filter(is_word);
    let replaces = word.map_or(TextRange::empty(offset), |word| word.range());
    match token.map(|token| token.kind()) {
        Some(Kind::Comment | Kind::DocComment) => return None,
        Some(Kind::String | Kind::Int | Kind::Float | Kind::Magnitude | Kind::Unknown) => {
            return None;
        }
        _ => {}
    }
    let start = replaces.start();
    let before = significant_before(tree, start);
    let context = Context {
        snapshot,
        offset: start,
        followed_by_call: snapshot.text()[usize::from(replaces.end())..].starts_with('('),
    };
    Some(Completions { replaces, items: context.items(before) })
}

/// The last token before an offset that is no space or comment; a newline counts.
fn significant_before(tree: &syntax::Tree, offset: TextSize) -> Option<SyntaxToken<'_>> {
    let last = match offset == TextSize::new(0) {
        true => None,
        false => tree.token_at(offset - TextSize::new(1)),
    };
    let mut tokens = std::iter::successors(last, |token| token.previous());
    tokens
        .find(|token| !matches!(token.kind(), Kind::Whitespace | Kind::Comment | Kind::DocComment))
}

struct Context<'s> {
    snapshot: &'s Snapshot,
    /// Where the word begins.
    offset: TextSize,
    /// Parentheses stand behind the word already.
    followed_by_call: bool,
}

impl Context<'_> {
    fn items(&self, before: Option<SyntaxToken<'_>>) -> Vec<Completion> {
        let line = line_before(self.snapshot.text(), self.offset).trim_start();
        let call = open_call(self.snapshot.parse().tree(), self.offset);
        match before.map(|token| token.kind()) {
            Some(Kind::Dot) => before.map_or_else(Vec::new, |dot| self.fields(dot)),
            _ if self.is_in_parameters() => self.config_keys(),
            _ if call.is_some() => self.arguments(call, before),
            _ if line.starts_with("use ") => self.used_names(line),
            _ if line.starts_with("dtype ") => dtypes(),
            _ if line.starts_with("expect ") => [figures(), self.names()].concat(),
            Some(Kind::Colon) if is_typed_line(line) => dtypes(),
            Some(Kind::LeftBracket | Kind::Comma) if is_typed_line(line) => self.names(),
            _ if !self.is_in_body() => top_words(),
            None | Some(Kind::Newline | Kind::Semicolon | Kind::LeftBrace | Kind::RightBrace) => {
                [self.line_words(), self.stages(), self.names()].concat()
            }
            Some(Kind::Arrow | Kind::Colon) => {
                [stage_words(), self.stages(), self.names()].concat()
            }
            _ => [self.names(), self.stages()].concat(),
        }
    }

    fn is_in_body(&self) -> bool {
        around(self.snapshot, self.offset).any(|node| node.kind() == Kind::Body)
    }

    fn is_in_parameters(&self) -> bool {
        around(self.snapshot, self.offset).next().is_some_and(|node| {
            node.kind() == Kind::Parameters
                || (node.kind() == Kind::Path
                    && node.parent().is_some_and(|around| around.kind() == Kind::Parameter))
        })
    }

    /// The keys of Hugging Face's configs, for the parameters of a model.
    fn config_keys(&self) -> Vec<Completion> {
        let item = around(self.snapshot, self.offset).find_map(ast::Item::cast);
        let known: Vec<&str> = item
            .into_iter()
            .flat_map(ast::Item::parameters)
            .filter(|parameter| !parameter.range().contains_inclusive(self.offset))
            .filter_map(|parameter| Some(parameter.path()?.text()))
            .collect();
        let mut keys: Vec<Completion> = Vec::new();
        for (name, default) in crate::config_keys::config_keys() {
            if !known.contains(&name.as_str()) {
                let snippet = format!("{name} = ${{1:{default}}}");
                keys.push(Completion {
                    detail: Some(default.clone()),
                    snippet: Some(snippet),
                    ..plain(name, CompletionKind::Parameter, 1)
                });
            }
        }
        keys
    }

    /// Names of arguments that are not given yet, or what the argument may be.
    fn arguments(
        &self,
        call: Option<crate::calls::OpenCall<'_>>,
        before: Option<SyntaxToken<'_>>,
    ) -> Vec<Completion> {
        let Some(call) = call else { return Vec::new() };
        let callee = Callee::of(self.snapshot, &call);
        let parameters =
            callee.as_ref().map_or_else(Vec::new, |callee| callee.parameters(self.snapshot));
        let begins =
            matches!(before.map(|token| token.kind()), Some(Kind::LeftParen | Kind::Comma));
        let mut items = Vec::new();
        if begins && call.name.is_none() {
            let open = parameters.iter().enumerate().filter(|(index, parameter)| {
                *index >= call.index && !call.given.contains(&parameter.name)
            });
            items.extend(open.map(|(_, parameter)| Completion {
                detail: parameter.default.map(|default| format!("= {default}")),
                snippet: Some(format!("{}=$0", parameter.name)),
                ..plain(&format!("{}=", parameter.name), CompletionKind::Argument, 0)
            }));
        }
        let own = match call.name {
            Some(name) => parameters.iter().find(|parameter| parameter.name == name),
            None => parameters.get(call.index),
        };
        items.extend(own.and_then(|own| own.entry).map_or_else(Vec::new, |own| values(own.kind)));
        items.extend(self.names());
        if matches!(callee, Some(Callee::Item(_)) | None) {
            items.extend(self.stages());
        }
        items
    }

    fn used_names(&self, line: &str) -> Vec<Completion> {
        let Some(path) = line.split('"').nth(1) else { return Vec::new() };
        let Some(file) = self.snapshot.workspace.resolve(self.snapshot.file(), path) else {
            return Vec::new();
        };
        let items = self.snapshot.workspace.parse(file).file().items();
        let names = items.filter_map(|item| Some(item.name()?.text()));
        names.map(|name| plain(name, CompletionKind::Block, 0)).collect()
    }

    /// The words that begin a line of a body.
    fn line_words(&self) -> Vec<Completion> {
        let mut words = vec![
            word("let", "let ${1:name} = $0"),
            word("input", "input ${1:x}: f32[${2:N = 1}, $3]"),
            word("output", "output ${1:y}: [$2]"),
            word("param", "param ${1:weight}: [$2]"),
            word("buffer", "buffer ${1:index}: i64[$2]"),
            word("macs", "macs = $0"),
            word("elementwise", "elementwise = $0"),
            word("dtype", "dtype ${1:bf16}"),
            word("expect", "expect ${1:params} <= $0"),
            word("weights", "weights \"${1:model.safetensors}\""),
            word("block", "block ${1:Name} {\n    $0\n}"),
        ];
        words.extend(stage_words());
        words
    }

    /// Layers, blocks and models.
    fn stages(&self) -> Vec<Completion> {
        let mut items: Vec<Completion> = Vec::new();
        for (name, item) in items_in_scope(self.snapshot, self.offset) {
            let parameters = Callee::Item(item).parameters(self.snapshot);
            let required: Vec<&str> = parameters
                .iter()
                .filter(|parameter| parameter.default.is_none())
                .map(|parameter| parameter.name)
                .collect();
            items.push(Completion {
                detail: Some(signature_text(self.snapshot, item)),
                snippet: self.call_snippet(name, &required),
                ..plain(name, CompletionKind::Block, 1)
            });
        }
        items.extend(layers::all().map(|entry| self.layer(entry)));
        let prefixes = [Called::Functional, Called::Torch];
        let prefixes = prefixes.into_iter().filter_map(Called::prefix);
        items.extend(prefixes.map(|prefix| plain(prefix, CompletionKind::Function, 3)));
        items
    }

    fn layer(&self, entry: &'static Entry) -> Completion {
        let required: Vec<&str> = entry
            .params
            .iter()
            .filter(|param| param.default.is_none() && param.kind != layers::Kind::Ignored)
            .map(|param| param.name)
            .collect();
        Completion {
            detail: Some(entry.summary.to_owned()),
            snippet: self.call_snippet(entry.name, &required),
            ..plain(entry.name, CompletionKind::Layer, 2)
        }
    }

    /// `Conv2d(${1:out_channels}, ${2:kernel_size})`; none where parentheses stand already or
    /// nothing must be given.
    fn call_snippet(&self, name: &str, required: &[&str]) -> Option<String> {
        if self.followed_by_call || required.is_empty() {
            return None;
        }
        let fields: Vec<String> = required
            .iter()
            .enumerate()
            .map(|(index, name)| format!("${{{}:{name}}}", index + 1))
            .collect();
        Some(format!("{name}({})", fields.join(", ")))
    }

    /// What has a name here.
    fn names(&self) -> Vec<Completion> {
        let names = names_in_scope(self.snapshot, self.offset).into_iter();
        let mut items: Vec<Completion> = names
            .map(|name| {
                let kind = match name.kind {
                    DefinitionKind::Parameter => CompletionKind::Parameter,
                    DefinitionKind::Symbol | DefinitionKind::Pattern => CompletionKind::Size,
                    DefinitionKind::Label => CompletionKind::Label,
                    _ => CompletionKind::Variable,
                };
                // A value is shown if it is known; nobody waits for it.
                let known = self.snapshot.known_analysis();
                let value = known.and_then(|analysis| analysis.scalars.get(&name.node));
                let detail = value.map(|value| format!("= {value}"));
                Completion { detail, ..plain(name.name, kind, 1) }
            })
            .collect();
        items.push(plain("it", CompletionKind::Keyword, 3));
        items
    }

    /// What stands in a label, behind a dot.
    fn fields(&self, dot: SyntaxToken<'_>) -> Vec<Completion> {
        let Some(path) = path_before(dot) else { return Vec::new() };
        let names = names_in_scope(self.snapshot, self.offset);
        let first = names.into_iter().find(|name| name.name == path[0]);
        if first.is_none()
            && let [prefix] = path[..]
            && let Some(called) = Called::behind(prefix)
        {
            return layers::functions(called)
                .filter_map(|name| Some((name, layers::find_called(called, name)?)))
                .map(|(name, entry)| Completion {
                    detail: Some(entry.summary.to_owned()),
                    ..plain(name, CompletionKind::Function, 0)
                })
                .collect();
        }
        let mut items =
            vec![plain("shape", CompletionKind::Value, 2), plain("rank", CompletionKind::Value, 2)];
        let Some(first) = first.filter(|name| name.kind == DefinitionKind::Label) else {
            return items;
        };
        let mut step =
            self.snapshot.workspace.node(first.node).ancestors().find_map(ast::Step::cast);
        for segment in &path[1..] {
            step = step.and_then(|step| {
                let mut inner = inner_steps(self.snapshot, step);
                inner.find(|inner| inner.labels().any(|label| label.text() == *segment))
            });
        }
        let Some(step) = step else { return items };
        for inner in inner_steps(self.snapshot, step) {
            let labels = inner.labels().filter_map(|label| label.as_name());
            items.extend(labels.map(|label| plain(label.text(), CompletionKind::Label, 0)));
        }
        for tensor in parameters_of(self.snapshot, step) {
            let detail = Some(format!("{}{}", tensor.dtype, tensor.shape));
            items.push(Completion { detail, ..plain(&tensor.name, CompletionKind::Value, 1) });
        }
        items
    }
}

/// `a.b` before a dot, as its names.
fn path_before(dot: SyntaxToken<'_>) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let mut token = dot;
    loop {
        let name = token.previous().filter(|name| matches!(name.kind(), Kind::Name | Kind::Int))?;
        names.push(name.text());
        match name.previous() {
            Some(before) if before.kind() == Kind::Dot => token = before,
            _ => break,
        }
    }
    names.reverse();
    Some(names)
}

/// The steps in the braces of a step, or in the block that it uses.
fn inner_steps<'s>(
    snapshot: &'s Snapshot,
    step: ast::Step<'s>,
) -> impl Iterator<Item = ast::Step<'s>> {
    let body = step.syntax().descendants().find(|node| node.kind() == Kind::Body);
    let item = || {
        let mut names = step.syntax().descendants().filter(|node| node.kind() == Kind::NameExpr);
        let item = names.find_map(|name| {
            let used = NodeRef { file: snapshot.file(), node: name.id() };
            let definition = snapshot.analysis().definitions.get(&used)?;
            (definition.kind == DefinitionKind::Item).then_some(definition.node)
        })?;
        Some(ast::Item::cast(snapshot.workspace.node(item))?.body()?.syntax())
    };
    let body = body.or_else(item);
    body.into_iter().flat_map(SyntaxNode::children).filter_map(ast::Step::cast)
}

/// The parameters and buffers of the layer of a step.
fn parameters_of<'s>(
    snapshot: &'s Snapshot,
    step: ast::Step<'_>,
) -> impl Iterator<Item = &'s layers::ParameterTensor> {
    let nodes = step.syntax().descendants().map(|node| snapshot.node(node.id()));
    let used = nodes.filter_map(|node| snapshot.model_of(node)?.uses(node).first());
    let layers = used.filter_map(|one| match &one.step.what {
        What::Layer(layer) => Some(&layer.parameters),
        _ => None,
    });
    layers.flatten().collect::<Vec<_>>().into_iter()
}

/// `Attention(heads, dropout = 0.1)`
fn signature_text(snapshot: &Snapshot, item: NodeRef) -> String {
    let parameters = Callee::Item(item).parameters(snapshot);
    let shown: Vec<String> = parameters
        .iter()
        .map(|one| {
            one.default.map_or(one.name.to_owned(), |default| format!("{}={default}", one.name))
        })
        .collect();
    format!("({})", shown.join(", "))
}

fn is_typed_line(line: &str) -> bool {
    ["input ", "output ", "param ", "buffer "].iter().any(|word| line.starts_with(word))
}

fn plain(label: &str, kind: CompletionKind, rank: u8) -> Completion {
    Completion { label: label.to_owned(), kind, detail: None, snippet: None, rank }
}

fn word(label: &str, snippet: &str) -> Completion {
    Completion { snippet: Some(snippet.to_owned()), ..plain(label, CompletionKind::Keyword, 4) }
}

/// The words that begin a line outside any model.
fn top_words() -> Vec<Completion> {
    vec![
        word("model", "model ${1:Name} {\n    input ${2:x}: f32[N = 1, $3]\n    $0\n}"),
        word("block", "block ${1:Name} {\n    $0\n}"),
        word("use", "use \"${1:blocks.taper}\""),
    ]
}

fn stage_words() -> Vec<Completion> {
    vec![
        word("repeat", "repeat ${1:n} {\n    $0\n}"),
        word("for", "for ${1:i} in range(${2:n}) {\n    $0\n}"),
        word("if", "if ${1:condition} {\n    $0\n}"),
        word("choose", "choose ${1:2} of ${2:8} {\n    $0\n}"),
    ]
}

fn dtypes() -> Vec<Completion> {
    DType::ALL.iter().map(|(_, name, _)| plain(name, CompletionKind::Dtype, 0)).collect()
}

fn figures() -> Vec<Completion> {
    let figures = analysis::FIGURES.iter();
    figures.map(|figure| plain(figure, CompletionKind::Figure, 0)).collect()
}

/// What an argument of a kind may be.
fn values(kind: layers::Kind) -> Vec<Completion> {
    let texts: Vec<String> = match kind {
        layers::Kind::Bool => vec!["true".to_owned(), "false".to_owned()],
        layers::Kind::Choice(choices) => choices.iter().map(|text| format!("\"{text}\"")).collect(),
        layers::Kind::Padding(_) => vec!["\"same\"".to_owned(), "\"valid\"".to_owned()],
        _ => Vec::new(),
    };
    texts.iter().map(|text| plain(text, CompletionKind::Value, 0)).collect()
}

/// What is known of a layer or block of a name, in Markdown.
pub fn completion_documentation(
    snapshot: &Snapshot,
    offset: TextSize,
    label: &str,
    kind: CompletionKind,
) -> Option<String> {
    match kind {
        CompletionKind::Layer => layers::find(label).map(crate::hover::entry_markdown),
        CompletionKind::Function => layers::find_function(label)
            .or_else(|| layers::find_called(Called::Torch, label))
            .map(crate::hover::entry_markdown),
        CompletionKind::Block => {
            let items = items_in_scope(snapshot, offset);
            let (_, item) = items.into_iter().find(|(name, _)| *name == label)?;
            ast::doc_comment(snapshot.workspace.node(item))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cursor;

    /// The labels of a kind, or of all.
    fn labels(source: &str, kind: Option<CompletionKind>) -> Vec<String> {
        let (snapshot, offset) = cursor(source);
        let found = completions(&snapshot, offset).map_or_else(Vec::new, |found| found.items);
        let wanted = found.into_iter().filter(|item| kind.is_none_or(|kind| item.kind == kind));
        wanted.map(|item| item.label).collect()
    }

    #[test]
    fn what_stands_where() {
        use CompletionKind::*;
        for (source, kind, expected) in [
            ("$0", Some(Keyword), "model block use"),
            ("mod$0", Some(Keyword), "model block use"),
            ("model M { input x: f32[N = 1, 8]\n    $0\n}", Some(Label), ""),
            ("model M { input x: f32[N = 1, 8]\n    a: ReLU\n    $0\n}", Some(Label), "a"),
            ("model M { input x: f32[N = 1, C = 8]\n    Linear($0) }", Some(Size), "C N"),
            (
                "model M { input x: f32[N = 1, 8]\n    Linear($0) }",
                Some(Argument),
                "out_features= bias=",
            ),
            ("model M { input x: f32[N = 1, 8]\n    Linear(4, $0) }", Some(Argument), "bias="),
            ("model M { input x: f32[N = 1, 8]\n    Linear(bias=$0) }", Some(Value), "true false"),
            (
                "model M { input x: f32[N = 1, 8]\n    GELU(approximate=$0) }",
                Some(Value),
                "\"none\" \"tanh\"",
            ),
            (
                "model M { input x: $0",
                Some(Dtype),
                "f64 f32 f16 bf16 f8e4m3 i64 i32 i16 i8 u32 u8 bool",
            ),
            (
                "model M { input x: f32[1]\n dtype b$0\n }",
                Some(Dtype),
                "f64 f32 f16 bf16 f8e4m3 i64 i32 i16 i8 u32 u8 bool",
            ),
            (
                "model M { input x: f32[1]\n expect $0\n }",
                Some(Figure),
                "params active_params macs flops memory latency",
            ),
            (
                "model M { input x: f32[N = 1, 8]\n t: { a: Linear(4); b: ReLU }\n x @ t.$0\n}",
                Some(Label),
                "a b",
            ),
            (
                "model M { input x: f32[N = 1, 8]\n t: { a: Linear(4) }\n x @ t.a.$0\n}",
                Some(Value),
                "shape rank weight bias",
            ),
            (
                "block B { p: ReLU }\nmodel M { input x: f32[N = 1, 8]\n t: B\n x + t.$0\n}",
                Some(Label),
                "p",
            ),
            ("block B(w) { $0 }", Some(Block), "B"),
            ("block B(w) { $0 }", Some(Parameter), "w"),
            ("model M(w) { let k = 2\n block B { $0 } }", Some(Parameter), "w"),
            ("model M(w) { input x: [N]\n let k = 2\n block B { $0 } }", Some(Size), ""),
            ("model M { for i in range(3) { Linear($0) } }", Some(Variable), "i"),
            (
                "//- b.taper\nblock B { ReLU }\nblock C { ReLU }\n//- m.taper\nuse \"b.taper\": $0",
                Some(Block),
                "B C",
            ),
            ("block A { # $0", None, ""),
            ("block A { Linear(4$0) }", None, ""),
        ] {
            assert_eq!(labels(source, kind).join(" "), expected, "{source}");
        }
        assert!(labels("block A { x -> Con$0 }", Some(Layer)).contains(&"Conv2d".to_owned()));
        assert!(labels("block A { F.$0 }", Some(Function)).contains(&"relu".to_owned()));
        let of_torch = labels("block A { torch.$0 }", Some(Function));
        assert!(of_torch.contains(&"matmul".to_owned()) && !of_torch.contains(&"gelu".to_owned()));
        // A label that is called so is one.
        let of_label = labels("block A { torch: { fc: Linear(4) }\n torch.$0 }", None);
        assert_eq!(of_label, ["shape", "rank", "fc"]);
        assert!(labels("model M($0) { }", Some(Parameter)).contains(&"hidden_size".to_owned()));
    }

    #[test]
    fn required_arguments_are_places_to_fill_in() {
        let (snapshot, offset) = cursor("block A { Conv$0 }");
        let found = completions(&snapshot, offset).expect("completions");
        let conv = found.items.iter().find(|item| item.label == "Conv2d").expect("Conv2d");
        assert_eq!(conv.snippet.as_deref(), Some("Conv2d(${1:out_channels}, ${2:kernel_size})"));
        let relu = found.items.iter().find(|item| item.label == "ReLU").expect("ReLU");
        assert_eq!(relu.snippet, None);
        assert_eq!(&snapshot.text()[std::ops::Range::<usize>::from(found.replaces)], "Conv");
    }

    #[test]
    fn the_path_that_is_typed() {
        let (snapshot, offset) = cursor("use \"net/bl$0ocks.taper\"");
        let path = file_path(&snapshot, offset).expect("a path");
        assert_eq!((path.typed, path.is_use), ("net/bl", true));
        assert_eq!(&snapshot.text()[std::ops::Range::<usize>::from(path.replaces)], "blocks.taper");
        let (snapshot, offset) = cursor("model M { weights \"$0");
        assert!(file_path(&snapshot, offset).is_some_and(|path| !path.is_use));
        let (snapshot, offset) = cursor("model M { x: Activation(\"$0\") }");
        assert_eq!(file_path(&snapshot, offset), None);
    }
}
