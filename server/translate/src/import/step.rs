//! A step of the file, before it is a line.

use super::calls::Given;
use crate::template::Template;

/// A step as it is written.
#[derive(Debug)]
pub(crate) enum Step {
    /// What a layer takes, and the layer.
    Layer(Vec<Given>, Template),
    /// An expression of tensors.
    Expression(Template),
}

/// Operators with the function and method names that mean them.
const OPERATORS: &[(&str, &str)] = &[
    ("add", "+"),
    ("iadd", "+"),
    ("sub", "-"),
    ("isub", "-"),
    ("mul", "*"),
    ("imul", "*"),
    ("truediv", "/"),
    ("itruediv", "/"),
    ("div", "/"),
    ("floordiv", "//"),
    ("mod", "%"),
    ("pow", "**"),
    ("matmul", "@"),
    ("__matmul__", "@"),
    ("mv", "@"),
];

pub(crate) fn operator(name: &str) -> Option<&'static str> {
    OPERATORS.iter().find(|(known, _)| *known == name).map(|(_, operator)| *operator)
}
