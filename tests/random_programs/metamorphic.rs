//! Changes of a text that change no figure: of every file here, and of programs that are grown.

use std::{fs, ops::Range, path::Path};

use analysis::{Analysis, Code, Options, Severity, Workspace};
use rayon::prelude::*;
use syntax::{Kind, ast};

use crate::{oracle, program};

/// A text with what it uses.
struct Source {
    name: String,
    text: String,
    /// Files that it may use, by their names.
    others: Vec<(String, String)>,
}

fn files() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folders = [
        "examples",
        "server/library/torchvision",
        "server/library/huggingface",
        "tests/conformance",
    ];
    let mut all = Vec::new();
    for folder in folders {
        let mut texts = Vec::new();
        for entry in fs::read_dir(root.join(folder)).expect(folder).flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == "taper") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                texts.push((name, fs::read_to_string(&path).expect("a file")));
            }
        }
        for (name, text) in &texts {
            let name = format!("{folder}/{name}");
            all.push(Source { name, text: text.clone(), others: texts.clone() });
        }
    }
    all
}

fn analyse(source: &Source, text: &str) -> (Workspace, Analysis) {
    let mut workspace = Workspace::default();
    for (name, text) in &source.others {
        workspace.insert(name, syntax::parse(text));
    }
    let file = workspace.insert("changed.taper", syntax::parse(text));
    let analysis = analysis::analyse(&workspace, file, &Options::default());
    (workspace, analysis)
}

/// What must stay: the messages without their places, and every row and figure. Names of numbered values are left
/// out where a change moves them.
fn figures(analysis: &Analysis, renames: Option<(&str, &str)>) -> Vec<String> {
    let renamed = |text: String| match renames {
        Some((from, to)) => text.replace(from, to),
        None => text,
    };
    let mut all: Vec<String> = analysis
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(|found| renamed(format!("{} {}", found.code, found.message)))
        .collect();
    all.sort();
    all.extend(
        oracle::report(analysis).split_off(analysis.diagnostics.len()).into_iter().map(renamed),
    );
    all
}

/// A place in a body, before one of its steps: the offset and the step's text range.
struct Line {
    range: Range<usize>,
    /// The labels, and the range of each.
    labels: Vec<(String, Range<usize>)>,
    is_in_model: bool,
    /// It flows on from the step before it.
    has_sources: bool,
}

fn steps(text: &str) -> Vec<Line> {
    let parse = syntax::parse(text);
    let nodes = parse.tree().nodes().filter_map(ast::Step::cast);
    let found = nodes.map(|step| {
        let labels =
            step.labels().map(|label| (label.text().to_owned(), label.syntax().range().into()));
        let around = std::iter::successors(step.syntax().parent(), |node| node.parent());
        Line {
            range: step.syntax().range().into(),
            labels: labels.collect(),
            is_in_model: around.into_iter().any(|node| node.kind() == Kind::Model),
            has_sources: step.sources().is_some(),
        }
    });
    found.collect()
}

/// Each change by its name, as a text made of a text and a number that chooses a place; `None` if there is no such
/// place.
type Change = fn(&str, usize) -> Option<String>;

const CHANGES: &[(&str, Change)] = &[
    ("a comment", |text, at| {
        let lines = steps(text);
        let line = lines.get(at % lines.len().max(1))?;
        Some(inserted(text, line.range.start, "# { not a step\n"))
    }),
    ("a blank line", |text, at| {
        let lines = steps(text);
        let line = lines.get(at % lines.len().max(1))?;
        Some(inserted(text, line.range.start, "\n\n"))
    }),
    ("a branch that is not taken", |text, at| {
        let lines = steps(text);
        let line = lines.get(at % lines.len().max(1))?;
        Some(inserted(text, line.range.start, "if false { Linear(3); Conv2d(5, 7); ReLU }; "))
    }),
    ("a use of a block in a branch that is not taken", |text, at| {
        let parse = syntax::parse(text);
        let block = parse
            .file()
            .items()
            .find(|item| !item.is_model() && item.parameters().next().is_none())?;
        let name = block.name()?.text();
        let lines: Vec<Line> = steps(text).into_iter().filter(|line| line.is_in_model).collect();
        let line = lines.get(at % lines.len().max(1))?;
        Some(inserted(text, line.range.start, &format!("if false {{ unused_label: {name} }}; ")))
    }),
    ("an unused block", |text, _| {
        Some(format!(
            "{text}\nblock UnusedBlock(width = 3) {{ input x: [N, C]; Linear(width); it + x }}\n"
        ))
    }),
    ("an unused `let`", |text, at| {
        let lines = steps(text);
        let line = lines.get(at % lines.len().max(1))?;
        Some(inserted(text, line.range.start, "let unused_scalar = 3 * 4; "))
    }),
];

fn inserted(text: &str, at: usize, what: &str) -> String {
    format!("{}{what}{}", &text[..at], &text[at..])
}

/// The first change that is seen in the figures.
fn seen(source: &Source, places: usize) -> Option<String> {
    let (_, analysis) = analyse(source, &source.text);
    let before = figures(&analysis, None);
    for (name, change) in CHANGES {
        for place in 0..places {
            let Some(changed) = change(&source.text, place * 7 + 3) else { continue };
            let (_, other) = analyse(source, &changed);
            if other.diagnostics.iter().any(|found| found.code == Code::TooLarge) {
                continue;
            }
            let after = figures(&other, None);
            if let Some((before, after)) =
                before.iter().zip(&after).find(|(before, after)| before != after)
            {
                return Some(format!("{}: {name}\n  {before}\n  {after}\n{changed}", source.name));
            }
            if before.len() != after.len() {
                return Some(format!(
                    "{}: {name}: {} and {} rows\n{changed}",
                    source.name,
                    before.len(),
                    after.len()
                ));
            }
        }
    }
    renamed(source, &before, places).or_else(|| repeated(source, &before))
}

/// A label of another name, wherever it is read.
fn renamed(source: &Source, before: &[String], places: usize) -> Option<String> {
    let lines = steps(&source.text);
    let labelled: Vec<&Line> = lines.iter().filter(|line| line.labels.len() == 1).collect();
    for place in 0..places.min(labelled.len()) {
        let (label, _) = &labelled[(place * 5) % labelled.len()].labels[0];
        let is_plain =
            label.len() > 3 && label.chars().all(|char| char.is_ascii_lowercase() || char == '_');
        // A name that stands for nothing else, and is part of no other word.
        let words = source.text.split(|char: char| !(char.is_alphanumeric() || char == '_'));
        let uses = words.filter(|word| word == label).count();
        if !is_plain
            || uses != source.text.matches(label.as_str()).count()
            || is_argument(&source.text, label)
        {
            continue;
        }
        let changed = source.text.replace(label.as_str(), "renamed_label");
        let (_, other) = analyse(source, &changed);
        let after = figures(&other, Some(("renamed_label", label)));
        if let Some((before, after)) =
            before.iter().zip(&after).find(|(before, after)| before != after)
        {
            return Some(format!(
                "{}: `{label}` renamed\n  {before}\n  {after}\n{changed}",
                source.name
            ));
        }
    }
    None
}

/// Whether a word is the name of an argument, a layer or a parameter somewhere.
fn is_argument(text: &str, word: &str) -> bool {
    let arguments = layers::all().flat_map(|entry| entry.params.iter().map(|param| param.name));
    let functions = layers::all().filter_map(|entry| entry.function);
    arguments.chain(functions).any(|name| name.contains(word))
        || text.contains(&format!("{word}="))
        || text.contains(&format!("{word} ="))
}

/// `repeat 1` around a step that flows on.
fn repeated(source: &Source, before: &[String]) -> Option<String> {
    for line in
        steps(&source.text).iter().filter(|line| line.labels.is_empty() && !line.has_sources)
    {
        let step = &source.text[line.range.clone()];
        // What a pattern binds ends with the braces.
        if step.contains('[') {
            continue;
        }
        let changed = format!(
            "{}repeat 1 {{ {step} }}{}",
            &source.text[..line.range.start],
            &source.text[line.range.end..]
        );
        let (_, other) = analyse(source, &changed);
        let after = figures(&other, None);
        if let Some((before, after)) =
            before.iter().zip(&after).find(|(before, after)| before != after)
        {
            return Some(format!("{}: `repeat 1`\n  {before}\n  {after}\n{changed}", source.name));
        }
    }
    None
}

#[track_caller]
fn check(sources: Vec<Source>, places: usize) {
    let seen: Vec<String> = sources.par_iter().filter_map(|source| seen(source, places)).collect();
    for one in seen.iter().take(3) {
        println!("{one}\n");
    }
    assert!(seen.is_empty(), "{} of {}", seen.len(), sources.len());
}

#[test]
fn changes_that_change_nothing_in_files() {
    check(files(), 4);
}

#[test]
fn changes_that_change_nothing_in_programs() {
    let programs = (0..2_000u64).map(|number| Source {
        name: format!("program {number}"),
        text: program(2 * number + 1),
        others: Vec::new(),
    });
    check(programs.collect(), 1);
}

/// A text with one token left out, doubled, or put where another one was.
fn mutated(text: &str, number: u64) -> String {
    let parse = syntax::parse(text);
    let tokens: Vec<Range<usize>> = parse
        .tree()
        .nodes()
        .filter(|node| {
            matches!(
                node.kind(),
                Kind::NameExpr | Kind::Literal | Kind::ItExpr | Kind::Step | Kind::Call
            )
        })
        .map(|node| node.range().into())
        .collect();
    let pick = |salt: u64| {
        tokens[(number.wrapping_mul(0x9e37_79b9).rotate_left(7) ^ salt) as usize % tokens.len()]
            .clone()
    };
    let (one, other) = (pick(number), pick(number / 3 + 17));
    let with = match number % 3 {
        0 => String::new(),
        1 => text[other].to_owned(),
        _ => format!("{0} {0}", &text[one.clone()]),
    };
    format!("{}{with}{}", &text[..one.start], &text[one.end..])
}

/// All that is said is said whether blocks are remembered from one use to the next or not.
#[test]
fn the_memo_changes_nothing() {
    let small = |source: &Source| {
        let (_, analysis) = analyse(source, &source.text);
        oracle::report(&analysis).len() < 500
    };
    let sources: Vec<Source> =
        files().into_par_iter().filter(|source| !source.text.contains("use \"")).collect();
    let found: Vec<String> = sources
        .par_iter()
        .filter_map(|source| {
            Some(format!("{}\n{}", source.name, oracle::memo_defect(&source.text)?))
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    let sources: Vec<&Source> = sources.par_iter().filter(|source| small(source)).collect();
    let found: Vec<String> = (0..10_000u64)
        .into_par_iter()
        .filter_map(|number| {
            let text = mutated(&sources[number as usize % sources.len()].text, number);
            oracle::memo_defect(&text).map(|defect| format!("{text}\n{defect}"))
        })
        .collect();
    assert!(found.is_empty(), "{} of 10,000:\n{}", found.len(), found[0]);
}
