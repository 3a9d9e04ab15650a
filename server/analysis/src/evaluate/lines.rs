//! The lines of a body.

use layers::{DType, ParameterTensor, TensorType};
use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, Diagnostic, NodeRef, ParameterPath, Step, Totals, What,
    evaluate::{
        Run,
        frame::{Frame, Pending},
        items::of_model_dtype,
        labels::label_path,
        tensors::dtype_of,
        value::{Binding, How, Named, Origin, Tensor, Value},
    },
    written::{Segments, StepPath},
};

impl<'w> Run<'w> {
    pub(crate) fn lines(&mut self, frame: &mut Frame, body: ast::Body<'w>) {
        for line in body.lines() {
            if self.too_large {
                return;
            }
            match line {
                ast::Line::Item(_) => {}
                ast::Line::Let(line) => self.let_line(frame, line),
                ast::Line::Input(line) => self.input_line(frame, line),
                ast::Line::Output(line) => self.output_line(frame, line),
                ast::Line::Param(line) if !line.is_broken() => {
                    let path = self.declared_path(frame, line.path(), line.computed_path());
                    self.declared(frame, line.id(), path, line.shape(), false)
                }
                ast::Line::Buffer(line) if !line.is_broken() => {
                    let path = self.declared_path(frame, line.path(), line.computed_path());
                    self.declared(frame, line.id(), path, line.shape(), true)
                }
                ast::Line::Param(_) | ast::Line::Buffer(_) => {}
                ast::Line::Macs(line) => frame.stated.macs = Some(line.id()),
                ast::Line::Elementwise(line) => frame.stated.elementwise = Some(line.id()),
                ast::Line::Dtype(_) => {}
                ast::Line::Expect(line) => self.expect_line(frame, line),
                ast::Line::Weights(line) => self.weights_line(frame, line),
                ast::Line::Step(_) if self.setting.only_expectations => frame.it = Value::Unknown,
                ast::Line::Step(line) => {
                    frame.stated.has_steps = true;
                    self.step(frame, line);
                }
            }
        }
    }

    /// `let` binds a scalar, a list or a layer.
    fn let_line(&mut self, frame: &mut Frame, line: ast::Let<'w>) {
        let outer = std::mem::replace(&mut frame.read_size, false);
        let mut value = self.eval_scalar(frame, line.expr());
        let sized = frame.read_size;
        frame.read_size |= outer;
        let node = NodeRef { file: frame.file, node: line.id() };
        if value.as_tensors().is_some() {
            self.error(
                Code::NotATensor,
                node,
                "a `let` holds no tensor; a label names one: `name: …`",
            );
            value = Value::Unknown;
        }
        self.note_scalar(node, &value);
        let Some(name) = line.name() else { return };
        self.cycles.note(&frame.scope, &value);
        self.bind_name(frame, name.text(), Named::Scalar { value, sized, how: How::Let }, node);
    }

    /// Gives a name in the current braces; in one body a name is given once.
    pub(crate) fn bind_name(&mut self, frame: &mut Frame, name: &str, what: Named, node: NodeRef) {
        let before = frame.scope.bind(SmolStr::new(name), Binding { what, node });
        if let Some(before) = before.filter(|before| before.node != node) {
            let place = self.place(node);
            let first = self.place(before.node);
            let diagnostic = Diagnostic::new(
                Code::GivenTwice,
                place,
                format!("`{name}` is given twice in this body"),
            );
            self.report(diagnostic.related(first, "first given here"));
        }
    }

    /// Of a model it declares symbols; of a block it is a pattern for what flows in.
    fn input_line(&mut self, frame: &mut Frame, line: ast::Input<'w>) {
        let Some((name, shape)) = line.name().zip(line.shape()) else { return };
        let Some(pattern) = shape.pattern() else { return };
        let node = NodeRef { file: frame.file, node: line.id() };
        let dtype = self.written_dtype(frame, shape);
        let is_first = frame.inputs.is_empty() || !frame.is_root;
        let value = if frame.is_root && self.checking == 0 {
            let is_set = self.dtype_is_set;
            let declared = self.declared_shape(frame, pattern, true).map(|shape| {
                let ty = TensorType { dtype: dtype.unwrap_or(self.dtype), shape };
                of_model_dtype(ty, self.dtype, is_set)
            });
            match declared {
                Some(ty) => {
                    let tensor = frame.new_tensor(ty, node, None);
                    frame.inputs.push(tensor.clone());
                    self.batch = match frame.inputs.as_slice() {
                        [only] => only.ty.shape.first().copied().unwrap_or(1),
                        _ => 1,
                    };
                    Value::Tensor(tensor)
                }
                None => Value::Unknown,
            }
        } else {
            let first = frame.unread_inputs.len() == frame.inputs.len();
            let mut value = frame.unread_inputs.pop_front().unwrap_or(Value::Unknown);
            match value.clone() {
                Value::Tensor(tensor) => {
                    let fits = self.match_pattern(frame, pattern, &tensor.ty, false)
                        && self.check_input_dtype(node, dtype, &tensor.ty);
                    // What follows from the mistake is not told again.
                    if !fits {
                        value = Value::Unknown;
                        if first {
                            frame.it = Value::Unknown;
                        }
                    }
                }
                _ => self.bind_unknown_sizes(frame, pattern, false),
            }
            value
        };
        if frame.is_root && is_first {
            frame.it = value.clone();
        }
        self.note_scalar(node, &value);
        self.bind_name(frame, name.text(), Named::Input(value), node);
    }

    /// A written integer dtype must be met; floats follow the model's dtype.
    fn check_input_dtype(
        &mut self,
        node: NodeRef,
        written: Option<DType>,
        ty: &TensorType,
    ) -> bool {
        let Some(written) = written else { return true };
        let fits = written == ty.dtype || (written.is_float() && ty.dtype.is_float());
        if !fits {
            self.error(
                Code::WrongDtype,
                node,
                format!("this input is {written}; here comes {}", ty.dtype),
            );
        }
        fits
    }

    /// `output` of a block without steps says what comes out; after steps it checks that.
    fn output_line(&mut self, frame: &mut Frame, line: ast::Output<'w>) {
        let Some(shape) = line.shape() else { return };
        let Some(pattern) = shape.pattern() else { return };
        let node = NodeRef { file: frame.file, node: line.id() };
        let dtype = self.written_dtype(frame, shape);
        if frame.stated.has_steps {
            if let Value::Tensor(tensor) = frame.it.clone() {
                self.match_pattern(frame, pattern, &tensor.ty, true);
            }
            return;
        }
        frame.stated.declares_output = true;
        let input_dtype = frame.inputs.first().map_or(self.dtype, |input| input.ty.dtype);
        let value = match self.declared_shape(frame, pattern, false) {
            Some(shape) => {
                let ty = TensorType { dtype: dtype.unwrap_or(input_dtype), shape };
                Value::Tensor(frame.new_tensor(ty, node, None))
            }
            None => Value::Unknown,
        };
        frame.outputs.push(value);
    }

    fn declared_path(
        &mut self,
        frame: &mut Frame,
        path: Option<ast::Path<'w>>,
        computed: Option<ast::Expr<'w>>,
    ) -> Option<Segments> {
        match computed {
            None => Some(path?.segments().map(|token| SmolStr::new(token.text())).collect()),
            Some(expr) => {
                let text = self.label_text_of(frame, expr)?;
                self.segments_of(frame.node(expr), &text)
            }
        }
    }

    /// `param` and `buffer`: a tensor with a path and no layer.
    fn declared(
        &mut self,
        frame: &mut Frame,
        line: syntax::NodeId,
        path: Option<Segments>,
        shape: Option<ast::Shape<'w>>,
        is_buffer: bool,
    ) {
        let Some((segments, shape)) = path.zip(shape) else { return };
        let Some(pattern) = shape.pattern() else { return };
        let node = NodeRef { file: frame.file, node: line };
        let written = self.written_dtype(frame, shape);
        let shape = self.declared_shape(frame, pattern, false);
        let declared =
            shape.map(|shape| TensorType { dtype: written.unwrap_or(self.dtype), shape });
        let mut value = Value::Unknown;
        let mut step = None;
        if let Some(ty) = declared {
            // Its path in the part, through the braces around it.
            let label = frame.label_at(&segments);
            let path = label_path(&frame.labels, label).join(".").into();
            let origin = Origin::Parameter(ParameterPath { up: 0, path });
            value = Value::Tensor(Tensor { ty: std::sync::Arc::new(ty.clone()), origin });
            step = self.declared_step(frame, node, &segments, ty, is_buffer);
        }
        let label = frame.label_at(&segments);
        if frame.reusing {
            // The tensor is that of the first use.
            frame.label_mut(label).value = Some(value);
            return;
        }
        if self.is_label_taken(frame, label, node, &segments) {
            return;
        }
        let slot = frame.label_mut(label);
        (slot.value, slot.node, slot.step) = (Some(value), Some(node), step);
        self.bind_label(frame, &segments[0], node);
    }

    fn declared_step(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        segments: &[SmolStr],
        ty: TensorType,
        is_buffer: bool,
    ) -> Option<std::sync::Arc<Step>> {
        let shape = match self.stack {
            Some(stack) => ty.shape.stacked(stack.experts),
            None => ty.shape,
        };
        let tensor = ParameterTensor { name: String::new(), dtype: ty.dtype, shape, is_buffer };
        let own = std::slice::from_ref(&tensor);
        let totals = match Totals::default().with_parameters(own, self.stack) {
            Ok(totals) => totals,
            Err(overflow) => {
                self.error(Code::Overflow, node, overflow.to_string());
                return None;
            }
        };
        let step = Step {
            id: self.next_id(),
            node,
            path: StepPath { segments: segments.into(), from_part: false },
            what: What::Declared(tensor),
            inputs: Vec::new(),
            outputs: Vec::new(),
            continued: false,
            reused: frame.reusing,
            idle: frame.idle,
            totals: totals.in_place(frame.reusing, frame.idle),
        };
        let step = std::sync::Arc::new(step);
        frame.level.steps.push(step.clone());
        Some(step)
    }

    /// The dtype of a model: that of `--dtype`, of its `dtype` line, or f32.
    pub(crate) fn model_dtype(&mut self, frame: &mut Frame, body: ast::Body<'w>) -> DType {
        let mut lines = body.lines().filter_map(|line| match line {
            ast::Line::Dtype(line) => Some(line),
            _ => None,
        });
        let line = lines.next();
        if let (Some(first), Some(second)) = (line, lines.next()) {
            let node =
                |line: ast::DtypeLine<'w>| NodeRef { file: frame.file, node: line.syntax().id() };
            let (place, first) = (self.place(node(second)), self.place(node(first)));
            let message = "a model has one dtype";
            self.report(
                Diagnostic::new(Code::GivenTwice, place, message).related(first, "given here"),
            );
        }
        let written = line.and_then(|line| {
            let expr = line.expr()?;
            let plain = expr.as_name().filter(|name| !self.is_bound(frame, name.text()));
            if let Some(dtype) = plain.and_then(|name| DType::parse(name.text())) {
                return Some(dtype);
            }
            match self.eval_scalar(frame, Some(expr)) {
                Value::Unknown => None,
                value => {
                    let found = dtype_of(&value);
                    if found.is_none() {
                        let message = format!(
                            "a dtype is a name such as bf16 or \"torch.bfloat16\", not {}",
                            value.describe()
                        );
                        self.error(Code::WrongValue, frame.node(expr), message);
                    }
                    found
                }
            }
        });
        self.dtype_is_set = self.setting.dtype.is_some() || written.is_some();
        self.setting.dtype.or(written).unwrap_or(crate::written::DEFAULT_DTYPE)
    }

    /// The file is compared with the model elsewhere; here its parts are checked.
    fn weights_line(&mut self, frame: &mut Frame, line: ast::Weights<'w>) {
        let Some(path) = line.path() else { return };
        let mut label = Some(crate::evaluate::value::LabelId(0));
        for segment in path.segments() {
            label =
                label.and_then(|label| frame.label(label).children.get(segment.text()).copied());
        }
        if label.is_none() && self.checking == 0 {
            let node = NodeRef { file: frame.file, node: path.id() };
            let message =
                format!("no part of this model above this line is called `{}`", path.text());
            self.error(Code::NotInside, node, message);
        }
    }
}

impl Frame {
    /// Puts a settled step into the current braces.
    pub(crate) fn place(&mut self, pending: Pending, path: StepPath) -> std::sync::Arc<Step> {
        let step = super::layers_used::settle(pending.step, path);
        self.level.steps.push(step.clone());
        step
    }
}
