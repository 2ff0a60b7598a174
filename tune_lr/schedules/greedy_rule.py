"""GreedyLR's rule as a pure function: memory, LRs and a value in; memory, LRs and what was done out.

The algorithm is that of arXiv 2512.14527, with the details of ``transformers.optimization.GreedyLR``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Move = Literal["hold", "raise", "cut", "reset"]


class Rule(NamedTuple):
    """What does not change during a run; the meaning of each is told at ``GreedyLR``."""

    mode: str
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    warmup: int
    eps: float
    reset_start_original: int
    min_lrs: Sequence[float]
    max_lrs: Sequence[float]
    init_lrs: Sequence[float]

    def is_better(self, value: float, best: float) -> bool:
        """Whether a value beats the best one by more than the threshold."""
        sign = -1.0 if self.mode == "min" else 1.0
        if self.threshold_mode == "rel":
            bar = best * (1.0 + sign * self.threshold)
        else:
            bar = best + sign * self.threshold
        return value < bar if self.mode == "min" else value > bar

    @property
    def worst(self) -> float:
        """What every value beats."""
        return math.inf if self.mode == "min" else -math.inf


class Memory(NamedTuple):
    """What the rule remembers from one step to the next."""

    best: float
    num_bad_epochs: int
    num_good_epochs: int
    cooldown_counter: int
    warmup_counter: int
    reset_start: int


def start(rule: Rule) -> Memory:
    """The memory of a run that has seen nothing."""
    return Memory(rule.worst, 0, 0, 0, 0, rule.reset_start_original)


def advance(
    rule: Rule, memory: Memory, lrs: Sequence[float], value: float
) -> tuple[Memory, list[float], Move]:
    """One step of the algorithm: memory, LRs and a (smoothed) value in; memory, LRs and what was done out.

    A value that is not finite counts as bad, whatever its sign.
    """
    if memory.cooldown_counter > 0 or memory.warmup_counter > 0:
        cooling = memory.cooldown_counter > 0
        name = "cooldown_counter" if cooling else "warmup_counter"
        waited = memory._replace(**{name: getattr(memory, name) - 1}, num_bad_epochs=0, num_good_epochs=0)
        return waited, list(lrs), "hold"
    if math.isfinite(value) and rule.is_better(value, memory.best):
        memory = memory._replace(best=value, num_bad_epochs=0, num_good_epochs=memory.num_good_epochs + 1)
    else:
        memory = memory._replace(num_bad_epochs=memory.num_bad_epochs + 1, num_good_epochs=0)
    if memory.num_good_epochs > rule.patience:
        memory = memory._replace(
            num_good_epochs=0, warmup_counter=rule.warmup, reset_start=rule.reset_start_original
        )
        return memory, _raised(rule, lrs), "raise"
    if memory.num_bad_epochs > rule.patience:
        return _cut(rule, memory, lrs)
    return memory, list(lrs), "hold"


def _raised(rule: Rule, lrs: Sequence[float]) -> list[float]:
    aims = [min(lr / rule.factor, top) for lr, top in zip(lrs, rule.max_lrs, strict=True)]
    return [aim if aim - lr > rule.eps else lr for lr, aim in zip(lrs, aims, strict=True)]


def _cut(rule: Rule, memory: Memory, lrs: Sequence[float]) -> tuple[Memory, list[float], Move]:
    aims = [max(lr * rule.factor, floor) for lr, floor in zip(lrs, rule.min_lrs, strict=True)]
    lower = [aim if lr - aim > rule.eps else lr for lr, aim in zip(lrs, aims, strict=True)]
    move: Move = "cut"
    if all(lr <= floor for lr, floor in zip(lower, rule.min_lrs, strict=True)):
        memory = memory._replace(reset_start=memory.reset_start - 1)
        if memory.reset_start <= 0:
            memory, lower, move = start(rule), list(rule.init_lrs), "reset"
    return memory._replace(num_bad_epochs=0, cooldown_counter=rule.cooldown), lower, move
