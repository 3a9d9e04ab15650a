"""SwinT, written by `taper export`.

Its arguments: embed_dim=96, depths=[2, 2, 6, 2], num_heads=[3, 6, 12, 24], window=7,
num_classes=1000.
Its parameters have the names of the Taper model's, so the same checkpoints load.
Sizes that may be any that the model promises: N.
These steps are those of H = 224, W = 224 only.
"""

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


class ShiftedWindowAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((288, 96)))
        self.qkv.bias = nn.Parameter(torch.ones((288,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((96, 96)))
        self.proj.bias = nn.Parameter(torch.ones((96,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 3)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 3)
        bias = y.permute(2, 0, 1)
        x = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = x.reshape(x.size(0), 8, 7, 8, 7, 96)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 96)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 3, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        x = x + bias
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 96)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0) // 64, 8, 8, 7, 7, 96)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 56, 56, 96)
        return x[:, :56, :56]


class ShiftMask(nn.Module):
    """Which positions of a shifted window may not see each other: -100 for two of different regions."""

    def __init__(self, end, min, max, lower_min, lower_max, size):
        super().__init__()
        self.end = end
        self.min = min
        self.max = max
        self.lower_min = lower_min
        self.lower_max = lower_max
        self.size = size

    def forward(self, x):
        row = torch.arange(self.end, device=x.device)
        x = row * 1.0
        upper = x.clamp(min=self.min, max=self.max)
        x = row * 1.0
        lower = x.clamp(min=self.lower_min, max=self.lower_max)
        column = torch.arange(self.end, device=lower.device)
        x = column * 1.0
        left = x.clamp(min=self.min, max=self.max)
        x = column * 1.0
        right = x.clamp(min=self.lower_min, max=self.lower_max)
        x = 3 * (upper + lower)
        rows = x.unsqueeze(1)
        x = rows + (left + right)
        x = x.reshape(self.size, 7, self.size, 7)
        x = x.permute(0, 2, 1, 3)
        regions = x.reshape(-1, 49)
        x = regions[:, None, :]
        x = x - regions[:, :, None]
        x = x.abs()
        x = x.clamp(min=0, max=1)
        x = x * (-100.0)
        return x.unsqueeze(1)


class PatchMerging(nn.Module):
    def __init__(self, normalized_shape, out_features):
        super().__init__()
        self.norm = nn.LayerNorm(normalized_shape)
        self.reduction = nn.Linear(normalized_shape, out_features, bias=False)

    def forward(self, x):
        even = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = even[:, 0::2, 0::2]
        y = even[:, 1::2, 0::2]
        z = even[:, 0::2, 1::2]
        u = even[:, 1::2, 1::2]
        x = torch.cat([x, y, z, u], dim=-1)
        x = self.norm(x)
        return self.reduction(x)


class ShiftedWindowAttention2(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((576, 192)))
        self.qkv.bias = nn.Parameter(torch.ones((576,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((192, 192)))
        self.proj.bias = nn.Parameter(torch.ones((192,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 6)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 6)
        bias = y.permute(2, 0, 1)
        x = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = x.reshape(x.size(0), 4, 7, 4, 7, 192)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 192)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 6, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        x = x + bias
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 192)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0) // 16, 4, 4, 7, 7, 192)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 28, 28, 192)
        return x[:, :28, :28]


class ShiftedWindowAttention3(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((1152, 384)))
        self.qkv.bias = nn.Parameter(torch.ones((1152,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((384, 384)))
        self.proj.bias = nn.Parameter(torch.ones((384,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 12)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 12)
        bias = y.permute(2, 0, 1)
        x = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = x.reshape(x.size(0), 2, 7, 2, 7, 384)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 384)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 12, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        x = x + bias
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 384)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0) // 4, 2, 2, 7, 7, 384)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 14, 14, 384)
        return x[:, :14, :14]


class ShiftedWindowAttention4(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((2304, 768)))
        self.qkv.bias = nn.Parameter(torch.ones((2304,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((768, 768)))
        self.proj.bias = nn.Parameter(torch.ones((768,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 24)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 24)
        bias = y.permute(2, 0, 1)
        x = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = x.reshape(x.size(0), 1, 7, 1, 7, 768)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 768)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 24, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        x = x + bias
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 768)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0), 1, 1, 7, 7, 768)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 7, 7, 768)
        return x[:, :7, :7]


class SwinBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(96)
        self.attn = ShiftedWindowAttention()
        self.norm2 = nn.LayerNorm(96)
        self.mlp = nn.Sequential(
            nn.Linear(96, 384),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(384, 96),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class ShiftedWindowAttention5(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((288, 96)))
        self.qkv.bias = nn.Parameter(torch.ones((288,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((96, 96)))
        self.proj.bias = nn.Parameter(torch.ones((96,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 3)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))
        self.mask = ShiftMask(56, 48, 49, 52, 53, 8)

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 3)
        bias = y.permute(2, 0, 1)
        padded = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = padded.roll((-3, -3), dims=(1, 2))
        x = x.reshape(x.size(0), 8, 7, 8, 7, 96)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 96)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 3, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        scores = x + bias
        mask = self.mask(padded)
        x = scores.reshape(scores.size(0) // 64, -1, 3, 49, 49)
        x = x + mask
        x = x.reshape(-1, 3, 49, 49)
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 96)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0) // 64, 8, 8, 7, 7, 96)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 56, 56, 96)
        x = x.roll((3, 3), dims=(1, 2))
        return x[:, :56, :56]


class SwinBlock2(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(192)
        self.attn = ShiftedWindowAttention2()
        self.norm2 = nn.LayerNorm(192)
        self.mlp = nn.Sequential(
            nn.Linear(192, 768),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(768, 192),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class ShiftedWindowAttention6(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((576, 192)))
        self.qkv.bias = nn.Parameter(torch.ones((576,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((192, 192)))
        self.proj.bias = nn.Parameter(torch.ones((192,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 6)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))
        self.mask = ShiftMask(28, 20, 21, 24, 25, 4)

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 6)
        bias = y.permute(2, 0, 1)
        padded = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = padded.roll((-3, -3), dims=(1, 2))
        x = x.reshape(x.size(0), 4, 7, 4, 7, 192)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 192)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 6, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        scores = x + bias
        mask = self.mask(padded)
        x = scores.reshape(scores.size(0) // 16, -1, 6, 49, 49)
        x = x + mask
        x = x.reshape(-1, 6, 49, 49)
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 192)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0) // 16, 4, 4, 7, 7, 192)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 28, 28, 192)
        x = x.roll((3, 3), dims=(1, 2))
        return x[:, :28, :28]


class SwinBlock3(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(384)
        self.attn = ShiftedWindowAttention3()
        self.norm2 = nn.LayerNorm(384)
        self.mlp = nn.Sequential(
            nn.Linear(384, 1536),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(1536, 384),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class ShiftedWindowAttention7(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Module()
        self.qkv.weight = nn.Parameter(0.02 * torch.randn((1152, 384)))
        self.qkv.bias = nn.Parameter(torch.ones((1152,)))
        self.proj = nn.Module()
        self.proj.weight = nn.Parameter(0.02 * torch.randn((384, 384)))
        self.proj.bias = nn.Parameter(torch.ones((384,)))
        self.relative_position_bias_table = nn.Parameter(0.02 * torch.randn((169, 12)))
        self.register_buffer("relative_position_index", torch.zeros((2401,), dtype=torch.int64))
        self.mask = ShiftMask(14, 6, 7, 10, 11, 2)

    def forward(self, x):
        y = self.relative_position_bias_table[self.relative_position_index]
        y = y.reshape(49, 49, 12)
        bias = y.permute(2, 0, 1)
        padded = F.pad(x, (0, 0, 0, 0, 0, 0))
        x = padded.roll((-3, -3), dims=(1, 2))
        x = x.reshape(x.size(0), 2, 7, 2, 7, 384)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(-1, 49, 384)
        x = F.linear(x, self.qkv.weight, self.qkv.bias)
        x = x.reshape(-1, 49, 3, 12, 32)
        qkv = x.permute(2, 0, 3, 1, 4)
        x = qkv[1]
        key = x.transpose(-2, -1)
        x = qkv[0] * 0.1767766952966369
        x = torch.matmul(x, key)
        scores = x + bias
        mask = self.mask(padded)
        x = scores.reshape(scores.size(0) // 4, -1, 12, 49, 49)
        x = x + mask
        x = x.reshape(-1, 12, 49, 49)
        weights = F.softmax(x, dim=-1)
        x = qkv[2]
        x = torch.matmul(weights, x)
        x = x.transpose(1, 2)
        x = x.reshape(-1, 49, 384)
        x = F.linear(x, self.proj.weight, self.proj.bias)
        x = x.reshape(x.size(0) // 4, 2, 2, 7, 7, 384)
        x = x.permute(0, 1, 3, 2, 4, 5)
        x = x.reshape(x.size(0), 14, 14, 384)
        x = x.roll((3, 3), dims=(1, 2))
        return x[:, :14, :14]


class SwinBlock4(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(768)
        self.attn = ShiftedWindowAttention4()
        self.norm2 = nn.LayerNorm(768)
        self.mlp = nn.Sequential(
            nn.Linear(768, 3072),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(3072, 768),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class SwinBlock5(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(96)
        self.attn = ShiftedWindowAttention5()
        self.norm2 = nn.LayerNorm(96)
        self.mlp = nn.Sequential(
            nn.Linear(96, 384),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(384, 96),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class SwinBlock6(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(192)
        self.attn = ShiftedWindowAttention6()
        self.norm2 = nn.LayerNorm(192)
        self.mlp = nn.Sequential(
            nn.Linear(192, 768),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(768, 192),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class SwinBlock7(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(384)
        self.attn = ShiftedWindowAttention7()
        self.norm2 = nn.LayerNorm(384)
        self.mlp = nn.Sequential(
            nn.Linear(384, 1536),
            nn.GELU(),
            nn.Dropout(p=0.0),
            nn.Linear(1536, 384),
            nn.Dropout(p=0.0),
        )

    def forward(self, x):
        y = self.norm1(x)
        y = self.attn(y)
        attended = x + y
        x = self.norm2(attended)
        x = self.mlp(x)
        return attended + x


class SwinT(nn.Module):
    """Swin-T (torchvision `swin_t`)."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(
                nn.Conv2d(3, 96, 4, stride=4),
                Lambda(lambda x: x.permute(0, 2, 3, 1)),
                nn.LayerNorm(96),
            ),
            nn.Sequential(SwinBlock(), SwinBlock5()),
            PatchMerging(384, 192),
            nn.Sequential(SwinBlock2(), SwinBlock6()),
            PatchMerging(768, 384),
            nn.Sequential(
                SwinBlock3(),
                SwinBlock7(),
                SwinBlock3(),
                SwinBlock7(),
                SwinBlock3(),
                SwinBlock7(),
            ),
            PatchMerging(1536, 768),
            nn.Sequential(SwinBlock4(), SwinBlock4()),
        )
        self.norm = nn.LayerNorm(768)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(768, 1000)

    def forward(self, image):
        x = self.features(image)
        x = self.norm(x)
        x = x.permute(0, 3, 1, 2)
        x = self.avgpool(x)
        x = self.flatten(x)
        return self.head(x)
