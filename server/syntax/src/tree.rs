//! The lossless tree: one array of tokens, one of nodes.
//!
//! A node is a run of tokens, and its subtree a run of nodes, so walking is reading an array.
//! That is some ten times cheaper than a tree of allocated nodes (`docs/benchmarks.md`), needs no
//! second, lowered copy, and can be shared between threads.

use std::sync::Arc;

use text_size::{TextRange, TextSize};

use crate::{Kind, lexer::Token};

/// The number of a node in its tree. Nodes are numbered in the order of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(u32);

#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeData {
    pub kind: Kind,
    pub parent: u32,
    /// The number after the last node below this one.
    pub end: u32,
    pub first_token: u32,
    pub end_token: u32,
}

/// A parsed text.
#[derive(Debug)]
pub struct Tree {
    text: Arc<str>,
    tokens: Vec<Token>,
    nodes: Vec<NodeData>,
}

impl Tree {
    pub(crate) fn new(text: &str, tokens: Vec<Token>, nodes: Vec<NodeData>) -> Tree {
        Tree { text: text.into(), tokens, nodes }
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The node that covers the file.
    pub fn root(&self) -> SyntaxNode<'_> {
        self.node(NodeId(0))
    }

    /// The node of a number that this tree gave.
    #[inline]
    pub fn node(&self, id: NodeId) -> SyntaxNode<'_> {
        SyntaxNode { tree: self, id }
    }

    /// All nodes, in the order of the text.
    pub fn nodes(&self) -> impl Iterator<Item = SyntaxNode<'_>> {
        (0..self.nodes.len() as u32).map(|id| self.node(NodeId(id)))
    }

    /// All tokens, in the order of the text.
    pub fn tokens(&self) -> impl Iterator<Item = SyntaxToken<'_>> {
        (0..self.tokens.len() as u32).map(|index| SyntaxToken { tree: self, index })
    }

    /// The token that holds the character at `offset`; the last token at the end of the text.
    pub fn token_at(&self, offset: TextSize) -> Option<SyntaxToken<'_>> {
        let after = self.tokens.partition_point(|token| token.start <= u32::from(offset));
        let index = after.checked_sub(1)? as u32;
        Some(SyntaxToken { tree: self, index })
    }

    /// The innermost node that holds a token.
    pub fn innermost(&self, token: SyntaxToken<'_>) -> SyntaxNode<'_> {
        // The last node that begins at the token or before it holds it, or one around that does.
        let after = self.nodes.partition_point(|node| node.first_token <= token.index);
        let last = self.node(NodeId(after.saturating_sub(1) as u32));
        last.ancestors().find(|node| node.holds(token.index)).unwrap_or(self.root())
    }

    #[inline]
    fn token_start(&self, index: u32) -> u32 {
        self.tokens.get(index as usize).map_or(self.text.len() as u32, |token| token.start)
    }
}

/// A node of a tree. Cheap to copy.
#[derive(Clone, Copy)]
pub struct SyntaxNode<'t> {
    tree: &'t Tree,
    id: NodeId,
}

impl<'t> SyntaxNode<'t> {
    #[inline]
    fn data(self) -> &'t NodeData {
        &self.tree.nodes[self.id.0 as usize]
    }

    /// Its number.
    #[inline]
    pub fn id(self) -> NodeId {
        self.id
    }

    /// Its tree.
    #[inline]
    pub fn tree(self) -> &'t Tree {
        self.tree
    }

    /// What it is.
    #[inline]
    pub fn kind(self) -> Kind {
        self.data().kind
    }

    /// Where it stands, without the white space and comments around it.
    #[inline]
    pub fn range(self) -> TextRange {
        let data = self.data();
        let start = self.tree.token_start(data.first_token);
        let end = self.tree.token_start(data.end_token);
        TextRange::new(start.into(), end.max(start).into())
    }

    /// Its text.
    #[inline]
    pub fn text(self) -> &'t str {
        &self.tree.text[std::ops::Range::<usize>::from(self.range())]
    }

    /// The node around it.
    #[inline]
    pub fn parent(self) -> Option<SyntaxNode<'t>> {
        (self.id.0 != 0).then(|| self.tree.node(NodeId(self.data().parent)))
    }

    /// Itself and the nodes around it, from the inside out.
    pub fn ancestors(self) -> impl Iterator<Item = SyntaxNode<'t>> {
        std::iter::successors(Some(self), |node| node.parent())
    }

    /// The nodes right below it.
    #[inline]
    pub fn children(self) -> impl Iterator<Item = SyntaxNode<'t>> {
        let end = self.data().end;
        let mut next = self.id.0 + 1;
        std::iter::from_fn(move || {
            if next >= end {
                return None;
            }
            let child = self.tree.node(NodeId(next));
            next = child.data().end;
            Some(child)
        })
    }

    /// All nodes below it, in the order of the text.
    pub fn descendants(self) -> impl Iterator<Item = SyntaxNode<'t>> {
        (self.id.0 + 1..self.data().end).map(move |id| self.tree.node(NodeId(id)))
    }

    /// The nodes and tokens right below it, trivia included.
    #[inline]
    pub fn elements(self) -> impl Iterator<Item = Element<'t>> {
        let data = self.data();
        let (mut token, mut child) = (data.first_token, self.id.0 + 1);
        std::iter::from_fn(move || {
            if child < data.end {
                let node = self.tree.node(NodeId(child));
                if node.data().first_token <= token {
                    token = token.max(node.data().end_token);
                    child = node.data().end;
                    return Some(Element::Node(node));
                }
            }
            if token < data.end_token {
                token += 1;
                return Some(Element::Token(SyntaxToken { tree: self.tree, index: token - 1 }));
            }
            None
        })
    }

    /// The tokens right below it, without trivia.
    #[inline]
    pub fn tokens(self) -> impl Iterator<Item = SyntaxToken<'t>> {
        self.elements().filter_map(|element| match element {
            Element::Token(token) if !token.kind().is_trivia() => Some(token),
            _ => None,
        })
    }

    /// The first token of a kind right below it.
    #[inline]
    pub fn token(self, kind: Kind) -> Option<SyntaxToken<'t>> {
        self.tokens().find(|token| token.kind() == kind)
    }

    /// Its first token.
    #[inline]
    pub fn first_token(self) -> Option<SyntaxToken<'t>> {
        let data = self.data();
        let index = data.first_token;
        (index < data.end_token).then_some(SyntaxToken { tree: self.tree, index })
    }

    /// Its last token.
    #[inline]
    pub fn last_token(self) -> Option<SyntaxToken<'t>> {
        let data = self.data();
        let index = data.end_token.checked_sub(1)?;
        (index >= data.first_token).then_some(SyntaxToken { tree: self.tree, index })
    }

    fn holds(self, token: u32) -> bool {
        (self.data().first_token..self.data().end_token).contains(&token)
    }
}

impl PartialEq for SyntaxNode<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.tree, other.tree) && self.id == other.id
    }
}

impl std::fmt::Debug for SyntaxNode<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}@{:?}", self.kind(), self.range())
    }
}

/// A token of a tree. Cheap to copy.
#[derive(Clone, Copy)]
pub struct SyntaxToken<'t> {
    tree: &'t Tree,
    index: u32,
}

impl<'t> SyntaxToken<'t> {
    /// What it is.
    #[inline]
    pub fn kind(self) -> Kind {
        self.tree.tokens[self.index as usize].kind
    }

    /// Its text.
    #[inline]
    pub fn text(self) -> &'t str {
        &self.tree.text[std::ops::Range::<usize>::from(self.range())]
    }

    /// Where it stands.
    #[inline]
    pub fn range(self) -> TextRange {
        let start = self.tree.token_start(self.index);
        let end = self.tree.token_start(self.index + 1);
        TextRange::new(start.into(), end.into())
    }

    /// The token before it, trivia included.
    pub fn previous(self) -> Option<SyntaxToken<'t>> {
        let index = self.index.checked_sub(1)?;
        Some(SyntaxToken { tree: self.tree, index })
    }

    /// The token after it, trivia included.
    pub fn next(self) -> Option<SyntaxToken<'t>> {
        let index = self.index + 1;
        let inside = (index as usize) < self.tree.tokens.len();
        inside.then_some(SyntaxToken { tree: self.tree, index })
    }
}

impl PartialEq for SyntaxToken<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.tree, other.tree) && self.index == other.index
    }
}

impl std::fmt::Debug for SyntaxToken<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {:?}", self.kind(), self.text())
    }
}

/// A node or a token.
#[derive(Debug, Clone, Copy)]
pub enum Element<'t> {
    /// A node.
    Node(SyntaxNode<'t>),
    /// A token.
    Token(SyntaxToken<'t>),
}
