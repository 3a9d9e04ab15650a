//! Renaming what has a name, in every file that is known.

use analysis::{DefinitionKind, Place};
use syntax::{Kind, TextRange, TextSize};

use crate::{
    Edit, Snapshot,
    edits::{edited, new_error},
    names::{Named, name_at, occurrences},
};

/// What renaming a name would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// The places of the name.
    pub places: Vec<Place>,
    /// What it changes beside the text: a label is part of a checkpoint's paths.
    pub warning: Option<String>,
}

/// The name at an offset that can be renamed, or why it cannot.
pub fn prepare_rename(snapshot: &Snapshot, offset: TextSize) -> Result<TextRange, String> {
    let (named, range) = name_at(snapshot, offset).ok_or_else(|| refusal(snapshot, offset))?;
    let given = snapshot.workspace.node(named.node);
    let is_text = matches!(given.kind(), Kind::Literal | Kind::Interpolated);
    match is_text {
        true => Err("this label is a text; its path may be used by other texts".to_owned()),
        false => Ok(range),
    }
}

fn refusal(snapshot: &Snapshot, offset: TextSize) -> String {
    let word = crate::names::word_at(snapshot.parse().tree(), offset);
    match word.filter(|word| layers::find(word.text()).is_some()) {
        Some(word) => format!("`{}` is a layer of Taper", word.text()),
        None => "here is no name that this file gives".to_owned(),
    }
}

/// What renaming the name at an offset changes, or why it would change the model's meaning.
pub fn rename(snapshot: &Snapshot, offset: TextSize, new: &str) -> Result<Rename, String> {
    let range = prepare_rename(snapshot, offset)?;
    let Some((named, _)) = name_at(snapshot, offset) else { return Err(refusal(snapshot, offset)) };
    let is_name = {
        let parse = syntax::parse(new);
        let mut tokens = parse.tree().tokens();
        tokens.next().is_some_and(|token| token.kind() == Kind::Name) && tokens.next().is_none()
    };
    if !is_name {
        return Err(format!("`{new}` is no name: a letter, then letters, digits and `_`"));
    }
    let old = &snapshot.text()[std::ops::Range::<usize>::from(range)];
    let places: Vec<Place> =
        occurrences(snapshot, named).into_iter().map(|one| one.place).collect();
    keeps_meaning(snapshot, named, &places, new)?;
    let warning = match named.kind {
        DefinitionKind::Label => Some(format!(
            "`{old}` is part of the paths of a checkpoint: tensors below it are called `{new}.…` from now on"
        )),
        DefinitionKind::Parameter
            if snapshot
                .workspace
                .node(named.node)
                .ancestors()
                .any(|node| node.kind() == Kind::Model) =>
        {
            Some(format!("`{old}` is a key of a config: `{new}` is read from now on"))
        }
        _ => None,
    };
    Ok(Rename { places, warning })
}

/// Makes the edits and looks whether every place still means the same, and nothing else does.
fn keeps_meaning(
    snapshot: &Snapshot,
    named: Named,
    places: &[Place],
    new: &str,
) -> Result<(), String> {
    let edits: Vec<Edit> =
        places.iter().map(|place| Edit { place: *place, text: new.to_owned() }).collect();
    let renamed = edited(snapshot, &edits);
    if let Some(error) = new_error(snapshot, &renamed) {
        return Err(format!("with `{new}` {error}"));
    }
    // The trees have the same nodes, so the node that gives the name has its number still.
    if occurrences(&renamed, named).len() != places.len() {
        return Err(format!("`{new}` means something else in this body"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{cursor, places};

    fn renamed(source: &str, new: &str) -> Result<Vec<String>, String> {
        let (snapshot, offset) = cursor(source);
        rename(&snapshot, offset, new).map(|rename| places(&snapshot, rename.places))
    }

    #[test]
    fn names_of_every_kind() {
        for (source, count) in [
            ("block $0A { ReLU }\nmodel M { input x: f32[N = 1, 8]; A; A }", 3),
            ("model M($0n = 3) { input x: f32[N = 1, 8]; Linear(n) }", 2),
            ("model M { input x: f32[N = 1, 8]; let n = 3; Linear($0n) }", 2),
            ("model M { input x: f32[$0N = 1, 8]; [N, 8]; Reshape(N, 8) }", 3),
            ("block B { input x: [N, $0C]; Linear(C) }\nmodel M { input x: f32[N = 1, 8]; B }", 2),
            ("model M { input x: f32[N = 1, 8]; a: ReLU; $0a + x }", 2),
            (
                "model M { input x: f32[N = 1, 8]; t: { a: Linear(8, bias=false) }; x @ t.$0a.weight }",
                2,
            ),
            ("model M { input x: f32[N = 1, 8]; param $0w: [8, 4]; x @ w }", 2),
            (
                "//- b.taper\nblock B { ReLU }\n//- m.taper\nuse \"b.taper\": B\nmodel M { input x: f32[N = 1, 8]; $0B }",
                3,
            ),
        ] {
            let new = if source.contains("$0A") || source.contains("$0B") {
                "Renamed"
            } else {
                "renamed"
            };
            let found = renamed(source, new).unwrap_or_else(|refused| vec![refused]);
            assert_eq!(found.len(), count, "{source}: {found:?}");
        }
    }

    #[test]
    fn refusals() {
        for (source, new, message) in [
            ("model M { input x: f32[N = 1, 8]; $0ReLU }", "a", "`ReLU` is a layer of Taper"),
            ("model M { input x: f32[N = 1, 8]; $0a: ReLU }", "for", "is no name"),
            (
                "model M { input x: f32[N = 1, 8]; $0a: ReLU; b: ReLU; a + b }",
                "b",
                "`b` is given twice",
            ),
            (
                "block A { ReLU }\nblock $0B { ReLU }\nmodel M { input x: f32[N = 1, 8]; A; B }",
                "A",
                "A",
            ),
            (
                "model M(n = 3) { input x: f32[N = 1, 8]; let $0k = 4; Linear(n); Linear(k) }",
                "n",
                "`n`",
            ),
        ] {
            let refused = renamed(source, new).expect_err(source);
            assert!(refused.contains(message), "{source}: {refused}");
        }
    }

    #[test]
    fn a_label_is_a_path() {
        let (snapshot, offset) = cursor("model M { input x: f32[N = 1, 8]; $0fc: Linear(3) }");
        let found = rename(&snapshot, offset, "head").expect("a rename");
        assert!(found.warning.is_some_and(|warning| warning.contains("checkpoint")));
    }
}
