"""What ``show`` says of the best trial, and which names of trials it takes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.spacefile import load_space
from tune_lr.trials.run import Leg, Outcome
from tune_lr.views.paste import paste
from tune_lr.views.show import show, show_trial

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}


def experiment(losses: list[list[float]], out: Path | None = None, **asked: Any) -> Experiment:
    asked = {"searcher": "random", "trial_scheduler": "none", "trials": len(losses), "max_epochs": 9, **asked}
    made = Experiment.open(out, Job.make({"trainer": "x.py", "space": SPACE, **asked}))
    with made.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            status: Any = "completed"
            begun = made.record().trials[leg.trial_id].epochs
            for epoch, loss in enumerate(losses[int(leg.trial_id)][begun:], start=begun + 1):
                decision = driver.report(leg.trial_id, Report(epoch, 1.0, {made.job.metric: loss}))
                if decision != "continue":
                    status = "paused" if decision == "pause" else "stopped"
                    break
            driver.finish(leg.trial_id, Outcome(status))
    return made


def shown(made: Experiment, trial: str | None = None, width: int = 250) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, soft_wrap=True, highlight=False)
    if trial is None:
        show(made, console)
    else:
        show_trial(made, trial, console)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("asked", "losses", "said"),
    [
        ({}, [3.0, 0.5, 1.0], "val_loss 0.5 at epoch 2 of 3 (completed)"),
        ({}, [3.0, 0.5, 0.5], "val_loss 0.5 at epoch 2 of 3 (completed)"),
        ({"mode": "max"}, [3.0, 0.5, 1.0], "val_loss 3 at epoch 1 of 3 (completed)"),
        ({"scope": "last"}, [3.0, 0.5, 1.0], "val_loss 1 after 3 epochs (completed)"),
        ({"scope": "avg-2"}, [3.0, 0.5, 1.0], "val_loss 0.75 after 3 epochs (completed)"),
    ],
)
def test_the_best_value_is_told_with_the_epoch_it_is_of(
    asked: dict[str, Any], losses: list[float], said: str
) -> None:
    text = shown(experiment([losses], **asked))
    assert f"Best: trial 0000, {said}" in text
    assert "not trained to the end" not in text


def test_a_best_trial_that_is_paused_is_told_with_how_to_go_on(tmp_path: Path) -> None:
    asked = {"trial_scheduler": "asha-promote", "trials": 2}
    losses = [[1.0] * 9, [0.5] * 9]
    text = shown(experiment(losses, out=tmp_path / "it", **asked))
    assert "(paused)" in text
    assert "It was not trained to the end (1 of 9 epochs); with more trials than 2" in text
    assert f"tune-lr resume {tmp_path / 'it'} --trials N" in text
    in_memory = shown(experiment(losses, **asked))
    assert "not trained to the end" in in_memory
    assert "tune-lr resume" not in in_memory


def test_a_best_trial_that_the_budget_cut_off(tmp_path: Path) -> None:
    made = experiment([[0.5] * 9], out=tmp_path / "it", budget="4epochs")
    text = shown(made)
    assert "not trained to the end (4 of 9 epochs); to go on with it: tune-lr resume" in text
    assert "--budget AMOUNT" in text


def test_the_zeros_of_a_trials_name_may_be_left_out() -> None:
    made = experiment([[1.0]] * 30)
    for name in ("18", "018", "0018"):
        assert shown(made, name).startswith("trial 0018: completed")
    assert shown(made, "0").startswith("trial 0000: completed")


def test_an_unknown_trial_is_refused_in_few_words() -> None:
    for name in ("30", "x", "", "²", "9" * 5000):
        with pytest.raises(BadInput, match="one of the 30 trials that are there, 0000 to 0029") as caught:
            shown(experiment([[1.0]] * 30), name)
        assert len(str(caught.value)) < 400
    with pytest.raises(BadInput, match="known: 0000, 0001"):
        shown(experiment([[1.0]] * 2), "7")


@pytest.mark.parametrize("width", [80, 250])
def test_code_is_broken_at_commas_only(width: int) -> None:
    made = experiment([[1.0]], space=load_space("greedy_lr").to_dict())
    code = shown(made, width=width).partition("Use it:\n")[2].splitlines()
    code = [line for line in code if line.startswith("    ")]
    assert code == [f"    {line}" for line in paste(next(iter(made.record().trials.values())).config, 9,
                                                    min(width, 100) - 4)]  # fmt: skip
    assert len(code) > 4
    assert all(len(line) <= min(width, 100) for line in code)
