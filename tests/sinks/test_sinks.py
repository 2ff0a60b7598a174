"""Reports in other tools, by their own clients, offline; read back with what those tools read with."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tune_lr
from tests.samples import trainers
from tests.samples.spaces import SMALL
from tune_lr import Job, registry
from tune_lr.cli import app
from tune_lr.errors import BadInput, MissingExtra, UnknownName
from tune_lr.experiment import Experiment
from tune_lr.jobs.logs import logged
from tune_lr.spacefile import dump_space

ASKED: dict[str, Any] = {"searcher": "random", "trial_scheduler": "asha", "max_epochs": 4, "progress": False}


@pytest.fixture(autouse=True)
def _nobodys_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def tuned(out: Path, log: str, **more: Any) -> Experiment:
    return tune_lr.tune(trainers.good, SMALL, out=out, log=log, **{**ASKED, "trials": 4, **more})


def expected(experiment: Experiment) -> dict[str, list[tuple[int, float]]]:
    """Trial -> epochs and losses."""
    trials = experiment.record().trials.values()
    return {t.trial_id: [(r.epoch, float(r.metrics["val_loss"])) for r in t.reports] for t in trials}


def in_tensorboard(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = {}
    for trial in sorted((folder / "tensorboard").iterdir()):
        events = EventAccumulator(str(trial))
        events.Reload()
        found[trial.name] = [(event.step, event.value) for event in events.Scalars("val_loss")]
    return found


def in_mlflow(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{folder.resolve() / 'mlflow.db'}")
    found = {}
    for experiment in client.search_experiments(filter_string=f"name = '{folder.name}'"):
        for run in client.search_runs([experiment.experiment_id]):
            history = client.get_metric_history(run.info.run_id, "val_loss")
            assert run.data.params["lr"]
            assert run.data.tags["tune_lr.status"] in ("completed", "stopped", "paused")
            assert run.info.status in ("FINISHED", "KILLED")
            found[run.data.tags["tune_lr.trial"]] = sorted((point.step, point.value) for point in history)
    return found


def records(content: bytes) -> Iterator[bytes]:
    """The records of a run's file: a LevelDB log of blocks of 32 KiB behind a header of 7 bytes."""
    at, parts = 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def in_wandb(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from wandb.proto.wandb_internal_pb2 import Record

    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        points = found.setdefault(file.stem.split("-")[-1], [])
        for data in records(file.read_bytes()):
            record = Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                row = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
                points.append((int(row["_step"]), float(row["val_loss"])))
    return found


READ = {"tensorboard": in_tensorboard, "mlflow": in_mlflow, "wandb": in_wandb}


def assert_alike(found: Any, wanted: Any) -> None:
    assert set(found) == set(wanted)
    for trial, points in wanted.items():
        assert [epoch for epoch, _ in found[trial]] == [epoch for epoch, _ in points]
        assert [value for _, value in found[trial]] == pytest.approx([value for _, value in points], rel=1e-5)


def test_every_sink_is_read_here() -> None:
    assert set(READ) == set(registry.PARTS["sinks"])


@pytest.mark.parametrize("name", list(READ))
def test_every_report_arrives_once_also_of_a_job_that_was_cut_off(name: str, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    heard = 0

    def cut(event: Any, record: Any) -> None:
        nonlocal heard
        heard += event["event"] == "report"
        if heard == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned(out, name, listeners=(cut,))
    tune_lr.resume(out, trainers.good, log=name, progress=False)
    assert_alike(READ[name](out), expected(Experiment.open(out)))


def test_several_at_once_and_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(dump_space(SMALL))
    command = [
        "run", f"{trainers.__file__}:good", "--space", "small.yaml", "--searcher", "random", "--trials", "3",
        "--max-epochs", "3", "--out", "x", "--log", "tensorboard,mlflow",
    ]  # fmt: skip
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.stderr
    wanted = expected(Experiment.open("x"))
    assert_alike(in_tensorboard(Path("x")), wanted)
    assert_alike(in_mlflow(Path("x")), wanted)


def test_a_tool_that_fails_costs_the_job_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tune_lr.sinks.tensorboard import TensorBoard

    def broken(*_: Any) -> None:
        raise OSError("the server is gone")

    monkeypatch.setattr(TensorBoard, "report", broken)
    with pytest.warns(UserWarning, match="the server is gone"):
        experiment = tuned(tmp_path / "x", "tensorboard")
    assert len(experiment.record().trials) == 4


def test_mlflow_where_it_is_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'team.db'}")
    tuned(tmp_path / "x", "mlflow")
    assert (tmp_path / "team.db").exists()
    assert not (tmp_path / "x" / "mlflow.db").exists()


def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownName, match="tensorboard"):
        tuned(tmp_path / "x", "tensorbord")
    assert not (tmp_path / "x").exists()
    monkeypatch.setitem(sys.modules, "tune_lr.sinks.wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "tune_lr.sinks.wandb")
    with pytest.raises(MissingExtra, match=r"tune-lr\[wandb\]"):
        tuned(tmp_path / "y", "wandb")
    in_memory = Experiment(Job.make({"trainer": "t.py", "space": SMALL.to_dict()}), None)
    with pytest.raises(BadInput, match="log"), logged(in_memory, "tensorboard"):
        pass
    assert os.environ.get("WANDB_MODE") is None
