//! Renaming, across files.

use std::collections::HashMap;

use tower_lsp::lsp_types::*;

use super::Context;
use crate::lsp::world::World;

/// Why something cannot be done, in the user's words.
pub type Refused = String;

pub fn prepare_rename(
    context: Context<'_>,
    params: TextDocumentPositionParams,
) -> Option<Result<PrepareRenameResponse, Refused>> {
    let offset = context.document.offset(params.position);
    let range = ide::prepare_rename(context.snapshot(), offset);
    Some(range.map(|range| PrepareRenameResponse::RangeWithPlaceholder {
        range: context.document.range(range),
        placeholder: context.snapshot().text()[std::ops::Range::<usize>::from(range)].to_owned(),
    }))
}

pub fn rename(
    context: Context<'_>,
    params: RenameParams,
) -> Option<Result<WorkspaceEdit, Refused>> {
    let offset = context.document.offset(params.text_document_position.position);
    Some(rename_at(context, offset, &params.new_name))
}

fn rename_at(
    context: Context<'_>,
    offset: syntax::TextSize,
    new: &str,
) -> Result<WorkspaceEdit, Refused> {
    let snapshot = context.snapshot();
    let rename = ide::rename(snapshot, offset, new)?;
    let mut edits = Edits::default();
    for place in &rename.places {
        edits.add(context.world, &snapshot.workspace, *place, new);
    }
    // Other files that use the one in which the name is given.
    if let Some((named, range)) = ide::name_at(snapshot, offset) {
        let text = &snapshot.text()[std::ops::Range::<usize>::from(range)];
        context.world.for_each_user(snapshot, named.node, text, |other, node| {
            for one in ide::occurrences(other, ide::Named { node, ..named }) {
                edits.add(context.world, &other.workspace, one.place, new);
            }
        });
    }
    Ok(edits.finish(context.world, rename.warning))
}

/// Edits by document.
#[derive(Default)]
pub struct Edits(HashMap<Url, Vec<TextEdit>>);

impl Edits {
    pub fn add(
        &mut self,
        world: &World,
        workspace: &analysis::Workspace,
        place: analysis::Place,
        text: &str,
    ) {
        let Some(location) = world.location(workspace, place) else { return };
        let edit = TextEdit { range: location.range, new_text: text.to_owned() };
        let edits = self.0.entry(location.uri).or_default();
        if !edits.contains(&edit) {
            edits.push(edit);
        }
    }

    /// As the client takes them, with what they mean if it can show that.
    pub fn finish(self, world: &World, meaning: Option<String>) -> WorkspaceEdit {
        if !world.client.document_changes {
            return WorkspaceEdit { changes: Some(self.0), ..WorkspaceEdit::default() };
        }
        const ANNOTATION: &str = "meaning";
        let annotation = meaning.filter(|_| world.client.change_annotations);
        let edit = |edit: TextEdit| match annotation {
            Some(_) => OneOf::Right(AnnotatedTextEdit {
                text_edit: edit,
                annotation_id: ANNOTATION.to_owned(),
            }),
            None => OneOf::Left(edit),
        };
        let mut documents: Vec<TextDocumentEdit> = self
            .0
            .into_iter()
            .map(|(uri, edits)| TextDocumentEdit {
                text_document: OptionalVersionedTextDocumentIdentifier {
                    version: world.document(&uri).map(|document| document.version),
                    uri,
                },
                edits: edits.into_iter().map(edit).collect(),
            })
            .collect();
        documents.sort_by(|one, other| one.text_document.uri.cmp(&other.text_document.uri));
        let annotations = annotation.map(|meaning| {
            let annotation = ChangeAnnotation {
                label: "Rename".to_owned(),
                needs_confirmation: Some(false),
                description: Some(meaning),
            };
            HashMap::from([(ANNOTATION.to_owned(), annotation)])
        });
        WorkspaceEdit {
            document_changes: Some(DocumentChanges::Edits(documents)),
            change_annotations: annotations,
            ..WorkspaceEdit::default()
        }
    }
}
