//! Steps and their stages: what flows where, and where its parameters live.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use smol_str::{SmolStr, ToSmolStr};
use syntax::{Kind, ast};

use crate::{
    Code, Diagnostic, NodeRef, Step, Totals, What,
    evaluate::{
        Evaluated, MAX_STEPS, Run,
        frame::{Frame, LabelRef, Level, Pending, Stage, label_path},
        scope::{Binding, How, LabelId, Named, Scope},
        value::{Callee, Recipe, Tensor, Value},
    },
    written::Segments,
    written::StepPath,
};

/// The labels of a step: for each its segments and its node. `_` has none.
struct Labels {
    paths: SmallVec<[(Segments, NodeRef); 1]>,
    /// A label could not be computed, so the step's path is not known.
    broken: bool,
}

impl<'w> Run<'w> {
    /// `labels: sources -> stage -> stage`
    pub(crate) fn step(&mut self, frame: &mut Frame, step: ast::Step<'w>) {
        let node = NodeRef { file: frame.file, node: step.id() };
        let labels = self.labels(frame, step);
        let first_pending = frame.pending.len();
        let own = match labels.paths.as_slice() {
            [] => None,
            [(segments, _), ..] if labels.broken || segments.is_empty() => {
                Some(frame.detached_label())
            }
            [(segments, _), ..] => Some(frame.label_at(segments)),
        };
        let mut made = Made::default();
        let mut value = match step.sources() {
            Some(sources) => self.sources(frame, sources, own, &mut made),
            None => frame.it.clone(),
        };
        for stage in step.stages() {
            value = self.stage(frame, stage, value, own, &mut made);
        }
        let pending: SmallVec<[Pending; 2]> = frame.pending.drain(first_pending..).collect();
        match own {
            None => self.settle_unlabelled(frame, pending),
            Some(own) => self.settle_labelled(frame, node, own, &labels, pending),
        }
        self.name_values(frame, node, own, &labels, &value, made);
        frame.level.unknown += u128::from(value.is_unknown());
        frame.it = value;
    }

    fn labels(&mut self, frame: &mut Frame, step: ast::Step<'w>) -> Labels {
        let mut labels = Labels { paths: SmallVec::new(), broken: false };
        for label in step.labels() {
            let node = frame.node(label);
            let text = match label.kind() {
                Kind::Interpolated => self.computed_text(frame, label),
                Kind::Literal
                    if label.literal().is_some_and(|token| token.kind() == Kind::String) =>
                {
                    let text = label.text();
                    Some(super::expressions::unescape(&text[1..text.len() - 1], true))
                }
                // Most labels are one name.
                Kind::NameExpr if !self.setting.records && label.text() != "_" => {
                    labels.paths.push((smallvec![SmolStr::new(label.text())], node));
                    continue;
                }
                _ => Some(label.text().to_owned()),
            };
            let Some(text) = text else {
                labels.broken = true;
                labels.paths.push((Segments::new(), node));
                continue;
            };
            let segments: Segments = text.split('.').map(SmolStr::new).collect();
            if segments.iter().any(|segment| segment.is_empty()) {
                self.error(
                    Code::WrongValue,
                    node,
                    format!("\"{text}\" is no path: a segment is empty"),
                );
                labels.broken = true;
            }
            if self.setting.records {
                self.note_scalar(node, &Value::text(&text));
            }
            let dropped = text == "_";
            labels.paths.push((if dropped { Segments::new() } else { segments }, node));
        }
        labels
    }

    /// What stands before the first arrow: tensors, or the step's first layer.
    fn sources(
        &mut self,
        frame: &mut Frame,
        sources: ast::Sources<'w>,
        own: Option<LabelId>,
        made: &mut Made,
    ) -> Value {
        let exprs: SmallVec<[ast::Expr<'w>; 3]> = sources.exprs().collect();
        let mut tensors: Vec<Tensor> = Vec::new();
        let mut known = true;
        for expr in &exprs {
            let value = self.eval_flowing(frame, *expr);
            match value {
                Value::Unknown => known = false,
                Value::Layer(recipe) if exprs.len() == 1 => {
                    let input = frame.it.clone();
                    return self.layer(frame, *expr, &recipe, input, own, made);
                }
                Value::Tensor(tensor) => tensors.push(tensor),
                Value::Tensors(several) => tensors.extend(several.iter().cloned()),
                Value::Layer(recipe) => {
                    let message =
                        format!("`{}` is a layer; here stand tensors", recipe.callee.name());
                    self.error(Code::NotATensor, frame.node(*expr), message);
                    known = false;
                }
                other => {
                    let message =
                        format!("here stands a tensor or a layer, not {}", other.describe());
                    self.error(Code::NotATensor, frame.node(*expr), message);
                    known = false;
                }
            }
        }
        if known && !exprs.is_empty() { Value::tensors(tensors) } else { Value::Unknown }
    }

    /// An expression of a step, which may compute tensors and read computed labels.
    fn eval_flowing(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        (frame.may_compute, frame.texts_are_labels) = (true, true);
        let value = self.eval(frame, expr);
        (frame.may_compute, frame.texts_are_labels) = (false, false);
        value
    }

    fn stage(
        &mut self,
        frame: &mut Frame,
        stage: ast::Stage<'w>,
        input: Value,
        own: Option<LabelId>,
        made: &mut Made,
    ) -> Value {
        match stage {
            ast::Stage::Layer(stage) => self.layer_stage(frame, stage, input, own, made),
            ast::Stage::Pattern(pattern) => {
                match &input {
                    Value::Tensor(tensor) => self.match_pattern(frame, pattern, &tensor.ty, true),
                    Value::Tensors(tensors) => {
                        let message =
                            format!("a pattern checks one tensor; here are {}", tensors.len());
                        self.error(
                            Code::Pattern,
                            NodeRef { file: frame.file, node: pattern.id() },
                            message,
                        );
                    }
                    _ => self.bind_unknown_sizes(frame, pattern, true),
                }
                input
            }
            written => {
                made.stages.push(Stage::Written(written.syntax().id(), frame.scope.clone()));
                self.written_stage(frame, written, input, own, made)
            }
        }
    }

    /// A stage with braces.
    fn written_stage(
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
        let inputs = flowing(&input);
        let (container, number) = match own {
            Some(own) => (own, None),
            None if frame.reusing => (frame.detached_label(), None),
            None => {
                let number = frame.level.next_number.to_smolstr();
                frame.level.next_number += 1;
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
        self.push_group(frame, node, inputs, &value, level, number.clone(), true);
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
        let inputs = flowing(&input);
        let outer_steps = std::mem::take(&mut frame.level.steps);
        let outer_pending = std::mem::take(&mut frame.pending);
        frame.it = input;
        inside(self, frame);
        let steps = std::mem::replace(&mut frame.level.steps, outer_steps);
        frame.pending = outer_pending;
        let value = frame.it.clone();
        let level = Level { steps, ..Level::default() };
        self.push_group(frame, node, inputs, &value, level, None, false);
        value
    }

    #[allow(clippy::too_many_arguments)] // They are the parts of one step.
    fn push_group(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        inputs: Vec<crate::Flowing>,
        value: &Value,
        level: Level,
        number: Option<SmolStr>,
        is_group: bool,
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
            what: if is_group { What::Group(level.steps) } else { What::Splice(level.steps) },
            inputs,
            outputs: flowing(value),
            reused: frame.reusing,
            idle: frame.idle,
            totals,
        };
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
        let scope = Scope::new(Some(frame.scope.clone()), None, items);
        self.in_scope(frame, scope, |run, frame| run.lines(frame, body));
    }

    fn in_scope(
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
            if self.too_large {
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
            if self.too_large {
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
                (false, false) => match self.eval_scalar(frame, branch.condition()) {
                    Value::Unknown => {
                        unknown = true;
                        false
                    }
                    condition => condition.is_true(),
                },
            };
            if holds {
                taken = true;
                self.spliced_braces(frame, body, Vec::new());
            } else {
                self.hide_labels(frame, branch, body);
                self.check_only(frame, |run, frame| run.spliced_braces(frame, body, Vec::new()));
            }
        }
        if unknown {
            frame.it = Value::Unknown;
        }
    }

    /// Remembers the labels of a branch that is not taken, to say why they are not there.
    fn hide_labels(&mut self, frame: &mut Frame, branch: ast::Branch<'w>, body: ast::Body<'w>) {
        let condition = branch.condition().map_or(branch.id(), |condition| condition.id());
        let condition = NodeRef { file: frame.file, node: condition };
        for line in body.lines() {
            let ast::Line::Step(step) = line else { continue };
            for name in step.labels().filter_map(|label| label.as_name()) {
                frame.scope.hidden.borrow_mut().insert(SmolStr::new(name.text()), condition);
            }
        }
    }

    /// Runs `inside` for the names in it alone: what it makes does not exist.
    fn check_only(&mut self, frame: &mut Frame, inside: impl FnOnce(&mut Self, &mut Frame)) {
        let scope = Scope::new(Some(frame.scope.clone()), None, FxHashMap::default());
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
        let Some(tokens) = self.routed_tokens(node, &input, chosen) else { return Value::Unknown };
        let sum_node = node;
        self.group(frame, node, input, own, made, |run, frame| {
            let mut first = Value::Unknown;
            for expert in 0..experts {
                let outer_idle = frame.idle;
                frame.idle |= expert >= chosen;
                frame.it = Value::Tensor(tokens.clone());
                run.spliced_braces(frame, body, Vec::new());
                frame.idle = outer_idle;
                if expert == 0 {
                    first = frame.it.clone();
                }
            }
            frame.it = match &first {
                Value::Tensor(tensor) => run.weighted_sum(frame, sum_node, chosen, tensor),
                Value::Unknown => Value::Unknown,
                other => {
                    run.error(
                        Code::WrongInputs,
                        node,
                        format!("an expert gives one tensor, not {}", other.describe()),
                    );
                    Value::Unknown
                }
            };
            let pending = std::mem::take(&mut frame.pending);
            run.settle_unlabelled(frame, pending);
        })
    }

    /// The tokens of a `choose`, after its three sources are checked.
    fn routed_tokens(&mut self, node: NodeRef, input: &Value, chosen: u64) -> Option<Tensor> {
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
        Some(tokens.clone())
    }

    /// A layer after an arrow, or a label above: its layers again.
    fn layer_stage(
        &mut self,
        frame: &mut Frame,
        stage: ast::LayerStage<'w>,
        input: Value,
        own: Option<LabelId>,
        made: &mut Made,
    ) -> Value {
        let Some(expr) = stage.expr() else { return Value::Unknown };
        if let Some(label) = self.label_of(frame, expr) {
            return self.again(frame, expr, &label, input);
        }
        let is_text = matches!(expr.kind(), Kind::Interpolated)
            || expr
                .literal()
                .is_some_and(|token| expr.kind() == Kind::Literal && token.kind() == Kind::String);
        if is_text {
            return Value::Unknown;
        }
        match self.eval_scalar(frame, Some(expr)) {
            Value::Unknown => Value::Unknown,
            Value::Layer(recipe) => self.layer(frame, expr, &recipe, input, own, made),
            other => {
                let message = format!("after `->` stands a layer, not {}", other.describe());
                self.error(Code::NotALayer, frame.node(expr), message);
                Value::Unknown
            }
        }
    }

    /// Uses a layer, block or model.
    fn layer(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        recipe: &Rc<Recipe>,
        input: Value,
        own: Option<LabelId>,
        made: &mut Made,
    ) -> Value {
        let node = frame.node(expr);
        let first = frame.pending.len();
        let value = self.apply(frame, node, recipe, &input, made);
        let is_module = !matches!(recipe.callee, Callee::Function(_));
        if is_module {
            made.is_module = true;
            made.stages.push(Stage::Layer(recipe.clone()));
            if own.is_none() && !frame.reusing {
                self.number(frame, node, first, &value, made);
            }
        }
        value
    }

    fn apply(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        recipe: &Recipe,
        input: &Value,
        made: &mut Made,
    ) -> Value {
        match &recipe.callee {
            Callee::Layer(entry) => self.apply_entry(frame, node, entry, recipe, input, false),
            Callee::Function(entry) => self.apply_entry(frame, node, entry, recipe, input, true),
            callee => {
                let (value, part) = self.apply_item(frame, node, callee, &recipe.arguments, input);
                made.part = part;
                value
            }
        }
    }

    /// An unlabelled layer takes the next number of its body.
    fn number(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        first: usize,
        value: &Value,
        made: &mut Made,
    ) {
        let number = frame.level.next_number.to_smolstr();
        frame.level.next_number += 1;
        let label = frame.child_label(frame.container, &number);
        if let Some(pending) = frame.pending.get_mut(first) {
            pending.step.path.segments = smallvec![number];
            pending.has_path = true;
        }
        let slot = frame.label_mut(label);
        (slot.value, slot.node, slot.is_module) = (Some(value.clone()), Some(node), true);
        slot.part = made.part.take();
        slot.stages = std::mem::take(&mut made.stages);
    }

    /// `-> head`: the layers of a label again, with the same parameters.
    fn again(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        label: &LabelRef,
        input: Value,
    ) -> Value {
        let node = frame.node(expr);
        let (stages, path, first_step) = match label {
            LabelRef::Here(id) => {
                let found = frame.label(*id);
                (found.stages.clone(), label_path(&frame.labels, *id), found.step.clone())
            }
            LabelRef::Inside { part, label, path, .. } => {
                let found = &part.labels[label.0 as usize];
                let inner = label_path(&part.labels, *label);
                (found.stages.clone(), [path.clone(), inner].concat(), found.step.clone())
            }
        };
        if stages.is_empty() {
            let message = format!(
                "`{}` names a tensor and no layer, so nothing can be used again",
                path.join(".")
            );
            self.error(Code::NotALayer, node, message);
            return Value::Unknown;
        }
        let reusing = std::mem::replace(&mut frame.reusing, true);
        let first = frame.pending.len();
        let mut value = input;
        for stage in stages {
            value = match stage {
                Stage::Layer(recipe) => {
                    self.apply(frame, node, &recipe, &value, &mut Made::default())
                }
                Stage::Written(written, scope) => self.again_written(frame, written, scope, value),
            };
        }
        frame.reusing = reusing;
        for pending in &mut frame.pending[first..] {
            pending.step.path = StepPath { segments: path.as_slice().into(), from_part: true };
            pending.has_path = true;
            pending.is_module = false;
        }
        if let Some(first_step) = first_step {
            self.check_same_parameters(frame, node, &path, first, &first_step);
        }
        value
    }

    fn again_written(
        &mut self,
        frame: &mut Frame,
        written: syntax::NodeId,
        scope: Rc<Scope>,
        input: Value,
    ) -> Value {
        let node = NodeRef { file: frame.file, node: written };
        let Some(stage) = ast::Stage::cast(self.workspace.node(node)) else {
            return Value::Unknown;
        };
        let container = frame.detached_label();
        let mut value = Value::Unknown;
        let scope = Scope::new(Some(scope), None, FxHashMap::default());
        self.in_scope(frame, scope, |run, frame| {
            value = run.written_stage(frame, stage, input, Some(container), &mut Made::default());
        });
        value
    }

    /// A layer that is used again must need the parameters that it has.
    fn check_same_parameters(
        &mut self,
        frame: &Frame,
        node: NodeRef,
        path: &[SmolStr],
        first: usize,
        made: &Step,
    ) {
        let again = frame.pending[first..].iter().map(|pending| &pending.step);
        let layer_of = |step: &Step| matches!(step.what, What::Layer(_));
        let Some(again) =
            again.filter(|step| layer_of(step)).find(|step| step.kind() == made.kind())
        else {
            return;
        };
        let (What::Layer(again), What::Layer(made)) = (&again.what, &made.what) else { return };
        if again.layer.same(&*made.layer) {
            return;
        }
        let shapes =
            |layer: &dyn layers::Layer| layers::parameters(layer, frame.dtype).unwrap_or_default();
        let differing = shapes(&*made.layer)
            .into_iter()
            .zip(shapes(&*again.layer))
            .find(|(made, again)| made != again);
        if let Some((made, again)) = differing {
            let path = path.join(".");
            let message = format!(
                "`{path}` has a {} of {}; this input would need {}",
                made.name, made.shape, again.shape
            );
            self.error(Code::WrongShape, node, message);
        }
    }

    /// Paths of an unlabelled step: what has no number stands at its place in the braces.
    fn settle_unlabelled(&mut self, frame: &mut Frame, pending: impl IntoIterator<Item = Pending>) {
        for pending in pending {
            let mut path = pending.step.path.clone();
            if !pending.has_path {
                path = StepPath {
                    segments: smallvec![format!("@{}", frame.level.pathless).into()],
                    from_part: false,
                };
                frame.level.pathless += 1;
            }
            let (node, is_module) = (pending.step.node, pending.is_module);
            let step = frame.place(pending, path);
            if is_module && step.has_parameters() {
                frame.level.numbered.get_or_insert(node);
            }
            if is_module && let Some(number) = step.path.segments.first() {
                let label = frame.child_label(frame.container, number);
                frame.label_mut(label).step = Some(step);
            }
        }
    }

    /// Paths of a labelled step: one module lives under the label, the rest at their places.
    fn settle_labelled(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        own: LabelId,
        labels: &Labels,
        pending: SmallVec<[Pending; 2]>,
    ) {
        let modules: Vec<usize> =
            (0..pending.len()).filter(|index| pending[*index].is_module).collect();
        // A single module lives under the label whatever it has, so nothing need be known of it.
        let with_parameters: Vec<usize> = match (modules.len(), labels.paths.len()) {
            (0 | 1, 1) => Vec::new(),
            _ => modules
                .iter()
                .copied()
                .filter(|index| self.has_parameters(&pending[*index].step, frame.dtype))
                .collect(),
        };
        if let [first, second, ..] = with_parameters[..] {
            let text = self.workspace.node(node).text();
            let (first, second) =
                (self.place(pending[first].step.node), self.place(pending[second].step.node));
            let message = "a labelled step is one module, and here two stages have parameters; braces make a group";
            let diagnostic =
                Diagnostic::new(Code::TwoModules, second, message).related(first, "the first one");
            self.report(match braced(text) {
                Some(braced) => {
                    diagnostic.fix("Put the stages into braces", self.workspace.place(node), braced)
                }
                None => diagnostic,
            });
        }
        if labels.paths.len() > 1
            && let Some(index) = with_parameters.first()
        {
            let stage = pending[*index].step.node;
            let message = "a step with parameters has one label, under which they live; pick its values by an index";
            self.error(Code::TwoModules, stage, message);
        }
        let owner = match (&with_parameters[..], &modules[..]) {
            ([owner, ..], _) => Some(*owner),
            ([], [owner]) => Some(*owner),
            _ => None,
        };
        let segments: Segments = labels
            .paths
            .iter()
            .map(|(path, _)| path.clone())
            .find(|path| !path.is_empty())
            .unwrap_or_default();
        for (index, pending) in pending.into_iter().enumerate() {
            let path = if pending.has_path {
                pending.step.path.clone()
            } else {
                let mut segments = segments.clone();
                if Some(index) != owner
                    && let Some(last) = segments.last_mut()
                {
                    *last = format!("{last}@{index}").into();
                }
                StepPath { segments, from_part: false }
            };
            let is_owner = Some(index) == owner;
            let step = frame.place(pending, path);
            if is_owner {
                if step.has_parameters() {
                    frame.level.labelled.get_or_insert(node);
                }
                frame.label_mut(own).step = Some(step);
            }
        }
    }

    /// Gives the step's value its names.
    fn name_values(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        own: Option<LabelId>,
        labels: &Labels,
        value: &Value,
        mut made: Made,
    ) {
        let Some(own) = own else { return };
        let values: SmallVec<[Value; 1]> = match (labels.paths.len(), value) {
            (1, value) => smallvec![value.clone()],
            (_, Value::Unknown) => smallvec![Value::Unknown; labels.paths.len()],
            (count, value) => {
                let tensors = value.as_tensors().unwrap_or_default();
                if tensors.len() != count {
                    let message = format!("{count} labels for {}", describe_count(tensors.len()));
                    self.error(Code::Unpack, node, message);
                    smallvec![Value::Unknown; count]
                } else {
                    tensors.iter().cloned().map(Value::Tensor).collect()
                }
            }
        };
        for (index, ((segments, node), value)) in labels.paths.iter().zip(values).enumerate() {
            if segments.is_empty() {
                continue;
            }
            let label = if index == 0 { own } else { frame.label_at(segments) };
            if frame.reusing {
                frame.label_mut(label).value = Some(value);
                self.bind_label(frame, &segments[0], *node);
                continue;
            }
            if self.is_label_taken(frame, label, *node, segments) {
                continue;
            }
            let slot = frame.label_mut(label);
            (slot.value, slot.node) = (Some(value), Some(*node));
            if index == 0 {
                slot.is_module = made.is_module;
                slot.part = made.part.take();
                slot.stages = std::mem::take(&mut made.stages);
            }
            self.bind_label(frame, &segments[0], *node);
        }
    }

    /// Reports a label that was given before.
    pub(crate) fn is_label_taken(
        &mut self,
        frame: &Frame,
        label: LabelId,
        node: NodeRef,
        segments: &[SmolStr],
    ) -> bool {
        let Some(first) = frame.label(label).node else { return false };
        let text = segments.join(".");
        let place = self.place(node);
        let loops = first == node;
        let hint = if loops {
            format!("; in a loop a label computes: `\"{text}{{i}}\"`")
        } else {
            String::new()
        };
        let message = format!("`{text}` is given twice in this body{hint}");
        let mut diagnostic = Diagnostic::new(Code::GivenTwice, place, message);
        if !loops {
            diagnostic = diagnostic.related(self.place(first), "first given here");
        }
        self.report(diagnostic);
        true
    }

    /// Makes the first segment of a label a name for the steps after it.
    pub(crate) fn bind_label(&mut self, frame: &mut Frame, segment: &SmolStr, node: NodeRef) {
        let label = frame.child_label(frame.container, segment);
        // A label outlives the braces of a loop or branch: it belongs to the body around them.
        let mut scope = frame.scope.clone();
        let mut targets: SmallVec<[Rc<Scope>; 4]> = smallvec![scope.clone()];
        while let Some(parent) = scope.parent.clone() {
            if !scope.is_spliced {
                break;
            }
            targets.push(parent.clone());
            scope = parent;
        }
        let name_is_taken = |scope: &Scope| {
            matches!(
                scope.get(segment),
                Some(Binding { what: Named::Scalar { .. } | Named::Input(_), .. })
            )
        };
        if let Some(before) =
            targets.iter().find(|scope| name_is_taken(scope)).and_then(|scope| scope.get(segment))
        {
            let (place, first) = (self.place(node), self.place(before.node));
            let message = format!("`{segment}` is given twice in this body");
            self.report(
                Diagnostic::new(Code::GivenTwice, place, message)
                    .related(first, "first given here"),
            );
            return;
        }
        for scope in targets {
            scope.bind(segment.clone(), Binding { what: Named::Label(label), node });
        }
    }

    /// A hint where one body has both numbered and labelled parameters.
    pub(crate) fn hint_mixed(&mut self, frame: &mut Frame) {
        let (Some(numbered), Some(labelled)) = (frame.level.numbered, frame.level.labelled) else {
            return;
        };
        let later = numbered.max(labelled);
        let earlier = numbered.min(labelled);
        let place = self.place(later);
        let message = "this body has numbered and labelled parameters; a PyTorch module has the one or the other";
        let related = self.place(earlier);
        self.report(
            Diagnostic::new(Code::MixedBody, place, message).related(related, "the other kind"),
        );
    }
}

/// What the stages of a step leave behind.
#[derive(Default)]
struct Made {
    is_module: bool,
    part: Option<Rc<Evaluated>>,
    stages: Vec<Stage>,
}

fn flowing(value: &Value) -> Vec<crate::Flowing> {
    value.as_tensors().unwrap_or_default().iter().filter_map(Tensor::flowing).collect()
}

fn describe_count(tensors: usize) -> String {
    match tensors {
        0 => "a value that is no tensor".to_owned(),
        1 => "1 tensor".to_owned(),
        count => format!("{count} tensors"),
    }
}

/// `label: a -> b` as `label: { a; b }`.
fn braced(step: &str) -> Option<String> {
    let (label, flow) = step.split_once(':')?;
    let stages: Vec<&str> = flow.split("->").map(str::trim).collect();
    Some(format!("{label}: {{ {} }}", stages.join("; ")))
}
