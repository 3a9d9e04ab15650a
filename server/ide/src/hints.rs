//! Inlay hints: beside each line its output shape, parameters, FLOPs and share of the model.
//!
//! A label is short and keeps its width while one types; everything else is in the tooltip, which
//! is made when it is asked for.

use analysis::{Model, NodeRef, Step, Totals};
use layers::Unit;
use reports::grouped;
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::{
    Hint, HintId, Snapshot, Units, config, dims,
    display::work,
    heat::is_large,
    lines::{Figures, StepLine, outputs, step_lines},
    percent,
};

/// The hints in a range, or in the whole file, in the order of the text.
pub fn hints(snapshot: &Snapshot, range: Option<TextRange>) -> Vec<Hint> {
    if snapshot.is_config() {
        return config::hints(snapshot, range);
    }
    let range = range.unwrap_or_else(|| snapshot.parse().tree().root().range());
    let shown = &snapshot.display.hints;
    let mut hints: Vec<Hint> = Vec::new();
    if shown.steps {
        let lines = step_lines(snapshot, range);
        hints.extend(
            lines
                .iter()
                .map(|line| hint(snapshot, line.node, line.end, step_label(snapshot, line))),
        );
    }
    for node in
        snapshot.parse().tree().nodes().filter(|node| range.intersect(node.range()).is_some())
    {
        let reference = snapshot.node(node.id());
        let end = match node.kind() {
            Kind::Model | Kind::Block => head_end(snapshot.text(), node),
            _ => node.range().end(),
        };
        let label = match node.kind() {
            Kind::Model | Kind::Block if shown.items => item_label(snapshot, reference),
            _ if !shown.values => None,
            Kind::Let => scalar(snapshot, reference)
                .filter(|value| !is_written(node.text(), value))
                .map(|value| format!("= {value}")),
            Kind::ParamDecl | Kind::BufferDecl => declared_label(snapshot, reference),
            Kind::Input if !is_in_shown_model(snapshot, reference) => {
                input_label(snapshot, reference)
            }
            _ => None,
        };
        hints.extend(label.map(|label| hint(snapshot, reference, end, label)));
    }
    // Of what is not known there is nothing to say.
    hints.retain(|hint| range.contains_inclusive(hint.offset) && !hint.label.is_empty());
    hints.sort_by_key(|hint| hint.offset);
    hints
}

/// Behind the brace that opens an item; behind all of one that stands on one line.
fn head_end(text: &str, item: SyntaxNode<'_>) -> TextSize {
    let brace = ast::Item::cast(item).and_then(|item| item.body()?.syntax().first_token());
    let end = brace.map_or(item.range().start(), |brace| brace.range().end());
    let body = &text[usize::from(end)..usize::from(item.range().end())];
    if body.contains('\n') { end } else { item.range().end() }
}

/// A label cut so that each symbol of its shapes stands alone: `[`, `N`, `, 64] · 9.41 K params`.
///
/// ```
/// let parts: Vec<&str> = ide::label_parts("[N, 64] · 9 params").collect();
/// assert_eq!(parts, ["[", "N", ", 64] · 9 params"]);
/// ```
pub fn label_parts(label: &str) -> impl Iterator<Item = &str> {
    let mut rest = label;
    let mut depth = 0;
    std::iter::from_fn(move || {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let starts = |c: char| c.is_alphabetic() || c == '_';
        if depth > 0 && rest.starts_with(starts) {
            let end = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            rest = after;
            return Some(name);
        }
        let mut end = rest.len();
        for (at, c) in rest.char_indices() {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                c if depth > 0 && starts(c) => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (text, after) = rest.split_at(end);
        rest = after;
        (!text.is_empty()).then_some(text)
    })
}

/// Where a symbol that a hint names is given.
pub fn hint_symbol(snapshot: &Snapshot, id: HintId, name: &str) -> Option<NodeRef> {
    let line = step_lines(snapshot, TextRange::new(id.start, id.offset.max(id.start)));
    let models = line.into_iter().map(|line| line.model).chain(&snapshot.analysis().models);
    let mut symbols = models.flat_map(|model| &model.symbols);
    symbols.find(|symbol| symbol.name == name).map(|symbol| symbol.node)
}

/// The details of a hint, in Markdown.
pub fn hint_tooltip(snapshot: &Snapshot, id: HintId) -> Option<String> {
    if snapshot.is_config() {
        return config::hover(snapshot, id.start).map(|hover| hover.markdown);
    }
    let line = step_lines(snapshot, TextRange::new(id.start, id.offset.max(id.start)));
    if let Some(line) = line.into_iter().find(|line| line.end == id.offset) {
        return Some(tooltip_of_line(&line, snapshot.display.units));
    }
    crate::hover(snapshot, id.start).map(|hover| hover.markdown)
}

fn hint(snapshot: &Snapshot, node: NodeRef, offset: TextSize, label: String) -> Hint {
    let start = snapshot.workspace.place(node).range.start();
    Hint { offset, label, id: HintId { start, offset } }
}

/// What the line gives and costs; nothing where its share is too small to be shown.
fn step_label(snapshot: &Snapshot, line: &StepLine<'_>) -> String {
    let (shown, units) = (&snapshot.display.hints, snapshot.display.units);
    let (once, all, totals) = (line.once(), line.all(), line.model.totals());
    if shown.minimum_share > 0.0 && line.largest_share() < shown.minimum_share {
        return String::new();
    }
    let mut parts = Vec::new();
    if shown.shape {
        parts.extend(outputs(line.model, line.last()));
    }
    let own = line.own(snapshot.file());
    let mark = |part: u128, whole: u128| match is_large(snapshot, part, whole) {
        true => format!("{} ", snapshot.display.heat.mark).trim_start().to_owned(),
        false => String::new(),
    };
    if shown.params && once.params > 0 {
        let label = params_label(units, once.params, once.active_params);
        parts.push(mark(own.params, totals.params) + &label);
    }
    // By the rules of a tool there may be no figure of the unit that is wanted.
    let unit = shown.work.map(|unit| if line.model.gives(unit) { unit } else { line.model.unit() });
    let work_of =
        |figures: Figures| unit.map(|unit| (figures.work(unit), totals.work(unit), unit.name()));
    parts.extend(work_of(once).and_then(|(work, _, unit)| match (work, once.uncounted) {
        (0, 0) => None,
        (0, _) => Some(format!("unknown {unit}")),
        (_, 0) => Some(units.count_of(work, unit)),
        _ => Some(format!("≥ {}", units.count_of(work, unit))),
    }));
    if shown.memory && once.activation_bytes > 0 {
        let label = units.bytes(once.activation_bytes);
        parts.push(mark(own.activation_bytes, totals.activation_bytes) + &label);
    }
    let times = line.times();
    if times > 1 && !parts.is_empty() {
        parts.push(format!("×{times}"));
    }
    if let Some((work, whole, _)) = work_of(all).filter(|(work, ..)| shown.share && *work > 0) {
        let own = work_of(own).map_or(0, |(work, ..)| work);
        parts.push(mark(own, whole) + &percent(work, whole));
    }
    if shown.time {
        let nodes = line.stages.iter().map(|uses| uses[0].step.node);
        let timing = snapshot.timings().of_nodes(line.model, nodes);
        parts.extend(timing.map(|timing| timing.label()));
    }
    parts.join(" · ")
}

fn item_label(snapshot: &Snapshot, item: NodeRef) -> Option<String> {
    let model = snapshot.model_with(item)?;
    let units = snapshot.display.units;
    let shows_time = snapshot.display.hints.time;
    if model.item == item {
        let timing = snapshot.timings().of_whole(model).filter(|_| shows_time);
        let timing = timing.map_or(String::new(), |timing| format!(" · {}", timing.label()));
        return Some(totals_label(units, model, model.totals()) + &timing);
    }
    let uses = model.part_uses(item);
    let first = uses.first()?;
    let times: u128 = uses.iter().map(|one| one.times).fold(0, u128::saturating_add);
    let unit = model.unit();
    let all: u128 = uses
        .iter()
        .map(|one| one.times.saturating_mul(one.part.totals.work(unit)))
        .fold(0, u128::saturating_add);
    let mut parts = Vec::new();
    parts.extend(first.step.as_ref().and_then(|step| outputs(model, step)));
    parts.push(totals_label(units, model, &first.part.totals));
    if times > 1 {
        parts.push(format!("×{times}"));
    }
    if all > 0 {
        parts.push(percent(all, model.totals().work(unit)));
    }
    if shows_time {
        let timing = snapshot.timings().of_part(model, uses);
        parts.extend(timing.map(|timing| timing.label()));
    }
    Some(parts.join(" · "))
}

/// Parameters and work; where experts are idle, the active parameters too; `≥` where a step has
/// no rule or a mistake.
fn totals_label(units: Units, model: &Model, totals: &Totals) -> String {
    let params = params_label(units, totals.params, totals.active_params);
    format!("{}{params} · {}{}", totals.bound(), totals.work_bound(), work(units, model, totals))
}

fn params_label(units: Units, params: u128, active: u128) -> String {
    match params == active {
        true => format!("{} params", units.count(params)),
        false => format!("{} params ({} active)", units.count(params), units.count(active)),
    }
}

fn scalar(snapshot: &Snapshot, node: NodeRef) -> Option<String> {
    let value = snapshot.analysis().scalars.get(&node)?;
    (value.chars().count() <= 40).then(|| value.clone())
}

/// A `let` that says its value already needs no hint.
fn is_written(line: &str, value: &str) -> bool {
    line.rsplit_once('=').is_some_and(|(_, written)| written.trim() == value)
}

fn declared_label(snapshot: &Snapshot, node: NodeRef) -> Option<String> {
    let model = snapshot.model_of(node)?;
    let uses = model.uses(node);
    let step = &uses.first()?.step;
    let mut parts: Vec<String> = outputs(model, step).into_iter().collect();
    if step.totals.params > 0 {
        parts.push(format!("{} params", snapshot.display.units.count(step.totals.params)));
    }
    let times: u128 = uses.iter().map(|one| one.times).fold(0, u128::saturating_add);
    if times > 1 {
        parts.push(format!("×{times}"));
    }
    Some(parts.join(" · "))
}

/// A model's own inputs say their sizes already.
fn is_in_shown_model(snapshot: &Snapshot, input: NodeRef) -> bool {
    let item = enclosing_item(snapshot, input);
    snapshot.analysis().models.iter().any(|model| Some(model.item) == item)
}

fn enclosing_item(snapshot: &Snapshot, node: NodeRef) -> Option<NodeRef> {
    let around = snapshot.workspace.node(node).ancestors().find_map(ast::Item::cast)?;
    Some(snapshot.node(around.id()))
}

/// What flows into a block at its first use.
fn input_label(snapshot: &Snapshot, input: NodeRef) -> Option<String> {
    let item = enclosing_item(snapshot, input)?;
    let model = snapshot.model_with(item)?;
    let step = model.part_uses(item).first()?.step.clone()?;
    let body = ast::Item::cast(snapshot.workspace.node(item))?.body()?;
    let mut inputs = body.lines().filter_map(|line| match line {
        ast::Line::Input(line) => Some(line.id()),
        _ => None,
    });
    let index = inputs.position(|id| id == input.node)?;
    let shape = model.input_dims(&step, index);
    (!shape.is_empty()).then(|| dims(&shape))
}

fn tooltip_of_line(line: &StepLine<'_>, units: Units) -> String {
    let given: Vec<Unit> =
        [Unit::Macs, Unit::Flops].into_iter().filter(|unit| line.model.gives(*unit)).collect();
    let cells = |cell: &dyn Fn(Unit) -> String| -> String {
        given.iter().map(|unit| format!(" {} |", cell(*unit))).collect()
    };
    let mut out = format!(
        "| stage | output | params |{} memory |\n|---|---|--:|{}--:|\n",
        cells(&|unit| format!("{}s", unit.name())),
        "--:|".repeat(given.len()),
    );
    for uses in &line.stages {
        let step: &Step = &uses[0].step;
        let kind = if step.kind().is_empty() { "steps" } else { step.kind() };
        let shape = outputs(line.model, step).unwrap_or_default();
        let totals = uses[0].totals();
        out.push_str(&format!(
            "| {kind} | {shape} | {} |{} {} |\n",
            grouped(totals.params),
            cells(&|unit| grouped(totals.work(unit))),
            units.bytes(totals.activation_bytes)
        ));
    }
    out.push_str(&shares(line.model, line));
    out
}

fn shares(model: &Model, line: &StepLine<'_>) -> String {
    let (once, unit) = (line.once(), model.unit());
    let Figures { params, .. } = once;
    let totals = model.totals();
    let times = line.times();
    let mut out = String::new();
    let all = line.all().work(unit);
    if all > 0 {
        let (share, name) = (percent(all, totals.work(unit)), unit.name());
        out.push_str(&format!("\n{share} of the {name}s of `{}`", model.name));
        if times > 1 {
            out.push_str(&format!(
                ", in {times} uses of {} to {} {name}s in all",
                grouped(once.work(unit)),
                grouped(all)
            ));
        }
        out.push_str(".\n");
    }
    if params > 0 && times <= 1 {
        out.push_str(&format!("\n{} of its parameters.\n", percent(params, totals.params)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Display, HintParts, fixture::snapshot};

    const TEXT: &str = "block B(w) {\n    input x: [N, C]\n    Linear(w)\n}\nmodel M {\n    input x: f32[N = 1, 8]\n    let w = 2 + 2\n    B(w)\n    B(w) -> ReLU\n    param p: [4]\n}\n";

    /// Each hint behind the text of its line.
    fn labels(display: Display) -> Vec<String> {
        let snapshot = snapshot(TEXT).shown(display);
        let line = |hint: &Hint| {
            let before = &TEXT[..usize::from(hint.offset)];
            before[before.rfind('\n').map_or(0, |at| at + 1)..].trim().to_owned()
        };
        hints(&snapshot, None)
            .iter()
            .map(|hint| format!("{} ‹{}›", line(hint), hint.label))
            .collect()
    }

    #[test]
    fn beside_every_line() {
        assert_eq!(
            labels(Display::default()),
            [
                "block B(w) { ‹[N, 4] · 36 params · 68 FLOP · ×2 · 96.3 %›",
                "input x: [N, C] ‹[N, 8]›",
                "Linear(w) ‹[N, 4] · ● 36 params · 68 FLOP · ×2 · ● 96.3 %›",
                "model M { ‹60 params · 108 FLOP›",
                "let w = 2 + 2 ‹= 4›",
                "B(w) ‹[N, 4] · 36 params · 68 FLOP · 63.0 %›",
                "B(w) -> ReLU ‹[N, 4] · 20 params · 40 FLOP · 37.0 %›",
                "param p: [4] ‹[4] · 4 params›",
            ]
        );
    }

    #[test]
    fn as_the_user_wants() {
        let parts = HintParts {
            items: false,
            values: false,
            shape: false,
            work: Some(Unit::Macs),
            memory: true,
            minimum_share: 0.1,
            ..HintParts::default()
        };
        assert_eq!(
            labels(Display { hints: parts, ..Display::default() }),
            [
                "Linear(w) ‹● 36 params · 32 MAC · ● 16 B · ×2 · ● 100.0 %›",
                "B(w) ‹36 params · 32 MAC · 16 B · 66.7 %›",
                "B(w) -> ReLU ‹20 params · 16 MAC · ● 32 B · 33.3 %›",
            ]
        );
    }

    #[test]
    fn work_that_nobody_knows() {
        let text = "block Own { input x: [N, C]; output y: [x.shape[0], 4] }\nmodel M {\n    input x: f32[N = 1, 8]\n    Own\n    { Own; Linear(8) }\n}\n";
        let snapshot = snapshot(text);
        let labels: Vec<String> =
            hints(&snapshot, None).into_iter().map(|hint| hint.label).collect();
        assert!(labels.contains(&"40 params · ≥ 72 FLOP".to_owned()), "{labels:?}");
        assert!(labels.iter().any(|label| label.ends_with("[N, 4] · unknown FLOP")), "{labels:?}");
        assert!(
            labels.iter().any(|label| label.contains("40 params · ≥ 72 FLOP · ")),
            "{labels:?}"
        );
    }

    /// A tool that counts MACs has no FLOPs, whatever the user wants to see.
    #[test]
    fn as_another_tool_counts() {
        let own = snapshot(TEXT);
        let thop = conventions::all().find(|one| one.name == "thop");
        let options = analysis::Options { count: thop, ..Default::default() };
        let snapshot = Snapshot::new(own.workspace.clone(), own.file(), options);
        let labels: Vec<String> = hints(&snapshot, None).into_iter().map(|one| one.label).collect();
        assert!(labels.contains(&"60 params · 48 MAC".to_owned()), "{labels:?}");
        assert!(labels.iter().all(|label| !label.contains("FLOP")), "{labels:?}");
        let lens = crate::lenses(&snapshot).pop().expect("a lens");
        assert!(lens.title.starts_with("60 params · 48 MAC · "), "{}", lens.title);
        let hover = crate::hover(&snapshot, TextSize::new(60)).map(|hover| hover.markdown);
        assert!(hover.is_none_or(|text| !text.contains("FLOPs: ") || text.contains("own rules")));
    }

    #[test]
    fn a_hint_has_details() {
        let snapshot = snapshot(TEXT);
        let hint = hints(&snapshot, None)
            .into_iter()
            .find(|hint| hint.label.contains("×2"))
            .expect("a hint");
        let tooltip = hint_tooltip(&snapshot, hint.id).expect("details");
        assert!(tooltip.contains("36"), "{tooltip}");
        assert!(hint_symbol(&snapshot, hint.id, "N").is_some());
    }
}
