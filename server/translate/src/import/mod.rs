//! A traced PyTorch module as Taper source: blocks for its classes, with the names of its parameters.
//!
//! [`trace`] is what `trace.py` says of the module. [`calls`] finds out what each call of a module takes and
//! gives. [`layers`] has each layer and function in Taper's words, and [`body`] writes a call's lines.

mod body;
mod calls;
mod layers;
mod lines;
mod step;
mod stub;
mod trace;

use std::collections::{BTreeMap, BTreeSet};

use analysis::{Model, Options, Workspace};
pub use trace::{Again, Tensor, Trace};

use self::{body::Writer, calls::Calls, trace::Run};
use crate::classes::{Class, Classes, UnitId, Written};

/// Traces a module; `trace.py MODULE:EXPRESSION INPUTS`.
pub const SCRIPT: &str = include_str!("trace.py");

/// Taper source, and what it lacks.
#[derive(Debug, Clone)]
pub struct Imported {
    /// The source.
    pub text: String,
    /// The name of its model.
    pub model: String,
    /// What could not be carried over, each in a sentence.
    pub lost: Vec<String>,
}

/// Names of modules that have another before: of each module all, as a sentence.
fn other_names(again: &[Again]) -> Vec<String> {
    let mut modules: BTreeMap<&str, Vec<&Again>> = BTreeMap::new();
    for one in again {
        modules.entry(&one.same_as).or_default().push(one);
    }
    let said = modules.into_iter().map(|(first, others)| {
        const SHOWN: usize = 3;
        let names = others.iter().map(|one| format!("`{}`", one.path)).take(SHOWN);
        let mut names: Vec<String> = names.collect();
        if others.len() > SHOWN {
            names.push(format!("{} more", others.len() - SHOWN));
        }
        let names = names.join(", ");
        let tensors = match others.iter().map(|one| one.tensors).sum::<usize>() {
            0 => String::new(),
            count => format!("; a checkpoint has {count} tensors more, of these names"),
        };
        format!(
            "{names}: another name of `{first}`, which the file has{tensors}. Tools that hook modules may count \
             its work once for each name"
        )
    });
    said.collect()
}

/// Writes a traced module as Taper source; `source` is what made it, `inputs` are its inputs as Taper has them:
/// `f32[N = 1, 3, 224, 224]`.
pub fn pytorch(trace: &Trace, source: &str, inputs: &[String]) -> Imported {
    let calls = Calls::of(trace);
    let mut classes = Classes::default();
    let mut lost = BTreeSet::new();
    let mut stubs = Vec::new();
    for height in 0..=calls.height(0) {
        let mut written = Vec::new();
        for call in calls.blocks().filter(|call| calls.height(*call) == height) {
            let mut writer = Writer::new(trace, &calls, &classes, call, stubs);
            let body = writer.block(inputs);
            let taken = writer.taken.clone();
            lost.append(&mut writer.lost);
            stubs = writer.stubs;
            written.push(Written {
                unit: UnitId(call),
                name: block_name(&trace.calls[call].class),
                init: body,
                forward: Default::default(),
                taken,
                also: String::new(),
            });
        }
        classes.add(written);
    }
    for node in trace.nodes.iter().filter(|node| node.target.ends_with("setitem")) {
        let class = &trace.calls[node.call].class;
        lost.insert(format!(
            "`{class}` assigns to a part of a tensor, for which Taper has no step"
        ));
    }
    for place in &trace.settled {
        lost.insert(format!("a number made of sizes at {place}; it is that of the sizes given"));
    }
    for place in &trace.asked {
        lost.insert(format!(
            "a condition on sizes at {place}; the file has what is done at the sizes given"
        ));
    }
    lost.extend(other_names(&trace.again));
    let root = classes.made.get(&UnitId(0)).map_or_else(String::new, |made| made.class.clone());
    let blocks = classes.all.iter().map(|class| block(class, class.name == root));
    let head = format!("# `{source}`, imported from PyTorch {} by `taper import`.", trace.torch);
    let all: Vec<String> = std::iter::once(head).chain(stubs).chain(blocks).collect();
    Imported { text: all.join("\n\n") + "\n", model: root, lost: lost.into_iter().collect() }
}

impl Trace {
    /// What a model, whose work is counted as `torch` counts, does otherwise than a run of the module.
    pub fn differences(&self, model: &Model) -> Vec<String> {
        self.run.as_ref().map_or_else(Vec::new, |run| run.differences(model))
    }
}

impl Run {
    fn differences(&self, model: &Model) -> Vec<String> {
        let mut found = Vec::new();
        let totals = model.totals();
        // What is unknown may be what is missing.
        let is_told = |flops: u128| totals.uncounted > 0 && totals.flops < flops;
        if let Some(flops) = self.flops.filter(|flops| totals.flops != *flops && !is_told(*flops)) {
            found.push(format!(
                "as PyTorch's FlopCounterMode counts it has {} FLOPs, and a run of the module {flops}",
                totals.flops
            ));
        }
        let ours: Vec<&[u64]> =
            model.part.outputs.iter().map(|output| &output.ty.shape[..]).collect();
        let theirs: Vec<&[u64]> =
            self.outputs.tensors().iter().map(|tensor| &tensor.shape[..]).collect();
        if ours != theirs {
            found.push(format!("it gives {ours:?}, and a run of the module {theirs:?}"));
        }
        found
    }
}

impl Imported {
    /// Compares the file with the runs of the module at other sizes. Where it does otherwise, a condition or a number of
    /// the module is for the size that was traced: the file then expects that size, and says why. `options` count as `torch` does.
    pub fn expect_traced_sizes(&mut self, trace: &Trace, options: &Options) {
        let mut workspace = Workspace::default();
        let file = workspace.insert("imported.taper", syntax::parse(&self.text));
        let analyse = |set: Vec<(String, String)>| {
            analysis::analyse(&workspace, file, &Options { set, ..options.clone() })
        };
        let shown = analyse(Vec::new());
        let Some(model) = shown.model(&self.model).filter(|_| !shown.has_errors()) else { return };
        let mut fixed: BTreeMap<&str, (u64, String)> = BTreeMap::new();
        for there in &trace.elsewhere {
            let (name, size) = &there.set;
            let Some(symbol) = model.symbols.iter().find(|symbol| symbol.name == *name) else {
                continue;
            };
            let analysis = analyse(vec![there.set.clone()]);
            // What it refuses, it says.
            let Some(ours) = analysis.model(&self.model).filter(|_| !analysis.has_errors()) else {
                continue;
            };
            let why = match &there.run {
                None => "the module refuses it".to_owned(),
                Some(run) => run.differences(ours).join("; "),
            };
            if !why.is_empty() {
                fixed.entry(name).or_insert((symbol.size, format!("at {name} = {size} {why}")));
            }
        }
        let lines = fixed.iter().map(|(name, (size, _))| format!("    expect {name} == {size}\n"));
        let lines: String = lines.collect();
        if lines.is_empty() {
            return;
        }
        let comment = "    # At other sizes the module does other things.\n";
        self.insert_after_inputs(&(comment.to_owned() + &lines));
        let said = fixed.into_iter().map(|(name, (size, why))| {
            format!("other sizes than {name} = {size}, which the file expects: {why}")
        });
        self.lost.extend(said);
    }

    fn insert_after_inputs(&mut self, lines: &str) {
        let head = format!("model {} {{\n", self.model);
        let Some(start) = self.text.find(&head).map(|at| at + head.len()) else { return };
        let inputs = self.text[start..].split_inclusive('\n');
        let inputs: usize =
            inputs.take_while(|line| line.trim_start().starts_with("input ")).map(str::len).sum();
        self.text.insert_str(start + inputs, lines);
    }
}

/// A class as a block or model.
fn block(class: &Class, is_model: bool) -> String {
    let keyword = if is_model { "model" } else { "block" };
    let params = match &class.params[..] {
        [] => String::new(),
        params => format!("({})", params.join(", ")),
    };
    let lines = class.init.lines().map(|line| match line.is_empty() {
        true => "\n".to_owned(),
        false => format!("    {line}\n"),
    });
    format!("{keyword} {}{params} {{\n{}}}", class.name, lines.collect::<String>())
}

/// A name for a class that is no layer's.
fn block_name(class: &str) -> String {
    let name = class.trim_start_matches('_');
    if ::layers::is_kind(name) { format!("{name}Block") } else { name.to_owned() }
}
