//! Hover.

use tower_lsp::lsp_types::*;

use super::{Context, markup};

pub fn hover(context: Context<'_>, params: HoverParams) -> Option<Hover> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let hover = ide::hover(context.snapshot(), offset)?;
    let range = Some(context.document.range(hover.range));
    Some(Hover { contents: HoverContents::Markup(markup(hover.markdown)), range })
}
