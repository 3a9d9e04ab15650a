//! A call of a module as lines of Taper.

use std::collections::{BTreeSet, HashMap, HashSet};

use layers::Called;
use syntax::{CONTEXTUAL_WORDS, RESERVED_WORDS};

use super::{
    calls::{Calls, Given, Item, Role},
    lines::{Line, braces, readable, rendered},
    step::{Step, operator},
    trace::{Node, Op, Trace, Traced, node_of},
};
use crate::{
    classes::{Classes, UnitId},
    names,
    template::Template,
};

/// Names for the sizes of a tensor with so many.
const SIZES: &[&str] = &["", "[N]", "[N, C]", "[N, T, C]", "[N, C, H, W]", "[N, C, D, H, W]"];

pub(crate) struct Writer<'w, 't> {
    pub(super) trace: &'t Trace,
    pub calls: &'w Calls<'t>,
    classes: &'w Classes,
    /// The call that is the block.
    root: usize,
    /// What a value is called.
    names: HashMap<Given, String>,
    /// Values that are read by their names, as far as is known.
    asked: HashSet<Given>,
    /// All values that need a name are known.
    is_last_time: bool,
    /// The current value.
    it: Option<Given>,
    /// Parameters that are declared.
    declared: Vec<Template>,
    /// The layers that were called, and parameters that were read before theirs was.
    pub(super) called: HashSet<String>,
    pub(super) read_early: HashSet<String>,
    /// Whole numbers that are computed from no input, with their shapes.
    constants: Vec<(String, Vec<u64>)>,
    pub lost: BTreeSet<String>,
    /// The names of its inputs and values.
    pub taken: Vec<String>,
    /// Blocks for what Taper lacks.
    pub stubs: Vec<String>,
}

impl<'w, 't> Writer<'w, 't> {
    pub fn new(
        trace: &'t Trace,
        calls: &'w Calls<'t>,
        classes: &'w Classes,
        root: usize,
        stubs: Vec<String>,
    ) -> Writer<'w, 't> {
        Writer {
            trace,
            calls,
            classes,
            root,
            names: HashMap::new(),
            asked: HashSet::new(),
            is_last_time: false,
            it: None,
            declared: Vec::new(),
            called: HashSet::new(),
            read_early: HashSet::new(),
            constants: Vec::new(),
            lost: BTreeSet::new(),
            taken: Vec::new(),
            stubs,
        }
    }

    /// The body of the block. It is written twice: only then is it known which values need a name.
    pub fn block(&mut self, inputs: &[String]) -> Template {
        let _ = self.written(inputs);
        self.is_last_time = true;
        self.lost.clear();
        self.written(inputs)
    }

    fn written(&mut self, specs: &[String]) -> Template {
        self.names.clear();
        self.declared.clear();
        self.called.clear();
        self.read_early.clear();
        self.constants.clear();
        let inputs = self.calls.inputs(self.root);
        let mut taken: Vec<String> = Vec::new();
        let mut head = self.input_lines(&inputs, specs, &mut taken);
        self.it = inputs.first().cloned();
        let first_name = taken.first().cloned();
        let mut lines = self.body(self.root, &mut taken);
        self.taken = taken;
        let outputs = self.calls.outputs(self.root);
        if self.it.as_ref() != outputs.first() || outputs.len() > 1 {
            let names: Vec<String> = outputs.iter().map(|output| self.name(output)).collect();
            lines.push(Line {
                label: None,
                sources: None,
                stage: Template::text(names.join(", ")),
                is_module: false,
                is_named: true,
            });
        }
        head.extend(self.declared.iter().cloned());
        head.extend(self.constants.iter().map(|(name, shape)| constant_line(name, shape)));
        // The steps begin with the input again.
        if !self.constants.is_empty()
            && let (Some(first), Some(name)) = (inputs.first(), first_name)
        {
            self.asked.insert(first.clone());
            head.push(Template::text(name));
        }
        head.extend(rendered(lines));
        Template::joined(head, "\n")
    }

    /// The lines of what flows in. The input of a block that needs no name is left out.
    fn input_lines(
        &mut self,
        inputs: &[Given],
        specs: &[String],
        taken: &mut Vec<String>,
    ) -> Vec<Template> {
        let call = &self.trace.calls[self.root];
        // A list of tensors is one parameter in PyTorch.
        let is_one_each = call.inputs.len() <= call.parameters.len();
        let owned = self.calls.owned(self.root);
        let mut lines = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            let is_input = |name: &String| self.calls.given(name).as_ref() == Some(input);
            let position = match self.root {
                0 => Some(index),
                _ => call.inputs.iter().position(is_input),
            };
            let own = position.filter(|_| is_one_each).and_then(|at| call.parameters.get(at));
            let own = own.map_or("x", String::as_str);
            let wanted = if is_word(own) { "x" } else { own };
            let is_free =
                |name: &str| !owned.contains(name) && taken.iter().all(|known| known != name);
            let name = names::free(wanted, is_free);
            taken.push(name.clone());
            self.names.insert(input.clone(), name.clone());
            let rank = self.tensor(input).map_or(0, |tensor| tensor.shape.len());
            let sizes = SIZES.get(rank).filter(|sizes| index == 0 && !sizes.is_empty());
            // Letters for its sizes are names as well.
            let is_letter_taken = |sizes: &&&str| {
                sizes.split(|one: char| !one.is_ascii_alphabetic()).any(|letter| {
                    owned.contains(letter) || call.parameters.iter().any(|name| name == letter)
                })
            };
            let pattern = sizes.filter(|sizes| !is_letter_taken(sizes));
            let pattern = pattern.copied().unwrap_or("[...]");
            match specs.get(index).filter(|_| self.root == 0) {
                Some(spec) => lines.push(format!("input {name}: {spec}")),
                None if inputs.len() > 1 || self.asked.contains(input) => {
                    lines.push(format!("input {name}: {pattern}"));
                }
                None => {}
            }
        }
        lines.into_iter().map(Template::text).collect()
    }

    /// The lines of a call: of the block, or of braces in it.
    fn body(&mut self, call: usize, taken: &mut Vec<String>) -> Vec<Line> {
        let mut lines = Vec::new();
        for item in self.calls.lines(call) {
            let line = match item {
                Item::Node(at) => self.step(call, at, taken),
                Item::Call(inner) => self.inner(call, inner, taken),
            };
            lines.push(line);
        }
        lines
    }

    /// A call in the call: braces, or another block.
    fn inner(&mut self, outer: usize, inner: usize, taken: &mut Vec<String>) -> Line {
        let label = relative(&self.trace.calls[outer].path, &self.trace.calls[inner].path);
        let inputs = self.calls.inputs(inner);
        let outputs = self.calls.outputs(inner);
        let is_inline = self.calls.is_inline(inner);
        let sources = match is_inline {
            // Other values are read by their names.
            true => self.sources(&inputs[..inputs.len().min(1)]),
            false => self.sources(&inputs),
        };
        let again = self.calls.first_call(inner);
        let first = again.unwrap_or(inner);
        let stage = match again {
            Some(_) => {
                // A module of another one is read by its path.
                let below = || self.nearest(outer, &self.trace.calls[inner].path);
                Template::text(
                    label.clone().or_else(below).as_deref().map_or_else(String::new, readable),
                )
            }
            None if is_inline => {
                taken.extend(label.clone());
                self.it = inputs.first().cloned();
                // Labels in braces are their own.
                let lines = self.body(inner, &mut Vec::new());
                for (given, name) in &mut self.names {
                    if self.calls.is_inside(inner, given.node) && Some(given) != outputs.first() {
                        let label = label.clone().unwrap_or_default();
                        *name = format!("{label}.{}", name.trim_matches('"'));
                    }
                }
                braces(lines)
            }
            None => match self.classes.made.get(&UnitId(first)) {
                Some(made) if made.arguments.is_empty() => Template::text(made.class.clone()),
                Some(made) => made.template(),
                None => Template::text("Identity"),
            },
        };
        let is_named = outputs.iter().any(|output| self.asked.contains(output));
        let again_name = || is_named.then(|| free(&self.class_in_snake_case(inner), taken));
        let label = if again.is_some() { again_name() } else { label };
        taken.extend(label.clone());
        // A layer is called again after an arrow only.
        let sources = match again {
            Some(_) => sources.or_else(|| Some("it".to_owned())),
            None => sources,
        };
        let text = label.as_deref().map_or_else(String::new, readable);
        match &outputs[..] {
            [one] => drop(self.names.insert(one.clone(), text)),
            several if is_inline => {
                several.first().map(|one| self.names.insert(one.clone(), text));
            }
            several => {
                for (index, output) in several.iter().enumerate() {
                    self.names.insert(output.clone(), format!("{text}[{index}]"));
                }
            }
        }
        self.it = match &outputs[..] {
            [one] => Some(one.clone()),
            several if is_inline => several.first().cloned(),
            _ => None,
        };
        Line { label, sources, stage, is_module: again.is_none(), is_named }
    }

    /// A name for what a call gives.
    fn class_in_snake_case(&self, call: usize) -> String {
        identifier(&heck::ToSnakeCase::to_snake_case(self.trace.calls[call].class.as_str()))
    }

    /// A step of the call itself.
    fn step(&mut self, call: usize, at: usize, taken: &mut Vec<String>) -> Line {
        let node = self.calls.node(at);
        let leaf = match node.op {
            Op::CallModule => self.trace.leaves.get(&node.target),
            _ => None,
        };
        let written = match leaf {
            Some(leaf) => self.module(node, leaf),
            None => self.function(at),
        };
        let written = written.unwrap_or_else(|reason| self.stub(node, &reason));
        let path = &self.trace.calls[call].path;
        let label = leaf.and_then(|_| relative(path, &node.target));
        let owns = leaf.is_some_and(|leaf| !leaf.tensors.is_empty());
        let is_again = leaf.is_some() && self.calls.is_called_before(at);
        // An activation that is used again takes the next number, as in a `Sequential`.
        let is_numbered =
            !is_again && label.as_ref().is_some_and(|label| label.parse::<u64>().is_ok());
        let (sources, stage, is_expression) = match written {
            Step::Layer(sources, stage) => (self.sources(&sources), stage, false),
            Step::Expression(text) => (None, text, true),
        };
        let parts = self.parts(at);
        self.it = if parts.len() == 1 { parts.first().cloned() } else { None };
        let is_module = !is_expression && !is_function(&stage.plain());
        let is_named = parts.iter().any(|part| self.asked.contains(part));
        if owns && is_again {
            // A layer of another module is read by its path.
            let label = label.or_else(|| self.nearest(call, &node.target));
            let stage = Template::text(label.as_deref().map_or_else(String::new, readable));
            let label = is_named.then(|| self.label_parts(self.calls.short(at), &parts, taken));
            // A layer is called again after an arrow only.
            let sources = sources.or_else(|| Some("it".to_owned()));
            return Line { label, sources, stage, is_module: false, is_named: true };
        }
        let label = match label {
            Some(label) if owns || is_numbered => Some(self.label_whole(label, &parts, taken)),
            label if is_named => {
                let base = label.unwrap_or_else(|| self.calls.short(at).to_owned());
                Some(self.label_parts(&base, &parts, taken))
            }
            _ => None,
        };
        Line { label, sources, stage, is_module, is_named }
    }

    /// One label for all that a step gives: the path of its parameters.
    fn label_whole(&mut self, label: String, parts: &[Given], taken: &mut Vec<String>) -> String {
        let text = readable(&label);
        taken.push(label.clone());
        for (index, part) in parts.iter().enumerate() {
            let is_whole = parts.len() == 1 && part.part.is_empty();
            let name = if is_whole { text.clone() } else { format!("{text}[{index}]") };
            self.names.insert(part.clone(), name);
        }
        label
    }

    /// A label for each value that a step gives; `_` for those that nobody reads.
    fn label_parts(&mut self, base: &str, parts: &[Given], taken: &mut Vec<String>) -> String {
        let mut labels = Vec::new();
        for part in parts {
            if parts.len() > 1 && !self.asked.contains(part) {
                labels.push("_".to_owned());
                continue;
            }
            let name = free(&identifier(base), taken);
            taken.push(name.clone());
            self.names.insert(part.clone(), name.clone());
            labels.push(name);
        }
        labels.join(", ")
    }

    /// The tensors that a node gives, from the outside in: a recurrent layer's states are a pair in a pair.
    pub(super) fn parts(&self, at: usize) -> Vec<Given> {
        self.calls.each(Given { node: at, part: Vec::new() })
    }

    /// What a step takes, unless that is the current value.
    fn sources(&mut self, given: &[Given]) -> Option<String> {
        if given.len() == 1 && given.first() == self.it.as_ref() {
            return None;
        }
        let names: Vec<String> = given.iter().map(|one| self.name_or_it(one)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    /// A value's name; the current one needs none.
    pub(super) fn name_or_it(&mut self, given: &Given) -> String {
        let is_known =
            self.names.get(given).is_some_and(|name| !name.contains('"') && !name.is_empty());
        if self.it.as_ref() == Some(given) && !is_known {
            return "it".to_owned();
        }
        self.name(given)
    }

    pub(super) fn name(&mut self, given: &Given) -> String {
        if self.calls.role(given.node) == Role::Attribute && !self.names.contains_key(given) {
            self.declare(given);
        }
        self.asked.insert(given.clone());
        if self.is_last_time && !self.names.contains_key(given) {
            let node = &self.calls.node(given.node).name;
            self.lost.insert(format!("a value of `{node}`, which Taper's layer does not give"));
        }
        self.names
            .get(given)
            .filter(|name| !name.is_empty())
            .cloned()
            // A name that is not there is an error where the file is checked.
            .unwrap_or_else(|| self.calls.node(given.node).name.clone())
    }

    /// A parameter or buffer that is read as a tensor.
    fn declare(&mut self, given: &Given) {
        let node = self.calls.node(given.node);
        if let Some(tensor) = self.constant(node) {
            let is_free = |name: &str| self.constants.iter().all(|(known, _)| known != name);
            let name = names::free("constant", is_free);
            self.names.insert(given.clone(), name.clone());
            self.constants.push((name, tensor));
            return;
        }
        // A tensor that `forward` makes is an attribute of the module around all.
        let made = node.target.starts_with("_tensor_constant").then(|| node.target.clone());
        let Some(path) = self.below(&node.target).or(made) else {
            self.lost.insert(format!("`{}` is read where it does not lie", node.target));
            return;
        };
        self.names.insert(given.clone(), path.clone());
        let of_leaf = self.trace.leaves.keys().find(|leaf| {
            node.target.strip_prefix(leaf.as_str()).is_some_and(|rest| rest.starts_with('.'))
        });
        match of_leaf {
            Some(leaf) if self.called.contains(leaf) => return,
            Some(_) => drop(self.read_early.insert(node.target.clone())),
            None => {}
        }
        let own = self.trace.attributes.get(&node.target).cloned().flatten();
        let Some(own) = own else {
            self.lost.insert(format!(
                "`{}` is no parameter or buffer of `state_dict`: it is a buffer here",
                node.target
            ));
            let tensor = node.value.as_ref().and_then(Traced::tensor);
            let line = tensor.map(|tensor| tensor.declaration("buffer", &path));
            self.declared.extend(line.filter(|line| !self.declared.contains(line)));
            return;
        };
        let line = own.declaration(&path);
        if !self.declared.contains(&line) {
            self.declared.push(line);
        }
    }

    /// The shape of whole numbers that `forward` computes from no input, which the tracer has as a tensor.
    fn constant(&mut self, node: &Node) -> Option<Vec<u64>> {
        let is_own = self.trace.attributes.get(&node.target).is_some_and(Option::is_some);
        let tensor = node.value.as_ref()?.tensor()?.clone();
        if is_own || !tensor.dtype.starts_with('i') {
            return None;
        }
        self.lost.insert(format!(
            "`{}`, whole numbers {:?} that `state_dict` lacks; `Arange` has their shape, not their values",
            node.target, tensor.shape
        ));
        Some(tensor.shape)
    }

    /// A path as it is read in a call of the block: below the innermost braces in which it lies.
    fn nearest(&self, call: usize, path: &str) -> Option<String> {
        let mut around = Some(call);
        while let Some(outer) = around {
            let found = relative(&self.trace.calls[outer].path, path);
            if found.is_some() || outer == self.root {
                return found;
            }
            around = self.trace.calls[outer].parent;
        }
        None
    }

    /// A path as one of the block, if it lies there.
    pub(super) fn below(&self, path: &str) -> Option<String> {
        relative(&self.trace.calls[self.root].path, path)
    }

    pub(super) fn is_scalar(&self, given: &Given) -> bool {
        self.calls.role(given.node) == Role::Scalar
    }

    /// A number as an expression of sizes that are at hand, or as it was.
    pub(super) fn scalar(&mut self, name: &str) -> Option<String> {
        let at = self.calls.find(name)?;
        let node = self.calls.node(at);
        if let Some(text) = self.size(at, node) {
            return Some(text);
        }
        match &node.value {
            Some(Traced::Number { number }) => Some(number.to_string()),
            Some(Traced::Items { items }) => {
                let numbers = items.iter().map(|item| match item {
                    Traced::Number { number } => Some(number.to_string()),
                    _ => None,
                });
                Some(format!("[{}]", numbers.collect::<Option<Vec<_>>>()?.join(", ")))
            }
            _ => None,
        }
    }

    fn size(&mut self, at: usize, node: &Node) -> Option<String> {
        let name = self.calls.short(at);
        let first = node.args.first()?;
        if let Some(operator) = operator(name) {
            let left = self.literal(first)?;
            let right = self.literal(node.args.get(1)?)?;
            return Some(format!("({left} {operator} {right})"));
        }
        if name == "getitem" {
            let list = self.scalar(node_of(first)?)?;
            let index = self.index_item(node.args.get(1)?).ok()?;
            return list.contains(".shape").then(|| format!("{list}[{index}]"));
        }
        let tensor = self.calls.given(node_of(first)?)?;
        let flows_in = self.calls.inputs(self.root).contains(&tensor);
        if !flows_in && !self.calls.is_inside(self.root, tensor.node) {
            return None;
        }
        let is_shape =
            name == "getattr" && node.args.get(1).and_then(|one| one.as_str()) == Some("shape");
        let text = match (name, node.args.get(1)) {
            ("size", Some(dim)) => format!(".shape[{dim}]"),
            ("size", None) => ".shape".to_owned(),
            ("dim", _) => ".rank".to_owned(),
            ("numel", _) => {
                let name = self.name_or_it(&tensor);
                let rank = self.tensor(&tensor)?.shape.len();
                let sizes: Vec<String> =
                    (0..rank).map(|dim| format!("{name}.shape[{dim}]")).collect();
                return (rank > 0).then(|| format!("({})", sizes.join(" * ")));
            }
            _ if is_shape => ".shape".to_owned(),
            _ => return None,
        };
        Some(format!("{}{text}", self.name_or_it(&tensor)))
    }
}

/// Whether a stage begins with where functions are called.
fn is_function(stage: &str) -> bool {
    stage.split_once('.').is_some_and(|(prefix, _)| Called::behind(prefix).is_some())
}

/// Whole numbers of a shape.
fn constant_line(name: &str, shape: &[u64]) -> Template {
    let sizes: Vec<String> = shape.iter().map(u64::to_string).collect();
    let reshape = match shape.len() {
        1 => String::new(),
        _ => format!(" -> Reshape({})", sizes.join(", ")),
    };
    let count = shape.iter().fold(1u64, |count, size| count.saturating_mul(*size));
    Template::text(format!("{name}: Arange({count}){reshape}"))
}

/// A path as one below another, if it is.
fn relative(outer: &str, path: &str) -> Option<String> {
    let rest = if outer.is_empty() { path } else { path.strip_prefix(outer)?.strip_prefix('.')? };
    (!rest.is_empty()).then(|| rest.to_owned())
}

/// Whether it can be a word of the language.
fn is_word(name: &str) -> bool {
    RESERVED_WORDS.iter().any(|(word, _)| *word == name) || CONTEXTUAL_WORDS.contains(&name)
}

/// A name for a value: no word, and no layer's.
fn identifier(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' })
        .collect();
    let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    match is_name && !is_word(&name) && !layers::is_kind(&name) {
        true => name,
        false => format!("x_{name}"),
    }
}

fn free(wanted: &str, taken: &[String]) -> String {
    names::free(wanted, |name| taken.iter().all(|known| known != name))
}
