//! Editor features over one immutable snapshot, in plain types.
//!
//! Each feature is a file: it takes a [`Snapshot`] and an offset, and gives plain data. This crate
//! knows no protocol, no files and no threads.

mod figures;
#[cfg(test)]
mod fixture;
mod hints;
mod hover;
mod lines;
mod links;
mod names;
mod navigation;
mod rename;
mod snapshot;

pub use figures::{bytes, bytes_by_dtype, count, dims, percent};
pub use hints::{Hint, HintId, hint_tooltip, hints};
pub use hover::{Hover, hover};
pub use links::{Link, links};
pub use names::{Named, Occurrence, name_at, occurrences};
pub use navigation::{Highlight, Target, definition, highlights, references, type_definition};
pub use rename::{Rename, prepare_rename, rename};
pub use snapshot::Snapshot;
