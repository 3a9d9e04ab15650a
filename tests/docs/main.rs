//! What the documents say is true: their code is checked, and the pages and pictures that are made
//! from code are the code's.
//!
//! `UPDATE_EXPECT=1 cargo test --release --test docs` writes the generated ones anew.

#![allow(clippy::panic)] // A test says which block is wrong.

mod editors;
#[path = "../files/mod.rs"]
mod files;
mod published;

use std::{collections::HashMap, fmt::Write, path::Path, process::Command};

use analysis::{Code, Severity, Workspace};
use expect_test::expect_file;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A code block of a Markdown text: what stands after the fence, and its lines.
struct Fenced {
    info: String,
    text: String,
    line: usize,
}

fn code_blocks(markdown: &str) -> Vec<Fenced> {
    let mut blocks = Vec::new();
    let mut open: Option<Fenced> = None;
    for (number, line) in markdown.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), &mut open) {
            (Some(info), None) => {
                open = Some(Fenced {
                    info: info.trim().to_owned(),
                    text: String::new(),
                    line: number + 1,
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// Checks a block of Taper by what its fence says: a file (`taper`), the steps of a block (`steps`)
/// or one that gives an error or hint (`error`, `warning`, `hint`).
fn check(place: &str, block: &Fenced) {
    let Some(flags) = block.info.strip_prefix("taper") else { return };
    let text = match flags.contains("steps") {
        true => format!(
            "block Example(heads = 8, stride = 1) {{ input x: [N = 2, C = 64, H = 32, W = 32]\n{}}}\n",
            block.text
        ),
        false => block.text.clone(),
    };
    let mut workspace = Workspace::default();
    workspace
        .insert("blocks.taper", syntax::parse("block Bottleneck { ReLU }\nblock Stem { ReLU }\n"));
    let file = workspace.insert("example.taper", syntax::parse(&text));
    let mut found = analysis::analyse(&workspace, file, &Default::default()).diagnostics;
    if !flags.contains("hint") && !flags.contains("warning") {
        // An example shows one thing, and need not use it.
        found.retain(|one| one.code != analysis::Code::Unused);
    }
    let wanted = |severity| found.iter().any(|one| one.severity == severity);
    let severities =
        [("error", Severity::Error), ("warning", Severity::Warning), ("hint", Severity::Hint)];
    if let Some((_, severity)) = severities.into_iter().find(|(flag, _)| flags.contains(flag)) {
        assert!(wanted(severity), "{place}: line {} gives no {severity:?}", block.line);
    } else {
        assert!(found.is_empty(), "{place}: line {}: {found:#?}\n{text}", block.line);
    }
}

#[test]
fn the_code_in_documents_is_valid() {
    let mut checked = 0;
    let mut files = vec![root().join("README.md")];
    let docs = std::fs::read_dir(root().join("docs")).expect("docs");
    files.extend(docs.map(|entry| entry.expect("a file").path()));
    for path in
        files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md"))
    {
        let text = std::fs::read_to_string(path).expect("UTF-8");
        for block in code_blocks(&text).iter().filter(|block| block.info.starts_with("taper")) {
            check(&path.display().to_string(), block);
            checked += 1;
        }
    }
    assert!(checked > 40, "only {checked} blocks were found");
}

/// The example of each explanation gives the code that it explains, and nothing else.
#[test]
fn every_code_is_explained_by_an_example() {
    let mut wrong = String::new();
    for code in Code::ALL {
        for block in code_blocks(code.explanation()) {
            let mut workspace = Workspace::default();
            let file = workspace.insert("example.taper", syntax::parse(&block.text));
            let found = analysis::analyse(&workspace, file, &Default::default()).diagnostics;
            let codes: Vec<Code> = found.iter().map(|one| one.code).collect();
            if codes != [*code] {
                let messages: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
                writeln!(wrong, "{code} gives {codes:?}: {messages:?}").expect("to write");
            }
        }
    }
    assert_eq!(wrong, "");
}

#[test]
fn the_page_of_errors_is_current() {
    expect_file!["../../docs/errors.md"].assert_eq(&Code::page());
}

#[test]
fn the_page_of_layers_is_current() {
    let mut page = String::from(
        "# Layers\n\nNames, arguments, their order and defaults are PyTorch's, without the sizes that the input \
         tells. Shapes, parameters,\nrefusals and numbers are PyTorch's too, and Candle builds the layer, unless its \
         section says otherwise.\n\n<!-- Made from the catalogue, server/layers, by tests/docs. -->\n",
    );
    for entry in layers::all() {
        writeln!(page, "\n## {}\n\n`{}`\n\n{}", entry.name, entry.signature(), entry.summary)
            .expect("to write");
        if let Some(function) = entry.function {
            let of_torch = layers::find_called(layers::Called::Torch, function);
            let also = of_torch.map_or(String::new(), |_| format!(", `torch.{function}`"));
            writeln!(page, "\nAlso as a function: `F.{function}`{also}.").expect("to write");
        }
        let ignored = entry.params.iter().filter(|param| param.kind == layers::Kind::Ignored);
        for param in ignored {
            writeln!(page, "\n`{}` is accepted and has no meaning here.", param.name)
                .expect("to write");
        }
        writeln!(page, "\n{}\n\nSource: <{}>", entry.doc, entry.source).expect("to write");
    }
    page.push_str("\n# Functions of torch\n\nThey take two tensors, `x, y -> torch.matmul`.\n");
    let of_torch = layers::functions(layers::Called::Torch);
    let of_torch = of_torch.filter(|name| layers::find_function(name).is_none());
    for name in of_torch {
        let entry = layers::find_called(layers::Called::Torch, name).expect("a function");
        let (summary, doc, source) = (entry.summary, entry.doc, entry.source);
        writeln!(page, "\n## torch.{name}\n\n{summary}\n\n{doc}\n\nSource: <{source}>")
            .expect("to write");
    }
    expect_file!["../../docs/layers.md"].assert_eq(&page);
}

/// What a command writes in colour, as a picture.
fn picture(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_taper"))
        .args(["--color", "always"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("taper");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).expect("UTF-8");
    anstyle_svg::Term::new().render_svg(&text)
}

#[test]
fn the_pictures_are_current() {
    expect_file!["../../docs/images/hints.svg"]
        .assert_eq(&picture(&["hints", "examples/resnet18.taper"]));
    expect_file!["../../docs/images/summary.svg"].assert_eq(&picture(&[
        "summary",
        "examples/resnet18.taper",
        "--depth",
        "2",
    ]));
    expect_file!["../../docs/images/config.svg"]
        .assert_eq(&picture(&["inspect", "examples/llama3_8b/config.json"]));
    expect_file!["../../docs/images/fits.svg"].assert_eq(&picture(&[
        "fits",
        "examples/llama3_8b/config.json",
        "--memory",
        "24GiB",
        "--set",
        "T=8192",
    ]));
    expect_file!["../../docs/images/tensors.svg"].assert_eq(&picture(&[
        "inspect",
        "tests/numeric/fixtures/tiny_llava/model.safetensors",
        "--depth",
        "4",
    ]));
    expect_file!["../../docs/images/charts.svg"].assert_eq(&picture(&[
        "summary",
        "examples/mobilenet_v2.taper",
        "--by",
        "kind",
        "--charts",
        "h100",
    ]));
    expect_file!["../../docs/images/sweep.svg"].assert_eq(&picture(&[
        "sweep",
        "examples/alexnet.taper",
        "--over",
        "H,W=128:512:96",
        "--device",
        "h100",
    ]));
    expect_file!["../../docs/images/diff.svg"].assert_eq(&picture(&[
        "diff",
        "examples/depthwise.taper",
        "--to-model",
        "Depthwise",
    ]));
    expect_file!["../../docs/images/error.svg"]
        .assert_eq(&picture(&["check", "tests/docs/error.taper"]));
}

/// The names in the lists of §7: what stands in backticks and begins with a capital, without its
/// arguments; `MaxPool1d/2d/3d` is three.
fn listed_layers(markdown: &str) -> std::collections::BTreeSet<String> {
    let section = markdown.split("## 7. Layers").nth(1).and_then(|rest| rest.split("\n## ").next());
    let lists = section.unwrap_or_default().lines().filter(|line| line.starts_with("- "));
    let mut names = std::collections::BTreeSet::new();
    for span in lists.flat_map(|line| line.split('`').skip(1).step_by(2)) {
        let mut depth = 0;
        let outside: String = span
            .chars()
            .filter(|char| {
                depth += i32::from(*char == '(') - i32::from(*char == ')');
                depth == 0 && *char != ')'
            })
            .collect();
        for word in outside.split_whitespace().filter(|word| word.starts_with(char::is_uppercase)) {
            let mut parts = word.split('/');
            let first = parts.next().unwrap_or_default();
            names.insert(first.to_owned());
            names.extend(parts.map(|axes| format!("{}{axes}", first.trim_end_matches("1d"))));
        }
    }
    names
}

#[test]
fn the_language_lists_every_layer() {
    let page = std::fs::read_to_string(root().join("docs/language.md")).expect("the page");
    let catalogue = layers::all().map(|entry| entry.name.to_owned()).collect();
    assert_eq!(listed_layers(&page), catalogue);
}

/// What is counted and cannot be built says so, with the reason.
#[test]
fn few_layers_are_not_built() {
    let unbuilt: Vec<&str> = layers::all()
        .filter(|entry| entry.doc.contains("Counted, not built: "))
        .map(|entry| entry.name)
        .collect();
    assert_eq!(unbuilt, ["GridSample", "RoIAlign"]);
}

/// The models of the tables of counting, by the names of their tools' figures.
const COUNTED: [&str; 16] = [
    "alexnet",
    "vgg16",
    "squeezenet1_1",
    "resnet18",
    "resnet50",
    "densenet121",
    "googlenet",
    "inception_v3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
    "swin_t",
    "unet",
];

/// What the tools say, from the tables of tests/golden and tests/counters, by model and tool: FLOPs before MACs; nothing
/// where the tool fails.
fn figures_of_tools() -> HashMap<(String, String), serde_json::Value> {
    let mut found = HashMap::new();
    let text = std::fs::read_to_string(root().join("tests/counters/figures.json"));
    let table: serde_json::Value = serde_json::from_str(&text.expect("figures")).expect("JSON");
    for (model, tools) in table["models"].as_object().expect("models") {
        // The sizes of the files come first.
        let Some((name, _)) = model.split_once(" 1x") else { continue };
        for (tool, figures) in tools.as_object().expect("tools") {
            let figure = figures.get("flops").or(figures.get("macs")).unwrap_or(&figures["none"]);
            found.insert((name.to_owned(), tool.clone()), figure.clone());
        }
    }
    for table in ["counts", "counts_thop_2019"] {
        let text = std::fs::read_to_string(root().join(format!("tests/golden/{table}.json")));
        let table: serde_json::Value = serde_json::from_str(&text.expect("a table")).expect("JSON");
        for model in table["models"].as_array().expect("models") {
            let tools = model["counts"][0].as_object().expect("tools");
            for (tool, figures) in tools.iter().filter(|(_, figures)| figures[0].is_u64()) {
                let name = model["model"].as_str().expect("a name").to_owned();
                found.insert((name, tool.clone()), figures[0].clone());
            }
        }
    }
    found
}

/// Our figure of a model as a tool counts: FLOPs if it gives both.
fn figure(model: &str, convention: &'static conventions::Convention) -> u128 {
    let folder = if model == "mobilenet_v3_small" { "tests/golden" } else { "examples" };
    let path = format!("{folder}/{model}.taper");
    let (workspace, file) = files::load(&path);
    let options = analysis::Options { count: Some(convention), ..Default::default() };
    let analysis = analysis::analyse(&workspace, file, &options);
    let model = &analysis.models[0];
    model.totals().work(model.unit())
}

/// Four conventions to a table, one model to a line.
fn tables_of_tools() -> String {
    let theirs = figures_of_tools();
    let conventions: Vec<&'static conventions::Convention> = conventions::all().collect();
    let mut out = String::new();
    for some in conventions.chunks(4) {
        out.push_str("\n| model |");
        for convention in some {
            write!(out, " `{}` |", convention.name).expect("to write");
        }
        write!(out, "\n| --- |{}\n", " --: |".repeat(some.len())).expect("to write");
        for model in COUNTED {
            write!(out, "| {model} |").expect("to write");
            for convention in some {
                let ours = figure(model, convention);
                let theirs = theirs.get(&(model.to_owned(), convention.name.to_owned()));
                match theirs.map(|figure| figure.as_u64().map(u128::from) == Some(ours)) {
                    Some(false) if theirs.is_some_and(serde_json::Value::is_null) => {
                        out.push_str(" — |")
                    }
                    None => write!(out, " {} |", reports::grouped(ours)).expect("to write"),
                    Some(true) => write!(out, " {} ✓ |", reports::grouped(ours)).expect("to write"),
                    // docs/counting.md says why.
                    Some(false)
                        if (model, convention.name) == ("convnext_tiny", "ultralytics-thop") =>
                    {
                        write!(out, " {} |", reports::grouped(ours)).expect("to write")
                    }
                    Some(false) => panic!("{model}, {}: {ours}", convention.name),
                }
            }
            out.push('\n');
        }
    }
    out
}

#[test]
fn the_tables_of_counting_are_current() {
    let page = std::fs::read_to_string(root().join("docs/counting.md")).expect("the page");
    let (before, rest) = page.split_once("<!-- tables -->\n").expect("a place");
    let (_, after) = rest.split_once("<!-- /tables -->").expect("its end");
    let page = format!("{before}<!-- tables -->\n{}\n<!-- /tables -->{after}", tables_of_tools());
    expect_file!["../../docs/counting.md"].assert_eq(&page);
}

/// The figures of other tools that the page of counting quotes are what the program prints.
#[test]
fn figures_of_other_tools() {
    let page = std::fs::read_to_string(root().join("docs/counting.md")).expect("the page");
    for (model, count) in [("alexnet", "thop"), ("alexnet", "thop-2020"), ("vit_b_16", "thop")] {
        let path = root().join(format!("examples/{model}.taper"));
        let printed = Command::new(env!("CARGO_BIN_EXE_taper"))
            .args(["summary", "--format", "json", "--count", count])
            .arg(path)
            .output()
            .expect("the program");
        let summary: serde_json::Value = serde_json::from_slice(&printed.stdout).expect("JSON");
        assert_eq!((&summary["count"], &summary["totals"]["flops"]), (&count.into(), &().into()));
        for figure in [&summary["totals"]["macs"], &summary["seen_params"]] {
            let figure = reports::grouped(figure.as_u64().expect("a number").into());
            let is_quoted = page.contains(&figure);
            assert!(is_quoted || figure == "61,100,840", "{model}, {count}: {figure}");
        }
    }
}
