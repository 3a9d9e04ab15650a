//! Equal lines as a loop.

use analysis::Place;
use syntax::{TextRange, ast};

use super::places::indent_at;
use crate::{Action, ActionKind, Edit, Snapshot, edits::edited, edits::keeps_costs};

/// Turns the run of equal steps around a step into `repeat n { … }`.
pub(super) fn repeat(
    snapshot: &Snapshot,
    step: ast::Step<'_>,
    selection: TextRange,
) -> Option<Action> {
    let body = step.syntax().parent()?;
    let steps: Vec<ast::Step<'_>> = body.children().filter_map(ast::Step::cast).collect();
    let at = steps.iter().position(|other| *other == step)?;
    let (first, period, count) = longest_run(&steps, at, selection)?;
    if steps[first..first + period].iter().any(|step| step.labels().next().is_some()) {
        return None;
    }
    let last = steps[first + period * count - 1];
    let once = TextRange::new(
        steps[first].syntax().range().start(),
        steps[first + period - 1].syntax().range().end(),
    );
    let whole = TextRange::new(once.start(), last.syntax().range().end());
    let indent = indent_at(snapshot.text(), once.start());
    let lines: Vec<String> = snapshot.text()[std::ops::Range::<usize>::from(once)]
        .lines()
        .map(|line| format!("    {indent}{}", line.strip_prefix(indent).unwrap_or(line)))
        .collect();
    let text = format!("repeat {count} {{\n{}\n{indent}}}", lines.join("\n"));
    let edits = vec![Edit { place: Place { file: snapshot.file(), range: whole }, text }];
    let after = edited(snapshot, &edits);
    if !keeps_costs(snapshot, &after) {
        return None;
    }
    let title = format!("Turn {} equal lines into `repeat {count}`", period * count);
    Some(Action::new(title, ActionKind::Rewrite, edits))
}

/// Where the longest run of equal steps around `at` begins, how many steps are one turn, and how
/// many turns there are. A turn has at most eight steps.
fn longest_run(
    steps: &[ast::Step<'_>],
    at: usize,
    selection: TextRange,
) -> Option<(usize, usize, usize)> {
    let text = |index: usize| steps.get(index).map(|step| step.syntax().text());
    let mut best: Option<(usize, usize, usize)> = None;
    for period in 1..=8 {
        for first in at.saturating_sub(period * 64)..=at {
            let equal = (first + period..steps.len())
                .take_while(|index| text(*index) == text(*index - period))
                .count();
            let count = equal / period + 1;
            let covers = first + period * count > at;
            let is_longer = best.is_none_or(|(_, p, c)| period * count > p * c);
            let holds_selection = steps[first].syntax().range().start() <= selection.start();
            if count >= 2 && covers && is_longer && holds_selection {
                best = Some((first, period, count));
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::super::tests::after;

    #[test]
    fn equal_lines_become_a_loop() {
        assert_eq!(
            after(
                "model M {\n    input x: f32[N = 1, 8]\n    Linear(8)\n    $0ReLU\n    Linear(8)\n    ReLU\n    Linear(8)\n    ReLU\n}",
                "Turn 6 equal lines into `repeat 3`"
            ),
            "model M {\n    input x: f32[N = 1, 8]\n    repeat 3 {\n        Linear(8)\n        ReLU\n    }\n}"
        );
        assert!(
            after("model M { input x: f32[N = 1, 8]; $0ReLU; Tanh }", "Turn")
                .starts_with("offered")
        );
    }
}
