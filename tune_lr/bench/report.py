"""The report of a study: what was done, what came out, and what to think of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tune_lr.bench import memory, tables
from tune_lr.bench.contenders import CONTENDERS
from tune_lr.bench.plan import FINALISTS, Settings
from tune_lr.bench.store import Study, table
from tune_lr.bench.tasks import STEPS, TASKS
from tune_lr.bench.verdicts import CLOSE, LEVEL, WORST, Case, as_in_paper, judge
from tune_lr.errors import BadInput

BEGIN, END = "<!-- schedules:begin -->", "<!-- schedules:end -->"
_SETTINGS = ("tuned", "default")
_PARTS = ("train_10", "train_50", "train_100")


def write_results(study: Study) -> list[Path]:
    """Write ``results.csv``, ``results.parquet`` and ``report.md`` into the study's folder.

    Returns:
        The files.

    Raises:
        BadInput: no cell is finished.
    """
    results = study.results()
    runs = table(results)
    files = [study.path / name for name in ("results.csv", "results.parquet", "report.md")]
    _compact(runs).to_csv(files[0], index=False)
    runs.to_parquet(files[1], index=False)
    files[2].write_text(report(results, study.settings, study.facts(), memory.measure()), "utf-8")
    return files


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
    names = [name for name in TASKS if name in set(runs["task"])]
    chance = {name: TASKS[name].chance for name in names}
    cases = {setting: judge(runs, setting, chance) for setting in _SETTINGS}
    parts = {
        setting: {column: judge(runs, setting, chance, column) for column in _PARTS} for setting in _SETTINGS
    }
    missing = [name for name in CONTENDERS if name not in set(runs["contender"])]
    sections = [
        "## Schedules",
        _how(settings, facts, results, missing),
        "### In short",
        _short(cases, parts),
        "### Tuned: GreedyLR against each rival",
        tables.verdicts_table(_groups(cases["tuned"])),
        "### At default settings",
        tables.verdicts_table(_groups(cases["default"])),
        "### Where tuned GreedyLR is worse",
        tables.worse_table(cases["tuned"]),
        "### Ranks",
        "Among all contenders beside one optimizer on one task, by the mean log of the validation loss.",
        tables.ranks_table(runs, chance),
        "### Validation loss at the end",
        f"Mean over {settings.seeds} seeds ± standard deviation, diverged trainings left out and counted. "
        "▼: GreedyLR beside it is significantly better, ▲: worse.",
        *(tables.losses_table(runs, name, cases) for name in names),
        "### Training loss on the way",
        "Geometric mean of GreedyLR's training loss over the rival's, and in how many cases it is lower. "
        "Tuning looked at the validation loss.",
        "Tuned:",
        tables.parts_table(parts["tuned"]),
        "At default settings:",
        tables.parts_table(parts["default"]),
        "### Memory",
        _memory(memory_rows),
        "### Who takes part, and what it takes",
        tables.contenders_table(results),
        tables.tasks_table(names, settings),
        "### How fair it is",
        _fairness(settings),
    ]
    return "\n\n".join(sections) + "\n"


def insert(report_text: str, document: str, name: str) -> str:
    """A document with the report between its markers; they are added at its end where there are none.

    Args:
        report_text: what to put there.
        document: the whole text.
        name: of the document, for messages.

    Raises:
        BadInput: only one of the markers is there, or they are in the wrong order.
    """
    inside = f"{BEGIN}\n{report_text.strip()}\n{END}"
    if BEGIN not in document and END not in document:
        return f"{document.rstrip()}\n\n{inside}\n".lstrip()
    before, found, rest = document.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise BadInput("--write", name, f"a document with {BEGIN} and, after it, {END}, or with neither")
    return before + inside + after


def publish(study: Study, document: Path) -> Path:
    """Put the report into a document, and the trainings beside it, in a folder of the document's name.

    Returns:
        The file of the trainings, ``<document without suffix>/schedules.csv``.

    Raises:
        BadInput: the document cannot be written, or its markers are wrong.
    """
    try:
        text = document.read_text("utf-8") if document.exists() else "# Evidence\n"
        report_text = (study.path / "report.md").read_text("utf-8")
        document.parent.mkdir(parents=True, exist_ok=True)
        document.write_text(insert(report_text, text, str(document)), "utf-8")
        raw = document.with_suffix("") / "schedules.csv"
        raw.parent.mkdir(exist_ok=True)
        raw.write_bytes((study.path / "results.csv").read_bytes())
    except OSError as error:
        raise BadInput("--write", str(document), f"a document to write to ({error.strerror})") from error
    return raw


def _how(
    settings: Settings, facts: Mapping[str, Any], results: Sequence[Mapping[str, Any]], missing: Sequence[str]
) -> str:
    asked = " ".join(f"--{name} {value}" for name, value in settings.to_json().items())
    versions = ", ".join(f"{name} {number}" for name, number in facts.get("versions", {}).items())
    begun, seen = (str(facts.get(name, ""))[:10] for name in ("begun", "seen"))
    codes = sorted({result["code"] for result in results})
    mixed = f" **The cells were run by {len(codes)} versions of the code.**" if len(codes) > 1 else ""
    absent = f" Not part of this run: {', '.join(missing)}." if missing else ""
    return (
        f"`tune-lr bench schedules {asked}`, {begun if begun == seen else f'{begun} to {seen}'}, "
        f"{os.cpu_count()} cores, one thread a training. {versions}; code {', '.join(codes)}.{mixed}\n\n"
        f"{len(results)} cells (a contender under an optimizer on a task). In each, {settings.budget} epochs "
        f"({settings.trials} trainings of {settings.epochs}) of tuning; then the best configuration and the "
        f"default one, on {settings.seeds} fresh seeds each.{absent} Every training of the final comparison "
        "is in `schedules.csv` beside this document, from which all below follows: "
        "`tune_lr.bench.verdicts.judge`."
    )


def _short(cases: Mapping[str, Sequence[Case]], parts: Mapping[str, Mapping[str, Sequence[Case]]]) -> str:
    total = {f"{setting}, validation loss at the end": listed for setting, listed in cases.items()} | {
        f"{setting}, training loss at the end": by_part["train_100"] for setting, by_part in parts.items()
    }
    rows = []
    for name, listed in total.items():
        good, clear = as_in_paper(listed)
        rows.append((name, len(listed), f"{good:.1%}", f"{clear:.1%}"))
    paper = ("the paper (arXiv 2512.14527), small models", 132, "86.7%", "24.5%")
    head = ("counted without a test", "cases", "as good or better", "clearly better")
    return (
        tables.verdicts_table(total)
        + f"\n\nA difference counts where p < {LEVEL} in a paired t-test on the logarithms of the losses, "
        "Holm-corrected over all cases of its kind; *equal* means that none was shown, not that there is "
        "none. The loss ratio is the geometric mean of GreedyLR's loss over the rival's: below 1 GreedyLR is "
        "better.\n\nBeside the paper's own figures, whose cases are other nets, rivals and tasks:\n\n"
        + tables.markdown(head, [*rows, paper])
        + f"\n\nHere *as good* means a loss of at most {CLOSE:.0%} above the rival's, *clearly better* one "
        f"of more than {CLOSE:.0%} below it; the thresholds are ours."
    )


def _groups(cases: Sequence[Case]) -> dict[str, list[Case]]:
    """All cases, and the same by optimizer, task and rival."""
    groups: dict[str, list[Case]] = {"all": list(cases)}
    for kind in ("optimizer", "task", "rival"):
        listed = list(dict.fromkeys(getattr(case, kind) for case in cases))
        if kind == "rival":
            listed.sort(key=list(CONTENDERS).index)
        for name in listed:
            groups[f"{kind} {name}"] = [case for case in cases if getattr(case, kind) == name]
    return groups


def _memory(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return "Not measured: no hypergradient schedule is registered."
    return (
        "Bytes in the state of the schedule after 60 steps of Adam: tensors by their size, 8 for any other "
        "number, 1 for a letter. GreedyLR's grows with its history, by some 30 bytes for each change of the "
        "rate, and not with the net.\n\n" + tables.memory_table(rows)
    )


def _fairness(settings: Settings) -> str:
    points = (
        "The budget of tuning counts epochs that were trained. Configurations that diverge end early, and "
        "more of them are tried for that; a configuration that the budget cuts off is not considered.",
        "Plateau sees the validation loss of every epoch, as is usual; GreedyLR and the others that look at "
        "losses see those of training.",
        "A line search evaluates the loss more than once a step. That is not charged: forward passes and "
        "seconds are in the table of contenders.",
        "Search is random, without early stopping, which would favour schedules that end early over those "
        "that fall late. The first trial is the default configuration. The seeds are the same in every cell.",
        "Spaces are those that tune-lr ships, and so are the defaults, that of the LR among them (the same "
        "for SGD and Adam). The more knobs a space has, the thinner the same budget is spread over it: "
        "the table says how many there are.",
        f"Each configuration of a search is trained on one seed, and the best {FINALISTS} on "
        f"{settings.repeats} further ones, within the budget. The choice stays noisy and, being a choice, "
        "optimistic. The comparison is on other seeds, and reports those alone. The validation set is the "
        "same in both, so the losses are no estimate for new data.",
        "hypergradient-group has a parameter group for each layer; all others have one group.",
        "Under schedules momentum, betas and weight decay are the optimizer's defaults, but for SGD, whose "
        "momentum is 0.9; optimizers that are rivals themselves have such knobs in their own spaces.",
        f"A training that diverges, or ends above {WORST:.0f} times the loss of a constant answer, counts as "
        "that much in tests and ratios.",
        f"Holm's correction over so many cases is strict, and {settings.seeds} seeds show large differences "
        "only; the columns without correction show what it takes away.",
        f"{settings.epochs} epochs are {settings.epochs * STEPS} steps of small nets on small data. "
        "Nothing here is about large models.",
    )
    return "\n".join(f"- {point}" for point in points)


def _compact(runs: pd.DataFrame) -> pd.DataFrame:
    """The same in fewer characters, for a file that is kept under version control."""
    short: pd.DataFrame = runs.copy()
    for column in (*_PARTS, "val_loss", "val_accuracy", "seconds"):
        short[column] = [
            f"{value:.5g}" if value == value and value is not None else "" for value in short[column]
        ]
    return short
