//! Layers and functions in Taper's words.

use layers::{Called, Entry, Kind, find, find_called, find_function};
use serde_json::{Map, Value};

use super::{
    body::Writer,
    calls::{self, Given},
    step::{Step, operator},
    trace::{Leaf, Node, Op, Own, Tensor, Traced, node_of},
};
use crate::template::Template;

/// Functions of `torch` and methods of tensors with the layer that each is, where that is not the name in
/// CamelCase.
const NAMES: &[(&str, &str)] = &[
    ("view", "Reshape"),
    ("reshape", "Reshape"),
    ("swapaxes", "Transpose"),
    ("cat", "Cat"),
    ("concat", "Cat"),
    ("concatenate", "Cat"),
    ("amax", "Max"),
    ("amin", "Min"),
    ("argmax", "ArgMax"),
    ("cumsum", "CumSum"),
    ("topk", "TopK"),
    ("stochastic_depth", "StochasticDepth"),
];

/// What Taper's attention takes where PyTorch's is called.
const ATTENTION_SETTINGS: &[&str] = &["need_weights", "average_attn_weights", "is_causal"];

/// Arguments that change neither shapes nor work.
const IGNORED: &[&str] = &[
    "training",
    "inplace",
    "_stacklevel",
    "dtype",
    "device",
    "layout",
    "requires_grad",
    "normalized_shape",
];

/// Functions that are one object in `torch` and `torch.nn.functional`, so that no trace tells where they were called.
const IN_BOTH: &[&str] = &[
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "bilinear",
    "hardshrink",
    "prelu",
    "avg_pool1d",
    "adaptive_avg_pool1d",
    "pixel_shuffle",
    "pixel_unshuffle",
    "channel_shuffle",
];

/// A layer that is called as a function, as Taper writes that: `F.softmax`; `torch.softmax` also for `x.softmax()`.
fn function_called(node: &Node, entry: &Entry, name: &str) -> Option<String> {
    // What works in place has a `_` more.
    let of_torch = node.target.strip_prefix("torch.").map(|own| own.trim_end_matches('_'));
    let is_of_torch =
        node.op == Op::CallMethod || of_torch == Some(name) && !IN_BOTH.contains(&name);
    let function = entry.function?;
    if is_of_torch && find_called(Called::Torch, function).is_some() {
        return Some(format!("torch.{function}"));
    }
    let is_functional = ["torch.nn.functional.", "torch._C._nn."];
    let is_functional = is_functional.iter().any(|start| node.target.starts_with(start));
    (is_functional || function == name).then(|| format!("F.{function}"))
}

impl Writer<'_, '_> {
    /// A layer that is a module.
    pub(super) fn module(&mut self, node: &Node, leaf: &Leaf) -> Result<Step, String> {
        let entry = find(&leaf.class).ok_or_else(|| "Taper has no such layer".to_owned())?;
        let mut settings = leaf.settings.clone();
        if let Some(Value::Array(sizes)) = settings.get("normalized_shape")
            && sizes.len() != 1
        {
            settings.insert("dims".to_owned(), sizes.len().into());
        }
        let is_mask = |name: &str| leaf.class == "MultiheadAttention" && name.ends_with("_mask");
        let masks = node.kwargs.iter().filter(|(name, value)| is_mask(name) && !value.is_null());
        for (name, _) in masks {
            self.lost.insert(format!(
                "`{name}` of `{}`, which Taper's layer does not take",
                node.target
            ));
        }
        let is_setting = |name: &str| ATTENTION_SETTINGS.contains(&name) || is_mask(name);
        if leaf.class == "MultiheadAttention" {
            let asked =
                node.kwargs.iter().filter(|(name, _)| ATTENTION_SETTINGS.contains(&&name[..]));
            settings.extend(asked.map(|(name, value)| (name.clone(), value.clone())));
            let at = self.calls.find(&node.name);
            let needs = at.is_some_and(|at| self.calls.needs_weights(at));
            settings.insert("need_weights".to_owned(), needs.into());
            self.note_other_settings(node);
        }
        let named = node.kwargs.iter().filter(|(name, _)| !is_setting(name));
        let places = if leaf.class == "MultiheadAttention" { 3 } else { node.args.len() };
        let taken: Vec<&Value> =
            node.args.iter().take(places).chain(named.map(|(_, value)| value)).collect();
        for value in &taken {
            if !self.is_tensors(value) && !value.is_null() && **value != Value::Bool(false) {
                return Err("it is called with more than tensors".to_owned());
            }
        }
        let mut arguments = self.arguments(entry, &[], &settings)?;
        for own in leaf.tensors.iter().filter(|own| own.same_as != self.path_of(node, own)) {
            let shared = self.below(&own.same_as).ok_or_else(|| {
                format!("its `{}` is `{}`, which lies in another module", own.name, own.same_as)
            })?;
            arguments.push(Template::text(format!("{}={shared}", own.name)));
        }
        // What was read before the layer is called is declared by itself.
        for own in &leaf.tensors {
            let path = self.path_of(node, own);
            if own.same_as == path && self.read_early.contains(&path) {
                let below = self.below(&path).unwrap_or(path);
                arguments.push(Template::text(format!("{}={below}", own.name)));
            }
        }
        self.called.insert(node.target.clone());
        let mut sources: Vec<Given> =
            taken.into_iter().flat_map(|value| self.tensors(value)).collect();
        if leaf.class == "MultiheadAttention" && sources.iter().all(|one| *one == sources[0]) {
            sources.truncate(1);
        }
        Ok(Step::Layer(sources, call(entry.name, arguments)))
    }

    /// A layer that is called again has the settings of its first call.
    fn note_other_settings(&mut self, node: &Node) {
        let first =
            self.trace.nodes.iter().find(|one| one.op == node.op && one.target == node.target);
        for (name, default) in [("average_attn_weights", true), ("is_causal", false)] {
            let asked = |of: &Node| of.kwargs.get(name).and_then(Value::as_bool).unwrap_or(default);
            if first.is_some_and(|first| asked(first) != asked(node)) {
                self.lost.insert(format!(
                    "`{}` is called again with another `{name}`: that of its first call stands for all",
                    node.target
                ));
            }
        }
        if first
            .is_some_and(|first| calls::asks_for_weights(first) != calls::asks_for_weights(node))
        {
            self.lost.insert(format!(
                "`{}` is called with and without `need_weights`: it gives its weights in every call, and tools that \
                 count by operators count these",
                node.target
            ));
        }
    }

    fn path_of(&self, node: &Node, own: &Own) -> String {
        analysis::join_path(&node.target, &own.name)
    }

    /// What is called as a function or method.
    pub(super) fn function(&mut self, at: usize) -> Result<Step, String> {
        let node = self.calls.node(at);
        let name = self.calls.short(at);
        if node.reads().into_iter().any(|read| self.calls.given(read).is_none()) {
            return Err("it takes some of several values".to_owned());
        }
        if name == "getitem" {
            return self.index(node).map(Step::Expression);
        }
        if let Some(operator @ ("//" | "%")) = operator(name) {
            return Err(format!("Taper has no `{operator}` of tensors"));
        }
        // `torch.matmul(x, y)` and `x.matmul(y)` are no operators, which counters tell apart.
        let is_named =
            name == "matmul" && (node.op == Op::CallMethod || node.target == "torch.matmul");
        if let Some(operator) = operator(name).filter(|_| !is_named) {
            return self.operation(node, operator).map(Step::Expression);
        }
        match name {
            "neg" => {
                let mut text = Template::text("-");
                text.append(self.operand(node.args.first())?);
                return Ok(Step::Expression(text));
            }
            "getattr" if self.is_transposed(node) => {
                return Ok(Step::Layer(
                    self.tensors_taken(node),
                    Template::text("Transpose(-2, -1)"),
                ));
            }
            "expand_as" | "view_as" | "reshape_as" => return self.as_another(node, name),
            "t" => {
                return Ok(Step::Layer(
                    self.tensors_taken(node),
                    Template::text("Transpose(0, 1)"),
                ));
            }
            "square" => {
                let mut text = self.operand(node.args.first())?;
                text.push(" ** 2");
                return Ok(Step::Expression(text));
            }
            _ => {}
        }
        let entry =
            self.entry(node, name).ok_or_else(|| "Taper has no such function".to_owned())?;
        let (mut positional, mut named) = (node.args.clone(), node.kwargs.clone());
        // Tensors come first, one by one or in a list.
        let tensors = positional.iter().take_while(|value| self.is_tensors(value)).count();
        positional.drain(..tensors);
        if tensors > 1 && ["Max", "Min"].contains(&entry.name) {
            return Err("Taper has no such function of two tensors".to_owned());
        }
        if name == "einsum" {
            let Some(Value::String(equation)) = positional.first().cloned() else {
                return Err("its equation is not written out".to_owned());
            };
            positional = vec![Value::String(equation)];
        }
        if name == "flatten" && positional.is_empty() && !named.contains_key("start_dim") {
            // `torch.flatten` begins at 0, `nn.Flatten` at 1.
            named.insert("start_dim".to_owned(), 0.into());
        }
        if entry.name == "Arange" && positional.len() == 2 && positional[0] == 0 {
            // `torch.arange(0, n)` begins where Taper's layer does.
            positional.remove(0);
        }
        let given = self.given_parameters(entry, &mut named);
        for (argument, value) in named.clone() {
            // A training flag is off, and some arguments have no meaning here.
            let is_known = entry.params.iter().any(|param| param.name == argument);
            let is_nothing = value.is_null() || value == Value::Bool(false);
            let is_ignored = IGNORED.contains(&&argument[..]) || self.is_tensors(&value);
            if !is_known && (is_nothing || is_ignored) {
                named.shift_remove(&argument);
            } else if !is_known {
                return Err(format!("its argument `{argument}` has no meaning in Taper"));
            }
        }
        let is_variadic = entry.params.iter().any(|param| param.kind == Kind::Variadic);
        if positional.len() > entry.params.len() && !is_variadic {
            return Err("it is given more than Taper's layer takes".to_owned());
        }
        let mut arguments = self.arguments(entry, &positional, &named)?;
        arguments.extend(given.into_iter().map(Template::text));
        let sources = self.tensors_taken(node);
        match function_called(node, entry, name) {
            Some(function) => Ok(Step::Layer(sources, call(&function, arguments))),
            None => Ok(Step::Layer(sources, call(entry.name, arguments))),
        }
    }

    /// `x.T` of a matrix, `x.mT`.
    fn is_transposed(&self, node: &Node) -> bool {
        let is_matrix =
            node.value.as_ref().and_then(Traced::tensor).is_some_and(|one| one.shape.len() == 2);
        match node.args.get(1).and_then(Value::as_str) {
            Some("T") => is_matrix,
            Some("mT") => true,
            _ => false,
        }
    }

    /// The shape of another tensor.
    fn as_another(&mut self, node: &Node, name: &str) -> Result<Step, String> {
        let tensors = self.tensors_taken(node);
        let [tensor, other] = &tensors[..] else { return Err("it takes two tensors".to_owned()) };
        let rank = self.shape(other).len();
        let other = self.name(other);
        let sizes = (0..rank).map(|dim| Template::text(format!("{other}.shape[{dim}]")));
        let layer = if name == "expand_as" { "Expand" } else { "Reshape" };
        Ok(Step::Layer(vec![tensor.clone()], call(layer, sizes.collect())))
    }

    /// The tensors that it takes, without those that are given for parameters.
    pub(super) fn tensors_taken(&self, node: &Node) -> Vec<Given> {
        let named: Vec<&Value> = node
            .kwargs
            .iter()
            .filter(|(name, _)| !is_parameter(name))
            .map(|(_, value)| value)
            .collect();
        let all = node.args.iter().chain(named);
        all.flat_map(|value| self.tensors(value)).collect()
    }

    /// The tensors that it takes, also those that are given for parameters.
    pub(super) fn all_tensors_taken(&self, node: &Node) -> Vec<Given> {
        let all = node.args.iter().chain(node.kwargs.values());
        all.flat_map(|value| self.tensors(value)).collect()
    }

    /// The tensors of a value: one, or those of a list.
    fn tensors(&self, value: &Value) -> Vec<Given> {
        match value {
            Value::Array(items) => items.iter().flat_map(|item| self.tensors(item)).collect(),
            _ => {
                let given = node_of(value).map_or_else(Vec::new, |name| self.calls.all_of(name));
                given.into_iter().filter(|given| !self.is_scalar(given)).collect()
            }
        }
    }

    fn is_tensors(&self, value: &Value) -> bool {
        match value {
            Value::Array(items) => {
                !items.is_empty() && items.iter().all(|item| self.is_tensors(item))
            }
            _ => !self.tensors(value).is_empty(),
        }
    }

    fn entry(&self, node: &Node, name: &str) -> Option<&'static Entry> {
        // A window of one dimension, not `F.unfold`.
        if node.op == Op::CallMethod && name == "unfold" {
            return None;
        }
        let renamed = NAMES.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer);
        if let Some(layer) = renamed {
            return find(layer);
        }
        if node.op == Op::CallFunction
            && let Some(entry) = find_function(name)
        {
            return Some(entry);
        }
        let camel = heck::ToUpperCamelCase::to_upper_camel_case(name);
        let function = || find_function(name).or_else(|| find_called(Called::Torch, name));
        find(&camel).or_else(function)
    }

    /// Parameters that a function is given as tensors: `weight=weight`; with the sizes that they tell.
    fn given_parameters(&mut self, entry: &Entry, named: &mut Map<String, Value>) -> Vec<String> {
        let names: Vec<String> = named.keys().filter(|name| is_parameter(name)).cloned().collect();
        let mut given = Vec::new();
        for name in names {
            let Some(value) = named.shift_remove(&name) else { continue };
            let Some(tensor) = node_of(&value).and_then(|node| self.calls.given(node)) else {
                continue;
            };
            if name == "weight" {
                let shape = self.shape(&tensor);
                // A transposed convolution has its outputs by groups.
                let groups = named.get("groups").and_then(Value::as_u64).unwrap_or(1);
                let channels = match entry.name.contains("Transpose") {
                    true => shape.get(1).and_then(|size| size.checked_mul(groups)),
                    false => shape.first().copied(),
                };
                for (param, size) in [
                    ("out_features", shape.first().copied()),
                    ("out_channels", channels),
                    ("num_embeddings", shape.first().copied()),
                    ("embedding_dim", shape.get(1).copied()),
                ] {
                    if entry.params.iter().any(|known| known.name == param)
                        && let Some(size) = size
                    {
                        named.insert(param.to_owned(), size.into());
                    }
                }
                if entry.params.iter().any(|known| known.name == "kernel_size") && shape.len() > 2 {
                    named.insert("kernel_size".to_owned(), shape[2..].to_vec().into());
                }
            }
            given.push(format!("{name}={}", self.name(&tensor)));
        }
        // A function without a weight or bias is a layer that has none.
        for (parameter, switches) in
            [("weight", &["elementwise_affine", "affine"][..]), ("bias", &["bias"])]
        {
            let is_given = given.iter().any(|given| given.starts_with(parameter));
            let switch = |name: &&str| entry.params.iter().any(|param| param.name == *name);
            if let Some(switch) = switches.iter().find(|name| switch(name)).filter(|_| !is_given) {
                named.entry((*switch).to_owned()).or_insert(false.into());
            }
        }
        given
    }

    fn shape(&self, given: &Given) -> Vec<u64> {
        self.tensor(given).map_or_else(Vec::new, |tensor| tensor.shape)
    }

    /// The shape and dtype of a value.
    pub(super) fn tensor(&self, given: &Given) -> Option<Tensor> {
        self.calls.value(given)?.tensor().cloned()
    }

    fn operation(&mut self, node: &Node, operator: &str) -> Result<Template, String> {
        let (mut left, right) = (self.operand(node.args.first())?, self.operand(node.args.get(1))?);
        if operator == "**" && left.plain().starts_with('-') {
            left = Template::joined(["(".into(), left, ")".into()], "");
        }
        if let Some((argument, _)) = node.kwargs.iter().find(|(_, value)| !value.is_null())
            && node.kwargs.get("alpha").is_none_or(|alpha| alpha.as_i64() != Some(1))
        {
            return Err(format!("its argument `{argument}` has no meaning in Taper"));
        }
        Ok(Template::joined([left, right], &format!(" {operator} ")))
    }

    /// A tensor, or a number.
    fn operand(&mut self, value: Option<&Value>) -> Result<Template, String> {
        let value = value.ok_or_else(|| "an operand is missing".to_owned())?;
        match node_of(value).and_then(|name| self.calls.given(name)) {
            Some(given) if !self.is_scalar(&given) => Ok(self.name_or_it(&given).into()),
            _ => {
                let text =
                    self.literal(value).ok_or_else(|| "an operand is no number".to_owned())?;
                Ok(hole("factor", text))
            }
        }
    }

    fn index(&mut self, node: &Node) -> Result<Template, String> {
        let operand = self.operand(node.args.first())?;
        let index = node.args.get(1).ok_or_else(|| "it has no index".to_owned())?;
        let items = match index {
            Value::Array(items) => items.clone(),
            one => vec![one.clone()],
        };
        let items: Result<Vec<String>, String> = items
            .iter()
            .map(|item| match item {
                // A list of one place keeps the dimension.
                Value::Array(list) => match list.first().and_then(Value::as_i64) {
                    Some(-1) if list.len() == 1 => Ok("-1:".to_owned()),
                    Some(place) if list.len() == 1 => Ok(format!("{place}:{}", place + 1)),
                    _ => Err("a list of places is no index of Taper".to_owned()),
                },
                item => self.index_item(item),
            })
            .collect();
        let mut items = items?;
        // One number on a layer's label would be one of its values.
        let is_number = matches!(&items[..], [one] if one.parse::<i64>().is_ok());
        let of_module = node.args.first().and_then(node_of).and_then(|name| self.calls.given(name));
        let is_of_module = of_module.is_some_and(|given| {
            let made = self.calls.node(given.node);
            given.part.is_empty()
                && (made.op == Op::CallModule || made.call != node.call)
                && self.shape(&given).len() > 1
        });
        if is_number && is_of_module {
            items.push("...".to_owned());
        }
        let mut text = operand;
        text.push(&format!("[{}]", items.join(", ")));
        Ok(text)
    }

    pub(super) fn index_item(&mut self, item: &Value) -> Result<String, String> {
        if let Some(Value::Array(slice)) = item.get("slice") {
            let mut text = |place: usize| match slice.get(place) {
                None | Some(Value::Null) => Some(String::new()),
                Some(value) => self.literal(value),
            };
            let parts = [text(0), text(1), text(2)];
            let [Some(start), Some(stop), Some(step)] = parts else {
                return Err("a slice has an end that is no number".to_owned());
            };
            let step = if step.is_empty() { step } else { format!(":{step}") };
            return Ok(format!("{start}:{stop}{step}"));
        }
        if item.get("other").and_then(Value::as_str) == Some("...") {
            return Ok("...".to_owned());
        }
        if let Some(given) = node_of(item).and_then(|name| self.calls.given(name))
            && !self.is_scalar(&given)
        {
            return Ok(self.name(&given));
        }
        self.literal(item).ok_or_else(|| "an index is neither a number nor a tensor".to_owned())
    }

    /// The arguments that differ from the layer's defaults.
    fn arguments(
        &mut self,
        entry: &Entry,
        positional: &[Value],
        named: &Map<String, Value>,
    ) -> Result<Vec<Template>, String> {
        let mut arguments = Vec::new();
        // A list without brackets takes all that has no name.
        let (mut by_name, mut is_taken) = (false, false);
        for (place, param) in entry.params.iter().enumerate() {
            let at_place = positional.get(place).filter(|_| !is_taken);
            let value = match param.kind {
                Kind::Variadic => match named.get(param.name).or(at_place) {
                    Some(Value::Array(items)) => Some(Value::Array(items.clone())),
                    _ => Some(Value::Array(positional.get(place..).unwrap_or_default().to_vec())),
                },
                _ => named.get(param.name).or(at_place).cloned(),
            };
            let Some(value) = value.filter(|_| param.kind != Kind::Ignored) else {
                by_name = true;
                continue;
            };
            if let (Kind::Variadic, Value::Array(items)) = (param.kind, &value) {
                for item in items {
                    let text = self.literal(item).ok_or_else(|| no_value(param.name))?;
                    arguments.push(hole(param.name, bare(&text)));
                }
                (is_taken, by_name) = (true, true);
                continue;
            }
            let text = self.argument(param.kind, &value).ok_or_else(|| no_value(param.name))?;
            let text = bare(&text);
            if param.default.is_some_and(|default| is_same(default, &text)) {
                by_name = true;
                continue;
            }
            by_name |= param.default.is_some();
            let mut argument = Template::default();
            if by_name {
                argument.push(&format!("{}=", param.name));
            }
            argument.append(hole(param.name, text));
            arguments.push(argument);
        }
        Ok(arguments)
    }

    /// A list of equal sizes is one size where that means the same.
    fn argument(&mut self, kind: Kind, value: &Value) -> Option<String> {
        if let (Kind::PerAxis(_) | Kind::OutputSize(_) | Kind::Padding(_), Value::Array(items)) =
            (kind, value)
            && let [first, rest @ ..] = &items[..]
            && rest.iter().all(|item| item == first)
        {
            return self.literal(first);
        }
        self.literal(value)
    }

    /// A value in Taper's words.
    pub(super) fn literal(&mut self, value: &Value) -> Option<String> {
        if let Some(name) = node_of(value) {
            return self.scalar(name);
        }
        Some(match value {
            Value::Null => "none".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::String(text) => format!("{text:?}"),
            Value::Array(items) => {
                let items: Option<Vec<String>> =
                    items.iter().map(|item| self.literal(item)).collect();
                format!("[{}]", items?.join(", "))
            }
            Value::Object(_) => return None,
        })
    }
}

/// A number may differ between the uses of a block; sizes of its tensors mean nothing outside of it.
pub(super) fn hole(name: &str, text: String) -> Template {
    match text.contains(".shape") || text.contains(".rank") {
        true => Template::text(text),
        false => Template::hole(name, text),
    }
}

/// An argument needs no brackets around it.
fn bare(text: &str) -> String {
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')'));
    let is_whole = |inner: &str| {
        let mut depth = 0i32;
        inner.chars().all(|letter| {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            depth >= 0
        })
    };
    inner.filter(|inner| is_whole(inner)).unwrap_or(text).to_owned()
}

fn no_value(name: &str) -> String {
    format!("its argument `{name}` is no value of Taper")
}

/// `Linear(10)`, `ReLU`.
pub(super) fn call(name: &str, arguments: Vec<Template>) -> Template {
    let mut text = Template::text(name);
    if !arguments.is_empty() {
        text.push("(");
        text.append(Template::joined(arguments, ", "));
        text.push(")");
    }
    text
}

/// Whether two spellings mean one value: `1` and `1.0`.
fn is_same(default: &str, given: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    default == given || (number(default).is_some() && number(default) == number(given))
}

fn is_parameter(name: &str) -> bool {
    ["weight", "bias", "running_mean", "running_var"].contains(&name)
}
