//! Lines above models and blocks: what they cost.

use crate::{Click, Lens, Snapshot, config, device_lenses::benchmarks, dims, display::work};
use analysis::Model;

/// Of a model its totals, and how it compares with the file's first one; of a block its shapes and
/// how often it is used.
pub fn lenses(snapshot: &Snapshot) -> Vec<Lens> {
    if snapshot.is_config() {
        return config::lenses(snapshot);
    }
    let units = snapshot.display.units;
    let mut lenses = Vec::new();
    let items = snapshot.parse().tree().nodes().filter_map(syntax::ast::Item::cast);
    for item in items {
        let Some(name) = item.name() else { continue };
        let reference = snapshot.node(item.id());
        let Some(model) = snapshot.model_with(reference) else { continue };
        let range = name.range();
        let mut lens =
            |title: String, click: Option<Click>| lenses.push(Lens { range, title, click });
        if model.item == reference {
            let totals = model.totals();
            let (bound, work_bound) = (totals.bound(), totals.work_bound());
            let left_out = model.left_out().map_or(String::new(), |what| format!(" · {what}"));
            let title = format!(
                "{bound}{} params · {work_bound}{} · {bound}{} weights · {bound}{} peak activations{left_out}",
                units.count(totals.params),
                work(units, model, totals),
                units.bytes(totals.param_bytes.saturating_add(totals.buffer_bytes)),
                units.bytes(model.peak_activation_bytes())
            );
            lens(title, Some(Click::Layers(model.name.clone())));
            if let Some(title) = comparison(snapshot, model) {
                lens(title, None);
            }
            lenses.extend(benchmarks(snapshot, model, range));
            continue;
        }
        let uses = model.part_uses(reference);
        let times: u128 = uses.iter().map(|one| one.times).fold(0, u128::saturating_add);
        let Some(step) = uses.first().and_then(|one| one.step.as_ref()) else { continue };
        let inputs: Vec<String> =
            (0..step.inputs.len()).map(|input| dims(&model.input_dims(step, input))).collect();
        let output = crate::lines::outputs(model, step);
        let output = output.filter(|output| !output.is_empty()).unwrap_or_else(|| "?".into());
        let noun = if times == 1 { "use" } else { "uses" };
        let kinds = match uses.len() {
            1 => String::new(),
            count => format!(" in {count} variants"),
        };
        lens(format!("{} → {output} · {times} {noun}{kinds}", inputs.join(", ")), None);
    }
    lenses
}

/// How many times the parameters and FLOPs of the file's first model another one has.
fn comparison(snapshot: &Snapshot, model: &Model) -> Option<String> {
    let first = snapshot.analysis().models.iter().find(|model| model.is_model)?;
    if !model.is_model || first.item == model.item {
        return None;
    }
    let (own, other) = (model.totals(), first.totals());
    if !own.is_complete() || !other.is_complete() {
        return None;
    }
    let ratio = |own: u128, other: u128| (other > 0).then(|| own as f64 / other as f64);
    let params = ratio(own.params, other.params)?;
    let unit = model.unit();
    let (work, name) = (ratio(own.work(unit), other.work(unit))?, unit.name());
    Some(format!("compared with {}: {params:.2} × params · {work:.2} × {name}s", first.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::snapshot;

    #[test]
    fn a_model_is_compared_with_the_first() {
        let snapshot = snapshot(
            "model A { input x: f32[N = 1, 8]; Linear(4) }\nmodel B { input x: f32[N = 1, 8]; Linear(8) }",
        );
        let titles: Vec<String> = lenses(&snapshot).into_iter().map(|lens| lens.title).collect();
        assert_eq!(titles[2], "compared with A: 2.00 × params · 2.00 × FLOPs");
        assert_eq!(titles.len(), 3);
    }

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
