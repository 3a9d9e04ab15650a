//! Steps and their layers: what flows where.

use std::rc::Rc;

use layers::Called;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;
use syntax::{Kind, ast};

use crate::{
    Code, NodeRef, Step, What,
    evaluate::{
        Evaluated, Run,
        frame::{Frame, Pending, Stage},
        labels::LabelRef,
        value::{Callee, LabelId, Recipe, Scope, Tensor, Value},
    },
    written::StepPath,
};

impl<'w> Run<'w> {
    /// `labels: sources -> stage -> stage`
    pub(crate) fn step(&mut self, frame: &mut Frame, step: ast::Step<'w>) {
        let node = NodeRef { file: frame.file, node: step.id() };
        let mut labels = self.labels(frame, step);
        let first_pending = frame.pending.len();
        let own = match labels.paths.as_slice() {
            [] => None,
            [(segments, _), ..] if labels.broken || segments.is_empty() => {
                Some(frame.detached_label())
            }
            [(segments, label), ..] => {
                let own = frame.label_at(segments);
                let is_taken = !frame.reusing && self.is_label_taken(frame, own, *label, segments);
                labels.taken = is_taken;
                // What is inside a step that is there twice is no second mistake.
                Some(if is_taken { frame.detached_label() } else { own })
            }
        };
        let mut made = Made::default();
        if let Some(own) = own {
            frame.label_mut(own).is_open = true;
        }
        let mut value = match step.sources() {
            Some(sources) => self.sources(frame, sources, own, &mut made),
            None => frame.it.clone(),
        };
        for stage in step.stages() {
            value = self.stage(frame, stage, value, own, &mut made);
        }
        if let Some(own) = own {
            frame.label_mut(own).is_open = false;
        }
        let pending: SmallVec<[Pending; 2]> = frame.pending.drain(first_pending..).collect();
        match own {
            None => self.settle_unlabelled(frame, pending),
            Some(own) => self.settle_labelled(frame, node, own, &mut labels, pending),
        }
        self.name_values(frame, node, own, &labels, &value, made);
        frame.level.unknown += u128::from(value.is_unknown());
        frame.it = value;
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
                if self.report_list_of_tensors(frame, pattern) || pattern.is_broken() {
                    return Value::Unknown;
                }
                match &input {
                    Value::Tensor(tensor) => {
                        self.match_pattern(frame, pattern, &tensor.ty, true);
                    }
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
                let node = NodeRef { file: frame.file, node: written.syntax().id() };
                made.stages.push(Stage::Written(node, frame.scope.clone()));
                self.written_stage(frame, written, input, own, made)
            }
        }
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
        let is_module = !matches!(recipe.callee, Callee::Function(..));
        if is_module {
            made.is_module = true;
            made.stages.push(Stage::Layer(recipe.clone()));
            if own.is_none() {
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
            Callee::Layer(entry) => {
                self.apply_entry(frame, node, entry, recipe, input, Called::Module)
            }
            Callee::Function(entry, called) => {
                self.apply_entry(frame, node, entry, recipe, input, *called)
            }
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
        let owns = frame
            .pending
            .get(first)
            .is_some_and(|pending| self.has_parameters(&pending.step, frame.dtype));
        let number = if owns { frame.next_number() } else { frame.next_free_number() };
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
        let found = label.get(frame);
        let (stages, first_step, is_open) =
            (found.stages.clone(), found.step.clone(), found.is_open);
        let path = label.path(frame);
        if is_open {
            let message = format!("`{}` is used inside itself", path.join("."));
            self.error(Code::Recursion, node, message);
            return Value::Unknown;
        }
        if stages.is_empty() {
            let message = format!(
                "`{}` names a tensor and no layer, so nothing can be used again",
                path.join(".")
            );
            self.error(Code::NotALayer, node, message);
            return Value::Unknown;
        }
        let is_of_experts = matches!(
            first_step.as_ref().map(|step| &step.what),
            Some(What::Layer(layer)) if layer.stack.is_some() && self.stack.is_none()
        );
        if is_of_experts {
            let message = format!(
                "`{}` has the parameters of all experts, so it cannot be used by itself",
                path.join(".")
            );
            self.error(Code::NotALayer, node, message);
            return Value::Unknown;
        }
        let reusing = std::mem::replace(&mut frame.reusing, true);
        let first = frame.pending.len();
        let mut value = input;
        if let LabelRef::Here(id) = label {
            frame.label_mut(*id).is_open = true;
        }
        for stage in &stages {
            value = self.stage_again(frame, node, label, stage, value);
        }
        if let LabelRef::Here(id) = label {
            frame.label_mut(*id).is_open = false;
        }
        frame.reusing = reusing;
        // The stage that has the parameters lives at the path, the others at their places.
        let count = frame.pending.len() - first;
        let owner = match &first_step {
            _ if count == 1 => Some(0),
            Some(made) => {
                frame.pending[first..].iter().position(|one| one.step.kind() == made.kind())
            }
            None => None,
        };
        for (index, pending) in frame.pending[first..].iter_mut().enumerate() {
            let mut segments: crate::Segments = path.as_slice().into();
            if Some(index) != owner
                && let Some(last) = segments.last_mut()
            {
                *last = format!("{last}@{index}").into();
            }
            pending.step.path = StepPath { segments, from_part: true };
            pending.has_path = true;
            pending.is_module = false;
        }
        if let Some(first_step) = first_step {
            self.check_same_parameters(frame, node, &path, first, &first_step);
        }
        value
    }

    fn stage_again(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        label: &LabelRef,
        stage: &Stage,
        input: Value,
    ) -> Value {
        match (stage, label) {
            (Stage::Layer(recipe), LabelRef::Here(_)) => {
                self.apply(frame, node, recipe, &input, &mut Made::default())
            }
            (Stage::Layer(recipe), LabelRef::Inside(inside)) => {
                if recipe.arguments.iter().any(|argument| argument.value.flows()) {
                    let message = format!(
                        "`{}` has a weight that steps of its block compute, so it cannot be used again from outside it",
                        label.path(frame).join(".")
                    );
                    self.error(Code::OutsideBlock, node, message);
                    return Value::Unknown;
                }
                let recipe = recipe.with_parameters(&|parameter| inside.parameter(parameter));
                self.apply(frame, node, &recipe, &input, &mut Made::default())
            }
            (Stage::Written(written, scope), label) => {
                let scope = match label {
                    LabelRef::Here(_) => Scope::inner(scope.clone()),
                    LabelRef::Inside(_) => Scope::of_other_body(scope.clone(), frame.scope.depth),
                };
                self.again_written(frame, *written, scope, input)
            }
        }
    }

    fn again_written(
        &mut self,
        frame: &mut Frame,
        written: NodeRef,
        scope: Rc<Scope>,
        input: Value,
    ) -> Value {
        let Some(stage) = ast::Stage::cast(self.workspace.node(written)) else {
            return Value::Unknown;
        };
        let container = frame.detached_label();
        let mut value = Value::Unknown;
        let outer_file = std::mem::replace(&mut frame.file, written.file);
        self.in_scope(frame, scope, |run, frame| {
            value = run.written_stage(frame, stage, input, Some(container), &mut Made::default());
        });
        frame.file = outer_file;
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
}

/// What the stages of a step leave behind.
#[derive(Default)]
pub(crate) struct Made {
    pub is_module: bool,
    pub part: Option<Rc<Evaluated>>,
    pub stages: Vec<Stage>,
}

/// The tensors of a value as a step's inputs.
pub(crate) fn taken(value: &Value) -> Vec<crate::Taken> {
    value.as_tensors().unwrap_or_default().iter().map(Tensor::taken).collect()
}

/// The tensors that flow, as a step keeps them.
pub(crate) fn flowing(value: &Value) -> Vec<crate::Flowing> {
    value.as_tensors().unwrap_or_default().iter().filter_map(Tensor::flowing).collect()
}
