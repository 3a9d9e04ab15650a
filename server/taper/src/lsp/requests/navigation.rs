//! Going to definitions, references, highlights, links.

use tower_lsp::lsp_types::{
    request::{GotoTypeDefinitionParams, GotoTypeDefinitionResponse},
    *,
};

use super::Context;

pub fn definition(
    context: Context<'_>,
    params: GotoDefinitionParams,
) -> Option<GotoDefinitionResponse> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let target = ide::definition(context.snapshot(), offset)?;
    goto(context, &target)
}

pub fn type_definition(
    context: Context<'_>,
    params: GotoTypeDefinitionParams,
) -> Option<GotoTypeDefinitionResponse> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let target = ide::type_definition(context.snapshot(), offset)?;
    goto(context, &target)
}

fn goto(context: Context<'_>, target: &ide::Target) -> Option<GotoDefinitionResponse> {
    let workspace = &context.snapshot().workspace;
    let location = context.world.location(workspace, target.place)?;
    if !context.world.client.definition_links {
        return Some(GotoDefinitionResponse::Scalar(location));
    }
    let whole = analysis::Place { range: target.whole, ..target.place };
    let whole = context.world.location(workspace, whole)?.range;
    Some(GotoDefinitionResponse::Link(vec![LocationLink {
        origin_selection_range: Some(context.document.range(target.origin)),
        target_uri: location.uri,
        target_range: whole,
        target_selection_range: location.range,
    }]))
}

/// Every use in the project's files.
pub fn references(context: Context<'_>, params: ReferenceParams) -> Option<Vec<Location>> {
    let offset = context.document.offset(params.text_document_position.position);
    let (named, range) = ide::name_at(context.snapshot(), offset)?;
    let text = &context.snapshot().text()[std::ops::Range::<usize>::from(range)];
    let declaration = params.context.include_declaration;
    let mut found: Vec<Location> = Vec::new();
    let mut add = |snapshot: &ide::Snapshot, node| {
        let named = ide::Named { node, ..named };
        for one in ide::occurrences(snapshot, named) {
            let location = context.world.location(&snapshot.workspace, one.place);
            if let Some(location) = location.filter(|_| declaration || !one.is_declaration)
                && !found.contains(&location)
            {
                found.push(location);
            }
        }
    };
    add(context.snapshot(), named.node);
    context.world.for_each_user(context.snapshot(), named.node, text, add);
    Some(found)
}

pub fn document_highlights(
    context: Context<'_>,
    params: DocumentHighlightParams,
) -> Option<Vec<DocumentHighlight>> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let found = ide::highlights(context.snapshot(), offset)?;
    let highlights = found.into_iter().map(|one| DocumentHighlight {
        range: context.document.range(one.range),
        kind: Some(match one.is_declaration {
            true => DocumentHighlightKind::WRITE,
            false => DocumentHighlightKind::READ,
        }),
    });
    Some(highlights.collect())
}

pub fn document_links(context: Context<'_>, _: DocumentLinkParams) -> Option<Vec<DocumentLink>> {
    let links = ide::links(context.snapshot()).into_iter().map(|link| DocumentLink {
        range: context.document.range(link.range),
        target: context.world.address(&link.path),
        tooltip: None,
        data: None,
    });
    Some(links.collect())
}

pub fn linked_editing(
    context: Context<'_>,
    params: LinkedEditingRangeParams,
) -> Option<LinkedEditingRanges> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let ranges = ide::linked_ranges(context.snapshot(), offset)?;
    let ranges = ranges.into_iter().map(|range| context.document.range(range)).collect();
    Some(LinkedEditingRanges { ranges, word_pattern: None })
}
