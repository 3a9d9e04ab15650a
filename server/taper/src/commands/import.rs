//! `taper import`: a PyTorch module as a file to edit.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
    sync::Arc,
};

use analysis::{Code, Diagnostic, Options, Severity, Workspace};
use checkpoint::{Checkpoint, Dtype, Format};
use clap::Args;
use translate::import::{self, Imported, Trace};

use crate::report;

#[derive(Args)]
pub struct Arguments {
    /// What makes the module: `torchvision.models:resnet18`, or `my_file.py:Net(10)`.
    module: String,
    /// An input, as Taper has it: "f32[N = 1, 3, H = 224, W = 224]". A size with a name may be any.
    #[arg(long, value_name = "TYPE", required = true)]
    input: Vec<String>,
    /// The Python that has PyTorch.
    #[arg(long, default_value = "python3")]
    python: PathBuf,
    /// The file that is written; standard output unless given.
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
}

pub fn run(arguments: &Arguments) -> super::Result {
    let (inputs, others) = sizes(&arguments.input)?;
    let trace = trace(arguments, &inputs, &others)?;
    let mut imported = import::pytorch(&trace, &arguments.module, &arguments.input);
    imported.expect_traced_sizes(&trace, &as_torch_counts());
    match &arguments.output {
        Some(path) => std::fs::write(path, &imported.text)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?,
        None => anstream::print!("{}", imported.text),
    }
    for lost in &imported.lost {
        report::warning(&format!("not carried over: {lost}"));
    }
    // A folder in the name would be where the weights that it is compared with are looked for.
    let name = arguments.output.as_ref().and_then(|path| path.file_name());
    let name = name.map_or("imported.taper".into(), |name| name.to_string_lossy());
    let is_same = check(&imported, &trace, &name);
    Ok(if is_same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The inputs as the script takes them: shapes at the sizes shown, and dtypes. Then those at other sizes, of each name some.
fn sizes(inputs: &[String]) -> Result<(String, String), String> {
    let lines = inputs.iter().enumerate().map(|(index, spec)| format!("input x{index}: {spec}\n"));
    let text = format!("model M {{\n{}}}\n", lines.collect::<String>());
    let mut workspace = Workspace::default();
    let file = workspace.insert("inputs.taper", syntax::parse(&text));
    let types = |set: Vec<(String, String)>| {
        let analysis = analysis::analyse(&workspace, file, &Options { set, ..Options::default() });
        let model = analysis.models.first().filter(|model| model.part.inputs.len() == inputs.len());
        let errors: Vec<&str> =
            analysis.diagnostics.iter().map(|found| found.message.as_str()).collect();
        let Some(model) = model.filter(|_| !analysis.has_errors()) else {
            return Err(format!(
                "an input is like \"f32[N = 1, 3, 224, 224]\": {}",
                errors.join("; ")
            ));
        };
        let types = model.part.inputs.iter();
        let types: Vec<serde_json::Value> = types
            .map(|input| serde_json::json!([input.ty.shape.to_vec(), input.ty.dtype.to_string()]))
            .collect();
        let symbols = model.symbols.iter().map(|symbol| (symbol.name.to_string(), symbol.size));
        Ok((types, symbols.collect::<Vec<_>>()))
    };
    let (shown, symbols) = types(Vec::new())?;
    let mut others = Vec::new();
    for (name, size) in &symbols {
        for other in other_sizes(*size) {
            let set = (name.clone(), other.to_string());
            if let Ok((inputs, _)) = types(vec![set.clone()]) {
                others.push(serde_json::json!({"set": set, "inputs": inputs}));
            }
        }
    }
    Ok((serde_json::Value::Array(shown).to_string(), serde_json::Value::Array(others).to_string()))
}

/// Sizes at which a condition may be answered otherwise: near, where nothing divides them, and far.
fn other_sizes(size: u64) -> impl Iterator<Item = u64> {
    let others =
        [size.checked_sub(1), size.checked_add(1), size.checked_mul(2), size.checked_mul(8)];
    others.into_iter().flatten().filter(move |other| *other > 0 && *other != size)
}

/// PyTorch's own rules, by which the file is compared with runs of the module.
fn as_torch_counts() -> Options {
    let count = conventions::all().find(|one| one.name == "torch");
    Options { count, ..Options::default() }
}

/// Has Python trace the module.
fn trace(arguments: &Arguments, inputs: &str, others: &str) -> Result<Trace, String> {
    let python = arguments.python.display();
    let run = Command::new(&arguments.python)
        .args(["-W", "ignore", "-c", import::SCRIPT, &arguments.module, inputs, others])
        .output()
        .map_err(|error| {
            format!("cannot run {python}: {error}; `--python` says which one has PyTorch")
        })?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        return Err(format!("{python} cannot run the tracing script: {last}"));
    }
    let said: serde_json::Value = serde_json::from_slice(&run.stdout)
        .map_err(|error| format!("what the tracing script printed is no JSON: {error}"))?;
    if let Some(error) = said.get("error").and_then(serde_json::Value::as_str) {
        return Err(format!("{python} cannot trace {}: {error}", arguments.module));
    }
    serde_json::from_value(said)
        .map_err(|error| format!("what the tracing script printed is not as expected: {error}"))
}

/// Whether the file checks; what is other than in the module is printed: tensors of its `state_dict`, work, outputs.
fn check(imported: &Imported, trace: &Trace, name: &str) -> bool {
    // The model is the last item; what it is compared with stands in no file.
    let body = imported.text.trim_end().trim_end_matches('}');
    let compared = format!("{body}    weights \"{STATE}\"\n}}\n");
    let mut workspace = Workspace::default();
    let file = workspace.insert(name, syntax::parse(&compared));
    workspace.insert_weights(STATE, Ok(Arc::new(state(trace))));
    let analysis = analysis::analyse(&workspace, file, &as_torch_counts());
    let (of_weights, others): (Vec<Diagnostic>, Vec<Diagnostic>) = analysis
        .diagnostics
        .iter()
        .cloned()
        .partition(|found| usize::from(found.place.range.start()) >= body.len());
    // That a size is fixed was told with its reason.
    let others: Vec<Diagnostic> =
        others.into_iter().filter(|found| found.code != Code::FixedSymbol).collect();
    report::print(&workspace, &others);
    let differs = of_weights.iter().filter(|found| found.severity != Severity::Hint);
    let differs: Vec<&Diagnostic> = differs.collect();
    for found in &differs {
        report::warning(&found.message.replace("the file", "the module's state_dict"));
    }
    if analysis.has_errors() {
        return false;
    }
    for difference in
        analysis.model(&imported.model).iter().flat_map(|model| trace.differences(model))
    {
        report::warning(&difference);
    }
    if !differs.is_empty() {
        return true;
    }
    let (model, count) = (&imported.model, trace.state.len());
    let again = match trace.again.iter().map(|one| one.tensors).sum::<usize>() {
        0 => String::new(),
        again => format!(", which has {again} of them again under other names"),
    };
    anstream::eprintln!("`{model}` has the {count} tensors of the module's state_dict{again}");
    true
}

/// What the module's `state_dict` is called where it is compared.
const STATE: &str = "state_dict";

fn state(trace: &Trace) -> Checkpoint {
    let tensors = trace.state.iter().map(|(name, tensor)| checkpoint::Tensor {
        name: name.clone(),
        dtype: Dtype::Unknown(tensor.dtype.clone().into()),
        shape: tensor.shape.iter().copied().collect(),
        bytes: 0,
        file: 0,
    });
    Checkpoint {
        format: Format::Safetensors,
        tensors: tensors.collect(),
        files: vec![STATE.to_owned()],
        metadata: Vec::new(),
        problems: Vec::new(),
    }
}
