"""T5ForConditionalGeneration, written by `taper export`.

Its arguments: vocab_size=32128, d_model=512, d_kv=64, d_ff=2048, num_layers=6,
num_decoder_layers=none, num_heads=8, relative_attention_num_buckets=32,
relative_attention_max_distance=128, layer_norm_epsilon=1e-6, dense_act_fn="relu".
Its parameters have the names of the Taper model's, so the same checkpoints load.
Sizes that may be any that the model promises: B, S, T.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn


class Lambda(nn.Module):
    """A function as a step of nn.Sequential."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def attention(query, key, value, bias=None, is_causal=False, scale=None, window=None, softcap=None, sinks=None):
    """Scaled dot-product attention with what PyTorch's own does not have.

    With `is_causal` the last query sees the last key; `window` is how many keys a query sees.
    """
    groups = query.size(-3) // key.size(-3) if query.dim() > 2 else 1
    if groups > 1:
        key, value = (x.repeat_interleave(groups, dim=-3) for x in (key, value))
    scale = query.size(-1) ** -0.5 if scale is None else scale
    scores = query @ key.transpose(-2, -1) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if bias is not None:
        scores = scores + bias
    queries, keys = scores.shape[-2:]
    behind = torch.arange(queries, device=query.device)[:, None] + keys - queries
    behind = behind - torch.arange(keys, device=query.device)
    hidden = torch.zeros_like(behind, dtype=torch.bool)
    if is_causal:
        hidden = hidden | (behind < 0)
    if window is not None:
        hidden = hidden | (behind >= window)
        if not is_causal:
            hidden = hidden | (behind <= -window)
    scores = scores.masked_fill(hidden, -math.inf)
    if sinks is None:
        return torch.softmax(scores, dim=-1) @ value
    sinks = sinks[:, None, None].expand(*scores.shape[:-1], 1)
    weights = torch.softmax(torch.cat([scores, sinks.to(scores.dtype)], dim=-1), dim=-1)
    return weights[..., :-1] @ value


def relative_position_buckets(
    query_length, key_length, bidirectional=True, num_buckets=32, max_distance=128, device=None,
):
    """T5's bucket for the distance of each key from each query: [query_length, key_length]."""
    distance = torch.arange(key_length, device=device) - torch.arange(query_length, device=device)[:, None]
    first = torch.zeros_like(distance)
    if bidirectional:
        num_buckets //= 2
        first = (distance > 0) * num_buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = num_buckets // 2
    far = torch.log(distance.clamp(min=1).float() / exact) / math.log(max_distance / exact)
    far = (exact + (far * (num_buckets - exact)).long()).clamp(max=num_buckets - 1)
    return first + torch.where(distance < exact, distance, far)


class Heads(nn.Sequential):
    def __init__(self):
        super().__init__(
            Lambda(lambda x: x.reshape(x.size(0), x.size(1), 8, 64)),
            Lambda(lambda x: x.transpose(1, 2)),
        )


class DenseReluDense(nn.Module):
    def __init__(self):
        super().__init__()
        self.wi = nn.Linear(512, 2048, bias=False)
        self.activation = nn.ReLU()
        self.wo = nn.Linear(2048, 512, bias=False)

    def forward(self, x):
        x = self.wi(x)
        x = self.activation(x)
        return self.wo(x)


class Attention(nn.Module):
    """T5 (Hugging Face `T5ForConditionalGeneration`), at the sizes of `t5-small`."""

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(512, 512, bias=False)
        self.heads1 = Heads()
        self.k = nn.Linear(512, 512, bias=False)
        self.heads2 = Heads()
        self.v = nn.Linear(512, 512, bias=False)
        self.heads3 = Heads()
        self.flatten = nn.Flatten(start_dim=2)
        self.o = nn.Linear(512, 512, bias=False)

    def forward(self, x, memory, biases):
        x = self.q(x)
        q = self.heads1(x)
        x = self.k(memory)
        k = self.heads2(x)
        x = self.v(memory)
        x = self.heads3(x)
        x = F.scaled_dot_product_attention(q, k, x, biases, scale=1.0)
        x = x.transpose(1, 2)
        x = self.flatten(x)
        return self.o(x)


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm = nn.RMSNorm(512, eps=1e-6)
        self.DenseReluDense = DenseReluDense()

    def forward(self, x):
        y = self.layer_norm(x)
        y = self.DenseReluDense(y)
        return x + y


class Attention2(nn.Module):
    """T5 (Hugging Face `T5ForConditionalGeneration`), at the sizes of `t5-small`."""

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(512, 512, bias=False)
        self.heads1 = Heads()
        self.k = nn.Linear(512, 512, bias=False)
        self.heads2 = Heads()
        self.v = nn.Linear(512, 512, bias=False)
        self.heads3 = Heads()
        self.flatten = nn.Flatten(start_dim=2)
        self.o = nn.Linear(512, 512, bias=False)

    def forward(self, x, memory, biases):
        x = self.q(x)
        q = self.heads1(x)
        x = self.k(memory)
        k = self.heads2(x)
        x = self.v(memory)
        x = self.heads3(x)
        x = attention(q, k, x, biases, is_causal=True, scale=1.0)
        x = x.transpose(1, 2)
        x = self.flatten(x)
        return self.o(x)


class Attention3(nn.Module):
    """T5 (Hugging Face `T5ForConditionalGeneration`), at the sizes of `t5-small`."""

    def __init__(self):
        super().__init__()
        self.q = nn.Linear(512, 512, bias=False)
        self.heads1 = Heads()
        self.k = nn.Linear(512, 512, bias=False)
        self.heads2 = Heads()
        self.v = nn.Linear(512, 512, bias=False)
        self.heads3 = Heads()
        self.flatten = nn.Flatten(start_dim=2)
        self.o = nn.Linear(512, 512, bias=False)

    def forward(self, x, memory, biases):
        x = self.q(x)
        q = self.heads1(x)
        x = self.k(memory)
        k = self.heads2(x)
        x = self.v(memory)
        x = self.heads3(x)
        x = F.scaled_dot_product_attention(q, k, x, scale=1.0)
        x = x.transpose(1, 2)
        x = self.flatten(x)
        return self.o(x)


class SelfAttentionLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm = nn.RMSNorm(512, eps=1e-6)
        self.SelfAttention = Attention()

    def forward(self, x, bias):
        y = self.layer_norm(x)
        y = self.SelfAttention(y, y, bias)
        return x + y


class SelfAttentionLayer2(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm = nn.RMSNorm(512, eps=1e-6)
        self.SelfAttention = Attention2()

    def forward(self, x, bias):
        y = self.layer_norm(x)
        y = self.SelfAttention(y, y, bias)
        return x + y


class CrossAttentionLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer_norm = nn.RMSNorm(512, eps=1e-6)
        self.EncDecAttention = Attention3()

    def forward(self, x, memory):
        y = self.layer_norm(x)
        y = self.EncDecAttention(y, memory, memory)
        return x + y


class Layer(nn.ModuleList):
    def __init__(self):
        super().__init__([SelfAttentionLayer(), FeedForward()])

    def forward(self, x, y):
        x = self[0](x, y)
        return self[1](x)


class Layer2(nn.ModuleList):
    def __init__(self):
        super().__init__([
            SelfAttentionLayer2(),
            CrossAttentionLayer(),
            FeedForward(),
        ])

    def forward(self, x, y, z):
        x = self[0](x, y)
        x = self[1](x, z)
        return self[2](x)


class EncoderBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer()

    def forward(self, x, bias):
        return self.layer(x, bias)


class DecoderBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer2()

    def forward(self, x, memory, bias):
        return self.layer(x, bias, memory)


class Block(nn.ModuleList):
    def __init__(self):
        super().__init__([EncoderBlock() for _ in range(6)])

    def forward(self, x, y):
        for module in self:
            x = module(x, y)
        return x


class Block2(nn.ModuleList):
    def __init__(self):
        super().__init__([DecoderBlock() for _ in range(6)])

    def forward(self, x, y, z):
        for module in self:
            x = module(x, y, z)
        return x


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(32128, 512)
        self.block = Block()
        self.final_layer_norm = nn.RMSNorm(512, eps=1e-6)
        self.block[0].layer[0].SelfAttention.relative_attention_bias = nn.Embedding(32, 8)

    def forward(self, x):
        embed_tokens = self.embed_tokens(x)
        x = relative_position_buckets(x.size(1), x.size(1), device=embed_tokens.device)
        x = self.block[0].layer[0].SelfAttention.relative_attention_bias(x)
        x = x.permute(2, 0, 1)
        x = x.unsqueeze(0)
        x = self.block(embed_tokens, x)
        return self.final_layer_norm(x)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(32128, 512)
        self.block = Block2()
        self.final_layer_norm = nn.RMSNorm(512, eps=1e-6)
        self.block[0].layer[0].SelfAttention.relative_attention_bias = nn.Embedding(32, 8)

    def forward(self, x, y):
        embed_tokens = self.embed_tokens(y)
        y = relative_position_buckets(y.size(1), y.size(1), bidirectional=False, device=embed_tokens.device)
        y = self.block[0].layer[0].SelfAttention.relative_attention_bias(y)
        y = y.permute(2, 0, 1)
        y = y.unsqueeze(0)
        x = self.block(embed_tokens, x, y)
        return self.final_layer_norm(x)


class T5ForConditionalGeneration(nn.Module):
    def __init__(self):
        super().__init__()
        self.shared = nn.Module()
        self.shared.weight = nn.Parameter(0.02 * torch.randn((32128, 512)))
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.lm_head = nn.Linear(512, 32128, bias=False)
        self.encoder.embed_tokens.weight = self.shared.weight
        self.decoder.embed_tokens.weight = self.shared.weight
        self.lm_head.weight = self.shared.weight

    def forward(self, input_ids, decoder_input_ids):
        x = self.encoder(input_ids)
        x = self.decoder(x, decoder_input_ids)
        return self.lm_head(x * 0.04419417382415922)
