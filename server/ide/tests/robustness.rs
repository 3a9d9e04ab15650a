//! Real models with pieces cut out, doubled and swapped: every feature answers, none panics.

use analysis::Workspace;
use ide::Snapshot;
use proptest::prelude::*;
use syntax::TextSize;

const MODELS: &[&str] = &[
    include_str!("../../../examples/resnet50.taper"),
    include_str!("../../../examples/mixtral_8x7b.taper"),
    include_str!("../../../examples/gpt2.taper"),
    include_str!("../../../examples/tour.taper"),
    include_str!("../../../tests/conformance/swin_t.taper"),
    include_str!("../../../tests/conformance/densenet121.taper"),
];

/// Ranges of tokens, without white space.
fn tokens(text: &str) -> Vec<std::ops::Range<usize>> {
    let parse = syntax::parse(text);
    let tokens = parse.tree().tokens().filter(|token| !token.kind().is_trivia());
    tokens.map(|token| token.range().into()).collect()
}

/// Replaces the token at `at` by the one at `from`, or by nothing.
fn mutate(text: &str, at: usize, from: Option<usize>) -> String {
    let tokens = tokens(text);
    let (Some(at), from) = (
        tokens.get(at % tokens.len().max(1)),
        from.and_then(|from| tokens.get(from % tokens.len().max(1))),
    ) else {
        return text.to_owned();
    };
    let replacement = from.map_or("", |from| &text[from.clone()]);
    [&text[..at.start], replacement, &text[at.end..]].concat()
}

fn snapshot(text: &str) -> Snapshot {
    let mut workspace = Workspace::default();
    let file = workspace.insert("m.taper", syntax::parse(text));
    Snapshot::new(workspace, file, Default::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_feature_answers(
        model in 0..MODELS.len(),
        edits in prop::collection::vec((0usize..5_000, prop::option::of(0usize..5_000)), 1..4),
        offset in 0u32..5_000,
    ) {
        let text = edits.iter().fold(MODELS[model].to_owned(), |text, (at, from)| mutate(&text, *at, *from));
        let snapshot = snapshot(&text);
        for hint in ide::hints(&snapshot, None) {
            prop_assert!(usize::from(hint.offset) <= text.len());
            prop_assert!(!hint.label.is_empty());
        }
        for found in &snapshot.analysis().diagnostics {
            prop_assert!(!found.message.is_empty());
            prop_assert!(usize::from(found.place.range.start()) <= text.len());
        }
        let offset = TextSize::new(offset % (text.len() as u32 + 1));
        if text.is_char_boundary(offset.into()) {
            ide::hover(&snapshot, offset);
            ide::completions(&snapshot, offset);
            ide::file_path(&snapshot, offset);
            ide::signature(&snapshot, offset);
            ide::definition(&snapshot, offset);
            ide::type_definition(&snapshot, offset);
            ide::references(&snapshot, offset, true);
            ide::highlights(&snapshot, offset);
            ide::linked_ranges(&snapshot, offset);
            let _ = ide::rename(&snapshot, offset, "renamed");
            for range in ide::selections(&snapshot, offset) {
                prop_assert!(range.contains_inclusive(offset));
            }
            let end = TextSize::of(&*text).min(offset + TextSize::new(60));
            for action in ide::actions(&snapshot, syntax::TextRange::new(offset, end)) {
                prop_assert!(!action.title.is_empty());
            }
            if let Some(item) = ide::hierarchy_item(&snapshot, offset) {
                ide::incoming(&snapshot, item);
                ide::outgoing(&snapshot, item);
            }
        }
        ide::document_symbols(&snapshot);
        ide::folds(&snapshot);
        ide::links(&snapshot);
        ide::lenses(&snapshot);
        let tokens = ide::tokens(&snapshot, None);
        for (one, next) in tokens.iter().zip(tokens.iter().skip(1)) {
            prop_assert!(one.range.end() <= next.range.start());
        }
        for model in &snapshot.analysis().models {
            model.peak_activation_bytes();
        }
    }
}
