//! Which models and blocks use which.

use analysis::NodeRef;
use syntax::{TextSize, ast};
use tower_lsp::lsp_types::*;

use super::Context;

pub fn prepare_call_hierarchy(
    context: Context<'_>,
    params: CallHierarchyPrepareParams,
) -> Option<Vec<CallHierarchyItem>> {
    let offset = context.document.offset(params.text_document_position_params.position);
    let node = ide::hierarchy_item(context.snapshot(), offset)?;
    Some(vec![item(context, context.snapshot(), node)?])
}

fn item(
    context: Context<'_>,
    snapshot: &ide::Snapshot,
    node: NodeRef,
) -> Option<CallHierarchyItem> {
    let found = ast::Item::cast(snapshot.workspace.node(node))?;
    let target = ide::item_target(snapshot, node)?;
    let location = context.world.location(&snapshot.workspace, target.place)?;
    let whole = analysis::Place { range: target.whole, ..target.place };
    Some(CallHierarchyItem {
        name: found.name()?.text().to_owned(),
        kind: if found.is_model() { SymbolKind::CLASS } else { SymbolKind::MODULE },
        tags: None,
        detail: None,
        range: context.world.location(&snapshot.workspace, whole)?.range,
        selection_range: location.range,
        uri: location.uri,
        data: None,
    })
}

/// The item that a client gives back, in the document that it is in.
fn given(context: Context<'_>, item: &CallHierarchyItem) -> Option<NodeRef> {
    let offset: TextSize = context.document.offset(item.selection_range.start);
    ide::hierarchy_item(context.snapshot(), offset)
}

/// The items that use one, in all files of the project.
pub fn incoming_calls(
    context: Context<'_>,
    params: CallHierarchyIncomingCallsParams,
) -> Option<Vec<CallHierarchyIncomingCall>> {
    let node = given(context, &params.item)?;
    let mut calls: Vec<CallHierarchyIncomingCall> = Vec::new();
    let add = |snapshot: &ide::Snapshot, node: NodeRef| {
        for caller in ide::incoming(snapshot, node) {
            let Some(from) = item(context, snapshot, caller.item) else { continue };
            let places = caller.places.into_iter();
            let ranges =
                places.filter_map(|place| context.world.location(&snapshot.workspace, place));
            let from_ranges = ranges.map(|location| location.range).collect();
            if calls.iter().all(|known| known.from != from) {
                calls.push(CallHierarchyIncomingCall { from, from_ranges });
            }
        }
    };
    context.world.for_each_user(context.snapshot(), node, &params.item.name, add);
    Some(calls)
}

pub fn outgoing_calls(
    context: Context<'_>,
    params: CallHierarchyOutgoingCallsParams,
) -> Option<Vec<CallHierarchyOutgoingCall>> {
    let node = given(context, &params.item)?;
    let snapshot = context.snapshot();
    let calls = ide::outgoing(snapshot, node).into_iter().filter_map(|called| {
        let ranges = called.places.into_iter().map(|place| context.document.range(place.range));
        Some(CallHierarchyOutgoingCall {
            to: item(context, snapshot, called.item)?,
            from_ranges: ranges.collect(),
        })
    });
    Some(calls.collect())
}
