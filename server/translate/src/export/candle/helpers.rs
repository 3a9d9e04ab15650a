//! What Candle lacks. The exporter puts the sections that a model needs into its file.

// section: tied
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

// section: OblongConv2d
/// A convolution whose kernel or padding is not the same in both axes.
#[derive(Debug, Clone)]
pub struct OblongConv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    padding: (usize, usize),
    stride: usize,
    dilation: usize,
    groups: usize,
}

impl OblongConv2d {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel_size: (usize, usize),
        padding: (usize, usize),
        stride: usize,
        dilation: usize,
        groups: usize,
        has_bias: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let shape = (out_channels, in_channels / groups, kernel_size.0, kernel_size.1);
        let bias = if has_bias { Some(vb.get(out_channels, "bias")?) } else { None };
        Ok(Self { weight: vb.get(shape, "weight")?, bias, padding, stride, dilation, groups })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (height, width) = self.padding;
        let x = x.pad_with_zeros(2, height, height)?.pad_with_zeros(3, width, width)?;
        let x = x.conv2d(&self.weight, 0, self.stride, self.dilation, self.groups)?;
        match &self.bias {
            Some(bias) => x.broadcast_add(&bias.reshape((1, (), 1, 1))?),
            None => Ok(x),
        }
    }
}

// section: MultiheadAttention
/// `torch.nn.MultiheadAttention` with queries, keys and values of one width.
#[derive(Debug, Clone)]
pub struct MultiheadAttention {
    in_proj_weight: Tensor,
    in_proj_bias: Option<Tensor>,
    out_proj: candle_nn::Linear,
    num_heads: usize,
    batch_first: bool,
}

impl MultiheadAttention {
    pub fn new(
        embed_dim: usize,
        num_heads: usize,
        has_bias: bool,
        batch_first: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        let in_proj_bias =
            if has_bias { Some(vb.get(3 * embed_dim, "in_proj_bias")?) } else { None };
        Ok(Self {
            in_proj_weight: vb.get((3 * embed_dim, embed_dim), "in_proj_weight")?,
            in_proj_bias,
            out_proj: candle_nn::linear_b(embed_dim, embed_dim, has_bias, vb.pp("out_proj"))?,
            num_heads,
            batch_first,
        })
    }

    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<Tensor> {
        let (query, key, value) =
            (self.project(query, 0)?, self.project(key, 1)?, self.project(value, 2)?);
        let x = attention(&query, &key, &value, AttentionOptions::default())?;
        let x = x.transpose(1, 2)?.flatten_from(2)?;
        let x = candle_nn::Module::forward(&self.out_proj, &x)?;
        if self.batch_first { Ok(x) } else { x.transpose(0, 1)?.contiguous() }
    }

    /// [N, heads, T, width] of the queries, keys or values.
    fn project(&self, x: &Tensor, which: usize) -> Result<Tensor> {
        let x = if self.batch_first { x.clone() } else { x.transpose(0, 1)?.contiguous()? };
        let (batch, length, width) = x.dims3()?;
        let weight = self.in_proj_weight.narrow(0, which * width, width)?;
        let bias = match &self.in_proj_bias {
            Some(bias) => Some(bias.narrow(0, which * width, width)?),
            None => None,
        };
        let x = candle_nn::Module::forward(&candle_nn::Linear::new(weight, bias), &x)?;
        x.reshape((batch, length, self.num_heads, ()))?.transpose(1, 2)?.contiguous()
    }
}

// section: EmbeddingBag
/// The sum or mean of rows of a table.
#[derive(Debug, Clone)]
pub struct EmbeddingBag {
    embedding: candle_nn::Embedding,
    is_mean: bool,
}

impl EmbeddingBag {
    pub fn new(
        num_embeddings: usize,
        embedding_dim: usize,
        is_mean: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self { embedding: candle_nn::embedding(num_embeddings, embedding_dim, vb)?, is_mean })
    }

    /// [B, N] to [B, embedding_dim].
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let rows = candle_nn::Module::forward(&self.embedding, x)?;
        if self.is_mean { rows.mean(1) } else { rows.sum(1) }
    }
}

// section: Lstm
/// `torch.nn.LSTM`; it begins with zeros.
#[derive(Debug, Clone)]
pub struct Lstm {
    /// The directions of each layer.
    layers: Vec<Vec<candle_nn::LSTM>>,
    batch_first: bool,
}

impl Lstm {
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        num_layers: usize,
        batch_first: bool,
        bidirectional: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        use candle_nn::rnn::Direction;
        let directions: &[_] = match bidirectional {
            true => &[Direction::Forward, Direction::Backward],
            false => &[Direction::Forward],
        };
        let layer = |layer_idx: usize| {
            let width = if layer_idx == 0 { input_size } else { hidden_size * directions.len() };
            let one = |direction: &Direction| {
                let config = candle_nn::LSTMConfig {
                    layer_idx,
                    direction: *direction,
                    ..Default::default()
                };
                candle_nn::lstm(width, hidden_size, config, vb.clone())
            };
            directions.iter().map(one).collect::<Result<Vec<_>>>()
        };
        let layers = (0..num_layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, batch_first })
    }

    /// The output, and the last hidden and cell states.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        use candle_nn::RNN;
        let mut x = if self.batch_first { x.clone() } else { x.transpose(0, 1)?.contiguous()? };
        let (mut hidden, mut cells) = (Vec::new(), Vec::new());
        for directions in &self.layers {
            let mut outputs = Vec::new();
            for (index, lstm) in directions.iter().enumerate() {
                let turned = if index == 0 { x.clone() } else { x.flip(&[1])? };
                let states = lstm.seq(&turned)?;
                let output = lstm.states_to_tensor(&states)?;
                outputs.push(if index == 0 { output } else { output.flip(&[1])? });
                if let Some(last) = states.last() {
                    hidden.push(last.h().clone());
                    cells.push(last.c().clone());
                }
            }
            x = Tensor::cat(&outputs, 2)?;
        }
        let x = if self.batch_first { x } else { x.transpose(0, 1)?.contiguous()? };
        Ok((x, Tensor::stack(&hidden, 0)?, Tensor::stack(&cells, 0)?))
    }
}

// section: Gru
/// `torch.nn.GRU` of one layer and direction; it begins with zeros.
#[derive(Debug, Clone)]
pub struct Gru {
    gru: candle_nn::GRU,
    batch_first: bool,
}

impl Gru {
    pub fn new(
        input_size: usize,
        hidden_size: usize,
        batch_first: bool,
        vb: VarBuilder,
    ) -> Result<Self> {
        Ok(Self {
            gru: candle_nn::gru(input_size, hidden_size, Default::default(), vb)?,
            batch_first,
        })
    }

    /// The output, and the last hidden state.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        use candle_nn::RNN;
        let x = if self.batch_first { x.clone() } else { x.transpose(0, 1)?.contiguous()? };
        let states = self.gru.seq(&x)?;
        let states: Vec<&Tensor> = states.iter().map(|state| state.h()).collect();
        let output = Tensor::stack(&states, 1)?;
        let last = output.narrow(1, output.dim(1)? - 1, 1)?.transpose(0, 1)?.contiguous()?;
        let output =
            if self.batch_first { output } else { output.transpose(0, 1)?.contiguous()? };
        Ok((output, last))
    }
}

// section: attention
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

// section: rotary_embedding
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

// section: relative_position_buckets
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

// section: weighted_sum
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

// section: selective_scan
/// Mamba's recurrence: u, delta [N, E, L], a [E, S], b, c [N, S, L], d [E].
fn selective_scan(
    u: &Tensor,
    delta: &Tensor,
    a: &Tensor,
    b: &Tensor,
    c: &Tensor,
    d: Option<&Tensor>,
    delta_softplus: bool,
) -> Result<Tensor> {
    let (batch, width, length) = u.dims3()?;
    let delta = if delta_softplus { softplus(delta)? } else { delta.clone() };
    let mut state = Tensor::zeros((batch, width, a.dim(1)?), u.dtype(), u.device())?;
    let mut outputs = Vec::with_capacity(length);
    for position in 0..length {
        let at = |x: &Tensor, dim: usize| x.get_on_dim(2, position)?.unsqueeze(dim);
        let step = at(&delta, 2)?;
        let fed = (&step * at(u, 2)?)?.broadcast_mul(&at(b, 1)?)?;
        state = ((state * step.broadcast_mul(a)?.exp()?)? + fed)?;
        outputs.push(state.broadcast_mul(&at(c, 1)?)?.sum(2)?);
    }
    let y = Tensor::stack(&outputs, 2)?;
    match d {
        Some(d) => y + u.broadcast_mul(&d.unsqueeze(1)?)?,
        None => Ok(y),
    }
}

// section: max_pool2d
/// A pool with padding, or with a last window that hangs over.
fn max_pool2d(
    x: &Tensor,
    kernel_size: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
    ceil_mode: bool,
) -> Result<Tensor> {
    let least = Tensor::new(f32::NEG_INFINITY, x.device())?.to_dtype(x.dtype())?;
    let pad = |x: Tensor, dim: usize, kernel: usize, stride: usize, padding: usize| {
        let size = x.dim(dim)?;
        let after = padding + overhang(size, kernel, stride, padding, ceil_mode);
        let margin = |count: usize| {
            let mut shape = x.dims().to_vec();
            shape[dim] = count;
            least.broadcast_as(shape)?.contiguous()
        };
        match (padding, after) {
            (0, 0) => Ok(x),
            (0, after) => Tensor::cat(&[&x, &margin(after)?], dim),
            (before, after) => Tensor::cat(&[&margin(before)?, &x, &margin(after)?], dim),
        }
    };
    let x = pad(x.clone(), 2, kernel_size.0, stride.0, padding.0)?;
    let x = pad(x, 3, kernel_size.1, stride.1, padding.1)?;
    x.max_pool2d_with_stride(kernel_size, stride)
}

// section: overhang
/// How far the last window of a pool hangs over the padded input; it must begin inside.
fn overhang(size: usize, kernel: usize, stride: usize, padding: usize, ceil_mode: bool) -> usize {
    let padded = size + 2 * padding;
    let rest = (padded - kernel) % stride;
    let last = (padded - kernel) / stride * stride + stride;
    if ceil_mode && rest > 0 && last < size + padding { stride - rest } else { 0 }
}

// section: avg_pool2d
/// A pool with padding, or with a last window that hangs over.
fn avg_pool2d(
    x: &Tensor,
    kernel_size: (usize, usize),
    stride: (usize, usize),
    padding: (usize, usize),
    ceil_mode: bool,
    count_include_pad: bool,
) -> Result<Tensor> {
    let pad = |x: &Tensor, is_padding: bool| {
        let mut x = x.clone();
        for (dim, kernel, stride, padding) in
            [(2, kernel_size.0, stride.0, padding.0), (3, kernel_size.1, stride.1, padding.1)]
        {
            let more = overhang(x.dim(dim)?, kernel, stride, padding, ceil_mode);
            // What hangs over the padding is never counted.
            x = match is_padding {
                true => x.pad_with_same(dim, padding, padding)?.pad_with_zeros(dim, 0, more)?,
                false => x.pad_with_zeros(dim, padding, padding + more)?,
            };
        }
        x.avg_pool2d_with_stride(kernel_size, stride)
    };
    let counted = Tensor::ones((1, 1, x.dim(2)?, x.dim(3)?), x.dtype(), x.device())?;
    pad(x, false)?.broadcast_div(&pad(&counted, count_include_pad)?)
}

// section: adaptive_avg_pool2d
/// The mean of each of height × width parts of [*, H, W], which may overlap.
fn adaptive_avg_pool2d(x: &Tensor, height: usize, width: usize) -> Result<Tensor> {
    let parts = |size: usize, count: usize| {
        let weights = (0..count).flat_map(|part| {
            let (start, end) = (part * size / count, ((part + 1) * size).div_ceil(count));
            (0..size).map(move |place| match (start..end).contains(&place) {
                true => 1.0 / (end - start) as f32,
                false => 0.0,
            })
        });
        Tensor::from_iter(weights, x.device())?.reshape((count, size))?.to_dtype(x.dtype())
    };
    let rank = x.rank();
    let rows = parts(x.dim(rank - 2)?, height)?;
    let columns = parts(x.dim(rank - 1)?, width)?.t()?.contiguous()?;
    rows.broadcast_matmul(&x.contiguous()?)?.broadcast_matmul(&columns)
}

// section: topk
/// The largest of the last dimension, and their places.
fn topk(x: &Tensor, k: usize) -> Result<(Tensor, Tensor)> {
    let places =
        x.contiguous()?.arg_sort_last_dim(false)?.narrow(x.rank() - 1, 0, k)?.contiguous()?;
    Ok((x.contiguous()?.gather(&places, x.rank() - 1)?, places.to_dtype(DType::I64)?))
}

// section: cumsum
/// The running sum, of whole numbers too.
fn cumsum(x: &Tensor, dim: usize) -> Result<Tensor> {
    x.to_dtype(DType::F32)?.cumsum(dim)?.to_dtype(x.dtype())
}

// section: select
/// One tensor where a condition is not 0, the other elsewhere.
fn select(condition: &Tensor, on_true: &Tensor, on_false: &Tensor) -> Result<Tensor> {
    let shape = condition.shape().broadcast_shape_binary_op(on_true.shape(), "select")?;
    let shape = shape.broadcast_shape_binary_op(on_false.shape(), "select")?;
    let condition = condition.ne(&condition.zeros_like()?)?.broadcast_as(&shape)?;
    condition.where_cond(&on_true.broadcast_as(&shape)?, &on_false.broadcast_as(&shape)?)
}

// section: every
/// So many elements of a dimension, a step apart.
fn every(x: &Tensor, dim: usize, start: usize, length: usize, step: usize) -> Result<Tensor> {
    let places = (0..length).map(|index| (start + index * step) as u32);
    x.contiguous()?.index_select(&Tensor::from_iter(places, x.device())?, dim)
}

// section: repeat_interleave
/// Each element of a dimension so many times in a row.
fn repeat_interleave(x: &Tensor, repeats: usize, dim: usize) -> Result<Tensor> {
    let places = (0..x.dim(dim)?).flat_map(|place| std::iter::repeat_n(place as u32, repeats));
    x.index_select(&Tensor::from_iter(places, x.device())?, dim)
}

// section: channel_shuffle
/// Takes a channel of each group in turn.
fn channel_shuffle(x: &Tensor, groups: usize) -> Result<Tensor> {
    let (n, c, h, w) = x.dims4()?;
    x.reshape((n, groups, c / groups, h, w))?.transpose(1, 2)?.reshape((n, c, h, w))
}

// section: quick_gelu
/// CLIP's approximation of GELU.
fn quick_gelu(x: &Tensor) -> Result<Tensor> {
    x * candle_nn::ops::sigmoid(&(x * 1.702)?)?
}

// section: hardswish
/// `torch.nn.Hardswish`
fn hardswish(x: &Tensor) -> Result<Tensor> {
    x * candle_nn::ops::hard_sigmoid(x)?
}

// section: softplus
/// `torch.nn.Softplus`, which is its input above 20.
fn softplus(x: &Tensor) -> Result<Tensor> {
    let soft = (x.minimum(20f64)?.exp()? + 1.0)?.log()?;
    x.gt(20f64)?.where_cond(x, &soft)
}

// section: flat
/// A layer over the last dimension of a tensor with any number of dimensions.
fn flat(linear: &candle_nn::Linear, x: &Tensor) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let width = shape.pop().unwrap_or(1);
    let y = candle_nn::Module::forward(linear, &x.reshape(((), width))?)?;
    shape.push(y.dim(1)?);
    y.reshape(shape)
}

// section: normalized
/// Mean 0 and variance 1 over the last dimensions.
fn normalized(x: &Tensor, dims: usize, eps: f64) -> Result<Tensor> {
    let dims: Vec<usize> = (x.rank() - dims..x.rank()).collect();
    let x = x.broadcast_sub(&x.mean_keepdim(dims.clone())?)?;
    let variance = x.sqr()?.mean_keepdim(dims)?;
    x.broadcast_div(&(variance + eps)?.sqrt()?)
}

// section: batched_matmul
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

// section: rms_normalized
/// A root of mean squares of 1 over the last dimensions.
fn rms_normalized(x: &Tensor, dims: usize, eps: f64) -> Result<Tensor> {
    let dims: Vec<usize> = (x.rank() - dims..x.rank()).collect();
    let squares = x.sqr()?.mean_keepdim(dims)?;
    x.broadcast_div(&(squares + eps)?.sqrt()?)
}

// section: glu
/// `torch.nn.GLU`
fn glu(x: &Tensor, dim: usize) -> Result<Tensor> {
    let half = x.dim(dim)? / 2;
    let gate = candle_nn::ops::sigmoid(&x.narrow(dim, half, half)?.contiguous()?)?;
    x.narrow(dim, 0, half)? * gate
}
