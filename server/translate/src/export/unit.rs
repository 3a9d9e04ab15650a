//! A written-out model as units: what each owns, what it calls in which order, what it gives.
//!
//! A unit is a block, or braces that own something: what a class is in Python and a struct in Rust. Units
//! know no language.

use std::{collections::HashMap, sync::Arc};

use analysis::{
    Expert, Inner, LayerUse, NodeRef, ParameterPath, Part, Source, Step, Taken, TensorId, What,
    Workspace, join_path,
};
use layers::{ParameterTensor, TensorType};
use syntax::ast;

use crate::{
    classes::UnitId,
    export::{error::Error, sizes::AtSizes},
};

/// A tensor that flows in a unit: one of its part, or of a part in it.
pub(crate) type Value = Inner;

/// What a class is made for.
#[derive(Debug)]
pub(crate) struct Unit<'m> {
    /// The block that it is; braces are none.
    pub item: Option<NodeRef>,
    /// The block's name, or the path of the braces in their block.
    pub name: String,
    pub inputs: Vec<Input>,
    pub children: Vec<Child<'m>>,
    pub calls: Vec<Call<'m>>,
    pub outputs: Vec<Value>,
    /// Parameters that are others': the path of each, and of that which it is.
    pub ties: Vec<(String, String)>,
    /// Parameters that are those of units around it, which tie them.
    pub outer_ties: Vec<(String, ParameterPath)>,
    /// The types of its values.
    pub types: HashMap<Value, AtSizes<Arc<TensorType>>>,
}

/// What a unit takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    Value(Value),
    /// A parameter or module that another unit owns, as the block sees it.
    Attribute(ParameterPath),
}

/// What a unit owns.
#[derive(Debug)]
pub(crate) struct Child<'m> {
    /// Its path in the unit.
    pub path: String,
    /// What wrote it: the label, if it has one.
    pub node: NodeRef,
    pub what: ChildKind<'m>,
}

#[derive(Debug)]
pub(crate) enum ChildKind<'m> {
    Layer(LayerStep<'m>),
    Unit(UnitId),
    Tensor(&'m ParameterTensor),
}

/// A layer at all sizes.
pub(crate) type LayerStep<'m> = AtSizes<&'m Arc<Step>>;

/// A step of a unit.
#[derive(Debug)]
pub(crate) struct Call<'m> {
    pub callee: Callee<'m>,
    pub operands: Vec<Operand>,
    pub outputs: Vec<Value>,
    /// The names that the text gives its values.
    pub labels: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Callee<'m> {
    /// What the unit owns, by its number.
    Child(usize),
    /// A module that is called again, by its path in the unit.
    Attribute(String, Again<'m>),
    /// A module that another unit owns: one of the inputs.
    Input(usize, Again<'m>),
    /// A layer that owns nothing. The tensors that are given for its parameters come after its operands,
    /// by their names.
    Function(LayerStep<'m>, Vec<(String, Operand)>),
    /// The same for each of so many experts: each gives one value, and they are a list.
    Experts { count: u64, calls: Vec<Call<'m>>, value: Value },
}

/// What is called again.
#[derive(Debug, Clone)]
pub(crate) enum Again<'m> {
    Layer(LayerStep<'m>),
    Unit,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Value(Value),
    /// A parameter by its path in the unit.
    Attribute(String),
    /// An expert's element of a parameter.
    Element(String),
    /// A parameter that another unit owns: one of the inputs.
    Input(usize),
    /// An expert's element of such a parameter.
    InputElement(usize),
    /// What each expert gave.
    List(Value),
}

pub(crate) fn tensor(id: TensorId) -> Value {
    Inner::Tensor(id)
}

pub(crate) fn layer_of(step: &Step) -> Option<&LayerUse> {
    match &step.what {
        What::Layer(used) => Some(used),
        _ => None,
    }
}

/// All units of a model, those that others own before them.
pub(crate) struct Units<'m> {
    pub all: Vec<Unit<'m>>,
    workspace: &'m Workspace,
    /// A part is one unit for each set of tensors that are read inside it.
    parts: HashMap<(Vec<*const Part>, Vec<Inner>), UnitId>,
}

impl<'m> Units<'m> {
    /// The units of a model, and that of the model itself.
    pub fn of(
        workspace: &'m Workspace,
        part: AtSizes<&'m Arc<Part>>,
    ) -> Result<(Units<'m>, UnitId), Error> {
        let mut units = Units { all: Vec::new(), workspace, parts: HashMap::new() };
        let root = units.part(&part, Vec::new())?;
        Ok((units, root))
    }

    fn part(&mut self, part: &AtSizes<&'m Arc<Part>>, wanted: Vec<Inner>) -> Result<UnitId, Error> {
        let shown = *part.shown();
        let key = (part.0.iter().map(|part| Arc::as_ptr(part)).collect(), wanted.clone());
        if let Some(known) = self.parts.get(&key) {
            return Ok(*known);
        }
        if shown.stated.as_ref().is_some_and(|stated| stated.opaque) {
            return Err(Error::opaque(&shown.name).at(shown.item));
        }
        let steps = AtSizes(part.0.iter().map(|part| &part.steps[..]).collect());
        let mut reads = HashMap::new();
        note_reads(&shown.steps, &mut reads);
        let outputs: Vec<Value> =
            shown.outputs.iter().map(|one| tensor(one.id)).chain(wanted.iter().cloned()).collect();
        for value in &outputs {
            *reads.entry(value.clone()).or_default() += 1;
        }
        let around = Around { part: shown, reads, wanted };
        let mut builder = Builder::new(self, &around, String::new());
        for (index, input) in shown.inputs.iter().enumerate() {
            builder.unit.inputs.push(Input::Value(tensor(input.id)));
            let types = part.map(|part| part.inputs[index].ty.clone());
            builder.unit.types.insert(tensor(input.id), types);
        }
        builder.steps(steps, "")?;
        let mut unit = builder.unit;
        unit.item = Some(shown.item);
        unit.name = shown.name.to_string();
        unit.outputs = outputs;
        let id = self.add(unit);
        self.parts.insert(key, id);
        Ok(id)
    }

    /// The parameters of blocks around a block that it takes, and that it shares, as the one around it sees
    /// them.
    fn seen_outside(&self, unit: UnitId) -> (Vec<ParameterPath>, Vec<(String, ParameterPath)>) {
        let unit = &self.all[unit.0];
        let outside = |seen: &ParameterPath| {
            let up = seen.up.checked_sub(1)?;
            Some(ParameterPath { up, path: seen.path.clone() })
        };
        let attributes = unit.inputs.iter().filter_map(|input| match input {
            Input::Attribute(seen) => outside(seen),
            Input::Value(_) => None,
        });
        let ties = unit.outer_ties.iter();
        let ties = ties.filter_map(|(path, owner)| Some((path.clone(), outside(owner)?)));
        (attributes.collect(), ties.collect())
    }

    fn add(&mut self, unit: Unit<'m>) -> UnitId {
        self.all.push(unit);
        UnitId(self.all.len() - 1)
    }

    /// The label of what a node wrote, or the node.
    fn label(&self, node: NodeRef) -> NodeRef {
        let step = self.workspace.node(node).ancestors().find_map(ast::Step::cast);
        let label = step.and_then(|step| step.labels().next());
        label.map_or(node, |label| NodeRef { node: label.id(), ..node })
    }

    /// The names that the text gives the values of a step that a node wrote; none if it computes them.
    fn labels(&self, node: NodeRef, outputs: usize) -> Vec<String> {
        let node = self.workspace.node(node);
        let Some(step) = node.ancestors().find_map(ast::Step::cast) else { return Vec::new() };
        // Only the last stage gives what is named.
        let is_last = step.stages().last().is_none_or(|last| {
            let layer = match &last {
                ast::Stage::Layer(layer) => layer.expr(),
                _ => None,
            };
            last.syntax() == node || layer.is_some_and(|expr| expr.syntax() == node)
        });
        let labels: Option<Vec<String>> =
            step.labels().map(|label| Some(label.as_name()?.text().to_owned())).collect();
        labels.filter(|labels| is_last && labels.len() == outputs).unwrap_or_default()
    }
}

/// The tensors that flow into a step, and those that flow in for its parameters.
fn ids_read(step: &Step) -> impl Iterator<Item = TensorId> {
    let given = layer_of(step).into_iter().flat_map(|used| &used.given);
    let given = given.filter_map(|(_, source)| match source {
        Source::Tensor(id) => Some(*id),
        Source::Parameter(_) => None,
    });
    step.inputs.iter().filter_map(Taken::id).chain(given)
}

/// How often each value is read by layers and blocks, in braces too.
fn note_reads(steps: &[Arc<Step>], reads: &mut HashMap<Value, usize>) {
    for step in steps {
        match &step.what {
            What::Layer(_) | What::Part(_) => {
                for id in ids_read(step) {
                    *reads.entry(tensor(id)).or_default() += 1;
                }
            }
            _ => note_reads(step.children(), reads),
        }
    }
}

/// The block around a unit.
struct Around<'m> {
    part: &'m Part,
    /// How often each of its values is read, outside of it too.
    reads: HashMap<Value, usize>,
    /// What those around it read inside it.
    wanted: Vec<Inner>,
}

struct Builder<'b, 'm> {
    units: &'b mut Units<'m>,
    around: &'b Around<'m>,
    /// Its path in its block; empty for the block itself.
    root: String,
    unit: Unit<'m>,
    /// Inside experts whose parameters are stacked: what the paths of these begin with.
    stacked: Option<String>,
}

impl<'b, 'm> Builder<'b, 'm> {
    fn new(units: &'b mut Units<'m>, around: &'b Around<'m>, root: String) -> Builder<'b, 'm> {
        let unit = Unit {
            item: None,
            name: root.clone(),
            inputs: Vec::new(),
            children: Vec::new(),
            calls: Vec::new(),
            outputs: Vec::new(),
            ties: Vec::new(),
            outer_ties: Vec::new(),
            types: HashMap::new(),
        };
        Builder { units, around, root, unit, stacked: None }
    }

    fn steps(&mut self, steps: AtSizes<&'m [Arc<Step>]>, group: &str) -> Result<(), Error> {
        for step in steps.each() {
            self.step(&step, group)?;
        }
        Ok(())
    }

    fn step(&mut self, step: &LayerStep<'m>, group: &str) -> Result<(), Error> {
        let shown = *step.shown();
        let path = shown.path.within(group, "");
        self.note_types(step);
        match &shown.what {
            What::Declared(tensor) => {
                if !shown.reused {
                    self.own(&path, shown, ChildKind::Tensor(tensor));
                }
                Ok(())
            }
            What::Layer(used) => self.layer(step, used, &path),
            What::Part(_) => self.block(step, &path),
            What::Group(_) => self.group(step, path),
            What::Splice(_) => self.steps(step.children(), group),
            What::Expert(expert) => self.expert(step, expert, group),
        }
    }

    fn note_types(&mut self, step: &LayerStep<'m>) {
        let shown = step.shown();
        for (index, input) in shown.inputs.iter().enumerate() {
            if let Some(id) = input.id() {
                let types = step.map(|step| step.inputs[index].ty.clone());
                self.unit.types.insert(tensor(id), types);
            }
        }
        for (index, output) in shown.outputs.iter().enumerate() {
            let types = step.map(|step| step.outputs[index].ty.clone());
            self.unit.types.insert(tensor(output.id), types);
        }
    }

    /// Adds what the unit owns, and gives its number.
    fn own(&mut self, path: &str, step: &Step, what: ChildKind<'m>) -> usize {
        let path = self.inside(path).unwrap_or(path).to_owned();
        let node = self.units.label(step.node);
        self.unit.children.push(Child { path, node, what });
        self.unit.children.len() - 1
    }

    /// A path of the block as one of the unit, if it is inside.
    fn inside<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.root.as_str() {
            "" => Some(path),
            root => path.strip_prefix(root)?.strip_prefix('.'),
        }
    }

    /// The number of an input, which is added if it is new.
    fn input(&mut self, input: Input) -> usize {
        if let Some(known) = self.unit.inputs.iter().position(|one| *one == input) {
            return known;
        }
        self.unit.inputs.push(input);
        self.unit.inputs.len() - 1
    }

    /// A value that a step of the unit reads, which flows in unless the unit has made it.
    fn read(&mut self, value: Value) -> Operand {
        let is_made = made(&self.unit.calls, &value);
        if !is_made {
            self.input(Input::Value(value.clone()));
        }
        Operand::Value(value)
    }

    /// A parameter that a step reads.
    fn parameter(&mut self, seen: &ParameterPath) -> Operand {
        match seen.up {
            0 => self.own_parameter(&seen.path),
            _ => Operand::Input(self.input(Input::Attribute(seen.clone()))),
        }
    }

    /// A parameter of the block, by its path there.
    fn own_parameter(&mut self, path: &str) -> Operand {
        let is_element = self.stacked.as_ref().is_some_and(|below| {
            path.strip_prefix(below.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        match (self.inside(path).map(str::to_owned), is_element) {
            (Some(path), false) => Operand::Attribute(path),
            (Some(path), true) => Operand::Element(path),
            (None, false) => Operand::Input(self.attribute(path)),
            (None, true) => Operand::InputElement(self.attribute(path)),
        }
    }

    /// The input that is a parameter or module of the block outside of these braces.
    fn attribute(&mut self, path: &str) -> usize {
        self.input(Input::Attribute(ParameterPath { up: 0, path: path.into() }))
    }

    fn operands(&mut self, step: &Step) -> Vec<Operand> {
        step.inputs.iter().map(|taken| self.source(&taken.source)).collect()
    }

    fn source(&mut self, source: &Source) -> Operand {
        match source {
            Source::Tensor(id) => self.read(tensor(*id)),
            Source::Parameter(seen) => self.parameter(seen),
        }
    }

    fn call(&mut self, step: &Step, callee: Callee<'m>, operands: Vec<Operand>) {
        let outputs: Vec<Value> = step.outputs.iter().map(|output| tensor(output.id)).collect();
        let labels = match &step.path.segments[..] {
            [.., last] if outputs.len() == 1 && !last.starts_with('@') => {
                // The value of a step is that of its last stage.
                let written = self.units.labels(step.node, 1);
                let label = if last.contains('@') { None } else { Some(last.to_string()) };
                if written.is_empty() { label.into_iter().collect() } else { written }
            }
            _ => self.units.labels(step.node, outputs.len()),
        };
        self.unit.calls.push(Call { callee, operands, outputs, labels });
    }

    fn layer(&mut self, step: &LayerStep<'m>, used: &'m LayerUse, path: &str) -> Result<(), Error> {
        let shown = *step.shown();
        let operands = self.operands(shown);
        if used.kind == "WeightedSum" && self.sum_of_experts(shown, &operands) {
            return Ok(());
        }
        if self.stacked.is_some() && !used.parameters.is_empty() {
            // The tensors of all experts stand where the layer would; each expert takes its element.
            for tensor in used.parameters.iter().filter(|_| !shown.reused) {
                self.own(&join_path(path, &tensor.name), shown, ChildKind::Tensor(tensor));
            }
            let given = used.parameters.iter().map(|tensor| {
                (tensor.name.clone(), self.own_parameter(&join_path(path, &tensor.name)))
            });
            let given = given.collect();
            self.call(shown, Callee::Function(step.clone(), given), operands);
            return Ok(());
        }
        let is_computed = used.given.iter().any(|(_, from)| matches!(from, Source::Tensor(_)));
        if is_computed && !used.parameters.is_empty() {
            let reason = "some of its parameters are its own and some are computed by steps";
            return Err(Error::refused(path, reason).at(shown.node));
        }
        if !used.is_module() || is_computed {
            let given = used.given.iter().map(|(name, from)| (name.clone(), self.source(from)));
            let given = given.collect();
            self.call(shown, Callee::Function(step.clone(), given), operands);
            return Ok(());
        }
        let callee = match (shown.reused, self.inside(path).map(str::to_owned)) {
            (false, _) => Callee::Child(self.own(path, shown, ChildKind::Layer(step.clone()))),
            (true, Some(path)) => Callee::Attribute(path, Again::Layer(step.clone())),
            (true, None) => Callee::Input(self.attribute(path), Again::Layer(step.clone())),
        };
        if !shown.reused {
            for (name, from) in &used.given {
                if let Source::Parameter(from) = from {
                    self.tie(join_path(path, name), from);
                }
            }
        }
        self.call(shown, callee, operands);
        Ok(())
    }

    /// A parameter is one that this block or one around it owns.
    fn tie(&mut self, path: String, owner: &ParameterPath) {
        match owner.up {
            // `param a.fc.weight` is the weight of `fc` in the block `a`.
            0 if *owner.path == *path => {}
            0 => self.unit.ties.push((path, owner.path.to_string())),
            _ => self.unit.outer_ties.push((path, owner.clone())),
        }
    }

    fn block(&mut self, step: &LayerStep<'m>, path: &str) -> Result<(), Error> {
        let shown = *step.shown();
        let mut operands = self.operands(shown);
        let parts: Option<smallvec::SmallVec<_>> = step
            .0
            .iter()
            .map(|step| match &step.what {
                What::Part(part) => Some(part),
                _ => None,
            })
            .collect();
        let Some(parts) = parts else { return Ok(()) };
        let (mut wanted, mut outer) = (Vec::new(), Vec::new());
        for export in self.around.part.exports.iter().filter(|export| export.step == shown.id) {
            wanted.push(export.inner.clone());
            outer.push(tensor(export.outer));
        }
        for inner in &self.around.wanted {
            if let Inner::Deeper(step, deeper) = inner
                && *step == shown.id
            {
                wanted.push((**deeper).clone());
                outer.push(inner.clone());
            }
        }
        let unit = self.units.part(&AtSizes(parts), wanted)?;
        let (attributes, ties) = self.units.seen_outside(unit);
        operands.extend(attributes.iter().map(|seen| self.parameter(seen)));
        for (inner, owner) in ties.iter().filter(|_| !shown.reused) {
            self.tie(join_path(path, inner), owner);
        }
        let known =
            self.unit.children.iter().find(|child| Some(&child.path[..]) == self.inside(path));
        let is_other = matches!(known.map(|child| &child.what), Some(ChildKind::Unit(known)) if *known != unit);
        if shown.reused && is_other {
            let reason = "it is used again, and values inside one of its uses are read";
            return Err(Error::refused(path, reason).at(shown.node));
        }
        let callee = match (shown.reused, self.inside(path).map(str::to_owned)) {
            (false, _) => Callee::Child(self.own(path, shown, ChildKind::Unit(unit))),
            (true, Some(path)) => Callee::Attribute(path, Again::Unit),
            (true, None) => Callee::Input(self.attribute(path), Again::Unit),
        };
        self.call(shown, callee, operands);
        if let Some(call) = self.unit.calls.last_mut() {
            call.outputs.extend(outer);
        }
        Ok(())
    }

    /// Braces: a unit of their own. It takes what its steps read from around it.
    fn group(&mut self, step: &LayerStep<'m>, path: String) -> Result<(), Error> {
        let shown = *step.shown();
        if shown.reused {
            let reason = "braces that are used again are not exported yet; make them a block";
            return Err(Error::refused(&path, reason).at(shown.node));
        }
        let mut inner = Builder::new(self.units, self.around, path.clone());
        // What flows in is the first thing that it takes.
        for taken in &shown.inputs {
            if let Source::Tensor(id) = taken.source
                && reads(shown.children(), id)
            {
                inner.input(Input::Value(tensor(id)));
            }
        }
        inner.stacked = self.stacked.clone();
        inner.steps(step.children(), &path)?;
        let mut unit = inner.unit;
        let mut within = HashMap::new();
        note_reads(shown.children(), &mut within);
        let is_read_outside = |value: &Value| {
            self.around.reads.get(value).copied().unwrap_or(0)
                > within.get(value).copied().unwrap_or(0)
        };
        let own = shown.outputs.iter().map(|output| tensor(output.id));
        let mut outputs: Vec<Value> = Vec::new();
        let all = unit.calls.iter().flat_map(|call| call.outputs.iter().cloned());
        for value in own.chain(all) {
            if made(&unit.calls, &value) && is_read_outside(&value) && !outputs.contains(&value) {
                outputs.push(value);
            }
        }
        unit.outputs.clone_from(&outputs);
        self.unit.ties.append(&mut unit.ties);
        self.unit.outer_ties.append(&mut unit.outer_ties);
        for (value, types) in &unit.types {
            self.unit.types.entry(value.clone()).or_insert_with(|| types.clone());
        }
        if unit.children.is_empty() && unit.calls.is_empty() {
            return Ok(());
        }
        let operands: Vec<Operand> = unit
            .inputs
            .clone()
            .into_iter()
            .map(|input| match input {
                Input::Value(value) => self.read(value),
                Input::Attribute(seen) => match self.inside(&seen.path).map(str::to_owned) {
                    Some(path) if seen.up == 0 => Operand::Attribute(path),
                    _ => Operand::Input(self.input(Input::Attribute(seen))),
                },
            })
            .collect();
        let unit = self.units.add(unit);
        let child = self.own(&path, shown, ChildKind::Unit(unit));
        self.call(shown, Callee::Child(child), operands);
        if let Some(call) = self.unit.calls.last_mut() {
            call.outputs = outputs;
        }
        Ok(())
    }

    /// One of several experts whose parameters are stacked. The first one stands for all.
    fn expert(
        &mut self,
        step: &LayerStep<'m>,
        expert: &'m Expert,
        group: &str,
    ) -> Result<(), Error> {
        if expert.number > 0 {
            return Ok(());
        }
        let Some(value) = step.shown().outputs.first().map(|output| tensor(output.id)) else {
            return Ok(());
        };
        let before = self.unit.calls.len();
        self.stacked = Some(group.to_owned());
        self.steps(step.children(), group)?;
        self.stacked = None;
        let calls = self.unit.calls.split_off(before);
        let callee = Callee::Experts { count: expert.of, calls, value: value.clone() };
        let (operands, labels) = (Vec::new(), Vec::new());
        self.unit.calls.push(Call { callee, operands, outputs: vec![value], labels });
        Ok(())
    }

    /// The sum of stacked experts takes the list of what they gave.
    fn sum_of_experts(&mut self, step: &'m Arc<Step>, operands: &[Operand]) -> bool {
        let Some(value) = self.unit.calls.iter().find_map(|call| match &call.callee {
            Callee::Experts { value, .. } => Some(value.clone()),
            _ => None,
        }) else {
            return false;
        };
        // The others have not been written out: what they give flows in from nowhere.
        for operand in operands.iter().skip(3) {
            if let Operand::Value(value) = operand {
                self.unit.inputs.retain(|input| *input != Input::Value(value.clone()));
            }
        }
        let operands = vec![operands[0].clone(), operands[1].clone(), Operand::List(value)];
        let step = AtSizes(std::iter::once(step).collect());
        self.call(step.0[0], Callee::Function(step.clone(), Vec::new()), operands);
        true
    }
}

/// Whether one of the calls makes the value.
fn made(calls: &[Call<'_>], value: &Value) -> bool {
    calls.iter().any(|call| {
        call.outputs.contains(value)
            || matches!(&call.callee, Callee::Experts { calls, .. } if made(calls, value))
    })
}

/// Whether a layer or block in these steps reads a tensor.
fn reads(steps: &[Arc<Step>], id: TensorId) -> bool {
    steps.iter().any(|step| match &step.what {
        What::Layer(_) | What::Part(_) => ids_read(step).any(|read| read == id),
        _ => reads(step.children(), id),
    })
}
