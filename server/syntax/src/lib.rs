//! Taper source text to a lossless tree and back.
//!
//! [`parse`] never fails: it gives a [`Tree`] that holds every byte of the text, and the errors
//! met on the way. [`ast`] reads the tree through typed nodes; [`format`](format::format) writes
//! it back in the one layout. This crate knows no layer and no file.
//!
//! ```
//! let parse = syntax::parse("block Head { Flatten; Linear(10) }");
//! assert!(parse.errors().is_empty());
//! assert_eq!(parse.file().items().count(), 1);
//! ```

pub mod ast;
mod display;
pub mod format;
mod grammar;
mod kind;
mod lexer;
mod parser;
mod tree;
mod words;

use std::sync::Arc;

pub use kind::Kind;
pub use parser::{MAX_DEPTH, SyntaxError};
pub use text_size::{TextRange, TextSize};
pub use tree::{Element, NodeId, SyntaxNode, SyntaxToken, Tree};
pub use words::{CONTEXTUAL_WORDS, RESERVED_WORDS};

/// The longest text that is parsed, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// A parsed text: its tree and its errors. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Parse {
    tree: Arc<Tree>,
    errors: Arc<[SyntaxError]>,
}

impl Parse {
    /// The tree, which covers the whole text.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The typed root of the tree.
    pub fn file(&self) -> ast::File<'_> {
        ast::File::of(self.tree.root())
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        self.tree.text()
    }

    /// The errors, in the order of the text.
    pub fn errors(&self) -> &[SyntaxError] {
        &self.errors
    }
}

/// Parses one file. A text longer than [`MAX_TEXT`] gives an empty tree and one error.
pub fn parse(text: &str) -> Parse {
    if text.len() > MAX_TEXT {
        let message =
            format!("this file has {} bytes; a Taper file may have {MAX_TEXT}", text.len());
        let range = TextRange::up_to(TextSize::new(1));
        return Parse {
            tree: Arc::new(parser::parse("", grammar::file).0),
            errors: [SyntaxError { message, range }].into(),
        };
    }
    let (tree, errors) = parser::parse(text, grammar::file);
    Parse { tree: Arc::new(tree), errors: errors.into() }
}
