"""What the history did in the experiment: how far it was trusted, which tasks spoke, where it led."""

from __future__ import annotations

import html
from collections import Counter

from tune_lr.views.report.facts import Facts
from tune_lr.views.report.section import BLUE, ORANGE, Section, chart, safe

#: Tasks that are named.
_TASKS = 8


def prior(facts: Facts) -> Section | None:
    """None where there was no history."""
    if not facts.prior:
        return None
    across, trust, led = [], [], []
    tasks = Counter[str]()
    for number, trial in enumerate(facts.record.trials.values(), start=1):
        said = trial.why.get("trust")
        if isinstance(said, (int, float)) and not isinstance(said, bool) and 0 <= said <= 1:
            across.append(number)
            trust.append(float(said))
        named = trial.why.get("tasks")
        tasks.update(name for name in (named if isinstance(named, list) else []) if isinstance(name, str))
        if trial.why.get("source") == "prior":
            led.append(number)
    drawn = chart("How far the history was trusted, proposal by proposal", "proposal", "trust", 320)
    drawn.add_scatter(x=across, y=trust, mode="lines+markers", line={"color": BLUE}, name="trust")
    at = dict(zip(across, trust, strict=True))
    drawn.add_scatter(
        x=led, y=[at.get(number, 0.0) for number in led], mode="markers", name="proposals that it led",
        marker={"color": ORANGE, "symbol": "triangle-up", "size": 9},
    )  # fmt: skip
    drawn.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    items = "".join(
        f"<li>{safe(name)}: in {count} of {len(facts.record.trials)} proposals</li>"
        for name, count in tasks.most_common(_TASKS)
    )
    body = f"<p>The past tasks that spoke most:</p><ul>{items}</ul>" if items else ""
    where = facts.experiment.prior_told
    origin = f" It began with {where}." if where else ""
    note = facts.prior + "." + origin
    saved = "What it saved is told by running the same with and without: tune-lr compare --priors auto,none."
    return Section("What the history did", note, (drawn,), body + f"<p>{html.escape(saved)}</p>")
