//! What a name means: layers, scalars, inputs and labels.

use std::rc::Rc;

use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, Definition, DefinitionKind, Diagnostic, NodeRef,
    evaluate::{
        Run,
        frame::{Frame, LabelRef, label_path},
        functions::FUNCTIONS,
        scope::{Binding, How, LabelId, Named},
        value::{Callee, Recipe, Tensor, Value},
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
        match self.find_binding(frame, name) {
            Some(Found::Seen(binding)) => self.read(frame, expr, binding),
            Some(Found::Outside(binding)) => {
                let message = format!(
                    "`{name}` is not seen from this block: it sees parameters, and `let`s above it that use no sizes"
                );
                let place = self.place(node);
                let given = self.place(binding.node);
                self.report(
                    Diagnostic::new(Code::OutsideBlock, place, message)
                        .related(given, format!("`{name}` is given here")),
                );
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
        wanted: &super::scope::Scope,
    ) -> Option<Rc<super::scope::Scope>> {
        let mut scope = Some(frame.scope.clone());
        while let Some(candidate) = scope {
            if std::ptr::eq(&*candidate, wanted) {
                return Some(candidate);
            }
            scope = candidate.parent.clone();
        }
        None
    }

    fn find_binding(&self, frame: &Frame, name: &str) -> Option<Found> {
        let mut crossed: Option<NodeRef> = None;
        for scope in frame.scope.chain() {
            if let Some(binding) = scope.get(name) {
                return Some(match crossed {
                    Some(block) if !is_seen_from(&binding, block) => Found::Outside(binding),
                    _ => Found::Seen(binding),
                });
            }
            // The innermost block decides how far the names above it reach.
            crossed = scope.body_of.or(crossed);
        }
        None
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
            if let Some(Found::Seen(binding)) = self.find_binding(frame, &name)
                && matches!(binding.what, Named::Parameter(_))
            {
                return Some((binding, index + 1));
            }
        }
        None
    }

    /// Whether a name is bound here, to whatever.
    pub(crate) fn is_bound(&self, frame: &Frame, name: &str) -> bool {
        self.find_binding(frame, name).is_some()
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
        let looks_like_layer =
            name.starts_with(|first: char| first.is_ascii_uppercase()) && name.len() > 2;
        let (code, what) = match looks_like_layer {
            true => (Code::UnknownLayer, "layer, block or model"),
            false => (Code::UnknownName, "name"),
        };
        let mut candidates: Vec<SmolStr> = frame.scope.all_names();
        candidates.extend(FUNCTIONS.iter().map(SmolStr::new));
        candidates.extend(self.top_level(frame.file).keys().cloned());
        candidates.extend(frame.scope.chain().flat_map(|scope| scope.items.keys().cloned()));
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
        if let Some(child) = child_of(frame, label, name) {
            if let Some(node) = given_at(frame, &child) {
                self.define(frame.file, field.id(), || Definition {
                    node,
                    kind: DefinitionKind::Label,
                    value: None,
                });
            }
            return Some(Resolved::Label(child));
        }
        self.label_parameter(frame, label, name).map(Resolved::Value)
    }

    /// `convs.*`: the values of all layers, blocks and groups in a group, in order.
    fn all_values(&mut self, frame: &mut Frame, label: &LabelRef, field: ast::Field<'_>) -> Value {
        let children: Vec<LabelRef> = match enter(frame, label) {
            LabelRef::Here(id) => {
                frame.label(id).order.iter().map(|child| LabelRef::Here(*child)).collect()
            }
            LabelRef::Inside { part, label, steps, path } => {
                let order = part.labels[label.0 as usize].order.clone();
                let inside = |label| LabelRef::Inside {
                    part: part.clone(),
                    label,
                    steps: steps.clone(),
                    path: path.clone(),
                };
                order.into_iter().map(inside).collect()
            }
        };
        let mut tensors = Vec::new();
        for child in children {
            let is_module = match &child {
                LabelRef::Here(id) => frame.label(*id).is_module,
                LabelRef::Inside { part, label, .. } => part.labels[label.0 as usize].is_module,
            };
            if !is_module {
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
        match label {
            LabelRef::Here(id) => match &frame.label(*id).value {
                Some(value) => value.clone(),
                None => {
                    let name = label_path(&frame.labels, *id).join(".");
                    let children: Vec<SmolStr> =
                        frame.label(*id).children.keys().cloned().collect();
                    let hint = children
                        .first()
                        .map_or(String::new(), |child| format!("; it holds `{name}.{child}`"));
                    self.error(
                        Code::NotInside,
                        node,
                        format!("`{name}` is part of a path and has no value{hint}"),
                    );
                    Value::Unknown
                }
            },
            LabelRef::Inside { part, label, steps, .. } => {
                let value = part.labels[label.0 as usize].value.clone().unwrap_or(Value::Unknown);
                match value.as_tensors() {
                    Some(tensors) => {
                        let exported: Vec<Tensor> = tensors
                            .iter()
                            .map(|tensor| frame.export(steps, tensor, node))
                            .collect();
                        Value::tensors(exported)
                    }
                    None => value,
                }
            }
        }
    }

    /// A parameter of the layer of a label, by the rest of its name.
    pub(crate) fn label_parameter(
        &mut self,
        frame: &mut Frame,
        label: &LabelRef,
        name: &str,
    ) -> Option<Value> {
        let (step, dtype, mut path) = match label {
            LabelRef::Here(id) => {
                (frame.label(*id).step.clone()?, frame.dtype, label_path(&frame.labels, *id))
            }
            LabelRef::Inside { part, label, path, .. } => {
                let inner = label_path(&part.labels, *label);
                (
                    part.labels[label.0 as usize].step.clone()?,
                    frame.dtype,
                    [path.clone(), inner].concat(),
                )
            }
        };
        let tensor =
            self.parameters_of(&step, dtype).into_iter().find(|tensor| tensor.name == name)?;
        path.push(name.into());
        let ty =
            std::sync::Arc::new(layers::TensorType { dtype: tensor.dtype, shape: tensor.shape });
        let origin = super::value::Origin::Parameter(path.join(".").into());
        Some(Value::Tensor(Tensor { ty, origin }))
    }

    /// The names that could stand after the dot, for a message.
    pub(crate) fn fields_of(&mut self, frame: &Frame, label: &LabelRef) -> Vec<String> {
        let (labels, id) = match enter(frame, label) {
            LabelRef::Here(id) => (&frame.labels, id),
            LabelRef::Inside { ref part, label, .. } => {
                let label = &part.labels[label.0 as usize];
                return label.children.keys().map(SmolStr::to_string).collect();
            }
        };
        let label = &labels[id.0 as usize];
        let mut names: Vec<String> =
            label.order.iter().map(|child| labels[child.0 as usize].segment.to_string()).collect();
        if let Some(step) = label.step.clone() {
            names.extend(
                self.parameters_of(&step, frame.dtype).into_iter().map(|tensor| tensor.name),
            );
        }
        names
    }
}

enum Found {
    Seen(Binding),
    /// The block between does not see it.
    Outside(Binding),
}

/// A block sees the parameters around it, and the `let`s above it that use no sizes.
fn is_seen_from(binding: &Binding, block: NodeRef) -> bool {
    match &binding.what {
        Named::Parameter(_) => true,
        Named::Scalar { sized, how: How::Let, .. } => !sized && binding.node.node < block.node,
        _ => false,
    }
}

/// Where a label is given; a part of a path has no place of its own.
fn given_at(frame: &Frame, label: &LabelRef) -> Option<NodeRef> {
    match label {
        LabelRef::Here(id) => frame.label(*id).node,
        LabelRef::Inside { part, label, .. } => part.labels[label.0 as usize].node,
    }
}

/// A label of a block's step stands for what is inside the block.
fn enter(frame: &Frame, label: &LabelRef) -> LabelRef {
    let (part, step, path, mut steps) = match label {
        LabelRef::Here(id) => {
            let found = frame.label(*id);
            (found.part.clone(), found.step.clone(), label_path(&frame.labels, *id), Vec::new())
        }
        LabelRef::Inside { part, label, steps, path } => {
            let found = &part.labels[label.0 as usize];
            let inner = label_path(&part.labels, *label);
            (found.part.clone(), found.step.clone(), [path.clone(), inner].concat(), steps.clone())
        }
    };
    match (part, step) {
        (Some(part), Some(step)) => {
            steps.push(step.id);
            LabelRef::Inside { part, label: LabelId(0), steps, path }
        }
        _ => label.clone(),
    }
}

fn child_of(frame: &Frame, label: &LabelRef, name: &str) -> Option<LabelRef> {
    match enter(frame, label) {
        LabelRef::Here(id) => {
            frame.label(id).children.get(name).map(|child| LabelRef::Here(*child))
        }
        LabelRef::Inside { part, label, steps, path } => {
            let child = *part.labels[label.0 as usize].children.get(name)?;
            Some(LabelRef::Inside { part, label: child, steps, path })
        }
    }
}

impl Run<'_> {
    /// Whether a scalar of this name can be read here. A block does not see the sizes around it,
    /// so in its patterns their names are free.
    pub(crate) fn visible_scalar(&self, frame: &Frame, name: &str) -> bool {
        let seen = match self.find_binding(frame, name) {
            Some(Found::Seen(binding)) => binding,
            _ => return false,
        };
        !matches!(seen.what, Named::Label(_) | Named::Input(_))
    }
}
