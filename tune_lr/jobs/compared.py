"""Comparisons of what has run already: the runs of ``compare``, or any experiments."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tune_lr.comparing.comparison import Comparison, compare_runs
from tune_lr.comparing.plan import AXES, PLAN, Plan, budget_of
from tune_lr.comparing.run import read_run
from tune_lr.description import DESCRIPTION
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.place import absolute

MEMORY = "memory.jsonl"


def compared(folder: str | os.PathLike[str], target: float | None = None) -> Comparison:
    """What the runs in a comparison's folder say, of the seeds that every method has finished.

    Raises:
        BadInput: no comparison is there, or no seed is finished.
    """
    where = absolute(folder)
    plan = Plan.read(where)
    if plan is None:
        raise BadInput("comparison", str(folder), f"the folder of a comparison (it holds {PLAN})")
    turns = list(plan.turns())
    done = {turn for turn in turns if is_finished(where / plan.place(*turn))}
    whole = [seed for seed in plan.seeds if all((name, seed) in done for name, at in turns if at == seed)]
    if not whole:
        raise BadInput("comparison", str(folder), "one of which every method has finished a run of some seed")
    memory = _memory(where)
    runs = []
    for method, seed in sorted(turns, key=lambda turn: list(dict(turns)).index(turn[0])):
        if seed in whole:
            one = Experiment.open(where / plan.place(method, seed))
            runs.append(read_run(method, seed, one.job, one.journal.read(), memory.get((method, seed))))
    objective = Job.make(plan.job(plan.baseline, plan.seeds[0])).objective
    return compare_runs(runs, objective, budget=plan.budgeted, baseline=plan.baseline, target=target)


def compare_folders(
    folders: Sequence[str | os.PathLike[str]],
    *,
    budget: str | None = None,
    baseline: str | None = None,
    target: float | None = None,
) -> Comparison:
    """What experiments say, whoever ran them: those that were asked the same but for the seed are a method.

    Args:
        folders: of experiments, or folders of folders of them.
        budget: where to look; as many epochs as all have trained if not given.
        baseline: the method that the others are held against; that of the first folder if not given.
        target: a value of the metric to be reached.

    Raises:
        BadInput: a folder holds no experiment, or they did not optimize the same.
    """
    found = [one for folder in folders for one in _experiments(folder)]
    jobs = [one.job for one in found]
    for name in ("metric", "mode", "scope", "max_epochs"):
        values = {str(getattr(job, name)) for job in jobs}
        if len(values) > 1:
            raise BadInput(name, ", ".join(sorted(values)), "the same in every experiment that is compared")
    varying = [name for name in (*AXES, "workers") if len({_value(job, name) for job in jobs}) > 1]
    named = [", ".join(_value(job, name) for name in varying) or "it" for job in jobs]
    runs = [
        read_run(method, one.job.seed, one.job, one.journal.read())
        for method, one in zip(named, found, strict=True)
    ]
    at = None if budget is None else budget_of(budget)
    return compare_runs(runs, jobs[0].objective, budget=at, baseline=baseline, target=target)


def _experiments(folder: str | os.PathLike[str]) -> list[Experiment]:
    where = Path(folder)
    inside = sorted(one.parent for one in where.glob("*/experiment.json")) if where.is_dir() else []
    if inside and not (where / "experiment.json").is_file():
        return [Experiment.open(one) for one in inside]
    return [Experiment.open(folder)]


def _value(job: Job, name: str) -> str:
    if name == "space":
        return str(job.space.get("name"))
    value = getattr(job, name)
    if name == "prior":
        return f"prior {value}"
    return f"{value} workers" if name == "workers" else str(value)


def is_finished(place: Path) -> bool:
    """Whether a run has come to its end; one that was killed before it had written what was asked has not."""
    return (place / DESCRIPTION).is_file() and Experiment.open(place).record().status == "finished"


def _memory(folder: Path) -> dict[tuple[str, int], int]:
    """The bytes of every run, of its newest session."""
    found: dict[tuple[str, int], int] = {}
    file = folder / MEMORY
    for line in file.read_text("utf-8").splitlines() if file.is_file() else []:
        try:
            one = json.loads(line)
            found[str(one["method"]), int(one["seed"])] = int(one["bytes"])
        except (ValueError, KeyError, TypeError):  # torn by a kill
            continue
    return found
