//! Writing a model out at certain sizes.
//!
//! A [`Run`] reads the tree directly, with plain whole numbers, and gives the written-out model
//! and the diagnostics met on the way. The same run at other sizes shows which dimensions follow a
//! symbol (`promise`), and what a figure is as a function of it (`growth`).

mod braces;
mod expectations;
mod expressions;
mod frame;
mod functions;
mod items;
mod labels;
mod layers_used;
mod lines;
mod literal;
mod names;
mod paths;
mod patterns;
mod postfix;
mod pytorch_calls;
mod scalars;
mod scope;
mod spellings;
mod steps;
mod tensors;
mod value;

use std::{cell::RefCell, hash::Hash, rc::Rc, sync::Arc};

use conventions::Convention;
use layers::DType;
use rustc_hash::{FxHashMap, FxHashSet};
use smol_str::SmolStr;
use syntax::ast;

pub use expectations::FIGURES;
pub(crate) use expectations::mentions;
pub(crate) use frame::Evaluated;
pub(crate) use literal::parse_value;
use value::Callee;
use value::Scope;
pub(crate) use value::Value;

use crate::{
    Code, Definition, Diagnostic, FileId, Latency, NodeRef, Options, ParameterPath, Place,
    Severity, Symbol, Workspace, written::Stack,
};

/// The most steps that are written out, lists and parts counted once.
pub(crate) const MAX_STEPS: usize = 100_000;

/// The most diagnostics of one run.
const MAX_DIAGNOSTICS: usize = 200;

/// What a run is for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Setting {
    /// Sizes of symbols that differ from those shown.
    pub sizes: FxHashMap<SmolStr, u64>,
    /// What the user gives symbols and the model's parameters, as it was written.
    pub arguments: Vec<(SmolStr, String)>,
    /// Overrides the model's dtype.
    pub dtype: Option<DType>,
    /// Kinds of layers whose work is not counted.
    pub ignored: Rc<[String]>,
    /// The only kinds whose work counts; all if there are none.
    pub only: Rc<[String]>,
    /// Whose rules count the work.
    pub count: Option<&'static Convention>,
    /// What was measured.
    pub latencies: Rc<[Latency]>,
    /// Builds the modules to learn their parameters.
    pub builds: bool,
    /// Computes the work of each layer.
    pub costs: bool,
    /// Keeps what names mean, for hover.
    pub records: bool,
    /// Which expectations say what sizes a model takes.
    pub size_expectations: SizeExpectations,
    /// Layers whose arguments are all literals, shared between the runs of one analysis.
    pub constants: Constants,
    /// Evaluates only the expectations of the model's own body, and no step.
    pub only_expectations: bool,
    /// Evaluates only this expectation, whose `at` gave the sizes.
    pub expectation: Option<NodeRef>,
    /// Writes out every use of a block anew, to try the memo.
    pub forgets: bool,
    /// Blocks of which two places share nothing, as they follow other symbols there.
    pub apart: Rc<FxHashSet<NodeRef>>,
}

impl Setting {
    /// Whether all work counts, by our own rules.
    pub fn is_by_own_rules(&self) -> bool {
        self.count.is_none() && self.ignored.is_empty() && self.only.is_empty()
    }

    /// The same with all work counted by our own rules.
    pub fn by_own_rules(&self) -> Setting {
        Setting { ignored: Rc::new([]), only: Rc::new([]), count: None, ..self.clone() }
    }

    /// What the user has set. Everything else is off.
    pub fn of(options: &Options) -> Setting {
        let arguments = options.arguments().map(|(name, value)| (name.into(), value.to_owned()));
        Setting {
            arguments: arguments.collect(),
            dtype: options.dtype,
            ignored: options.ignore.clone().into(),
            only: options.only.clone().into(),
            count: options.count,
            latencies: options.latencies.clone().into(),
            forgets: options.without_memo,
            ..Setting::default()
        }
    }
}

/// Recipes by the nodes that wrote them.
pub(crate) type Constants = Rc<RefCell<FxHashMap<NodeRef, Rc<value::Recipe>>>>;

/// Where expectations on sizes stand, so that other sizes are chosen with as little work as can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum SizeExpectations {
    #[default]
    None,
    /// In the bodies of models: their inputs and `let`s decide.
    InModels,
    /// In blocks too: the steps that lead there must be run.
    InBlocks,
}

/// One walk through a model.
pub(crate) struct Run<'w> {
    pub workspace: &'w Workspace,
    pub setting: Setting,
    pub diagnostics: Vec<Diagnostic>,
    /// Where errors were reported, and which hints.
    reported: FxHashSet<(Place, Option<Code>)>,
    /// Scopes that hold themselves.
    cycles: scope::Cycles,
    /// The items whose bodies are being written out, with the place of each use.
    calls: Vec<(NodeRef, NodeRef)>,
    memo: FxHashMap<MemoKey, Rc<Evaluated>>,
    /// The names at the top of each file.
    files: FxHashMap<FileId, Rc<FxHashMap<SmolStr, NodeRef>>>,
    steps: usize,
    next_id: u32,
    too_large: bool,
    /// Inside something that does not happen: only names are checked.
    checking: usize,
    /// The dtype of the model that is being written out, and whether somebody chose it.
    dtype: DType,
    dtype_is_set: bool,
    /// Inside experts whose parameters are stacked.
    stack: Option<Stack>,
    /// The first size of the model's input, if it has just one.
    pub batch: u64,
    pub symbols: Vec<Symbol>,
    pub arguments: Vec<(SmolStr, String)>,
    /// Expectations with `at`, to be evaluated in runs of their own.
    pub expectations_at: Vec<NodeRef>,
    pub definitions: FxHashMap<NodeRef, Definition>,
    /// What names that are given stand for: `let`s, parameters, dimensions, labels.
    pub scalars: FxHashMap<NodeRef, String>,
    /// Sizes that steps' patterns bind, and which of them are used.
    pub bound: FxHashMap<NodeRef, bool>,
    /// Items that were used or evaluated.
    pub used_items: FxHashSet<NodeRef>,
    /// Whether an expectation on sizes failed.
    pub expectation_failed: bool,
}

/// All that an evaluated body depends on. Whatever changes an answer belongs here.
#[derive(PartialEq, Eq)]
struct MemoKey {
    item: NodeRef,
    scope: Option<ScopeKey>,
    arguments: Vec<(Option<SmolStr>, Value)>,
    /// The types of what flows in, where it lives if it is a parameter, and the first input that is the same tensor.
    inputs: Vec<(Arc<layers::TensorType>, Option<ParameterPath>, usize)>,
    dtype: DType,
    stack: Option<Stack>,
    /// By which some conventions count.
    batch: u64,
    is_root: bool,
    /// Where it is used, if that makes a difference.
    place: Option<NodeRef>,
    /// Of what does not happen only the names are checked, and nothing else is reported.
    is_checked_only: bool,
}

/// The scope around a block inside another; kept, so that its address stays its own.
struct ScopeKey {
    scope: Rc<Scope>,
    /// How many names the block may see there by now.
    names: usize,
    /// How many parts further out it is.
    levels: usize,
}

impl PartialEq for ScopeKey {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.scope, &other.scope)
            && (self.names, self.levels) == (other.names, other.levels)
    }
}

impl Eq for ScopeKey {}

impl Hash for MemoKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.item.hash(state);
        self.arguments.hash(state);
        self.inputs.hash(state);
    }
}

impl<'w> Run<'w> {
    pub fn new(workspace: &'w Workspace, setting: Setting) -> Run<'w> {
        Run {
            cycles: Default::default(),
            workspace,
            setting,
            diagnostics: Vec::new(),
            reported: FxHashSet::default(),
            calls: Vec::new(),
            memo: FxHashMap::default(),
            files: FxHashMap::default(),
            steps: 0,
            next_id: 0,
            too_large: false,
            checking: 0,
            dtype: crate::written::DEFAULT_DTYPE,
            dtype_is_set: false,
            stack: None,
            batch: 1,
            symbols: Vec::new(),
            arguments: Vec::new(),
            expectations_at: Vec::new(),
            definitions: FxHashMap::default(),
            scalars: FxHashMap::default(),
            bound: FxHashMap::default(),
            used_items: FxHashSet::default(),
            expectation_failed: false,
        }
    }

    /// Writes out a model, or a block whose input gives sizes, by itself.
    pub fn root(&mut self, item: NodeRef, name: &str) -> Rc<Evaluated> {
        self.used_items.insert(item);
        let callee = Callee::Item { item, name: name.into(), scope: None };
        self.write_out(&callee, &[], &[], true, item)
    }

    /// Checks the names in a block that nobody uses.
    pub fn check_names(&mut self, item: NodeRef, name: &str) {
        self.checking += 1;
        self.root(item, name);
        self.checking -= 1;
    }

    fn item(&self, item: NodeRef) -> Option<ast::Item<'w>> {
        ast::Item::cast(self.workspace.node(item))
    }

    fn place(&self, node: NodeRef) -> Place {
        self.workspace.place(node)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        if self.too_large || (self.checking > 0 && !diagnostic.code.is_about_names()) {
            return;
        }
        let full = self.diagnostics.len() >= MAX_DIAGNOSTICS;
        // Another use of a block may fail otherwise at the same place, which is the same mistake.
        let is_error = diagnostic.severity == Severity::Error;
        let key = (diagnostic.place, (!is_error).then_some(diagnostic.code));
        if full || !self.reported.insert(key) {
            return;
        }
        let mut diagnostic = diagnostic;
        // The first entry is the model itself; a block says where it is used.
        if let Some((item, call)) = self.calls.get(1..).and_then(<[_]>::last) {
            let name = self.item(*item).and_then(|item| item.name()).map_or("", |name| name.text());
            diagnostic = diagnostic.related(self.place(*call), format!("in this use of `{name}`"));
        }
        self.diagnostics.push(diagnostic);
    }

    fn error(&mut self, code: Code, node: NodeRef, message: impl Into<String>) {
        let place = self.place(node);
        self.report(Diagnostic::new(code, place, message));
    }

    /// Counts a step; false once there are too many.
    fn count_steps(&mut self, count: usize, node: NodeRef) -> bool {
        self.steps = self.steps.saturating_add(count);
        if self.steps > MAX_STEPS && !self.too_large {
            let message = format!("this writes out more than {MAX_STEPS} steps");
            self.error(Code::TooLarge, node, message);
            self.too_large = true;
        }
        !self.too_large
    }

    fn next_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    fn define(
        &mut self,
        file: FileId,
        used: syntax::NodeId,
        definition: impl FnOnce() -> Definition,
    ) {
        if self.setting.records {
            let node = NodeRef { file, node: used };
            self.definitions.entry(node).or_insert_with(definition);
        }
    }

    fn note_scalar(&mut self, node: NodeRef, value: &Value) {
        if self.setting.records && !value.is_unknown() {
            self.scalars.entry(node).or_insert_with(|| value.to_string());
        }
    }
}
