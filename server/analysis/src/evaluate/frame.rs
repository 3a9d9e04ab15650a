//! What is known while a body is written out: its steps so far, its labels, its tensors.

use std::{rc::Rc, sync::Arc};

use layers::{DType, TensorType};
use rustc_hash::FxHashMap;
use smol_str::{SmolStr, ToSmolStr};
use syntax::NodeId;

use crate::{
    NodeRef, Part, Step, What,
    evaluate::value::{LabelId, Origin, Recipe, Scope, Tensor, Value},
    written::{Export, Inner, Memory, Source, TensorId},
};

/// The state of one body of a model or block.
pub(crate) struct Frame {
    pub file: crate::FileId,
    pub scope: Rc<Scope>,
    /// The label whose children the labels of the current braces are.
    pub container: LabelId,
    /// The current value.
    pub it: Value,
    /// Numbers and paths of the current braces.
    pub level: Level,
    /// The steps of the current line, which get their paths when it ends.
    pub pending: Vec<Pending>,
    pub labels: Vec<Label>,
    pub memory: Vec<Memory>,
    /// Where each tensor was made.
    pub makers: Vec<NodeRef>,
    pub exports: Vec<Export>,
    /// Set by a `dtype` line.
    pub dtype: DType,
    /// What flows into the body and no `input` line has taken yet.
    pub unread_inputs: std::collections::VecDeque<Value>,
    pub inputs: Vec<Tensor>,
    /// Inputs that are given a tensor which an earlier one is given, and that one.
    pub given_again: FxHashMap<TensorId, TensorId>,
    /// The body is one of a model that is run by itself, so its inputs declare symbols.
    pub is_root: bool,
    pub stated: StatedLines,
    pub outputs: Vec<Value>,
    /// Expectations that wait for the figures.
    pub expectations: Vec<NodeId>,
    /// Steps made now are experts that are not chosen.
    pub idle: bool,
    /// Steps made now have the parameters of earlier ones.
    pub reusing: bool,
    /// An expression here may make steps; a scalar one may not.
    pub may_compute: bool,
    /// A text in this expression reads a computed label.
    pub texts_are_labels: bool,
    /// Something was read that may differ with the sizes.
    pub read_size: bool,
}

/// One pair of braces, or a body: where its steps go and how they are numbered.
#[derive(Default)]
pub(crate) struct Level {
    pub steps: Vec<Arc<Step>>,
    pub next_number: u64,
    /// How many steps here are not known.
    pub unknown: u128,
    /// How many steps here have no path of their own.
    pub pathless: u32,
    /// The first numbered module with parameters, and the first labelled one.
    pub numbered: Option<NodeRef>,
    pub labelled: Option<NodeRef>,
}

/// A step whose path is not settled.
pub(crate) struct Pending {
    pub step: Step,
    /// A layer, block or group, as opposed to an operation or a function.
    pub is_module: bool,
    /// Its path is settled: a number, or that of an earlier step.
    pub has_path: bool,
}

#[derive(Default)]
pub(crate) struct StatedLines {
    pub macs: Option<NodeId>,
    pub elementwise: Option<NodeId>,
    pub declares_output: bool,
    pub has_steps: bool,
}

/// A part and what only an evaluation needs of it.
pub(crate) struct Evaluated {
    pub part: Arc<Part>,
    pub labels: Vec<Label>,
    pub value: Value,
}

/// A node of the tree of labels.
#[derive(Default)]
pub(crate) struct Label {
    pub parent: Option<LabelId>,
    pub segment: SmolStr,
    pub children: FxHashMap<SmolStr, LabelId>,
    /// The children in the order in which they were given.
    pub order: Vec<LabelId>,
    pub value: Option<Value>,
    /// Where it was given.
    pub node: Option<NodeRef>,
    /// The label whose children are looked up after its own, of one that belongs to no tree.
    pub around: Option<LabelId>,
    /// The step that owns its parameters.
    pub step: Option<Arc<Step>>,
    /// The block that its step used.
    pub part: Option<Rc<Evaluated>>,
    /// It names a layer, block or group, so `group.*` reads it.
    pub is_module: bool,
    /// Its step is being made, so it cannot be used again yet.
    pub is_open: bool,
    /// Its step's layers, to be used again.
    pub stages: Vec<Stage>,
}

/// A stage that can be used again with the same parameters.
#[derive(Clone)]
pub(crate) enum Stage {
    Layer(Rc<Recipe>),
    /// Braces, a loop or a condition, in the scope in which they stand.
    Written(NodeRef, Rc<Scope>),
}

impl Frame {
    pub fn label(&self, id: LabelId) -> &Label {
        &self.labels[id.0 as usize]
    }

    pub fn label_mut(&mut self, id: LabelId) -> &mut Label {
        &mut self.labels[id.0 as usize]
    }

    /// Which tensor it is, whatever it is called: two inputs may be given one.
    pub fn identity(&self, tensor: &Tensor) -> Source {
        match tensor.source() {
            Source::Tensor(id) => Source::Tensor(*self.given_again.get(&id).unwrap_or(&id)),
            parameter => parameter,
        }
    }

    /// The child of a label, made if there is none.
    pub fn child_label(&mut self, parent: LabelId, segment: &SmolStr) -> LabelId {
        if let Some(child) = self.label(parent).children.get(segment) {
            return *child;
        }
        let id = LabelId(self.labels.len() as u32);
        let segment = segment.clone();
        self.labels.push(Label {
            parent: Some(parent),
            segment: segment.clone(),
            ..Label::default()
        });
        let parent = self.label_mut(parent);
        parent.children.insert(segment, id);
        parent.order.push(id);
        id
    }

    /// The next number of the braces.
    pub fn next_number(&mut self) -> SmolStr {
        let number = self.level.next_number.to_smolstr();
        self.level.next_number += 1;
        number
    }

    /// The next number that is no label of the braces: to a reader two steps of one path are one. Where both
    /// have parameters that is an error.
    pub fn next_free_number(&mut self) -> SmolStr {
        loop {
            let number = self.next_number();
            let label = self.label(self.container).children.get(&number);
            if label.is_none_or(|label| self.label(*label).node.is_none()) {
                return number;
            }
        }
    }

    /// Whether a name is the label of a step that is being made.
    pub fn is_open(&self, name: &str) -> bool {
        let containers = std::iter::successors(Some(self.container), |id| {
            let label = self.label(*id);
            label.parent.or(label.around)
        });
        let mut labels = containers.filter_map(|id| self.label(id).children.get(name));
        labels.any(|id| self.label(*id).is_open)
    }

    /// The label at the end of a path of segments, made if there is none.
    pub fn label_at(&mut self, segments: &[SmolStr]) -> LabelId {
        segments.iter().fold(self.container, |label, segment| self.child_label(label, segment))
    }

    /// A label that belongs to no tree, for steps that do not exist or are done again.
    pub fn detached_label(&mut self) -> LabelId {
        let id = LabelId(self.labels.len() as u32);
        self.labels.push(Label { around: Some(self.container), ..Label::default() });
        id
    }

    /// A tensor that a step makes, or a view of one.
    pub fn new_tensor(
        &mut self,
        ty: TensorType,
        maker: NodeRef,
        view_of: Option<&Tensor>,
    ) -> Tensor {
        let id = TensorId(self.memory.len() as u32);
        // What an expert that is not chosen gives takes no memory, as it does no work.
        let bytes = |ty: &TensorType| if self.idle { 0 } else { ty.bytes().unwrap_or(u128::MAX) };
        let memory = match view_of.map(|tensor| &tensor.origin) {
            Some(Origin::Step(of)) => {
                Memory { storage: self.memory[of.0 as usize].storage, bytes: 0 }
            }
            Some(Origin::Parameter(_)) => Memory { storage: id, bytes: 0 },
            // A size that does not fit was reported where its count was made.
            None => Memory { storage: id, bytes: bytes(&ty) },
        };
        self.memory.push(memory);
        self.makers.push(maker);
        Tensor { ty: Arc::new(ty), origin: Origin::Step(id) }
    }

    /// Outside of experts a declared tensor is that of all of them.
    pub fn show_stacked(&mut self) {
        for label in &mut self.labels {
            if let Some(What::Declared(tensor)) = label.step.as_ref().map(|step| &step.what)
                && let Some(Value::Tensor(value)) = &mut label.value
            {
                let shape = tensor.shape.clone();
                value.ty = Arc::new(TensorType { dtype: tensor.dtype, shape });
            }
        }
    }

    /// The tensor that an inner tensor of a part is to this body.
    pub fn export(&mut self, steps: &[u32], tensor: &Tensor, node: NodeRef) -> Tensor {
        let Origin::Step(id) = tensor.origin else { return tensor.clone() };
        let inner = steps[1..]
            .iter()
            .rev()
            .fold(Inner::Tensor(id), |inner, step| Inner::Deeper(*step, inner.into()));
        let known =
            self.exports.iter().find(|export| export.step == steps[0] && export.inner == inner);
        if let Some(export) = known {
            return Tensor { ty: tensor.ty.clone(), origin: Origin::Step(export.outer) };
        }
        let exported = self.new_tensor((*tensor.ty).clone(), node, None);
        if let Origin::Step(outer) = exported.origin {
            self.exports.push(Export { step: steps[0], inner, outer });
        }
        exported
    }
}
