//! What stands for a layer or function that Taper lacks: a block of its parameters and shapes.

use heck::ToUpperCamelCase;
use serde_json::Value;

use super::{
    body::Writer,
    calls::Given,
    layers::{call, hole},
    step::Step,
    trace::{Node, Op, Tensor, Traced},
};
use crate::{names, template::Template};

/// Functions that make a tensor of given sizes, `new_zeros` and `zeros`.
const CREATORS: &[&str] = &["zeros", "ones", "empty", "full", "rand", "randn", "eye"];

/// Functions that move numbers, or make them others of another dtype, and compute nothing.
const MOVES: &[&str] = &[
    "float",
    "double",
    "half",
    "bfloat16",
    "long",
    "int",
    "bool",
    "to",
    "type",
    "flip",
    "meshgrid",
    "unfold",
    "gather",
    "index_select",
    "take_along_dim",
    "tril",
    "triu",
    "diagonal",
    "view_as_complex",
    "view_as_real",
    "real",
    "imag",
];

/// Whether a function computes nothing.
fn is_free(function: &str) -> bool {
    let made = function.trim_start_matches("new_").trim_end_matches("_like");
    CREATORS.contains(&made) || MOVES.contains(&function)
}

impl Writer<'_, '_> {
    /// The step that calls the block, which is added to the file.
    pub(super) fn stub(&mut self, node: &Node, reason: &str) -> Step {
        let leaf = self.trace.leaves.get(&node.target).filter(|_| node.op == Op::CallModule);
        // An attribute of a tensor: `x.real`.
        let attribute = node.args.get(1).and_then(Value::as_str);
        let called = || match node.target.rsplit('.').next().unwrap_or(&node.target) {
            "getattr" => attribute.unwrap_or("getattr"),
            name => name.trim_matches('_'),
        };
        let what = leaf.map_or_else(called, |leaf| leaf.class.as_str());
        let is_free = is_free(what);
        self.lost.insert(match is_free {
            true => format!("`{what}`: {reason}; a block of its shapes stands for it"),
            false => format!(
                "`{what}`: {reason}; a block of its shapes stands for it, whose work is unknown (≥)"
            ),
        });
        let sources: Vec<Given> = self.all_tensors_taken(node);
        let mut lines: Vec<String> =
            (0..sources.len()).map(|index| format!("input x{index}: [...]")).collect();
        let own = leaf.into_iter().flat_map(|leaf| &leaf.tensors);
        lines.extend(own.map(|own| own.declaration(&own.name).plain()));
        let mut made = self.sizes_made(node);
        // As many columns as rows.
        if what == "eye"
            && let Some(sizes) = &mut made
            && let [one] = &sizes[..]
        {
            sizes.push(one.clone());
        }
        let names: Vec<String> =
            (0..made.as_ref().map_or(0, Vec::len)).map(|index| format!("size{index}")).collect();
        let names = names.join(", ");
        match &made {
            None => lines.extend(self.stub_outputs(node, &sources)),
            Some(_) => {
                let value = node.value.as_ref().and_then(Traced::tensor);
                let dtype = value.map_or("", Tensor::written_dtype);
                lines.push(format!("output y0: {dtype}[{names}]"));
            }
        }
        if is_free {
            lines.push("macs = 0".to_owned());
        }
        let wanted = format!("{}Stub", what.to_upper_camel_case());
        let params = if made.is_some() { format!("({names})") } else { String::new() };
        let block = |name: &str| {
            let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
            format!(
                "# PyTorch's `{what}`, which Taper lacks: its shapes at the sizes traced{}.\n\
                 block {name}{params} {{\n{body}}}",
                if is_free {
                    ""
                } else {
                    ". Its work is unknown; `macs = …` and `elementwise = …` say it"
                }
            )
        };
        let is_usable = |name: &str| {
            let heads = [format!("block {name} "), format!("block {name}(")];
            let is_other = |stub: &String| heads.iter().any(|head| stub.contains(head.as_str()));
            self.stubs.iter().all(|stub| !is_other(stub) || *stub == block(name))
        };
        let name = names::free(&wanted, is_usable);
        let block = block(&name);
        if !self.stubs.contains(&block) {
            self.stubs.push(block);
        }
        Step::Layer(sources, call(&name, made.unwrap_or_default()))
    }

    /// The sizes that a function such as `new_zeros` is given for what it makes, as the block's arguments.
    fn sizes_made(&mut self, node: &Node) -> Option<Vec<Template>> {
        let name = node.target.rsplit('.').next().unwrap_or_default();
        if !CREATORS.contains(&name.trim_start_matches("new_")) {
            return None;
        }
        let list = node.args.iter().find_map(|value| match value {
            Value::Array(sizes) => Some(sizes.clone()),
            _ => None,
        });
        let sizes = list.unwrap_or_else(|| node.args.clone());
        let names = (0..sizes.len()).map(|index| format!("size{index}"));
        names.zip(&sizes).map(|(name, size)| Some(hole(&name, self.literal(size)?))).collect()
    }

    /// The outputs' shapes. A size that the first input has at the same place follows it.
    fn stub_outputs(&mut self, node: &Node, sources: &[Given]) -> Vec<String> {
        let first = sources.first().and_then(|first| self.tensor(first));
        let size = |dim: usize, size: &u64| match &first {
            Some(first) if first.shape.get(dim) == Some(size) => format!("x0.shape[{dim}]"),
            _ => size.to_string(),
        };
        let output = |(index, tensor): (usize, Tensor)| {
            let sizes: Vec<String> =
                tensor.shape.iter().enumerate().map(|(dim, one)| size(dim, one)).collect();
            // Without a dtype it has that of the input.
            let dtype = match &first {
                Some(first) if first.dtype == tensor.dtype || tensor.dtype.contains('.') => "",
                None => tensor.written_dtype(),
                Some(_) => &tensor.dtype,
            };
            format!("output y{index}: {dtype}[{}]", sizes.join(", "))
        };
        let parts = self.calls.find(&node.name).map_or_else(Vec::new, |at| self.parts(at));
        let tensors: Vec<Tensor> = parts.iter().filter_map(|part| self.tensor(part)).collect();
        let unknown = tensors.iter().find(|tensor| tensor.dtype.contains('.'));
        if let Some(tensor) = unknown {
            let what = node.target.rsplit('.').next().unwrap_or(&node.target);
            self.lost.insert(format!(
                "`{what}` gives {}, which Taper lacks; it has the dtype of what flows in",
                tensor.dtype
            ));
        }
        let traced = self.traced_sizes(sources, &tensors);
        traced.into_iter().chain(tensors.into_iter().enumerate().map(output)).collect()
    }

    /// Outputs that follow no input have the sizes of the trace, and so they have them only where the inputs have theirs:
    /// expectations of those that no output follows.
    fn traced_sizes(&self, sources: &[Given], outputs: &[Tensor]) -> Vec<String> {
        let inputs: Vec<Option<Tensor>> = sources.iter().map(|one| self.tensor(one)).collect();
        let first = inputs.first().and_then(Option::as_ref);
        let of_first = |dim: usize| first.and_then(|first| first.shape.get(dim));
        let follows = |one: &Tensor, dim: usize| one.shape.get(dim) == of_first(dim);
        let is_followed = |dim: usize| {
            outputs.iter().any(|output| output.shape.len() > dim && follows(output, dim))
        };
        let fixed = |output: &Tensor| -> Vec<u64> {
            let sizes = output.shape.iter().enumerate();
            sizes.filter(|(dim, _)| !follows(output, *dim)).map(|(_, size)| *size).collect()
        };
        let fixed: Vec<u64> = outputs.iter().flat_map(fixed).collect();
        if fixed.is_empty() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for (index, input) in inputs.iter().enumerate() {
            for (dim, size) in input.iter().flat_map(|input| input.shape.iter().enumerate()) {
                // An output of fixed sizes may have this one of another dimension, as distances of all pairs do.
                let is_elsewhere = fixed.contains(size);
                if of_first(dim) != Some(size) || !is_followed(dim) || is_elsewhere {
                    lines.push(format!("expect x{index}.shape[{dim}] == {size}"));
                }
            }
        }
        lines
    }
}
