//! Architectures written in Taper and embedded: one file per family. They are found by the
//! architecture that a `config.json` names; their parameters are the config's keys.
//!
//! ```
//! let found = library::find("MistralForCausalLM").unwrap();
//! assert_eq!((found.model, found.file().path), ("LlamaForCausalLM", "huggingface/llama.taper"));
//! ```

mod architecture;
mod torchvision;

pub use architecture::{Architecture, File};

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Every file.
        pub static FILES: &[File] =
            &[$(File { path: $path, text: include_str!(concat!("../", $path)) }),*];
    };
}

files! {
    "huggingface/albert.taper",
    "huggingface/bart.taper",
    "huggingface/bert.taper",
    "huggingface/bloom.taper",
    "huggingface/clip.taper",
    "huggingface/convnext.taper",
    "huggingface/deberta_v2.taper",
    "huggingface/deepseek_v2.taper",
    "huggingface/deepseek_v3.taper",
    "huggingface/deit.taper",
    "huggingface/dinov2.taper",
    "huggingface/distilbert.taper",
    "huggingface/electra.taper",
    "huggingface/falcon.taper",
    "huggingface/gemma.taper",
    "huggingface/gemma2.taper",
    "huggingface/gemma3.taper",
    "huggingface/gpt2.taper",
    "huggingface/gpt_neo.taper",
    "huggingface/gpt_neox.taper",
    "huggingface/gpt_oss.taper",
    "huggingface/gptj.taper",
    "huggingface/llama.taper",
    "huggingface/llava.taper",
    "huggingface/mamba.taper",
    "huggingface/mixtral.taper",
    "huggingface/olmo2.taper",
    "huggingface/opt.taper",
    "huggingface/phi.taper",
    "huggingface/phi3.taper",
    "huggingface/qwen2.taper",
    "huggingface/qwen3.taper",
    "huggingface/resnet.taper",
    "huggingface/roberta.taper",
    "huggingface/segformer.taper",
    "huggingface/siglip.taper",
    "huggingface/starcoder2.taper",
    "huggingface/swin.taper",
    "huggingface/t5.taper",
    "huggingface/vit.taper",
    "huggingface/wav2vec2.taper",
    "huggingface/whisper.taper",
    "torchvision/alexnet.taper",
    "torchvision/convnext.taper",
    "torchvision/densenet.taper",
    "torchvision/efficientnet.taper",
    "torchvision/googlenet.taper",
    "torchvision/inception.taper",
    "torchvision/maxvit.taper",
    "torchvision/mnasnet.taper",
    "torchvision/mobilenet_v2.taper",
    "torchvision/mobilenet_v3.taper",
    "torchvision/regnet.taper",
    "torchvision/resnet.taper",
    "torchvision/shufflenet_v2.taper",
    "torchvision/squeezenet.taper",
    "torchvision/swin.taper",
    "torchvision/swin_v2.taper",
    "torchvision/vgg.taper",
    "torchvision/vit.taper",
}

/// An architecture with a model of its own.
const fn own(name: &'static str, model_type: &'static str, path: &'static str) -> Architecture {
    Architecture { name, model_type: Some(model_type), path, model: name, defaults: &[] }
}

/// Every architecture.
static HUGGING_FACE: &[Architecture] = &[
    own("AlbertForMaskedLM", "albert", "huggingface/albert.taper"),
    own("BartForConditionalGeneration", "bart", "huggingface/bart.taper"),
    own("BertForMaskedLM", "bert", "huggingface/bert.taper"),
    own("BertModel", "bert", "huggingface/bert.taper"),
    own("BloomForCausalLM", "bloom", "huggingface/bloom.taper"),
    own("CLIPModel", "clip", "huggingface/clip.taper"),
    own("ConvNextForImageClassification", "convnext", "huggingface/convnext.taper"),
    own("DebertaV2Model", "deberta-v2", "huggingface/deberta_v2.taper"),
    own("DeepseekV2ForCausalLM", "deepseek_v2", "huggingface/deepseek_v2.taper"),
    own("DeepseekV3ForCausalLM", "deepseek_v3", "huggingface/deepseek_v3.taper"),
    own("DeiTForImageClassificationWithTeacher", "deit", "huggingface/deit.taper"),
    own("Dinov2Model", "dinov2", "huggingface/dinov2.taper"),
    own("DistilBertForMaskedLM", "distilbert", "huggingface/distilbert.taper"),
    own("DistilBertModel", "distilbert", "huggingface/distilbert.taper"),
    own("ElectraForMaskedLM", "electra", "huggingface/electra.taper"),
    own("ElectraForPreTraining", "electra", "huggingface/electra.taper"),
    own("ElectraModel", "electra", "huggingface/electra.taper"),
    own("FalconForCausalLM", "falcon", "huggingface/falcon.taper"),
    own("Gemma2ForCausalLM", "gemma2", "huggingface/gemma2.taper"),
    own("Gemma3ForCausalLM", "gemma3_text", "huggingface/gemma3.taper"),
    own("GemmaForCausalLM", "gemma", "huggingface/gemma.taper"),
    own("GptOssForCausalLM", "gpt_oss", "huggingface/gpt_oss.taper"),
    own("LlavaForConditionalGeneration", "llava", "huggingface/llava.taper"),
    own("GPT2LMHeadModel", "gpt2", "huggingface/gpt2.taper"),
    own("GPTJForCausalLM", "gptj", "huggingface/gptj.taper"),
    own("GPTNeoForCausalLM", "gpt_neo", "huggingface/gpt_neo.taper"),
    own("GPTNeoXForCausalLM", "gpt_neox", "huggingface/gpt_neox.taper"),
    own("LlamaForCausalLM", "llama", "huggingface/llama.taper"),
    own("MambaForCausalLM", "mamba", "huggingface/mamba.taper"),
    // `MistralConfig` and `LlamaConfig` of transformers 4.57.6; the layers are the same.
    Architecture {
        name: "MistralForCausalLM",
        model_type: Some("mistral"),
        path: "huggingface/llama.taper",
        model: "LlamaForCausalLM",
        defaults: &[
            ("intermediate_size", "14336"),
            ("num_key_value_heads", "8"),
            ("max_position_embeddings", "131072"),
        ],
    },
    own("MixtralForCausalLM", "mixtral", "huggingface/mixtral.taper"),
    own("Olmo2ForCausalLM", "olmo2", "huggingface/olmo2.taper"),
    own("OPTForCausalLM", "opt", "huggingface/opt.taper"),
    own("Phi3ForCausalLM", "phi3", "huggingface/phi3.taper"),
    own("PhiForCausalLM", "phi", "huggingface/phi.taper"),
    own("Qwen2ForCausalLM", "qwen2", "huggingface/qwen2.taper"),
    own("Qwen3ForCausalLM", "qwen3", "huggingface/qwen3.taper"),
    own("Qwen3MoeForCausalLM", "qwen3_moe", "huggingface/qwen3.taper"),
    own("ResNetForImageClassification", "resnet", "huggingface/resnet.taper"),
    own("RobertaForMaskedLM", "roberta", "huggingface/roberta.taper"),
    own("SegformerForSemanticSegmentation", "segformer", "huggingface/segformer.taper"),
    own("SiglipModel", "siglip", "huggingface/siglip.taper"),
    own("Starcoder2ForCausalLM", "starcoder2", "huggingface/starcoder2.taper"),
    own("SwinForImageClassification", "swin", "huggingface/swin.taper"),
    own("T5ForConditionalGeneration", "t5", "huggingface/t5.taper"),
    own("ViTForImageClassification", "vit", "huggingface/vit.taper"),
    own("Wav2Vec2Model", "wav2vec2", "huggingface/wav2vec2.taper"),
    own("WhisperForConditionalGeneration", "whisper", "huggingface/whisper.taper"),
    Architecture {
        name: "XLMRobertaForMaskedLM",
        model_type: Some("xlm-roberta"),
        path: "huggingface/roberta.taper",
        model: "RobertaForMaskedLM",
        defaults: &[],
    },
];

/// Every architecture.
pub fn architectures() -> impl Iterator<Item = &'static Architecture> {
    HUGGING_FACE.iter().chain(torchvision::MODELS)
}

impl Architecture {
    /// The file that has its model.
    pub fn file(&self) -> &'static File {
        // A unit test finds every architecture's file.
        FILES.iter().find(|file| file.path == self.path).unwrap_or(&FILES[0])
    }

    /// The path of that file where others stand beside it.
    pub fn file_path(&self) -> String {
        format!("{PREFIX}{}", self.path)
    }
}

/// What the paths of these files begin with where others stand beside them.
pub const PREFIX: &str = "library:";

/// The file of a path that begins with [`PREFIX`].
pub fn file(path: &str) -> Option<&'static File> {
    let path = path.strip_prefix(PREFIX)?;
    FILES.iter().find(|file| file.path == path)
}

/// The architecture of a name.
pub fn find(name: &str) -> Option<&'static Architecture> {
    architectures().find(|architecture| architecture.name == name)
}

/// The architecture of a config's `model_type`.
pub fn of_type(model_type: &str) -> Option<&'static Architecture> {
    architectures().find(|architecture| architecture.model_type == Some(model_type))
}
