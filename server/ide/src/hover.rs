//! Hover: what a name or a layer is, what it costs and why.

use analysis::{
    DefinitionKind, LayerUse, Model, NodeRef, PartUse, Seen, Source, Step, Totals, Use, What,
};
use layers::{Called, Cost, Entry, Overflow, Unit};
use reports::{DataSheet, Differences, Recomputation, Training, grouped};
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::{
    Hover, Snapshot, Units, config, dims, duration, lines::outputs, percent, timings::Timing,
};

/// What is known of the thing at an offset.
pub fn hover(snapshot: &Snapshot, offset: TextSize) -> Option<Hover> {
    if snapshot.is_config() {
        return config::hover(snapshot, offset);
    }
    let tree = snapshot.parse().tree();
    let token = tree.token_at(offset)?;
    let token = match token.kind().is_trivia() {
        // At the end of a word the cursor still means that word.
        true => token.previous().filter(|before| before.range().end() == offset)?,
        false => token,
    };
    let innermost = tree.innermost(token);
    innermost.ancestors().find_map(|node| hover_node(snapshot, node, token.range()))
}

fn hover_node(snapshot: &Snapshot, node: SyntaxNode<'_>, token: TextRange) -> Option<Hover> {
    let reference = snapshot.node(node.id());
    let markdown = match node.kind() {
        Kind::NameExpr => return hover_name(snapshot, node),
        Kind::Argument => {
            let argument = ast::Argument::cast(node)?;
            let name = argument.name().filter(|name| name.range() == token)?;
            return hover_argument(snapshot, node, name.text())
                .map(|markdown| Hover { range: token, markdown });
        }
        Kind::Model | Kind::Block => {
            let item = ast::Item::cast(node)?;
            let range = item.name()?.range();
            let on_head = token.start() <= range.end();
            return on_head
                .then(|| Hover { range, markdown: item_markdown(snapshot, reference, item) });
        }
        Kind::Input | Kind::Let | Kind::Parameter | Kind::DimDefault => {
            scalar_markdown(snapshot, node, reference)?
        }
        Kind::Dim => return None,
        Kind::ParamDecl | Kind::BufferDecl => {
            let model = snapshot.model_of(reference)?;
            step_markdown(snapshot, model, reference, documented(node))
        }
        Kind::Labels => {
            let step = node.parent()?;
            label_markdown(snapshot, step)?
        }
        _ => {
            let model = snapshot.model_of(reference)?;
            step_markdown(snapshot, model, reference, None)
        }
    };
    Some(Hover { range: node.range(), markdown })
}

/// A name in an expression: a layer with its cost, or what it stands for.
fn hover_name(snapshot: &Snapshot, node: SyntaxNode<'_>) -> Option<Hover> {
    let range = node.range();
    let name = node.text();
    let reference = snapshot.node(node.id());
    let definition = snapshot.analysis().definitions.get(&reference);
    if let Some(definition) =
        definition.filter(|definition| definition.kind != DefinitionKind::Item)
    {
        let what = match definition.kind {
            DefinitionKind::Parameter => "parameter",
            DefinitionKind::Let => "let",
            DefinitionKind::Loop => "loop variable",
            DefinitionKind::Symbol => "size",
            DefinitionKind::Pattern => "size bound by a pattern",
            DefinitionKind::Input => "input",
            DefinitionKind::Label | DefinitionKind::Item => "label",
        };
        let value = definition.value.as_ref().map_or(String::new(), |value| format!(" = {value}"));
        let mut markdown = format!("```taper\n{name}{value}\n```\n{what}");
        let given = snapshot.workspace.node(definition.node);
        let doc = given.ancestors().find_map(documented);
        markdown.extend(doc.map(|doc| format!("\n\n{doc}")));
        return Some(Hover { range, markdown });
    }
    // The layer's step may be written by the name or by the call around it.
    let around = node.ancestors().take(3).map(|node| snapshot.node(node.id()));
    let used = around.filter_map(|node| Some((snapshot.model_of(node)?, node))).next();
    if let Some((model, node)) = used {
        let item = definition.map(|definition| definition.node);
        let mut markdown = step_markdown(snapshot, model, node, None);
        if let Some(item) = item.and_then(|item| ast::Item::cast(snapshot.workspace.node(item))) {
            markdown.extend(documented(item.syntax()).map(|doc| format!("\n\n{doc}")));
        }
        return Some(Hover { range, markdown });
    }
    layers::find(name).map(|entry| Hover { range, markdown: entry_markdown(entry) })
}

/// What a layer is, without a use.
pub(crate) fn entry_markdown(entry: &Entry) -> String {
    format!(
        "```taper\n{}\n```\n{}\n\n{}\n\n[{}]({})",
        entry.signature(),
        entry.summary,
        entry.doc,
        entry.name,
        entry.source
    )
}

/// An argument of a layer or block: its parameter, and its default.
fn hover_argument(snapshot: &Snapshot, node: SyntaxNode<'_>, name: &str) -> Option<String> {
    let call = node.parent()?.parent()?;
    let callee = call.children().next()?;
    let entry = match callee.text() {
        prefix if let Some(called) = Called::behind(prefix) => {
            let function = call.children().nth(1)?.text().trim_start_matches('.');
            layers::find_called(called, function)?
        }
        callee => match layers::find(callee) {
            Some(entry) => entry,
            None => {
                let reference = snapshot.node(node.ancestors().nth(2)?.children().next()?.id());
                let definition = snapshot.analysis().definitions.get(&reference)?;
                let item = ast::Item::cast(snapshot.workspace.node(definition.node))?;
                let parameter = item
                    .parameters()
                    .find(|parameter| parameter.path().is_some_and(|path| path.text() == name))?;
                return Some(format!(
                    "```taper\n{}\n```\nparameter of `{}`",
                    parameter.syntax().text(),
                    item.name()?.text()
                ));
            }
        },
    };
    let param = entry.params.iter().find(|param| param.name == name)?;
    let default = param
        .default
        .map_or("; it must be given".to_owned(), |default| format!("; `{default}` unless given"));
    Some(format!(
        "```taper\n{name}\n```\nargument of `{}`{default}\n\n`{}`",
        entry.name,
        entry.signature()
    ))
}

fn scalar_markdown(
    snapshot: &Snapshot,
    node: SyntaxNode<'_>,
    reference: NodeRef,
) -> Option<String> {
    let value = snapshot.analysis().scalars.get(&reference)?;
    let what = match node.kind() {
        Kind::Input => "input",
        Kind::Let => "let",
        Kind::Parameter => "parameter",
        _ => "symbol: any size, shown at this one",
    };
    let doc = documented(node).map_or(String::new(), |doc| format!("\n\n{doc}"));
    Some(format!("```taper\n{}\n```\n{what}, here {value}{doc}", node.text()))
}

/// A label: its path in a checkpoint, and its step.
fn label_markdown(snapshot: &Snapshot, step: SyntaxNode<'_>) -> Option<String> {
    let doc = documented(step).map_or(String::new(), |doc| format!("{doc}\n\n"));
    let lines = crate::lines::step_lines(snapshot, step.range());
    let line = lines.into_iter().find(|line| line.node == snapshot.node(step.id()))?;
    let owner = line
        .stages
        .iter()
        .find(|uses| !uses[0].step.path.segments.iter().any(|segment| segment.contains('@')));
    let uses = owner.unwrap_or(&line.stages[line.stages.len() - 1]);
    Some(format!("{doc}{}", step_markdown(snapshot, line.model, uses[0].step.node, None)))
}

fn item_markdown(snapshot: &Snapshot, reference: NodeRef, item: ast::Item<'_>) -> String {
    let parameters: Vec<&str> =
        item.parameters().map(|parameter| parameter.syntax().text()).collect();
    let word = if item.is_model() { "model" } else { "block" };
    let name = item.name().map_or("", |name| name.text());
    let mut out = format!("```taper\n{word} {name}({})\n```\n", parameters.join(", "));
    out.extend(documented(item.syntax()).map(|doc| format!("{doc}\n\n")));
    let Some(model) = snapshot.model_with(reference) else {
        out.push_str("Nobody uses it, and its input gives no sizes.");
        return out;
    };
    let uses = model.part_uses(reference);
    if model.item == reference {
        let (units, weights) = (snapshot.display.units, model.weight_bytes());
        out.push_str(&totals_markdown(
            units,
            model,
            model.totals(),
            &units.param_bytes(&weights),
            &units.bytes_by_dtype(&weights.buffers),
        ));
        out.push_str(&format!(
            "- peak activations: {}{}\n",
            model.totals().bound(),
            units.bytes(model.peak_activation_bytes())
        ));
        if !model.symbols.is_empty() {
            out.push_str(&format!("- shown at {}\n", model.sizes()));
        }
        out.push_str(&growth_markdown(snapshot, model, None));
        out.push_str(&measured_markdown(snapshot, model));
        if let Some(left_out) = model.left_out() {
            out.push_str(&format!("- counted is {left_out}\n"));
        }
        out.push_str(&counted_markdown(snapshot, model));
        out.push_str(&training_markdown(units, model));
        if let Some(sheet) = snapshot.display.estimate.filter(|_| model.counted.is_none()) {
            let layers = reports::estimate(model, &sheet.ceilings(model.dtype()));
            let seconds = layers.iter().map(|layer| layer.seconds).sum();
            out.push_str(&estimate_markdown(sheet, seconds, ""));
        }
    } else {
        out.push_str(&part_uses_markdown(model, uses));
    }
    out
}

/// What a step of training computes and keeps, by our own rules.
fn training_markdown(units: Units, model: &Model) -> String {
    let is_own = model.counted.is_none() && model.totals().is_complete();
    let training = Training::of(model, Recomputation::None).ok().filter(|_| is_own);
    let Some(training) = training else { return String::new() };
    let flops = model.totals().flops.saturating_add(training.backward_flops);
    format!(
        "- a step of training: {}, {} kept for the backward pass\n",
        units.count_of(flops, "FLOP"),
        units.bytes(training.kept_bytes)
    )
}

/// How many terms of a difference a hover lists.
const TERMS: usize = 6;

/// Whose rules count the model, what they pass over, and what they count otherwise than ours.
fn counted_markdown(snapshot: &Snapshot, model: &Model) -> String {
    let Some(counted) = model.counted else { return String::new() };
    let seen = Seen::of(model);
    let mut out = format!(
        "- counted as by {}\n- parameters seen: {}\n",
        counted.convention.summary,
        grouped(seen.params)
    );
    if let Some(skipped) = seen.skipped() {
        out.push_str(&format!("- skips {skipped}\n"));
    }
    let own = snapshot.own_analysis().model(&model.name);
    if let Some(found) = own.map(|own| Differences::of(model, own))
        && !found.parts.is_empty()
    {
        let (unit, own) = (found.unit.name(), grouped(found.right));
        out.push_str(&format!("- {} {unit}; by Taper's own rules {own}:\n", grouped(found.left)));
        for part in found.parts.iter().take(TERMS) {
            out.push_str(&format!("  - {}\n", part.described(("here", "Taper"))));
        }
        if found.parts.len() > TERMS {
            let more = found.parts.len() - TERMS;
            out.push_str(&format!("  - {more} more, which `taper why` lists\n"));
        }
    }
    out
}

fn part_totals_markdown(units: Units, model: &Model, totals: &Totals) -> String {
    let (params, buffers) = (units.bytes(totals.param_bytes), units.bytes(totals.buffer_bytes));
    totals_markdown(units, model, totals, &params, &buffers)
}

fn totals_markdown(
    units: Units,
    model: &Model,
    totals: &Totals,
    param_bytes: &str,
    buffer_bytes: &str,
) -> String {
    let mut out = format!("- parameters: {} ({param_bytes})\n", grouped(totals.params));
    if totals.active_params != totals.params {
        out.push_str(&format!("- active parameters: {}\n", grouped(totals.active_params)));
    }
    if totals.buffers > 0 {
        out.push_str(&format!("- buffers: {} ({buffer_bytes})\n", grouped(totals.buffers)));
    }
    let at_least = if totals.is_complete() { "" } else { "at least " };
    for unit in [Unit::Macs, Unit::Flops].into_iter().filter(|unit| model.gives(*unit)) {
        out.push_str(&format!("- {}s: {at_least}{}\n", unit.name(), grouped(totals.work(unit))));
    }
    out.push_str(&format!("- activations: {}\n", units.bytes(totals.activation_bytes)));
    if totals.cache_bytes > 0 {
        out.push_str(&format!("- cache: {}\n", units.bytes(totals.cache_bytes)));
    }
    out
}

/// The most uses that a hover lists.
const MAX_USES: usize = 8;

fn part_uses_markdown(model: &Model, uses: &[PartUse]) -> String {
    let unit = model.unit();
    let mut out =
        format!("| uses | input | output | params | {}s |\n|--:|---|---|--:|--:|\n", unit.name());
    for one in uses.iter().take(MAX_USES) {
        let Some(step) = &one.step else { continue };
        let inputs: Vec<String> =
            (0..step.inputs.len()).map(|input| dims(&model.input_dims(step, input))).collect();
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} |\n",
            one.times,
            code(&inputs.join(", ")),
            code(&outputs(model, step).unwrap_or_default()),
            grouped(one.part.totals.params),
            grouped(one.part.totals.work(unit)),
        ));
    }
    if uses.len() > MAX_USES {
        out.push_str(&format!("\n… and {} more.\n", uses.len() - MAX_USES));
    }
    let all: u128 = uses
        .iter()
        .map(|one| one.times.saturating_mul(one.part.totals.work(unit)))
        .fold(0, u128::saturating_add);
    out.push_str(&format!(
        "\n{} of the {}s of `{}`.\n",
        percent(all, model.totals().work(unit)),
        unit.name(),
        model.name
    ));
    out
}

/// A step at its first use, and a table of the others.
fn step_markdown(snapshot: &Snapshot, model: &Model, node: NodeRef, doc: Option<String>) -> String {
    let uses = model.uses(node);
    let Some(first) = uses.first() else { return String::new() };
    let step = &first.step;
    let mut out = doc.map_or(String::new(), |doc| format!("{doc}\n\n"));
    match &step.what {
        What::Layer(layer) => {
            out.push_str(&layer_markdown(snapshot.display.units, model, step, layer))
        }
        What::Part(part) => {
            out.push_str(&format!("```taper\n{}\n```\n", part.name));
            out.push_str(&flow_markdown(model, step));
            out.push_str(&part_totals_markdown(snapshot.display.units, model, &step.totals));
        }
        What::Declared(tensor) => {
            let what = if tensor.is_buffer { "buffer" } else { "parameter" };
            let bytes = step.totals.param_bytes + step.totals.buffer_bytes;
            out.push_str(&format!(
                "{what} `{}{}`: {}\n",
                tensor.dtype,
                tensor.shape,
                snapshot.display.units.bytes(bytes)
            ));
        }
        What::Group(_) | What::Splice(_) | What::Expert(_) => {
            out.push_str(&flow_markdown(model, step));
            out.push_str(&part_totals_markdown(snapshot.display.units, model, &step.totals));
        }
    }
    if step.totals.flops > 0 {
        out.push_str(&growth_markdown(snapshot, model, Some(node)));
    }
    out.push_str(&share_markdown(snapshot.display.units, model, uses));
    out.extend(snapshot.timings().of_node(model, node).map(time_markdown));
    let What::Layer(layer) = &step.what else { return out };
    // What a tool counts is not what a device does.
    if let Some(sheet) = snapshot.display.estimate.filter(|_| model.counted.is_none()) {
        let ceilings = sheet.ceilings(model.dtype());
        let (flops, bytes) = (step.totals.flops, step.traffic());
        let (seconds, is_memory_bound) = ceilings.least(flops as f64, bytes as f64);
        let bound = if is_memory_bound { "memory" } else { "compute" };
        out.push_str(&estimate_markdown(sheet, seconds, &format!(", {bound}-bound, each time")));
    }
    if let Some(entry) = layer.entry {
        out.push_str(&format!("\n{}\n\n[{}]({})\n", entry.doc, entry.name, entry.source));
    }
    out
}

/// What a data sheet says; nothing of work that takes no time.
fn estimate_markdown(sheet: &DataSheet, seconds: f64, more: &str) -> String {
    if seconds == 0.0 {
        return String::new();
    }
    format!("\nEstimate for {}: at least {}{more}.\n", sheet.name, duration(seconds))
}

/// The time of a step.
fn time_markdown(timing: Timing) -> String {
    let peak = match timing.of_peak() {
        _ if timing.is_in_cache() => {
            ", less than the memory would take: its data is in a cache".to_owned()
        }
        Some(share) => format!(", {share} of what the device can at best, {}", timing.bound()),
        None => String::new(),
    };
    let alone = if timing.is_alone { "by itself" } else { "in all uses" };
    match timing.is_stale {
        true => format!("\nMeasured before an edit: {} {alone}.\n", duration(timing.seconds)),
        false => format!("\nMeasured: {} {alone}{peak}.\n", duration(timing.seconds)),
    }
}

/// A table of a model's times by device.
fn measured_markdown(snapshot: &Snapshot, model: &Model) -> String {
    let found = snapshot.timings().of_model(model);
    if found.is_empty() {
        return String::new();
    }
    let mut out =
        String::from("\n| measured on | time | 95 % between | throughput |\n|---|--:|---|--:|\n");
    let mut notes = Vec::new();
    for (one, is_stale) in found {
        let between = |(low, high)| format!("{} … {}", duration(low), duration(high));
        out.push_str(&format!(
            "| {} {} | {} | {} | {} |\n",
            one.device,
            one.dtype,
            duration(one.whole.seconds),
            one.interval.map(between).unwrap_or_default(),
            one.throughput
        ));
        if *is_stale {
            notes.push(format!("On {} it was measured before an edit.", one.device));
        }
        notes.extend(one.doubts.iter().map(|doubt| format!("On {}: {doubt}.", one.device)));
    }
    notes.iter().for_each(|note| out.push_str(&format!("\n{note}\n")));
    out
}

/// A shape as code: in Markdown brackets are a link, and some editors hide them.
fn code(shape: &str) -> String {
    if shape.is_empty() { String::new() } else { format!("`{shape}`") }
}

fn flow_markdown(model: &Model, step: &Step) -> String {
    let inputs: Vec<String> =
        (0..step.inputs.len()).map(|input| dims(&model.input_dims(step, input))).collect();
    let outputs = outputs(model, step).unwrap_or_default();
    format!("`{} → {outputs}`\n\n", inputs.join(", "))
}

fn layer_markdown(units: Units, model: &Model, step: &Step, layer: &LayerUse) -> String {
    let mut out = match layer.entry {
        Some(entry) => {
            let arguments: Vec<String> = layer
                .arguments
                .iter()
                .flat_map(|arguments| arguments.shown())
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            format!(
                "```taper\n{}({})\n```\n{}\n\n",
                entry.name,
                arguments.join(", "),
                entry.summary
            )
        }
        None => format!("```taper\n{}\n```\n", layer.kind),
    };
    out.push_str(&flow_markdown(model, step));
    for tensor in &layer.parameters {
        let what = if tensor.is_buffer { ", buffer" } else { "" };
        let numel = tensor.shape.numel().unwrap_or(u128::MAX);
        out.push_str(&format!(
            "- `{} {}{}` = {}{what}\n",
            tensor.name,
            tensor.dtype,
            tensor.shape,
            grouped(numel)
        ));
    }
    for (name, tied) in &layer.given {
        out.push_str(&match tied {
            Source::Parameter(seen) => format!("- `{name}` is `{}`\n", seen.path),
            Source::Tensor(_) => format!("- `{name}` is computed by steps\n"),
        });
    }
    if step.totals.params > 0 {
        out.push_str(&format!(
            "- parameters: {} ({})\n",
            grouped(step.totals.params),
            units.bytes(step.totals.param_bytes)
        ));
    }
    out.push_str(
        &cost_markdown(model, &step.cost()).unwrap_or_else(|overflow| format!("- {overflow}\n")),
    );
    if model.counted.is_some() {
        out.push_str(&own_markdown(&step.own_cost()));
    }
    out.push_str(&format!("- activations: {}\n", units.bytes(step.totals.activation_bytes)));
    if step.totals.cache_bytes > 0 {
        out.push_str(&format!("- cache: {}\n", units.bytes(step.totals.cache_bytes)));
    }
    out
}

/// What Taper's own rules say where another tool's count.
fn own_markdown(cost: &Cost) -> String {
    let (Ok(macs), Ok(flops)) = (cost.macs(), cost.flops()) else { return String::new() };
    format!("- by Taper's own rules: MACs: {} · FLOPs: {}\n", grouped(macs), grouped(flops))
}

/// MACs and FLOPs, each product with its formula and its numbers.
fn cost_markdown(model: &Model, cost: &Cost) -> Result<String, Overflow> {
    if cost.terms.is_empty() {
        return Ok(format!("- no {}s\n", model.unit().name()));
    }
    let sums = [(Unit::Macs, cost.macs()?), (Unit::Flops, cost.flops()?)];
    let sums = sums.into_iter().filter(|(unit, _)| model.gives(*unit));
    let sums: Vec<String> =
        sums.map(|(unit, sum)| format!("{}s: {}", unit.name(), grouped(sum))).collect();
    let mut out = format!("- {}\n", sums.join(" · "));
    for term in &cost.terms {
        let names: Vec<&str> = term.factors.iter().map(|(name, _)| *name).collect();
        let numbers: Vec<String> = term.factors.iter().map(|(_, size)| size.to_string()).collect();
        let unit = if term.unit == Unit::Macs { "MACs" } else { "FLOPs" };
        out.push_str(&format!(
            "  - {}: {} = {} = {} {unit}\n",
            term.name,
            names.join(" · "),
            numbers.join(" · "),
            grouped(term.value()?)
        ));
    }
    Ok(out)
}

fn share_markdown(units: Units, model: &Model, uses: &[Use]) -> String {
    let times: u128 = uses.iter().map(|one| one.times).fold(0, u128::saturating_add);
    let (unit, name) = (model.unit(), model.unit().name());
    let all: u128 = uses
        .iter()
        .map(|one| one.times.saturating_mul(one.totals().work(unit)))
        .fold(0, u128::saturating_add);
    let mut out = String::new();
    if all > 0 {
        let share = percent(all, model.totals().work(unit));
        out.push_str(&format!("\n{share} of the {name}s of `{}`", model.name));
        out.push_str(&if times > 1 { format!(", in {times} uses.\n") } else { ".\n".to_owned() });
    }
    if uses.len() > 1 {
        out.push_str(&format!("\n| uses | output | params | {name}s |\n|--:|---|--:|--:|\n"));
        for one in uses.iter().take(MAX_USES) {
            let shape = code(&outputs(model, &one.step).unwrap_or_default());
            let totals = one.totals();
            out.push_str(&format!(
                "| {} | {shape} | {} | {} |\n",
                one.times,
                units.count(totals.params),
                units.count(totals.work(unit))
            ));
        }
        if uses.len() > MAX_USES {
            out.push_str(&format!("\n… and {} more.\n", uses.len() - MAX_USES));
        }
    }
    out
}

/// FLOPs as a function of the symbols, of the model or of all uses of a node's steps.
fn growth_markdown(snapshot: &Snapshot, model: &Model, node: Option<NodeRef>) -> String {
    // Tools tell one size at a time.
    if model.counted.is_some() {
        return String::new();
    }
    let growth = reports::flops_growth(&snapshot.workspace, model, &snapshot.options, node);
    let Some(growth) = growth.filter(|growth| !growth.terms.is_empty()) else {
        return String::new();
    };
    let multiples: Vec<String> = growth
        .multiples
        .iter()
        .map(|(name, step)| format!("{name} a multiple of {step}"))
        .collect();
    let condition = if multiples.is_empty() {
        String::new()
    } else {
        format!(", for {}", multiples.join(" and "))
    };
    format!("- FLOPs at any size: {growth}{condition}\n")
}

fn documented(node: SyntaxNode<'_>) -> Option<String> {
    ast::doc_comment(node)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cursor;

    #[test]
    fn what_is_at_the_cursor() {
        for (source, expected) in [
            (
                "model M { input x: f32[N = 1, 8]; $0Linear(4) }",
                &[
                    "Linear(out_features=4)",
                    "[N, 8] → [N, 4]",
                    "- `weight f32[4, 8]` = 32",
                    "- FLOPs at any size: 68·N",
                    "pytorch.org",
                ][..],
            ),
            ("model M { input x: f32[N = 1, 8]; Linear($0out_features=4) }", &["out_features"]),
            (
                "model $0M(w = 4) { input x: f32[N = 1, 8]; Linear(w) }",
                &["- parameters: 36 (144 B f32)", "- peak activations: 48 B", "- shown at N = 1"],
            ),
            ("model M(w = 4) { input x: f32[N = 1, 8]; Linear($0w) }", &["w = 4", "parameter"]),
            (
                "## Two.\nblock B { ReLU; ReLU }\nmodel M { input x: f32[N = 1, 8]; $0B }",
                &["Two.", "16"],
            ),
            ("model M { input x: f32[$0N = 1, 8]; ReLU }", &["N = 1"]),
        ] {
            let (snapshot, offset) = cursor(source);
            let found = hover(&snapshot, offset).map_or(String::new(), |hover| hover.markdown);
            for text in expected {
                assert!(found.contains(text), "`{text}` is not in the hover of {source}:\n{found}");
            }
        }
        let (snapshot, offset) = cursor("model M { # a $0comment\n}");
        assert_eq!(hover(&snapshot, offset), None);
    }

    /// Where another tool's rules are shown, the hover of a model says in which terms they differ from ours.
    #[test]
    fn why_another_tool_says_another_number() {
        let source = "model $0M { input x: f32[N = 1, 3, 8, 8]; Conv2d(4, 3); BatchNorm2d }";
        let (mut snapshot, offset) = cursor(source);
        snapshot.options.count = conventions::all().find(|one| one.name == "fvcore");
        let found = hover(&snapshot, offset).map_or(String::new(), |hover| hover.markdown);
        for text in ["by Taper's own rules 3,888", "  - BatchNorm2d: here "] {
            assert!(found.contains(text), "`{text}` is not in the hover:\n{found}");
        }
    }
}
