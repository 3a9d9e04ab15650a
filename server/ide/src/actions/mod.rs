//! What an editor offers to do at a place.

mod benchmark;
mod extract;
mod places;
mod repeat;
mod separable;

use analysis::{Place, Severity, What};
use syntax::{Kind, SyntaxNode, TextRange, TextSize, ast};

use crate::{Action, ActionKind, Edit, Snapshot, dims, lines::step_lines};

use self::places::{indent_at, step_at};

/// What can be done at a selection.
pub fn actions(snapshot: &Snapshot, selection: TextRange) -> Vec<Action> {
    let mut actions = fixes(snapshot, selection);
    if snapshot.is_config() {
        actions.extend(benchmark::benchmarks(snapshot, selection.start()));
        return actions;
    }
    if let Some(step) = step_at(snapshot, selection.start()) {
        actions.extend(pin_shape(snapshot, step));
        actions.extend(name_step(snapshot, step));
        actions.extend(separable::separable(snapshot, step));
        actions.extend(extract::inline(snapshot, step));
        actions.extend(repeat::repeat(snapshot, step, selection));
    }
    actions.extend(extract::extract(snapshot, selection));
    actions.extend(shown_sizes(snapshot, selection.start()));
    actions.extend(benchmark::benchmarks(snapshot, selection.start()));
    actions
}

/// The ways out that diagnostics know.
fn fixes(snapshot: &Snapshot, selection: TextRange) -> Vec<Action> {
    let here = snapshot.analysis().diagnostics.iter().filter(|found| {
        found.place.file == snapshot.shown_file()
            && found.place.range.intersect(selection).is_some()
    });
    let mut actions = Vec::new();
    for found in here {
        for (index, fix) in found.fixes.iter().enumerate() {
            let edits =
                fix.edits.iter().map(|(place, text)| Edit { place: *place, text: text.clone() });
            let is_preferred = index == 0 && found.severity == Severity::Error;
            actions.push(Action {
                is_preferred,
                ..Action::new(&fix.title, ActionKind::QuickFix, edits.collect())
            });
        }
    }
    actions
}

/// The item that a node stands in.
fn item_around(node: SyntaxNode<'_>) -> Option<ast::Item<'_>> {
    node.ancestors().find_map(ast::Item::cast)
}

/// A pattern of the step's output behind it, so that a change of its shape is an error there.
fn pin_shape(snapshot: &Snapshot, step: ast::Step<'_>) -> Option<Action> {
    let item = item_around(step.syntax())?;
    if !item.is_model() {
        // A block's output may be another one at each use.
        return None;
    }
    let range = step.syntax().range();
    let line =
        step_lines(snapshot, range).into_iter().rev().find(|line| line.end <= range.end())?;
    let output = line.last();
    if output.outputs.len() != 1 || matches!(output.what, What::Declared(_)) {
        return None;
    }
    let shape = dims(&line.model.output_dims(output, 0));
    let indent = indent_at(snapshot.text(), range.start());
    let place = Place { file: snapshot.file(), range: TextRange::empty(range.end()) };
    let edit = Edit { place, text: format!("\n{indent}{shape}") };
    Some(Action::new(
        format!("Pin the output shape here: {shape}"),
        ActionKind::Rewrite,
        vec![edit],
    ))
    .filter(|_| step.stages().last().is_none_or(|stage| stage.syntax().kind() != Kind::Pattern))
}

/// A label for a step that has none.
fn name_step(snapshot: &Snapshot, step: ast::Step<'_>) -> Option<Action> {
    if step.labels().next().is_some() {
        return None;
    }
    let line = step_lines(snapshot, step.syntax().range()).into_iter().next()?;
    let kind = line.last().kind();
    if kind.is_empty() {
        return None;
    }
    let known = crate::scope::names_in_scope(
        snapshot,
        TextSize::of(snapshot.text()).min(step.syntax().range().end()),
    );
    let body = step.syntax().parent()?;
    let labels: Vec<&str> = body
        .children()
        .filter_map(ast::Step::cast)
        .flat_map(|step| step.labels().map(|label| label.text()).collect::<Vec<_>>())
        .collect();
    let is_free =
        |name: &str| !labels.contains(&name) && known.iter().all(|known| known.name != name);
    let base = snake_case(kind);
    let numbered =
        (1..).map(|number| if number == 1 { base.clone() } else { format!("{base}{number}") });
    let name = numbered.take(1000).find(|name| is_free(name))?;
    let start = TextRange::empty(step.syntax().range().start());
    let edit =
        Edit { place: Place { file: snapshot.file(), range: start }, text: format!("{name}: ") };
    let has_parameters = line.once().params > 0;
    let title = match has_parameters {
        true => format!("Name this step `{name}`, which its path in a checkpoint follows"),
        false => format!("Name this step `{name}`"),
    };
    Some(Action::new(title, ActionKind::Rewrite, vec![edit]))
}

/// `BatchNorm2d` as `batch_norm2d`, `ReLU` as `relu`.
fn snake_case(name: &str) -> String {
    let mut out = String::new();
    let letters: Vec<char> = name.chars().collect();
    for (at, letter) in letters.iter().enumerate() {
        let begins_word = letter.is_ascii_uppercase()
            && letters.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if begins_word && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// Other sizes for `N = 1`.
fn shown_sizes(snapshot: &Snapshot, offset: TextSize) -> Vec<Action> {
    let tree = snapshot.parse().tree();
    let dims = tree.nodes().filter(|node| node.kind() == Kind::DimDefault);
    let Some(dim) = dims.into_iter().find(|dim| dim.range().contains_inclusive(offset)) else {
        return Vec::new();
    };
    let Some((name, value)) = dim.token(Kind::Name).zip(dim.children().next()) else {
        return Vec::new();
    };
    let sizes: &[u64] = match value.text().parse::<u64>() {
        Ok(size) if size < 64 => &[1, 8, 32, 128],
        Ok(_) => &[64, 128, 224, 512, 2048],
        Err(_) => return Vec::new(),
    };
    let others = sizes.iter().filter(|size| size.to_string() != value.text());
    others
        .map(|size| {
            let place = Place { file: snapshot.file(), range: value.range() };
            let edit = Edit { place, text: size.to_string() };
            let title = format!("Set the shown size of {} to {size}", name.text());
            Action::new(title, ActionKind::Rewrite, vec![edit])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{edits::edited_text, fixture::cursor};

    /// The text after the action whose title begins so, of a selection between two `$0`.
    pub(super) fn after(source: &str, title: &str) -> String {
        let second = source.rfind("$0").filter(|second| source.find("$0") != Some(*second));
        let (source, length) = match second {
            Some(second) => {
                let first = source.find("$0").unwrap_or(0);
                (source[..second].to_owned() + &source[second + 2..], second - first - 2)
            }
            None => (source.to_owned(), 0),
        };
        let (snapshot, offset) = cursor(&source);
        let length = TextSize::new(length as u32);
        let found = actions(&snapshot, TextRange::at(offset, length));
        let Some(action) = found.iter().find(|action| action.title.starts_with(title)) else {
            let titles: Vec<&str> = found.iter().map(|action| action.title.as_str()).collect();
            return format!("offered: {}", titles.join("; "));
        };
        edited_text(&snapshot, snapshot.file(), &action.edits).unwrap_or_default()
    }

    #[test]
    fn small_actions() {
        for (source, title, expected) in [
            (
                "model M { input x: f32[N = 1, 8]; $0Liner(3) }",
                "Write `Linear`",
                "model M { input x: f32[N = 1, 8]; Linear(3) }",
            ),
            (
                "model M {\n    input x: f32[N = 1, 8]\n    $0Linear(3)\n}",
                "Pin the output shape",
                "model M {\n    input x: f32[N = 1, 8]\n    Linear(3)\n    [N, 3]\n}",
            ),
            (
                "model M { input x: f32[N = 1, 8]; Linear(3); $0BatchNorm1d }",
                "Name this step `batch_norm1d`",
                "model M { input x: f32[N = 1, 8]; Linear(3); batch_norm1d: BatchNorm1d }",
            ),
            (
                "model M { input x: f32[N = 1, 8]; linear: ReLU; $0Linear(3) }",
                "Name this step `linear2`",
                "model M { input x: f32[N = 1, 8]; linear: ReLU; linear2: Linear(3) }",
            ),
            (
                "model M { input x: f32[$0N = 1, 8]; ReLU }",
                "Set the shown size of N to 8",
                "model M { input x: f32[N = 8, 8]; ReLU }",
            ),
        ] {
            assert_eq!(after(source, title), expected, "{source}");
        }
    }
}
