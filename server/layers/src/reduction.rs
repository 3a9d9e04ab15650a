//! Reductions, and choosing among elements.

use candle_core::{D, DType as CandleDType, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;

use crate::{
    Arguments, Cost, DType, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    module::{first, many_to_many, one_to_one},
};

const REDUCTION: &[Param] =
    &[Param::optional("dim", Kind::Ints, "none"), Param::optional("keepdim", Kind::Bool, "false")];

const REDUCTION_DOC: &str = "`[*]` → the shape without the dimensions of `dim`, or with size 1 there with `keepdim`; \
    without `dim` over all.\n\n1 FLOP per input element.";

macro_rules! reduction {
    ($name:literal, $summary:literal, $source:literal, $operation:expr) => {
        Entry {
            name: $name,
            function: None,
            params: REDUCTION,
            inputs: Inputs::Named(&["input"]),
            summary: $summary,
            doc: REDUCTION_DOC,
            source: $source,
            bind: |arguments, inputs| Reduce::bind(arguments, inputs, $operation),
            ..Entry::PLAIN
        }
    };
}

pub(crate) static ENTRIES: &[Entry] = &[
    reduction!(
        "Mean",
        "The mean along dimensions.",
        "https://pytorch.org/docs/stable/generated/torch.mean.html",
        Operation::Mean
    ),
    reduction!(
        "Sum",
        "The sum along dimensions.",
        "https://pytorch.org/docs/stable/generated/torch.sum.html",
        Operation::Sum
    ),
    reduction!(
        "Max",
        "The largest value along dimensions.",
        "https://pytorch.org/docs/stable/generated/torch.amax.html",
        Operation::Max
    ),
    reduction!(
        "Min",
        "The smallest value along dimensions.",
        "https://pytorch.org/docs/stable/generated/torch.amin.html",
        Operation::Min
    ),
    Entry {
        name: "Norm",
        params: &[
            Param::optional("p", Kind::Float, "2.0"),
            Param::optional("dim", Kind::Ints, "none"),
            Param::optional("keepdim", Kind::Bool, "false"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "The p-norm along dimensions.",
        doc: "`[*]` → the shape without the dimensions of `dim`, or with size 1 there with `keepdim`; without `dim` \
              over all.\n\n2 FLOPs per input element: a power and a sum.",
        source: "https://pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html",
        bind: |arguments, inputs| {
            Reduce::bind(arguments, inputs, Operation::Norm(arguments.float("p")?))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "ArgMax",
        params: &[
            Param::optional("dim", Kind::Int, "none"),
            Param::optional("keepdim", Kind::Bool, "false"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Where the largest value is along a dimension.",
        doc: "`[*]` → `i64` of the shape without `dim`, or with size 1 there with `keepdim`; without `dim` over all.\n\n\
              1 FLOP per input element.",
        source: "https://pytorch.org/docs/stable/generated/torch.argmax.html",
        bind: |arguments, inputs| Reduce::bind(arguments, inputs, Operation::ArgMax),
        ..Entry::PLAIN
    },
    Entry {
        name: "CumSum",
        params: &[Param::required("dim", Kind::Int)],
        inputs: Inputs::Named(&["input"]),
        summary: "The sums up to each element along a dimension.",
        doc: "`[*]` → `[*]`.\n\n1 FLOP per element.",
        source: "https://pytorch.org/docs/stable/generated/torch.cumsum.html",
        bind: |arguments, inputs| {
            Ok(Box::new(CumSum { dim: arguments.dim("dim", first_input(inputs)?.shape.len())? }))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "TopK",
        params: &[
            Param::required("k", Kind::Int),
            Param::optional("dim", Kind::Int, "-1"),
            Param::optional("largest", Kind::Bool, "true"),
            Param::optional("sorted", Kind::Ignored, "true"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "The k largest elements along a dimension, and where they are.",
        doc: "`[*, D]` → two values, `[*, k]` each: the elements and their indices.\n\n\
              1 FLOP per input element: each is looked at once.\n\nUnlike PyTorch, the order of equal elements is not settled.",
        source: "https://pytorch.org/docs/stable/generated/torch.topk.html",
        bind: TopK::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "Arange",
        params: &[Param::required("end", Kind::Int)],
        inputs: Inputs::None,
        summary: "The whole numbers from 0.",
        doc: "Nothing → `i64[end]`, without work.",
        source: "https://pytorch.org/docs/stable/generated/torch.arange.html",
        bind: |arguments, _| Ok(Box::new(Arange { end: arguments.size("end", 0)? })),
        ..Entry::PLAIN
    },
];

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Mean,
    Sum,
    Max,
    Min,
    Norm(f64),
    /// Over one dimension, or all of them flattened.
    ArgMax,
}

#[derive(Debug, Clone, PartialEq)]
struct Reduce {
    operation: Operation,
    /// Empty for all.
    dims: Vec<usize>,
    keepdim: bool,
}

impl Reduce {
    fn bind(
        arguments: &Arguments,
        inputs: &[TensorType],
        operation: Operation,
    ) -> Result<Box<dyn Layer>, Refusal> {
        let input = first_input(inputs)?;
        if matches!(operation, Operation::Mean | Operation::Norm(_)) {
            float_input(arguments.signature().name, inputs)?;
        }
        let rank = input.shape.len();
        let mut dims = arguments
            .ints("dim")?
            .into_iter()
            .map(|dim| arguments.resolve_dim("dim", dim, rank))
            .collect::<Result<Vec<_>, _>>()?;
        if dims.is_empty() {
            dims = (0..rank).collect();
        }
        dims.sort_unstable();
        if dims.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(Refusal::argument("dim", "a dimension is named twice"));
        }
        Ok(Box::new(Reduce { operation, dims, keepdim: arguments.bool("keepdim")? }))
    }
}

impl Layer for Reduce {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let mut sizes = Vec::new();
        for (dim, size) in input.shape.iter().enumerate() {
            match (self.dims.contains(&dim), self.keepdim) {
                (false, _) => sizes.push(*size),
                (true, true) => sizes.push(1),
                (true, false) => {}
            }
        }
        let dtype = if self.operation == Operation::ArgMax { DType::I64 } else { input.dtype };
        Ok(vec![TensorType::new(dtype, sizes)])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let flops = if matches!(self.operation, Operation::Norm(_)) { 2 } else { 1 };
        Cost::free().per_element("per input element", flops, &inputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let reduce = self.clone();
        one_to_one(move |input| {
            if reduce.operation == Operation::ArgMax && reduce.dims.len() != 1 {
                let place = input.flatten_all()?.argmax(0)?.to_dtype(CandleDType::I64)?;
                let rank = if reduce.keepdim { input.rank() } else { 0 };
                return place.reshape(vec![1; rank]);
            }
            let mut output = match reduce.operation {
                Operation::Norm(2.0) => input.sqr()?,
                Operation::Norm(p) => input.abs()?.powf(p)?,
                _ => input.clone(),
            };
            for dim in &reduce.dims {
                output = match reduce.operation {
                    Operation::Mean => output.mean_keepdim(*dim)?,
                    Operation::Sum | Operation::Norm(_) => output.sum_keepdim(*dim)?,
                    Operation::Max => output.max_keepdim(*dim)?,
                    Operation::Min => output.min_keepdim(*dim)?,
                    Operation::ArgMax => output.argmax_keepdim(*dim)?.to_dtype(CandleDType::I64)?,
                };
            }
            output = match reduce.operation {
                Operation::Norm(2.0) => output.sqrt()?,
                Operation::Norm(p) => output.powf(1.0 / p)?,
                _ => output,
            };
            if !reduce.keepdim {
                for dim in reduce.dims.iter().rev() {
                    output = output.squeeze(*dim)?;
                }
            }
            Ok(output)
        })
    }
}

#[derive(Debug, PartialEq)]
struct CumSum {
    dim: usize,
}

impl Layer for CumSum {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("sums", 1, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let dim = self.dim;
        // Candle's own goes through a product with a triangle of ones, which counts no integers.
        one_to_one(move |input| {
            let mut sums: Vec<Tensor> = Vec::with_capacity(input.dim(dim)?);
            for place in 0..input.dim(dim)? {
                let here = input.narrow(dim, place, 1)?;
                let sum = match sums.last() {
                    Some(before) => (before + here)?,
                    None => here,
                };
                sums.push(sum);
            }
            if sums.is_empty() { Ok(input.clone()) } else { Tensor::cat(&sums, dim) }
        })
    }
}

#[derive(Debug, PartialEq)]
struct TopK {
    k: u64,
    dim: usize,
    largest: bool,
}

impl TopK {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = first_input(inputs)?;
        let dim = arguments.dim("dim", input.shape.len())?;
        let k = arguments.size("k", 0)?;
        if k > input.shape[dim] {
            let message = format!(
                "`k={k}`: there are only {} elements along this dimension",
                input.shape[dim]
            );
            return Err(Refusal::argument("k", message));
        }
        Ok(Box::new(TopK { k, dim, largest: arguments.bool("largest")? }))
    }
}

impl Layer for TopK {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let shape = input.shape.with(self.dim, self.k);
        Ok(vec![input.with_shape(shape.clone()), TensorType::new(DType::I64, shape)])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free().per_element("per input element", 1, &inputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (k, dim, largest) = (self.k as usize, self.dim, self.largest);
        many_to_many(move |inputs| {
            let input = first(inputs)?.transpose(dim, D::Minus1)?.contiguous()?;
            let order = input.arg_sort_last_dim(!largest)?;
            let indices = order.narrow(D::Minus1, 0, k)?.contiguous()?;
            let values = input.gather(&indices, D::Minus1)?;
            let indices = indices.to_dtype(CandleDType::I64)?;
            Ok(vec![values.transpose(dim, D::Minus1)?, indices.transpose(dim, D::Minus1)?])
        })
    }
}

#[derive(Debug, PartialEq)]
struct Arange {
    end: u64,
}

impl Layer for Arange {
    fn outputs(&self, _: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![TensorType::new(DType::I64, [self.end])])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (end, device) = (self.end as i64, weights.device().clone());
        many_to_many(move |_| Ok(vec![Tensor::arange(0, end, &device)?]))
    }
}
