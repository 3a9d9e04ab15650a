//! From a file to everything that is known of it.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::{
    Code, Counted, Definition, Diagnostic, FileId, Model, NodeRef, Options, Part, Place, Severity,
    Workspace,
    duplicates::duplicates,
    evaluate::{FIGURES, Run, Setting, SizeExpectations, mentions},
    model::index,
    promise::{Promise, Samples},
    quantization::Quantization,
    seen,
    unused::Usage,
    weights::{check_weights, check_weights_of_config},
    workspace::unquote,
};

/// Everything that is known of a file.
#[derive(Debug)]
pub struct Analysis {
    /// The file.
    pub file: FileId,
    /// What is wrong, in this file and in those it uses, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Its models, and its blocks whose inputs give sizes and that no model uses.
    pub models: Vec<Model>,
    /// The models that need arguments, with the names of those that are missing.
    pub incomplete: Vec<(SmolStr, Vec<SmolStr>)>,
    /// What names in the text mean, at their first use.
    pub definitions: FxHashMap<NodeRef, Definition>,
    /// What `let`s, parameters, dimensions and labels stand for, at their first use.
    pub scalars: FxHashMap<NodeRef, String>,
}

impl Analysis {
    /// Nothing but what is wrong.
    pub fn with(file: FileId, diagnostics: Vec<Diagnostic>) -> Analysis {
        Analysis {
            file,
            diagnostics,
            models: Vec::new(),
            incomplete: Vec::new(),
            definitions: FxHashMap::default(),
            scalars: FxHashMap::default(),
        }
    }

    /// The model of a name.
    pub fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    fn note_names(&mut self, run: &mut Run<'_>) {
        for (node, definition) in run.definitions.drain() {
            self.definitions.entry(node).or_insert(definition);
        }
        for (node, value) in run.scalars.drain() {
            self.scalars.entry(node).or_insert(value);
        }
    }

    /// Whether anything is an error.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Analyses a file of a workspace.
///
/// ```
/// let mut workspace = analysis::Workspace::default();
/// let text = "model Head { input x: f32[N = 1, 512]; fc: Linear(10) }";
/// let file = workspace.insert("head.taper", syntax::parse(text));
/// let analysis = analysis::analyse(&workspace, file, &Default::default());
/// assert_eq!(analysis.diagnostics, []);
/// assert_eq!(analysis.models[0].totals().params, 5_130);
/// ```
///
/// A defect of Taper is told as a diagnostic too: there is always an answer.
pub fn analyse(workspace: &Workspace, file: FileId, options: &Options) -> Analysis {
    // Nothing that was being changed outlives a panic: the workspace is only read.
    let found = catch_unwind(AssertUnwindSafe(|| analyse_file(workspace, file, options)));
    found.unwrap_or_else(|panic| Analysis::with(file, vec![defect(file, &*panic)]))
}

/// What is said of a file whose analysis panicked.
fn defect(file: FileId, panic: &(dyn Any + Send)) -> Diagnostic {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    let start = TextRange::at(TextSize::new(0), TextSize::new(1));
    let message = format!(
        "Taper has failed on this file, and shows nothing of it: {text}. That is a defect; `taper explain T0901` says how to report it"
    );
    Diagnostic::new(Code::Defect, Place { file, range: start }, message)
}

fn analyse_file(workspace: &Workspace, file: FileId, options: &Options) -> Analysis {
    let mut analysis = Analysis::with(file, Vec::new());
    for error in workspace.parse(file).errors() {
        let place = Place { file, range: error.range };
        analysis.diagnostics.push(Diagnostic::new(Code::Syntax, place, error.message.clone()));
    }
    check_uses(workspace, file, &mut analysis.diagnostics);
    check_casing(workspace, file, &mut analysis.diagnostics);
    check_item_names(workspace, file, &mut analysis.diagnostics);

    let setting =
        Setting { size_expectations: size_expectations(workspace), ..Setting::of(options) };
    let mut unused_sizes = FxHashMap::default();
    let mut usage = Usage::default();
    let mut used = FxHashSet::default();
    let items = workspace.parse(file).file().items();
    let items: Vec<ast::Item<'_>> = items.filter(|item| options.shows(*item)).collect();
    for item in items.iter().filter(|item| item.is_model()) {
        let missing = missing_arguments(*item, options);
        let name = item.name().map_or("", |name| name.text());
        if missing.is_empty() {
            show(workspace, file, *item, &setting, &mut analysis, &mut used, &mut unused_sizes);
        } else {
            analysis.incomplete.push((name.into(), missing));
            check_names(workspace, file, *item, &setting, &mut analysis, &mut used);
        }
    }
    for item in items.iter().filter(|item| !item.is_model()) {
        if used.contains(&NodeRef { file, node: item.id() }) {
            continue;
        }
        if gives_sizes(*item) {
            show(workspace, file, *item, &setting, &mut analysis, &mut used, &mut unused_sizes);
        } else {
            check_names(workspace, file, *item, &setting, &mut analysis, &mut used);
        }
    }
    for model in &analysis.models {
        usage.add(workspace, &model.part);
        if model.is_model {
            analysis.diagnostics.extend(check_weights(workspace, model));
        }
    }
    // After a mistake much is not there that would be used.
    let is_whole = options.model.is_none();
    if is_whole && analysis.diagnostics.iter().all(|found| !is_of_the_text(found)) {
        analysis.diagnostics.extend(usage.hints(workspace, &analysis.definitions));
    }
    hint_unused_sizes(workspace, unused_sizes, &mut analysis.diagnostics);
    if let Some((configured, item)) = options.configured.as_ref().zip(items.first()) {
        let node = NodeRef { file, node: item.id() };
        let mut found = configured.check(*item);
        found.append(&mut analysis.diagnostics);
        configured.blame(workspace, node, &mut found);
        let mut is_comparable = true;
        if let Some((quantization, model)) =
            Quantization::of(configured).zip(analysis.models.first_mut())
        {
            match quantization {
                Ok(quantization) => {
                    model.quantization = Some(quantization.without_head(model));
                }
                // Nobody knows then which tensors a checkpoint has.
                Err(unknown) => {
                    found.push(unknown);
                    is_comparable = false;
                }
            }
        }
        let weights = configured.weights.as_ref().filter(|_| is_comparable);
        if let Some((path, model)) = weights.zip(analysis.models.first()) {
            found.extend(check_weights_of_config(workspace, model, path, configured.place));
        }
        analysis.diagnostics = found;
    }
    settle(&mut analysis.diagnostics);
    analysis
}

/// A mistake after which steps are missing, as none of a file or an expectation is.
fn is_of_the_text(found: &Diagnostic) -> bool {
    let is_of_sizes = matches!(found.code, Code::Promise | Code::SizedParameter);
    found.severity == Severity::Error && !found.code.leaves_the_model() && !is_of_sizes
}

/// Runs a model at the sizes shown, and at others for its promise.
fn show(
    workspace: &Workspace,
    file: FileId,
    item: ast::Item<'_>,
    setting: &Setting,
    analysis: &mut Analysis,
    used: &mut FxHashSet<NodeRef>,
    unused_sizes: &mut FxHashMap<NodeRef, bool>,
) {
    let node = NodeRef { file, node: item.id() };
    let name = item.name().map_or("", |name| name.text());
    let shown = Setting { builds: true, costs: true, records: true, ..setting.clone() };
    let mut run = Run::new(workspace, shown);
    let evaluated = run.root(node, name);
    used.extend(run.used_items.iter().copied());
    for (node, is_used) in run.bound.drain() {
        *unused_sizes.entry(node).or_insert(false) |= is_used;
    }
    let expectations = std::mem::take(&mut run.expectations_at);
    let mut diagnostics = std::mem::take(&mut run.diagnostics);
    // A label that is given twice is a path that is there twice.
    if diagnostics.iter().all(|found| found.code != Code::GivenTwice) {
        diagnostics.extend(duplicates(&evaluated.part).into_iter().map(|two| {
            let message = format!("two parameters have the path `{}`", two.path);
            Diagnostic::new(Code::GivenTwice, workspace.place(two.node), message)
                .related(workspace.place(two.first), "the first one")
        }));
    }

    let mut samples = Samples::default();
    if item.is_model() {
        let promise = Promise {
            workspace,
            item: node,
            name,
            setting,
            symbols: &run.symbols,
            known: &diagnostics,
        };
        let (seen, broken) = promise.check(&evaluated.part);
        if !seen.differing.is_empty() && setting.apart.is_empty() {
            // What is equal at the sizes shown alone is no one thing.
            let setting = Setting { apart: seen.differing.into(), ..setting.clone() };
            return show(workspace, file, item, &setting, analysis, used, unused_sizes);
        }
        samples = seen;
        diagnostics.extend(broken);
        let own = setting.by_own_rules();
        diagnostics.extend(check_expectations_at(workspace, node, name, &own, expectations));
        if !setting.is_by_own_rules() {
            diagnostics.extend(check_figures(workspace, node, name, &own));
        }
    }
    analysis.diagnostics.extend(diagnostics);
    analysis.note_names(&mut run);
    let (uses, part_uses) = index(&evaluated.part);
    let mut model = Model {
        name: name.into(),
        item: node,
        is_model: item.is_model(),
        symbols: run.symbols,
        arguments: run.arguments,
        expects_other_sizes: run.expectation_failed,
        part: evaluated.part.clone(),
        quantization: None,
        ignored: setting.ignored.to_vec(),
        only: setting.only.to_vec(),
        counted: setting.count.map(|convention| Counted { convention, batch: run.batch }),
        totals: evaluated.part.totals,
        samples,
        uses,
        part_uses,
    };
    if let Some(counted) = model.counted {
        model.totals = seen::totals(&model, counted.convention);
    }
    analysis.models.push(model);
}

fn check_names(
    workspace: &Workspace,
    file: FileId,
    item: ast::Item<'_>,
    setting: &Setting,
    analysis: &mut Analysis,
    used: &mut FxHashSet<NodeRef>,
) {
    let node = NodeRef { file, node: item.id() };
    let mut run = Run::new(workspace, Setting { records: true, ..setting.clone() });
    run.check_names(node, item.name().map_or("", |name| name.text()));
    used.extend(run.used_items.iter().copied().filter(|used| *used != node));
    analysis.diagnostics.append(&mut run.diagnostics);
    analysis.note_names(&mut run);
}

/// What is expected of the work is expected by our own rules of all of it, whatever the user wants to see.
fn check_figures(
    workspace: &Workspace,
    item: NodeRef,
    name: &str,
    own: &Setting,
) -> Vec<Diagnostic> {
    let mut run = Run::new(workspace, Setting { builds: true, costs: true, ..own.clone() });
    run.root(item, name);
    let is_of_figures = |found: &Diagnostic| found.code == Code::Expectation;
    run.diagnostics.into_iter().filter(is_of_figures).collect()
}

/// `expect flops < 600M at N = 1`: a run of its own at those sizes.
fn check_expectations_at(
    workspace: &Workspace,
    item: NodeRef,
    name: &str,
    setting: &Setting,
    mut expectations: Vec<NodeRef>,
) -> Vec<Diagnostic> {
    expectations.dedup();
    let mut diagnostics = Vec::new();
    for node in expectations {
        let Some(line) = ast::Expect::cast(workspace.node(node)) else { continue };
        let mut setting =
            Setting { builds: true, costs: true, expectation: Some(node), ..setting.clone() };
        for size in line.at() {
            let (Some(name), Some(value)) = (size.name(), size.value()) else { continue };
            match value.text().replace('_', "").parse() {
                Ok(value) => {
                    setting.sizes.insert(name.text().into(), value);
                }
                Err(_) => {
                    let place = Place { file: node.file, range: value.range() };
                    let message =
                        format!("a size after `at` is a whole number, not `{}`", value.text());
                    diagnostics.push(Diagnostic::new(Code::WrongValue, place, message));
                }
            }
        }
        let named: Vec<String> =
            line.at().filter_map(|size| Some(size.name()?.text().to_owned())).collect();
        let mut run = Run::new(workspace, setting);
        run.root(item, name);
        let unknown =
            named.iter().find(|name| run.symbols.iter().all(|symbol| symbol.name != **name));
        if let Some(unknown) = unknown {
            let message = format!("the model has no symbol `{unknown}`");
            diagnostics.push(Diagnostic::new(Code::UnknownName, workspace.place(node), message));
        }
        let place = workspace.place(node);
        diagnostics.extend(run.diagnostics.into_iter().filter(|found| found.place == place));
    }
    diagnostics
}

/// The parameters of a model that have no default and are not set.
fn missing_arguments(item: ast::Item<'_>, options: &Options) -> Vec<SmolStr> {
    let missing = item.parameters().filter(|parameter| parameter.default().is_none());
    let names = missing.filter_map(|parameter| Some(SmolStr::new(parameter.path()?.text())));
    names.filter(|name| options.arguments().all(|(set, _)| set != name.as_str())).collect()
}

/// Whether a block can be shown by itself: its parameters have defaults and its inputs sizes.
fn gives_sizes(item: ast::Item<'_>) -> bool {
    if item.parameters().any(|parameter| parameter.default().is_none()) {
        return false;
    }
    let mut known: FxHashSet<&str> =
        item.parameters().filter_map(|parameter| Some(parameter.path()?.text())).collect();
    let mut inputs = 0;
    for line in item.body().into_iter().flat_map(|body| body.lines()) {
        let ast::Line::Input(input) = line else { continue };
        inputs += 1;
        for dim in input
            .shape()
            .and_then(|shape| shape.pattern())
            .into_iter()
            .flat_map(|pattern| pattern.dims())
        {
            match dim {
                ast::Dim::Default { name, .. } => {
                    known.insert(name.text());
                }
                ast::Dim::Expr(expr) => {
                    let names = std::iter::once(expr.syntax()).chain(expr.syntax().descendants());
                    let mut names = names.filter(|node| node.kind() == Kind::NameExpr);
                    if names.any(|name| !known.contains(name.text())) {
                        return false;
                    }
                }
                ast::Dim::Any(_) | ast::Dim::Rest(_) => return false,
            }
        }
    }
    inputs > 0
}

/// Where expectations on sizes stand; one that names a figure is about that.
fn size_expectations(workspace: &Workspace) -> SizeExpectations {
    let mut found = SizeExpectations::None;
    for file in workspace.files() {
        let lines = workspace.parse(file).tree().nodes().filter_map(ast::Expect::cast);
        let about_sizes = |line: &ast::Expect<'_>| {
            line.expr().is_some_and(|expr| FIGURES.iter().all(|figure| !mentions(expr, figure)))
        };
        for line in lines.filter(about_sizes) {
            let item = line.syntax().ancestors().find_map(ast::Item::cast);
            match item.is_some_and(|item| item.is_model()) {
                true if found == SizeExpectations::None => found = SizeExpectations::InModels,
                true => {}
                false => found = SizeExpectations::InBlocks,
            }
        }
    }
    found
}

/// The files that a file uses: each must be there, have the names taken from it, and not use back.
fn check_uses(workspace: &Workspace, file: FileId, diagnostics: &mut Vec<Diagnostic>) {
    for item in workspace.parse(file).file().uses() {
        let Some(path) = item.path() else { continue };
        let place = Place { file, range: path.range() };
        let text = unquote(path.text());
        let Some(other) = workspace.resolve(file, text) else {
            let message = format!("there is no file `{text}` beside this one");
            diagnostics.push(Diagnostic::new(Code::MissingFile, place, message));
            continue;
        };
        if let Some(circle) = use_circle(workspace, file, other) {
            let names: Vec<&str> = circle.iter().map(|file| workspace.path(*file)).collect();
            let message = format!("these files use each other: {}", names.join(" → "));
            diagnostics.push(Diagnostic::new(Code::UseCircle, place, message));
            continue;
        }
        let has: Vec<&str> = workspace
            .parse(other)
            .file()
            .items()
            .filter_map(|item| Some(item.name()?.text()))
            .collect();
        for name in item.names().filter(|name| !has.contains(&name.text())) {
            let place = Place { file, range: name.range() };
            let message = format!(
                "`{text}` has no model or block `{}`; it has `{}`",
                name.text(),
                has.join("`, `")
            );
            diagnostics.push(Diagnostic::new(Code::NotInFile, place, message));
        }
        let broken = workspace.parse(other).errors().len();
        if broken > 0 {
            let message =
                format!("`{text}` has {broken} syntax error{}", if broken == 1 { "" } else { "s" });
            diagnostics.push(Diagnostic {
                severity: Severity::Warning,
                ..Diagnostic::new(Code::Syntax, place, message)
            });
        }
    }
}

/// The way from a file back to itself through the files that another one uses.
fn use_circle(workspace: &Workspace, file: FileId, next: FileId) -> Option<Vec<FileId>> {
    let mut seen = FxHashSet::default();
    let mut open = vec![vec![file, next]];
    while let Some(way) = open.pop() {
        let last = *way.last()?;
        if last == file {
            return Some(way);
        }
        if !seen.insert(last) {
            continue;
        }
        for item in workspace.parse(last).file().uses() {
            let used = item.path().and_then(|path| workspace.resolve(last, unquote(path.text())));
            open.extend(used.map(|used| [way.clone(), vec![used]].concat()));
        }
    }
    None
}

/// In one file, and in one body, a model or block has a name of its own.
fn check_item_names(workspace: &Workspace, file: FileId, diagnostics: &mut Vec<Diagnostic>) {
    let mut seen: FxHashMap<(Option<syntax::NodeId>, &str), TextRange> = FxHashMap::default();
    for item in workspace.parse(file).tree().nodes().filter_map(ast::Item::cast) {
        let Some(name) = item.name() else { continue };
        let around = item.syntax().parent().map(SyntaxNode::id);
        if let Some(first) = seen.insert((around, name.text()), name.range()) {
            let message = format!("`{}` is declared twice", name.text());
            let first = Place { file, range: first };
            let diagnostic =
                Diagnostic::new(Code::GivenTwice, Place { file, range: name.range() }, message);
            diagnostics.push(diagnostic.related(first, "first declared here"));
        }
    }
}

/// `CamelCase` for models and blocks, `snake_case` or short capitals for what they name.
fn check_casing(workspace: &Workspace, file: FileId, diagnostics: &mut Vec<Diagnostic>) {
    let is_camel = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_uppercase()) && !name.contains('_')
    };
    let is_snake = |name: &str| !name.contains(|char: char| char.is_ascii_uppercase());
    let is_size =
        |name: &str| name.len() <= 4 && !name.contains(|char: char| char.is_ascii_lowercase());
    let mut hint = |range: TextRange, message: String| {
        diagnostics.push(Diagnostic::new(Code::Casing, Place { file, range }, message));
    };
    for node in workspace.parse(file).tree().nodes() {
        if let Some(name) =
            ast::Item::cast(node).and_then(|item| item.name()).filter(|name| !is_camel(name.text()))
        {
            hint(
                name.range(),
                format!("models and blocks are `CamelCase`; this is `{}`", name.text()),
            );
        }
        let name = match node.kind() {
            Kind::Parameter => {
                ast::Parameter::cast(node).and_then(|p| p.path()).map(|p| (p.text(), p.range()))
            }
            Kind::Let => {
                ast::Let::cast(node).and_then(|line| line.name()).map(|n| (n.text(), n.range()))
            }
            Kind::Input => {
                ast::Input::cast(node).and_then(|line| line.name()).map(|n| (n.text(), n.range()))
            }
            _ => None,
        };
        if let Some((name, range)) = name.filter(|(name, _)| !is_snake(name) && !is_size(name)) {
            hint(
                range,
                format!(
                    "parameters, inputs and `let`s are `snake_case`, or short capitals for a size; this is `{name}`"
                ),
            );
        }
    }
}

fn hint_unused_sizes(
    workspace: &Workspace,
    sizes: FxHashMap<NodeRef, bool>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (node, _) in sizes.into_iter().filter(|(_, used)| !used) {
        let place = workspace.place(node);
        let text = workspace.node(node).text();
        let message = format!("this pattern binds `{text}`, which nothing uses; `_` is any size");
        diagnostics.push(Diagnostic::new(Code::Unused, place, message).fix(
            "Write `_`",
            place,
            "_",
        ));
    }
}

/// One mistake, one message, in the order of the text; a place is never empty.
fn settle(diagnostics: &mut Vec<Diagnostic>) {
    let mut seen = FxHashSet::default();
    diagnostics.retain(|diagnostic| seen.insert((diagnostic.place, diagnostic.code)));
    for diagnostic in diagnostics.iter_mut() {
        let range = &mut diagnostic.place.range;
        if range.is_empty() {
            *range = TextRange::at(range.start(), TextSize::new(1));
        }
    }
    diagnostics.sort_by_key(|diagnostic| {
        (diagnostic.place.file, diagnostic.place.range.start(), diagnostic.severity)
    });
}

/// Where a model is written out again.
#[derive(Debug, Clone, Default)]
pub struct Elsewhere<'e> {
    /// A size for each of its symbols.
    pub sizes: &'e [u64],
    /// One of its arguments that has another value.
    pub argument: Option<(&'e str, String)>,
    /// Its modules are built, so that parameters are known.
    pub builds: bool,
}

/// A model's body written out again elsewhere, with the work of its layers; none if something is wrong there.
pub fn instantiate(
    workspace: &Workspace,
    model: &Model,
    options: &Options,
    elsewhere: &Elsewhere<'_>,
) -> Option<Arc<Part>> {
    let names = model.symbols.iter().map(|symbol| symbol.name.clone());
    let mut setting = Setting {
        sizes: names.zip(elsewhere.sizes.iter().copied()).collect(),
        builds: elsewhere.builds,
        costs: true,
        ..Setting::of(options)
    };
    let argument = elsewhere.argument.iter();
    setting.arguments.extend(argument.map(|(name, value)| ((*name).into(), value.clone())));
    let mut run = Run::new(workspace, setting);
    let evaluated = run.root(model.item, &model.name);
    let fails = run.diagnostics.iter().any(|found| found.severity == Severity::Error);
    (!fails).then(|| evaluated.part.clone())
}
