"""Importing Syne Tune's experiments, value by value."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.samples.history import syne_tune as sample
from tests.samples.history.syne_tune import OLD_METADATA, OLD_TABLE, make_old, packed
from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.history.importers.syne_tune import SyneTune
from tune_lr.history.importers.syne_tune_space import space_of
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.space import SearchSpace

FAILING = """
import sys
from syne_tune import Reporter

config = dict(zip(sys.argv[1::2], sys.argv[2::2]))
report = Reporter()
for epoch in (1, 2, 3):
    report(iteration=epoch, val_loss=float(config["--lr"]) * epoch, note="ok", good=True)
    if config["--kind"] == "bad" and epoch == 2:
        raise ValueError("this one is bad")
"""
#: Prints three reports at once, then waits; the Tuner that began it is killed meanwhile.
WAITING = """
import os, time
from syne_tune import Reporter

report = Reporter()
for epoch in (1, 2, 3):
    report(epoch=epoch, val_loss=1.0 / epoch, odd=float("nan"))
    time.sleep(0.3)
until = time.time() + 30
while time.time() < until and not os.path.exists(GO):
    time.sleep(0.05)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.make(tmp_path_factory.mktemp("syne"))


def read(path: Path) -> tuple[Log, list[str]]:
    skipped = Skipped()
    (log,) = SyneTune().read(path, Asked(), skipped)
    return log, skipped.lines()


def by_trial(log: Log, column: str) -> dict[str, Any]:
    values = [None if value != value else value for value in log.trials[column]]
    return dict(zip(log.trials["trial_id"], values, strict=True))


def curve(log: Log, trial: str, metric: str) -> dict[int, float]:
    place = log.trials["trial_id"].tolist().index(trial)
    rows = log.reports[log.reports["trial"] == place]
    return dict(zip(rows["epoch"].tolist(), rows[metric].tolist(), strict=True))


# Real ones ------------------------------------------------------------------------------------------------


def test_a_real_experiment(made: Path) -> None:
    log, skipped = read(made)
    assert skipped == []
    assert (log.name, log.metric, log.mode, log.fidelity) == ("sample", "val_loss", "min", "epochs")
    assert log.trials["trial_id"].tolist() == ["0", "1", "2"]
    # Whoever is asked while a process ends hears that it runs; then the epochs tell.
    assert set(by_trial(log, "status").values()) <= {"completed", None}
    for trial in ("0", "1", "2"):
        assert curve(log, trial, "val_loss") == sample.EXPECTED["first"]
        config = json.loads((made / trial / "config.json").read_text())
        assert {f"config/{name}": by_trial(log, f"config/{name}")[trial] for name in config} == {
            f"config/{name}": value for name, value in config.items()
        }
    assert set(log.reports.columns) == {"trial", "epoch", "seconds", "val_loss"}
    assert log.descriptors["entrypoint"] == "train_script"
    assert log.descriptors["scheduler_name"] == "RandomSearch"
    assert log.space is not None
    assert log.space["knobs"]["lr"] == {"type": "float", "low": 0.001, "high": 1.0, "log": True}
    assert log.space["knobs"]["patience"]["type"] == "int"


def test_it_becomes_history_with_its_own_space(made: Path, tmp_path: Path) -> None:
    history = History(tmp_path)
    history.add(made)
    (info,) = history.tasks()
    assert (info.source, info.trials, info.reports, info.guessed) == ("syne-tune", 3, 9, [])
    assert history.trials()["best"].tolist() == [0.25] * 3
    assert history.trials()["status"].tolist() == ["completed"] * 3
    assert set(history.trials()["outside"]) == {""}


def test_a_rule_stops_and_a_trial_fails(tmp_path: Path) -> None:
    from syne_tune.config_space import choice, uniform
    from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

    space = {"lr": uniform(0.1, 0.2), "kind": choice(["good", "bad"])}
    points = [
        {"lr": 0.1, "kind": "good"},
        {"lr": 0.2, "kind": "good"},
        {"lr": 0.05, "kind": "bad"},
    ]
    scheduler = AsynchronousSuccessiveHalving(
        space,
        metric="val_loss",
        time_attr="iteration",
        max_t=3,
        grace_period=1,
        searcher_kwargs={"points_to_evaluate": points},
    )
    path = sample.run(tmp_path, FAILING, scheduler, max_failures=5)
    log, skipped = read(path)
    assert by_trial(log, "status") == {"0": "completed", "1": "stopped", "2": "failed"}
    assert curve(log, "1", "val_loss") == {1: 0.2}
    assert curve(log, "0", "val_loss") == {1: 0.1, 2: 0.2, 3: pytest.approx(0.3)}
    assert by_trial(log, "error")["2"] == "ValueError: this one is bad"
    assert by_trial(log, "config/kind")["2"] == "bad"
    assert set(log.reports.columns) == {"trial", "epoch", "seconds", "val_loss"}
    assert log.fidelity == "epochs"
    assert skipped == [
        "results.csv.zip: a column 'good' without a number",
        "results.csv.zip: a column 'note' without a number",
    ]


def test_after_a_kill_what_was_printed_is_taken(tmp_path: Path) -> None:
    go = tmp_path / "go"
    script = WAITING.replace("GO", repr(str(go)))
    code = (
        "import sys; from pathlib import Path; from tests.samples.history.syne_tune import run;"
        "from syne_tune.config_space import uniform; from syne_tune.optimizer.baselines import RandomSearch;"
        "s = RandomSearch({'lr': uniform(0, 1)}, metrics=['val_loss'], random_seed=0);"
        f"run(Path({str(tmp_path)!r}), {script!r}, s, results_update_interval=0.2)"
    )
    root = Path(__file__).resolve().parents[3]
    tuner = subprocess.Popen([sys.executable, "-c", code], cwd=root, stdout=subprocess.DEVNULL)
    path = tmp_path / "syne-tune" / "sample"
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            told = path / "0" / "std.out"
            if told.exists() and told.read_text().count("tune-metric") == 3:
                break
            time.sleep(0.05)
        tuner.send_signal(signal.SIGKILL)
        tuner.wait()
        log, skipped = read(path)
    finally:
        tuner.kill()
        go.touch()
    # Syne Tune rewrites its table in place, so that the kill may have torn it.
    assert all("results.csv" in str(line) for line in skipped), skipped
    assert by_trial(log, "status") == {"0": "running"}
    assert curve(log, "0", "val_loss") == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert np.isnan(log.reports["odd"]).all()
    assert log.reports["seconds"].is_monotonic_increasing
    (path / "results.csv.zip").unlink(missing_ok=True)
    assert SyneTune().claims(path), "its facts say whose it is"
    without, _ = read(path)
    assert curve(without, "0", "val_loss") == {1: 1.0, 2: 0.5, 3: 1 / 3}
    assert by_trial(without, "config/lr") == by_trial(log, "config/lr")


# Older ones -----------------------------------------------------------------------------------------------


def test_a_folder_of_an_older_version(tmp_path: Path) -> None:
    path = make_old(tmp_path)
    assert SyneTune().claims(path)
    log, skipped = read(path)
    assert skipped == []
    assert log.name == "cifar-2024-07-03-09-46-40-123"
    assert (log.metric, log.mode, log.fidelity, log.counts_from) == ("accuracy", "max", "epochs", None)
    assert log.trials["trial_id"].tolist() == ["0", "1", "2", "3", "10"]
    statuses = by_trial(log, "status")
    assert statuses == {"0": None, "1": "paused", "2": None, "3": "failed", "10": None}
    first = curve(log, "0", "accuracy")
    assert math.isnan(first.pop(3))
    assert first == {1: 0.1, 2: 0.3, 4: 0.6}
    assert curve(log, "0", "seconds") == {1: 1.5, 2: 2.5, 3: 3.5, 4: 4.5}
    assert set(log.reports.columns) == {"trial", "epoch", "seconds", "accuracy", "latency"}
    assert by_trial(log, "config/optimizer")["3"] == "None", "the name of a choice, not nothing"
    assert by_trial(log, "config/batch_size") == {"0": 32, "1": 64, "2": 16, "3": 256, "10": 128}
    assert by_trial(log, "config/lr")["10"] == 0.03
    assert log.descriptors["benchmark"] == "cifar"
    assert log.space is not None
    assert log.space["knobs"] == {
        "lr": {"type": "float", "low": 0.001, "high": 1.0, "log": True},
        "batch_size": {"type": "int", "low": 16, "high": 256, "log": True},
        "optimizer": {"type": "categorical", "values": ["sgd", "None"]},
        "epochs": {"type": "constant", "value": 4},
    }


def test_the_epochs_tell_what_a_stop_was(tmp_path: Path) -> None:
    history = History(tmp_path / "store")
    history.add(make_old(tmp_path))
    trials = history.trials().set_index("trial_id")
    assert trials["status"].to_dict() == {
        "0": "completed",
        "1": "paused",
        "2": "stopped",
        "3": "failed",
        "10": "stopped",
    }
    assert trials["best"].tolist() == [0.6, 0.2, 0.05, 0.4, 0.3]


@pytest.mark.parametrize(
    ("names", "modes", "expected"),
    [
        (["a"], "min", ("a", "min")),
        ("a", "max", ("a", "max")),
        (["a", "b"], ["max", "min"], ("a", "max")),
        (["a", "b"], "min", ("a", "min")),
        ([], [], (None, None)),
        (None, None, (None, None)),
        ([1], ["up"], (None, None)),
        ({"a": 1}, {"a": 1}, (None, None)),
    ],
)
def test_both_forms_of_metric_and_mode(names: Any, modes: Any, expected: Any, tmp_path: Path) -> None:
    log, _ = read(make_old(tmp_path, metadata={**OLD_METADATA, "metric_names": names, "metric_mode": modes}))
    assert (log.metric, log.mode) == expected


# What counts the epochs ----------------------------------------------------------------------------------

ROWS = "trial_id,loss,{},st_worker_iter\n0,0.5,{},0\n0,0.25,{},1\n1,0.5,{},0\n"


def epochs(folder: Path, table: str, **metadata: Any) -> tuple[list[int], Log, list[str]]:
    log, skipped = read(make_old(folder, table, {**OLD_METADATA, **metadata}))
    return log.reports["epoch"].tolist(), log, skipped


@pytest.mark.parametrize("name", ["epoch", "epochs", "training_iteration", "iteration"])
def test_a_usual_name_counts_epochs(name: str, tmp_path: Path) -> None:
    found, log, _ = epochs(tmp_path, ROWS.format(name, 1, 2, 1))
    assert (found, log.fidelity, log.counts_from) == ([1, 2, 1], "epochs", None)
    assert name not in set(log.reports.columns) - {"epoch"}


@pytest.mark.parametrize("name", ["step", "steps", "batch"])
def test_a_usual_name_counts_steps(name: str, tmp_path: Path) -> None:
    found, log, _ = epochs(tmp_path, ROWS.format(name, 100, 200, 100))
    assert (found, log.fidelity) == ([100, 200, 100], "steps")


def test_without_a_name_reports_are_counted_from_nought(tmp_path: Path) -> None:
    found, log, _ = epochs(tmp_path, ROWS.format("other", 0.5, 0.7, 0.5))
    assert (found, log.counts_from, log.fidelity) == ([0, 1, 0], 0, "epochs")
    assert log.reports["other"].tolist() == [0.5, 0.7, 0.5]


@pytest.mark.parametrize("facts", [{"resource_attr": "r"}, {"scheduler_kwargs": {"time_attr": "r"}}])
def test_what_the_scheduler_counts_comes_first(facts: Any, tmp_path: Path) -> None:
    table = "trial_id,loss,epoch,r\n0,0.5,1,3\n0,0.25,1,9\n"
    found, log, _ = epochs(tmp_path, table, **facts)
    assert (found, log.fidelity) == ([3, 9], None)


def test_seconds_count_no_epochs(tmp_path: Path) -> None:
    table = "trial_id,loss,epoch,st_worker_time\n0,0.5,1,1.5\n0,0.25,2,2.5\n"
    found, log, _ = epochs(tmp_path, table, scheduler_kwargs={"time_attr": "st_worker_time", "max_t": 60})
    assert found == [1, 2]
    assert log.reports["seconds"].tolist() == [1.5, 2.5]


def test_a_report_that_cannot_be_placed_is_counted(tmp_path: Path) -> None:
    found, log, skipped = epochs(
        tmp_path, "trial_id,loss,epoch\n0,0.5,1\n0,0.25,\n0,1,-1\n0,2,2.5\n0,4,3\n1,1,9\n2,1,1\n0,7,4"
    )
    assert found == [1, 3, 9, 1, 4]
    assert log.reports["loss"].tolist() == [0.5, 4.0, 1.0, 1.0, 7.0]
    assert log.reports["trial"].tolist() == [0, 0, 1, 2, 0]
    assert skipped == ["results.csv.zip: a report whose epoch is no whole number (3 times)"]


# Damage ---------------------------------------------------------------------------------------------------


def test_odd_cells_cost_themselves(tmp_path: Path) -> None:
    table = (
        "loss,epoch,trial_id,st_status,st_decision,config_lr,config_a,config_b\n"
        "0.5,1,0,InProgress,CONTINUE,0.1,1,x\n"
        "oops,2,0,Status.Completed,CONTINUE,0.1,,y\n"
        "inf,1,1.0,,,nan,2,\n"
        "1,2\n"
        "nan,2,1,InProgress,CONTINUE,nan,2,\n"
        "7,1,,InProgress,CONTINUE,1,2,\n"
        '"9,1,2,x'
    )
    log, skipped = read(make_old(tmp_path, table))
    assert by_trial(log, "status") == {"0": "completed", "1": None}
    losses = log.reports["loss"].tolist()
    assert losses[0] == 0.5
    assert losses[2] == math.inf
    assert np.isnan(losses)[[1, 3]].all()
    assert by_trial(log, "config/b")["0"] == "x"
    assert by_trial(log, "config/a") == {"0": 1, "1": 2}
    assert skipped == [
        "results.csv.zip: a row that names no trial",
        "results.csv.zip: a row with more or fewer values than columns (2 times)",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK",
        packed(""),
        packed("\n"),
        packed("a,b\n1,2\n"),
        packed("trial_id,loss\n"),
        packed(b"\0" * 99),
    ],
)
def test_an_unreadable_table_leaves_what_the_trials_have(content: bytes, made: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy"
    shutil.copytree(made, path)
    (path / "results.csv.zip").write_bytes(content)
    log, skipped = read(path)
    assert len(skipped) == 1
    assert log.trials["trial_id"].tolist() == ["0", "1", "2"]
    assert curve(log, "2", "val_loss") == sample.EXPECTED["first"]
    assert set(by_trial(log, "status").values()) == {None}
    assert by_trial(log, "config/patience") == by_trial(read(made)[0], "config/patience")
    whole = read(made)[0].reports
    assert log.reports["seconds"].tolist() == whole["seconds"].tolist()


def test_a_table_that_is_not_packed_is_read_too(made: Path, tmp_path: Path) -> None:
    path = make_old(tmp_path)
    (path / "results.csv.zip").unlink()
    (path / "results.csv").write_text(OLD_TABLE[:-30])
    log, skipped = read(path)
    assert len(log.trials) == 4
    assert skipped == ["results.csv: a row with more or fewer values than columns"]


def test_without_a_table_and_a_trial_there_is_nothing(tmp_path: Path) -> None:
    path = make_old(tmp_path, "")
    with pytest.raises(BadInput, match="at least one trial"):
        read(path)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "7"])
def test_damaged_facts_leave_the_table(content: str, tmp_path: Path) -> None:
    path = make_old(tmp_path)
    (path / "metadata.json").write_text(content)
    assert SyneTune().claims(path)
    log, _ = read(path)
    assert (log.metric, log.mode, log.space) == (None, None, None)
    assert len(log.reports) == 8


def trial(folder: Path, lines: str = "", errors: str = "", *markers: str, **config: Any) -> None:
    folder.mkdir()
    (folder / "std.out").write_text(lines)
    (folder / "std.err").write_text(errors)
    (folder / "config.json").write_text(json.dumps(config))
    for marker in markers:
        (folder / marker).touch()


def line(**report: Any) -> str:
    return f"noise [tune-metric]: {json.dumps(report)}\n"


def test_what_folders_tell(tmp_path: Path) -> None:
    path = make_old(tmp_path, "trial_id,loss,epoch,st_status,st_decision\n1,1,1,InProgress,PAUSE\n")
    traceback = "Traceback (most recent call last):\n  File ...\nKeyError: 'a'\n"
    trial(path / "0", line(epoch=1, loss=0.5, st_worker_time=2.5), "", "end")
    trial(path / "1", line(epoch=1, loss=0.4) + line(epoch=2, loss=0.3))
    trial(path / "2", line(epoch=1, loss=0.5), "", "pause")
    trial(path / "3", line(epoch=1, loss=0.5), "", "stop", "end")
    trial(path / "4", line(epoch=1, loss=0.5), traceback, "end", lr=0.1, deep={"a": [1], "b": 2})
    trial(path / "5", line(epoch=1, loss=0.5), traceback + "but it went on\n  and ended well\n", "end")
    trial(path / "6", "[tune-metric]: {\n[tune-metric]: {}\n[tune-metric]: {broken}\n" + line(epoch="1"))
    (path / "7").mkdir()
    (path / "8").write_text("no folder")
    (path / "checkpoints").mkdir()
    (path / "²").mkdir()
    log, skipped = read(path)
    assert by_trial(log, "status") == {
        "0": None,
        "1": "running",
        "2": "paused",
        "3": None,
        "4": "failed",
        "5": None,
        "6": "running",
        "7": "running",
    }
    assert by_trial(log, "error")["4"] == "KeyError: 'a'"
    assert curve(log, "1", "loss") == {1: 1.0, 2: 0.3}, "the table's own report counts"
    assert curve(log, "0", "seconds") == {1: 2.5}
    assert by_trial(log, "config/deep.b")["4"] == 2
    assert skipped == [
        "4/config.json: a value of 'deep.a' that is no text, number or boolean",
        "6/std.out: a report that is no JSON",
        "6/std.out: a report whose epoch is no whole number (2 times)",
    ]


def test_a_report_is_looked_for_once_in_a_line(tmp_path: Path) -> None:
    path, begin = make_old(tmp_path, "trial_id,loss,epoch,st_status,st_decision\n"), "[tune-metric]:"
    said = f"{begin} none {begin}\t" + json.dumps({"epoch": 1, "loss": 0.5, "note": f"{begin} {{"}) + " \n"
    trial(path / "0", f"{begin}{{" * 100_000 + "\n" + said)
    started = time.monotonic()
    log, skipped = read(path)
    assert time.monotonic() - started < 5
    assert curve(log, "0", "loss") == {1: 0.5}
    assert not any("no JSON" in line for line in skipped)


def test_what_a_backend_adds_for_itself_is_no_knob(tmp_path: Path) -> None:
    path = make_old(tmp_path, "trial_id,loss,epoch,st_status,st_decision\n")
    trial(path / "0", line(epoch=1, loss=0.5), lr=0.1, tune_function_root="/x", tune_function_hash="0a")
    log, _ = read(path)
    assert [name for name in log.trials if name.startswith("config/")] == ["config/lr"]


@pytest.mark.parametrize("name", ["metadata.json", "77/config.json"])
def test_a_small_file_that_is_huge_is_not_read(tmp_path: Path, name: str) -> None:
    path = make_old(tmp_path)
    trial(path / "77", lr=0.1)
    with (path / name).open("ab") as file:
        file.truncate(65 * 1024**2)
    log, skipped = read(path)
    assert any("a file of at most" in line for line in skipped)
    assert len(log.trials) > 1


def test_a_pause_that_lasts_is_one_and_nothing_more_is_read(tmp_path: Path) -> None:
    path = make_old(tmp_path)
    trial(path / "1", line(epoch=1, accuracy=9.0) + line(epoch=2, accuracy=9.0), "", "pause")
    log, _ = read(path)
    assert by_trial(log, "status")["1"] == "paused"
    assert curve(log, "1", "accuracy") == {1: 0.2}


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    path = make_old(tmp_path)
    (path / "tuner.dill").write_bytes(b"cos\nsystem\n(S'touch " + os.fsencode(tmp_path / "ran") + b"'\ntR.")
    read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "said", ["", "{", "[]", "7", None, 3, {"lr": None}, '{"lr": {"domain_cls": "Float"}}']
)
def test_a_space_that_is_none(said: Any) -> None:
    assert space_of(said) is None


def test_every_domain_of_syne_tune_that_can_be_said(tmp_path: Path) -> None:
    from syne_tune import config_space as syne

    domains = {
        "a": syne.uniform(0.0, 1.0),
        "b": syne.loguniform(0.1, 10.0),
        "c": syne.randint(1, 9),
        "d": syne.lograndint(1, 9),
        "e": syne.choice(["x", "y"]),
        "f": syne.ordinal([1, 2, 4]),
        "g": syne.ordinal([1, 2, 4], kind="equal"),
        "h": syne.finrange(0.0, 1.0, 5),
        "i": syne.logfinrange(1, 16, 5, cast_int=True),
        "j": syne.reverseloguniform(0.9, 0.99),
        "k": syne.choice(["only"]),
        "l": "text",
        "m": [1, 2],
        "n": syne.randint(3, 3),
    }
    found = space_of(json.dumps(syne.config_space_to_json_dict(domains)))
    assert found is not None
    knobs = SearchSpace.from_dict(found).knobs
    assert set(knobs) == set(domains) - {"m"}
    kinds = {name: one.to_dict()["type"] for name, one in knobs.items()}
    assert kinds == {
        "a": "float",
        "b": "float",
        "c": "int",
        "d": "int",
        "e": "categorical",
        "f": "categorical",
        "g": "categorical",
        "h": "float",
        "i": "int",
        "j": "float",
        "k": "constant",
        "l": "constant",
        "n": "constant",
    }
    logarithmic = {name for name, one in knobs.items() if one.to_dict().get("log")}
    assert logarithmic == {"b", "d", "i", "j"}, "Syne Tune writes the reversed logarithm as a logarithm"


def test_whose_a_folder_is(made: Path, tmp_path: Path) -> None:
    importer = SyneTune()
    assert importer.claims(made)
    assert not importer.claims(made / "0")
    assert not importer.claims(made / "metadata.json")
    (tmp_path / "metadata.json").write_text('{"title": "a book"}')
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    assert not importer.claims(tmp_path)


def test_a_column_whose_kind_shows_late(tmp_path: Path) -> None:
    rows = ["trial_id,epoch,whole,word,empty,config_a"]
    rows += [f"{i // 10},{i % 10 + 1},1,2,,3" for i in range(300_000)]
    rows += ["30000,1,0.5,x,7.5,y"]
    log, skipped = read(make_old(tmp_path, "\n".join(rows)))
    assert skipped == []
    last = log.reports.iloc[-1]
    assert (last["whole"], last["empty"]) == (0.5, 7.5)
    assert math.isnan(last["word"])
    assert log.reports["word"].tolist()[:2] == [2.0, 2.0]
    assert log.trials["config/a"].tolist()[-1] == "y"
