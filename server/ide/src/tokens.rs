//! Colours by meaning: what a grammar for an editor cannot know.

use analysis::DefinitionKind;
use rustc_hash::FxHashSet;
use syntax::{Kind, SyntaxNode, SyntaxToken, TextRange};

use crate::{Snapshot, heat::hot_nodes};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum TokenKind {
    Keyword,
    Comment,
    String,
    Number,
    Operator,
    /// A dtype.
    Type,
    /// A layer, block or model.
    Class,
    /// A function on scalars, or one of `F`.
    Function,
    Parameter,
    Variable,
    /// A size.
    Size,
    /// A label: a checkpoint path.
    Label,
}

/// A piece of text with its meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Where it stands, on one line.
    pub range: TextRange,
    /// What it is.
    pub kind: TokenKind,
    /// Its name is given here.
    pub is_declaration: bool,
    /// It is part of Taper.
    pub is_builtin: bool,
    /// It is one of the layers that cost most.
    pub is_hot: bool,
}

/// The tokens in a range, or all of them.
pub fn tokens(snapshot: &Snapshot, range: Option<TextRange>) -> Vec<Token> {
    let tree = snapshot.parse().tree();
    let hot: FxHashSet<_> = hot_nodes(snapshot);
    let whole = tree.root().range();
    let range = range.unwrap_or(TextRange::new(0.into(), whole.end()));
    let mut found = Vec::new();
    for token in tree.tokens() {
        if token.range().end() < range.start() || token.kind().is_trivia() && !is_comment(token) {
            continue;
        }
        if token.range().start() > range.end() {
            break;
        }
        let parent = tree.innermost(token);
        if let Some((kind, is_declaration, is_builtin)) = kind_of(snapshot, token, parent) {
            let is_hot = kind == TokenKind::Class
                && parent.ancestors().take(3).any(|node| hot.contains(&snapshot.node(node.id())));
            found.push(Token { range: token.range(), kind, is_declaration, is_builtin, is_hot });
        }
    }
    found
}

fn is_comment(token: SyntaxToken<'_>) -> bool {
    matches!(token.kind(), Kind::Comment | Kind::DocComment)
}

/// What a token is, whether it gives a name, and whether it is part of Taper.
fn kind_of(
    snapshot: &Snapshot,
    token: SyntaxToken<'_>,
    parent: SyntaxNode<'_>,
) -> Option<(TokenKind, bool, bool)> {
    let plain = |kind| Some((kind, false, false));
    match token.kind() {
        Kind::Comment | Kind::DocComment => return plain(TokenKind::Comment),
        Kind::Int | Kind::Float | Kind::Magnitude => return plain(TokenKind::Number),
        Kind::String | Kind::StringHead | Kind::StringMid | Kind::StringTail => {
            let kind = match parent.parent().map(SyntaxNode::kind) {
                Some(Kind::Labels) => TokenKind::Label,
                _ => TokenKind::String,
            };
            return plain(kind);
        }
        Kind::Arrow | Kind::At | Kind::StarStar | Kind::SlashSlash => {
            return plain(TokenKind::Operator);
        }
        kind if kind.is_reserved() => return plain(TokenKind::Keyword),
        Kind::Name => {}
        _ => return None,
    }
    let is_first = parent.first_token() == Some(token);
    Some(match parent.kind() {
        Kind::Model | Kind::Block if is_first => (TokenKind::Keyword, false, false),
        Kind::Model | Kind::Block => (TokenKind::Class, true, false),
        Kind::Let if !is_first => (TokenKind::Variable, true, false),
        Kind::Input | Kind::Output if !is_first => (TokenKind::Variable, true, false),
        Kind::Use if !is_first => (TokenKind::Class, false, false),
        Kind::Target => (TokenKind::Variable, true, false),
        Kind::Dtype => (TokenKind::Type, false, true),
        Kind::DimDefault => (TokenKind::Size, true, false),
        Kind::Path => match parent.parent()?.kind() {
            Kind::Parameter => (TokenKind::Parameter, true, false),
            Kind::ParamDecl | Kind::BufferDecl => (TokenKind::Label, true, false),
            _ => (TokenKind::Label, false, false),
        },
        Kind::Argument => (TokenKind::Parameter, false, false),
        Kind::NameExpr | Kind::Field => return expression(snapshot, token, parent),
        _ => (TokenKind::Keyword, false, false),
    })
}

/// A name in an expression, by what it stands for.
fn expression(
    snapshot: &Snapshot,
    token: SyntaxToken<'_>,
    parent: SyntaxNode<'_>,
) -> Option<(TokenKind, bool, bool)> {
    let around = parent.parent()?;
    if let Some(definition) = snapshot.analysis().definitions.get(&snapshot.node(parent.id())) {
        let kind = match definition.kind {
            DefinitionKind::Item => TokenKind::Class,
            DefinitionKind::Parameter => TokenKind::Parameter,
            DefinitionKind::Symbol | DefinitionKind::Pattern => TokenKind::Size,
            DefinitionKind::Label => TokenKind::Label,
            DefinitionKind::Let | DefinitionKind::Loop | DefinitionKind::Input => {
                TokenKind::Variable
            }
        };
        return Some((kind, false, false));
    }
    Some(match (parent.kind(), around.kind()) {
        (Kind::NameExpr, Kind::Labels) => (TokenKind::Label, true, false),
        (Kind::NameExpr, Kind::Dim) => (TokenKind::Size, true, false),
        (Kind::NameExpr, Kind::DtypeLine) => (TokenKind::Type, false, true),
        (Kind::NameExpr, _) if layers::find(token.text()).is_some() => {
            (TokenKind::Class, false, true)
        }
        (Kind::Field, _)
            if around
                .children()
                .next()
                .is_some_and(|first| is_function(first.text(), token.text())) =>
        {
            (TokenKind::Function, false, true)
        }
        (Kind::Field, _) => (TokenKind::Label, false, false),
        (Kind::NameExpr, Kind::Postfix)
            if around.children().nth(1).is_some_and(|next| next.kind() == Kind::Call) =>
        {
            (TokenKind::Function, false, true)
        }
        _ => (TokenKind::Variable, false, false),
    })
}

/// Whether a name behind a prefix is a function: of `F` all are, as one may still be written.
fn is_function(prefix: &str, name: &str) -> bool {
    let called = layers::Called::behind(prefix);
    called.is_some_and(|called| {
        called == layers::Called::Functional || layers::find_called(called, name).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    #[test]
    fn names_by_their_meaning() {
        let text = "block B(w) { Linear(w) }\nmodel M {\n input x: f32[N = 1, 8]\n let k = max(2, 3)\n fc: B(w=k) -> F.relu # end\n fc + x\n}";
        let snapshot = snapshot(text);
        let shown: Vec<String> = tokens(&snapshot, None)
            .into_iter()
            .map(|token| {
                let flags = [(token.is_declaration, "+"), (token.is_builtin, "*")];
                let flags: String =
                    flags.iter().filter(|(set, _)| *set).map(|(_, text)| *text).collect();
                format!(
                    "{}{flags}:{:?}",
                    &text[std::ops::Range::<usize>::from(token.range)],
                    token.kind
                )
            })
            .collect();
        let expected = "block:Keyword B+:Class w+:Parameter Linear*:Class w:Parameter model:Keyword M+:Class \
                        input:Keyword x+:Variable f32*:Type N+:Size 1:Number 8:Number let:Keyword k+:Variable \
                        max*:Function 2:Number 3:Number fc+:Label B:Class w:Parameter k:Variable ->:Operator \
                        F:Variable relu*:Function # end:Comment fc:Label x:Variable";
        assert_eq!(shown.join(" "), expected);
    }
}
