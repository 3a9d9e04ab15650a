//! T5ForConditionalGeneration, written by `taper export`.
//!
//! Its arguments: vocab_size=128, d_model=48, d_kv=12, d_ff=96, num_layers=2, num_decoder_layers=2,
//! num_heads=4, relative_attention_num_buckets=32, relative_attention_max_distance=128,
//! layer_norm_epsilon=1e-6, feed_forward_proj="relu", dense_act_fn="relu", tie_word_embeddings=true,
//! torch_dtype="float32".
//! Its parameters have the names of the Taper model's, so the same checkpoints load.
//! It infers: normalisation uses running statistics, dropout does nothing.
//! Sizes that may be any that the model promises: B, S, T.

use candle_core::{Result, Tensor};
use candle_nn::{Embedding, Linear, Module, RmsNorm, VarBuilder};

#[derive(Debug, Clone)]
pub struct Heads {}

impl Heads {
    pub fn new(_: VarBuilder) -> Result<Self> {
        Ok(Self {})
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.reshape((x.dim(0)?, x.dim(1)?, 4, 12))?;
        x.transpose(1, 2)?.contiguous()
    }
}

#[derive(Debug, Clone)]
pub struct DenseReluDense {
    wi: Linear,
    wo: Linear,
}

impl DenseReluDense {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            wi: candle_nn::linear_no_bias(48, 96, vb.pp("wi"))?,
            wo: candle_nn::linear_no_bias(96, 48, vb.pp("wo"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.wi.forward(x)?;
        let x = x.relu()?;
        self.wo.forward(&x)
    }
}

/// T5 and FLAN-T5. Source: transformers 4.57.6, `modeling_t5.py`; the defaults are those of `T5Config`.
#[derive(Debug, Clone)]
pub struct Attention {
    q: Linear,
    q_1: Heads,
    k: Linear,
    k_1: Heads,
    v: Linear,
    v_1: Heads,
    o: Linear,
}

impl Attention {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            q: candle_nn::linear_no_bias(48, 48, vb.pp("q"))?,
            q_1: Heads::new(vb.pp("q@1"))?,
            k: candle_nn::linear_no_bias(48, 48, vb.pp("k"))?,
            k_1: Heads::new(vb.pp("k@1"))?,
            v: candle_nn::linear_no_bias(48, 48, vb.pp("v"))?,
            v_1: Heads::new(vb.pp("v@1"))?,
            o: candle_nn::linear_no_bias(48, 48, vb.pp("o"))?,
        })
    }

    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        biases: &Tensor,
    ) -> Result<Tensor> {
        let x = self.q.forward(x)?;
        let q = self.q_1.forward(&x)?;
        let x = self.k.forward(memory)?;
        let k = self.k_1.forward(&x)?;
        let x = self.v.forward(memory)?;
        let x = self.v_1.forward(&x)?;
        let x = attention(
            &q,
            &k,
            &x,
            AttentionOptions {
                bias: Some(biases),
                scale: Some(1.0),
                ..Default::default()
            },
        )?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.flatten_from(2)?;
        self.o.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct FeedForward {
    layer_norm: RmsNorm,
    dense_relu_dense: DenseReluDense,
}

impl FeedForward {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer_norm: candle_nn::rms_norm(48, 1e-6, vb.pp("layer_norm"))?,
            dense_relu_dense: DenseReluDense::new(vb.pp("DenseReluDense"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.layer_norm.forward(x)?;
        let y = self.dense_relu_dense.forward(&y)?;
        x + &y
    }
}

/// T5 and FLAN-T5. Source: transformers 4.57.6, `modeling_t5.py`; the defaults are those of `T5Config`.
#[derive(Debug, Clone)]
pub struct Attention2 {
    q: Linear,
    q_1: Heads,
    k: Linear,
    k_1: Heads,
    v: Linear,
    v_1: Heads,
    o: Linear,
}

impl Attention2 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            q: candle_nn::linear_no_bias(48, 48, vb.pp("q"))?,
            q_1: Heads::new(vb.pp("q@1"))?,
            k: candle_nn::linear_no_bias(48, 48, vb.pp("k"))?,
            k_1: Heads::new(vb.pp("k@1"))?,
            v: candle_nn::linear_no_bias(48, 48, vb.pp("v"))?,
            v_1: Heads::new(vb.pp("v@1"))?,
            o: candle_nn::linear_no_bias(48, 48, vb.pp("o"))?,
        })
    }

    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        biases: &Tensor,
    ) -> Result<Tensor> {
        let x = self.q.forward(x)?;
        let q = self.q_1.forward(&x)?;
        let x = self.k.forward(memory)?;
        let k = self.k_1.forward(&x)?;
        let x = self.v.forward(memory)?;
        let x = self.v_1.forward(&x)?;
        let x = attention(
            &q,
            &k,
            &x,
            AttentionOptions {
                bias: Some(biases),
                is_causal: true,
                scale: Some(1.0),
                ..Default::default()
            },
        )?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.flatten_from(2)?;
        self.o.forward(&x)
    }
}

/// T5 and FLAN-T5. Source: transformers 4.57.6, `modeling_t5.py`; the defaults are those of `T5Config`.
#[derive(Debug, Clone)]
pub struct Attention3 {
    q: Linear,
    q_1: Heads,
    k: Linear,
    k_1: Heads,
    v: Linear,
    v_1: Heads,
    o: Linear,
}

impl Attention3 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            q: candle_nn::linear_no_bias(48, 48, vb.pp("q"))?,
            q_1: Heads::new(vb.pp("q@1"))?,
            k: candle_nn::linear_no_bias(48, 48, vb.pp("k"))?,
            k_1: Heads::new(vb.pp("k@1"))?,
            v: candle_nn::linear_no_bias(48, 48, vb.pp("v"))?,
            v_1: Heads::new(vb.pp("v@1"))?,
            o: candle_nn::linear_no_bias(48, 48, vb.pp("o"))?,
        })
    }

    pub fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        _biases: &Tensor,
    ) -> Result<Tensor> {
        let x = self.q.forward(x)?;
        let q = self.q_1.forward(&x)?;
        let x = self.k.forward(memory)?;
        let k = self.k_1.forward(&x)?;
        let x = self.v.forward(memory)?;
        let x = self.v_1.forward(&x)?;
        let x = attention(
            &q,
            &k,
            &x,
            AttentionOptions {
                scale: Some(1.0),
                ..Default::default()
            },
        )?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.flatten_from(2)?;
        self.o.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct SelfAttentionLayer {
    layer_norm: RmsNorm,
    self_attention: Attention,
}

impl SelfAttentionLayer {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer_norm: candle_nn::rms_norm(48, 1e-6, vb.pp("layer_norm"))?,
            self_attention: Attention::new(vb.pp("SelfAttention"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let y = self.layer_norm.forward(x)?;
        let y = self.self_attention.forward(&y, &y, bias)?;
        x + &y
    }
}

#[derive(Debug, Clone)]
pub struct SelfAttentionLayer2 {
    layer_norm: RmsNorm,
    self_attention: Attention2,
}

impl SelfAttentionLayer2 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer_norm: candle_nn::rms_norm(48, 1e-6, vb.pp("layer_norm"))?,
            self_attention: Attention2::new(vb.pp("SelfAttention"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let y = self.layer_norm.forward(x)?;
        let y = self.self_attention.forward(&y, &y, bias)?;
        x + &y
    }
}

#[derive(Debug, Clone)]
pub struct CrossAttentionLayer {
    layer_norm: RmsNorm,
    enc_dec_attention: Attention3,
}

impl CrossAttentionLayer {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer_norm: candle_nn::rms_norm(48, 1e-6, vb.pp("layer_norm"))?,
            enc_dec_attention: Attention3::new(vb.pp("EncDecAttention"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, memory: &Tensor) -> Result<Tensor> {
        let y = self.layer_norm.forward(x)?;
        let y = self.enc_dec_attention.forward(&y, memory, memory)?;
        x + &y
    }
}

#[derive(Debug, Clone)]
pub struct Layer {
    self_attention_layer_0: SelfAttentionLayer,
    feed_forward_1: FeedForward,
}

impl Layer {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            self_attention_layer_0: SelfAttentionLayer::new(vb.pp("0"))?,
            feed_forward_1: FeedForward::new(vb.pp("1"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let x = self.self_attention_layer_0.forward(x, y)?;
        self.feed_forward_1.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct Layer2 {
    self_attention_layer2_0: SelfAttentionLayer2,
    cross_attention_layer_1: CrossAttentionLayer,
    feed_forward_2: FeedForward,
}

impl Layer2 {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            self_attention_layer2_0: SelfAttentionLayer2::new(vb.pp("0"))?,
            cross_attention_layer_1: CrossAttentionLayer::new(vb.pp("1"))?,
            feed_forward_2: FeedForward::new(vb.pp("2"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, y: &Tensor, z: &Tensor) -> Result<Tensor> {
        let x = self.self_attention_layer2_0.forward(x, y)?;
        let x = self.cross_attention_layer_1.forward(&x, z)?;
        self.feed_forward_2.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct EncoderBlock {
    layer: Layer,
}

impl EncoderBlock {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer: Layer::new(vb.pp("layer"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.layer.forward(x, bias)
    }
}

#[derive(Debug, Clone)]
pub struct DecoderBlock {
    layer: Layer2,
}

impl DecoderBlock {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            layer: Layer2::new(vb.pp("layer"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, memory: &Tensor, bias: &Tensor) -> Result<Tensor> {
        self.layer.forward(x, bias, memory)
    }
}

#[derive(Debug, Clone)]
pub struct Encoder {
    embed_tokens: Embedding,
    block_0_layer_0_self_attention_relative_attention_bias: Embedding,
    block_: Vec<EncoderBlock>,
    final_layer_norm: RmsNorm,
}

impl Encoder {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            embed_tokens: candle_nn::embedding(128, 48, vb.pp("embed_tokens"))?,
            block_0_layer_0_self_attention_relative_attention_bias: candle_nn::embedding(
                32,
                4,
                vb.pp("block.0.layer.0.SelfAttention.relative_attention_bias"),
            )?,
            block_: Vec::from([
                EncoderBlock::new(vb.pp("block").pp("0"))?,
                EncoderBlock::new(vb.pp("block").pp("1"))?,
            ]),
            final_layer_norm: candle_nn::rms_norm(48, 1e-6, vb.pp("final_layer_norm"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let embed_tokens = self.embed_tokens.forward(x)?;
        let x = relative_position_buckets(
            x.dim(1)?,
            x.dim(1)?,
            true,
            32,
            128,
            embed_tokens.device(),
        )?;
        let x = self.block_0_layer_0_self_attention_relative_attention_bias.forward(&x)?;
        let x = x.permute((2, 0, 1))?.contiguous()?;
        let x = x.unsqueeze(0)?;
        let mut y = embed_tokens.clone();
        for module in &self.block_ {
            y = module.forward(&y, &x)?;
        }
        self.final_layer_norm.forward(&y)
    }
}

#[derive(Debug, Clone)]
pub struct Decoder {
    embed_tokens: Embedding,
    block_0_layer_0_self_attention_relative_attention_bias: Embedding,
    block_: Vec<DecoderBlock>,
    final_layer_norm: RmsNorm,
}

impl Decoder {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            embed_tokens: candle_nn::embedding(128, 48, vb.pp("embed_tokens"))?,
            block_0_layer_0_self_attention_relative_attention_bias: candle_nn::embedding(
                32,
                4,
                vb.pp("block.0.layer.0.SelfAttention.relative_attention_bias"),
            )?,
            block_: Vec::from([
                DecoderBlock::new(vb.pp("block").pp("0"))?,
                DecoderBlock::new(vb.pp("block").pp("1"))?,
            ]),
            final_layer_norm: candle_nn::rms_norm(48, 1e-6, vb.pp("final_layer_norm"))?,
        })
    }

    pub fn forward(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let embed_tokens = self.embed_tokens.forward(y)?;
        let y = relative_position_buckets(
            y.dim(1)?,
            y.dim(1)?,
            false,
            32,
            128,
            embed_tokens.device(),
        )?;
        let y = self.block_0_layer_0_self_attention_relative_attention_bias.forward(&y)?;
        let y = y.permute((2, 0, 1))?.contiguous()?;
        let y = y.unsqueeze(0)?;
        let mut z = embed_tokens.clone();
        for module in &self.block_ {
            z = module.forward(&z, x, &y)?;
        }
        self.final_layer_norm.forward(&z)
    }
}

#[derive(Debug, Clone)]
pub struct T5ForConditionalGeneration {
    shared_weight: Tensor,
    encoder: Encoder,
    decoder: Decoder,
    lm_head: Linear,
}

impl T5ForConditionalGeneration {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let vb = tied(
            vb,
            &[
                ("encoder.embed_tokens.weight", "shared.weight"),
                ("decoder.embed_tokens.weight", "shared.weight"),
                ("lm_head.weight", "shared.weight"),
            ],
        );
        Ok(Self {
            shared_weight: vb.get((128, 48), "shared.weight")?,
            encoder: Encoder::new(vb.pp("encoder"))?,
            decoder: Decoder::new(vb.pp("decoder"))?,
            lm_head: candle_nn::linear_no_bias(48, 128, vb.pp("lm_head"))?,
        })
    }

    pub fn forward(
        &self,
        input_ids: &Tensor,
        decoder_input_ids: &Tensor,
    ) -> Result<Tensor> {
        let x = self.encoder.forward(input_ids)?;
        let x = self.decoder.forward(&x, decoder_input_ids)?;
        let x = (&x * 0.14433756729740643)?;
        self.lm_head.forward(&x)
    }
}

/// Reads parameters that are others' under the names of those.
fn tied<'a>(vb: VarBuilder<'a>, ties: &'static [(&'static str, &'static str)]) -> VarBuilder<'a> {
    let prefix = vb.prefix();
    let start = if prefix.is_empty() { String::new() } else { format!("{prefix}.") };
    let renamed = vb.root().rename_f(move |name| {
        let own = name.strip_prefix(&start).unwrap_or(name);
        let tie = ties.iter().find(|(tied, _)| *tied == own);
        tie.map_or_else(|| name.to_owned(), |(_, owner)| format!("{start}{owner}"))
    });
    if prefix.is_empty() { renamed } else { renamed.set_prefix(prefix) }
}

/// What attention may have beside queries, keys and values.
#[derive(Debug, Default)]
pub struct AttentionOptions<'a> {
    /// Is added to the scores.
    bias: Option<&'a Tensor>,
    /// The last query sees the last key, each one before it one key less.
    is_causal: bool,
    scale: Option<f64>,
    /// How many keys a query sees.
    window: Option<usize>,
    softcap: Option<f64>,
    /// A score for each head that takes its share and gives nothing.
    sinks: Option<&'a Tensor>,
}

/// Scaled dot-product attention of [*, heads, T, width]; keys and values may have fewer heads.
fn attention(
    query: &Tensor,
    key: &Tensor,
    value: &Tensor,
    options: AttentionOptions,
) -> Result<Tensor> {
    let rank = query.rank();
    let (queries, keys) = (query.dim(rank - 2)?, key.dim(rank - 2)?);
    let groups = if rank > 2 { query.dim(rank - 3)? / key.dim(rank - 3)? } else { 1 };
    let spread = |x: &Tensor| match groups {
        1 => x.contiguous(),
        _ => repeat_heads(x, groups),
    };
    let (key, value) = (spread(key)?, spread(value)?);
    let scale = options.scale.unwrap_or(1.0 / (query.dim(rank - 1)? as f64).sqrt());
    let key = key.transpose(rank - 2, rank - 1)?.contiguous()?;
    let mut scores = (batched_matmul(query, &key)? * scale)?;
    if let Some(softcap) = options.softcap {
        scores = ((scores / softcap)?.tanh()? * softcap)?;
    }
    if let Some(bias) = options.bias {
        scores = scores.broadcast_add(&bias.to_dtype(scores.dtype())?)?;
    }
    if options.is_causal || options.window.is_some() {
        let window = options.window.unwrap_or(usize::MAX);
        let hidden = (0..queries).flat_map(|query| {
            // How far the query lies behind the key, from 0 at the same place.
            let place = query + keys;
            (0..keys).map(move |key| {
                let (behind, ahead) =
                    (place.saturating_sub(queries + key), (queries + key).saturating_sub(place));
                let is_seen =
                    behind < window && if options.is_causal { ahead == 0 } else { ahead < window };
                if is_seen { 0f32 } else { f32::NEG_INFINITY }
            })
        });
        let hidden = Tensor::from_iter(hidden, query.device())?.reshape((queries, keys))?;
        scores = scores.broadcast_add(&hidden.to_dtype(scores.dtype())?)?;
    }
    let Some(sinks) = options.sinks else {
        let weights = candle_nn::ops::softmax_last_dim(&scores.contiguous()?)?;
        return batched_matmul(&weights, &value);
    };
    let mut shape = scores.dims().to_vec();
    shape[rank - 1] = 1;
    let sinks = sinks.to_dtype(scores.dtype())?.reshape(((), 1, 1))?.broadcast_as(shape)?;
    let weights = candle_nn::ops::softmax_last_dim(&Tensor::cat(
        &[&scores, &sinks.contiguous()?],
        rank - 1,
    )?)?;
    batched_matmul(&weights.narrow(rank - 1, 0, keys)?, &value)
}

/// Each head so many times: [*, heads, T, width].
fn repeat_heads(x: &Tensor, times: usize) -> Result<Tensor> {
    let dim = x.rank() - 3;
    let mut shape = x.dims().to_vec();
    let mut repeated = shape.clone();
    repeated.insert(dim + 1, times);
    shape[dim] *= times;
    x.unsqueeze(dim + 1)?.broadcast_as(repeated)?.contiguous()?.reshape(shape)
}

/// T5's bucket for the distance of each key from each query: [query_length, key_length].
fn relative_position_buckets(
    query_length: usize,
    key_length: usize,
    bidirectional: bool,
    num_buckets: usize,
    max_distance: usize,
    device: &candle_core::Device,
) -> Result<Tensor> {
    let count = if bidirectional { num_buckets / 2 } else { num_buckets };
    let exact = count / 2;
    let bucket = |query: usize, key: usize| {
        let (first, distance) = match (bidirectional, key > query) {
            (true, true) => (count, key - query),
            (true, false) | (false, false) => (0, query - key),
            (false, true) => (0, 0),
        };
        if distance < exact {
            return (first + distance) as i64;
        }
        let far = (distance as f32 / exact as f32).ln() / (max_distance as f32 / exact as f32).ln();
        let far = exact + (far * (count - exact) as f32) as usize;
        (first + far.min(count - 1)) as i64
    };
    let buckets =
        (0..query_length).flat_map(|query| (0..key_length).map(move |key| bucket(query, key)));
    Tensor::from_iter(buckets, device)?.reshape((query_length, key_length))
}

/// A layer over the last dimension of a tensor with any number of dimensions.
fn flat(linear: &candle_nn::Linear, x: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let width = shape.pop().unwrap_or(1);
    let y = candle_nn::Module::forward(linear, &x.reshape(((), width))?)?;
    shape.push(y.dim(1)?);
    y.reshape(shape)
}

/// A product of matrices in tensors of any number of dimensions; Candle's end at four.
fn batched_matmul(left: &Tensor, right: &Tensor) -> Result<Tensor> {
    let (left, right) = (left.contiguous()?, right.contiguous()?);
    if left.rank().max(right.rank()) <= 4 {
        return left.broadcast_matmul(&right);
    }
    let split = |x: &Tensor| {
        let (batch, matrix) = x.dims().split_at(x.rank() - 2);
        (candle_core::Shape::from(batch), matrix.to_vec())
    };
    let ((left_batch, rows), (right_batch, columns)) = (split(&left), split(&right));
    let batch = left_batch.broadcast_shape_binary_op(&right_batch, "matmul")?.into_dims();
    let flat = |x: &Tensor, matrix: &[usize]| {
        let whole = x.broadcast_as([&batch, matrix].concat())?.contiguous()?;
        whole.reshape(((), matrix[0], matrix[1]))
    };
    let product = flat(&left, &rows)?.matmul(&flat(&right, &columns)?)?;
    product.reshape([&batch[..], &[rows[0], columns[1]]].concat())
}
