//! A model as it was found: written out, summed, and with names for its sizes.

use std::{collections::BTreeMap, fmt, ops::ControlFlow, sync::Arc};

use layers::{DType, TensorType, Unit};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::{
    Counted, Located, NodeRef, Part, Quantization, Row, Step, Symbol, Totals, Visited, What,
    memory,
    promise::{Sample, Samples},
    rows,
};

/// A model, or a block whose input gives sizes, at the sizes shown.
#[derive(Debug)]
pub struct Model {
    /// Its name.
    pub name: SmolStr,
    /// Where it is declared.
    pub item: NodeRef,
    /// A `model`, as opposed to a block that is shown by itself.
    pub is_model: bool,
    /// Its symbols, with the sizes shown.
    pub symbols: Vec<Symbol>,
    /// Its parameters and their values.
    pub arguments: Vec<(SmolStr, String)>,
    /// It expects other sizes than those shown.
    pub expects_other_sizes: bool,
    /// The model written out.
    pub part: Arc<Part>,
    /// How its weights are stored, if not as they are.
    pub quantization: Option<Quantization>,
    /// Whose rules count its work; our own unless given.
    pub counted: Option<Counted>,
    /// Kinds of layers whose work the user left out.
    pub ignored: Vec<String>,
    /// The only kinds of layers whose work counts; all if there are none.
    pub only: Vec<String>,
    pub(crate) totals: Totals,
    pub(crate) samples: Samples,
    pub(crate) uses: Uses,
    pub(crate) part_uses: FxHashMap<NodeRef, Vec<PartUse>>,
}

/// A step and how often the model does it.
#[derive(Debug, Clone)]
pub struct Use {
    /// The step; of several that go on with each other the last, which gives the value.
    pub step: Arc<Step>,
    /// Sums over those before it, if there are any.
    earlier: Option<Box<Totals>>,
    /// How often, in all copies of the part it stands in; experts that are not chosen do no work, nor
    /// do the steps of a block that states its cost.
    pub times: u128,
}

impl Use {
    /// Sums over its steps, for one use.
    pub fn totals(&self) -> Totals {
        match &self.earlier {
            Some(earlier) => earlier.plus(&self.step.totals).unwrap_or(**earlier),
            None => self.step.totals,
        }
    }
}

/// The steps of each node; most have one.
pub(crate) type Uses = FxHashMap<NodeRef, SmallVec<[Use; 1]>>;

/// A part and how often the model uses it.
#[derive(Debug, Clone)]
pub struct PartUse {
    /// The part.
    pub part: Arc<Part>,
    /// The first step that uses it; none for the model itself.
    pub step: Option<Arc<Step>>,
    /// How often.
    pub times: u128,
}

/// Bytes of what a model stores, by dtype.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WeightBytes {
    /// Of its parameters, but for those that are quantised.
    pub params: BTreeMap<DType, u128>,
    /// Of its buffers.
    pub buffers: BTreeMap<DType, u128>,
    /// Of quantised weights with their scales, under what is said of them: `4-bit gptq`.
    pub quantized: Option<(String, u128)>,
}

impl WeightBytes {
    /// All together.
    pub fn total(&self) -> u128 {
        let quantized = self.quantized.as_ref().map(|(_, bytes)| bytes);
        let all = self.params.values().chain(self.buffers.values()).chain(quantized);
        all.fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}

/// A size, by the name of the symbol that it follows or by its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// It equals this symbol at every size.
    Symbol(SmolStr),
    /// Any other.
    Number(u64),
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Symbol(name) => f.write_str(name),
            Dim::Number(size) => write!(f, "{size}"),
        }
    }
}

impl Model {
    /// Sums over the whole model, as the tool sums whose rules count it.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Whose work the user left out of its figures, in words.
    pub fn left_out(&self) -> Option<String> {
        let list = |kinds: &[String]| kinds.join(", ");
        let what = match (self.ignored.as_slice(), self.only.as_slice()) {
            ([], []) => return None,
            (ignored, []) => format!("without the work of {}", list(ignored)),
            ([], only) => format!("the work of {} alone", list(only)),
            (ignored, only) => {
                format!("the work of {} alone, without {}", list(only), list(ignored))
            }
        };
        let mut lacking: Vec<String> = self.ignored.iter().chain(&self.only).cloned().collect();
        self.rows(|row| {
            lacking.retain(|kind| kind != row.step.kind());
            ControlFlow::Continue(())
        });
        Some(match lacking.is_empty() {
            true => what,
            false => format!("{what} (no step is {})", list(&lacking)),
        })
    }

    /// The kinds of steps whose work is not known, so that the totals are a least.
    pub fn uncounted(&self) -> Vec<String> {
        let mut kinds = Vec::new();
        self.rows(|row| {
            if row.totals.uncounted > 0 {
                kinds.push(row.step.kind().to_owned());
            }
            ControlFlow::Continue(())
        });
        kinds.sort();
        kinds.dedup();
        kinds
    }

    /// The sizes shown, in words: `N = 1, H = 224`.
    pub fn sizes(&self) -> String {
        let each = self.symbols.iter().map(|symbol| format!("{} = {}", symbol.name, symbol.size));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Whether there is a figure of this unit: by the rules of a tool there may be none.
    pub fn gives(&self, unit: Unit) -> bool {
        self.counted.is_none_or(|counted| counted.convention.gives(unit))
    }

    /// What its work is told in: FLOPs, unless the rules of a tool give none.
    pub fn unit(&self) -> Unit {
        if self.gives(Unit::Flops) { Unit::Flops } else { Unit::Macs }
    }

    /// What [`Totals::param_bytes`] and [`Totals::buffer_bytes`] are made of, or what is stored in
    /// their place.
    pub fn weight_bytes(&self) -> WeightBytes {
        let quantized = self.quantization.as_ref().map(|quantization| (quantization.name(), 0));
        let mut weights = WeightBytes { quantized, ..WeightBytes::default() };
        self.rows(|row| {
            for (_, tensor) in row.tensors() {
                if let Some(bytes) = self.quantized_bytes(&row, tensor) {
                    if let Some((_, sum)) = &mut weights.quantized {
                        *sum = sum.saturating_add(bytes);
                    }
                    continue;
                }
                let by_dtype = match tensor.is_buffer {
                    true => &mut weights.buffers,
                    false => &mut weights.params,
                };
                let bytes = by_dtype.entry(tensor.dtype).or_default();
                *bytes = bytes.saturating_add(tensor.bytes().unwrap_or(u128::MAX));
            }
            ControlFlow::Continue(())
        });
        weights
    }

    /// The largest sum of live tensors at any step, in bytes.
    pub fn peak_activation_bytes(&self) -> u128 {
        memory::peak(&self.part)
    }

    /// Visits every leaf in order of execution, every copy on its own, until the visitor breaks.
    pub fn rows<'m>(&'m self, mut visitor: impl FnMut(Row<'m>) -> ControlFlow<()>) {
        rows::visit(&self.part, &mut visitor);
    }

    /// The first step of a path, be it a layer, a block or braces.
    pub fn find(&self, path: &str) -> Option<Located<'_>> {
        self.first(|step| step.is_named() && step.path == path, |step| step.located())
    }

    /// The path of a step at its first use.
    pub fn path_of(&self, step: &Step) -> Option<String> {
        self.first(|one| one.is_named() && one.step.id == step.id, |one| one.path.to_owned())
    }

    /// Visits every step in order of execution, each before those in it, until the visitor breaks.
    pub fn steps<'m>(&'m self, mut visitor: impl FnMut(Visited<'_, 'm>) -> ControlFlow<()>) {
        rows::walk(&self.part, &mut visitor);
    }

    /// What is wanted of the first step that is the one.
    fn first<'m, T>(
        &'m self,
        is_it: impl Fn(&Visited<'_, 'm>) -> bool,
        wanted: impl Fn(&Visited<'_, 'm>) -> T,
    ) -> Option<T> {
        let mut found = None;
        self.steps(|step| match is_it(&step) {
            true => {
                found = Some(wanted(&step));
                ControlFlow::Break(())
            }
            false => ControlFlow::Continue(()),
        });
        found
    }

    /// The dtype of most weights.
    pub fn dtype(&self) -> DType {
        let weights = self.weight_bytes().params;
        let most = weights.into_iter().max_by_key(|(_, bytes)| *bytes);
        most.map_or(DType::F32, |(dtype, _)| dtype)
    }

    /// The uses of the steps that a node wrote, the first one first.
    pub fn uses(&self, node: NodeRef) -> &[Use] {
        self.uses.get(&node).map_or(&[], SmallVec::as_slice)
    }

    /// The uses of a model or block, the first one first.
    pub fn part_uses(&self, item: NodeRef) -> &[PartUse] {
        self.part_uses.get(&item).map_or(&[], Vec::as_slice)
    }

    /// The other sizes of its symbols at which it holds.
    pub fn other_sizes(&self) -> &[Vec<u64>] {
        &self.samples.sizes
    }

    /// What a step takes and gives at each of [`Model::other_sizes`]; nothing where it is not known at all of them.
    pub fn samples(&self, step: &Step) -> &[Sample] {
        self.samples.steps.get(step.id as usize).map_or(&[], SmallVec::as_slice)
    }

    /// How many different steps it has.
    pub fn different_steps(&self) -> usize {
        self.samples.steps.len()
    }

    /// The sizes of an output of a step, by the symbols that they follow.
    pub fn output_dims(&self, step: &Step, output: usize) -> Vec<Dim> {
        let shown = step.outputs.get(output).map(|output| &output.ty);
        self.dims(step, shown, |sample| sample.outputs().get(output))
    }

    /// The sizes of an input of a step.
    pub fn input_dims(&self, step: &Step, input: usize) -> Vec<Dim> {
        let shown = step.inputs.get(input).map(|input| &input.ty);
        self.dims(step, shown, |sample| sample.inputs().get(input))
    }

    fn dims(
        &self,
        step: &Step,
        shown: Option<&Arc<TensorType>>,
        of: impl Fn(&Sample) -> Option<&Arc<TensorType>>,
    ) -> Vec<Dim> {
        let Some(shown) = shown else { return Vec::new() };
        let there: Vec<&Arc<TensorType>> = self.samples(step).iter().filter_map(&of).collect();
        let follows = |dim: usize, symbol: usize| {
            let mut samples = there.iter().zip(&self.samples.sizes);
            samples.all(|(ty, sizes)| ty.shape.get(dim) == Some(&sizes[symbol]))
        };
        let varies = !there.is_empty() && there.len() == self.samples.sizes.len();
        let dims = shown.shape.iter().enumerate().map(|(dim, size)| {
            let mut symbols = self.symbols.iter().enumerate();
            let symbol = symbols
                .find(|(index, symbol)| varies && symbol.size == *size && follows(dim, *index));
            symbol.map_or(Dim::Number(*size), |(_, symbol)| Dim::Symbol(symbol.name.clone()))
        });
        dims.collect()
    }
}

/// The uses of the steps that a node wrote, in a model that is written out.
pub fn uses_in(root: &Arc<Part>, node: NodeRef) -> SmallVec<[Use; 1]> {
    index(root).0.remove(&node).unwrap_or_default()
}

/// Finds every step of a model, and how often it is done.
pub(crate) fn index(root: &Arc<Part>) -> (Uses, FxHashMap<NodeRef, Vec<PartUse>>) {
    let mut order = Vec::new();
    let mut numbers = FxHashMap::default();
    visit_parts(root, None, &mut order, &mut numbers);

    // Parts that use others come before them in some order; the totals flow along it.
    let mut times = vec![0u128; order.len()];
    times[0] = 1;
    for number in topological(&order, &numbers) {
        let outer = times[number];
        inner_parts(&order[number].part.steps, &mut |part, step| {
            let inner = numbers[&Arc::as_ptr(part)];
            let outer = if step.idle || order[number].part.stated.is_some() { 0 } else { outer };
            times[inner] = times[inner].saturating_add(outer);
        });
    }

    let mut uses = Uses::default();
    let mut part_uses: FxHashMap<NodeRef, Vec<PartUse>> = FxHashMap::default();
    for (entry, times) in order.iter_mut().zip(times) {
        entry.times = times;
        let counted = if entry.part.stated.is_some() { 0 } else { times };
        collect(&entry.part.steps, counted, &mut uses);
        part_uses.entry(entry.part.item).or_default().push(entry.clone());
    }
    (uses, part_uses)
}

/// Parts in the order in which they are first used.
fn visit_parts(
    part: &Arc<Part>,
    step: Option<&Arc<Step>>,
    order: &mut Vec<PartUse>,
    numbers: &mut FxHashMap<*const Part, usize>,
) {
    if numbers.contains_key(&Arc::as_ptr(part)) {
        return;
    }
    numbers.insert(Arc::as_ptr(part), order.len());
    order.push(PartUse { part: part.clone(), step: step.cloned(), times: 0 });
    inner_parts(&part.steps, &mut |inner, step| visit_parts(inner, Some(step), order, numbers));
}

fn inner_parts(steps: &[Arc<Step>], visitor: &mut dyn FnMut(&Arc<Part>, &Arc<Step>)) {
    for step in steps {
        match &step.what {
            What::Part(part) => visitor(part, step),
            What::Layer(_) | What::Declared(_) => {}
            _ => inner_parts(step.children(), visitor),
        }
    }
}

/// An order in which every part comes before those it uses.
fn topological(order: &[PartUse], numbers: &FxHashMap<*const Part, usize>) -> Vec<usize> {
    let mut done = vec![false; order.len()];
    let mut finished = Vec::with_capacity(order.len());
    finish(0, order, numbers, &mut done, &mut finished);
    finished.reverse();
    finished
}

fn finish(
    number: usize,
    order: &[PartUse],
    numbers: &FxHashMap<*const Part, usize>,
    done: &mut [bool],
    finished: &mut Vec<usize>,
) {
    if std::mem::replace(&mut done[number], true) {
        return;
    }
    inner_parts(&order[number].part.steps, &mut |part, _| {
        finish(numbers[&Arc::as_ptr(part)], order, numbers, done, finished);
    });
    finished.push(number);
}

fn collect(steps: &[Arc<Step>], times: u128, uses: &mut Uses) {
    for step in steps.iter().filter(|step| !step.idle) {
        // An expert has no words of its own: its braces are those of all.
        if let What::Expert(expert) = &step.what {
            collect(&expert.steps, times, uses);
            continue;
        }
        let uses_of_node = uses.entry(step.node).or_default();
        match uses_of_node.last_mut().filter(|_| step.continued) {
            Some(one) => {
                one.earlier = Some(Box::new(one.totals()));
                one.step = step.clone();
            }
            None => uses_of_node.push(Use { step: step.clone(), earlier: None, times }),
        }
        if let What::Group(inner) | What::Splice(inner) = &step.what {
            collect(inner, times, uses);
        }
    }
}
