//! How far a half-typed line reaches: every line of every conformance file is cut after each of
//! its tokens, and no other line should lose its tree.

#![allow(clippy::print_stdout)] // The figure is for docs/benchmarks.md.

use std::{collections::BTreeMap, ops::Range, path::Path};

use syntax::{Kind, Parse, parse};

/// The nodes that lie within one line, by kind and columns.
type LineTree = Vec<(Kind, Range<usize>)>;

fn line_trees(parse: &Parse) -> BTreeMap<usize, LineTree> {
    let text = parse.text();
    let starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let line_of = |offset: usize| starts.partition_point(|start| *start <= offset) - 1;
    let mut trees = BTreeMap::<usize, LineTree>::new();
    for node in parse.tree().nodes().filter(|node| node.kind() != Kind::Error) {
        let range = Range::<usize>::from(node.range());
        let line = line_of(range.start);
        if !range.is_empty() && line == line_of(range.end - 1) {
            let columns = range.start - starts[line]..range.end - starts[line];
            trees.entry(line).or_default().push((node.kind(), columns));
        }
    }
    trees
}

/// The ends of the significant tokens of a line but the last: where it is cut.
fn cuts(parse: &Parse, line: Range<usize>) -> Vec<usize> {
    let mut ends: Vec<usize> = parse
        .tree()
        .tokens()
        .filter(|token| !token.kind().is_trivia())
        .map(|token| Range::<usize>::from(token.range()))
        .filter(|range| range.start >= line.start && range.end <= line.end)
        .map(|range| range.end)
        .collect();
    ends.pop();
    ends
}

#[test]
fn a_half_typed_line_costs_that_line_only() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/conformance");
    let (mut all, mut lost, mut messages) = (0, 0, BTreeMap::<usize, usize>::new());
    let mut worst = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the conformance files") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let whole = parse(&text);
        assert_eq!(whole.errors(), [], "{}", path.display());
        let expected = line_trees(&whole);

        let mut start = 0;
        for (number, line) in text.split_inclusive('\n').enumerate() {
            let content = start..start + line.trim_end().len();
            for cut in cuts(&whole, content.clone()) {
                let cut_text =
                    [&text[..cut], &text[start + line.trim_end_matches('\n').len()..]].concat();
                let parsed = parse(&cut_text);
                let found = line_trees(&parsed);
                all += 1;
                *messages.entry(parsed.errors().len()).or_default() += 1;
                let others = expected.iter().filter(|(line, _)| **line != number);
                let broken = others.filter(|(line, tree)| found.get(line) != Some(tree)).count();
                if broken > 0 {
                    lost += 1;
                    worst.push((
                        broken,
                        format!("{}:{}: {}", path.display(), number + 1, &text[start..cut]),
                    ));
                }
            }
            start += line.len();
        }
    }
    worst.sort();
    for (broken, place) in &worst {
        println!("{broken:4} lines lost: {place}");
    }
    let share = 100.0 * f64::from(lost) / f64::from(all);
    println!("{lost} of {all} cuts cost another line its tree: {share:.2} %");
    println!("messages per cut: {messages:?}");
    assert!(share < 0.5, "{share:.2} % of the cuts cost another line its tree");
}
