//! Models against the tables of independent tools: names, shapes and dtypes of all tensors, the
//! sequence of output shapes, and the work of every module, exactly. See extract.py.

#![allow(clippy::panic, clippy::print_stdout)] // A test says what it compares.

#[path = "../files/mod.rs"]
mod files;
#[path = "../files/model.rs"]
mod model;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use analysis::{Model, Options, Totals, What, Workspace};
use layers::Unit;
use serde_json::Value;

use model::{Stored, macs_by_module, stored};

fn analyse(path: &str, settings: &Value) -> analysis::Analysis {
    let (workspace, file) = files::load(path);
    let options =
        analysis::Options { set: self::settings(settings), dtype: None, ..Default::default() };
    analysis::analyse(&workspace, file, &options)
}

/// The keys of a config with their values, those of nested objects with a dot between.
fn settings(config: &Value) -> Vec<(String, String)> {
    let mut settings = Vec::new();
    for (name, value) in config.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => {
                let inner = self::settings(value).into_iter();
                settings.extend(inner.map(|(inner, value)| (format!("{name}.{inner}"), value)));
            }
            Value::String(text) => settings.push((name.clone(), text.clone())),
            other => settings.push((name.clone(), other.to_string())),
        }
    }
    settings
}

fn golden_tensors(table: &Value) -> BTreeMap<String, Stored> {
    let tensors = table["tensors"].as_object().expect("tensors");
    let one = |(name, stored): (&String, &Value)| {
        let dtype = stored[0].as_str().expect("a dtype").to_owned();
        (name.clone(), (dtype, sizes(&stored[1])))
    };
    tensors.iter().map(one).collect()
}

fn sizes(shape: &Value) -> Vec<u64> {
    shape.as_array().expect("a shape").iter().map(|size| size.as_u64().expect("a size")).collect()
}

/// FlopCounterMode sees that transformers computes the angles of rotary embeddings by a matrix
/// product of positions and frequencies; here they are a table.
fn rotary_flops(table: &Value) -> u128 {
    table["flops_by_module"]["model.rotary_emb"].as_u64().unwrap_or(0).into()
}

fn check(golden: &str, path: &str, compares_outputs: bool) {
    let text = std::fs::read_to_string(files::root().join(format!("tests/golden/{golden}.json")));
    let table: Value = serde_json::from_str(&text.expect("the table")).expect("JSON");
    let analysis = analyse(path, &table["settings"]);
    // A conformance file expects the parameters of its defaults; with settings they are others.
    let expected_here = table["settings"].as_object().is_none_or(|settings| settings.is_empty());
    assert!(
        !expected_here || analysis.diagnostics.is_empty(),
        "{path}: {:?}",
        analysis.diagnostics
    );
    let named = table["settings"]["architectures"][0].as_str();
    let named = named.or(table["architecture"].as_str()).and_then(|name| analysis.model(name));
    let model = named.unwrap_or(&analysis.models[0]);

    let (ours, theirs) = (stored(model), golden_tensors(&table));
    for (name, tensor) in &theirs {
        assert_eq!(ours.get(name), Some(tensor), "{path}: {name}");
    }
    let extra: Vec<&String> = ours.keys().filter(|name| !theirs.contains_key(*name)).collect();
    assert_eq!(extra, Vec::<&String>::new(), "{path}: tensors that PyTorch does not have");

    assert_eq!(
        model.totals().params,
        u128::from(table["params"].as_u64().expect("params")),
        "{path}: params"
    );
    let flops = u128::from(table["flops"].as_u64().expect("flops")) - rotary_flops(&table);
    assert_eq!(2 * model.totals().macs, flops, "{path}: FLOPs of matrix products");

    let macs = macs_by_module(model);
    let mut modules = 0;
    for (module, flops) in table["flops_by_module"].as_object().expect("modules") {
        let mut flops = u128::from(flops.as_u64().expect("a count"));
        if module == "model.rotary_emb" {
            continue;
        }
        if matches!(module.as_str(), "" | "model") {
            flops -= rotary_flops(&table);
        }
        assert_eq!(macs.get(module).map(|macs| 2 * macs), Some(flops), "{path}: {module}");
        modules += 1;
    }
    let outputs = if compares_outputs { check_outputs(model, &table, path) } else { 0 };
    println!(
        "{path} ({golden}): {} tensors, {} parameters, {modules} modules' FLOPs, {outputs} output shapes equal",
        theirs.len(),
        model.totals().params
    );
}

/// The outputs of all modules, in order of execution, by class. Dropout does nothing at inference,
/// so a model may leave it out.
fn check_outputs(model: &Model, table: &Value, path: &str) -> usize {
    let golden = table["outputs"].as_array().expect("outputs");
    let golden: Vec<(String, Vec<u64>)> = golden
        .iter()
        .map(|row| (row[0].as_str().expect("a class").to_owned(), sizes(&row[2])))
        .filter(|(class, _)| !matches!(class.as_str(), "Dropout" | "StochasticDepth" | "Identity"))
        .collect();
    if golden.is_empty() {
        return 0;
    }
    let classes: BTreeSet<&str> = golden.iter().map(|(class, _)| class.as_str()).collect();
    let mut ours = Vec::new();
    model.rows(|row| {
        if let What::Layer(layer) = &row.step.what {
            let is_module = layer.is_module();
            if is_module && classes.contains(layer.kind) {
                ours.push((layer.kind.to_owned(), row.step.outputs[0].ty.shape.to_vec()));
            }
        }
        ControlFlow::Continue(())
    });
    assert_eq!(ours, golden, "{path}: the sequence of output shapes");
    ours.len()
}

macro_rules! models {
    ($($name:ident: $golden:literal $path:literal;)*) => {$(
        #[test]
        fn $name() {
            check($golden, $path, true);
        }
    )*};
}

models! {
    alexnet: "alexnet" "examples/alexnet.taper";
    vgg16: "vgg16" "examples/vgg16.taper";
    resnet18: "resnet18" "examples/resnet18.taper";
    resnet50: "resnet50" "examples/resnet50.taper";
    densenet121: "densenet121" "examples/densenet121.taper";
    vit_b_16: "vit_b_16" "examples/vit_b_16.taper";
    gpt2: "gpt2" "examples/gpt2.taper";
    llama2_7b: "llama2_7b" "examples/llama2_7b.taper";
    mixtral_8x7b: "mixtral_8x7b" "examples/mixtral_8x7b.taper";
    squeezenet1_1: "squeezenet1_1" "examples/squeezenet1_1.taper";
    googlenet: "googlenet" "examples/googlenet.taper";
    inception_v3: "inception_v3" "examples/inception_v3.taper";
    mobilenet_v2: "mobilenet_v2" "examples/mobilenet_v2.taper";
    mobilenet_v3_small: "mobilenet_v3_small" "tests/golden/mobilenet_v3_small.taper";
    efficientnet_b0: "efficientnet_b0" "examples/efficientnet_b0.taper";
    unet: "unet" "examples/unet.taper";
    bert_base: "bert_base" "examples/bert_base.taper";
    t5_small: "t5_small" "examples/t5_small.taper";
    whisper_base: "whisper_base" "examples/whisper_base.taper";
    clip_vit_b_32: "clip_vit_b_32" "examples/clip_vit_b_32.taper";
    mamba_130m: "mamba_130m" "examples/mamba_130m.taper";
    library_llama2_13b: "llama-2-13b" "server/library/huggingface/llama.taper";
    library_qwen2_7b: "qwen2-7b" "server/library/huggingface/qwen2.taper";
    library_qwen3_0_6b: "qwen3-0.6b" "server/library/huggingface/qwen3.taper";
    library_phi2: "phi-2" "server/library/huggingface/phi.taper";
    conformance_alexnet: "alexnet" "tests/conformance/alexnet.taper";
    conformance_gpt2: "gpt2" "tests/conformance/gpt2.taper";
    conformance_llama3_70b: "llama3_70b" "tests/conformance/llama3_8b.taper";
    conformance_llama3_1b: "llama3_1b" "tests/conformance/llama3_8b.taper";
    conformance_mixtral_8x7b: "mixtral_8x7b" "tests/conformance/mixtral_8x7b.taper";
    conformance_resnet50: "resnet50" "tests/conformance/resnet50.taper";
    conformance_vit_b_16: "vit_b_16" "tests/conformance/vit_b_16.taper";
}

/// These files write as layers what torchvision calls as functions, so the sequence of modules is
/// another one.
#[test]
fn conformance_with_functions_as_layers() {
    check("densenet121", "tests/conformance/densenet121.taper", false);
    check("swin_t", "tests/conformance/swin_t.taper", false);
    check("swin_t", "examples/swin_t.taper", false);
    check("convnext_tiny", "examples/convnext_tiny.taper", false);
}

/// Bytes of parameters, buffers and caches and the peak of activations, as PyTorch allocates them
/// (tests/peers/memory.py).
#[test]
fn memory() {
    let text = std::fs::read_to_string(files::root().join("tests/golden/memory.json"));
    let table: BTreeMap<String, Value> =
        serde_json::from_str(&text.expect("the table")).expect("JSON");
    for (name, theirs) in &table {
        let path = format!("examples/{name}.taper");
        let settings = match theirs["cache_bytes"].as_array() {
            Some(_) => serde_json::json!({"num_hidden_layers": 2}),
            None => Value::Null,
        };
        let analysis = analyse(&path, &settings);
        let weights = analysis.models[0].weight_bytes();
        for (ours, key) in
            [(weights.params, "param_bytes_by_dtype"), (weights.buffers, "buffer_bytes_by_dtype")]
        {
            let ours: BTreeMap<String, u128> =
                ours.iter().map(|(dtype, bytes)| (dtype.to_string(), *bytes)).collect();
            assert_eq!(serde_json::json!(ours), theirs[key], "{path}: {key}");
        }
        if let Some(peak) = theirs["peak_activation_bytes"].as_u64() {
            assert_eq!(analysis.models[0].peak_activation_bytes(), peak.into(), "{path}: the peak");
        }
        for case in theirs["cache_bytes"].as_array().into_iter().flatten() {
            let [past, length, bytes] = sizes(case)[..] else { panic!("{case} has three numbers") };
            let settings = serde_json::json!({"num_hidden_layers": 2, "past": past, "T": length});
            let analysis = analyse(&path, &settings);
            let ours = analysis.models[0].totals().cache_bytes;
            assert_eq!(ours, bytes.into(), "{path}: the cache after {past} and {length}");
        }
    }
    assert_eq!(table.len(), 6);
}

/// Every example and conformance file checks without an error, warning or hint.
#[test]
fn all_files_check() {
    let mut checked = 0;
    for folder in ["examples", "tests/conformance"] {
        for entry in std::fs::read_dir(files::root().join(folder)).expect("a folder") {
            let name = entry.expect("a file").file_name().into_string().expect("a name");
            if !name.ends_with(".taper") {
                continue;
            }
            let analysis = analyse(&format!("{folder}/{name}"), &Value::Null);
            assert_eq!(analysis.diagnostics, [], "{folder}/{name}");
            assert!(!analysis.models.is_empty(), "{folder}/{name}");
            checked += 1;
        }
    }
    println!("{checked} files check");
    assert_eq!(checked, 41);
}

/// The text of a file with its image of another size.
fn at_size(text: &str, input: &[u64]) -> String {
    let start = text.find("input image: f32").expect("an image");
    let end = start + text[start..].find('\n').expect("a line");
    let [batch, channels, height, width] = input else { panic!("{input:?}: not an image") };
    let image = format!("f32[N = {batch}, {channels}, H = {height}, W = {width}]");
    format!("{}input image: {image}{}", &text[..start], &text[end..])
}

/// What a model is at an input to a tool.
fn counted(
    path: &str,
    input: &[u64],
    convention: &'static conventions::Convention,
) -> analysis::Analysis {
    let (mut workspace, _) = files::load(path);
    let text = std::fs::read_to_string(files::root().join(path)).expect("a text");
    let file = workspace.insert(path, syntax::parse(&at_size(&text, input)));
    let options = analysis::Options { count: Some(convention), ..Default::default() };
    analysis::analyse(&workspace, file, &options)
}

/// What a tool says of a model: its figures, FLOPs before MACs, and the parameters that it sees.
fn figures(model: &Model, convention: &conventions::Convention) -> Vec<u128> {
    let totals = model.totals();
    let given = [(Unit::Flops, totals.flops), (Unit::Macs, totals.macs)];
    let given = given.into_iter().filter(|(unit, _)| convention.gives(*unit));
    given.map(|(_, figure)| figure).chain([analysis::Seen::of(model).params]).collect()
}

fn by_name(name: &str) -> &'static conventions::Convention {
    conventions::all().find(|one| one.name == name).expect("a convention")
}

fn path_of(model: &str) -> String {
    match model {
        "mobilenet_v3_small" => "tests/golden/mobilenet_v3_small.taper".to_owned(),
        _ => format!("examples/{model}.taper"),
    }
}

fn read(name: &str) -> Value {
    let text = std::fs::read_to_string(files::root().join(format!("tests/golden/{name}.json")));
    serde_json::from_str(&text.expect("the table")).expect("JSON")
}

/// Each tool's figures of each model, at each input.
#[test]
fn conventions() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for table in ["counts", "counts_thop_2019"] {
        for model in read(table)["models"].as_array().expect("models") {
            let name = model["model"].as_str().expect("a name");
            for row in model["counts"].as_array().expect("counts") {
                let input = sizes(&row["input"]);
                for (tool, theirs) in row.as_object().expect("tools").iter().skip(1) {
                    let convention = by_name(tool);
                    let theirs: Vec<u128> = sizes(theirs).into_iter().map(u128::from).collect();
                    let analysis = counted(&path_of(name), &input, convention);
                    let ours = figures(&analysis.models[0], convention);
                    if !ours.starts_with(&theirs) {
                        wrong.push(format!("{name} {input:?} {tool}: {ours:?}, not {theirs:?}"));
                    }
                    compared += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 500, "only {compared}");
}

/// Each tool's figure of each module.
#[test]
fn conventions_by_module() {
    let (mut compared, mut wrong) = (0, Vec::new());
    for model in read("counts")["models"].as_array().expect("models") {
        let name = model["model"].as_str().expect("a name");
        let input = sizes(&model["counts"][0]["input"]);
        if !files::root().join(format!("tests/golden/{name}.json")).exists() {
            continue;
        }
        for (tool, theirs) in read(name)["counts_by_module"].as_object().expect("tools") {
            let convention = by_name(tool);
            let analysis = counted(&path_of(name), &input, convention);
            let figure = |totals: &Totals| match convention.gives(Unit::Flops) {
                true => totals.flops,
                false => totals.macs,
            };
            // A block may be a layer to PyTorch.
            let mut ours: BTreeMap<String, u128> = BTreeMap::new();
            analysis.models[0].steps(|visited| {
                if matches!(visited.step.what, What::Layer(_) | What::Part(_)) {
                    *ours.entry(visited.path.to_owned()).or_default() +=
                        figure(&visited.step.totals);
                }
                ControlFlow::Continue(())
            });
            for (path, theirs) in theirs.as_object().expect("modules") {
                let (ours, theirs) = (ours.get(path), theirs.as_u64().map(u128::from));
                if ours.copied() != theirs {
                    wrong.push(format!("{name} {tool} {path}: {ours:?}, not {theirs:?}"));
                }
                compared += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(compared >= 5000, "only {compared}");
}

/// The models of transformers, their table, and the file that has them here.
const HUGGINGFACE: [(&str, &str); 14] = [
    ("gpt2", "examples/gpt2.taper"),
    ("llama2_7b", "examples/llama2_7b.taper"),
    ("llama3_70b", "tests/conformance/llama3_8b.taper"),
    ("llama3_1b", "tests/conformance/llama3_8b.taper"),
    ("mixtral_8x7b", "examples/mixtral_8x7b.taper"),
    ("bert_base", "examples/bert_base.taper"),
    ("t5_small", "examples/t5_small.taper"),
    ("whisper_base", "examples/whisper_base.taper"),
    ("clip_vit_b_32", "examples/clip_vit_b_32.taper"),
    ("mamba_130m", "examples/mamba_130m.taper"),
    ("llama-2-13b", "server/library/huggingface/llama.taper"),
    ("qwen2-7b", "server/library/huggingface/qwen2.taper"),
    ("qwen3-0.6b", "server/library/huggingface/qwen3.taper"),
    ("phi-2", "server/library/huggingface/phi.taper"),
];

/// torch's FLOPs, and calflops' of transformers' two kinds of attention: of the fused one it sees nothing,
/// of the eager one two products and a softmax.
#[test]
fn conventions_of_transformers() {
    for (name, path) in HUGGINGFACE {
        let table = read(name);
        let (workspace, file) = files::load(path);
        let analyse = |tool: &str| {
            let (set, count) = (settings(&table["settings"]), Some(by_name(tool)));
            let options = analysis::Options { set, count, ..Default::default() };
            analysis::analyse(&workspace, file, &options)
        };
        let model = |analysis: &analysis::Analysis| {
            let named = table["settings"]["architectures"][0].as_str();
            let named = named.or(table["architecture"].as_str());
            let at = named.and_then(|name| analysis.models.iter().position(|one| one.name == name));
            at.unwrap_or(0)
        };
        let torch = analyse("torch");
        let totals = torch.models[model(&torch)].totals();
        let flops = number(&table["flops"]).expect("FLOPs") - rotary_flops(&table);
        assert_eq!(totals.flops, flops, "{name}: torch");

        let calflops = analyse("calflops");
        let model = &calflops.models[model(&calflops)];
        let totals = model.totals();
        let [eager_flops, eager_macs, fused_macs] =
            [0, 1, 2].map(|at| number(&table["calflops"][at]));
        assert!(fused_macs.is_none_or(|macs| macs == totals.macs), "{name}: {} MACs", totals.macs);
        let (products, scores) = attention(model);
        assert_eq!(Some(totals.macs + products), eager_macs, "{name}: eager MACs");
        // The vectors of GPT-2's biases are a sum here, and no part of a product.
        let biases = if name == "gpt2" { 82_944 } else { 0 };
        let eager = totals.flops + 2 * products + scores + biases;
        assert_eq!(Some(eager), eager_flops, "{name}: eager FLOPs");
    }
}

/// The MACs and the scores of all attentions.
fn attention(model: &Model) -> (u128, u128) {
    let (mut products, mut scores) = (0, 0);
    model.rows(|row| {
        if row.step.kind() == "ScaledDotProductAttention" && !row.idle {
            let cost = row.step.own_cost();
            products += cost.macs().expect("MACs");
            let term = cost.terms.iter().find(|term| term.name == "scores").expect("scores");
            let factors = term.factors.iter().filter(|(name, _)| *name != "E");
            scores += factors.map(|(_, size)| size).product::<u128>();
        }
        ControlFlow::Continue(())
    });
    (products, scores)
}

fn number(value: &Value) -> Option<u128> {
    value.as_u64().map(u128::from)
}

/// What PyTorch keeps for the backward pass on a GPU, and the FLOPs of both passes (tests/peers/training.py
/// --device cuda, on an H200).
#[test]
fn training() {
    for (name, theirs) in read("training").as_object().expect("models") {
        let (workspace, file) = files::load(&path_of(name));
        let set = vec![("N".to_owned(), theirs["batch"].to_string())];
        let options =
            analysis::Options { set, count: Some(by_name("torch")), ..Default::default() };
        let analysis = analysis::analyse(&workspace, file, &options);
        let model = &analysis.models[0];
        let ours = reports::Training::of(model, reports::Recomputation::None).expect("a sum");
        // Attention in f32 rounds the number of its sums up to 32, and keeps two seeds: 12 times.
        let of_kernels = if name == "vit_b_16" { 12 * (2 * 12 * (224 - 197) * 4 + 16) } else { 0 };
        assert_eq!(Some(ours.kept_bytes + of_kernels), number(&theirs["kept"]), "{name}: kept");
        let flops = model.totals().flops + 2 * ours.backward_macs;
        // FlopCounterMode counts the gradients of grouped weights as often as there are groups
        // (pytorch pull request 183405). All but the image's gradient is as much as forward.
        let theirs = match name.as_str() {
            "mobilenet_v2" => Some(3 * model.totals().flops - 2 * 2 * 32 * 112 * 112 * 27),
            _ => number(&theirs["flops"]),
        };
        assert_eq!(Some(flops), theirs, "{name}: FLOPs");
    }
}

/// Computed again, blocks keep what goes into them, and one of them at a time what is inside.
#[test]
fn training_with_recomputation() {
    let mut workspace = analysis::Workspace::default();
    let text = "block B { a: Linear(64, bias=false); GELU; b: Linear(16, bias=false) }
model M { input x: f32[N = 4, 16]; first: Linear(16, bias=false); repeat 3 { B } }";
    let file = workspace.insert("m.taper", syntax::parse(text));
    let analysis = analysis::analyse(&workspace, file, &Default::default());
    let of =
        |recomputation| reports::Training::of(&analysis.models[0], recomputation).expect("a sum");
    let (small, large) = (4 * 16 * 4u128, 4 * 64 * 4u128);
    let all = of(reports::Recomputation::None);
    // The input, what goes into each block, and its two wide tensors.
    assert_eq!(all.kept_bytes, small + 3 * (small + 2 * large));
    assert_eq!(all.recomputed_flops, 0);
    let again = of(reports::Recomputation::Blocks);
    assert_eq!(again.kept_bytes, small + 3 * small + 2 * large);
    assert_eq!(again.recomputed_flops, 3 * (2 * 2 * 4 * 16 * 64 + 4 * 64));
    // No gradient of the input: one product less.
    let forward = analysis.models[0].totals().macs;
    assert_eq!(all.backward_macs, 2 * forward - 4 * 16 * 16);
    assert_eq!(again.backward_macs, all.backward_macs);
}

/// The figures that tests/counters/run.sh takes from the tools.
fn figures_of_tools() -> Value {
    let path = files::root().join("tests/counters/figures.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("figures")).expect("JSON")
}

/// ultralytics-thop takes torchvision's `LayerNorm2d` for the `nn.LayerNorm` that it derives from: 4 for each element. Here it
/// is a block.
const NORMS_OF_CONVNEXT: u128 = 4 * (2 * 96 * 56 * 56 + 192 * 28 * 28 + 384 * 14 * 14 + 768);

/// Whether a model has a tool's figures; how many were compared.
fn compare(model: &Model, theirs: &Value, what: &str, wrong: &mut Vec<String>) -> usize {
    let totals = model.totals();
    let ours = [
        ("macs", totals.macs),
        ("flops", totals.flops),
        ("params", analysis::Seen::of(model).params),
    ];
    let pairs = ours.iter().filter_map(|(unit, ours)| Some((unit, ours, number(&theirs[unit])?)));
    let mut compared = 0;
    for (unit, ours, theirs) in pairs {
        compared += 1;
        if *ours != theirs {
            wrong.push(format!("{what}: {ours} {unit}, not {theirs}"));
        }
    }
    compared
}

/// Modules on which the tools differ, and torchvision's models, against the tools.
#[test]
fn counters() {
    let figures = figures_of_tools();
    let text = std::fs::read_to_string(files::root().join("tests/counters/models.taper"));
    let text = text.expect("a file");
    let mut wrong = Vec::new();
    for convention in conventions::all() {
        let mut compared = 0;
        let mut workspace = Workspace::default();
        let file = workspace.insert("models.taper", syntax::parse(&text));
        let options = Options { count: Some(convention), ..Options::default() };
        let analysis = analysis::analyse(&workspace, file, &options);
        for (name, theirs) in figures["cases"].as_object().expect("cases") {
            let model = analysis.model(name).expect("a model");
            let what = format!("{} {name}", convention.name);
            compared += compare(model, &theirs[convention.name], &what, &mut wrong);
        }
        for (name, theirs) in figures["models"].as_object().expect("models") {
            let (path, input) = name.split_once(' ').expect("a size");
            let input: Vec<u64> =
                input.split('x').map(|size| size.parse().expect("a size")).collect();
            let analysis = counted(&format!("examples/{path}.taper"), &input, convention);
            let what = format!("{} {name}", convention.name);
            let mut theirs = theirs[convention.name].clone();
            if let ("ultralytics-thop", "convnext_tiny", Some(macs)) =
                (convention.name, path, number(&theirs["macs"]))
            {
                let less = macs - NORMS_OF_CONVNEXT * u128::from(input[0]);
                theirs["macs"] = u64::try_from(less).expect("MACs").into();
            }
            compared += compare(&analysis.models[0], &theirs, &what, &mut wrong);
        }
        println!("{}: {compared} figures of models compared", convention.name);
        assert!(compared >= 20, "{}: only {compared}", convention.name);
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
