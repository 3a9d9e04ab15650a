//! Lines above models and blocks: what they cost.

use syntax::TextRange;

use crate::{Snapshot, dims};

/// A line above an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lens {
    /// The item's name.
    pub range: TextRange,
    /// What it says.
    pub title: String,
}

/// Of a model its totals; of a block its shapes and how often it is used.
pub fn lenses(snapshot: &Snapshot) -> Vec<Lens> {
    let units = snapshot.display.units;
    let mut lenses = Vec::new();
    let items = snapshot.parse().tree().nodes().filter_map(syntax::ast::Item::cast);
    for item in items {
        let Some(name) = item.name() else { continue };
        let reference = snapshot.node(item.id());
        let Some(model) = snapshot.model_with(reference) else { continue };
        let mut lens = |title: String| lenses.push(Lens { range: name.range(), title });
        if model.item == reference {
            let totals = model.totals();
            let at_least = if totals.is_complete() { "" } else { "≥ " };
            lens(format!(
                "{} params · {at_least}{} · {} weights · {} peak activations",
                units.count(totals.params),
                units.count_of(totals.flops, "FLOP"),
                units.bytes(totals.param_bytes.saturating_add(totals.buffer_bytes)),
                units.bytes(model.peak_activation_bytes())
            ));
            continue;
        }
        let uses = model.part_uses(reference);
        let times: u128 = uses.iter().map(|one| one.times).fold(0, u128::saturating_add);
        let Some(step) = uses.first().and_then(|one| one.step.as_ref()) else { continue };
        let inputs: Vec<String> =
            (0..step.inputs.len()).map(|input| dims(&model.input_dims(step, input))).collect();
        let output = crate::lines::outputs(model, step).unwrap_or_default();
        let kinds = match uses.len() {
            1 => String::new(),
            count => format!(" in {count} variants"),
        };
        lens(format!("{} → {output} · {times} uses{kinds}", inputs.join(", ")));
    }
    lenses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    #[test]
    fn totals_and_shapes() {
        let snapshot = snapshot(
            "block B(w) { Linear(w) }\nmodel M { input x: f32[N = 1, 8]; B(4); B(4); B(2) }",
        );
        let titles: Vec<String> = lenses(&snapshot).into_iter().map(|lens| lens.title).collect();
        assert_eq!(
            titles,
            [
                "[N, 8] → [N, 4] · 3 uses in 3 variants",
                "66 params · 122 FLOP · 264 B weights · 48 B peak activations"
            ]
        );
    }
}
