//! Why a model is not exported, and where.

use std::fmt;

use analysis::NodeRef;

/// Why a model cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// One sentence in the user's words.
    pub message: String,
    /// What wrote the step that is the reason.
    pub node: Option<NodeRef>,
}

impl Error {
    pub(super) fn refused(what: &str, reason: impl fmt::Display) -> Error {
        Error { message: format!("`{what}` cannot be exported: {reason}"), node: None }
    }

    /// A block states its cost and has no steps.
    pub(super) fn opaque(block: &str) -> Error {
        let reason = "it is counted by the rules it states and has no steps; give it steps";
        Error::refused(block, reason)
    }

    /// The same error of a step, unless it is known already of which.
    pub(super) fn at(self, node: NodeRef) -> Error {
        Error { node: self.node.or(Some(node)), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
