"""Modules as users write them, each with what `torch.fx` or the importer could stumble over."""
import torch
import torch.nn.functional as F
from torch import nn


class SquareConv(nn.Conv2d):
    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 3, padding=1)


class Subclass(nn.Module):
    """A subclass of a layer that runs as the layer does is the layer."""

    def __init__(self):
        super().__init__()
        self.conv = SquareConv(3, 8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3)))


class StandardisedConv(nn.Conv2d):
    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ComputedWeights(nn.Module):
    """Weights by their places, computed and as they are."""

    def __init__(self):
        super().__init__()
        self.first = StandardisedConv(3, 8, 3, padding=1)
        self.second = StandardisedConv(8, 8, 3, padding=1)
        self.kernel = nn.Parameter(torch.empty(8, 8, 3, 3))
        self.bias = nn.Parameter(torch.empty(8))
        self.scale = nn.Parameter(torch.empty(8))
        self.head = nn.Parameter(torch.empty(5, 8))

    def forward(self, x):
        x = F.conv2d(self.second(self.first(x)), self.kernel, self.bias, padding=1)
        x = F.layer_norm(x.permute(0, 2, 3, 1), (8,), self.scale)
        return F.linear(F.layer_norm(x, (8,)), self.head)


class Positions(nn.Module):
    """Whole numbers on the input's device."""

    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(100, 16)
        self.positions = nn.Embedding(64, 16)
        self.head = nn.Linear(16, 100, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        positions = torch.arange(0, ids.size(1), device=ids.device, dtype=torch.long)
        return self.head(self.tokens(ids) + self.positions(positions)[None])


class Optional(nn.Module):
    """Arguments that keep their defaults."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, mask=None, scale: float = 2.0, flag=False):
        y = self.fc(x) * scale
        return y if mask is None else y + mask


class Attention(nn.Module):
    """Three of a kind, apart again; a shape that decides."""

    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(16, 48)
        self.out = nn.Linear(16, 16)
        self.register_buffer("bias", torch.zeros(10, 10))

    def forward(self, x):
        n, t, c = x.shape
        if t > 10:
            x = x[:, :10]
        q, k, v = self.qkv(x).reshape(n, t, 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * 4 ** -0.5 + self.bias
        x = scores.softmax(dim=-1) @ v
        x = x + F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
        return self.out(x.transpose(1, 2).reshape(n, t, c))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, nn.LayerNorm(16))
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.encoder(x)[:, 0])


class Cells(nn.Module):
    """A cell that is called again and again; its name is that of an argument."""

    def __init__(self):
        super().__init__()
        self.c = nn.LSTMCell(8, 16)
        self.out = nn.Linear(16, 2)

    def forward(self, x, h, c):
        outputs = []
        for time in range(x.size(1)):
            h, c = self.c(x[:, time], (h, c))
            outputs.append(self.out(h))
        return torch.stack(outputs, 1)


class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.x = nn.Linear(4, 4)
        self.N = nn.Linear(4, 4)
        self.input = nn.Linear(4, 4)

    def forward(self, x, C):
        return self.input(self.N(self.x(x))) + C + x


class Names(nn.Module):
    """Names that are words of Taper, arguments that are called as modules, and sizes by their usual letters."""

    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.it = nn.Linear(4, 4)

    def forward(self, N):
        y = self.it(N)
        return self.inner((-2.0) ** y, N) - (-y)


class Weight(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(8, 8))

    def forward(self, x):
        return torch.mm(x, self.weight.T)


class OwnTwice(nn.Module):
    """A module with a parameter of its own that is called twice, and a part of a `Sequential`."""

    def __init__(self):
        super().__init__()
        self.weight = Weight()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))

    def forward(self, x):
        x = self.weight(self.weight(x))
        return self.layers(x)[:, [-1]] + self.layers[:2](x).select(1, 2)[:, None]


class Keys(nn.Module):
    """Names that no attribute has, an embedding that is a function, shapes of other tensors."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleDict({"1x1": nn.Linear(8, 8), "plain": nn.Linear(8, 8)})
        self.table = nn.Parameter(torch.empty(10, 8))

    def forward(self, ids):
        x = F.embedding(ids, self.table)
        y = self.convs["1x1"](x) / 2
        y /= 3
        return self.convs["plain"](y) + x.mean(1, keepdim=True).expand_as(y)
