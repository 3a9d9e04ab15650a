//! The files that a text uses.

use std::collections::HashSet;

use analysis::Workspace;
use syntax::Parse;

/// Adds the files that are used and not yet there; those of the library are known.
pub fn load_used(workspace: &mut Workspace, mut read: impl FnMut(&str) -> Option<Parse>) {
    let mut unreadable = HashSet::new();
    loop {
        let mut missing = workspace.missing();
        missing.retain(|path| !unreadable.contains(path));
        if missing.is_empty() {
            return;
        }
        for path in missing {
            let of_library = || Some(syntax::parse(library::file(&path)?.text));
            match of_library().or_else(|| read(&path)) {
                Some(parse) => {
                    workspace.insert(&path, parse);
                }
                None => {
                    unreadable.insert(path);
                }
            }
        }
    }
}
