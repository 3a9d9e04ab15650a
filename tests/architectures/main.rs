//! The architectures of the library against transformers: for each config the tensors that are
//! saved, by name, dtype and shape, and the FLOPs of every module's matrix products. See extract.py.

#![allow(clippy::panic, clippy::print_stdout)] // A test says what it compares.

#[path = "../files/config.rs"]
mod config;
#[path = "../files/model.rs"]
mod model;

use std::{collections::BTreeMap, path::Path};

use analysis::{Analysis, Options, Workspace};
use serde_json::Value;
use syntax::ast;

use model::{Stored, macs_by_module, stored};

/// Analyses the model of a config with inputs of these shapes.
fn analyse(table: &Value) -> Option<Analysis> {
    let (workspace, file, configured) = config::load(&table["config"].to_string())?;
    let set = sizes(&workspace, file, &configured.model, &table["inputs"]);
    let options = Options { set, configured: Some(configured), ..Options::default() };
    Some(analysis::analyse(&workspace, file, &options))
}

/// The sizes of the symbols that inputs of these shapes have.
fn sizes(
    workspace: &Workspace,
    file: analysis::FileId,
    model: &str,
    inputs: &Value,
) -> Vec<(String, String)> {
    let item = workspace
        .parse(file)
        .file()
        .items()
        .find(|item| item.name().is_some_and(|name| name.text() == model));
    let mut sizes = Vec::new();
    let lines = item.and_then(|item| item.body()).expect("a body").lines();
    for line in lines {
        let ast::Line::Input(input) = line else { continue };
        let name = input.name().expect("a name").text();
        let Some(shape) = inputs[name].as_array() else { continue };
        let pattern = input.shape().and_then(|shape| shape.pattern()).expect("a shape");
        for (dim, size) in pattern.dims().zip(shape) {
            if let ast::Dim::Default { name, .. } = dim {
                sizes.push((name.text().to_owned(), size.to_string()));
            }
        }
    }
    sizes
}

/// `layers.0-31.norm` is 32 names.
fn expanded(entries: &Value) -> BTreeMap<String, &Value> {
    let mut all = BTreeMap::new();
    for (name, value) in entries.as_object().expect("entries") {
        let mut names = vec![String::new()];
        for segment in name.split('.') {
            let range = segment
                .split_once('-')
                .and_then(|(from, to)| Some(from.parse::<u64>().ok()?..=to.parse::<u64>().ok()?));
            let each: Vec<String> = match range {
                Some(range) => range.map(|number| number.to_string()).collect(),
                None => vec![segment.to_owned()],
            };
            let dot = |name: &str| if name.is_empty() { "" } else { "." };
            names = names
                .iter()
                .flat_map(|name| each.iter().map(move |one| format!("{name}{}{one}", dot(name))))
                .collect();
        }
        all.extend(names.into_iter().map(|name| (name, value)));
    }
    all
}

/// What differs between a table and the library's model.
fn differences(table: &Value, analysis: &Analysis) -> Vec<String> {
    let mut differences: Vec<String> =
        analysis.diagnostics.iter().map(|found| format!("says: {}", found.message)).collect();
    let Some(model) = analysis.models.first() else { return differences };
    let dtype = |name: &str| name.to_lowercase();
    let theirs: BTreeMap<String, Stored> = expanded(&table["tensors"])
        .into_iter()
        .map(|(name, one)| {
            let sizes = one[1].as_array().expect("a shape").iter();
            let shape = sizes.map(|size| size.as_u64().expect("a size")).collect();
            (name, (dtype(one[0].as_str().expect("a dtype")), shape))
        })
        .collect();
    let ours = stored(model);
    for (name, tensor) in &theirs {
        match ours.get(name) {
            Some(own) if own == tensor => {}
            Some(own) => differences.push(format!("{name}: {tensor:?}, ours {own:?}")),
            None => differences.push(format!("{name}: {tensor:?} is missing")),
        }
    }
    let extra = ours.keys().filter(|name| !theirs.contains_key(*name));
    differences.extend(extra.map(|name| format!("{name}: {:?} is not theirs", ours[name])));
    let params = table["params"].as_u64().map(u128::from);
    if params != Some(model.totals().params) {
        differences.push(format!("parameters: {params:?}, ours {}", model.totals().params));
    }
    // Where a token's experts are data, the meta device cannot tell the work.
    if table["flops"].is_null() {
        return differences;
    }
    let modules = expanded(&table["flops_by_module"]);
    // FlopCounterMode sees that transformers computes the angles of rotary embeddings by a matrix
    // product of positions and frequencies; here they are a table.
    let is_rotary =
        |name: &str| name.rsplit('.').next().is_some_and(|last| last.contains("rotary_emb"));
    let rotary: Vec<(&str, u128)> = modules
        .iter()
        .filter(|(name, _)| is_rotary(name))
        .filter_map(|(name, flops)| Some((name.as_str(), u128::from(flops.as_u64()?))))
        .collect();
    let ours = macs_by_module(model);
    for (name, flops) in &modules {
        if is_rotary(name) {
            continue;
        }
        let within = |path: &str| {
            name.is_empty()
                || path.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))
        };
        let angles: u128 =
            rotary.iter().filter(|(path, _)| within(path)).map(|(_, flops)| flops).sum();
        let wanted = u128::from(flops.as_u64().unwrap_or(0)) - angles;
        let own = 2 * ours.get(name).copied().unwrap_or(0);
        if own != wanted {
            differences.push(format!("FLOPs of `{name}`: {wanted}, ours {own}"));
        }
    }
    differences
}

/// Every table: its name, what it says, and the analysis of its config, if the library has the model.
fn tables() -> Vec<(String, Value, Option<Analysis>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/architectures/tables");
    let entries = std::fs::read_dir(folder).expect("the tables");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a table").path()).collect();
    files.sort();
    let read = |path: std::path::PathBuf| {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(path).expect("a table");
        let table: Value = serde_json::from_str(&text).expect("JSON");
        let analysis = analyse(&table);
        (name, table, analysis)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn tensors_and_flops() {
    let (mut equal, mut wrong, mut unknown) = (0, 0, Vec::new());
    for (name, table, analysis) in tables() {
        let Some(analysis) = analysis else {
            unknown.push(name);
            continue;
        };
        let differences = differences(&table, &analysis);
        if differences.is_empty() {
            let model = &analysis.models[0];
            let tensors = stored(model).len();
            println!(
                "{name}: {tensors} tensors, {} parameters, FLOPs equal",
                model.totals().params
            );
            equal += 1;
        } else {
            println!("{name}: {} differences", differences.len());
            differences.iter().take(40).for_each(|difference| println!("  {difference}"));
            wrong += 1;
        }
    }
    println!("{equal} equal");
    assert_eq!(wrong, 0, "architectures that differ");
    assert_eq!(unknown, Vec::<String>::new(), "architectures that the library lacks");
}

/// gpt-oss-20b as it is published: what transformers' `Mxfp4GptOssExperts` has for 24 layers, and the
/// rest in bf16.
#[test]
fn quantised_weights() {
    let (_, mut table, _) =
        tables().into_iter().find(|(name, ..)| name == "gpt-oss-20b").expect("its table");
    table["config"]["torch_dtype"] = "bfloat16".into();
    table["config"]["quantization_config"] = serde_json::json!({
        "quant_method": "mxfp4",
        "modules_to_not_convert":
            ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
    });
    let analysis = analyse(&table).expect("it is in the library");
    let model = &analysis.models[0];
    let experts = 24 * (32 * 5760 * 90 * (16 + 1) + 32 * 2880 * 90 * (16 + 1));
    let weights = model.weight_bytes();
    assert_eq!(weights.quantized, Some(("mxfp4".to_owned(), experts)));
    assert_eq!(weights.total(), 13_761_264_768);
    let blocks = "model.layers.0.mlp.experts.gate_up_proj_blocks";
    assert!(model.stored().iter().any(|tensor| tensor.name == blocks));
}

/// docs/architectures.md lists the architectures, each with a config of a real size.
#[test]
fn the_page_is_current() {
    let tables = tables();
    let mut page = String::from(
        "# Architectures\n\n\
         The models that a `config.json` may configure. Each is written in Taper, in `server/library`; its parameters are\n\
         the config's keys, and a key that a config lacks has transformers' default. torchvision's classification models\n\
         stand here under torchvision's names. Tensors, by name, dtype and shape, and the FLOPs of every module's matrix\n\
         products are compared with transformers and torchvision for the sizes given here (`tests/architectures`).\n\
         `taper summary library:resnet50` shows one without a config. To add one, write a model of its name in a `.taper` file beside the config.\n\n\
         <!-- Made from the library by tests/architectures. -->\n\n\
         | architecture | `model_type` | file | for example | tensors | parameters |\n\
         | --- | --- | --- | --- | ---: | ---: |\n",
    );
    for found in library::architectures() {
        let of_this = |(_, table, _): &&(String, Value, Option<Analysis>)| {
            table["config"]["architectures"][0] == found.name
        };
        let example = tables.iter().find(of_this);
        let (name, _, analysis) = example.unwrap_or_else(|| panic!("no table of {}", found.name));
        let model = &analysis.as_ref().expect("it is in the library").models[0];
        page.push_str(&format!(
            "| {} | {} | `{}` | {name} | {} | {} |\n",
            found.name,
            found.model_type.map_or_else(String::new, |name| format!("`{name}`")),
            found.file().path,
            stored(model).len(),
            model.totals().params
        ));
    }
    expect_test::expect_file!["../../docs/architectures.md"].assert_eq(&page);
}
