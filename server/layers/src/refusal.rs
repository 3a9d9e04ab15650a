//! Why a layer cannot be made, in the user's words.

use crate::Overflow;

/// What a refusal is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The layer as a whole.
    Layer,
    /// The argument of this name.
    Argument(String),
    /// The positional argument of this number in the call.
    Position(usize),
    /// The source of this number.
    Input(usize),
}

/// What kind of mistake it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The layer has no such argument, or too many were given.
    UnknownArgument,
    /// A required argument is missing.
    MissingArgument,
    /// An argument has a value that PyTorch would refuse.
    WrongArgument,
    /// The layer takes another number of tensors.
    WrongNumberOfInputs,
    /// A tensor has a shape that the layer does not take.
    WrongShape,
    /// A tensor has a dtype that the layer does not take.
    WrongDtype,
    /// A number is too large.
    Overflow,
}

/// Why a layer cannot be made, and what to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of mistake it is.
    pub reason: Reason,
    /// One sentence.
    pub message: String,
    /// What it is about.
    pub at: At,
    /// What may be done about the argument that it is about.
    pub way_out: Option<WayOut>,
}

/// What may be done about an argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WayOut {
    /// Its name is written so.
    Rename(String),
    /// It is replaced by this.
    Replace(String),
    /// It is left out.
    LeaveOut,
}

impl Refusal {
    pub(crate) fn new(reason: Reason, at: At, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into(), at, way_out: None }
    }

    /// An argument has a value that PyTorch would refuse.
    pub(crate) fn argument(name: &str, message: impl Into<String>) -> Refusal {
        Refusal::new(Reason::WrongArgument, At::Argument(name.to_owned()), message)
    }

    /// The tensor of this number has a shape that the layer does not take.
    pub(crate) fn shape(input: usize, message: impl Into<String>) -> Refusal {
        Refusal::new(Reason::WrongShape, At::Input(input), message)
    }

    /// The tensor of this number has a dtype that the layer does not take.
    pub(crate) fn dtype(input: usize, message: impl Into<String>) -> Refusal {
        Refusal::new(Reason::WrongDtype, At::Input(input), message)
    }

    /// A number is too large.
    pub(crate) fn overflow(what: &str) -> Refusal {
        let message = format!("{what} is too large: a size may be at most 2^63 - 1");
        Refusal::new(Reason::Overflow, At::Layer, message)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Overflow> for Refusal {
    fn from(overflow: Overflow) -> Refusal {
        Refusal::new(Reason::Overflow, At::Layer, overflow.to_string())
    }
}
