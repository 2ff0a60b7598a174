"""The best of a search, trained again with fresh seeds: which is really best, and what the search made of it.

The best of many noisy values is too good to be true: it was chosen for being low. Trained again, with other
seeds, a configuration shows what it is worth; the difference is how optimistic the search had been.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tune_lr.comparing.ranks import ALPHA, holm
from tune_lr.objective import Objective

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Candidate:
    """One configuration and its trainings.

    Args:
        trial_id: in the search.
        config: as trainers get it.
        searched: its loss in the search.
        epochs: that it was trained for there.
        losses: of the trainings with fresh seeds; NaN where one failed or diverged.
    """

    trial_id: str
    config: dict[str, Any]
    searched: float
    epochs: int
    losses: tuple[float, ...]

    @cached_property
    def finite(self) -> list[float]:
        return [loss for loss in self.losses if math.isfinite(loss)]

    @property
    def mean(self) -> float:
        """Of all trainings; inf where one did not come through, since then it cannot be trusted."""
        if len(self.finite) < len(self.losses) or not self.losses:
            return math.inf
        return float(np.mean(self.finite))

    @property
    def interval(self) -> tuple[float, float]:
        """Student's 95 % interval of the mean; infinite with fewer than two trainings that came through."""
        from scipy.stats import t

        count = len(self.finite)
        if count < 2:
            return -math.inf, math.inf
        middle = float(np.mean(self.finite))
        half = float(t.ppf(0.975, count - 1) * np.std(self.finite, ddof=1) / math.sqrt(count))
        return middle - half, middle + half

    @property
    def optimism(self) -> float:
        """How much lower its loss was in the search than it is on average."""
        return (float(np.mean(self.finite)) if self.finite else math.nan) - self.searched


@dataclass(frozen=True)
class Confirmation:
    """What training the best again has shown.

    Args:
        candidates: in the order of the search, its best first.
        objective: what is optimized.
    """

    candidates: tuple[Candidate, ...]
    objective: Objective

    @cached_property
    def ranked(self) -> list[Candidate]:
        """The best mean first; ties as in the search."""
        return sorted(self.candidates, key=lambda one: one.mean)

    @property
    def best(self) -> Candidate:
        return self.ranked[0]

    @cached_property
    def doubts(self) -> dict[str, float]:
        """Trial -> p of the exact Mann-Whitney test that it is no worse than the best, corrected (Holm)."""
        from scipy.stats import mannwhitneyu

        others = self.ranked[1:]
        ours = _worst_last(self.best.losses)
        found = [
            float(mannwhitneyu(ours, _worst_last(one.losses), alternative="two-sided").pvalue)
            for one in others
        ]
        return dict(zip((one.trial_id for one in others), holm(found), strict=True))

    @property
    def sentence(self) -> str:
        """What can be said."""
        value = self.objective.value
        if not self.best.finite or math.isinf(self.best.mean):
            return "no configuration came through all of its trainings: none is confirmed."
        low, high = sorted(value(end) for end in self.best.interval)
        name, metric, count = self.best.trial_id, self.objective.metric, len(self.best.losses)
        told = [f"trial {name} is best: {metric} {value(self.best.mean):.4g} ({low:.4g} to {high:.4g})"]
        told[0] += f" over {count} fresh {'seed' if count == 1 else 'seeds'}"
        sure = [trial for trial, p in self.doubts.items() if p <= ALPHA]
        open_ = [trial for trial, p in self.doubts.items() if p > ALPHA]
        if sure:
            told.append(f"better than {_listed(sure)}")
        if open_:
            told.append(f"not told apart from {_listed(open_)}")
        first = self.candidates[0]
        if first is not self.best:
            told.append(f"the search had {first.trial_id} in front")
        share = self.best.optimism
        told.append(
            f"the search had seen {value(self.best.searched):.4g} there, "
            + (f"too good by {share:.2g}" if share > 0 else f"not too good (by {share:.2g})")
        )
        return "; ".join(told) + "."

    def to_pandas(self) -> pd.DataFrame:
        """A row a training: ``trial_id`` (of the search), ``time`` and the metric."""
        import pandas as pd

        rows = [
            {"trial_id": one.trial_id, "time": time, self.objective.metric: self.objective.value(loss)}
            for one in self.candidates
            for time, loss in enumerate(one.losses, start=1)
        ]
        table: pd.DataFrame = pd.DataFrame(rows)
        return table

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it; what is not known is None."""
        value = self.objective.value
        return {
            "sentence": self.sentence,
            "metric": self.objective.metric,
            "mode": self.objective.mode,
            "best": self.best.trial_id,
            "candidates": [
                {
                    "trial_id": one.trial_id,
                    "searched": _known(value(one.searched)),
                    "epochs": one.epochs,
                    "values": [_known(value(loss)) for loss in one.losses],
                    "mean": _known(value(one.mean)),
                    "interval": [_known(value(end)) for end in one.interval],
                    "optimism": _known(one.optimism),
                    "p": self.doubts.get(one.trial_id),
                    "config": one.config,
                }
                for one in self.ranked
            ],
        }


def confirmation_of(
    searched: Sequence[tuple[str, Mapping[str, Any], float, int]],
    again: Mapping[str, Sequence[float]],
    objective: Objective,
) -> Confirmation:
    """What a search and trainings of its best come to.

    Args:
        searched: trial, configuration, loss and epochs in the search, its best first.
        again: trial -> losses with fresh seeds.
        objective: of both.
    """
    return Confirmation(
        tuple(
            Candidate(trial_id, dict(config), loss, epochs, tuple(again.get(trial_id, ())))
            for trial_id, config, loss, epochs in searched
        ),
        objective,
    )


def _worst_last(losses: Sequence[float]) -> list[float]:
    return [loss if math.isfinite(loss) else math.inf for loss in losses]


def _known(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
