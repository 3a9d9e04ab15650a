//! Where an action applies.

use syntax::{TextSize, ast};

use crate::Snapshot;

/// The innermost step around an offset.
pub(super) fn step_at(snapshot: &Snapshot, offset: TextSize) -> Option<ast::Step<'_>> {
    let tree = snapshot.parse().tree();
    let token = tree.token_at(offset)?;
    let token = match token.kind().is_trivia() {
        true => token.previous().filter(|before| before.range().end() == offset)?,
        false => token,
    };
    tree.innermost(token).ancestors().find_map(ast::Step::cast)
}

/// White space before the first token of the line on which an offset stands.
pub(super) fn indent_at(text: &str, offset: TextSize) -> &str {
    let before = &text[..usize::from(offset)];
    let line = &text[before.rfind('\n').map_or(0, |at| at + 1)..];
    &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
}
