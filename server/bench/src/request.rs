//! What is asked of a worker.

use serde::{Deserialize, Serialize};

use crate::{Budget, PROTOCOL};

/// A model to be measured, with all that it depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The version of what is spoken; a worker of another one refuses.
    pub protocol: u32,
    /// The texts of the model's file and of those that it uses.
    pub sources: Vec<Source>,
    /// The path of the model's file among them.
    pub file: String,
    /// The model's name.
    pub model: String,
    /// What a config gives its parameters; of two the later one counts.
    #[serde(default)]
    pub arguments: Vec<Argument>,
    /// Sizes of symbols and values of parameters, over those.
    #[serde(default)]
    pub set: Vec<(String, String)>,
    /// The dtype of weights and activations; else the model's own.
    #[serde(default)]
    pub dtype: Option<String>,
    /// The path of the one layer or block that is measured; else the whole model.
    #[serde(default)]
    pub scope: Option<String>,
    /// Safetensors files on the worker's machine with the weights; else they are random.
    #[serde(default)]
    pub weights: Vec<String>,
    /// Products of 32-bit numbers may be computed as TF32, on GPUs that can.
    #[serde(default)]
    pub tf32: bool,
    /// The outputs are compared with those of the CPU.
    #[serde(default)]
    pub compares_with_cpu: bool,
    /// `cpu` or `cuda:0`.
    pub device: String,
    /// The worker ends when its standard input does: whoever asked is gone.
    #[serde(default)]
    pub while_input_is_open: bool,
    /// When to stop.
    #[serde(default)]
    pub budget: Budget,
}

/// A text and the path by which others use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its path, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A parameter's value, as a literal of the language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Argument {
    /// The parameter.
    pub name: String,
    /// Its value.
    pub value: String,
}

impl Request {
    /// A request for a model whose sources are in a workspace.
    pub fn new(
        workspace: &analysis::Workspace,
        file: analysis::FileId,
        model: &str,
        options: &analysis::Options,
        device: &str,
    ) -> Request {
        let source = |file| Source {
            path: workspace.path(file).to_owned(),
            text: workspace.parse(file).text().to_owned(),
        };
        // A config's own text is no Taper; what it says are the arguments.
        let config = options.configured.as_ref().map(|configured| configured.place.file);
        let files = workspace.files().filter(|file| Some(*file) != config);
        let given = options.configured.iter().flat_map(|configured| &configured.arguments);
        let argument = |given: &analysis::ConfiguredArgument| Argument {
            name: given.name.clone(),
            value: given.value.clone(),
        };
        Request {
            protocol: PROTOCOL,
            sources: files.map(source).collect(),
            file: workspace.path(file).to_owned(),
            model: model.to_owned(),
            arguments: given.map(argument).collect(),
            set: options.set.clone(),
            dtype: options.dtype.map(|dtype| dtype.to_string()),
            scope: None,
            weights: Vec::new(),
            tf32: false,
            compares_with_cpu: false,
            device: device.to_owned(),
            while_input_is_open: true,
            budget: Budget::default(),
        }
    }
}
