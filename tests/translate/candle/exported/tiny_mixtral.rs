//! MixtralForCausalLM, written by `taper export`.
//!
//! Its arguments: vocab_size=256, hidden_size=64, intermediate_size=112, num_hidden_layers=2,
//! num_attention_heads=4, num_key_value_heads=2, hidden_act="silu", rms_norm_eps=1e-5,
//! rope_theta=1000000.0, num_local_experts=4, num_experts_per_tok=2, sliding_window=none,
//! torch_dtype="float32".
//! Its parameters have the names of the Taper model's, so the same checkpoints load.
//! It infers: normalisation uses running statistics, dropout does nothing.
//! Sizes that may be any that the model promises: B, T.

use candle_core::{DType, Result, Tensor};
use candle_nn::{Embedding, Linear, Module, RmsNorm, VarBuilder};

#[derive(Debug, Clone)]
pub struct Attention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
}

impl Attention {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            q_proj: candle_nn::linear_no_bias(64, 64, vb.pp("q_proj"))?,
            k_proj: candle_nn::linear_no_bias(64, 32, vb.pp("k_proj"))?,
            v_proj: candle_nn::linear_no_bias(64, 32, vb.pp("v_proj"))?,
            o_proj: candle_nn::linear_no_bias(64, 64, vb.pp("o_proj"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.q_proj.forward(x)?;
        let y = y.reshape((y.dim(0)?, y.dim(1)?, 4, 16))?;
        let q_proj = y.transpose(1, 2)?.contiguous()?;
        let y = self.k_proj.forward(x)?;
        let y = y.reshape((y.dim(0)?, y.dim(1)?, 2, 16))?;
        let k_proj = y.transpose(1, 2)?.contiguous()?;
        let x = self.v_proj.forward(x)?;
        let x = x.reshape((x.dim(0)?, x.dim(1)?, 2, 16))?;
        let v_proj = x.transpose(1, 2)?.contiguous()?;
        let q = rotary_embedding(&q_proj, 1000000.0, false, 0, RopeScaling::None)?;
        let x = rotary_embedding(&k_proj, 1000000.0, false, 0, RopeScaling::None)?;
        let x = attention(
            &q,
            &x,
            &v_proj,
            AttentionOptions {
                is_causal: true,
                ..Default::default()
            },
        )?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let x = x.flatten_from(2)?;
        self.o_proj.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct Expert {
    w1: Linear,
    w3: Linear,
    w2: Linear,
}

impl Expert {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            w1: candle_nn::linear_no_bias(64, 112, vb.pp("w1"))?,
            w3: candle_nn::linear_no_bias(64, 112, vb.pp("w3"))?,
            w2: candle_nn::linear_no_bias(112, 64, vb.pp("w2"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.w1.forward(x)?;
        let w1 = y.silu()?;
        let x = self.w3.forward(x)?;
        let x = (&w1 * &x)?;
        self.w2.forward(&x)
    }
}

#[derive(Debug, Clone)]
pub struct Experts {
    experts: Vec<Expert>,
}

impl Experts {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            experts: (0..4).map(|i| Expert::new(vb.pp(i))).collect::<Result<_>>()?,
        })
    }

    pub fn forward(&self, x: &Tensor, y: &Tensor, z: &Tensor) -> Result<Tensor> {
        let outputs = self
            .experts
            .iter()
            .map(|module| module.forward(x))
            .collect::<Result<Vec<_>>>()?;
        weighted_sum(y, z, &outputs)
    }
}

#[derive(Debug, Clone)]
pub struct SparseMoe {
    gate: Linear,
    experts: Experts,
}

impl SparseMoe {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            gate: candle_nn::linear_no_bias(64, 4, vb.pp("gate"))?,
            experts: Experts::new(vb.pp("experts"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.gate.forward(x)?;
        let y = candle_nn::ops::softmax(&y, 2)?;
        let (top, chosen) = topk(&y, 2)?;
        let y = top.sum_keepdim(2)?;
        let y = top.broadcast_div(&y)?;
        self.experts.forward(x, &y, &chosen)
    }
}

#[derive(Debug, Clone)]
pub struct DecoderLayer {
    input_layernorm: RmsNorm,
    self_attn: Attention,
    post_attention_layernorm: RmsNorm,
    block_sparse_moe: SparseMoe,
}

impl DecoderLayer {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            input_layernorm: candle_nn::rms_norm(64, 1e-5, vb.pp("input_layernorm"))?,
            self_attn: Attention::new(vb.pp("self_attn"))?,
            post_attention_layernorm: candle_nn::rms_norm(
                64,
                1e-5,
                vb.pp("post_attention_layernorm"),
            )?,
            block_sparse_moe: SparseMoe::new(vb.pp("block_sparse_moe"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.input_layernorm.forward(x)?;
        let y = self.self_attn.forward(&y)?;
        let attended = (x + &y)?;
        let x = self.post_attention_layernorm.forward(&attended)?;
        let x = self.block_sparse_moe.forward(&x)?;
        &attended + &x
    }
}

#[derive(Debug, Clone)]
pub struct Model {
    embed_tokens: Embedding,
    layers: Vec<DecoderLayer>,
    norm: RmsNorm,
}

impl Model {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            embed_tokens: candle_nn::embedding(256, 64, vb.pp("embed_tokens"))?,
            layers: Vec::from([
                DecoderLayer::new(vb.pp("layers").pp("0"))?,
                DecoderLayer::new(vb.pp("layers").pp("1"))?,
            ]),
            norm: candle_nn::rms_norm(64, 1e-5, vb.pp("norm"))?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = self.embed_tokens.forward(x)?;
        for module in &self.layers {
            x = module.forward(&x)?;
        }
        self.norm.forward(&x)
    }
}

/// Mixtral. Source: transformers 4.57.6, `modeling_mixtral.py`; the defaults are those of `MixtralConfig`.
#[derive(Debug, Clone)]
pub struct MixtralForCausalLM {
    model: Model,
    lm_head: Linear,
}

impl MixtralForCausalLM {
    pub fn new(vb: VarBuilder) -> Result<Self> {
        Ok(Self {
            model: Model::new(vb.pp("model"))?,
            lm_head: candle_nn::linear_no_bias(64, 256, vb.pp("lm_head"))?,
        })
    }

    pub fn forward(&self, input_ids: &Tensor) -> Result<Tensor> {
        let x = self.model.forward(input_ids)?;
        self.lm_head.forward(&x)
    }
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

/// How rotary angles are stretched to longer sequences.
#[derive(Debug, Clone, Copy)]
#[allow(dead_code)]
pub enum RopeScaling {
    None,
    Linear {
        factor: f64,
    },
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        original_length: f64,
    },
    Yarn {
        factor: f64,
        beta_fast: f64,
        beta_slow: f64,
        original_length: f64,
        truncate: bool,
        attention_factor: Option<f64>,
    },
}

/// Turns pairs of features of [*, T, D] by an angle that grows with the position (RoFormer).
fn rotary_embedding(
    x: &Tensor,
    theta: f64,
    interleaved: bool,
    offset: usize,
    scaling: RopeScaling,
) -> Result<Tensor> {
    use std::f64::consts::PI;
    let (length, width) = (x.dim(x.rank() - 2)?, x.dim(x.rank() - 1)?);
    let pairs = width / 2;
    let mut frequencies: Vec<f64> =
        (0..pairs).map(|pair| theta.powf(-2.0 * pair as f64 / width as f64)).collect();
    let mut scale = 1.0;
    match scaling {
        RopeScaling::None => {}
        RopeScaling::Linear { factor } => frequencies.iter_mut().for_each(|one| *one /= factor),
        RopeScaling::Llama3 { factor, low_freq_factor, high_freq_factor, original_length } => {
            for one in &mut frequencies {
                let turns = original_length * *one / (2.0 * PI);
                let smooth = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                let smooth = smooth.clamp(0.0, 1.0);
                *one = (1.0 - smooth) * *one / factor + smooth * *one;
            }
        }
        RopeScaling::Yarn {
            factor,
            beta_fast,
            beta_slow,
            original_length,
            truncate,
            attention_factor,
        } => {
            let bound = |beta: f64| {
                width as f64 * (original_length / (beta * 2.0 * PI)).ln() / (2.0 * theta.ln())
            };
            let (mut low, mut high) = (bound(beta_fast), bound(beta_slow));
            if truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            let (low, high) = (low.max(0.0), high.min(width as f64 - 1.0));
            let range = if low == high { 0.001 } else { high - low };
            for (pair, one) in frequencies.iter_mut().enumerate() {
                let ramp = ((pair as f64 - low) / range).clamp(0.0, 1.0);
                *one = ramp * *one / factor + (1.0 - ramp) * *one;
            }
            let usual = if factor > 1.0 { 0.1 * factor.ln() + 1.0 } else { 1.0 };
            scale = attention_factor.unwrap_or(usual);
        }
    }
    let angles = (0..length).flat_map(|place| {
        frequencies.iter().map(move |frequency| ((place + offset) as f64 * frequency) as f32)
    });
    let angles: Vec<f32> = angles.collect();
    let angles = Tensor::from_vec(angles, (length, pairs), x.device())?;
    let (cos, sin) = ((angles.cos()? * scale)?, (angles.sin()? * scale)?);
    let (cos, sin) = (cos.to_dtype(x.dtype())?, sin.to_dtype(x.dtype())?);
    let shape = x.dims();
    let (first, second) = match interleaved {
        true => {
            let apart = x.reshape([&shape[..shape.len() - 1], &[pairs, 2]].concat())?;
            let rank = apart.rank();
            (apart.get_on_dim(rank - 1, 0)?, apart.get_on_dim(rank - 1, 1)?)
        }
        false => {
            let dim = shape.len() - 1;
            (x.narrow(dim, 0, pairs)?, x.narrow(dim, pairs, pairs)?)
        }
    };
    let turned = [
        (first.broadcast_mul(&cos)? - second.broadcast_mul(&sin)?)?,
        (first.broadcast_mul(&sin)? + second.broadcast_mul(&cos)?)?,
    ];
    match interleaved {
        true => Tensor::stack(&turned, shape.len())?.reshape(shape),
        false => Tensor::cat(&turned, shape.len() - 1),
    }
}

/// For each token the sum of what its experts gave, by weight. All experts have seen all tokens.
fn weighted_sum(weights: &Tensor, indices: &Tensor, outputs: &[Tensor]) -> Result<Tensor> {
    let mut total: Option<Tensor> = None;
    for (number, output) in outputs.iter().enumerate() {
        let is_chosen = indices.eq(number as i64)?.to_dtype(weights.dtype())?;
        let weight = (weights * is_chosen)?.sum_keepdim(weights.rank() - 1)?;
        let part = output.broadcast_mul(&weight.to_dtype(output.dtype())?)?;
        total = Some(match total {
            Some(total) => (total + part)?,
            None => part,
        });
    }
    total.ok_or_else(|| candle_core::Error::Msg("there are no experts".to_owned()))
}

/// The largest of the last dimension, and their places.
fn topk(x: &Tensor, k: usize) -> Result<(Tensor, Tensor)> {
    let places =
        x.contiguous()?.arg_sort_last_dim(false)?.narrow(x.rank() - 1, 0, k)?.contiguous()?;
    Ok((x.contiguous()?.gather(&places, x.rank() - 1)?, places.to_dtype(DType::I64)?))
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
