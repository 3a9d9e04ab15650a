//! What the tools count for `MultiheadAttention`.

use layers::{Cost, TensorType};

use crate::call::Call;

/// How a tool counts `MultiheadAttention`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attention {
    /// The four projections. A bias counts where PyTorch adds it within the product: of the inputs not,
    /// if `batch_first` makes them others in memory.
    Projections { bias: bool },
    /// Nothing where PyTorch takes its fast path, else the projections, and the products if they are seen
    /// within a fused kernel.
    FastPath { fused: bool },
    /// Projections by the squares of the inputs' features, scores, softmax, sums and biases.
    Ptflops,
    /// The two products, where the weights are a value: else they are within a fused kernel.
    Products,
    /// One for each of the weights, where they are a value.
    Softmax,
    /// For each row of weights what a softmax of it takes, also where they are no value.
    SoftmaxRows,
}

impl Call<'_> {
    /// Whether PyTorch's fused kernel for CPUs takes this `ScaledDotProductAttention`: four dimensions, as many
    /// features in values as in keys, and nothing that is broadcast.
    pub(crate) fn is_fused(&self) -> bool {
        let [query, key, value, ..] = self.inputs else { return false };
        let ([n, heads, _, e], [n_key, heads_key, _, _], [n_value, heads_value, _, v]) =
            (&query.shape[..], &key.shape[..], &value.shape[..])
        else {
            return false;
        };
        let heads_fit = self.is_on("enable_gqa") || heads == heads_key && heads == heads_value;
        e == v && n == n_key && n == n_value && heads_fit
    }

    pub(crate) fn attention(&self, rule: Attention) -> Cost {
        let sources: Vec<&TensorType> = match self.inputs {
            [query] => vec![query; 3],
            [query, memory] => vec![query, memory, memory],
            _ => self.inputs.iter().take(3).collect(),
        };
        let [query, key, value] = sources[..] else { return Cost::free() };
        let batch_first = self.is_on("batch_first");
        let sizes_of = |ty: &TensorType| -> (u128, u128, u128) {
            let shape: Vec<u128> = ty.shape.iter().map(|size| u128::from(*size)).collect();
            match (shape.as_slice(), batch_first) {
                ([batch, length, features], true) => (*batch, *length, *features),
                ([length, batch, features], false) => (*batch, *length, *features),
                ([length, features], _) => (1, *length, *features),
                _ => (0, 0, 0),
            }
        };
        let (n, l, e) = sizes_of(query);
        let ((_, s, kdim), (_, s_values, vdim)) = (sizes_of(key), sizes_of(value));
        let heads = u128::from(self.size("num_heads").unwrap_or(1).max(1));
        let biased = self.is_on("bias");
        let projections = |cost: Cost| {
            cost.macs_of("query projection", &[("N", n), ("L", l), ("E", e), ("E", e)])
                .macs_of("key projection", &[("N", n), ("S", s), ("kdim", kdim), ("E", e)])
                .macs_of("value projection", &[("N", n), ("S", s_values), ("vdim", vdim), ("E", e)])
                .macs_of("output projection", &[("N", n), ("L", l), ("E", e), ("E", e)])
        };
        let free = Cost::free();
        let extra = u128::from(self.is_on("add_bias_kv")) + u128::from(self.is_on("add_zero_attn"));
        let scores = [("N", n), ("heads", heads), ("L", l), ("S", s + extra)];
        match rule {
            Attention::Products | Attention::Softmax if !self.is_on("need_weights") => free,
            Attention::Products => free.macs_of(
                "scores and sums",
                &[&scores[..], &[("E / heads", e / heads), ("2", 2)]].concat(),
            ),
            Attention::Softmax => free.macs_of("softmax", &scores),
            Attention::Projections { bias } => {
                let cost = projections(free);
                if !bias || !biased {
                    return cost;
                }
                let is_moved = batch_first && n > 1 && query.shape.len() == 3;
                let inputs = if is_moved { 0 } else { l + s + s_values };
                cost.macs_of("biases", &[("N", n), ("lengths", inputs + l), ("E", e)])
            }
            Attention::SoftmaxRows => {
                let rows = [("N", n), ("heads", heads), ("L", l)];
                let each = (3 * (s + extra)).saturating_sub(1);
                free.macs_of("softmax", &[&rows[..], &[("3 S - 1", each)]].concat())
            }
            Attention::FastPath { fused } => {
                let is_plain = extra == 0;
                let is_self = self.takes_one && query.shape.len() == 3;
                if is_self && batch_first && biased && is_plain && heads % 2 == 0 {
                    return free;
                }
                if fused {
                    return self.products(false);
                }
                // Without it the products are those of a fused kernel, unless the weights are asked for.
                let mut cost = projections(free);
                cost.terms.extend(self.attention(Attention::Products).terms);
                cost
            }
            Attention::Ptflops => {
                let (of_queries, of_values) = (e / heads, vdim / heads);
                let cost = free
                    .macs_of("scale", &[("N", n), ("L", l), ("E", e)])
                    .macs_of("query projection", &[("N", n), ("L", l), ("E", e), ("E", e)])
                    .macs_of(
                        "key projection",
                        &[("N", n), ("S", s), ("kdim", kdim), ("kdim", kdim)],
                    )
                    .macs_of(
                        "value projection",
                        &[("N", n), ("S", s_values), ("vdim", vdim), ("vdim", vdim)],
                    )
                    .macs_of(
                        "scores, softmax and sums",
                        &[
                            ("N", n),
                            ("heads", heads),
                            ("L", l),
                            ("S", s),
                            ("features and 1", of_queries + 1 + of_values),
                        ],
                    )
                    .macs_of(
                        "output projection",
                        &[("N", n), ("L", l), ("vdim", vdim), ("vdim + 1", vdim + 1)],
                    );
                if !biased {
                    return cost;
                }
                cost.macs_of("biases", &[("N", n), ("lengths", l + s + s_values), ("E", e)])
            }
        }
    }
}
