//! Sources for tests: files under `//- path` lines, `$0` where the cursor is.

use analysis::{Place, Workspace};
use syntax::{TextRange, TextSize};

use crate::Snapshot;

/// A snapshot of the last file, and the cursor in it.
pub(crate) fn cursor(source: &str) -> (Snapshot, TextSize) {
    let (before, after) = source.split_once("$0").expect("a cursor");
    let snapshot = snapshot(&[before, after].concat());
    let offset = before.rfind("//- ").map_or(0, |at| at + before[at..].find('\n').unwrap_or(0) + 1);
    (snapshot, TextSize::of(&before[offset..]))
}

/// A snapshot of the last file of a source.
pub(crate) fn snapshot(source: &str) -> Snapshot {
    let mut workspace = Workspace::default();
    let mut files: Vec<(&str, &str)> = source
        .split("//- ")
        .filter_map(|part| part.split_once('\n').filter(|(path, _)| path.ends_with(".taper")))
        .collect();
    if files.is_empty() {
        files.push(("m.taper", source));
    }
    let ids: Vec<_> =
        files.iter().map(|(path, text)| workspace.insert(path, syntax::parse(text))).collect();
    Snapshot::new(workspace, ids[ids.len() - 1], Default::default())
}

/// Places as `path:line:column text`.
pub(crate) fn places(snapshot: &Snapshot, places: impl IntoIterator<Item = Place>) -> Vec<String> {
    let shown = places.into_iter().map(|place| {
        let text = snapshot.workspace.parse(place.file).text();
        format!("{}:{}", snapshot.workspace.path(place.file), shown(text, place.range))
    });
    shown.collect()
}

/// A range as `line:column text`.
pub(crate) fn shown(text: &str, range: TextRange) -> String {
    let before = &text[..usize::from(range.start())];
    let line = before.matches('\n').count() + 1;
    let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1) + 1;
    format!("{line}:{column} {}", &text[std::ops::Range::<usize>::from(range)])
}
