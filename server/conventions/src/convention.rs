//! What a convention is: what a tool sees, with the rule of each, and how it sums.

use layers::{Arguments, Called, Cost, Overflow, ParameterTensor, TensorType, Unit};

use crate::{
    call::Call,
    rule::{self, Rule},
};

/// Whose rules count the work.
#[derive(Debug)]
pub struct Convention {
    /// Its name, as users give it.
    pub name: &'static str,
    /// The tool with its version, and what its figure is, in one line.
    pub summary: &'static str,
    /// What the tool counts, whatever it calls it.
    pub(crate) gives: &'static [Unit],
    /// Which parameters the tool sums.
    pub parameters: Parameters,
    /// How it sums.
    pub sum: Sum,
    /// The work of modules is that of one item: divided by the batch of the model's input. That of
    /// functions is not.
    pub(crate) per_item: bool,
    /// What counts for blocks that are a layer to PyTorch: parameters, and no modules inside.
    pub(crate) block: Option<Rule>,
    /// What the tool sees, with the rule of each. All rows of a call are summed.
    pub(crate) rows: &'static [&'static [Row]],
}

/// Kinds of layers, and what a tool counts for them.
#[derive(Debug)]
pub(crate) struct Row(pub(crate) Calls, pub(crate) &'static [&'static str], pub(crate) Rule);

/// Which calls of a kind of layer a tool sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Calls {
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

impl PartialEq for Convention {
    fn eq(&self, other: &Convention) -> bool {
        self.name == other.name
    }
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
pub(crate) const MACS: Convention = Convention {
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
