//! What makes a unit: its modules, parameters and buffers.

use layers::ParameterTensor;

use super::{
    are_numbers,
    arguments::shape,
    functions, is_owned, modules, names, torch_dtype,
    writer::{Form, Writer},
};
use crate::{
    classes::UnitId,
    export::{
        Error, LINE,
        unit::{Child, ChildKind, LayerStep, Unit},
    },
    names::counted,
    template::Template,
};

impl<'m> Writer<'_, 'm> {
    /// The lines of the constructor.
    pub(super) fn init(&mut self, id: UnitId) -> Result<Vec<Template>, Error> {
        let form = self.form(id);
        let units = self.units;
        let unit = &units[id.0];
        let mut lines = Vec::new();
        match form {
            Form::Sequential | Form::Inline => {
                let elements = self.elements(unit)?;
                lines.push(brackets("super().__init__(", elements, ")"));
            }
            Form::List => {
                let elements = self.elements(unit)?;
                lines.push(match &elements[..] {
                    // A loop makes all of them.
                    [one] if let Some(all) = one.after("*") => {
                        brackets("super().__init__(", vec![all], ")")
                    }
                    _ => brackets("super().__init__([", elements, "])"),
                });
                lines.extend(self.tensors(id)?);
            }
            Form::Module => lines.extend(self.owned(id)?),
        }
        for (path, from) in &unit.ties {
            let line = format!("{} = {}", self.access(id, path), self.access(id, from));
            lines.push(Template::text(line));
        }
        Ok(lines)
    }

    /// The modules of a list, equal ones as a loop.
    fn elements(&mut self, unit: &Unit<'m>) -> Result<Vec<Template>, Error> {
        let modules =
            unit.children.iter().filter(|child| !matches!(child.what, ChildKind::Tensor(_)));
        let mut runs: Vec<(Template, usize, bool)> = Vec::new();
        for child in modules {
            let made = self.made(&child.what)?;
            let is_unit = matches!(child.what, ChildKind::Unit(_));
            match runs.last_mut() {
                Some((last, count, _)) if *last == made && is_unit => *count += 1,
                _ => runs.push((made, 1, is_unit)),
            }
        }
        let mut elements = Vec::new();
        for (made, count, _) in runs {
            if count < 3 {
                elements.extend(vec![made; count]);
                continue;
            }
            let mut text = Template::text("*[");
            text.append(made);
            text.push(" for _ in range(");
            text.append(Template::hole("depth", count.to_string()));
            text.push(")]");
            elements.push(text);
        }
        Ok(elements)
    }

    /// The expression that makes what a unit owns.
    fn made(&mut self, what: &ChildKind<'m>) -> Result<Template, Error> {
        match what {
            ChildKind::Layer(step) => self.layer(step),
            ChildKind::Unit(id) if self.form(*id) == Form::Inline => self.sequential(*id),
            ChildKind::Unit(id) => Ok(self.classes.made[id].template()),
            ChildKind::Tensor(tensor) => Ok(made_tensor(tensor)),
        }
    }

    fn layer(&mut self, step: &LayerStep<'m>) -> Result<Template, Error> {
        if let Some(module) = modules::module(step) {
            self.needed.extend(module.helper);
            return Ok(module.constructor);
        }
        let kind = step.shown().kind().to_owned();
        let no_module =
            || Error::refused(&kind, "PyTorch has no module of its kind").at(step.shown().node);
        let function = functions::in_sequence(step).ok_or_else(no_module)?;
        self.needed.extend(function.helper);
        self.needed.insert("Lambda");
        let mut text = Template::text("Lambda(lambda x: ");
        text.append(function.text);
        text.push(")");
        Ok(text)
    }

    /// `nn.Sequential(…)`
    fn sequential(&mut self, id: UnitId) -> Result<Template, Error> {
        let units = self.units;
        let unit = &units[id.0];
        let keys: Vec<&str> = unit.children.iter().map(|child| child.path.as_str()).collect();
        if are_numbers(&keys) {
            let elements = self.elements(unit)?;
            return Ok(brackets("nn.Sequential(", elements, ")"));
        }
        let mut made = Vec::new();
        for child in &unit.children {
            made.push(self.made(&child.what)?);
        }
        // Equal modules whose names count from 0 are a loop.
        if let Some(prefix) = counted_prefix(&keys)
            && made.len() > 2
            && made.iter().all(|one| *one == made[0])
        {
            let mut text =
                Template::text(format!("nn.Sequential(OrderedDict((f\"{prefix}{{i}}\", "));
            text.append(made[0].clone());
            text.push(") for i in range(");
            text.append(Template::hole("depth", made.len().to_string()));
            text.push(")))");
            return Ok(text);
        }
        let pairs = keys.iter().zip(made).map(|(key, made)| {
            let mut pair = Template::text(format!("(\"{key}\", "));
            pair.append(made);
            pair.push(")");
            pair
        });
        let dict = brackets("OrderedDict([", pairs.collect(), "])");
        let mut text = Template::text("nn.Sequential(");
        text.append(dict);
        text.push(")");
        Ok(text)
    }

    /// The lines that give a class of `nn.ModuleList` its parameters.
    fn tensors(&mut self, id: UnitId) -> Result<Vec<Template>, Error> {
        let units = self.units;
        let tensors = units[id.0]
            .children
            .iter()
            .filter(|child| matches!(child.what, ChildKind::Tensor(_)))
            .map(|child| self.assignment("self", &child.path, &child.what));
        tensors.collect()
    }

    /// The lines that give a class of `nn.Module` what it owns.
    fn owned(&mut self, id: UnitId) -> Result<Vec<Template>, Error> {
        let units = self.units;
        let unit = &units[id.0];
        let attributes = self.attributes[id.0].clone();
        let mut lines = Vec::new();
        let mut containers: Vec<String> = Vec::new();
        let children = unit.children.iter().zip(&attributes);
        let children = children.filter(|(child, _)| is_owned(&child.what));
        // What lies in another module that the unit owns is put there once that is made.
        let (inner, outer): (Vec<_>, Vec<_>) =
            children.partition(|(child, _)| outer_child(unit, &child.path).is_some());
        for (child, attribute) in outer {
            // The modules around it that nothing else makes.
            let mut place = 0;
            while let Some(dot) = attribute[place..].find('.') {
                let path = &attribute[..place + dot];
                place += dot + 1;
                let is_made = containers.iter().any(|known| known == path)
                    || unit.children.iter().any(|other| other.path == path);
                if !is_made {
                    containers.push(path.to_owned());
                    let keys: Vec<&str> = attributes
                        .iter()
                        .filter_map(|other| other.strip_prefix(path)?.strip_prefix('.'))
                        .collect();
                    let has_numbers = keys
                        .iter()
                        .any(|key| key.starts_with(|letter: char| letter.is_ascii_digit()));
                    let kind = if has_numbers { "nn.ModuleDict()" } else { "nn.Module()" };
                    lines.push(self.set("self", &containers, path, Template::text(kind)));
                }
            }
            let made = self.made(&child.what)?.prefixed(attribute);
            lines.push(match &child.what {
                ChildKind::Tensor(tensor) if tensor.is_buffer => buffer("self", attribute, made),
                _ => self.set("self", &containers, attribute, made),
            });
        }
        for (child, _) in inner {
            let (parent, last) = child.path.rsplit_once('.').unwrap_or(("", &child.path));
            let owner = self.access(id, parent);
            lines.push(self.assignment(&owner, last, &child.what)?);
        }
        Ok(lines)
    }

    fn assignment(
        &mut self,
        owner: &str,
        path: &str,
        what: &ChildKind<'m>,
    ) -> Result<Template, Error> {
        let made = self.made(what)?.prefixed(path);
        Ok(match what {
            ChildKind::Tensor(tensor) if tensor.is_buffer => buffer(owner, path, made),
            _ => self.set(owner, &[], path, made),
        })
    }

    /// `self.path = made`; a number is no attribute.
    fn set(&self, owner: &str, containers: &[String], path: &str, made: Template) -> Template {
        let is_parameter = made.plain().starts_with("nn.Parameter(");
        let (before, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut text = Template::text(owner);
        let mut walked = String::new();
        for segment in before.split('.').filter(|segment| !segment.is_empty()) {
            walked = analysis::join_path(&walked, segment);
            let is_own = walked == segment && owner == "self";
            text.push(&match names::is_identifier(segment) {
                true => format!(".{segment}"),
                false if is_own => format!(".get_submodule(\"{segment}\")"),
                false => format!("[\"{segment}\"]"),
            });
        }
        if names::is_identifier(last) {
            text.push(&format!(".{last} = "));
            text.append(made);
            return text;
        }
        let is_in_container =
            containers.iter().any(|container| container == before) && !before.is_empty();
        if is_in_container && !is_parameter {
            text.push(&format!("[\"{last}\"] = "));
            text.append(made);
            return text;
        }
        let adds = if is_parameter { "register_parameter" } else { "add_module" };
        text.push(&format!(".{adds}(\"{last}\", "));
        text.append(made);
        text.push(")");
        text
    }

    /// The expression of what has a path in a unit.
    pub(super) fn access(&self, id: UnitId, path: &str) -> String {
        self.access_from("self", Some(id), path)
    }

    fn access_from(&self, owner: &str, id: Option<UnitId>, path: &str) -> String {
        if path.is_empty() {
            return owner.to_owned();
        }
        let Some(id) = id else {
            // Below a layer there are only its parameters.
            return format!("{owner}.{path}");
        };
        let unit = self.unit(id);
        let form = self.form(id);
        let is_below = |child: &str| {
            path.strip_prefix(child).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        // The longest path that is the beginning of this one owns what it means.
        let found = unit
            .children
            .iter()
            .zip(&self.attributes[id.0])
            .filter(|(child, _)| is_below(&child.path))
            .max_by_key(|(child, _)| child.path.len());
        let Some((child, attribute)) = found else { return format!("{owner}.{path}") };
        if outer_child(unit, &child.path).is_some()
            && let Some((parent, last)) = child.path.rsplit_once('.')
        {
            let parent = self.access_from(owner, Some(id), parent);
            return format!("{parent}.{last}{}", &path[child.path.len()..]);
        }
        let rest = path[child.path.len()..].trim_start_matches('.');
        let below = match &child.what {
            ChildKind::Unit(id) => Some(*id),
            _ => None,
        };
        let mut text = owner.to_owned();
        let segments: Vec<&str> = attribute.split('.').collect();
        for (index, segment) in segments.iter().enumerate() {
            let is_tensor =
                matches!(child.what, ChildKind::Tensor(_)) && index + 1 == segments.len();
            text = if names::is_identifier(segment) {
                format!("{text}.{segment}")
            } else if is_tensor {
                // A number is no attribute, and a tensor is no item of a container.
                format!("getattr({text}, \"{segment}\")")
            } else if index > 0 {
                format!("{text}[\"{segment}\"]")
            } else if form == Form::Module {
                format!("{text}.get_submodule(\"{segment}\")")
            } else {
                format!("{text}[{segment}]")
            };
        }
        self.access_from(&text, below, rest)
    }
}

/// The module of the unit in which another one lies.
fn outer_child<'u, 'm>(unit: &'u Unit<'m>, path: &str) -> Option<&'u Child<'m>> {
    let holds = |child: &&Child<'m>| {
        path.strip_prefix(child.path.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    unit.children.iter().find(holds)
}

/// What keys have before the numbers from 0 that they end in.
fn counted_prefix<'k>(keys: &[&'k str]) -> Option<&'k str> {
    let (prefix, _) = counted(keys.first()?)?;
    let is_next = |(index, key): (usize, &&str)| counted(key) == Some((prefix, index));
    keys.iter().enumerate().all(is_next).then_some(prefix)
}

/// A list in brackets, on one line if that is short.
fn brackets(open: &str, elements: Vec<Template>, close: &str) -> Template {
    let length: usize = elements.iter().map(|element| element.plain().len() + 2).sum();
    let is_short = elements.len() < 2 || length + open.len() + close.len() < LINE - 20;
    let is_long = elements.iter().any(|element| element.plain().contains('\n'));
    let mut text = Template::text(open);
    if is_short && !is_long {
        text.append(Template::joined(elements, ", "));
        text.push(close);
        return text;
    }
    for element in elements {
        text.push("\n    ");
        text.append(element.indented());
        text.push(",");
    }
    text.push("\n");
    text.push(close);
    text
}

fn made_tensor(tensor: &ParameterTensor) -> Template {
    let shape = Template::hole("shape", shape(&tensor.shape));
    let mut text = Template::default();
    let dtype = match tensor.dtype.is_float() {
        true => String::new(),
        false => format!(", dtype=torch.{}", torch_dtype(tensor.dtype)),
    };
    match tensor.is_buffer {
        true => {
            text.push("torch.zeros(");
            text.append(shape);
            text.push(&format!("{dtype})"));
        }
        // What is no float has no gradient.
        false if !tensor.dtype.is_float() => {
            text.push("nn.Parameter(torch.zeros(");
            text.append(shape);
            text.push(&format!("{dtype}), requires_grad=False)"));
        }
        // Vectors are biases, or factors that change nothing; matrices must differ to be trained.
        false if tensor.shape.len() < 2 => {
            let fill = if tensor.name.contains("bias") { "zeros" } else { "ones" };
            text.push(&format!("nn.Parameter(torch.{fill}("));
            text.append(shape);
            text.push(&format!("{dtype}))"));
        }
        false => {
            text.push("nn.Parameter(0.02 * torch.randn(");
            text.append(shape);
            text.push(&format!("{dtype}))"));
        }
    }
    text
}

fn buffer(owner: &str, path: &str, made: Template) -> Template {
    let (before, last) = path.rsplit_once('.').unwrap_or(("", path));
    let owner = if before.is_empty() { owner.to_owned() } else { format!("{owner}.{before}") };
    let mut text = Template::text(format!("{owner}.register_buffer(\"{last}\", "));
    text.append(made);
    text.push(")");
    text
}
