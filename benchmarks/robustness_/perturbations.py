"""What disturbs training. A perturbed step is a bad batch: its loss and its gradient are wrong together.

Sizes are relative to the loss ``L0`` and the gradient norm ``G0`` at the start of the run, so that one
strength means the same for every problem. ``s`` is the strength, ``u`` a random direction of length 1, new at
every step and the same for every schedule under one seed.

============ ========================== ============================ ======================================
kind         the loss that is seen      the gradient followed        when
============ ========================== ============================ ======================================
none         as it is                   as it is
gaussian     + 0.1 s L0 z, z ~ N(0, 1)  + 0.1 s G0 u                 every step
periodic     + 2 s L0                   + 2 s G0 u                   3 steps in a row every 50 + 50 s steps
random       + 2 s i L0                 + 2 s i G0 u                 chance of 0.02 a step, i ~ U(0.5, 2)
adversarial  + 0.5 s of itself          turned round, 0.5 s as long  after every step that lowered the loss
============ ========================== ============================ ======================================

Kinds and times are those of the published study; there the noise is a constant added to the loss, which has
no gradient, and the schedule was shown the loss without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

KINDS = ("none", "gaussian", "periodic", "random", "adversarial")
#: Those that come as episodes, of which recovery can be asked.
SPIKES = ("periodic", "random")


class Effect(NamedTuple):
    """What is made of one step: ``loss + shift L0 + inflate loss``, ``gradient * keep + push G0 u``."""

    shift: float = 0.0
    push: float = 0.0
    inflate: float = 0.0
    keep: float = 1.0


@dataclass(frozen=True)
class Perturbation:
    """All that chance decides of one run, drawn beforehand.

    Args:
        effects: one a step; for ``adversarial`` each holds only where the step before lowered the loss.
        directions: shape (steps, d), each of length 1.
        starts: first steps of the episodes, ascending.
    """

    kind: str
    effects: tuple[Effect, ...]
    directions: Tensor
    starts: tuple[int, ...] = ()

    def effect(self, step: int, loss: float, before: float) -> Effect:
        """What befalls a step, given its clean loss and that of the step before."""
        return Effect() if self.kind == "adversarial" and not loss < before else self.effects[step]


def draw(kind: str, strength: float, steps: int, size: int, seed: int) -> Perturbation:
    """The perturbation of a run of ``steps`` steps over ``size`` parameters.

    Raises:
        ValueError: no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of {', '.join(KINDS)}")
    random = torch.Generator().manual_seed(seed)
    directions = torch.randn(steps, size, generator=random)
    directions /= directions.norm(dim=1, keepdim=True)
    normal = torch.randn(steps, generator=random).tolist()
    hit = (torch.rand(steps, generator=random) < 0.02).tolist()
    intensity = (0.5 + 1.5 * torch.rand(steps, generator=random)).tolist()
    effects = [Effect()] * steps
    starts: list[int] = []
    if kind == "gaussian":
        effects = [Effect(0.1 * strength * z, 0.1 * strength) for z in normal]
    elif kind == "adversarial":
        effects = [Effect(inflate=0.5 * strength, keep=-0.5 * strength)] * steps
    elif kind == "periodic":
        period = 50 + int(50 * strength)
        starts = list(range(period, steps, period))  # not at step 0, where nothing has been learnt to lose
        for start in starts:
            for step in range(start, min(start + 3, steps)):
                effects[step] = Effect(2 * strength, 2 * strength)
    elif kind == "random":
        starts = [step for step in range(1, steps) if hit[step]]
        for step in starts:
            size_of = 2 * strength * intensity[step]
            effects[step] = Effect(size_of, size_of)
    return Perturbation(kind, tuple(effects), directions, tuple(starts))
