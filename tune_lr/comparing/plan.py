"""What is compared: the methods, the seeds, how much each run may spend, and in which order they run."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_lr.budget import parse_budget
from tune_lr.comparing.comparison import AGAIN
from tune_lr.comparing.figures import Unit
from tune_lr.errors import BadInput
from tune_lr.job import Job

#: The file that a comparison's folder has it in.
PLAN = "comparison.json"
#: The fields of a job of which several values make several methods, in the order in which they name them.
AXES = ("engine", "searcher", "trial_scheduler", "prior", "space")
#: The neutral row's seeds are the baseline's and this.
_OTHER_SEEDS = 1_000_000
#: Trainings that a run may spend where nobody says how much.
_TRAININGS = 10
_FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """What is compared.

    Args:
        methods: name of a method -> the fields of its jobs.
        seeds: of every method's runs.
        budget: at which methods are held against each other, as a job has it.
        beyond: every run goes on to so many budgets.
        baseline: the method that the others are held against.
        neutral: whether the baseline is run with other seeds as well.
        common: the fields that all jobs have in common; trainer and space among them.
    """

    methods: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    budget: str
    beyond: float
    baseline: str
    neutral: bool
    common: dict[str, Any]

    @property
    def budgeted(self) -> dict[Unit, float]:
        """The budget's unit and amount."""
        return budget_of(self.budget)

    def job(self, method: str, seed: int) -> dict[str, Any]:
        """What the job of a run is asked."""
        (unit, amount), *_ = self.budgeted.items()
        spent = amount * self.beyond
        limit = f"{math.ceil(spent)}epochs" if unit == "epochs" else f"{spent:g}s"
        trials = math.ceil(spent) if unit == "epochs" else 100_000
        asked = self.methods[method.removesuffix(AGAIN)]
        return {"trials": trials, **self.common, **asked, "seed": self.seed_of(method, seed), "budget": limit}

    def turns(self) -> Iterator[tuple[str, int]]:
        """Method and seed of every run: seed by seed, each time another method first, so that a machine that
        is slow for a while is slow for all of them.
        """
        names = [*self.methods, *([self.baseline + AGAIN] if self.neutral else [])]
        for number, seed in enumerate(self.seeds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                yield name, seed

    def to_json(self) -> dict[str, Any]:
        return {"format": _FORMAT, **vars(self), "seeds": list(self.seeds)}

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """The plan that a folder holds; None where there is none (BadInput: it is damaged)."""
        file = folder / PLAN
        if not file.is_file():
            return None
        try:
            found = json.loads(file.read_text("utf-8"))
            if found.pop("format") != _FORMAT:
                raise ValueError(f"another version's; this one reads {_FORMAT}")
            plan = cls(**{**found, "seeds": tuple(found["seeds"])})
            _ = plan.budgeted, [plan.job(*turn) for turn in plan.turns()]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
            raise BadInput("comparison", str(file), f"the file that tune-lr wrote ({error})") from error
        return plan

    def seed_of(self, method: str, seed: int) -> int:
        """What a run's job gets: the neutral row has seeds that no other method has."""
        return seed + _OTHER_SEEDS if method.endswith(AGAIN) else seed

    def place(self, method: str, seed: int) -> Path:
        """Where a run's experiment lies in the folder: ``runs/03-2`` is the third method's with seed 2."""
        names = [*self.methods, self.baseline + AGAIN]
        return Path("runs", f"{names.index(method) + 1:02d}-{seed}")


def budget_of(text: str) -> dict[Unit, float]:
    """A budget's unit and amount.

    Raises:
        BadInput: it is none.
    """
    limits = parse_budget(text)
    if limits.epochs is not None:
        return {"epochs": float(limits.epochs)}
    return {"seconds": float(limits.seconds or 0.0)}


def planned(
    asked: Mapping[str, Any],
    spaces: Sequence[Mapping[str, Any]],
    *,
    seeds: int | Sequence[int],
    budget: str | int | None,
    beyond: float,
    neutral: bool,
    baseline: str | None,
) -> Plan:
    """A checked plan.

    Args:
        asked: the fields of ``Job``, several values where methods differ; ``trainer`` among them.
        spaces: the contents of space files, one or several.
        seeds: how many, or which.
        budget: epochs or a time; 10 whole trainings if not given.
        beyond: as of ``Plan``, like the others.
        neutral: whether there is a neutral row.
        baseline: the first method if not given.

    Raises:
        BadInput: something asked for cannot be used.
    """
    wanted = tuple(range(seeds)) if isinstance(seeds, int) and not isinstance(seeds, bool) else seeds
    if not isinstance(wanted, Sequence) or not wanted or len(set(wanted)) < len(wanted):
        raise BadInput("seeds", seeds, "how many (at least 1), or a list of different ones")
    if isinstance(beyond, bool) or not (isinstance(beyond, (int, float)) and 1 <= beyond <= 100):
        raise BadInput("beyond", beyond, "a number of budgets from 1 to 100")
    for name in ("seed", "budget", "trials"):
        if name in asked:
            raise BadInput(name, asked[name], "none: a comparison says seeds and a budget for all runs")
    axes = {name: _several(name, asked[name]) for name in AXES if name in asked} | {"space": list(spaces)}
    common = {name: value for name, value in asked.items() if name not in axes}
    methods = _methods(axes)
    if len(methods) < 2:
        raise BadInput("methods", "; ".join(methods), f"at least two: several values of {', '.join(AXES)}")
    if budget is None:
        epochs = Job.make({**common, **next(iter(methods.values()))}).max_epochs
        budget = _TRAININGS * epochs
    told = f"{budget}epochs" if isinstance(budget, int) and not isinstance(budget, bool) else str(budget)
    baseline = next(iter(methods)) if baseline is None else baseline
    if baseline not in methods:
        raise BadInput("baseline", baseline, f"one of: {'; '.join(methods)}")
    plan = Plan(methods, tuple(wanted), told, float(beyond), baseline, neutral, common)
    for method, seed in plan.turns():
        Job.make(plan.job(method, seed))
    return plan


def _several(name: str, value: Any) -> list[Any]:
    """Values that the plan's file can hold."""
    values = [
        os.fspath(one) if isinstance(one, os.PathLike) else one
        for one in (value if isinstance(value, (list, tuple)) else [value])
    ]
    for one in values:
        if not (isinstance(one, str) or (one is None and name == "prior")):
            raise BadInput(name, one, "names, or paths, since a comparison is kept in a file")
    return ["none" if one is None else one for one in values]


def _methods(axes: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """Every combination, named after what varies."""
    found: dict[str, dict[str, Any]] = {}
    for values in itertools.product(*axes.values()):
        asked = dict(zip(axes, values, strict=True))
        parts = [_called(name, asked[name]) for name in AXES if len(axes.get(name, [])) > 1]
        method = ", ".join(parts) or "it"
        if method in found:
            raise BadInput("methods", method, "values that differ from each other")
        found[method] = asked
    return found


def _called(axis: str, value: Any) -> str:
    if axis == "space":
        return str(value["name"])
    return f"prior {value}" if axis == "prior" else str(value)
