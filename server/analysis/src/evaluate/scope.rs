//! Which names are known where.
//!
//! A name is looked up by [`Scope::find`] and in no other way. Numbers of labels and tensors mean something in
//! one body only, so what is bound beyond the border of the body is not handed out: [`Found::Outside`] has
//! no binding to read by mistake.

use std::rc::Rc;

use rustc_hash::FxHashMap;
use smallvec::{SmallVec, smallvec};
use smol_str::SmolStr;

use crate::{
    NodeRef,
    evaluate::value::{Binding, Border, Callee, How, Named, Scope, Value},
};

/// Scopes in which a `let` names a block that stands there: the block knows its scope, so each would hold itself for
/// ever. They are emptied when the run ends.
#[derive(Default)]
pub(crate) struct Cycles(Vec<Rc<Scope>>);

impl Cycles {
    /// Notes the scope of a `let` whose value may hold it.
    pub fn note(&mut self, scope: &Rc<Scope>, value: &Value) {
        if knows_a_scope(value) {
            self.0.push(scope.clone());
        }
    }
}

/// Whether a block is in it that stands in other braces.
fn knows_a_scope(value: &Value) -> bool {
    match value {
        Value::List(items) => items.iter().any(knows_a_scope),
        Value::Layer(recipe) => {
            matches!(recipe.callee, Callee::Item { scope: Some(_), .. })
                || recipe.arguments.iter().any(|argument| knows_a_scope(&argument.value))
        }
        _ => false,
    }
}

impl Drop for Cycles {
    fn drop(&mut self) {
        for scope in self.0.drain(..) {
            drop(scope.names.take());
        }
    }
}

/// What a name is where it is read.
pub(crate) enum Found {
    Seen(Binding),
    /// It is given there, beyond this border, and not seen from here.
    Outside(NodeRef, Border),
}

impl Binding {
    /// As a body so many parts further in sees it.
    fn further_in(&self, levels: usize) -> Binding {
        let what = match &self.what {
            Named::Parameter(value) => Named::Parameter(value.further_in(levels)),
            Named::Scalar { value, sized, how } => {
                Named::Scalar { value: value.further_in(levels), sized: *sized, how: *how }
            }
            flowing => flowing.clone(),
        };
        Binding { what, node: self.node }
    }
}

impl Border {
    /// Whether what is bound beyond it is seen from inside.
    fn shows(self, binding: &Binding) -> bool {
        match (self, &binding.what) {
            (Border::Open, _) | (Border::Body(_), Named::Parameter(_)) => true,
            (Border::Body(block), Named::Scalar { sized, how: How::Let, .. }) => {
                !sized && binding.node.node < block.node
            }
            // Where a parameter lives cannot be told from there.
            (Border::OtherBody, Named::Scalar { value, .. } | Named::Parameter(value)) => {
                !value.has_parameters()
            }
            (_, Named::Scalar { .. } | Named::Input(_) | Named::Label(_)) => false,
        }
    }
}

impl Scope {
    /// The body of a model or block, in the scope that it stands in.
    pub fn body(
        parent: Option<Rc<Scope>>,
        item: NodeRef,
        items: FxHashMap<SmolStr, NodeRef>,
        depth: usize,
    ) -> Rc<Scope> {
        let (names, hidden) = Default::default();
        let border = Border::Body(item);
        Rc::new(Scope { parent, border, depth, is_spliced: false, names, items, hidden })
    }

    /// Braces, and the blocks that they declare.
    pub fn braces(parent: Rc<Scope>, items: FxHashMap<SmolStr, NodeRef>) -> Rc<Scope> {
        let (names, hidden) = Default::default();
        let (border, depth, parent) = (Border::Open, parent.depth, Some(parent));
        Rc::new(Scope { parent, border, depth, is_spliced: false, names, items, hidden })
    }

    /// Braces that declare no block.
    pub fn inner(parent: Rc<Scope>) -> Rc<Scope> {
        Scope::braces(parent, FxHashMap::default())
    }

    /// Braces of another body that are used again from one at this depth.
    pub fn of_other_body(parent: Rc<Scope>, depth: usize) -> Rc<Scope> {
        let (names, items, hidden) = Default::default();
        let (border, parent) = (Border::OtherBody, Some(parent));
        Rc::new(Scope { parent, border, depth, is_spliced: false, names, items, hidden })
    }

    /// The scope of a loop's or branch's braces.
    pub fn spliced(parent: Rc<Scope>) -> Rc<Scope> {
        let (names, items, hidden) = Default::default();
        let (border, depth, parent) = (Border::Open, parent.depth, Some(parent));
        Rc::new(Scope { parent, border, depth, is_spliced: true, names, items, hidden })
    }

    /// This scope, and while they are those of loops and branches, the ones around it: where a label is known.
    pub fn with_spliced(scope: &Rc<Scope>) -> SmallVec<[Rc<Scope>; 4]> {
        let mut scopes: SmallVec<[Rc<Scope>; 4]> = smallvec![scope.clone()];
        while let Some(last) = scopes.last().filter(|scope| scope.is_spliced) {
            let Some(parent) = last.parent.clone() else { break };
            scopes.push(parent);
        }
        scopes
    }

    /// Gives a name in this scope, and tells what it meant here before.
    pub fn bind(&self, name: SmolStr, binding: Binding) -> Option<Binding> {
        self.names.borrow_mut().insert(name, binding)
    }

    /// What a name means here.
    pub fn find(&self, name: &str) -> Option<Found> {
        let mut crossed: SmallVec<[Border; 2]> = SmallVec::new();
        for scope in self.chain() {
            if let Some(binding) = scope.names.borrow().get(name) {
                let hides = crossed.iter().find(|border| !border.shows(binding));
                return Some(match hides {
                    Some(border) => Found::Outside(binding.node, *border),
                    None => Found::Seen(binding.further_in(self.depth.abs_diff(scope.depth))),
                });
            }
            if scope.border != Border::Open {
                crossed.push(scope.border);
            }
        }
        None
    }

    /// Where a scalar or an input of this name is given in this scope alone.
    pub fn given_here(&self, name: &str) -> Option<NodeRef> {
        let names = self.names.borrow();
        let binding = names.get(name)?;
        matches!(binding.what, Named::Scalar { .. } | Named::Input(_)).then_some(binding.node)
    }

    /// How many names a block in this scope may see by now: it grows with each.
    pub fn seen_from_blocks(&self) -> usize {
        let counts = self.chain().map(|scope| {
            let names = scope.names.borrow();
            let seen = |binding: &&Binding| {
                matches!(binding.what, Named::Parameter(_) | Named::Scalar { .. })
            };
            names.values().filter(seen).count()
        });
        counts.sum()
    }

    /// This scope and those around it, for what their items and hidden labels are.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Workspace, evaluate::value::Recipe};

    #[test]
    fn a_block_that_a_let_names_in_its_own_braces_is_let_go() {
        let mut workspace = Workspace::default();
        let parse = syntax::parse("model M { block B { ReLU }\n let r = B\n r }");
        let node = parse.tree().root().id();
        let node = NodeRef { file: workspace.insert("m.taper", parse), node };
        let scope = Scope::body(None, node, FxHashMap::default(), 0);
        let callee = Callee::Item { item: node, name: "B".into(), scope: Some(scope.clone()) };
        let value = Value::Layer(Rc::new(Recipe::new(callee, Vec::new(), node)));
        let mut cycles = Cycles::default();
        cycles.note(&scope, &value);
        let what = Named::Scalar { value, sized: false, how: How::Let };
        scope.bind("r".into(), Binding { what, node });
        let left = Rc::downgrade(&scope);
        drop(scope);
        assert!(left.upgrade().is_some());
        drop(cycles);
        assert!(left.upgrade().is_none());
    }
}
