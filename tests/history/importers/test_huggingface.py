"""Trainers' states, value by value, in all the places where a Trainer leaves them."""

from __future__ import annotations

import json
import math
import shutil
import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.samples.history import huggingface as sample
from tune_lr.errors import BadInput
from tune_lr.history import columns
from tune_lr.history.finder import find
from tune_lr.history.history import History
from tune_lr.history.importers.huggingface import HuggingFace
from tune_lr.history.log import Asked, Log, Skipped


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.make(tmp_path_factory.mktemp("huggingface"))


def read(path: Path, skipped: Skipped | None = None) -> Log:
    (log,) = HuggingFace().read(path, Asked(), Skipped() if skipped is None else skipped)
    return log


def trained(step: int, **more: Any) -> dict[str, Any]:
    return {"epoch": step / 10, "learning_rate": 0.1 / step, "loss": 1 / step, "step": step, **more}


def evaluated(step: int, **more: Any) -> dict[str, Any]:
    return {"epoch": step / 10, "eval_loss": 2 / step, "eval_runtime": 0.5, "step": step, **more}


END = {"epoch": 2.0, "step": 20, "total_flos": 1e9, "train_loss": 0.25, "train_runtime": 1.5}


def state(file: Path, *history: Any, **more: Any) -> Path:
    counted = [row.get("step") for row in history if isinstance(row, dict)]
    steps = max([step for step in counted if isinstance(step, int)], default=0)
    content = {"epoch": steps / 10, "global_step": steps, "log_history": list(history), "trial_params": None}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**content, **more}))
    return file


def run(folder: Path, *history: Any, **more: Any) -> Path:
    return state(folder / "trainer_state.json", *history, **more).parent


def rows(log: Log, *names: str) -> list[list[Any]]:
    return log.reports[list(names)].to_numpy().tolist()


# What the Trainer wrote -----------------------------------------------------------------------------------


def test_real_runs_value_by_value(runs: Path) -> None:
    skipped = Skipped()
    log = read(runs, skipped)
    assert not skipped
    assert (log.source, log.name, log.metric, log.mode) == ("huggingface", "runs", None, None)
    assert (log.fidelity, log.counts_from) == ("epochs", 1)
    assert log.trials["trial_id"].tolist() == ["run-0", "run-1"]
    assert log.trials["status"].tolist() == ["completed"] * 2
    assert log.trials["config/lr"].tolist() == [0.1, 0.01]
    assert set(log.reports) == {"trial", "epoch", "eval_loss", "loss", "learning_rate", "grad_norm"}
    assert rows(log, "trial", "epoch") == [[0, 1], [0, 2], [0, 3], [1, 1], [1, 2], [1, 3]]
    for position, name in enumerate(("run-0", "run-1")):
        last = max((runs / name).glob("checkpoint-*"), key=lambda one: int(one.name[11:]))
        history = json.loads((last / "trainer_state.json").read_text())["log_history"]
        mine = log.reports[log.reports["trial"] == position]
        assert mine["eval_loss"].tolist() == [row["eval_loss"] for row in history if "eval_loss" in row]
        for metric in ("loss", "learning_rate", "grad_norm"):
            assert mine[metric].tolist() == [row[metric] for row in history if metric in row]


def test_one_run_its_checkpoint_and_its_file_say_the_same(runs: Path) -> None:
    folder = runs / "run-0"
    last = max(folder.glob("checkpoint-*"), key=lambda one: int(one.name[11:]))
    whole = read(folder)
    assert whole.trials["trial_id"].tolist() == ["run-0"]
    for path in (last, last / "trainer_state.json"):
        assert HuggingFace().claims(path)
        log = read(path)
        pd.testing.assert_frame_equal(log.trials, whole.trials)
        pd.testing.assert_frame_equal(log.reports, whole.reports)
        assert log.name == whole.name == "run-0"


def test_a_search_of_the_trainers_own(tmp_path: Path) -> None:
    for number in (0, 1, 10, 2):
        for step in (10, 20):
            state(
                tmp_path / "out" / f"run-{number}" / f"checkpoint-{step}" / "trainer_state.json",
                *(one for at in range(10, step + 1, 10) for one in (trained(at), evaluated(at))),
                trial_params={"learning_rate": number / 10, "seed": 3},
                max_steps=20,
            )
    (tmp_path / "out" / "runs").mkdir()
    skipped = Skipped()
    log = read(tmp_path / "out", skipped)
    assert log.trials["trial_id"].tolist() == ["run-0", "run-1", "run-2", "run-10"]
    assert log.trials["config/learning_rate"].tolist() == [0.0, 0.1, 0.2, 1.0]
    assert log.trials["status"].tolist() == ["completed"] * 4
    assert rows(log, "trial", "epoch")[:4] == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert list(skipped.counts) == [("runs", "a folder without a trainer_state.json")]
    (added,) = History(tmp_path / "store").add(tmp_path / "out").imported
    assert (added.info.trials, added.info.metric, added.info.best) == (4, "eval_loss", 0.1)
    assert History(tmp_path / "store").trials()["seed"].tolist() == [3] * 4


# What is whose --------------------------------------------------------------------------------------------


def test_claims(tmp_path: Path) -> None:
    file = state(tmp_path / "all" / "model" / "run" / "checkpoint-5" / "trainer_state.json", evaluated(10))
    for path in (file, file.parent, file.parent.parent, file.parent.parent.parent):
        assert HuggingFace().claims(path), path
    assert not HuggingFace().claims(tmp_path / "all")
    (tmp_path / "config.json").write_text("{}")
    assert not HuggingFace().claims(tmp_path / "config.json")
    assert [path.name for _, path in find(tmp_path / "all", Skipped())] == ["model"]


def test_the_newest_state_counts_and_an_older_one_where_it_is_damaged(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", evaluated(10), evaluated(20))
    for step in (9, 10, 30):
        history = [evaluated(at) for at in range(10, step + 1, 10)]
        state(folder / f"checkpoint-{step}" / "trainer_state.json", *history)
    assert read(folder).reports["epoch"].tolist() == [1, 2, 3]
    (folder / "checkpoint-30" / "trainer_state.json").write_text("{")
    skipped = Skipped()
    assert read(folder, skipped).reports["epoch"].tolist() == [1, 2]
    assert [where for where, _ in skipped.counts] == ["r/checkpoint-30"]
    (folder / "trainer_state.json").write_text("[]")
    assert read(folder).reports["epoch"].tolist() == [1]
    shutil.rmtree(folder / "checkpoint-10")
    shutil.rmtree(folder / "checkpoint-9")
    with pytest.raises(BadInput, match="at least one trainer_state"):
        read(folder)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    secret = run(tmp_path / "secret", evaluated(10))
    (secret / "params.json").write_text('{"lr": 42}')
    run(tmp_path / "x" / "mine", evaluated(10))
    (tmp_path / "x" / "linked").symlink_to(secret)
    (tmp_path / "x" / "mine" / "params.json").symlink_to(secret / "params.json")
    (tmp_path / "x" / "mine" / "checkpoint-99").mkdir()
    (tmp_path / "x" / "mine" / "checkpoint-99" / "trainer_state.json").symlink_to(secret / "params.json")
    log = read(tmp_path / "x")
    assert log.trials["trial_id"].tolist() == ["mine"]
    assert "config/lr" not in log.trials


# Knobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tune_lr_config.json", "params.json", "hparams.json", "hparams.yaml"])
def test_knobs_stand_in_a_file_beside_the_run(tmp_path: Path, name: str) -> None:
    folder = run(tmp_path / "r", evaluated(10), trial_params={"lr": 0.5})
    (folder / name).write_text('{"lr": 0.25, "patience": 3, "net": {"width": 8}, "none": null}')
    (folder / "config.json").write_text('{"hidden_size": 768}')
    (folder / "training_args.json").write_text('{"weight_decay": 0.5}')
    (folder / "training_args.bin").write_bytes(b"no pickle")
    trials = read(folder).trials
    knobs = {str(name): trials[name].tolist()[0] for name in trials if str(name).startswith("config/")}
    assert knobs == {"config/lr": 0.5, "config/patience": 3, "config/net.width": 8}


def test_of_the_arguments_those_are_knobs_that_are_tuned(tmp_path: Path) -> None:
    folder = run(tmp_path / "r", evaluated(10, eval_acc=0.5))
    arguments = {"learning_rate": 0.1, "adam_beta1": 0.9, "lr_scheduler_type": "cosine", "seed": 1}
    others = {"output_dir": "/tmp/x", "logging_steps": 10, "hub_token": "t", "per_device_eval_batch_size": 8}
    said = {"metric_for_best_model": "acc", "greater_is_better": True}
    (folder / "training_args.json").write_text(json.dumps({**arguments, **others, **said}))
    log = read(folder)
    assert {name for name in log.trials if name.startswith("config/")} == {f"config/{n}" for n in arguments}
    assert (log.metric, log.mode) == ("eval_acc", "max")


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", '{"a": ' * 2000, "a: &x 1\nb: *x\n"])
def test_a_file_of_knobs_that_is_none(tmp_path: Path, content: str) -> None:
    folder = run(tmp_path / "r", evaluated(10))
    for name in ("params.json", "hparams.yaml"):
        (folder / name).write_text(content)
    skipped = Skipped()
    assert len(read(folder, skipped).reports) == 1
    assert skipped


# Fidelity, status -----------------------------------------------------------------------------------------


def test_evaluations_between_the_ends_of_epochs_are_counted_by_steps(tmp_path: Path) -> None:
    run(tmp_path / "x" / "a", evaluated(10), evaluated(20))
    run(tmp_path / "x" / "b", trained(5), evaluated(5), trained(8), trained(9), evaluated(15))
    run(tmp_path / "x" / "c", trained(5), trained(10))
    log = read(tmp_path / "x")
    assert log.fidelity == "steps"
    assert rows(log, "trial", "epoch") == [[0, 10], [0, 20], [1, 5], [1, 15], [2, 5], [2, 10]]
    assert log.reports["loss"].fillna(-1).tolist() == [-1, -1, 1 / 5, 1 / 9, 1 / 5, 1 / 10]
    assert log.reports["eval_loss"].fillna(-1).tolist() == [0.2, 0.1, 0.4, 2 / 15, -1, -1]


def test_runs_that_never_evaluated_report_their_losses(tmp_path: Path) -> None:
    log = read(run(tmp_path / "r", trained(10), trained(20), END))
    assert (log.metric, log.mode, log.fidelity) == (None, None, "steps")
    assert rows(log, "epoch", "loss", "learning_rate") == [[10, 0.1, 0.01], [20, 0.05, 0.005]]
    assert log.trials["train_loss"].tolist() == [0.25]


def test_a_run_without_evaluations_has_no_report_beside_runs_by_epochs(tmp_path: Path) -> None:
    run(tmp_path / "x" / "a", evaluated(10))
    run(tmp_path / "x" / "b", trained(5))
    skipped = Skipped()
    log = read(tmp_path / "x", skipped)
    assert (log.fidelity, len(log.trials), rows(log, "trial", "epoch")) == ("epochs", 2, [[0, 1]])
    assert sum(skipped.counts.values()) == 1


def test_an_evaluation_before_the_training_is_no_report(tmp_path: Path) -> None:
    skipped = Skipped()
    log = read(run(tmp_path / "r", {**evaluated(1), "epoch": 0, "step": 0}, evaluated(10)), skipped)
    assert rows(log, "epoch", "eval_loss") == [[1, 0.2]]
    assert skipped.counts == {("log_history", "an evaluation before the training"): 1}


def test_several_sets_of_data_are_one_report(tmp_path: Path) -> None:
    first = {"epoch": 1.0, "eval_a_loss": 1.0, "eval_a_steps_per_second": 5.0, "step": 10}
    log = read(run(tmp_path / "r", trained(10), first, evaluated(10), evaluated(20)))
    assert log.reports["epoch"].tolist() == [1, 2]
    assert log.reports["eval_a_loss"].fillna(-1).tolist() == [1.0, -1]
    assert log.reports["eval_loss"].tolist() == [0.2, 0.1]
    assert "eval_a_steps_per_second" not in log.reports


def test_what_the_best_model_comes_to_after_the_training_is_no_report(tmp_path: Path) -> None:
    skipped = Skipped()
    log = read(run(tmp_path / "r", evaluated(10), evaluated(20), END, evaluated(20, eval_loss=9)), skipped)
    assert log.reports["eval_loss"].tolist() == [0.2, 0.1]
    assert skipped.counts == {("r", "an evaluation after the training"): 1}
    assert read(run(tmp_path / "s", trained(20), END, evaluated(20))).reports["eval_loss"].tolist() == [0.1]


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"max_steps": 10}, "completed"),
        ({"max_steps": 11}, "stopped"),
        ({"num_train_epochs": 1}, "completed"),
        ({"num_train_epochs": 3, "max_steps": 30}, "stopped"),
        ({"num_train_epochs": 3, "max_steps": 10}, "completed"),
        ({"max_steps": -1}, None),
        ({"max_steps": "10", "num_train_epochs": None}, None),
        ({"max_steps": math.nan}, None),
    ],
)
def test_statuses(tmp_path: Path, facts: dict[str, Any], expected: str | None) -> None:
    assert read(run(tmp_path / "r", evaluated(10), **facts)).trials["status"].tolist() == [expected]


# Rubbish --------------------------------------------------------------------------------------------------


def test_rows_of_rubbish_cost_nothing_else(tmp_path: Path) -> None:
    odd = [None, 3, [], {}, {"eval_loss": 1}, {"eval_loss": [1], "step": "x", "epoch": None}]
    huge = evaluated(30, eval_loss=10**400, eval_text="x", eval_list=[1], eval_flag=True)
    skipped = Skipped()
    log = read(run(tmp_path / "r", *odd, trained(20), evaluated(20), huge, global_step="x"), skipped)
    assert log.fidelity == "steps"
    assert rows(log, "epoch", "eval_loss") == [[20, 0.1], [30, math.inf]]
    assert set(log.reports) == {"trial", "epoch", "eval_loss", "loss", "learning_rate"}
    assert skipped.counts["r", "a row of log_history that is no JSON object"] == 3
    assert skipped.counts["log_history", "a row whose step is no whole number"] == 2


@pytest.mark.parametrize("history", [None, {}, "x", 3])
def test_a_state_without_a_history_is_told_of(tmp_path: Path, history: Any) -> None:
    run(tmp_path / "x" / "a", log_history=history)
    run(tmp_path / "x" / "b", evaluated(10))
    skipped = Skipped()
    assert read(tmp_path / "x", skipped).trials["trial_id"].tolist() == ["b"]
    assert skipped.counts == {("a", "a trainer_state.json without a log_history"): 1}


def test_a_run_that_reported_nothing_is_a_trial(tmp_path: Path) -> None:
    log = read(run(tmp_path / "r"))
    assert (len(log.trials), len(log.reports), log.metric) == (1, 0, None)


@pytest.mark.parametrize("steps", [range(1, 2001), [1] * 2000])
def test_evaluations_of_other_names_each_fill_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: Sequence[int]
) -> None:
    monkeypatch.setattr(columns, "MOST_CELLS", 20_000)
    rows_of = [{f"eval_{at}": 1.0, "step": step, "epoch": step / 7} for at, step in enumerate(steps)]
    folder, skipped = run(tmp_path, *rows_of), Skipped()
    tracemalloc.start()
    try:
        log = read(folder, skipped)
        assert tracemalloc.get_traced_memory()[1] < 15e6  # a place for every name in every row is 32
    finally:
        tracemalloc.stop()
    assert len(log.reports) == len({*steps})
    if len({*steps}) > 1:
        assert len(log.reports.columns) == 12
        assert skipped.counts == {("metrics", "a metric beside very many others"): 1990}


def test_evaluations_of_some_names_have_the_training_before_them(tmp_path: Path) -> None:
    run(tmp_path / "a", evaluated(5), trained(10), evaluated(10, eval_f1=0.5), evaluated(15), trained(20))
    run(tmp_path / "b", trained(10, grad_norm=1.0), {"loss": 0.25, "step": 15})
    log = read(tmp_path)
    names = ("trial", "epoch", "eval_loss", "eval_f1", "loss", "learning_rate")
    nan = math.nan
    expected = [
        [0, 5, 0.4, nan, nan, nan],
        [0, 10, 0.2, 0.5, 0.1, 0.01],
        [0, 15, 2 / 15, nan, 0.1, 0.01],
        [1, 10, nan, nan, 0.1, 0.01],
        [1, 15, nan, nan, 0.25, nan],
    ]
    np.testing.assert_array_equal(rows(log, *names), expected)
    assert log.reports["grad_norm"].tolist()[3] == 1.0
