//! Editor features over one immutable snapshot, in plain types.
//!
//! Each feature is a file: it takes a [`Snapshot`] and an offset, and gives plain data. This crate
//! knows no protocol, no files and no threads.

mod figures;
mod hints;
mod hover;
mod lines;
mod snapshot;

pub use figures::{bytes, bytes_by_dtype, count, dims, percent};
pub use hints::{Hint, HintId, hint_tooltip, hints};
pub use hover::{Hover, hover};
pub use snapshot::Snapshot;
