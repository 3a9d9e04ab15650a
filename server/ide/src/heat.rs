//! Which steps cost most, so that they are seen at a glance.

use analysis::NodeRef;
use rustc_hash::FxHashSet;

use crate::{
    Snapshot,
    lines::{StepLine, step_lines},
};

/// Whether a share of a model stands out.
pub(crate) fn is_large(snapshot: &Snapshot, part: u128, whole: u128) -> bool {
    whole > 0 && part as f64 >= snapshot.display.heat.threshold * whole as f64
}

/// Whether a line holds a large share of what its model costs. One that only holds what other
/// lines do, such as a group's, does not count.
pub(crate) fn is_hot(snapshot: &Snapshot, line: &StepLine<'_>) -> bool {
    let (own, totals) = (line.own(snapshot.file()), line.model.totals());
    is_large(snapshot, own.flops, totals.flops)
        || is_large(snapshot, own.params, totals.params)
        || is_large(snapshot, own.activation_bytes, totals.activation_bytes)
}

/// The stages of the lines that stand out.
pub(crate) fn hot_nodes(snapshot: &Snapshot) -> FxHashSet<NodeRef> {
    let whole = snapshot.parse().tree().root().range();
    let lines = step_lines(snapshot, whole).into_iter().filter(|line| is_hot(snapshot, line));
    let nodes = lines.flat_map(|line| line.stages.into_iter().map(|uses| uses[0].step.node));
    nodes.collect()
}
