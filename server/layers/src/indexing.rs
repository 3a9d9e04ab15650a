//! Choosing among elements.

use candle_core::{DType as CandleDType, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Cost, DType, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::first_input,
    module::{many_to_many, one_to_one},
    operators::{broadcast, common_dtype},
};

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Where",
        params: &[],
        inputs: Inputs::Named(&["condition", "input", "other"]),
        summary: "One tensor where a condition holds, another elsewhere.",
        doc: "`bool` or whole numbers `[*]`, and two tensors that broadcast with it → their common shape. \
              It costs no FLOP.",
        source: "https://pytorch.org/docs/stable/generated/torch.where.html",
        bind: |_, _| Ok(Box::new(Where)),
        ..Entry::PLAIN
    },
    Entry {
        name: "Gather",
        params: &[Param::required("dim", Kind::Int)],
        inputs: Inputs::Named(&["input", "index"]),
        summary: "Picks along a dimension by an index for each output element.",
        doc: "`[*]` and whole numbers of the same rank → the shape of the index, which is no larger \
              in the other dimensions. It costs no FLOP.",
        source: "https://pytorch.org/docs/stable/generated/torch.gather.html",
        bind: |arguments, inputs| {
            let dim = arguments.dim("dim", first_input(inputs)?.shape.len())?;
            Ok(Box::new(Gather { dim }))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "OneHot",
        function: Some("one_hot"),
        params: &[Param::required("num_classes", Kind::Int)],
        inputs: Inputs::Named(&["input"]),
        summary: "A 1 at the place of each index, 0 elsewhere.",
        doc: "Whole numbers `[*]` → `i64[*, num_classes]`. It costs no FLOP.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.functional.one_hot.html",
        bind: |arguments, inputs| {
            let input = first_input(inputs)?;
            check_integer("OneHot", 0, input)?;
            Ok(Box::new(OneHot { num_classes: arguments.size("num_classes", 1)? }))
        },
        ..Entry::PLAIN
    },
];

fn check_integer(name: &str, index: usize, input: &TensorType) -> Result<(), Refusal> {
    if input.dtype.is_integer() {
        return Ok(());
    }
    let message = format!("`{name}` takes whole numbers such as i64 here, not {}", input.dtype);
    Err(Refusal::dtype(index, message))
}

#[derive(Debug, PartialEq)]
struct Where;

impl Layer for Where {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let [condition, input, other] = inputs else {
            return Err(Refusal::shape(0, "`Where` takes a condition and two tensors"));
        };
        if condition.dtype.is_float() {
            let message = format!("a condition is bool or whole numbers, not {}", condition.dtype);
            return Err(Refusal::dtype(0, message));
        }
        let common = broadcast(&input.shape, &other.shape)
            .and_then(|shape| broadcast(&condition.shape, &shape));
        match common {
            Some(shape) => Ok(vec![TensorType::new(input.dtype.promote(other.dtype), shape)]),
            None => {
                let message = format!(
                    "{}, {} and {} have no common shape",
                    condition.shape, input.shape, other.shape
                );
                Err(Refusal::shape(0, message))
            }
        }
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        many_to_many(|inputs| {
            let [condition, input, other] = inputs else {
                candle_core::bail!("`Where` takes three tensors")
            };
            let shape = condition
                .shape()
                .broadcast_shape_binary_op(input.shape(), "where")?
                .broadcast_shape_binary_op(other.shape(), "where")?;
            // Whole numbers hold where they are not 0; a cast would take 256 for 0.
            let condition = condition.ne(0u8)?.broadcast_as(&shape)?.contiguous()?;
            let dtype = common_dtype(input.dtype(), other.dtype());
            let of_both = |x: &Tensor| x.to_dtype(dtype)?.broadcast_as(&shape);
            let output = condition.where_cond(&of_both(input)?, &of_both(other)?)?;
            Ok(vec![output])
        })
    }
}

#[derive(Debug, PartialEq)]
struct Gather {
    dim: usize,
}

impl Layer for Gather {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let [input, index] = inputs else {
            return Err(Refusal::shape(0, "`Gather` takes a tensor and an index"));
        };
        check_integer("Gather", 1, index)?;
        let fits = input.shape.len() == index.shape.len()
            && (0..input.shape.len())
                .all(|dim| dim == self.dim || index.shape[dim] <= input.shape[dim]);
        if !fits {
            let message = format!(
                "the index is {}; it should have the rank of {} and be no larger beside dimension {}",
                index.shape, input.shape, self.dim
            );
            return Err(Refusal::shape(1, message));
        }
        Ok(vec![input.with_shape(index.shape.clone())])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let dim = self.dim;
        many_to_many(move |inputs| {
            let [input, index] = inputs else { candle_core::bail!("`Gather` takes two tensors") };
            let mut input = input.clone();
            for (other, size) in index.dims().iter().enumerate().filter(|(other, _)| *other != dim)
            {
                input = input.narrow(other, 0, *size)?;
            }
            Ok(vec![input.contiguous()?.gather(&index.contiguous()?, dim)?])
        })
    }
}

#[derive(Debug, PartialEq)]
struct OneHot {
    num_classes: u64,
}

impl Layer for OneHot {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let mut sizes = first_input(inputs)?.shape.to_vec();
        sizes.push(self.num_classes);
        Ok(vec![TensorType::new(DType::I64, sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let classes = self.num_classes;
        one_to_one(move |input| {
            let numbers = Tensor::arange(0i64, classes as i64, input.device())?;
            let indices = input.to_dtype(CandleDType::I64)?.unsqueeze(input.rank())?;
            indices.broadcast_eq(&numbers)?.to_dtype(CandleDType::I64)
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    /// PyTorch: `torch.where(torch.tensor([0, 256, -1]).bool(), torch.tensor([1, 2, 3]), 0.5)`.
    #[test]
    fn where_holds_for_every_number_but_0() -> CandleResult<()> {
        let condition = Tensor::new(&[0i64, 256, -1], &Device::Cpu)?;
        let (input, other) =
            (Tensor::new(&[1i64, 2, 3], &Device::Cpu)?, Tensor::new(&[0.5f32], &Device::Cpu)?);
        let weights = VarBuilder::zeros(CandleDType::F32, &Device::Cpu);
        let outputs = Where.build(weights)?.forward(&[condition, input, other])?;
        assert_eq!(outputs[0].to_vec1::<f32>()?, [0.5, 2.0, 3.0]);
        Ok(())
    }
}
