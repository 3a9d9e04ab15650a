//! Outlines: of a document, and of the project.

use ide::SymbolKind as Kind;
use tower_lsp::lsp_types::*;

use super::Context;
use crate::lsp::world::World;

/// The most symbols of a project in one answer.
const MAX_SYMBOLS: usize = 512;

pub fn document_symbols(
    context: Context<'_>,
    _: DocumentSymbolParams,
) -> Option<DocumentSymbolResponse> {
    let symbols = ide::document_symbols(context.snapshot());
    let symbols = symbols.into_iter().map(|one| symbol(context, one)).collect();
    Some(DocumentSymbolResponse::Nested(symbols))
}

fn symbol(context: Context<'_>, one: ide::Symbol) -> DocumentSymbol {
    #[allow(deprecated)] // The field must be there; nobody reads it.
    DocumentSymbol {
        name: one.name,
        detail: one.detail,
        kind: kind(one.kind),
        tags: None,
        deprecated: None,
        range: context.document.range(one.range),
        selection_range: context.document.range(one.name_range),
        children: Some(one.children.into_iter().map(|child| symbol(context, child)).collect()),
    }
}

fn kind(kind: Kind) -> SymbolKind {
    match kind {
        Kind::Model => SymbolKind::CLASS,
        Kind::Block => SymbolKind::MODULE,
        Kind::Input => SymbolKind::VARIABLE,
        Kind::Let => SymbolKind::CONSTANT,
        Kind::Tensor => SymbolKind::ARRAY,
        Kind::Layer => SymbolKind::FIELD,
    }
}

/// Models and blocks of all files whose names have the letters of the query in order.
pub fn workspace_symbols(
    world: &World,
    params: WorkspaceSymbolParams,
) -> Option<Vec<SymbolInformation>> {
    let mut found = Vec::new();
    for path in world.taper_files() {
        let Some(source) = world.sources.get(&path) else { continue };
        let mut workspace = analysis::Workspace::default();
        let file = workspace.insert(&path, source.parse().clone());
        for one in ide::workspace_symbols(file, source.parse(), &params.query) {
            let Some(location) = world.location(&workspace, one.place) else { continue };
            #[allow(deprecated)] // The field must be there; nobody reads it.
            found.push(SymbolInformation {
                name: one.name,
                kind: kind(one.kind),
                tags: None,
                deprecated: None,
                location,
                container_name: one.container,
            });
        }
        if found.len() >= MAX_SYMBOLS {
            break;
        }
    }
    Some(found)
}
