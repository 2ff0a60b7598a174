"""Importing tune-lr's own experiments, value by value."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.samples.history import tune_lr as sample
from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.history.importers.tune_lr import TuneLR
from tune_lr.history.log import Asked, Log, Skipped

ASK = {"event": "ask", "trial_id": "0000", "values": {}, "config": {"lr": 0.5, "max_lr": 1.0}, "why": {}}
JOB: dict[str, Any] = {
    "trainer": "/somewhere/train_it.py:train",
    "space": sample.SPACE.to_dict(),
    "engine": "inline",
    "metric": "accuracy",
    "mode": "max",
    "scope": "last",
    "task": {"name": "digits", "dataset": "mnist"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample.make(tmp_path_factory.mktemp("tune-lr"))


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """An experiment of given lines and a given description."""

    def write(*lines: Any, description: Any = None) -> Path:
        text = "".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in lines)
        (tmp_path / "journal.jsonl").write_text(text, "utf-8")
        said = {"format": 1, "job": JOB} if description is None else description
        (tmp_path / "experiment.json").write_text(said if isinstance(said, str) else json.dumps(said))
        return tmp_path

    return write


def read(path: Path) -> tuple[Log, list[str]]:
    skipped = Skipped()
    (log,) = TuneLR().read(path, Asked(), skipped)
    return log, skipped.lines()


def report(epoch: Any, trial: str = "0000", **more: Any) -> dict[str, Any]:
    seconds = float(epoch) if isinstance(epoch, int) else 0
    return {"event": "report", "trial_id": trial, "epoch": epoch, "seconds": seconds, **more}


def test_a_real_experiment(made: Path) -> None:
    log, skipped = read(made)
    assert skipped == []
    assert (log.metric, log.mode, log.scope) == ("val_loss", "min", "best")
    assert (log.fidelity, log.counts_from) == ("epochs", 1)
    assert log.name == "tune_lr"
    assert log.space == sample.SPACE.to_dict()
    assert log.descriptors["engine"] == "inline"
    assert log.descriptors["trainer"].endswith(":train")
    assert "tune-lr" in log.versions
    assert log.trials["trial_id"].tolist() == ["0000", "0001", "0002"]
    assert set(log.trials["status"]) == {"completed"}
    assert log.reports["trial"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert log.reports["epoch"].tolist() == [1, 2, 3] * 3
    assert log.reports["val_loss"].tolist() == [1.0, 0.5, 0.25] * 3
    assert (log.reports["seconds"] >= 0).all()
    assert (log.trials["config/max_lr"] >= log.trials["config/lr"]).all()


def test_it_is_the_experiment_that_tune_lr_itself_reads(made: Path) -> None:
    from tune_lr import Experiment

    own, history = Experiment.open(made), History(made.parent / "store")
    history.add(made)
    reports = history.to_pandas()
    trials = history.trials()
    assert len(trials) == 3
    for number, trial in enumerate(own.record().trials.values()):
        row = trials.iloc[number]
        assert (row["trial_id"], row["status"], row["epochs"]) == (trial.trial_id, trial.status, 3)
        for knob, value in trial.config.items():
            assert row[f"config/{knob}"] == value
        curve = reports[reports["trial_id"] == trial.trial_id]
        assert curve["val_loss"].tolist() == [one.metrics["val_loss"] for one in trial.reports]
    assert set(trials["outside"]) == {""}


def test_the_job_is_told(written: Callable[..., Path]) -> None:
    log, skipped = read(written(ASK, report(1, metrics={"accuracy": 0.5})))
    assert skipped == []
    assert (log.name, log.metric, log.mode, log.scope) == ("digits", "accuracy", "max", "last")
    assert log.descriptors == {
        "trainer": "/somewhere/train_it.py:train",
        "engine": "inline",
        "name": "digits",
        "dataset": "mnist",
    }


@pytest.mark.parametrize(
    ("trainer", "name"),
    [
        ("/a b/digits_mlp.py:train", "digits_mlp"),
        ("C:\\code\\digits.v2.py:train", "digits.v2"),
        ("package.module:train", "module"),
        ("module:train", "module"),
        ("<function>:make.<locals>.train", "train"),
        ("train", "train"),
    ],
)
def test_the_trainer_names_a_task_that_has_no_name(
    trainer: str, name: str, written: Callable[..., Path]
) -> None:
    job = {**JOB, "trainer": trainer, "task": {}}
    log, _ = read(written(ASK, description={"format": 1, "job": job}))
    assert log.name == name


@pytest.mark.parametrize("trainer", [None, "", 7, ":", "a.:b"])
def test_the_folder_names_what_nobody_named(trainer: Any, written: Callable[..., Path]) -> None:
    path = written(ASK, description={"format": 1, "job": {"trainer": trainer, "task": {"name": ""}}})
    assert read(path)[0].name == path.name


def test_every_turn_of_a_trial_is_heard(written: Callable[..., Path]) -> None:
    turns: dict[str, list[dict[str, Any]]] = {
        "running": [],
        "completed": [{"event": "report", "epoch": 1, "metrics": {}, "status": "completed"}],
        "stopped": [{"event": "report", "epoch": 1, "metrics": {}, "status": "stopped", "why": "rung"}],
        "diverged": [{"event": "report", "epoch": 1, "metrics": {"loss": "NaN"}, "status": "diverged"}],
        "paused": [{"event": "pause", "why": "budget"}],
        "failed": [{"event": "end", "status": "failed", "error": "ValueError: no"}],
    }
    resumed = [{"event": "pause", "why": "interrupted"}, {"event": "resume", "by": "driver"}]
    lines: list[Any] = []
    for trial, events in {**turns, "resumed": resumed}.items():
        lines += [{**ASK, "trial_id": trial}, *({**event, "trial_id": trial} for event in events)]
    log, skipped = read(written(*lines))
    assert skipped == []
    statuses = dict(zip(log.trials["trial_id"], log.trials["status"], strict=True))
    assert statuses == {name: name for name in turns} | {"resumed": "running"}
    errors = dict(zip(log.trials["trial_id"], log.trials["error"], strict=True))
    assert errors.pop("failed") == "ValueError: no"
    assert not any(isinstance(error, str) for error in errors.values())


def test_numbers_come_as_they_were_and_what_is_none_is_nan(written: Callable[..., Path]) -> None:
    metrics = {
        "loss": "NaN",
        "up": "Infinity",
        "down": "-Infinity",
        "whole": 3,
        "huge": 10**400,
        "flag": True,
    }
    log, _ = read(
        written(
            ASK, report(1, metrics=metrics | {"none": None, "word": "x", "list": [1]}), report(2, metrics={})
        )
    )
    first = log.reports.iloc[0]
    assert math.isnan(first["loss"])
    assert first["up"] == math.inf
    assert first["down"] == -math.inf
    assert (first["whole"], first["huge"]) == (3.0, math.inf)
    assert set(log.reports.columns) == {"trial", "epoch", "seconds", "loss", "up", "down", "whole", "huge"}
    assert log.reports.iloc[1][["loss", "up", "whole"]].isna().all()


def test_a_report_before_the_training_is_none(written: Callable[..., Path]) -> None:
    log, skipped = read(written(ASK, report(0, metrics={"loss": 9.0}), report(1, metrics={"loss": 1.0})))
    assert log.reports["epoch"].tolist() == [1]
    assert skipped == ["journal.jsonl: a report before the first epoch"]


@pytest.mark.parametrize("epoch", [None, "1", 1.0, True, -1, 10**30, [1]])
def test_a_report_without_an_epoch_is_counted(epoch: Any, written: Callable[..., Path]) -> None:
    log, skipped = read(written(ASK, report(epoch, metrics={"loss": 1.0})))
    assert len(log.reports) == 0
    assert skipped == ["journal.jsonl: a report that has no epoch or no metrics"]


def test_what_is_torn_or_odd_is_counted_and_the_rest_is_read(written: Callable[..., Path]) -> None:
    odd_seconds = [report(2, metrics={"loss": 1}) | {"seconds": odd} for odd in ("x", True, 10**400, None)]
    log, skipped = read(
        written(
            ASK,
            ASK,
            "[1]",
            '{"event": "rep',
            report(1, trial="9999", metrics={"loss": 1.0}),
            report(1, metrics=[1]),
            *odd_seconds,
            {"event": "end", "trial_id": "0000", "status": "eaten"},
            {"event": "end", "trial_id": "0000", "status": ["failed"]},
            {"event": "something new", "trial_id": "0000"},
            {"event": "ask", "trial_id": "0001", "config": [1]},
            {"event": "ask", "trial_id": 7, "config": {}},
            {"event": "ask", "trial_id": "0002", "config": {"a": {"b": 1}, "c": [1], "d": None}},
            '{"event": "report", "trial_id": "0000", "ep',
        )
    )
    assert log.trials["trial_id"].tolist() == ["0000", "0001", "0002"]
    assert log.trials["status"].tolist() == ["running"] * 3
    assert log.reports["seconds"].isna().tolist() == [True] * 4
    assert log.trials["config/a.b"].tolist()[2] == 1
    assert skipped == [
        "journal.jsonl: a configuration that is no mapping",
        "journal.jsonl: a line about a trial that was never begun",
        "journal.jsonl: a line that is no JSON (2 times)",
        "journal.jsonl: a line that is no JSON object",
        "journal.jsonl: a report that has no epoch or no metrics",
        "journal.jsonl: a trial that was begun before",
        "journal.jsonl: a value of 'c' that is no text, number or boolean",
    ]


@pytest.mark.parametrize("description", ["{", "[]", '{"job": 7}', '{"format": 99, "jobs": []}', "\0"])
def test_the_journal_tells_the_job_where_its_description_is_damaged(
    description: str, written: Callable[..., Path]
) -> None:
    asked = {name: value for name, value in JOB.items() if name != "space"}
    log, skipped = read(written({"event": "session", "asked": asked}, ASK, description=description))
    assert (log.name, log.metric, log.mode, log.scope) == ("digits", "accuracy", "max", "last")
    assert log.space is None
    assert log.versions == {}
    assert len(skipped) == 1
    assert "experiment.json" in skipped[0]


def test_another_versions_description_is_taken_as_far_as_it_goes(written: Callable[..., Path]) -> None:
    job = {**JOB, "space": {"name": "?", "knobs": []}, "metric": ["a"], "mode": "up", "scope": 3, "task": 4}
    log, skipped = read(written(ASK, description={"format": 99, "job": job, "versions": ["new"]}))
    assert (log.metric, log.mode, log.scope, log.space) == (None, None, "best", None)
    assert log.name == "train_it"
    assert len(skipped) == 2
    assert "name of the space" in skipped[0]


@pytest.mark.parametrize("scope", ["foo", "", 7, "avg-0", "avg-" + "9" * 5000])
def test_a_scope_that_is_none_is_the_best_report(
    scope: Any, written: Callable[..., Path], tmp_path: Path
) -> None:
    path = written(ASK, report(1, metrics={"accuracy": 0.5}), description={"job": {**JOB, "scope": scope}})
    log, skipped = read(path)
    assert log.scope == "best"
    (line,) = skipped
    assert line.startswith("experiment.json: scope")
    assert len(line) < 130
    (info,) = [one.info for one in History(tmp_path / "store").add(path).imported]
    assert (info.scope, info.best) == ("best", 0.5)


def test_a_description_that_is_huge_is_not_read(written: Callable[..., Path]) -> None:
    path = written({"event": "session", "asked": {"metric": "loss"}}, ASK, report(1, metrics={"loss": 0.5}))
    with (path / "experiment.json").open("ab") as file:
        file.truncate(65 * 1024**2)
    log, (line,) = read(path)
    assert "a file of at most" in line
    assert log.metric == "loss"


def test_a_journal_without_a_trial_is_refused(written: Callable[..., Path]) -> None:
    with pytest.raises(BadInput, match="at least one trial"):
        read(written({"event": "session", "asked": {}}))


def test_whose_a_folder_is(made: Path, tmp_path: Path) -> None:
    importer = TuneLR()
    assert importer.claims(made)
    (tmp_path / "journal.jsonl").write_bytes((made / "journal.jsonl").read_bytes())
    assert importer.claims(tmp_path), "a journal says by its first line whose it is"
    log, skipped = read(tmp_path)
    assert log.metric == "val_loss"
    assert len(log.reports) == 9
    assert len(skipped) == 1
    (tmp_path / "journal.jsonl").write_text('{"event": "lunch"}\n')
    assert not importer.claims(tmp_path)
    (tmp_path / "journal.jsonl").unlink()
    (tmp_path / "experiment.json").write_text("{}")
    (tmp_path / "reports.parquet").write_bytes(b"")
    assert not importer.claims(tmp_path), "tables alone are the table importer's"
    assert not importer.claims(made / "journal.jsonl")


def test_a_job_that_was_killed_counts_as_far_as_its_journal_goes(made: Path, tmp_path: Path) -> None:
    lines = (made / "journal.jsonl").read_bytes().splitlines(keepends=True)
    for kept in range(2, len(lines) + 1):
        (tmp_path / "journal.jsonl").write_bytes(b"".join(lines[:kept]) + b'{"event":"repo')
        (tmp_path / "experiment.json").write_bytes((made / "experiment.json").read_bytes())
        log, skipped = read(tmp_path)
        kinds = [json.loads(line)["event"] for line in lines[:kept]]
        assert (len(log.trials), len(log.reports)) == (kinds.count("ask"), kinds.count("report"))
        assert skipped == ["journal.jsonl: a line that is no JSON"]
