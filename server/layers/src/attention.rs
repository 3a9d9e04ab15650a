//! Attention and what goes with it.

use candle_core::{D, Result as CandleResult, Tensor};
use candle_nn::VarBuilder;
use kernels::{
    broadcast,
    matmul::{linear, matmul},
    softmax::ScoreSoftmax,
};

use crate::{
    Arg, Arguments, Cost, Entry, GivenByInput, Inputs, Kind, Layer, Module, Param, Reason, Refusal,
    TensorType,
    arguments::{first_input, float_input},
    given_by_input::features,
    module::{Remembered, first, many_to_many, one_to_one, unbuilt},
    refusal::At,
};

pub(crate) static ENTRIES: &[Entry] = &[
    Entry {
        name: "MultiheadAttention",
        params: &[
            Param::required("num_heads", Kind::Int),
            Param::optional("dropout", Kind::Float, "0.0"),
            Param::optional("bias", Kind::Bool, "true"),
            Param::optional("add_bias_kv", Kind::Bool, "false"),
            Param::optional("add_zero_attn", Kind::Bool, "false"),
            Param::optional("kdim", Kind::Int, "none"),
            Param::optional("vdim", Kind::Int, "none"),
            Param::optional("batch_first", Kind::Bool, "false"),
            Param::optional("need_weights", Kind::Bool, "false"),
            Param::optional("average_attn_weights", Kind::Bool, "true"),
        ],
        inputs: Inputs::Named(&["query", "key?", "value?"]),
        summary: "Attention with its four projections.",
        doc: "`[L, N, E]`, or `[N, L, E]` with `batch_first` → the same shape. One source attends to itself.\n\n\
              MACs: the projections of query, key, value and output, and the products of \
              `ScaledDotProductAttention`. Other FLOPs: the biases, 1 per score for the scale and 5 for softmax.\n\n\
              With `need_weights` a second value are the weights, `[N, L, S]`, for which 1 FLOP per score averages \
              the heads, or `[N, heads, L, S]` without `average_attn_weights`. PyTorch takes both where the module is \
              called, and gives the weights unless told otherwise.\n\n\
              Unlike PyTorch, one source is enough, the weights are asked for, and there is no mask.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html",
        bind: MultiheadAttention::bind,
        more_values: Some("need_weights=true"),
        given_by_input: &[GivenByInput {
            // A dropout of everything is a number of heads.
            is_doubtful: |arguments| arguments.float("dropout").is_ok_and(|dropout| dropout == 1.0),
            ..GivenByInput::first("embed_dim", features)
        }],
        ..Entry::PLAIN
    },
    Entry {
        name: "ScaledDotProductAttention",
        function: Some("scaled_dot_product_attention"),
        params: &[
            Param::optional("dropout_p", Kind::Float, "0.0"),
            Param::optional("is_causal", Kind::Bool, "false"),
            Param::optional("scale", Kind::Float, "none"),
            Param::optional("enable_gqa", Kind::Bool, "false"),
            Param::optional("window", Kind::Int, "none"),
            Param::optional("softcap", Kind::Float, "none"),
            Param::optional("sinks", Kind::Bool, "false"),
        ],
        inputs: Inputs::Named(&["query", "key", "value", "bias?", "sinks?"]),
        summary: "`softmax(query @ key^T * scale) @ value`",
        doc: "`query: [*, H, L, E]`, `key: [*, H, S, E]`, `value: [*, H, S, V]` → `[*, H, L, V]`. A fourth source \
              is added to the scores. With `enable_gqa` the heads of key and value may be fewer.\n\n\
              MACs: `L * S * (E + V)` per head, all pairs, whatever the mask. Other FLOPs per score: 1 for the \
              scale, 5 for softmax, 1 for an added mask, 3 for `softcap`; 5 per query for its sink.\n\n\
              Unlike PyTorch, `window` hides keys that far behind, `softcap` bounds the scores (as Gemma does), \
              `sinks` takes as last source `[H]`, a score that each head adds to the softmax without a value (as \
              gpt-oss does), and with `is_causal` the last query sees the last key, so that a cache may stand in front.",
        source: "https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html",
        bind: Attention::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "RotaryEmbedding",
        params: &[
            Param::optional("theta", Kind::Float, "10000.0"),
            Param::optional("interleaved", Kind::Bool, "false"),
            Param::optional("offset", Kind::Int, "0"),
            Param::optional("rope_type", Kind::Text, "\"default\""),
            Param::optional("factor", Kind::Float, "1.0"),
            Param::optional("low_freq_factor", Kind::Float, "1.0"),
            Param::optional("high_freq_factor", Kind::Float, "4.0"),
            Param::optional("original_max_position_embeddings", Kind::Int, "8192"),
            Param::optional("beta_fast", Kind::Float, "32.0"),
            Param::optional("beta_slow", Kind::Float, "1.0"),
            Param::optional("truncate", Kind::Bool, "true"),
            Param::optional("attention_factor", Kind::Float, "none"),
        ],
        inputs: Inputs::Named(&["input"]),
        summary: "Turns pairs of features by an angle that grows with the position.",
        doc: "`[*, T, D]` → `[*, T, D]`; positions begin at `offset`. Halves are paired, or neighbours with \
              `interleaved`. The other arguments are those of `rope_scaling` in Hugging Face's configs: \
              \"linear\", \"llama3\" and \"yarn\" change the angles when it is built, the others cost the same and are not built.\n\n3 FLOPs per element: two products and a sum. From RoFormer (Su et al., 2021).",
        source: "https://arxiv.org/abs/2104.09864",
        bind: RotaryEmbedding::bind,
        ..Entry::PLAIN
    },
    Entry {
        name: "RelativePositionBuckets",
        params: &[
            Param::required("query_length", Kind::Int),
            Param::required("key_length", Kind::Int),
            Param::optional("bidirectional", Kind::Bool, "true"),
            Param::optional("num_buckets", Kind::Int, "32"),
            Param::optional("max_distance", Kind::Int, "128"),
        ],
        inputs: Inputs::None,
        summary: "T5's bucket for the distance of each key from each query.",
        doc: "Nothing → `i64[query_length, key_length]`, to look up a learnt bias. Near distances have a bucket \
              each, far ones share. It costs no FLOP. From T5 (Raffel et al., 2019).",
        source: "https://arxiv.org/abs/1910.10683",
        bind: |arguments, _| {
            let num_buckets = arguments.size("num_buckets", 4)?;
            let max_distance = arguments.size("max_distance", 1)?;
            if max_distance <= num_buckets / 2 {
                let message =
                    format!("`max_distance={max_distance}` is more than half of the buckets");
                return Err(Refusal::argument("max_distance", message));
            }
            Ok(Box::new(RelativePositionBuckets {
                query_length: arguments.size("query_length", 0)?,
                key_length: arguments.size("key_length", 0)?,
                bidirectional: arguments.bool("bidirectional")?,
                num_buckets,
                max_distance,
            }))
        },
        ..Entry::PLAIN
    },
    Entry {
        name: "KvCache",
        params: &[Param::required("past", Kind::Int)],
        inputs: Inputs::Named(&["input"]),
        summary: "Prepends cached positions.",
        doc: "`[*, T, D]` → `[*, past + T, D]`, without work. The cache keeps `* · (past + T) · D` elements, in the dtype of its input, which count as memory.",
        source: "https://huggingface.co/docs/transformers/kv_cache",
        bind: |arguments, inputs| {
            if float_input("KvCache", inputs)?.shape.len() < 2 {
                let message = format!("`KvCache` takes [*, T, D], not {}", inputs[0].shape);
                return Err(Refusal::shape(0, message));
            }
            Ok(Box::new(KvCache { past: arguments.size("past", 0)? }))
        },
        ..Entry::PLAIN
    },
];

#[derive(Debug, PartialEq)]
struct MultiheadAttention {
    embed_dim: u64,
    kdim: u64,
    vdim: u64,
    num_heads: u64,
    bias: bool,
    /// A learnt position after the keys and values.
    bias_kv: bool,
    /// A position of zeros after them.
    zero_attn: bool,
    batch_first: bool,
    weights: AttentionWeights,
}

/// Whether the weights of an attention are a value of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
enum AttentionWeights {
    Dropped,
    /// The mean of the heads.
    Averaged,
    OfHeads,
}

impl MultiheadAttention {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let query = float_input("MultiheadAttention", inputs)?;
        if !matches!(query.shape.len(), 2 | 3) {
            let message =
                format!("`MultiheadAttention` takes [L, N, E] or [L, E], not {}", query.shape);
            return Err(Refusal::shape(0, message));
        }
        let last = |input: &TensorType| input.shape.last().copied().unwrap_or(0);
        let embed_dim = last(query);
        let num_heads = arguments.size("num_heads", 1)?;
        arguments.probability("dropout")?;
        if embed_dim % num_heads != 0 {
            let message =
                format!("`num_heads={num_heads}` does not divide the {embed_dim} features");
            return Err(Refusal::argument("num_heads", message));
        }
        if inputs.len() == 2 {
            let message = "`MultiheadAttention` takes 1 tensor, or a query, a key and a value";
            return Err(Refusal::new(Reason::WrongNumberOfInputs, At::Layer, message));
        }
        for (name, index) in [("kdim", 1), ("vdim", 2)] {
            let (given, width) =
                (arguments.optional_int(name)?, inputs.get(index).map_or(embed_dim, last));
            if let Some(given) = given.filter(|given| u64::try_from(*given) != Ok(width)) {
                let message = format!("`{name}={given}`: the input has {width} features");
                return Err(Refusal::argument(name, message));
            }
        }
        Ok(Box::new(MultiheadAttention {
            embed_dim,
            kdim: inputs.get(1).map_or(embed_dim, last),
            vdim: inputs.get(2).map_or(embed_dim, last),
            num_heads,
            bias: arguments.bool("bias")?,
            bias_kv: arguments.bool("add_bias_kv")?,
            zero_attn: arguments.bool("add_zero_attn")?,
            batch_first: arguments.bool("batch_first")?,
            weights: match (
                arguments.bool("need_weights")?,
                arguments.bool("average_attn_weights")?,
            ) {
                (false, _) => AttentionWeights::Dropped,
                (true, true) => AttentionWeights::Averaged,
                (true, false) => AttentionWeights::OfHeads,
            },
        }))
    }

    /// The shape of the weights, if they are a value.
    fn weights(&self, inputs: &[TensorType]) -> Result<Option<TensorType>, Refusal> {
        let query = first_input(inputs)?;
        let (batch, queries) = self.sizes(query);
        let (_, keys) = self.sizes(inputs.get(1).unwrap_or(query));
        let keys = keys
            .checked_add(u64::from(self.bias_kv) + u64::from(self.zero_attn))
            .ok_or_else(|| Refusal::overflow("the number of keys"))?;
        let mut shape = if query.shape.len() == 3 { vec![batch] } else { Vec::new() };
        match self.weights {
            AttentionWeights::Dropped => return Ok(None),
            AttentionWeights::Averaged => {}
            AttentionWeights::OfHeads => shape.push(self.num_heads),
        }
        shape.extend([queries, keys]);
        Ok(Some(TensorType { dtype: query.dtype, shape: shape.into() }))
    }

    /// One weight for all three projections, if all three have the same width.
    fn is_packed(&self) -> bool {
        self.kdim == self.embed_dim && self.vdim == self.embed_dim
    }

    /// The sizes `(N, L)` of a sequence.
    fn sizes(&self, input: &TensorType) -> (u64, u64) {
        match (&input.shape[..], self.batch_first) {
            ([n, l, _], true) | ([l, n, _], false) => (*n, *l),
            ([l, _], _) => (1, *l),
            _ => (0, 0),
        }
    }
}

impl Layer for MultiheadAttention {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let query = first_input(inputs)?;
        if query.shape.last() != Some(&self.embed_dim) {
            let message = format!(
                "this layer was made for {} features; its query is {}",
                self.embed_dim, query.shape
            );
            return Err(Refusal::shape(0, message));
        }
        if let [query, key, value] = inputs {
            let (batch, _) = self.sizes(query);
            for (index, input) in [(1, key), (2, value)] {
                if input.shape.len() != query.shape.len() || self.sizes(input).0 != batch {
                    let message = format!(
                        "the query is {}, so {} does not go with it",
                        query.shape, input.shape
                    );
                    return Err(Refusal::shape(index, message));
                }
            }
            if self.sizes(key).1 != self.sizes(value).1 {
                let message =
                    format!("the key is {}, so the value cannot be {}", key.shape, value.shape);
                return Err(Refusal::shape(2, message));
            }
        }
        Ok(std::iter::once(query.clone()).chain(self.weights(inputs)?).collect())
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let (batch, length) = self.sizes(&inputs[0]);
        let (_, positions) = self.sizes(inputs.get(1).unwrap_or(&inputs[0]));
        let (n, l, s) = (u128::from(batch), u128::from(length), u128::from(positions));
        let (e, heads) = (u128::from(self.embed_dim), u128::from(self.num_heads));
        let extra = u128::from(self.bias_kv) + u128::from(self.zero_attn);
        let scores = [("N", n), ("heads", heads), ("L", l), ("S", s + extra)];
        let cost = Cost::free()
            .macs_of(
                "query and output projections",
                &[("N", n), ("L", l), ("E", e), ("E", e), ("2", 2)],
            )
            .macs_of("key projection", &[("N", n), ("S", s), ("kdim", self.kdim.into()), ("E", e)])
            .macs_of(
                "value projection",
                &[("N", n), ("S", s), ("vdim", self.vdim.into()), ("E", e)],
            )
            .macs_of(
                "scores and sums",
                &[&scores[..], &[("E / heads", e / heads), ("2", 2)]].concat(),
            )
            .flops_of("scale and softmax", &[&scores[..], &[("operations", 6)]].concat());
        let cost = match self.weights {
            AttentionWeights::Averaged => cost.flops_of("mean of the heads", &scores),
            AttentionWeights::Dropped | AttentionWeights::OfHeads => cost,
        };
        if !self.bias {
            return cost;
        }
        cost.flops_of("biases of query and output", &[("N", n), ("L", l), ("E", e), ("2", 2)])
            .flops_of("biases of key and value", &[("N", n), ("S", s), ("E", e), ("2", 2)])
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (e, kdim, vdim) = (self.embed_dim as usize, self.kdim as usize, self.vdim as usize);
        let [q, k, v] = if self.is_packed() {
            let packed = weights.get((3 * e, e), "in_proj_weight")?;
            [packed.narrow(0, 0, e)?, packed.narrow(0, e, e)?, packed.narrow(0, 2 * e, e)?]
        } else {
            [
                weights.get((e, e), "q_proj_weight")?,
                weights.get((e, kdim), "k_proj_weight")?,
                weights.get((e, vdim), "v_proj_weight")?,
            ]
        };
        let biases = match self.bias {
            true => {
                let packed = weights.get(3 * e, "in_proj_bias")?;
                [
                    Some(packed.narrow(0, 0, e)?),
                    Some(packed.narrow(0, e, e)?),
                    Some(packed.narrow(0, 2 * e, e)?),
                ]
            }
            false => [None, None, None],
        };
        let [q_bias, k_bias, v_bias] = biases;
        let bias_kv = match self.bias_kv {
            true => Some((weights.get((1, 1, e), "bias_k")?, weights.get((1, 1, e), "bias_v")?)),
            false => None,
        };
        let zero_attn = self.zero_attn;
        let out = weights.get((e, e), "out_proj.weight")?;
        let out_bias = if self.bias { Some(weights.get(e, "out_proj.bias")?) } else { None };
        let (heads, batch_first) = (self.num_heads as usize, self.batch_first);
        let kept = self.weights;
        many_to_many(move |inputs| {
            let query = first(inputs)?;
            let (key, value) = (inputs.get(1).unwrap_or(query), inputs.get(2).unwrap_or(query));
            let project = |x: &Tensor, weight: &Tensor, bias: &Option<Tensor>| {
                let x =
                    if x.rank() == 2 { x.unsqueeze(usize::from(!batch_first))? } else { x.clone() };
                let x = if batch_first { x } else { x.transpose(0, 1)? };
                linear(&x, weight, bias.as_ref())
            };
            let q = project(query, &q, &q_bias)?;
            let (mut k, mut v) = (project(key, &k, &k_bias)?, project(value, &v, &v_bias)?);
            if let Some((bias_k, bias_v)) = &bias_kv {
                let after = |x: &Tensor, bias: &Tensor| {
                    Tensor::cat(&[x, &bias.broadcast_as((x.dim(0)?, 1, e))?], 1)
                };
                (k, v) = (after(&k, bias_k)?, after(&v, bias_v)?);
            }
            if zero_attn {
                (k, v) = (k.pad_with_zeros(1, 0, 1)?, v.pad_with_zeros(1, 0, 1)?);
            }
            let split = |x: &Tensor| -> CandleResult<Tensor> {
                let (n, l, e) = x.dims3()?;
                x.reshape((n, l, heads, e / heads))?.transpose(1, 2)?.contiguous()
            };
            let (q, k, v) = (split(&q)?, split(&k)?, split(&v)?);
            let scale = 1.0 / (q.dim(D::Minus1)? as f64).sqrt();
            let softmax = ScoreSoftmax { scale, is_causal: false, window: None };
            let scores = softmax.of(&matmul(&q, &k.transpose(2, 3)?)?, None)?;
            let values = matmul(&scores, &v)?.transpose(1, 2)?;
            let (n, l, _, _) = values.dims4()?;
            let output = linear(&values.reshape((n, l, ()))?, &out, out_bias.as_ref())?;
            let output = if batch_first { output } else { output.transpose(0, 1)? };
            let output = output.reshape(query.shape())?;
            let unbatched = |weights: Tensor| {
                if query.rank() == 2 { weights.squeeze(0) } else { Ok(weights) }
            };
            Ok(match kept {
                AttentionWeights::Dropped => vec![output],
                AttentionWeights::Averaged => vec![output, unbatched(scores.mean(1)?)?],
                AttentionWeights::OfHeads => vec![output, unbatched(scores)?],
            })
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Attention {
    is_causal: bool,
    scale: Option<f64>,
    enable_gqa: bool,
    window: Option<u64>,
    softcap: Option<f64>,
    sinks: bool,
}

impl Attention {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        float_input("ScaledDotProductAttention", inputs)?;
        let window = match arguments.get("window") {
            Arg::None => None,
            _ => Some(arguments.size("window", 1)?),
        };
        Ok(Box::new(Attention {
            is_causal: arguments.bool("is_causal")?,
            scale: arguments.optional_float("scale")?,
            enable_gqa: arguments.bool("enable_gqa")?,
            window,
            softcap: arguments.optional_float("softcap")?,
            sinks: arguments.bool("sinks")?,
        }))
    }

    /// What is added to the scores, and each head's sink, of all sources.
    fn others<'i, T>(&self, inputs: &'i [T]) -> (Option<&'i T>, Option<&'i T>) {
        match (self.sinks, &inputs[3..]) {
            (true, [sinks]) => (None, Some(sinks)),
            (_, others) => (others.first(), others.get(1)),
        }
    }
}

impl Layer for Attention {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let [query, key, value, ..] = inputs else {
            return Err(Refusal::shape(0, "attention takes a query, a key and a value"));
        };
        let rank = query.shape.len();
        for (index, input) in [query, key, value].into_iter().enumerate() {
            if input.shape.len() < 2 || input.shape.len() != rank {
                let message =
                    format!("attention takes three tensors [*, L, E]; this one is {}", input.shape);
                return Err(Refusal::shape(index, message));
            }
        }
        let (last, sequence) = (rank - 1, rank - 2);
        if query.shape[last] != key.shape[last] {
            let message = format!(
                "the query has {} features, the key {}",
                query.shape[last], key.shape[last]
            );
            return Err(Refusal::shape(1, message));
        }
        if key.shape[sequence] != value.shape[sequence] {
            let message = format!(
                "the key has {} positions, the value {}",
                key.shape[sequence], value.shape[sequence]
            );
            return Err(Refusal::shape(2, message));
        }
        for dim in 0..sequence {
            let (q, k, v) = (query.shape[dim], key.shape[dim], value.shape[dim]);
            if k != v {
                return Err(Refusal::shape(
                    2,
                    format!("the key is {}, the value {}", key.shape, value.shape),
                ));
            }
            let heads = dim + 1 == sequence;
            if q == k || (heads && self.enable_gqa && k != 0 && q % k == 0) {
                continue;
            }
            let message = match heads && q % k.max(1) == 0 {
                true => {
                    format!("the query has {q} heads, the key {k}: that needs `enable_gqa=true`")
                }
                false => format!("the query is {}, the key {}", query.shape, key.shape),
            };
            return Err(Refusal::shape(1, message));
        }
        let mut scores = query.shape.to_vec();
        scores[last] = key.shape[sequence];
        let (bias, sinks) = self.others(inputs);
        if let Some(bias) = bias {
            let broadcast = crate::operators::broadcast(&bias.shape, &scores);
            if broadcast.is_none_or(|shape| shape[..] != scores[..]) {
                let scores = crate::Shape::from(scores);
                let message =
                    format!("the scores are {scores}; {} cannot be added to them", bias.shape);
                return Err(Refusal::shape(3, message));
            }
        }
        let heads = if rank < 3 { 1 } else { query.shape[rank - 3] };
        match sinks {
            None if self.sinks => {
                let message = "with `sinks=true` the last source is [H], a score for each head";
                return Err(Refusal::new(Reason::WrongNumberOfInputs, At::Layer, message));
            }
            Some(_) if !self.sinks => {
                let message = "a fifth source needs `sinks=true`";
                return Err(Refusal::new(Reason::WrongNumberOfInputs, At::Layer, message));
            }
            Some(sinks) if sinks.shape[..] != [heads] => {
                let message =
                    format!("the query has {heads} heads; their sinks are {}", sinks.shape);
                return Err(Refusal::shape(inputs.len() - 1, message));
            }
            _ => {}
        }
        Ok(vec![query.with_shape(query.shape.with_last(value.shape[last]))])
    }

    fn cost(&self, inputs: &[TensorType], _: &[TensorType]) -> Cost {
        let (query, key, value) = (&inputs[0].shape, &inputs[1].shape, &inputs[2].shape);
        let rank = query.len();
        let mut scores: Vec<(&'static str, u128)> = Vec::with_capacity(rank);
        for (dim, size) in query[..rank - 2].iter().enumerate() {
            scores.push((if dim + 3 == rank { "heads" } else { "N" }, (*size).into()));
        }
        scores.push(("L", query[rank - 2].into()));
        scores.push(("S", key[rank - 2].into()));
        let with = |factor| [&scores[..], &[factor]].concat();
        let masks = u128::from(self.others(inputs).0.is_some());
        let softcap = if self.softcap.is_some() { 3 } else { 0 };
        let cost = Cost::free()
            .macs_of("scores", &with(("E", query[rank - 1].into())))
            .macs_of("sums of values", &with(("V", value[rank - 1].into())))
            .flops_of("scale, mask and softmax", &with(("operations", 6 + masks + softcap)));
        if !self.sinks {
            return cost;
        }
        let rows = &scores[..scores.len() - 1];
        cost.flops_of("softmax of the sinks", &[rows, &[("operations", 5)]].concat())
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let attention = self.clone();
        many_to_many(move |inputs| {
            let [query, key, value, ..] = inputs else {
                candle_core::bail!("attention takes three tensors")
            };
            let heads = |x: &Tensor| if x.rank() < 3 { Ok(1) } else { x.dim(x.rank() - 3) };
            let repeats = heads(query)? / heads(key)?.max(1);
            let (key, value) = (repeat_heads(key, repeats)?, repeat_heads(value, repeats)?);
            let width = query.dim(D::Minus1)? as f64;
            let mut scale = attention.scale.unwrap_or(1.0 / width.sqrt());
            let mut scores = matmul(query, &key.transpose(D::Minus2, D::Minus1)?)?;
            let (bias, sinks) = attention.others(inputs);
            if attention.softcap.is_some() || bias.is_some() {
                scores = (scores * std::mem::replace(&mut scale, 1.0))?;
            }
            if let Some(cap) = attention.softcap {
                scores = ((scores / cap)?.tanh()? * cap)?;
            }
            if let Some(bias) = bias {
                scores = broadcast::add(&scores, bias)?;
            }
            let Attention { is_causal, window, .. } = attention;
            let weights = ScoreSoftmax { scale, is_causal, window }.of(&scores, sinks)?;
            Ok(vec![matmul(&weights, &value)?])
        })
    }
}

/// Each head `repeats` times in a row: `[*, H, S, E]` → `[*, H * repeats, S, E]`.
fn repeat_heads(x: &Tensor, repeats: usize) -> CandleResult<Tensor> {
    if repeats <= 1 {
        return Ok(x.clone());
    }
    let dim = x.rank() - 3;
    let copies = vec![x.unsqueeze(dim + 1)?; repeats];
    let mut shape = x.dims().to_vec();
    shape[dim] *= repeats;
    Tensor::cat(&copies, dim + 1)?.reshape(shape)
}

#[derive(Debug, Clone, PartialEq)]
struct RotaryEmbedding {
    theta: f64,
    interleaved: bool,
    offset: i64,
    scaling: Scaling,
}

/// How the frequencies of rotary embeddings are changed for longer sequences.
#[derive(Debug, Clone, PartialEq)]
enum Scaling {
    None,
    /// Positions are divided.
    Linear {
        factor: f64,
    },
    /// Llama 3.1: low frequencies are divided, high ones kept.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        length: f64,
    },
    /// YaRN (Peng et al., 2023), as in transformers: pairs that turn often keep their frequency,
    /// those that turn rarely divide it, from pair `low` to pair `high` there is a ramp.
    Yarn {
        factor: f64,
        low: f64,
        high: f64,
        /// What sines and cosines are multiplied with.
        attention_factor: f64,
    },
    /// Angles that depend on the sequence.
    Other,
}

impl Scaling {
    fn of(arguments: &Arguments, width: u64) -> Result<Scaling, Refusal> {
        let factor = arguments.float("factor")?;
        let length = arguments.size("original_max_position_embeddings", 1)? as f64;
        Ok(match arguments.text("rope_type")?.as_str() {
            "default" => Scaling::None,
            "linear" => Scaling::Linear { factor },
            "llama3" => Scaling::Llama3 {
                factor,
                low: arguments.float("low_freq_factor")?,
                high: arguments.float("high_freq_factor")?,
                length,
            },
            "yarn" => {
                let theta = arguments.float("theta")?;
                // The pair that turns so often within the length that the model was trained for.
                let pair = |turns: f64| {
                    let turns = length / (turns * std::f64::consts::TAU);
                    width as f64 * turns.ln() / (2.0 * theta.ln())
                };
                let (mut low, mut high) =
                    (pair(arguments.float("beta_fast")?), pair(arguments.float("beta_slow")?));
                if arguments.bool("truncate")? {
                    (low, high) = (low.floor(), high.ceil());
                }
                let attention_factor = arguments.optional_float("attention_factor")?;
                Scaling::Yarn {
                    factor,
                    low: low.max(0.0),
                    high: high.min(width as f64 - 1.0),
                    attention_factor: attention_factor.unwrap_or(if factor > 1.0 {
                        0.1 * factor.ln() + 1.0
                    } else {
                        1.0
                    }),
                }
            }
            _ => Scaling::Other,
        })
    }

    /// The frequency of a pair.
    fn apply(&self, pair: usize, frequency: f64) -> f64 {
        match self {
            Scaling::None | Scaling::Other => frequency,
            Scaling::Linear { factor } => frequency / factor,
            Scaling::Llama3 { factor, low, high, length } => {
                let wavelength = std::f64::consts::TAU / frequency;
                let smooth = ((length / wavelength - low) / (high - low)).clamp(0.0, 1.0);
                (1.0 - smooth) * frequency / factor + smooth * frequency
            }
            Scaling::Yarn { factor, low, high, .. } => {
                let span = if low == high { 0.001 } else { high - low };
                let ramp = ((pair as f64 - low) / span).clamp(0.0, 1.0);
                ramp * frequency / factor + (1.0 - ramp) * frequency
            }
        }
    }
}

impl RotaryEmbedding {
    fn bind(arguments: &Arguments, inputs: &[TensorType]) -> Result<Box<dyn Layer>, Refusal> {
        let input = float_input("RotaryEmbedding", inputs)?;
        if input.shape.len() < 2 || input.shape[input.shape.len() - 1] % 2 != 0 {
            let message =
                format!("`RotaryEmbedding` takes [*, T, D] with an even D, not {}", input.shape);
            return Err(Refusal::shape(0, message));
        }
        Ok(Box::new(RotaryEmbedding {
            theta: arguments.float("theta")?,
            interleaved: arguments.bool("interleaved")?,
            offset: arguments.int("offset")?,
            scaling: Scaling::of(arguments, input.shape[input.shape.len() - 1])?,
        }))
    }
}

impl Layer for RotaryEmbedding {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![first_input(inputs)?.clone()])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost::free().per_element("two products and a sum", 3, &outputs[0].shape)
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        if self.scaling == Scaling::Other {
            return unbuilt("these rotary angles depend on the sequence");
        }
        let (rotary, tables) = (self.clone(), Remembered::new());
        one_to_one(move |input| {
            let (length, width) = (input.dim(D::Minus2)?, input.dim(D::Minus1)?);
            let half = width / 2;
            let key = (length, half, input.dtype());
            let (cos, sin) = tables.of(key, || rotary.cos_and_sin(length, half, input))?;
            let shape = input.dims();
            let flat = input.reshape((1, (), length, width))?.contiguous()?;
            let output = match rotary.interleaved {
                true => candle_nn::rotary_emb::rope_i(&flat, &cos, &sin)?,
                false => candle_nn::rotary_emb::rope(&flat, &cos, &sin)?,
            };
            output.reshape(shape)
        })
    }
}

impl RotaryEmbedding {
    /// The cosine and sine of each position's angles, `[length, half]`, for an input.
    fn cos_and_sin(
        &self,
        length: usize,
        half: usize,
        input: &Tensor,
    ) -> CandleResult<(Tensor, Tensor)> {
        let frequency = |pair: usize| {
            let frequency = self.theta.powf(-(pair as f64) / half as f64);
            self.scaling.apply(pair, frequency)
        };
        let frequencies: Vec<f64> = (0..half).map(frequency).collect();
        let angles: Vec<f32> = (0..length)
            .map(|position| (position as i64 + self.offset) as f64)
            .flat_map(|place| frequencies.iter().map(move |frequency| (place * frequency) as f32))
            .collect();
        let angles = Tensor::from_vec(angles, (length, half), input.device())?;
        let scale = match self.scaling {
            Scaling::Yarn { attention_factor, .. } => attention_factor,
            _ => 1.0,
        };
        let of_input = |table: Tensor| (table * scale)?.to_dtype(input.dtype());
        Ok((of_input(angles.cos()?)?, of_input(angles.sin()?)?))
    }
}

#[derive(Debug, PartialEq)]
struct KvCache {
    past: u64,
}

impl Layer for KvCache {
    fn outputs(&self, inputs: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        let input = first_input(inputs)?;
        let dim = input.shape.len() - 2;
        let length =
            input.shape[dim].checked_add(self.past).filter(|size| *size <= crate::MAX_SIZE);
        let length = length.ok_or_else(|| Refusal::overflow("the length with the cache"))?;
        Ok(vec![input.with_shape(input.shape.with(dim, length))])
    }

    fn cost(&self, _: &[TensorType], outputs: &[TensorType]) -> Cost {
        Cost { terms: Vec::new(), cache: outputs[0].numel().unwrap_or(u128::MAX) }
    }

    fn build(&self, _: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let past = self.past as usize;
        one_to_one(move |input| match past {
            0 => Ok(input.clone()),
            _ => {
                // A cache without content: its time and memory are those of a filled one.
                let dim = input.rank() - 2;
                let mut shape = input.dims().to_vec();
                shape[dim] = past;
                let cached = Tensor::zeros(shape, input.dtype(), input.device())?;
                Tensor::cat(&[&cached, input], dim)
            }
        })
    }
}

#[derive(Debug, Clone, PartialEq)]
struct RelativePositionBuckets {
    query_length: u64,
    key_length: u64,
    bidirectional: bool,
    num_buckets: u64,
    max_distance: u64,
}

impl RelativePositionBuckets {
    fn bucket(&self, query: i64, key: i64) -> i64 {
        let (distance, mut buckets, mut first) = (key - query, self.num_buckets as i64, 0);
        let distance = if self.bidirectional {
            buckets /= 2;
            if distance > 0 {
                first = buckets;
            }
            distance.abs()
        } else {
            (-distance).max(0)
        };
        let exact = buckets / 2;
        if distance < exact {
            return first + distance;
        }
        // In single precision, as PyTorch computes it.
        let far = (distance as f32 / exact as f32).ln()
            / (self.max_distance as f32 / exact as f32).ln()
            * (buckets - exact) as f32;
        first + (exact + far as i64).min(buckets - 1)
    }
}

impl Layer for RelativePositionBuckets {
    fn outputs(&self, _: &[TensorType]) -> Result<Vec<TensorType>, Refusal> {
        Ok(vec![TensorType::new(crate::DType::I64, [self.query_length, self.key_length])])
    }

    fn cost(&self, _: &[TensorType], _: &[TensorType]) -> Cost {
        Cost::free()
    }

    fn build(&self, weights: VarBuilder<'_>) -> CandleResult<Box<dyn Module>> {
        let (buckets, device) = (self.clone(), weights.device().clone());
        many_to_many(move |_| {
            let (queries, keys) = (buckets.query_length as i64, buckets.key_length as i64);
            let numbers: Vec<i64> = (0..queries)
                .flat_map(|query| (0..keys).map(move |key| (query, key)))
                .map(|(query, key)| buckets.bucket(query, key))
                .collect();
            Ok(vec![Tensor::from_vec(numbers, (queries as usize, keys as usize), &device)?])
        })
    }
}
