"""Pictures: what they show, and that nothing upsets them."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tune_lr.errors import BadInput, MissingExtra
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.trials.run import Leg, Outcome
from tune_lr.views.curves import curves, view_of
from tune_lr.views.draw import write
from tune_lr.views.page import page
from tune_lr.views.plot import figure

SPACE = {
    "name": "line",
    "knobs": {
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
        "opt": {"type": "categorical", "values": ["<b>&", "$x_1$", "plain"]},
    },
}


def experiment(losses: list[list[Any]], lr: bool = True, **asked: Any) -> Experiment:
    asked = {"searcher": "random", "trial_scheduler": "none", "trials": max(1, len(losses)), **asked}
    made = Experiment.open(None, Job.make({"trainer": "x.py", "space": SPACE, **asked}))
    with made.drive() as driver:
        while losses and isinstance(leg := driver.next(), Leg):
            for epoch, loss in enumerate(losses[int(leg.trial_id)], start=1):
                rate = {"lr": leg.config["lr"] / epoch} if lr else {}
                metrics = {made.job.metric: loss, **rate}
                if driver.report(leg.trial_id, Report(epoch, 1.0, metrics)) != "continue":
                    break
            driver.finish(leg.trial_id, Outcome("completed"))
    return made


USUAL = [[2.0, 1.0, 0.5], [1.0, 0.25], [3.0, math.nan]]


def test_the_curves() -> None:
    found = curves(experiment(USUAL))
    assert [curve.values for curve in found.trials] == [[2.0, 1.0, 0.5], [1.0, 0.25], [3.0]]
    assert [curve.status for curve in found.trials] == ["completed", "completed", "diverged"]
    assert [len(curve.lrs) for curve in found.trials] == [3, 2, 2]
    assert found.best == "0001"
    assert found.spent == [1, 2, 3, 4, 5, 6, 7]
    assert found.best_so_far == [2.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_the_best_so_far_of_a_metric_that_is_to_grow() -> None:
    found = curves(experiment([[0.1, 0.5], [0.3, 0.9]], metric="accuracy", mode="max"))
    assert found.best_so_far == [0.1, 0.5, 0.5, 0.9]
    assert found.best == "0001"


def test_the_figure_has_three_panels_or_two() -> None:
    assert [axes.get_title(loc="left") for axes in figure(experiment(USUAL)).axes] == [
        "val_loss of each trial",
        "learning rate of each trial",
        "best val_loss so far",
    ]
    assert len(figure(experiment(USUAL, lr=False)).axes) == 2


@pytest.mark.parametrize(
    "losses",
    [
        [],
        [[]],
        [[1.0]],
        [[math.nan], [None], [math.inf]],
        [[0.0, -1.0], [1e30, 5e29]],
        [[1e-300, 1e300]],
        [[1.0] * 27] * 30,
        [[10.0 ** (i % 8) / (e + 1) for e in range(5)] for i in range(40)],
    ],
    ids=["nothing", "no report", "one point", "diverged", "signs", "extremes", "equal", "excesses"],
)
@pytest.mark.parametrize("mode", ["min", "max"])
def test_nothing_upsets_a_picture(losses: list[list[Any]], mode: str, tmp_path: Path) -> None:
    made = experiment(losses, mode=mode)
    write(made, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
    write(made, tmp_path / "a.html")


def test_excesses_do_not_squash_the_rest() -> None:
    found = curves(experiment([*([[1.0, 0.9, 0.8]] * 20), [1e6, 1e7, 1e8]]))
    view = view_of(found)
    assert view is not None
    assert 0.7 < view[0] < 0.8
    assert 1.0 < view[1] < 2.0
    assert figure(experiment([*([[1.0, 0.9, 0.8]] * 20), [1e6, 1e7, 1e8]])).axes[0].get_ylim()[1] < 2.0


def test_hundreds_of_trials_stay_few_traces() -> None:
    text = page(experiment([[1.0, 0.5]] * 300))
    assert len(text) < 7_000_000
    assert text.count('"type":"scatter"') < 20


def test_the_page_needs_no_network_and_takes_no_values_for_markup() -> None:
    text = page(experiment(USUAL * 4))
    head = text[: text.index("<body")]
    assert not re.search(r"<(script|link)[^>]+(src|href)=", text)
    assert "<b>&<" not in text.split("plotly.js")[-1]
    assert "http-equiv" in head or "<meta" in head


def test_a_notebook_shows_the_figure() -> None:
    assert experiment(USUAL).plot()._repr_png_().startswith(b"\x89PNG")


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    made = experiment(USUAL)
    for name in ("matplotlib", "matplotlib.figure", "plotly", "plotly.io"):
        monkeypatch.setitem(sys.modules, name, None)
    for draw in (figure, page):
        with pytest.raises(MissingExtra, match=r"tune-lr\[plot\]"):
            draw(made)


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"\.jpg.*\.png"):
        write(experiment(USUAL), tmp_path / "a.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="a place to write to"):
        write(experiment(USUAL), tmp_path / "file/a.png")


def test_no_display_is_touched() -> None:
    code = (
        "import sys, tune_lr.views.plot as p, tune_lr.views.page; print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
