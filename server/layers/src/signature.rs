//! How a layer is called: its name and arguments, the tensors that it takes, and as what it is called.

use std::fmt;

/// The name and the arguments of a layer, written `Conv2d(out_channels, kernel_size, stride=1, …)`.
#[derive(Debug, Clone, Copy)]
pub struct Signature {
    /// Its name, as in `torch.nn`.
    pub name: &'static str,
    /// Its arguments in PyTorch's order.
    pub params: &'static [Param],
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

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.params.iter().filter(|param| param.kind != Kind::Ignored);
        let params: Vec<String> = shown
            .map(|param| match (param.kind, param.default) {
                (Kind::Variadic, _) => format!("*{}", param.name),
                (_, Some(default)) => format!("{}={default}", param.name),
                (_, None) => param.name.to_owned(),
            })
            .collect();
        write!(f, "{}({})", self.name, params.join(", "))
    }
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
