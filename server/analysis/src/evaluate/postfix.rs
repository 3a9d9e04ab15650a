//! What follows an operand: fields, calls, and indices.

use std::rc::Rc;

use heck::ToUpperCamelCase;
use layers::{Called, Entry};
use smol_str::SmolStr;
use syntax::{Kind, SyntaxToken, ast};

use crate::{
    Code, Diagnostic, NodeRef, Step, What,
    evaluate::{
        Run,
        frame::{Frame, Stage},
        functions::{self, FUNCTIONS, int},
        labels::LabelRef,
        layers_used::is_parameter_name,
        names::Resolved,
        pytorch_calls::text_before,
        scalars::unescape,
        scope::Found,
        value::{Argument, Binding, Callee, Named, Recipe, Value},
    },
};

impl<'w> Run<'w> {
    pub(crate) fn postfix(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let Some(primary) = expr.operand() else { return Value::Unknown };
        let suffixes: Vec<ast::Suffix<'w>> = expr.suffixes().collect();
        let mut at = 0;
        let called =
            primary.as_name().and_then(|name| self.called(frame, name.text(), suffixes.first()));
        let mut found = match primary.as_name() {
            Some(_) if let Some(called) = called => {
                at = 1;
                Resolved::Value(self.function(frame, primary, called, suffixes.first()))
            }
            Some(name) if self.is_function_call(frame, name, &suffixes) => {
                at = 1;
                Resolved::Value(self.function_call(frame, expr, name.text(), suffixes[0]))
            }
            Some(name) if self.report_module(frame, expr, name.text(), &suffixes) => {
                return Value::Unknown;
            }
            Some(name) => match self.dotted_parameter(frame, name.text(), &suffixes) {
                Some((binding, fields)) => {
                    at = fields;
                    self.read(frame, primary, binding)
                }
                None => self.resolve(frame, primary, name.text()),
            },
            // `0.weight`: digits before a dot are the number of a step.
            None if primary.literal().is_some_and(|token| token.kind() == Kind::Int)
                && matches!(suffixes.first(), Some(ast::Suffix::Field(_))) =>
            {
                match self.find_label_text(frame, primary, primary.text()) {
                    Some(label) => Resolved::Label(label),
                    None => Resolved::Missing,
                }
            }
            None => Resolved::Value(self.eval(frame, primary)),
        };
        for (index, suffix) in suffixes.iter().enumerate().skip(at) {
            if let ast::Suffix::Field(field) = suffix
                && self.is_method(frame, expr, &found, *field, suffixes.get(index + 1))
            {
                return Value::Unknown;
            }
            found = match (found, suffix) {
                (Resolved::Missing, _) | (Resolved::Value(Value::Unknown), _) => {
                    return Value::Unknown;
                }
                (Resolved::Label(label), ast::Suffix::Field(field)) => {
                    self.field_of_label(frame, &label, *field)
                }
                (Resolved::Label(label), suffix) => {
                    frame.read_size = true;
                    let value = self.label_value(frame, &label, frame.node(primary));
                    match suffix {
                        ast::Suffix::Index(index) if self.picks_a_value(frame, &label, *index) => {
                            let written = text_before(expr, index.syntax());
                            Resolved::Value(
                                self.value_picked(frame, &label, written, value, *index),
                            )
                        }
                        suffix => Resolved::Value(self.suffix(frame, value, *suffix)),
                    }
                }
                (Resolved::Value(value), suffix) => {
                    Resolved::Value(self.suffix(frame, value, *suffix))
                }
            };
        }
        match found {
            Resolved::Value(value) => value,
            Resolved::Label(label) => {
                frame.read_size = true;
                self.label_value(frame, &label, frame.node(expr))
            }
            Resolved::Missing => Value::Unknown,
        }
    }

    /// Whether a field is a method of a tensor, which is reported.
    fn is_method(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        found: &Resolved,
        field: ast::Field<'w>,
        next: Option<&ast::Suffix<'w>>,
    ) -> bool {
        let Some(name) = field.name() else { return false };
        let is_tensor = match found {
            Resolved::Value(value) => matches!(value, Value::Tensor(_)),
            Resolved::Label(label) => {
                matches!(label.get(frame).value, Some(Value::Tensor(_)))
                    && label.child(frame, name.text()).is_none()
            }
            Resolved::Missing => false,
        };
        if !is_tensor {
            return false;
        }
        let call = next.copied().and_then(ast::Suffix::as_call);
        let written = text_before(expr, field.syntax());
        self.report_method(frame, expr, written, name.text(), call)
    }

    /// The label or value that a dotted name stands for, for `-> head`.
    pub(crate) fn label_of(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Option<LabelRef> {
        match expr.kind() {
            Kind::NameExpr => {
                let name = expr.literal()?.text();
                if self.find_layer(frame, name).is_some() {
                    return None;
                }
                let found = frame.scope.find(name)?;
                let Found::Seen(Binding { what: Named::Label(label), .. }) = found else {
                    return None;
                };
                self.resolve(frame, expr, name);
                Some(LabelRef::Here(label))
            }
            Kind::Postfix
                if expr.suffixes().all(|suffix| matches!(suffix, ast::Suffix::Field(_))) =>
            {
                let mut label = self.label_of(frame, expr.operand()?)?;
                for suffix in expr.suffixes() {
                    let ast::Suffix::Field(field) = suffix else { return None };
                    match self.label_field(frame, &label, field) {
                        Some(Resolved::Label(child)) => label = child,
                        _ => return None,
                    }
                }
                Some(label)
            }
            Kind::Literal if expr.literal()?.kind() == Kind::String => {
                let text = expr.text();
                self.find_label_text(frame, expr, &unescape(&text[1..text.len() - 1], true))
            }
            Kind::Interpolated => {
                let text = self.computed_text(frame, expr)?;
                self.find_label_text(frame, expr, &text)
            }
            _ => None,
        }
    }

    fn field_of_label(
        &mut self,
        frame: &mut Frame,
        label: &LabelRef,
        field: ast::Field<'w>,
    ) -> Resolved {
        let Some(name) = field.name() else { return Resolved::Missing };
        if let Some(found) = self.label_field(frame, label, field) {
            return found;
        }
        let node = NodeRef { file: frame.file, node: field.id() };
        if matches!(name.text(), "shape" | "rank") {
            frame.read_size = true;
            let value = self.label_value(frame, label, node);
            return Resolved::Value(self.suffix(frame, value, ast::Suffix::Field(field)));
        }
        // After a mistake it may be a tensor, which has other names than a group.
        if matches!(label.get(frame).value, Some(Value::Unknown)) {
            return Resolved::Value(Value::Unknown);
        }
        let fields = self.fields_of(frame, label);
        self.no_field(node, name, &fields);
        Resolved::Missing
    }

    fn no_field(&mut self, node: NodeRef, name: SyntaxToken<'w>, fields: &[String]) {
        let nearest = layers::nearest(name.text(), fields.iter().map(String::as_str));
        let hint = match nearest {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None if fields.is_empty() => String::new(),
            None => format!("; there is `{}`", fields[..fields.len().min(6)].join("`, `")),
        };
        let message = format!("nothing is called `{}` in there{hint}", name.text());
        let place = crate::Place { file: node.file, range: name.range() };
        let mut diagnostic = Diagnostic::new(Code::NotInside, place, message);
        if let Some(nearest) = nearest {
            diagnostic = diagnostic.fix(format!("Write `{nearest}`"), place, nearest);
        }
        self.report(diagnostic);
    }

    /// Whether an index on the label of a layer, block or group looks as if it picked one of several values: the
    /// first dimension is still the batch, or the group is a list of steps.
    fn picks_a_value(&self, frame: &Frame, label: &LabelRef, index: ast::Index<'w>) -> bool {
        let mut items = index.items();
        let found = label.get(frame);
        let looks_so = match found.stages.as_slice() {
            [stage @ Stage::Written(..)] => !self.is_chain(stage),
            [Stage::Layer(_)] => found.step.as_ref().is_some_and(|step| keeps_batch(step)),
            _ => false,
        };
        looks_so && matches!((items.next(), items.next()), (Some(ast::IndexItem::At(_)), None))
    }

    /// Braces whose steps have no labels: what they give is what their last step gives, as anyone reads it.
    fn is_chain(&self, stage: &Stage) -> bool {
        let Stage::Written(node, _) = stage else { return false };
        let Some(ast::Stage::Group(group)) = ast::Stage::cast(self.workspace.node(*node)) else {
            return false;
        };
        group.body().into_iter().flat_map(|body| body.lines()).all(|line| match line {
            ast::Line::Step(step) => step.labels().next().is_none(),
            _ => true,
        })
    }

    /// `lstm[0]`. In PyTorch a module with one value gives that, and an index would slice its batch: rarely what
    /// is meant, so that is written with a comma.
    fn value_picked(
        &mut self,
        frame: &mut Frame,
        label: &LabelRef,
        path: &str,
        value: Value,
        index: ast::Index<'w>,
    ) -> Value {
        let Value::Tensor(tensor) = &value else { return self.index(frame, value, index) };
        let Some(ast::IndexItem::At(at)) = index.items().next() else { return Value::Unknown };
        match self.eval_scalar(frame, Some(at)) {
            Value::Int(_) => {}
            Value::Unknown => return Value::Unknown,
            // `table[ids]`, `x[none]`
            _ => return self.index(frame, value, index),
        }
        let shape = &tensor.ty.shape;
        let found = label.get(frame);
        let module = match found.step.as_ref().map(|step| (&step.what, step.kind())) {
            Some((What::Layer(used), kind)) => {
                let more = used.entry.and_then(|entry| entry.more_values);
                let more = more.map_or(String::new(), |more| format!(", or two with `{more}`"));
                format!("`{path}` is `{kind}` and has one value, its output {shape}{more}")
            }
            Some((What::Part(part), _)) => {
                format!("`{path}` is `{}` and has one value, {shape}", part.name)
            }
            _ => {
                let children = label.children(frame);
                let first = children.iter().find(|child| child.get(frame).is_module);
                let first = first.map_or(String::new(), |child| {
                    let child = &child.get(frame).segment;
                    format!("; those of its steps are `{path}.{child}` and so on, all of them `{path}.*`")
                });
                format!(
                    "`{path}` is a group and has one value, that of its last step, {shape}{first}"
                )
            }
        };
        let text = at.text();
        let message = format!("{module}. A slice of it is written `{path}[{text}, ...]`");
        self.error(Code::WrongValue, NodeRef { file: frame.file, node: index.id() }, message);
        Value::Unknown
    }

    /// What follows a value that is no label.
    fn suffix(&mut self, frame: &mut Frame, value: Value, suffix: ast::Suffix<'w>) -> Value {
        match suffix {
            ast::Suffix::Field(field) => self.field(frame, value, field),
            ast::Suffix::Call(call) => self.call(frame, value, call),
            ast::Suffix::Index(index) => self.index(frame, value, index),
        }
    }

    fn field(&mut self, frame: &mut Frame, value: Value, field: ast::Field<'w>) -> Value {
        let Some(name) = field.name() else { return Value::Unknown };
        let node = NodeRef { file: frame.file, node: field.id() };
        match (&value, name.text()) {
            (Value::Unknown, _) => Value::Unknown,
            (Value::Tensor(tensor), "shape") => {
                frame.read_size = true;
                // Sizes are at most 2^63 - 1.
                Value::list(tensor.ty.shape.iter().map(|size| Value::Int(*size as i64)).collect())
            }
            (Value::Tensor(tensor), "rank") => {
                frame.read_size = true;
                Value::Int(tensor.ty.shape.len() as i64)
            }
            (Value::Tensor(_), _) => {
                self.no_field(node, name, &["shape".to_owned(), "rank".to_owned()]);
                Value::Unknown
            }
            (Value::Tensors(tensors), "shape" | "rank") => {
                let message =
                    format!("this value has {} tensors; pick one by an index", tensors.len());
                self.error(Code::NotATensor, node, message);
                Value::Unknown
            }
            _ => {
                let message = format!("{} has no `.{}`", value.describe(), name.text());
                self.error(Code::NotInside, node, message);
                Value::Unknown
            }
        }
    }

    /// How what stands behind a name is called, if that is the prefix of functions. Of `torch` only what
    /// is a function here: others are spelled otherwise.
    fn called(
        &self,
        frame: &Frame,
        name: &str,
        suffix: Option<&ast::Suffix<'w>>,
    ) -> Option<Called> {
        let called = Called::behind(name).filter(|_| !self.is_bound(frame, name))?;
        let function = match suffix {
            Some(ast::Suffix::Field(field)) => field.name(),
            _ => None,
        };
        let is_known =
            function.is_some_and(|name| layers::find_called(called, name.text()).is_some());
        (called == Called::Functional || is_known).then_some(called)
    }

    /// `F.relu`, `torch.softmax`
    fn function(
        &mut self,
        frame: &mut Frame,
        primary: ast::Expr<'w>,
        called: Called,
        suffix: Option<&ast::Suffix<'w>>,
    ) -> Value {
        let Some(ast::Suffix::Field(field)) = suffix else {
            self.error(
                Code::UnknownName,
                frame.node(primary),
                "after `F` stands a function, as in `F.relu`",
            );
            return Value::Unknown;
        };
        let Some(name) = field.name() else { return Value::Unknown };
        let node = NodeRef { file: frame.file, node: field.id() };
        if let Some(entry) = layers::find_called(called, name.text()) {
            let callee = Callee::Function(entry, called);
            return Value::Layer(Rc::new(Recipe::new(callee, Vec::new(), node)));
        }
        let functions = layers::all().filter_map(|entry| entry.function);
        let layer = name.text().to_upper_camel_case();
        let hint = match layers::nearest(name.text(), functions) {
            _ if layers::find_called(Called::Torch, name.text()).is_some() => {
                format!("; it is `torch.{}`", name.text())
            }
            _ if layers::find(&layer).is_some() => format!("; it is the layer `{layer}`"),
            Some(nearest) => format!("; did you mean `F.{nearest}`?"),
            None => String::new(),
        };
        let message = format!("no function is called `F.{}`{hint}", name.text());
        self.error(Code::UnknownLayer, node, message);
        Value::Unknown
    }

    fn is_function_call(
        &self,
        frame: &Frame,
        name: SyntaxToken<'_>,
        suffixes: &[ast::Suffix<'_>],
    ) -> bool {
        matches!(suffixes.first(), Some(ast::Suffix::Call(_)))
            && FUNCTIONS.contains(&name.text())
            && !self.is_bound(frame, name.text())
    }

    fn function_call(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        name: &str,
        suffix: ast::Suffix<'w>,
    ) -> Value {
        let ast::Suffix::Call(call) = suffix else { return Value::Unknown };
        if call.is_broken() {
            return Value::Unknown;
        }
        let mut arguments = Vec::new();
        for argument in call.arguments() {
            if let Some(keyword) = argument.name() {
                let message = format!("`{name}` has no argument `{}`", keyword.text());
                self.error(
                    Code::UnknownArgument,
                    NodeRef { file: frame.file, node: argument.id() },
                    message,
                );
                return Value::Unknown;
            }
            arguments.push(self.eval_scalar(frame, argument.value()));
        }
        if arguments.iter().any(Value::contains_unknown) {
            return Value::Unknown;
        }
        let result = functions::call(name, &arguments);
        self.or_report(frame, expr, result)
    }

    /// Parentheses after a layer: its arguments.
    fn call(&mut self, frame: &mut Frame, value: Value, call: ast::Call<'w>) -> Value {
        let entry = match &value {
            Value::Layer(recipe) => recipe.callee.entry(),
            _ => None,
        };
        let arguments = self.arguments(frame, call, entry);
        match value {
            Value::Unknown => Value::Unknown,
            Value::Layer(recipe) => {
                let mut merged = recipe.arguments.clone();
                merged.retain(|old| {
                    old.name.is_none() || arguments.iter().all(|new| new.name != old.name)
                });
                merged.extend(arguments);
                let (callee, node) = (recipe.callee.clone(), recipe.node);
                Value::Layer(Rc::new(Recipe::new(callee, merged, node)))
            }
            other => {
                if other.as_tensors().is_some() && self.report_called_label(frame, call) {
                    return Value::Unknown;
                }
                let message = format!("{} is no layer, so it takes no arguments", other.describe());
                self.error(Code::NotALayer, NodeRef { file: frame.file, node: call.id() }, message);
                Value::Unknown
            }
        }
    }

    fn arguments(
        &mut self,
        frame: &mut Frame,
        call: ast::Call<'w>,
        entry: Option<&Entry>,
    ) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = Vec::new();
        let mut after_named = false;
        for argument in call.arguments() {
            let name = argument.name().map(|name| SmolStr::new(name.text()));
            let node = NodeRef { file: frame.file, node: argument.id() };
            if name.is_none() && after_named {
                let message = "an argument without a name stands before those with one";
                self.error(Code::UnknownArgument, node, message);
            }
            after_named |= name.is_some();
            // What means nothing is not read either: `training=self.training`.
            let is_ignored = |name| entry.is_some_and(|entry| entry.ignores(name));
            if name.as_deref().is_some_and(is_ignored) {
                continue;
            }
            let value = match &name {
                // A tensor is given; a text is the computed path of one.
                Some(name) if is_parameter_name(name) => self.eval_tensor(frame, argument.value()),
                _ => self.eval_scalar(frame, argument.value()),
            };
            arguments.push(Argument { name, value, node });
        }
        arguments
    }

    /// A tensor that is there already; no step is made.
    fn eval_tensor(&mut self, frame: &mut Frame, expr: Option<ast::Expr<'w>>) -> Value {
        let may_compute = std::mem::replace(&mut frame.may_compute, false);
        let texts = std::mem::replace(&mut frame.texts_are_labels, true);
        let value = self.eval_opt(frame, expr);
        (frame.may_compute, frame.texts_are_labels) = (may_compute, texts);
        value
    }

    fn index(&mut self, frame: &mut Frame, value: Value, index: ast::Index<'w>) -> Value {
        match value {
            Value::Unknown => Value::Unknown,
            Value::Tensor(tensor) => self.index_tensor(frame, &tensor, index),
            Value::List(items) => {
                self.index_list(frame, index, items.len(), |places| match places {
                    Places::One(place) => items[place].clone(),
                    Places::Some(places) => {
                        Value::list(places.into_iter().map(|place| items[place].clone()).collect())
                    }
                })
            }
            Value::Tensors(tensors) => {
                self.index_list(frame, index, tensors.len(), |places| match places {
                    Places::One(place) => Value::Tensor(tensors[place].clone()),
                    Places::Some(places) => Value::tensors(
                        places.into_iter().map(|place| tensors[place].clone()).collect(),
                    ),
                })
            }
            other => {
                let message = format!("{} has no items", other.describe());
                self.error(
                    Code::WrongValue,
                    NodeRef { file: frame.file, node: index.id() },
                    message,
                );
                Value::Unknown
            }
        }
    }

    /// Python's index or slice of a list.
    fn index_list(
        &mut self,
        frame: &mut Frame,
        index: ast::Index<'w>,
        length: usize,
        take: impl FnOnce(Places) -> Value,
    ) -> Value {
        let node = NodeRef { file: frame.file, node: index.id() };
        let mut items = index.items();
        let (Some(item), None) = (items.next(), items.next()) else {
            self.error(Code::WrongValue, node, "a list takes one index");
            return Value::Unknown;
        };
        match item {
            ast::IndexItem::At(expr) => match self.eval_scalar(frame, Some(expr)) {
                Value::Unknown => Value::Unknown,
                value => match (int(&value), length as i64) {
                    (Some(at), length) if (-length..length).contains(&at) => {
                        take(Places::One(at.rem_euclid(length) as usize))
                    }
                    (Some(at), _) => {
                        let message = format!("index {at} is outside a list of {length}");
                        self.error(Code::Arithmetic, node, message);
                        Value::Unknown
                    }
                    (None, _) => {
                        let message =
                            format!("an index is a whole number, not {}", value.describe());
                        self.error(Code::WrongValue, node, message);
                        Value::Unknown
                    }
                },
            },
            ast::IndexItem::Slice(slice) => match self.slice_parts(frame, slice) {
                Some((_, _, Some(0))) => {
                    self.error(Code::Arithmetic, node, "a slice with a step of 0");
                    Value::Unknown
                }
                Some((start, stop, step)) => {
                    take(Places::Some(slice_places(length as i64, start, stop, step)))
                }
                None => Value::Unknown,
            },
            ast::IndexItem::Ellipsis(_) => {
                self.error(Code::WrongValue, node, "`...` indexes tensors, not lists");
                Value::Unknown
            }
        }
    }

    /// The numbers of a slice, as far as they are given; `None` after an error.
    #[allow(clippy::type_complexity)] // Start, stop and step.
    pub(crate) fn slice_parts(
        &mut self,
        frame: &mut Frame,
        slice: ast::Slice<'w>,
    ) -> Option<(Option<i64>, Option<i64>, Option<i64>)> {
        let mut parts = [None; 3];
        for (part, expr) in parts.iter_mut().zip(slice.parts()) {
            let Some(expr) = expr else { continue };
            match self.eval_scalar(frame, Some(expr)) {
                Value::Unknown => return None,
                Value::None => {}
                Value::Int(value) => *part = Some(value),
                value => {
                    let message = format!("a slice takes whole numbers, not {}", value.describe());
                    self.error(Code::WrongValue, frame.node(expr), message);
                    return None;
                }
            }
        }
        let [start, stop, step] = parts;
        Some((start, stop, step))
    }
}

/// Whether the first dimension of a step's value is that of its input.
fn keeps_batch(step: &Step) -> bool {
    let is_view = matches!(&step.what, What::Layer(used) if used.layer.is_view());
    let (Some(taken), Some(given)) = (step.inputs.first(), step.outputs.first()) else {
        return false;
    };
    let (taken, given) = (&taken.ty.shape, &given.ty.shape);
    !is_view && taken.len() == given.len() && taken.first() == given.first()
}

enum Places {
    One(usize),
    Some(Vec<usize>),
}

fn slice_places(
    length: i64,
    start: Option<i64>,
    stop: Option<i64>,
    step: Option<i64>,
) -> Vec<usize> {
    let step = step.unwrap_or(1);
    let clamp = |place: i64, least: i64, most: i64| {
        let place = if place < 0 { place.saturating_add(length) } else { place };
        place.clamp(least, most)
    };
    let mut places = Vec::new();
    if step > 0 {
        let stop = stop.map_or(length, |stop| clamp(stop, 0, length));
        let mut at = start.map_or(0, |start| clamp(start, 0, length));
        while at < stop {
            places.push(at as usize);
            at = at.saturating_add(step);
        }
    } else {
        let stop = stop.map_or(-1, |stop| clamp(stop, -1, length - 1));
        let mut at = start.map_or(length - 1, |start| clamp(start, -1, length - 1));
        while at > stop {
            places.push(at as usize);
            at = at.saturating_add(step);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_pythons() {
        assert_eq!(slice_places(4, None, Some(-1), None), [0, 1, 2]);
        assert_eq!(slice_places(4, None, None, Some(-1)), [3, 2, 1, 0]);
        assert_eq!(slice_places(4, Some(10), None, None), [0; 0]);
        assert_eq!(slice_places(0, None, None, None), [0; 0]);
    }
}
