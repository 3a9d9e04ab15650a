"""Modules on which the tools differ, and their inputs; models.taper has the same in Taper's words, by the same names."""
import inspect

import torch
import torch.nn.functional as F
from torch import nn


class Attention(nn.Module):
    def __init__(self, features, heads, need_weights, **options):
        super().__init__()
        self.mha = nn.MultiheadAttention(features, heads, batch_first=True, **options)
        self.need_weights = need_weights

    def forward(self, x):
        return self.mha(x, x, x, need_weights=self.need_weights)[0]


class Einsum(nn.Module):
    def __init__(self, equation):
        super().__init__()
        self.equation = equation
        # Some tools look for the device of the first parameter.
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, a, b):
        return torch.einsum(self.equation, a, b)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(500, 38)
        self.lm_head = nn.Linear(38, 500, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, ids):
        return self.lm_head(self.embed(ids))


def argument_names(model):
    return list(inspect.signature(model.forward).parameters)


def einsum(equation, *shapes):
    return lambda: (Einsum(equation), tuple(torch.rand(shape) for shape in shapes))


def attention(batch, length, features, heads, need_weights, **options):
    return lambda: (Attention(features, heads, need_weights, **options), (torch.rand(batch, length, features),))


CASES = {
    "AttentionWithWeights": attention(1, 300, 448, 4, True),
    "AttentionOfTwo": attention(2, 30, 64, 4, True),
    "AttentionWithoutWeights": attention(2, 30, 64, 4, False),
    "AttentionWithoutBias": attention(1, 30, 64, 4, True, bias=False),
    "EinsumProduct": einsum("bid,bjd->bij", (2, 4, 8), (2, 6, 8)),
    "EinsumMatrix": einsum("bij,bjd->bid", (2, 40, 33), (2, 33, 70)),
    "EinsumElements": einsum("abc,c->abc", (2, 3, 5), (5,)),
    "EinsumOuter": einsum("ab,cd->abcd", (3, 5), (7, 11)),
    "EinsumSum": einsum("abc,abc->a", (6, 30, 50), (6, 30, 50)),
    "EinsumLarge": einsum("bhid,bhjd->bhij", (2, 12, 197, 64), (2, 12, 197, 64)),
    "TiedEmbedding": lambda: (Tied(), (torch.zeros(2, 5, dtype=torch.long),)),
}
