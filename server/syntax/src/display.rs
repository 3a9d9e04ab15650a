//! A tree as indented lines, for tests and bug reports.

use std::fmt;

use crate::{Element, SyntaxNode, Tree};

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_node(f, self.root(), 0)
    }
}

fn write_node(f: &mut fmt::Formatter<'_>, node: SyntaxNode<'_>, depth: usize) -> fmt::Result {
    writeln!(f, "{:depth$}{:?}", "", node.kind(), depth = depth * 2)?;
    for element in node.elements() {
        match element {
            Element::Node(child) => write_node(f, child, depth + 1)?,
            Element::Token(token) if token.kind().is_trivia() => {}
            Element::Token(token) => {
                writeln!(f, "{:depth$}{:?}", "", token.text(), depth = depth * 2 + 2)?;
            }
        }
    }
    Ok(())
}
