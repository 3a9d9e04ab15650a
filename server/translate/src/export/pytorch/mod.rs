//! PyTorch: `nn.Module`s whose `state_dict` has the model's names.

mod arguments;
mod forward;
mod functions;
mod init;
mod modules;
mod names;
mod writer;

use std::collections::{BTreeSet, HashMap};

use analysis::{FileId, Model, Options, Workspace};
use layers::DType;

use self::{
    forward::Forward,
    writer::{Form, Writer},
};
use crate::{
    classes::{Class, Classes, UnitId, Written},
    export::{
        Error, Exported, class_name, doc, heights, indented, introduction,
        sizes::{self, Freedom, Runs},
        sizes_that_are,
        unit::{Callee, Child, ChildKind, Input, Operand, Unit, Units, layer_of},
    },
    template::Template,
};

/// Helpers that a file may need, each once.
const HELPERS: &str = include_str!("helpers.py");

/// The model as PyTorch's modules.
///
/// # Errors
/// If a part of it has no steps, or a layer has nothing of its kind in PyTorch.
pub fn pytorch(
    workspace: &Workspace,
    file: FileId,
    options: &Options,
    model: &Model,
) -> Result<Exported, Error> {
    sizes::with_as_few_fixed(model.symbols.len(), |fixed| {
        let runs = Runs::new(workspace, file, options, model, fixed);
        let text = written(workspace, model, &runs)?;
        Ok(Exported { text, fixed: sizes_that_are(&Freedom::Fixed, model, &runs.freedom) })
    })
}

fn written(workspace: &Workspace, model: &Model, runs: &Runs) -> Result<String, Error> {
    let (units, root) = Units::of(workspace, runs.part(model))?;
    let mut writer = Writer {
        workspace,
        forms: Vec::new(),
        attributes: Vec::new(),
        classes: Classes::default(),
        needed: BTreeSet::new(),
        units: &units.all,
    };
    for (name, _) in helpers() {
        writer.classes.reserve(name);
    }
    for name in ["F", "nn", "torch", "torchvision", "math", "OrderedDict"] {
        writer.classes.reserve(name);
    }
    writer.note_forms(root)?;
    writer.write_classes(root, model)?;
    Ok(writer.file(model, root, &runs.freedom))
}

impl<'m> Writer<'_, 'm> {
    /// Units come after those that they own, so the forms of these are known.
    fn note_forms(&mut self, root: UnitId) -> Result<(), Error> {
        for (index, unit) in self.units.iter().enumerate() {
            let is_root = index == root.0;
            let mut children = unit.children.iter();
            if let Some(child) = children.find(|child| !names::can_be_owned(&child.path)) {
                let reason =
                    "no PyTorch module can own something of that name; give it another label";
                let name: String = child.path.escape_debug().collect();
                return Err(Error::refused(&name, reason).at(child.node));
            }
            let keys: Vec<&str> = unit.children.iter().map(|child| child.path.as_str()).collect();
            let numbered = are_numbers(&keys);
            let named = !keys.is_empty() && keys.iter().all(|key| names::is_identifier(key));
            let form = match (self.is_chain(unit), unit.item.is_some()) {
                (true, false) if numbered || named => Form::Inline,
                (true, true) if numbered => Form::Sequential,
                _ if !is_root && self.is_list(unit) => Form::List,
                _ => Form::Module,
            };
            self.forms.push(form);
            let attributes = self.child_names(unit, form);
            self.attributes.push(attributes);
        }
        Ok(())
    }

    /// Each step takes what the one before it gave, and is a module.
    fn is_chain(&self, unit: &Unit<'m>) -> bool {
        let [Input::Value(first)] = &unit.inputs[..] else { return false };
        let mut value = first;
        if unit.calls.len() != unit.children.len() || !unit.ties.is_empty() {
            return false;
        }
        for (index, call) in unit.calls.iter().enumerate() {
            let (Callee::Child(child), [Operand::Value(operand)], [output]) =
                (&call.callee, &call.operands[..], &call.outputs[..])
            else {
                return false;
            };
            let is_module = match &unit.children[*child].what {
                ChildKind::Layer(step) => functions::is_direct(step),
                ChildKind::Unit(id) => self.unit(*id).inputs.len() == 1,
                ChildKind::Tensor(_) => false,
            };
            if *child != index || operand != value || !is_module {
                return false;
            }
            value = output;
        }
        unit.outputs == [value.clone()]
    }

    /// Its modules are numbered from 0.
    fn is_list(&self, unit: &Unit<'m>) -> bool {
        let modules =
            unit.children.iter().filter(|child| !matches!(child.what, ChildKind::Tensor(_)));
        let keys: Vec<&str> = modules.map(|child| child.path.as_str()).collect();
        let has_dots = unit.children.iter().any(|child| child.path.contains('.'));
        // What owns nothing needs no numbers.
        let owns = unit.children.iter().any(|child| self.owns(&child.what));
        // A function of several tensors cannot stand in a list.
        let is_module = |child: &Child<'m>| match &child.what {
            ChildKind::Layer(step) => modules::is_module(step),
            _ => true,
        };
        owns && are_numbers(&keys) && !has_dots && unit.children.iter().all(is_module)
    }

    /// What the children are called in Python: what owns parameters by its path, all else by what it is.
    fn child_names(&self, unit: &Unit<'m>, form: Form) -> Vec<String> {
        let keeps = |path: &str, what: &ChildKind<'m>| {
            form != Form::Module || self.owns(what) || names::is_path(path)
        };
        let mut taken: Vec<String> = unit
            .children
            .iter()
            .filter(|child| keeps(&child.path, &child.what))
            .map(|child| child.path.clone())
            .collect();
        let kind = |what: &ChildKind<'m>| match what {
            ChildKind::Layer(step) => names::snake(step.shown().kind()),
            ChildKind::Unit(id) => names::snake(&self.class_name(*id)),
            ChildKind::Tensor(_) => String::new(),
        };
        let is_numbered =
            |child: &&Child<'m>| !keeps(&child.path, &child.what) && is_owned(&child.what);
        let mut counts: HashMap<String, usize> = HashMap::new();
        for child in unit.children.iter().filter(is_numbered) {
            *counts.entry(kind(&child.what)).or_default() += 1;
        }
        let mut numbers: HashMap<String, usize> = HashMap::new();
        let mut name = |child: &Child<'m>| {
            if !is_numbered(&child) {
                return child.path.clone();
            }
            let kind = kind(&child.what);
            let is_only = counts.get(&kind) == Some(&1);
            loop {
                let number = numbers.entry(kind.clone()).or_default();
                *number += 1;
                let is_only = is_only && *number == 1;
                let name = if is_only { kind.clone() } else { format!("{kind}{number}") };
                if !taken.contains(&name) {
                    taken.push(name.clone());
                    return name;
                }
            }
        };
        unit.children.iter().map(&mut name).collect()
    }

    /// Whether it has parameters or buffers.
    fn owns(&self, what: &ChildKind<'m>) -> bool {
        match what {
            ChildKind::Tensor(_) => true,
            ChildKind::Layer(step) => layer_of(step.shown())
                .is_some_and(|used| !used.parameters.is_empty() || !used.given.is_empty()),
            ChildKind::Unit(id) => {
                self.unit(*id).children.iter().any(|child| self.owns(&child.what))
            }
        }
    }

    /// The name that the class of a unit should have.
    fn class_name(&self, id: UnitId) -> String {
        class_name(self.units, self.unit(id), names::class)
    }

    /// The classes of all units that are one, from the inside out.
    fn write_classes(&mut self, root: UnitId, model: &Model) -> Result<(), Error> {
        let heights = heights(self.units);
        let highest = heights.iter().copied().max().unwrap_or(0);
        for height in 0..=highest {
            let mut written = Vec::new();
            for (index, _) in heights.iter().enumerate().filter(|(_, own)| **own == height) {
                let id = UnitId(index);
                if self.form(id) != Form::Inline {
                    written.push(self.written(id, id == root, model)?);
                }
            }
            self.classes.add(written);
        }
        Ok(())
    }

    fn written(&mut self, id: UnitId, is_root: bool, model: &Model) -> Result<Written, Error> {
        let form = self.form(id);
        let mut init = self.init(id)?;
        if is_root && model.dtype() != DType::F32 {
            init.push(Template::text(format!("self.to(torch.{})", torch_dtype(model.dtype()))));
        }
        if is_root {
            init.extend(self.of_other_dtypes(model.dtype()));
        }
        let forward = match form {
            Form::Sequential | Form::Inline => Vec::new(),
            _ => Forward::new(self, id).lines()?,
        };
        Ok(Written {
            unit: id,
            name: self.class_name(id),
            init: Template::joined(init, "\n"),
            forward: Template::joined(forward, "\n"),
            taken: self.attributes[id.0].iter().map(|name| name.replace('.', "_")).collect(),
            also: format!("{form:?}"),
        })
    }

    /// The lines that give parameters of another dtype than the model's that dtype again, by the ends of their
    /// names.
    fn of_other_dtypes(&self, dtype: DType) -> Option<Template> {
        let tensors = self.units.iter().flat_map(|unit| &unit.children).flat_map(|child| {
            let (own, is_layer) = match &child.what {
                ChildKind::Tensor(tensor) => (std::slice::from_ref(*tensor), false),
                ChildKind::Layer(step) => {
                    (layer_of(step.shown()).map_or(&[][..], |used| &used.parameters), true)
                }
                ChildKind::Unit(_) => (&[][..], false),
            };
            own.iter().map(move |tensor| {
                let below = if is_layer { &tensor.name[..] } else { "" };
                (analysis::join_path(&child.path, below), tensor.dtype)
            })
        });
        let other = tensors.filter(|(_, other)| other.is_float() && *other != dtype);
        let other: BTreeSet<(String, &str)> =
            other.map(|(name, dtype)| (name, torch_dtype(dtype))).collect();
        if other.is_empty() {
            return None;
        }
        let pairs = other.iter().map(|(name, dtype)| format!("\".{name}\": torch.{dtype}"));
        Some(Template::text(format!(
            "for end, dtype in {{{}}}.items():\n    \
             for name, tensor in [*self.named_parameters(), *self.named_buffers()]:\n        \
             if f\".{{name}}\".endswith(end):\n            \
             tensor.data = tensor.data.to(dtype)",
            pairs.collect::<Vec<_>>().join(", ")
        )))
    }

    /// The whole file.
    fn file(&self, model: &Model, root: UnitId, freedom: &[Freedom]) -> String {
        let classes: Vec<String> = self
            .classes
            .all
            .iter()
            .map(|class| self.class(class, class.units.contains(&root)))
            .collect();
        let body = classes.join("\n\n\n");
        let helpers: Vec<&str> = helpers()
            .into_iter()
            .filter(|(name, _)| self.needed.contains(name))
            .map(|(_, text)| text)
            .collect();
        let all = format!("{}\n{body}", helpers.join("\n"));
        let introduction = introduction(model, freedom, "");
        let mut text = format!("\"\"\"{introduction}\"\"\"\n\n");
        for (import, is_used) in [
            ("import math\n", all.contains("math.")),
            ("from collections import OrderedDict\n", all.contains("OrderedDict(")),
        ] {
            if is_used {
                text.push_str(import);
            }
        }
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
        if all.contains("torch.") {
            text.push_str("import torch\n");
        }
        if all.contains("F.") {
            text.push_str("import torch.nn.functional as F\n");
        }
        text.push_str("from torch import nn\n");
        if all.contains("torchvision.") {
            text.push_str("import torchvision\n");
        }
        for helper in helpers {
            text.push_str("\n\n");
            text.push_str(helper.trim_end());
            text.push('\n');
        }
        text.push_str("\n\n");
        text.push_str(&body);
        text.push('\n');
        text
    }

    fn class(&self, class: &Class, is_root: bool) -> String {
        let first = class.units[0];
        let base = match self.form(first) {
            Form::Sequential | Form::Inline => "nn.Sequential",
            Form::List => "nn.ModuleList",
            Form::Module => "nn.Module",
        };
        let mut text = format!("class {}({base}):\n", class.name);
        if let Some(doc) = doc(self.workspace, self.unit(first)) {
            let doc = doc.replace('\\', "\\\\").replace("\"\"\"", "'''");
            // A quote at the end would end the text.
            let space = if doc.ends_with('"') { " " } else { "" };
            text.push_str(&indented(&format!("\"\"\"{doc}{space}\"\"\""), 1));
            text.push_str("\n\n");
        }
        let has_forward = !class.forward.is_empty();
        if !class.init.is_empty() || !class.params.is_empty() || is_root {
            let params: Vec<&str> =
                std::iter::once("self").chain(class.params.iter().map(String::as_str)).collect();
            text.push_str(&format!("    def __init__({}):\n", params.join(", ")));
            let kept: Vec<String> =
                class.kept.iter().map(|name| format!("self.{name} = {name}\n")).collect();
            let body = match base {
                "nn.Module" => format!("super().__init__()\n{}{}", kept.concat(), class.init),
                _ => format!("{}\n{}", class.init, kept.concat()),
            };
            text.push_str(&indented(body.trim_end(), 2));
            if has_forward {
                text.push_str("\n\n");
            }
        }
        if has_forward {
            text.push_str(&indented(&class.forward, 1));
        }
        text
    }
}

/// Whether it is a module or tensor of the unit: a function of a `forward` is neither.
fn is_owned(what: &ChildKind<'_>) -> bool {
    match what {
        ChildKind::Layer(step) => modules::is_module(step),
        ChildKind::Unit(_) | ChildKind::Tensor(_) => true,
    }
}

/// The helpers by their names, with their texts.
fn helpers() -> Vec<(&'static str, &'static str)> {
    let starts: Vec<usize> = ["\ndef ", "\nclass "]
        .iter()
        .flat_map(|start| HELPERS.match_indices(start).map(|(place, _)| place + 1))
        .collect();
    let mut starts = starts;
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain([HELPERS.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let text = &HELPERS[*start..end];
            let name = text.split([' ', '(', ':']).nth(1).unwrap_or_default();
            (name, text.trim_end())
        })
        .collect()
}

/// The keys count from 0.
fn are_numbers(keys: &[&str]) -> bool {
    !keys.is_empty()
        && keys.iter().enumerate().all(|(index, key)| key.parse::<usize>().ok() == Some(index))
}

fn torch_dtype(dtype: DType) -> &'static str {
    let found = DType::ALL.iter().find(|(one, ..)| *one == dtype);
    found.map_or("float32", |(_, _, name)| *name)
}
