//! What stands for a layer or function that Taper lacks: a block of its parameters and shapes.

use heck::ToUpperCamelCase;

use super::{
    body::Writer,
    calls::Given,
    layers::Step,
    trace::{Node, Op, Tensor},
};
use crate::{names, template::Template};

impl Writer<'_, '_> {
    /// The step that calls the block, which is added to the file.
    pub(super) fn stub(&mut self, node: &Node, reason: &str) -> Step {
        let leaf = self.trace.leaves.get(&node.target).filter(|_| node.op == Op::CallModule);
        let called = || node.target.rsplit('.').next().unwrap_or(&node.target).trim_matches('_');
        let what = leaf.map_or_else(called, |leaf| leaf.class.as_str());
        self.lost.insert(format!(
            "`{what}`: {reason}; a block of its shapes stands for it, without its work"
        ));
        let sources: Vec<Given> = self.tensors_taken(node);
        let mut lines: Vec<String> =
            (0..sources.len()).map(|index| format!("input x{index}: [...]")).collect();
        let own = leaf.into_iter().flat_map(|leaf| &leaf.tensors);
        lines.extend(own.map(|own| own.declaration(&own.name).plain()));
        lines.extend(self.stub_outputs(node, &sources));
        lines.push("macs = 0".to_owned());
        let wanted = format!("{}Stub", what.to_upper_camel_case());
        let block = |name: &str| {
            let body: String = lines.iter().map(|line| format!("    {line}\n")).collect();
            format!(
                "# PyTorch's `{what}`, which Taper lacks: its shapes at the sizes traced, without its work.\n\
                 block {name} {{\n{body}}}"
            )
        };
        let is_usable = |name: &str| {
            let head = format!("block {name} ");
            self.stubs.iter().all(|stub| !stub.contains(&head) || *stub == block(name))
        };
        let name = names::free(&wanted, is_usable);
        let block = block(&name);
        if !self.stubs.contains(&block) {
            self.stubs.push(block);
        }
        Step::Layer(sources, Template::text(name))
    }

    /// The outputs' shapes. A size that the first input has at the same place follows it.
    fn stub_outputs(&self, node: &Node, sources: &[Given]) -> Vec<String> {
        let first = sources.first().and_then(|first| self.tensor(first));
        let size = |dim: usize, size: &u64| match &first {
            Some(first) if first.shape.get(dim) == Some(size) => format!("x0.shape[{dim}]"),
            _ => size.to_string(),
        };
        let output = |(index, tensor): (usize, Tensor)| {
            let sizes: Vec<String> =
                tensor.shape.iter().enumerate().map(|(dim, one)| size(dim, one)).collect();
            format!("output y{index}: {}[{}]", tensor.written_dtype(), sizes.join(", "))
        };
        let parts = self.calls.find(&node.name).map_or_else(Vec::new, |at| self.parts(at));
        let tensors = parts.iter().filter_map(|part| self.tensor(part));
        tensors.enumerate().map(output).collect()
    }
}
