//! `taper why`: why two tools say two numbers, and which of them says a published one.

use std::{fmt::Write, process::ExitCode};

use analysis::{Analysis, Model, Options, Seen};
use clap::Args;
use layers::Unit;
use reports::{Differences, grouped};

use crate::{
    commands::{ModelArguments, least, parse_count},
    count::{self, Count},
    files::Opened,
    report,
};

#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Whose rules count the work: two to be compared, or one with Taper's own.
    #[arg(long, value_parser = parse_count(), num_args = 1)]
    count: Vec<Count>,
    /// A published figure, as `714.69M` or `714,691,904`: who says it, and at which sizes.
    #[arg(long, value_parser = parse_figure, conflicts_with = "count")]
    figure: Option<Figure>,
    /// Name each layer, not only the first of a kind.
    #[arg(long)]
    layers: bool,
}

/// A number as it is printed: what it is at least and at most.
#[derive(Clone, Debug, PartialEq)]
struct Figure {
    text: String,
    least: f64,
    most: f64,
    /// What is below this number begins with the same digits.
    cut: f64,
}

impl Figure {
    /// How a number is printed so, if it is.
    fn says(&self, value: u128) -> Option<&'static str> {
        let (value, middle) = (value as f64, (self.least + self.most) / 2.0);
        match value {
            _ if (self.least..=self.most).contains(&value) => Some(""),
            _ if (middle..self.cut).contains(&value) => Some(" (cut, not rounded)"),
            _ => None,
        }
    }
}

/// `714.69M`, `0.716 GMac`, `3,710,034,752`: each stands for all numbers that round to it.
fn parse_figure(text: &str) -> Result<Figure, String> {
    let wrong = || format!("`{text}` is no figure such as 714.69M or 714,691,904");
    let end = text.find(|c: char| !c.is_ascii_digit() && !",._".contains(c)).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let digits = digits.replace([',', '_'], "");
    let number: f64 = digits.parse().map_err(|_| wrong())?;
    let scale = match unit.trim().chars().next().map(|c| c.to_ascii_uppercase()) {
        None => 1.0,
        Some('K') => 1e3,
        Some('M') => 1e6,
        Some('G' | 'B') => 1e9,
        Some('T') => 1e12,
        Some(_) => return Err(wrong()),
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    // A number with all its digits is that number.
    let half = if scale == 1.0 { 0.0 } else { 0.5 * scale * 10f64.powi(-decimals) };
    let (least, most) = (number * scale - half, number * scale + half);
    Ok(Figure { text: text.to_owned(), least, most, cut: number * scale + 2.0 * half })
}

pub fn run(arguments: &Arguments) -> super::Result {
    let Some((opened, options)) = arguments.model.open()? else { return Ok(ExitCode::FAILURE) };
    match &arguments.figure {
        Some(figure) => say_who(arguments, &opened, &options, figure),
        None => compare(arguments, &opened, &options),
    }
}

fn compare(arguments: &Arguments, opened: &Opened, options: &Options) -> super::Result {
    let (left, right) = match arguments.count[..] {
        [one] => (one, None),
        [left, right] if count::name(left) == count::name(right) => {
            return Err(
                format!("`taper why` compares two, and both are {}", count::name(left)).into()
            );
        }
        [left, right] => (left, right),
        _ => return Err("`taper why` compares two: --count thop --count fvcore".into()),
    };
    let analyse = |count| {
        let options = Options { count, ..options.clone() };
        analysis::analyse(&opened.workspace, opened.file, &options)
    };
    let (one, other) = (analyse(left), analyse(right));
    report::print(&opened.workspace, &one.diagnostics);
    let models = (arguments.model.choose(&one)?, arguments.model.choose(&other)?);
    let found = Differences::of(models.0, models.1);
    let names = (count::name(left), count::name(right));
    anstream::print!("{}", shown(models, names, &found, arguments.layers));
    Ok(if one.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn shown(
    models: (&Model, &Model),
    names: (&str, &str),
    found: &Differences,
    each_layer: bool,
) -> String {
    let bold = anstyle::Style::new().bold();
    let unit = found.unit.name();
    let mut out = format!(
        "{}{}{} at {}\n\n",
        bold.render(),
        models.0.name,
        bold.render_reset(),
        models.0.sizes()
    );
    let width = grouped(found.left.max(found.right)).len().max(12) + 1;
    for (name, figure, model) in [(names.0, found.left, models.0), (names.1, found.right, models.1)]
    {
        let summary = model
            .counted
            .map_or("every floating-point operation", |counted| counted.convention.summary);
        // The tool's own unit may be the other one.
        let note = match (model.gives(found.unit), found.unit) {
            (false, Unit::Flops) => format!(" (2 × {} MACs)", grouped(figure / 2)),
            _ => String::new(),
        };
        let line = format!("{:>width$} {unit}  {name}{note}: {summary}", grouped(figure));
        out.push_str(&format!("{line}\n"));
    }
    let net = found.left as i128 - found.right as i128;
    let _ = writeln!(out, "{:>width$} {unit}  difference\n", signed(net));
    for part in &found.parts {
        let _ = writeln!(out, "{:>width$}  {}", signed(part.net()), part.described(names));
        let listed = if each_layer { part.layers.len() } else { 1 };
        for path in part.layers.iter().take(listed).filter(|path| !path.is_empty()) {
            let more = part.layers.len() - listed;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = writeln!(out, "{:>width$}    {path}{more}", "");
        }
    }
    let unknown = [models.0.uncounted(), models.1.uncounted()].concat();
    if let Some(least) = least(unknown) {
        let _ = writeln!(out, "\n{least}");
    }
    let skipped = |model: &Model| model.counted.and_then(|_| Seen::of(model).skipped());
    match (skipped(models.0), skipped(models.1)) {
        (Some(left), Some(right)) if left == right => {
            let _ = writeln!(out, "\nboth skip: {left}");
        }
        (left, right) => {
            for (name, skipped) in [(names.0, left), (names.1, right)] {
                if let Some(skipped) = skipped {
                    let _ = writeln!(out, "\n{name} skips: {skipped}");
                }
            }
        }
    }
    out
}

fn signed(number: i128) -> String {
    let sign = match number {
        0 => "",
        1.. => "+",
        _ => "−",
    };
    format!("{sign}{}", grouped(number.unsigned_abs()))
}

const BATCHES: [u64; 6] = [1, 2, 4, 8, 16, 32];
const IMAGES: [u64; 16] =
    [32, 64, 96, 128, 160, 192, 224, 240, 256, 299, 320, 384, 448, 512, 640, 1024];
const LENGTHS: [u64; 7] = [64, 128, 256, 384, 512, 1024, 2048];

/// A tool that says the figure, and where.
struct Match {
    count: Count,
    what: &'static str,
    value: u128,
    at: String,
    /// How many sizes are others than those shown.
    changes: usize,
}

fn say_who(
    arguments: &Arguments,
    opened: &Opened,
    options: &Options,
    figure: &Figure,
) -> super::Result {
    let own = analysis::analyse(&opened.workspace, opened.file, options);
    report::print(&opened.workspace, &own.diagnostics);
    let model = arguments.model.choose(&own)?;
    let mut matches: Vec<Match> = Vec::new();
    let settings = settings(model);
    let counts: Vec<Count> = count::all().filter_map(|(name, _)| count::find(name)).collect();
    for setting in &settings {
        for count in &counts {
            let set = options.set.iter().cloned().chain(setting.iter().cloned()).collect();
            let options = Options { set, count: *count, ..options.clone() };
            let analysis = analysis::analyse(&opened.workspace, opened.file, &options);
            // At some sizes a model cannot be.
            let Some(other) = same(&analysis, model) else { continue };
            let changes = model.symbols.iter().zip(&other.symbols);
            let changes = changes.filter(|(one, other)| one.size != other.size).count();
            for (what, value) in figures(other) {
                if let Some(note) = figure.says(value) {
                    let at = other.sizes() + note;
                    matches.push(Match { count: *count, what, value, at, changes });
                }
            }
        }
    }
    matches.sort_by_key(|one| one.changes);
    anstream::print!("{}", who(&matches, figure, model, settings.len()));
    least(model.uncounted()).iter().for_each(|least| anstream::println!("\n{least}"));
    Ok(if own.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn same<'a>(analysis: &'a Analysis, model: &Model) -> Option<&'a Model> {
    analysis.model(&model.name).filter(|_| !analysis.has_errors())
}

/// What a tool prints of a model, and what people make of it.
fn figures(model: &Model) -> Vec<(&'static str, u128)> {
    let totals = model.totals();
    let mut figures = Vec::new();
    if model.gives(Unit::Macs) {
        figures.push(("MACs", totals.macs));
    }
    match model.gives(Unit::Flops) {
        true => figures.push(("FLOPs", totals.flops)),
        false => figures.push(("FLOPs, 2 for each of its MACs", totals.flops)),
    }
    let parameters = if model.counted.is_some() { Seen::of(model).params } else { totals.params };
    figures.push(("parameters", parameters));
    figures
}

/// The sizes at which people run a model: batches, square images, lengths of sequences. Those shown come
/// first.
fn settings(model: &Model) -> Vec<Vec<(String, String)>> {
    let mut settings = vec![Vec::new()];
    let is_image = |name: &str| matches!(name, "H" | "W" | "height" | "width" | "image_size");
    let batch = model.symbols.first().map(|symbol| symbol.name.as_str());
    let mut vary = |names: Vec<&str>, sizes: &[u64]| {
        if names.is_empty() {
            return;
        }
        let with = |setting: &Vec<(String, String)>| -> Vec<Vec<(String, String)>> {
            let each = sizes.iter().map(|size| {
                let more = names.iter().map(|name| (name.to_string(), size.to_string()));
                setting.iter().cloned().chain(more).collect()
            });
            each.collect()
        };
        let more: Vec<_> = settings.iter().flat_map(with).collect();
        settings.extend(more);
    };
    let symbols = || model.symbols.iter().map(|symbol| symbol.name.as_str());
    let arguments = model.arguments.iter().map(|(name, _)| name.as_str());
    vary(symbols().chain(arguments).filter(|name| is_image(name)).collect(), &IMAGES);
    vary(symbols().skip(1).filter(|name| !is_image(name)).collect(), &LENGTHS);
    vary(batch.into_iter().filter(|name| !is_image(name)).collect(), &BATCHES);
    settings
}

fn who(matches: &[Match], figure: &Figure, model: &Model, tried: usize) -> String {
    let mut out = String::new();
    if matches.is_empty() {
        let _ = writeln!(
            out,
            "{}: nobody says this of {}; tried were {} conventions at {tried} sizes around {}",
            figure.text,
            model.name,
            count::all().count(),
            model.sizes()
        );
        return out;
    }
    // Of equal figures at several sizes the sizes that are nearest to those shown are enough.
    let mut said: Vec<(&Match, Vec<&str>)> = Vec::new();
    for one in matches {
        let name = count::name(one.count);
        let same = |other: &Match| (other.what, other.value) == (one.what, one.value);
        if said.iter().any(|(other, names)| same(other) && names.contains(&name)) {
            continue;
        }
        match said.iter_mut().find(|(other, _)| same(other) && other.at == one.at) {
            Some((_, names)) => names.push(name),
            None => said.push((one, vec![name])),
        }
    }
    for (one, names) in said {
        let (value, what, at) = (grouped(one.value), one.what, &one.at);
        let _ = writeln!(out, "{value} {what} at {at}: {}", names.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_for_what_rounds_to_them() {
        let range = |text: &str| parse_figure(text).map(|figure| (figure.least, figure.most));
        assert_eq!(range("714.69M"), Ok((714_685_000.0, 714_695_000.0)));
        assert_eq!(range("714,691,904"), Ok((714_691_904.0, 714_691_904.0)));
        assert_eq!(range("0.716 GMac"), Ok((715_500_000.0, 716_500_000.0)));
        assert_eq!(range("3.6G"), Ok((3_550_000_000.0, 3_650_000_000.0)));
        assert!(range("many").is_err());
        assert!(range("3.6 parsecs").is_err());
    }
}
