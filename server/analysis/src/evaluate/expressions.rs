//! Expressions: Python's scalars, and the tensor expressions between them.

use syntax::{Kind, ast};

use crate::{
    Code, NodeRef,
    evaluate::{
        Run,
        frame::Frame,
        functions::{Mistake, int, overflow, wrong},
        labels::LabelRef,
        names::Resolved,
        scalars::{binary, compare, magnitude, small_list, unescape},
        value::{Callee, Value},
    },
};

impl<'w> Run<'w> {
    /// The value of an expression; `Unknown` after an error, which has been reported.
    pub(crate) fn eval(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        match expr.kind() {
            Kind::NameExpr if names_a_layer(expr) => self.constant(frame, expr, Run::name),
            Kind::NameExpr => self.name(frame, expr),
            Kind::Literal => self.literal(frame, expr),
            Kind::Interpolated => self.interpolated(frame, expr),
            Kind::ItExpr => {
                frame.read_size = true;
                frame.it.clone()
            }
            Kind::Paren | Kind::List if expr.is_broken() => Value::Unknown,
            Kind::Paren => self.operand(frame, expr),
            Kind::List => {
                let items: Vec<Value> =
                    expr.operands().map(|item| self.eval(frame, item)).collect();
                let result = small_list(items);
                self.or_report(frame, expr, result)
            }
            Kind::Postfix if names_a_layer(expr) => self.constant(frame, expr, Run::postfix),
            Kind::Postfix => self.postfix(frame, expr),
            Kind::Unary => self.unary(frame, expr),
            Kind::Power | Kind::Term | Kind::Sum => self.arithmetic_chain(frame, expr),
            Kind::Comparison => self.comparison(frame, expr),
            Kind::Not => {
                let operand = self.operand(frame, expr);
                self.truth(frame, expr.operand().unwrap_or(expr), &operand)
                    .map_or(Value::Unknown, |holds| Value::Bool(!holds))
            }
            Kind::And | Kind::Or => self.logic(frame, expr),
            Kind::Conditional => self.conditional(frame, expr),
            _ => Value::Unknown,
        }
    }

    /// A layer whose arguments are all literals is the same in every run and at every use.
    fn constant(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        evaluate: fn(&mut Self, &mut Frame, ast::Expr<'w>) -> Value,
    ) -> Value {
        let node = frame.node(expr);
        if let Some(recipe) = self.setting.constants.borrow().get(&node) {
            return Value::Layer(recipe.clone());
        }
        let value = evaluate(self, frame, expr);
        if let Value::Layer(recipe) = &value
            && names_it(expr, &recipe.callee)
            && is_constant(expr)
        {
            self.setting.constants.borrow_mut().insert(node, recipe.clone());
        }
        value
    }

    /// The value of an expression that may be missing in a half-typed line.
    pub(crate) fn eval_opt(&mut self, frame: &mut Frame, expr: Option<ast::Expr<'w>>) -> Value {
        expr.map_or(Value::Unknown, |expr| self.eval(frame, expr))
    }

    /// As a scalar: no step is made.
    pub(crate) fn eval_scalar(&mut self, frame: &mut Frame, expr: Option<ast::Expr<'w>>) -> Value {
        let may_compute = std::mem::replace(&mut frame.may_compute, false);
        let texts = std::mem::replace(&mut frame.texts_are_labels, false);
        let value = self.eval_opt(frame, expr);
        (frame.may_compute, frame.texts_are_labels) = (may_compute, texts);
        value
    }

    /// A whole number of at least 0, or `None` with an error reported.
    pub(crate) fn eval_count(
        &mut self,
        frame: &mut Frame,
        expr: Option<ast::Expr<'w>>,
        what: &str,
    ) -> Option<u64> {
        let value = self.eval_scalar(frame, expr);
        self.as_count(&value, what, frame.node(expr?))
    }

    /// A value as a count. What is none is an error at the node.
    pub(crate) fn as_count(&mut self, value: &Value, what: &str, node: NodeRef) -> Option<u64> {
        match value {
            Value::Unknown => None,
            Value::Int(count) if *count >= 0 => Some(*count as u64),
            Value::Float(_) => {
                let message = format!(
                    "{what} is a whole number, not {value}; `//` divides to a whole number"
                );
                self.error(Code::WrongValue, node, message);
                None
            }
            _ => {
                let message =
                    format!("{what} is a whole number of at least 0, not {}", value.describe());
                self.error(Code::WrongValue, node, message);
                None
            }
        }
    }

    /// Whether a condition on scalars holds; `None` if that is not known or an error was reported.
    pub(crate) fn eval_condition(
        &mut self,
        frame: &mut Frame,
        expr: Option<ast::Expr<'w>>,
    ) -> Option<bool> {
        let value = self.eval_scalar(frame, expr);
        self.truth(frame, expr?, &value)
    }

    /// Python's truth of a scalar. The model is written out before any tensor has values, so a tensor has none.
    fn truth(&mut self, frame: &Frame, expr: ast::Expr<'w>, value: &Value) -> Option<bool> {
        match value {
            Value::Unknown => None,
            Value::Tensor(_) | Value::Tensors(_) => {
                self.not_of_tensors(frame, expr, value);
                None
            }
            value => Some(value.is_true()),
        }
    }

    fn not_of_tensors(&mut self, frame: &Frame, expr: ast::Expr<'w>, value: &Value) {
        let message = format!(
            "a condition is about scalars and sizes, such as `x.shape[0]`, not {}",
            value.describe()
        );
        self.error(Code::WrongValue, frame.node(expr), message);
    }

    fn operand(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        self.eval_opt(frame, expr.operand())
    }

    pub(crate) fn or_report(
        &mut self,
        frame: &Frame,
        expr: ast::Expr<'w>,
        result: Result<Value, Mistake>,
    ) -> Value {
        result.unwrap_or_else(|(code, message)| {
            self.error(code, frame.node(expr), message);
            Value::Unknown
        })
    }

    fn name(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let Some(token) = expr.literal() else { return Value::Unknown };
        match self.resolve(frame, expr, token.text()) {
            Resolved::Value(value) => value,
            Resolved::Label(label) => {
                frame.read_size = true;
                self.label_value(frame, &label, frame.node(expr))
            }
            Resolved::Missing => Value::Unknown,
        }
    }

    fn literal(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let Some(token) = expr.literal() else { return Value::Unknown };
        match token.kind() {
            Kind::TrueKw => Value::Bool(true),
            Kind::FalseKw => Value::Bool(false),
            Kind::NoneKw => Value::None,
            Kind::Int => match token.text().replace('_', "").parse() {
                Ok(value) => Value::Int(value),
                Err(_) => self.or_report(frame, expr, overflow()),
            },
            Kind::Float => Value::Float(token.text().replace('_', "").parse().unwrap_or(f64::NAN)),
            Kind::Magnitude => {
                let expects = |node| ast::Expect::cast(node).is_some();
                let result = match expr.syntax().ancestors().any(expects) {
                    true => magnitude(token.text()),
                    false => wrong(format!(
                        "`{}` is a figure of an `expect`; elsewhere digits are written out",
                        token.text()
                    )),
                };
                self.or_report(frame, expr, result)
            }
            Kind::String if frame.texts_are_labels => {
                let path = unescape(&token.text()[1..token.text().len() - 1], true);
                self.read_label_text(frame, expr, &path)
            }
            Kind::String => Value::text(&unescape(&token.text()[1..token.text().len() - 1], false)),
            _ => Value::Unknown,
        }
    }

    /// A string that computes: the path of a label, or the text of one.
    fn interpolated(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let reads_label = frame.texts_are_labels;
        let Some(text) = self.computed_text(frame, expr) else { return Value::Unknown };
        match reads_label {
            true => self.read_label_text(frame, expr, &text),
            // In other strings braces are braces.
            false => Value::text(&unescape(&expr.text()[1..expr.text().len() - 1], false)),
        }
    }

    /// The text of a label, with its holes filled in.
    pub(crate) fn computed_text(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
    ) -> Option<String> {
        let mut text = String::new();
        let mut holes = expr.operands();
        for fragment in expr.fragments() {
            text.push_str(&unescape(fragment, true));
            let Some(hole) = holes.next() else { continue };
            match self.eval_scalar(frame, Some(hole)) {
                Value::Unknown => return None,
                Value::Int(value) => text.push_str(&value.to_string()),
                Value::Text(value) => text.push_str(&value),
                value => {
                    let message = format!(
                        "a label computes with whole numbers and texts, not {}",
                        value.describe()
                    );
                    self.error(Code::WrongValue, frame.node(hole), message);
                    return None;
                }
            }
        }
        Some(text)
    }

    fn read_label_text(&mut self, frame: &mut Frame, expr: ast::Expr<'w>, path: &str) -> Value {
        if let Some(label) = self.label_text(frame, path) {
            return self.label_value(frame, &label, frame.node(expr));
        }
        // Or a parameter: `"layer{i}.weight"`.
        let parameter = path.rsplit_once('.').and_then(|(path, name)| {
            let label = self.label_text(frame, path)?;
            self.label_parameter(frame, &label, name, frame.node(expr))
        });
        parameter.unwrap_or_else(|| {
            self.no_label_text(frame, expr, path);
            Value::Unknown
        })
    }

    /// The label that a text names: in these braces or those around them. Reports that there is none.
    pub(crate) fn find_label_text(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        path: &str,
    ) -> Option<LabelRef> {
        let found = self.label_text(frame, path);
        if found.is_none() {
            self.no_label_text(frame, expr, path);
        }
        found
    }

    fn no_label_text(&mut self, frame: &Frame, expr: ast::Expr<'w>, path: &str) {
        // Which computed labels there are depends on what happens.
        if self.checking > 0 {
            return;
        }
        let message = format!("no label is called `{path}` here");
        self.error(Code::UnknownName, frame.node(expr), message);
    }

    fn label_text(&self, frame: &Frame, path: &str) -> Option<LabelRef> {
        let mut container = Some(frame.container);
        while let Some(id) = container {
            let found = path
                .split('.')
                .try_fold(LabelRef::Here(id), |label, segment| label.child(frame, segment));
            // A part of a path is none, unless something lives below it.
            let is_given = |found: &LabelRef| {
                let label = found.get(frame);
                label.value.is_some() || !label.children.is_empty()
            };
            if let Some(found) = found.filter(is_given) {
                return Some(found);
            }
            let label = frame.label(id);
            container = label.parent.or(label.around);
        }
        None
    }

    fn unary(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        match self.operand(frame, expr) {
            Value::Unknown => Value::Unknown,
            Value::Float(value) => Value::Float(-value),
            Value::Tensor(tensor) => self.negate(frame, expr, &tensor),
            value => match int(&value) {
                Some(value) => {
                    let result =
                        value.checked_neg().map_or_else(overflow, |value| Ok(Value::Int(value)));
                    self.or_report(frame, expr, result)
                }
                None => self.or_report(
                    frame,
                    expr,
                    wrong(format!("`-` does not take {}", value.describe())),
                ),
            },
        }
    }

    /// `a + b - c`, from the left; `**` has two operands.
    fn arithmetic_chain(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let first = frame.pending.len();
        let mut operands = expr.operands();
        let mut value = self.eval_opt(frame, operands.next());
        for operator in expr.operators() {
            let right = self.eval_opt(frame, operands.next());
            value = match (&value, &right) {
                (Value::Unknown, _) | (_, Value::Unknown) => Value::Unknown,
                _ if value.as_tensors().is_some() || right.as_tensors().is_some() => {
                    self.tensor_arithmetic(frame, expr, operator, &value, &right)
                }
                _ => {
                    let result = binary(operator.kind(), operator.text(), &value, &right);
                    self.or_report(frame, expr, result)
                }
            };
        }
        let node = frame.node(expr);
        let own = frame.pending[first..].iter_mut().filter(|pending| pending.step.node == node);
        own.skip(1).for_each(|pending| pending.step.continued = true);
        value
    }

    fn comparison(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let mut operands: Vec<Value> = Vec::new();
        for operand in expr.operands() {
            let value = self.eval(frame, operand);
            if value.as_tensors().is_some() {
                self.not_of_tensors(frame, operand, &value);
                return Value::Unknown;
            }
            operands.push(value);
        }
        if operands.iter().any(Value::contains_unknown) {
            return Value::Unknown;
        }
        for (pair, operator) in operands.windows(2).zip(expr.operators()) {
            match compare(operator.kind(), operator.text(), &pair[0], &pair[1]) {
                Ok(true) => {}
                Ok(false) => return Value::Bool(false),
                Err(mistake) => return self.or_report(frame, expr, Err(mistake)),
            }
        }
        Value::Bool(true)
    }

    fn logic(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let stops_at = expr.kind() == Kind::Or;
        let mut last = Value::Unknown;
        let mut operands = expr.operands().peekable();
        while let Some(operand) = operands.next() {
            last = self.eval(frame, operand);
            if operands.peek().is_none() {
                break;
            }
            match self.truth(frame, operand, &last) {
                None => return Value::Unknown,
                Some(holds) if holds == stops_at => break,
                Some(_) => {}
            }
        }
        last
    }

    /// `a if c else b`: the value, the condition and the other value, in this order.
    fn conditional(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Value {
        let operands: Vec<ast::Expr<'w>> = expr.operands().collect();
        let [value, condition, other] = operands[..] else { return Value::Unknown };
        let texts = std::mem::replace(&mut frame.texts_are_labels, false);
        let holds = self.eval_condition(frame, Some(condition));
        frame.texts_are_labels = texts;
        match holds {
            None => Value::Unknown,
            Some(true) => self.eval(frame, value),
            Some(false) => self.eval(frame, other),
        }
    }
}

impl Frame {
    pub(crate) fn node(&self, expr: ast::Expr<'_>) -> NodeRef {
        NodeRef { file: self.file, node: expr.id() }
    }
}

/// Whether an expression begins as layers do.
fn names_a_layer(expr: ast::Expr<'_>) -> bool {
    expr.text().starts_with(|first: char| first.is_ascii_uppercase())
}

/// Whether an expression names a layer of the catalogue itself, and not a parameter that holds one.
fn names_it(expr: ast::Expr<'_>, callee: &Callee) -> bool {
    let name = expr.as_name().or_else(|| expr.operand()?.as_name()).map(|name| name.text());
    match callee {
        Callee::Layer(entry) => name == Some(entry.name),
        Callee::Function(_, called) => name == called.prefix(),
        Callee::Item { .. } => false,
    }
}

/// Whether nothing but the layer itself is a name.
fn is_constant(expr: ast::Expr<'_>) -> bool {
    let reads = |kind| matches!(kind, Kind::NameExpr | Kind::ItExpr | Kind::Interpolated);
    let names = expr.syntax().descendants().filter(|node| reads(node.kind())).count();
    names <= 1
}
