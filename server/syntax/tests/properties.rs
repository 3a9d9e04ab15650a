//! What holds for any text: parsing never fails, loses nothing, and the layout is stable.

use proptest::prelude::*;
use syntax::{Kind, format::format, parse};

/// Pieces of the language, so that random texts reach deep into the grammar.
const PIECES: &[&str] = &[
    "model", "block", "input", "param", "let", "repeat", "for", "in", "if", "else", "choose", "of",
    "stacked", "expect", "use", "weights", "dtype", "x", "conv1", "N", "ReLU", "Conv2d", "it",
    "none", "true", "1", "2.5", "5M", "\"a{i}\"", "\"s\"", "(", ")", "[", "]", "{", "}", ",", ":",
    ";", ".", "...", "->", "=", "==", "+", "-", "*", "**", "/", "//", "%", "@", "<", " ", "\n",
    "\n    ", "# c", "## d", "\u{e9}", "\0", "\t", "\r\n", "\"",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..60).prop_map(|pieces| pieces.join(" "))
}

/// The tokens that mean something.
fn meaning(text: &str) -> Vec<String> {
    let parse = parse(text);
    let tokens = parse.tree().tokens();
    let kept = |kind: Kind| !matches!(kind, Kind::Whitespace | Kind::Newline);
    tokens
        .filter(|token| kept(token.kind()))
        .map(|token| token.text().trim_end().to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_byte_is_in_the_tree(text in text()) {
        let parse = parse(&text);
        let tokens: String = parse.tree().tokens().map(|token| token.text()).collect();
        prop_assert_eq!(&tokens, &text);
        prop_assert_eq!(parse.tree().root().text(), &text);
    }

    #[test]
    fn nodes_lie_in_their_parents(text in text()) {
        let parse = parse(&text);
        for node in parse.tree().nodes() {
            if let Some(parent) = node.parent() {
                prop_assert!(parent.range().contains_range(node.range()), "{:?} in {:?}", node, parent);
                prop_assert!(parent.children().any(|child| child == node));
            }
        }
    }

    #[test]
    fn errors_lie_in_the_text(text in text()) {
        for error in parse(&text).errors() {
            prop_assert!(usize::from(error.range.end()) <= text.len());
            prop_assert!(text.is_empty() || !error.range.is_empty(), "{}", error.message);
            prop_assert!(text.is_char_boundary(error.range.start().into()));
            prop_assert!(text.is_char_boundary(error.range.end().into()));
        }
    }

    #[test]
    fn the_layout_is_stable_and_keeps_the_meaning(text in text()) {
        if let Some(once) = format(&parse(&text)) {
            prop_assert_eq!(meaning(&once), meaning(&text));
            let twice = format(&parse(&once));
            prop_assert_eq!(twice.as_deref(), Some(once.as_str()));
        }
    }
}
