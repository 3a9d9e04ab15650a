//! What training a model needs: the tensors that PyTorch keeps for the backward pass, and the work of a step.

use std::sync::Arc;

use analysis::{
    DEFAULT_DTYPE, Export, Flowing, Inner, LayerUse, Model, NodeRef, Part, Step, Taken, TensorId,
    What,
};
use layers::{Backward, Kept, Overflow, TensorType};
use rustc_hash::{FxHashMap, FxHashSet};

/// What one step of training needs, beside parameters and the optimiser's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Training {
    /// Bytes of tensors that are kept from the forward pass, the inputs included.
    pub kept_bytes: u128,
    /// Multiply-accumulates of the backward pass.
    pub backward_macs: u128,
    /// Floating-point operations of the backward pass.
    pub backward_flops: u128,
    /// Floating-point operations of what is computed again.
    pub recomputed_flops: u128,
}

/// Whether blocks are computed again in the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recomputation {
    /// Everything is kept.
    None,
    /// Of blocks that are used several times in a row, the layers of a model, only the inputs are kept, and
    /// what one of them keeps at a time.
    Blocks,
}

impl Training {
    /// What a step of training a model needs.
    ///
    /// # Errors
    /// If a count does not fit in 128 bits.
    pub fn of(model: &Model, recomputation: Recomputation) -> Result<Training, Overflow> {
        let mut walk = Walk { recomputation, known: FxHashMap::default() };
        // Nobody needs gradients of the data.
        let needs = vec![false; model.part.inputs.len()];
        let found = walk.part(&model.part, needs)?;
        let inputs = &model.part.inputs;
        let kept = found.inputs.iter().map(|input| inputs[*input].ty.bytes());
        let kept = kept.sum::<Result<u128, Overflow>>()?;
        let sum = |left: u128, right: u128| left.checked_add(right).ok_or(Overflow);
        let most = found.recomputed.iter().map(|(bytes, _)| *bytes).max().unwrap_or(0);
        let again = found.recomputed.iter().map(|(_, flops)| *flops);
        Ok(Training {
            kept_bytes: sum(sum(kept, found.bytes)?, most)?,
            backward_macs: found.backward.macs,
            backward_flops: found.backward.flops,
            recomputed_flops: again.fold(0, u128::saturating_add),
        })
    }
}

/// What is kept of a part, and what it computes.
#[derive(Debug, Clone, Default)]
struct Found {
    /// Bytes of what is kept inside.
    bytes: u128,
    /// Its storages that are kept.
    kept: FxHashSet<TensorId>,
    /// Its inputs that are kept, which are the caller's.
    inputs: FxHashSet<usize>,
    /// Its tensors that need gradients.
    needs: FxHashSet<TensorId>,
    /// Tensors that at inference show the memory of another one, and in training have or show memory of their
    /// own: what dropout gives, and views of it.
    moved: FxHashMap<TensorId, TensorId>,
    /// The bytes of that memory.
    moved_bytes: FxHashMap<TensorId, u128>,
    backward: Backward,
    /// Bytes and FLOPs of each block that is computed again.
    recomputed: Vec<(u128, u128)>,
}

type Key = (usize, Vec<bool>);

struct Walk {
    recomputation: Recomputation,
    known: FxHashMap<Key, Arc<Found>>,
}

impl Walk {
    fn part(&mut self, part: &Arc<Part>, needs: Vec<bool>) -> Result<Arc<Found>, Overflow> {
        let key = (Arc::as_ptr(part) as usize, needs);
        if let Some(known) = self.known.get(&key) {
            return Ok(known.clone());
        }
        let mut found = Found::default();
        let flags = part.inputs.iter().zip(&key.1);
        found.needs.extend(flags.filter(|(_, needs)| **needs).map(|(input, _)| input.id));
        let repeated = match self.recomputation {
            Recomputation::Blocks => repeated(&part.steps),
            Recomputation::None => FxHashSet::default(),
        };
        self.steps(part, &part.steps, &repeated, &mut found)?;
        let found = Arc::new(found);
        self.known.insert(key, found.clone());
        Ok(found)
    }

    fn steps(
        &mut self,
        part: &Part,
        steps: &[Arc<Step>],
        repeated: &FxHashSet<NodeRef>,
        found: &mut Found,
    ) -> Result<(), Overflow> {
        for step in steps.iter().filter(|step| !step.idle) {
            match &step.what {
                What::Layer(used) => layer(part, step, used, found)?,
                What::Part(child) if child.stated.is_none() => {
                    let again = repeated.contains(&child.item);
                    self.block(part, step, child, again, found)?;
                }
                What::Part(_) | What::Declared(_) => {}
                What::Group(_) | What::Splice(_) | What::Expert(_) => {
                    self.steps(part, step.children(), repeated, found)?;
                }
            }
        }
        Ok(())
    }

    fn block(
        &mut self,
        part: &Part,
        step: &Step,
        child: &Arc<Part>,
        again: bool,
        found: &mut Found,
    ) -> Result<(), Overflow> {
        let needs = step.inputs.iter().map(|input| found.needs(input)).collect();
        let inside = self.part(child, needs)?;
        found.add_work(inside.backward)?;
        let own = |id: TensorId| inside.storage(child, id);
        // The same tensor inside and outside.
        let outputs = child.outputs.iter().zip(&step.outputs);
        let outputs = outputs.map(|(inner, outer)| (inner.id, outer.id));
        let exports = part.exports.iter().filter(|export| export.step == step.id);
        let exports =
            exports.filter_map(|export| Some((tensor_of(child, &export.inner)?, export.outer)));
        let shared: Vec<(TensorId, TensorId)> = outputs.chain(exports).collect();
        for (inner, outer) in &shared {
            if inside.needs.contains(inner) {
                found.needs.insert(*outer);
            }
        }
        if again {
            for input in &step.inputs {
                found.keep(part, input.id())?;
            }
            let flops = child.totals.flops;
            found.recomputed.push((inside.bytes, flops));
            return Ok(());
        }
        found.recomputed.extend(inside.recomputed.iter().copied());
        let mut bytes = inside.bytes;
        let mut counted = FxHashSet::default();
        for (inner, outer) in shared {
            let storage = own(inner);
            if inside.kept.contains(&storage) && counted.insert(storage) {
                bytes = bytes.saturating_sub(inside.bytes_of(child, storage));
                found.keep(part, Some(outer))?;
            }
        }
        found.bytes = found.bytes.checked_add(bytes).ok_or(Overflow)?;
        for input in &inside.inputs {
            found.keep(part, step.inputs.get(*input).and_then(Taken::id))?;
        }
        Ok(())
    }
}

impl Found {
    /// Parameters need gradients, and what is made from what needs them.
    fn needs(&self, input: &Taken) -> bool {
        input.id().is_none_or(|id| self.needs.contains(&id))
    }

    /// The tensor whose memory a tensor shows.
    fn storage(&self, part: &Part, id: TensorId) -> TensorId {
        self.moved.get(&id).copied().unwrap_or(part.memory_of(id).storage)
    }

    fn bytes_of(&self, part: &Part, storage: TensorId) -> u128 {
        let moved = self.moved_bytes.get(&storage).copied();
        moved.unwrap_or(part.memory_of(storage).bytes)
    }

    /// A view shows what its input shows.
    fn see(&mut self, input: Option<TensorId>, outputs: &[Flowing]) {
        let moved = input.and_then(|input| self.moved.get(&input).copied());
        if let Some(storage) = moved {
            self.moved.extend(outputs.iter().map(|output| (output.id, storage)));
        }
    }

    /// Keeps the memory of a tensor, once. That of an input is the caller's.
    fn keep(&mut self, part: &Part, id: Option<TensorId>) -> Result<(), Overflow> {
        let Some(id) = id else { return Ok(()) };
        let storage = self.storage(part, id);
        if let Some(input) = part.inputs.iter().position(|input| input.id == storage) {
            self.inputs.insert(input);
        } else if self.kept.insert(storage) {
            let bytes = self.bytes_of(part, storage);
            self.bytes = self.bytes.checked_add(bytes).ok_or(Overflow)?;
        }
        Ok(())
    }

    fn add_work(&mut self, more: Backward) -> Result<(), Overflow> {
        let sum = |left: u128, right: u128| left.checked_add(right).ok_or(Overflow);
        self.backward.macs = sum(self.backward.macs, more.macs)?;
        self.backward.flops = sum(self.backward.flops, more.flops)?;
        Ok(())
    }
}

fn layer(part: &Part, step: &Step, used: &LayerUse, found: &mut Found) -> Result<(), Overflow> {
    let needs: Vec<bool> = step.inputs.iter().map(|input| found.needs(input)).collect();
    let has_parameters =
        !used.given.is_empty() || used.parameters.iter().any(|tensor| !tensor.is_buffer) || {
            // Used again, it has those of its first use.
            step.reused
                && layers::parameters(&*used.layer, DEFAULT_DTYPE).is_ok_and(|all| !all.is_empty())
        };
    let inputs: Vec<TensorType> = step.inputs.iter().map(|input| (*input.ty).clone()).collect();
    let outputs: Vec<TensorType> = step.outputs.iter().map(|output| (*output.ty).clone()).collect();
    let is_float = outputs.first().is_some_and(|output| output.dtype.is_float());
    if !is_float || (!has_parameters && needs.iter().all(|needs| !needs)) {
        return Ok(());
    }
    found.needs.extend(step.outputs.iter().map(|output| output.id));
    let first = step.inputs.first().and_then(Taken::id);
    if drops(used) {
        if let (Some(made), Some(output)) = (step.outputs.first(), outputs.first()) {
            found.moved.insert(made.id, made.id);
            found.moved_bytes.insert(made.id, output.bytes()?);
            // Its mask.
            let mask = output.shape.numel()?;
            found.bytes = found.bytes.checked_add(mask).ok_or(Overflow)?;
        }
        return Ok(());
    }
    if used.layer.is_view() {
        found.see(first, &step.outputs);
        return Ok(());
    }
    let work =
        layers::backward(used.kind, &*used.layer, has_parameters, &inputs, &outputs, &needs)?;
    found.add_work(work)?;
    let Kept { inputs: which, output, others } =
        layers::kept(used.kind, used.arguments.as_deref(), has_parameters, &inputs, &outputs)?;
    let count = match which {
        layers::KeptInputs::None => 0,
        layers::KeptInputs::First => 1,
        layers::KeptInputs::Factors | layers::KeptInputs::All => step.inputs.len(),
    };
    for (index, input) in step.inputs.iter().take(count).enumerate() {
        // A factor is kept for the gradient of the others.
        let is_wanted = which != layers::KeptInputs::Factors
            || needs.iter().enumerate().any(|(other, needs)| other != index && *needs);
        if is_wanted {
            found.keep(part, input.id())?;
        }
    }
    if output {
        found.keep(part, step.outputs.first().map(|output| output.id))?;
    }
    found.bytes = found.bytes.checked_add(others).ok_or(Overflow)?;
    Ok(())
}

/// Dropout does nothing at inference, and nothing if it drops nothing.
fn drops(used: &LayerUse) -> bool {
    let is_dropout = matches!(used.kind, "Dropout" | "Dropout1d" | "Dropout2d" | "AlphaDropout");
    let p = used.arguments.iter().flat_map(|given| given.shown()).find(|(name, _)| *name == "p");
    let is_zero = matches!(p, Some((_, layers::Arg::Float(p))) if *p == 0.0)
        || matches!(p, Some((_, layers::Arg::Int(0))));
    is_dropout && !is_zero
}

/// The tensor of a part that an export names.
fn tensor_of(part: &Part, inner: &Inner) -> Option<TensorId> {
    match inner {
        Inner::Tensor(id) => Some(*id),
        Inner::Deeper(step, deeper) => {
            let same = |export: &&Export| export.step == *step && export.inner == **deeper;
            part.exports.iter().find(same).map(|export| export.outer)
        }
    }
}

/// The blocks that are used more than once in a body.
fn repeated(steps: &[Arc<Step>]) -> FxHashSet<NodeRef> {
    fn count(steps: &[Arc<Step>], uses: &mut FxHashMap<NodeRef, usize>) {
        for step in steps {
            match &step.what {
                What::Part(part) => *uses.entry(part.item).or_default() += 1,
                _ => count(step.children(), uses),
            }
        }
    }
    let mut uses = FxHashMap::default();
    count(steps, &mut uses);
    uses.into_iter().filter(|(_, times)| *times > 1).map(|(item, _)| item).collect()
}
