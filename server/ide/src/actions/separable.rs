//! A convolution as a depthwise and a pointwise one (MobileNets, Howard et al., 2017).

use analysis::{Place, Use};
use syntax::ast;

use crate::{
    Action, ActionKind, Edit, Snapshot, edits::edited, edits::new_error, lines::step_lines, percent,
};

/// Replaces `Conv2d(64, 3)` by `Conv2d(32, 3, groups=32)` and `Conv2d(64, 1)`; the title says what
/// that changes.
pub(super) fn separable(snapshot: &Snapshot, step: ast::Step<'_>) -> Option<Action> {
    let mut stages = step.stages().filter_map(|stage| match stage {
        ast::Stage::Layer(layer) => layer.expr(),
        _ => None,
    });
    let sources = step.sources().into_iter().flat_map(ast::Sources::exprs);
    let conv = sources.chain(stages.by_ref()).find(|expr| {
        let callee = expr.operand().unwrap_or(*expr);
        callee.text() == "Conv2d"
    })?;
    let node = snapshot.node(conv.id());
    let uses = snapshot.model_of(node)?.uses(node);
    let one = uses.first()?;
    let channels_of = |one: &Use| one.step.inputs.first()?.ty.shape.iter().rev().nth(2).copied();
    let channels = channels_of(one)?;
    if uses.iter().any(|other| channels_of(other) != Some(channels)) {
        // No number of groups fits all uses of the block.
        return None;
    }
    let arguments = written_arguments(conv);
    let given = |name: &str| arguments.iter().find(|(own, _)| *own == name).map(|(_, text)| *text);
    let (out, kernel) = (given("out_channels")?, given("kernel_size")?);
    if kernel == "1" || given("groups").is_some_and(|groups| groups != "1") {
        return None;
    }
    let others: String = arguments
        .iter()
        .filter(|(name, _)| !matches!(*name, "out_channels" | "kernel_size" | "groups" | "bias"))
        .map(|(name, text)| format!(", {name}={text}"))
        .collect();
    let bias = given("bias").map_or(String::new(), |bias| format!(", bias={bias}"));
    let depthwise = format!("Conv2d({channels}, {kernel}{others}, groups={channels}, bias=false)");
    let pointwise = format!("Conv2d({out}, 1{bias})");
    let is_labelled = step.labels().next().is_some();
    let text = match is_labelled {
        true => format!("{{ {depthwise}; {pointwise} }}"),
        false => format!("{depthwise} -> {pointwise}"),
    };
    let edits = vec![Edit { place: Place { file: snapshot.file(), range: conv.range() }, text }];
    let after = edited(snapshot, &edits);
    if new_error(snapshot, &after).is_some() {
        return None;
    }
    // The step keeps its place in the tree, so what its line costs less is what the convolution does.
    let cost = |snapshot: &Snapshot| {
        let lines = step_lines(snapshot, snapshot.parse().tree().root().range());
        let line = lines.into_iter().find(|line| line.node.node == step.id())?;
        Some((line.once().params, line.once().flops))
    };
    let (before, now) = (cost(snapshot)?, cost(&after)?);
    let conv = (one.totals().params, one.totals().flops);
    let left = ((conv.0 + now.0).checked_sub(before.0)?, (conv.1 + now.1).checked_sub(before.1)?);
    let change = |name: &str, before: u128, now: u128| {
        let units = snapshot.display.units;
        let less = before.saturating_sub(now);
        format!(
            "{name} {} → {} (−{})",
            units.count(before),
            units.count(now),
            percent(less, before)
        )
    };
    if left.1 >= conv.1 {
        return None;
    }
    let title = format!(
        "Replace by a depthwise-separable convolution: {}, {}",
        change("params", conv.0, left.0),
        change("FLOPs", conv.1, left.1)
    );
    Some(Action::new(title, ActionKind::Rewrite, edits))
}

/// The arguments of a convolution as they are written, by name.
fn written_arguments(conv: ast::Expr<'_>) -> Vec<(&'static str, &str)> {
    let Some(entry) = layers::find("Conv2d") else { return Vec::new() };
    let calls = conv.suffixes().filter_map(|suffix| match suffix {
        ast::Suffix::Call(call) => Some(call),
        _ => None,
    });
    let arguments = calls.flat_map(|call| call.arguments().collect::<Vec<_>>());
    let named = arguments.enumerate().filter_map(|(index, argument)| {
        let param = match argument.name() {
            Some(name) => entry.params.iter().find(|param| param.name == name.text())?,
            None => entry.params.get(index)?,
        };
        Some((param.name, argument.value()?.text()))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::after;

    #[test]
    fn a_convolution_becomes_two() {
        let source = |step: &str| {
            format!("model M {{\n    input x: f32[N = 1, 32, H = 16, W = 16]\n    {step}\n}}")
        };
        let title = "Replace by a depthwise-separable convolution: params 18.5 K → 2.40 K (−87.0 %), \
                     FLOPs 9.45 M → 1.21 M (−87.2 %)";
        assert_eq!(
            after(&source("$0Conv2d(64, 3, padding=1) -> ReLU"), title),
            source("Conv2d(32, 3, padding=1, groups=32, bias=false) -> Conv2d(64, 1) -> ReLU")
        );
        assert_eq!(
            after(&source("$0c: Conv2d(64, 3, padding=1)"), "Replace by a depthwise"),
            source("c: { Conv2d(32, 3, padding=1, groups=32, bias=false); Conv2d(64, 1) }")
        );
        assert!(after(&source("$0Conv2d(64, 1)"), "Replace by").starts_with("offered: "));
    }
}
