//! What every feature reads: a file, the files it uses, and what is known of them.

use analysis::{Analysis, FileId, Model, NodeRef, Options, Workspace};
use syntax::{NodeId, Parse};

use crate::Display;

/// An immutable state of a file and its analysis.
#[derive(Debug)]
pub struct Snapshot {
    /// The file and those it uses.
    pub workspace: Workspace,
    /// What is known of it.
    pub analysis: Analysis,
    /// How it was analysed.
    pub options: Options,
    /// How figures are shown.
    pub display: Display,
}

impl Snapshot {
    /// Analyses a file of a workspace.
    pub fn new(workspace: Workspace, file: FileId, options: Options) -> Snapshot {
        let analysis = analysis::analyse(&workspace, file, &options);
        Snapshot { workspace, analysis, options, display: Display::default() }
    }

    /// With figures shown in another way.
    pub fn shown(self, display: Display) -> Snapshot {
        Snapshot { display, ..self }
    }

    /// The file that is shown.
    pub fn file(&self) -> FileId {
        self.analysis.file
    }

    /// Its parsed text.
    pub fn parse(&self) -> &Parse {
        self.workspace.parse(self.file())
    }

    /// Its text.
    pub fn text(&self) -> &str {
        self.parse().text()
    }

    pub(crate) fn node(&self, node: NodeId) -> NodeRef {
        NodeRef { file: self.file(), node }
    }

    /// The first model that does the step of a node.
    pub(crate) fn model_of(&self, node: NodeRef) -> Option<&Model> {
        self.analysis.models.iter().find(|model| !model.uses(node).is_empty())
    }

    /// The first model that uses a model or block, or is it.
    pub(crate) fn model_with(&self, item: NodeRef) -> Option<&Model> {
        self.analysis.models.iter().find(|model| !model.part_uses(item).is_empty())
    }
}
