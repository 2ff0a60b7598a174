"""How the experiment went: the best so far, the curves of trials, the schedules' moves, the workers."""

from __future__ import annotations

import math
from typing import Any

from tune_lr.comparing.figures import busy_over_time
from tune_lr.errors import BadInput
from tune_lr.record import TrialRecord
from tune_lr.views.curves import BEST_COLOUR, COLOURS
from tune_lr.views.moves import stories
from tune_lr.views.report.facts import Facts
from tune_lr.views.report.section import BLUE, Section, chart, logarithmic, safe
from tune_lr.views.trial_page import draw_story
from tune_lr.views.words import STATUSES, short

#: Trials whose decisions are drawn.
_TOLD = 3
#: Decisions of a trial that a chart can show.
_MOST_DECISIONS = 5000
#: Stretches of trials on workers that are drawn one by one.
_MOST_LEGS = 3000
#: Points of the best-so-far curves.
_POINTS = 2000


def best_so_far(facts: Facts) -> Section | None:
    """Against epochs spent and against seconds."""
    reports = facts.run.reports
    known = reports[reports["best"] < math.inf]
    if not len(known):
        return None
    changes = known[known["best"] != known["best"].shift()]
    kept = changes.iloc[:: max(1, len(changes) // _POINTS)]
    sign = 1.0 if facts.experiment.objective.mode == "min" else -1.0
    charts = []
    for column, unit in (("spent", "epochs of all trials"), ("time", "seconds")):
        drawn = chart(f"Best {facts.metric} so far", unit, facts.metric)
        across = [*kept[column].tolist(), float(reports[column].max())]
        up = [*(sign * kept["best"]).tolist(), sign * float(known["best"].iloc[-1])]
        drawn.add_scatter(
            x=across, y=up, mode="lines+markers", line_shape="hv", line={"color": BLUE, "width": 2.5},
            marker={"size": 4}, showlegend=False, hovertemplate="%{x:.4g}: %{y:.5g}<extra></extra>",
        )  # fmt: skip
        drawn.update_yaxes(type=logarithmic(up))
        charts.append(drawn)
    return Section("The best so far", charts=tuple(charts))


def trials(facts: Facts) -> Section | None:
    """Loss and LR of the trials, by what became of them."""
    shown = facts.drawn()
    if not shown:
        return None
    best = facts.ranked[0].trial_id if facts.ranked else None
    losses = chart(f"{facts.metric} of each trial", "epoch", facts.metric, 440)
    rates = chart("Learning rate of each trial", "epoch", "lr", 440)
    some_rate = False
    for status in reversed(STATUSES):
        group = [trial for trial in shown if trial.status == status and trial.trial_id != best]
        _lines(losses, facts, group, facts.metric, status, COLOURS[status], 1.2)
        some_rate |= _lines(rates, facts, group, "lr", status, COLOURS[status], 1.2)
    first = [trial for trial in shown if trial.trial_id == best]
    if first:
        label = f"best: {first[0].trial_id}"
        _lines(losses, facts, first, facts.metric, label, BEST_COLOUR, 3.5)
        some_rate |= _lines(rates, facts, first, "lr", label, BEST_COLOUR, 3.5)
    for drawn in (losses, rates):
        values = [value for trace in drawn.data for value in trace.y if value is not None]
        drawn.update_yaxes(type=logarithmic(values))
    note = "Point at a line for its configuration; a click in the legend takes a group away."
    if len(shown) < len(facts.record.trials):
        note += f" Of {len(facts.record.trials)} trials {len(shown)} are drawn, the best and a random part."
    return Section("Every trial", note, (losses, rates) if some_rate else (losses,))


def _lines(
    drawn: Any, facts: Facts, group: list[TrialRecord], metric: str, label: str, colour: str, width: float
) -> bool:
    """A group as one trace, with gaps between its lines; whether there is any."""
    across: list[int | None] = []
    up: list[float | None] = []
    said: list[str] = []
    for trial in group:
        points = [(report.epoch, _finite(report.metrics.get(metric))) for report in trial.reports]
        points = [(epoch, value) for epoch, value in points if value is not None]
        across += [*(epoch for epoch, _ in points), None]
        up += [*(value for _, value in points), None]
        said += [_told(facts, trial)] * (len(points) + 1)
    if not any(value is not None for value in up):
        return False
    drawn.add_scattergl(
        x=across, y=up, text=said, name=safe(label), mode="lines+markers", marker={"size": 3},
        line={"color": colour, "width": width}, opacity=1.0 if width > 2 else 0.55,
        hovertemplate="%{text}<br>epoch %{x}: %{y:.5g}<extra></extra>",
    )  # fmt: skip
    return True


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return float(value) if abs(value) < 1e300 else None


def _told(facts: Facts, trial: TrialRecord) -> str:
    knobs = [f"{safe(name, 30)} {safe(short(trial.config.get(name)), 30)}" for name in facts.knobs[:12]]
    return "<br>".join([f"<b>trial {safe(trial.trial_id)}</b> ({trial.status})", *knobs])


def decisions(facts: Facts) -> Section | None:
    """What the schedules of the best trials did, step by step."""
    from plotly.subplots import make_subplots

    charts = []
    for trial in facts.ranked[:_TOLD]:
        try:
            found = stories(facts.experiment, trial.trial_id)
        except BadInput:  # it kept none, or its file is damaged
            continue
        story = found[0]
        if len(story.rows) > _MOST_DECISIONS:
            continue
        drawn = make_subplots(
            rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06
        )
        drawn.update_layout(chart(f"Trial {trial.trial_id}: {story.schedule}", "", "", 520).layout)
        draw_story(drawn, story, 1)
        drawn.update_xaxes(title_text="step", row=2, col=1)
        drawn.update_yaxes(title_text="lr", row=1, col=1)
        drawn.update_yaxes(title_text="loss", row=2, col=1)
        charts.append(drawn)
    if not charts:
        return None
    note = (
        "Where the schedule raised, cut or reset the learning rate, and the loss it saw; elsewhere it held."
    )
    return Section("What the schedule did in the best trials", note, tuple(charts))


def workers(facts: Facts) -> Section | None:
    """Who trained what, and when."""
    legs = facts.run.legs
    if not len(legs):
        return None
    workers = facts.run.workers
    drawn = chart("Workers over time", "seconds", "worker", 300)
    if len(legs) > _MOST_LEGS:
        busy = busy_over_time(facts.run, 200)
        drawn.add_scatter(x=busy["seconds"], y=busy["workers"], mode="lines", line={"color": BLUE})
        drawn.update_yaxes(title_text="workers that had a trial", range=[0, workers + 0.2])
        return Section("The workers", f"{len(legs)} stretches of training.", (drawn,))
    free = [0.0] * workers
    lanes: dict[str, tuple[list[Any], list[Any], list[str]]] = {}
    for trial_id, begun, ended in zip(legs["trial_id"], legs["begun"], legs["ended"], strict=True):
        lane = min(range(workers), key=lambda one: (free[one] > begun + 1e-6, free[one]))
        free[lane] = ended
        became = facts.record.trials[trial_id].status
        across, up, said = lanes.setdefault(became, ([], [], []))
        across += [begun, ended, None]
        up += [lane + 1, lane + 1, None]
        said += [f"trial {safe(trial_id)}"] * 3
    for status in [one for one in STATUSES if one in lanes]:
        across, up, said = lanes[status]
        drawn.add_scatter(
            x=across, y=up, text=said, mode="lines+markers", name=status,
            line={"color": COLOURS[status], "width": 9},
            marker={"symbol": "line-ns-open", "size": 12}, hovertemplate="%{text}: %{x:.1f} s<extra></extra>",
        )  # fmt: skip
    drawn.update_yaxes(tickvals=list(range(1, workers + 1)), range=[0.4, workers + 0.6])
    return Section(
        "The workers", "A bar is a stretch of a trial; its colour is what became of the trial.", (drawn,)
    )
