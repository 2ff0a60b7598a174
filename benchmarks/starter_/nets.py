"""The nets of the recorded tasks, each small enough for a step of about a millisecond on one core."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


def mlp(*widths: int, act: type[nn.Module] = nn.ReLU, norm: bool = False, dropout: float = 0.0) -> nn.Module:
    """Linear layers of these widths with an activation in between."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths[:-1]):
        layers += [nn.Linear(before, after), *([nn.LayerNorm(after)] if norm else []), act()]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def cnn(*channels: int, norm: bool) -> nn.Module:
    """Two 3 x 3 convolutions of 8 x 8 images, each halving them, and a linear layer."""
    layers: list[nn.Module] = []
    for before, after in zip((1, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 3, padding=1), *([nn.BatchNorm2d(after)] if norm else [])]
        layers += [nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * 4, 10))


def wave_cnn() -> nn.Module:
    """Two convolutions along time, batch norm, and the mean over it."""
    return nn.Sequential(
        nn.Conv1d(1, 12, 7, stride=2), nn.BatchNorm1d(12), nn.ReLU(),
        nn.Conv1d(12, 16, 5, stride=2), nn.BatchNorm1d(16), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(16, 6),
    )  # fmt: skip


class Recurrent(nn.Module):
    """A GRU and a linear layer, of every step or (``last``) of the last."""

    def __init__(self, inputs: int, hidden: int, outputs: int, last: bool) -> None:
        super().__init__()
        self.read = nn.GRU(inputs, hidden, batch_first=True)
        self.score = nn.Linear(hidden, outputs)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        seen = self.read(x)[0]
        scores: Tensor = self.score(seen[:, -1] if self.last else seen)
        return scores


class Block(nn.Module):
    """Attention of two heads and two layers, each added to what it was given normed."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.think = mlp(width, 2 * width, width, act=nn.GELU)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        n, steps, width = x.shape
        parts = self.mix(self.first(x)).reshape(n, steps, 3, 2, width // 2).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(*parts, is_causal=self.causal)
        x = x + self.out(seen.transpose(1, 2).reshape(n, steps, width))
        thought: Tensor = x + self.think(self.second(x))
        return thought


class LetterAttention(nn.Module):
    """A transformer of one block over 16 letters."""

    def __init__(self, letters: int, width: int = 24) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(letters, width), nn.Parameter(torch.zeros(16, width))
        self.block, self.score = Block(width, causal=True), nn.Linear(width, letters)

    def forward(self, letters: Tensor) -> Tensor:
        scores: Tensor = self.score(self.block(self.embed(letters) + self.place))
        return scores


class PatchAttention(nn.Module):
    """A transformer of one block over 16 patches of an image; their mean is classified."""

    def __init__(self, inputs: int, outputs: int, width: int = 16) -> None:
        super().__init__()
        self.embed, self.place = nn.Linear(inputs, width), nn.Parameter(torch.randn(16, width) * 0.1)
        self.block, self.score = Block(width, causal=False), nn.Linear(width, outputs)

    def forward(self, patches: Tensor) -> Tensor:
        scores: Tensor = self.score(self.block(self.embed(patches) + self.place).mean(dim=1))
        return scores


class LetterLines(nn.Module):
    """A softmax that is linear in the three letters before, each told by one number out of all."""

    def __init__(self, letters: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(letters, letters) for _ in range(3))
        for table in self.tables:
            nn.init.zeros_(table.weight)

    def forward(self, before: Tensor) -> Tensor:
        return torch.stack([table(before[:, i]) for i, table in enumerate(self.tables)]).sum(dim=0)


class Factors(nn.Module):
    """A table as a product of factors of its rows and columns, and biases.

    ``outputs`` 1: its entry; 2: the scores of no and yes.
    """

    def __init__(self, rows: int, columns: int, rank: int, outputs: int = 1) -> None:
        super().__init__()
        self.rows, self.columns = nn.Embedding(rows, rank), nn.Embedding(columns, rank)
        self.of_rows, self.of_columns = nn.Embedding(rows, 1), nn.Embedding(columns, 1)
        self.outputs = outputs
        for table in (self.rows, self.columns):
            nn.init.normal_(table.weight, std=0.3)
        for bias in (self.of_rows, self.of_columns):
            nn.init.zeros_(bias.weight)

    def forward(self, at: Tensor) -> Tensor:
        value = (self.rows(at[:, 0]) * self.columns(at[:, 1])).sum(dim=1, keepdim=True)
        value = value + self.of_rows(at[:, 0]) + self.of_columns(at[:, 1])
        return torch.cat([torch.zeros_like(value), value], dim=1) if self.outputs == 2 else value
