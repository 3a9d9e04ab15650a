//! Which names are known where.

use std::{cell::RefCell, rc::Rc};

use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::{NodeRef, evaluate::value::Value};

/// The names of one pair of braces, and the scope around it.
#[derive(Debug)]
pub(crate) struct Scope {
    pub parent: Option<Rc<Scope>>,
    /// The body of a model or block, which sees only some names of the scope around it.
    pub body_of: Option<NodeRef>,
    /// The braces of a loop or branch, whose labels belong to the braces around it.
    pub is_spliced: bool,
    names: RefCell<FxHashMap<SmolStr, Binding>>,
    /// The models and blocks declared here.
    pub items: FxHashMap<SmolStr, NodeRef>,
    /// Labels of branches that were not taken, with the `if` that hid them.
    pub hidden: RefCell<FxHashMap<SmolStr, NodeRef>>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub what: Named,
    /// Where it was given.
    pub node: NodeRef,
}

#[derive(Debug, Clone)]
pub(crate) enum Named {
    /// A parameter of the model or block.
    Parameter(Value),
    /// A `let`, a loop's or a pattern's name; `sized` if it may differ with the sizes.
    Scalar { value: Value, sized: bool, how: How },
    /// An input.
    Input(Value),
    /// A label, by its number in the frame.
    Label(LabelId),
}

/// What bound a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Let,
    Loop,
    Symbol,
    Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LabelId(pub u32);

impl Scope {
    pub fn new(
        parent: Option<Rc<Scope>>,
        body_of: Option<NodeRef>,
        items: FxHashMap<SmolStr, NodeRef>,
    ) -> Rc<Scope> {
        let (names, hidden) = Default::default();
        Rc::new(Scope { parent, body_of, is_spliced: false, names, items, hidden })
    }

    /// The scope of a loop's or branch's braces.
    pub fn spliced(parent: Rc<Scope>) -> Rc<Scope> {
        let (names, items, hidden) = Default::default();
        Rc::new(Scope {
            parent: Some(parent),
            body_of: None,
            is_spliced: true,
            names,
            items,
            hidden,
        })
    }

    /// Gives a name in this scope, and tells what it meant here before.
    pub fn bind(&self, name: SmolStr, binding: Binding) -> Option<Binding> {
        self.names.borrow_mut().insert(name, binding)
    }

    /// What a name means in this scope alone.
    pub fn get(&self, name: &str) -> Option<Binding> {
        self.names.borrow().get(name).cloned()
    }

    /// This scope and those around it.
    pub fn chain(&self) -> impl Iterator<Item = &Scope> {
        std::iter::successors(Some(self), |scope| scope.parent.as_deref())
    }

    /// All names that are known here, for "did you mean".
    pub fn all_names(&self) -> Vec<SmolStr> {
        self.chain()
            .flat_map(|scope| scope.names.borrow().keys().cloned().collect::<Vec<_>>())
            .collect()
    }
}
