//! Which models and blocks use which.

use analysis::{DefinitionKind, NodeRef, Place};
use syntax::{TextRange, TextSize, ast};

use crate::{
    Snapshot,
    names::{Named, name_at, occurrences},
    navigation::{Target, target},
};

/// A model or block that uses another, or is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The item.
    pub item: NodeRef,
    /// Where it uses the other.
    pub places: Vec<Place>,
}

/// The model or block at an offset: the one named there, else none.
pub fn hierarchy_item(snapshot: &Snapshot, offset: TextSize) -> Option<NodeRef> {
    let (named, _) = name_at(snapshot, offset)?;
    (named.kind == DefinitionKind::Item).then_some(named.node)
}

/// The name and place of an item.
pub fn item_target(snapshot: &Snapshot, item: NodeRef) -> Option<Target> {
    target(snapshot, TextRange::empty(0.into()), item)
}

/// The items that use an item.
pub fn incoming(snapshot: &Snapshot, item: NodeRef) -> Vec<Caller> {
    let uses = occurrences(snapshot, Named { node: item, kind: DefinitionKind::Item });
    let mut callers: Vec<Caller> = Vec::new();
    for one in uses.into_iter().filter(|one| !one.is_declaration) {
        if let Some(caller) = item_at(snapshot, one.place) {
            add(&mut callers, caller, one.place);
        }
    }
    callers
}

/// The items that an item uses.
pub fn outgoing(snapshot: &Snapshot, item: NodeRef) -> Vec<Caller> {
    let mut called: Vec<Caller> = Vec::new();
    for node in snapshot.workspace.node(item).descendants() {
        let used = NodeRef { file: item.file, node: node.id() };
        let Some(definition) = snapshot.analysis().definitions.get(&used) else { continue };
        let is_direct = node
            .ancestors()
            .find_map(ast::Item::cast)
            .is_some_and(|around| around.id() == item.node);
        if definition.kind == DefinitionKind::Item && is_direct {
            add(&mut called, definition.node, Place { file: item.file, range: node.range() });
        }
    }
    called
}

fn add(callers: &mut Vec<Caller>, item: NodeRef, place: Place) {
    match callers.iter_mut().find(|caller| caller.item == item) {
        Some(caller) => caller.places.push(place),
        None => callers.push(Caller { item, places: vec![place] }),
    }
}

/// The item that a place stands in.
fn item_at(snapshot: &Snapshot, place: Place) -> Option<NodeRef> {
    let tree = snapshot.workspace.parse(place.file).tree();
    let token = tree.token_at(place.range.start())?;
    let item = tree.innermost(token).ancestors().find_map(ast::Item::cast)?;
    Some(NodeRef { file: place.file, node: item.id() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cursor;

    #[test]
    fn both_ways() {
        let (snapshot, offset) = cursor(
            "block A { ReLU }\nblock $0B { A; A }\nmodel M { input x: f32[N = 1, 8]; B; A }",
        );
        let names = |callers: Vec<Caller>| -> Vec<String> {
            let name = |caller: &Caller| {
                let found = ast::Item::cast(snapshot.workspace.node(caller.item))?;
                Some(format!("{} ×{}", found.name()?.text(), caller.places.len()))
            };
            callers.iter().filter_map(name).collect()
        };
        let item = hierarchy_item(&snapshot, offset).expect("a block");
        assert_eq!(names(incoming(&snapshot, item)), ["M ×1"]);
        assert_eq!(names(outgoing(&snapshot, item)), ["A ×2"]);
    }
}
