//! A symbol is a promise: the model is run again at other sizes (`language.md` §4).
//!
//! What differs there shows which dimensions follow a symbol; what fails there is an error with
//! its smallest counterexample.

use std::{rc::Rc, sync::Arc};

use layers::TensorType;
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use smol_str::SmolStr;
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::{
    Code, Diagnostic, Fix, NodeRef, Part, Place, Step, Symbol, What, Workspace,
    evaluate::{Evaluated, Run, Setting, SizeExpectations},
    rows,
};

/// How far from the shown size an allowed one is looked for.
const REACH: u64 = 4096;

/// How far it is looked for on one side before the other is tried.
const NEAR: u64 = 64;

/// The other sizes at which a model was run, and what its tensors are there.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    /// For each run the sizes of the symbols.
    pub sizes: Vec<Vec<u64>>,
    /// For each step by its number, and each run, what it takes and gives there.
    pub steps: Vec<SmallVec<[Sample; 4]>>,
    /// The blocks of which two uses are equal at the sizes shown only.
    pub differing: FxHashSet<NodeRef>,
}

/// What a step takes and gives at other sizes.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The inputs, then the outputs.
    types: SmallVec<[Arc<TensorType>; 2]>,
    inputs: u32,
    /// It is the layer that is shown, with all its sizes.
    pub same_layer: bool,
}

impl Sample {
    fn new(shown: &Step, other: &Step) -> Sample {
        let same_layer = match (&shown.what, &other.what) {
            (What::Layer(shown), What::Layer(other)) => shown.layer.same(&*other.layer),
            _ => false,
        };
        let inputs = other.inputs.iter().map(|input| input.ty.clone());
        let outputs = other.outputs.iter().map(|output| output.ty.clone());
        let types = inputs.chain(outputs).collect();
        Sample { types, inputs: other.inputs.len() as u32, same_layer }
    }

    /// Makes it what it is in all uses of its part: a size that is another one in another use follows no symbol, so
    /// it is that of the shown run. Whether there was such a size.
    fn merge(&mut self, shown: &Step, other: &Step) -> bool {
        let there = Sample::new(shown, other);
        if self.types == there.types {
            self.same_layer &= there.same_layer;
            return false;
        }
        self.same_layer = false;
        let inputs = shown.inputs.iter().map(|input| &input.ty);
        let all = inputs.chain(shown.outputs.iter().map(|output| &output.ty));
        if self.inputs != there.inputs || self.types.len() != there.types.len() {
            (self.types, self.inputs) = (all.cloned().collect(), shown.inputs.len() as u32);
            return true;
        }
        for ((own, there), shown) in self.types.iter_mut().zip(&there.types).zip(all) {
            if own == there {
                continue;
            }
            let sizes = own.shape.iter().zip(there.shape.iter()).zip(shown.shape.iter());
            let agreed =
                sizes.map(|((own, there), shown)| if own == there { *own } else { *shown });
            let shape = match own.shape.len() == there.shape.len() {
                true => agreed.collect::<Vec<u64>>().into(),
                false => shown.shape.clone(),
            };
            *own = Arc::new(TensorType { dtype: own.dtype, shape });
        }
        true
    }

    /// What it takes.
    pub fn inputs(&self) -> &[Arc<TensorType>] {
        &self.types[..self.inputs as usize]
    }

    /// What it gives.
    pub fn outputs(&self) -> &[Arc<TensorType>] {
        &self.types[self.inputs as usize..]
    }
}

/// A model and how it was run.
pub(crate) struct Promise<'w, 'a> {
    pub workspace: &'w Workspace,
    pub item: NodeRef,
    pub name: &'a str,
    pub setting: &'a Setting,
    pub symbols: &'a [Symbol],
    /// What is wrong at the shown sizes already.
    pub known: &'a [Diagnostic],
}

impl<'w> Promise<'w, '_> {
    /// Runs the model at four other sizes; gives what was seen and what is wrong there.
    pub fn check(&self, shown: &Arc<Part>) -> (Samples, Vec<Diagnostic>) {
        let mut samples = Samples::default();
        let mut diagnostics = Vec::new();
        let expects_less = self.known.iter().any(|known| known.code == Code::Expectation);
        if self.symbols.is_empty() || (expects_less && !self.shown_is_allowed()) {
            return (samples, diagnostics);
        }
        let (choices, fixed) = self.choose_sizes();
        diagnostics.extend(fixed);
        let mut compared = Compared::default();
        let is_error = |known: &Diagnostic| known.severity == crate::Severity::Error;
        compared.after_mistake = self.known.iter().any(is_error);
        for sizes in choices {
            let (run, evaluated) = self.run(&sizes);
            self.report_new(&run.diagnostics, &sizes, &mut diagnostics);
            if run.diagnostics.iter().all(|found| self.is_known(found)) {
                compared.parts(shown, &evaluated.part, &mut samples);
                let differing = compared.differing.take();
                diagnostics
                    .extend(differing.and_then(|step| self.sized_parameter(&step, &sizes, shown)));
                samples.sizes.push(sizes);
            }
        }
        let runs = samples.sizes.len();
        samples.steps.iter_mut().filter(|steps| steps.len() != runs).for_each(SmallVec::clear);
        (samples, diagnostics)
    }

    /// Whether the shown sizes hold what the model expects of them; if not, that was said.
    fn shown_is_allowed(&self) -> bool {
        self.allows(&self.symbols.iter().map(|symbol| symbol.size).collect::<Vec<_>>())
    }

    /// What to evaluate at other sizes: shapes only.
    fn setting_at(&self, sizes: &[u64]) -> Setting {
        let named =
            self.symbols.iter().map(|symbol| symbol.name.clone()).zip(sizes.iter().copied());
        Setting {
            sizes: named.collect(),
            builds: false,
            costs: false,
            records: false,
            ..self.setting.clone()
        }
    }

    fn run(&self, sizes: &[u64]) -> (Run<'w>, Rc<Evaluated>) {
        let mut run = Run::new(self.workspace, self.setting_at(sizes));
        let evaluated = run.root(self.item, self.name);
        (run, evaluated)
    }

    fn is_known(&self, found: &Diagnostic) -> bool {
        self.known.iter().any(|known| known.place == found.place && known.code == found.code)
    }

    // Which sizes.

    /// Four choices of sizes: one, two, three more than shown in some order, and about a third more;
    /// all symbols differ from each other and from 1. And hints for symbols that cannot vary.
    fn choose_sizes(&self) -> (Vec<Vec<u64>>, Vec<Diagnostic>) {
        let shown: Vec<u64> = self.symbols.iter().map(|symbol| symbol.size).collect();
        let mut fixed = FxHashSet::default();
        let mut hints = Vec::new();
        let mut taken: Vec<FxHashSet<u64>> =
            shown.iter().map(|size| [*size, 1].into_iter().collect()).collect();
        let mut choices = Vec::new();
        for step in 0..4 {
            let mut sizes = shown.clone();
            for index in 0..shown.len() {
                if fixed.contains(&index) {
                    continue;
                }
                // Each symbol moves by another number, so that no two keep their distance.
                let own = index as u64;
                let more = if step < 3 {
                    1 + (step + own) % 3 + 3 * (own / 3)
                } else {
                    (shown[index] as f64 * 0.37).round().max(4.0) as u64 + own
                };
                let wanted = shown[index].saturating_add(more);
                match self.allowed_near(&shown, index, wanted, &taken[index], &sizes[..index]) {
                    Some(size) => {
                        taken[index].insert(size);
                        sizes[index] = size;
                    }
                    None if taken[index].len() > 2 => {}
                    None => {
                        fixed.insert(index);
                        hints.push(self.is_fixed(&self.symbols[index]));
                    }
                }
            }
            // Each symbol may vary alone; if not all of them together, the others stay as shown.
            if sizes != shown && self.allows(&sizes) {
                choices.push(sizes);
            } else if let Some(index) =
                (0..shown.len()).find(|index| sizes[*index] != shown[*index])
            {
                let mut alone = shown.clone();
                alone[index] = sizes[index];
                choices.push(alone);
            }
        }
        choices.dedup();
        (choices, hints)
    }

    /// The allowed size of one symbol nearest to the wanted one, above if possible.
    fn allowed_near(
        &self,
        shown: &[u64],
        index: usize,
        wanted: u64,
        taken: &FxHashSet<u64>,
        others: &[u64],
    ) -> Option<u64> {
        let mut sizes = shown.to_vec();
        let mut fits = |size: u64| {
            sizes[index] = size;
            !taken.contains(&size) && !others.contains(&size) && self.allows(&sizes)
        };
        let least = shown[index];
        let above = |from: u64, to: u64| wanted.saturating_add(from)..wanted.saturating_add(to);
        let below = |from: u64, to: u64| {
            (least.saturating_sub(to).max(1)..least.saturating_sub(from).max(1)).rev()
        };
        above(0, NEAR)
            .find(|size| fits(*size))
            .or_else(|| below(0, NEAR).find(|size| fits(*size)))
            .or_else(|| above(NEAR, REACH).find(|size| fits(*size)))
            .or_else(|| below(NEAR, REACH).find(|size| fits(*size)))
    }

    /// Whether the expectations of the model's body allow these sizes.
    fn allows(&self, sizes: &[u64]) -> bool {
        if self.setting.size_expectations == SizeExpectations::None {
            return true;
        }
        let setting = Setting {
            only_expectations: self.setting.size_expectations == SizeExpectations::InModels,
            ..self.setting_at(sizes)
        };
        let mut run = Run::new(self.workspace, setting);
        run.root(self.item, self.name);
        !run.expectation_failed
    }

    fn is_fixed(&self, symbol: &Symbol) -> Diagnostic {
        let Symbol { name, size, node } = symbol;
        let message = format!(
            "the expectations allow no other `{name}` near {size}, so it is fixed: write `{size}`"
        );
        let place = self.workspace.place(*node);
        Diagnostic::new(Code::FixedSymbol, place, message).fix(
            format!("Write `{size}`"),
            place,
            size.to_string(),
        )
    }

    // What fails there.

    /// Reports what is wrong at other sizes only: the first mistake, as the rest may follow from it.
    fn report_new(&self, found: &[Diagnostic], sizes: &[u64], diagnostics: &mut Vec<Diagnostic>) {
        let Some(first) = found
            .iter()
            .find(|found| !self.is_known(found) && found.code.severity() == crate::Severity::Error)
        else {
            return;
        };
        if diagnostics.iter().any(|reported| reported.place == first.place) {
            return;
        }
        let case = self.smallest_case(first.place, sizes);
        let (sizes, found) = match &case {
            Some((_, sizes, found)) => (sizes.as_slice(), found),
            None => (sizes, first),
        };
        let message = &found.message;
        let shown = self.symbols.iter().zip(sizes).filter(|(symbol, size)| symbol.size != **size);
        let at: Vec<String> =
            shown.map(|(symbol, size)| format!("{} = {size}", symbol.name)).collect();
        let mut message = format!("fails at {}: {message}", at.join(", "));
        let mut diagnostic = Diagnostic::new(Code::Promise, first.place, "");
        let add = |diagnostic: Diagnostic, symbol: &Symbol, expect: &str| {
            let (place, line) = self.added_line(symbol.node, expect);
            diagnostic.fix(format!("Add `{expect}`"), place, line)
        };
        if case.is_none() {
            // Each symbol may vary alone; where one keeps to something, all may vary.
            let way = (0..self.symbols.len())
                .filter(|index| self.symbols[*index].size != sizes[*index])
                .find_map(|index| Some((index, self.ways_out(index, first.place, sizes)?)));
            if let Some((index, expect)) = way {
                message.push_str(&format!(". `{expect}` is enough"));
                diagnostic = add(diagnostic, &self.symbols[index], &expect);
            }
        }
        if let Some((index, ..)) = case {
            let symbol = &self.symbols[index];
            let shown: Vec<u64> = self.symbols.iter().map(|symbol| symbol.size).collect();
            message.push_str(&format!(". Write `{}` for `{}`", symbol.size, symbol.name));
            if let Some(expect) = self.ways_out(index, first.place, &shown) {
                message.push_str(&format!(", or `{expect}`"));
                diagnostic = add(diagnostic, symbol, &expect);
            }
            let declared = self.workspace.place(symbol.node);
            diagnostic =
                diagnostic.related(declared, format!("`{}` promises any size", symbol.name));
            diagnostic.fixes.push(Fix {
                title: format!("Write `{}` for `{}`", symbol.size, symbol.name),
                edits: self.fixed(symbol),
            });
        }
        diagnostic.message = message;
        diagnostic.related.splice(0..0, found.related.iter().cloned());
        diagnostics.push(diagnostic);
    }

    /// One symbol at one other size that is enough to fail at a place, with what is said there.
    fn smallest_case(
        &self,
        place: Place,
        failing: &[u64],
    ) -> Option<(usize, Vec<u64>, Diagnostic)> {
        let shown: Vec<u64> = self.symbols.iter().map(|symbol| symbol.size).collect();
        for index in 0..shown.len() {
            let tries = [1, 2, 3].map(|more| shown[index].saturating_add(more));
            let mut tries: Vec<u64> = tries
                .into_iter()
                .chain([failing[index]])
                .filter(|size| *size != shown[index])
                .collect();
            tries.sort_unstable();
            tries.dedup();
            for size in tries {
                let mut sizes = shown.clone();
                sizes[index] = size;
                if let Some(found) = self.failure(&sizes, place) {
                    return Some((index, sizes, found));
                }
            }
        }
        None
    }

    fn failure(&self, sizes: &[u64], place: Place) -> Option<Diagnostic> {
        if !self.allows(sizes) {
            return None;
        }
        let (run, _) = self.run(sizes);
        run.diagnostics.into_iter().find(|found| found.place == place && !self.is_known(found))
    }

    /// The expectation under which a symbol may vary while the others have these sizes, if a simple one is found.
    /// It is tried at sizes that it and the other expectations allow, on both sides of the shown one.
    fn ways_out(&self, index: usize, place: Place, others: &[u64]) -> Option<String> {
        let Symbol { name, size: shown, .. } = &self.symbols[index];
        let mut found: FxHashMap<u64, Option<bool>> = FxHashMap::default();
        // Whether nothing fails at a size; `None` if it is not allowed.
        let mut holds = |size: u64| {
            *found.entry(size).or_insert_with(|| {
                let mut sizes = others.to_vec();
                sizes[index] = size;
                self.allows(&sizes).then(|| self.failure(&sizes, place).is_none())
            })
        };
        let mut keeps = |sizes: &mut dyn Iterator<Item = u64>| {
            let mut tried = 0;
            for size in sizes.filter(|size| *size > 0 && size != shown) {
                match holds(size) {
                    Some(false) => return false,
                    Some(true) => tried += 1,
                    None => {}
                }
            }
            tried > 1
        };
        for divisor in (2..=64).filter(|divisor| shown.is_multiple_of(*divisor)) {
            let steps = [1, 2, 3, 5, 7].map(|times| times * divisor);
            let above = steps.iter().map(|step| shown.saturating_add(*step));
            let below = steps.iter().filter_map(|step| shown.checked_sub(*step));
            if keeps(&mut above.chain(below)) {
                return Some(format!("expect {name} % {divisor} == 0"));
            }
        }
        let smaller = [1, 2, 3, 5, 7].into_iter().filter_map(|less| shown.checked_sub(less));
        keeps(&mut smaller.chain([shown / 2, shown / 3]))
            .then(|| format!("expect {name} <= {shown}"))
    }

    /// The edits that write a symbol's size in its place, and wherever the model reads it.
    fn fixed(&self, symbol: &Symbol) -> Vec<(Place, String)> {
        let file = symbol.node.file;
        let mut edits = vec![(self.workspace.place(symbol.node), symbol.size.to_string())];
        let is_of_model = |node: SyntaxNode<'_>| {
            let mut around = std::iter::successors(node.parent(), |node| node.parent());
            around.find_map(ast::Item::cast).is_some_and(|item| item.id() == self.item.node)
        };
        let reads = |node: &SyntaxNode<'_>| {
            node.kind() == Kind::NameExpr && node.text() == symbol.name && is_of_model(*node)
        };
        let read = self.workspace.node(self.item).descendants().filter(reads);
        edits.extend(
            read.map(|node| (Place { file, range: node.range() }, symbol.size.to_string())),
        );
        edits
    }

    /// The edit that adds a line after that on which a symbol is declared.
    fn added_line(&self, symbol: NodeRef, line: &str) -> (Place, String) {
        let text = self.workspace.parse(symbol.file).text();
        let declared = self.workspace.place(symbol);
        let input = std::iter::successors(Some(self.workspace.node(symbol)), |node| node.parent())
            .find(|node| ast::Input::cast(*node).is_some());
        let end = input.map_or(declared.range.end(), |input| input.range().end());
        let rest = text[usize::from(end)..].split('\n').next().unwrap_or_default();
        let at = |offset| Place { range: TextRange::empty(offset), ..declared };
        if !rest.trim().is_empty() && !rest.trim_start().starts_with('#') {
            return (at(end), format!("; {line}"));
        }
        let start = usize::from(declared.range.start());
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[line_start..].chars().take_while(|char| *char == ' ').collect();
        (at(end + TextSize::of(rest)), format!("\n{indent}{line}"))
    }

    /// A parameter that has another shape at other sizes.
    fn sized_parameter(
        &self,
        step: &Differing,
        sizes: &[u64],
        shown: &Arc<Part>,
    ) -> Option<Diagnostic> {
        let changed = self.symbols.iter().zip(sizes).filter(|(symbol, size)| symbol.size != **size);
        let at: Vec<String> =
            changed.map(|(symbol, size)| format!("{} = {size}", symbol.name)).collect();
        let place = self.workspace.place(step.node);
        if self.known.iter().any(|known| known.place == place) {
            return None;
        }
        let followed: Vec<&Symbol> = (0..sizes.len())
            .filter(|index| self.follows(step.node, *index, sizes, shown))
            .map(|index| &self.symbols[index])
            .collect();
        let ways: Vec<String> = followed
            .iter()
            .map(|symbol| format!("`{}` for `{}`", symbol.size, symbol.name))
            .collect();
        let way = match ways.is_empty() {
            true => String::new(),
            false => format!(". A checkpoint fits one size: write {}", ways.join(" and ")),
        };
        let message = format!(
            "the parameters of this step follow a symbol: {} at the shown sizes, {} at {}{way}",
            step.shown,
            step.other,
            at.join(", ")
        );
        let mut diagnostic = Diagnostic::new(Code::SizedParameter, place, message);
        for symbol in &followed {
            let declared = self.workspace.place(symbol.node);
            diagnostic =
                diagnostic.related(declared, format!("`{}` promises any size", symbol.name));
        }
        let edits: Vec<(Place, String)> =
            followed.iter().flat_map(|symbol| self.fixed(symbol)).collect();
        if !edits.is_empty() {
            diagnostic.fixes.push(Fix { title: format!("Write {}", ways.join(" and ")), edits });
        }
        Some(diagnostic)
    }

    /// Whether the parameters of a node's steps change with one symbol alone.
    fn follows(&self, node: NodeRef, index: usize, sizes: &[u64], shown: &Arc<Part>) -> bool {
        let mut alone: Vec<u64> = self.symbols.iter().map(|symbol| symbol.size).collect();
        if alone[index] == sizes[index] {
            return false;
        }
        alone[index] = sizes[index];
        let (_, evaluated) = self.run(&alone);
        let mut compared = Compared::default();
        compared.parts(shown, &evaluated.part, &mut Samples::default());
        compared.differing.is_some_and(|step| step.node == node)
    }
}

/// A step whose parameters differ between two runs.
struct Differing {
    node: NodeRef,
    shown: String,
    other: String,
}

/// Compares a run with the shown one, pair of parts by pair.
#[derive(Default)]
struct Compared {
    differing: Option<Differing>,
    /// Something is wrong at the shown sizes.
    after_mistake: bool,
}

impl Compared {
    fn parts(&mut self, shown: &Arc<Part>, other: &Arc<Part>, samples: &mut Samples) {
        let (differing, after_mistake) = (&mut self.differing, self.after_mistake);
        let mut walk = Walk { differing, after_mistake, samples, seen: FxHashSet::default() };
        walk.parts(shown, other);
    }
}

struct Walk<'c> {
    differing: &'c mut Option<Differing>,
    after_mistake: bool,
    samples: &'c mut Samples,
    seen: FxHashSet<(*const Part, *const Part)>,
}

impl Walk<'_> {
    fn parts(&mut self, shown: &Arc<Part>, other: &Arc<Part>) {
        if self.seen.insert((Arc::as_ptr(shown), Arc::as_ptr(other))) {
            self.steps(&shown.steps, &other.steps, (shown, other));
        }
    }

    fn steps(&mut self, shown: &[Arc<Step>], other: &[Arc<Step>], parts: (&Part, &Part)) {
        let alike = shown.len() == other.len()
            && shown.iter().zip(other).all(|(shown, other)| shown.node == other.node);
        if !alike {
            // The steps differ, as with a condition on a size; the parameters may not. After a mistake some
            // are not there.
            if !self.after_mistake {
                self.parameter_lists(parts);
            }
            return;
        }
        for (shown, other) in shown.iter().zip(other) {
            self.note(parts.0.item, shown, other);
            match (&shown.what, &other.what) {
                (What::Part(shown), What::Part(other)) => self.parts(shown, other),
                (
                    What::Group(_) | What::Splice(_) | What::Expert(_),
                    What::Group(_) | What::Splice(_) | What::Expert(_),
                ) => {
                    self.steps(shown.children(), other.children(), parts);
                }
                (What::Layer(used), What::Layer(there))
                    if !used.layer.same(&*there.layer) && used.is_module() =>
                {
                    let dtype =
                        shown.outputs.first().map_or(layers::DType::F32, |output| output.ty.dtype);
                    let built = |layer| layers::parameters(layer, dtype).unwrap_or_default();
                    self.differ(shown.node, &built(&*used.layer), &built(&*there.layer));
                }
                (What::Declared(tensor), What::Declared(there)) => {
                    self.differ(
                        shown.node,
                        std::slice::from_ref(tensor),
                        std::slice::from_ref(there),
                    );
                }
                _ => {}
            }
        }
    }

    fn note(&mut self, item: NodeRef, shown: &Step, other: &Step) {
        let (number, run) = (shown.id as usize, self.samples.sizes.len());
        let steps = &mut self.samples.steps;
        if steps.len() <= number {
            steps.resize(number + 1, SmallVec::new());
        }
        let runs = &mut steps[number];
        if let Some(known) = runs.get_mut(run) {
            if known.merge(shown, other) {
                self.samples.differing.insert(item);
            }
        } else if runs.len() == run {
            runs.push(Sample::new(shown, other));
        }
    }

    fn differ(
        &mut self,
        node: NodeRef,
        shown: &[layers::ParameterTensor],
        other: &[layers::ParameterTensor],
    ) {
        if shown == other || self.differing.is_some() {
            return;
        }
        let list = |tensors: &[layers::ParameterTensor]| {
            let shapes: Vec<String> =
                tensors.iter().map(|tensor| format!("{}{}", tensor.name, tensor.shape)).collect();
            if shapes.is_empty() { "none".to_owned() } else { shapes.join(", ") }
        };
        *self.differing = Some(Differing { node, shown: list(shown), other: list(other) });
    }

    /// Compares two parts with different steps by the paths and shapes of their parameters.
    fn parameter_lists(&mut self, (shown, other): (&Part, &Part)) {
        let list = |part: &Part| {
            let mut list: Vec<(String, NodeRef, String)> = Vec::new();
            rows::visit(part, &mut |row| {
                let mut push = |name: &str, shape: String| {
                    list.push((format!("{}.{name}", row.path), row.step.node, shape))
                };
                match &row.step.what {
                    What::Layer(used) if used.is_module() && !row.step.reused => {
                        for tensor in
                            layers::parameters(&*used.layer, layers::DType::F32).unwrap_or_default()
                        {
                            push(&tensor.name, tensor.shape.to_string());
                        }
                    }
                    What::Declared(tensor) => push("", tensor.shape.to_string()),
                    _ => {}
                }
                std::ops::ControlFlow::Continue(())
            });
            list
        };
        let (shown, other) = (list(shown), list(other));
        let of = |list: &[(String, NodeRef, String)]| -> FxHashSet<(SmolStr, SmolStr)> {
            list.iter()
                .map(|(path, _, shape)| (path.as_str().into(), shape.as_str().into()))
                .collect()
        };
        let (here, there) = (of(&shown), of(&other));
        let only_here = shown.iter().find(|(path, _, shape)| {
            !there.contains(&(path.as_str().into(), shape.as_str().into()))
        });
        let only_there = other.iter().find(|(path, _, shape)| {
            !here.contains(&(path.as_str().into(), shape.as_str().into()))
        });
        if let Some((path, node, shape)) = only_here.or(only_there)
            && self.differing.is_none()
        {
            let (with, without) = (format!("{path}{shape}"), "none".to_owned());
            let (shown, other) =
                if only_here.is_some() { (with, without) } else { (without, with) };
            *self.differing = Some(Differing { node: *node, shown, other });
        }
    }
}
