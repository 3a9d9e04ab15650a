//! What nothing uses: steps whose values nobody takes, inputs and parameters that nobody reads.
//!
//! A line with a `##` comment is meant so, such as a parameter that a checkpoint has. A block is written out many
//! times; what one use of it needs is used. Values are followed through the written-out model, so that a computed
//! label counts, and names by what they were found to mean, so that one that is read for its shape or its weight
//! counts too.

use std::{iter::successors, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use syntax::{SyntaxNode, ast, ast::doc_comment};

use crate::{
    Code, Definition, Diagnostic, Inner, NodeRef, Part, Source, Step, TensorId, What, Workspace,
};

/// What was written out so far, and whether something used it.
#[derive(Default)]
pub(crate) struct Usage {
    values: FxHashMap<NodeRef, bool>,
    inputs: FxHashMap<NodeRef, bool>,
    declared: FxHashMap<NodeRef, bool>,
}

impl Usage {
    /// Notes what a model uses.
    pub fn add(&mut self, workspace: &Workspace, root: &Arc<Part>) {
        let mut parts = Vec::new();
        collect(root, &mut FxHashSet::default(), &mut parts);
        let mut reads = Reads::default();
        for part in &parts {
            reads.outputs_of(part);
            reads.steps(part, &part.steps);
        }
        for part in parts {
            self.note_inputs(workspace, part, &reads);
            self.note_steps(part, &part.steps, &reads, "");
        }
    }

    fn note_inputs(&mut self, workspace: &Workspace, part: &Arc<Part>, reads: &Reads) {
        let lines = ast::Item::cast(workspace.node(part.item)).and_then(|item| item.body());
        let lines = lines.into_iter().flat_map(|body| body.lines()).filter_map(|line| match line {
            ast::Line::Input(line) => Some(NodeRef { node: line.id(), ..part.item }),
            _ => None,
        });
        for (line, input) in lines.zip(&part.inputs) {
            // The rules that a block states may need any of its inputs.
            let is_used =
                part.stated.is_some() || reads.values.contains(&(Arc::as_ptr(part), input.id));
            *self.inputs.entry(line).or_default() |= is_used;
        }
    }

    fn note_steps(&mut self, part: &Arc<Part>, steps: &[Arc<Step>], reads: &Reads, group: &str) {
        for step in steps {
            let path = step.path.within(group, "");
            match &step.what {
                What::Group(inner) => self.note_steps(part, inner, reads, &path),
                What::Splice(_) | What::Expert(_) => {
                    self.note_steps(part, step.children(), reads, group);
                }
                What::Declared(tensor) if tensor.is_buffer => {}
                What::Declared(_) => {
                    let is_used = part.stated.is_some() || reads.parameters.contains(path.as_str());
                    *self.declared.entry(step.node).or_default() |= is_used;
                }
                What::Layer(_) | What::Part(_) => {
                    let taken = |id: TensorId| reads.values.contains(&(Arc::as_ptr(part), id));
                    let is_used = step.outputs.is_empty()
                        || step.outputs.iter().any(|output| taken(output.id))
                        || reads.owns_what_is_read(&path);
                    *self.values.entry(step.node).or_default() |= is_used;
                }
            }
        }
    }

    /// The hints. Names that are read were found to mean something in `definitions`.
    pub fn hints(
        self,
        workspace: &Workspace,
        definitions: &FxHashMap<NodeRef, Definition>,
    ) -> Vec<Diagnostic> {
        let read: FxHashSet<NodeRef> = definitions.values().map(|found| found.node).collect();
        let mut hints = Vec::new();
        let mut hint = |node: NodeRef, message: String| {
            hints.push(Diagnostic::new(Code::Unused, workspace.place(node), message));
        };
        let unused = |noted: FxHashMap<NodeRef, bool>| {
            noted.into_iter().filter(|(_, is_used)| !is_used).map(|(node, _)| node)
        };
        for line in unused(self.inputs).filter(|line| !read.contains(line)) {
            let syntax = workspace.node(line);
            // One that is there for its sizes binds names that are read.
            let mut inside = syntax.descendants().map(|node| NodeRef { node: node.id(), ..line });
            if is_explained(syntax) || inside.any(|node| read.contains(&node)) {
                continue;
            }
            let input = ast::Input::cast(syntax).and_then(|line| line.name());
            let name = input.map_or("", |name| name.text());
            hint(line, format!("nothing takes the input `{name}`"));
        }
        for line in unused(self.declared).filter(|line| !read.contains(line)) {
            let syntax = workspace.node(line);
            if is_explained(syntax) {
                continue;
            }
            let declared = ast::ParamDecl::cast(syntax).and_then(|line| line.path());
            let name = declared.map_or("", |path| path.text());
            hint(line, format!("nothing reads the parameter `{name}`, which counts all the same"));
        }
        for node in unused(self.values) {
            let mut around = successors(Some(workspace.node(node)), |node| node.parent());
            let Some(step) = around.find_map(ast::Step::cast) else { continue };
            let labels: Vec<_> = step.labels().collect();
            let mut label_nodes = labels.iter().map(|label| NodeRef { node: label.id(), ..node });
            if is_explained(step.syntax()) || label_nodes.any(|label| read.contains(&label)) {
                continue;
            }
            match labels.first() {
                Some(label) => {
                    let message = format!(
                        "nothing takes the value of `{}`, which is computed and counted all the same",
                        label.text()
                    );
                    hint(NodeRef { node: label.id(), ..node }, message);
                }
                None => hint(
                    node,
                    "nothing takes this value, which is computed and counted all the same"
                        .to_owned(),
                ),
            }
        }
        hints
    }
}

/// A `##` comment says why it is there all the same.
fn is_explained(line: SyntaxNode<'_>) -> bool {
    doc_comment(line).is_some()
}

/// Every part once.
fn collect<'m>(
    part: &'m Arc<Part>,
    seen: &mut FxHashSet<*const Part>,
    parts: &mut Vec<&'m Arc<Part>>,
) {
    if !seen.insert(Arc::as_ptr(part)) {
        return;
    }
    parts.push(part);
    let mut open: Vec<&Arc<Step>> = part.steps.iter().collect();
    while let Some(step) = open.pop() {
        match &step.what {
            What::Part(inner) => collect(inner, seen, parts),
            _ => open.extend(step.children()),
        }
    }
}

/// What the steps of a model take.
#[derive(Default)]
struct Reads {
    values: FxHashSet<(*const Part, TensorId)>,
    /// Paths as the parts that own them see them; equal ones of other parts count as well.
    parameters: FxHashSet<String>,
    /// Paths of modules that are used again.
    again: FxHashSet<String>,
}

impl Reads {
    fn outputs_of(&mut self, part: &Arc<Part>) {
        self.values.extend(part.outputs.iter().map(|output| (Arc::as_ptr(part), output.id)));
    }

    fn steps(&mut self, part: &Arc<Part>, steps: &[Arc<Step>]) {
        for step in steps {
            let given = match &step.what {
                What::Layer(used) => used.given.as_slice(),
                _ => &[],
            };
            let is_leaf = matches!(step.what, What::Layer(_) | What::Part(_));
            let taken = step.inputs.iter().map(|taken| &taken.source).filter(|_| is_leaf);
            for source in taken.chain(given.iter().map(|(_, source)| source)) {
                match source {
                    Source::Tensor(id) => {
                        self.values.insert((Arc::as_ptr(part), *id));
                    }
                    Source::Parameter(seen) => {
                        self.parameters.insert(seen.path.to_string());
                    }
                }
            }
            if step.reused {
                self.again.insert(step.path.segments.join("."));
            }
            match &step.what {
                What::Part(inner) => {
                    for export in part.exports.iter().filter(|export| export.step == step.id) {
                        self.inner(inner, &export.inner);
                    }
                }
                _ => self.steps(part, step.children()),
            }
        }
    }

    /// A tensor inside a part that is read from outside it.
    fn inner(&mut self, part: &Arc<Part>, inner: &Inner) {
        match inner {
            Inner::Tensor(id) => {
                self.values.insert((Arc::as_ptr(part), *id));
            }
            Inner::Deeper(number, deeper) => {
                let mut open: Vec<&Arc<Step>> = part.steps.iter().collect();
                while let Some(step) = open.pop() {
                    match &step.what {
                        What::Part(found) if step.id == *number => {
                            return self.inner(found, deeper);
                        }
                        What::Part(_) => {}
                        _ => open.extend(step.children()),
                    }
                }
            }
        }
    }

    /// Whether a parameter below a path is read, or the module there used again.
    fn owns_what_is_read(&self, path: &str) -> bool {
        let is_below = |other: &String| {
            other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.again.iter().any(&is_below) || self.parameters.iter().any(is_below)
    }
}
