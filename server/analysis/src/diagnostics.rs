//! What is wrong, where, and the way out.

use crate::{Code, Place};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It cannot be so.
    Error,
    /// It is probably not meant so.
    Warning,
    /// It might be said better.
    Hint,
}

/// One mistake: one message at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// What kind of mistake, with its explanation.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence in the user's words.
    pub message: String,
    /// Where it is.
    pub place: Place,
    /// Second places, each with what is to be seen there.
    pub related: Vec<(Place, String)>,
    /// Ways out that an editor can take.
    pub fixes: Vec<Fix>,
}

/// An edit that removes a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as a menu shows it.
    pub title: String,
    /// Where text is replaced, and by what.
    pub edits: Vec<(Place, String)>,
}

impl Diagnostic {
    /// A mistake with the severity of its code.
    pub fn new(code: Code, place: Place, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            severity: code.severity(),
            message: message.into(),
            place,
            related: Vec::new(),
            fixes: Vec::new(),
        }
    }

    /// With a second place.
    pub fn related(mut self, place: Place, message: impl Into<String>) -> Diagnostic {
        self.related.push((place, message.into()));
        self
    }

    /// With a replacement of one text.
    pub fn fix(
        mut self,
        title: impl Into<String>,
        place: Place,
        text: impl Into<String>,
    ) -> Diagnostic {
        self.fixes.push(Fix { title: title.into(), edits: vec![(place, text.into())] });
        self
    }
}
