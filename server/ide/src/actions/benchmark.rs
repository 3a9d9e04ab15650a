//! Measuring a layer, a block or a model.

use analysis::{Model, Step, What};
use syntax::{TextSize, ast};

use crate::{Action, ActionKind, Benchmark, Click, Snapshot};

/// Measuring what stands at an offset, on each device; and the model's report.
pub(super) fn benchmarks(snapshot: &Snapshot, offset: TextSize) -> Vec<Action> {
    let Some(found) = Found::at(snapshot, offset) else { return Vec::new() };
    let name = &found.model.name;
    let report = Action {
        click: Some(Click::Report(name.clone())),
        ..Action::new(format!("Show the report of `{name}`"), ActionKind::Other, Vec::new())
    };
    let devices = &snapshot.display.devices;
    let all = devices.iter().flat_map(|device| found.scopes.iter().map(move |it| (device, it)));
    all.map(|(device, (what, scope))| {
        let title = format!("Benchmark {what} on {} ({})", device.id, conditions(found.model));
        let benchmark = Benchmark {
            model: found.model.name.clone(),
            scope: scope.clone(),
            device: device.id.clone(),
        };
        Action {
            disabled: device.disabled.clone(),
            click: Some(Click::Benchmark(benchmark)),
            ..Action::new(title, ActionKind::Other, Vec::new())
        }
    })
    .chain([report])
    .collect()
}

/// What can be measured at a place: in words, and the path of a step.
struct Found<'s> {
    model: &'s Model,
    scopes: Vec<(String, Option<String>)>,
}

impl<'s> Found<'s> {
    fn at(snapshot: &'s Snapshot, offset: TextSize) -> Option<Found<'s>> {
        if snapshot.is_config() {
            let model = snapshot.analysis().models.first()?;
            return Some(Found { model, scopes: vec![whole(model)] });
        }
        let tree = snapshot.parse().tree();
        let token = tree.token_at(offset)?;
        let token = match token.kind().is_trivia() {
            true => token.previous().filter(|before| before.range().end() == offset)?,
            false => token,
        };
        let around: Vec<_> = tree.innermost(token).ancestors().collect();
        let item = around.iter().find_map(|node| ast::Item::cast(*node))?;
        let item = snapshot.node(item.id());
        let model = snapshot.model_with(item)?;
        let mut scopes = Vec::new();
        let steps = around.iter().find_map(|node| {
            let uses = model.uses(snapshot.node(node.id()));
            uses.first().map(|one| &one.step)
        });
        scopes.extend(steps.and_then(|step| of_step(model, step)));
        // On a block's head or in it: the block at its first use.
        let block = model.part_uses(item).first().and_then(|one| one.step.as_ref());
        scopes.extend(block.and_then(|step| of_step(model, step)));
        scopes.push(whole(model));
        scopes.dedup();
        Some(Found { model, scopes })
    }
}

fn whole(model: &Model) -> (String, Option<String>) {
    (format!("`{}` and its layers", model.name), None)
}

fn of_step(model: &Model, step: &Step) -> Option<(String, Option<String>)> {
    let what = match &step.what {
        What::Layer(_) => "this layer",
        What::Part(_) => "this block",
        _ => return None,
    };
    let path = model.path_of(step)?;
    // A place in a line is no name that anybody knows.
    let name = if path.contains('@') { step.kind() } else { &path };
    Some((format!("{what}, `{name}`,"), Some(path)))
}

/// `bf16, N = 1`
fn conditions(model: &Model) -> String {
    match model.symbols.is_empty() {
        true => model.dtype().to_string(),
        false => format!("{}, {}", model.dtype(), model.sizes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BenchDevice, Display, fixture::cursor};

    fn offered(source: &str) -> Vec<String> {
        let (snapshot, offset) = cursor(source);
        let devices = vec![
            BenchDevice { id: "cpu".to_owned(), disabled: None },
            BenchDevice { id: "cuda:0".to_owned(), disabled: Some("no GPU".to_owned()) },
        ];
        let snapshot = snapshot.shown(Display { devices, ..Display::default() });
        let actions = benchmarks(&snapshot, offset).into_iter().filter_map(|action| {
            let Some(Click::Benchmark(benchmark)) = action.click else { return None };
            let scope = benchmark.scope.unwrap_or_default();
            Some(match action.disabled {
                Some(reason) => format!("{} [{scope}]: {reason}", action.title),
                None => format!("{} [{scope}]", action.title),
            })
        });
        actions.collect()
    }

    const TEXT: &str =
        "block B(w) { Linear(w) }\nmodel M { input x: f32[N = 1, 8]; a: B(4); b: B(4) -> ReLU }";

    #[test]
    fn what_stands_at_the_cursor() {
        let at = |part: &str| {
            let (before, after) = TEXT.split_once(part).expect("it stands there");
            offered(&format!("{before}$0{part}{after}"))
        };
        assert_eq!(
            at("ReLU"),
            [
                "Benchmark this layer, `ReLU`, on cpu (f32, N = 1) [b@1]",
                "Benchmark `M` and its layers on cpu (f32, N = 1) []",
                "Benchmark this layer, `ReLU`, on cuda:0 (f32, N = 1) [b@1]: no GPU",
                "Benchmark `M` and its layers on cuda:0 (f32, N = 1) []: no GPU",
            ]
        );
        assert_eq!(
            at("Linear")[..3],
            [
                "Benchmark this layer, `a.0`, on cpu (f32, N = 1) [a.0]",
                "Benchmark this block, `a`, on cpu (f32, N = 1) [a]",
                "Benchmark `M` and its layers on cpu (f32, N = 1) []",
            ]
        );
        assert_eq!(at("M {")[..1], ["Benchmark `M` and its layers on cpu (f32, N = 1) []"]);
    }
}
