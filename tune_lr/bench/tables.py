"""The tables of the report, as Markdown; pure functions of cells, trainings and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tune_lr.bench.contenders import CONTENDERS, GREEDY, OPTIMIZERS, default_rate
from tune_lr.bench.paired import WORST, clipped, diverged
from tune_lr.bench.plan import Settings
from tune_lr.bench.tasks import STEPS, TASKS, Batches, loaded
from tune_lr.bench.verdicts import Case

#: Said of a rival: GreedyLR is significantly better or worse than it.
MARKS = {"better": " ▼", "equal": "", "worse": " ▲"}


def markdown(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table: the first column to the left, the others to the right."""
    lines = [head, [":--"] + ["--:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(part) for part in line) + " |" for line in lines)


def tasks_table(names: Iterable[str], settings: Settings) -> str:
    """What is trained."""
    rows = []
    for name in names:
        task, data = TASKS[name], loaded(name)
        batches = Batches(data.x, data.y)
        rows.append(
            (
                name,
                task.about,
                task.parameters,
                len(data.x),
                len(data.x_val),
                batches.size,
                settings.epochs * STEPS,
                f"{task.chance:.3f}",
            )
        )
    head = ("task", "what", "parameters", "samples", "for validation", "batch", "steps", "constant answer")
    return markdown(head, rows)


def contenders_table(results: Sequence[Mapping[str, Any]]) -> str:
    """Who takes part, what is searched for each, and what its trainings take."""
    rows = []
    for name, cells in _by_contender(results).items():
        runs = [run for cell in cells for run in cell["runs"]]
        tuned = [cell["tuned"] for cell in cells]
        rate = default_rate(CONTENDERS[name]) if name in CONTENDERS else None
        rows.append(
            (
                name,
                ", ".join(sorted({cell["cell"]["optimizer"] for cell in cells})),
                cells[0]["knobs"],
                "-" if rate is None else f"{rate:g}",
                f"{np.mean([one['trials'] for one in tuned]):.1f}",
                f"{percent(sum(one['diverged'] for one in tuned), sum(one['trials'] for one in tuned))}",
                sum(one["source"] == "default" for one in tuned),
                f"{_passes_a_step(runs, cells):.2f}",
                f"{np.median([run['seconds'] for run in runs]):.2f}",
            )
        )
    head = ("contender", "optimizers", "knobs", "default LR", "configurations a cell", "diverged")
    return markdown((*head, "default won tuning", "forward passes a step", "seconds a training"), rows)


def losses_table(runs: pd.DataFrame, task: str, cases: Mapping[str, Sequence[Case]]) -> str:
    """Final validation loss on one task: mean over the seeds ± standard deviation, by optimizer and setting.

    Args:
        runs: one row a training.
        task: which task.
        cases: the verdicts, by setting.
    """
    here = runs[runs["task"] == task]
    optimizers = [name for name in OPTIMIZERS if name in set(here["optimizer"])]
    columns = [(optimizer, setting) for optimizer in optimizers for setting in ("tuned", "default")]
    verdict = {
        (case.optimizer, setting, case.rival): MARKS[case.verdict]
        for setting, listed in cases.items()
        for case in listed
        if case.task == task
    }
    cells = {
        key: group["val_loss"].astype(float)
        for key, group in here.groupby([_beside(here), "setting", "contender"])
    }
    rows = []
    for name in ordered(here["contender"].unique()):
        parts = []
        for optimizer, setting in columns:
            losses = cells.get((optimizer, setting, name))
            parts.append(
                ""
                if losses is None
                else _spread(losses, WORST * TASKS[task].chance) + verdict.get((optimizer, setting, name), "")
            )
        rows.append((f"**{name}**" if name == GREEDY else name, *parts))
    return markdown((task, *(f"{optimizer}, {setting}" for optimizer, setting in columns)), rows)


def ranks_table(runs: pd.DataFrame, chance: Mapping[str, float]) -> str:
    """Where each contender comes in among all beside one optimizer on one task, by geometric mean loss.

    As a share of the field, whose size differs: 0 % is the first, 100 % the last.
    """
    columns = {}
    for setting in [name for name in ("tuned", "default") if name in set(runs["setting"])]:
        group = runs[runs["setting"] == setting]
        logs = group.assign(
            beside=_beside(group),
            log=[
                float(np.log(clipped([loss], chance[task]))[0])
                for loss, task in zip(group["val_loss"], group["task"], strict=True)
            ],
        )
        means = logs.groupby(["task", "beside", "contender"])["log"].mean()
        field = means.groupby(level=["task", "beside"])
        share = 100 * (field.rank() - 1) / (field.transform("size") - 1).clip(lower=1)
        columns[setting] = share.groupby(level="contender").agg(["mean", "min", "max", "size"])
    first = columns.get("tuned", next(iter(columns.values())))
    rows = []
    for name in first.sort_values("mean").index:
        at = [columns[setting].loc[name] for setting in columns]
        parts = [f"{one['mean']:.0f} % ({one['min']:.0f}–{one['max']:.0f})" for one in at]
        rows.append((f"**{name}**" if name == GREEDY else name, int(at[0]["size"]), *parts))
    return markdown(("mean place (best–worst)", "fields", *columns), rows)


def diverged_table(runs: pd.DataFrame, chance: Mapping[str, float]) -> str:
    """How many trainings of each diverged, by setting and optimizer; who never did stands apart."""
    lost = [
        bool(diverged([loss], chance[task])[0])
        for loss, task in zip(runs["val_loss"], runs["task"], strict=True)
    ]
    marked = runs.assign(beside=_beside(runs), lost=lost)
    counts = marked.groupby(["contender", "setting", "beside"])["lost"].agg(["sum", "size"])
    columns = [
        (setting, optimizer)
        for setting in ("tuned", "default")
        for optimizer in OPTIMIZERS
        if ((marked["setting"] == setting) & (marked["beside"] == optimizer)).any()
    ]
    names = ordered(marked["contender"].unique())
    some = [name for name in names if marked[marked["contender"] == name]["lost"].any()]
    rows = []
    for name in some:
        found = [counts.loc[key] if (key := (name, *at)) in counts.index else None for at in columns]
        parts = ["" if one is None else f"{one['sum']} of {one['size']}" for one in found]
        rows.append((f"**{name}**" if name == GREEDY else name, *parts))
    rest = [name for name in names if name not in some]
    said = f"None diverged: {', '.join(rest)}." if rest else ""
    if not rows:
        return said
    table = markdown(("contender", *(f"{setting}, {optimizer}" for setting, optimizer in columns)), rows)
    return f"{table}\n\n{said}".rstrip()


def memory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bytes of state, by net and schedule."""
    names = [name for name in rows[0] if name != "parameters"]
    lines = [(f"{row['parameters']:,}", *(f"{row[name]:,}" for name in names)) for row in rows]
    return markdown(("parameters", *names), lines)


def _by_contender(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    names = ordered({result["cell"]["contender"] for result in results})
    return {name: [r for r in results if r["cell"]["contender"] == name] for name in names}


def ordered(names: Iterable[str]) -> list[str]:
    """Names of contenders in the order of the report."""
    known = list(CONTENDERS)
    return sorted(names, key=lambda name: (known.index(name) if name in known else len(known), name))


def _beside(runs: pd.DataFrame) -> pd.Series[str]:
    """The optimizer in whose column a training stands: its own, or that which it is compared beside."""
    beside: pd.Series[str] = pd.Series(
        [
            CONTENDERS[name].opponent(optimizer) if name in CONTENDERS else optimizer
            for name, optimizer in zip(runs["contender"], runs["optimizer"], strict=True)
        ],
        index=runs.index,
        name="beside",
    )
    return beside


def _spread(losses: pd.Series[float], worst: float) -> str:
    finite = losses[losses < worst]
    lost = len(losses) - len(finite)
    if finite.empty:
        return "all diverged"
    # One training has no spread.
    sd = f" ± {finite.std():.2g}" if len(finite) > 1 else ""
    return f"{finite.mean():.4g}{sd}" + (f" ({lost} diverged)" if lost else "")


def _passes_a_step(runs: Sequence[Mapping[str, Any]], cells: Sequence[Mapping[str, Any]]) -> float:
    """Over trainings that came to their end."""
    whole = [run["passes"] for run in runs if run["passes"] is not None and run["val_loss"] is not None]
    return float(np.mean(whole)) / (cells[0]["settings"]["epochs"] * STEPS) if whole else float("nan")


def percent(part: int, whole: int) -> str:
    """A share."""
    return f"{100 * part / whole:.0f} %" if whole else "-"
