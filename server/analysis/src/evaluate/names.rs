//! What a name means: layers, scalars, inputs and labels.

use std::{rc::Rc, sync::Arc};

use layers::DType;
use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, Definition, DefinitionKind, Diagnostic, NodeRef, ParameterPath, Source, Step, What,
    evaluate::{
        Run,
        frame::Frame,
        functions::FUNCTIONS,
        labels::LabelRef,
        scope::Found,
        value::{Binding, Border, Callee, How, Named, Origin, Recipe, Tensor, Value},
    },
};

/// What a name stands for.
pub(crate) enum Resolved {
    Value(Value),
    Label(LabelRef),
    /// Nothing; an error was reported.
    Missing,
}

impl Run<'_> {
    /// A name in an expression.
    pub(crate) fn resolve(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'_>,
        name: &str,
    ) -> Resolved {
        let node = NodeRef { file: frame.file, node: expr.id() };
        if let Some(callee) = self.find_layer(frame, name) {
            if let Callee::Item { item, .. } = &callee {
                let item = *item;
                self.define(frame.file, expr.id(), || Definition {
                    node: item,
                    kind: DefinitionKind::Item,
                    value: None,
                });
            }
            let recipe = Recipe::new(callee, Vec::new(), node);
            return Resolved::Value(Value::Layer(Rc::new(recipe)));
        }
        match frame.scope.find(name) {
            Some(Found::Seen(binding)) => self.read(frame, expr, binding),
            Some(Found::Outside(given, border)) => {
                self.not_seen(node, name, given, border);
                Resolved::Missing
            }
            None => {
                self.unknown_name(frame, node, name);
                Resolved::Missing
            }
        }
    }

    /// The layer, block or model of this name.
    pub(crate) fn find_layer(&mut self, frame: &Frame, name: &str) -> Option<Callee> {
        for scope in frame.scope.chain().filter(|scope| !scope.items.is_empty()) {
            if let Some(item) = scope.items.get(name) {
                // The scope that declares the block is the one that it sees.
                let scope = self.scope_of(frame, scope);
                return Some(Callee::Item { item: *item, name: name.into(), scope });
            }
        }
        if let Some(item) = self.top_level(frame.file).get(name) {
            return Some(Callee::Item { item: *item, name: name.into(), scope: None });
        }
        layers::find(name).map(Callee::Layer)
    }

    fn scope_of(
        &self,
        frame: &Frame,
        wanted: &super::value::Scope,
    ) -> Option<Rc<super::value::Scope>> {
        let mut scope = Some(frame.scope.clone());
        while let Some(candidate) = scope {
            if std::ptr::eq(&*candidate, wanted) {
                return Some(candidate);
            }
            scope = candidate.parent.clone();
        }
        None
    }

    fn not_seen(&mut self, node: NodeRef, name: &str, given: NodeRef, border: Border) {
        let message = match border {
            Border::OtherBody => format!(
                "`{name}` flows in the block that these braces are of, so they cannot be used again from outside it"
            ),
            _ => format!(
                "`{name}` is not seen from this block: it sees parameters, and `let`s above it that use no sizes"
            ),
        };
        let diagnostic = Diagnostic::new(Code::OutsideBlock, self.place(node), message);
        self.report(diagnostic.related(self.place(given), format!("`{name}` is given here")));
    }

    /// A parameter with dots in its name, `text_config.hidden_size`, and how many fields it takes.
    pub(crate) fn dotted_parameter(
        &self,
        frame: &Frame,
        first: &str,
        suffixes: &[ast::Suffix<'_>],
    ) -> Option<(Binding, usize)> {
        if !matches!(suffixes.first(), Some(ast::Suffix::Field(_))) || self.is_bound(frame, first) {
            return None;
        }
        let mut name = first.to_owned();
        for (index, suffix) in suffixes.iter().enumerate() {
            let ast::Suffix::Field(field) = suffix else { return None };
            name.push('.');
            name.push_str(field.name()?.text());
            if let Some(Found::Seen(binding)) = frame.scope.find(&name)
                && matches!(binding.what, Named::Parameter(_))
            {
                return Some((binding, index + 1));
            }
        }
        None
    }

    /// Whether a name is bound here to a tensor.
    pub(crate) fn is_tensor(&self, frame: &Frame, name: &str) -> bool {
        let Some(Found::Seen(binding)) = frame.scope.find(name) else { return false };
        match binding.what {
            Named::Input(value) => value.as_tensors().is_some(),
            Named::Label(label) => {
                frame.label(label).value.as_ref().is_some_and(|value| value.as_tensors().is_some())
            }
            Named::Parameter(_) | Named::Scalar { .. } => false,
        }
    }

    /// Whether a name is bound here, to whatever.
    pub(crate) fn is_bound(&self, frame: &Frame, name: &str) -> bool {
        frame.scope.find(name).is_some()
    }

    pub(crate) fn read(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'_>,
        binding: Binding,
    ) -> Resolved {
        let Binding { what, node } = binding;
        let (kind, value) = match &what {
            Named::Parameter(value) => (DefinitionKind::Parameter, Some(value)),
            Named::Scalar { value, sized, how } => {
                frame.read_size |= sized;
                let kind = match how {
                    How::Let => DefinitionKind::Let,
                    How::Loop => DefinitionKind::Loop,
                    How::Symbol => DefinitionKind::Symbol,
                    How::Pattern => DefinitionKind::Pattern,
                };
                if *how == How::Pattern {
                    self.bound.entry(node).and_modify(|used| *used = true);
                }
                (kind, Some(value))
            }
            Named::Input(value) => {
                frame.read_size = true;
                (DefinitionKind::Input, Some(value))
            }
            Named::Label(label) => (DefinitionKind::Label, frame.label(*label).value.as_ref()),
        };
        if self.setting.records {
            let known = value.filter(|value| !value.is_unknown());
            let definition = || Definition { node, kind, value: known.map(Value::to_string) };
            self.define(frame.file, expr.id(), definition);
        }
        match what {
            Named::Label(label) => Resolved::Label(LabelRef::Here(label)),
            Named::Parameter(value) | Named::Scalar { value, .. } | Named::Input(value) => {
                Resolved::Value(value)
            }
        }
    }

    fn unknown_name(&mut self, frame: &Frame, node: NodeRef, name: &str) {
        let hidden = frame.scope.chain().find_map(|scope| scope.hidden.borrow().get(name).copied());
        let place = self.place(node);
        if let Some(condition) = hidden {
            // What does not happen may read what is not there for the same reason.
            if self.checking > 0 {
                return;
            }
            let text = self.workspace.node(condition).text();
            let condition = self.place(condition);
            let message = format!("there is no `{name}` here: the condition above it did not hold");
            let diagnostic = Diagnostic::new(Code::UnknownName, place, message);
            return self.report(
                diagnostic.related(condition, format!("`{name}` is there only if `{text}`")),
            );
        }
        if frame.is_open(name) {
            let message = format!("`{name}` is used inside itself");
            return self.report(Diagnostic::new(Code::Recursion, place, message));
        }
        let looks_like_layer =
            name.starts_with(|first: char| first.is_ascii_uppercase()) && name.len() > 2;
        let (code, what) = match looks_like_layer {
            true => (Code::UnknownLayer, "layer, block or model"),
            false => (Code::UnknownName, "name"),
        };
        if self.report_spelling(node, name) {
            return;
        }
        let mut candidates: Vec<SmolStr> = frame.scope.all_names();
        candidates.extend(FUNCTIONS.iter().map(SmolStr::new));
        candidates.extend(self.top_level(frame.file).keys().cloned());
        candidates.extend(frame.scope.chain().flat_map(|scope| scope.items.keys().cloned()));
        // What is being written out cannot be used here.
        let around: Vec<&str> = self.calls.iter().map(|(open, _)| self.name_of(*open)).collect();
        candidates.retain(|candidate| !around.contains(&candidate.as_str()));
        candidates.extend(layers::all().map(|entry| SmolStr::new(entry.name)));
        let nearest = layers::nearest(name, candidates.iter().map(SmolStr::as_str));
        let hint = nearest.map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"));
        let mut diagnostic =
            Diagnostic::new(code, place, format!("no {what} is called `{name}` here{hint}"));
        if let Some(nearest) = nearest {
            diagnostic = diagnostic.fix(format!("Write `{nearest}`"), place, nearest);
        }
        self.report(diagnostic);
    }

    /// What stands after a dot.
    pub(crate) fn label_field(
        &mut self,
        frame: &mut Frame,
        label: &LabelRef,
        field: ast::Field<'_>,
    ) -> Option<Resolved> {
        let name = field.name()?.text();
        if name == "*" {
            return Some(Resolved::Value(self.all_values(frame, label, field)));
        }
        if let Some(child) = label.child(frame, name) {
            if let Some(node) = child.get(frame).node {
                self.define(frame.file, field.id(), || Definition {
                    node,
                    kind: DefinitionKind::Label,
                    value: None,
                });
            }
            return Some(Resolved::Label(child));
        }
        let node = NodeRef { file: frame.file, node: field.id() };
        self.label_parameter(frame, label, name, node).map(Resolved::Value)
    }

    /// `convs.*`: the values of all layers, blocks and groups in a group, in order.
    fn all_values(&mut self, frame: &mut Frame, label: &LabelRef, field: ast::Field<'_>) -> Value {
        let mut tensors = Vec::new();
        for child in label.children(frame) {
            if !child.get(frame).is_module {
                continue;
            }
            let node = NodeRef { file: frame.file, node: field.id() };
            match self.label_value(frame, &child, node) {
                Value::Unknown => return Value::Unknown,
                value => tensors.extend(value.as_tensors().unwrap_or_default().iter().cloned()),
            }
        }
        Value::tensors(tensors)
    }

    /// The value of a label's step.
    pub(crate) fn label_value(
        &mut self,
        frame: &mut Frame,
        label: &LabelRef,
        node: NodeRef,
    ) -> Value {
        match (label.get(frame).value.clone(), label) {
            (Some(value), LabelRef::Here(_)) => value,
            (Some(value), LabelRef::Inside(inside)) => inside.value(frame, &value, node),
            (None, label) => {
                if let Some(beside) = label.beside().cloned() {
                    return self.label_value(frame, &beside, node);
                }
                let name = label.path(frame).join(".");
                let hint = match label.get(frame).children.keys().next() {
                    Some(child) => format!("; it holds `{name}.{child}`"),
                    None => String::new(),
                };
                let message = format!("`{name}` is part of a path and has no value{hint}");
                self.error(Code::NotInside, node, message);
                Value::Unknown
            }
        }
    }

    /// A parameter of the layer of a label, by the rest of its name; one that it is given is what is given.
    pub(crate) fn label_parameter(
        &mut self,
        frame: &mut Frame,
        label: &LabelRef,
        name: &str,
        node: NodeRef,
    ) -> Option<Value> {
        let step = label.get(frame).step.clone();
        if let Some(given) = step.as_ref().and_then(|step| given_parameter(step, name, frame.dtype))
        {
            return Some(match label {
                LabelRef::Here(_) => given,
                LabelRef::Inside(inside) => inside.value(frame, &given, node),
            });
        }
        let tensors = step.map(|step| self.parameters_of(&step, frame.dtype)).unwrap_or_default();
        let Some(tensor) = tensors.into_iter().find(|tensor| tensor.name == name) else {
            return self.label_parameter(frame, &label.beside()?.clone(), name, node);
        };
        let mut path = label.path(frame);
        path.push(name.into());
        let ty = Arc::new(layers::TensorType { dtype: tensor.dtype, shape: tensor.shape });
        let path = ParameterPath { up: 0, path: path.join(".").into() };
        Some(Value::Tensor(Tensor { ty, origin: Origin::Parameter(path) }))
    }

    /// The names that could stand after the dot, for a message.
    pub(crate) fn fields_of(&mut self, frame: &Frame, label: &LabelRef) -> Vec<String> {
        let mut names: Vec<String> = label
            .children(frame)
            .iter()
            .map(|child| child.get(frame).segment.to_string())
            .collect();
        if let Some(step) = label.get(frame).step.clone() {
            let own = self.parameters_of(&step, frame.dtype).into_iter();
            names.extend(own.map(|tensor| tensor.name));
        }
        names
    }
}

/// The tensor that is given for a parameter of a step's layer, as the step's body sees it.
fn given_parameter(step: &Step, name: &str, dtype: DType) -> Option<Value> {
    let What::Layer(used) = &step.what else { return None };
    let (_, source) = used.given.iter().find(|(given, _)| given == name)?;
    let all = layers::parameters(&*used.layer, dtype).ok()?;
    let tensor = all.into_iter().find(|tensor| tensor.name == name)?;
    let ty = Arc::new(layers::TensorType { dtype: tensor.dtype, shape: tensor.shape });
    let origin = match source {
        Source::Tensor(id) => Origin::Step(*id),
        Source::Parameter(path) => Origin::Parameter(path.clone()),
    };
    Some(Value::Tensor(Tensor { ty, origin }))
}

impl Run<'_> {
    /// Whether a scalar of this name can be read here. A block does not see the sizes around it,
    /// so in its patterns their names are free.
    pub(crate) fn visible_scalar(&self, frame: &Frame, name: &str) -> bool {
        let found = frame.scope.find(name);
        let Some(Found::Seen(seen)) = found else { return false };
        !matches!(seen.what, Named::Label(_) | Named::Input(_))
    }
}
