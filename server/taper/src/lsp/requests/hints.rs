//! Inlay hints.

use serde_json::Value;
use syntax::TextSize;
use tower_lsp::lsp_types::*;

use super::{Context, markup};

pub fn inlay_hints(context: Context<'_>, params: InlayHintParams) -> Option<Vec<InlayHint>> {
    let document = context.document;
    let positions = document.positions();
    let range = document.text_range(params.range);
    let hints = ide::hints(context.snapshot(), Some(range));
    let in_parts = context.world.client.resolves_hint_locations;
    let hints = hints.into_iter().map(|hint| InlayHint {
        position: positions.position(hint.offset),
        label: label(hint.label, in_parts),
        kind: None,
        text_edits: None,
        tooltip: None,
        padding_left: Some(true),
        padding_right: None,
        data: Some(serde_json::json!({
            "uri": document.uri,
            "state": document.state,
            "start": u32::from(hint.id.start),
            "offset": u32::from(hint.id.offset),
        })),
    });
    Some(hints.collect())
}

/// The label; in parts for clients that ask for the places of parts later.
fn label(label: String, in_parts: bool) -> InlayHintLabel {
    if !in_parts {
        return InlayHintLabel::String(label);
    }
    let parts = ide::label_parts(&label);
    let parts: Vec<InlayHintLabelPart> = parts
        .map(|part| InlayHintLabelPart { value: part.to_owned(), ..InlayHintLabelPart::default() })
        .collect();
    match parts.len() {
        0 | 1 => InlayHintLabel::String(label),
        _ => InlayHintLabel::LabelParts(parts),
    }
}

/// The document that a hint to be resolved is of.
pub fn uri_of_hint(hint: &InlayHint) -> Option<Url> {
    hint.data.as_ref()?.get("uri")?.as_str()?.parse().ok()
}

/// The details of a hint; none if the document has changed since.
pub fn resolve_inlay_hint(context: Context<'_>, hint: InlayHint) -> Option<InlayHint> {
    let data = hint.data.as_ref()?;
    let number = |name: &str| data.get(name).and_then(Value::as_u64);
    if number("state")? != context.document.state {
        return None;
    }
    let length = TextSize::of(context.snapshot().text());
    let offset = |name: &str| -> Option<TextSize> {
        Some(TextSize::new(u32::try_from(number(name)?).ok()?).min(length))
    };
    let id = ide::HintId { start: offset("start")?, offset: offset("offset")? };
    let markdown = ide::hint_tooltip(context.snapshot(), id)?;
    let mut label = hint.label;
    if let InlayHintLabel::LabelParts(parts) = &mut label {
        for part in parts {
            let symbol = ide::hint_symbol(context.snapshot(), id, &part.value);
            let workspace = &context.snapshot().workspace;
            part.location =
                symbol.and_then(|node| context.world.location(workspace, workspace.place(node)));
        }
    }
    let tooltip = InlayHintTooltip::MarkupContent(markup(markdown));
    Some(InlayHint { tooltip: Some(tooltip), label, ..hint })
}
