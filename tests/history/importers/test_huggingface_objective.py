"""What a Trainer's files say was optimized, and what is left to a guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tune_lr.history.history import History
from tune_lr.history.importers.huggingface import HuggingFace
from tune_lr.history.log import Asked, Log, Skipped

LOSS, ACC = (0.5, 0.25, 0.375), (0.625, 0.75, 0.875)


def run(folder: Path, acc: tuple[float, ...] = ACC, loss: tuple[float, ...] = LOSS, **facts: Any) -> Path:
    history: list[dict[str, Any]] = []
    for epoch, (one, other) in enumerate(zip(loss, acc, strict=True), 1):
        both = {"epoch": float(epoch), "step": 10 * epoch}
        history.append({**both, "loss": 1 / epoch, "learning_rate": 0.1})
        history.append({**both, "eval_loss": one, "eval_acc": other, "eval_runtime": 0.875})
    folder.mkdir(parents=True)
    state = {"global_step": 10 * len(loss), "log_history": history, **facts}
    (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder


def read(path: Path) -> Log:
    (log,) = HuggingFace().read(path, Asked(), Skipped())
    return log


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, (None, None)),
        ({"metric_for_best_model": "eval_acc", "greater_is_better": True}, ("eval_acc", "max")),
        ({"metric_for_best_model": "acc", "greater_is_better": None}, ("eval_acc", None)),
        ({"metric_for_best_model": "loss", "greater_is_better": False}, ("eval_loss", "min")),
        ({"metric_for_best_model": "learning_rate"}, ("learning_rate", None)),
        ({"metric_for_best_model": "gone", "greater_is_better": True}, (None, None)),
        ({"metric_for_best_model": ["acc"], "greater_is_better": "yes"}, (None, None)),
        ({"greater_is_better": True}, (None, None)),
    ],
)
def test_what_a_file_beside_the_run_says(
    tmp_path: Path, said: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    folder = run(tmp_path / "r")
    (folder / "params.json").write_text(json.dumps({"lr": 0.1, **said}))
    log = read(folder)
    assert (log.metric, log.mode) == expected
    assert {name for name in log.trials if str(name).startswith("config/")} == {"config/lr"}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"best_metric": 0.875, "best_global_step": 30}, ("eval_acc", "max")),
        ({"best_metric": 0.875}, ("eval_acc", "max")),
        ({"best_metric": 0.25, "best_global_step": 20}, ("eval_loss", "min")),
        ({"best_metric": 0.25, "best_global_step": None}, ("eval_loss", "min")),
        ({"best_metric": 0.75, "best_global_step": 20}, ("eval_acc", None)),
        ({"best_metric": 0.875, "best_global_step": 20}, (None, None)),
        ({"best_metric": 0.75}, (None, None)),
        ({"best_metric": 0.1}, (None, None)),
        ({"best_metric": float("-inf")}, (None, None)),
        ({"best_metric": None}, (None, None)),
        ({"best_metric": "0.875", "best_global_step": [30]}, (None, None)),
        ({"best_metric": True}, (None, None)),
    ],
)
def test_what_the_best_value_shows(
    tmp_path: Path, facts: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    log = read(run(tmp_path / "r", **facts))
    assert (log.metric, log.mode) == expected


def test_a_best_value_that_may_be_of_several_shows_nothing(tmp_path: Path) -> None:
    log = read(run(tmp_path / "both", acc=(0.5, 0.25, 0.125), best_metric=0.25, best_global_step=20))
    assert (log.metric, log.mode) == (None, None)
    log = read(run(tmp_path / "once", acc=(0.75,), loss=(0.5,), best_metric=0.75, best_global_step=10))
    assert (log.metric, log.mode) == ("eval_acc", None)


def test_several_runs_show_it_together(tmp_path: Path) -> None:
    run(tmp_path / "x" / "a", acc=(0.5, 0.75), loss=(0.5, 0.75), best_metric=0.75)
    run(tmp_path / "x" / "b")  # it was killed before its first evaluation, say
    assert read(tmp_path / "x").metric is None
    run(tmp_path / "x" / "c", best_metric=0.875, best_global_step=30)
    assert (read(tmp_path / "x").metric, read(tmp_path / "x").mode) == ("eval_acc", "max")
    run(tmp_path / "x" / "d", best_metric=0.25, best_global_step=20)
    assert read(tmp_path / "x").metric is None


def test_the_untrained_model_is_compared_with_nothing(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", best_metric=0.25, best_global_step=20)
    state = json.loads((folder / "trainer_state.json").read_text())
    state["log_history"].insert(0, {"epoch": 0, "step": 0, "eval_loss": 0.125, "eval_acc": 0.0})
    (folder / "trainer_state.json").write_text(json.dumps(state))
    assert (read(folder).metric, read(folder).mode) == ("eval_loss", "min")


def test_what_no_one_said_is_guessed_and_told(tmp_path: Path) -> None:
    run(tmp_path / "usual")
    run(tmp_path / "shown", best_metric=0.875, best_global_step=30)
    run(tmp_path / "half", best_metric=0.75, best_global_step=20)
    (tmp_path / "losses").mkdir()
    rows = [{"epoch": 0.5, "step": 5, "loss": 0.5, "learning_rate": 0.1, "grad_norm": 1.0}]
    end = {"epoch": 1.0, "step": 10, "train_loss": 0.75, "train_runtime": 1.0}
    (tmp_path / "losses" / "trainer_state.json").write_text(json.dumps({"log_history": [*rows, end]}))
    history, found = History(tmp_path / "store"), {}
    for name in ("usual", "shown", "half", "losses"):
        (added,) = history.add(tmp_path / name).imported
        found[name] = (added.info.metric, added.info.mode, added.info.guessed)
    assert found == {
        "usual": ("eval_loss", "min", ["metric", "mode"]),
        "shown": ("eval_acc", "max", []),
        "half": ("eval_acc", "max", ["mode"]),
        "losses": ("loss", "min", ["metric", "mode"]),
    }
