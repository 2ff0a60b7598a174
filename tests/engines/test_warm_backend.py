"""``WarmBackend`` in plain Syne Tune: the real Tuner and Syne Tune's own schedulers."""

from __future__ import annotations

import contextlib
import io
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import dill
import pandas as pd
import pytest
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend.trial_status import Status
from syne_tune.config_space import choice, loguniform
from syne_tune.optimizer.baselines import ASHA, RandomSearch
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler, TrialSuggestion
from syne_tune.optimizer.schedulers.pbt import PopulationBasedTraining
from syne_tune.results_callback import StoreResultsCallback

from tune_lr.engines.on_syne import WarmBackend
from tune_lr.errors import BadInput, JobFailed
from tune_lr.objective import WORST_LOSS

TRAINERS = Path(__file__).with_name("trainers.py")
LR = {"lr": loguniform(1e-3, 1.0)}

pytestmark = pytest.mark.syne


@pytest.fixture(autouse=True)
def _results_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNETUNE_FOLDER", str(tmp_path))


def backend_for(trainer: str, max_epochs: int = 9, **options: Any) -> WarmBackend:
    return WarmBackend(f"{TRAINERS}:{trainer}", metric="val_loss", max_epochs=max_epochs, **options)


def tune(
    backend: WarmBackend,
    scheduler: Any,
    finished: int,
    workers: int = 2,
    answering: bool = True,
    **options: Any,
) -> tuple[Tuner, pd.DataFrame]:
    """Run the Tuner as a user would, and read what it stored."""
    callbacks = [*([backend.callback()] if answering else []), StoreResultsCallback()]
    with contextlib.redirect_stdout(io.StringIO()):
        tuner = Tuner(
            backend,
            scheduler,
            stop_criterion=StoppingCriterion(max_num_trials_finished=finished),
            n_workers=workers,
            sleep_time=0.01,
            callbacks=callbacks,
            tuner_name="warm",
            **{"save_tuner": False, **options},
        )
        tuner.run()
    return tuner, pd.read_csv(tuner.tuner_path / "results.csv.zip")


def asha(space: dict[str, Any] = LR, max_t: int = 9) -> ASHA:
    return ASHA(space, metric="val_loss", time_attr="epoch", max_t=max_t, random_seed=0)


@pytest.mark.parametrize("options", [{}, {"answering": False}, {"start_jobs_without_delay": False}])
def test_asha_stops_trials_and_no_trial_runs_past_a_decision(options: dict[str, Any]) -> None:
    backend = backend_for("steady")
    _, results = tune(backend, asha(), finished=8, **options)
    assert len(results.trial_id.unique()) >= 8
    for trial_id, rows in results.groupby("trial_id"):
        assert list(rows.epoch) == list(range(1, len(rows) + 1))
        folder = backend._folder(int(trial_id))
        reported = len((folder / "reports.jsonl").read_text().splitlines())
        if rows.st_decision.iloc[-1] == "STOP":
            assert reported == len(rows)
    assert (results.groupby("trial_id").epoch.max() == 1).any()
    assert (results.groupby("trial_id").epoch.max() == 9).any()


class Rounds(TrialScheduler):
    """Trains four trials an epoch at a time, in turns: everything pauses, everything is resumed."""

    def __init__(self, trials: int, epochs: int) -> None:
        super().__init__(random_seed=0)
        self.left, self.epochs, self.paused = trials, epochs, []

    def suggest(self) -> TrialSuggestion | None:
        if self.left:
            self.left -= 1
            return TrialSuggestion.start_suggestion({"lr": 0.1 * (self.left + 1)})
        if self.paused:
            return TrialSuggestion.resume_suggestion(self.paused.pop(0))
        return None

    def on_trial_result(self, trial: Any, result: dict[str, Any]) -> str:
        if result["epoch"] >= self.epochs:
            return SchedulerDecision.CONTINUE
        self.paused.append(trial.trial_id)
        return SchedulerDecision.PAUSE

    def metric_names(self) -> list[str]:
        return ["val_loss"]

    def metric_mode(self) -> str:
        return "min"

    def metadata(self) -> dict[str, Any]:
        return {"metric_names": ["val_loss"], "metric_mode": "min"}


@pytest.mark.parametrize("workers", [1, 2])
def test_pause_and_resume_train_each_epoch_once(workers: int) -> None:
    backend = backend_for("steady", max_epochs=3)
    _, results = tune(backend, Rounds(4, 3), finished=100, workers=workers)
    epochs = {trial_id: list(rows.epoch) for trial_id, rows in results.groupby("trial_id")}
    assert epochs == {trial_id: [1, 2, 3] for trial_id in range(4)}
    for _, rows in results.groupby("trial_id"):
        assert rows.val_loss.is_monotonic_decreasing
    assert {trial.status for trial in backend._trial_dict.values()} == {Status.completed}


def test_a_trainer_that_cannot_be_paused_is_refused() -> None:
    with pytest.raises(JobFailed, match="never calls"):
        tune(backend_for("where", max_epochs=3), Rounds(2, 3), finished=100, workers=1)


def test_a_bad_end_fails_the_trial_and_logs_are_there() -> None:
    backend = backend_for("ends", max_epochs=3)
    space = {"how": choice(["well", "raise", "exit", "os-exit", "kill", "nan"])}
    points = [{"how": how} for how in space["how"].categories]
    scheduler = RandomSearch(space, metrics=["val_loss"], points_to_evaluate=points, random_seed=0)
    tuner, results = tune(backend, scheduler, finished=9, max_failures=100)
    states = {trial.config["how"]: (i, trial.status) for i, trial in backend._trial_dict.items() if i < 6}
    assert states["well"][1] == Status.completed
    assert all(states[how][1] == Status.failed for how in ("raise", "exit", "os-exit", "kill"))
    assert "on purpose" in "".join(backend.stderr(states["raise"][0]))
    assert backend.stdout(states["raise"][0]) == ["a last word } { [tune-metric]: {\n"]
    assert backend.stdout(999) == backend.stderr(999) == []
    diverged = results[results.trial_id == states["nan"][0]]
    assert list(diverged.val_loss) == [1.0, WORST_LOSS]
    assert states["nan"][1] == Status.completed
    assert tuner.tuning_status.num_trials_failed >= 4


def test_a_trial_without_reports_is_a_failure_to_the_tuner() -> None:
    backend = backend_for("silent", max_epochs=2)
    with pytest.raises(ValueError, match="Trial - 0 failed"):
        tune(backend, asha(), finished=3, workers=1)
    assert "without ever calling" in "".join(backend.stderr(0))


def test_population_based_training_copies_checkpoints() -> None:
    backend = backend_for("slow", max_epochs=6)
    copied = []
    copy = backend.copy_checkpoint

    def noting(src_trial_id: int, tgt_trial_id: int) -> None:
        copy(src_trial_id, tgt_trial_id)
        copied.append(tgt_trial_id)

    backend.copy_checkpoint = noting  # type: ignore[method-assign]
    scheduler = PopulationBasedTraining(
        LR, metric="val_loss", time_attr="epoch", max_t=6, perturbation_interval=1, random_seed=0
    )
    _, results = tune(backend, scheduler, finished=6, workers=3)
    first = defaultdict(int, results.groupby("trial_id").epoch.min().to_dict())
    assert copied
    assert any(first[trial_id] > 1 for trial_id in copied)
    assert all(first[trial_id] == 1 for trial_id in first if trial_id not in copied)


def test_checkpoints_are_deleted_when_asked() -> None:
    backend = backend_for("steady", delete_checkpoints=True)
    tune(backend, asha(), finished=4)
    assert backend._root is not None
    assert list(backend._root.glob("*/*.pt")) == []
    assert list(backend._root.glob("*/reports.jsonl"))


def test_the_end_of_the_tuning_ends_trials_in_mid_epoch(tmp_path: Path) -> None:
    backend = backend_for("forever")
    space = {"note": str(tmp_path / "pid"), **LR}
    began = time.monotonic()

    def enough(status: Any) -> bool:
        return (tmp_path / "pid").exists()

    with contextlib.redirect_stdout(io.StringIO()):
        Tuner(
            backend,
            RandomSearch(space, metrics=["val_loss"], random_seed=0),
            stop_criterion=enough,
            n_workers=1,
            sleep_time=0.01,
            callbacks=[backend.callback(), StoreResultsCallback()],
            save_tuner=False,
        ).run()
    assert time.monotonic() - began < 20
    assert backend._pool is None
    assert backend._trial_dict[0].status == Status.stopped


def test_it_is_pickled_with_the_tuner_and_used_again() -> None:
    backend = backend_for("steady", max_epochs=2)
    tuner, _ = tune(backend, asha(max_t=2), finished=2, save_tuner=True)
    with contextlib.redirect_stdout(io.StringIO()):
        again = Tuner.load(str(tuner.tuner_path))
        again.stop_criterion = StoppingCriterion(max_num_trials_finished=5)
        again.run()
    assert again.tuning_status.num_trials_finished >= 5
    assert dill.loads(dill.dumps(backend))._pool is None


def test_a_function_and_an_old_folder(tmp_path: Path) -> None:
    def train(config: dict[str, Any], trial: Any) -> None:
        for _ in trial.epochs():
            trial.save({})
            trial.report(val_loss=config["lr"], epochs_before=len(list(tmp_path.glob("*"))))

    for _ in range(2):  # the second time its folders are full of the first's checkpoints
        backend = WarmBackend(train, metric="val_loss", max_epochs=2)
        _, results = tune(backend, asha(max_t=3), finished=2, suffix_tuner_name=False)
        assert set(results.groupby("trial_id").epoch.min()) == {1}


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"train": "no_such_file.py:train"}, "a Python file that exists"),
        ({"train": f"{TRAINERS}:steady", "gpus_per_trial": 0.5}, "engine ray"),
        ({"train": f"{TRAINERS}:steady", "mode": "most"}, "min or max"),
    ],
)
def test_bad_input_is_told_at_once(made: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        WarmBackend(**{"metric": "val_loss", "max_epochs": 3, **made})
