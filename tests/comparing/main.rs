//! The commands that compare: `taper diff`, `sweep` and `why`, as a user runs them.

#![allow(clippy::panic, clippy::unwrap_used)] // A test says what it compares.

use std::{path::Path, process::Command};

use serde_json::Value;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What the program prints, and whether it succeeds.
fn taper(folder: &Path, arguments: &[&str]) -> (String, String, bool) {
    let output = Command::new(env!("CARGO_BIN_EXE_taper"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.success())
}

fn json(folder: &Path, arguments: &[&str]) -> Value {
    let (out, errors, succeeds) = taper(folder, &[arguments, &["--format", "json"]].concat());
    assert!(succeeds, "{errors}");
    serde_json::from_str(&out).expect("JSON")
}

fn git(folder: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.com"];
    let output = Command::new("git").args(identity).args(arguments).current_dir(folder).output();
    let output = output.expect("git");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the figures lack is said in every format and by every command: of the work that is not known, of sizes that
/// cannot be and of what the file expects.
#[test]
fn what_the_figures_do_not_say() {
    let folder = tempfile::tempdir().unwrap();
    let text = "block Own { input x: [N, C, L]; output y: [N, C, 9] }
        model M { input x: f32[N = 1, 8, L = 16]; a: Conv1d(8, 3, padding=1); Own; expect L % 16 == 0 }";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    let sweep = ["sweep", "m.taper", "--over", "L=16,24,abc"];
    for format in ["human", "markdown", "csv", "json"] {
        let arguments = [&sweep[..], &["--format", format]].concat();
        let (out, errors, succeeds) = taper(folder.path(), &arguments);
        assert!(!succeeds, "{format}");
        let said = out.clone() + &errors;
        for wanted in ["L % 16 == 0", "the size `L` that is set", "Own"] {
            assert!(said.contains(wanted), "{format}: no `{wanted}` in {said}");
        }
        match format {
            "json" => {
                let lines: Value = serde_json::from_str(&out).expect("JSON");
                assert_eq!(lines[0]["uncounted"], serde_json::json!(["Own"]));
                assert_eq!(lines[0]["unmet"], Value::Null);
                assert_eq!(lines[1]["unmet"].as_array().map(Vec::len), Some(1));
                assert!(
                    lines[2]["error"].is_string() && lines[2]["macs"].is_null(),
                    "{}",
                    lines[2]
                );
            }
            "csv" => {
                assert!(out.lines().nth(1).is_some_and(|line| line.ends_with("\"Own\"")), "{out}")
            }
            _ => assert_eq!(out.matches("≥ ").count(), 4, "{out}"),
        }
    }
    let (out, _, succeeds) = taper(folder.path(), &["diff", "m.taper", "--to-set", "L=32"]);
    assert!(succeeds && out.contains("The work of Own is not known"), "{out}");
    assert_eq!((out.matches("≥ ").count(), out.matches("unknown").count()), (4, 2), "{out}");
    for command in [&["diff", "m.taper", "--to-set"][..], &["estimate", "m.taper", "--set"]] {
        for (size, wanted) in [("L=24", "L % 16 == 0"), ("L=6.5", "the size `L` that is set")] {
            let (_, errors, succeeds) = taper(folder.path(), &[command, &[size]].concat());
            assert!(!succeeds && errors.contains(wanted), "{command:?} {size}: {errors}");
        }
    }
    for command in [
        &["estimate", "m.taper"][..],
        &["summary", "m.taper"],
        &["why", "m.taper", "--count", "thop"],
        &["why", "m.taper", "--figure", "1M"],
    ] {
        let (out, _, _) = taper(folder.path(), command);
        assert!(out.contains("The work of Own is not known"), "{out}");
    }
}

/// The largest size that fits where the sizes that a model takes have gaps, and whose limit it is.
#[test]
fn what_fits_where_sizes_have_gaps() {
    let folder = tempfile::tempdir().unwrap();
    // 41,088 bytes at 32, and 1 MB at 744.
    for (expectation, largest, is_of_model) in [
        ("", 744, false),
        ("expect H % 32 == 0", 736, false),
        ("expect H % 2 == 1 or H == 32", 743, false),
        ("expect H in [32, 224, 512]", 512, true),
        ("expect H <= 100", 100, true),
        ("expect H == 32", 32, true),
    ] {
        let text = format!(
            "model A {{\n    input x: f32[N = 1, 3, H = 32, W = 32]\n    {expectation}\n    Conv2d(8, 3)\n}}\n
             model Wrong {{ input x: f32[N = 1, 4]; Linaer(3); expect N == 2 }}"
        );
        std::fs::write(folder.path().join("m.taper"), text).unwrap();
        let found = json(folder.path(), &["fits", "m.taper", "--memory", "1MB"]);
        let limited = found["limited_by_model"].as_array().unwrap().contains(&"H".into());
        let of_h = (found["largest"]["H"].as_u64(), limited);
        assert_eq!(of_h, (Some(largest), is_of_model), "{expectation}");
        // So it is: that size fits, and the next one does not.
        for (size, fits) in [(largest, true), (largest + 1, false)] {
            let set = format!("H={size}");
            let (_, _, succeeds) =
                taper(folder.path(), &["fits", "m.taper", "--memory", "1MB", "--set", &set]);
            assert_eq!(succeeds, fits, "{expectation} {set}");
        }
    }
}

/// Another model of the file has mistakes, expectations and names of its own, which are not this one's.
#[test]
fn one_model_of_several() {
    let folder = tempfile::tempdir().unwrap();
    let text = "model A { input x: f32[N = 1, 8]; Linear(4) }
        model B(N = \"same\") { input x: f32[2, 8, 8]; Conv1d(3, 3, padding=N); expect params == 1 }
        model C { input x: f32[N = 1, 8]; Linaer(4) }";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    for command in [
        &["summary", "m.taper"][..],
        &["estimate", "m.taper"],
        &["fits", "m.taper", "--memory", "1MB"],
        &["sweep", "m.taper", "--over", "N=1,2"],
        &["diff", "m.taper", "--to-set", "N=2"],
        &["why", "m.taper", "--count", "thop"],
    ] {
        let (out, errors, succeeds) = taper(folder.path(), command);
        assert!(succeeds && errors.is_empty(), "{command:?}: {errors}{out}");
    }
    let (_, errors, _) =
        taper(folder.path(), &["summary", "m.taper", "--model", "B", "--set", "N=valid"]);
    assert_eq!(errors.matches("error[").count(), 1, "{errors}");
    assert!(errors.contains("does not hold"), "{errors}");
}

/// The model of a config, or of an architecture by its name, need not be the first of its file.
#[test]
fn the_model_of_a_config() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<&str> = library::architectures().map(|one| one.name).collect();
    assert!(names.len() > 100, "{}", names.len());
    for name in names {
        let file = format!("library:{name}");
        let (out, errors, succeeds) = taper(folder.path(), &["summary", &file]);
        // What stands for several sizes has no sizes of its own.
        let asks = errors.contains("needs arguments");
        assert!(succeeds || asks, "{name}: {errors}");
        assert!(asks || out.contains(&format!("`{name}`")), "{name}: {out}");
    }
}

/// What is given twice is an error, and so are several settings in one.
#[test]
fn settings_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let text = "model A { input x: f32[N = 1, 3, H = 32, W = 32]; Conv2d(8, 3) }";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    for (arguments, wanted) in [
        (&["summary", "m.taper", "--set", "H=64", "--set", "H=32"][..], "`H` is given twice"),
        (&["sweep", "m.taper", "--over", "H=32", "--over", "H=64"], "`H` is given twice"),
        (&["sweep", "m.taper", "--over", "H,H=32"], "`H` is given twice"),
        (&["sweep", "m.taper", "--over", "H=32", "--set", "H=64"], "`H` is given twice"),
        (&["summary", "m.taper", "--set", "H=64,W=64"], "a `--set` of its own"),
    ] {
        let (_, errors, succeeds) = taper(folder.path(), arguments);
        assert!(!succeeds && errors.contains(wanted), "{arguments:?}: {errors}");
    }
    // One of both and another of the second.
    let (out, errors, succeeds) =
        taper(folder.path(), &["diff", "m.taper", "--set", "H=16", "--to-set", "H=20"]);
    assert!(succeeds && out.contains("H = 16") && out.contains("H = 20"), "{errors}{out}");
}

#[test]
fn a_file_and_what_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    std::fs::create_dir(folder.path().join("models")).unwrap();
    write("models/head.taper", "block Head { Linear(10) }");
    let model = |body: &str| {
        format!("use \"head.taper\"\nmodel M {{ input x: f32[N = 1, 8]; {body}; head: Head }}")
    };
    write("models/m.taper", &model("a: Linear(4); b: ReLU"));
    git(folder.path(), &["init", "-q"]);
    git(folder.path(), &["add", "-A"]);
    git(folder.path(), &["commit", "-q", "-m", "first"]);
    // The block that the file used then is that of then.
    write("models/head.taper", "block Head { Linear(20) }");
    write("models/m.taper", &model("a: Linear(6); c: GELU"));

    let found = json(folder.path(), &["diff", "models/m.taper", "--git", "HEAD"]);
    let layers = found["layers"].as_array().unwrap();
    let lines: Vec<String> = layers
        .iter()
        .map(|layer| {
            let of = |side: &Value| side["totals"]["params"].as_str().map(str::to_owned);
            format!("{} {:?} {:?}", layer["path"], of(&layer["before"]), of(&layer["after"]))
        })
        .collect();
    assert_eq!(
        lines,
        [
            r#""a" Some("36") Some("54")"#,
            r#""b" Some("0") None"#,
            r#""c" None Some("0")"#,
            r#""head.0" Some("50") Some("140")"#,
        ]
    );
    assert_eq!(found["before"]["totals"]["params"], "86");
    assert_eq!(found["after"]["totals"]["params"], "194");
    assert_eq!(found["before"]["name"], "M in HEAD:models/m.taper");

    for (arguments, expected) in [
        (["models/m.taper", "--git", "nowhere"], "git knows no revision `nowhere`"),
        (["models/new.taper", "--git", "HEAD"], "models/new.taper was not there at HEAD"),
    ] {
        write("models/new.taper", &model("a: ReLU"));
        let (_, errors, succeeds) = taper(folder.path(), &[&["diff"], &arguments[..]].concat());
        assert!(!succeeds && errors.contains(expected), "{errors}");
    }
}

#[test]
fn two_settings_of_one_file() {
    let same = ["diff", "examples/alexnet.taper", "--to-set"];
    let found = json(&root(), &[&same[..], &["N=2"]].concat());
    let macs = |side: &str| found[side]["totals"]["macs"].as_str().unwrap().parse::<u64>().unwrap();
    assert_eq!(2 * macs("before"), macs("after"));
    assert!(found["after"]["name"].as_str().unwrap().ends_with("at N = 2"), "{found}");
    let (out, ..) = taper(&root(), &[&same[..], &["N=1"]].concat());
    assert!(out.contains("No layer differs."), "{out}");
    let (out, ..) = taper(&root(), &[&same[..], &["N=2", "--format", "github"]].concat());
    assert!(out.starts_with("<!-- taper diff -->\n"), "{out}");
    assert!(out.contains("<details><summary>22 layers differ</summary>"), "{out}");
}

#[test]
fn several_sizes() {
    let over = ["sweep", "examples/alexnet.taper", "--over", "N=1,3", "--over", "H,W=32,224"];
    let (out, _, succeeds) = taper(&root(), &[&over[..], &["--format", "json"]].concat());
    assert!(!succeeds);
    let lines: Value = serde_json::from_str(&out).expect("JSON");
    let lines = lines.as_array().unwrap();
    assert_eq!(lines.len(), 4);
    // The last names vary fastest; what is too small is no model.
    assert_eq!(lines[0]["error"], "the kernel covers 3, but its input has only 1");
    assert_eq!(lines[1]["macs"], 714_188_480);
    assert_eq!(lines[3]["macs"], 3 * 714_188_480u64);
    let (_, errors, succeeds) =
        taper(&root(), &["sweep", "examples/alexnet.taper", "--over", "Q=1"]);
    assert!(!succeeds && errors.contains("no symbol or parameter `Q`"), "{errors}");
}

#[test]
fn two_tools() {
    let why = ["why", "examples/alexnet.taper"];
    let count = ["--count", "thop-2020", "--count", "fvcore"];
    let (out, ..) = taper(&root(), &[&why[..], &count].concat());
    assert!(out.contains("+494,208 MAC  difference"), "{out}");
    assert!(out.contains("Conv2d ×5: thop-2020 bias 484,992; fvcore nothing"), "{out}");
    assert!(out.contains("fvcore skips: MaxPool2d ×3, ReLU ×7"), "{out}");
    let (out, ..) = taper(&root(), &[&why[..], &["--figure", "5665.76M"]].concat());
    assert!(out.contains("5,665,759,103 MACs at N = 2, H = 448, W = 448: thop\n"), "{out}");
    let (out, ..) = taper(&root(), &[&why[..], &["--figure", "999.99M"]].concat());
    assert!(out.starts_with("999.99M: nobody says this of AlexNet"), "{out}");
    let (_, errors, succeeds) = taper(&root(), &why);
    assert!(!succeeds && errors.contains("`taper why` compares two"), "{errors}");
}

/// The report asks for nothing that is not in it.
#[test]
fn a_report_is_one_file() {
    let (page, ..) = taper(&root(), &["summary", "examples/alexnet.taper", "--format", "html"]);
    assert!(page.starts_with("<!doctype html>"));
    for asked in ["<script src", "<link", "<img", "@import", "url(http"] {
        assert!(!page.contains(asked), "{asked}");
    }
    let data =
        page.split("const report = ").nth(1).and_then(|rest| rest.split(";</script>").next());
    let report: Value = serde_json::from_str(data.expect("the data")).expect("JSON");
    let layers = report["layers"].as_array().expect("layers");
    let sum: f64 = layers.iter().map(|layer| layer["work"].as_f64().unwrap()).sum();
    assert_eq!(sum, 1_430_168_424.0);
    assert_eq!(report["totals"][0], serde_json::json!(["parameters", "61.1 M", "61,100,840"]));
}

/// For every pair of tools the terms add up to the difference.
#[test]
fn the_terms_are_the_difference() {
    for path in ["alexnet", "resnet50", "convnext_tiny", "swin_t", "text_classifier"] {
        let text = std::fs::read_to_string(root().join(format!("examples/{path}.taper"))).unwrap();
        let mut workspace = analysis::Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(&text));
        let counts = std::iter::once(None).chain(conventions::all().map(Some));
        let analyses: Vec<analysis::Analysis> = counts
            .map(|count| {
                let options = analysis::Options { count, ..Default::default() };
                analysis::analyse(&workspace, file, &options)
            })
            .collect();
        for left in &analyses {
            for right in &analyses {
                let (left, right) = (&left.models[0], &right.models[0]);
                let found = reports::Differences::of(left, right);
                let terms: i128 = found.parts.iter().map(reports::Difference::net).sum();
                let names = (left.counted, right.counted);
                assert_eq!(terms, found.left as i128 - found.right as i128, "{path} {names:?}");
            }
        }
    }
}

/// What is left out is named wherever a figure is printed, and changes nothing that is expected.
#[test]
fn what_is_left_out_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let text = "model M {\n    input x: f32[N = 1, 3, 8, 8]\n    up: ConvTranspose2d(4, 2, stride=2)\n    \
                bn: BatchNorm2d\n    expect macs == 3_072\n    expect flops == 9_216\n    expect flops == 18_432 at N = 2\n}";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    let choices: [(&[&str], &str); 3] = [
        (&["--ignore", "BatchNorm2d"], "without the work of BatchNorm2d"),
        (&["--only", "ReLU, BatchNorm2d"], "the work of ReLU, BatchNorm2d alone (no step is ReLU)"),
        (&["--count", "thop"], "thop"),
    ];
    for (choice, words) in choices {
        let commands: [&[&str]; 9] = [
            &["summary", "m.taper"],
            &["summary", "m.taper", "--by", "kind"],
            &["summary", "m.taper", "--format", "csv"],
            &["summary", "m.taper", "--format", "markdown"],
            &["summary", "m.taper", "--format", "html"],
            &["sweep", "m.taper", "--over", "N=1,2"],
            &["sweep", "m.taper", "--over", "N=1,2", "--format", "csv"],
            &["sweep", "m.taper", "--over", "N=1,2", "--format", "markdown"],
            &["diff", "m.taper", "m.taper"],
        ];
        for command in commands {
            let (out, errors, succeeds) = taper(folder.path(), &[command, choice].concat());
            assert!(succeeds, "{command:?} {choice:?}: {errors}");
            let is_named = out.contains(words);
            assert!(is_named || choice[0] == "--count", "{command:?} {choice:?}: {out}");
        }
    }
    let found = json(folder.path(), &["summary", "m.taper", "--ignore", "BatchNorm2d"]);
    assert_eq!(found["ignored"], serde_json::json!(["BatchNorm2d"]));
    assert_eq!(found["totals"]["flops"], 7_168);
    let found = json(folder.path(), &["sweep", "m.taper", "--over", "N=1", "--only", "Conv2d"]);
    assert_eq!(found[0]["only"], serde_json::json!(["Conv2d"]));
    for (kind, words) in [("Conv2D", "did you mean `Conv2d`?"), ("Zork", "a block is none")] {
        let (_, errors, succeeds) = taper(folder.path(), &["summary", "m.taper", "--only", kind]);
        assert!(!succeeds && errors.contains(words), "{errors}");
    }
    // Of each size what is left out of it, and nothing of sizes that cannot be.
    let text_of_k =
        "model M(k = 1) { input x: f32[N = 1, 8]; a: Linear(8); if k == 1 { b: ReLU } }";
    std::fs::write(folder.path().join("k.taper"), text_of_k).unwrap();
    for (over, only, lines) in [
        (
            "k=1,2",
            "ReLU",
            ["k = 1: the work of ReLU alone", "k = 2: the work of ReLU alone (no step is ReLU)"],
        ),
        ("N=2,abc", "ReLU", ["(the work of ReLU alone)", ""]),
    ] {
        let (out, _, _) =
            taper(folder.path(), &["sweep", "k.taper", "--over", over, "--only", only]);
        assert!(lines.iter().all(|line| out.contains(line)), "{out}");
    }
    // A block that states its work is none of the kinds.
    let stated = "block Gate { input x: [N, C]; macs = 7 * C }\n\
                  block Own { input x: [N, C]; output y: [N, C] }\n\
                  model M { input x: f32[N = 1, 8]; Gate; Own; l: Linear(4, bias=false) }";
    std::fs::write(folder.path().join("s.taper"), stated).unwrap();
    let only = json(folder.path(), &["summary", "s.taper", "--only", "Linear"]);
    assert_eq!((&only["totals"]["macs"], &only["uncounted"]), (&32.into(), &serde_json::json!([])));
    // What does not hold is told all the same, once.
    let text = text.replace("9_216", "9_217");
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    for (choice, _) in choices {
        let (_, errors, succeeds) =
            taper(folder.path(), &[&["summary", "m.taper"], choice].concat());
        assert!(!succeeds);
        assert_eq!(
            errors.matches("does not hold: 9_216 == 9_217").count(),
            1,
            "{choice:?}: {errors}"
        );
    }
}

#[test]
fn a_sweep_has_no_figure_where_there_is_no_model() {
    let folder = tempfile::tempdir().unwrap();
    let text = "model M {\n    input x: f32[N = 1, 1, H = 64, 64]\n    expect H % 2 == 0\n    a: MaxPool2d(2)\n    \
                b: Upsample(scale_factor=2)\n    x + b\n}";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    let command = ["sweep", "m.taper", "--over", "H=64,65", "--format"];
    let (out, _, succeeds) = taper(folder.path(), &[&command[..], &["json"]].concat());
    assert!(!succeeds);
    let found: Value = serde_json::from_str(&out).expect("JSON");
    let figures =
        ["params", "macs", "flops", "weight_bytes", "peak_activation_bytes", "cache_bytes"];
    assert!(found[0]["error"].is_null() && figures.iter().all(|name| found[0][*name].is_u64()));
    assert!(found[1]["error"].is_string() && figures.iter().all(|name| found[1][*name].is_null()));
    for format in ["csv", "markdown", "human"] {
        let (out, _, succeeds) = taper(folder.path(), &[&command[..], &[format]].concat());
        assert!(!succeeds && !out.contains("\nH = 65 ") && !out.contains("\"H = 65\""), "{out}");
    }
}

#[test]
fn blocks_count_their_uses() {
    let folder = tempfile::tempdir().unwrap();
    let text = "block A { Linear(8); ReLU }\nblock B { A; A }\nmodel M { input x: f32[N = 1, 8]; b: B; c: A; x -> c }";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    let (out, ..) =
        taper(folder.path(), &["summary", "m.taper", "--by", "block", "--format", "csv"]);
    let lines: Vec<&str> = out.lines().collect();
    // Parameters of what is used again count once, its work at each use.
    assert!(lines[1].starts_with("B,×1,,144,128,288"), "{out}");
    assert!(lines[2].starts_with("A,×4,,216,256,576"), "{out}");
    let (out, ..) = taper(folder.path(), &["summary", "m.taper", "--by", "block"]);
    assert!(out.contains("figures of a block hold those of the blocks in it"), "{out}");
    // In the tree too.
    let text = "block Net { linear: Linear(10) }\nmodel M { input x: f32[N = 1, 10]; net: Net; net -> net }";
    std::fs::write(folder.path().join("m.taper"), text).unwrap();
    let (out, ..) = taper(folder.path(), &["summary", "m.taper", "--format", "csv"]);
    let params: Vec<&str> = out.lines().skip(1).filter_map(|line| line.split(',').nth(4)).collect();
    assert_eq!(params, ["110", "110", "0", "0"], "{out}");
}
