//! What is counted: one call of a layer.

use layers::{Arguments, Called, Layer, TensorType};

/// A call of a layer.
pub struct Call<'a> {
    /// The kind of the layer.
    pub kind: &'static str,
    /// The layer.
    pub layer: &'a dyn Layer,
    /// Its arguments; an operation of an expression has none.
    pub arguments: Option<&'a Arguments>,
    /// As what it is called.
    pub called: Called,
    /// The tensors that go in.
    pub inputs: &'a [TensorType],
    /// They are one tensor, given once or several times.
    pub takes_one: bool,
    /// The tensors that come out.
    pub outputs: &'a [TensorType],
    /// The first size of the model's input, if it has just one.
    pub batch: u64,
}
