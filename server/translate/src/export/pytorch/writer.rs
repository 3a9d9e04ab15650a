//! What is known of the file while it is written: what each unit is in PyTorch.

use std::collections::BTreeSet;

use analysis::Workspace;

use crate::{
    classes::{Classes, UnitId},
    export::unit::Unit,
};

/// What a unit is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `nn.Sequential(…)` where it is made.
    Inline,
    /// A class of `nn.Sequential`.
    Sequential,
    /// A class of `nn.ModuleList`.
    List,
    /// A class of `nn.Module`.
    Module,
}

pub(super) struct Writer<'u, 'm> {
    pub workspace: &'m Workspace,
    pub units: &'u [Unit<'m>],
    pub forms: Vec<Form>,
    /// For each unit, what its children are called in Python.
    pub attributes: Vec<Vec<String>>,
    pub classes: Classes,
    /// The helpers and imports that are used.
    pub needed: BTreeSet<&'static str>,
}

impl<'m> Writer<'_, 'm> {
    pub(super) fn unit(&self, id: UnitId) -> &Unit<'m> {
        &self.units[id.0]
    }

    pub(super) fn form(&self, id: UnitId) -> Form {
        self.forms[id.0]
    }
}
