//! The names that can be written at a place, found in the text alone: what is half-typed there has
//! no meaning yet.

use analysis::{DefinitionKind, NodeRef};
use syntax::{Kind, SyntaxNode, TextSize, ast};

use crate::Snapshot;

/// A name that can be written.
pub(crate) struct ScopeName<'s> {
    pub name: &'s str,
    pub kind: DefinitionKind,
    /// What gives it.
    pub node: NodeRef,
}

/// The models and blocks that can be named at an offset, the nearest first.
pub(crate) fn items_in_scope(snapshot: &Snapshot, offset: TextSize) -> Vec<(&str, NodeRef)> {
    let mut items = Vec::new();
    for body in around(snapshot, offset).filter(|node| node.kind() == Kind::Body) {
        items.extend(
            ast::Body::cast(body)
                .into_iter()
                .flat_map(|body| named_items(snapshot.file(), body.items())),
        );
    }
    items.extend(named_items(snapshot.file(), snapshot.parse().file().items()));
    for use_ in snapshot.parse().file().uses() {
        let Some(file) = crate::links::file_of(snapshot, snapshot.file(), use_) else { continue };
        let taken: Vec<&str> = use_.names().map(|name| name.text()).collect();
        let all = named_items(file, snapshot.workspace.parse(file).file().items());
        items.extend(all.filter(|(name, _)| taken.is_empty() || taken.contains(name)));
    }
    items
}

fn named_items<'s>(
    file: analysis::FileId,
    items: impl Iterator<Item = ast::Item<'s>>,
) -> impl Iterator<Item = (&'s str, NodeRef)> {
    items.filter_map(move |item| Some((item.name()?.text(), NodeRef { file, node: item.id() })))
}

/// The nodes around an offset, from the inside out.
pub(crate) fn around(
    snapshot: &Snapshot,
    offset: TextSize,
) -> impl Iterator<Item = SyntaxNode<'_>> {
    let tree = snapshot.parse().tree();
    let mut node = tree.root();
    // A body holds the white space before its closing brace, or all that is behind it if it has none.
    while let Some(child) =
        node.children().take_while(|child| child.range().start() < offset).last()
        && (child.range().end() > offset || is_open(child))
    {
        node = child;
    }
    node.ancestors()
}

/// Whether a node's braces or brackets are not closed, so that what follows belongs to it.
fn is_open(node: SyntaxNode<'_>) -> bool {
    let body =
        std::iter::once(node).chain(node.descendants()).find(|node| node.kind() == Kind::Body);
    body.is_some_and(|body| body.last_token().is_none_or(|last| last.kind() != Kind::RightBrace))
}

/// The parameters, `let`s, sizes, inputs and labels that can be named at an offset, the nearest first.
pub(crate) fn names_in_scope(snapshot: &Snapshot, offset: TextSize) -> Vec<ScopeName<'_>> {
    let mut names = Vec::new();
    let mut in_block = false;
    let file = snapshot.file();
    let mut inner: Option<SyntaxNode<'_>> = None;
    for node in around(snapshot, offset) {
        match node.kind() {
            Kind::Body => {
                let lines = node.children().take_while(|line| line.range().start() < offset);
                let lines = lines.filter(|line| Some(*line) != inner);
                let mut above: Vec<ScopeName<'_>> =
                    lines.flat_map(|line| line_names(file, line)).collect();
                above.reverse();
                if in_block {
                    above.retain(|name| name.kind == DefinitionKind::Let);
                }
                names.extend(above);
            }
            Kind::For => {
                let targets = node.descendants().filter(|node| node.kind() == Kind::Target);
                names.extend(targets.filter_map(|target| {
                    let name = ast::Target::cast(target)?.name()?.text();
                    Some(named(file, name, DefinitionKind::Loop, target))
                }));
            }
            Kind::Model | Kind::Block => {
                let parameters = ast::Item::cast(node).into_iter().flat_map(ast::Item::parameters);
                names.extend(parameters.filter_map(|parameter| {
                    let name = parameter.path()?.text();
                    Some(named(file, name, DefinitionKind::Parameter, parameter.syntax()))
                }));
                in_block = true;
            }
            _ => {}
        }
        inner = Some(node);
    }
    let mut seen = rustc_hash::FxHashSet::default();
    names.retain(|name| seen.insert(name.name));
    names
}

fn named<'s>(
    file: analysis::FileId,
    name: &'s str,
    kind: DefinitionKind,
    node: SyntaxNode<'_>,
) -> ScopeName<'s> {
    ScopeName { name, kind, node: NodeRef { file, node: node.id() } }
}

/// The names that a line gives to those after it.
fn line_names(file: analysis::FileId, line: SyntaxNode<'_>) -> Vec<ScopeName<'_>> {
    let mut names = Vec::new();
    let one = |name: Option<syntax::SyntaxToken<'_>>| name.map(|name| name.range());
    let text =
        |range: syntax::TextRange| &line.tree().text()[std::ops::Range::<usize>::from(range)];
    match line.kind() {
        Kind::Let => names.extend(
            one(ast::Let::cast(line).and_then(ast::Let::name))
                .map(|range| named(file, text(range), DefinitionKind::Let, line)),
        ),
        Kind::Input => {
            names.extend(
                one(ast::Input::cast(line).and_then(ast::Input::name))
                    .map(|range| named(file, text(range), DefinitionKind::Input, line)),
            );
            names.extend(sizes(file, line));
        }
        Kind::ParamDecl | Kind::BufferDecl => {
            let path = line.children().find(|node| node.kind() == Kind::Path);
            names.extend(path.map(|path| named(file, path.text(), DefinitionKind::Label, line)));
        }
        Kind::Step => names.extend(step_names(file, line)),
        _ => {}
    }
    names
}

/// The sizes that patterns bind.
fn sizes(file: analysis::FileId, node: SyntaxNode<'_>) -> Vec<ScopeName<'_>> {
    let dims = node.descendants().filter_map(|dim| match dim.kind() {
        Kind::DimDefault => {
            let name = dim.token(Kind::Name)?;
            Some(named(file, name.text(), DefinitionKind::Symbol, dim))
        }
        Kind::Dim => {
            let expr = dim.children().next().filter(|expr| expr.kind() == Kind::NameExpr)?;
            Some(named(file, expr.text(), DefinitionKind::Pattern, expr))
        }
        _ => None,
    });
    dims.collect()
}

/// The labels of a step, and those in the braces of its loops and branches.
fn step_names(file: analysis::FileId, step: SyntaxNode<'_>) -> Vec<ScopeName<'_>> {
    let mut names = Vec::new();
    let labels = step.children().filter(|node| node.kind() == Kind::Labels);
    for label in labels.flat_map(SyntaxNode::children).filter(|node| node.kind() == Kind::NameExpr)
    {
        names.push(named(file, label.text(), DefinitionKind::Label, label));
    }
    let is_labelled = !names.is_empty();
    for stage in step.children() {
        match stage.kind() {
            Kind::Pattern => names.extend(sizes(file, stage)),
            Kind::If | Kind::For if !is_labelled => {
                let bodies = stage.children().flat_map(|node| match node.kind() {
                    Kind::Body => vec![node],
                    _ => node.children().filter(|node| node.kind() == Kind::Body).collect(),
                });
                let steps = bodies.flat_map(|body| body.children().collect::<Vec<_>>());
                let steps = steps.filter(|line| line.kind() == Kind::Step);
                names.extend(
                    steps
                        .flat_map(|step| step_names(file, step))
                        .filter(|name| name.kind == DefinitionKind::Label),
                );
            }
            _ => {}
        }
    }
    names
}
