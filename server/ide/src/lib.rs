//! Editor features over one immutable snapshot, in plain types.
//!
//! Each feature is a file: it takes a [`Snapshot`] and an offset, and gives plain data. This crate
//! knows no protocol, no files and no threads.

mod actions;
mod answers;
mod calls;
mod completion;
mod config;
mod config_keys;
mod device_lenses;
mod display;
mod edits;
#[cfg(test)]
mod fixture;
mod folding;
mod formatting;
mod heat;
mod hierarchy;
mod hints;
mod hover;
mod index;
mod lenses;
mod lines;
mod links;
mod names;
mod navigation;
mod rename;
mod scope;
mod selection;
mod signature;
mod snapshot;
mod symbols;
mod timings;
mod tokens;

pub use actions::actions;
pub use answers::{
    Action, ActionKind, BenchDevice, Benchmark, Click, Edit, Hint, HintId, Hover, Lens,
};
pub use completion::{
    Completion, CompletionKind, Completions, FilePath, completion_documentation, completions,
    file_path,
};
pub use display::{Display, Heat, HintParts, Units, dims, duration, percent, rate};
pub use folding::{Fold, FoldKind, folds};
pub use formatting::{format_edits, format_on_type};
pub use hierarchy::{Caller, hierarchy_item, incoming, item_target, outgoing};
pub use hints::{hint_symbol, hint_tooltip, hints, label_parts};
pub use hover::hover;
pub use index::{index_lens, index_problems};
pub use lenses::lenses;
pub use links::{Link, links};
pub use names::{Named, Occurrence, name_at, occurrences};
pub use navigation::{
    Highlight, Target, definition, highlights, linked_ranges, references, type_definition,
};
pub use rename::{Rename, prepare_rename, rename};
pub use selection::selections;
pub use signature::{Signature, signature};
pub use snapshot::Snapshot;
pub use symbols::{Symbol, SymbolKind, WorkspaceSymbol, document_symbols, workspace_symbols};
pub use timings::{Measured, Measurement, fingerprint_of, fingerprints};
pub use tokens::{Token, TokenKind, tokens};
