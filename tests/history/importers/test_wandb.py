from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples.history import wandb as sample
from tune_lr.errors import BadInput, TuneLRError
from tune_lr.history.importers.wandb import WandB
from tune_lr.history.log import Asked, Log, Skipped


def read(path: Path, **asked: Any) -> tuple[Log, Skipped]:
    assert WandB().claims(path)
    skipped = Skipped()
    (log,) = WandB().read(path, Asked(**asked), skipped)
    return log, skipped


def only(path: Path, **asked: Any) -> Log:
    log, skipped = read(path, **asked)
    assert not skipped, skipped.counts
    return log


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def curve(log: Log, trial: str, metric: str) -> dict[int, float]:
    place = log.trials["trial_id"].tolist().index(trial)
    rows = log.reports[log.reports["trial"] == place]
    return dict(zip(rows["epoch"].tolist(), rows[metric].tolist(), strict=True))


def knobs(log: Log) -> set[str]:
    return {name.removeprefix("config/") for name in log.trials if name.startswith("config/")}


def test_a_table_of_runs_and_a_chart_belong_together(tmp_path: Path) -> None:
    log = only(sample.make(tmp_path))
    assert (len(log.trials), len(log.reports)) == (sample.EXPECTED["trials"], sample.EXPECTED["reports"])
    assert knobs(log) == sample.EXPECTED["knobs"]
    assert log.trials.to_dict("list") | {"val_loss": 0} == {
        "trial_id": ["warm-sweep-1", "pretty-sweep-2", "old - one"],
        "status": ["completed", "failed", "stopped"],
        "val_loss": 0,
        "config/lr": [0.1, 0.01, 0.5],
        "config/patience": [3, 5, 0],
        "config/optimizer": ["adam", "sgd", "sgd"],
        "config/hidden": [64, 128, 32],
    }
    assert log.trials["val_loss"].tolist()[:2] == [0.125, 0.5]
    assert curve(log, "warm-sweep-1", "val_loss") == sample.EXPECTED["first"]
    assert curve(log, "pretty-sweep-2", "val_loss") == {0: 0.75, 1: 0.5}
    (diverged,) = curve(log, "old - one", "val_loss").values()
    assert math.isnan(diverged)
    assert (log.source, log.name, log.fidelity) == ("wandb", "exports", None)


def test_a_table_of_runs_alone(tmp_path: Path) -> None:
    log = only(written(tmp_path / "runs.csv", sample.RUNS))
    assert knobs(log) == sample.EXPECTED["knobs"]
    assert log.trials["val_loss"].tolist()[:2] == [0.125, 0.5]
    assert len(log.reports) == 0
    assert log.name == "runs"


def test_the_metric_asked_for_is_no_knob(tmp_path: Path) -> None:
    path = written(tmp_path / "runs.csv", sample.RUNS)
    assert knobs(only(path, metric="hidden")) == {"lr", "patience", "optimizer"}


def test_a_chart_alone(tmp_path: Path) -> None:
    log = only(written(tmp_path / "chart.csv", sample.CHART.replace('"Step"', '"epoch"')))
    assert log.trials["trial_id"].tolist() == ["warm-sweep-1", "pretty-sweep-2", "old - one"]
    assert curve(log, "warm-sweep-1", "val_loss") == sample.EXPECTED["first"]
    assert log.fidelity == "epochs"


def test_the_history_of_a_run(tmp_path: Path) -> None:
    path = written(tmp_path / "warm-sweep-1.csv", sample.HISTORY)
    log, _ = read(path)
    assert log.trials["trial_id"].tolist() == ["warm-sweep-1"]
    assert log.reports.to_dict("list") == {
        "trial": [0, 0],
        "epoch": [0, 1],
        "seconds": [1.5, 2.5],
        "train/loss": [1.0, 0.5],
    }


def test_histories_join_the_table_and_runs_that_it_lacks_come_after(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    written(path / "warm-sweep-1.csv", sample.HISTORY)
    written(path / "lone.csv", sample.HISTORY)
    log, _ = read(path)
    assert log.trials["trial_id"].tolist() == ["warm-sweep-1", "pretty-sweep-2", "old - one", "lone"]
    assert log.trials["config/lr"].isna().tolist() == [False, False, False, True]
    assert curve(log, "lone", "train/loss") == {0: 1.0, 1: 0.5}
    assert curve(log, "warm-sweep-1", "val_loss") == sample.EXPECTED["first"]


def test_names_that_several_runs_bear(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    runs = next(file for file in path.iterdir() if "10_10" in file.name)
    runs.write_text(sample.RUNS.replace("pretty-sweep-2", "warm-sweep-1"))
    log, skipped = read(path)
    assert log.trials["trial_id"].tolist() == [
        "warm-sweep-1",
        "warm-sweep-1-2",
        "old - one",
        "pretty-sweep-2",
    ]
    assert [why for _, why in skipped.counts] == [
        "a curve of run 'warm-sweep-1', a name that several runs bear"
    ]
    assert set(log.reports["trial"]) == {2, 3}


def test_ids_are_the_names_of_trials_where_they_are_exported(tmp_path: Path) -> None:
    lines = sample.RUNS.splitlines()
    text = "\n".join([f'"ID",{lines[0]}', *(f'"id{place}",{line}' for place, line in enumerate(lines[1:]))])
    path = sample.make(tmp_path)
    runs = next(file for file in path.iterdir() if "10_10" in file.name)
    runs.write_text(text)
    log = only(path)
    assert log.trials["trial_id"].tolist() == ["id0", "id1", "id2"]
    assert curve(log, "id0", "val_loss") == sample.EXPECTED["first"]


def test_columns_that_a_mapping_explains_are_a_tables(tmp_path: Path) -> None:
    path = written(tmp_path / "run.csv", sample.HISTORY)
    log, _ = read(path, columns={"epoch": "epoch", "knobs": [], "metric": "train/loss"})
    assert (log.source, log.metric) == ("table", "train/loss")


def test_what_is_no_export_is_not_claimed(tmp_path: Path) -> None:
    assert not WandB().claims(written(tmp_path / "a.csv", "trial_id,epoch,loss\n1,1,1\n"))
    assert not WandB().claims(written(tmp_path / "b.csv", "Step,a - loss\n1,1\n"))
    assert not WandB().claims(written(tmp_path / "c.csv", ""))
    assert not WandB().claims(tmp_path)
    folder = sample.make(tmp_path / "d")
    written(folder / "other.csv", "a,b\n1,2\n")
    assert not WandB().claims(folder)
    assert not WandB().claims(folder.parent)


@pytest.mark.parametrize("text", [sample.RUNS, sample.CHART, sample.HISTORY])
def test_an_export_without_rows_is_said(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "a.csv", text.splitlines()[0] + "\n")
    assert WandB().claims(path)
    with pytest.raises(BadInput, match=r"a\.csv"):
        list(WandB().read(path, Asked(), Skipped()))


def test_one_bad_file_of_several_is_passed_over(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    written(path / "empty.csv", sample.HISTORY.splitlines()[0])
    log, skipped = read(path)
    assert len(log.trials) == 3
    assert [where for where, _ in skipped.counts] == ["empty.csv"]


_CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(list(b'\0\n",;-_ 9eN\xff'))), max_size=6)


@given(parts=st.lists(st.tuples(_CHANGES, st.floats(0, 1)), min_size=3, max_size=3))
def test_whatever_the_bytes_are_only_our_errors_come_out(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[list[tuple[float, int]], float]]
) -> None:
    path = tmp_path_factory.mktemp("fuzz")
    texts = {"runs.csv": sample.RUNS, "chart.csv": sample.CHART, "warm-sweep-1.csv": sample.HISTORY}
    for (name, text), (changes, kept) in zip(texts.items(), parts, strict=True):
        content = bytearray(text.encode())
        for at, byte in changes:
            content[int(at * len(content))] = byte
        (path / name).write_bytes(bytes(content[: max(1, round((1 - kept) * len(content)))]))
    WandB().claims(path)
    for one in (path, *path.iterdir()):
        try:
            for log in WandB().read(one, Asked(), Skipped()):
                assert log.reports["trial"].between(0, len(log.trials) - 1).all()
                assert log.trials["trial_id"].is_unique
        except TuneLRError:
            pass
