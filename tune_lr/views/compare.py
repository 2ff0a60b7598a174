"""A comparison as a person reads it: the sentence first, then the figures that it stands on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tune_lr.comparing.comparison import Comparison, Finding
from tune_lr.comparing.speed import Speed
from tune_lr.comparing.words import budget_told, sentence
from tune_lr.views.words import about, counted, duration, short

if TYPE_CHECKING:
    import pandas as pd

    from tune_lr.comparing.plan import Plan

_MIB = 2**20


def show(comparison: Comparison, console: Console) -> None:
    """Print what a comparison says."""
    console.print(Text(sentence(comparison), style="bold"))
    table = comparison.to_pandas()
    console.print(_quality(comparison, table))
    console.print(_costs(comparison, table))
    console.print(_tests(comparison))
    if comparison.speeds:
        console.print(_speeds(comparison))
    console.print(Text(_agreement(comparison)))


def _quality(comparison: Comparison, table: pd.DataFrame) -> Table:
    made = _table(f"After {budget_told(comparison)}: median over seeds (quartiles)")
    metric = comparison.objective.metric
    for name in ("method", "seeds", metric, "begun", "completed", "stopped", "paused", "failed", "diverged"):
        made.add_column(Text(name), justify="left" if name == "method" else "right", no_wrap=True)
    for method, rows in _rows(comparison, table):
        counts = [f"{rows[name].median():.4g}" for name in ("begun", "completed", "stopped", "paused")]
        lost = [f"{rows[name].sum():.0f} in all" for name in ("failed", "diverged")]
        made.add_row(Text(method), str(len(rows)), _spread(rows["best"]), *counts, *lost)
    return made


def _costs(comparison: Comparison, table: pd.DataFrame) -> Table:
    made = _table("What it took: medians over seeds (quartiles)")
    columns: dict[str, tuple[str, Callable[[float], str]]] = {
        "seconds": ("seconds", short),
        "epochs": ("epochs", short),
        "not training": ("overhead", _percent),
        "s a trial of it": ("per_trial", short),
        "s to the first report": ("first_report", short),
        "ms to start a trial": ("start_up", _milli),
        "ms to decide": ("decision", _milli),
        "workers busy": ("busy", _percent),
        "MiB": ("memory", lambda value: f"{value / _MIB:.0f}"),
    }
    known = {head: how for head, how in columns.items() if table[how[0]].notna().any()}
    for name in ("method", *known):
        made.add_column(Text(name), justify="left" if name == "method" else "right")
    for method, rows in _rows(comparison, table):
        made.add_row(Text(method), *(_spread(rows[name], how) for name, how in known.values()))
    return made


def _tests(comparison: Comparison) -> Table:
    made = _table(f"Against {comparison.baseline}, by seed (Wilcoxon's signed-rank test, Holm's correction)")
    for name in ("method", "what", "difference (95 %)", "effect", "p", "found"):
        made.add_column(Text(name), justify="left" if name in ("method", "what", "found") else "right")
    for one in [*comparison.findings, *comparison.check]:
        made.add_row(*map(Text, _told(comparison, one)))
    return made


def _told(comparison: Comparison, one: Finding) -> list[str]:
    test, sign = one.test, 1.0
    if one.about == "best" and comparison.objective.mode == "max":
        sign = -1.0
    low, high = sorted((sign * test.low, sign * test.high))
    verdict = "yes" if one.found else "no"
    if not one.enough:
        verdict = f"too few seeds: {one.needed} are needed"
    elif one.method == comparison.neutral:
        verdict = "a false one" if one.found else "none, as it must be"
    what = comparison.objective.metric if one.about == "best" else one.about
    middle = f"{short(sign * test.difference)} ({short(low)} to {short(high)})"
    return [one.method, what, middle, f"{sign * test.effect:+.2f}", f"{one.p:.2g}", verdict]


def _speeds(comparison: Comparison) -> Table:
    made = _table(
        f"How much sooner the median is where that of {comparison.baseline} ends, over resampled seeds"
    )
    for name in ("method", "counted in", "needs", f"{comparison.baseline} needs", "speed (95 %)", "claimed"):
        left = name in ("method", "counted in", "claimed")
        made.add_column(Text(name), justify="left" if left else "right")
    for one in comparison.speeds:
        made.add_row(*map(Text, _pace(comparison, one)))
    return made


def _pace(comparison: Comparison, one: Speed) -> list[str]:
    reached = short(one.reached) if math.isfinite(one.reached) else "never, as far as it was run"
    ratio = f"{one.ratio:.2f}" if one.ratio else f"below {one.least:.2f}"
    low = f"{one.low:.2f}" if one.low else f"below {one.least:.2f}"
    if one.method == comparison.neutral:
        claimed = "off: nothing is claimed" if one.clear else "the noise of this comparison"
    elif comparison.noise(one.unit) is None:
        claimed = "no: there is no neutral row"
    else:
        claimed = "yes" if comparison.claimed(one) else "no: chance does as much"
    told = f"{ratio} ({low} to {one.high:.2f})"
    return [one.method, one.unit, reached, short(one.wanted), told, claimed]


def _agreement(comparison: Comparison) -> str:
    """How well early stopping could tell, in a line for each method."""
    lines = []
    for method, rows in comparison.agreement().groupby("method", sort=False):
        told = []
        for rung, trials, rho in zip(rows["rung"], rows["trials"], rows["correlation"], strict=True):
            known = "not known" if math.isnan(rho) else f"{rho:.2f}"
            few = "too few" if math.isnan(rho) else str(trials)
            told.append(f"{known} after {counted(rung, 'epoch')} ({few} trials came to the end)")
        lines.append(f"  {method}: {', '.join(told)}")
    return "\n".join(["How well a rung told the order at the end (rank correlation):", *lines])


class Going:
    """Tells how a comparison that runs gets on, a line a run."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def begins(self, plan: Plan, todo: int, seconds: float) -> None:
        total = len(list(plan.turns()))
        there = f", {total - todo} of {total} are there" if todo < total else ""
        told = f"{counted(todo, 'run')} to go{there}: {about(seconds)}"
        self._console.print(Text(f"{told} ({'; '.join(plan.methods)}; seeds {_listed(plan.seeds)})"))

    def ran(self, method: str, seed: int, seconds: float, left: float) -> None:
        after = f"; {about(left)} left" if left else ""
        self._console.print(Text(f"{method}, seed {seed}: {duration(seconds)}{after}"))


def _listed(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def _rows(comparison: Comparison, table: pd.DataFrame) -> list[tuple[str, Any]]:
    names = [*comparison.methods, *([comparison.neutral] if comparison.has_neutral else [])]
    return [(name, table[table["method"] == name]) for name in names]


def _spread(values: pd.Series[Any], how: Callable[[float], str] = short) -> str:
    found = values.dropna()
    if not len(found):
        return ""
    low, middle, high = (float(found.quantile(share)) for share in (0.25, 0.5, 0.75))
    return f"{how(middle)} ({how(low)} to {how(high)})"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _milli(value: float) -> str:
    return f"{1000 * value:.3g}"


def _table(title: str) -> Table:
    return Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="")
