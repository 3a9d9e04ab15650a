//! Checkpoints against models.

use std::sync::Arc;

use analysis::{Analysis, Workspace};
use checkpoint::Checkpoint;

/// A checkpoint with these tensors.
fn checkpoint(tensors: &[(&str, &str, &[u64])]) -> Arc<Checkpoint> {
    let mut end = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, dtype, shape)| {
            let width = if *dtype == "F32" { 4 } else { 2 };
            let (from, to) = (end, end + width * shape.iter().product::<u64>());
            end = to;
            format!(
                r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{from},{to}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + end as usize, 0);
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join("model.safetensors");
    std::fs::write(&path, bytes).expect("a file in it");
    Arc::new(Checkpoint::read(&path).expect("a checkpoint"))
}

/// Analyses `Net` with a line about a checkpoint of these tensors.
fn analyse(line: &str, tensors: &[(&str, &str, &[u64])]) -> Analysis {
    let text = format!(
        "model Net {{\n    input x: f32[N = 1, 8]\n    body: {{ fc1: Linear(4); fc2: Linear(2) }}\n    {line}\n}}\n"
    );
    let mut workspace = Workspace::default();
    let file = workspace.insert("net/net.taper", syntax::parse(&text));
    assert_eq!(workspace.wanted_weights(), ["net/m.safetensors"]);
    workspace.insert_weights("net/m.safetensors", Ok(checkpoint(tensors)));
    analysis::analyse(&workspace, file, &Default::default())
}

fn messages(line: &str, tensors: &[(&str, &str, &[u64])]) -> Vec<String> {
    let analysis = analyse(line, tensors);
    let found = analysis.diagnostics.iter();
    found.map(|found| format!("{} {:?}: {}", found.code, found.severity, found.message)).collect()
}

const EQUAL: &[(&str, &str, &[u64])] = &[
    ("body.fc1.weight", "F32", &[4, 8]),
    ("body.fc1.bias", "F32", &[4]),
    ("body.fc2.weight", "F32", &[2, 4]),
    ("body.fc2.bias", "F32", &[2]),
];

/// The same tensors under other names.
fn renamed(rename: impl Fn(&str) -> String) -> Vec<(String, &'static str, &'static [u64])> {
    EQUAL.iter().map(|(name, dtype, shape)| (rename(name), *dtype, *shape)).collect()
}

fn borrowed<'t>(
    tensors: &'t [(String, &'static str, &'static [u64])],
) -> Vec<(&'t str, &'t str, &'t [u64])> {
    tensors.iter().map(|(name, dtype, shape)| (name.as_str(), *dtype, *shape)).collect()
}

const LINE: &str = "weights \"m.safetensors\"";

#[test]
fn what_differs_is_told() {
    assert_eq!(messages(LINE, EQUAL), Vec::<String>::new());
    let mut other = EQUAL.to_vec();
    other[0].2 = &[5, 8];
    other[1].1 = "BF16";
    other[3].0 = "extra";
    assert_eq!(
        messages(LINE, &other),
        [
            "T0802 Error: 1 tensor of the model is not in the file: `body.fc2.bias`",
            "T0803 Error: `body.fc1.weight` is [4, 8] in the model and [5, 8] in the file",
            "T0804 Warning: 1 tensor of the file is not in the model: `extra`",
            "T0805 Hint: 1 tensor is f32 in the model and bf16 in the file",
        ]
    );
}

#[test]
fn one_prefix_explains_all() {
    let longer = renamed(|name| format!("model.{name}"));
    let analysis = analyse(LINE, &borrowed(&longer));
    let found = &analysis.diagnostics[0];
    assert_eq!(found.message, "the file's names begin with `model.`");
    assert_eq!(found.fixes[0].edits[0].1, " under \"model.\"");
    assert_eq!(analysis.diagnostics.len(), 1);
    let line = format!("{LINE} under \"model.\"");
    assert_eq!(messages(&line, &borrowed(&longer)), Vec::<String>::new());

    let shorter = renamed(|name| name.trim_start_matches("body.").to_owned());
    let analysis = analyse(LINE, &borrowed(&shorter));
    assert_eq!(analysis.diagnostics[0].message, "the file holds `body`, a part of the model");
    assert_eq!(analysis.diagnostics[0].fixes[0].edits[0].1, " for body");
    let line = format!("{LINE} for body");
    assert_eq!(messages(&line, &borrowed(&shorter)), Vec::<String>::new());
}

#[test]
fn a_file_that_cannot_be_read() {
    let text = "model M { input x: f32[N = 1, 8]; fc: Linear(4); weights \"m.safetensors\" }";
    let mut workspace = Workspace::default();
    let file = workspace.insert("m.taper", syntax::parse(text));
    workspace.insert_weights("m.safetensors", Err("m.safetensors: cannot be read".to_owned()));
    let analysis = analysis::analyse(&workspace, file, &Default::default());
    assert_eq!(analysis.diagnostics[0].message, "m.safetensors: cannot be read");
}

#[test]
fn a_tied_parameter_may_be_there_or_not() {
    let text = "model M { input x: i64[N = 1, 8]; e: Embedding(9, 4); h: Linear(9, bias=false, weight=e.weight); weights \"m.safetensors\" }";
    for tensors in [
        &[("e.weight", "F32", &[9, 4][..])][..],
        &[("e.weight", "F32", &[9, 4][..]), ("h.weight", "F32", &[9, 4][..])][..],
    ] {
        let mut workspace = Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(text));
        workspace.insert_weights("m.safetensors", Ok(checkpoint(tensors)));
        let analysis = analysis::analyse(&workspace, file, &Default::default());
        assert_eq!(analysis.diagnostics, []);
    }
}
