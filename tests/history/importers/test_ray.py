"""Ray Tune's folders, value by value, and what runs that were killed, restored or retried leave behind."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.samples.history import ray as sample
from tune_lr.errors import BadInput
from tune_lr.history.finder import find
from tune_lr.history.history import History
from tune_lr.history.importers.ray import Ray
from tune_lr.history.log import Asked, Log, Skipped


@pytest.fixture(scope="session")
def experiment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.make(tmp_path_factory.mktemp("ray"))


def read(path: Path, skipped: Skipped | None = None) -> Log:
    (log,) = Ray().read(path, Asked(), Skipped() if skipped is None else skipped)
    return log


def result(epoch: int, **more: Any) -> dict[str, Any]:
    return {"loss": 1 / epoch, "training_iteration": epoch, "time_total_s": epoch / 2, **more}


def trial(folder: Path, *results: Any, params: Any = None, csv: str | None = None) -> Path:
    """A trial's folder; results that are text are written as they are."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps({"lr": 0.1} if params is None else params))
    lines = [one if isinstance(one, str) else json.dumps(one) for one in results]
    (folder / "result.json").write_text("".join(line + "\n" for line in lines))
    if csv is not None:
        (folder / "progress.csv").write_text(csv)
    return folder


def state(folder: Path, *trials: dict[str, Any], **more: Any) -> None:
    content = {"trial_data": [[json.dumps(one), json.dumps(one.get("run", {}))] for one in trials], **more}
    (folder / "experiment_state-2026-01-01_00-00-00.json").write_text(json.dumps(content))


# What Ray wrote -------------------------------------------------------------------------------------------


def test_a_real_experiment_value_by_value(experiment: Path) -> None:
    skipped = Skipped()
    log = read(experiment, skipped)
    assert not skipped
    assert (log.source, log.name, log.metric, log.mode) == ("ray", "sample", "val_loss", None)
    assert (log.fidelity, log.counts_from, log.descriptors) == ("epochs", 1, {"trainable": "train"})
    assert set(log.trials) == {
        "trial_id",
        "status",
        "error",
        *(f"config/{k}" for k in sample.EXPECTED["knobs"]),
    }
    assert log.trials["status"].tolist() == ["completed"] * 3
    assert log.trials["config/optimizer.momentum"].tolist() == [0.9] * 3
    params = [json.loads(file.read_text()) for file in sorted(experiment.glob("*/params.json"))]
    assert log.trials["config/lr"].tolist() == [one["lr"] for one in params]
    assert log.trials["config/patience"].tolist() == [one["patience"] for one in params]
    assert [name[-6:] for name in log.trials["trial_id"]] == ["_00000", "_00001", "_00002"]
    assert list(log.reports) == ["trial", "epoch", "seconds", "val_loss"]
    assert log.reports["trial"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert log.reports["epoch"].tolist() == [1, 2, 3] * 3
    assert log.reports["val_loss"].tolist() == [1.0, 0.5, 0.25] * 3
    seconds = log.reports["seconds"].to_numpy().reshape(3, 3)
    assert (seconds > 0).all()
    assert (np.diff(seconds) > 0).all()


def test_its_tables_say_the_same_as_its_lines(experiment: Path, tmp_path: Path) -> None:
    shutil.copytree(experiment, copy := tmp_path / "sample")
    for file in copy.glob("*/result.json"):
        file.unlink()
    log, other = read(experiment), read(copy)
    pd.testing.assert_frame_equal(log.reports, other.reports)
    pd.testing.assert_frame_equal(log.trials, other.trials)


def test_one_trial_of_it_is_a_log_too(experiment: Path) -> None:
    folder = sorted(experiment.glob("train_*"))[0]
    assert Ray().claims(folder)
    log = read(folder)
    assert len(log.trials) == 1
    assert log.reports["val_loss"].tolist() == [1.0, 0.5, 0.25]


def test_it_becomes_history(experiment: Path, tmp_path: Path) -> None:
    history = History(tmp_path / "store")
    (added,) = history.add(experiment).imported
    assert (added.info.metric, added.info.mode, added.info.best) == ("val_loss", "min", 0.25)
    assert history.trials()["status"].tolist() == ["completed"] * 3


def test_an_older_experiment(tmp_path: Path) -> None:
    skipped = Skipped()
    log = read(sample.make_older(tmp_path), skipped)
    assert not skipped
    assert log.metric == "val_loss"
    assert log.trials["trial_id"].tolist() == ["5a1c0_00000", "5a1c0_00001"]
    assert log.trials["config/lr"].tolist() == [0.1, 0.9]
    assert log.trials["status"].tolist()[1] == "failed"
    assert log.trials["error"].tolist()[1] == "Failure # 1\nValueError: boom\n"
    assert list(log.reports) == ["trial", "epoch", "seconds", "val_loss", "info/acc", "info/deep/steps"]
    assert log.reports["seconds"].tolist() == [0.5, 1.0, 1.5]
    assert log.reports["val_loss"].tolist() == [0.5, 0.25, 0.125]
    assert log.reports["info/deep/steps"].tolist() == [10, 20, 30]


# What is whose --------------------------------------------------------------------------------------------


def test_claims(tmp_path: Path) -> None:
    trial(tmp_path / "all" / "one" / "t", result(1))
    assert Ray().claims(tmp_path / "all" / "one")
    assert Ray().claims(tmp_path / "all" / "one" / "t")
    assert not Ray().claims(tmp_path / "all")
    assert not Ray().claims(tmp_path / "all" / "one" / "t" / "result.json")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "result.json").write_text("{}")
    assert not Ray().claims(tmp_path / "other")
    state(tmp_path / "other")
    assert Ray().claims(tmp_path / "other")
    with pytest.raises(BadInput, match="at least one folder of a trial"):
        read(tmp_path / "other")


def test_several_experiments_in_one_folder_are_several_logs(tmp_path: Path) -> None:
    for name in ("a", "b"):
        trial(tmp_path / name / "t", result(1))
    assert [path.name for _, path in find(tmp_path, Skipped())] == ["a", "b"]


def test_folders_that_are_no_trials_are_told_of(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "t", result(1))
    (tmp_path / "x" / "plots").mkdir()
    skipped = Skipped()
    assert len(read(tmp_path / "x", skipped).trials) == 1
    assert ("plots", "a folder without a trial of Ray Tune") in skipped.counts


def test_trials_stand_in_the_order_in_which_they_were_begun(tmp_path: Path) -> None:
    for name in ("f_ffff1111_2_lr=1", "f_0c3bcf2e_10_lr=1", "f_9a392e2f_1_lr=1"):
        trial(tmp_path / "x" / f"{name}_2026-01-01_00-00-00", result(1))
    assert [one.split("_")[2] for one in read(tmp_path / "x").trials["trial_id"]] == ["1", "2", "10"]


def test_ids_are_of_one_trial_each(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        trial(tmp_path / "x" / name, result(1, trial_id="same" if name != "c" else ["no id"]))
    assert read(tmp_path / "x").trials["trial_id"].tolist() == ["same", "b", "c"]


# How it ended ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "last", "state_done", "expected"),
    [
        ("TERMINATED", False, True, "completed"),  # the function returned
        ("TERMINATED", True, True, None),  # by a rule, or at the most iterations
        ("TERMINATED", False, False, "stopped"),  # the time was over
        ("RUNNING", False, False, "running"),
        ("PENDING", False, False, "running"),
        ("PAUSED", False, False, "paused"),
        ("ERROR", False, False, "failed"),
        ("UNHEARD OF", False, False, None),
    ],
)
def test_statuses(tmp_path: Path, status: str, last: bool, state_done: bool, expected: str | None) -> None:
    trial(tmp_path / "x" / "t", result(1), result(2, done=last, trial_id="id"))
    state(tmp_path / "x", {"trial_id": "id", "status": status, "run": {"last_result": {"done": state_done}}})
    log = read(tmp_path / "x")
    assert log.trials["trial_id"].tolist() == ["id"]
    assert log.trials["status"].tolist() == [expected]


def test_a_failure_is_one_unless_it_was_made_good(tmp_path: Path) -> None:
    for name in ("alone", "made-good"):
        trial(tmp_path / "x" / name, result(1, trial_id=name))
        (tmp_path / "x" / name / "error.txt").write_text("boom")
    told = {"trial_id": "made-good", "status": "TERMINATED", "run": {"last_result": {"done": True}}}
    state(tmp_path / "x", told)
    log = read(tmp_path / "x")
    assert log.trials["status"].tolist() == ["failed", "completed"]
    assert log.trials["error"].fillna("").tolist() == ["boom", ""]


def test_a_trial_without_a_result_did_not_come_to_its_end(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "a", result(1))
    trial(tmp_path / "x" / "b")
    assert read(tmp_path / "x").trials["status"].fillna("").tolist() == ["", "stopped"]


def test_the_newest_state_that_can_be_read_counts(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "t", result(1))
    state(tmp_path / "x", {"trial_id": "id", "status": "PAUSED", "relative_logdir": "t"})
    (tmp_path / "x" / "experiment_state-2026-01-02_00-00-00.json").write_text('{"trial_data": [[')
    skipped = Skipped()
    assert read(tmp_path / "x", skipped).trials[["trial_id", "status"]].to_numpy().tolist() == [
        ["id", "paused"]
    ]
    assert any("experiment_state-2026-01-02" in where for where, _ in skipped.counts)


@pytest.mark.parametrize(
    "content",
    [
        {"trial_data": 1},
        {"trial_data": [1, [], [[]], ["x", "y"], ["[]", "{}"], {"trial_id": 1}, '{"trial_id": {}}', None]},
        {"trial_data": {"a": 1}, "runner_data": [], "stats": None},
        {"runner_data": {"_metric": ["a", "b"]}, "checkpoints": ["80049504"]},
        [],
    ],
)
def test_a_state_of_rubbish_costs_nothing_else(tmp_path: Path, content: Any) -> None:
    trial(tmp_path / "x" / "t", result(1))
    (tmp_path / "x" / "experiment_state-1.json").write_text(json.dumps(content))
    log = read(tmp_path / "x")
    assert log.metric is None
    assert log.reports["loss"].tolist() == [1.0]


def test_a_state_that_is_huge_is_not_read(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "t", result(1))
    with (tmp_path / "x" / "experiment_state-1.json").open("wb") as file:
        file.truncate(129 * 1024**2)
    skipped = Skipped()
    assert len(read(tmp_path / "x", skipped).trials) == 1
    assert any("a file of at most" in why for _, why in skipped.counts)


# Results --------------------------------------------------------------------------------------------------


def test_only_numbers_are_metrics_and_rays_own_keys_are_none(tmp_path: Path) -> None:
    odd = {"text": "x", "flag": True, "none": None, "list": [1], "nested": {"a": 1, "date": 2, "b": {"c": 3}}}
    own = {"pid": 3, "timestamp": 4, "done": True, "config": {"lr": 5}, "timesteps_total": 6, "node_ip": "::"}
    trial(tmp_path / "x" / "t", result(1, whole=2, **odd, **own), result(2, late=math.nan))
    reports = read(tmp_path / "x").reports
    metrics = {"loss", "whole", "nested/a", "nested/date", "nested/b/c", "late"}
    assert set(reports) == {"trial", "epoch", "seconds", *metrics}
    assert reports["whole"].tolist()[0] == 2.0
    assert math.isnan(reports["whole"].tolist()[1])


def test_metrics_named_as_columns_are_kept(tmp_path: Path) -> None:
    odd = {"seconds": 5.0, "trial": 7, "trial_": 8, "epoch": 0, "error": 0.5}
    trial(tmp_path / "x" / "lines", result(1) | odd)
    trial(tmp_path / "x" / "table", csv=f"{','.join(odd)},training_iteration\n5.0,7,8,0,0.5,1\n")
    state(tmp_path / "x", runner_data={"_metric": "seconds"})
    log = read(tmp_path / "x")
    names = ["trial", "epoch", "seconds", "seconds_", "trial__", "trial_", "epoch_", "error"]
    assert {*log.reports} == {*names, "loss"}
    assert log.metric == "seconds_"
    values = log.reports[names[3:]].to_numpy().tolist()
    assert values == [[5.0, 7.0, 8.0, 0.0, 0.5]] * 2
    (added,) = History(tmp_path / "store").add(tmp_path / "x", mode="min").imported
    assert {"seconds_", "trial_", "trial__", "epoch_", "error_"} < {*added.info.metrics}


CHANGED = (
    "a trial whose configuration changed on the way, as under population-based training: "
    "its last one is taken for all of its reports"
)


def test_configurations_that_change_on_the_way_are_told(tmp_path: Path) -> None:
    def config(lr: float, where: str = "0x7f01") -> dict[str, Any]:
        return {"opt": {"lr": lr}, "none": math.nan, "f": f"<function f at {where}>", "pair": [lr]}

    changed = [result(1, config=config(0.1)), result(2, config=config(0.1)), result(3, config=config(0.2))]
    trial(tmp_path / "x" / "changed", *changed, params=config(0.2))
    same = [result(1, config=config(0.1)), result(2, config=config(0.1, "0x7f02"))]
    trial(tmp_path / "x" / "same", *same, params=config(0.1))
    trial(tmp_path / "x" / "silent", result(1), result(2, config=config(0.1)), params=config(0.1))
    rows = "training_iteration,loss,config/opt/lr\n1,1,0.1\n2,1,0.2\n"
    trial(tmp_path / "x" / "table", params={"opt": {"lr": 0.2}}, csv=rows)
    skipped = Skipped()
    log = read(tmp_path / "x", skipped)
    assert [where for where, why in skipped.counts if why == CHANGED] == ["changed", "table"]
    assert log.trials["config/opt.lr"].tolist() == [0.2, 0.1, 0.1, 0.2]
    assert log.trials["status"].tolist() == [None] * 4
    assert len(log.reports) == 9


def test_rows_come_as_they_are_after_a_restore(tmp_path: Path) -> None:
    rows = [result(1), result(2, loss=5.0), result(2, loss=7.0), result(3)]
    trial(tmp_path / "x" / "t", *rows)
    assert read(tmp_path / "x").reports["epoch"].tolist() == [1, 2, 2, 3]
    history = History(tmp_path / "store")
    history.add(tmp_path / "x", metric="loss")
    assert history.to_pandas()["loss"].tolist() == [1.0, 7.0, 1 / 3]


@pytest.mark.parametrize("epoch", [None, "1", 0, -1, 1.5, math.nan, math.inf, True, [1], 2**53])
def test_a_result_that_no_epoch_is_known_of_is_passed_over(tmp_path: Path, epoch: Any) -> None:
    trial(tmp_path / "x" / "t", {**result(1), "training_iteration": epoch}, result(2))
    skipped = Skipped()
    assert read(tmp_path / "x", skipped).reports["epoch"].tolist() == [2]
    assert skipped.counts["t/result.json", "a result without a training_iteration"] == 1


def test_numbers_beyond_all_bounds(tmp_path: Path) -> None:
    huge = result(1, time_total_s=10**400, loss=10**400, low=-(10**400))
    trial(
        tmp_path / "x" / "t",
        huge,
        {**result(3), "training_iteration": 10**400},
        result(2, time_total_s="1", loss=math.nan),
    )
    reports = read(tmp_path / "x").reports
    assert reports["loss"].tolist()[0] == math.inf
    assert reports["low"].tolist()[0] == -math.inf
    assert reports["seconds"].isna().all()


TABLE = "loss,training_iteration,time_total_s,trial_id,done,flag,config/lr,config/kind,config/on\n"


def row(epoch: Any, loss: Any = 0.5) -> str:
    return f"{loss},{epoch},{epoch}.5,id,False,True,0.25,adam,True\n"


def test_the_table_stands_in_for_lines_that_are_lost(tmp_path: Path) -> None:
    torn = json.dumps(result(2))[:-9]
    trial(tmp_path / "x" / "t", result(1), torn, csv=TABLE + row(1) + row(2) + row(3))
    skipped = Skipped()
    reports = read(tmp_path / "x", skipped).reports
    assert reports[["epoch", "loss"]].to_numpy().tolist() == [[1, 1.0], [2, 0.5], [3, 0.5]]
    assert skipped.counts["t/result.json", "a line that is no JSON"] == 1


def test_the_table_is_left_alone_where_the_lines_are_whole(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "t", result(1), csv=TABLE + row(1) + row(2))
    assert read(tmp_path / "x").reports["epoch"].tolist() == [1]


def test_a_table_that_is_damaged(tmp_path: Path) -> None:
    rows = [row(1, "nan"), row("x"), "1,2\n", row(2, ""), row(3), row(1e300), '"never closed\n']
    trial(tmp_path / "x" / "t", csv=TABLE + "".join(rows))
    skipped = Skipped()
    log = read(tmp_path / "x", skipped)
    assert list(log.reports) == ["trial", "epoch", "seconds", "loss"]
    assert log.reports["epoch"].tolist() == [1, 2, 3]
    assert log.reports["loss"].isna().tolist() == [True, True, False]
    assert skipped.counts["t/progress.csv", "a row of another length than the first"] == 2
    assert skipped.counts["t/progress.csv", "a result without a training_iteration"] == 2


def test_knobs_are_taken_from_the_results_where_their_file_is_lost(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "lines", result(1, config={"lr": 0.5, "net": {"width": 8}}))
    trial(tmp_path / "x" / "table", csv=TABLE + row(1))
    (tmp_path / "x" / "lines" / "params.json").write_text("{")
    (tmp_path / "x" / "table" / "params.json").unlink()
    found = read(tmp_path / "x").trials
    assert found["config/lr"].tolist() == [0.5, 0.25]
    assert found["config/net.width"].tolist()[0] == 8
    assert found["config/kind"].tolist()[1] == "adam"
    assert found["config/on"].tolist()[1] is True


def test_nested_knobs_of_a_table_have_the_names_that_they_have_in_their_file(tmp_path: Path) -> None:
    trial(tmp_path / "x" / "a", result(1), params={"opt": {"wd": 0.5}})
    trial(tmp_path / "x" / "b", csv="training_iteration,loss,config/opt/wd\n1,1,0.25\n")
    (tmp_path / "x" / "b" / "params.json").unlink()
    found = read(tmp_path / "x").trials
    assert [name for name in found if name.startswith("config/")] == ["config/opt.wd"]
    assert found["config/opt.wd"].tolist() == [0.5, 0.25]


def test_knobs_that_are_no_values_are_left_out(tmp_path: Path) -> None:
    params = {
        "lr": 0.1,
        "layers": [1, 2],
        "none": None,
        "net": {"width": 8, "f": {"deep": True}},
        "kind": "a",
    }
    trial(tmp_path / "x" / "t", result(1), params=params)
    skipped = Skipped()
    found = read(tmp_path / "x", skipped).trials
    knobs = {name for name in found if name.startswith("config/")}
    assert knobs == {"config/lr", "config/net.width", "config/net.f.deep", "config/kind"}
    assert any("layers" in why for _, why in skipped.counts)


def test_links_out_of_the_experiment_are_not_followed(tmp_path: Path) -> None:
    secret = trial(tmp_path / "secret", result(1, loss=42.0))
    trial(tmp_path / "x" / "t", result(1))
    (tmp_path / "x" / "linked").symlink_to(secret)
    (tmp_path / "x" / "t" / "progress.csv").symlink_to(secret / "result.json")
    (tmp_path / "x" / "t" / "error.txt").symlink_to(secret / "params.json")
    log = read(tmp_path / "x")
    assert log.reports["loss"].tolist() == [1.0]
    assert log.trials["status"].tolist() == [None]
