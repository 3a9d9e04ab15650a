"""MixtralForCausalLM, written by `taper export`.

Its arguments: vocab_size=32000, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
num_attention_heads=32, num_key_value_heads=8, hidden_act="silu", rms_norm_eps=1e-5,
rope_theta=1000000.0, num_local_experts=8, num_experts_per_tok=2, sliding_window=none.
Its parameters have the names of the Taper model's, so the same checkpoints load.
Sizes that may be any that the model promises: B, T.
"""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import nn


def rotary_embedding(
    x, theta=10000.0, interleaved=False, offset=0, rope_type="default", factor=1.0, low_freq_factor=1.0,
    high_freq_factor=4.0, original_max_position_embeddings=8192, beta_fast=32.0, beta_slow=1.0, truncate=True,
    attention_factor=None,
):
    """Turns pairs of features of [*, T, D] by an angle that grows with the position (RoFormer)."""
    length, width = x.shape[-2:]
    pairs = torch.arange(width // 2, dtype=torch.float64, device=x.device)
    frequencies = theta ** (-2 * pairs / width)
    scale = 1.0
    if rope_type == "linear":
        frequencies = frequencies / factor
    elif rope_type == "llama3":
        turns = original_max_position_embeddings * frequencies / (2 * math.pi)
        smooth = ((turns - low_freq_factor) / (high_freq_factor - low_freq_factor)).clamp(0, 1)
        frequencies = (1 - smooth) * frequencies / factor + smooth * frequencies
    elif rope_type == "yarn":
        low, high = (
            width * math.log(original_max_position_embeddings / (beta * 2 * math.pi)) / (2 * math.log(theta))
            for beta in (beta_fast, beta_slow)
        )
        if truncate:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, width - 1)
        ramp = ((pairs - low) / (0.001 if low == high else high - low)).clamp(0, 1)
        frequencies = ramp * frequencies / factor + (1 - ramp) * frequencies
        scale = 0.1 * math.log(factor) + 1 if factor > 1 else 1.0
        scale = scale if attention_factor is None else attention_factor
    positions = torch.arange(length, dtype=torch.float64, device=x.device) + offset
    angles = (positions[:, None] * frequencies).float()
    cos, sin = ((part * scale).to(x.dtype) for part in (angles.cos(), angles.sin()))
    if interleaved:
        first, second = x[..., 0::2], x[..., 1::2]
        return torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1).flatten(-2)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)


def weighted_sum(weights, indices, *outputs):
    """For each token the sum of what its experts gave, by weight. All experts have seen all tokens."""
    total = 0
    for number, output in enumerate(outputs):
        weight = (weights * (indices == number)).sum(dim=-1, keepdim=True)
        total = total + output * weight.to(output.dtype)
    return total


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(4096, 4096, bias=False)
        self.k_proj = nn.Linear(4096, 1024, bias=False)
        self.v_proj = nn.Linear(4096, 1024, bias=False)
        self.flatten = nn.Flatten(start_dim=2)
        self.o_proj = nn.Linear(4096, 4096, bias=False)

    def forward(self, x):
        y = self.q_proj(x)
        y = y.reshape(y.size(0), y.size(1), -1, 128)
        q_proj = y.transpose(1, 2)
        y = self.k_proj(x)
        y = y.reshape(y.size(0), y.size(1), -1, 128)
        k_proj = y.transpose(1, 2)
        x = self.v_proj(x)
        x = x.reshape(x.size(0), x.size(1), -1, 128)
        v_proj = x.transpose(1, 2)
        q = rotary_embedding(q_proj, theta=1000000.0)
        x = rotary_embedding(k_proj, theta=1000000.0)
        x = F.scaled_dot_product_attention(q, x, v_proj, is_causal=True, enable_gqa=True)
        x = x.transpose(1, 2)
        x = self.flatten(x)
        return self.o_proj(x)


class Expert(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Linear(4096, 14336, bias=False)
        self.activation = nn.SiLU()
        self.w3 = nn.Linear(4096, 14336, bias=False)
        self.w2 = nn.Linear(14336, 4096, bias=False)

    def forward(self, x):
        y = self.w1(x)
        w1 = self.activation(y)
        x = self.w3(x)
        return self.w2(w1 * x)


class Experts(nn.ModuleList):
    def __init__(self):
        super().__init__([Expert() for _ in range(8)])

    def forward(self, x, y, z):
        return weighted_sum(y, z, *[expert(x) for expert in self])


class SparseMoe(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(4096, 8, bias=False)
        self.softmax = nn.Softmax(dim=-1)
        self.experts = Experts()

    def forward(self, x):
        y = self.gate(x)
        y = self.softmax(y)
        top, chosen = y.topk(2)
        y = top.sum(dim=-1, keepdim=True)
        return self.experts(x, top / y, chosen)


class DecoderLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.input_layernorm = nn.RMSNorm(4096, eps=1e-5)
        self.self_attn = Attention()
        self.post_attention_layernorm = nn.RMSNorm(4096, eps=1e-5)
        self.block_sparse_moe = SparseMoe()

    def forward(self, x):
        y = self.input_layernorm(x)
        y = self.self_attn(y)
        attended = x + y
        x = self.post_attention_layernorm(attended)
        x = self.block_sparse_moe(x)
        return attended + x


class MixtralForCausalLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = nn.Sequential(OrderedDict([
            ("embed_tokens", nn.Embedding(32000, 4096)),
            ("layers", nn.Sequential(*[DecoderLayer() for _ in range(32)])),
            ("norm", nn.RMSNorm(4096, eps=1e-5)),
        ]))
        self.lm_head = nn.Linear(4096, 32000, bias=False)
        self.to(torch.bfloat16)

    def forward(self, input_ids):
        x = self.model(input_ids)
        return self.lm_head(x)
