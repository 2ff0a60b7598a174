"""The tables, as Markdown: every method under every history, and every goal with what was reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from transfer_.figures import QUANTILES, interval, summary
from transfer_.goals import Goal, best_model, goals_of
from transfer_.histories import NONE, WORDS
from transfer_.methods import HELPFUL, LYING, METHODS, OURS, PORTFOLIO
from transfer_.rows import Name, Row, ratio_of
from transfer_.tables import Array

Rows = Mapping[Name, Row]
_COLUMNS = (
    "method",
    "tasks x runs",
    "speed: median / lower quartile",
    "interval of the median",
    "safe: median / lower quartile / 10th percentile / worst",
    "interval of the median",
    "by the reference: speed; safe",
    "ms a suggestion; a report",
    "goals",
)
_REFERENCES = {
    **dict.fromkeys(HELPFUL, "the plain portfolio"),
    **dict.fromkeys(LYING, "ours without history"),
    NONE: "the best of CQR, BORE, BOHB and TPE",
}


def report(rows: Rows, about: str) -> str:
    """All of it."""
    goals = goals_of(rows)
    kinds = [kind for kind in WORDS if any(name[1] == kind for name in rows)]
    texts = [about, *(_of_kind(kind, rows, goals) for kind in kinds), _goals(goals)]
    old = {METHODS[name].about: row.old for (name, _), row in rows.items() if row.old}
    if old:
        texts.append(f"Made in part by an earlier version of the code: {'; '.join(old)}.")
    return "\n\n".join(texts)


def _of_kind(kind: str, rows: Rows, goals: Sequence[Goal]) -> str:
    lines = [_cells(_line(name, rows, goals)) for name in _ordered(kind, rows)]
    rule = _cells(["---"] * len(_COLUMNS))
    title = f"**History: {WORDS[kind]}** (the reference: {_REFERENCES[kind]})"
    return "\n".join([title, "", _cells(_COLUMNS), rule, *lines])


def _ordered(kind: str, rows: Rows) -> list[Name]:
    return [(method, kind) for method in METHODS if (method, kind) in rows]


def _line(name: Name, rows: Rows, goals: Sequence[Goal]) -> list[str]:
    row = rows[name]
    speed, safe = summary(row.speed), summary(row.safe)
    # The worst speed says more about luck than about the method, and so do low ones (see the text above).
    return [
        METHODS[name[0]].about,
        f"{len(row.tasks)} x {row.runs}",
        " / ".join(f"{speed[one]:.2f}" for one in ("median", "lower quartile")),
        _interval(row.speed),
        " / ".join(f"{safe[one]:.2f}" for one in QUANTILES),
        _interval(row.safe),
        "; ".join(_by_reference(name, rows, figure) for figure in ("speed", "safe")),
        f"{1000 * row.ask:.1f}; {1000 * row.report:.2f}",
        _marks([goal for goal in goals if goal.row == name]),
    ]


def _interval(values: Array) -> str:
    low, high = interval(lambda tasks: float(np.median(values[tasks])), len(values))
    return f"{low:.2f} to {high:.2f}"


def _reference(kind: str, rows: Rows) -> Name | None:
    if kind == NONE:
        return best_model(rows)
    return (PORTFOLIO, kind) if kind in HELPFUL else (OURS, NONE)


def _by_reference(name: Name, rows: Rows, figure: str) -> str:
    reference = _reference(name[1], rows)
    if reference is None or reference == name:
        return "-"
    found = ratio_of(rows, name, reference, figure, 0.5)
    return "-" if found is None else f"{found[0]:.2f} ({found[1]:.2f} to {found[2]:.2f})"


def _marks(goals: Sequence[Goal]) -> str:
    if not goals:
        return ""
    reached = sum(goal.reached is True for goal in goals)
    return f"{reached} of {len(goals)}"


def _goals(goals: Sequence[Goal]) -> str:
    columns = ("method", "history", "what", "goal", "measured", "reached")
    lines = [_cells(columns), _cells(["---"] * len(columns))]
    for goal in goals:
        method, kind = goal.row
        measured = "not yet" if goal.value is None else f"{abs(goal.value):.2f}"
        beside = f" ({goal.beside})" if goal.beside else ""
        reached = {True: "yes", False: "**no**", None: "-"}[goal.reached]
        asked = f"{abs(goal.least):.2f}"
        lines.append(
            _cells([METHODS[method].about, WORDS[kind], goal.what, asked, measured + beside, reached])
        )
    return "\n".join(["**The goals**", "", *lines])


def _cells(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
