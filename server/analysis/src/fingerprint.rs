//! Whether two steps, or two models, do the same work: what a measurement of one is worth for the
//! other.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashMap, FxHasher};

use crate::{Model, Part, Step, What};

/// Fingerprints of one model's steps. Two steps that have the same do the same work on tensors of
/// the same types, whatever surrounds them and however they are written.
#[derive(Default)]
pub struct Fingerprints {
    /// Parts are shared, so each is looked at once.
    parts: FxHashMap<*const Part, u64>,
}

impl Fingerprints {
    /// Of a model with its sizes.
    pub fn of_model(&mut self, model: &Model) -> u64 {
        self.of_part(&model.part)
    }

    /// Of a step with what is in it.
    pub fn of_step(&mut self, step: &Step) -> u64 {
        let mut hasher = FxHasher::default();
        self.step(step, &mut hasher);
        hasher.finish()
    }

    fn of_part(&mut self, part: &Part) -> u64 {
        let key = std::ptr::from_ref(part);
        if let Some(known) = self.parts.get(&key) {
            return *known;
        }
        let mut hasher = FxHasher::default();
        for input in &part.inputs {
            input.ty.to_string().hash(&mut hasher);
        }
        for step in &part.steps {
            self.step(step, &mut hasher);
        }
        self.parts.insert(key, hasher.finish());
        hasher.finish()
    }

    fn step(&mut self, step: &Step, hasher: &mut FxHasher) {
        for input in &step.inputs {
            input.ty.to_string().hash(hasher);
        }
        match &step.what {
            // A layer has all its sizes in itself.
            What::Layer(layer) => format!("{} {:?}", layer.kind, layer.layer).hash(hasher),
            What::Declared(tensor) => format!("{} {}", tensor.dtype, tensor.shape).hash(hasher),
            What::Part(part) => self.of_part(part).hash(hasher),
            What::Group(steps) | What::Splice(steps) => {
                steps.iter().for_each(|step| self.step(step, hasher));
            }
            What::Expert(expert) => expert.steps.iter().for_each(|step| self.step(step, hasher)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Workspace, analyse};

    fn of(text: &str) -> u64 {
        let mut workspace = Workspace::default();
        let file = workspace.insert("m.taper", syntax::parse(text));
        let analysis = analyse(&workspace, file, &Options::default());
        Fingerprints::default().of_model(&analysis.models[0])
    }

    #[test]
    fn no_address_counts() {
        // It would be another one in the next process.
        for entry in layers::all() {
            let text = format!("model M {{ input x: f32[N = 4, 4, 8, 8]; {}() }}", entry.name);
            let mut workspace = Workspace::default();
            let file = workspace.insert("m.taper", syntax::parse(&text));
            for model in &analyse(&workspace, file, &Options::default()).models {
                for step in &model.part.steps {
                    let What::Layer(layer) = &step.what else { continue };
                    assert!(!format!("{:?}", layer.layer).contains("0x"), "{:?}", layer.layer);
                }
            }
        }
    }

    #[test]
    fn the_work_counts_and_not_the_words() {
        let text = "model M { input x: f32[N = 1, 8]; fc: Linear(4) -> ReLU }";
        for same in [
            "model Other { input y: f32[B = 1, 8]\n    # The head.\n    Linear(4)\n    ReLU }",
            "block Head { Linear(4) }\nmodel M { input x: f32[N = 1, 8]; let w = 4; Linear(w) -> ReLU }",
        ] {
            assert_eq!(of(text), of(same), "{same}");
        }
        for other in [
            "model M { input x: f32[N = 2, 8]; fc: Linear(4) -> ReLU }",
            "model M { input x: f32[N = 1, 8]; fc: Linear(5) -> ReLU }",
            "model M { input x: f32[N = 1, 8]; fc: Linear(4, bias=false) -> ReLU }",
            "model M { input x: f32[N = 1, 8]; fc: Linear(4) -> GELU }",
            "model M { input x: f32[N = 1, 8]; dtype bf16; fc: Linear(4) -> ReLU }",
        ] {
            assert_ne!(of(text), of(other), "{other}");
        }
    }
}
