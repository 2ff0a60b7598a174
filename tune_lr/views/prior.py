"""A prior in words and tables: what it was learned from, what it tells of each knob, where to begin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.prior.prior import Prior
from tune_lr.views.history import bars, is_utf, range_told
from tune_lr.views.prior_summary import Marginal, Summary, TaskTold
from tune_lr.views.words import brief, counted

#: So many tasks are listed, and so many lines of what was passed over.
_TASKS, _PASSED_OVER = 40, 20
#: Bars of a density, and choices that are named.
_BARS, _CHOICES = 12, 3
_LONG = 160


def show(told: Summary, console: Console) -> None:
    """Print what a prior was learned from, what it tells of each knob, and what was passed over."""
    console.print(Text(headline(told.prior), style="bold"))
    console.print(tasks_table(told.tasks))
    if told.agreement is not None:
        console.print(Text(f"How good a configuration is, the tasks agree on with a {agreement(told)}."))
    console.print(knobs_table(told, plain=not is_utf(console)))
    passed_over(told.prior, console)


def show_fitted(told: Summary, console: Console) -> None:
    """Print what a prior that was just made took, and what it passed over and why."""
    console.print(Text(headline(told.prior), style="bold"))
    console.print(tasks_table(told.tasks))
    passed_over(told.prior, console)


def headline(prior: Prior) -> str:
    """``prior of greedy_lr: 21 tasks, 5376 configurations, up to 27 epochs``."""
    tasks = prior.tasks
    configurations = sum(len(task.scores) for task in tasks)
    epochs = max(task.epochs for task in tasks)
    return (
        f"prior of {brief(prior.space.name)}: {counted(len(tasks), 'task')}, "
        f"{counted(configurations, 'configuration')}, up to {counted(epochs, 'epoch')}"
    )


def agreement(told: Summary) -> str:
    """How alike the tasks are on the whole."""
    return f"mean correlation of {told.agreement:.2f}" if told.agreement is not None else "single task"


def tasks_table(tasks: Sequence[TaskTold]) -> Table:
    """One row a task: how much is known of it, and which others are most like it."""
    more = f"{len(tasks) - _TASKS} more tasks; --json tells all" if len(tasks) > _TASKS else None
    table = Table(box=box.SIMPLE_HEAD, caption=more, caption_justify="left")
    numbers = ("configurations", "to the end", "epochs", "passed over")
    for name in ("task", "source", "metric", *numbers[:3], "most like it", numbers[3]):
        table.add_column(name, justify="right" if name in numbers else "left")
    for one in tasks[:_TASKS]:
        task = one.task
        cells = (
            brief(one.label), brief(task.source), f"{brief(task.metric)} ({task.mode})",
            str(len(task.scores)), str(one.whole), str(task.epochs), _relatives(one),
            str(sum(task.dropped.values()) or ""),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    return table


def knobs_table(told: Summary, plain: bool = False) -> Table:
    """One row a knob: how much it matters, where the good ones lie, and what was tried of it."""
    caption = (
        "matters: how far the scores change from one end of the knob to the other, of 1\n"
        "good at: where the middle four fifths of the best tenth of each task lie\n"
        "density: how much likelier a place is among those than among all; of choices in numbers"
    )
    table = Table(box=box.SIMPLE_HEAD, caption=Text(caption), caption_justify="left")
    for name in ("knob", "kind", "range", "matters", "good at", "density", "tried"):
        table.add_column(name, justify="right" if name == "matters" else "left")
    for knob in told.knobs:
        spread = knob.spread
        cells = (
            brief(knob.name), f"log {spread.kind}" if spread.log else spread.kind,
            range_told(spread, told.prior.space), f"{knob.matters:.2f}", good_at(knob),
            bars(_even(knob.density), plain), bars(spread.counts, plain),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    return table


def good_at(knob: Marginal) -> str:
    """``0.007 to 0.4``; of choices how much likelier each is, the best first."""
    if knob.low is not None:
        return brief(knob.low) if knob.low == knob.high else f"{brief(knob.low)} to {brief(knob.high)}"
    if knob.places or len(knob.density) != len(knob.spread.labels):
        return ""
    order = np.argsort(-np.array(knob.density), kind="stable")[:_CHOICES]
    return ", ".join(f"{brief(knob.spread.labels[i])} x{knob.density[i]:.1f}" for i in order)


def passed_over(prior: Prior, console: Console) -> None:
    """Print which tasks and trials the prior could not use, and why."""
    lines = [brief(note, _LONG) for note in prior.notes]
    for task in prior.tasks:
        for reason, count in task.dropped.items():
            lines.append(f"{brief(task.name)}: {counted(count, 'trial')}, {brief(reason, _LONG)}")
    if not lines:
        return
    console.print(Text("passed over:"))
    for line in lines[:_PASSED_OVER]:
        console.print(Text(f"  {line}"))
    if len(lines) > _PASSED_OVER:
        console.print(Text(f"  and {len(lines) - _PASSED_OVER} more; --json of show tells all"))


def as_json(told: Summary) -> dict[str, Any]:
    """All that a prior comes to, for machines: strict JSON, null for what cannot be told."""
    prior = told.prior
    return {
        "space": prior.space.name,
        "tasks": [_task_as_json(one) for one in told.tasks],
        "agreement": told.agreement,
        "knobs": [_knob_as_json(knob) for knob in told.knobs],
        "related": _rows(told.related),
        "related_by_descriptors": _rows(prior.related("descriptors").to_numpy(np.float64)),
        "passed_over": list(prior.notes),
    }


def points_table(points: Sequence[Mapping[str, Any]]) -> Table:
    """One row a point, the first to try at the top."""
    table = Table(box=box.SIMPLE_HEAD)
    names = list(dict.fromkeys(name for point in points for name in point))
    for name in ("", *names):
        table.add_column(Text(brief(name) if name else ""), justify="right", no_wrap=True)
    for number, point in enumerate(points, 1):
        cells = (brief(point[name]) if name in point else "" for name in names)
        table.add_row(str(number), *map(Text, cells))
    return table


def as_csv(points: Sequence[Mapping[str, Any]]) -> str:
    """The same for spreadsheets: a header, and a row a point; true and false in small letters."""
    import csv
    import io

    text = io.StringIO()
    names = list(dict.fromkeys(name for point in points for name in point))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for point in points:
        told = {name: str(one).lower() if isinstance(one, bool) else one for name, one in point.items()}
        writer.writerow(told)
    return text.getvalue()


def _relatives(one: TaskTold) -> str:
    return ", ".join(f"{brief(label)} {correlation:.2f}" for label, correlation in one.relatives)


def _even(density: Sequence[float]) -> list[int]:
    """A density in as many parts as there are bars, in hundredths."""
    parts = np.array_split(np.array(density), min(_BARS, len(density)))
    return [max(round(100 * float(part.mean())), 1) for part in parts]


def _task_as_json(one: TaskTold) -> dict[str, Any]:
    task = one.task
    return {
        "task": one.label, "name": task.name, "id": task.id, "source": task.source,
        "descriptors": task.descriptors, "metric": task.metric, "mode": task.mode,
        "configurations": len(task.scores), "to_the_end": one.whole, "epochs": task.epochs,
        "relatives": [{"task": label, "correlation": number} for label, number in one.relatives],
        "passed_over": task.dropped,
    }  # fmt: skip


def _knob_as_json(knob: Marginal) -> dict[str, Any]:
    spread = knob.spread
    return {
        "name": knob.name, "kind": spread.kind, "log": spread.log, "matters": knob.matters,
        "low": knob.low, "high": knob.high,
        "density": {"at": list(knob.places or spread.labels), "of_good_over_all": list(knob.density)},
        "tried": {"edges": list(spread.edges), "labels": list(spread.labels), "all": list(spread.counts),
                  "good": list(spread.good)},
    }  # fmt: skip


def _rows(matrix: Any) -> list[list[float | None]]:
    return [[float(x) if math.isfinite(x) else None for x in row] for row in matrix]
