"""Tuning jobs: ``tune`` and ``resume``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tune_lr import registry
from tune_lr.driver import Listener
from tune_lr.errors import BadInput, TuneLRError
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.jobs import priors
from tune_lr.jobs.logs import kinds_of, logged
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space
from tune_lr.trials.device import device_of
from tune_lr.trials.trainer import Train, Trainer

Space = SearchSpace | str | os.PathLike[str] | Mapping[str, Any]


def tune(
    train: Train | str,
    space: Space,
    *,
    out: str | os.PathLike[str] | None = None,
    progress: bool = True,
    listeners: tuple[Listener, ...] = (),
    log: Sequence[str] | str | None = None,
    **asked: Any,
) -> Experiment:
    """Run one tuning job and return its experiment; the same call again goes on where it was cut off.

    Args:
        train: ``train(config, trial)``, or where it is: ``path/to/file.py[:function]``.
        space: a ``SearchSpace``, the name of a shipped one, a path, or the content of a space file.
        out: the experiment's own folder or fsspec URI; None makes one under ``runs/``.
        progress: show how it goes: live on a terminal, plain lines in a notebook or a file.
        listeners: called after every event with the event and the record.
        log: other tools that get the reports as well: ``tensorboard``, ``mlflow``, ``wandb``.
        asked: the fields of ``Job``: ``engine``, ``searcher``, ``trial_scheduler``, ``prior``, ``trials``,
            ``max_epochs``, ``workers``, ``seed``, ``metric``, ``mode``, ``scope``, ``budget``, ...
            ``prior`` may also be a ``Prior`` or a ``History``, or None for none.

    Raises:
        BadInput: something asked for is not usable; the message says what would be right.
        JobFailed: the trials failed in a way that going on cannot mend.
        KeyboardInterrupt: after Ctrl-C, with everything kept.
    """
    kinds_of(log)  # before anything is made
    experiment, trainer = prepare(train, space, out=out, **asked)
    with _shown(progress) as showing, logged(experiment, log) as sinks:
        return run(experiment, trainer, showing + sinks + listeners)


def resume(
    path: str | os.PathLike[str],
    train: Train | str | None = None,
    *,
    progress: bool = True,
    listeners: tuple[Listener, ...] = (),
    log: Sequence[str] | str | None = None,
    **changes: Any,
) -> Experiment:
    """Go on with an experiment that was killed or interrupted, or extend a finished one.

    Args:
        path: its folder or fsspec URI.
        train: needed only where the experiment was started with a function that has no file.
        progress: as for ``tune``.
        listeners: as for ``tune``.
        log: as for ``tune``.
        changes: what is asked anew, as ``trials=80`` or ``budget="900epochs"``.

    Raises:
        BadInput: as ``tune``.
    """
    experiment, trainer = reopen(path, train, **changes)
    with _shown(progress) as showing, logged(experiment, log) as sinks:
        return run(experiment, trainer, showing + sinks + listeners)


def prepare(
    train: Train | str, space: Space, *, out: str | os.PathLike[str] | None = None, **asked: Any
) -> tuple[Experiment, Trainer]:
    """The first half of ``tune``: the experiment and the trainer, ready to ``run``.

    Args:
        train: as for ``tune``, like the others.
        space: where to search.
        out: the experiment's folder.
        asked: the fields of ``Job``.
    """
    trainer = trainer_of(train)
    asked, given = priors.named(asked)
    job = Job.make({**asked, "trainer": str(trainer), "space": space_of(space).to_dict()})
    _require_device(job.device, job.address)
    experiment = Experiment.open(out if out is not None else new_folder(trainer), job)
    priors.settle(experiment, given)
    return experiment, trainer


def reopen(
    path: str | os.PathLike[str], train: Train | str | None = None, **changes: Any
) -> tuple[Experiment, Trainer]:
    """The first half of ``resume``: the experiment, its changes written down, and the trainer.

    Args:
        path: as for ``resume``, like the others.
        train: the training function.
        changes: what is asked anew.
    """
    experiment = Experiment.open(path)
    if train is None:
        train = experiment.job.trainer
        if train.startswith("<"):
            raise BadInput(
                "trainer",
                train,
                "the training function again, since it has no file: tune_lr.resume(folder, train), or "
                "--trainer FILE[:FUNCTION] on the command line",
            )
    trainer = trainer_of(train)
    registry.load("engines", changes.get("engine", experiment.job.engine))  # before it is written down
    job = experiment.job
    _require_device(changes.get("device", job.device), changes.get("address", job.address))
    experiment.change({**changes, "trainer": str(trainer)})
    priors.settle(experiment)
    return experiment, trainer


def run(experiment: Experiment, trainer: Trainer, listeners: tuple[Listener, ...] = ()) -> Experiment:
    """Run an opened experiment's job to its end."""
    try:
        engine = registry.load("engines", experiment.job.engine)()
        with experiment.drive(listeners) as driver:
            engine.run(driver, trainer)
            driver.conclude()
            if driver.failure:
                raise driver.failure
    except TuneLRError as error:
        if error.exit_code == 2:  # bad use: nothing was begun, so nothing stays behind
            experiment.discard_if_empty()
        raise
    return experiment


def new_folder(trainer: Trainer, what: str = "") -> Path:
    """``runs/<what><trainer>-<date>-<time>``, a name that is free."""
    stem = Path(trainer.file).stem if trainer.file else trainer.function.strip("<>") or "train"
    base = Path("runs") / f"{what}{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    candidate, number = base, 1
    while candidate.exists():
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate


@contextmanager
def _shown(progress: bool) -> Iterator[tuple[Listener, ...]]:
    if not progress:
        yield ()
        return
    with registry.load("views", "progress")() as listener:
        yield (listener,)


def trainer_of(train: Train | str) -> Trainer:
    """The trainer that a function or a text names."""
    return Trainer.from_text(train) if isinstance(train, str) else Trainer.from_callable(train)


def _require_device(device: str, address: str | None) -> None:
    """Refuse a device that this machine has not, where this machine is to train on it."""
    if address is None and device not in ("auto", "cpu"):
        device_of(device)


def space_of(space: Space) -> SearchSpace:
    """The space itself, by name, path, content, or as it is."""
    if isinstance(space, SearchSpace):
        return space
    if isinstance(space, Mapping):
        return SearchSpace.from_dict(space)
    return load_space(space)
