//! The entries, and finding one.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;

use crate::{
    Arguments, Layer, Reason, Refusal, TensorType,
    given_by_input::GivenByInput,
    operators::{MATRIX_PRODUCTS, Operator, PRODUCTS},
    refusal::At,
};

/// Makes a layer from its arguments and the types of its inputs.
pub type Bind = fn(&Arguments, &[TensorType]) -> Result<Box<dyn Layer>, Refusal>;

/// What is known of a layer before it is used.
#[derive(Debug)]
pub struct Entry {
    /// Its name, as in `torch.nn`.
    pub name: &'static str,
    /// Its name in `torch.nn.functional`, if it can be called there.
    pub function: Option<&'static str>,
    /// Its arguments in PyTorch's order.
    pub params: &'static [Param],
    /// The tensors it takes.
    pub inputs: Inputs,
    /// What it is, in one line.
    pub summary: &'static str,
    /// Shapes and cost, in Markdown.
    pub doc: &'static str,
    /// The page that its shapes and formulas come from.
    pub source: &'static str,
    /// Checks arguments and inputs and makes the layer.
    pub bind: Bind,
    /// The argument with which it has more than one value.
    pub more_values: Option<&'static str>,
    /// What PyTorch's signature has and the input tells.
    pub given_by_input: &'static [GivenByInput],
}

/// An argument of a layer.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its default as it is written; `None` if it must be given.
    pub default: Option<&'static str>,
}

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Int,
    /// A whole number, or a list with one for each of so many axes.
    PerAxis(usize),
    /// As `PerAxis`, or `none` in the list: the size of the input.
    OutputSize(usize),
    /// As `PerAxis`, or a text such as `"same"`.
    Padding(usize),
    /// A whole number or a list of them.
    Ints,
    /// A number.
    Float,
    /// A number, or a list with one for each axis.
    Floats,
    /// `true` or `false`.
    Bool,
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// Any text.
    Text,
    /// Any number of whole numbers, or one list of them.
    Variadic,
    /// Accepted as PyTorch accepts it, and without meaning here.
    Ignored,
}

/// How many tensors a layer takes, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inputs {
    /// Exactly these; a name that ends in `?` may be left out.
    Named(&'static [&'static str]),
    /// One or more.
    Many,
    /// None: the layer makes its value.
    None,
}

impl Inputs {
    /// The smallest and the largest number.
    pub fn range(self) -> (usize, usize) {
        match self {
            Inputs::Named(names) => {
                let optional = names.iter().filter(|name| name.ends_with('?')).count();
                (names.len() - optional, names.len())
            }
            Inputs::Many => (1, usize::MAX),
            Inputs::None => (0, 0),
        }
    }
}

impl Param {
    pub(crate) const fn required(name: &'static str, kind: Kind) -> Param {
        Param { name, kind, default: None }
    }

    pub(crate) const fn optional(name: &'static str, kind: Kind, default: &'static str) -> Param {
        Param { name, kind, default: Some(default) }
    }
}

impl Entry {
    /// What most layers say of themselves, for `..Entry::PLAIN`.
    pub(crate) const PLAIN: Entry = Entry {
        name: "",
        function: None,
        params: &[],
        inputs: Inputs::Named(&["input"]),
        summary: "",
        doc: "",
        source: "",
        bind: |arguments, _| {
            let message = format!("`{}` has no rule", arguments.entry().name);
            Err(Refusal::new(Reason::WrongArgument, At::Layer, message))
        },
        more_values: None,
        given_by_input: &[],
    };

    /// The signature as it is written: `Conv2d(out_channels, kernel_size, stride=1, …)`.
    pub fn signature(&self) -> String {
        let shown = self.params.iter().filter(|param| param.kind != Kind::Ignored);
        let params: Vec<String> = shown
            .map(|param| match (param.kind, param.default) {
                (Kind::Variadic, _) => format!("*{}", param.name),
                (_, Some(default)) => format!("{}={default}", param.name),
                (_, None) => param.name.to_owned(),
            })
            .collect();
        format!("{}({})", self.name, params.join(", "))
    }

    /// Whether it takes this number of tensors, and if not, how many it takes, in words.
    pub fn check_inputs(&self, called: Called, count: usize) -> Result<(), String> {
        let (least, most) = self.inputs.range();
        if (least..=most).contains(&count) {
            return Ok(());
        }
        let tensors = |count: usize| match count {
            0 => "no tensor".to_owned(),
            1 => "1 tensor".to_owned(),
            _ => format!("{count} tensors"),
        };
        let wanted = match self.inputs {
            Inputs::Many => "1 or more tensors".to_owned(),
            _ if least == most => tensors(most),
            _ => format!("{least} to {most} tensors"),
        };
        Err(format!("`{}` takes {wanted}, not {count}", self.written(called)))
    }

    /// How it is written where it is called so: `ReLU`, `F.relu`, `torch.mm`.
    pub fn written(&self, called: Called) -> String {
        match (called.prefix(), self.function) {
            (Some(prefix), Some(function)) => format!("{prefix}.{function}"),
            _ => self.name.to_owned(),
        }
    }
}

static FAMILIES: &[&[Entry]] = &[
    crate::convolution::ENTRIES,
    crate::linear::ENTRIES,
    crate::normalization::ENTRIES,
    crate::activation::ENTRIES,
    crate::pointwise::ENTRIES,
    crate::pooling::ENTRIES,
    crate::recurrent::ENTRIES,
    crate::attention::ENTRIES,
    crate::rearrangement::ENTRIES,
    crate::padding::ENTRIES,
    crate::patches::ENTRIES,
    crate::resampling::ENTRIES,
    crate::indexing::ENTRIES,
    crate::einsum::ENTRIES,
    crate::scan::ENTRIES,
    crate::reduction::ENTRIES,
    crate::regularization::ENTRIES,
];

/// Every layer, family by family.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The layer of this name.
pub fn find(name: &str) -> Option<&'static Entry> {
    static BY_NAME: LazyLock<FxHashMap<&'static str, &'static Entry>> =
        LazyLock::new(|| all().map(|entry| (entry.name, entry)).collect());
    BY_NAME.get(name).copied()
}

/// Whether a layer or an operation of expressions is called so in tables.
pub fn is_kind(name: &str) -> bool {
    let operator = || Operator::ALL.iter().any(|operator| operator.name() == name);
    find(name).is_some() || operator() || MATRIX_PRODUCTS.contains(&name)
}

/// How a layer is called, which is what counters tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    /// As a module, `ReLU`.
    Module,
    /// As a function of `torch.nn.functional`, `F.relu`.
    Functional,
    /// As a function of `torch` or a method of tensors, `torch.relu`: PyTorch's `torch.relu(x)` and `x.relu()`.
    Torch,
    /// As an operation of an expression, `x @ y`.
    Operator,
}

impl Called {
    /// What stands before the functions that are called so.
    pub fn prefix(self) -> Option<&'static str> {
        match self {
            Called::Functional => Some("F"),
            Called::Torch => Some("torch"),
            Called::Module | Called::Operator => None,
        }
    }

    /// How functions behind a prefix are called.
    pub fn behind(prefix: &str) -> Option<Called> {
        [Called::Functional, Called::Torch]
            .into_iter()
            .find(|called| called.prefix() == Some(prefix))
    }
}

/// The functions of `torch.nn.functional` that are functions of `torch` too, with the same arguments
/// (<https://pytorch.org/docs/stable/torch.html>).
const IN_TORCH: &[&str] = &[
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "bilinear",
    "layer_norm",
    "rms_norm",
    "group_norm",
    "relu",
    "celu",
    "sigmoid",
    "tanh",
    "selu",
    "hardshrink",
    "threshold",
    "prelu",
    "softmax",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "avg_pool1d",
    "adaptive_avg_pool1d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
];

/// What is called so: a layer as a function, or a product of matrices.
pub fn find_called(called: Called, name: &str) -> Option<&'static Entry> {
    match called {
        Called::Module => find(name),
        Called::Functional => find_function(name),
        Called::Torch if IN_TORCH.contains(&name) => find_function(name),
        Called::Torch => PRODUCTS.iter().find(|entry| entry.function == Some(name)),
        Called::Operator => None,
    }
}

/// The names of all functions that are called so.
pub fn functions(called: Called) -> impl Iterator<Item = &'static str> {
    let all = all().chain(&PRODUCTS).filter_map(|entry| entry.function);
    all.filter(move |name| called != Called::Module && find_called(called, name).is_some())
}

/// The layer that is called so in `torch.nn.functional`.
pub fn find_function(name: &str) -> Option<&'static Entry> {
    static BY_FUNCTION: LazyLock<FxHashMap<&'static str, &'static Entry>> = LazyLock::new(|| {
        all().filter_map(|entry| entry.function.map(|function| (function, entry))).collect()
    });
    BY_FUNCTION.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_of_torch_are_known() {
        let known: Vec<&str> = functions(Called::Torch).collect();
        assert!(IN_TORCH.iter().all(|name| known.contains(name)));
        assert!(known.contains(&"matmul"));
    }

    #[test]
    fn names_are_unique_and_documented() {
        let mut names = std::collections::HashSet::new();
        let mut functions = std::collections::HashSet::new();
        for entry in all() {
            assert!(names.insert(entry.name), "{} twice", entry.name);
            assert!(entry.function.is_none_or(|name| functions.insert(name)), "{}", entry.name);
            assert!(!entry.summary.is_empty() && !entry.doc.is_empty(), "{}", entry.name);
            assert!(entry.source.starts_with("https://"), "{}", entry.name);
        }
    }

    #[test]
    fn defaults_can_be_read() {
        for entry in all() {
            for param in entry.params {
                if let Some(default) = param.default {
                    assert!(crate::Arg::parse(default).is_some(), "{}.{}", entry.name, param.name);
                }
            }
        }
    }
}
