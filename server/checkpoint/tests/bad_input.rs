//! Files that no checkpoint should be: a message that names file and field, and no panic.

use std::path::PathBuf;

use checkpoint::Checkpoint;
use tempfile::TempDir;

/// A folder with a file in it.
fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file in it");
    (folder, path)
}

/// A safetensors file with this header and so much data.
fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

fn error(name: &str, bytes: &[u8]) -> String {
    let (_folder, path) = file(name, bytes);
    Checkpoint::read(&path).expect_err("this is no checkpoint").message
}

fn problems(name: &str, bytes: &[u8]) -> Vec<String> {
    let (_folder, path) = file(name, bytes);
    let checkpoint = Checkpoint::read(&path).expect("this can be read");
    checkpoint.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_header_that_is_none() {
    let long = format!("{{\"a\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let bytes = |length: u64| length.to_le_bytes().to_vec();
    let cases: &[(Vec<u8>, &str)] = &[
        (vec![], "has 0 bytes; a safetensors file begins with 8 for the length of its header"),
        (vec![1; 7], "has 7 bytes; a safetensors file begins with 8 for the length of its header"),
        (
            bytes(1 << 63),
            "its first 8 bytes say that the header has 9223372036854775808 bytes; after them come 0: the file is cut short, or no safetensors file",
        ),
        (
            safetensors("{\"a\":{\"dtype\":\"F32\"", 0),
            "the header is wrong at `a.?`: EOF while parsing an object at line 1 column 19",
        ),
        (
            safetensors("[]", 0),
            "the header is wrong: invalid type: sequence, expected an object that describes tensors at line 1 column 0",
        ),
        (
            safetensors(&long, 0),
            "the header is wrong at `a[0]`: invalid type: sequence, expected a string at line 1 column 6",
        ),
        (
            safetensors(r#"{"a":{"dtype":"F32","shape":[2,-5],"data_offsets":[0,4]}}"#, 4),
            "the header is wrong at `a.shape[1]`: invalid value: integer `-5`, expected u64 at line 1 column 33",
        ),
        (
            safetensors(r#"{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}"#, 4),
            "the header is wrong at `a.shape[0]`: number out of range at line 1 column 34",
        ),
        (
            safetensors(&format!(r#"{{"a":{{"dtype":"F32","shape":[{}1]}}}}"#, "1,".repeat(64)), 4),
            "the header is wrong at `a.shape`: invalid length 65, expected a list of at most 64 sizes at line 1 column 159",
        ),
        (
            safetensors(r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4),
            "the header is wrong at `a.data_offsets`: invalid length 1, expected a tuple of size 2 at line 1 column 50",
        ),
        (
            safetensors(r#"{"__metadata__":{"n":1}}"#, 0),
            "the header is wrong at `__metadata__.n`: invalid type: integer `1`, expected a string at line 1 column 22",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error("model.safetensors", bytes), *expected);
    }
    let mut broken = safetensors(r#"{"a__":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4);
    (broken[11], broken[12]) = (0xff, 0xfe);
    assert!(error("model.safetensors", &broken).contains("invalid unicode"), "invalid UTF-8");
}

#[test]
fn a_header_that_is_too_long() {
    let (_folder, path) = file("model.safetensors", &200_000_000u64.to_le_bytes());
    let sparse = std::fs::File::options().write(true).open(&path).expect("the file");
    sparse.set_len(300_000_000).expect("a sparse file");
    let error = Checkpoint::read(&path).expect_err("this is too long");
    assert_eq!(error.message, "the header has 200000000 bytes; the format allows 100000000");
}

#[test]
fn tensors_that_do_not_fit() {
    let cases: &[(&str, usize, &[&str])] = &[
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            12,
            &["model.safetensors: `b`: its data overlaps that of `a`"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            4,
            &["model.safetensors: `a`: its data ends at byte 8; the file has 4 bytes of data"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
            16,
            &[
                "model.safetensors: `a`: 4 bytes before its data belong to no tensor",
                "model.safetensors: the last 4 bytes belong to no tensor",
            ],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
            0,
            &[
                "model.safetensors: `a`: its data ends at byte 0, before it begins at 8",
                "model.safetensors: `a`: F32 of shape [2] is 8 bytes; its data has 0",
            ],
        ),
        (
            r#"{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}"#,
            2,
            &["model.safetensors: `a`: two tensors have this name"],
        ),
        (
            r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#,
            0,
            &[
                "model.safetensors: `a`: a shape of [4294967296, 4294967296] has more elements than 2^64",
            ],
        ),
        (
            r#"{"a":{"dtype":"F5","shape":[8],"data_offsets":[0,5]}}"#,
            5,
            &["model.safetensors: `a`: the type `F5` is not known, so its size is not checked"],
        ),
        (
            r#"{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}"#,
            2,
            &["model.safetensors: `a`: 3 elements of F4 do not fill whole bytes"],
        ),
    ];
    for (header, data, expected) in cases {
        assert_eq!(
            problems("model.safetensors", &safetensors(header, *data)),
            *expected,
            "{header}"
        );
    }
}

#[test]
fn an_index_and_its_shards() {
    let (folder, path) = file(
        "model.safetensors.index.json",
        br#"{"metadata":{"total_size":99},"weight_map":{"a":"1.safetensors","b":"1.safetensors","c":"2.safetensors","d":"gone.safetensors"}}"#,
    );
    let shard = |name: &str, header: &str, data: usize| {
        std::fs::write(folder.path().join(name), safetensors(header, data)).expect("a shard");
    };
    let tensor =
        |name: &str| format!(r#""{name}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#);
    shard("1.safetensors", &format!("{{{}}}", tensor("a")), 4);
    shard("2.safetensors", &format!("{{{}}}", tensor("extra")), 4);
    let found = Checkpoint::read(&path).expect("this can be read");
    let problems: Vec<String> = found.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems[0].split(": ").next(), Some("gone.safetensors"), "{problems:?}");
    assert_eq!(
        problems[1..],
        [
            "2.safetensors: `extra`: `model.safetensors.index.json` does not name it",
            "model.safetensors.index.json: `b`: is said to be in `1.safetensors` and is in no shard",
            "model.safetensors.index.json: `c`: is said to be in `2.safetensors` and is in no shard",
        ]
    );
    std::fs::write(&path, r#"{"metadata":{"total_size":99},"weight_map":{"a":"1.safetensors"}}"#)
        .expect("the index");
    let found = Checkpoint::read(&path).expect("this can be read");
    assert_eq!(found.problems[0].message, "`total_size` says 99 bytes; the shards have 4");
    std::fs::write(&path, r#"{"weight_map":{"a":"../1.safetensors"}}"#).expect("the index");
    let error = Checkpoint::read(&path).expect_err("a file elsewhere");
    assert_eq!(error.message, "the shard `../1.safetensors` is not a file beside the index");
    std::fs::write(&path, r#"{"weight_map":[]}"#).expect("the index");
    let error = Checkpoint::read(&path).expect_err("no index");
    assert!(error.message.contains("at `weight_map`"), "{error}");
}

/// Whatever happens to a shard between two reads, the index is read, and the shard is named.
#[test]
fn a_shard_that_vanishes_while_it_is_read() {
    let (folder, path) = file(
        "model.safetensors.index.json",
        br#"{"weight_map":{"a":"1.safetensors","b":"2.safetensors"}}"#,
    );
    let whole = |name: &str| {
        let padding = " ".repeat(100_000);
        let entry = format!(r#""{name}":{{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#);
        safetensors(&format!("{{{entry}{padding}}}"), 4)
    };
    std::fs::write(folder.path().join("1.safetensors"), whole("a")).expect("a shard");
    let (shard, bytes) = (folder.path().join("2.safetensors"), whole("b"));
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let mut seen = std::collections::BTreeSet::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::write(&shard, &bytes).expect("the shard");
                std::fs::File::create(&shard).expect("an empty shard");
                std::fs::remove_file(&shard).expect("the shard was there");
            }
        });
        for _ in 0..2_000 {
            let found = Checkpoint::read(&path).expect("the index is there");
            let problems = found.problems.iter().map(|problem| problem.file.clone());
            seen.extend(problems.chain([found.tensors.len().to_string()]));
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    seen.remove("2");
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["1", "2.safetensors"]);
}

/// A GGUF header of version 3 with these parts.
fn gguf(tensors: u64, pairs: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(pairs.to_le_bytes());
    bytes.extend(rest);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn gguf_tensor(name: &str, dims: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    let mut bytes = text(name);
    bytes.extend((dims.len() as u32).to_le_bytes());
    dims.iter().for_each(|dim| bytes.extend(dim.to_le_bytes()));
    bytes.extend(kind.to_le_bytes());
    bytes.extend(offset.to_le_bytes());
    bytes
}

#[test]
fn a_gguf_file() {
    let alignment =
        [text("general.alignment"), 4u32.to_le_bytes().to_vec(), 0u32.to_le_bytes().to_vec()]
            .concat();
    let file = |kind| [alignment.clone(), gguf_tensor("a.weight", &[256, 2], kind, 0)].concat();
    assert_eq!(
        problems("model.gguf", &gguf(1, 1, &file(12))),
        ["model.gguf: `general.alignment` is 0, so nothing says where the data begins"]
    );
    assert_eq!(
        problems("model.gguf", &gguf(1, 1, &file(999)))[1],
        "model.gguf: `a.weight`: the type 999 is not known, so its size is not"
    );
    let (_folder, path) = self::file("model.gguf", &gguf(1, 1, &file(12)));
    let found = Checkpoint::read(&path).expect("this can be read");
    assert_eq!((found.tensors[0].shape.as_slice(), found.tensors[0].bytes), (&[2, 256][..], 288));
}

#[test]
fn a_gguf_file_that_is_none() {
    let cases: &[(Vec<u8>, &str)] = &[
        (b"GGU".to_vec(), "does not begin with `GGUF`, so it is no GGUF file"),
        (b"GGUF\x09\0\0\0".to_vec(), "has version 9 of the format; 1 to 3 are read"),
        (b"GGUF\0\0\0\x03".to_vec(), "is written for big-endian machines, which is not read"),
        (gguf(u64::MAX, 0, b""), "ends in the header, at byte 24, within the name of a tensor"),
        (
            gguf(0, 1, &u64::MAX.to_le_bytes()),
            "ends in the header, at byte 32, within a key of the metadata",
        ),
        (
            gguf(0, 1, &[text("k"), 77u32.to_le_bytes().to_vec()].concat()),
            "`k` has a value of type 77, which the format does not know",
        ),
        (
            gguf(1, 0, &[text("t"), u32::MAX.to_le_bytes().to_vec()].concat()),
            "`t` has 4294967295 dimensions",
        ),
        (
            gguf(
                0,
                1,
                &[
                    text("k"),
                    [9u32, 9, 1].iter().flat_map(|part| part.to_le_bytes()).collect(),
                    vec![0; 4],
                    [9u32, 1, 0].repeat(20).iter().flat_map(|part| part.to_le_bytes()).collect(),
                ]
                .concat(),
            ),
            "`k` has arrays within arrays more than 8 deep",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(error("model.gguf", bytes), *expected);
    }
}

#[test]
fn a_text_that_is_no_config() {
    use checkpoint::config::Config;
    let deep = format!("{{\"a\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("{{\"a\": \"{}\"}}", "x".repeat(50_000_000));
    let cases: &[(&str, std::ops::Range<usize>, &str)] = &[
        ("", 0..0, "a config is an object, `{ … }`"),
        ("[1]", 0..1, "a config is an object, `{ … }`"),
        ("{\"a\": }", 6..7, "this is no JSON: unexpected close brace"),
        (&deep, 37..38, "brackets within brackets more than 32 deep"),
        (&large, 0..0, "a config of 50000009 bytes is not read; at most 1048576"),
    ];
    for (text, place, message) in cases {
        let error = Config::parse(text).expect_err("this is no config");
        assert_eq!((&error.place, error.message.as_str()), (place, *message));
    }
}

#[test]
fn keys_have_their_places() {
    use checkpoint::config::Config;
    let text = r#"{"a": {"b": [1, "x", null]}, "torch_dtype": "bfloat16"}"#;
    let config = Config::parse(text).expect("a config");
    let keys: Vec<(&str, &str, String)> = config
        .keys
        .iter()
        .map(|key| (key.path.as_str(), &text[key.place.clone()], key.value.literal()))
        .collect();
    assert_eq!(
        keys,
        [
            ("a", r#"{"b": [1, "x", null]}"#, "none".to_owned()),
            ("a.b", r#"[1, "x", null]"#, r#"[1, "x", none]"#.to_owned()),
            ("torch_dtype", "\"bfloat16\"", "\"bfloat16\"".to_owned()),
        ]
    );
}

#[test]
fn keys_have_the_names_that_transformers_reads() {
    use checkpoint::config::Config;
    let text = r#"{"id2label": {"0": "a", "1": "b", "2": "c"}, "dtype": "float16", "rope_scaling": {"type": "yarn"},
        "text_config": {"rope_parameters": {"rope_theta": 5, "factor": 2}}}"#;
    let config = Config::parse(text).expect("a config");
    let found = config.arguments();
    let value =
        |name: &str| found.iter().find(|one| one.name == name).map(|one| one.value.as_str());
    for (name, wanted) in [
        ("num_labels", "3"),
        ("torch_dtype", "\"float16\""),
        ("rope_scaling.rope_type", "\"yarn\""),
        ("text_config.rope_theta", "5"),
        ("text_config.rope_scaling.factor", "2"),
    ] {
        assert_eq!(value(name), Some(wanted), "{name}");
    }
}
