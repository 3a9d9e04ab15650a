//! Matrix products with weights, and tables.

use candle_core::Result as CandleResult;
use candle_nn::{Module as _, VarBuilder};

use crate::{
    Arguments, Cost, DType, Entry, Inputs, Kind, Layer, Module, Param, Refusal, TensorType,
    arguments::{first_input, float_input},
    module::{candle, one_to_one},
};

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Linear",
        function: None,
        params: &[
            Param::required("out_features", Kind::Int),
            Param::optional("bias", Kind::Bool, "true"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "A matrix product of the last dimension with a weight.",
        doc: "`[*, in]` → `[*, out]`.\n\n\
              MACs: one for each output element and each of its `in` inputs; \
              a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Linear.html",
        bind: Linear::bind,
    },
    Entry {
        name: "Embedding",
        function: None,
        params: &[
            Param::required("num_embeddings", Kind::Int),
            Param::required("embedding_dim", Kind::Int),
            Param::optional("padding_idx", Kind::Int, "none"),
            Param::optional("max_norm", Kind::Float, "none"),
            Param::optional("norm_type", Kind::Float, "2.0"),
            Param::optional("scale_grad_by_freq", Kind::Bool, "false"),
            Param::optional("sparse", Kind::Bool, "false"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Looks up a row of a table for each index.",
        doc: "Integers `[*]` → `[*, embedding_dim]`. A look-up costs no FLOP.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Embedding.html",
        bind: Embedding::bind,
    },
    Entry {
        name: "Identity",
        function: None,
        params: &[],
        inputs: Inputs::Named(&["input"]),
        summary: "Passes its input on.",
        doc: "`[*]` → `[*]`, without work.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Identity.html",
        bind: |_, _| Ok(Box::new(Identity)),
    },
];

#[derive(Debug, PartialEq)]
struct Linear {
    in_features: u64,
    out_features: u64,
    bias: bool,
}

impl Linear {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let Some(in_features) = float_input("Linear", inputs)?.shape.last() else {
            return Err(Refusal::shape(0, "`Linear` takes [*, in], not a scalar"));
        };
        Ok(Box::new(Linear {
            in_features: *in_features,
            out_features: arguments.size("out_features", 1)?,
            bias: arguments.bool("bias")?,
        }))
    }
}

impl Layer for Linear {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        match input.shape.last() {
            Some(last) if *last == self.in_features => {
                Ok(vec![input.with_shape(input.shape.with_last(self.out_features))])
            }
            _ => {
                let message = format!(
                    "this layer was made for {} features; its input is {}",
                    self.in_features, input.shape
                );
                Err(Refusal::shape(0, message))
            }
        }
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let shape = &outputs[0].shape;
        let rows: Vec<_> =
            shape[..shape.len() - 1].iter().map(|size| ("rows", u128::from(*size))).collect();
        let bias: Vec<_> =
            rows.iter().copied().chain([("out", self.out_features.into())]).collect();
        let products: Vec<_> =
            bias.iter().copied().chain([("in", self.in_features.into())]).collect();
        let cost = Cost::free().macs_of("products", &products);
        if self.bias { cost.flops_of("bias", &bias) } else { cost }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (inputs, outputs) = (self.in_features as usize, self.out_features as usize);
        let linear = candle_nn::linear_b(inputs, outputs, self.bias, weights)?;
        // Candle multiplies matrices only.
        one_to_one(move |input| match input.rank() {
            1 => linear.forward(&input.unsqueeze(0)?)?.squeeze(0),
            _ => linear.forward(input),
        })
    }
}

#[derive(Debug, PartialEq)]
struct Embedding {
    num_embeddings: u64,
    embedding_dim: u64,
    dtype: DType,
}

impl Embedding {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = first_input(inputs)?;
        if !input.dtype.is_integer() {
            let message =
                format!("`Embedding` takes whole numbers such as i64, not {}", input.dtype);
            return Err(Refusal::dtype(0, message));
        }
        Ok(Box::new(Embedding {
            num_embeddings: arguments.size("num_embeddings", 1)?,
            embedding_dim: arguments.size("embedding_dim", 1)?,
            dtype: arguments.dtype,
        }))
    }
}

impl Layer for Embedding {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let mut sizes = first_input(inputs)?.shape.to_vec();
        sizes.push(self.embedding_dim);
        Ok(vec![TensorType::new(self.dtype, sizes)])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (rows, width) = (self.num_embeddings as usize, self.embedding_dim as usize);
        candle(candle_nn::embedding(rows, width, weights)?)
    }
}

/// A layer that does nothing.
#[derive(Debug, PartialEq)]
pub(crate) struct Identity;

impl Layer for Identity {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        one_to_one(|input| Ok(input.clone()))
    }

    fn is_view(&self) -> bool {
        true
    }
}
