//! What an expression gives.

use std::{
    cell::{OnceCell, RefCell},
    fmt,
    hash::Hash,
    rc::Rc,
    sync::Arc,
};

use layers::{Arg, Arguments, Called, Entry, TensorType};
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::{
    NodeRef, ParameterPath,
    written::{Flowing, Source, Taken, TensorId},
};

/// The value of an expression. An error gives `Unknown`, which spreads without further errors.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Unknown,
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<[Value]>),
    Layer(Rc<Recipe>),
    Tensor(Tensor),
    Tensors(Rc<[Tensor]>),
}

/// A tensor: its type, and what it is in its part.
#[derive(Debug, Clone)]
pub(crate) struct Tensor {
    pub ty: Arc<TensorType>,
    pub origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Origin {
    /// A step of this part made it.
    Step(TensorId),
    /// It is a parameter or buffer, as the body that reads it sees it.
    Parameter(ParameterPath),
}

/// A layer with some or all of its arguments: what `RMSNorm(eps=1e-6)` is before it is used.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub callee: Callee,
    pub arguments: Vec<Argument>,
    /// Where it is written.
    pub node: NodeRef,
    /// Its arguments bound to the layer's signature, once it was used.
    pub bound: OnceCell<Arc<Arguments>>,
}

/// The names of one pair of braces, and the scope around it.
#[derive(Debug)]
pub(crate) struct Scope {
    pub parent: Option<Rc<Scope>>,
    /// What separates it from the scope around it.
    pub(super) border: Border,
    /// How many bodies are open where its own is written out: what it sees of parameters is told from there.
    pub depth: usize,
    /// The braces of a loop or branch, whose labels belong to the braces around it.
    pub is_spliced: bool,
    pub(super) names: RefCell<FxHashMap<SmolStr, Binding>>,
    /// The models and blocks declared here.
    pub items: FxHashMap<SmolStr, NodeRef>,
    /// Labels of branches that were not taken, with the `if` that hid them.
    pub hidden: RefCell<FxHashMap<SmolStr, NodeRef>>,
}

/// What lies between a scope and the one around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Border {
    /// Nothing: braces in a body.
    Open,
    /// It is the body of this block, which sees the parameters around it, and the `let`s above it that use no
    /// sizes.
    Body(NodeRef),
    /// The scope around it is that of another body, whose braces are used again from here. It sees sizes and
    /// other scalars, and nothing that flows.
    OtherBody,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub what: Named,
    /// Where it was given.
    pub node: NodeRef,
}

#[derive(Debug, Clone)]
pub(crate) enum Named {
    /// A parameter of the model or block.
    Parameter(Value),
    /// A `let`, a loop's or a pattern's name; `sized` if it may differ with the sizes.
    Scalar { value: Value, sized: bool, how: How },
    /// An input.
    Input(Value),
    /// A label, by its number in the frame.
    Label(LabelId),
}

/// What bound a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Let,
    Loop,
    Symbol,
    Pattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LabelId(pub u32);

impl Recipe {
    pub fn new(callee: Callee, arguments: Vec<Argument>, node: NodeRef) -> Recipe {
        Recipe { callee, arguments, node, bound: OnceCell::new() }
    }

    /// The recipe with its parameters as another body sees them.
    pub fn with_parameters(&self, seen: &impl Fn(&ParameterPath) -> ParameterPath) -> Recipe {
        let arguments = self.arguments.iter().map(|argument| Argument {
            value: argument.value.with_parameters(seen),
            ..argument.clone()
        });
        Recipe::new(self.callee.clone(), arguments.collect(), self.node)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Callee {
    Layer(&'static Entry),
    /// `F.relu`, and where it stands in Python.
    Function(&'static Entry, Called),
    Item {
        item: NodeRef,
        name: SmolStr,
        /// The scope around a block that stands inside another one.
        scope: Option<Rc<Scope>>,
    },
}

impl Callee {
    pub fn name(&self) -> &str {
        match self {
            Callee::Layer(entry) | Callee::Function(entry, _) => entry.name,
            Callee::Item { name, .. } => name,
        }
    }

    /// The layer, unless it is a block.
    pub fn entry(&self) -> Option<&'static Entry> {
        match self {
            Callee::Layer(entry) | Callee::Function(entry, _) => Some(entry),
            Callee::Item { .. } => None,
        }
    }

    /// How it is written: `Linear`, `F.relu`.
    pub fn written(&self) -> String {
        match self {
            Callee::Function(entry, called) => entry.written(*called),
            callee => callee.name().to_owned(),
        }
    }
}

impl PartialEq for Callee {
    fn eq(&self, other: &Callee) -> bool {
        match (self, other) {
            (Callee::Layer(left), Callee::Layer(right)) => std::ptr::eq(*left, *right),
            (Callee::Function(left, a), Callee::Function(right, b)) => {
                std::ptr::eq(*left, *right) && a == b
            }
            (
                Callee::Item { item: left, scope: a, .. },
                Callee::Item { item: right, scope: b, .. },
            ) => left == right && a.as_ref().map(Rc::as_ptr) == b.as_ref().map(Rc::as_ptr),
            _ => false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Argument {
    pub name: Option<SmolStr>,
    pub value: Value,
    /// Where it is written.
    pub node: NodeRef,
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    pub fn list(items: Vec<Value>) -> Value {
        Value::List(items.into())
    }

    /// One tensor, or several.
    pub fn tensors(mut tensors: Vec<Tensor>) -> Value {
        match tensors.len() {
            1 => Value::Tensor(tensors.remove(0)),
            _ => Value::Tensors(tensors.into()),
        }
    }

    /// The tensors that it holds; `None` if it is none.
    pub fn as_tensors(&self) -> Option<&[Tensor]> {
        match self {
            Value::Tensor(tensor) => Some(std::slice::from_ref(tensor)),
            Value::Tensors(tensors) => Some(tensors),
            _ => None,
        }
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self, Value::Unknown)
    }

    /// Whether it is unknown, or a list in which something is.
    pub fn contains_unknown(&self) -> bool {
        match self {
            Value::List(items) => items.iter().any(Value::contains_unknown),
            _ => self.is_unknown(),
        }
    }

    /// Whether a tensor in it flows: it means something only in the body whose step makes it.
    pub fn flows(&self) -> bool {
        self.has_origin(|origin| matches!(origin, Origin::Step(_)))
    }

    /// The value with its parameters as `seen` says that another body sees them.
    pub fn with_parameters(&self, seen: &impl Fn(&ParameterPath) -> ParameterPath) -> Value {
        match self {
            Value::List(items) if items.iter().any(Value::has_parameters) => {
                Value::list(items.iter().map(|item| item.with_parameters(seen)).collect())
            }
            Value::Layer(recipe) if self.has_parameters() => {
                Value::Layer(Rc::new(recipe.with_parameters(seen)))
            }
            Value::Tensor(tensor) => Value::Tensor(tensor.with_parameter(seen)),
            Value::Tensors(tensors) => {
                Value::Tensors(tensors.iter().map(|tensor| tensor.with_parameter(seen)).collect())
            }
            other => other.clone(),
        }
    }

    pub fn has_parameters(&self) -> bool {
        self.has_origin(|origin| matches!(origin, Origin::Parameter(_)))
    }

    /// Whether it is a tensor, or a list of some.
    pub fn holds_tensors(&self) -> bool {
        match self {
            Value::List(items) => items.iter().any(Value::holds_tensors),
            value => value.as_tensors().is_some(),
        }
    }

    /// Whether a tensor in it has such an origin.
    fn has_origin(&self, is: fn(&Origin) -> bool) -> bool {
        match self {
            Value::List(items) => items.iter().any(|item| item.has_origin(is)),
            Value::Layer(recipe) => recipe.arguments.iter().any(|one| one.value.has_origin(is)),
            other => other.as_tensors().unwrap_or_default().iter().any(|tensor| is(&tensor.origin)),
        }
    }

    /// The value as a body so many parts further in sees it.
    pub fn further_in(&self, levels: usize) -> Value {
        match levels {
            0 => self.clone(),
            levels => self.with_parameters(&|parameter| parameter.further_in(levels)),
        }
    }

    /// Python's truth.
    pub fn is_true(&self) -> bool {
        match self {
            Value::None | Value::Bool(false) | Value::Int(0) => false,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            _ => true,
        }
    }

    /// How a message calls it.
    pub fn describe(&self) -> String {
        match self {
            Value::Unknown => "something unknown".to_owned(),
            Value::Layer(recipe) => format!("the layer `{}`", recipe.callee.name()),
            Value::Tensor(tensor) => format!("a tensor {}", tensor.ty.shape),
            Value::Tensors(tensors) => format!("{} tensors", tensors.len()),
            Value::List(items) if items.len() > 8 => format!("a list of {}", items.len()),
            other => other.to_string(),
        }
    }

    /// As an argument of a layer; `None` for what no layer takes.
    pub fn to_arg(&self) -> Option<Arg> {
        Some(match self {
            Value::None => Arg::None,
            Value::Bool(value) => Arg::Bool(*value),
            Value::Int(value) => Arg::Int(*value),
            Value::Float(value) => Arg::Float(*value),
            Value::Text(text) => Arg::Text(text.to_string()),
            Value::List(items) => {
                Arg::List(items.iter().map(Value::to_arg).collect::<Option<_>>()?)
            }
            Value::Unknown | Value::Layer(_) | Value::Tensor(_) | Value::Tensors(_) => return None,
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::List(items) => {
                f.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Value::Layer(recipe) => f.write_str(recipe.callee.name()),
            Value::Tensor(tensor) => write!(f, "{}", tensor.ty),
            Value::Tensors(tensors) => write!(f, "{} tensors", tensors.len()),
            Value::Unknown => f.write_str("?"),
            scalar => match scalar.to_arg() {
                Some(arg) => write!(f, "{arg}"),
                None => f.write_str("?"),
            },
        }
    }
}

/// Equality of what two values are; where a recipe is written does not matter.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Unknown, Value::Unknown) | (Value::None, Value::None) => true,
            (Value::Bool(left), Value::Bool(right)) => left == right,
            (Value::Int(left), Value::Int(right)) => left == right,
            (Value::Float(left), Value::Float(right)) => left.to_bits() == right.to_bits(),
            (Value::Text(left), Value::Text(right)) => left == right,
            (Value::List(left), Value::List(right)) => left == right,
            (Value::Tensor(left), Value::Tensor(right)) => left == right,
            (Value::Tensors(left), Value::Tensors(right)) => left == right,
            (Value::Layer(left), Value::Layer(right)) => {
                left.callee == right.callee
                    && left.arguments.len() == right.arguments.len()
                    && left
                        .arguments
                        .iter()
                        .zip(&right.arguments)
                        .all(|(a, b)| a.name == b.name && a.value == b.value)
            }
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Value::Unknown | Value::None => {}
            Value::Bool(value) => value.hash(state),
            Value::Int(value) => value.hash(state),
            Value::Float(value) => value.to_bits().hash(state),
            Value::Text(text) => text.hash(state),
            Value::List(items) => items.hash(state),
            Value::Layer(recipe) => recipe.callee.name().hash(state),
            Value::Tensor(tensor) => tensor.hash(state),
            Value::Tensors(tensors) => tensors.hash(state),
        }
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        self.ty == other.ty && self.origin == other.origin
    }
}

impl Eq for Tensor {}

impl Hash for Tensor {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.ty.hash(state);
    }
}

impl Tensor {
    fn with_parameter(&self, seen: &impl Fn(&ParameterPath) -> ParameterPath) -> Tensor {
        let origin = match &self.origin {
            Origin::Parameter(parameter) => Origin::Parameter(seen(parameter)),
            step => step.clone(),
        };
        Tensor { ty: self.ty.clone(), origin }
    }

    /// The tensor as a body so many parts further in sees it.
    pub fn further_in(&self, levels: usize) -> Tensor {
        self.with_parameter(&|parameter| parameter.further_in(levels))
    }

    /// Where it lives, if it is a parameter.
    pub fn parameter(&self) -> Option<ParameterPath> {
        match &self.origin {
            Origin::Parameter(parameter) => Some(parameter.clone()),
            Origin::Step(_) => None,
        }
    }

    /// As a step's input.
    pub fn taken(&self) -> Taken {
        Taken { source: self.source(), ty: self.ty.clone() }
    }

    pub fn source(&self) -> Source {
        match &self.origin {
            Origin::Step(id) => Source::Tensor(*id),
            Origin::Parameter(path) => Source::Parameter(path.clone()),
        }
    }

    /// As a step's output; a parameter flows from nowhere.
    pub fn flowing(&self) -> Option<Flowing> {
        match self.origin {
            Origin::Step(id) => Some(Flowing { id, ty: self.ty.clone() }),
            Origin::Parameter(_) => None,
        }
    }
}
