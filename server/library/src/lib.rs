//! Architectures written in Taper and embedded: one file per family, under the names of Hugging
//! Face. They are found by the architecture that a `config.json` names; their parameters are the
//! config's keys.
//!
//! ```
//! let file = library::find("LlamaForCausalLM").unwrap();
//! assert_eq!(file.path, "huggingface/llama.taper");
//! ```

/// A file of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    /// Its path in the library.
    pub path: &'static str,
    /// Its text.
    pub text: &'static str,
    /// The architectures that are models in it.
    pub architectures: &'static [&'static str],
}

macro_rules! files {
    ($($path:literal: $($architecture:literal),+;)*) => {
        /// Every file.
        pub static FILES: &[File] = &[$(File {
            path: $path,
            text: include_str!(concat!("../", $path)),
            architectures: &[$($architecture),+],
        }),*];
    };
}

files! {
    "huggingface/gpt2.taper": "GPT2LMHeadModel";
    "huggingface/gpt_neox.taper": "GPTNeoXForCausalLM";
    "huggingface/llama.taper": "LlamaForCausalLM";
    "huggingface/mixtral.taper": "MixtralForCausalLM";
    "huggingface/phi.taper": "PhiForCausalLM";
    "huggingface/qwen2.taper": "Qwen2ForCausalLM";
    "huggingface/qwen3.taper": "Qwen3ForCausalLM", "Qwen3MoeForCausalLM";
}

/// The file with the model of an architecture.
pub fn find(architecture: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.architectures.contains(&architecture))
}
