//! Edits to files, and what is known after them.

use analysis::{FileId, Severity};

use crate::{Edit, Snapshot};

/// What is known once the edits are made. Edits do not overlap.
pub(crate) fn edited(snapshot: &Snapshot, edits: &[Edit]) -> Snapshot {
    let mut workspace = snapshot.workspace.clone();
    for file in snapshot.workspace.files() {
        if let Some(text) = edited_text(snapshot, file, edits) {
            let path = workspace.path(file).to_owned();
            workspace.insert(&path, syntax::parse(&text));
        }
    }
    Snapshot::new(workspace, snapshot.file(), snapshot.options.clone())
        .shown(snapshot.display.clone())
}

/// The text of a file once the edits are made; none if there are none in it.
pub(crate) fn edited_text(snapshot: &Snapshot, file: FileId, edits: &[Edit]) -> Option<String> {
    let mut here: Vec<&Edit> = edits.iter().filter(|edit| edit.place.file == file).collect();
    if here.is_empty() {
        return None;
    }
    here.sort_by_key(|edit| std::cmp::Reverse(edit.place.range.start()));
    let mut text = snapshot.workspace.parse(file).text().to_owned();
    for edit in here {
        text.replace_range(std::ops::Range::<usize>::from(edit.place.range), &edit.text);
    }
    Some(text)
}

/// The first error that the edits would bring.
pub(crate) fn new_error(before: &Snapshot, after: &Snapshot) -> Option<String> {
    let is_error = |severity| severity == Severity::Error;
    let errors = |snapshot: &Snapshot| {
        snapshot.analysis().diagnostics.iter().filter(|found| is_error(found.severity)).count()
    };
    if errors(after) <= errors(before) {
        return None;
    }
    let known: Vec<&str> =
        before.analysis().diagnostics.iter().map(|found| found.message.as_str()).collect();
    let mut found = after.analysis().diagnostics.iter().filter(|found| is_error(found.severity));
    let first = found.find(|found| !known.contains(&found.message.as_str()));
    Some(first.map_or("it would be an error", |found| &found.message).to_owned())
}

/// Whether the edits bring no error and leave every model's parameters and work as they were.
pub(crate) fn keeps_costs(before: &Snapshot, after: &Snapshot) -> bool {
    let costs = |snapshot: &Snapshot| -> Vec<(u128, u128, u128)> {
        let models = snapshot.analysis().models.iter().filter(|model| model.is_model);
        models
            .map(|model| model.totals())
            .map(|totals| (totals.params, totals.macs, totals.flops))
            .collect()
    };
    new_error(before, after).is_none() && costs(before) == costs(after)
}
