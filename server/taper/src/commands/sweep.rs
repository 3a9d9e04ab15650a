//! `taper sweep`: what a model costs at several sizes or settings.

use std::process::ExitCode;

use analysis::{Code, Diagnostic, Model, Options, Severity};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, presets};
use ide::{Units, duration};
use layers::Unit;
use reports::Ceilings;
use serde::Serialize;

use crate::commands::{
    CountArguments, ModelArguments, estimate, given_once, least, mistakes, summary::bar,
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    count: CountArguments,
    /// What varies: symbols or parameters, and their values: `N=1,2,4`, `H,W=128:512:64`,
    /// `width=0.5,1.0`. Of several all combinations are shown.
    #[arg(long, value_name = "NAMES=VALUES", required = true, value_parser = parse_over)]
    over: Vec<Over>,
    /// The device whose data sheet gives the least time, as in `taper estimate`.
    #[arg(long)]
    device: Option<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Csv,
    Markdown,
}

/// Names that take each of the values, all the same one.
#[derive(Clone, Debug, PartialEq)]
struct Over {
    names: Vec<String>,
    values: Vec<String>,
}

/// The most values that a range may have.
const MOST: u64 = 1000;

fn parse_over(text: &str) -> Result<Over, String> {
    let form = || format!("`{text}` is not of the form N=1,2,4 or H,W=128:512:64");
    let (names, values) = text.split_once('=').ok_or_else(form)?;
    let names: Vec<String> = names.split(',').map(|name| name.trim().to_owned()).collect();
    if names.iter().any(String::is_empty) || values.trim().is_empty() {
        return Err(form());
    }
    let range: Option<Vec<u64>> = values.split(':').map(|part| part.trim().parse().ok()).collect();
    let values = match range.as_deref() {
        Some([first, last, rest @ ..]) if rest.len() < 2 => {
            let step = rest.first().copied().unwrap_or(1);
            if step == 0 || first > last || (last - first) / step >= MOST {
                return Err(format!("`{values}` is no range of at most {MOST} values"));
            }
            (*first..=*last).step_by(step as usize).map(|value| value.to_string()).collect()
        }
        _ => list(values),
    };
    Ok(Over { names, values })
}

/// What stands between commas that no bracket holds.
fn list(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        depth += i32::from("[({".contains(c)) - i32::from("])}".contains(c));
        match (c, items.last_mut()) {
            (',', _) if depth == 0 => items.push(String::new()),
            (c, Some(item)) => item.push(c),
            (_, None) => {}
        }
    }
    items.into_iter().map(|item| item.trim().to_owned()).collect()
}

/// What a model costs with some settings.
#[derive(Serialize)]
struct Line {
    set: Vec<(String, String)>,
    /// Why there is no such model.
    error: Option<String>,
    /// What the file expects and that is not so here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unmet: Vec<String>,
    /// Kinds of layers whose work is not known, so that the figures of the work are a least.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uncounted: Vec<String>,
    /// Kinds of layers whose work is left out, and the only ones whose work counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    only: Vec<String>,
    #[serde(skip)]
    expects_other_sizes: bool,
    /// What is left out, in words.
    #[serde(skip)]
    left_out: Option<String>,
    /// Figures; none where there is no such model.
    params: Option<u128>,
    macs: Option<u128>,
    flops: Option<u128>,
    weight_bytes: Option<u128>,
    peak_activation_bytes: Option<u128>,
    cache_bytes: Option<u128>,
    /// The least time by a data sheet.
    estimated_seconds: Option<f64>,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    let varied = arguments.over.iter().flat_map(|over| &over.names);
    given_once(options.set.iter().map(|(name, _)| name).chain(varied).map(String::as_str))?;
    let mut lines = Vec::new();
    for varied in combinations(&arguments.over) {
        let set = options.set.iter().cloned().chain(varied.iter().cloned()).collect();
        let analyse = |count| {
            let options = Options { set, count, ..options.clone() };
            analysis::analyse(&opened.workspace, opened.file, &options)
        };
        let analysis = analyse(arguments.count.count);
        let mut choice = arguments.model.choice.clone();
        choice.set.extend(varied.iter().cloned());
        let model = choice.choose(&analysis)?;
        let ceilings = match &arguments.device {
            Some(device) => Some(estimate::limits(device, model.dtype())?.1),
            None => None,
        };
        let mut line = Line::new(varied, model, ceilings);
        let mut errors = mistakes(&analysis).into_iter();
        if let Some(error) = errors.find(|error| error.severity == Severity::Error) {
            line.fail(error.message);
        }
        let expected = |found: &&Diagnostic| found.code == Code::Expectation;
        let unmet = analysis.diagnostics.iter().filter(expected);
        line.unmet = unmet.map(|found| found.message.clone()).collect();
        lines.push(line);
    }
    let left_out = left_out(&lines);
    let notes = notes(&lines);
    match arguments.format {
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&lines)?),
        Format::Human => anstream::println!("{}", table(&lines, arguments, true)),
        Format::Markdown => anstream::println!("{}", table(&lines, arguments, false)),
        Format::Csv => {
            anstream::print!("{}", csv(&lines));
            notes.iter().for_each(|note| anstream::eprintln!("{note}"));
        }
    }
    let is_table = matches!(arguments.format, Format::Human | Format::Markdown);
    if is_table {
        left_out.iter().for_each(|left_out| anstream::println!("\n({left_out})"));
        notes.iter().for_each(|note| anstream::println!("\n{note}"));
    }
    // What a file expects of its figures is for its own sizes.
    let fails = lines.iter().any(|line| line.error.is_some() || line.expects_other_sizes);
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All settings: the last names vary fastest.
fn combinations(over: &[Over]) -> Vec<Vec<(String, String)>> {
    let mut all = vec![Vec::new()];
    for Over { names, values } in over {
        let with = |set: &Vec<(String, String)>| -> Vec<Vec<(String, String)>> {
            let each = values.iter().map(|value| {
                let more = names.iter().map(|name| (name.clone(), value.clone()));
                set.iter().cloned().chain(more).collect()
            });
            each.collect()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

impl Line {
    fn new(set: Vec<(String, String)>, model: &Model, ceilings: Option<Ceilings>) -> Line {
        let totals = model.totals();
        let of = |unit| model.gives(unit).then(|| totals.work(unit));
        let seconds = |ceilings: Ceilings| {
            reports::estimate(model, &ceilings).iter().map(|layer| layer.seconds).sum()
        };
        Line {
            set,
            error: None,
            unmet: Vec::new(),
            uncounted: model.uncounted(),
            ignored: model.ignored.clone(),
            only: model.only.clone(),
            left_out: model.left_out(),
            expects_other_sizes: model.expects_other_sizes,
            params: Some(totals.params),
            macs: of(Unit::Macs),
            flops: of(Unit::Flops),
            weight_bytes: Some(model.weight_bytes().total()),
            peak_activation_bytes: Some(model.peak_activation_bytes()),
            cache_bytes: Some(totals.cache_bytes),
            estimated_seconds: ceilings.map(seconds),
        }
    }

    /// There is no such model, so no figure of it is one.
    fn fail(&mut self, error: String) {
        (self.params, self.macs, self.flops) = (None, None, None);
        (self.weight_bytes, self.peak_activation_bytes, self.cache_bytes) = (None, None, None);
        (self.estimated_seconds, self.error) = (None, Some(error));
        self.uncounted.clear();
        self.left_out = None;
    }

    /// What stands before figures of the work.
    fn work_bound(&self) -> &'static str {
        if self.uncounted.is_empty() { "" } else { "≥ " }
    }

    /// What the chart shows.
    fn work(&self) -> u128 {
        self.flops.or(self.macs).unwrap_or(0)
    }

    fn settings(&self) -> String {
        let each = self.set.iter().map(|(name, value)| format!("{name} = {value}"));
        each.collect::<Vec<_>>().join(", ")
    }
}

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// The lines; with a chart of the work beside them, or in Markdown with exact numbers.
fn table(lines: &[Line], arguments: &Arguments, is_human: bool) -> String {
    let count = |value: u128| match is_human {
        true => UNITS.count(value),
        false => value.to_string(),
    };
    let bytes = |value: u128| match is_human {
        true => UNITS.bytes(value),
        false => value.to_string(),
    };
    let good: Vec<&Line> = lines.iter().filter(|line| line.error.is_none()).collect();
    let most = good.iter().map(|line| line.work()).max().unwrap_or(0);
    let shown = [
        ("params", true),
        ("MACs", good.iter().any(|line| line.macs.is_some())),
        ("FLOPs", good.iter().any(|line| line.flops.is_some())),
        ("", is_human),
        ("weights", true),
        ("peak activations", true),
        ("cache", good.iter().any(|line| line.cache_bytes.is_some_and(|bytes| bytes > 0))),
        ("at least", arguments.device.is_some()),
    ];
    let cells = |cells: [String; 8]| -> Vec<String> {
        cells.into_iter().zip(shown).filter(|(_, (_, is))| *is).map(|(cell, _)| cell).collect()
    };
    let mut table = Table::new();
    table.load_style(if is_human { presets::NOTHING } else { presets::ASCII_MARKDOWN });
    let names = shown.map(|(name, _)| match (name, &arguments.device) {
        ("at least", Some(device)) => format!("at least on {device}"),
        _ => name.to_owned(),
    });
    table.set_header([vec!["set".to_owned()], cells(names)].concat());
    for line in &good {
        let figures = cells([
            line.params.map(count).unwrap_or_default(),
            line.macs.map(|macs| line.work_bound().to_owned() + &count(macs)).unwrap_or_default(),
            line.flops
                .map(|flops| line.work_bound().to_owned() + &count(flops))
                .unwrap_or_default(),
            bar(line.work(), most),
            line.weight_bytes.map(bytes).unwrap_or_default(),
            line.peak_activation_bytes.map(bytes).unwrap_or_default(),
            line.cache_bytes.map(bytes).unwrap_or_default(),
            line.estimated_seconds.map(duration).unwrap_or_default(),
        ]);
        table.add_row([vec![line.settings()], figures].concat());
    }
    for (index, (name, _)) in shown.iter().filter(|(_, is)| *is).enumerate() {
        if let Some(column) = table.column_mut(index + 1).filter(|_| !name.is_empty()) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// What is left out of the figures, of each setting if these differ.
fn left_out(lines: &[Line]) -> Vec<String> {
    let all: Vec<(&Line, &String)> =
        lines.iter().filter_map(|line| Some((line, line.left_out.as_ref()?))).collect();
    match all.first() {
        Some((_, first)) if all.iter().any(|(_, other)| other != first) => {
            all.iter().map(|(line, what)| format!("{}: {what}", line.settings())).collect()
        }
        first => first.iter().map(|(_, what)| (*what).clone()).collect(),
    }
}

/// What the figures do not say: where there are none, and where they are not what the file expects or all there is.
fn notes(lines: &[Line]) -> Vec<String> {
    let mut notes = Vec::new();
    for line in lines {
        let at = line.settings();
        if let Some(error) = &line.error {
            notes.push(format!("No model at {at}: {error}."));
        }
        notes.extend(line.unmet.iter().map(|unmet| format!("At {at} {unmet}.")));
    }
    notes.extend(least(lines.iter().flat_map(|line| line.uncounted.clone()).collect()));
    notes
}

fn csv(lines: &[Line]) -> String {
    let mut out = String::from(
        "set,params,macs,flops,weight_bytes,peak_activation_bytes,cache_bytes,estimated_seconds",
    );
    let is_least = lines.iter().any(|line| !line.uncounted.is_empty());
    let is_counted = lines.iter().any(|line| line.left_out.is_some());
    out.push_str(if is_counted { ",counted" } else { "" });
    out.push_str(if is_least { ",uncounted\n" } else { "\n" });
    for line in lines.iter().filter(|line| line.error.is_none()) {
        let number = |value: Option<u128>| value.map_or(String::new(), |value| value.to_string());
        let cells = [
            format!("\"{}\"", line.settings().replace('"', "\"\"")),
            number(line.params),
            number(line.macs),
            number(line.flops),
            number(line.weight_bytes),
            number(line.peak_activation_bytes),
            number(line.cache_bytes),
            line.estimated_seconds.map_or(String::new(), |seconds| seconds.to_string()),
        ];
        let left_out = line.left_out.as_ref();
        let left_out = left_out.map_or(String::new(), |left_out| format!(",\"{left_out}\""));
        let uncounted = match is_least {
            true => format!(",\"{}\"", line.uncounted.join(", ")),
            false => String::new(),
        };
        out.push_str(&(cells.join(",") + &left_out + &uncounted + "\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        parse_over(text).expect("values").values
    }

    #[test]
    fn values_are_lists_and_ranges() {
        assert_eq!(values("N=1, 2,8"), ["1", "2", "8"]);
        assert_eq!(values("H,W=128:320:64"), ["128", "192", "256", "320"]);
        assert_eq!(values("n=2:4"), ["2", "3", "4"]);
        assert_eq!(values("depths=[1, 2],[3, 4]"), ["[1, 2]", "[3, 4]"]);
        assert_eq!(parse_over("H,W=1").expect("names").names, ["H", "W"]);
        for wrong in ["N", "=1", "N=", "N=4:1", "N=1:9:0", "N=1:99999"] {
            assert!(parse_over(wrong).is_err(), "{wrong}");
        }
    }
}
