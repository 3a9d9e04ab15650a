"""Small idioms, each a module that people write, with its inputs. `record.py` traces each and writes traces.json."""
import dataclasses
import functools
import math

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import nn

X, IMAGE = ["f32[N = 2, T = 6, 8]"], ["f32[N = 2, 3, 8, 8]"]


def decorated(function):
    """As every `forward` of transformers is."""
    @functools.wraps(function)
    def wrapper(self, *args, **kwargs):
        kwargs.pop("return_dict", None)
        return function(self, *args, **kwargs)
    return wrapper


class WithLayer(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(8, 8)


# Conditions that a trace must answer as a run does.


class AsksLength(WithLayer):
    def forward(self, x):
        if len(x.shape) == 2:
            x = x.unsqueeze(0)
        return self.l(x).view(len(x), -1, 8)


class AsksWhetherTensor(nn.Module):
    inputs = IMAGE

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        if isinstance(x, torch.Tensor) and torch.is_tensor(x):
            x = F.interpolate(x, scale_factor=2)
        return self.conv(x)


class UnpacksInTry(AsksWhetherTensor):
    def forward(self, x):
        try:
            batch, channels, height, width = x.shape
        except ValueError:
            return x
        return self.conv(x).reshape(batch, -1)


class AsksDevice(WithLayer):
    def forward(self, x):
        device = "cuda" if x.is_cuda else "cpu"
        return self.l(x.to(device))


# Arguments of `forward`.


class Decorated(WithLayer):
    @decorated
    def forward(self, x, mask=None, **kwargs):
        return self.l(x)


class DecoratedAlone(WithLayer):
    @decorated
    def forward(self, x, **kwargs):
        return self.l(x)


class KeywordOnly(WithLayer):
    def forward(self, x, *, scale=2.0, mask=None):
        return self.l(x) * scale if mask is None else self.l(x) * mask


class GivenByKeyword(WithLayer):
    inputs = ["f32[N = 2, T = 6, 8]", "f32[N, T, 1]"]

    def forward(self, x, *, mask=None):
        return self.l(x) if mask is None else self.l(x) * mask


class Defaults(WithLayer):
    @decorated
    def forward(self, x=None, mask=None, use_cache=None, keep=0, **kwargs):
        y = self.l(x)
        return y[:, keep:]


# Modules that are used again, or have two names.


class ActivationTwice(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        act = nn.ReLU()
        self.net = nn.Sequential(nn.Linear(8, 8), act, nn.Linear(8, 8), act, nn.Linear(8, 4))

    def forward(self, x):
        return self.net(x)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.p, self.q = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        return self.p(x) + self.q(x)


class Child(nn.Module):
    def __init__(self, shared):
        super().__init__()
        self.shared, self.l = shared, nn.Linear(8, 8)

    def forward(self, x):
        return self.l(self.shared(x))


class ModuleOfTwo(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        shared = Pair()
        self.a, self.b = Child(shared), Child(shared)

    def forward(self, x):
        return self.b(self.a(x))


class LayerOfTwo(ModuleOfTwo):
    def __init__(self):
        super().__init__()
        shared = nn.Linear(8, 8)
        self.a, self.b = Child(shared), Child(shared)


class LayerOfTwoInList(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        first, second = Child(nn.Linear(8, 8)), Child(nn.Linear(8, 8))
        second.l = first.l
        self.net = nn.Sequential(first, second)

    def forward(self, x):
        return self.net(x)


class ReadBeforeItIsCalled(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(16, 8)

    def forward(self, x):
        scores = x @ self.embedding.weight.t()
        return self.embedding(scores.argmax(-1))


# Weights that are computed.


class WeightNorm(nn.Module):
    inputs = ["f32[N = 1, 10, 12, 12]"]

    def __init__(self):
        super().__init__()
        self.c = nn.utils.parametrizations.weight_norm(nn.Conv2d(10, 20, 5))

    def forward(self, x):
        return self.c(x)


class WeightNormOfHooks(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        self.l = nn.utils.weight_norm(nn.Linear(8, 8))

    def forward(self, x):
        return self.l(x)


class WeightNormOfColumns(WeightNormOfHooks):
    def __init__(self):
        super().__init__()
        self.l = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8), dim=1)


class SpectralNorm(nn.Module):
    inputs = ["f32[N = 2, 5, T = 9]"]

    def __init__(self):
        super().__init__()
        self.l = nn.utils.spectral_norm(nn.Conv1d(5, 8, 3))

    def forward(self, x):
        return self.l(x)


# What counters tell apart.


class AttentionWithWeights(nn.Module):
    inputs = ["f32[N = 1, T = 30, 64]"]

    def __init__(self):
        super().__init__()
        self.mha = nn.MultiheadAttention(64, 4, batch_first=True)

    def forward(self, x):
        return self.mha(x, x, x)[0]


class AttentionOfEachHead(AttentionWithWeights):
    def forward(self, x):
        return self.mha(x, x, x, average_attn_weights=False)


class AttentionAlone(AttentionWithWeights):
    def forward(self, x):
        return self.mha(x, x, x, need_weights=False)[0]


class Operators(nn.Module):
    inputs = ["f32[N = 1, T = 12, 32]"]

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(32, 96)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        return (q @ k.transpose(-2, -1)).softmax(-1) @ v


class Functions(Operators):
    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        weights = F.softmax(torch.bmm(q, k.transpose(-2, -1)), dim=-1)
        return torch.matmul(weights, v)


# Values of many kinds.


class LargestAndPlaces(WithLayer):
    def forward(self, x):
        values, places = self.l(x).max(dim=1)
        return values, places


class WholeSplit(nn.Module):
    inputs = ["f32[N = 2, 8, 8]"]

    def forward(self, x):
        return torch.cat(torch.split(x, 4, dim=1), dim=2)


class WholeChunk(nn.Module):
    inputs = ["f32[N = 2, 6, 8]"]

    def forward(self, x):
        return torch.stack(x.chunk(2, dim=1))


class ConstantTwice(WithLayer):
    def __init__(self):
        super().__init__()
        self.c = torch.arange(8).float()

    def forward(self, x):
        return self.l(x) * self.c + self.c


class WindowsOfTensor(nn.Module):
    inputs = ["f32[N = 2, T = 6]"]

    def __init__(self):
        super().__init__()
        self.l = nn.Linear(2, 4)

    def forward(self, x):
        return self.l(x.unfold(1, 2, 1))


class Complex(WithLayer):
    def forward(self, x):
        z = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return self.l(torch.view_as_real(z).flatten(2))


class Masked(WithLayer):
    def forward(self, x):
        length = x.shape[1]
        mask = torch.tril(torch.ones(length, length, device=x.device))
        scores = (x @ x.transpose(1, 2)).masked_fill(mask == 0, float("-inf"))
        return self.l(scores.softmax(-1) @ x)


class ChangedInPlace(WithLayer):
    def forward(self, x):
        x = self.l(x)
        x += 1
        x.mul_(2)
        return x


class Checkpointed(WithLayer):
    def forward(self, x):
        return torch.utils.checkpoint.checkpoint(self.l, x, use_reentrant=False)


class Flat(WithLayer):
    def forward(self, x):
        return self.l(x).view(x.numel())


class UsedByNothing(WithLayer):
    def __init__(self):
        super().__init__()
        self.b = nn.Linear(8, 4)

    def forward(self, x):
        x = self.l(x)
        self.b(x)
        return x


class NormByFunction(nn.Module):
    inputs = IMAGE

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)

    def forward(self, x):
        bn = self.bn
        return F.batch_norm(self.conv(x), bn.running_mean, bn.running_var, bn.weight, bn.bias)


class LargestByName(WithLayer):
    def forward(self, x):
        return self.l(x).topk(2).values * torch.max(x, 1, keepdim=True).values[..., :2]


class FirstOfBatch(WithLayer):
    def forward(self, x):
        return self.l(x)[0] + self.l(x)[-1]


class WeightsOnce(AttentionWithWeights):
    def forward(self, x):
        x, weights = self.mha(x, x, x)
        again, _ = self.mha(x, x, x, need_weights=False)
        return again + x, weights


class NormOfAll(WeightNormOfHooks):
    def __init__(self):
        super().__init__()
        self.l = nn.utils.parametrizations.weight_norm(nn.Linear(8, 4), dim=None)


class IdentityMatrix(WithLayer):
    def forward(self, x):
        return self.l(x @ torch.eye(x.shape[2]))


class ProductUsedByNothing(WithLayer):
    def forward(self, x):
        scores = x @ x.transpose(1, 2)
        torch.bmm(scores, x)
        return self.l(x)


class RealPart(WithLayer):
    def forward(self, x):
        return self.l(torch.fft.fft(x).real)


class InPlace(WithLayer):
    def forward(self, x):
        return torch.relu_(self.l(x) * 2)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.LayerNorm(8)

    def forward(self, x):
        return self.b(self.a(x)) + x


class SharedInSequential(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        self.block = Block()
        self.first = nn.Sequential(nn.Linear(8, 8), self.block)
        self.second = nn.Sequential(self.block, nn.ReLU())

    def forward(self, x):
        y = self.first(x)
        return self.block(self.second(y)) * y


class SharedByNumber(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        block = Block()
        self.net = nn.Sequential(nn.Sequential(nn.Linear(8, 8), block), nn.ReLU(), nn.Sequential(block, nn.Tanh()))
        self.outer = nn.Sequential(nn.Sequential(block, nn.Linear(8, 8)), self.net)

    def forward(self, x):
        y = self.outer(x)
        return self.net[1](self.outer[0](y)) + self.net[0](y)


@dataclasses.dataclass
class Found:
    last: torch.Tensor
    hidden: tuple
    loss: torch.Tensor = None


class GivesDataclass(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        self.block, self.head = GivesInside(), nn.Linear(8, 3)

    def forward(self, x):
        found = self.block(x)
        return Found(self.head(found.last), found.hidden)


class GivesInside(WithLayer):
    def forward(self, x):
        y = self.l(x) * 2
        return Found(y @ y.transpose(1, 2) @ x, (x, y))


class Recurrent(nn.Module):
    inputs = X

    def __init__(self):
        super().__init__()
        self.rnn, self.gru = nn.LSTM(8, 16, 2, batch_first=True), nn.GRU(16, 8, batch_first=True, bidirectional=True)

    def forward(self, x):
        y, (h, _) = self.rnn(x)
        z, last = self.gru(y)
        return z, h, last


class EmbedsFirst(nn.Module):
    """A part of a module is called before the module."""
    inputs = X

    def __init__(self):
        super().__init__()
        self.encoder, self.head = Encoder(), nn.Linear(8, 3)

    def forward(self, x):
        y = self.encoder.embed(x)
        return self.head(self.encoder(y) + self.encoder.block(x))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.block, self.last = nn.Linear(8, 8), Block(), nn.Sequential(nn.Linear(8, 8), nn.ReLU())

    def forward(self, x):
        return self.last(self.block(self.embed(x)))


class WithAndWithoutWeights(nn.Module):
    """An attention that gives its weights in one call, and not in the other."""
    inputs = X

    def __init__(self):
        super().__init__()
        self.mha = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        y, _ = self.mha(x, x, x, need_weights=False)
        return self.mha(y, x, x)


class ReturnsAll(nn.Module):
    """A pair with a pair in it is returned as a module gives it."""
    inputs = X

    def __init__(self):
        super().__init__()
        self.inner, self.last = Recurs(), nn.LSTM(8, 8, batch_first=True)

    def forward(self, x):
        y, (h, c) = self.inner(x)
        return self.inner(y), h + c, self.last(y)


class Recurs(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(8, 8, batch_first=True)

    def forward(self, x):
        return self.rnn(x)


class OfTwoParents(nn.Module):
    """Modules with two names, of which one is inside a module that has two."""
    inputs = X

    def __init__(self):
        super().__init__()
        shared = nn.Sequential(nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8))
        self.first, self.second = nn.ModuleDict({"ff": shared}), nn.ModuleDict({"ff": shared, "last": nn.Linear(8, 3)})
        self.head = self.second["last"]

    def forward(self, x):
        return self.head(self.second["ff"](self.first["ff"](x)))


class PadsToEven(nn.Module):
    """A condition on sizes, which another size answers otherwise."""
    inputs = ["f32[N = 2, 3, H = 8, W = 8]"]

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, 2)

    def forward(self, x):
        h, w = x.shape[-2:]
        if h % 2 or w % 2:
            x = nn.functional.pad(x, (0, w % 2, 0, h % 2))
        return self.conv(x)


class HalvesWhileLong(nn.Module):
    inputs = ["f32[N = 2, T = 16, 8]"]

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        while x.shape[1] > 4:
            x = self.linear(x[:, ::2])
        return x


class AtMost(nn.Module):
    """A size has a limit."""
    inputs = ["i64[N = 2, T = 16]"]

    def __init__(self):
        super().__init__()
        self.embed, self.places = nn.Embedding(10, 8), nn.Parameter(torch.zeros(64, 8))
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        assert x.shape[1] <= 64
        return self.linear(self.embed(x) + self.places[:x.shape[1]])


class HalfOfSizes(nn.Module):
    """Numbers that Python makes of sizes."""
    inputs = ["f32[N = 2, 3, H = 8, W = 8]"]

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        size = int(x.shape[2] * 0.5), math.ceil(x.shape[3] / 2)
        return nn.functional.adaptive_avg_pool2d(self.conv(x), size)


class Distances(nn.Module):
    """A function that Taper lacks, of all pairs."""
    inputs = X

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x):
        return torch.cdist(self.linear(x), x)


class Spectrum(nn.Module):
    """A function that Taper lacks, whose sizes are others than those of what it takes."""
    inputs = X

    def __init__(self):
        super().__init__()
        self.mixes, self.head = nn.Linear(8, 8), nn.Linear(5, 3)

    def forward(self, x):
        x = self.mixes(x)
        return self.head(torch.fft.rfft(x, dim=-1).abs()), torch.fft.rfft(x, dim=1).abs().sum(-1)


class SelfThenCross(nn.Module):
    """A module that does other things when it is called again."""
    inputs = X

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Attends(), Attends()])
        self.last = nn.Linear(8, 3)

    def forward(self, x):
        y = x
        for layer in self.layers:
            y = layer(y)
        return self.last(self.layers[0](y, x * 2)) + self.last(self.layers[0](x, y, twice=True))


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.mha, self.norm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LayerNorm(8)
        self.ff = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))

    def forward(self, x, memory=None, twice=False):
        memory = x if memory is None else memory
        y, _ = self.mha(x, memory, memory, need_weights=False)
        x = self.norm(x + y)
        return x + self.ff(self.ff(x) if twice else x)
