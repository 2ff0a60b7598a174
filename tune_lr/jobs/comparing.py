"""``compare``: the same work by several methods, run in turns, with results that can be gone on from."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tune_lr import registry
from tune_lr.assembly import assemble
from tune_lr.comparing.comparison import Comparison
from tune_lr.comparing.plan import PLAN, Plan, planned
from tune_lr.comparing.ranks import require_statistics
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.jobs.compared import MEMORY, compared, is_finished
from tune_lr.jobs.footprint import Footprint
from tune_lr.jobs.tuning import Space, prepare, run, space_of, trainer_of
from tune_lr.place import absolute, locked
from tune_lr.trials.trainer import Train

#: Epochs of the training that tells how long an epoch takes.
_PILOT = 2
#: Seconds that an engine takes to begin and to end, roughly.
_ENGINE = {"inline": 0.1, "syne-tune": 4.0, "ray": 10.0}


class Watcher(Protocol):
    """Who hears how a comparison goes."""

    def begins(self, plan: Plan, todo: int, seconds: float) -> None:
        """So many runs are to come, and take about so long."""

    def ran(self, method: str, seed: int, seconds: float, left: float) -> None:
        """One run is done, and about so many seconds are left."""


def compare(
    train: Train | str,
    space: Space | Sequence[Space],
    *,
    seeds: int | Sequence[int] = 10,
    budget: str | int | None = None,
    beyond: float = 1.5,
    neutral: bool = True,
    baseline: str | None = None,
    out: str | os.PathLike[str],
    watcher: Watcher | None = None,
    **asked: Any,
) -> Comparison:
    """Run the same work by several methods and hold them against each other.

    Every run is an experiment of its own below ``out``. Runs come in turns. The same call again goes on
    where it was cut off; with more seeds it runs only those.

    Args:
        train: as for ``tune``.
        space: likewise; a list compares spaces, and so schedules.
        seeds: how many, from 0 on, or which.
        budget: epochs or a time, at which methods are held against each other; 10 whole trainings if not
            given.
        beyond: every run goes on to so many budgets, so that a slower method is seen to arrive.
        neutral: run the first method a second time with other seeds; without it no speed-up is claimed.
        baseline: the method that the others are held against; the first if not given.
        out: a folder for all of it.
        watcher: hears how it goes.
        asked: the fields of ``Job``. A list of ``engine``, ``searcher``, ``trial_scheduler`` or ``prior``
            compares its values, each with each.

    Raises:
        BadInput: something asked for cannot be used, or another comparison is in the folder.
        JobFailed: the trials of a run fail alike.
        KeyboardInterrupt: after Ctrl-C, with everything kept.
    """
    require_statistics()
    spaces: list[Any] = list(space) if isinstance(space, (list, tuple)) else [space]
    plan = planned(
        {**asked, "trainer": str(trainer_of(train))},
        [space_of(one).to_dict() for one in spaces],
        seeds=seeds,
        budget=budget,
        beyond=beyond,
        neutral=neutral,
        baseline=baseline,
    )
    for method in plan.methods:  # before anything is made
        job = Job.make(plan.job(method, plan.seeds[0]))
        registry.load("engines", job.engine)
        assemble(job)
    folder = settled(plan, out)
    carry_out(folder, train, watcher)
    return compared(folder)


def settled(plan: Plan, out: str | os.PathLike[str]) -> Path:
    """The folder of a comparison, made or found, with the plan in it.

    Raises:
        BadInput: something else is there.
    """
    folder = absolute(out)
    before = Plan.read(folder)
    if before is None and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("out", str(out), "a new folder, or that of the same comparison")
    if before is not None:
        for name, value in vars(plan).items():
            if name != "seeds" and json.loads(json.dumps(value)) != getattr(before, name):
                raise BadInput(
                    name, value, f"what the comparison in {out} was begun with: {getattr(before, name)}"
                )
        seeds = tuple(dict.fromkeys([*before.seeds, *plan.seeds]))
        plan = Plan(**{**vars(plan), "seeds": seeds})
    try:
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f".{PLAN}"
        new.write_text(json.dumps(plan.to_json(), indent=1), "utf-8")
        os.replace(new, folder / PLAN)
    except (OSError, TypeError, ValueError) as error:
        raise BadInput("out", str(out), f"a place to write to ({error})") from error
    return folder


def carry_out(folder: Path, train: Train | str, watcher: Watcher | None = None) -> None:
    """Run what is missing of the comparison in a folder.

    Raises:
        BadInput: another process is at it, or a run cannot be made.
        JobFailed: the trials of a run fail alike.
    """
    plan = Plan.read(folder)
    if plan is None:
        raise BadInput("comparison", str(folder), f"the folder of a comparison (it holds {PLAN})")
    with locked(folder):
        todo = [turn for turn in plan.turns() if not is_finished(folder / plan.place(*turn))]
        if watcher and todo:
            watcher.begins(plan, len(todo), estimate(plan, todo, train))
        taken: dict[str, list[float]] = {}
        for number, (method, seed) in enumerate(todo):
            began = time.monotonic()
            _run_one(plan, folder, train, method, seed)
            taken.setdefault(method, []).append(time.monotonic() - began)
            if watcher:
                watcher.ran(method, seed, taken[method][-1], _left(todo[number + 1 :], taken))


def estimate(plan: Plan, todo: Sequence[tuple[str, int]], train: Train | str) -> float:
    """Seconds that runs will take, by one short training in memory where epochs are counted."""
    (unit, amount), *_ = plan.budgeted.items()
    jobs = [Job.make(plan.job(*turn)) for turn in todo]
    if unit == "seconds":
        return amount * plan.beyond * len(jobs)
    pilot: dict[str, Any] = {
        **plan.job(*todo[0]), "engine": "inline", "searcher": "random", "trial_scheduler": "none",
        "prior": None, "trials": 1, "workers": 1, "max_epochs": _PILOT, "budget": None,
    }  # fmt: skip
    trainer = trainer_of(train)
    experiment = Experiment.open(None, Job.make({**pilot, "trainer": str(trainer)}))
    reports = run(experiment, trainer).to_pandas()["seconds"]
    epoch = float(reports.diff().iloc[-1]) if len(reports) > 1 else float(reports.sum())
    seconds: float = sum(
        amount * plan.beyond * epoch / job.workers + _ENGINE.get(job.engine, 5.0) for job in jobs
    )
    return seconds


def _left(todo: Sequence[tuple[str, int]], taken: Mapping[str, Sequence[float]]) -> float:
    """Seconds that runs take, by what each method has taken; one that has not run yet takes as any other."""
    usual = sum(map(sum, taken.values())) / max(1, sum(map(len, taken.values())))
    of = {method: sum(values) / len(values) for method, values in taken.items()}
    return sum(of.get(method, usual) for method, _ in todo)


def _run_one(plan: Plan, folder: Path, train: Train | str, method: str, seed: int) -> None:
    asked = plan.job(method, seed)
    asked.pop("trainer")
    space = asked.pop("space")
    experiment, trainer = prepare(train, space, out=folder / plan.place(method, seed), **asked)
    with Footprint() as footprint:
        run(experiment, trainer)
    with (folder / MEMORY).open("a", encoding="utf-8") as file:
        told = {"method": method, "seed": seed, "bytes": footprint.most}
        file.write(json.dumps(told) + "\n")
