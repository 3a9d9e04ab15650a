//! What an editor can fold.

use syntax::{Kind, SyntaxToken, TextRange};

use crate::Snapshot;

/// What a fold hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The names say it.
pub enum FoldKind {
    Braces,
    Comment,
    Uses,
}

/// A piece of text over several lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fold {
    /// From the end of the line that stays to the end of what is hidden.
    pub range: TextRange,
    /// What it is.
    pub kind: FoldKind,
}

/// Braces, brackets, comments and `use` lines over several lines.
pub fn folds(snapshot: &Snapshot) -> Vec<Fold> {
    let tree = snapshot.parse().tree();
    let text = snapshot.text();
    let is_long = |range: TextRange| text[std::ops::Range::<usize>::from(range)].contains('\n');
    let mut folds: Vec<Fold> = tree
        .nodes()
        .filter_map(|node| {
            let first = node.first_token()?;
            let opens = match node.kind() {
                // Of what is half-typed one bracket may be missing.
                Kind::Body | Kind::Parameters | Kind::Call | Kind::List
                    if first.kind().is_opening() =>
                {
                    first
                }
                _ => return None,
            };
            let last = node.last_token().filter(|last| last.kind().is_closing())?;
            let range = TextRange::new(opens.range().end(), last.range().start());
            Some(Fold { range, kind: FoldKind::Braces }).filter(|fold| is_long(fold.range))
        })
        .collect();
    folds.extend(comments(tree.tokens()));
    let uses: Vec<TextRange> = snapshot.parse().file().uses().map(|line| line.range()).collect();
    if let [first, .., last] = uses[..] {
        folds.push(Fold { range: TextRange::new(first.start(), last.end()), kind: FoldKind::Uses });
    }
    folds.sort_by_key(|fold| fold.range.start());
    folds
}

/// Runs of lines that are comments.
fn comments<'t>(tokens: impl Iterator<Item = SyntaxToken<'t>>) -> Vec<Fold> {
    let mut folds = Vec::new();
    let mut run: Option<(TextRange, usize)> = None;
    let mut newlines = 2;
    let mut end = |run: &mut Option<(TextRange, usize)>| {
        if let Some((range, _)) = run.take().filter(|(_, lines)| *lines > 1) {
            folds.push(Fold { range, kind: FoldKind::Comment });
        }
    };
    for token in tokens {
        match token.kind() {
            Kind::Whitespace => {}
            Kind::Newline => newlines += 1,
            Kind::Comment | Kind::DocComment if newlines > 0 => {
                run = match run {
                    Some((range, lines)) if newlines == 1 => {
                        Some((range.cover(token.range()), lines + 1))
                    }
                    mut before => {
                        end(&mut before);
                        Some((token.range(), 1))
                    }
                };
                newlines = 0;
            }
            _ => {
                end(&mut run);
                newlines = 0;
            }
        }
    }
    end(&mut run);
    folds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{shown, snapshot};

    #[test]
    fn braces_comments_and_uses() {
        let text = "use \"a.taper\"\nuse \"b.taper\"\n\n## One\n## two\nmodel M(\n n = 3,\n) {\n ReLU # alone\n # a\n # b\n if n > 1 {\n  ReLU\n }\n { Tanh }\n}\n";
        let snapshot = snapshot(text);
        let lines: Vec<String> = folds(&snapshot)
            .into_iter()
            .map(|fold| {
                format!(
                    "{:?} {}",
                    fold.kind,
                    shown(text, fold.range).split(' ').next().unwrap_or("")
                )
            })
            .collect();
        assert_eq!(
            lines,
            ["Uses 1:1", "Comment 4:1", "Braces 6:9", "Braces 8:4", "Comment 10:2", "Braces 12:12"]
        );
    }
}
