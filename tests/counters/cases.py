"""What the tools are asked for, as functions that make a module and its inputs: CASES are modules on which they differ, and
models.taper has the same in Taper's words, by the same names."""
import inspect
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn


ROOT = Path(__file__).parent.parent.parent


class Attention(nn.Module):
    def __init__(self, features, heads, need_weights, **options):
        super().__init__()
        self.mha = nn.MultiheadAttention(features, heads, batch_first=True, **options)
        self.need_weights = need_weights

    def forward(self, x):
        return self.mha(x, x, x, need_weights=self.need_weights)[0]


class Of(nn.Module):
    def __init__(self):
        super().__init__()
        self.mha = nn.MultiheadAttention(64, 4, batch_first=True)

    def forward(self, x, memory, values):
        return self.mha(x, memory, values, need_weights=False)[0]


class PassedOn(nn.Module):
    def __init__(self):
        super().__init__()
        self.of = Of()

    def forward(self, x, memory):
        return self.of(x, memory, memory)


class SelfAndCross(nn.Module):
    """Attention over one tensor and over two, through modules that are given it."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.second = PassedOn(), nn.LayerNorm(64), PassedOn()

    def forward(self, x):
        return self.second(self.norm(self.first(x, x)), x)


class Einsum(nn.Module):
    def __init__(self, equation):
        super().__init__()
        self.equation = equation
        # Some tools look for the device of the first parameter.
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, a, b):
        return torch.einsum(self.equation, a, b)


class Single(nn.Module):
    """A module as part of a model, as some tools do not count a model that is one itself."""

    def __init__(self, module):
        super().__init__()
        self.m = module
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, a, b=None, c=None):
        return self.m(*(one for one in (a, b, c) if one is not None))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(500, 38)
        self.lm_head = nn.Linear(38, 500, bias=False)
        self.lm_head.weight = self.embed.weight

    def forward(self, ids):
        return self.lm_head(self.embed(ids))


class Function(nn.Module):
    """A function of tensors, with a parameter that some tools ask for."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.rand(6, 8))

    def forward(self, a, b=None, c=None):
        return self.function(self.weight, *(one for one in (a, b, c) if one is not None))


def by_operators(weight, x):
    q, k, v = F.linear(x, weight).chunk(3, dim=-1)
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v


def by_functions(weight, x):
    q, k, v = F.linear(x, weight).chunk(3, dim=-1)
    return torch.matmul(F.softmax(torch.matmul(q, k.transpose(-2, -1)), dim=-1), v)


def activations_of_torch(weight, x):
    return torch.layer_norm(torch.relu(x).sigmoid(), (8,))


def activations_of_functional(weight, x):
    return F.layer_norm(F.sigmoid(F.relu(x)), (8,))


def argument_names(model):
    return list(inspect.signature(model.forward).parameters)


def einsum(equation, *shapes):
    return lambda: (Einsum(equation), tuple(torch.rand(shape) for shape in shapes))


def function(function, *shapes):
    return lambda: (Function(function), tuple(torch.rand(shape) for shape in shapes))


def attention(batch, length, features, heads, need_weights, **options):
    return lambda: (Attention(features, heads, need_weights, **options), (torch.rand(batch, length, features),))


CASES = {
    "AttentionWithWeights": attention(1, 300, 448, 4, True),
    "AttentionOfTwo": attention(2, 30, 64, 4, True),
    "AttentionWithoutWeights": attention(2, 30, 64, 4, False),
    "AttentionThrice": attention(2, 30, 64, 4, False),
    "AttentionWithoutBias": attention(1, 30, 64, 4, True, bias=False),
    "AttentionPassedOn": lambda: (SelfAndCross(), (torch.rand(2, 30, 64),)),
    "EinsumProduct": einsum("bid,bjd->bij", (2, 4, 8), (2, 6, 8)),
    "EinsumMatrix": einsum("bij,bjd->bid", (2, 40, 33), (2, 33, 70)),
    "EinsumElements": einsum("abc,c->abc", (2, 3, 5), (5,)),
    "EinsumOuter": einsum("ab,cd->abcd", (3, 5), (7, 11)),
    "EinsumSum": einsum("abc,abc->a", (6, 30, 50), (6, 30, 50)),
    "EinsumLarge": einsum("bhid,bhjd->bhij", (2, 12, 197, 64), (2, 12, 197, 64)),
    "Operators": function(by_operators, (3, 5, 8)),
    "Functions": function(by_functions, (3, 5, 8)),
    "ProductOfBatches": function(lambda _, a, b: torch.bmm(a, b), (3, 5, 8), (3, 8, 2)),
    "ProductOfMatrices": function(lambda _, a, b: torch.mm(a, b), (5, 8), (8, 2)),
    "ProductThatBroadcasts": function(lambda _, a, b: torch.matmul(a, b), (5, 8), (3, 8, 2)),
    "ProductWithVector": function(lambda _, a, b: a @ b, (3, 5, 8), (8,)),
    "ProductOfVector": function(lambda _, a, b: a @ b, (8,), (8, 5)),
    "ProductOfVectors": function(lambda _, a, b: torch.matmul(a, b), (8,), (8,)),
    "FusedAttention": function(
        lambda _, q, k, v: F.scaled_dot_product_attention(q, k, v), (2, 4, 5, 8), (2, 4, 7, 8), (2, 4, 7, 6)),
    "ActivationsOfTorch": function(activations_of_torch, (3, 5, 8)),
    "ActivationsOfFunctional": function(activations_of_functional, (3, 5, 8)),
    "TiedEmbedding": lambda: (Tied(), (torch.zeros(2, 5, dtype=torch.long),)),
}


def models():
    """torchvision's models that examples/ has, by their names there and the sizes of their input."""
    import torchvision
    names = [path.stem for path in (ROOT / "examples").glob("*.taper") if hasattr(torchvision.models, path.stem)]
    return {
        f"{name} {batch}x3x{size}x{size}": image_model(getattr(torchvision.models, name), batch, size)
        for name in sorted(names)
        for size in [299 if name == "inception_v3" else 224]
        for batch in [1, 2]
    }


def image_model(make, batch, size):
    options = {"init_weights": False, "aux_logits": False} if make.__name__ in ("googlenet", "inception_v3") else {}
    return lambda: (make(weights=None, **options), (torch.rand(batch, 3, size, size),))


def modules():
    """The single modules of tests/modules."""
    table = json.loads((ROOT / "tests/modules/modules.json").read_text())
    return {f"{case['expr']} of {case['inputs']}": single(case) for case in table["cases"]}


def single(case):
    def make():
        import torchvision
        scope = {"nn": nn, "torch": torch, "torchvision": torchvision, "tvo": torchvision.ops}
        return Single(eval(case["expr"], scope)), tuple(map(tensor, case["inputs"], case["input_dtypes"]))
    return make


def tensor(shape, dtype):
    return torch.zeros(shape, dtype=torch.long) if dtype == "int64" else torch.rand(shape)
