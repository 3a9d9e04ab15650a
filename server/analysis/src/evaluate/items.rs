//! Writing out a model or block: parameters bound, lines walked, sums made.

use std::{rc::Rc, sync::Arc};

use conventions::Convention;
use layers::{Called, Overflow, TensorType};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, FileId, NodeRef, Part, Stated, Step, Totals, What,
    evaluate::{
        Evaluated, MemoKey, Run, ScopeKey,
        frame::{Frame, Label, Level, Pending, StatedLines},
        literal::parse_value,
        value::{Argument, Binding, Callee, LabelId, Named, Origin, Recipe, Scope, Tensor, Value},
    },
    workspace::unquote,
    written::{DEFAULT_DTYPE, Memory, Source, StepPath},
};

/// How deep blocks may use blocks.
const MAX_CALLS: usize = 128;

impl<'w> Run<'w> {
    /// The models and blocks that a file can name: its own, and those it uses.
    pub(crate) fn top_level(&mut self, file: FileId) -> Rc<FxHashMap<SmolStr, NodeRef>> {
        if let Some(names) = self.files.get(&file) {
            return names.clone();
        }
        let names = Rc::new(top_level(self.workspace, file));
        self.files.insert(file, names.clone());
        names
    }

    /// Writes out a model or block with arguments on inputs.
    pub(crate) fn write_out(
        &mut self,
        callee: &Callee,
        arguments: &[Argument],
        inputs: &[Inflow],
        is_root: bool,
        call: NodeRef,
    ) -> Rc<Evaluated> {
        let Callee::Item { item, name, scope } = callee else { return unknown(call) };
        if let Some(at) = self.calls.iter().position(|(open, _)| open == item) {
            let circle: Vec<&str> =
                self.calls[at..].iter().map(|(open, _)| self.name_of(*open)).collect();
            let message = format!("`{name}` contains itself: {} → {name}", circle.join(" → "));
            self.error(Code::Recursion, call, message);
            return unknown(*item);
        }
        if self.calls.len() >= MAX_CALLS {
            self.error(
                Code::TooLarge,
                call,
                format!("blocks are used within blocks more than {MAX_CALLS} deep"),
            );
            return unknown(*item);
        }
        self.used_items.insert(*item);
        let dtype = if is_root { self.setting.dtype.unwrap_or(DEFAULT_DTYPE) } else { self.dtype };
        let key = MemoKey {
            item: *item,
            scope: scope.clone().map(|scope| ScopeKey {
                names: scope.seen_from_blocks(),
                levels: self.calls.len() + 1 - scope.depth,
                scope,
            }),
            arguments: arguments
                .iter()
                .map(|argument| (argument.name.clone(), argument.value.clone()))
                .collect(),
            inputs: inputs
                .iter()
                .map(|input| (input.tensor.ty.clone(), input.tensor.parameter(), input.first))
                .collect(),
            dtype,
            stack: self.stack,
            batch: self.batch,
            is_root,
            place: self.setting.apart.contains(item).then_some(call),
            is_checked_only: self.checking > 0,
        };
        if let Some(known) = self.memo.get(&key).filter(|_| !self.setting.forgets) {
            return known.clone();
        }
        self.calls.push((*item, call));
        let evaluated = self.evaluate(*item, name, scope, arguments, inputs, is_root, call);
        self.calls.pop();
        let evaluated = Rc::new(evaluated);
        self.memo.insert(key, evaluated.clone());
        evaluated
    }

    #[allow(clippy::too_many_arguments)] // They are the parts of one call.
    fn evaluate(
        &mut self,
        item: NodeRef,
        name: &SmolStr,
        scope: &Option<Rc<Scope>>,
        arguments: &[Argument],
        inputs: &[Inflow],
        is_root: bool,
        call: NodeRef,
    ) -> Evaluated {
        let nothing = || Evaluated {
            part: empty_part(item),
            labels: vec![Label::default()],
            value: Value::Unknown,
        };
        let Some(syntax) = self.item(item) else { return nothing() };
        let Some(body) = syntax.body() else { return nothing() };
        let items = body.items().filter_map(|inner| {
            Some((
                SmolStr::new(inner.name()?.text()),
                NodeRef { file: item.file, node: inner.id() },
            ))
        });
        let scope = Scope::body(scope.clone(), item, items.collect(), self.calls.len());
        let mut frame = Frame::new(item.file, scope, is_root);
        if !self.bind_parameters(&mut frame, syntax, arguments, is_root, call) {
            return nothing();
        }
        if !is_root && !self.take_inputs(&mut frame, body, inputs, name, call) {
            return nothing();
        }
        let outer_dtype = self.dtype;
        if is_root {
            self.dtype = self.model_dtype(&mut frame, body);
            let has_input = body.lines().any(|line| matches!(line, ast::Line::Input(_)));
            if self.checking == 0 && syntax.is_model() && !has_input {
                frame.it = Value::None;
            }
        }
        frame.dtype = self.dtype;
        self.lines(&mut frame, body);
        if self.stack.is_some() {
            frame.show_stacked();
        }
        self.hint_mixed(&mut frame);
        self.check_unused(&frame);
        let evaluated = self.finish(frame, item, name);
        self.dtype = outer_dtype;
        evaluated
    }

    /// Checks the names in blocks of this body that nobody used.
    fn check_unused(&mut self, frame: &Frame) {
        let unused: Vec<(SmolStr, NodeRef)> = frame
            .scope
            .items
            .iter()
            .filter(|(_, item)| !self.used_items.contains(item))
            .map(|(n, i)| (n.clone(), *i))
            .collect();
        for (name, item) in unused {
            let callee = Callee::Item { item, name, scope: Some(frame.scope.clone()) };
            self.checking += 1;
            self.write_out(&callee, &[], &[], true, item);
            self.checking -= 1;
        }
    }

    pub(super) fn name_of(&self, item: NodeRef) -> &'w str {
        self.item(item).and_then(|item| item.name()).map_or("", |name| name.text())
    }

    /// Binds arguments to the parameters, as Python does.
    fn bind_parameters(
        &mut self,
        frame: &mut Frame,
        item: ast::Item<'w>,
        arguments: &[Argument],
        is_root: bool,
        call: NodeRef,
    ) -> bool {
        let parameters: Vec<(ast::Parameter<'w>, &'w str)> = item
            .parameters()
            .filter_map(|parameter| Some((parameter, parameter.path()?.text())))
            .collect();
        let name = item.name().map_or("", |name| name.text());
        let mut positional = arguments.iter().filter(|argument| argument.name.is_none());
        let mut fits = true;
        for named in arguments {
            let Some(wanted) = &named.name else { continue };
            if parameters.iter().all(|(_, name)| name != wanted) {
                self.unknown_argument(
                    named,
                    name,
                    wanted,
                    parameters.iter().map(|(_, name)| *name),
                );
                fits = false;
            }
        }
        for (parameter, parameter_name) in &parameters {
            let node = NodeRef { file: frame.file, node: parameter.id() };
            let by_place = positional.next();
            let by_name =
                arguments.iter().find(|argument| argument.name.as_deref() == Some(parameter_name));
            if let (Some(_), Some(by_name)) = (by_place, by_name) {
                self.error(
                    Code::GivenTwice,
                    by_name.node,
                    format!("`{parameter_name}` of `{name}` is given twice"),
                );
                fits = false;
            }
            let set = is_root.then(|| self.set_argument(parameter_name)).flatten();
            let value = if let Some(value) = set {
                value
            } else if let Some(argument) = by_place.or(by_name) {
                argument.value.clone()
            } else if let Some(default) = parameter.default() {
                self.eval_scalar(frame, Some(default))
            } else if self.checking > 0 {
                Value::Unknown
            } else {
                let code = if is_root { Code::NeedsArguments } else { Code::MissingArgument };
                let node = if is_root { node } else { call };
                self.error(code, node, format!("`{name}` needs `{parameter_name}`"));
                fits = false;
                Value::Unknown
            };
            self.note_scalar(node, &value);
            if is_root {
                self.arguments.push((SmolStr::new(parameter_name), value.to_string()));
            }
            let binding = Binding { what: Named::Parameter(value), node };
            if frame.scope.bind(SmolStr::new(parameter_name), binding).is_some() {
                self.error(Code::GivenTwice, node, format!("`{parameter_name}` is given twice"));
            }
        }
        if let Some(extra) = positional.next() {
            let message = format!("`{name}` takes {} arguments", parameters.len());
            self.error(Code::UnknownArgument, extra.node, message);
            fits = false;
        }
        fits
    }

    fn unknown_argument<'p>(
        &mut self,
        argument: &Argument,
        item: &str,
        wanted: &str,
        parameters: impl Iterator<Item = &'p str> + Clone,
    ) {
        let nearest = layers::nearest(wanted, parameters.clone());
        let hint = match nearest {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => match parameters.collect::<Vec<_>>() {
                names if names.is_empty() => "; it takes none".to_owned(),
                names => format!("; it takes `{}`", names.join("`, `")),
            },
        };
        let name = ast::Argument::cast(self.workspace.node(argument.node))
            .and_then(|argument| argument.name());
        let range = name.map_or_else(|| self.place(argument.node).range, |name| name.range());
        let place = crate::Place { file: argument.node.file, range };
        let message = format!("`{item}` has no parameter `{wanted}`{hint}");
        let mut diagnostic = crate::Diagnostic::new(Code::UnknownArgument, place, message);
        if let Some(nearest) = nearest {
            diagnostic = diagnostic.fix(format!("Write `{nearest}`"), place, nearest);
        }
        self.report(diagnostic);
    }

    /// The value that `--set` gives a name.
    pub(crate) fn set_argument(&self, name: &str) -> Option<Value> {
        let set = self.setting.arguments.iter().rev().find(|(set, _)| set == name)?;
        Some(parse_value(&set.1))
    }

    /// What flows into a block, checked against the number of its inputs.
    fn take_inputs(
        &mut self,
        frame: &mut Frame,
        body: ast::Body<'w>,
        inputs: &[Inflow],
        name: &str,
        call: NodeRef,
    ) -> bool {
        let lines = body.lines().filter(|line| matches!(line, ast::Line::Input(_))).count();
        if inputs.len() != lines.max(1) && !(lines == 0 && inputs.is_empty()) {
            let plural = if lines.max(1) == 1 { "tensor" } else { "tensors" };
            let message = format!("`{name}` takes {} {plural}, not {}", lines.max(1), inputs.len());
            self.error(Code::WrongInputs, call, message);
            return false;
        }
        let file = frame.file;
        let mut lines = body.lines().filter_map(|line| match line {
            ast::Line::Input(line) => Some(NodeRef { file, node: line.id() }),
            _ => None,
        });
        for Inflow { tensor: input, first } in inputs {
            let maker = lines.next().unwrap_or(call);
            let tensor = frame.new_tensor((*input.ty).clone(), maker, None);
            if let (Some(Origin::Step(first)), Origin::Step(own)) =
                (frame.inputs.get(*first).map(|one| &one.origin), &tensor.origin)
            {
                frame.given_again.insert(*own, *first);
            }
            // Its memory is the caller's.
            if let Some(memory) = frame.memory.last_mut() {
                memory.bytes = 0;
            }
            frame.inputs.push(tensor.clone());
            // A parameter stays one, so that it can be the weight of a layer.
            let value = Value::Tensor(match input.origin {
                Origin::Parameter(_) => input.clone(),
                Origin::Step(_) => tensor,
            });
            frame.unread_inputs.push_back(value);
        }
        frame.it = frame.unread_inputs.front().cloned().unwrap_or(Value::Unknown);
        true
    }

    fn finish(&mut self, mut frame: Frame, item: NodeRef, name: &SmolStr) -> Evaluated {
        let stated = self.stated(&mut frame);
        let opaque = stated.as_ref().is_some_and(|stated| stated.opaque);
        if !opaque {
            self.give_parameters(&mut frame, item);
        }
        let value =
            if opaque { joined(std::mem::take(&mut frame.outputs)) } else { frame.it.clone() };
        let steps = std::mem::take(&mut frame.level.steps);
        let mut totals = Totals::sum(steps.iter().map(|step| &step.totals));
        if let (Ok(sum), Some(convention)) = (&totals, self.setting.count) {
            totals = with_block(*sum, convention, name, &steps, value.as_tensors());
        }
        if let (Ok(totals), Some(stated)) = (&mut totals, &stated) {
            let counts = self.counts(name);
            apply_stated(totals, stated, value.as_tensors().unwrap_or_default(), counts);
        }
        let mut totals = totals.unwrap_or_else(|_| {
            let message = format!("the counts of `{name}` are too large to be computed exactly");
            self.error(Code::Overflow, item, message);
            Totals::default()
        });
        totals.unknown += frame.level.unknown;
        self.check_expectations(&mut frame, &totals);
        let outputs =
            value.as_tensors().unwrap_or_default().iter().filter_map(Tensor::flowing).collect();
        let part = Part {
            item,
            name: name.clone(),
            inputs: frame.inputs.iter().filter_map(Tensor::flowing).collect(),
            steps,
            outputs,
            stated,
            totals,
            memory: frame.memory,
            exports: frame.exports,
        };
        Evaluated { part: Arc::new(part), labels: frame.labels, value }
    }

    /// A parameter that a body gives as its value flows out of it as any tensor does.
    fn give_parameters(&mut self, frame: &mut Frame, item: NodeRef) {
        let value = frame.it.clone();
        let tensors = value.as_tensors().unwrap_or_default();
        let is_parameter = |tensor: &Tensor| matches!(tensor.origin, Origin::Parameter(_));
        let Some(identity) = layers::find("Identity") else { return };
        if !tensors.iter().any(is_parameter) {
            return;
        }
        let recipe = Recipe::new(Callee::Function(identity, Called::Functional), Vec::new(), item);
        let mut given = Vec::new();
        for tensor in tensors {
            let value = Value::Tensor(tensor.clone());
            given.push(match is_parameter(tensor) {
                true => {
                    self.apply_entry(frame, item, identity, &recipe, &value, Called::Functional)
                }
                false => value,
            });
        }
        let pending = std::mem::take(&mut frame.pending);
        self.settle_unlabelled(frame, pending);
        frame.it = joined(given);
    }

    /// The cost that a block states.
    fn stated(&mut self, frame: &mut Frame) -> Option<Stated> {
        let lines = std::mem::take(&mut frame.stated);
        let opaque = lines.declares_output && !lines.has_steps;
        if !opaque && lines.macs.is_none() && lines.elementwise.is_none() {
            return None;
        }
        let mut evaluate = |line: Option<syntax::NodeId>| -> Option<u128> {
            let node = NodeRef { file: frame.file, node: line? };
            let syntax = self.workspace.node(node);
            let expr = ast::StatedMacs::cast(syntax)
                .and_then(|line| line.expr())
                .or_else(|| ast::StatedElementwise::cast(syntax).and_then(|line| line.expr()));
            self.eval_count(frame, expr, "a stated cost").map(u128::from)
        };
        Some(Stated {
            macs: evaluate(lines.macs),
            elementwise: evaluate(lines.elementwise),
            opaque,
        })
    }

    /// Uses a model or block on tensors.
    pub(crate) fn apply_item(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        callee: &Callee,
        arguments: &[Argument],
        input: &Value,
    ) -> (Value, Option<Rc<Evaluated>>) {
        let inputs: Vec<Tensor> = match input {
            Value::Unknown => return (Value::Unknown, None),
            other => match other.as_tensors() {
                Some(tensors) => tensors.to_vec(),
                None => {
                    let message =
                        format!("`{}` takes a tensor, not {}", callee.name(), other.describe());
                    self.error(Code::NotATensor, node, message);
                    return (Value::Unknown, None);
                }
            },
        };
        if arguments.iter().any(|argument| argument.value.contains_unknown()) {
            return (Value::Unknown, None);
        }
        if let Some(flowing) = arguments.iter().find(|argument| argument.value.flows()) {
            let message = format!(
                "a tensor flows into `{0}` as an input and is no argument: `{1} -> {0}`",
                callee.name(),
                self.workspace.node(flowing.node).text()
            );
            self.error(Code::WrongValue, flowing.node, message);
            return (Value::Unknown, None);
        }
        let arguments: Vec<Argument> = arguments
            .iter()
            .map(|one| Argument { value: one.value.further_in(1), ..one.clone() })
            .collect();
        if !self.count_steps(1, node) {
            return (Value::Unknown, None);
        }
        let identities: Vec<Source> = inputs.iter().map(|input| frame.identity(input)).collect();
        let inflow = |(index, input): (usize, &Tensor)| {
            let first = identities.iter().position(|one| *one == identities[index]);
            Inflow { tensor: input.further_in(1), first: first.unwrap_or(index) }
        };
        let flowing: Vec<Inflow> = inputs.iter().enumerate().map(inflow).collect();
        let evaluated = self.write_out(callee, &arguments, &flowing, false, node);
        let value = outer_value(frame, &evaluated, &inputs, node);
        let step = Step {
            id: self.next_id(),
            node,
            path: StepPath::default(),
            totals: evaluated.part.totals.in_place(frame.reusing, frame.idle),
            what: What::Part(evaluated.part.clone()),
            inputs: inputs.iter().map(Tensor::taken).collect(),
            outputs: value
                .as_tensors()
                .unwrap_or_default()
                .iter()
                .filter_map(Tensor::flowing)
                .collect(),
            continued: false,
            reused: frame.reusing,
            idle: frame.idle,
        };
        frame.pending.push(Pending { step, is_module: true, has_path: false });
        (value, Some(evaluated))
    }
}

/// What flows into a body: a tensor, and which of its inputs is the first that is given it.
pub(crate) struct Inflow {
    tensor: Tensor,
    first: usize,
}

/// What a part gives, as tensors of the body that uses it.
fn outer_value(
    frame: &mut Frame,
    evaluated: &Evaluated,
    inputs: &[Tensor],
    node: NodeRef,
) -> Value {
    let Some(tensors) = evaluated.value.as_tensors() else { return Value::Unknown };
    let memory = &evaluated.part.memory;
    let mut owners: Vec<(crate::written::TensorId, Tensor)> = Vec::new();
    let outer = tensors.iter().map(|tensor| {
        let Origin::Step(id) = tensor.origin else { return tensor.clone() };
        let storage = memory[id.0 as usize].storage;
        let input = evaluated.part.inputs.iter().position(|input| input.id == storage);
        let owner = match input {
            Some(index) => inputs.get(index),
            None => owners.iter().find(|(owned, _)| *owned == storage).map(|(_, owner)| owner),
        };
        let outer = frame.new_tensor((*tensor.ty).clone(), node, owner);
        if owner.is_none() {
            if let Some(own) = frame.memory.last_mut() {
                own.bytes = memory[storage.0 as usize].bytes;
            }
            owners.push((storage, outer.clone()));
        }
        outer
    });
    Value::tensors(outer.collect())
}

/// The sum, and what a tool counts for a block that is a layer to PyTorch: it has parameters of its own,
/// and no modules.
fn with_block(
    sum: Totals,
    convention: &Convention,
    name: &str,
    steps: &[Arc<Step>],
    outputs: Option<&[Tensor]>,
) -> Result<Totals, Overflow> {
    let mut parameters = Vec::new();
    for step in steps {
        match (&step.what, step.path.segments.as_slice()) {
            (What::Declared(tensor), _) if tensor.is_buffer => {}
            // `conv.weight` is that of a module inside.
            (What::Declared(tensor), [name]) => parameters.push((name.as_str(), tensor)),
            (What::Layer(used), _) if !used.is_module() || !step.is_seen() => {}
            _ => return Ok(sum),
        }
    }
    let Some(output) = outputs.and_then(|outputs| outputs.first()) else { return Ok(sum) };
    let cost = convention.cost_of_block(name, &parameters, &output.ty)?;
    sum.plus(&Totals { macs: cost.macs()?, flops: cost.flops()?, ..Totals::default() })
}

/// `counts` is whether the work of such a block is asked for.
fn apply_stated(totals: &mut Totals, stated: &Stated, outputs: &[Tensor], counts: bool) {
    let macs = stated.macs.filter(|_| counts).unwrap_or(0);
    totals.macs = macs;
    // A stated cost came from a size of at most 2^63, so twice it fits.
    totals.flops = 2 * macs + stated.elementwise.filter(|_| counts).unwrap_or(0);
    totals.leaves = 1;
    let is_known = stated.macs.is_some() || stated.elementwise.is_some();
    totals.uncounted = u128::from(counts && !is_known);
    if stated.opaque {
        let bytes = outputs.iter().filter_map(|output| output.ty.bytes().ok());
        totals.activation_bytes = bytes.fold(0, u128::saturating_add);
    }
}

fn joined(values: Vec<Value>) -> Value {
    let mut tensors = Vec::new();
    for value in &values {
        match value.as_tensors() {
            Some(more) => tensors.extend(more.iter().cloned()),
            None => return Value::Unknown,
        }
    }
    Value::tensors(tensors)
}

fn unknown(item: NodeRef) -> Rc<Evaluated> {
    Rc::new(Evaluated {
        part: empty_part(item),
        labels: vec![Label::default()],
        value: Value::Unknown,
    })
}

fn empty_part(item: NodeRef) -> Arc<Part> {
    Arc::new(Part {
        item,
        name: SmolStr::default(),
        inputs: Vec::new(),
        steps: Vec::new(),
        outputs: Vec::new(),
        stated: None,
        totals: Totals::default(),
        memory: Vec::<Memory>::new(),
        exports: Vec::new(),
    })
}

impl Frame {
    fn new(file: FileId, scope: Rc<Scope>, is_root: bool) -> Frame {
        Frame {
            file,
            scope,
            container: LabelId(0),
            it: Value::Unknown,
            level: Level::default(),
            pending: Vec::new(),
            labels: vec![Label::default()],
            memory: Vec::new(),
            makers: Vec::new(),
            exports: Vec::new(),
            dtype: DEFAULT_DTYPE,
            unread_inputs: Default::default(),
            given_again: Default::default(),
            inputs: Vec::new(),
            is_root,
            stated: StatedLines::default(),
            outputs: Vec::new(),
            expectations: Vec::new(),
            idle: false,
            reusing: false,
            may_compute: false,
            texts_are_labels: false,
            read_size: false,
        }
    }
}

/// The models and blocks that a file can name. Mistakes in its `use` lines are reported elsewhere.
fn top_level(workspace: &crate::Workspace, file: FileId) -> FxHashMap<SmolStr, NodeRef> {
    let mut names = FxHashMap::default();
    let own = |file: FileId| {
        workspace.parse(file).file().items().filter_map(move |item| {
            Some((SmolStr::new(item.name()?.text()), NodeRef { file, node: item.id() }))
        })
    };
    for used in workspace.parse(file).file().uses() {
        let Some(path) = used.path() else { continue };
        let Some(other) = workspace.resolve(file, unquote(path.text())) else { continue };
        let wanted: Vec<&str> = used.names().map(|name| name.text()).collect();
        names.extend(
            own(other).filter(|(name, _)| wanted.is_empty() || wanted.contains(&name.as_str())),
        );
    }
    names.extend(own(file));
    names
}

/// A type for a tensor whose dtype follows the model's.
pub(crate) fn of_model_dtype(ty: TensorType, dtype: layers::DType, is_set: bool) -> TensorType {
    let dtype = if is_set && ty.dtype.is_float() { dtype } else { ty.dtype };
    TensorType { dtype, shape: ty.shape }
}
