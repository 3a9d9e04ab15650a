//! Labels and numbers: where a step's parameters live, and what its value is called.

use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;
use syntax::{Kind, ast};

use crate::{
    Code, Diagnostic, NodeRef,
    evaluate::{
        Run,
        frame::{Frame, Pending},
        steps::Made,
        value::{Binding, LabelId, Named, Scope, Value},
    },
    written::{Segments, StepPath},
};

/// The labels of a step: for each its segments and its node. `_` has none.
pub(crate) struct Labels {
    pub paths: SmallVec<[(Segments, NodeRef); 1]>,
    /// A label could not be computed, so the step's path is not known.
    pub broken: bool,
    /// The first one was given before, which is reported.
    pub taken: bool,
    /// The step has parameters, so that it may have one label alone, which is reported.
    pub too_many: bool,
}

impl<'w> Run<'w> {
    pub(crate) fn labels(&mut self, frame: &mut Frame, step: ast::Step<'w>) -> Labels {
        let mut labels =
            Labels { paths: SmallVec::new(), broken: false, taken: false, too_many: false };
        // A step whose values are all dropped has no label.
        if step.labels().all(|label| label.text() == "_") {
            return labels;
        }
        for label in step.labels() {
            let node = frame.node(label);
            // Most labels are one name.
            if label.kind() == Kind::NameExpr && label.text() != "_" {
                labels.paths.push((smallvec![SmolStr::new(label.text())], node));
                continue;
            }
            let text = self.label_text_of(frame, label);
            let segments = text.as_ref().and_then(|text| self.segments_of(node, text));
            let Some((text, segments)) = text.zip(segments) else {
                labels.broken = true;
                labels.paths.push((Segments::new(), node));
                continue;
            };
            if self.setting.records {
                self.note_scalar(node, &Value::text(&text));
            }
            let dropped = text == "_";
            labels.paths.push((if dropped { Segments::new() } else { segments }, node));
        }
        labels
    }

    /// The text of a label; what a string computes.
    pub(crate) fn label_text_of(
        &mut self,
        frame: &mut Frame,
        label: ast::Expr<'w>,
    ) -> Option<String> {
        let is_string = label.literal().is_some_and(|token| token.kind() == Kind::String);
        match label.kind() {
            Kind::Interpolated => self.computed_text(frame, label),
            Kind::Literal if is_string => {
                let text = label.text();
                Some(super::scalars::unescape(&text[1..text.len() - 1], true))
            }
            _ => Some(label.text().to_owned()),
        }
    }

    /// The segments of a path.
    pub(crate) fn segments_of(&mut self, node: NodeRef, text: &str) -> Option<Segments> {
        let segments: Segments = text.split('.').map(SmolStr::new).collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            let message = format!("\"{text}\" is no path: a segment is empty");
            self.error(Code::WrongValue, node, message);
            return None;
        }
        Some(segments)
    }

    /// Paths of an unlabelled step: what has no number stands at its place in the braces.
    pub(crate) fn settle_unlabelled(
        &mut self,
        frame: &mut Frame,
        pending: impl IntoIterator<Item = Pending>,
    ) {
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
    pub(crate) fn settle_labelled(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        own: LabelId,
        labels: &mut Labels,
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
            let first = self.workspace.node(labels.paths[0].1).text();
            let message = format!(
                "a step with parameters has one label, under which they live: `{first}: …`; its values are `{first}[0]`, `{first}[1]`"
            );
            self.error(Code::TwoModules, stage, message);
            labels.too_many = true;
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
    pub(crate) fn name_values(
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
                if tensors.len() != count && labels.too_many {
                    smallvec![Value::Unknown; count]
                } else if tensors.len() != count {
                    let message = format!("{count} labels for {}", describe_count(tensors.len()));
                    self.error(Code::Unpack, node, message);
                    smallvec![Value::Unknown; count]
                } else {
                    tensors.iter().cloned().map(Value::Tensor).collect()
                }
            }
        };
        for (index, ((segments, node), value)) in labels.paths.iter().zip(values).enumerate() {
            if segments.is_empty() || (index == 0 && labels.taken) {
                continue;
            }
            let label = if index == 0 { own } else { frame.label_at(segments) };
            if frame.reusing {
                frame.label_mut(label).value = Some(value);
                self.bind_label(frame, &segments[0], *node);
                continue;
            }
            if index > 0 && self.is_label_taken(frame, label, *node, segments) {
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
        if self.is_assigned(node) {
            return true;
        }
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
        let targets = Scope::with_spliced(&frame.scope);
        if let Some(before) = targets.iter().find_map(|scope| scope.given_here(segment)) {
            // Who reads it is not told that it is another thing.
            let unknown = Binding { what: Named::Input(Value::Unknown), node };
            frame.scope.bind(segment.clone(), unknown);
            if self.is_assigned(node) {
                return;
            }
            let (place, first) = (self.place(node), self.place(before));
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

    /// Whether a label is given as in Python, `x = F.relu(x)`, where a name is given again: that it is none was told.
    fn is_assigned(&self, label: NodeRef) -> bool {
        let step = self.workspace.node(label).ancestors().find_map(ast::Step::cast);
        step.is_some_and(ast::Step::is_assignment)
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
