//! What every feature reads: a file, the files it uses, and what is known of them.

use std::sync::{Arc, OnceLock};

use analysis::{
    Analysis, Code, Configured, Diagnostic, FileId, Model, NodeRef, Options, Workspace,
};
use syntax::{NodeId, Parse};

use crate::{
    Display, Measurement,
    timings::{Timings, latencies},
};

/// An immutable state of a file and its analysis.
#[derive(Debug)]
pub struct Snapshot {
    /// The file and those it uses.
    pub workspace: Workspace,
    file: FileId,
    /// The config that is shown, if it is not a Taper file.
    config: Option<FileId>,
    analysis: OnceLock<Analysis>,
    /// The same by our own rules, if another tool's are shown.
    own: OnceLock<Analysis>,
    /// How it is analysed.
    pub options: Options,
    /// How figures are shown.
    pub display: Display,
    /// What was measured, of this file and of others.
    measurements: Arc<Vec<Arc<Measurement>>>,
    timings: OnceLock<Timings>,
}

impl Snapshot {
    /// A file of a workspace.
    pub fn new(workspace: Workspace, file: FileId, options: Options) -> Snapshot {
        Snapshot {
            workspace,
            file,
            config: None,
            analysis: OnceLock::new(),
            own: OnceLock::new(),
            options,
            display: Display::default(),
            measurements: Arc::default(),
            timings: OnceLock::new(),
        }
    }

    /// A config with the model that it configures, in its file; or with why there is none, if it is
    /// a config at all.
    pub fn of_config(
        workspace: Workspace,
        config: FileId,
        model: Result<(FileId, Configured), Option<Diagnostic>>,
        options: Options,
    ) -> Snapshot {
        match model {
            Ok((file, configured)) => {
                let options = Options { configured: Some(configured), ..options };
                Snapshot { config: Some(config), ..Snapshot::new(workspace, file, options) }
            }
            Err(diagnostic) => {
                let analysis = Analysis::with(config, diagnostic.into_iter().collect());
                let snapshot = Snapshot::new(workspace, config, options);
                Snapshot { config: Some(config), analysis: analysis.into(), ..snapshot }
            }
        }
    }

    /// Whether it is a config.
    pub fn is_config(&self) -> bool {
        self.config.is_some()
    }

    /// The file that an editor shows: the config, or the Taper file.
    pub fn shown_file(&self) -> FileId {
        self.config.unwrap_or(self.file)
    }

    /// What is known of it, found out when first asked for: some features need the text alone.
    pub fn analysis(&self) -> &Analysis {
        self.analysis.get_or_init(|| self.analyse())
    }

    /// The same by our own rules.
    pub(crate) fn own_analysis(&self) -> &Analysis {
        if self.options.count.is_none() {
            return self.analysis();
        }
        let options = Options { count: None, ..self.options.clone() };
        self.own.get_or_init(|| analysis::analyse(&self.workspace, self.file, &options))
    }

    /// Only once a model is written out it is known what was measured of it: an expectation of a
    /// latency takes a second look.
    fn analyse(&self) -> Analysis {
        let analysis = analysis::analyse(&self.workspace, self.file, &self.options);
        let waits = analysis.diagnostics.iter().any(|found| found.code == Code::NotMeasured);
        if !waits || self.measurements.is_empty() {
            return analysis;
        }
        match latencies(&self.timings_of(&analysis)) {
            known if known.is_empty() => analysis,
            latencies => {
                let options = Options { latencies, ..self.options.clone() };
                analysis::analyse(&self.workspace, self.file, &options)
            }
        }
    }

    fn timings_of(&self, analysis: &Analysis) -> Timings {
        let path = self.workspace.path(self.shown_file());
        Timings::new(path, &analysis.models, &self.measurements)
    }

    /// What was measured, beside its lines.
    pub(crate) fn timings(&self) -> &Timings {
        self.timings.get_or_init(|| self.timings_of(self.analysis()))
    }

    /// What is known of it, if that was found out already.
    pub fn known_analysis(&self) -> Option<&Analysis> {
        self.analysis.get()
    }

    /// With figures shown in another way.
    pub fn shown(self, display: Display) -> Snapshot {
        Snapshot { display, ..self }
    }

    /// With what was measured.
    pub fn measured(self, measurements: Arc<Vec<Arc<Measurement>>>) -> Snapshot {
        Snapshot { measurements, ..self }
    }

    /// The file that is shown.
    pub fn file(&self) -> FileId {
        self.file
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
        self.analysis().models.iter().find(|model| !model.uses(node).is_empty())
    }

    /// The first model that uses a model or block, or is it.
    pub(crate) fn model_with(&self, item: NodeRef) -> Option<&Model> {
        self.analysis().models.iter().find(|model| !model.part_uses(item).is_empty())
    }
}
