//! `taper diff`: two models, layer by layer.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use analysis::{Analysis, Model, Options, Totals};
use clap::{Args, ValueEnum};
use comfy_table::{CellAlignment, Table, TableStyle, presets};
use ide::Units;
use layers::Unit;
use reports::Change;
use serde_json::json;

use crate::{
    commands::{
        CountArguments, ModelChoice, least, parse_setting, print_wrong_here, summary::parse_depth,
    },
    files::Opened,
    revision::Revision,
};

#[derive(Args)]
pub struct Arguments {
    /// A `.taper` file, a `config.json`, or an architecture as `library:resnet50`.
    before: PathBuf,
    /// What it is compared with; the same file unless given.
    after: Option<PathBuf>,
    /// The file is compared with what it was at this revision of its git repository.
    #[arg(long, value_name = "REVISION", conflicts_with = "after")]
    git: Option<String>,
    #[command(flatten)]
    choice: ModelChoice,
    /// The model of the second file.
    #[arg(long, value_name = "NAME")]
    to_model: Option<String>,
    /// A size or a parameter of the second model only.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_setting)]
    to_set: Vec<(String, String)>,
    #[command(flatten)]
    count: CountArguments,
    /// How many layers are listed, those that change the most; `all` for each.
    #[arg(long, default_value = "30", value_parser = parse_depth)]
    top: usize,
    /// How to print.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
    Markdown,
    /// Markdown for the comment of a pull request: totals, and the layers to be unfolded.
    Github,
}

/// One of the two models.
struct Side {
    opened: Opened,
    analysis: Analysis,
    choice: ModelChoice,
    /// What it is called.
    name: String,
}

impl Side {
    fn open(
        file: &Path,
        choice: ModelChoice,
        arguments: &Arguments,
        name: String,
    ) -> Result<Option<Side>, Box<dyn std::error::Error>> {
        let Some((opened, options)) = choice.open(file)? else { return Ok(None) };
        let options = Options { count: arguments.count.count, ..options };
        let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
        Ok(Some(Side { opened, analysis, choice, name }))
    }

    fn model(&self) -> Result<&Model, Box<dyn std::error::Error>> {
        self.choice.choose(&self.analysis)
    }
}

pub fn run(arguments: &Arguments) -> super::Result {
    let file = &arguments.before;
    let revision = match &arguments.git {
        Some(revision) => Some(Revision::of(file, revision)?),
        None => None,
    };
    let other = &arguments.after.as_ref().unwrap_or(file);
    let mut second = arguments.choice.clone();
    second.model = arguments.to_model.clone().or(second.model);
    second.set.retain(|(name, _)| arguments.to_set.iter().all(|(other, _)| other != name));
    second.set.extend(arguments.to_set.iter().cloned());
    let (path, name) = match (&revision, &arguments.git) {
        (Some(old), Some(revision)) => (old.file.as_path(), format!("{revision}:{}", old.path)),
        _ => (file.as_path(), file.display().to_string()),
    };
    let before = Side::open(path, arguments.choice.clone(), arguments, name)?;
    let after = Side::open(other, second, arguments, other.display().to_string())?;
    let (Some(before), Some(after)) = (before, after) else { return Ok(ExitCode::FAILURE) };
    // What was wrong then is past.
    let mut fails = false;
    let mut told = Vec::new();
    for side in [&before, &after].into_iter().skip(usize::from(revision.is_some())) {
        fails |= print_wrong_here(&side.opened.workspace, &side.analysis, &mut told);
    }
    let (old, new) = (before.model()?, after.model()?);
    let names = (described(&before, old, new), described(&after, new, old));
    let found = Found { old, new, changes: reports::changes(old, new), names };
    match arguments.format {
        Format::Human => anstream::print!("{}", found.human(arguments.top)),
        Format::Markdown => anstream::print!("{}", found.markdown(arguments.top, false)),
        Format::Github => anstream::print!("{}", found.markdown(arguments.top, true)),
        Format::Json => anstream::println!("{}", serde_json::to_string_pretty(&found.json())?),
    }
    Ok(if fails { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A model with its file, and the sizes and arguments that the other one has not.
fn described(side: &Side, model: &Model, other: &Model) -> String {
    let sizes = model.symbols.iter().filter(|symbol| {
        other.symbols.iter().all(|one| (&one.name, one.size) != (&symbol.name, symbol.size))
    });
    let arguments = model.arguments.iter().filter(|one| !other.arguments.contains(one));
    let sizes = sizes.map(|symbol| format!("{} = {}", symbol.name, symbol.size));
    let arguments = arguments.map(|(name, value)| format!("{name} = {value}"));
    let settings: Vec<String> = sizes.chain(arguments).chain(model.left_out()).collect();
    let at =
        if settings.is_empty() { String::new() } else { format!(" at {}", settings.join(", ")) };
    let source = side.opened.source.as_ref().map_or(String::new(), |source| format!(" ({source})"));
    format!("{} in {}{source}{at}", model.name, side.name)
}

/// Two models, and what differs.
struct Found<'m> {
    old: &'m Model,
    new: &'m Model,
    changes: Vec<Change>,
    names: (String, String),
}

const UNITS: Units = Units { decimal_bytes: false, digits: 3 };

/// A figure of both models: before and after.
struct Figure {
    name: &'static str,
    values: (u128, u128),
    /// What stands before each, where it is a least: their difference is then not known.
    bounds: (&'static str, &'static str),
    write: fn(u128) -> String,
}

impl Figure {
    fn row(&self) -> [String; 5] {
        let Figure { name, values: (old, new), bounds, write } = *self;
        let (change, percent) = match bounds {
            ("", "") => (difference(old, new, write), percent(old, new)),
            _ => ("unknown".to_owned(), String::new()),
        };
        let (old, new) = (bounds.0.to_owned() + &write(old), bounds.1.to_owned() + &write(new));
        [name.to_owned(), old, new, change, percent]
    }
}

impl Found<'_> {
    /// What work is told in: the unit of both.
    fn unit(&self) -> Unit {
        self.new.unit()
    }

    fn totals(&self) -> Vec<Figure> {
        let (old, new) = (self.old.totals(), self.new.totals());
        let figure = |name, values, write| {
            let bounds = (old.bound(), new.bound());
            Figure { name, values, bounds, write }
        };
        let mut figures = vec![figure("parameters", (old.params, new.params), count)];
        for (name, unit) in [("MACs", Unit::Macs), ("FLOPs", Unit::Flops)] {
            if self.new.gives(unit) {
                let work = figure(name, (old.work(unit), new.work(unit)), count);
                figures.push(Figure { bounds: (old.work_bound(), new.work_bound()), ..work });
            }
        }
        let both = |of: fn(&Model) -> u128| (of(self.old), of(self.new));
        figures.push(figure("weights", both(|model| model.weight_bytes().total()), bytes));
        figures.push(figure("peak activations", both(Model::peak_activation_bytes), bytes));
        if old.cache_bytes > 0 || new.cache_bytes > 0 {
            figures.push(figure("cache", (old.cache_bytes, new.cache_bytes), bytes));
        }
        figures
    }

    /// Whose work is not known, in either.
    fn unknown_work(&self) -> Option<String> {
        let of_both = [self.old.uncounted(), self.new.uncounted()].concat();
        least(of_both).map(|least| format!("\n{least}\n"))
    }

    /// The changes that are listed, in their order, and how many are left out.
    fn listed(&self, top: usize) -> (Vec<&Change>, usize) {
        let mut order: Vec<usize> = (0..self.changes.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(self.size(&self.changes[*index])));
        order.truncate(top);
        order.sort_unstable();
        let left_out = self.changes.len() - order.len();
        (order.into_iter().map(|index| &self.changes[index]).collect(), left_out)
    }

    /// How much a change changes: work first, then parameters.
    fn size(&self, change: &Change) -> (u128, u128) {
        let of = |figure: &dyn Fn(&Totals) -> u128| {
            let one =
                |leaf: &Option<reports::Leaf>| leaf.as_ref().map_or(0, |leaf| figure(&leaf.totals));
            one(&change.before).abs_diff(one(&change.after))
        };
        (of(&|totals| totals.work(self.unit())), of(&|totals| totals.params))
    }

    fn human(&self, top: usize) -> String {
        let bold = anstyle::Style::new().bold();
        let (on, off) = (bold.render(), bold.render_reset());
        let mut out = format!("{on}−{off} {}\n{on}+{off} {}\n\n", self.names.0, self.names.1);
        out.push_str(&format!("{}\n", self.totals_table(presets::NOTHING)));
        out.extend(self.unknown_work());
        if self.changes.is_empty() {
            return out + "\nNo layer differs.\n";
        }
        let (listed, left_out) = self.listed(top);
        out.push_str(&format!("\n{}\n", self.layers_table(&listed, presets::NOTHING)));
        if left_out > 0 {
            out.push_str(&format!("\n… and {left_out} that change less; --top all shows them.\n"));
        }
        out
    }

    fn markdown(&self, top: usize, is_comment: bool) -> String {
        let (listed, left_out) = self.listed(top);
        let (before, after) = &self.names;
        // A workflow finds its comment by this line.
        let mut out = match is_comment {
            true => format!("<!-- taper diff -->\n**Taper**: {before} → {after}\n\n"),
            false => format!("{before} → {after}\n\n"),
        };
        out.push_str(&format!("{}\n", self.totals_table(presets::ASCII_MARKDOWN)));
        out.extend(self.unknown_work());
        if listed.is_empty() {
            return out + "\nNo layer differs.\n";
        }
        let table = self.layers_table(&listed, presets::ASCII_MARKDOWN);
        let more = match left_out {
            0 => String::new(),
            left_out => format!("\n… and {left_out} that change less.\n"),
        };
        match is_comment {
            true => {
                let layers = if self.changes.len() == 1 { "layer" } else { "layers" };
                out.push_str(&format!(
                    "\n<details><summary>{} {layers} differ</summary>\n\n{table}\n{more}\n</details>\n",
                    self.changes.len()
                ));
            }
            false => out.push_str(&format!("\n{table}\n{more}")),
        }
        out
    }

    fn totals_table(&self, style: TableStyle) -> String {
        let mut table = Table::new();
        table.load_style(style);
        table.set_header(["", "before", "after", "change", ""]);
        for figure in self.totals() {
            table.add_row(figure.row());
        }
        right(&mut table, 1..5);
        table.trim_fmt()
    }

    fn layers_table(&self, listed: &[&Change], style: TableStyle) -> String {
        let mut table = Table::new();
        table.load_style(style);
        let work = format!("{}s", self.unit().name());
        let names = ["layer", "kind", "output", "params", "change", &work, "change", ""];
        table.set_header([&[""][..], &names].concat());
        for change in listed {
            let (old, new) = (change.before.as_ref(), change.after.as_ref());
            let sign = match (old, new) {
                (None, _) => "+",
                (_, None) => "−",
                _ => "~",
            };
            let text = |of: fn(&reports::Leaf) -> &str| match (old.map(of), new.map(of)) {
                (Some(old), Some(new)) if old != new => format!("{old} → {new}"),
                (old, new) => new.or(old).unwrap_or_default().to_owned(),
            };
            let figure = |of: &dyn Fn(&Totals) -> u128| {
                let one = |leaf: Option<&reports::Leaf>| leaf.map_or(0, |leaf| of(&leaf.totals));
                (one(old), one(new))
            };
            let is_known = [old, new].iter().flatten().all(|leaf| leaf.totals.is_complete());
            let params = figure(&|totals| totals.params);
            let work = figure(&|totals| totals.work(self.unit()));
            // Of what is gone its own figures are shown.
            let shown = |(old, new): (u128, u128)| if change.after.is_some() { new } else { old };
            let nonzero = |value: u128| if value == 0 { String::new() } else { count(value) };
            table.add_row([
                sign.to_owned(),
                change.path.clone(),
                text(|leaf| &leaf.kind),
                text(|leaf| &leaf.output),
                nonzero(shown(params)),
                difference(params.0, params.1, count),
                if is_known { nonzero(shown(work)) } else { "unknown".to_owned() },
                if is_known { difference(work.0, work.1, count) } else { String::new() },
                if is_known { percent(work.0, work.1) } else { String::new() },
            ]);
        }
        right(&mut table, 4..9);
        table.trim_fmt()
    }

    fn json(&self) -> serde_json::Value {
        let totals = |model: &Model, totals: &Totals| {
            json!({
                "params": totals.params.to_string(),
                "macs": model.gives(Unit::Macs).then(|| totals.macs.to_string()),
                "flops": model.gives(Unit::Flops).then(|| totals.flops.to_string()),
                "activation_bytes": totals.activation_bytes.to_string(),
                "cache_bytes": totals.cache_bytes.to_string(),
            })
        };
        let leaf = |model: &Model, leaf: &Option<reports::Leaf>| {
            leaf.as_ref().map(|leaf| {
                json!({
                    "kind": leaf.kind, "output": leaf.output, "totals": totals(model, &leaf.totals),
                })
            })
        };
        let model = |name: &str, model: &Model| {
            json!({
                "name": name, "totals": totals(model, model.totals()),
                "uncounted": model.uncounted(),
                "weight_bytes": model.weight_bytes().total().to_string(),
                "peak_activation_bytes": model.peak_activation_bytes().to_string(),
            })
        };
        let changes = self.changes.iter().map(|change| {
            json!({
                "path": change.path,
                "before": leaf(self.old, &change.before),
                "after": leaf(self.new, &change.after),
            })
        });
        json!({
            "before": model(&self.names.0, self.old),
            "after": model(&self.names.1, self.new),
            "layers": changes.collect::<Vec<_>>(),
        })
    }
}

fn count(value: u128) -> String {
    UNITS.count(value)
}

fn bytes(value: u128) -> String {
    UNITS.bytes(value)
}

fn difference(old: u128, new: u128, write: impl Fn(u128) -> String) -> String {
    match old.cmp(&new) {
        std::cmp::Ordering::Equal => String::new(),
        std::cmp::Ordering::Less => format!("+{}", write(new - old)),
        std::cmp::Ordering::Greater => format!("−{}", write(old - new)),
    }
}

fn percent(old: u128, new: u128) -> String {
    if old == new || old == 0 || new == 0 {
        return String::new();
    }
    let percent = 100.0 * (new as f64 / old as f64 - 1.0);
    format!("{}{:.1} %", if percent < 0.0 { "−" } else { "+" }, percent.abs())
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
