//! The table for people: a tree or a list, with bars for the shares.

use std::{ops::ControlFlow, sync::Arc};

use analysis::{Counted, Model, Seen, Step, Totals, What};
use comfy_table::{CellAlignment, Table, presets};
use ide::{Units, dims, percent};

use layers::Unit;

use super::layout::{By, Layout};
use crate::{commands::least, training::Need};

/// A line of the table.
struct Line {
    name: String,
    kind: String,
    output: String,
    totals: Totals,
    /// The share of all lines down to this one in what they are sorted by.
    together: String,
}

/// The columns; of a tool that counts one of MACs and FLOPs, the other has no meaning.
fn columns(model: &Model, layout: &Layout, cells: [String; 9]) -> Vec<String> {
    let is_there = |column: usize| match column {
        MACS => model.gives(Unit::Macs),
        FLOPS => model.gives(Unit::Flops),
        // In a tree a line holds those below it.
        TOGETHER => layout.sort.is_some() && layout.by != By::Tree,
        _ => true,
    };
    let cells = cells.into_iter().enumerate();
    cells.filter(|(column, _)| is_there(*column)).map(|(_, cell)| cell).collect()
}

/// Where they stand among the columns.
const MACS: usize = 4;
const FLOPS: usize = 5;
const TOGETHER: usize = 7;
const SHARE: &str = "share of ";

fn header(model: &Model, layout: &Layout) -> Vec<String> {
    let share = format!("{SHARE}{}s", model.unit().name());
    let names =
        ["layer", "kind", "output", "params", "MACs", "FLOPs", &share, "together", "activations"];
    columns(model, layout, names.map(str::to_owned))
}

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// The table with units, bars and the totals below it.
pub fn human(model: &Model, layout: &Layout) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let header = header(model, layout);
    table.set_header(&header);
    let whole = model.totals().work(model.unit());
    for line in lines(model, layout) {
        let Totals { params, macs, flops, activation_bytes, .. } = line.totals;
        let own = line.totals.work(model.unit());
        let nonzero = |value: u128, text: String| if value == 0 { String::new() } else { text };
        let cells = [
            line.name,
            line.kind,
            line.output,
            nonzero(params, UNITS.count(params)),
            nonzero(macs, UNITS.count(macs)),
            nonzero(flops, UNITS.count(flops)),
            nonzero(own, format!("{} {:>7}", bar(own, whole), percent(own, whole))),
            line.together,
            nonzero(activation_bytes, UNITS.bytes(activation_bytes)),
        ];
        table.add_row(columns(model, layout, cells));
    }
    for (index, name) in header.iter().enumerate().skip(3) {
        if let Some(column) = table.column_mut(index).filter(|_| !name.starts_with(SHARE)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let table = table.trim_fmt();
    let (header, rows) = table.split_once('\n').unwrap_or((&table, ""));
    let bold = anstyle::Style::new().bold();
    let note = inclusion(layout).map_or(String::new(), |note| format!("({note})\n\n"));
    format!("{}{header}{}\n{rows}\n\n{note}{}", bold.render(), bold.render_reset(), footer(model))
}

/// The table in Markdown, with exact numbers.
pub fn markdown(model: &Model, layout: &Layout) -> String {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(header(model, layout));
    for line in lines(model, layout) {
        table.add_row(exact(&line, model, layout));
    }
    let mut out = format!("{}\n", table.trim_fmt());
    for note in model.left_out().into_iter().chain(inclusion(layout).map(str::to_owned)) {
        out.push_str(&format!("\n({note})\n"));
    }
    out
}

/// The table as comma-separated values, with exact numbers.
pub fn csv(model: &Model, layout: &Layout) -> String {
    // What is left out stands in a column of its own, as there is no line beside the table.
    let left_out = model.left_out();
    let more = |cell: &str| left_out.as_ref().map(|_| cell.to_owned());
    let mut names = header(model, layout);
    names.extend(more("counted"));
    let mut out = names.join(",") + "\n";
    for line in lines(model, layout) {
        let mut cells = exact(&line, model, layout);
        cells.extend(left_out.clone());
        let quoted: Vec<String> = cells.iter().map(|cell| csv_cell(cell)).collect();
        out.push_str(&(quoted.join(",") + "\n"));
    }
    out
}

fn csv_cell(cell: &str) -> String {
    if cell.contains([',', '"', '\n']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn exact(line: &Line, model: &Model, layout: &Layout) -> Vec<String> {
    let Totals { params, macs, flops, activation_bytes, .. } = line.totals;
    let cells = [
        line.name.trim_start().to_owned(),
        line.kind.clone(),
        line.output.clone(),
        params.to_string(),
        macs.to_string(),
        flops.to_string(),
        percent(line.totals.work(model.unit()), model.totals().work(model.unit())),
        line.together.clone(),
        activation_bytes.to_string(),
    ];
    columns(model, layout, cells)
}

fn lines(model: &Model, layout: &Layout) -> Vec<Line> {
    let mut lines = match layout.by {
        By::Tree => {
            let mut lines = Vec::new();
            let tree = Tree { model, deepest: layout.depth };
            tree.lines(&model.part.steps, Place::default(), &mut lines);
            lines
        }
        By::Layer => by_layer(model),
        By::Kind => by_kind(model),
        By::Block => by_block(model),
    };
    if let Some(sort) = layout.sort {
        lines.sort_by_key(|line| std::cmp::Reverse(sort.of(&line.totals)));
        let whole = sort.of(model.totals());
        let mut sum = 0u128;
        for line in &mut lines {
            sum = sum.saturating_add(sort.of(&line.totals));
            line.together = percent(sum, whole);
        }
        if layout.by == By::Tree {
            lines.iter_mut().for_each(|line| line.name = line.name.trim_start().to_owned());
        }
    }
    lines.truncate(layout.top.unwrap_or(usize::MAX));
    lines
}

/// A walk through the steps for lines below each other.
struct Tree<'m> {
    model: &'m Model,
    deepest: usize,
}

/// Where steps stand in the tree.
#[derive(Clone, Copy, Default)]
struct Place {
    depth: usize,
    /// Their parameters are those of an earlier use of what is around them.
    reused: bool,
}

impl Tree<'_> {
    /// Steps below what holds them. Neighbours that are the same part are one line.
    fn lines(&self, steps: &[Arc<Step>], place: Place, out: &mut Vec<Line>) {
        let mut rest = steps;
        while let Some((step, after)) = rest.split_first() {
            if let What::Splice(_) | What::Expert(_) = &step.what {
                self.lines(step.children(), place, out);
                rest = after;
                continue;
            }
            let same = after.iter().take_while(|other| is_copy(step, other)).count();
            out.push(self.line(step, &after[..same], place));
            if place.depth + 1 < self.deepest && !step.idle {
                let reused = place.reused || step.reused;
                self.lines(step.children(), Place { depth: place.depth + 1, reused }, out);
            }
            rest = &after[same..];
        }
    }

    fn line(&self, step: &Step, copies: &[Arc<Step>], place: Place) -> Line {
        let path = step.path.segments.join(".");
        let path = if path.starts_with('@') { String::new() } else { path };
        let times = copies.len() as u128 + 1;
        let name = match copies.last() {
            Some(last) => format!("{path} … {}", last.path.segments.join(".")),
            None => path,
        };
        let kind = match (times, step.idle) {
            (1, false) => step.kind().to_owned(),
            (_, true) => format!("{} ×{times} (idle)", step.kind()),
            _ => format!("{} ×{times}", step.kind()),
        };
        let kind = if kind == "Group" { String::new() } else { kind };
        Line {
            name: format!("{}{name}", "  ".repeat(place.depth)),
            kind,
            output: output(self.model, step),
            totals: multiplied(&step.totals.in_place(place.reused, false), times),
            together: String::new(),
        }
    }
}

fn is_copy(step: &Step, other: &Step) -> bool {
    let same_part = matches!((&step.what, &other.what), (What::Part(one), What::Part(two)) if Arc::ptr_eq(one, two));
    same_part && step.idle == other.idle && step.reused == other.reused
}

/// A product that does not fit was reported with the model's totals.
fn multiplied(totals: &Totals, times: u128) -> Totals {
    Totals {
        params: totals.params.saturating_mul(times),
        macs: totals.macs.saturating_mul(times),
        flops: totals.flops.saturating_mul(times),
        activation_bytes: totals.activation_bytes.saturating_mul(times),
        ..*totals
    }
}

fn output(model: &Model, step: &Step) -> String {
    if let What::Declared(tensor) = &step.what {
        return tensor.shape.to_string();
    }
    let shapes: Vec<String> =
        (0..step.outputs.len()).map(|index| dims(&model.output_dims(step, index))).collect();
    shapes.join(", ")
}

fn by_layer(model: &Model) -> Vec<Line> {
    let mut lines = Vec::new();
    model.rows(|row| {
        lines.push(Line {
            name: row.path,
            kind: row.step.kind().to_owned(),
            output: output(model, row.step),
            totals: row.totals,
            together: String::new(),
        });
        ControlFlow::Continue(())
    });
    lines
}

/// Sums by a key, in the order in which the keys are met.
#[derive(Default)]
struct Sums(Vec<(String, Totals, u64)>);

impl Sums {
    fn add(&mut self, key: &str, totals: &Totals) {
        let known = self.0.iter().position(|(name, ..)| name == key);
        let index = known.unwrap_or_else(|| {
            self.0.push((key.to_owned(), Totals::default(), 0));
            self.0.len() - 1
        });
        let (_, sum, times) = &mut self.0[index];
        *sum = sum.plus(totals).unwrap_or(*sum);
        *times += 1;
    }

    fn lines(self) -> Vec<Line> {
        let lines = self.0.into_iter().map(|(name, totals, times)| Line {
            name,
            kind: format!("×{times}"),
            output: String::new(),
            totals,
            together: String::new(),
        });
        lines.collect()
    }
}

fn by_kind(model: &Model) -> Vec<Line> {
    let mut sums = Sums::default();
    model.rows(|row| {
        sums.add(row.step.kind(), &row.totals);
        ControlFlow::Continue(())
    });
    sums.lines()
}

/// All uses of each block, with what is in it.
fn by_block(model: &Model) -> Vec<Line> {
    let mut sums = Sums::default();
    model.steps(|visited| {
        if let What::Part(part) = &visited.step.what {
            sums.add(&part.name, &visited.totals());
        }
        ControlFlow::Continue(())
    });
    sums.lines()
}

/// What the figures hold, if that is not plain.
fn inclusion(layout: &Layout) -> Option<&'static str> {
    (layout.by == By::Block).then_some("figures of a block hold those of the blocks in it")
}

/// A bar of ten characters, in eighths.
pub fn bar(part: u128, whole: u128) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let eighths = (share * 80.0).round() as usize;
    let bar = format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8]);
    format!("{bar}{}", " ".repeat(10usize.saturating_sub(bar.chars().count())))
}

/// What training needs, below the totals.
pub fn training(need: &Need) -> String {
    let mut out = String::from("Training\n");
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<18}{value}\n"));
    let held = [
        ("weights", need.weight_bytes),
        ("master copy", need.master_bytes),
        ("gradients", need.gradient_bytes),
        ("optimizer states", need.state_bytes),
        ("kept for backward", need.kept_bytes),
    ];
    for (name, bytes) in held.into_iter().filter(|(_, bytes)| *bytes > 0) {
        line(name, UNITS.bytes(bytes));
    }
    line(
        "together",
        format!("{} at most, without workspaces of kernels", UNITS.bytes(need.bytes())),
    );
    let times = need.flops() as f64 / (need.forward_flops as f64).max(1.0);
    let flops = UNITS.count_of(need.flops(), "FLOP");
    line("a step", format!("{flops} ({}, {times:.2} × forward)", need.flops()));
    out
}

fn footer(model: &Model) -> String {
    let totals = model.totals();
    let mut out = format!("{}", model.name);
    if !model.symbols.is_empty() {
        out.push_str(&format!(" at {}", model.sizes()));
    }
    out.push('\n');
    let mut line = |name: &str, value: String| out.push_str(&format!("  {name:<18}{value}\n"));
    let weights = model.weight_bytes();
    let stored = |exact: u128, bytes: String| match exact {
        0 => format!("{}{}", totals.bound(), UNITS.count(exact)),
        _ => format!("{}{} ({exact}, {bytes})", totals.bound(), UNITS.count(exact)),
    };
    line("parameters", stored(totals.params, UNITS.param_bytes(&weights)));
    if totals.active_params != totals.params {
        line("active", format!("{} ({})", UNITS.count(totals.active_params), totals.active_params));
    }
    if totals.buffers > 0 {
        line("buffers", stored(totals.buffers, UNITS.bytes_by_dtype(&weights.buffers)));
    }
    let counted = |value: u128, unit: &str| {
        format!("{}{} ({value})", totals.work_bound(), UNITS.count_of(value, unit))
    };
    if let Some(left_out) = model.left_out() {
        line("counted is", left_out);
    }
    if model.gives(Unit::Macs) {
        line("MACs", counted(totals.macs, "MAC"));
    }
    if model.gives(Unit::Flops) {
        line("FLOPs", counted(totals.flops, "FLOP"));
    }
    let bound = totals.bound();
    line(
        "activations",
        format!(
            "{bound}{}, peak {bound}{}",
            UNITS.bytes(totals.activation_bytes),
            UNITS.bytes(model.peak_activation_bytes())
        ),
    );
    if totals.cache_bytes > 0 {
        line("cache", UNITS.bytes(totals.cache_bytes));
    }
    if let Some(Counted { convention, .. }) = model.counted {
        let seen = Seen::of(model);
        line("counted as by", convention.summary.to_owned());
        line("parameters seen", format!("{} ({})", UNITS.count(seen.params), seen.params));
        if let Some(skipped) = seen.skipped() {
            line("skips", skipped);
        }
    }
    out.extend(least(model.uncounted()).map(|least| least + "\n"));
    out
}
