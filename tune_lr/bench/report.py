"""The report of a study: what was done, what came out, and what to think of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tune_lr.bench import memory, method, standings, tables
from tune_lr.bench.plan import Settings
from tune_lr.bench.store import Study, table
from tune_lr.bench.tasks import TASKS
from tune_lr.bench.verdicts import CLOSE, Case, Standing, judge, over_tunings
from tune_lr.errors import JobFailed

_SETTINGS = ("tuned", "default")
_PARTS = ("train_10", "train_50", "train_100")


def write_results(study: Study) -> tuple[list[Path], list[str]]:
    """Write ``results.csv``, ``results.parquet`` and ``report.md`` into the study's folder.

    Returns:
        The files, and the verdicts of the report in a line for each setting.

    Raises:
        BadInput: no cell is finished, or a file of the study is damaged.
        JobFailed: they cannot be written.
    """
    results = study.results()
    runs = table(results)
    files = [study.path / name for name in ("results.csv", "results.parquet", "report.md")]
    cases = _judged(runs)
    text = _text(results, runs, cases, study.settings, study.facts(), memory.measure())
    try:
        _compact(runs).to_csv(files[0], index=False)
        runs.to_parquet(files[1], index=False)
        files[2].write_text(text, "utf-8")
    except OSError as error:
        raise JobFailed(
            f"cannot write the report into {study.path} ({error.strerror or error}); finished cells are "
            "kept, and --report-only makes it anew"
        ) from error
    return files, method.verdict_lines(cases)


def report(
    results: Sequence[Mapping[str, Any]],
    settings: Settings,
    facts: Mapping[str, Any],
    memory_rows: Sequence[Mapping[str, Any]],
) -> str:
    """The report as Markdown, from a heading of the second level down.

    Args:
        results: what the cells came to.
        settings: that they share.
        facts: versions and dates of the study.
        memory_rows: bytes of state, as ``memory.measure`` has it.
    """
    runs = table(results)
    return _text(results, runs, _judged(runs), settings, facts, memory_rows)


def _judged(runs: pd.DataFrame) -> dict[str, list[Case]]:
    """Every case by the validation loss at the end, by setting."""
    return {setting: judge(runs, setting, _chance(runs)) for setting in _SETTINGS}


def _chance(runs: pd.DataFrame) -> dict[str, float]:
    """The loss of a constant answer by task, for the tasks that took part."""
    return {name: task.chance for name, task in TASKS.items() if name in set(runs["task"])}


def _text(
    results: Sequence[Mapping[str, Any]],
    runs: pd.DataFrame,
    cases: Mapping[str, Sequence[Case]],
    settings: Settings,
    facts: Mapping[str, Any],
    memory_rows: Sequence[Mapping[str, Any]],
) -> str:
    chance = _chance(runs)
    names = list(chance)
    parts = {
        setting: {column: judge(runs, setting, chance, column) for column in _PARTS} for setting in _SETTINGS
    }
    over = {setting: over_tunings(listed) for setting, listed in cases.items()}
    sections = [
        "## Schedules",
        "Does GreedyLR end lower than other schedules, each tuned with the same budget, on small nets?",
        method.how(settings, facts, results),
        "### In short",
        method.conclusion(cases, over),
        _overall(cases, parts),
        method.READING,
        method.meaning(settings),
        "### Beside the paper's figures",
        _paper(cases, parts),
        "### Against each rival",
        standings.groups_table("rival", cases),
        method.READ_ABOVE,
        "### By optimizer and by task",
        standings.groups_table("optimizer", cases),
        standings.groups_table("task", cases),
        method.READ_ABOVE,
        "### Over the tunings",
        _tunings(over),
        "### Where GreedyLR loses",
        _loses(cases),
        "### Trainings that diverged",
        _diverged(runs, chance, over),
        "### Places",
        "Where each comes in among all beside one optimizer on one task (a field), by the geometric mean "
        "of the validation loss, without a test: 0 % is the first of the field, 100 % the last.",
        tables.ranks_table(runs, chance),
        "### Training loss on the way",
        "Geometric mean of GreedyLR's training loss over the rival's after 10, 50 and 100 % of the "
        "training, and in how many cases it is lower. Tuning looked at the validation loss.",
        standings.parts_table(parts),
        "### Validation loss at the end",
        f"Mean over {settings.seeds} seeds ± standard deviation, diverged trainings left out and counted. "
        f"▼: GreedyLR beside it is better, ▲: worse. {method.READ_ABOVE}",
        *(_folded(name, tables.losses_table(runs, name, cases)) for name in names),
        "### Memory",
        _memory(memory_rows),
        "### Who takes part, and what it takes",
        tables.contenders_table(results),
        tables.tasks_table(names, settings),
        "### How fair it is",
        method.fairness(settings),
        "Every training of the final comparison is in `schedules.csv`, in the folder beside this document "
        "that has its name; all tables of losses follow from it by `tune_lr.bench.verdicts.judge`.",
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _overall(cases: Mapping[str, Sequence[Case]], parts: Mapping[str, Mapping[str, Sequence[Case]]]) -> str:
    rows = {}
    for setting in _SETTINGS:
        rows[f"{setting}, validation loss at the end"] = cases[setting]
        for column, listed in parts[setting].items():
            rows[f"{setting}, training loss after {column.removeprefix('train_')} %"] = listed
    return standings.overall_table(rows)


def _paper(cases: Mapping[str, Sequence[Case]], parts: Mapping[str, Mapping[str, Sequence[Case]]]) -> str:
    rows = {f"{setting}, validation loss at the end": listed for setting, listed in cases.items()} | {
        f"{setting}, training loss at the end": by_part["train_100"] for setting, by_part in parts.items()
    }
    return (
        standings.paper_table(rows)
        + f"\n\nHere *as good* means a mean loss of at most {CLOSE:.0%} above the rival's, *clearly better* "
        f"one of more than {CLOSE:.0%} below it, whatever the noise; the thresholds are ours, and the "
        "paper's cases are other nets, rivals and tasks."
    )


def _tunings(over: Mapping[str, Sequence[Standing]]) -> str:
    return (
        "Does it hold beyond the configurations that were found? Here each case counts once, as one draw "
        "of task, optimizer and both tunings: in how many of them GreedyLR's mean loss is lower, the "
        "geometric mean of the ratios, and p of a signed-rank test over the cases, Holm-corrected over the "
        "rivals. The draws are not independent (Adam and AdamW come out alike), so p is rather too "
        "small.\n\n" + standings.tunings_table(over)
    )


def _loses(cases: Mapping[str, Sequence[Case]]) -> str:
    parts = []
    for setting, listed in cases.items():
        where = standings.lost_where(listed)
        parts.append(f"**{setting.capitalize()}:** {where or 'in no case'}.")
        if where:
            parts.append(_folded("every case, the clearest first", standings.worse_table(listed)))
    return (
        "All rivals of one task and optimizer meet the same GreedyLR configuration: one that tuning chose "
        "badly loses to many.\n\n" + "\n\n".join(parts)
    )


def _diverged(runs: pd.DataFrame, chance: Mapping[str, float], over: Mapping[str, Sequence[Standing]]) -> str:
    only = standings.only_one_table(over)
    told = "Of the final comparison, by the optimizer beside which they stand.\n\n"
    told += tables.diverged_table(runs, chance)
    if not only:
        return told
    return (
        f"{told}\n\nPairs of trainings (same task, optimizer and seed) of which only one diverged; p is of "
        f"an exact sign test (McNemar's), Holm-corrected over the rivals:\n\n{only}\n\n{method.READ_ABOVE}"
    )


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _memory(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Not measured: no hypergradient schedule is registered."
    return (
        "Bytes in the state of the schedule after 60 steps of Adam: tensors by their size, 8 for any other "
        "number, 1 for a letter. GreedyLR's has a rate for each group of parameters, its history (some 30 "
        "bytes for each change of the rate) and, where it smooths, a window of losses, here a full one of "
        "50; none of it grows with the net. The hypergradient methods also keep the last gradient, or "
        "update, of every parameter.\n\n" + tables.memory_table(rows)
    )


def _compact(runs: pd.DataFrame) -> pd.DataFrame:
    """The same in fewer characters, for a file that is kept under version control."""
    short: pd.DataFrame = runs.copy()
    for column in (*_PARTS, "val_loss", "val_accuracy", "seconds"):
        short[column] = [
            f"{value:.5g}" if value == value and value is not None else "" for value in short[column]
        ]
    return short
