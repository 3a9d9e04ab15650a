//! What `trace.py` prints.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::template::Template;

/// A traced module.
#[derive(Debug, Deserialize)]
pub struct Trace {
    /// PyTorch's version.
    pub torch: String,
    /// Calls of modules that are made of others, each after the one that it is in; the first is that of the
    /// module itself.
    pub(crate) calls: Vec<Call>,
    /// Places in the module's source at which a number is made of sizes, and fixed.
    pub(crate) settled: Vec<String>,
    /// Places in the module's source at which a condition asks for sizes.
    pub(crate) asked: Vec<String>,
    /// What the module does at other sizes.
    pub(crate) elsewhere: Vec<Elsewhere>,
    /// What is done, in order.
    pub(crate) nodes: Vec<Node>,
    /// Modules that are one layer, by their paths.
    pub(crate) leaves: HashMap<String, Leaf>,
    /// Parameters and buffers that are read as tensors, by their paths.
    pub(crate) attributes: HashMap<String, Option<Own>>,
    /// Modules that have another name before.
    pub again: Vec<Again>,
    /// What `state_dict` has, but for what it has again.
    pub state: HashMap<String, Tensor>,
    /// What a run of the module does, if PyTorch can tell without numbers.
    pub(crate) run: Option<Run>,
}

/// Another name of a module.
#[derive(Debug, Deserialize)]
pub struct Again {
    /// The name that the file does not have.
    pub path: String,
    /// Its first name, which the file has.
    pub same_as: String,
    /// How many tensors `state_dict` has below this name, which the file has below the first.
    pub tensors: usize,
}

/// What PyTorch says of a run in which one of the sizes with names is another.
#[derive(Debug, Deserialize)]
pub(crate) struct Elsewhere {
    pub set: (String, String),
    /// None if the module refuses the size.
    pub run: Option<Run>,
}

/// What PyTorch says of a run.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    /// The FLOPs that FlopCounterMode counts, where attention is written out; none where they depend on the device.
    pub flops: Option<u128>,
    pub outputs: Traced,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    pub path: String,
    pub class: String,
    pub is_sequential: bool,
    pub parent: Option<usize>,
    /// The nodes that it is given.
    pub inputs: Vec<String>,
    /// What its `forward` calls them.
    pub parameters: Vec<String>,
    /// The nodes that it gives.
    pub outputs: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Node {
    pub name: String,
    pub op: Op,
    pub target: String,
    pub call: usize,
    pub args: Vec<Value>,
    pub kwargs: Map<String, Value>,
    pub value: Option<Traced>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    Placeholder,
    CallModule,
    CallFunction,
    CallMethod,
    GetAttr,
    Output,
}

/// What a node gave.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Traced {
    Tensor(Tensor),
    Items { items: Vec<Traced> },
    Number { number: Value },
    Other { other: String },
}

/// A shape and a dtype.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tensor {
    /// The sizes.
    pub shape: Vec<u64>,
    /// The dtype in Taper's words.
    pub dtype: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Leaf {
    pub class: String,
    pub settings: Map<String, Value>,
    pub tensors: Vec<Own>,
}

/// A parameter or buffer of a module.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Own {
    pub name: String,
    pub is_buffer: bool,
    /// The path of the first module that has it.
    pub same_as: String,
    #[serde(flatten)]
    pub tensor: Tensor,
}

impl Tensor {
    /// Its dtype as it stands before a shape, where f32 is left out.
    pub(crate) fn written_dtype(&self) -> &str {
        if self.dtype == "f32" { "" } else { &self.dtype }
    }

    /// `param weight: [64, 3]`
    pub(crate) fn declaration(&self, keyword: &str, path: &str) -> Template {
        let mut text = Template::text(format!("{keyword} {path}: {}[", self.written_dtype()));
        let sizes = self.shape.iter().map(|size| Template::hole("size", size.to_string()));
        text.append(Template::joined(sizes, ", "));
        text.push("]");
        text.prefixed(path)
    }
}

impl Own {
    /// `param weight: [64, 3]`
    pub fn declaration(&self, path: &str) -> Template {
        self.tensor.declaration(if self.is_buffer { "buffer" } else { "param" }, path)
    }
}

impl Traced {
    /// It is no tensor but a number, or a list of them, or something else such as a device.
    pub fn is_scalar(&self) -> bool {
        match self {
            Traced::Number { .. } | Traced::Other { .. } => true,
            Traced::Items { items } => !items.is_empty() && items.iter().all(Traced::is_scalar),
            _ => false,
        }
    }

    /// The tensors in it, in order.
    pub fn tensors(&self) -> Vec<&Tensor> {
        match self {
            Traced::Tensor(tensor) => vec![tensor],
            Traced::Items { items } => items.iter().flat_map(Traced::tensors).collect(),
            Traced::Number { .. } | Traced::Other { .. } => Vec::new(),
        }
    }

    pub fn tensor(&self) -> Option<&Tensor> {
        match self {
            Traced::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }
}

impl Node {
    /// The nodes that it reads, in order.
    pub fn reads(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for value in self.args.iter().chain(self.kwargs.values()) {
            nodes_in(value, &mut found);
        }
        found
    }
}

pub(crate) fn node_of(value: &Value) -> Option<&str> {
    value.as_object()?.get("node")?.as_str()
}

fn nodes_in<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    if let Some(node) = node_of(value) {
        found.push(node);
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| nodes_in(item, found)),
        Value::Object(map) => map.values().for_each(|item| nodes_in(item, found)),
        _ => {}
    }
}
