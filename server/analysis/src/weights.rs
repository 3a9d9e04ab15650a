//! A checkpoint against a model: what is missing, what is there and not wanted, what has another
//! shape or type.

use std::{ops::ControlFlow, sync::Arc};

use checkpoint::{Checkpoint, Tensor};
use rustc_hash::{FxHashMap, FxHashSet};
use syntax::ast;

use crate::{
    Code, Diagnostic, FileId, Model, Place, Severity, Stored, What, Workspace, join_path,
    workspace::unquote,
};

/// The most tensors that a message names.
const NAMED: usize = 3;

/// A file that holds a model's weights, or those of a part of it.
struct Stated<'t> {
    /// Where to say what is wrong.
    place: Place,
    /// Where `under` or `for` may be added.
    end: Option<Place>,
    path: String,
    /// What the file's names begin with.
    under: &'t str,
    /// The part of the model that the file holds.
    part: String,
}

/// Compares a model with the files that its `weights` lines name.
pub(crate) fn check_weights(workspace: &Workspace, model: &Model) -> Vec<Diagnostic> {
    let Some(item) = ast::Item::cast(workspace.node(model.item)) else { return Vec::new() };
    let lines = item.body().into_iter().flat_map(|body| body.lines());
    let stated = lines.filter_map(|line| match line {
        ast::Line::Weights(line) => stated(workspace, model.item.file, line),
        _ => None,
    });
    stated.flat_map(|stated| check(workspace, model, &stated)).collect()
}

/// Compares the model of a config with a file beside it.
pub(crate) fn check_weights_of_config(
    workspace: &Workspace,
    model: &Model,
    path: &str,
    place: Place,
) -> Vec<Diagnostic> {
    let stated = Stated { place, end: None, path: path.to_owned(), under: "", part: String::new() };
    check(workspace, model, &stated)
}

fn stated<'w>(
    workspace: &'w Workspace,
    file: FileId,
    line: ast::Weights<'w>,
) -> Option<Stated<'w>> {
    let token = line.file()?;
    let end = syntax::TextRange::empty(line.syntax().range().end());
    Some(Stated {
        place: Place { file, range: token.range() },
        end: Some(Place { file, range: end }),
        path: workspace.path_from(file, unquote(token.text())),
        under: line.under().map_or("", |token| unquote(token.text())),
        part: line.path().map_or_else(String::new, |path| path.text().to_owned()),
    })
}

fn check(workspace: &Workspace, model: &Model, stated: &Stated<'_>) -> Vec<Diagnostic> {
    let checkpoint = match workspace.weights(&stated.path) {
        None => return Vec::new(),
        Some(Err(message)) => {
            return vec![Diagnostic::new(Code::WeightsFile, stated.place, message)];
        }
        Some(Ok(checkpoint)) => checkpoint,
    };
    let mut diagnostics: Vec<Diagnostic> = checkpoint
        .problems
        .iter()
        .map(|problem| Diagnostic::new(Code::WeightsFile, stated.place, problem.to_string()))
        .take(NAMED)
        .collect();
    let wanted = Wanted::of(model, &stated.part);
    diagnostics.extend(compare(&wanted, checkpoint, stated));
    diagnostics
}

/// The tensors of a model, or of a part of it.
struct Wanted {
    /// With their names below the part.
    tensors: Vec<Stored>,
    /// Names of tensors that a file may have or not: parameters for which another one is given.
    optional: FxHashSet<String>,
}

impl Wanted {
    fn of(model: &Model, part: &str) -> Wanted {
        let below = |name: String| match part {
            "" => Some(name),
            part => Some(name.strip_prefix(part)?.strip_prefix('.')?.to_owned()),
        };
        let mut wanted = Wanted { tensors: Vec::new(), optional: FxHashSet::default() };
        for tensor in model.stored() {
            let Some(name) = below(tensor.name) else { continue };
            match tensor.is_optional {
                true => _ = wanted.optional.insert(name),
                false => wanted.tensors.push(Stored { name, ..tensor }),
            }
        }
        model.rows(|row| {
            if let What::Layer(layer) = &row.step.what {
                let given = layer.given.iter().map(|(name, _)| join_path(&row.path, name));
                wanted.optional.extend(given.filter_map(below));
            }
            ControlFlow::Continue(())
        });
        wanted
    }
}

fn compare(wanted: &Wanted, checkpoint: &Arc<Checkpoint>, stated: &Stated<'_>) -> Vec<Diagnostic> {
    let stored: FxHashMap<&str, &Tensor> = checkpoint
        .tensors
        .iter()
        .filter_map(|tensor| Some((tensor.name.strip_prefix(stated.under)?, tensor)))
        .collect();
    let (mut missing, mut without_buffers) = (Vec::new(), Vec::new());
    let (mut shapes, mut dtypes) = (Vec::new(), FxHashMap::<(String, String), usize>::default());
    for tensor in &wanted.tensors {
        let name = &tensor.name;
        match stored.get(name.as_str()) {
            None if tensor.is_buffer => without_buffers.push(name.as_str()),
            None => missing.push(name.as_str()),
            Some(found) if found.shape.as_slice() != tensor.shape => shapes.push(format!(
                "`{name}` is {:?} in the model and {:?} in the file",
                tensor.shape,
                found.shape.as_slice()
            )),
            Some(found) => {
                let (own, other) = (tensor.dtype.to_string(), found.dtype.name().to_lowercase());
                if own != other.replace('_', "") {
                    *dtypes.entry((own, other)).or_default() += 1;
                }
            }
        }
    }
    let names: FxHashSet<&str> = wanted.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut unexpected: Vec<&str> = stored
        .keys()
        .copied()
        .filter(|name| !names.contains(name) && !wanted.optional.contains(*name))
        .collect();
    unexpected.sort_unstable();
    if let Some(diagnostic) = prefixed(&missing, &unexpected, stated) {
        return vec![diagnostic];
    }
    let report = |code: Code, message: String| Diagnostic::new(code, stated.place, message);
    let mut diagnostics = Vec::new();
    if !missing.is_empty() {
        diagnostics.push(report(Code::MissingTensor, listed(&missing, "of the model", "the file")));
    }
    if let Some((first, more)) = shapes.split_first() {
        let more =
            if more.is_empty() { String::new() } else { format!("; {} more differ", more.len()) };
        diagnostics.push(report(Code::StoredShape, format!("{first}{more}")));
    }
    if !unexpected.is_empty() {
        diagnostics
            .push(report(Code::UnexpectedTensor, listed(&unexpected, "of the file", "the model")));
    }
    if !without_buffers.is_empty() {
        let message = listed(&without_buffers, "of the model's buffers", "the file");
        diagnostics.push(Diagnostic {
            severity: Severity::Warning,
            ..report(Code::MissingTensor, message)
        });
    }
    let mut dtypes: Vec<_> = dtypes.into_iter().collect();
    dtypes.sort();
    diagnostics.extend(dtypes.into_iter().map(|((own, other), count)| {
        let tensors = if count == 1 { "tensor is" } else { "tensors are" };
        report(
            Code::StoredDtype,
            format!("{count} {tensors} {own} in the model and {other} in the file"),
        )
    }));
    diagnostics
}

/// `3 tensors of the model are not in the file: a, b, c`
fn listed(names: &[&str], whose: &str, place: &str) -> String {
    let shown: Vec<String> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = match names.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (tensors, are) = if names.len() == 1 { ("tensor", "is") } else { ("tensors", "are") };
    format!("{} {tensors} {whose} {are} not in {place}: {}{more}", names.len(), shown.join(", "))
}

/// One prefix that explains all that is missing or all that is too much.
fn prefixed(missing: &[&str], unexpected: &[&str], stated: &Stated<'_>) -> Option<Diagnostic> {
    let (first, other) = (missing.first()?, unexpected.first()?);
    let has: FxHashSet<&str> = unexpected.iter().copied().collect();
    let lacks: FxHashSet<&str> = missing.iter().copied().collect();
    // The file's names are longer: `model.fc.weight` for `fc.weight`.
    let longer = unexpected
        .iter()
        .find_map(|name| name.strip_suffix(first).filter(|rest| rest.ends_with('.')));
    let explains =
        |prefix: &str| missing.iter().all(|name| has.contains(format!("{prefix}{name}").as_str()));
    if let Some(prefix) = longer.filter(|prefix| explains(prefix)) {
        let whole = format!("{}{prefix}", stated.under);
        let message = format!("the file's names begin with `{whole}`");
        let diagnostic = Diagnostic::new(Code::MissingTensor, stated.place, message);
        return Some(match (stated.end, stated.under) {
            (Some(end), "") => diagnostic.fix(
                format!("Add `under \"{whole}\"`"),
                end,
                format!(" under \"{whole}\""),
            ),
            _ => diagnostic,
        });
    }
    // The model's names are longer: the file holds a part of it.
    let part = missing.iter().find_map(|name| name.strip_suffix(other)?.strip_suffix('.'));
    let explains = |part: &str| {
        unexpected.iter().all(|name| lacks.contains(format!("{part}.{name}").as_str()))
    };
    let part = part.filter(|part| explains(part))?;
    let whole = join_path(&stated.part, part);
    let message = format!("the file holds `{whole}`, a part of the model");
    let diagnostic = Diagnostic::new(Code::MissingTensor, stated.place, message);
    Some(match (stated.end, stated.part.as_str()) {
        (Some(end), "") => {
            diagnostic.fix(format!("Add `for {whole}`"), end, format!(" for {whole}"))
        }
        _ => diagnostic,
    })
}
