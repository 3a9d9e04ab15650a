//! What names in a text mean.

use smol_str::SmolStr;

use crate::NodeRef;

/// A symbol of a model: a size that may vary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Its name.
    pub name: SmolStr,
    /// The size that is shown.
    pub size: u64,
    /// Where it is declared, as `N = 1`.
    pub node: NodeRef,
}

/// What a name in the text means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Where it is given.
    pub node: NodeRef,
    /// What it is.
    pub kind: DefinitionKind,
    /// Its value at its first use, if it is a scalar or a tensor.
    pub value: Option<String>,
}

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum DefinitionKind {
    Parameter,
    Let,
    Loop,
    Symbol,
    Pattern,
    Input,
    Label,
    Item,
}
