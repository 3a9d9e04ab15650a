//! Matrix products as PyTorch has them: Candle's takes at most two batch dimensions, no vector and no whole numbers.

use candle_core::{Result, Tensor};

use crate::broadcast;

/// `x @ weight^T + bias` over the last dimension, as `torch.nn.functional.linear`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (outputs, inputs) = weight.dims2()?;
    let rows = x.reshape(((), inputs))?.matmul(&matrix(&weight.t()?)?)?;
    let rows = match bias {
        Some(bias) => broadcast::add(&rows, bias)?,
        None => rows,
    };
    let mut shape = x.dims().to_vec();
    shape.pop();
    shape.push(outputs);
    rows.reshape(shape)
}

/// A matrix that a product takes: one whose memory is in order, perhaps by columns.
fn matrix(x: &Tensor) -> Result<Tensor> {
    if x.t()?.is_contiguous() { Ok(x.clone()) } else { x.contiguous() }
}

/// `torch.matmul`: any number of batch dimensions, which broadcast, and vectors. Candle's takes at most
/// two batch dimensions, no vector and no whole numbers.
pub fn matmul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    if !left.dtype().is_float() {
        let double = |x: &Tensor| x.to_dtype(candle_core::DType::F64);
        return matmul(&double(left)?, &double(right)?)?.to_dtype(left.dtype());
    }
    if left.rank() == 1 {
        let product = matmul(&left.unsqueeze(0)?, right)?;
        return product.squeeze(product.rank() - if right.rank() == 1 { 1 } else { 2 });
    }
    if right.rank() == 1 {
        let product = matmul(left, &right.unsqueeze(1)?)?;
        return product.squeeze(product.rank() - 1);
    }
    if let ([.., inner], &[_, columns]) = (left.dims(), right.dims()) {
        // One matrix for all: the rows of all batches are those of one product.
        let product = left.reshape(((), *inner))?.matmul(&matrix(right)?)?;
        let mut shape = left.dims().to_vec();
        shape[left.rank() - 1] = columns;
        return product.reshape(shape);
    }
    let split = |x: &Tensor| -> (Vec<usize>, [usize; 2]) {
        let (batch, matrix) = x.dims().split_at(x.rank() - 2);
        (batch.to_vec(), [matrix[0], matrix[1]])
    };
    let ((left_batch, [rows, inner]), (right_batch, [_, columns])) = (split(left), split(right));
    let batch = candle_core::Shape::from(left_batch)
        .broadcast_shape_binary_op(&candle_core::Shape::from(right_batch), "matmul")?;
    let flat = |x: &Tensor, matrix: [usize; 2]| -> Result<Tensor> {
        let full = [batch.dims(), &matrix].concat();
        let [rows, columns] = matrix;
        // A product takes a transposed matrix as it is.
        if x.dims() == full && x.t()?.is_contiguous() {
            return x.t()?.reshape((batch.elem_count(), columns, rows))?.t();
        }
        x.broadcast_as(full)?.reshape((batch.elem_count(), rows, columns))?.contiguous()
    };
    let product = flat(left, [rows, inner])?.matmul(&flat(right, [inner, columns])?)?;
    product.reshape([batch.dims(), &[rows, columns]].concat())
}
