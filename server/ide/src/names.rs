//! Names: what one stands for, and every place that means the same.

use analysis::{DefinitionKind, FileId, NodeRef, Place};
use syntax::{Kind, SyntaxNode, SyntaxToken, TextRange, TextSize, ast};

use crate::Snapshot;

/// Something that a text gives a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Named {
    /// The node that gives it; of labels of several branches the first.
    pub node: NodeRef,
    /// What it is.
    pub kind: DefinitionKind,
}

/// A name where it is given or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// Where the name stands.
    pub place: Place,
    /// It is given here.
    pub is_declaration: bool,
}

/// The name at an offset, and the text that it is there.
pub fn name_at(snapshot: &Snapshot, offset: TextSize) -> Option<(Named, TextRange)> {
    let token = word_at(snapshot.parse().tree(), offset)?;
    Some((named(snapshot, snapshot.file(), token)?, token.range()))
}

/// The word or string that holds an offset, or ends there.
pub(crate) fn word_at(tree: &syntax::Tree, offset: TextSize) -> Option<SyntaxToken<'_>> {
    let is_word = |token: &SyntaxToken<'_>| matches!(token.kind(), Kind::Name | Kind::String);
    let token = tree.token_at(offset)?;
    let before = || token.previous().filter(|before| before.range().end() == offset);
    Some(token).filter(is_word).or_else(|| before().filter(is_word))
}

/// Every place that means the same, in the files that the snapshot knows.
pub fn occurrences(snapshot: &Snapshot, wanted: Named) -> Vec<Occurrence> {
    let Some(name) = name_range(snapshot, wanted.node) else { return Vec::new() };
    let text = &snapshot.workspace.parse(wanted.node.file).text()[name];
    let mut found = Vec::new();
    for file in snapshot.workspace.files() {
        let tree = snapshot.workspace.parse(file).tree();
        for token in tree.tokens().filter(|token| token.text() == text) {
            if named(snapshot, file, token) == Some(wanted) {
                let is_declaration =
                    declared(snapshot, file, token).is_some_and(|own| own == wanted);
                found.push(Occurrence {
                    place: Place { file, range: token.range() },
                    is_declaration,
                });
            }
        }
    }
    found
}

/// Where the name of a node that gives one stands.
pub(crate) fn name_range(snapshot: &Snapshot, node: NodeRef) -> Option<std::ops::Range<usize>> {
    let node = snapshot.workspace.node(node);
    let range = match node.kind() {
        Kind::Model | Kind::Block => ast::Item::cast(node)?.name()?.range(),
        Kind::Let => ast::Let::cast(node)?.name()?.range(),
        Kind::Input => ast::Input::cast(node)?.name()?.range(),
        Kind::Parameter => ast::Parameter::cast(node)?.path()?.range(),
        Kind::ParamDecl => ast::ParamDecl::cast(node)?.path()?.range(),
        Kind::BufferDecl => ast::BufferDecl::cast(node)?.path()?.range(),
        Kind::Target => ast::Target::cast(node)?.name()?.range(),
        Kind::DimDefault => node.token(Kind::Name)?.range(),
        _ => node.range(),
    };
    Some(range.into())
}

/// What a token stands for, where it is given or where it is used.
fn named(snapshot: &Snapshot, file: FileId, token: SyntaxToken<'_>) -> Option<Named> {
    declared(snapshot, file, token).or_else(|| used(snapshot, file, token))
}

/// What a token gives a name to.
fn declared(snapshot: &Snapshot, file: FileId, token: SyntaxToken<'_>) -> Option<Named> {
    let parent = snapshot.workspace.parse(file).tree().innermost(token);
    let is_name = |name: Option<SyntaxToken<'_>>| name == Some(token);
    let (node, kind) = match parent.kind() {
        Kind::Model | Kind::Block if is_name(ast::Item::cast(parent)?.name()) => {
            (parent, DefinitionKind::Item)
        }
        Kind::Let if is_name(ast::Let::cast(parent)?.name()) => (parent, DefinitionKind::Let),
        Kind::Input if is_name(ast::Input::cast(parent)?.name()) => (parent, DefinitionKind::Input),
        Kind::Target => (parent, DefinitionKind::Loop),
        Kind::DimDefault if is_name(parent.token(Kind::Name)) => (parent, DefinitionKind::Symbol),
        Kind::Path if ast::Path::cast(parent)?.segments().count() == 1 => {
            let line = parent.parent()?;
            match line.kind() {
                Kind::Parameter => (line, DefinitionKind::Parameter),
                Kind::ParamDecl | Kind::BufferDecl => (line, DefinitionKind::Label),
                _ => return None,
            }
        }
        Kind::NameExpr | Kind::Literal if parent.parent()?.kind() == Kind::Labels => {
            return Some(first_label(file, parent));
        }
        Kind::NameExpr if parent.parent()?.kind() == Kind::Dim => {
            let node = NodeRef { file, node: parent.id() };
            let is_read = snapshot.analysis().definitions.contains_key(&node);
            let is_input = parent.ancestors().any(|node| node.kind() == Kind::Input);
            let kind = if is_input { DefinitionKind::Symbol } else { DefinitionKind::Pattern };
            return (!is_read).then_some(Named { node, kind });
        }
        _ => return None,
    };
    Some(Named { node: NodeRef { file, node: node.id() }, kind })
}

/// A label; one that several branches give is that of the first.
fn first_label(file: FileId, label: SyntaxNode<'_>) -> Named {
    let home = label_home(label);
    let labels = home.descendants().filter(|node| node.kind() == Kind::Labels);
    let mut same = labels.flat_map(SyntaxNode::children).filter(|node| node.text() == label.text());
    let first = same.find(|node| label_home(*node) == home).unwrap_or(label);
    Named { node: NodeRef { file, node: first.id() }, kind: DefinitionKind::Label }
}

/// The braces that a label belongs to: it outlives those of loops and branches.
fn label_home(label: SyntaxNode<'_>) -> SyntaxNode<'_> {
    let mut bodies = label.ancestors().filter(|node| node.kind() == Kind::Body);
    let is_home = |body: &SyntaxNode<'_>| {
        !body.parent().is_some_and(|around| matches!(around.kind(), Kind::Branch | Kind::For))
    };
    bodies.find(is_home).unwrap_or(label.tree().root())
}

/// What a token means that gives no name.
fn used(snapshot: &Snapshot, file: FileId, token: SyntaxToken<'_>) -> Option<Named> {
    let parent = snapshot.workspace.parse(file).tree().innermost(token);
    match parent.kind() {
        Kind::NameExpr | Kind::Field => {
            let node = NodeRef { file, node: parent.id() };
            let definition = snapshot.analysis().definitions.get(&node)?;
            let given = snapshot.workspace.node(definition.node);
            match definition.kind {
                DefinitionKind::Label
                    if given.parent().is_some_and(|around| around.kind() == Kind::Labels) =>
                {
                    Some(first_label(definition.node.file, given))
                }
                kind => Some(Named { node: definition.node, kind }),
            }
        }
        Kind::Argument => argument(snapshot, file, ast::Argument::cast(parent)?, token),
        Kind::Use => {
            let use_ = ast::Use::cast(parent)?;
            let item = crate::links::file_of(snapshot, file, use_)?;
            let found = item_called(snapshot, item, token.text())?;
            use_.names().any(|name| name == token).then_some(found)
        }
        Kind::Path => weights_label(file, parent, token),
        _ => None,
    }
}

/// The item at the top of a file.
fn item_called(snapshot: &Snapshot, file: FileId, name: &str) -> Option<Named> {
    let mut items = snapshot.workspace.parse(file).file().items();
    let item = items.find(|item| item.name().is_some_and(|own| own.text() == name))?;
    Some(Named { node: NodeRef { file, node: item.id() }, kind: DefinitionKind::Item })
}

/// The name of an argument is that of a block's parameter; after `at`, that of a symbol.
fn argument(
    snapshot: &Snapshot,
    file: FileId,
    argument: ast::Argument<'_>,
    token: SyntaxToken<'_>,
) -> Option<Named> {
    if argument.name() != Some(token) {
        return None;
    }
    let around = argument.syntax().parent()?;
    if around.kind() == Kind::ExpectAt {
        let item = around.ancestors().find_map(ast::Item::cast)?;
        let dims =
            item.body()?.syntax().descendants().filter(|node| node.kind() == Kind::DimDefault);
        let mut same = dims
            .filter(|node| node.token(Kind::Name).is_some_and(|name| name.text() == token.text()));
        let node = NodeRef { file, node: same.next()?.id() };
        return Some(Named { node, kind: DefinitionKind::Symbol });
    }
    let callee = around.parent()?.children().next()?;
    let item = snapshot.analysis().definitions.get(&NodeRef { file, node: callee.id() })?;
    let mut parameters = ast::Item::cast(snapshot.workspace.node(item.node))?.parameters();
    let parameter = parameters
        .find(|parameter| parameter.path().is_some_and(|path| path.text() == token.text()))?;
    let node = NodeRef { file: item.node.file, node: parameter.id() };
    Some(Named { node, kind: DefinitionKind::Parameter })
}

/// The label that `weights … for transformer` names.
fn weights_label(file: FileId, path: SyntaxNode<'_>, token: SyntaxToken<'_>) -> Option<Named> {
    let line = path.parent().filter(|node| node.kind() == Kind::Weights)?;
    let is_first = ast::Path::cast(path)?.segments().next() == Some(token);
    let home = label_home(line);
    let labels = home.descendants().filter(|node| node.kind() == Kind::Labels);
    let mut same = labels.flat_map(SyntaxNode::children).filter(|node| node.text() == token.text());
    let label = same.find(|node| is_first && label_home(*node) == home)?;
    Some(Named { node: NodeRef { file, node: label.id() }, kind: DefinitionKind::Label })
}
