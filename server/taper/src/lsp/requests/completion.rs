//! Completion and signature help.

use std::path::Path;

use ide::CompletionKind;
use serde_json::{Value, json};
use syntax::{TextRange, TextSize};
use tower_lsp::lsp_types::*;

use super::{Context, markup};

/// The most files that are offered.
const MAX_FILES: usize = 500;

pub fn completion(context: Context<'_>, params: CompletionParams) -> Option<CompletionResponse> {
    let offset = context.document.offset(params.text_document_position.position);
    let (replaces, items) = match ide::file_path(context.snapshot(), offset) {
        Some(path) => (path.replaces, files(context, &path)),
        None => {
            let found = ide::completions(context.snapshot(), offset)?;
            (found.replaces, found.items)
        }
    };
    let items = items.into_iter().map(|one| item(context, offset, replaces, one));
    Some(CompletionResponse::Array(items.collect()))
}

/// The files and folders that the path may go on with.
fn files(context: Context<'_>, path: &ide::FilePath<'_>) -> Vec<ide::Completion> {
    let own = Path::new(&context.document.path);
    let typed = path.typed.rsplit_once('/').map_or("", |(folder, _)| folder);
    let folder = own.parent().map(|parent| parent.join(typed));
    let entries = folder.and_then(|folder| std::fs::read_dir(folder).ok());
    let wanted: &[&str] = if path.is_use { &[".taper"] } else { &[".safetensors", ".json"] };
    let mut found: Vec<ide::Completion> = Vec::new();
    for entry in entries.into_iter().flatten().filter_map(Result::ok).take(MAX_FILES) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let fits = wanted.iter().any(|end| name.ends_with(end)) && entry.path() != own;
        if name.starts_with('.') || !(is_folder || fits) {
            continue;
        }
        let label = if is_folder { format!("{name}/") } else { name };
        found.push(ide::Completion {
            label,
            kind: CompletionKind::File,
            detail: None,
            snippet: None,
            rank: u8::from(is_folder),
        });
    }
    found
}

fn item(
    context: Context<'_>,
    offset: TextSize,
    replaces: TextRange,
    one: ide::Completion,
) -> CompletionItem {
    let client = &context.world.client;
    let snippet = one.snippet.filter(|_| client.snippets);
    let new_text = snippet.clone().unwrap_or_else(|| one.label.clone());
    let replace = context.document.range(replaces);
    let insert =
        context.document.range(TextRange::new(replaces.start(), offset.max(replaces.start())));
    let text_edit = match client.insert_replace {
        true => {
            CompletionTextEdit::InsertAndReplace(InsertReplaceEdit { new_text, insert, replace })
        }
        false => CompletionTextEdit::Edit(TextEdit { range: replace, new_text }),
    };
    CompletionItem {
        kind: Some(item_kind(one.kind)),
        detail: one.detail,
        insert_text_format: Some(match snippet {
            Some(_) => InsertTextFormat::SNIPPET,
            None => InsertTextFormat::PLAIN_TEXT,
        }),
        text_edit: Some(text_edit),
        sort_text: Some(format!("{}{}", one.rank, one.label)),
        data: Some(json!({
            "uri": context.document.uri,
            "offset": u32::from(offset),
            "kind": kind_number(one.kind),
        })),
        label: one.label,
        ..CompletionItem::default()
    }
}

const KINDS: [(CompletionKind, CompletionItemKind); 13] = [
    (CompletionKind::Keyword, CompletionItemKind::KEYWORD),
    (CompletionKind::Layer, CompletionItemKind::CLASS),
    (CompletionKind::Block, CompletionItemKind::MODULE),
    (CompletionKind::Function, CompletionItemKind::FUNCTION),
    (CompletionKind::Argument, CompletionItemKind::PROPERTY),
    (CompletionKind::Parameter, CompletionItemKind::VARIABLE),
    (CompletionKind::Variable, CompletionItemKind::VARIABLE),
    (CompletionKind::Size, CompletionItemKind::TYPE_PARAMETER),
    (CompletionKind::Label, CompletionItemKind::FIELD),
    (CompletionKind::Dtype, CompletionItemKind::UNIT),
    (CompletionKind::Value, CompletionItemKind::VALUE),
    (CompletionKind::Figure, CompletionItemKind::CONSTANT),
    (CompletionKind::File, CompletionItemKind::FILE),
];

fn kind_number(kind: CompletionKind) -> usize {
    KINDS.iter().position(|(own, _)| *own == kind).unwrap_or(0)
}

fn item_kind(kind: CompletionKind) -> CompletionItemKind {
    KINDS[kind_number(kind)].1
}

/// The document that a completion to be resolved is of.
pub fn uri_of_completion(item: &CompletionItem) -> Option<Url> {
    item.data.as_ref()?.get("uri")?.as_str()?.parse().ok()
}

/// With its documentation.
pub fn resolve_completion(context: Context<'_>, item: CompletionItem) -> Option<CompletionItem> {
    let data = item.data.as_ref()?;
    let number = |name: &str| data.get(name).and_then(Value::as_u64);
    let kind = KINDS.get(usize::try_from(number("kind")?).ok()?)?.0;
    let offset = TextSize::new(u32::try_from(number("offset")?).ok()?);
    let offset = offset.min(TextSize::of(context.snapshot().text()));
    let text = ide::completion_documentation(context.snapshot(), offset, &item.label, kind)?;
    Some(CompletionItem { documentation: Some(Documentation::MarkupContent(markup(text))), ..item })
}

pub fn signature_help(context: Context<'_>, params: SignatureHelpParams) -> Option<SignatureHelp> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let found = ide::signature(context.snapshot(), offset)?;
    // Offsets in a label are counted in UTF-16, whatever the encoding of positions.
    let units = |end: usize| found.label[..end].encode_utf16().count() as u32;
    let parameters = found.parameters.iter().map(|range| ParameterInformation {
        label: ParameterLabel::LabelOffsets([units(range.start), units(range.end)]),
        documentation: None,
    });
    let active = found.active.and_then(|active| u32::try_from(active).ok());
    let signature = SignatureInformation {
        parameters: Some(parameters.collect()),
        documentation: Some(Documentation::MarkupContent(markup(found.documentation.clone()))),
        active_parameter: active,
        label: found.label.clone(),
    };
    Some(SignatureHelp {
        signatures: vec![signature],
        active_signature: Some(0),
        active_parameter: active,
    })
}
