//! Peak activation memory: the largest sum of live tensors at any step.
//!
//! A tensor lives from the step that makes it to its last use. Views share the memory of what they
//! show; inputs and outputs of a step live together; parameters are not included. Parts are
//! shared, so a part's peak is computed once for each way in which its inputs are held.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::{
    Part, Step, Taken, What,
    written::{Inner, TensorId},
};

/// How the caller holds the memory of an input.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Held {
    /// Inputs with the same number share memory.
    class: usize,
    bytes: u128,
    /// Nobody else needs it, so it is freed after its last use inside.
    owned: bool,
}

type Key = (usize, Vec<Held>, Vec<Inner>);

impl Step {
    /// The largest sum of live tensors at any time while the step runs by itself, in bytes.
    pub fn peak_activation_bytes(&self) -> u128 {
        match &self.what {
            What::Part(part) => self::peak(part),
            _ => self.input_bytes().saturating_add(self.output_bytes()),
        }
    }
}

/// The peak of a model that is run by itself, its inputs included.
pub(crate) fn peak(root: &Arc<Part>) -> u128 {
    let inputs = root.inputs.iter().enumerate().map(|(class, input)| Held {
        class,
        bytes: input.ty.bytes().unwrap_or(u128::MAX),
        owned: true,
    });
    Peaks::default().of(root, inputs.collect(), Vec::new())
}

#[derive(Default)]
struct Peaks {
    known: FxHashMap<Key, u128>,
}

impl Peaks {
    fn of(&mut self, part: &Arc<Part>, inputs: Vec<Held>, kept: Vec<Inner>) -> u128 {
        let key = (Arc::as_ptr(part) as usize, inputs, kept);
        if let Some(peak) = self.known.get(&key) {
            return *peak;
        }
        let peak = self.simulate(part, &key.1, &key.2);
        self.known.insert(key, peak);
        peak
    }

    /// Runs the steps of a part and adds up what lives.
    fn simulate(&mut self, part: &Part, inputs: &[Held], kept: &[Inner]) -> u128 {
        let mut steps = Vec::new();
        flatten(&part.steps, &mut steps);
        let lives = Lives::new(part, inputs, kept, &steps);

        let mut live = 0u128;
        for (class, held) in inputs.iter().enumerate() {
            if held.owned && held.class == class {
                live = live.saturating_add(held.bytes);
            }
        }
        let mut peak = live;
        // Nobody reads these, so they go at once.
        for (class, (held, input)) in inputs.iter().zip(&part.inputs).enumerate() {
            if held.owned && held.class == class && !lives.last_use.contains_key(&input.id) {
                live = live.saturating_sub(held.bytes);
            }
        }
        for (index, step) in steps.iter().enumerate() {
            let dying: Vec<TensorId> = lives.dying(part, step, index);
            let freed = dying
                .iter()
                .fold(0u128, |sum, storage| sum.saturating_add(lives.bytes(part, *storage)));
            let made = lives.made(part, step);
            match &step.what {
                What::Part(child) if !child.steps.is_empty() => {
                    let others = live.saturating_sub(freed);
                    let held = lives.held(part, step, &dying);
                    let exports = part.exports.iter().filter(|export| export.step == step.id);
                    let inside =
                        self.of(child, held, exports.map(|export| export.inner.clone()).collect());
                    peak = peak.max(others.saturating_add(inside));
                    live = others.saturating_add(made);
                }
                _ => {
                    live = live.saturating_add(made);
                    peak = peak.max(live);
                    live = live.saturating_sub(freed);
                }
            }
            peak = peak.max(live);
            live = live.saturating_sub(lives.unused(part, step, index));
        }
        peak
    }
}

/// Steps with work, in order; groups and loops are what is in them.
fn flatten<'p>(steps: &'p [Arc<Step>], out: &mut Vec<&'p Step>) {
    for step in steps.iter().filter(|step| !step.idle) {
        match &step.what {
            What::Layer(_) | What::Part(_) => out.push(step),
            What::Declared(_) => {}
            What::Group(_) | What::Splice(_) | What::Expert(_) => flatten(step.children(), out),
        }
    }
}

/// Until which step each storage of a part is needed.
struct Lives<'i> {
    inputs: &'i [Held],
    last_use: FxHashMap<TensorId, usize>,
}

impl<'i> Lives<'i> {
    fn new(part: &Part, inputs: &'i [Held], kept: &[Inner], steps: &[&Step]) -> Lives<'i> {
        let mut lives = Lives { inputs, last_use: FxHashMap::default() };
        for (index, step) in steps.iter().enumerate() {
            for id in step.inputs.iter().filter_map(Taken::id) {
                let storage = lives.storage(part, id);
                lives.last_use.insert(storage, index);
            }
        }
        let outputs = part.outputs.iter().map(|output| output.id);
        let kept = kept.iter().filter_map(|inner| match inner {
            Inner::Tensor(id) => Some(*id),
            // The step inside exports it for us, so its outer tensor is needed to the end.
            Inner::Deeper(step, deeper) => {
                let export = part
                    .exports
                    .iter()
                    .find(|export| export.step == *step && export.inner == **deeper);
                export.map(|export| export.outer)
            }
        });
        for id in outputs.chain(kept).collect::<Vec<_>>() {
            let storage = lives.storage(part, id);
            lives.last_use.insert(storage, usize::MAX);
        }
        lives
    }

    /// The tensor that owns the memory; for inputs that share theirs, the first of them.
    fn storage(&self, part: &Part, id: TensorId) -> TensorId {
        let storage = part.memory_of(id).storage;
        match part.inputs.iter().position(|input| input.id == storage) {
            Some(index) => {
                self.inputs.get(index).map_or(storage, |held| part.inputs[held.class].id)
            }
            None => storage,
        }
    }

    fn input(&self, part: &Part, storage: TensorId) -> Option<&Held> {
        let index = part.inputs.iter().position(|input| input.id == storage)?;
        self.inputs.get(index)
    }

    fn bytes(&self, part: &Part, storage: TensorId) -> u128 {
        match self.input(part, storage) {
            Some(held) if held.owned => held.bytes,
            Some(_) => 0,
            None => part.memory_of(storage).bytes,
        }
    }

    /// The storages whose last use is this step's input.
    fn dying(&self, part: &Part, step: &Step, index: usize) -> Vec<TensorId> {
        let mut dying: Vec<TensorId> =
            step.inputs.iter().filter_map(Taken::id).map(|id| self.storage(part, id)).collect();
        dying.sort_unstable();
        dying.dedup();
        dying.retain(|storage| self.last_use.get(storage) == Some(&index));
        dying
    }

    /// Bytes of the storages that a step makes, those read from inside it included.
    fn made(&self, part: &Part, step: &Step) -> u128 {
        self.own_storages(part, step)
            .fold(0, |sum, storage| sum.saturating_add(self.bytes(part, storage)))
    }

    /// Bytes of what a step makes and nobody uses.
    fn unused(&self, part: &Part, step: &Step, index: usize) -> u128 {
        let unused = self
            .own_storages(part, step)
            .filter(|storage| self.last_use.get(storage).is_none_or(|last| *last <= index));
        unused.fold(0, |sum, storage| sum.saturating_add(self.bytes(part, storage)))
    }

    fn own_storages(&self, part: &Part, step: &Step) -> impl Iterator<Item = TensorId> {
        let exports =
            part.exports.iter().filter(|export| export.step == step.id).map(|export| export.outer);
        let made = step.outputs.iter().map(|output| output.id).chain(exports);
        made.filter(|id| part.memory_of(*id).storage == *id).collect::<Vec<_>>().into_iter()
    }

    /// How this part holds the inputs of a step that is a part.
    fn held(&self, part: &Part, step: &Step, dying: &[TensorId]) -> Vec<Held> {
        let storages: Vec<Option<TensorId>> =
            step.inputs.iter().map(|input| Some(self.storage(part, input.id()?))).collect();
        let held = storages.iter().enumerate().map(|(index, storage)| {
            let Some(storage) = storage else {
                // A parameter: it takes no activation memory.
                return Held { class: index, bytes: 0, owned: false };
            };
            let same = |other: &Option<TensorId>| other.as_ref() == Some(storage);
            let class = storages.iter().position(same).unwrap_or(0);
            let borrowed = self.input(part, *storage).is_some_and(|held| !held.owned);
            let owned = dying.contains(storage) && !borrowed;
            Held { class, bytes: self.bytes(part, *storage), owned }
        });
        held.collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Model, Workspace, analyse};

    fn model(text: &str) -> Model {
        let mut workspace = Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(text));
        analyse(&workspace, file, &Default::default()).models.remove(0)
    }

    #[test]
    fn of_a_step_by_itself() {
        let model = model(
            "block B { Linear(8) -> Linear(16) -> Linear(8) }
             model M { input x: f32[N = 1, 8]; a: B; b: Linear(2) }",
        );
        // What flows in and out of a layer; of a block those that live at once, not all of them.
        for (path, bytes) in [("a.0", 4 * (8 + 8)), ("a.1", 4 * (8 + 16)), ("a", 96), ("b", 40)] {
            let found = model.find(path).expect("a step");
            assert_eq!(found.step.peak_activation_bytes(), bytes, "{path}");
        }
    }
}
