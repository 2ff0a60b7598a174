"""What the knobs did: parallel coordinates, how much each mattered, and slices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tune_lr.record import TrialRecord
from tune_lr.space import CategoricalKnob
from tune_lr.views.importance import LEAST
from tune_lr.views.report.facts import BELIEVED, Facts
from tune_lr.views.report.section import BLUE, ORANGE, Section, chart, logarithmic, safe

#: Lines and points that a chart can show and a reader can see.
_MOST_LINES, _MOST_POINTS = 500, 500
#: Knobs that are drawn, those that matter most.
_MOST_KNOBS = 8
_FEW = 3


def parallel(facts: Facts) -> Section | None:
    """A line a trial, across the knobs that matter most and the metric."""
    shown = [trial for trial in facts.drawn(_MOST_LINES) if math.isfinite(facts.value(trial))]
    if len(shown) < _FEW or not facts.knobs:
        return None
    axes = [_axis(facts, name, shown) for name in facts.by_importance[:_MOST_KNOBS]]
    values = [facts.value(trial) for trial in shown]
    sign = 1.0 if facts.experiment.objective.mode == "min" else -1.0
    ranks = np.argsort(np.argsort([sign * value for value in values])) / max(1, len(values) - 1)
    axes.append({"label": safe(facts.metric, 18), "values": values, "range": _usual(values)})
    drawn = chart("", "", "", 460)
    drawn.add_parcoords(
        dimensions=axes,
        line={"color": ranks.tolist(), "colorscale": "Cividis", "reversescale": True, "cmin": 0, "cmax": 1},
    )
    drawn.update_layout(margin={"l": 70, "r": 60, "t": 70, "b": 20})
    note = "Dark lines are the best trials. Draw along an axis to keep what passes there; names can be moved."
    if len(shown) < len(facts.ranked):
        note += f" {len(shown)} of {len(facts.ranked)} trials, the best among them."
    return Section("Configurations", note, (drawn,), wide=True)


def _axis(facts: Facts, name: str, shown: list[TrialRecord]) -> dict[str, Any]:
    knob = facts.experiment.space.knobs[name]
    places = [knob.to_unit(trial.values[name]) if name in trial.values else 0.5 for trial in shown]
    if isinstance(knob, CategoricalKnob):
        choices = list(knob.values)
        ticks, labels = [knob.to_unit(choice) for choice in choices], [safe(choice, 14) for choice in choices]
    else:
        ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
        labels = [f"{float(knob.from_unit(tick)):.3g}" for tick in ticks]
    return {"label": safe(name, 18), "values": places, "tickvals": ticks, "ticktext": labels, "range": [0, 1]}


def _usual(values: list[float]) -> list[float]:
    """Where nine of ten values lie, that a few bad ones do not squash the rest."""
    low, high = np.quantile(values, [0.0, 0.9]) if values else (0.0, 1.0)
    return [float(low), float(high if high > low else low + 1)]


def importance(facts: Facts) -> Section | None:
    """How much each knob mattered, and which did something only together."""
    if len(facts.knobs) < 2:
        return None
    found = facts.importance
    if found is None:
        few = len(facts.ranked) < LEAST
        told = f"Too few trials to tell: {LEAST} with a value are needed." if few else ""
        return Section("What mattered", told or "Not told: scikit-learn is not installed.")
    drawn = chart("Share of what shuffling a knob costs the prediction", "share", "", 90 + 26 * len(found.of))
    drawn.add_bar(
        x=[share for _, share in found.of][::-1], y=[safe(name, 24) for name, _ in found.of][::-1],
        orientation="h", marker={"color": BLUE}, hovertemplate="%{y}: %{x:.0%}<extra></extra>",
    )  # fmt: skip
    drawn.update_xaxes(tickformat=".0%")
    drawn.update_yaxes(automargin=True)
    note = (
        "Permutation importance of a random forest over the trials, which knows how long each was trained. "
        f"Of what that leaves open the knobs explain {max(0.0, found.fit):.0%}, of trials not seen before"
        + ("." if found.fit >= BELIEVED else ", so that little of this can be believed.")
    )
    if found.pairs:
        pairs = ", ".join(f"{one} with {two} ({share:.0%})" for one, two, share in found.pairs)
        note += f" What two do only together: {pairs}."
    return Section("What mattered", note, (drawn,))


def slices(facts: Facts) -> Section | None:
    """The metric along each of the knobs that matter most."""
    from plotly.subplots import make_subplots

    shown = [trial for trial in facts.drawn(_MOST_POINTS) if math.isfinite(facts.value(trial))]
    names = facts.by_importance[:_MOST_KNOBS]
    if len(shown) < _FEW or not names:
        return None
    columns = min(2, len(names))
    rows = math.ceil(len(names) / columns)
    drawn = make_subplots(
        rows=rows, cols=columns, subplot_titles=[safe(name, 24) for name in names],
        vertical_spacing=0.32 / rows, horizontal_spacing=0.12,
    )  # fmt: skip
    drawn.update_layout(chart("", "", "", 60 + 250 * rows).layout)
    values = [facts.value(trial) for trial in shown]
    best = facts.ranked[0].trial_id
    for number, name in enumerate(names):
        row, column = number // columns + 1, number % columns + 1
        there = [(trial.values[name], value, trial) for trial, value in zip(shown, values, strict=True)
                 if name in trial.values]  # fmt: skip
        knob = facts.experiment.space.knobs[name]
        text = isinstance(knob, CategoricalKnob)
        drawn.add_scattergl(
            x=[safe(at, 14) if text else at for at, _, _ in there], y=[value for _, value, _ in there],
            mode="markers", showlegend=False, text=[f"trial {safe(trial.trial_id)}" for _, _, trial in there],
            marker={
                "size": [11 if trial.trial_id == best else 6 for _, _, trial in there],
                "color": [ORANGE if trial.trial_id == best else BLUE for _, _, trial in there],
                "symbol": ["diamond" if trial.trial_id == best else "circle" for _, _, trial in there],
                "opacity": 0.7,
            },
            hovertemplate="%{text}<br>%{x}: %{y:.5g}<extra></extra>", row=row, col=column,
        )  # fmt: skip
        numbers = [float(at) for at, _, _ in there] if not text else []
        kind = "category" if text else logarithmic(numbers)
        drawn.update_xaxes(type=kind, nticks=5, row=row, col=column)
        drawn.update_yaxes(type=logarithmic(values), row=row, col=column)
    return Section("One knob at a time", f"{facts.metric} of each trial; the diamond is the best.", (drawn,))
