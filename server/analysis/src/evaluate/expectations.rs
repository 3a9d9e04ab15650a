//! `expect`: conditions on scalars, and on the figures of a body once they are known.

use syntax::{Kind, ast};

use crate::{
    Code, Diagnostic, NodeRef, Severity, Totals,
    evaluate::{
        Run,
        frame::Frame,
        value::{Binding, How, Named, Scope, Value},
    },
    workspace::unquote,
};

/// The names that mean figures in an expectation, where nothing else has them.
pub const FIGURES: &[&str] = &["params", "active_params", "macs", "flops", "memory", "latency"];

impl<'w> Run<'w> {
    /// An expectation on scalars is checked at once; one on figures, when the body ends.
    pub(crate) fn expect_line(&mut self, frame: &mut Frame, line: ast::Expect<'w>) {
        let node = NodeRef { file: frame.file, node: line.id() };
        if line.at().next().is_some() && self.setting.expectation != Some(node) {
            // It is evaluated in a run of its own, at the sizes that it names.
            self.expectations_at.push(node);
            return;
        }
        if self.setting.expectation.is_some_and(|only| only != node)
            && uses_figures(line, frame, self)
        {
            return;
        }
        if uses_figures(line, frame, self) {
            frame.expectations.push(line.id());
            return;
        }
        let Some(expr) = line.expr() else { return };
        if self.eval_condition(frame, Some(expr)) == Some(false) {
            self.expectation_failed = true;
            self.fails(frame, line, expr);
        }
    }

    /// Checks the expectations on the figures of a body.
    pub(crate) fn check_expectations(&mut self, frame: &mut Frame, totals: &Totals) {
        let lines = std::mem::take(&mut frame.expectations);
        // After a mistake the figures are a least, and compare with nothing.
        let known = totals.unknown == 0;
        if lines.is_empty() || !known || !self.setting.builds || !self.setting.costs {
            return;
        }
        let scope = Scope::inner(frame.scope.clone());
        for name in FIGURES {
            // What is expected of the work is expected by our own rules of all of it, in a run of its own.
            let is_foreign = !self.setting.is_by_own_rules() && matches!(*name, "macs" | "flops");
            let value = if is_foreign { Value::Unknown } else { figure(name, totals) };
            let node = NodeRef { file: frame.file, node: lines[0] };
            let what = Named::Scalar { value, sized: true, how: How::Let };
            scope.bind((*name).into(), Binding { what, node });
        }
        let outer = std::mem::replace(&mut frame.scope, scope);
        for line in lines {
            let node = NodeRef { file: frame.file, node: line };
            let Some(line) = ast::Expect::cast(self.workspace.node(node)) else { continue };
            let Some(expr) = line.expr() else { continue };
            if mentions(expr, "latency") && !self.bind_latency(frame, line) {
                let message = "this latency has not been measured";
                let diagnostic =
                    Diagnostic::new(Code::NotMeasured, self.workspace.place(node), message);
                self.report(Diagnostic { severity: Severity::Hint, ..diagnostic });
                continue;
            }
            let is_of_work = ["macs", "flops"].iter().any(|name| mentions(expr, name));
            if is_of_work && totals.uncounted > 0 {
                match self.decided_by_least(frame, expr, totals) {
                    Some(true) => continue,
                    Some(false) => {
                        self.fails(frame, line, expr);
                        continue;
                    }
                    None => {}
                }
                let message = "whether this holds is not known: of some steps the work is not";
                self.report(Diagnostic::new(
                    Code::UnknownWork,
                    self.workspace.place(node),
                    message,
                ));
                continue;
            }
            if self.eval_condition(frame, Some(expr)) == Some(false) {
                self.fails(frame, line, expr);
            }
        }
        frame.scope = outer;
    }

    /// Whether a comparison of work that is not all known holds, where its least decides: `macs < 1K` fails once the known part is
    /// above that.
    fn decided_by_least(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        totals: &Totals,
    ) -> Option<bool> {
        let operands: Vec<ast::Expr<'w>> = expr.operands().collect();
        let operators: Vec<&str> = expr.operators().map(|operator| operator.text()).collect();
        let (&[left, right], &[operator]) = (&operands[..], &operators[..]) else { return None };
        let work = |side: ast::Expr<'w>| match side.as_name()?.text() {
            "macs" => Some(totals.macs),
            "flops" => Some(totals.flops),
            _ => None,
        };
        let (least, bound, operator) = match (work(left), work(right)) {
            (Some(least), None) => (least, right, operator),
            (None, Some(least)) => (least, left, mirrored(operator)),
            _ => return None,
        };
        let bound = match self.eval_scalar(frame, Some(bound)) {
            Value::Int(bound) => bound as f64,
            Value::Float(bound) => bound,
            _ => return None,
        };
        let least = least as f64;
        match operator {
            "<" if least >= bound => Some(false),
            "<=" | "==" if least > bound => Some(false),
            "!=" | ">" if least > bound => Some(true),
            ">=" if least >= bound => Some(true),
            _ => None,
        }
    }

    /// Gives `latency` its value in milliseconds, if it was measured.
    fn bind_latency(&self, frame: &Frame, line: ast::Expect<'w>) -> bool {
        let item = line.syntax().ancestors().find_map(ast::Item::cast);
        let name = item.and_then(|item| item.name()).map_or("", |name| name.text());
        let device = line.device().map(|device| unquote(device.text()));
        let measured = self.setting.latencies.iter().find(|latency| {
            latency.model == name && device.is_none_or(|device| latency.is_on(device))
        });
        let Some(measured) = measured else { return false };
        let value = Value::Float(1e3 * measured.seconds);
        let what = Named::Scalar { value, sized: true, how: How::Let };
        let node = NodeRef { file: frame.file, node: line.id() };
        frame.scope.bind("latency".into(), Binding { what, node });
        true
    }

    fn fails(&mut self, frame: &mut Frame, line: ast::Expect<'w>, expr: ast::Expr<'w>) {
        let node = NodeRef { file: frame.file, node: line.id() };
        let shown = self.both_sides(frame, expr);
        let text = expr.text();
        let message = match shown {
            Some(shown) if shown != text => format!("`{text}` does not hold: {shown}"),
            _ => format!("`{text}` does not hold"),
        };
        self.error(Code::Expectation, node, message);
    }

    /// A comparison with its operands' values in their places.
    fn both_sides(&mut self, frame: &mut Frame, expr: ast::Expr<'w>) -> Option<String> {
        if expr.kind() != Kind::Comparison {
            return None;
        }
        let mut operators = expr.operators();
        let mut shown = String::new();
        for operand in expr.operands() {
            let value = self.eval_scalar(frame, Some(operand));
            shown.push_str(&grouped(&value));
            if let Some(operator) = operators.next() {
                shown.push_str(&format!(" {} ", operator.text()));
            }
        }
        Some(shown)
    }
}

/// The operator with its sides exchanged.
fn mirrored(operator: &str) -> &str {
    match operator {
        "<" => ">",
        "<=" => ">=",
        ">" => "<",
        ">=" => "<=",
        other => other,
    }
}

/// A number with its digits in groups of three.
fn grouped(value: &Value) -> String {
    let Value::Int(number) = value else { return value.to_string() };
    let digits = number.unsigned_abs().to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push('_');
        }
        out.push(digit);
    }
    if *number < 0 { format!("-{out}") } else { out }
}

fn figure(name: &str, totals: &Totals) -> Value {
    let count = match name {
        "params" => totals.params,
        "active_params" => totals.active_params,
        "macs" => totals.macs,
        "flops" => totals.flops,
        "memory" => totals.memory(),
        _ => return Value::Unknown,
    };
    // A count past 2^63 is compared as a float: it is far from any bound that a person writes.
    i64::try_from(count).map_or(Value::Float(count as f64), Value::Int)
}

fn uses_figures<'w>(line: ast::Expect<'w>, frame: &Frame, run: &Run<'w>) -> bool {
    let Some(expr) = line.expr() else { return false };
    FIGURES.iter().any(|name| mentions(expr, name) && !run.is_bound(frame, name))
}

/// Whether a name stands anywhere in an expression.
pub(crate) fn mentions(expr: ast::Expr<'_>, name: &str) -> bool {
    let is_name =
        |node: syntax::SyntaxNode<'_>| node.kind() == Kind::NameExpr && node.text() == name;
    is_name(expr.syntax()) || expr.syntax().descendants().any(is_name)
}
