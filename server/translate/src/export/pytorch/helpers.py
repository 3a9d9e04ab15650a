"""Functions that PyTorch lacks. The exporter puts those that a model needs into its file."""
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


class OffsetRMSNorm(nn.RMSNorm):
    """nn.RMSNorm whose weight is added to an offset first, as in Gemma."""

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, offset=1.0):
        super().__init__(normalized_shape, eps, elementwise_affine)
        self.offset = offset

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight + self.offset, self.eps)


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


def with_cache(x, past):
    """Prepends cached positions, which are zeros: the time and memory of a cache that is full."""
    return F.pad(x, (0, 0, past, 0))


def weighted_sum(weights, indices, *outputs):
    """For each token the sum of what its experts gave, by weight. All experts have seen all tokens."""
    total = 0
    for number, output in enumerate(outputs):
        weight = (weights * (indices == number)).sum(dim=-1, keepdim=True)
        total = total + output * weight.to(output.dtype)
    return total


def selective_scan(u, delta, A, B, C, D=None, delta_softplus=False):
    """Mamba's recurrence: u, delta [N, E, L], A [E, S], B, C [N, S, L], D [E]."""
    if delta_softplus:
        delta = F.softplus(delta)
    state = u.new_zeros(u.size(0), u.size(1), A.size(1))
    outputs = []
    for position in range(u.size(2)):
        step = delta[:, :, position, None]
        fed = step * u[:, :, position, None] * B[:, None, :, position]
        state = torch.exp(step * A) * state + fed
        outputs.append((state * C[:, None, :, position]).sum(dim=-1))
    y = torch.stack(outputs, dim=-1)
    return y if D is None else y + u * D[:, None]


def quick_gelu(x):
    """CLIP's approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


def depth_to_space(x, block_size):
    """Moves channels into space; the place in a block is the outer part of a channel's number."""
    n, c, h, w = x.shape
    x = x.reshape(n, block_size, block_size, c // block_size**2, h, w)
    return x.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * block_size, w * block_size)


def space_to_depth(x, block_size):
    """Moves space into channels; the place in a block is the outer part of a channel's number."""
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // block_size, block_size, w // block_size, block_size)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, h // block_size, w // block_size)
