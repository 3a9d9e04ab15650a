//! Folding and growing selections.

use ide::FoldKind;
use tower_lsp::lsp_types::*;

use super::Context;

pub fn folding_ranges(context: Context<'_>, _: FoldingRangeParams) -> Option<Vec<FoldingRange>> {
    let whole_lines = context.world.client.folds_lines;
    let folds = ide::folds(context.snapshot()).into_iter().filter_map(|fold| {
        let range = context.document.range(fold.range);
        // The line of a closing bracket stays, where only whole lines are folded.
        let closes = whole_lines && fold.kind == FoldKind::Braces;
        let end_line = if closes { range.end.line.saturating_sub(1) } else { range.end.line };
        (end_line > range.start.line).then(|| FoldingRange {
            start_line: range.start.line,
            start_character: (!whole_lines).then_some(range.start.character),
            end_line,
            end_character: (!whole_lines).then_some(range.end.character),
            kind: match fold.kind {
                FoldKind::Braces => None,
                FoldKind::Comment => Some(FoldingRangeKind::Comment),
                FoldKind::Uses => Some(FoldingRangeKind::Imports),
            },
            collapsed_text: None,
        })
    });
    Some(folds.collect())
}

pub fn selection_ranges(
    context: Context<'_>,
    params: SelectionRangeParams,
) -> Option<Vec<SelectionRange>> {
    let one = |position: Position| {
        let ranges = ide::selections(context.snapshot(), context.document.offset(position));
        let around = ranges.into_iter().rev().fold(None, |parent, range| {
            let range = context.document.range(range);
            Some(SelectionRange { range, parent: parent.map(Box::new) })
        });
        around.unwrap_or(SelectionRange {
            range: Range { start: position, end: position },
            parent: None,
        })
    };
    Some(params.positions.into_iter().map(one).collect())
}
