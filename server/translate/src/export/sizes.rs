//! A model at the sizes shown, and the same model at others: what differs is no number of the model but
//! follows the input.

use std::sync::Arc;

use analysis::{Analysis, FileId, Model, Options, Part, Step, TensorId, What, Workspace, analyse};
use layers::Arg;
use rustc_hash::FxHashSet;
use smallvec::SmallVec;

/// The same thing at all sizes, those shown first.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct AtSizes<T>(pub SmallVec<[T; 8]>);

impl<T> AtSizes<T> {
    pub fn shown(&self) -> &T {
        &self.0[0]
    }

    pub fn map<U>(&self, of: impl Fn(&T) -> U) -> AtSizes<U> {
        AtSizes(self.0.iter().map(of).collect())
    }
}

impl<T: PartialEq> AtSizes<T> {
    pub fn is_constant(&self) -> bool {
        self.0.iter().all(|one| *one == self.0[0])
    }
}

impl<'m> AtSizes<&'m [Arc<Step>]> {
    /// Each step at all sizes.
    pub fn each(&self) -> impl Iterator<Item = AtSizes<&'m Arc<Step>>> + use<'m> {
        let all = self.0.clone();
        (0..all[0].len()).map(move |index| AtSizes(all.iter().map(|steps| &steps[index]).collect()))
    }
}

impl<'m> AtSizes<&'m Arc<Step>> {
    /// The steps below it.
    pub fn children(&self) -> AtSizes<&'m [Arc<Step>]> {
        AtSizes(self.0.iter().map(|step| step.children()).collect())
    }
}

/// What a model's sizes may be where its code holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Freedom {
    /// Any that the model promises.
    Any,
    /// Multiples of the size shown: at others there are other steps.
    Multiples,
    /// No other.
    Fixed,
}

/// A model at several sizes, in all of which its steps are the same ones.
pub(crate) struct Runs {
    others: Vec<Analysis>,
    name: String,
    /// For each symbol of the model.
    pub freedom: Vec<Freedom>,
}

impl Runs {
    /// Writes the model out at other sizes of its symbols but for those that are fixed, by their numbers.
    pub fn new(
        workspace: &Workspace,
        file: FileId,
        options: &Options,
        model: &Model,
        fixed: &[usize],
    ) -> Runs {
        let other = Other { workspace, file, options, model };
        let shown: Vec<u64> = model.symbols.iter().map(|symbol| symbol.size).collect();
        let sizes_of = |index: usize| match fixed.contains(&index) {
            true => (Freedom::Fixed, Vec::new()),
            false => other.sizes_of(&shown, index),
        };
        let (freedom, candidates): (Vec<Freedom>, Vec<Vec<u64>>) =
            (0..shown.len()).map(sizes_of).unzip();
        // Each size of each symbol at least once; each symbol at another place of its list, so that no two
        // vary alike.
        let longest = candidates.iter().map(Vec::len).max().unwrap_or(0);
        let others = (0..longest).filter_map(|run| {
            let sizes =
                candidates.iter().zip(&shown).enumerate().map(
                    |(index, (sizes, shown))| match sizes.is_empty() {
                        true => *shown,
                        false => sizes[(run + index) % sizes.len()],
                    },
                );
            let sizes: Vec<u64> = sizes.collect();
            if sizes == shown { None } else { other.same(&sizes) }
        });
        Runs { others: others.collect(), name: model.name.to_string(), freedom }
    }

    /// The model's part at all sizes.
    pub fn part<'m>(&'m self, model: &'m Model) -> AtSizes<&'m Arc<Part>> {
        let others = self.others.iter().filter_map(|analysis| analysis.model(&self.name));
        AtSizes(std::iter::once(model).chain(others).map(|model| &model.part).collect())
    }
}

/// What is written with as few symbols fixed as it can be: an argument that jumps as a size grows has no
/// expression, and needs none where the size is the one shown. `count` is the number of symbols.
///
/// # Errors
/// The first one, if there is one whatever is fixed.
pub(crate) fn with_as_few_fixed<T, E>(
    count: usize,
    written: impl Fn(&[usize]) -> Result<T, E>,
) -> Result<T, E> {
    let first = match written(&[]) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    // What is refused with all of them fixed is refused for another reason.
    let all: Vec<usize> = (0..count).collect();
    let Ok(last) = written(&all) else { return Err(first) };
    let mut sets: Vec<Vec<usize>> = (1..1usize << count.min(MANY))
        .map(|set| all.iter().copied().filter(|index| set >> index & 1 == 1).collect())
        .filter(|set| *set != all)
        .collect();
    sets.sort_by_key(Vec::len);
    Ok(sets.iter().find_map(|fixed| written(fixed).ok()).unwrap_or(last))
}

/// The most symbols of which all sets are tried.
const MANY: usize = 4;

/// A model at other sizes.
struct Other<'o> {
    workspace: &'o Workspace,
    file: FileId,
    options: &'o Options,
    model: &'o Model,
}

impl Other<'_> {
    /// What a symbol may be, and other sizes that it may have.
    fn sizes_of(&self, shown: &[u64], index: usize) -> (Freedom, Vec<u64>) {
        let size = shown[index];
        let with = |size: u64| -> Vec<u64> {
            let mut sizes = shown.to_vec();
            sizes[index] = size;
            sizes
        };
        let holds = |sizes: &[u64]| {
            !sizes.is_empty() && sizes.iter().all(|size| self.same(&with(*size)).is_some())
        };
        let promised: Vec<u64> = self.model.other_sizes().iter().map(|run| run[index]).collect();
        if holds(&promised) {
            return match self.far(size, with) {
                Some(far) => (Freedom::Any, [far, promised].concat()),
                None => (Freedom::Fixed, Vec::new()),
            };
        }
        let times: Vec<u64> = (2..6).map(|times| size.saturating_mul(times)).collect();
        match holds(&times[..2]) {
            true => (Freedom::Multiples, times),
            false => (Freedom::Fixed, Vec::new()),
        }
    }

    /// Those of some sizes far away at which the model holds; `None` if its steps are others at one of them.
    /// Near sizes alone do not tell `min(T, 512)` from `T`.
    fn far(&self, size: u64, with: impl Fn(u64) -> Vec<u64>) -> Option<Vec<u64>> {
        let larger = [(3, 7), (8, 13), (61, 3)]
            .map(|(times, more)| size.saturating_mul(times).saturating_add(more));
        let mut held = Vec::new();
        for size in [size / 2 + 1].into_iter().chain(larger) {
            match self.at(&with(size)) {
                Some((analysis, is_same)) if !analysis.has_errors() => {
                    is_same.then_some(())?;
                    held.push(size);
                }
                _ => {}
            }
        }
        Some(held)
    }

    /// The model at other sizes if its steps are the same there.
    fn same(&self, sizes: &[u64]) -> Option<Analysis> {
        self.at(sizes).filter(|(_, is_same)| *is_same).map(|(analysis, _)| analysis)
    }

    /// The model at other sizes, and whether its steps are the same; `None` if it does not hold there.
    fn at(&self, sizes: &[u64]) -> Option<(Analysis, bool)> {
        let mut options = self.options.clone();
        let names = self.model.symbols.iter().map(|symbol| symbol.name.to_string());
        options.set.extend(names.zip(sizes.iter().map(u64::to_string)));
        let analysis = analyse(self.workspace, self.file, &options);
        let other = analysis.model(&self.model.name)?;
        let taken = other.symbols.iter().map(|symbol| symbol.size);
        if !taken.eq(sizes.iter().copied()) {
            return None;
        }
        let is_same = Comparison::default().parts(&self.model.part, &other.part);
        Some((analysis, is_same))
    }
}

/// Whether two runs of a model have the same steps.
#[derive(Default)]
struct Comparison {
    /// Parts that were compared.
    known: FxHashSet<(*const Part, *const Part)>,
}

impl Comparison {
    fn parts(&mut self, shown: &Arc<Part>, other: &Arc<Part>) -> bool {
        if !self.known.insert((Arc::as_ptr(shown), Arc::as_ptr(other))) {
            return true;
        }
        let ids = |part: &Part| -> Vec<TensorId> {
            part.inputs.iter().chain(&part.outputs).map(|one| one.id).collect()
        };
        shown.name == other.name
            && ids(shown) == ids(other)
            && self.steps(&shown.steps, &other.steps)
    }

    fn steps(&mut self, shown: &[Arc<Step>], other: &[Arc<Step>]) -> bool {
        shown.len() == other.len()
            && shown.iter().zip(other).all(|(shown, other)| self.step(shown, other))
    }

    fn step(&mut self, shown: &Step, other: &Step) -> bool {
        let sources = |step: &Step| -> Vec<analysis::Source> {
            step.inputs.iter().map(|input| input.source.clone()).collect()
        };
        let outputs = |step: &Step| -> Vec<TensorId> {
            step.outputs.iter().map(|output| output.id).collect()
        };
        let is_alike = shown.path == other.path
            && sources(shown) == sources(other)
            && outputs(shown) == outputs(other);
        is_alike
            && match (&shown.what, &other.what) {
                (What::Layer(shown), What::Layer(other)) => {
                    let arguments = |used: &analysis::LayerUse| -> Vec<(&str, Arg)> {
                        let given = used.arguments.iter().flat_map(|arguments| arguments.shown());
                        given.map(|(name, value)| (name, value.clone())).collect()
                    };
                    shown.kind == other.kind && alike(&arguments(shown), &arguments(other))
                }
                (What::Part(shown), What::Part(other)) => self.parts(shown, other),
                (What::Declared(shown), What::Declared(other)) => shown == other,
                (What::Expert(one), What::Expert(two)) => self.steps(&one.steps, &two.steps),
                (What::Group(one), What::Group(two)) | (What::Splice(one), What::Splice(two)) => {
                    self.steps(one, two)
                }
                _ => false,
            }
    }
}

/// Arguments that differ in whole numbers only.
fn alike(shown: &[(&str, Arg)], other: &[(&str, Arg)]) -> bool {
    fn values(shown: &Arg, other: &Arg) -> bool {
        match (shown, other) {
            (Arg::Int(_), Arg::Int(_)) | (Arg::Float(_), Arg::Float(_)) => true,
            (Arg::List(shown), Arg::List(other)) => {
                shown.len() == other.len()
                    && shown.iter().zip(other).all(|(shown, other)| values(shown, other))
            }
            _ => shown == other,
        }
    }
    shown.len() == other.len()
        && shown
            .iter()
            .zip(other)
            .all(|((name, one), (other_name, two))| name == other_name && values(one, two))
}
