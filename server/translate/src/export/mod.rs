//! A written-out model as source in another language: classes that own the same parameters under the same
//! names, and give the same numbers.
//!
//! [`sizes`] writes the model out at several sizes, so that it is known which numbers follow the input.
//! [`unit`] makes of it what owns and calls what. [`classes`](crate::classes) finds out which units are one class that takes
//! arguments. [`pytorch`] and its like write each unit in their language.

mod dims;
mod naming;
mod pytorch;
mod sizes;
mod unit;

use std::fmt;

pub use pytorch::pytorch;

/// Why a model cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// A block states its cost and has no steps.
    Opaque(String),
    /// A layer has nothing of its kind there; with what it is for.
    Layer(String, String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Opaque(block) => write!(
                f,
                "`{block}` is counted by the rules it states and has no steps: give it steps, then it can be exported"
            ),
            Error::Layer(layer, reason) => write!(f, "`{layer}` cannot be exported: {reason}"),
        }
    }
}

impl std::error::Error for Error {}
