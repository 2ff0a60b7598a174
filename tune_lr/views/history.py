"""The history in words and tables: which experiments there are, and what is known of one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.space import SearchSpace
from tune_lr.space.ranges import RangeKnob
from tune_lr.views.history_coverage import Covered, space_of
from tune_lr.views.words import STATUSES, brief, counted

if TYPE_CHECKING:
    from tune_lr.history.entry import TaskInfo

_BARS, _NOTHING = "▁▂▃▄▅▆▇█", "·"
_DIGITS, _NO_DIGIT = "12345678", "."
#: So many names are listed in a line.
_NAMES_TOLD = 12
#: A word on where the log lay, or on the task, may be long.
_LONG = 160


def list_tasks(tasks: Sequence[TaskInfo], console: Console) -> None:
    """Print one line an experiment."""
    if not tasks:
        console.print(Text("Nothing is in the history yet:  tune-lr history add PATH"))
        return
    console.print(tasks_table(tasks))
    trials, reports = sum(info.trials for info in tasks), sum(info.reports for info in tasks)
    names = len({info.task for info in tasks})
    console.print(
        Text(
            f"{counted(len(tasks), 'experiment')} of {counted(names, 'task')}: {counted(trials, 'trial')}, "
            f"{counted(reports, 'report')}.   One of them:  tune-lr history show TASK|ID"
        )
    )


def tasks_table(tasks: Iterable[TaskInfo]) -> Table:
    """One row an experiment."""
    table = Table(box=box.SIMPLE_HEAD)
    numbers = ("trials", "reports", "best")
    for name in ("id", "task", "source", *numbers[:2], "metric", "space", numbers[2]):
        table.add_column(name, justify="right" if name in numbers else "left")
    for info in tasks:
        cells = (
            info.id, info.task, info.source, str(info.trials), str(info.reports), metric_of(info),
            info.space or "", "" if info.best is None else info.best,
        )  # fmt: skip
        table.add_row(*(Text(brief(cell) if cell != "" else "") for cell in cells))
    return table


def as_json(info: TaskInfo) -> dict[str, Any]:
    """All that is known of an experiment, for machines: strict JSON, non-finite numbers null."""
    found: dict[str, Any] = _strict(asdict(info))
    return found


def show_task(
    info: TaskInfo, covered: Sequence[Covered], console: Console, skipped: Iterable[str] = ()
) -> None:
    """Print what is known of one experiment: where it comes from, what was optimized, what is covered."""
    console.print(Text(f"{brief(info.task)}: {extent(info)}", style="bold"))
    facts = [
        ("id", info.id),
        ("from", f"{brief(info.source)}, {brief(info.origin, _LONG)}"),
        ("optimized", objective(info)),
        ("metrics", listed(info.metrics)),
        ("space", space_told(info)),
        *((brief(name), brief(text, _LONG)) for name, text in info.descriptors.items()),
        ("written by", ", ".join(f"{brief(tool)} {brief(said)}" for tool, said in info.versions.items())),
        ("guessed", ", ".join(map(brief, info.guessed))),
        *(("note", brief(note, _LONG)) for note in info.notes),
    ]
    table = Table.grid(padding=(0, 2))
    for name, text in facts:
        if text:
            table.add_row(Text(name, style="dim"), Text(text))
    console.print(table)
    if covered:
        console.print(coverage_table(info, covered, plain=not is_utf(console)))
    for line in skipped:
        console.print(Text(line))


def coverage_table(info: TaskInfo, covered: Sequence[Covered], plain: bool = False) -> Table:
    """One row a knob: its range, what was tried of it, and how the trials spread over the range."""
    space = space_of(info)
    fixed = [knob for knob in covered if knob.kind == "constant" and not knob.outside]
    caption = "" if space is None else f"spread: over the range that space {brief(space.name)} gives"
    if space is not None and any(not knob.known and knob.edges for knob in covered):
        caption += "; of what is no knob of it, from the least to the greatest tried"
    if fixed:
        caption += f"\nconstant: {listed(f'{knob.name} {knob.labels[0]}' for knob in fixed)}"
    table = Table(box=box.SIMPLE_HEAD, caption=Text(caption) if caption else None, caption_justify="left")
    for name in ("knob", "kind", "range", "trials", "tried", "spread", "outside"):
        table.add_column(name, justify="right" if name in ("trials", "outside") else "left")
    for knob in covered:
        if knob in fixed:
            continue
        cells = (
            brief(knob.name), f"log {knob.kind}" if knob.log else knob.kind, range_told(knob, space),
            str(knob.trials), tried(knob), bars(knob.counts, plain), str(knob.outside or ""),
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    return table


def extent(info: TaskInfo) -> str:
    """``20 trials (12 completed, 8 stopped), 240 reports, up to 27 epochs``."""
    counts = dict(info.statuses)
    named = [f"{counts.pop(status)} {status}" for status in STATUSES if counts.get(status)]
    named += [f"{number} {brief(status)}" for status, number in counts.items() if number]
    parts = [counted(info.trials, "trial") + (f" ({', '.join(named)})" if named else "")]
    parts.append(counted(info.reports, "report"))
    if info.reports:
        parts.append(f"up to {counted(info.epochs, info.fidelity.removesuffix('s'))}")
    return ", ".join(parts)


def metric_of(info: TaskInfo) -> str:
    """``val_loss (min)``."""
    return f"{brief(info.metric)} ({brief(info.mode)})"


def objective(info: TaskInfo) -> str:
    """What was optimized, what of a trial decides about it, and the best of it."""
    scope = f"{info.scope} report" if info.scope in ("best", "last") else info.scope
    scope = f", final value, else {scope}" if info.by_final else f", {scope}"
    best = "" if info.best is None else f"; best {brief(info.best)}"
    return f"{metric_of(info)}{scope}{best}"


def space_told(info: TaskInfo) -> str:
    """The space, how many of its knobs the trials have, and what does not fit into it."""
    told = "none that is known here"
    if info.space is not None:
        have = sum(count > 0 for count in info.matched.values())
        space = space_of(info)
        told = f"{brief(info.space)}: {have}" + (f" of {len(space.knobs)}" if space else "") + " knobs found"
        if info.outside:
            told += f"; {counted(info.outside, 'trial')} outside of it"
    if info.unmatched:
        told += (
            f"; no knob of it: {listed(info.unmatched)}"
            if info.space
            else f"; keys: {listed(info.unmatched)}"
        )
    return told


def listed(names: Iterable[object]) -> str:
    """Names in a line, the first dozen."""
    every = [brief(name) for name in names]
    more = f" and {len(every) - _NAMES_TOLD} more" if len(every) > _NAMES_TOLD else ""
    return ", ".join(every[:_NAMES_TOLD]) + more


def range_told(knob: Covered, space: SearchSpace | None) -> str:
    """The range that the space gives a knob; nothing where it has none."""
    if not knob.known or space is None:
        return ""
    found = space.knobs[knob.name]
    if isinstance(found, RangeKnob):
        return f"{brief(found.low)} to {brief(found.high)}"
    return listed(found.every() or ())


def tried(knob: Covered) -> str:
    """The least and the greatest number, or the choices that some trial has."""
    if knob.smallest is None or knob.largest is None:
        return listed(label for label, count in zip(knob.labels, knob.counts, strict=True) if count)
    if knob.smallest == knob.largest:
        return brief(_plain(knob.smallest))
    return f"{brief(_plain(knob.smallest))} to {brief(_plain(knob.largest))}"


def bars(counts: Sequence[int], plain: bool = False) -> str:
    """Numbers as a row of bars, a dot for none; digits where the terminal has no bars."""
    levels, nothing = (_DIGITS, _NO_DIGIT) if plain else (_BARS, _NOTHING)
    most = max(counts, default=0)
    return "".join(levels[math.ceil(len(levels) * n / most) - 1] if n else nothing for n in counts)


def is_utf(console: Console) -> bool:
    """Whether what is printed may have characters beyond ASCII."""
    return console.encoding.lower().startswith("utf")


def _plain(number: float) -> float | int:
    """A whole number without its decimal point."""
    return int(number) if number.is_integer() and abs(number) < 1e6 else number


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
