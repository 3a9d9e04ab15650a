//! Going to where a name is given, to the block behind a step, and to every use.

use analysis::{DefinitionKind, NodeRef, Place};
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::{
    Snapshot,
    links::links,
    names::{name_at, name_range, occurrences},
};

/// Where a name at an offset leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name or text that was asked about.
    pub origin: TextRange,
    /// Where it leads: a place in a file that is known.
    pub place: Place,
    /// All that belongs to it.
    pub whole: TextRange,
}

/// Where the name at an offset is given; the start of the file that a `use` names.
pub fn definition(snapshot: &Snapshot, offset: TextSize) -> Option<Target> {
    if let Some((named, origin)) = name_at(snapshot, offset) {
        return target(snapshot, origin, named.node);
    }
    let link = links(snapshot).into_iter().find(|link| link.range.contains_inclusive(offset))?;
    let file = snapshot.workspace.find(&link.path)?;
    let start = TextRange::empty(0.into());
    Some(Target { origin: link.range, place: Place { file, range: start }, whole: start })
}

/// The model or block that the step of a name, or the name itself, is made of.
pub fn type_definition(snapshot: &Snapshot, offset: TextSize) -> Option<Target> {
    let (named, origin) = name_at(snapshot, offset)?;
    if named.kind == DefinitionKind::Item {
        return target(snapshot, origin, named.node);
    }
    let step = snapshot.workspace.node(named.node).ancestors().find_map(ast::Step::cast)?;
    let item = item_of_step(snapshot, named.node, step)?;
    target(snapshot, origin, item)
}

/// The block that a step ends with.
fn item_of_step(snapshot: &Snapshot, node: NodeRef, step: ast::Step<'_>) -> Option<NodeRef> {
    let names = step.syntax().descendants().filter(|node| node.kind() == Kind::NameExpr);
    let outside_arguments = |name: &SyntaxNode<'_>| {
        let around = name.ancestors().take_while(|around| *around != step.syntax());
        around.into_iter().all(|around| !matches!(around.kind(), Kind::Call | Kind::Body))
    };
    let items = names.filter(outside_arguments).filter_map(|name| {
        let used = NodeRef { file: node.file, node: name.id() };
        let definition = snapshot.analysis().definitions.get(&used)?;
        (definition.kind == DefinitionKind::Item).then_some(definition.node)
    });
    items.last()
}

pub(crate) fn target(snapshot: &Snapshot, origin: TextRange, node: NodeRef) -> Option<Target> {
    let name = name_range(snapshot, node)?;
    let range = TextRange::new(
        u32::try_from(name.start).ok()?.into(),
        u32::try_from(name.end).ok()?.into(),
    );
    let place = Place { file: node.file, range };
    Some(Target { origin, place, whole: snapshot.workspace.place(node).range })
}

/// Every place that means what the name at an offset means.
pub fn references(snapshot: &Snapshot, offset: TextSize, declaration: bool) -> Option<Vec<Place>> {
    let (named, _) = name_at(snapshot, offset)?;
    let found = occurrences(snapshot, named).into_iter();
    Some(found.filter(|one| declaration || !one.is_declaration).map(|one| one.place).collect())
}

/// A use of a name in this file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Highlight {
    /// Where it stands.
    pub range: TextRange,
    /// It is given here.
    pub is_declaration: bool,
}

/// The uses in this file of the name at an offset.
pub fn highlights(snapshot: &Snapshot, offset: TextSize) -> Option<Vec<Highlight>> {
    let (named, _) = name_at(snapshot, offset)?;
    let here =
        occurrences(snapshot, named).into_iter().filter(|one| one.place.file == snapshot.file());
    Some(
        here.map(|one| Highlight { range: one.place.range, is_declaration: one.is_declaration })
            .collect(),
    )
}

/// The ranges that are typed together: all uses of a scalar of this file, whose name nothing else
/// depends on.
pub fn linked_ranges(snapshot: &Snapshot, offset: TextSize) -> Option<Vec<TextRange>> {
    let (named, _) = name_at(snapshot, offset)?;
    let is_local = matches!(
        named.kind,
        DefinitionKind::Let
            | DefinitionKind::Loop
            | DefinitionKind::Symbol
            | DefinitionKind::Pattern
    );
    let ranges: Vec<TextRange> = occurrences(snapshot, named)
        .into_iter()
        .map(|one| (one.place.file == snapshot.file()).then_some(one.place.range))
        .collect::<Option<_>>()?;
    (is_local && ranges.len() > 1).then_some(ranges)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{cursor, places};

    fn leads_to(source: &str) -> String {
        let (snapshot, offset) = cursor(source);
        let found = definition(&snapshot, offset);
        found.map_or(String::new(), |found| places(&snapshot, [found.place])[0].clone())
    }

    fn uses(source: &str) -> Vec<String> {
        let (snapshot, offset) = cursor(source);
        places(&snapshot, references(&snapshot, offset, true).unwrap_or_default())
    }

    #[test]
    fn definitions() {
        for (source, expected) in [
            ("block A { ReLU }\nmodel M { input x: f32[N = 1, 8]; $0A }", "m.taper:1:7 A"),
            ("model M(n = 3) { input x: f32[N = 1, 8]; Linear($0n) }", "m.taper:1:9 n"),
            ("model M { input x: f32[N = 1, 8]; let n = 3; Linear(n$0) }", "m.taper:1:39 n"),
            ("model M { input x: f32[N = 1, 8]; a: ReLU; $0a + x }", "m.taper:1:35 a"),
            ("model M { input x: f32[N = 1, 8]; a: ReLU; a + $0x }", "m.taper:1:17 x"),
            ("model M { input x: f32[N = 1, C = 8]; Linear($0C) }", "m.taper:1:31 C"),
            (
                "block B { input x: [N, C]; Linear($0C) }\nmodel M { input x: f32[N = 1, 8]; B }",
                "m.taper:1:24 C",
            ),
            (
                "model M { input x: f32[N = 1, 8]; for i in range(3) { Linear($0i + 1) } }",
                "m.taper:1:39 i",
            ),
            (
                "block B(width) { Linear(width) }\nmodel M { input x: f32[N = 1, 8]; B($0width=3) }",
                "m.taper:1:9 width",
            ),
            (
                "model M { input x: f32[N = 1, 8]; t: { a: Linear(3) }; x @ t.$0a.weight }",
                "m.taper:1:40 a",
            ),
            (
                "//- b.taper\nblock B { ReLU }\n//- m.taper\nuse \"b.taper\"\nmodel M { input x: f32[N = 1, 8]; $0B }",
                "b.taper:1:7 B",
            ),
            ("//- b.taper\nblock B { ReLU }\n//- m.taper\nuse \"b.taper\": $0B\n", "b.taper:1:7 B"),
            ("//- b.taper\nblock B { ReLU }\n//- m.taper\nuse \"b.$0taper\": B\n", "b.taper:1:1 "),
            (
                "model M { input x: f32[N = 1, 8]; expect params == 0 at $0N = 2; ReLU }",
                "m.taper:1:24 N",
            ),
            ("model M(a.b = 3) { input x: f32[N = 1, 8]; Linear($0a.b) }", "m.taper:1:9 a.b"),
            ("model M { input x: f32[N = 1, 8]; $0ReLU }", ""),
        ] {
            assert_eq!(leads_to(source), expected, "{source}");
        }
    }

    #[test]
    fn a_label_leads_to_its_block() {
        let (snapshot, offset) =
            cursor("block A { ReLU }\nmodel M { input x: f32[N = 1, 8]; a: A; x + $0a }");
        let found = type_definition(&snapshot, offset).expect("a block");
        assert_eq!(places(&snapshot, [found.place]), ["m.taper:1:7 A"]);
    }

    #[test]
    fn uses_of_a_label_that_two_branches_give() {
        let source = "model M(deep = true) {\n input x: f32[N = 1, 8]\n if deep {\n  a: Linear(3)\n } else {\n  a: Linear(4)\n }\n $0a -> ReLU\n}";
        assert_eq!(uses(source), ["m.taper:4:3 a", "m.taper:6:3 a", "m.taper:8:2 a"]);
    }

    #[test]
    fn uses_of_a_parameter_in_another_file() {
        let source = "//- b.taper\nblock B(width) { Linear(width) }\n//- m.taper\nuse \"b.taper\"\nmodel M { input x: f32[N = 1, 8]; B($0width=3); B(width=4) }";
        assert_eq!(
            uses(source),
            ["b.taper:1:9 width", "b.taper:1:25 width", "m.taper:2:37 width", "m.taper:2:49 width"]
        );
    }

    #[test]
    fn scalars_are_typed_together() {
        let linked = |source: &str| {
            let (snapshot, offset) = cursor(source);
            linked_ranges(&snapshot, offset).map(|ranges| ranges.len())
        };
        assert_eq!(linked("model M { input x: f32[$0N = 1, 8]; Reshape(N, 8) }"), Some(2));
        assert_eq!(linked("model M { input x: f32[N = 1, 8]; $0a: ReLU; a + x }"), None);
    }

    #[test]
    fn names_of_one_text_in_two_bodies_are_two() {
        let source = "block A { input x: [N, C]; $0y: ReLU; y + x }\nblock B { input x: [N, C]; y: ReLU; y + x }\nmodel M { input x: f32[N = 1, 8]; A; B }";
        assert_eq!(uses(source), ["m.taper:1:28 y", "m.taper:1:37 y"]);
    }
}
