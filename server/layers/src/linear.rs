//! Matrix products with weights, and tables.

use candle_core::{DType as CandleDType, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{broadcast, matmul::linear};

use crate::{
    Arguments, Cost, DType, Entry, GivenByInput, Inputs, Kind, Layer, Module, Param, Refusal,
    TensorType,
    arguments::{first_input, float_input},
    cost::sizes,
    given_by_input::features,
    module::{candle, first, many_to_many, one_to_one},
};

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "Linear",
        function: Some("linear"),
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
        given_by_input: &[GivenByInput::first("in_features", features)],
        ..Entry::PLAIN
    },
    Entry {
        name: "Bilinear",
        function: Some("bilinear"),
        params: &[
            Param::required("out_features", Kind::Int),
            Param::optional("bias", Kind::Bool, "true"),
        ],
        inputs: Inputs::Named(&["input1", "input2"]),
        summary: "A product of two inputs with a weight between them.",
        doc: "`[*, in1]` and `[*, in2]` → `[*, out]`.\n\n\
              MACs: `out * in1 * in2` for the product with the weight and `out * in2` for the one with the second \
              input, per row; a bias adds 1 FLOP per output element.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Bilinear.html",
        bind: Bilinear::bind,
        given_by_input: &[
            GivenByInput::first("in1_features", features),
            GivenByInput {
                place: 1,
                ..GivenByInput::first("in2_features", |inputs| features(inputs.get(1..)?))
            },
        ],
        ..Entry::PLAIN
    },
    Entry {
        name: "EmbeddingBag",
        params: &[
            Param::required("num_embeddings", Kind::Int),
            Param::required("embedding_dim", Kind::Int),
            Param::optional("max_norm", Kind::Float, "none"),
            Param::optional("norm_type", Kind::Float, "2.0"),
            Param::optional("scale_grad_by_freq", Kind::Bool, "false"),
            Param::optional("mode", Kind::Choice(&["sum", "mean", "max"]), "\"mean\""),
            Param::optional("sparse", Kind::Bool, "false"),
            Param::optional("include_last_offset", Kind::Bool, "false"),
            Param::optional("padding_idx", Kind::Int, "none"),
        ],
        inputs: Inputs::Named(&["input", "offsets?"]),
        summary: "Sums or means of rows of a table.",
        doc: "Integers `[B, N]`, or `[N]` with the offsets `[B]` at which bags begin → `[B, embedding_dim]`.\n\n\
              1 FLOP per element that is looked up.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.EmbeddingBag.html",
        bind: EmbeddingBag::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "Embedding",
        function: Some("embedding"),
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
        ..Entry::PLAIN
    },
    Entry {
        name: "Identity",
        params: &[],
        inputs: Inputs::Named(&["input"]),
        summary: "Passes its input on.",
        doc: "`[*]` → `[*]`, without work.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.Identity.html",
        bind: |_, _| Ok(Box::new(Identity)),
        ..Entry::PLAIN
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
        let rows = sizes("rows", &shape[..shape.len() - 1]);
        let bias: Vec<_> =
            rows.iter().copied().chain([("out", self.out_features.into())]).collect();
        let products: Vec<_> =
            bias.iter().copied().chain([("in", self.in_features.into())]).collect();
        let cost = Cost::free().macs_of("products", &products);
        if self.bias { cost.flops_of("bias", &bias) } else { cost }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (inputs, outputs) = (self.in_features as usize, self.out_features as usize);
        let weight = weights.get((outputs, inputs), "weight")?;
        let bias = if self.bias { Some(weights.get(outputs, "bias")?) } else { None };
        one_to_one(move |input| linear(input, &weight, bias.as_ref()))
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

#[derive(Debug, PartialEq)]
struct Bilinear {
    in1_features: u64,
    in2_features: u64,
    out_features: u64,
    bias: bool,
}

impl Bilinear {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        float_input("Bilinear", inputs)?;
        let last = |index: usize| inputs.get(index).and_then(|input| input.shape.last()).copied();
        let (Some(in1_features), Some(in2_features)) = (last(0), last(1)) else {
            return Err(Refusal::shape(0, "`Bilinear` takes [*, in1] and [*, in2]"));
        };
        Ok(Box::new(Bilinear {
            in1_features,
            in2_features,
            out_features: arguments.size("out_features", 1)?,
            bias: arguments.bool("bias")?,
        }))
    }
}

impl Layer for Bilinear {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let [input1, input2] = inputs else {
            return Err(Refusal::shape(0, "`Bilinear` takes two tensors"));
        };
        for (index, (input, features)) in
            [(input1, self.in1_features), (input2, self.in2_features)].into_iter().enumerate()
        {
            if input.shape.last() != Some(&features) {
                let message =
                    format!("this layer was made for {features} features; this is {}", input.shape);
                return Err(Refusal::shape(index, message));
            }
        }
        let rows = |input: &TensorType| input.shape[..input.shape.len() - 1].to_vec();
        if rows(input1) != rows(input2) {
            let message =
                format!("{} and {} differ before the last dimension", input1.shape, input2.shape);
            return Err(Refusal::shape(1, message));
        }
        Ok(vec![input1.with_shape(input1.shape.with_last(self.out_features))])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        let elements = sizes("size", &outputs[0].shape);
        let (in1, in2) = (u128::from(self.in1_features), u128::from(self.in2_features));
        let cost = Cost::free()
            .macs_of(
                "products with the weight",
                &[&elements[..], &[("in1", in1), ("in2", in2)]].concat(),
            )
            .macs_of("products with the second input", &[&elements[..], &[("in2", in2)]].concat());
        if self.bias { cost.flops_of("bias", &elements) } else { cost }
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (in1, in2) = (self.in1_features as usize, self.in2_features as usize);
        let out = self.out_features as usize;
        let weight = weights.get((out, in1, in2), "weight")?;
        let bias = if self.bias { Some(weights.get(out, "bias")?) } else { None };
        many_to_many(move |inputs| {
            let [input1, input2] = inputs else {
                candle_core::bail!("`Bilinear` takes two tensors")
            };
            let rows = input1.elem_count() / in1;
            let (left, right) = (input1.reshape((rows, in1))?, input2.reshape((rows, in2))?);
            // [rows, out * in2], then with the second input, row by row.
            let table = weight.permute((1, 0, 2))?.reshape((in1, out * in2))?;
            let product =
                left.contiguous()?.matmul(&table.contiguous()?)?.reshape((rows, out, in2))?;
            let mut output = product.matmul(&right.contiguous()?.unsqueeze(2)?)?.squeeze(2)?;
            if let Some(bias) = &bias {
                output = broadcast::add(&output, bias)?;
            }
            let mut shape = input1.dims().to_vec();
            shape.pop();
            shape.push(out);
            Ok(vec![output.reshape(shape)?])
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
struct EmbeddingBag {
    num_embeddings: u64,
    embedding_dim: u64,
    mode: String,
    include_last_offset: bool,
    padding_idx: Option<i64>,
    dtype: DType,
}

impl EmbeddingBag {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        if let Some(index) = inputs.iter().position(|input| !input.dtype.is_integer()) {
            let dtype = inputs[index].dtype;
            let message = format!("`EmbeddingBag` takes whole numbers such as i64, not {dtype}");
            return Err(Refusal::dtype(index, message));
        }
        Ok(Box::new(EmbeddingBag {
            num_embeddings: arguments.size("num_embeddings", 1)?,
            embedding_dim: arguments.size("embedding_dim", 1)?,
            mode: arguments.text("mode")?,
            include_last_offset: arguments.bool("include_last_offset")?,
            padding_idx: arguments.optional_int("padding_idx")?,
            dtype: arguments.dtype,
        }))
    }
}

impl Layer for EmbeddingBag {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let bags = match (&input.shape[..], inputs.get(1).map(|offsets| &offsets.shape[..])) {
            ([bags, _], None) => *bags,
            ([_], Some([offsets])) => offsets.saturating_sub(u64::from(self.include_last_offset)),
            _ => {
                let message = format!(
                    "`EmbeddingBag` takes [B, N], or [N] and the offsets [B], not {}",
                    input.shape
                );
                return Err(Refusal::shape(0, message));
            }
        };
        Ok(vec![TensorType::new(self.dtype, [bags, self.embedding_dim])])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let mut factors = sizes("indices", &inputs[0].shape);
        factors.push(("embedding_dim", self.embedding_dim.into()));
        Cost::free().flops_of("sums", &factors)
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (rows, width) = (self.num_embeddings as usize, self.embedding_dim as usize);
        let table = weights.get((rows, width), "weight")?;
        let layer = self.clone();
        many_to_many(move |inputs| Ok(vec![layer.run(&table, inputs)?]))
    }
}

impl EmbeddingBag {
    /// Where bags begin and end is read on the host.
    fn run(&self, table: &Tensor, inputs: &[Tensor]) -> CandleResult<Tensor> {
        let input = first(inputs)?;
        let indices: Vec<i64> = input.to_dtype(CandleDType::I64)?.flatten_all()?.to_vec1()?;
        let mut starts: Vec<usize> = match inputs.get(1) {
            Some(offsets) => {
                let offsets: Vec<i64> = offsets.to_dtype(CandleDType::I64)?.to_vec1()?;
                offsets.into_iter().map(|offset| offset as usize).collect()
            }
            None => (0..input.dim(0)?).map(|bag| bag * indices.len() / input.dims()[0]).collect(),
        };
        if inputs.len() < 2 || !self.include_last_offset {
            starts.push(indices.len());
        }
        let padding = self.padding_idx.map(|index| index.rem_euclid(self.num_embeddings as i64));
        let bag = |range: &[usize]| -> CandleResult<Tensor> {
            let Some(bag) = indices.get(range[0]..range[1]) else {
                candle_core::bail!("the offsets of the bags do not rise within the indices")
            };
            let kept: Vec<i64> =
                bag.iter().copied().filter(|index| Some(*index) != padding).collect();
            if kept.is_empty() {
                return Tensor::zeros(table.dim(1)?, table.dtype(), table.device());
            }
            let count = kept.len();
            let rows = table.index_select(&Tensor::from_vec(kept, count, table.device())?, 0)?;
            match self.mode.as_str() {
                "sum" => rows.sum(0),
                "max" => rows.max(0),
                _ => rows.mean(0),
            }
        };
        Tensor::stack(&starts.windows(2).map(bag).collect::<CandleResult<Vec<_>>>()?, 0)
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
