//! Shapes as they are written: declared by a model's input, matched by a block's.

use layers::{DType, Shape, TensorType};
use smol_str::SmolStr;
use syntax::ast;

use crate::{
    Code, Diagnostic, NodeRef, Place, Symbol,
    evaluate::{
        Run,
        frame::Frame,
        value::{Binding, How, Named, Value},
    },
};

impl<'w> Run<'w> {
    /// The dtype before a shape.
    pub(crate) fn written_dtype(&mut self, frame: &Frame, shape: ast::Shape<'w>) -> Option<DType> {
        let written = shape.dtype()?;
        let text = written.syntax().text();
        let found = DType::parse(text);
        if found.is_none() {
            let names: Vec<&str> = DType::ALL.iter().map(|(_, name, _)| *name).collect();
            let message = format!("`{text}` is no dtype; there are {}", names.join(", "));
            self.error(Code::WrongValue, NodeRef { file: frame.file, node: written.id() }, message);
        }
        found
    }

    /// A shape in which every dimension has a size: of a parameter, an output, or a model's input,
    /// where `N = 1` declares a symbol.
    pub(crate) fn declared_shape(
        &mut self,
        frame: &mut Frame,
        pattern: ast::Pattern<'w>,
        symbols: bool,
    ) -> Option<Shape> {
        let mut sizes = Some(Vec::new());
        for dim in pattern.dims() {
            let size = match dim {
                ast::Dim::Default { name, value, node } if symbols => {
                    self.symbol(frame, name, value, node)
                }
                ast::Dim::Expr(expr) => {
                    let what = if symbols { "a size of an input" } else { "a size" };
                    self.eval_count(frame, Some(expr), what)
                }
                ast::Dim::Default { node, .. } | ast::Dim::Any(node) | ast::Dim::Rest(node) => {
                    let node = NodeRef { file: frame.file, node: node.id() };
                    let message =
                        format!("here stands a size, not `{}`", self.workspace.node(node).text());
                    self.error(Code::WrongValue, node, message);
                    None
                }
            };
            sizes = sizes.zip(size).map(|(mut sizes, size)| {
                sizes.push(size);
                sizes
            });
        }
        let sizes = sizes?;
        if sizes.len() > layers::MAX_DIMS {
            let message = format!(
                "a tensor has at most {} dimensions, not {}",
                layers::MAX_DIMS,
                sizes.len()
            );
            self.error(Code::TooLarge, NodeRef { file: frame.file, node: pattern.id() }, message);
            return None;
        }
        Some(sizes.into())
    }

    /// `N = 1`: a size that may vary.
    fn symbol(
        &mut self,
        frame: &mut Frame,
        name: syntax::SyntaxToken<'w>,
        value: Option<ast::Expr<'w>>,
        node: syntax::SyntaxNode<'w>,
    ) -> Option<u64> {
        let node = NodeRef { file: frame.file, node: node.id() };
        let written = self.eval_count(frame, value, "a size");
        let name = SmolStr::new(name.text());
        let size = self.set_size(&name, node).unwrap_or(written);
        // Where it is not known, nothing else is said of its name.
        let value =
            size.and_then(|size| i64::try_from(size).ok()).map_or(Value::Unknown, Value::Int);
        self.note_scalar(node, &value);
        let what = Named::Scalar { value, sized: true, how: How::Symbol };
        if frame.scope.bind(name.clone(), Binding { what, node }).is_some() {
            let message = format!(
                "`{name}` is given twice; after its first place it is written without a size"
            );
            self.error(Code::GivenTwice, node, message);
            return None;
        }
        let size = size?;
        self.symbols.push(Symbol { name, size, node });
        Some(size)
    }

    /// The size that a symbol is set to, if it is; what is no size was said.
    fn set_size(&mut self, name: &str, node: NodeRef) -> Option<Option<u64>> {
        if let Some(size) = self.setting.sizes.get(name) {
            return Some(Some(*size));
        }
        let set = self.set_argument(name)?;
        Some(self.as_count(&set, &format!("the size `{name}` that is set"), node))
    }

    /// Matches a tensor's shape with a pattern: unknown names are bound, the rest is compared. Whether
    /// it fits; if not, that was said.
    pub(crate) fn match_pattern(
        &mut self,
        frame: &mut Frame,
        pattern: ast::Pattern<'w>,
        ty: &TensorType,
        is_step: bool,
    ) -> bool {
        let dims: Vec<ast::Dim<'w>> = pattern.dims().collect();
        let node = NodeRef { file: frame.file, node: pattern.id() };
        let rests = dims.iter().filter(|dim| matches!(dim, ast::Dim::Rest(_))).count();
        let rank = ty.shape.len();
        let named = dims.len() - rests;
        if rests > 1 {
            self.error(Code::Pattern, node, "a pattern has one `...`");
            return false;
        }
        if rank < named || (rests == 0 && rank != named) {
            let wanted = if rests == 0 { format!("{named}") } else { format!("at least {named}") };
            let message = format!(
                "`{}` has {wanted} dimensions; the tensor is {}, with {rank}",
                pattern.syntax().text(),
                ty.shape
            );
            self.error(Code::Pattern, node, message);
            return false;
        }
        let skipped = rank - named;
        let (mut at, mut fits) = (0, true);
        for dim in dims {
            if let ast::Dim::Rest(_) = dim {
                at += skipped;
            } else {
                fits &= self.match_dim(frame, dim, ty.shape[at], ty, is_step);
                at += 1;
            }
        }
        fits
    }

    fn match_dim(
        &mut self,
        frame: &mut Frame,
        dim: ast::Dim<'w>,
        size: u64,
        ty: &TensorType,
        is_step: bool,
    ) -> bool {
        let place = Place { file: frame.file, range: dim.range() };
        match dim {
            ast::Dim::Any(_) | ast::Dim::Rest(_) => true,
            ast::Dim::Default { name, node, .. } => {
                self.bind_size(frame, name.text(), node.id(), size, is_step)
            }
            ast::Dim::Expr(expr) => {
                if let Some(name) = expr.as_name().filter(|name| !self.is_size(frame, name.text()))
                {
                    return self.bind_size(frame, name.text(), expr.id(), size, is_step);
                }
                match self.eval_scalar(frame, Some(expr)) {
                    Value::Int(expected) if i128::from(expected) == i128::from(size) => true,
                    Value::Unknown => true,
                    value => {
                        let (text, value) = (expr.text(), value.describe());
                        let expected = match text == value {
                            true => format!("the pattern says {value}"),
                            false => format!("`{text}` is {value}"),
                        };
                        let message =
                            format!("{expected}; here the size is {size}, of {}", ty.shape);
                        self.report(Diagnostic::new(Code::Pattern, place, message));
                        false
                    }
                }
            }
        }
    }

    /// Whether a name in a pattern is known, and so compared instead of bound.
    fn is_size(&mut self, frame: &Frame, name: &str) -> bool {
        self.visible_scalar(frame, name) || self.find_layer(frame, name).is_some()
    }

    fn bind_size(
        &mut self,
        frame: &mut Frame,
        name: &str,
        node: syntax::NodeId,
        size: u64,
        is_step: bool,
    ) -> bool {
        let node = NodeRef { file: frame.file, node };
        let Ok(value) = i64::try_from(size) else { return false };
        let value = Value::Int(value);
        self.note_scalar(node, &value);
        let how = if is_step { How::Pattern } else { How::Symbol };
        if is_step {
            self.bound.entry(node).or_insert(false);
        }
        let what = Named::Scalar { value, sized: true, how };
        if frame.scope.bind(SmolStr::new(name), Binding { what, node }).is_some() {
            self.error(Code::GivenTwice, node, format!("`{name}` is given twice in this body"));
            return false;
        }
        true
    }

    /// In a body whose input is not known: the names of the pattern are known to be sizes.
    pub(crate) fn bind_unknown_sizes(
        &mut self,
        frame: &mut Frame,
        pattern: ast::Pattern<'w>,
        is_step: bool,
    ) {
        for dim in pattern.dims() {
            let (name, node) = match dim {
                ast::Dim::Default { name, node, value } => {
                    self.eval_scalar(frame, value);
                    (name, node.id())
                }
                ast::Dim::Expr(expr) => match expr.as_name() {
                    Some(name) if !self.is_size(frame, name.text()) => (name, expr.id()),
                    _ => {
                        self.eval_scalar(frame, Some(expr));
                        continue;
                    }
                },
                _ => continue,
            };
            let node = NodeRef { file: frame.file, node };
            let how = if is_step { How::Pattern } else { How::Symbol };
            if is_step {
                self.bound.entry(node).or_insert(false);
            }
            let what = Named::Scalar { value: Value::Unknown, sized: true, how };
            frame.scope.bind(SmolStr::new(name.text()), Binding { what, node });
        }
    }
}
