"""Running one leg of a trial: what every engine's worker does, whatever carries its reports."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tune_lr.errors import BadInput, MissingExtra, StorageFull, UnknownName
from tune_lr.journal import CONTINUE, PAUSE
from tune_lr.trials.randomness import seed_everything
from tune_lr.trials.trainer import Train
from tune_lr.trials.trial import Channel, Trial

#: What is wrong with every trial alike, if with one.
_ALIKE = ("metric", "device")
#: What a config names: a name that nothing has is a fault of the space.
_PARTS = ("optimizer", "schedule")


@dataclass(frozen=True)
class Leg:
    """One stretch of a trial on one worker: from its newest checkpoint until it ends or is paused.

    Args:
        config: what the trainer gets, bounds absolute.
        folder: the trial's folder; None keeps everything in memory.
        cpus: threads that PyTorch may use.
        must_save: the trial scheduler pauses, so a trainer without checkpoints is refused.
        heard: the last epoch whose report the driver has; None: it has all that the folder has.
    """

    trial_id: str
    config: dict[str, Any]
    seed: int
    max_epochs: int
    metric: str
    folder: str | None = None
    device: str = "auto"
    cpus: int = 1
    must_save: bool = False
    heard: int | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Leg:
        return cls(**data)


@dataclass(frozen=True)
class Outcome:
    """How a leg ended.

    Args:
        status: ``completed`` (the trainer returned by itself), ``ended`` (as the last decision said), or
            ``failed``.
        error: the reason or traceback of a failure.
        fatal: whether the job should end, since every other trial would fail alike: ``always``, or
            ``at first``, while no trial has reported; ``storage``: there is no space left, so the trial
            is not to blame and goes on when the job does.
    """

    status: Literal["completed", "ended", "failed"]
    error: str | None = None
    fatal: Literal["never", "at first", "always", "storage"] = "never"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def run_leg(leg: Leg, train: Train, channel: Channel) -> Outcome:
    """Train one leg to its end. Nothing that the trainer raises escapes, but for KeyboardInterrupt."""
    with _sole_user_of(leg.folder), threads(leg.cpus):
        seed_everything(leg.seed)
        trial = Trial(
            leg.trial_id,
            seed=leg.seed,
            max_epochs=leg.max_epochs,
            device=leg.device,
            folder=Path(leg.folder) if leg.folder else None,
            metric=leg.metric,
            channel=channel,
        )
        try:
            if leg.heard is not None:
                trial.catch_up(leg.heard)
            train(dict(leg.config), trial)
        except KeyboardInterrupt:
            raise
        except SystemExit as error:
            if trial.decision == CONTINUE and not _finished(trial):
                return Outcome("failed", f"the trainer left with sys.exit({error.code!r})")
        except StorageFull as error:
            return Outcome("failed", str(error), "storage")
        except MissingExtra as error:
            return Outcome("failed", f"{error}\n\n{traceback.format_exc()}", "at first")
        except BadInput as error:
            alike = error.field in _ALIKE or (isinstance(error, UnknownName) and error.field in _PARTS)
            whole = f"{error}\n\n{traceback.format_exc()}"
            return Outcome("failed", whole, "at first" if alike else "never")
        except BaseException:
            return Outcome("failed", traceback.format_exc())
        finally:
            trial.close()
        return _judge(trial, leg)


def _judge(trial: Trial, leg: Leg) -> Outcome:
    """What a trainer that returned has achieved."""
    if not trial.reported and trial.loaded_epoch >= trial.max_epochs:
        return Outcome("completed")  # it began as a copy of one that had trained to the end
    if not trial.reported:
        why = f"the trainer returned without ever calling trial.report({leg.metric}=...)"
        if trial.spoke_too_soon:
            why = (
                "the trainer reported, but not within `for epoch in trial.epochs():`, so nothing was trained"
            )
        return Outcome("failed", why, "at first")
    if trial.decision == CONTINUE:
        return Outcome("completed")
    if trial.decision == PAUSE and leg.must_save and not trial.saved:
        why = (
            "the trial scheduler pauses trials to go on with them later, but the trainer never calls "
            "trial.save(): add trial.resume(model=..., optimizer=..., schedule=...) and trial.save(), "
            "or choose a trial scheduler that only stops (asha, median, none)"
        )
        return Outcome("failed", why, "always")
    return Outcome("ended")


def _finished(trial: Trial) -> bool:
    return trial.last_reported >= trial.max_epochs


@contextmanager
def _sole_user_of(folder: str | None) -> Iterator[None]:
    """Wait for an earlier leg of the same trial (orphaned by a kill, or still saving) to let go."""
    if folder is None:
        yield
        return
    from filelock import FileLock

    os.makedirs(folder, exist_ok=True)
    with FileLock(os.path.join(folder, ".lock")):
        yield


@contextmanager
def threads(count: int) -> Iterator[None]:
    """The same number of threads on every engine, since sums differ with it."""
    import torch

    before = torch.get_num_threads()
    if before != count:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before != count:
            torch.set_num_threads(before)
