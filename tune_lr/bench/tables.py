"""The tables of the report, as Markdown; pure functions of cells, trainings and verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from tune_lr.bench.contenders import CONTENDERS, GREEDY, default_rate
from tune_lr.bench.plan import Settings
from tune_lr.bench.tasks import STEPS, TASKS, Batches, loaded
from tune_lr.bench.verdicts import WORST, Case, clipped, shares

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
                f"{_percent(sum(one['diverged'] for one in tuned), sum(one['trials'] for one in tuned))}",
                sum(one["source"] == "default" for one in tuned),
                f"{_passes_a_step(runs, cells):.2f}",
                f"{np.median([run['seconds'] for run in runs]):.2f}",
            )
        )
    head = ("contender", "optimizers", "knobs", "default LR", "configurations a cell", "diverged")
    return markdown((*head, "default won tuning", "forward passes a step", "seconds a training"), rows)


def verdicts_table(groups: Mapping[str, Sequence[Case]]) -> str:
    """How often GreedyLR is better, equal and worse in each group of cases."""
    rows = []
    for name, cases in groups.items():
        real, loose = shares(case.verdict for case in cases), shares(case.uncorrected for case in cases)
        ratio = np.exp(np.mean([np.log(case.ratio) for case in cases])) if cases else np.nan
        rows.append(
            (
                name,
                len(cases),
                *(f"{count} ({_percent(count, len(cases))})" for count in real.values()),
                " / ".join(map(str, loose.values())),
                f"{ratio:.3f}",
            )
        )
    head = ("cases", "how many", "better", "equal", "worse", "without correction", "loss ratio")
    return markdown(head, rows)


def losses_table(runs: pd.DataFrame, task: str, cases: Mapping[str, Sequence[Case]]) -> str:
    """Final validation loss on one task: mean over the seeds ± standard deviation, by optimizer and setting.

    Args:
        runs: one row a training.
        task: which task.
        cases: the verdicts, by setting.
    """
    here = runs[runs["task"] == task]
    optimizers = [name for name in ("sgd", "adam", "adamw") if name in set(here["optimizer"])]
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
    for name in _ordered(here["contender"].unique()):
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
    """Mean rank of each contender (1 is best) among all beside one optimizer, by geometric mean loss."""
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
        ranks = means.groupby(level=["task", "beside"]).rank()
        columns[setting] = ranks.groupby(level="contender").agg(["mean", "min", "max"])
    first = columns.get("tuned", next(iter(columns.values())))
    rows = []
    for name in first.sort_values("mean").index:
        parts = [
            f"{columns[s].loc[name, 'mean']:.1f} ({columns[s].loc[name, 'min']:.0f}–"
            f"{columns[s].loc[name, 'max']:.0f})"
            for s in columns
        ]
        rows.append((f"**{name}**" if name == GREEDY else name, *parts))
    return markdown(("mean rank (best–worst)", *columns), rows)


def parts_table(cases: Mapping[str, Sequence[Case]]) -> str:
    """GreedyLR against each rival after parts of the training: geometric mean of the training losses' ratio.

    Args:
        cases: by the column of the loss (``train_10``, ``train_50``, ``train_100``).
    """
    rivals = _ordered({case.rival for listed in cases.values() for case in listed})
    rows = []
    for rival in rivals:
        parts = []
        for listed in cases.values():
            ratios = [case.ratio for case in listed if case.rival == rival]
            lower = sum(ratio < 1 for ratio in ratios)
            parts.append(f"{np.exp(np.mean(np.log(ratios))):.3f} ({lower} of {len(ratios)})")
        rows.append((rival, *parts))
    head = [f"after {column.removeprefix('train_')} %" for column in cases]
    return markdown(("rival", *head), rows)


def worse_table(cases: Sequence[Case]) -> str:
    """Every case that GreedyLR loses, the clearest first."""
    lost = sorted((case for case in cases if case.verdict == "worse"), key=lambda case: -case.ratio)
    rows = [
        (case.task, case.optimizer, case.rival, f"{case.ratio:.3f}", f"{case.corrected:.1g}") for case in lost
    ]
    return markdown(("task", "optimizer", "rival", "loss ratio", "p, corrected"), rows) if rows else "None."


def memory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bytes of state, by net and schedule."""
    names = [name for name in rows[0] if name != "parameters"]
    lines = [(f"{row['parameters']:,}", *(f"{row[name]:,}" for name in names)) for row in rows]
    return markdown(("parameters", *names), lines)


def _by_contender(results: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    names = _ordered({result["cell"]["contender"] for result in results})
    return {name: [r for r in results if r["cell"]["contender"] == name] for name in names}


def _ordered(names: Iterable[str]) -> list[str]:
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


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"
