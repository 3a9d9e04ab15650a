//! Answers to requests, each from one state of a document. A file for each group of features.

mod actions;
mod completion;
mod diagnostics;
mod formatting;
mod hierarchy;
mod hints;
mod hover;
mod navigation;
mod rename;
mod structure;
mod symbols;
mod tokens;

pub use actions::{code_actions, code_lenses};
pub use completion::{completion, resolve_completion, signature_help, uri_of_completion};
pub use diagnostics::{all_diagnostics, diagnostics};
pub use formatting::{formatting, on_type_formatting, range_formatting};
pub use hierarchy::{incoming_calls, outgoing_calls, prepare_call_hierarchy};
pub use hints::{inlay_hints, resolve_inlay_hint, uri_of_hint};
pub use hover::hover;
pub use navigation::{
    definition, document_highlights, document_links, linked_editing, references, type_definition,
};
pub use rename::{prepare_rename, rename};
pub use structure::{folding_ranges, selection_ranges};
pub use symbols::{document_symbols, workspace_symbols};
pub use tokens::{tokens_delta, tokens_full, tokens_range};

use tower_lsp::lsp_types::{MarkupContent, MarkupKind};

use super::{documents::Document, world::World};

/// What an answer is computed from.
#[derive(Clone, Copy)]
pub struct Context<'w> {
    pub world: &'w World,
    pub document: &'w Document,
}

impl<'w> Context<'w> {
    pub fn snapshot(self) -> &'w ide::Snapshot {
        self.document.snapshot()
    }
}

fn markup(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}
