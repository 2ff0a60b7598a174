"""Pictures of the history where values are further out than a picture's axes can be."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tune_lr.history.entry import TaskInfo
from tune_lr.views.history_coverage import Covered, coverage
from tune_lr.views.history_curves import curves_of
from tune_lr.views.history_page import page
from tune_lr.views.history_plot import figure, panel_title, shown

TRIALS, EPOCHS = 8, 3
WIDE = {"name": "wide", "knobs": {"x": {"type": "float", "low": 0.0, "high": 1e308}}}


def task(**known: Any) -> TaskInfo:
    usual: dict[str, Any] = {
        "id": "3fa2b1c90d11", "task": "far", "source": "table", "origin": "/logs", "metric": "loss",
        "mode": "min", "scope": "best", "fidelity": "epochs", "trials": TRIALS, "reports": TRIALS * EPOCHS,
        "epochs": EPOCHS, "statuses": {"completed": TRIALS}, "space": None, "space_dict": None, "matched": {},
        "unmatched": [], "outside": 0, "knobs": {}, "best": 0.0, "metrics": ["loss", "lr"],
    }  # fmt: skip
    return TaskInfo(**{**usual, **known})


def frames(**columns: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials and reports, of which some columns have these values in turn."""
    ids = [f"t{number}" for number in range(TRIALS)]
    trials = pd.DataFrame({"trial_id": ids, "status": "completed", "best": np.arange(8.0), "config/x": 1.0})
    reports = pd.DataFrame({"trial_id": np.repeat(ids, EPOCHS), "epoch": [1, 2, 3] * TRIALS, "loss": 0.5})
    for name, values in columns.items():
        frame = trials if name in ("best", "x") else reports
        frame["config/x" if name == "x" else name] = np.resize(values, len(frame))
    return trials, reports


@pytest.mark.parametrize(
    ("columns", "left_out"),
    [
        ({"loss": [1e308, -1e308, 1.0]}, 16),
        ({"loss": [1.7e308], "best": [1.7e308]}, 24),
        ({"loss": [1e200, -1e200]}, 0),
        ({"loss": [5e-324, 1e200]}, 0),
        ({"lr": [1e308, 1.0, 0.1]}, 8),
        ({"lr": [5e-324, 1e200]}, 0),
        ({"loss": [np.nan], "best": [1e308, -1e308, 0.5, 1.0]}, 4),
        ({"x": [1e308, -1e308, 1, 2, 3, 4, 5, 6]}, 0),
        ({"x": [1e308, 5e-324, 1, 2, 3, 4, 5, 6]}, 0),
    ],
)
def test_what_is_too_far_out_is_left_out_and_said_to_be(columns: dict[str, Any], left_out: int) -> None:
    trials, reports = frames(**columns)
    assert curves_of(task(), trials, reports).beyond == left_out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture = figure(task(), trials, reports)
        picture.savefig(io.BytesIO(), format="png")
    said = f", {left_out} values beyond 1e+200 left out" if left_out else "far: 8 trials; below"
    assert said in picture.get_suptitle()
    assert said in page(task(), trials, reports)


def only(knobs: list[Covered]) -> Covered:
    (found,) = knobs
    return found


def test_of_a_knob_without_a_range_they_are_outside() -> None:
    trials, _ = frames(x=[1e308, -1e308, 1, 2, 3, 4, 5, 6])
    knob = only(coverage(task(), trials))
    assert (knob.outside, knob.edges[0], knob.edges[-1], sum(knob.counts)) == (2, 1, 6, 6)
    assert panel_title(knob) == "x (2 outside)"
    assert shown([knob]) == [knob]


def test_a_range_that_is_too_wide_has_no_panel() -> None:
    trials, reports = frames(x=[1e308, 1e307, 1, 2, 3, 4, 5, 6])
    info = task(space="wide", space_dict=WIDE)
    assert only(coverage(info, trials)).known
    assert shown(coverage(info, trials)) == []
    figure(info, trials, reports).savefig(io.BytesIO(), format="png")
