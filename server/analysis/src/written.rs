//! A model written out: what an analysis finds, as plain immutable data.
//!
//! A [`Part`] is a model or block with certain arguments and input types. Parts that are equal are
//! one and shared, so 126 equal decoder layers cost one; totals multiply, and paths are made when
//! asked for ([`rows`](crate::rows)).

use std::sync::Arc;

use conventions::{Call, Convention};
use layers::{
    Arguments, Called, Cost, DType, Entry, Layer, Overflow, ParameterTensor, TensorType, Unit,
};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::NodeRef;

/// A tensor of a part, by its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TensorId(pub(crate) u32);

/// A tensor that flows: its number in its part and its type.
#[derive(Debug, Clone, PartialEq)]
pub struct Flowing {
    /// Its number in its part.
    pub id: TensorId,
    /// Its type.
    pub ty: Arc<TensorType>,
}

/// A tensor that a step takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Where it comes from.
    pub source: Source,
    /// Its type.
    pub ty: Arc<TensorType>,
}

/// Where a tensor comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It flows: its number in its part.
    Tensor(TensorId),
    /// It is a parameter or buffer.
    Parameter(ParameterPath),
}

/// Where a parameter lives, as a part sees it that reads it. Parts are shared by all their uses, so no path
/// in them is that of the whole model.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParameterPath {
    /// The part that owns it is so many parts further out: 0 is the part itself, 1 the one that uses it.
    pub up: u32,
    /// Its path below that part.
    pub path: Arc<str>,
}

impl ParameterPath {
    /// As a part so many parts further in sees it.
    pub(crate) fn further_in(&self, levels: usize) -> ParameterPath {
        ParameterPath { up: self.up + levels as u32, path: self.path.clone() }
    }
}

impl Taken {
    /// Its number, if it flows.
    pub fn id(&self) -> Option<TensorId> {
        match self.source {
            Source::Tensor(id) => Some(id),
            Source::Parameter(_) => None,
        }
    }
}

/// What is known of a tensor's memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Memory {
    /// The tensor that owns the memory; its own number unless it is a view.
    pub storage: TensorId,
    /// Bytes, if it owns them. Parameters own none here.
    pub bytes: u128,
}

/// A model or block, written out for certain arguments and input types.
#[derive(Debug)]
pub struct Part {
    /// The model or block.
    pub item: NodeRef,
    /// Its name.
    pub name: SmolStr,
    /// The tensors that flow in.
    pub inputs: Vec<Flowing>,
    /// Its steps, in order of execution.
    pub steps: Vec<Arc<Step>>,
    /// The tensors that flow out; empty if they are not known.
    pub outputs: Vec<Flowing>,
    /// The cost that the block states instead of its steps'.
    pub stated: Option<Stated>,
    /// Sums over all steps.
    pub totals: Totals,
    pub(crate) memory: Vec<Memory>,
    /// The tensors inside its steps' parts that its own steps read.
    pub exports: Vec<Export>,
}

impl Part {
    /// What is known of the memory of one of its tensors.
    pub fn memory_of(&self, id: TensorId) -> &Memory {
        &self.memory[id.0 as usize]
    }
}

/// A tensor inside a step's part that is read from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Export {
    /// The step that uses the part.
    pub step: u32,
    /// The tensor there.
    pub inner: Inner,
    /// The tensor that it is here.
    pub outer: TensorId,
}

/// Where a tensor is inside a part.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Inner {
    /// In the part itself.
    Tensor(TensorId),
    /// In the part of a step of it.
    Deeper(u32, Box<Inner>),
}

/// What a block says of its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Stated {
    /// MACs, if stated.
    pub macs: Option<u128>,
    /// Other FLOPs, if stated.
    pub elementwise: Option<u128>,
    /// The block has no steps, so it cannot be built.
    pub opaque: bool,
}

/// The names between the dots of a path.
pub type Segments = SmallVec<[SmolStr; 1]>;

/// Where a step's parameters live.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StepPath {
    /// The segments that it adds to the path around it.
    pub segments: Segments,
    /// The path around it is that of its part, not of the group it stands in.
    pub from_part: bool,
}

impl StepPath {
    /// The whole path, in a group and a part with these paths. A place, `@3`, is no segment of its own.
    pub fn within(&self, group: &str, part: &str) -> String {
        let mut out = if self.from_part { part } else { group }.to_owned();
        for segment in &self.segments {
            if !out.is_empty() && !segment.starts_with('@') {
                out.push('.');
            }
            out.push_str(segment);
        }
        out
    }
}

/// The path of a parameter below another path; either may be empty.
pub fn join_path(base: &str, name: &str) -> String {
    match (base, name) {
        ("", only) | (only, "") => only.to_owned(),
        _ => format!("{base}.{name}"),
    }
}

/// Something that is done once, or a group of such.
#[derive(Debug)]
pub struct Step {
    /// Its number in the run; every step of every part has its own.
    pub id: u32,
    /// The stage, expression or line that wrote it.
    pub node: NodeRef,
    /// Where it lives.
    pub path: StepPath,
    /// What it does.
    pub what: What,
    /// The tensors it takes, as far as they are known.
    pub inputs: Vec<Taken>,
    /// The tensors it gives, as far as they are known.
    pub outputs: Vec<Flowing>,
    /// It goes on with what the step before it of the same node does, as the second sum of
    /// `a + b + c`.
    pub continued: bool,
    /// Its parameters were made by an earlier step.
    pub reused: bool,
    /// Its parameters exist, and no work is done: an expert that is not chosen.
    pub idle: bool,
    /// Sums over it and what it holds, for one use.
    pub totals: Totals,
}

/// What a step does.
#[derive(Debug)]
pub enum What {
    /// A layer or an operation of an expression.
    Layer(Box<LayerUse>),
    /// A model or block.
    Part(Arc<Part>),
    /// Braces, or a loop or condition with a label: a segment of the path.
    Group(Vec<Arc<Step>>),
    /// A loop or condition without a label: its steps belong to the body around it.
    Splice(Vec<Arc<Step>>),
    /// One of several experts whose parameters are stacked.
    Expert(Expert),
    /// `param` or `buffer`.
    Declared(ParameterTensor),
}

/// One of several experts whose parameters are stacked in one tensor each. Its steps belong to the
/// body around it; those of the first expert have the whole tensors.
#[derive(Debug)]
pub struct Expert {
    /// Its number, which is its place in dimension 0 of each tensor.
    pub number: u64,
    /// How many experts there are, the size of that dimension.
    pub of: u64,
    /// What it does.
    pub steps: Vec<Arc<Step>>,
}

/// A layer with its input.
#[derive(Debug)]
pub struct LayerUse {
    /// Its kind, such as `Conv2d` or `Add`.
    pub kind: &'static str,
    /// Its entry in the catalogue; an operation of an expression has none.
    pub entry: Option<&'static Entry>,
    /// The layer with all its sizes.
    pub layer: Box<dyn Layer>,
    /// The arguments that were given; an operation of an expression has none.
    pub arguments: Option<Arc<Arguments>>,
    /// As what it is called.
    pub called: Called,
    /// All that it takes is one tensor.
    pub takes_one: bool,
    /// Its work counts.
    pub is_counted: bool,
    /// Its parameters and buffers, without those given.
    pub parameters: Vec<ParameterTensor>,
    /// Whose rules count its work; our own unless given.
    pub counted: Option<Counted>,
    /// Parameters for which a tensor is given, with that tensor.
    pub given: Vec<(String, Source)>,
    /// The experts whose parameters these are, if they are stacked.
    pub(crate) stack: Option<Stack>,
}

/// Whose rules count a model's work.
#[derive(Debug, Clone, Copy)]
pub struct Counted {
    /// The rules.
    pub convention: &'static Convention,
    /// The first size of the model's input, if it has just one.
    pub batch: u64,
}

impl LayerUse {
    /// It is a module to PyTorch: not called as a function, and no operation of an expression.
    pub fn is_module(&self) -> bool {
        self.called == Called::Module
    }
}

/// Experts whose parameters are stacked in one tensor each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stack {
    /// How many experts a token passes.
    pub chosen: u64,
    /// How many there are.
    pub experts: u64,
}

impl Stack {
    /// The tensors of all experts, for those of one.
    pub fn of(self, tensors: Vec<ParameterTensor>) -> Vec<ParameterTensor> {
        let stacked = |tensor: ParameterTensor| ParameterTensor {
            shape: tensor.shape.stacked(self.experts),
            ..tensor
        };
        tensors.into_iter().map(stacked).collect()
    }
}

/// Sums. All counts are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Elements of parameters.
    pub params: u128,
    /// Elements of parameters without those of experts that are not chosen.
    pub active_params: u128,
    /// Elements of buffers.
    pub buffers: u128,
    /// Bytes of parameters.
    pub param_bytes: u128,
    /// Bytes of buffers.
    pub buffer_bytes: u128,
    /// Multiply-accumulates.
    pub macs: u128,
    /// Floating-point operations: 2 for a MAC.
    pub flops: u128,
    /// Bytes of all tensors that steps make; views make none.
    pub activation_bytes: u128,
    /// Bytes of caches that are kept between calls.
    pub cache_bytes: u128,
    /// Leaves of the written-out model.
    pub leaves: u128,
    /// Leaves without a rule for their cost.
    pub uncounted: u128,
    /// Steps of which a mistake leaves nothing known.
    pub unknown: u128,
}

impl Totals {
    /// The sum of both.
    ///
    /// # Errors
    /// If a count does not fit in 128 bits.
    pub fn plus(self, other: &Totals) -> Result<Totals, Overflow> {
        let add = |left: u128, right: u128| left.checked_add(right).ok_or(Overflow);
        Ok(Totals {
            params: add(self.params, other.params)?,
            active_params: add(self.active_params, other.active_params)?,
            buffers: add(self.buffers, other.buffers)?,
            param_bytes: add(self.param_bytes, other.param_bytes)?,
            buffer_bytes: add(self.buffer_bytes, other.buffer_bytes)?,
            macs: add(self.macs, other.macs)?,
            flops: add(self.flops, other.flops)?,
            activation_bytes: add(self.activation_bytes, other.activation_bytes)?,
            cache_bytes: add(self.cache_bytes, other.cache_bytes)?,
            leaves: add(self.leaves, other.leaves)?,
            uncounted: add(self.uncounted, other.uncounted)?,
            unknown: add(self.unknown, other.unknown)?,
        })
    }

    /// The work in a unit.
    pub fn work(&self, unit: Unit) -> u128 {
        match unit {
            Unit::Macs => self.macs,
            Unit::Flops => self.flops,
        }
    }

    /// Whether the counts are all there is to count; else they are a least.
    pub fn is_complete(&self) -> bool {
        self.uncounted == 0 && self.unknown == 0
    }

    /// What stands before a figure of work: of some steps it may not be known.
    pub fn work_bound(&self) -> &'static str {
        if self.is_complete() { "" } else { "≥ " }
    }

    /// What stands before every other figure: a step with a mistake has none. One whose work is not known still has its
    /// tensors.
    pub fn bound(&self) -> &'static str {
        if self.unknown == 0 { "" } else { "≥ " }
    }

    /// Bytes that inference needs beside its activations: parameters, buffers and caches.
    pub fn memory(&self) -> u128 {
        self.param_bytes.saturating_add(self.buffer_bytes).saturating_add(self.cache_bytes)
    }

    pub(crate) fn sum<'a>(all: impl IntoIterator<Item = &'a Totals>) -> Result<Totals, Overflow> {
        all.into_iter().try_fold(Totals::default(), Totals::plus)
    }

    /// The sums of a step where its parameters are those of an earlier one, or where it belongs to an expert that is
    /// not chosen.
    pub fn in_place(self, reused: bool, idle: bool) -> Totals {
        let totals = if reused { self.without_parameters() } else { self };
        if idle { totals.without_work() } else { totals }
    }

    /// What is left for a step whose parameters another step has made.
    pub(crate) fn without_parameters(self) -> Totals {
        Totals { params: 0, active_params: 0, buffers: 0, param_bytes: 0, buffer_bytes: 0, ..self }
    }

    /// What is left for an expert that is not chosen.
    pub(crate) fn without_work(self) -> Totals {
        Totals { active_params: 0, macs: 0, flops: 0, activation_bytes: 0, cache_bytes: 0, ..self }
    }

    /// Adds the tensors that a leaf owns, which may be those of several experts.
    pub(crate) fn with_parameters(
        mut self,
        tensors: &[ParameterTensor],
        stack: Option<Stack>,
    ) -> Result<Totals, Overflow> {
        for tensor in tensors {
            let numel = tensor.shape.numel()?;
            let bytes = tensor.bytes()?;
            let one = match tensor.is_buffer {
                true => Totals { buffers: numel, buffer_bytes: bytes, ..Totals::default() },
                false => Totals {
                    params: numel,
                    active_params: match stack {
                        Some(stack) => numel / u128::from(stack.experts) * u128::from(stack.chosen),
                        None => numel,
                    },
                    param_bytes: bytes,
                    ..Totals::default()
                },
            };
            self = self.plus(&one)?;
        }
        Ok(self)
    }
}

impl Step {
    /// The tensors that flow in, each once; parameters are not among them.
    pub fn flowing_inputs(&self) -> Vec<&Taken> {
        let mut flowing: Vec<&Taken> = Vec::new();
        for input in self.inputs.iter().filter(|input| input.id().is_some()) {
            if flowing.iter().all(|known| known.id() != input.id()) {
                flowing.push(input);
            }
        }
        flowing
    }

    /// The steps right below it, which a part shares with its other uses.
    pub fn children(&self) -> &[Arc<Step>] {
        match &self.what {
            What::Group(steps) | What::Splice(steps) | What::Expert(Expert { steps, .. }) => steps,
            What::Part(part) if part.stated.is_none() => &part.steps,
            _ => &[],
        }
    }

    /// The work of a layer, found again from its types: a formula is asked for one step at a time.
    pub fn cost(&self) -> Cost {
        let What::Layer(used) = &self.what else { return Cost::free() };
        let Some(counted) = used.counted else { return self.own_cost() };
        if !used.is_counted {
            return Cost::free();
        }
        let (inputs, outputs) = self.types(used);
        let call = Call {
            kind: used.kind,
            layer: &*used.layer,
            arguments: used.arguments.as_deref(),
            called: used.called,
            inputs: &inputs,
            takes_one: used.takes_one,
            outputs: &outputs,
            batch: counted.batch,
        };
        // What does not fit was reported with the model's totals.
        counted.convention.cost(&call).unwrap_or_default()
    }

    /// The work of a layer by our own rules.
    pub fn own_cost(&self) -> Cost {
        match &self.what {
            What::Layer(used) if used.is_counted => {
                let (inputs, outputs) = self.types(used);
                used.layer.cost(&inputs, &outputs)
            }
            _ => Cost::free(),
        }
    }

    fn types(&self, used: &LayerUse) -> (Vec<TensorType>, Vec<TensorType>) {
        let inputs: Vec<TensorType> = self.inputs.iter().map(|input| (*input.ty).clone()).collect();
        let outputs = used.layer.outputs(&inputs).unwrap_or_default();
        (inputs, outputs)
    }

    /// Whether the tool whose rules count the work sees this step.
    pub fn is_seen(&self) -> bool {
        let What::Layer(used) = &self.what else { return false };
        let arguments = used.arguments.as_deref();
        used.counted.is_none_or(|one| one.convention.sees(used.kind, arguments, used.called))
    }

    /// Bytes that a layer reads and writes: inputs, outputs and parameters, each once. A view does
    /// neither; of a table only the rows are read that are looked up.
    pub fn traffic(&self) -> u128 {
        let What::Layer(used) = &self.what else { return 0 };
        if used.layer.is_view() {
            return 0;
        }
        let (read, written) = (self.input_bytes(), self.output_bytes());
        let is_table = matches!(used.kind, "Embedding" | "EmbeddingBag");
        let parameters = used.parameters.iter().map(|tensor| {
            let bytes = tensor.bytes().unwrap_or(0);
            if is_table { bytes.min(written) } else { bytes }
        });
        parameters.fold(read.saturating_add(written), u128::saturating_add)
    }

    pub(crate) fn input_bytes(&self) -> u128 {
        sum_of_bytes(self.inputs.iter().map(|input| &*input.ty))
    }

    pub(crate) fn output_bytes(&self) -> u128 {
        sum_of_bytes(self.outputs.iter().map(|output| &*output.ty))
    }

    /// What a table calls it.
    pub fn kind(&self) -> &str {
        match &self.what {
            What::Layer(layer) => layer.kind,
            What::Part(part) => &part.name,
            What::Group(_) => "Group",
            What::Splice(_) | What::Expert(_) => "",
            What::Declared(tensor) if tensor.is_buffer => "Buffer",
            What::Declared(_) => "Parameter",
        }
    }

    /// Whether it is a module with parameters or buffers, made here or given.
    pub(crate) fn has_parameters(&self) -> bool {
        let ties =
            matches!(&self.what, What::Layer(used) if used.is_module() && !used.given.is_empty());
        ties || self.totals.params > 0 || self.totals.buffers > 0
    }
}

/// What does not fit in a number is left out, as analysis has said so elsewhere.
fn sum_of_bytes<'t>(types: impl Iterator<Item = &'t TensorType>) -> u128 {
    types.map(|ty| ty.bytes().unwrap_or(0)).fold(0, u128::saturating_add)
}

/// The dtype of a model's weights.
pub const DEFAULT_DTYPE: DType = DType::F32;
