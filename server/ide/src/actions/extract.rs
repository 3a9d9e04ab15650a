//! Steps as a block, and a block as steps.

use analysis::{DefinitionKind, NodeRef, Place};
use syntax::{Kind, SyntaxNode, TextRange, ast};

use super::places::{indent_at, step_at};
use crate::{
    Action, ActionKind, Edit, Snapshot,
    edits::{edited, keeps_costs},
};

/// Moves the selected steps into a block of their own. Scalars that they use become its parameters.
pub(super) fn extract(snapshot: &Snapshot, selection: TextRange) -> Option<Action> {
    if selection.is_empty() {
        return None;
    }
    let steps = selected_steps(snapshot, selection)?;
    let (first, last) = (steps.first()?, steps.last()?);
    let range = TextRange::new(first.range().start(), last.range().end());
    let item = outermost_item(*first)?;
    let parameters = outer_names(snapshot, &steps, range)?;
    let name = free_name(snapshot);

    let text = snapshot.text();
    let indent = indent_at(text, range.start());
    let lines: Vec<String> = text[std::ops::Range::<usize>::from(range)]
        .lines()
        .map(|line| format!("    {}", line.strip_prefix(indent).unwrap_or(line)))
        .collect();
    let (declared, passed) = match parameters.is_empty() {
        true => (String::new(), String::new()),
        false => {
            let passed: Vec<String> =
                parameters.iter().map(|name| format!("{name}={name}")).collect();
            (format!("({})", parameters.join(", ")), format!("({})", passed.join(", ")))
        }
    };
    let block = format!("block {name}{declared} {{\n{}\n}}\n\n", lines.join("\n"));
    let at = start_with_comments(snapshot, item.syntax());
    let file = snapshot.file();
    let edits = vec![
        Edit { place: Place { file, range: TextRange::empty(at) }, text: block },
        Edit { place: Place { file, range }, text: format!("{name}{passed}") },
    ];
    let after = edited(snapshot, &edits);
    keeps_costs(snapshot, &after)
        .then(|| Action::new(format!("Extract into a block `{name}`"), ActionKind::Extract, edits))
}

/// The whole steps of one body that a selection touches.
fn selected_steps(snapshot: &Snapshot, selection: TextRange) -> Option<Vec<SyntaxNode<'_>>> {
    let start = step_at(snapshot, selection.start()).map(|step| step.syntax()).or_else(|| {
        let tree = snapshot.parse().tree();
        tree.nodes()
            .find(|node| node.kind() == Kind::Step && selection.contains(node.range().start()))
    })?;
    let body = start.parent()?;
    let lines: Vec<SyntaxNode<'_>> = body
        .children()
        .filter(|line| line.range().intersect(selection).is_some_and(|range| !range.is_empty()))
        .collect();
    lines.iter().all(|line| line.kind() == Kind::Step).then_some(lines)
}

/// The item at the top of the file that a node stands in.
fn outermost_item(node: SyntaxNode<'_>) -> Option<ast::Item<'_>> {
    node.ancestors().filter_map(ast::Item::cast).last()
}

/// The scalars from outside that steps use; none if they use a label or an input from outside, or
/// what they give is used after them.
fn outer_names(
    snapshot: &Snapshot,
    steps: &[SyntaxNode<'_>],
    range: TextRange,
) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    let tree = snapshot.parse().tree();
    let used = tree.nodes().filter(|node| matches!(node.kind(), Kind::NameExpr | Kind::Field));
    for node in used {
        let Some(definition) = snapshot.analysis().definitions.get(&snapshot.node(node.id()))
        else {
            continue;
        };
        if definition.node.file != snapshot.file() {
            continue;
        }
        let given = snapshot.workspace.node(definition.node);
        let given_inside = range.contains_range(given.range());
        let used_inside = steps.iter().any(|step| step.range().contains_range(node.range()));
        match (used_inside, given_inside, definition.kind) {
            (false, true, kind) if kind != DefinitionKind::Item => return None,
            (true, false, DefinitionKind::Item) => {
                // A block inside a block is not seen from the top.
                given.parent().filter(|around| around.kind() == Kind::File)?;
            }
            (true, false, DefinitionKind::Label | DefinitionKind::Input) => return None,
            (true, false, _) => {
                let name = node.text().to_owned();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
            _ => {}
        }
    }
    Some(names)
}

fn free_name(snapshot: &Snapshot) -> String {
    let is_known = |name: &str| {
        let items = snapshot.workspace.files().flat_map(|file| {
            snapshot.workspace.parse(file).tree().nodes().filter_map(ast::Item::cast)
        });
        items.filter_map(ast::Item::name).any(|known| known.text() == name)
    };
    let names = (1..).map(|number| match number {
        1 => "Extracted".to_owned(),
        _ => format!("Extracted{number}"),
    });
    names.into_iter().find(|name| !is_known(name)).unwrap_or_default()
}

/// Where a node begins with the comments right above it.
fn start_with_comments(snapshot: &Snapshot, node: SyntaxNode<'_>) -> syntax::TextSize {
    let text = snapshot.text();
    let mut start = usize::from(node.range().start());
    while let Some(line) = text[..start].strip_suffix('\n') {
        let above = line.rfind('\n').map_or(0, |at| at + 1);
        if !line[above..].trim_start().starts_with('#') {
            break;
        }
        start = above;
    }
    syntax::TextSize::of(&text[..start])
}

/// Writes the lines of a block in the place of its use. Its parameters become `let`s.
pub(super) fn inline(snapshot: &Snapshot, step: ast::Step<'_>) -> Option<Action> {
    let stages: Vec<ast::Stage<'_>> = step.stages().collect();
    let sources: Vec<ast::Expr<'_>> =
        step.sources().into_iter().flat_map(ast::Sources::exprs).collect();
    let call = match (&sources[..], &stages[..]) {
        ([call], []) => *call,
        (_, [.., ast::Stage::Layer(layer)]) => layer.expr()?,
        _ => return None,
    };
    let callee = call.operand().unwrap_or(call);
    let definition = snapshot.analysis().definitions.get(&snapshot.node(callee.id()))?;
    if definition.kind != DefinitionKind::Item || definition.node.file != snapshot.file() {
        return None;
    }
    let item = ast::Item::cast(snapshot.workspace.node(definition.node))?;
    let lets = parameter_lets(item, call)?;
    let body = item.body()?.syntax();
    let mut lines: Vec<String> = lets;
    for line in body.children() {
        let text = line.text();
        match line.kind() {
            Kind::Input => {
                // What flows into the braces has the input's name from here on.
                let input = ast::Input::cast(line)?;
                let uses = crate::occurrences(
                    snapshot,
                    crate::Named {
                        node: NodeRef { file: definition.node.file, node: line.id() },
                        kind: DefinitionKind::Input,
                    },
                );
                if uses.len() > 1 {
                    lines.push(format!("{}: it", input.name()?.text()));
                }
                lines.push(input.shape()?.pattern()?.syntax().text().to_owned());
            }
            Kind::Step | Kind::Let | Kind::ParamDecl | Kind::BufferDecl => {
                let own = indent_at(snapshot.text(), line.range().start());
                let mut text_lines = text.lines();
                let first = text_lines.next().unwrap_or_default().to_owned();
                let rest = text_lines.map(|one| one.strip_prefix(own).unwrap_or(one).to_owned());
                lines.extend(std::iter::once(first).chain(rest));
            }
            _ => return None,
        }
    }
    let indent = indent_at(snapshot.text(), step.syntax().range().start());
    let inner: Vec<String> = lines.iter().map(|line| format!("{indent}    {line}")).collect();
    let text = format!("{{\n{}\n{indent}}}", inner.join("\n"));
    let edits = vec![Edit { place: Place { file: snapshot.file(), range: call.range() }, text }];
    let after = edited(snapshot, &edits);
    let name = item.name()?.text();
    keeps_costs(snapshot, &after)
        .then(|| Action::new(format!("Inline the block `{name}`"), ActionKind::Inline, edits))
}

/// `let width = 64` for each parameter, from the call or its default.
fn parameter_lets(item: ast::Item<'_>, call: ast::Expr<'_>) -> Option<Vec<String>> {
    let arguments: Vec<ast::Argument<'_>> = call
        .suffixes()
        .filter_map(|suffix| match suffix {
            ast::Suffix::Call(call) => Some(call.arguments()),
            _ => None,
        })
        .flatten()
        .collect();
    let mut by_place = arguments.iter().filter(|argument| argument.name().is_none());
    let mut lets = Vec::new();
    for parameter in item.parameters() {
        let name = parameter.path()?.text();
        let named =
            arguments.iter().find(|argument| argument.name().is_some_and(|own| own.text() == name));
        let value = match named.or_else(|| by_place.next()) {
            Some(argument) => argument.value()?.text(),
            None => parameter.default()?.text(),
        };
        if value != name {
            lets.push(format!("let {name} = {value}"));
        }
    }
    Some(lets)
}

#[cfg(test)]
mod tests {
    use super::super::tests::after;

    #[test]
    fn steps_become_a_block() {
        assert_eq!(
            after(
                "## A model.\nmodel M(width = 4) {\n    input x: f32[N = 1, 8]\n    $0Linear(width)\n    ReLU$0\n    Tanh\n}",
                "Extract into a block"
            ),
            "block Extracted(width) {\n    Linear(width)\n    ReLU\n}\n\n## A model.\nmodel M(width = 4) {\n    input x: f32[N = 1, 8]\n    Extracted(width=width)\n    Tanh\n}"
        );
        // A label from outside cannot be seen in a block.
        assert!(
            after(
                "model M { input x: f32[N = 1, 8]; a: ReLU; $0Tanh -> ReLU; it + a$0 }",
                "Extract"
            )
            .starts_with("offered")
        );
    }

    #[test]
    fn a_block_becomes_steps() {
        assert_eq!(
            after(
                "block B(width) {\n    input x: [N, C]\n    Linear(width)\n    Linear(C) -> ReLU\n    it + x\n}\nmodel M {\n    input x: f32[N = 1, 8]\n    $0body: B(4)\n}",
                "Inline the block `B`"
            ),
            "block B(width) {\n    input x: [N, C]\n    Linear(width)\n    Linear(C) -> ReLU\n    it + x\n}\nmodel M {\n    input x: f32[N = 1, 8]\n    body: {\n        let width = 4\n        x: it\n        [N, C]\n        Linear(width)\n        Linear(C) -> ReLU\n        it + x\n    }\n}"
        );
    }
}
