//! Whole models: weights under PyTorch's names, inputs, outputs, and activations inside.

use std::collections::HashMap;

use candle_core::{DType as CandleDType, Device, Tensor};

use super::{TOLERANCE, Tensors, config, difference, files, folder, load};

/// Instead of a Taper file: the model is that of the fixture's `config.json`, from the library.
const CONFIG: &str = "config.json";

/// A fixture, the Taper file, the model in it, and the symbols of its inputs' dimensions in order (`_`
/// for a size that is no symbol).
const FIXTURES: &[(&str, &str, &str, &str)] = &[
    ("narrow_alexnet", "tests/numeric/models/narrow_alexnet.taper", "NarrowAlexNet", "N _ H W"),
    ("narrow_resnet18", "tests/numeric/models/narrow_resnet18.taper", "NarrowResNet18", "N _ H W"),
    (
        "mobilenet_v3_small_w035",
        "tests/golden/mobilenet_v3_small.taper",
        "MobileNetV3Small",
        "N _ H W",
    ),
    ("small_unet", "tests/numeric/models/small_unet.taper", "SmallUNet", "N _ H W"),
    ("small_vit", "examples/vit_b_16.taper", "ViTB16", "N _ _ _"),
    ("small_swin", "examples/swin_t.taper", "SwinT", "N _ H W"),
    ("lstm_classifier", "tests/numeric/models/lstm_classifier.taper", "LSTMClassifier", "N T"),
    ("gru_tagger", "tests/numeric/models/gru_tagger.taper", "GRUTagger", "N T"),
    ("torch_encoder", "tests/numeric/models/torch_encoder.taper", "TorchEncoder", "N T"),
    ("tiny_bert", CONFIG, "BertModel", "B T"),
    ("tiny_bert_mlm", CONFIG, "BertForMaskedLM", "B T"),
    ("tiny_deepseek_v3", CONFIG, "DeepseekV3ForCausalLM", "B T"),
    ("tiny_deepseek_v3_yarn", CONFIG, "DeepseekV3ForCausalLM", "B T"),
    ("tiny_gemma2", CONFIG, "Gemma2ForCausalLM", "B T"),
    ("tiny_gpt2", CONFIG, "GPT2LMHeadModel", "B T"),
    ("tiny_gpt_oss", CONFIG, "GptOssForCausalLM", "B T"),
    ("tiny_gptneox", CONFIG, "GPTNeoXForCausalLM", "B T"),
    ("tiny_llama", CONFIG, "LlamaForCausalLM", "B T"),
    ("tiny_llama31_rope", CONFIG, "LlamaForCausalLM", "B T"),
    ("tiny_llava", CONFIG, "LlavaForConditionalGeneration", "B T N _ _ _"),
    ("tiny_mamba", CONFIG, "MambaForCausalLM", "B T"),
    ("tiny_mixtral", CONFIG, "MixtralForCausalLM", "B T"),
    ("tiny_phi", CONFIG, "PhiForCausalLM", "B T"),
    ("tiny_qwen2", CONFIG, "Qwen2ForCausalLM", "B T"),
    ("tiny_qwen3", CONFIG, "Qwen3ForCausalLM", "B T"),
    ("tiny_qwen3_moe", CONFIG, "Qwen3MoeForCausalLM", "B T"),
    ("tiny_t5", CONFIG, "T5ForConditionalGeneration", "B S B T"),
];

/// The sizes of a narrow MobileNetV3: a width of 0.35.
const NARROW_MOBILENET: &[(&str, &str)] = &[
    ("first", "8"),
    ("last", "192"),
    ("hidden", "360"),
    ("num_classes", "10"),
    (
        "rows",
        "[[3, 8, 8, 8, false, 2], [3, 24, 8, 0, false, 2], [3, 32, 8, 0, false, 1], [5, 32, 16, 8, true, 2], \
         [5, 88, 16, 24, true, 1], [5, 88, 16, 24, true, 1], [5, 40, 16, 16, true, 1], [5, 48, 16, 16, true, 1], \
         [5, 104, 32, 24, true, 2], [5, 200, 32, 48, true, 1], [5, 200, 32, 48, true, 1]]",
    ),
];

/// The sizes of the small vision transformer.
const SMALL_VIT: &[(&str, &str)] = &[
    ("image_size", "32"),
    ("patch_size", "8"),
    ("num_layers", "2"),
    ("num_heads", "4"),
    ("hidden_dim", "64"),
    ("mlp_dim", "128"),
    ("num_classes", "10"),
];

/// The sizes of the small Swin: windows are shifted in its first stage.
const SMALL_SWIN: &[(&str, &str)] = &[
    ("embed_dim", "24"),
    ("depths", "[2, 2]"),
    ("num_heads", "[2, 4]"),
    ("window", "4"),
    ("num_classes", "10"),
];

#[test]
fn models_give_the_numbers_of_pytorch() {
    let (mut cases, mut activations, mut wrong) = (0, 0, Vec::new());
    for (name, path, model, symbols) in FIXTURES {
        match Fixture::new(name, path, model, symbols).and_then(|fixture| fixture.compare()) {
            Ok((compared, inside)) => {
                cases += compared;
                activations += inside;
            }
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    }
    println!(
        "{} models give PyTorch's outputs in {cases} cases, and {activations} activations",
        FIXTURES.len()
    );
    assert_eq!(wrong, Vec::<String>::new());
}

struct Fixture<'f> {
    name: &'f str,
    path: &'f str,
    model: &'f str,
    symbols: Vec<&'f str>,
    io: Tensors,
    settings: Vec<(String, String)>,
}

impl<'f> Fixture<'f> {
    fn new(
        name: &'f str,
        path: &'f str,
        model: &'f str,
        symbols: &'f str,
    ) -> Result<Fixture<'f>, String> {
        let settings = match name {
            "small_vit" => SMALL_VIT,
            "small_swin" => SMALL_SWIN,
            "mobilenet_v3_small_w035" => NARROW_MOBILENET,
            _ => &[],
        };
        let settings = settings.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Ok(Fixture {
            name,
            path,
            model,
            symbols: symbols.split(' ').collect(),
            io: load(&format!("fixtures/{name}/io.safetensors")),
            settings: settings.collect(),
        })
    }

    /// Compares every case; gives their number and that of the activations inside.
    fn compare(&self) -> Result<(usize, usize), String> {
        let (mut cases, mut activations) = (0, 0);
        while self.io.contains_key(&format!("case{cases}.output")) {
            activations += self.case(cases).map_err(|reason| format!("case {cases}: {reason}"))?;
            cases += 1;
        }
        if cases == 0 { Err("no case".to_owned()) } else { Ok((cases, activations)) }
    }

    fn case(&self, case: usize) -> Result<usize, String> {
        let inputs = self.inputs(case);
        let mut set = self.settings.clone();
        let sizes = inputs.iter().flat_map(|input| input.dims().iter());
        for (symbol, size) in self.symbols.iter().zip(sizes).filter(|(symbol, _)| **symbol != "_") {
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
        let model = analysis.model(self.model).ok_or("no such model")?;
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
        let inside = self.activations(case, &seen)?;
        self.check("the output", &outputs[0], &format!("case{case}.output"))?;
        Ok(inside)
    }

    /// The file that has the model, with the config's arguments if there is a config.
    fn model_file(&self) -> (analysis::Workspace, analysis::FileId, Option<analysis::Configured>) {
        if self.path != CONFIG {
            let (workspace, file) = files::load(self.path);
            return (workspace, file, None);
        }
        let path = folder().join(format!("fixtures/{}/config.json", self.name));
        let text = std::fs::read_to_string(path).expect("the config");
        let (workspace, file, configured) = config::load(&text).expect("it is in the library");
        (workspace, file, Some(configured))
    }

    /// The inputs of a case by their names, and what BERT takes where it is given nothing else.
    fn inputs(&self, case: usize) -> Vec<Tensor> {
        let get = |name: &str| self.io.get(&format!("case{case}.{name}")).cloned();
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
    fn activations(&self, case: usize, seen: &[(String, Tensor)]) -> Result<usize, String> {
        let prefix = format!("case{case}.act.");
        let mut expected: HashMap<&str, &str> = self
            .io
            .keys()
            .filter_map(|key| Some((key.strip_prefix(&prefix)?, key.as_str())))
            .collect();
        let count = expected.len();
        for (path, tensor) in seen {
            if let Some(key) = expected.remove(path.as_str()) {
                self.check(&format!("`{path}`"), tensor, key)?;
            }
        }
        match expected.is_empty() {
            true => Ok(count),
            false => Err(format!("not seen: {:?}", expected.keys())),
        }
    }

    fn check(&self, what: &str, ours: &Tensor, key: &str) -> Result<(), String> {
        let theirs = self.io.get(key).ok_or_else(|| format!("no {key}"))?;
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
