//! What features answer with, in plain types.

use analysis::Place;
use smol_str::SmolStr;
use syntax::{TextRange, TextSize};

/// A text that an editor shows between the characters of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// Where it stands.
    pub offset: TextSize,
    /// What it says.
    pub label: String,
    /// What it is about, to ask for its tooltip.
    pub id: HintId,
}

/// What a hint is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintId {
    /// The start of the step or line in the text.
    pub start: TextSize,
    /// The place of the hint.
    pub offset: TextSize,
}

/// Markdown about a range of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hover {
    /// What it is about.
    pub range: TextRange,
    /// What is known of it.
    pub markdown: String,
}

/// A line above an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lens {
    /// The item's name.
    pub range: TextRange,
    /// What it says.
    pub title: String,
    /// What a click does.
    pub click: Option<Click>,
}

/// What a click on a lens does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Click {
    /// It opens the layers of a model.
    Layers(SmolStr),
    /// The report of a model, in a browser.
    Report(SmolStr),
    /// It measures.
    Benchmark(Benchmark),
}

/// What is to be measured, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benchmark {
    /// The model.
    pub model: SmolStr,
    /// The path of the one layer or block of it.
    pub scope: Option<String>,
    /// The device: `cpu`, `cuda:0`.
    pub device: String,
}

/// A device that a benchmark may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BenchDevice {
    /// Its name: `cpu`, `cuda:0`.
    pub id: String,
    /// Why it cannot be used.
    pub disabled: Option<String>,
}

/// What an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum ActionKind {
    QuickFix,
    Extract,
    Inline,
    Rewrite,
    Other,
}

/// Something that an editor offers to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What a menu shows.
    pub title: String,
    /// What it is for.
    pub kind: ActionKind,
    /// What it does.
    pub edits: Vec<Edit>,
    /// It removes the mistake at the cursor and is the obvious way.
    pub is_preferred: bool,
    /// Why it cannot be done now.
    pub disabled: Option<String>,
    /// What it does instead of edits.
    pub click: Option<Click>,
}

impl Action {
    pub(crate) fn new(title: impl Into<String>, kind: ActionKind, edits: Vec<Edit>) -> Action {
        Action {
            title: title.into(),
            kind,
            edits,
            is_preferred: false,
            disabled: None,
            click: None,
        }
    }
}

/// A text that takes the place of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is replaced.
    pub place: Place,
    /// By what.
    pub text: String,
}
