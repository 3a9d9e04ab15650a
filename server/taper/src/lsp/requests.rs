//! Answers to requests, each from one state of a document.

use syntax::TextSize;
use tower_lsp::lsp_types::*;

use super::{convert, documents::Document};

pub fn inlay_hints(document: &Document, params: InlayHintParams) -> Option<Vec<InlayHint>> {
    let positions = document.positions();
    let range = positions.text_range(params.range);
    let hints = ide::hints(document.snapshot(), Some(range));
    let hints = hints.into_iter().map(|hint| InlayHint {
        position: positions.position(hint.offset),
        label: InlayHintLabel::String(hint.label),
        kind: None,
        text_edits: None,
        tooltip: None,
        padding_left: Some(true),
        padding_right: None,
        data: Some(serde_json::json!({
            "uri": document.uri,
            "version": document.version,
            "start": u32::from(hint.id.start),
            "offset": u32::from(hint.id.offset),
        })),
    });
    Some(hints.collect())
}

/// The document that a hint to be resolved is of.
pub fn uri_of_hint(hint: &InlayHint) -> Option<Url> {
    hint.data.as_ref()?.get("uri")?.as_str()?.parse().ok()
}

/// The tooltip of a hint; none if the document has changed since.
pub fn resolve_inlay_hint(document: &Document, hint: InlayHint) -> Option<InlayHint> {
    let data = hint.data.as_ref()?;
    let number = |name: &str| data.get(name).and_then(serde_json::Value::as_i64);
    if number("version")? != i64::from(document.version) {
        return None;
    }
    let offset =
        |name: &str| number(name).and_then(|value| u32::try_from(value).ok()).map(TextSize::new);
    let length = TextSize::of(&*document.text);
    let id =
        ide::HintId { start: offset("start")?.min(length), offset: offset("offset")?.min(length) };
    let markdown = ide::hint_tooltip(document.snapshot(), id)?;
    let tooltip = InlayHintTooltip::MarkupContent(markup(markdown));
    Some(InlayHint { tooltip: Some(tooltip), ..hint })
}

pub fn hover(document: &Document, params: HoverParams) -> Option<Hover> {
    let positions = document.positions();
    let offset = positions.offset(params.text_document_position_params.position);
    let hover = ide::hover(document.snapshot(), offset)?;
    let range = Some(positions.range(hover.range));
    Some(Hover { contents: HoverContents::Markup(markup(hover.markdown)), range })
}

fn markup(value: String) -> MarkupContent {
    MarkupContent { kind: MarkupKind::Markdown, value }
}

/// The whole text, if the layout changes it; nothing where it has syntax errors.
pub fn formatting(document: &Document, _: DocumentFormattingParams) -> Option<Vec<TextEdit>> {
    let formatted = syntax::format::format(&syntax::parse(&document.text))?;
    Some(changed_lines(document, &formatted).into_iter().collect())
}

/// One edit from the first line that differs to the last, so that the rest of the editor's state
/// stays where it is.
fn changed_lines(document: &Document, formatted: &str) -> Option<TextEdit> {
    let old: Vec<&str> = document.text.split_inclusive('\n').collect();
    let new: Vec<&str> = formatted.split_inclusive('\n').collect();
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let after = old_rest
        .iter()
        .rev()
        .zip(new_rest.iter().rev())
        .take_while(|(old, new)| old == new)
        .count();
    let (old_changed, new_changed) =
        (&old_rest[..old_rest.len() - after], &new_rest[..new_rest.len() - after]);
    if old_changed.is_empty() && new_changed.is_empty() {
        return None;
    }
    let length = |lines: &[&str]| lines.iter().map(|line| TextSize::of(*line)).sum::<TextSize>();
    let start = length(&old[..before]);
    let range = syntax::TextRange::at(start, length(old_changed));
    Some(TextEdit { range: document.positions().range(range), new_text: new_changed.concat() })
}

pub fn diagnostics(document: &Document, _: DocumentDiagnosticParams) -> Option<Vec<Diagnostic>> {
    Some(all_diagnostics(document))
}

/// What is wrong in a document itself; what is wrong in files it uses is shown there.
pub fn all_diagnostics(document: &Document) -> Vec<Diagnostic> {
    let snapshot = document.snapshot();
    let positions = document.positions();
    let own =
        snapshot.analysis.diagnostics.iter().filter(|found| found.place.file == snapshot.file());
    own.map(|found| convert::diagnostic(&snapshot.workspace, &positions, document.encoding, found))
        .collect()
}
