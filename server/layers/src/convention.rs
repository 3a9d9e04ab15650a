//! How other tools count: tables over the kinds of layers, bug for bug.
//!
//! A tool sees the calls that it hooks or patches and nothing else. What it does not see it skips
//! without a word; here that has no row, which is not a row that gives 0.

mod attention;
mod calflops;
mod deepspeed;
mod einsum_path;
mod fvcore;
mod ptflops;
mod recurrent;
mod rule;
mod thop;
mod torch;
mod torchinfo;
mod torchstat;
mod windows;

use crate::operators::MATRIX_PRODUCTS;
use crate::{Arguments, Called, Cost, Layer, Overflow, ParameterTensor, TensorType, Unit};
use rule::Rule;

/// Whose rules count the work.
#[derive(Debug)]
pub struct Convention {
    /// Its name, as users give it.
    pub name: &'static str,
    /// The tool with its version, and what its figure is, in one line.
    pub summary: &'static str,
    /// What the tool counts, whatever it calls it.
    gives: &'static [Unit],
    /// Which parameters the tool sums.
    pub parameters: Parameters,
    /// How it sums.
    pub sum: Sum,
    /// The work of modules is that of one item: divided by the batch of the model's input. That of
    /// functions is not.
    per_item: bool,
    /// What counts for blocks that are a layer to PyTorch: parameters, and no modules inside.
    block: Option<Rule>,
    /// What the tool sees, with the rule of each. All rows of a call are summed.
    rows: &'static [&'static [Row]],
}

/// Kinds of layers, and what a tool counts for them.
#[derive(Debug)]
struct Row(Calls, &'static [&'static str], Rule);

/// Which calls of a kind of layer a tool sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    /// Those of modules.
    Modules,
    /// Those of functions of `torch.nn.functional`.
    Functional,
    /// Both: it patches these functions, which modules call.
    Patched,
    /// All but Python's own operators: it patches functions of `torch` and methods of tensors too.
    Named,
    /// All: it looks below.
    All,
}

/// Which parameters a tool sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parameters {
    /// Those of modules that it knows.
    OfKnownModules,
    /// Those of modules that have none inside.
    OfLeaves,
    /// Those of the same, if they are called.
    OfCalledLeaves,
    /// All, and one that is another module's at each of them.
    AllOfModules,
    /// All.
    All,
}

/// How a tool sums over a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// All calls.
    AllCalls,
    /// Of each module its last call.
    LastCalls,
    /// Of each module its last call, in the order of modules, each sum rounded to a float32.
    LastCallsInSinglePrecision,
}

/// A call of a layer.
pub struct Call<'a> {
    /// The kind of the layer.
    pub kind: &'static str,
    /// The layer.
    pub layer: &'a dyn Layer,
    /// Its arguments; an operation of an expression has none.
    pub arguments: Option<&'a Arguments>,
    /// As what it is called.
    pub called: Called,
    /// The tensors that go in.
    pub inputs: &'a [TensorType],
    /// They are one tensor, given once or several times.
    pub takes_one: bool,
    /// The tensors that come out.
    pub outputs: &'a [TensorType],
    /// The first size of the model's input, if it has just one.
    pub batch: u64,
}

impl PartialEq for Convention {
    fn eq(&self, other: &Convention) -> bool {
        self.name == other.name
    }
}

/// All conventions, in the order in which they are listed.
pub fn conventions() -> impl Iterator<Item = &'static Convention> {
    thop::CONVENTIONS
        .iter()
        .chain(&ptflops::CONVENTIONS)
        .chain([&fvcore::CONVENTION])
        .chain(&torch::CONVENTIONS)
        .chain([&torchinfo::CONVENTION, &calflops::CONVENTION, &deepspeed::CONVENTION])
        .chain(&torchstat::CONVENTIONS)
}

impl Convention {
    /// Whether the tool gives a figure of this unit.
    pub fn gives(&self, unit: Unit) -> bool {
        self.gives.contains(&unit)
    }

    /// Whether the tool sees calls of a kind.
    pub fn sees(&self, kind: &str, arguments: Option<&Arguments>, called: Called) -> bool {
        self.rows_of(class_of(kind, arguments), called).next().is_some()
    }

    /// The work of a call as the tool counts it; none of what it does not see.
    ///
    /// # Errors
    /// If the count does not fit in 128 bits.
    pub fn cost(&self, call: &Call<'_>) -> Result<Cost, Overflow> {
        let mut sum = Cost::free();
        for Row(calls, _, rule) in self.rows_of(class_of(call.kind, call.arguments), call.called) {
            let mut cost = rule.cost(call)?;
            if self.per_item && *calls == Calls::Modules && call.batch > 1 {
                cost = cost.divided(call.batch.into())?;
            }
            sum.terms.extend(cost.terms);
        }
        Ok(sum)
    }

    /// The work of a block that is a layer to PyTorch, with its own parameters.
    ///
    /// # Errors
    /// If the count does not fit in 128 bits.
    pub fn cost_of_block(
        &self,
        name: &str,
        parameters: &[(&str, &ParameterTensor)],
        output: &TensorType,
    ) -> Result<Cost, Overflow> {
        match self.block {
            Some(Rule::Parameters) => rule::of_parameters(name, parameters, output),
            _ => Ok(Cost::free()),
        }
    }

    fn rows_of(&self, kind: &str, called: Called) -> impl Iterator<Item = &'static Row> {
        let seen = move |calls: Calls| match calls {
            Calls::Modules => called == Called::Module,
            Calls::Functional => called == Called::Functional,
            Calls::Patched => matches!(called, Called::Module | Called::Functional),
            Calls::Named => called != Called::Operator,
            Calls::All => true,
        };
        self.rows
            .iter()
            .copied()
            .flatten()
            .filter(move |Row(calls, kinds, _)| seen(*calls) && kinds.contains(&kind))
    }
}

/// What most tools have in common.
const MACS: Convention = Convention {
    name: "",
    summary: "",
    gives: &[Unit::Macs],
    parameters: Parameters::All,
    sum: Sum::AllCalls,
    per_item: false,
    block: None,
    rows: &[],
};

/// The class of a layer. transformers' activations are those of torch.nn, or classes of its own that took
/// a function before any tool could patch it.
fn class_of<'k>(kind: &'k str, arguments: Option<&Arguments>) -> &'k str {
    if kind != "Activation" {
        return kind;
    }
    match arguments.and_then(|given| given.text("name").ok()).as_deref() {
        Some("relu") => "ReLU",
        Some("relu6") => "ReLU6",
        Some("leaky_relu") => "LeakyReLU",
        Some("silu" | "swish") => "SiLU",
        _ => kind,
    }
}

const CONVOLUTIONS: &[&str] = &["Conv1d", "Conv2d", "Conv3d"];
const TRANSPOSED: &[&str] = &["ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"];
const BATCH_NORMS: &[&str] = &["BatchNorm1d", "BatchNorm2d", "BatchNorm3d"];
const INSTANCE_NORMS: &[&str] = &["InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"];
const MAX_POOLS: &[&str] = &["MaxPool1d", "MaxPool2d", "MaxPool3d"];
const AVERAGE_POOLS: &[&str] = &["AvgPool1d", "AvgPool2d", "AvgPool3d"];
const ADAPTIVE_AVERAGES: &[&str] = &["AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d"];
const ADAPTIVE_MAXIMA: &[&str] = &["AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d"];
const PADS: &[&str] = &[
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
];
const DROPOUTS: &[&str] = &["Dropout", "Dropout1d", "Dropout2d", "AlphaDropout"];
const UPSAMPLES: &[&str] = &["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"];
const RECURRENT: &[&str] = &["RNN", "GRU", "LSTM"];
const CELLS: &[&str] = &["RNNCell", "GRUCell", "LSTMCell"];
