//! What holds for every text, right or wrong.

use std::{collections::HashSet, ops::ControlFlow};

use analysis::{Analysis, Code, Diagnostic, Options, Severity, Workspace};

pub fn analyse(text: &str, options: &Options) -> (Workspace, Analysis) {
    let mut workspace = Workspace::default();
    let file = workspace.insert("program.taper", syntax::parse(text));
    let analysis = analysis::analyse(&workspace, file, options);
    (workspace, analysis)
}

/// Everything that is said of a text, without numbers that differ from run to run.
pub fn report(analysis: &Analysis) -> Vec<String> {
    let mut report: Vec<String> = analysis.diagnostics.iter().map(told).collect();
    for model in &analysis.models {
        let symbols =
            model.symbols.iter().map(|symbol| format!("{} = {}", symbol.name, symbol.size));
        let symbols: Vec<String> = symbols.collect();
        report.push(format!("{} {:?} {symbols:?}", model.name, model.totals()));
        report.push(format!("peak {}", model.peak_activation_bytes()));
        model.rows(|row| {
            let outputs: Vec<String> = row
                .step
                .outputs
                .iter()
                .enumerate()
                .map(|(index, output)| {
                    format!("{} {:?}", output.ty, model.output_dims(row.step, index))
                })
                .collect();
            let tensors: Vec<String> = row
                .tensors()
                .iter()
                .map(|(name, tensor)| format!("{name}{}", tensor.shape))
                .collect();
            report.push(format!(
                "{} {} {} {outputs:?} {tensors:?} {:?}",
                row.path,
                row.call,
                row.step.kind(),
                row.totals
            ));
            ControlFlow::Continue(())
        });
    }
    report
}

/// A message with its place, fixes and second places.
pub fn told(found: &Diagnostic) -> String {
    format!(
        "{} {:?} {} {:?} {:?}",
        found.code, found.place, found.message, found.related, found.fixes
    )
}

pub fn has_errors(analysis: &Analysis) -> bool {
    analysis.diagnostics.iter().any(|found| found.severity == Severity::Error)
}

/// Why a text shows a defect, if it does.
pub fn defect(text: &str) -> Option<String> {
    let (workspace, analysis) = analyse(text, &Options::default());
    if let Some(panicked) = analysis.diagnostics.iter().find(|found| found.code == Code::Defect) {
        return Some(panicked.message.clone());
    }
    let first = memo(text, &analysis)
        .or_else(|| places(text, &analysis))
        .or_else(|| layout(text, &analysis));
    if first.is_some() || has_errors(&analysis) {
        return first;
    }
    sums(&analysis).or_else(|| export(&workspace, &analysis))
}

/// What writing each use of a block out anew changes.
pub fn memo_defect(text: &str) -> Option<String> {
    memo(text, &analyse(text, &Options::default()).1)
}

/// Writing each use of a block out anew changes nothing.
fn memo(text: &str, analysis: &Analysis) -> Option<String> {
    let without = Options { without_memo: true, ..Options::default() };
    let (_, anew) = analyse(text, &without);
    let is_large = |found: &Diagnostic| found.code == Code::TooLarge;
    if anew.diagnostics.iter().chain(&analysis.diagnostics).any(is_large) {
        return None;
    }
    let (with, without) = (report(analysis), report(&anew));
    let differs = |with: &str, without: &str| {
        // What two uses share has a number where it follows a symbol in one of them only.
        with != without
            && !with.split(' ').zip(without.split(' ')).all(|(with, without)| {
                with == without || (with.contains("Number(") && without.contains("Symbol("))
            })
    };
    let differing = with.iter().zip(&without).find(|(with, without)| differs(with, without));
    match differing {
        Some((with, without)) => Some(format!("with the memo:\n  {with}\nwithout:\n  {without}")),
        None if with.len() != without.len() => {
            Some(format!("with the memo {with:#?}\nwithout {without:#?}"))
        }
        None => None,
    }
}

/// Messages stand in the text, one of a code at a place, and fixes too.
fn places(text: &str, analysis: &Analysis) -> Option<String> {
    let mut seen = HashSet::new();
    for found in &analysis.diagnostics {
        let mut places = vec![found.place];
        places.extend(found.related.iter().map(|(place, _)| *place));
        places.extend(found.fixes.iter().flat_map(|fix| &fix.edits).map(|(place, _)| *place));
        let lies = |range: std::ops::Range<usize>| {
            range.end <= text.len() + 1
                && (text.get(range.clone()).is_some() || range.end > text.len())
        };
        if places.iter().any(|place| !lies(place.range.into())) {
            return Some(format!("outside of the text: {found:?}"));
        }
        if !seen.insert((found.place, found.code)) {
            return Some(format!("told twice: {found:?}"));
        }
    }
    None
}

/// Laying a text out does it once for all, and changes nothing that is said but places.
fn layout(text: &str, analysis: &Analysis) -> Option<String> {
    let laid = syntax::format::format(&syntax::parse(text))?;
    let again = syntax::format::format(&syntax::parse(&laid));
    if again.as_deref() != Some(&laid) {
        return Some(format!("laid out:\n{laid}\nagain:\n{again:?}"));
    }
    let (_, other) = analyse(&laid, &Options::default());
    let codes = |analysis: &Analysis| -> Vec<Code> {
        analysis.diagnostics.iter().map(|found| found.code).collect()
    };
    let figures = |analysis: &Analysis| -> Vec<String> {
        report(analysis).split_off(analysis.diagnostics.len())
    };
    (codes(analysis) != codes(&other) || figures(analysis) != figures(&other))
        .then(|| format!("another meaning once laid out:\n{laid}"))
}

/// Rows sum to the totals, and no two parameters have one path.
fn sums(analysis: &Analysis) -> Option<String> {
    for model in &analysis.models {
        let (mut params, mut macs, mut flops) = (0u128, 0u128, 0u128);
        let mut names = HashSet::new();
        let mut twice = None;
        model.rows(|row| {
            params += row.totals.params;
            macs += row.totals.macs;
            flops += row.totals.flops;
            for (name, _) in row.tensors() {
                if !names.insert(name.clone()) {
                    twice = Some(name);
                }
            }
            ControlFlow::Continue(())
        });
        let totals = model.totals();
        let is_stated = |found: &analysis::Step| matches!(&found.what, analysis::What::Part(part) if part.stated.is_some());
        let mut stated = model.part.stated.is_some();
        model.steps(|visited| {
            stated |= is_stated(visited.step);
            ControlFlow::Continue(())
        });
        if !stated && (params, macs, flops) != (totals.params, totals.macs, totals.flops) {
            return Some(format!("rows sum to {params}, {macs}, {flops}, not to {totals:?}"));
        }
        if let Some(name) = twice {
            return Some(format!("two parameters are `{name}`"));
        }
    }
    None
}

/// What checks is written in other languages, or refused.
fn export(workspace: &Workspace, analysis: &Analysis) -> Option<String> {
    let options = Options::default();
    for model in analysis.models.iter().filter(|model| model.is_model) {
        for written in [translate::export::pytorch, translate::export::candle] {
            let write = || written(workspace, analysis.file, &options, model);
            let Ok(written) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(write)) else {
                return Some("the exporter panics".to_owned());
            };
            match written {
                Ok(exported) if exported.text.is_empty() => {
                    return Some("an empty export".to_owned());
                }
                Err(error) if error.message.is_empty() => {
                    return Some("an empty refusal".to_owned());
                }
                _ => {}
            }
        }
    }
    None
}
