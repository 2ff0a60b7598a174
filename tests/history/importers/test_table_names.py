"""Tables that need no mapping: well-known names, rows that tell them true, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.history.importers.table import Table
from tune_lr.history.log import Asked, Log, Skipped


def read(path: Path, text: str, **asked: Any) -> tuple[Log, Skipped]:
    path.write_text(text)
    skipped = Skipped()
    (log,) = Table().read(path, Asked(**asked), skipped)
    return log, skipped


def knobs(log: Log) -> set[str]:
    return {name.removeprefix("config/") for name in log.trials if name.startswith("config/")}


def runs(header: str, first: str = "{run},{epoch},{lr},{loss}", number: int = 5) -> str:
    """So many runs of ten epochs, one after another."""
    lines = [
        first.format(run=run, epoch=epoch, lr=0.1 / (run + 1), loss=1 / epoch)
        for run, epoch in itertools.product(range(number), range(1, 11))
    ]
    return "\n".join([header, *lines]) + "\n"


@pytest.mark.parametrize(
    "name",
    [
        "trial",
        "Trial",
        "trial_name",
        "trial_number",
        "run",
        "RUN_ID",
        "Run Name",
        "run-id",
        "experiment_id",
        "id",
    ],
)
@pytest.mark.parametrize("epoch", ["epoch", "Epoch", "STEP", "iteration", "training_iteration"])
def test_well_known_names_of_the_trial_and_the_epoch(tmp_path: Path, name: str, epoch: str) -> None:
    log, skipped = read(tmp_path / "a.csv", runs(f"{name},{epoch},lr,val_loss"))
    assert not skipped
    assert log.trials["trial_id"].tolist() == ["0", "1", "2", "3", "4"]
    assert len(log.reports) == 50
    assert knobs(log) == {"lr"}
    assert set(log.reports) == {"trial", "epoch", "val_loss"}
    expected = {"epoch": "epochs", "step": "steps"}
    assert log.fidelity == expected.get(epoch.lower())


def test_five_runs_are_five_trials_of_the_history(tmp_path: Path) -> None:
    header = "run_id,epoch,lr,patience,factor,train_loss,val_loss,val_acc"
    (tmp_path / "a.csv").write_text(runs(header, "{run},{epoch},{lr},3,0.5,{loss},{loss},0.5"))
    added = History(tmp_path / "store").add(tmp_path / "a.csv")
    (found,) = added.imported
    assert (found.info.trials, found.info.reports, added.skipped.lines()) == (5, 50, [])
    assert {"lr", "patience", "factor"} <= set(found.info.knobs)


def test_the_schema_goes_before_what_is_guessed(tmp_path: Path) -> None:
    log, _ = read(tmp_path / "a.csv", "run,trial_id,epoch,iteration,loss\n1,a,1,10,1\n2,a,2,20,0.5\n")
    assert log.trials["trial_id"].tolist() == ["a"]
    assert log.reports["epoch"].tolist() == [1, 2]
    assert log.reports["iteration"].tolist() == [10, 20]


def test_what_a_person_says_is_not_guessed(tmp_path: Path) -> None:
    text = "run,epoch,lr,loss\n1,1,0.1,1\n1,2,0.1,0.5\n"
    log, _ = read(tmp_path / "a.csv", text, metric="run")
    assert "run" in log.reports
    log, _ = read(tmp_path / "a.csv", text, rename={"run": "config/run"})
    assert log.trials["trial_id"].tolist() == ["0"]
    assert "run" in knobs(log)


@pytest.mark.parametrize("header", ["who,epoch,lr,val_loss", "run_on,epoch,config/lr,val_loss"])
def test_rows_of_unnamed_trials_are_refused_with_advice(tmp_path: Path, header: str) -> None:
    same = runs(header, "{run},{epoch},0.1,{loss}")
    with pytest.raises(BadInput) as caught:
        read(tmp_path / "a.csv", same)
    assert "40 of 50 rows" in str(caught.value)
    name = header.partition(",")[0]
    log, _ = read(tmp_path / "a.csv", same, rename={name: "trial_id"})
    assert (len(log.trials), len(log.reports)) == (5, 50)
    mapped, _ = read(tmp_path / "a.csv", same, columns={"trial": name, "metric": "val_loss"})
    assert (len(mapped.trials), len(mapped.reports)) == (5, 50)


def test_knobs_may_tell_trials_apart_if_a_mapping_says_so(tmp_path: Path) -> None:
    text = runs("epoch,lr,val_loss", "{epoch},{lr},{loss}")
    with pytest.raises(BadInput, match=r"knobs: \[lr\]"):
        read(tmp_path / "a.csv", text)
    log, _ = read(tmp_path / "a.csv", text, columns={"knobs": ["lr"]})
    assert (len(log.trials), len(log.reports)) == (5, 50)


def test_a_guess_that_does_not_tell_trials_apart_is_none(tmp_path: Path) -> None:
    constant = "mnist,{epoch},{lr},{loss}"
    log, _ = read(tmp_path / "a.csv", runs("experiment,epoch,config/lr,val_loss", constant))
    assert (len(log.trials), len(log.reports)) == (5, 50)
    with pytest.raises(BadInput, match="no column says which trial"):
        read(tmp_path / "a.csv", runs("experiment,epoch,lr,val_loss", constant))


def test_a_number_for_every_row_is_no_trial(tmp_path: Path) -> None:
    text = "id,epoch,val_loss\n1,1,0.5\n2,2,0.4\n3,3,0.3\n"
    log, _ = read(tmp_path / "a.csv", text)
    assert (len(log.trials), len(log.reports)) == (1, 3)


@pytest.mark.parametrize(
    "text",
    [
        "epoch,lr,val_loss\n1,0.1,1\n2,0.05,0.5\n3,0.01,0.4\n",
        "iteration,lr,val_loss\n1,0.1,1\n2,0.05,0.5\n3,0.01,0.4\n",
        "epoch,val_loss\n1,1\n2,0.5\n2,0.5\n3,0.4\n",  # resumed
        "epoch,step,val_loss\n1,50,1\n1,100,0.5\n2,150,0.4\n",
        "epoch,step,train_loss,val_loss\n1,50,1,\n1,50,,0.5\n2,100,0.4,\n2,100,,0.3\n",
    ],
)
def test_a_lone_curve_stays_one_trial(tmp_path: Path, text: str) -> None:
    log, _ = read(tmp_path / "a.csv", text)
    assert log.trials["trial_id"].tolist() == ["0"]
    assert len(log.reports) == text.count("\n") - 1


@pytest.mark.parametrize(
    ("text", "trials"),
    [
        ("trial_id,training_iteration,config/lr,val_loss\na,10,0.1,1\nb,10,0.2,0.5\n", ["a", "b"]),
        ("lr,patience,iteration,val_loss\n0.1,1,30,1\n0.2,2,10,0.5\n0.3,2,20,0.5\n", ["0", "1", "2"]),
        ("lr,patience,epoch,val_loss\n0.1,1,30,1\n0.2,2,30,0.5\n", ["0", "1"]),
    ],
)
def test_the_last_epoch_of_every_trial_is_no_curve(tmp_path: Path, text: str, trials: list[str]) -> None:
    log, _ = read(tmp_path / "a.csv", text)
    assert log.trials["trial_id"].tolist() == trials
    assert len(log.reports) == 0
    assert "lr" in knobs(log)


def test_a_wide_table_names_its_trials_only_where_the_names_differ(tmp_path: Path) -> None:
    text = "run,lr,val_loss\n{},0.1,1\n{},0.2,0.5\n"
    log, _ = read(tmp_path / "a.csv", text.format("x", "y"))
    assert log.trials["trial_id"].tolist() == ["x", "y"]
    for same in (text.format("x", "x"), text.format("x", "")):
        log, _ = read(tmp_path / "a.csv", same)
        assert log.trials["trial_id"].tolist() == ["0", "1"]
    with pytest.raises(BadInput, match="cannot be told"):
        read(tmp_path / "a.csv", "id,a,b\n1,2,3\n2,3,4\n")


@pytest.mark.parametrize("name", ["learning_rate", "base_lr", "lr0", "eta_min"])
def test_other_tools_names_of_knobs_are_knobs(tmp_path: Path, name: str) -> None:
    log, _ = read(tmp_path / "a.csv", runs(f"trial_id,epoch,{name},val_loss"))
    assert knobs(log) == {name}
    assert name not in log.reports


def test_the_advice_stands_before_the_columns(tmp_path: Path) -> None:
    names = ",".join(f"column_{place}" for place in range(60))
    with pytest.raises(BadInput) as caught:
        read(tmp_path / "a.csv", f"{names}\n{','.join('1' * 60)}\n")
    message = str(caught.value)
    assert message.index("--mapping FILE") < message.index("The columns are: column_0") < 400
    assert "column_59" not in message
    assert message.endswith("and 20 more")
