"""What a job says where nobody said it, and what older jobs said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tune_lr.errors import BadInput
from tune_lr.job import Job

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}


def job(**asked: Any) -> Job:
    return Job.make({"trainer": "x.py", "space": SPACE, **asked})


@pytest.mark.parametrize(
    ("asked", "searcher", "rule"),
    [
        ({}, "prior", "freeze-thaw"),
        ({"searcher": "random"}, "random", "asha"),
        ({"searcher": "tpe"}, "tpe", "asha"),
        ({"trial_scheduler": "median"}, "prior", "median"),
        ({"trial_scheduler": None}, "prior", "freeze-thaw"),
        ({"searcher": "random", "trial_scheduler": "freeze-thaw"}, "random", "freeze-thaw"),
    ],
)
def test_the_trial_scheduler_goes_with_the_searcher(asked: dict[str, Any], searcher: str, rule: str) -> None:
    made = job(**asked)
    assert (made.searcher, made.trial_scheduler) == (searcher, rule)
    assert made.model_dump()["trial_scheduler"] == rule
    assert made.changed({"trials": 3}).trial_scheduler == rule


@pytest.mark.parametrize(
    ("asked", "epochs"),
    [
        ({"trials": 20, "max_epochs": 9}, 60),
        ({"trials": 10, "max_epochs": 10}, 34),
        ({"trials": 2, "max_epochs": 27}, 27),
        ({"trials": 20, "max_epochs": 9, "budget": "500epochs"}, 500),
        ({"trials": 20, "max_epochs": 9, "budget": "10m"}, None),
        ({"trials": 20, "trial_scheduler": "asha"}, None),
        ({"trials": 20, "searcher": "random"}, None),
    ],
)
def test_freeze_thaw_has_a_third_of_the_epochs_if_nobody_says(
    asked: dict[str, Any], epochs: int | None
) -> None:
    assert job(**asked).limits.epochs == epochs


@pytest.mark.parametrize(
    ("asked", "prior"),
    [
        ({}, "auto"),
        ({"prior": None}, "none"),
        ({"prior": "starter"}, "starter"),
        ({"prior": ["runs/one"]}, "runs/one"),
        ({"prior": Path("runs/one")}, "runs/one"),
        ({"prior": ("runs/one", Path("b.csv"))}, ["runs/one", "b.csv"]),
    ],
)
def test_a_prior_is_a_word_or_paths(asked: dict[str, Any], prior: Any) -> None:
    assert job(**asked).prior == prior


@pytest.mark.parametrize("prior", ["", " ", [], ["auto", "runs/one"], ["none", "starter"], 3, [3], True, {}])
def test_another_prior_is_refused(prior: Any) -> None:
    with pytest.raises(BadInput, match=r"^prior: "):
        job(prior=prior)


def test_a_job_that_is_older_than_priors_has_none(tmp_path: Path) -> None:
    written = job(searcher="random", trial_scheduler="median").model_dump()
    del written["prior"]
    (tmp_path / "experiment.json").write_text(json.dumps({"format": 1, "job": written}))
    found = Job.read(tmp_path / "experiment.json")
    assert found is not None
    assert (found.prior, found.searcher, found.trial_scheduler) == ("none", "random", "median")
