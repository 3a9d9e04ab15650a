//! Labels: the tree that those of a body form, and what a dotted name reads in it and in the blocks that the
//! body uses.

use std::rc::Rc;

use smol_str::SmolStr;

use crate::{
    NodeRef, ParameterPath,
    evaluate::{
        Evaluated,
        frame::{Frame, Label},
        value::{LabelId, Origin, Tensor, Value},
    },
};

/// A label of this body, or one inside a block that it uses.
#[derive(Clone)]
pub(crate) enum LabelRef {
    Here(LabelId),
    Inside(Inside),
}

/// A label of another body: its number is read in that body's part and nowhere else.
#[derive(Clone)]
pub(crate) struct Inside {
    pub part: Rc<Evaluated>,
    label: LabelId,
    /// The steps that lead to the part, from the outside in.
    pub way: Vec<Hop>,
    /// What has the same path in a body further out: `param a.fc.weight` beside `a: Block`.
    beside: Option<Box<LabelRef>>,
}

/// A step that uses a block, and its path in its body.
#[derive(Clone)]
pub(crate) struct Hop {
    pub step: u32,
    segments: Vec<SmolStr>,
}

impl LabelRef {
    /// What is known of the label.
    pub fn get<'f>(&'f self, frame: &'f Frame) -> &'f Label {
        match self {
            LabelRef::Here(id) => frame.label(*id),
            LabelRef::Inside(inside) => &inside.part.labels[inside.label.0 as usize],
        }
    }

    /// Its path as this body sees it.
    pub fn path(&self, frame: &Frame) -> Vec<SmolStr> {
        match self {
            LabelRef::Here(id) => label_path(&frame.labels, *id),
            LabelRef::Inside(inside) => {
                let mut path = path_of(&inside.way);
                path.extend(label_path(&inside.part.labels, inside.label));
                path
            }
        }
    }

    /// What has the same path in a body further out.
    pub fn beside(&self) -> Option<&LabelRef> {
        match self {
            LabelRef::Here(_) => None,
            LabelRef::Inside(inside) => inside.beside.as_deref(),
        }
    }

    /// The label that its segment names below this one.
    pub fn child(&self, frame: &Frame, segment: &str) -> Option<LabelRef> {
        let below = |label: &LabelRef| {
            let id = label.get(frame).children.get(segment)?;
            Some(label.sibling(*id))
        };
        // From the inside out: what the block has there, what this body has, what one further out has.
        let entered = self.entered(frame).map(LabelRef::Inside);
        let found = [
            entered.and_then(|entered| below(&entered)),
            below(self),
            self.beside().and_then(|beside| beside.child(frame, segment)),
        ];
        found.into_iter().flatten().rev().reduce(|outer, mut inner| {
            if let LabelRef::Inside(inside) = &mut inner {
                inside.beside = Some(Box::new(outer));
            }
            inner
        })
    }

    /// The labels below this one in the order in which they were given: those of the block, if it is one.
    pub fn children(&self, frame: &Frame) -> Vec<LabelRef> {
        let entered = self.entered(frame).map(LabelRef::Inside);
        let holder = entered.as_ref().unwrap_or(self);
        holder.get(frame).order.iter().map(|id| holder.sibling(*id)).collect()
    }

    /// The block that the label's step uses.
    fn entered(&self, frame: &Frame) -> Option<Inside> {
        let label = self.get(frame);
        let (part, step) = label.part.clone().zip(label.step.as_ref())?;
        let (mut way, labels, id) = match self {
            LabelRef::Here(id) => (Vec::new(), &frame.labels, *id),
            LabelRef::Inside(inside) => (inside.way.clone(), &inside.part.labels, inside.label),
        };
        way.push(Hop { step: step.id, segments: label_path(labels, id) });
        Some(Inside { part, label: LabelId(0), way, beside: None })
    }

    /// Another label of the same body.
    fn sibling(&self, label: LabelId) -> LabelRef {
        match self {
            LabelRef::Here(_) => LabelRef::Here(label),
            LabelRef::Inside(inside) => {
                LabelRef::Inside(Inside { label, beside: None, ..inside.clone() })
            }
        }
    }
}

impl Inside {
    /// A parameter that the part sees, as this body sees it.
    pub fn parameter(&self, parameter: &ParameterPath) -> ParameterPath {
        let levels = self.way.len();
        match (parameter.up as usize).checked_sub(levels) {
            Some(up) => ParameterPath { up: up as u32, path: parameter.path.clone() },
            None => {
                let mut path = path_of(&self.way[..levels - parameter.up as usize]);
                path.push(parameter.path.as_ref().into());
                ParameterPath { up: 0, path: path.join(".").into() }
            }
        }
    }

    /// A value of the part, as this body sees it.
    pub fn value(&self, frame: &mut Frame, value: &Value, node: NodeRef) -> Value {
        let Some(tensors) = value.as_tensors() else { return value.clone() };
        let steps: Vec<u32> = self.way.iter().map(|hop| hop.step).collect();
        let seen = tensors.iter().map(|tensor| match &tensor.origin {
            Origin::Step(_) => frame.export(&steps, tensor, node),
            Origin::Parameter(parameter) => Tensor {
                ty: tensor.ty.clone(),
                origin: Origin::Parameter(self.parameter(parameter)),
            },
        });
        Value::tensors(seen.collect())
    }
}

fn path_of(way: &[Hop]) -> Vec<SmolStr> {
    way.iter().flat_map(|hop| hop.segments.iter().cloned()).collect()
}

/// The segments of a label, from the root of its tree.
pub(crate) fn label_path(labels: &[Label], id: LabelId) -> Vec<SmolStr> {
    let mut path = Vec::new();
    let mut next = Some(id);
    while let Some(id) = next {
        let label = &labels[id.0 as usize];
        if label.parent.is_some() {
            path.push(label.segment.clone());
        }
        next = label.parent;
    }
    path.reverse();
    path
}
