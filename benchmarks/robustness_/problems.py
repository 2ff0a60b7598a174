"""What is trained: four test functions and two small nets, each a loss of one flat vector of parameters.

One vector keeps the loop cheap (one tensor for the optimizer) and gives every perturbation one gradient to
act on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """One problem with its start.

    Args:
        start: parameters to begin with, shape (d,), float32.
        loss: the clean loss of such a vector; full batch, so that it has no noise of its own.
    """

    start: Tensor
    loss: Loss


def quadratic(random: torch.Generator, size: int = 15, condition: float = 100.0) -> Task:
    """``sum a_i (x_i - t_i)^2``, the ``a_i`` from 1 to ``condition`` in equal ratios; start and target are
    standard normal."""
    scale = torch.logspace(0, math.log10(condition), size)
    target = torch.randn(size, generator=random)
    return Task(torch.randn(size, generator=random), lambda x: (scale * (x - target) ** 2).sum())


def rosenbrock(random: torch.Generator, size: int = 2) -> Task:
    """``sum 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2``; start: standard normal."""

    def loss(x: Tensor) -> Tensor:
        return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()

    return Task(torch.randn(size, generator=random), loss)


def rastrigin(random: torch.Generator, size: int = 10) -> Task:
    """``10 n + sum x_i^2 - 10 cos(2 pi x_i)``; start: standard normal. Full of local minima."""
    return Task(
        torch.randn(size, generator=random),
        lambda x: 10.0 * size + (x**2 - 10.0 * torch.cos(2 * math.pi * x)).sum(),
    )


def ackley(random: torch.Generator, size: int = 8) -> Task:
    """Ackley's function with the usual constants 20, 0.2 and 2 pi; start: standard normal."""

    def loss(x: Tensor) -> Tensor:
        radius = (x**2).mean().sqrt()
        return 20.0 + math.e - 20.0 * torch.exp(-0.2 * radius) - torch.exp(torch.cos(2 * math.pi * x).mean())

    return Task(torch.randn(size, generator=random), loss)


def net(random: torch.Generator) -> Task:
    """20-32-1 with tanh, mean squared error."""
    return _net(random, [(20, 32), (32, 1)], lambda x, w: torch.tanh(x @ w[0] + w[1]) @ w[2] + w[3])


def residual_net(random: torch.Generator) -> Task:
    """20-24, two residual blocks of 24-24-24 with ReLU, 24-1; mean squared error."""

    def forward(x: Tensor, w: list[Tensor]) -> Tensor:
        x = x @ w[0] + w[1]
        for i in (2, 6):
            x = x + torch.relu(x @ w[i] + w[i + 1]) @ w[i + 2] + w[i + 3]
        return x @ w[10] + w[11]

    return _net(random, [(20, 24), *[(24, 24)] * 4, (24, 1)], forward)


def _net(
    random: torch.Generator, layers: list[tuple[int, int]], forward: Callable[[Tensor, list[Tensor]], Tensor]
) -> Task:
    """A net on 256 samples of 20 standard normal inputs; the target is a linear part plus twice the sine of
    another one, scaled to variance 1 and with noise of variance 0.01."""
    inputs = torch.randn(256, 20, generator=random)
    plain, bent = (inputs @ torch.randn(20, 1, generator=random) for _ in range(2))
    wanted = plain / plain.std() + 2.0 * torch.sin(bent)
    wanted = wanted / wanted.std() + 0.1 * torch.randn(256, 1, generator=random)
    shapes: list[tuple[int, ...]] = [shape for layer in layers for shape in (layer, layer[1:])]
    sizes = [math.prod(shape) for shape in shapes]
    weights = [
        torch.randn(a, b, generator=random).flatten() / math.sqrt(a) if kind == 0 else torch.zeros(b)
        for a, b in layers
        for kind in (0, 1)
    ]

    def loss(x: Tensor) -> Tensor:
        parts = [part.view(shape) for part, shape in zip(x.split(sizes), shapes, strict=True)]
        return ((forward(inputs, parts) - wanted) ** 2).mean()

    return Task(torch.cat(weights), loss)


#: The problems of our own study.
PROBLEMS: dict[str, Callable[[torch.Generator], Task]] = {
    "quadratic": quadratic,
    "rosenbrock": rosenbrock,
    "rastrigin": rastrigin,
    "ackley": ackley,
    "net": net,
    "residual net": residual_net,
}

#: The test functions of the published runs, with how many of the 20 problem variants named there come to each
#: (most variants are names only: the code that makes the function does not know them).
PUBLISHED: dict[str, tuple[Callable[[torch.Generator], Task], int]] = {
    "quadratic 1": (lambda random: quadratic(random, condition=1.0), 1),
    "quadratic 100": (quadratic, 1),
    "quadratic 1000": (lambda random: quadratic(random, condition=1000.0), 3),
    "rosenbrock 2": (rosenbrock, 4),
    "rosenbrock 5": (lambda random: rosenbrock(random, size=5), 1),
    "rastrigin": (rastrigin, 5),
    "ackley": (ackley, 5),
}


def make_task(problem: str, seed: int) -> Task:
    """The problem of that name with the data, target and start that belong to a seed."""
    make = PROBLEMS[problem] if problem in PROBLEMS else PUBLISHED[problem][0]
    return make(torch.Generator().manual_seed(seed))
