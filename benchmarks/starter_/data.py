"""The data of the recorded tasks: what scikit-learn and Python bring along or generate, always the same.

Tables and digits in the form that the study of schedules has them; beside them what ``make_*`` generates,
waves and series made of sines, and a table of ratings made of factors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tune_lr.bench.tasks import Data, loaded

LETTERS = 46
USERS, FILMS = 120, 80


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standardized(x: object, y: object, classes: int, part: float = 0.75) -> Data:
    """Shuffled and split; columns (and the target of a regression) standardized by the training part."""
    inputs = torch.tensor(x, dtype=torch.float32)
    targets = torch.tensor(y, dtype=torch.int64 if classes else torch.float32)
    order = torch.randperm(len(inputs), generator=generator())
    inputs, targets, cut = inputs[order], targets[order], int(len(inputs) * part)
    inputs = (inputs - inputs[:cut].mean(dim=0)) / inputs[:cut].std(dim=0).clamp_min(1e-6)
    if not classes:
        targets = (targets - targets[:cut].mean()) / targets[:cut].std()
        targets = targets.reshape(-1, 1)
    return Data(inputs[:cut], targets[:cut], inputs[cut:], targets[cut:])


def flipped(data: Data, share: float, classes: int) -> Data:
    """A share of the training labels drawn anew at random; those to validate on stay as they are."""
    wrong = torch.rand(data.y.shape, generator=generator(1)) < share
    others = torch.randint(classes, data.y.shape, generator=generator(2))
    return Data(data.x, torch.where(wrong, others, data.y), data.x_val, data.y_val)


def digits(*shape: int) -> Data:
    """1437 and 360 images of handwritten digits, pixels from 0 to 1, as rows or in a shape."""
    data = loaded("digits-mlp")
    return Data(data.x.reshape(-1, *shape), data.y, data.x_val.reshape(-1, *shape), data.y_val)


def patches() -> Data:
    """Digits as 16 patches of 2 x 2 pixels."""

    def cut(x: Tensor) -> Tensor:
        return x.reshape(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)

    data = digits(8, 8)
    return Data(cut(data.x), data.y, cut(data.x_val), data.y_val)


def pictures() -> Data:
    """Digits to be rebuilt: inputs and targets are the same, scaled to a variance of 1."""
    data = digits(64)
    mean, scale = data.x.mean(), data.x.std()
    x, x_val = (data.x - mean) / scale, (data.x_val - mean) / scale
    return Data(x, x, x_val, x_val)


def wine() -> Data:
    from sklearn.datasets import load_wine

    return standardized(*load_wine(return_X_y=True), classes=3)


def friedman() -> Data:
    from sklearn.datasets import make_friedman1

    return standardized(*make_friedman1(1600, noise=2.0, random_state=0), classes=0)


def hastie() -> Data:
    from sklearn.datasets import make_hastie_10_2

    x, y = make_hastie_10_2(2000, random_state=0)
    return standardized(x, y > 0, classes=2)


def moons() -> Data:
    from sklearn.datasets import make_moons

    return standardized(*make_moons(900, noise=0.3, random_state=0), classes=2)


def classes() -> Data:
    from sklearn.datasets import make_classification

    x, y = make_classification(
        1600, n_features=40, n_informative=12, n_redundant=12, n_classes=5, flip_y=0.15, random_state=0
    )
    return standardized(x, y, classes=5)


def squares() -> Data:
    """A linear target whose inputs lie near a space of few dimensions: badly conditioned, with noise."""
    from sklearn.datasets import make_regression

    x, y = make_regression(1200, n_features=30, effective_rank=8, tail_strength=0.3, random_state=0)
    noise = torch.randn(len(y), generator=generator(3)).numpy() * y.std()
    x = x @ torch.diag(torch.logspace(0, -1, 30, dtype=torch.float64)).numpy()
    data = standardized(x, y + 0.7 * noise, classes=0)
    scale = torch.logspace(0.3, -1, 30)
    return Data(data.x * scale, data.y, data.x_val * scale, data.y_val)


def letters() -> Data:
    """Pieces of 16 letters of Python's help pages, and the letters that follow each."""
    return loaded("letters")


def triples() -> Data:
    """Every letter of the help pages that has three before it, told by these; half of the text."""

    def cut(pieces: Tensor) -> tuple[Tensor, Tensor]:
        windows = pieces.unfold(1, 4, 2).reshape(-1, 4)
        return windows[:, :3], windows[:, 3]

    data = letters()
    (x, y), (x_val, y_val) = cut(data.x), cut(data.x_val[::3])
    return Data(x, y, x_val, y_val)


def waves() -> Data:
    """Six kinds of sums of two sines over 48 steps, of any phase, under much noise: shape (n, 1, 48)."""
    n, time = 1400, torch.arange(48) / 48
    kind = torch.randint(6, (n,), generator=generator(4))
    phase = 2 * math.pi * torch.rand((n, 2, 1), generator=generator(5))
    slow, fast = (2.0 + kind // 2)[:, None], (7.0 + 2 * (kind % 3))[:, None]
    x = torch.sin(2 * math.pi * slow * time + phase[:, 0]) + torch.sin(
        2 * math.pi * fast * time + phase[:, 1]
    )
    x = (x + 0.8 * torch.randn(x.shape, generator=generator(6)))[:, None]
    return Data(x[:1100], kind[:1100], x[1100:], kind[1100:])


def series() -> Data:
    """Noisy sines of any frequency, 17 steps each; at each the next is to be told: shape (n, 16, 1)."""
    n, time = 1000, torch.arange(17)
    rate = 0.2 + 0.8 * torch.rand((n, 1), generator=generator(7))
    phase = 2 * math.pi * torch.rand((n, 1), generator=generator(8))
    whole = torch.sin(rate * time + phase) + 0.25 * torch.randn((n, 17), generator=generator(9))
    whole = (whole / whole[:800].std())[..., None]
    return Data(whole[:800, :-1], whole[:800, 1:], whole[800:, :-1], whole[800:, 1:])


def _taste(rank: int, seed: int) -> Tensor:
    """How much each user likes each film: factors of some rank, and biases; variance 1."""
    of_users = torch.randn((USERS, rank), generator=generator(seed))
    of_films = torch.randn((FILMS, rank), generator=generator(seed + 1))
    taste = of_users @ of_films.T / rank**0.5 + 0.5 * torch.randn((1, FILMS), generator=generator(seed + 2))
    return taste / taste.std()


def _seen(taste: Tensor, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Some pairs of user and film, and the taste at these."""
    at = torch.randperm(USERS * FILMS, generator=generator(seed))[:count]
    return torch.stack([at // FILMS, at % FILMS], dim=1), taste.flatten()[at]


def ratings() -> Data:
    """Ratings, standardized, with noise of two thirds of their spread; half of the table is known."""
    x, y = _seen(_taste(3, 10), 4800, 13)
    y = y + 0.66 * torch.randn(len(y), generator=generator(14))
    y = ((y - y[:3800].mean()) / y[:3800].std()).reshape(-1, 1)
    return Data(x[:3800], y[:3800], x[3800:], y[3800:])


def clicks() -> Data:
    """Whether a user clicked on a film: 1 with the probability that the logistic of the taste gives."""
    x, y = _seen(2.5 * _taste(2, 20), 5200, 23)
    clicked = (torch.rand(len(y), generator=generator(24)) < torch.sigmoid(y)).long()
    return Data(x[:4200], clicked[:4200], x[4200:], clicked[4200:])
