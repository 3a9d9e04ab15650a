//! Tensor expressions: each operation is a step.

use layers::{
    Called, DType, Layer, TensorType,
    operators::{Arithmetic, Index, IndexItem, Number, Operator},
};
use syntax::{Kind, SyntaxToken, ast};

use crate::{
    Code, NodeRef,
    evaluate::{
        Run,
        frame::Frame,
        functions::number,
        layers_used::Use,
        value::{Tensor, Value},
    },
};

impl<'w> Run<'w> {
    /// `left + right` where one side is a tensor at least.
    pub(crate) fn tensor_arithmetic(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        operator: SyntaxToken<'w>,
        left: &Value,
        right: &Value,
    ) -> Value {
        let node = frame.node(expr);
        let symbol = operator.text();
        let kind = match operator.kind() {
            Kind::Plus => Operator::Add,
            Kind::Minus => Operator::Sub,
            Kind::Star => Operator::Mul,
            Kind::Slash => Operator::Div,
            Kind::StarStar => Operator::Pow,
            Kind::At => Operator::MatMul,
            _ => {
                self.error(
                    Code::WrongValue,
                    node,
                    format!("`{symbol}` takes numbers, not tensors"),
                );
                return Value::Unknown;
            }
        };
        let (tensors, scalar) = match (left, right) {
            (Value::Tensor(left), Value::Tensor(right)) => {
                (vec![left.clone(), right.clone()], None)
            }
            (Value::Tensor(tensor), other) if number(other).is_some() => {
                (vec![tensor.clone()], number_beside(other, false))
            }
            (other, Value::Tensor(tensor)) if number(other).is_some() => {
                (vec![tensor.clone()], number_beside(other, true))
            }
            (Value::Layer(recipe), _) | (_, Value::Layer(recipe)) => {
                let message = format!(
                    "`{0}` is a layer, which is a step of its own: give that a label, `y: x -> {0}`, and write `y` here",
                    recipe.callee.written()
                );
                self.error(Code::NotATensor, node, message);
                return Value::Unknown;
            }
            _ => {
                let message = format!(
                    "`{symbol}` does not combine {} and {}",
                    left.describe(),
                    right.describe()
                );
                self.error(Code::NotATensor, node, message);
                return Value::Unknown;
            }
        };
        if kind == Operator::MatMul && scalar.is_some() {
            self.error(Code::NotATensor, node, "`@` multiplies two tensors");
            return Value::Unknown;
        }
        self.operation(
            frame,
            node,
            kind.name(),
            Box::new(Arithmetic { operator: kind, number: scalar }),
            &tensors,
        )
    }

    /// `-x`
    pub(crate) fn negate(
        &mut self,
        frame: &mut Frame,
        expr: ast::Expr<'w>,
        tensor: &Tensor,
    ) -> Value {
        let negation = Arithmetic { operator: Operator::Neg, number: None };
        self.operation(
            frame,
            frame.node(expr),
            "Neg",
            Box::new(negation),
            std::slice::from_ref(tensor),
        )
    }

    /// Python's and NumPy's indexing of one tensor.
    pub(crate) fn index_tensor(
        &mut self,
        frame: &mut Frame,
        tensor: &Tensor,
        index: ast::Index<'w>,
    ) -> Value {
        let node = NodeRef { file: frame.file, node: index.id() };
        let mut items = Vec::new();
        let mut tensors = vec![tensor.clone()];
        for item in index.items() {
            items.push(match item {
                ast::IndexItem::Ellipsis(_) if items.contains(&IndexItem::Rest) => {
                    self.error(Code::WrongValue, node, "an index has one `...`");
                    return Value::Unknown;
                }
                ast::IndexItem::Ellipsis(_) => IndexItem::Rest,
                ast::IndexItem::Slice(slice) => match self.slice_parts(frame, slice) {
                    Some((start, stop, step)) => IndexItem::Slice(start, stop, step.unwrap_or(1)),
                    None => return Value::Unknown,
                },
                ast::IndexItem::At(expr) => match self.eval(frame, expr) {
                    Value::Unknown => return Value::Unknown,
                    Value::Int(place) => IndexItem::At(place),
                    Value::None => IndexItem::NewAxis,
                    Value::Tensor(rows) if tensors.len() == 1 => {
                        tensors.push(rows);
                        IndexItem::Tensor
                    }
                    Value::Tensor(_) => {
                        self.error(Code::WrongValue, frame.node(expr), "an index takes one tensor");
                        return Value::Unknown;
                    }
                    other => {
                        let message = format!("a tensor is indexed by whole numbers, slices, `none` and tensors, not {}", other.describe());
                        self.error(Code::WrongValue, frame.node(expr), message);
                        return Value::Unknown;
                    }
                },
            });
        }
        let kind = if tensors.len() == 1 { "Slice" } else { "Gather" };
        self.operation(frame, node, kind, Box::new(Index(items)), &tensors)
    }

    /// A step that is no module.
    fn operation(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        kind: &'static str,
        layer: Box<dyn Layer>,
        tensors: &[Tensor],
    ) -> Value {
        if !frame.may_compute {
            self.error(
                Code::NotATensor,
                node,
                "a tensor is computed in a step; give the step a label and name that here",
            );
            return Value::Unknown;
        }
        let types: Vec<TensorType> = tensors.iter().map(|tensor| (*tensor.ty).clone()).collect();
        let outputs = match layer.outputs(&types) {
            Ok(outputs) => outputs,
            Err(refusal) => {
                self.refuse(frame, node, None, tensors, &refusal);
                return Value::Unknown;
            }
        };
        let (entry, given, called) = (None, Vec::new(), Called::Operator);
        let used = Use { kind, entry, layer, arguments: None, given, called };
        self.use_layer(frame, node, used, tensors, &types, outputs)
    }

    /// The weighted sum of the experts that each token chose.
    pub(crate) fn weighted_sum(
        &mut self,
        frame: &mut Frame,
        node: NodeRef,
        chosen: u64,
        routing: &[Tensor; 2],
        experts: &[Tensor],
    ) -> Value {
        let sum = layers::operators::WeightedSum { chosen };
        let tensors = [&routing[..], experts].concat();
        let may_compute = std::mem::replace(&mut frame.may_compute, true);
        let value = self.operation(frame, node, "WeightedSum", Box::new(sum), &tensors);
        frame.may_compute = may_compute;
        value
    }
}

fn number_beside(value: &Value, is_first: bool) -> Option<Number> {
    let is_float = matches!(value, Value::Float(_));
    Some(Number { value: number(value)?, is_float, is_first })
}

/// The dtype that an expression names: `bf16`, or PyTorch's spelling in a text.
pub(crate) fn dtype_of(value: &Value) -> Option<DType> {
    match value {
        Value::Text(text) => DType::parse(text),
        _ => None,
    }
}
