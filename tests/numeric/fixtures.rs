//! Whole models: weights under PyTorch's names, inputs, outputs, and activations inside.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType as CandleDType, Device, Tensor};

use super::{TOLERANCE, Tensors, config, difference, files, folder, load};

/// The fixtures: each with its Taper file (that of its `config.json` in the library unless given), the
/// model in it, the symbols of its inputs' dimensions in order (`_` for a size that is no symbol), and
/// what else is set.
const FIXTURES: &str = include_str!("fixtures.json");

#[derive(serde::Deserialize)]
struct Fixture {
    name: String,
    file: Option<String>,
    model: String,
    symbols: Vec<String>,
    #[serde(default)]
    set: BTreeMap<String, String>,
}

#[test]
fn models_give_the_numbers_of_pytorch() {
    let (mut cases, mut activations, mut wrong) = (0, 0, Vec::new());
    let fixtures: Vec<Fixture> = serde_json::from_str(FIXTURES).expect("a list of fixtures");
    for fixture in &fixtures {
        match fixture.compare() {
            Ok((compared, inside)) => {
                cases += compared;
                activations += inside;
            }
            Err(reason) => wrong.push(format!("{}: {reason}", fixture.name)),
        }
    }
    println!(
        "{} models give PyTorch's outputs in {cases} cases, and {activations} activations",
        fixtures.len()
    );
    assert_eq!(wrong, Vec::<String>::new());
}

impl Fixture {
    /// Compares every case; gives their number and that of the activations inside.
    fn compare(&self) -> Result<(usize, usize), String> {
        let io = load(&format!("fixtures/{}/io.safetensors", self.name));
        let (mut cases, mut activations) = (0, 0);
        while io.contains_key(&format!("case{cases}.output")) {
            activations +=
                self.case(&io, cases).map_err(|reason| format!("case {cases}: {reason}"))?;
            cases += 1;
        }
        if cases == 0 { Err("no case".to_owned()) } else { Ok((cases, activations)) }
    }

    fn case(&self, io: &Tensors, case: usize) -> Result<usize, String> {
        let inputs = self.inputs(io, case);
        let mut set: Vec<(String, String)> = self.set.clone().into_iter().collect();
        let sizes = inputs.iter().flat_map(|input| input.dims().iter());
        for (symbol, size) in self.symbols.iter().zip(sizes).filter(|(symbol, _)| *symbol != "_") {
            set.push((symbol.to_string(), size.to_string()));
        }
        // The weights are f32, whatever the model says of its own.
        let (workspace, file, configured) = self.model_file();
        let dtype = Some(layers::DType::F32);
        let options = analysis::Options { set, dtype, configured, ..Default::default() };
        let analysis = analysis::analyse(&workspace, file, &options);
        let expected = [analysis::Code::Expectation, analysis::Code::Promise];
        let errors = analysis.diagnostics.iter().filter(|found| {
            found.severity == analysis::Severity::Error && !expected.contains(&found.code)
        });
        let messages: Vec<&str> = errors.map(|found| found.message.as_str()).collect();
        if !messages.is_empty() {
            return Err(messages.join("; "));
        }
        let model = analysis.model(&self.model).ok_or("no such model")?;
        let line = |error: candle_core::Error| {
            error.to_string().lines().next().unwrap_or_default().to_owned()
        };
        let file = folder().join(format!("fixtures/{}/model.safetensors", self.name));
        let weights = execution::weights(&[file], CandleDType::F32, &Device::Cpu).map_err(line)?;
        let executable = execution::Executable::build(model, weights).map_err(line)?;
        let mut seen: Vec<(String, Tensor)> = Vec::new();
        let outputs = executable.run(&inputs, &mut |done| {
            if let Some(output) = done.outputs.first() {
                seen.push((done.path.to_owned(), output.clone()));
            }
        });
        let outputs = outputs.map_err(line)?;
        let inside = self.activations(io, case, &seen)?;
        self.check(io, "the output", &outputs[0], &format!("case{case}.output"))?;
        Ok(inside)
    }

    /// The file that has the model, with the config's arguments if there is a config.
    fn model_file(&self) -> (analysis::Workspace, analysis::FileId, Option<analysis::Configured>) {
        if let Some(path) = &self.file {
            let (workspace, file) = files::load(path);
            return (workspace, file, None);
        }
        let path = folder().join(format!("fixtures/{}/config.json", self.name));
        let text = std::fs::read_to_string(path).expect("the config");
        let (workspace, file, configured) = config::load(&text).expect("it is in the library");
        (workspace, file, Some(configured))
    }

    /// The inputs of a case by their names, and what BERT takes where it is given nothing else.
    fn inputs(&self, io: &Tensors, case: usize) -> Vec<Tensor> {
        let get = |name: &str| io.get(&format!("case{case}.{name}")).cloned();
        let Some(ids) = get("input_ids") else { return get("input0").into_iter().collect() };
        let mut inputs = vec![ids.clone()];
        if self.name.starts_with("tiny_bert") {
            inputs.push(get("attention_mask").unwrap_or_else(|| ids.ones_like().expect("ones")));
            inputs.push(get("token_type_ids").unwrap_or_else(|| ids.zeros_like().expect("zeros")));
        }
        inputs.extend(get("decoder_input_ids").or_else(|| get("pixel_values")));
        inputs
    }

    /// Compares the activations in the order in which they were made, so that the first that differs
    /// is named.
    fn activations(
        &self,
        io: &Tensors,
        case: usize,
        seen: &[(String, Tensor)],
    ) -> Result<usize, String> {
        let prefix = format!("case{case}.act.");
        let mut expected: HashMap<&str, &str> =
            io.keys().filter_map(|key| Some((key.strip_prefix(&prefix)?, key.as_str()))).collect();
        let count = expected.len();
        for (path, tensor) in seen {
            if let Some(key) = expected.remove(path.as_str()) {
                self.check(io, &format!("`{path}`"), tensor, key)?;
            }
        }
        match expected.is_empty() {
            true => Ok(count),
            false => Err(format!("not seen: {:?}", expected.keys())),
        }
    }

    fn check(&self, io: &Tensors, what: &str, ours: &Tensor, key: &str) -> Result<(), String> {
        let theirs = io.get(key).ok_or_else(|| format!("no {key}"))?;
        // Some modules of transformers flatten batch and sequence.
        let shaped = (ours.elem_count() == theirs.elem_count())
            .then(|| ours.reshape(theirs.shape()).ok())
            .flatten();
        let difference = difference(shaped.as_ref().unwrap_or(ours), theirs);
        if difference <= TOLERANCE {
            return Ok(());
        }
        Err(format!(
            "{what} differs by {difference} of the largest value ({:?} against {:?})",
            ours.dims(),
            theirs.dims()
        ))
    }
}
