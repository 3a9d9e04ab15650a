//! What depends on one argument of a model: the model is written out again with another value, and
//! what differs is what depends on it. No table says which key does what.

use std::{rc::Rc, sync::Arc};

use analysis::{Elsewhere, Model, Options, Part, Step, Totals, What, Workspace, join_path};
use layers::ParameterTensor;
use rustc_hash::FxHashMap;

/// What depends on an argument.
#[derive(Debug, Clone, PartialEq)]
pub struct Influence {
    /// The value that was tried in its place.
    pub tried: i64,
    /// The sums with that value.
    pub totals: Totals,
    /// How often a body is repeated by it.
    pub repeats: Option<u128>,
    /// It decides which layers there are.
    pub is_structural: bool,
    /// The modules of which a parameter has another shape, with the elements of these parameters, in
    /// the order of the model. A number in a path is `*`.
    pub modules: Vec<(String, u128)>,
}

/// What depends on an argument that is a whole number; none if no other value near it is allowed.
pub fn influence(
    workspace: &Workspace,
    model: &Model,
    options: &Options,
    name: &str,
) -> Option<Influence> {
    let (_, value) = model.arguments.iter().find(|(argument, _)| argument == name)?;
    let value: i64 = value.parse().ok().filter(|value| *value > 0)?;
    // The next one if it can be; heads must divide the width.
    let tries = [value.checked_add(1)?, value.checked_mul(2)?, value / 2, value.checked_mul(4)?];
    let mut tries = tries.into_iter().filter(|tried| *tried > 0 && *tried != value);
    let (tried, other) = tries
        .find_map(|tried| Some((tried, written_with(workspace, model, options, name, tried)?)))?;
    let mut comparison = Comparison::default();
    let modules = comparison.parts(&model.part, &other);
    Some(Influence {
        tried,
        totals: other.totals,
        repeats: comparison.repeats,
        is_structural: comparison.is_structural,
        modules: Rc::unwrap_or_clone(modules),
    })
}

/// The model with one argument changed, unless something is wrong then that was not before.
fn written_with(
    workspace: &Workspace,
    model: &Model,
    options: &Options,
    name: &str,
    value: i64,
) -> Option<Arc<Part>> {
    let sizes: Vec<u64> = model.symbols.iter().map(|symbol| symbol.size).collect();
    let argument = Some((name, value.to_string()));
    let elsewhere = Elsewhere { sizes: &sizes, argument, builds: true };
    analysis::instantiate(workspace, model, options, &elsewhere)
}

type Modules = Vec<(String, u128)>;

/// Compares parts pair by pair; equal pairs are compared once.
#[derive(Default)]
struct Comparison {
    known: FxHashMap<(*const Part, *const Part), Rc<Modules>>,
    repeats: Option<u128>,
    is_structural: bool,
}

impl Comparison {
    fn parts(&mut self, own: &Arc<Part>, other: &Arc<Part>) -> Rc<Modules> {
        let key = (Arc::as_ptr(own), Arc::as_ptr(other));
        if let Some(known) = self.known.get(&key) {
            return known.clone();
        }
        let mut modules = Modules::new();
        self.steps(&own.steps, &other.steps, "", &mut modules);
        let modules = Rc::new(modules);
        self.known.insert(key, modules.clone());
        modules
    }

    fn steps(&mut self, own: &[Arc<Step>], other: &[Arc<Step>], group: &str, out: &mut Modules) {
        if own.len() != other.len()
            && let Some(copy) = repeated(own).or_else(|| repeated(other))
        {
            let count = own.iter().filter(|step| step.node == copy.node).count() as u128;
            self.repeats.get_or_insert(count);
        }
        for (own, other) in own.iter().zip(other) {
            let path = own.path.within(group, "");
            match (&own.what, &other.what) {
                (What::Part(own), What::Part(other)) if own.item == other.item => {
                    for (inner, numel) in self.parts(own, other).iter() {
                        add(out, &join_path(&path, inner), *numel);
                    }
                }
                (What::Group(own), What::Group(other)) => self.steps(own, other, &path, out),
                (What::Splice(_), What::Splice(_)) | (What::Expert(_), What::Expert(_)) => {
                    self.steps(own.children(), other.children(), group, out);
                }
                _ if own.reused => {}
                _ => {
                    self.is_structural |= own.node != other.node;
                    add(out, &path, differing(tensors(own), tensors(other)));
                }
            }
        }
    }
}

/// A step of a list that one node wrote several times.
fn repeated(steps: &[Arc<Step>]) -> Option<&Arc<Step>> {
    steps.windows(2).find(|two| two[0].node == two[1].node && !two[1].continued).map(|two| &two[0])
}

fn tensors(step: &Step) -> &[ParameterTensor] {
    match &step.what {
        What::Layer(layer) => &layer.parameters,
        What::Declared(tensor) => std::slice::from_ref(tensor),
        _ => &[],
    }
}

/// The elements of tensors that have another shape on the other side.
fn differing(own: &[ParameterTensor], other: &[ParameterTensor]) -> u128 {
    let changed = own.iter().filter(|tensor| {
        other.iter().all(|other| other.name != tensor.name || other.shape != tensor.shape)
    });
    changed.filter_map(|tensor| tensor.shape.numel().ok()).fold(0, u128::saturating_add)
}

/// Adds elements to those of a module.
fn add(modules: &mut Modules, path: &str, numel: u128) {
    let path = numberless(path);
    match modules.iter_mut().find(|(known, _)| *known == path) {
        Some((_, sum)) => *sum += numel,
        None if numel > 0 => modules.push((path, numel)),
        None => {}
    }
}

/// `layers.3.mlp` is `layers.*.mlp`.
fn numberless(path: &str) -> String {
    let segments =
        path.split('.').map(|segment| match segment.bytes().all(|byte| byte.is_ascii_digit()) {
            true if !segment.is_empty() => "*",
            _ => segment,
        });
    segments.collect::<Vec<_>>().join(".")
}
