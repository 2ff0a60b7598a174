"""The plain sentence that a comparison supports: no more than its tests say."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tune_lr.comparing.comparison import Comparison, Finding


def sentence(comparison: Comparison) -> str:
    """What can be said of every method against the baseline, and how sure that is."""
    return " ".join(_of_method(comparison, method) for method in comparison.methods[1:])


def _of_method(comparison: Comparison, method: str) -> str:
    quality, spent = (one for one in comparison.findings if one.method == method)
    against = f"{method} against {comparison.baseline}, after {budget_told(comparison)}"
    if not quality.enough:
        return (
            f"{against}: too few seeds to tell ({quality.test.pairs}; with fewer than {quality.needed} no "
            "difference could be found)."
        )
    told = [_quality(comparison, quality), _spent(comparison, spent)]
    if pace := _pace(comparison, method):
        told.append(pace)
    return f"{against}: {'; '.join(told)}."


def budget_told(comparison: Comparison) -> str:
    """``270 epochs`` or ``60 s``."""
    unit = "epochs" if comparison.unit == "epochs" else "s"
    return f"{comparison.budget:.4g} {unit}"


def _quality(comparison: Comparison, one: Finding) -> str:
    metric = comparison.objective.metric
    if one.test.all_alike:
        return f"the same {metric} with every seed"
    if not one.found:
        return f"no difference in quality was found (p {one.p:.2g})"
    ours, theirs = (_median(comparison, name) for name in (one.method, comparison.baseline))
    better = "better" if one.test.effect < 0 else "worse"
    return f"{better} (median {metric} {ours:.4g} against {theirs:.4g}, p {one.p:.2g})"


def _spent(comparison: Comparison, one: Finding) -> str:
    what = "time" if one.about == "seconds" else "epochs"
    if one.test.all_alike:
        return f"the same {what} with every seed"
    if not one.found:
        return f"no difference in {what} was found (p {one.p:.2g})"
    table = comparison.to_pandas().groupby("method")[one.about].median()
    share = float(table[one.method] / table[comparison.baseline]) - 1
    more = "more" if one.test.effect > 0 else "less"
    if one.about == "epochs":
        return f"{abs(share):.0%} {'more' if one.test.effect > 0 else 'fewer'} epochs trained (p {one.p:.2g})"
    return f"{abs(share):.0%} {more} time for the same epochs (p {one.p:.2g})"


def _pace(comparison: Comparison, method: str) -> str:
    told = []
    for one in comparison.speeds:
        if one.method != method or not comparison.claimed(one):
            continue
        if one.ratio == 0 or math.isinf(one.ratio):
            bound = f"below {one.least:.2f} times as fast"
            told.append(f"in {one.unit} it never came where the other ended, as far as it was run ({bound})")
            continue
        span = f"{one.low:.2f} to {one.high:.2f}" if one.low else f"up to {one.high:.2f}"
        told.append(f"{one.ratio:.2f} times as fast in {one.unit} to where the other ended ({span})")
    return "; ".join(told)


def _median(comparison: Comparison, method: str) -> float:
    table = comparison.to_pandas()
    return float(table[table["method"] == method]["best"].median())
