//! What each call of a module takes and gives, by the graph.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::trace::{Node, Op, Trace, Traced, node_of};

/// What a node gives, or a part of that: the second half of `chunk(x, 2)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Given {
    /// The number of the node.
    pub node: usize,
    /// Which item, from the outside in; empty for all of it.
    pub part: Vec<usize>,
}

/// A step of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item {
    Node(usize),
    Call(usize),
}

/// What a node is to Taper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is written as a step.
    Step,
    /// It gives what it takes.
    Alias,
    /// It takes one of several values.
    Part,
    /// It is a number, which stands where it is used.
    Scalar,
    /// It flows in.
    Input,
    /// A parameter or buffer.
    Attribute,
    Output,
}

/// Functions and methods that change no shape and cost nothing.
const ALIASES: &[&str] = &["contiguous", "clone", "detach", "float", "to", "type_as"];

pub(crate) struct Calls<'t> {
    pub trace: &'t Trace,
    index: HashMap<&'t str, usize>,
    /// The steps of each call, in order.
    pub items: Vec<Vec<Item>>,
    /// Who reads each value: the numbers of nodes.
    readers: HashMap<Given, Vec<usize>>,
    /// The first call of each module, and the first node of each that is a layer, by their paths.
    first_calls: HashMap<&'t str, usize>,
    first_nodes: HashMap<&'t str, usize>,
    /// Modules that do other things when they are called again, by their paths.
    unlike: HashSet<&'t str>,
}

impl<'t> Calls<'t> {
    pub fn of(trace: &'t Trace) -> Calls<'t> {
        let index = trace.nodes.iter().enumerate().map(|(at, node)| (node.name.as_str(), at));
        let modules = trace.nodes.iter().enumerate().filter(|(_, node)| node.op == Op::CallModule);
        let mut calls = Calls {
            trace,
            index: index.collect(),
            items: vec![Vec::new(); trace.calls.len()],
            readers: HashMap::new(),
            first_calls: first_places(trace.calls.iter().map(|call| &call.path[..]).enumerate()),
            first_nodes: first_places(modules.map(|(at, node)| (at, &node.target[..]))),
            unlike: HashSet::new(),
        };
        for (at, node) in trace.nodes.iter().enumerate() {
            let role = calls.role(at);
            if role == Role::Step {
                calls.note_step(at);
            }
            if !matches!(role, Role::Step | Role::Output) {
                continue;
            }
            let read = node.reads().into_iter().flat_map(|name| calls.tensors_of(name));
            for given in read.collect::<Vec<_>>() {
                calls.readers.entry(given).or_default().push(at);
            }
        }
        let again = |call: usize| Some((calls.first_call(call)?, call));
        let again = (0..trace.calls.len()).filter_map(again);
        let unlike = again.filter(|(first, other)| !calls.are_alike(*first, *other));
        calls.unlike = unlike.map(|(_, call)| &trace.calls[call].path[..]).collect();
        calls
    }

    fn note_step(&mut self, at: usize) {
        let mut call = self.trace.nodes[at].call;
        self.items[call].push(Item::Node(at));
        while let Some(parent) = self.trace.calls[call].parent {
            if !self.items[parent].contains(&Item::Call(call)) {
                self.items[parent].push(Item::Call(call));
            }
            call = parent;
        }
    }

    pub fn node(&self, at: usize) -> &'t Node {
        &self.trace.nodes[at]
    }

    pub fn find(&self, name: &str) -> Option<usize> {
        self.index.get(name).copied()
    }

    pub fn role(&self, at: usize) -> Role {
        let node = self.node(at);
        let first = node.args.first().and_then(node_of).and_then(|name| self.find(name));
        let first_value = first.and_then(|first| self.node(first).value.as_ref());
        let takes_items = matches!(first_value, Some(Traced::Items { .. }));
        match node.op {
            Op::Placeholder => Role::Input,
            Op::Output => Role::Output,
            Op::GetAttr => Role::Attribute,
            _ if node.value.as_ref().is_some_and(Traced::is_scalar) => Role::Scalar,
            Op::CallFunction if node.target.ends_with(".getitem") && takes_items => Role::Part,
            Op::CallFunction | Op::CallMethod
                if ALIASES.contains(&self.short(at)) && first_value == node.value.as_ref() =>
            {
                Role::Alias
            }
            _ => Role::Step,
        }
    }

    /// A function's last name, without the `_` of those that work in place.
    pub fn short(&self, at: usize) -> &'t str {
        let target = &self.node(at).target;
        let last = target.rsplit('.').next().unwrap_or(target);
        if last.starts_with("__") { last.trim_matches('_') } else { last.trim_end_matches('_') }
    }

    /// What a name means, through what gives what it takes.
    pub fn given(&self, name: &str) -> Option<Given> {
        let at = self.find(name)?;
        let first = || self.given(node_of(self.node(at).args.first()?)?);
        match self.role(at) {
            Role::Alias => first(),
            Role::Part => {
                let mut given = first()?;
                let index = self.node(at).args.get(1)?.as_i64()?;
                let count = match self.value(&given)? {
                    Traced::Items { items } => i64::try_from(items.len()).ok()?,
                    _ => return None,
                };
                let index = if index < 0 { index.checked_add(count)? } else { index };
                if !(self.gives_first(given.node) && index == 0) {
                    given.part.push(usize::try_from(index).ok()?);
                }
                Some(given)
            }
            _ => Some(Given { node: at, part: Vec::new() }),
        }
    }

    /// What a node, or a part of it, gave.
    pub fn value(&self, given: &Given) -> Option<&'t Traced> {
        let mut value = self.node(given.node).value.as_ref()?;
        for part in &given.part {
            let Traced::Items { items } = value else { return None };
            value = items.get(*part)?;
        }
        Some(value)
    }

    /// Whether PyTorch gives more than Taper, which gives the first value alone: attention gives its weights
    /// too, a largest value its place.
    pub fn gives_first(&self, at: usize) -> bool {
        let is_extreme =
            self.node(at).op != Op::CallModule && ["max", "min"].contains(&self.short(at));
        is_extreme || self.leaf_class(at) == Some("MultiheadAttention") && !self.needs_weights(at)
    }

    /// Whether an attention is called for its weights as well, as it is unless told otherwise.
    pub fn needs_weights(&self, at: usize) -> bool {
        // One call that asks has the layer give them.
        let target = &self.node(at).target;
        self.trace.nodes.iter().filter(|node| node.target == *target).any(asks_for_weights)
    }

    /// The class of a layer that a node calls.
    pub fn leaf_class(&self, at: usize) -> Option<&'t str> {
        let node = self.node(at);
        let is_module = node.op == Op::CallModule;
        is_module.then(|| self.trace.leaves.get(&node.target)).flatten().map(|leaf| &leaf.class[..])
    }

    /// The tensors that a name stands for: itself, or those whose sizes a number is computed from.
    pub fn tensors_of(&self, name: &str) -> Vec<Given> {
        let Some(given) = self.given(name) else { return Vec::new() };
        match self.role(given.node) {
            Role::Scalar => {
                let reads = self.node(given.node).reads();
                reads.into_iter().flat_map(|name| self.tensors_of(name)).collect()
            }
            _ => self.all_of(name),
        }
    }

    /// What a name means; of a list each value.
    pub fn all_of(&self, name: &str) -> Vec<Given> {
        self.given(name).map_or_else(Vec::new, |given| self.each(given))
    }

    /// Each value of a list, also of one in a list; of what is none, itself.
    pub fn each(&self, given: Given) -> Vec<Given> {
        match self.value(&given) {
            Some(Traced::Items { items }) if !self.gives_first(given.node) => {
                let part = |index| {
                    let mut part = given.clone();
                    part.part.push(index);
                    self.each(part)
                };
                (0..items.len()).flat_map(part).collect()
            }
            _ => vec![given],
        }
    }

    /// Whether a call, or one in it, made a node.
    pub fn is_inside(&self, call: usize, node: usize) -> bool {
        self.is_in(call, self.node(node).call) && self.role(node) != Role::Input
    }

    /// Whether a call is another, or one in it.
    fn is_in(&self, outer: usize, call: usize) -> bool {
        let parents = std::iter::successors(Some(call), |inner| self.trace.calls[*inner].parent);
        parents.into_iter().any(|inner| inner == outer)
    }

    /// What flows into a call: what it is given, then what it reads from around it.
    pub fn inputs(&self, call: usize) -> Vec<Given> {
        if call == 0 {
            let inputs = (0..self.trace.nodes.len()).filter(|at| self.role(*at) == Role::Input);
            return inputs.map(|node| Given { node, part: Vec::new() }).collect();
        }
        let given: Vec<Given> =
            self.trace.calls[call].inputs.iter().flat_map(|name| self.tensors_of(name)).collect();
        let is_read = |given: &Given| {
            let readers = self.readers.get(given);
            readers.is_some_and(|readers| readers.iter().any(|node| self.is_inside(call, *node)))
        };
        let mut seen = HashSet::new();
        let own = given.iter().filter(|given| is_read(given)).cloned();
        let captured = self.read_in(call);
        own.chain(captured)
            .filter(|given| !self.is_inside(call, given.node) && seen.insert(given.clone()))
            .collect()
    }

    /// The tensors that the steps of a call read, in order.
    fn read_in(&self, call: usize) -> Vec<Given> {
        let mut read = Vec::new();
        for item in &self.items[call] {
            match item {
                Item::Call(inner) => read.extend(self.read_in(*inner)),
                Item::Node(at) => {
                    let names = self.node(*at).reads();
                    let tensors = names.into_iter().filter_map(|name| self.given(name));
                    read.extend(tensors.filter(|given| self.role(given.node) != Role::Scalar));
                }
            }
        }
        read
    }

    /// What flows out of a call: what it returns, then what is read of it elsewhere.
    pub fn outputs(&self, call: usize) -> Vec<Given> {
        let returned: Vec<Given> = match call {
            0 => self
                .trace
                .nodes
                .iter()
                .filter(|node| node.op == Op::Output)
                .flat_map(Node::reads)
                .flat_map(|name| self.all_of(name))
                .collect(),
            _ => {
                let returned = &self.trace.calls[call].outputs;
                returned.iter().flat_map(|name| self.all_of(name)).collect()
            }
        };
        let is_read_outside = |given: &Given| {
            let readers = self.readers.get(given);
            readers.is_some_and(|readers| readers.iter().any(|node| !self.is_inside(call, *node)))
        };
        let mut others: Vec<&Given> =
            self.readers.keys().filter(|given| self.is_inside(call, given.node)).collect();
        others.sort_by_key(|given| (given.node, given.part.clone()));
        let mut seen = HashSet::new();
        if call == 0 {
            return returned;
        }
        returned
            .iter()
            .chain(others)
            .filter(|given| self.is_inside(call, given.node) && is_read_outside(given))
            .filter(|given| seen.insert((*given).clone()))
            .cloned()
            .collect()
    }

    /// Braces: its lines stand in those around it. A block could not call what lies in another module, nor have what was
    /// called before it.
    pub fn is_inline(&self, call: usize) -> bool {
        call != 0
            && (self.trace.calls[call].is_sequential
                || self.calls_another(call, call)
                || self.is_spread(call))
    }

    /// Whether a call, or one in it, calls a module that does not lie in the one of `outer`.
    fn calls_another(&self, call: usize, outer: usize) -> bool {
        self.items[call].iter().any(|item| match item {
            Item::Node(at) => {
                let node = self.node(*at);
                node.op == Op::CallModule && !self.lies_in(outer, &node.target)
            }
            Item::Call(inner) => {
                !self.lies_in(outer, &self.trace.calls[*inner].path)
                    || self.calls_another(*inner, outer)
            }
        })
    }

    /// Whether a path is below that of a call.
    fn lies_in(&self, call: usize, path: &str) -> bool {
        let outer = &self.trace.calls[call].path;
        outer.is_empty() || path.strip_prefix(&outer[..]).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The steps of a call as lines, those of calls that are spread among them.
    pub fn lines(&self, call: usize) -> Vec<Item> {
        let mut lines = Vec::new();
        for item in &self.items[call] {
            match item {
                Item::Call(inner) if self.is_spread(*inner) => lines.extend(self.lines(*inner)),
                item => lines.push(*item),
            }
        }
        lines
    }

    /// Whether the steps of a call stand among those around it, with whole paths: it is the first to call what does not
    /// lie in it, or what lies in it was called before, elsewhere; or it does other things when it is called again.
    fn is_spread(&self, call: usize) -> bool {
        let first = self.first_call(call).unwrap_or(call);
        let is_unlike = || self.unlike.contains(&self.trace.calls[first].path[..]);
        first != 0 && (is_unlike() || self.has_misplaced(first, first))
    }

    fn has_misplaced(&self, call: usize, outer: usize) -> bool {
        self.items[call].iter().any(|item| match item {
            Item::Node(at) => {
                let node = self.node(*at);
                let leaf = self.trace.leaves.get(&node.target);
                let owns = leaf.is_some_and(|leaf| !leaf.tensors.is_empty());
                let first = self.first_nodes.get(&node.target[..]).copied().unwrap_or(*at);
                owns && self.lies_in(outer, &node.target) != self.is_inside(outer, first)
            }
            Item::Call(inner) => {
                let first = self.first_call(*inner).unwrap_or(*inner);
                let path = &self.trace.calls[*inner].path;
                self.lies_in(outer, path) != self.is_in(outer, first)
                    || self.has_misplaced(*inner, outer)
            }
        })
    }

    /// An earlier call of the same module.
    pub fn first_call(&self, call: usize) -> Option<usize> {
        let first = *self.first_calls.get(&self.trace.calls[call].path[..])?;
        (first != call).then_some(first)
    }

    /// Whether a layer was called before.
    pub fn is_called_before(&self, at: usize) -> bool {
        self.first_nodes.get(&self.node(at).target[..]).is_some_and(|first| *first < at)
    }

    /// Whether two calls of one module take as many tensors and do the same, in other sizes perhaps.
    fn are_alike(&self, one: usize, other: usize) -> bool {
        let takes_as_many = self.inputs(one).len() == self.inputs(other).len();
        let (one, other) = (&self.items[one], &self.items[other]);
        takes_as_many
            && one.len() == other.len()
            && one.iter().zip(other).all(|pair| match pair {
                (Item::Node(one), Item::Node(other)) => {
                    let (one, other) = (self.node(*one), self.node(*other));
                    one.op == other.op && one.target == other.target
                }
                (Item::Call(one), Item::Call(other)) => {
                    let path = |call: usize| &self.trace.calls[call].path;
                    path(*one) == path(*other) && self.are_alike(*one, *other)
                }
                _ => false,
            })
    }

    /// What a call owns, by the first parts of the paths in it.
    pub fn owned(&self, call: usize) -> HashSet<&'t str> {
        let outer = &self.trace.calls[call].path;
        let nodes =
            self.trace.nodes.iter().filter(|node| matches!(node.op, Op::CallModule | Op::GetAttr));
        let paths = nodes.map(|node| node.target.as_str());
        let below = paths.filter_map(|path| match outer.is_empty() {
            true => Some(path),
            false => path.strip_prefix(outer.as_str())?.strip_prefix('.'),
        });
        below.filter_map(|path| path.split('.').next()).collect()
    }

    /// The calls that are blocks.
    pub fn blocks(&self) -> impl Iterator<Item = usize> {
        (0..self.items.len()).filter(|call| {
            let has_steps = *call == 0 || !self.items[*call].is_empty();
            has_steps && !self.is_inline(*call) && self.first_call(*call).is_none()
        })
    }

    /// How deep blocks lie in each other below a call.
    pub fn height(&self, call: usize) -> usize {
        let heights = self.items[call].iter().map(|item| match item {
            Item::Node(_) => 0,
            Item::Call(inner) => self.height(*inner) + usize::from(!self.is_inline(*inner)),
        });
        heights.max().unwrap_or(0)
    }
}

/// Where each text stands first.
fn first_places<'t>(all: impl Iterator<Item = (usize, &'t str)>) -> HashMap<&'t str, usize> {
    let mut first = HashMap::new();
    for (at, text) in all {
        first.entry(text).or_insert(at);
    }
    first
}

/// Whether one call of an attention asks for its weights. The argument is the fifth of `forward`.
pub(crate) fn asks_for_weights(node: &Node) -> bool {
    let given = node.kwargs.get("need_weights").or(node.args.get(4));
    given.is_none_or(|given| *given != Value::Bool(false))
}
