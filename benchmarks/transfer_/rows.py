"""What the parts come to: a row for each method and history, with its figures on every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transfer_ import figures
from transfer_.methods import METHODS
from transfer_.parts import Part, baseline_of, code, read
from transfer_.tables import Array, Tables

#: Method and kind of history.
Name = tuple[str, str]


@dataclass(frozen=True)
class Row:
    """A method under a history.

    Args:
        tasks: the tasks on which all its runs are there.
        runs: how many a task.
        speed: of each task.
        safe: of each task.
        ask: median seconds a suggestion.
        report: median seconds a report.
        old: parts that another version of the code has made.
    """

    tasks: tuple[str, ...]
    runs: int
    speed: Array
    safe: Array
    ask: float
    report: float
    old: int

    def on(self, tasks: Sequence[str], figure: str) -> Array:
        """A figure on these tasks, in their order."""
        values: Array = getattr(self, figure)
        return values[[self.tasks.index(task) for task in tasks]]


def rows_of(
    parts: Sequence[Part], tables: Tables, out: Path, budget: int, baseline_seeds: int
) -> dict[Name, Row]:
    """The rows of which there is at least one whole task; tasks without a baseline are left out."""
    found: dict[Name, dict[str, list[Part]]] = {}
    for part in parts:
        found.setdefault((part.method, part.kind), {}).setdefault(part.task, []).append(part)
    baselines: dict[str, Array] = {}
    for task in dict.fromkeys(part.task for part in parts):
        held = read(baseline_of(task, budget, baseline_seeds), tables, out)
        if held is not None:
            baselines[task] = held["best"]
    rows = {name: _row(tasks, baselines, tables, out, budget) for name, tasks in found.items()}
    return {name: row for name, row in rows.items() if row is not None}


def _row(
    parts: Mapping[str, list[Part]], baselines: Mapping[str, Array], tables: Tables, out: Path, budget: int
) -> Row | None:
    speed, safe, asks, reports, tasks, old = [], [], [], [], [], 0
    for task, of_task in parts.items():
        held = [read(part, tables, out) for part in of_task]
        whole: list[dict[str, Any]] = [one for one in held if one is not None]
        if len(whole) < len(held) or task not in baselines:
            continue
        best = np.concatenate([one["best"] for one in whole])
        speed.append(figures.speed(best, baselines[task], budget))
        safe.append(figures.safe(best, baselines[task], budget))
        asks += [one["ask"] for one in whole]
        reports += [one["report"] for one in whole]
        old += sum(METHODS[of_task[0].method].ours and str(one["code"]) != code() for one in whole)
        tasks.append(task)
    if not tasks:
        return None
    runs = max(part.last for of_task in parts.values() for part in of_task)
    ask, report = (float(np.median(np.concatenate(one))) for one in (asks, reports))
    return Row(tuple(tasks), runs, np.array(speed), np.array(safe), ask, report, old)


def ratio_of(
    rows: Mapping[Name, Row], ours: Name, theirs: Name, figure: str, at: float
) -> tuple[float, float, float] | None:
    """A quantile of a figure by another row's, with its interval, on the tasks that both have."""
    if ours not in rows or theirs not in rows:
        return None
    tasks = [task for task in rows[ours].tasks if task in rows[theirs].tasks]
    if not tasks:
        return None
    return figures.ratio(rows[ours].on(tasks, figure), rows[theirs].on(tasks, figure), at)
