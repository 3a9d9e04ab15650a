//! Growing a selection step by step.

use syntax::{SyntaxNode, TextRange, TextSize};

use crate::Snapshot;

/// The ranges around an offset, from the inside out, each larger than the one before.
pub fn selections(snapshot: &Snapshot, offset: TextSize) -> Vec<TextRange> {
    let tree = snapshot.parse().tree();
    let Some(token) = tree.token_at(offset) else { return Vec::new() };
    let token = match token.previous() {
        Some(before) if token.kind().is_trivia() && before.range().end() == offset => before,
        _ => token,
    };
    let word = (!token.kind().is_trivia()).then(|| token.range());
    let nodes = tree.innermost(token).ancestors().map(SyntaxNode::range);
    let whole = TextRange::up_to(TextSize::of(snapshot.text()));
    let mut ranges: Vec<TextRange> = Vec::new();
    for range in word.into_iter().chain(nodes).chain([whole]) {
        let grows = ranges.last().is_none_or(|last| range.contains_range(*last) && range != *last);
        if grows && range.contains_inclusive(offset) {
            ranges.push(range);
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cursor;

    #[test]
    fn from_a_number_to_the_file() {
        let (snapshot, offset) = cursor("block A { Linear($04, bias=false) -> ReLU }\n");
        let texts: Vec<&str> = selections(&snapshot, offset)
            .into_iter()
            .map(|range| &snapshot.text()[std::ops::Range::<usize>::from(range)])
            .collect();
        assert_eq!(
            texts,
            [
                "4",
                "(4, bias=false)",
                "Linear(4, bias=false)",
                "Linear(4, bias=false) -> ReLU",
                "{ Linear(4, bias=false) -> ReLU }",
                "block A { Linear(4, bias=false) -> ReLU }",
                "block A { Linear(4, bias=false) -> ReLU }\n",
            ]
        );
    }
}
