//! Exported modules of Candle: they stay the same, they build, and with PyTorch's weights they give PyTorch's
//! numbers. `check.py` does the same for all models.

// What is exported is written as the exporter writes it, and may leave out nothing.
#[allow(clippy::pedantic, clippy::style, dead_code)]
mod exported {
    #[rustfmt::skip]
    pub mod lstm_classifier;
    #[rustfmt::skip]
    pub mod narrow_resnet18;
    #[rustfmt::skip]
    pub mod small_swin;
    #[rustfmt::skip]
    pub mod tiny_mixtral;
    #[rustfmt::skip]
    pub mod tiny_t5;
}

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use expect_test::expect_file;
use translate::export;

use super::{config, files};

type Run = fn(VarBuilder<'_>, &[Tensor]) -> Result<Tensor>;

/// Fixtures of tests/numeric that show each kind of structure, with their inputs and what runs them.
const EXPORTED: &[(&str, &[&str], Run)] = &[
    ("lstm_classifier", &["input0"], |vb, x| {
        exported::lstm_classifier::LSTMClassifier::new(vb)?.forward(&x[0])
    }),
    ("narrow_resnet18", &["input0"], |vb, x| {
        exported::narrow_resnet18::NarrowResNet18::new(vb)?.forward(&x[0])
    }),
    ("small_swin", &["input0"], |vb, x| exported::small_swin::SwinT::new(vb)?.forward(&x[0])),
    ("tiny_mixtral", &["input_ids"], |vb, x| {
        exported::tiny_mixtral::MixtralForCausalLM::new(vb)?.forward(&x[0])
    }),
    ("tiny_t5", &["input_ids", "decoder_input_ids"], |vb, x| {
        exported::tiny_t5::T5ForConditionalGeneration::new(vb)?.forward(&x[0], &x[1])
    }),
];

/// The largest difference that is allowed, as a share of the largest value.
const TOLERANCE: f32 = 1e-4;

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
fn exported_modules_give_the_numbers_of_pytorch() {
    let fixtures = include_str!("../../numeric/fixtures.json");
    let fixtures: Vec<Fixture> = serde_json::from_str(fixtures).expect("a list of fixtures");
    for (name, inputs, run) in EXPORTED {
        let fixture = fixtures.iter().find(|one| one.name == *name).expect("a fixture");
        let io = load(&format!("{name}/io.safetensors"));
        let inputs: Vec<Tensor> =
            inputs.iter().map(|input| io[&format!("case0.{input}")].clone()).collect();
        let page = format!("exported/{name}.rs");
        expect_file![page].assert_eq(&fixture.exported(&inputs));
        let weights = load(&format!("{name}/model.safetensors"));
        let weights = VarBuilder::from_tensors(weights, DType::F32, &Device::Cpu);
        let output = run(weights, &inputs).unwrap_or_else(|error| panic!("{name}: {error}"));
        let found = difference(&output, &io["case0.output"]).expect("the same shape");
        assert!(found <= TOLERANCE, "{name}: {found}");
    }
}

impl Fixture {
    /// The module at the sizes of the inputs.
    fn exported(&self, inputs: &[Tensor]) -> String {
        let (workspace, file, configured) = match &self.file {
            Some(path) => {
                let (workspace, file) = files::load(path);
                (workspace, file, None)
            }
            None => {
                let path = format!("tests/numeric/fixtures/{}/config.json", self.name);
                let text = std::fs::read_to_string(files::root().join(path)).expect("the config");
                let (workspace, file, configured) =
                    config::load(&text).expect("the library has it");
                (workspace, file, Some(configured))
            }
        };
        let sizes = inputs.iter().flat_map(Tensor::dims).map(usize::to_string);
        let symbols = self.symbols.iter().cloned().zip(sizes).filter(|(name, _)| name != "_");
        let set = self.set.clone().into_iter().chain(symbols).collect();
        let options = analysis::Options { set, configured, ..Default::default() };
        let analysis = analysis::analyse(&workspace, file, &options);
        let model = analysis.model(&self.model).expect("the model");
        let exported = export::candle(&workspace, file, &options, model);
        exported.unwrap_or_else(|error| panic!("{}: {error}", self.name)).text
    }
}

fn load(path: &str) -> HashMap<String, Tensor> {
    let path = files::root().join("tests/numeric/fixtures").join(path);
    candle_core::safetensors::load(path, &Device::Cpu).expect("tensors")
}

fn difference(ours: &Tensor, theirs: &Tensor) -> Result<f32> {
    let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
    Ok(largest(&(ours - theirs)?)? / largest(theirs)?.max(1e-6))
}
