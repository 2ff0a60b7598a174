"""Runs of several methods side by side: which is better, by how much, and whether so few runs can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tune_lr.comparing.figures import COLUMN, Unit, best_on, figures, grid_of, rung_agreement, rungs_of
from tune_lr.comparing.ranks import ALPHA, Paired, holm, paired, pairs_needed
from tune_lr.comparing.run import Run
from tune_lr.comparing.speed import Speed, speed
from tune_lr.errors import BadInput
from tune_lr.objective import Objective

if TYPE_CHECKING:
    import pandas as pd

#: What is added to the baseline's name for its runs with other seeds.
AGAIN = " (again)"


@dataclass(frozen=True)
class Finding:
    """One question on one method and the baseline, and what the runs say.

    Args:
        method: that is held against the baseline.
        about: ``best`` (the loss at the budget), or what the budget leaves open, ``seconds`` or ``epochs``.
        test: of the method's figures less the baseline's.
        p: corrected for all questions of the comparison (Holm).
        needed: the fewest seeds with which so many questions could find anything.
    """

    method: str
    about: str
    test: Paired
    p: float
    needed: int

    @property
    def enough(self) -> bool:
        return self.test.pairs >= self.needed

    @property
    def found(self) -> bool:
        return self.enough and self.p <= ALPHA


@dataclass(frozen=True)
class Comparison:
    """What the runs of several methods say; made by ``compare_runs``.

    Args:
        runs: all of them.
        objective: what was optimized.
        unit: of the budget, ``epochs`` or ``seconds``.
        budget: at which the methods are held against each other.
        baseline: the method that the others are held against.
        target: a loss to be reached; None: what the baseline's median curve is at the budget.
    """

    runs: tuple[Run, ...]
    objective: Objective
    unit: Unit
    budget: float
    baseline: str
    target: float | None = None

    @cached_property
    def methods(self) -> list[str]:
        """In the order of the runs, the baseline first; the neutral row is none."""
        names = dict.fromkeys(run.method for run in self.runs)
        return [self.baseline] + [name for name in names if name not in (self.baseline, self.neutral)]

    @property
    def neutral(self) -> str:
        """What the baseline's runs with other seeds are called, if there are any."""
        return self.baseline + AGAIN

    @cached_property
    def has_neutral(self) -> bool:
        return any(run.method == self.neutral for run in self.runs)

    def of(self, method: str) -> list[Run]:
        """A method's runs by seed."""
        return sorted((run for run in self.runs if run.method == method), key=lambda run: run.seed)

    def to_pandas(self) -> pd.DataFrame:
        """A row a run: ``method``, ``seed``, and its ``figures``, ``best`` in the metric's own direction."""
        table: pd.DataFrame = self._table.copy()
        return table

    @cached_property
    def _table(self) -> pd.DataFrame:
        import pandas as pd

        rows = [
            {"method": run.method, "seed": run.seed, **figures(run, self.unit, self.budget)}
            for run in self.runs
        ]
        table: pd.DataFrame = pd.DataFrame(rows)
        table["best"] = [self.objective.value(loss) for loss in table["best"]]
        return table

    @cached_property
    def findings(self) -> list[Finding]:
        """What the tests say of every method against the baseline, corrected for all of them."""
        tests = [test for method in self.methods[1:] for test in self._tests(method)]
        # Where no pair differs at all, nothing could be found: such a question costs the others nothing
        # (Tarone 1990).
        open_ones = [number for number, (_, _, test) in enumerate(tests) if not test.all_alike]
        p = dict(zip(open_ones, holm([tests[number][2].p for number in open_ones]), strict=True))
        needed = pairs_needed(len(open_ones))
        return [Finding(*test, p.get(number, 1.0), needed) for number, test in enumerate(tests)]

    @cached_property
    def check(self) -> list[Finding]:
        """The same of the neutral row, uncorrected: two of the same must not differ."""
        if not self.has_neutral:
            return []
        found = self._tests(self.neutral)
        return [Finding(name, about, test, test.p, pairs_needed(1)) for name, about, test in found]

    def _tests(self, method: str) -> list[tuple[str, str, Paired]]:
        ours, theirs = self._pairs(method)
        return [
            (method, about, paired([one[about] for one in ours], [one[about] for one in theirs]))
            for about in ("best", self.other_unit)
        ]

    def _pairs(self, method: str) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        """Figures of runs that belong together: by seed; the neutral row's, which has others, in order."""
        ours, theirs = self.of(method), self.of(self.baseline)
        if method != self.neutral:
            seeds = {run.seed for run in ours} & {run.seed for run in theirs}
            ours, theirs = ([run for run in one if run.seed in seeds] for one in (ours, theirs))
        both = list(zip(ours, theirs, strict=False))
        at = [tuple(figures(run, self.unit, self.budget) for run in pair) for pair in both]
        return [first for first, _ in at], [second for _, second in at]

    @cached_property
    def speeds(self) -> list[Speed]:
        """How much sooner each method is where the baseline ends, in epochs and in seconds; the neutral row
        is the last of each.
        """
        bests = [figures(run, self.unit, self.budget)["best"] for run in self.of(self.baseline)]
        target = float(np.median(bests)) if self.target is None else self.target
        names = [*self.methods[1:], *([self.neutral] if self.has_neutral else [])]
        found = []
        for unit, budget, goal in (
            (self.unit, self.budget, self.target),
            (self.other_unit, math.inf, target),
        ):
            of = [speed(self.of(self.baseline), self.of(name), unit, budget, goal) for name in names]
            found += [one for one in of if one is not None]
        return found

    @property
    def other_unit(self) -> Unit:
        """What the budget leaves open."""
        return "seconds" if self.unit == "epochs" else "epochs"

    def noise(self, unit: Unit) -> Speed | None:
        """The neutral row's speed: what chance alone makes of a ratio. None: nobody looked."""
        return next((one for one in self.speeds if (one.method, one.unit) == (self.neutral, unit)), None)

    def claimed(self, one: Speed) -> bool:
        """Whether a speed is a finding: its interval leaves out 1, and all that the neutral row's has."""
        noise = self.noise(one.unit)
        if noise is None or noise.clear or not one.clear or one.method == self.neutral:
            return False
        return one.low > noise.high or one.high < noise.low

    def curves(self, unit: Unit | None = None) -> pd.DataFrame:
        """The best so far: ``method``, ``epochs`` or ``seconds``, and ``lower median upper`` over seeds.

        Args:
            unit: of the axis; that of the budget if not given.
        """
        import pandas as pd

        unit = unit or self.unit
        parts = []
        for method in [*self.methods, *([self.neutral] if self.has_neutral else [])]:
            runs = self.of(method)
            grid = grid_of(runs, unit)
            best = best_on(runs, grid, unit)
            with np.errstate(invalid="ignore"):
                low, middle, high = np.quantile(best, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
            ends = (low, high) if self.objective.mode == "min" else (-high, -low)
            centre = middle if self.objective.mode == "min" else -middle
            columns = {"method": method, unit: grid, "lower": ends[0], "median": centre, "upper": ends[1]}
            parts.append(pd.DataFrame(columns))
        found = pd.concat(parts, ignore_index=True)
        known: pd.DataFrame = found[np.isfinite(found["median"])].reset_index(drop=True)
        return known

    def agreement(self) -> pd.DataFrame:
        """How well rungs told the end: ``method rung trials correlation``, medians over runs that can say."""
        import pandas as pd

        rows = []
        for method in self.methods:
            runs = self.of(method)
            for rung in rungs_of(runs[0]):
                found = [rung_agreement(run, rung) for run in runs]
                known = [rho for _, rho in found if not math.isnan(rho)]
                middle = float(np.median(known)) if known else math.nan
                rows.append((method, rung, int(np.median([count for count, _ in found])), middle))
        table: pd.DataFrame = pd.DataFrame(rows, columns=["method", "rung", "trials", "correlation"])
        return table


def compare_runs(
    runs: Sequence[Run],
    objective: Objective,
    *,
    budget: Mapping[Unit, float] | None = None,
    baseline: str | None = None,
    target: float | None = None,
) -> Comparison:
    """Hold runs of several methods against each other.

    Args:
        runs: at least one of each of two methods; runs of two methods with the same seed are a pair.
        objective: what all of them optimized.
        budget: where to look, as ``{"epochs": 500}`` or ``{"seconds": 600}``, or as far as every run has
            come, if that is less or it is not given.
        baseline: the method that the others are held against; the first if not given.
        target: a value of the metric to be reached, for the speeds.

    Raises:
        BadInput: there are not two methods, one has two runs of a seed, or nothing was reported in a run.
    """
    names = list(dict.fromkeys(run.method for run in runs))
    baseline = names[0] if baseline is None and names else baseline
    if baseline not in names:
        raise BadInput("baseline", baseline, f"one of {', '.join(names)}")
    if len([name for name in names if name != f"{baseline}{AGAIN}"]) < 2:
        raise BadInput("methods", ", ".join(names), "runs of at least two methods")
    for name in names:
        seeds = [run.seed for run in runs if run.method == name]
        if len(set(seeds)) < len(seeds):
            raise BadInput("seed", sorted(seeds), f"runs of {name} with a seed of their own each")
    for run in runs:
        if not len(run.reports):
            raise BadInput("run", f"{run.method}, seed {run.seed}", "a run in which something was reported")
    unit, amount = next(iter(budget.items())) if budget else ("epochs", math.inf)
    came = min(float(run.reports[COLUMN[unit]].max()) for run in runs)
    loss = None if target is None else objective.loss(target)
    found = Comparison(tuple(runs), objective, unit, min(amount, came), baseline, loss)
    return found if unit == "seconds" else replace(found, budget=float(int(found.budget)))
