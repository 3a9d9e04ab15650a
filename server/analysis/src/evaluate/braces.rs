//! Stages with braces: groups, loops, conditions, experts.

use std::{rc::Rc, sync::Arc};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, Expert, NodeRef, Step, Totals, What,
    evaluate::{
        MAX_STEPS, Run,
        frame::{Frame, Level, Pending},
        steps::{Made, flowing, taken},
        value::{Binding, How, LabelId, Named, Scope, Tensor, Value},
    },
    written::{Stack, StepPath},
};

impl<'w> Run<'w> {
    /// A stage with braces.
    pub(crate) fn written_stage(
        &mut self,
        frame: &mut Frame,
        stage: ast::Stage<'w>,
        input: Value,
        own: Option<LabelId>,
        made: &mut Made,
    ) -> Value {
        let node = NodeRef { file: frame.file, node: stage.syntax().id() };
        match stage {
            ast::Stage::Group(group) => {
                let Some(body) = group.body() else { return Value::Unknown };
                self.group(frame, node, input, own, made, |run, frame| run.braces(frame, body))
            }
            ast::Stage::Choose(choose) => self.choose(frame, node, choose, input, own, made),
            // Without a label its steps belong to the body around it.
            _ if own.is_none() => {
                self.splice(frame, node, input, |run, frame| run.unrolled(frame, stage))
            }
            _ => self.group(frame, node, input, own, made, |run, frame| run.unrolled(frame, stage)),
        }
    }

    /// The steps of a loop or condition, written out.
    fn unrolled(&mut self, frame: &mut Frame, stage: ast::Stage<'w>) {
        match stage {
            ast::Stage::Repeat(repeat) => self.repeat(frame, repeat),
            ast::Stage::For(for_) => self.for_(frame, for_),
            ast::Stage::If(if_) => self.if_(frame, if_),
            _ => {}
        }
    }

    /// Runs `inside` with fresh numbers and paths below the step's label or number.
    fn group(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        input: Value,
        own: Option<LabelId>,
        made: &mut Made,
        inside: impl FnOnce(&mut Self, &mut Frame),
    ) -> Value {
        let inputs = taken(&input);
        let (container, number) = match own {
            Some(own) => (own, None),
            None => {
                let number = frame.next_number();
                (frame.child_label(frame.container, &number), Some(number))
            }
        };
        let outer_container = std::mem::replace(&mut frame.container, container);
        let outer_level = std::mem::take(&mut frame.level);
        let outer_pending = std::mem::take(&mut frame.pending);
        frame.it = input;
        inside(self, frame);
        self.hint_mixed(frame);
        let level = std::mem::replace(&mut frame.level, outer_level);
        frame.pending = outer_pending;
        frame.container = outer_container;
        let value = frame.it.clone();
        self.push_group(frame, node, inputs, &value, level, number.clone(), What::Group);
        if let Some(number) = number {
            let label = frame.child_label(frame.container, &number);
            let slot = frame.label_mut(label);
            (slot.value, slot.node, slot.is_module) = (Some(value.clone()), Some(node), true);
        }
        made.is_module = true;
        value
    }

    /// Runs `inside` with the numbers and paths of the braces around it.
    fn splice(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        input: Value,
        inside: impl FnOnce(&mut Self, &mut Frame),
    ) -> Value {
        let inputs = taken(&input);
        let outer_steps = std::mem::take(&mut frame.level.steps);
        let outer_pending = std::mem::take(&mut frame.pending);
        frame.it = input;
        inside(self, frame);
        let steps = std::mem::replace(&mut frame.level.steps, outer_steps);
        frame.pending = outer_pending;
        let value = frame.it.clone();
        let level = Level { steps, ..Level::default() };
        self.push_group(frame, node, inputs, &value, level, None, What::Splice);
        value
    }

    #[allow(clippy::too_many_arguments)] // They are the parts of one step.
    fn push_group(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        inputs: Vec<crate::Taken>,
        value: &Value,
        level: Level,
        number: Option<SmolStr>,
        what: impl FnOnce(Vec<Arc<Step>>) -> What,
    ) {
        let mut totals =
            Totals::sum(level.steps.iter().map(|step| &step.totals)).unwrap_or_else(|overflow| {
                self.error(Code::Overflow, node, overflow.to_string());
                Totals::default()
            });
        totals.unknown += level.unknown;
        let step = Step {
            id: self.next_id(),
            node,
            path: StepPath { segments: number.iter().cloned().collect(), from_part: false },
            what: what(level.steps),
            inputs,
            outputs: flowing(value),
            continued: false,
            reused: frame.reusing,
            idle: frame.idle,
            totals,
        };
        let is_group = matches!(step.what, What::Group(_));
        let has_path = number.is_some() || !is_group;
        frame.pending.push(Pending { step, is_module: is_group, has_path });
    }

    /// The lines of braces, in a scope of their own.
    fn braces(&mut self, frame: &mut Frame, body: ast::Body<'w>) {
        let items: FxHashMap<SmolStr, NodeRef> = body
            .items()
            .filter_map(|item| {
                Some((
                    SmolStr::new(item.name()?.text()),
                    NodeRef { file: frame.file, node: item.id() },
                ))
            })
            .collect();
        let scope = Scope::braces(frame.scope.clone(), items);
        self.in_scope(frame, scope, |run, frame| run.lines(frame, body));
    }

    pub(crate) fn in_scope(
        &mut self,
        frame: &mut Frame,
        scope: Rc<Scope>,
        inside: impl FnOnce(&mut Self, &mut Frame),
    ) {
        let outer = std::mem::replace(&mut frame.scope, scope);
        inside(self, frame);
        frame.scope = outer;
    }

    fn repeat(&mut self, frame: &mut Frame, repeat: ast::Repeat<'w>) {
        let Some(body) = repeat.body() else { return };
        let node = NodeRef { file: frame.file, node: repeat.id() };
        let Some(count) = self.eval_count(frame, repeat.count(), "the number of repetitions")
        else {
            return self
                .check_only(frame, |run, frame| run.spliced_braces(frame, body, Vec::new()));
        };
        let Some(count) = self.countable(count, node) else { return };
        for _ in 0..count {
            if !self.count_steps(1, node) {
                return;
            }
            self.spliced_braces(frame, body, Vec::new());
        }
    }

    /// A number of repetitions that can be written out.
    fn countable(&mut self, count: u64, node: NodeRef) -> Option<u64> {
        if count <= MAX_STEPS as u64 {
            return Some(count);
        }
        self.error(
            Code::TooLarge,
            node,
            format!("{count} repetitions; at most {MAX_STEPS} steps are written out"),
        );
        None
    }

    fn for_(&mut self, frame: &mut Frame, for_: ast::For<'w>) {
        let Some((targets, body)) = for_.targets().zip(for_.body()) else { return };
        let outer = std::mem::replace(&mut frame.read_size, false);
        let list = self.eval_scalar(frame, for_.list());
        let sized = frame.read_size;
        frame.read_size |= outer;
        let node = NodeRef { file: frame.file, node: for_.id() };
        let items = match &list {
            Value::List(items) => items,
            Value::Unknown => {
                return self.check_only(frame, |run, frame| {
                    let names = run.unpack(frame, targets, &Value::Unknown, true);
                    run.spliced_braces(frame, body, names);
                });
            }
            other => {
                let message = format!("a loop goes over a list, not {}", other.describe());
                self.error(Code::WrongValue, node, message);
                return;
            }
        };
        for item in items.iter() {
            if !self.count_steps(1, node) {
                return;
            }
            let names = self.unpack(frame, targets, item, sized);
            self.spliced_braces(frame, body, names);
        }
    }

    /// Takes an item apart for the names of a loop.
    fn unpack(
        &mut self,
        frame: &mut Frame,
        targets: ast::Targets<'w>,
        item: &Value,
        sized: bool,
    ) -> Vec<(SmolStr, Binding)> {
        let targets: Vec<ast::Target<'w>> = targets.targets().collect();
        if let [target] = targets[..] {
            return self.unpack_one(frame, target, item, sized);
        }
        let items: Vec<Value> = match item {
            Value::List(items) if items.len() == targets.len() => items.to_vec(),
            Value::Unknown => vec![Value::Unknown; targets.len()],
            other => {
                if let Some(first) = targets.first() {
                    let node = NodeRef { file: frame.file, node: first.id() };
                    let message = format!("{} names for {}", targets.len(), other.describe());
                    self.error(Code::Unpack, node, message);
                }
                vec![Value::Unknown; targets.len()]
            }
        };
        targets
            .iter()
            .zip(&items)
            .flat_map(|(target, item)| self.unpack_one(frame, *target, item, sized))
            .collect()
    }

    fn unpack_one(
        &mut self,
        frame: &mut Frame,
        target: ast::Target<'w>,
        item: &Value,
        sized: bool,
    ) -> Vec<(SmolStr, Binding)> {
        if let Some(nested) = target.nested() {
            return self.unpack(frame, nested, item, sized);
        }
        let Some(name) = target.name() else { return Vec::new() };
        let node = NodeRef { file: frame.file, node: target.id() };
        self.note_scalar(node, item);
        let what = Named::Scalar { value: item.clone(), sized, how: How::Loop };
        vec![(SmolStr::new(name.text()), Binding { what, node })]
    }

    /// The lines of a loop or branch. What they bind ends with the braces; their labels do not.
    fn spliced_braces(
        &mut self,
        frame: &mut Frame,
        body: ast::Body<'w>,
        names: Vec<(SmolStr, Binding)>,
    ) {
        let scope = Scope::spliced(frame.scope.clone());
        for (name, binding) in names {
            scope.bind(name, binding);
        }
        self.in_scope(frame, scope, |run, frame| {
            run.lines(frame, body);
        });
    }

    fn if_(&mut self, frame: &mut Frame, if_: ast::If<'w>) {
        let mut taken = false;
        let mut unknown = false;
        for branch in if_.branches() {
            let Some(body) = branch.body() else { continue };
            let holds = match (taken || unknown, branch.is_else()) {
                (true, _) => {
                    if let Some(condition) = branch.condition() {
                        self.check_only(frame, |run, frame| {
                            run.eval_scalar(frame, Some(condition));
                        });
                    }
                    false
                }
                (false, true) => true,
                (false, false) => match self.eval_condition(frame, branch.condition()) {
                    None => {
                        unknown = true;
                        false
                    }
                    Some(holds) => holds,
                },
            };
            if holds {
                taken = true;
                self.spliced_braces(frame, body, Vec::new());
            } else {
                self.hide_labels(frame, branch, body, unknown);
                self.check_only(frame, |run, frame| run.spliced_braces(frame, body, Vec::new()));
            }
        }
        if unknown {
            frame.it = Value::Unknown;
        }
    }

    /// Remembers the labels of a branch that is not taken, to say why they are not there. Whether
    /// they are is not known if the condition is not.
    fn hide_labels(
        &mut self,
        frame: &mut Frame,
        branch: ast::Branch<'w>,
        body: ast::Body<'w>,
        unknown: bool,
    ) {
        let condition = branch.condition().map_or(branch.id(), |condition| condition.id());
        let condition = NodeRef { file: frame.file, node: condition };
        for line in body.lines() {
            let ast::Line::Step(step) = line else { continue };
            for label in step.labels() {
                let Some(name) = label.as_name().map(|name| SmolStr::new(name.text())) else {
                    continue;
                };
                // As a label does, it belongs to the body around loops and branches.
                for scope in Scope::with_spliced(&frame.scope) {
                    if unknown {
                        let (what, node) = (Named::Input(Value::Unknown), frame.node(label));
                        scope.bind(name.clone(), Binding { what, node });
                    } else {
                        scope.hidden.borrow_mut().insert(name.clone(), condition);
                    }
                }
            }
        }
    }

    /// Runs `inside` for the names in it alone: what it makes does not exist.
    pub(crate) fn check_only(
        &mut self,
        frame: &mut Frame,
        inside: impl FnOnce(&mut Self, &mut Frame),
    ) {
        let scope = Scope::inner(frame.scope.clone());
        let container = frame.detached_label();
        let outer_container = std::mem::replace(&mut frame.container, container);
        let outer_level = std::mem::take(&mut frame.level);
        let outer_it = std::mem::replace(&mut frame.it, Value::Unknown);
        let outer_stated = std::mem::take(&mut frame.stated);
        self.checking += 1;
        self.in_scope(frame, scope, inside);
        self.checking -= 1;
        frame.stated = outer_stated;
        frame.it = outer_it;
        frame.level = outer_level;
        frame.container = outer_container;
    }

    /// `choose k of n { … }`: n experts, of which each token passes k.
    fn choose(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        choose: ast::Choose<'w>,
        input: Value,
        own: Option<LabelId>,
        made: &mut Made,
    ) -> Value {
        let chosen = self.eval_count(frame, choose.chosen(), "the number of chosen experts");
        let experts = self.eval_count(frame, choose.experts(), "the number of experts");
        let (Some(chosen), Some(experts), Some(body)) = (chosen, experts, choose.body()) else {
            return Value::Unknown;
        };
        if chosen == 0 || chosen > experts {
            self.error(
                Code::WrongValue,
                node,
                format!("`choose {chosen} of {experts}`: choose at least 1, at most all"),
            );
            return Value::Unknown;
        }
        if self.countable(experts, node).is_none() {
            return Value::Unknown;
        }
        let Some((tokens, routing)) = self.routed_tokens(node, &input, chosen) else {
            return Value::Unknown;
        };
        let stack = choose.is_stacked().then_some(Stack { chosen, experts });
        if stack.is_some() && self.stack.is_some() {
            let message = "experts with stacked parameters within such experts are not known";
            self.error(Code::WrongValue, node, message);
            return Value::Unknown;
        }
        // The sum belongs to the braces, as the experts do; the node of the stage is the whole.
        let body_node = NodeRef { file: frame.file, node: body.id() };
        self.group(frame, node, input, own, made, |run, frame| {
            let mut outputs = Vec::new();
            for expert in 0..experts {
                let outer_idle = frame.idle;
                frame.idle |= expert >= chosen;
                frame.it = Value::Tensor(tokens.clone());
                match stack {
                    Some(stack) => run.stacked_expert(frame, body, body_node, stack, expert),
                    None => run.spliced_braces(frame, body, Vec::new()),
                }
                frame.idle = outer_idle;
                match &frame.it {
                    Value::Tensor(tensor) => outputs.push(tensor.clone()),
                    Value::Unknown => {}
                    other => {
                        let message =
                            format!("an expert gives one tensor, not {}", other.describe());
                        run.error(Code::WrongInputs, node, message);
                        break;
                    }
                }
            }
            frame.it = match outputs.len() as u64 == experts {
                true => run.weighted_sum(frame, body_node, chosen, &routing, &outputs),
                false => Value::Unknown,
            };
            let pending = std::mem::take(&mut frame.pending);
            run.settle_unlabelled(frame, pending);
            if stack.is_some() {
                frame.show_stacked();
            }
        })
    }

    /// An expert whose parameters are stacked with those of the others: the first one makes them, at
    /// the paths that all have.
    fn stacked_expert(
        &mut self,
        frame: &mut Frame,
        body: ast::Body<'w>,
        node: NodeRef,
        stack: Stack,
        number: u64,
    ) {
        let outer_reusing = frame.reusing;
        frame.reusing |= number > 0;
        let outer_level = std::mem::take(&mut frame.level);
        let outer_pending = std::mem::take(&mut frame.pending);
        let inputs = taken(&frame.it);
        self.stack = Some(stack);
        self.spliced_braces(frame, body, Vec::new());
        self.stack = None;
        let level = std::mem::replace(&mut frame.level, outer_level);
        frame.pending = outer_pending;
        frame.level.numbered = frame.level.numbered.or(level.numbered);
        frame.level.labelled = frame.level.labelled.or(level.labelled);
        let value = frame.it.clone();
        self.push_group(frame, node, inputs, &value, level, None, |steps| {
            What::Expert(Expert { number, of: stack.experts, steps })
        });
        frame.reusing = outer_reusing;
    }

    /// The tokens of a `choose`, and their weights and indices, after all three are checked.
    fn routed_tokens(
        &mut self,
        node: NodeRef,
        input: &Value,
        chosen: u64,
    ) -> Option<(Tensor, [Tensor; 2])> {
        let tensors = match input {
            Value::Unknown => return None,
            other => other.as_tensors().unwrap_or_default(),
        };
        let [tokens, weights, indices] = tensors else {
            let message = format!(
                "`choose` takes the tokens, and for each its weights and the indices of its experts; here are {} tensors",
                tensors.len()
            );
            self.error(Code::WrongInputs, node, message);
            return None;
        };
        let shape = &tokens.ty.shape;
        let leading = &shape[..shape.len().saturating_sub(1)];
        for (tensor, what) in [(weights, "weights"), (indices, "indices")] {
            let expected = tensor.ty.shape.with_last(chosen);
            let rank = tensor.ty.shape.len();
            if rank != shape.len()
                || tensor.ty.shape[..rank - 1] != *leading
                || tensor.ty.shape != expected
            {
                let message = format!(
                    "the {what} of tokens {shape} are [..., {chosen}], not {}",
                    tensor.ty.shape
                );
                self.error(Code::WrongShape, node, message);
                return None;
            }
        }
        if !indices.ty.dtype.is_integer() {
            self.error(
                Code::WrongDtype,
                node,
                format!("indices are whole numbers, not {}", indices.ty.dtype),
            );
            return None;
        }
        Some((tokens.clone(), [weights.clone(), indices.clone()]))
    }
}
