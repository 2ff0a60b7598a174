"""A study of Optuna's, really run, in each of its storages that are files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 8,
    "metric": "value",
    "knobs": {"lr", "patience", "smooth"},
    "first": {0: 1.0, 1: 0.5, 2: 0.25},
}


def make(folder: Path) -> Path:
    """Three trials, the second of them pruned after two reports, in an SQLite file."""
    path = folder / "study.db"
    folder.mkdir(parents=True, exist_ok=True)
    _run(f"sqlite:///{path}")
    return path


def make_journal(folder: Path) -> Path:
    """The same in a journal file."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path = folder / "journal.log"
    folder.mkdir(parents=True, exist_ok=True)
    _run(JournalStorage(JournalFileBackend(str(path))))
    return path


def _run(storage: Any) -> None:
    import optuna

    def objective(trial: optuna.Trial) -> float:
        trial.suggest_float("lr", 0.001, 1.0, log=True)
        trial.suggest_int("patience", 0, 5)
        trial.suggest_categorical("smooth", [True, False])
        for step in range(3):
            trial.report(0.5**step, step)
            if trial.number == 1 and step == 1:
                raise optuna.TrialPruned
        return 0.25

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(storage=storage, study_name="sample", sampler=sampler)
    study.optimize(objective, n_trials=3)
    if hasattr(study._storage, "remove_session"):
        study._storage.remove_session()
