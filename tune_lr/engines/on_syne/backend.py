"""Syne Tune trials on warm workers: a ``TrialBackend`` for the real ``Tuner``, ours or anybody's.

A trial starts in milliseconds, its reports come as they happen, and it hears what was decided before its
next epoch. Pausing ends the worker; resuming is a new one that goes on from the trial's newest checkpoint.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from syne_tune.backend.trial_backend import TrialBackend
from syne_tune.backend.trial_status import Status, Trial
from syne_tune.constants import ST_WORKER_TIMESTAMP

from tune_lr.engines.on_syne.words import DIVERGED, Answering, result_of
from tune_lr.engines.workers import Ended, Reported, Workers
from tune_lr.errors import BadInput, JobFailed
from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Report
from tune_lr.objective import Objective
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.run import Leg, Outcome
from tune_lr.trials.trainer import Train, Trainer

#: Seconds that one look for news may last while something is running.
_POLL = 0.05
#: Seconds that trials which were told to stop get to clean up when the tuning ends.
_GRACE = 10.0


class WarmBackend(TrialBackend):
    """Runs ``train(config, trial)`` on warm worker processes.

    ::

        backend = WarmBackend("train.py:train", metric="val_loss", max_epochs=27)
        Tuner(backend, scheduler, ..., callbacks=[backend.callback(), StoreResultsCallback()]).run()

    Results hold what the trial reports, and under ``resource_attr`` the epochs trained. A loss that is no
    finite number reaches the scheduler as a very bad finite one, and the trial ends.

    Args:
        train: a function, or ``path/to/file.py[:function]``.
        metric: what every report must hold.
        max_epochs: the most epochs a trial may train.
        mode: ``min`` or ``max``.
        seed: what trials' own seeds derive from.
        device: ``auto``, or a torch device string.
        cpus_per_trial: threads that PyTorch may use.
        gpus_per_trial: whole GPUs that a trial has for itself; 0: trials share all that there are.
        resource_attr: the key of the epoch in a result (a scheduler's ``time_attr``).
        delete_checkpoints: delete a trial's checkpoints once it is stopped.
    """

    def __init__(
        self,
        train: Train | str | Trainer,
        *,
        metric: str,
        max_epochs: int,
        mode: Any = "min",
        seed: int = 0,
        device: str = "auto",
        cpus_per_trial: int = 1,
        gpus_per_trial: float = 0,
        resource_attr: str = "epoch",
        delete_checkpoints: bool = False,
    ) -> None:
        super().__init__(delete_checkpoints=delete_checkpoints)
        if isinstance(train, str):
            train = Trainer.from_text(train)
        self._trainer = train if isinstance(train, Trainer) else Trainer.from_callable(train)
        self._objective = Objective(metric, mode)
        self._max_epochs, self._seed, self._device = max_epochs, seed, device
        self._cpus, self._gpus, self._resource_attr = cpus_per_trial, gpus_per_trial, resource_attr
        self._root: Path | None = None
        self._errors: dict[int, str] = {}
        self._forget_processes()
        _ = Workers(self._trainer, gpus_per_trial)  # refuses now what it would refuse then

    def _forget_processes(self) -> None:
        self._pool: Workers | None = None
        #: leg -> trial, for every worker that lives; a paused trial's last leg may overlap with its next.
        self._legs: dict[int, int] = {}
        #: trial -> its newest leg
        self._newest: dict[int, int] = {}
        #: trial -> a report that the Tuner has not fetched
        self._unseen: dict[int, Report] = {}
        #: trial -> the leg whose report waits for an answer
        self._asking: dict[int, int] = {}
        #: Ends that the Tuner must not see before it has dealt with the report that came first.
        self._late: list[Ended] = []

    def __getstate__(self) -> dict[str, Any]:
        gone = ("_pool", "_legs", "_newest", "_unseen", "_asking", "_late", "_last_metric_seen_index")
        return {name: value for name, value in self.__dict__.items() if name not in gone}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._last_metric_seen_index: dict[int, int] = {}
        self._forget_processes()
        for trial in self._trial_dict.values():
            if trial.status == Status.in_progress:  # its worker was another process's
                trial.status = Status.stopped

    def callback(self) -> Answering:
        """To be among the ``Tuner``'s callbacks, so that trials hear at once that they may go on.

        Without it they hear at the Tuner's next round. It also sets the Tuner's ``sleep_time`` to 0: this
        backend does the waiting, and wakes up for news.
        """
        return Answering(self.answer)

    def start(self) -> None:
        """Load the trainer and get workers ready; otherwise the first trial does.

        Raises:
            BadInput: the trainer cannot be loaded, or there are too few GPUs.
            JobFailed: it ends the process that loads it.
        """
        if self._pool is None:
            self._pool = Workers(self._trainer, self._gpus)
        self._pool.start()

    def close(self) -> None:
        """End all workers at once."""
        if self._pool is not None:
            self._pool.close()
        self._forget_processes()

    def answer(self, trial_id: int, decision: Decision) -> None:
        """Let a trial that waits for it hear what was decided."""
        number = self._asking.pop(trial_id, None)
        if number is not None and self._pool is not None:
            metrics = self._trial_dict[trial_id].metrics
            diverged = bool(metrics) and DIVERGED in metrics[-1]
            self._pool.answer(number, STOP if decision == CONTINUE and diverged else decision)

    # What the Tuner calls ---------------------------------------------------------------------------

    def _schedule(self, trial_id: int, config: dict[str, Any]) -> None:
        self.start()
        assert self._pool is not None
        number = self._pool.launch(self._leg(trial_id, config))
        self._legs[number] = trial_id
        self._newest[trial_id] = number

    def _leg(self, trial_id: int, config: dict[str, Any]) -> Leg:
        """What a worker is to do for this trial."""
        folder = self._folder(trial_id)
        if trial_id not in self._trial_dict and not TrialFolder(folder).inherited:
            shutil.rmtree(folder, ignore_errors=True)  # of an earlier tuning of the same name
        digest = hashlib.sha256(f"{self._seed}/{trial_id}".encode()).digest()
        return Leg(
            trial_id=str(trial_id),
            config=dict(config),
            seed=int.from_bytes(digest[:4], "big") >> 1,
            max_epochs=self._max_epochs,
            metric=self._objective.metric,
            folder=str(folder),
            device=self._device,
            cpus=self._cpus,
            must_save=True,
        )

    def fetch_status_results(self, trial_ids: list[int]) -> tuple[dict[int, Any], list[tuple[int, Any]]]:
        """Wait for news a little, and hand over what there is."""
        for trial_id in list(self._asking):
            if trial_id not in self._unseen:  # the Tuner saw the report, and neither stopped nor paused
                self.answer(trial_id, CONTINUE)
        self._listen()
        results = []
        for trial_id in trial_ids:
            if trial_id in self._unseen:
                result = self._result(self._unseen.pop(trial_id))
                self._trial_dict[trial_id].metrics.append(result)
                results.append((trial_id, result))
        results.sort(key=lambda one: one[1][ST_WORKER_TIMESTAMP])
        known = {trial_id: self._trial_dict[trial_id] for trial_id in trial_ids}
        statuses = {
            i: (Trial(i, trial.config, trial.creation_time), trial.status) for i, trial in known.items()
        }
        return statuses, results

    def _result(self, report: Report) -> dict[str, Any]:
        return result_of(report, self._objective, self._resource_attr)

    def _listen(self) -> None:
        if self._pool is None:
            return
        events: list[Reported | Ended] = [*self._late]
        self._late = []
        events += self._pool.wait(0 if events or not self._pool.busy else _POLL)
        for event in events:
            trial_id = self._legs[event.number]
            if isinstance(event, Ended):
                if self._asking.get(trial_id) == event.number:
                    self._late.append(event)
                else:
                    self._end(event.number, trial_id, event.outcome)
            elif self._is_running(trial_id, event.number):
                self._unseen[trial_id], self._asking[trial_id] = event.report, event.number
            else:  # stopped or paused while it was training
                self._pool.answer(event.number, PAUSE)

    def _is_running(self, trial_id: int, number: int) -> bool:
        running = self._trial_dict[trial_id].status == Status.in_progress
        return bool(running and self._newest[trial_id] == number)

    def _end(self, number: int, trial_id: int, outcome: Outcome) -> None:
        del self._legs[number]
        if outcome.error:
            self._errors[trial_id] = outcome.error
        if self._newest[trial_id] != number:
            return
        trial = self._trial_dict[trial_id]
        if trial.status == Status.in_progress:
            fine = outcome.status != "failed" and trial.metrics  # the Tuner raises where there are no metrics
            trial.status = Status.completed if fine else Status.failed
        elif trial.status == Status.stopped and self.delete_checkpoints:
            self.delete_checkpoint(trial_id)  # what it saved after it was told
        elif trial.status == Status.paused and outcome.fatal == "always":
            raise JobFailed(f"trial {trial_id} cannot be paused: {outcome.error}")

    def busy_trial_ids(self) -> list[tuple[int, str]]:
        """Every trial with a worker, also one that was stopped and is cleaning up."""
        return [
            (trial_id, self._trial_dict[trial_id].status) for trial_id in dict.fromkeys(self._legs.values())
        ]

    def _all_trial_results(self, trial_ids: list[int]) -> list[Any]:
        return [self._trial_dict[trial_id] for trial_id in trial_ids]

    def _stop_trial(self, trial_id: int, result: Mapping[str, Any] | None) -> None:
        """A trial that waits for a decision ends by itself; one in the middle of an epoch is killed."""
        self._trial_dict[trial_id].status = Status.stopped
        if trial_id in self._asking:
            self.answer(trial_id, STOP)
        elif self._pool is not None and self._newest.get(trial_id) in self._legs:
            self._pool.kill(self._newest[trial_id])

    def _pause_trial(self, trial_id: int, result: Mapping[str, Any] | None) -> None:
        """Or, in the middle of an epoch, at the end of it."""
        self.answer(trial_id, PAUSE)

    def _resume_trial(self, trial_id: int) -> None:
        """Nothing to do: the next leg begins at the checkpoint."""

    def stop_all(self) -> None:
        """End all trials; those that were told to stop before get a little time to clean up."""
        super().stop_all()
        deadline = time.monotonic() + _GRACE
        while self._pool is not None and self._pool.busy and time.monotonic() < deadline:
            self._listen()
        self.close()

    # Files ------------------------------------------------------------------------------------------

    def set_path(self, results_root: str | None = None, tuner_name: str | None = None) -> None:
        """Where the trials' folders are."""
        if results_root is not None:
            self._root = Path(results_root).expanduser().resolve()

    def _folder(self, trial_id: int) -> Path:
        if self._root is None:
            raise BadInput("results_root", None, "a folder, set by the Tuner or set_path()")
        return self._root / str(trial_id)

    def copy_checkpoint(self, src_trial_id: int, tgt_trial_id: int) -> None:
        """Let a new trial begin at another's newest checkpoint."""
        shutil.rmtree(self._folder(tgt_trial_id), ignore_errors=True)
        TrialFolder(self._folder(tgt_trial_id)).inherit(TrialFolder(self._folder(src_trial_id)))

    def delete_checkpoint(self, trial_id: int) -> None:
        """Delete what a trial saved."""
        TrialFolder(self._folder(trial_id)).drop_checkpoints()

    def stdout(self, trial_id: int) -> list[str]:
        """What the trainer printed, standard error included."""
        with suppress(OSError):
            return (self._folder(trial_id) / "output.log").read_text("utf-8", "replace").splitlines(True)
        return []

    def stderr(self, trial_id: int) -> list[str]:
        """Why the trial failed, if it did."""
        return self._errors.get(trial_id, "").splitlines(True)

    def entrypoint_path(self) -> Path:
        """What the Tuner is named after."""
        return Path(self._trainer.file or self._trainer.module or "train")

    def set_entrypoint(self, entry_point: str) -> None:
        """Train with another file or module."""
        self.close()
        self._trainer = Trainer.from_text(entry_point)
