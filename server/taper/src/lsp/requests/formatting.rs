//! The one layout.

use syntax::TextRange;
use tower_lsp::lsp_types::*;

use super::Context;

pub fn formatting(context: Context<'_>, _: DocumentFormattingParams) -> Option<Vec<TextEdit>> {
    edits(context, ide::format_edits(context.document.source.parse(), None)?)
}

pub fn range_formatting(
    context: Context<'_>,
    params: DocumentRangeFormattingParams,
) -> Option<Vec<TextEdit>> {
    let range = context.document.text_range(params.range);
    edits(context, ide::format_edits(context.document.source.parse(), Some(range))?)
}

pub fn on_type_formatting(
    context: Context<'_>,
    params: DocumentOnTypeFormattingParams,
) -> Option<Vec<TextEdit>> {
    let offset = context.document.offset(params.text_document_position.position);
    let typed = params.ch.chars().next()?;
    edits(context, ide::format_on_type(context.document.source.parse(), offset, typed)?)
}

fn edits(context: Context<'_>, edits: Vec<(TextRange, String)>) -> Option<Vec<TextEdit>> {
    let edits = edits
        .into_iter()
        .map(|(range, new_text)| TextEdit { range: context.document.range(range), new_text });
    Some(edits.collect())
}
