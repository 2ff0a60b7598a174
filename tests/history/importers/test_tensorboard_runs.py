"""Final values beside the hyperparameters, and what a restart takes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.samples.history.tensorboard import curve, only, read
from tune_lr.history import columns
from tune_lr.history.history import History
from tune_lr.history.importers import tensorboard_run
from tune_lr.history.importers.tensorboard import TensorBoard
from tune_lr.history.log import Asked, Skipped


def test_the_metrics_of_the_hyperparameters_are_final_values(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for run, lr in (("a", 0.1), ("b", 0.2)):
        with SummaryWriter(str(tmp_path / "runs" / run)) as writer:
            for step in range(1, 5):
                writer.add_scalar("loss", lr / step, step)
            writer.add_hparams({"lr": lr}, {"hparam/accuracy": 4 * lr, "loss": lr / 8, "status": 1.0})
    log, skipped = read(tmp_path / "runs")
    assert curve(log, "a", "loss") == pytest.approx({1: 0.1, 2: 0.05, 3: 0.1 / 3, 4: 0.025})
    assert log.trials["loss"].tolist() == pytest.approx([0.0125, 0.025])
    assert skipped.counts == {("status", "a metric whose name has another meaning here"): 2}
    for metric, best in (("hparam/accuracy", 0.8), ("loss", 0.025)):
        store = History(tmp_path / metric)
        (added,) = store.add(tmp_path / "runs", metric=metric).imported
        assert added.info.best == pytest.approx(best)
        assert added.info.statuses == {"completed": 2}
        assert not any("counted from 0" in note for note in added.info.notes)
        assert store.to_pandas()["epoch"].tolist() == [1, 2, 3, 4] * 2


def test_hyperparameters_and_final_values_alone(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "runs")) as writer:
        for number in (1, 2):
            writer.add_hparams({"lr": number / 8}, {"hparam/loss": number / 4}, run_name=f"r{number}")
    assert len(only(tmp_path / "runs").reports) == 0
    (added,) = History(tmp_path / "store").add(tmp_path / "runs").imported
    assert (added.info.metric, added.info.best, added.info.trials) == ("hparam/loss", 0.25, 2)


def test_a_metric_beside_the_hyperparameters_that_has_steps_is_a_curve(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import TensorBoardLogger
    from torch.utils.tensorboard import SummaryWriter

    logger = TensorBoardLogger(str(tmp_path), name="lightning")
    logger.log_hyperparams({"lr": 0.1}, {"val_loss": 0.0})
    for step in (5, 9):
        logger.log_metrics({"val_loss": step / 10}, step)
    logger.finalize("success")
    log = only(tmp_path / "lightning")
    assert curve(log, "version_0", "val_loss") == pytest.approx({0: 0.0, 5: 0.5, 9: 0.9})
    with SummaryWriter(str(tmp_path / "runs" / "one")) as writer:
        writer.add_hparams({"lr": 0.1}, {"acc": 0.5}, global_step=3)
    assert curve(only(tmp_path / "runs"), "one", "acc") == {3: 0.5}


@pytest.mark.parametrize("together", [1000, 2])
def test_what_a_restart_takes_back_is_dropped_as_in_tensorboard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    monkeypatch.setattr(tensorboard_run, "_MOST_STRETCHES", together)
    begun = ((None, range(1, 9)), (7, range(7, 13)), (5, (5, 6)), (None, (6, 4)))
    for number, (purge, steps) in enumerate(begun):
        with SummaryWriter(str(tmp_path), purge_step=purge, filename_suffix=f".{number}") as writer:
            for step in steps:
                writer.add_scalar("loss", 100 * number + step, step)
            if number == 1:
                writer.add_scalar("acc", 0.5, 12)
    files = sorted(tmp_path.iterdir(), key=lambda one: one.suffix)
    for number, file in enumerate(files):  # several that were begun in one second
        file.rename(tmp_path / f"events.out.tfevents.{number}")
    log = only(tmp_path)
    assert curve(log, tmp_path.name, "loss") == {1: 1, 2: 2, 3: 3, 4: 304, 5: 205, 6: 306}
    assert "acc" not in log.reports
    theirs = EventAccumulator(str(tmp_path)).Reload().Scalars("loss")
    assert curve(log, tmp_path.name, "loss") == {point.step: point.value for point in theirs}


def written(folder: Path, *values: tuple[str, int]) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for tag, step in values:
            writer.add_scalar(tag, step / 4, step)


def test_of_too_many_tags_those_stay_that_have_most_values_or_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(columns, "MOST_CELLS", 1)  # ten columns stay
    values = [("loss", step) for step in range(3)] + [(f"t{step}", step) for step in range(3, 30)]
    for run in ("a", "b"):
        written(tmp_path / run, *values)
    log, skipped = read(tmp_path)
    assert [*log.reports] == ["trial", "epoch", "seconds", "loss", *(f"t{at}" for at in range(3, 12))]
    assert skipped.counts == {("metrics", "a metric beside very many others"): 18}
    assert curve(log, "b", "loss") == {0: 0, 1: 0.25, 2: 0.5}
    assert log.reports["epoch"].tolist() == [*range(12)] * 2
    asked = Asked(metric="t29", rename={"t28": "accuracy"})
    (log,) = TensorBoard().read(tmp_path, asked, Skipped())
    assert curve(log, "b", "t29") == {29: 29 / 4}
    assert {"loss", "t28"} <= {*log.reports}


def test_runs_of_other_tags_stand_below_one_another(tmp_path: Path) -> None:
    written(tmp_path / "a", ("loss", 1), ("acc", 2))
    written(tmp_path / "b", ("acc", 3))
    written(tmp_path / "c", ("epoch", 3))
    (tmp_path / "c" / "hparams.yaml").write_text("lr: 1\n")
    log = only(tmp_path)
    assert log.trials["trial_id"].tolist() == ["a", "b", "c"]
    assert log.reports["trial"].tolist() == [0, 0, 1]
    assert (curve(log, "a", "acc"), curve(log, "b", "acc")) == ({2: 0.5}, {3: 0.75})
    assert log.reports["seconds"].min() == 0


def test_too_many_knobs_are_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_CELLS", 1)
    written(tmp_path / "a", ("loss", 1))
    (tmp_path / "a" / "hparams.yaml").write_text("".join(f"k{at}: {at}\n" for at in range(12)))
    log, skipped = read(tmp_path)
    assert sum(name.startswith("config/") for name in log.trials) == 10
    assert skipped.counts == {("hparams", "a knob beside very many others"): 2}


def test_text_that_utf8_lacks_is_written_out(tmp_path: Path) -> None:
    written(tmp_path / "runs" / "a", ("loss", 1), ("loss", 2))
    (tmp_path / "runs" / "a" / "hparams.yaml").write_text('a: "\\uD800x"\n"k\\uD801": 1\nlr: 0.5\n')
    (added,) = History(tmp_path / "store").add(tmp_path / "runs").imported
    trials = History(tmp_path / "store").trials()
    assert trials["config/a"].tolist() == ["\\ud800x"]
    assert trials["config/k\\ud801"].tolist() == [1]
    assert added.info.trials == 1


def test_the_folder_that_one_stands_in_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "runs" / "a", ("loss", 1), ("loss", 2))
    monkeypatch.chdir(tmp_path / "runs")
    (added,) = History(tmp_path / "store").add(".").imported
    assert added.info.task == "runs"
