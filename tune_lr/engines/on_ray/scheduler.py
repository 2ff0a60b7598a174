"""How Ray's Tuner asks the driver: what to run, what a report means for its trial, and when to end.

To Ray every leg is a trial of its own: pausing ends the leg, and going on is a new leg. Ray asks a searcher
for trials and a scheduler for decisions; both ask the one conductor, and the conductor asks the driver.
"""

from __future__ import annotations

import json
from typing import Any

import ray
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from tune_lr.driver import Driver
from tune_lr.engines.on_ray.worker import LEG, OUTCOME, REPORT
from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.searchers.base import WAIT
from tune_lr.trials.run import Outcome


class Conductor:
    """Keeps which Ray trial runs which leg, and ends the run where going on makes no sense.

    Ray pickles the parts of a Tuner into a file that nobody here reads; a conductor leaves itself out of it.
    """

    def __init__(self, driver: Driver | None = None) -> None:
        self._driver = driver
        #: Ray's trial id -> ours, from the asking to the end of the leg.
        self._legs: dict[str, str] = {}
        #: Ray's trials that were added and have not ended.
        self._trials: dict[str, Any] = {}
        #: What went wrong in a call of the driver, or KeyboardInterrupt; raised again once Ray has ended.
        self.error: BaseException | None = None
        self._halted = False

    def __reduce__(self) -> Any:
        return Conductor, ()

    @property
    def driver(self) -> Driver:
        if self._driver is None:
            raise RuntimeError("a tuner.pkl of tune-lr cannot be restored: resume the experiment instead")
        return self._driver

    def interrupt(self) -> None:
        """End as soon as may be: somebody pressed Ctrl-C."""
        self.error = self.error or KeyboardInterrupt()

    def ask(self, ray_id: str) -> dict[str, Any] | str | None:
        """A config for a new Ray trial; None: not now; ``FINISHED``: never again."""
        if self.error:
            return str(Searcher.FINISHED)
        if len(self._legs) >= self.driver.job.workers:
            return None
        try:
            leg = self.driver.next()
        except BaseException as error:
            self.error = error
            return str(Searcher.FINISHED)
        if leg is WAIT:
            return None
        if leg is None:
            return str(Searcher.FINISHED)
        self._legs[ray_id] = leg.trial_id
        return {LEG: json.dumps(leg.to_json())}

    def add(self, trial: Any) -> None:
        self._trials[trial.trial_id] = trial

    def pending(self) -> Any:
        """The first of Ray's trials that waits for a worker."""
        return next((trial for trial in self._trials.values() if trial.status == "PENDING"), None)

    def report(self, trial: Any, result: dict[str, Any]) -> None:
        """Pass a report on; a decision to end travels to the actor ahead of Ray's next call to it."""
        if self.error or trial.trial_id not in self._legs:
            return
        decision: Decision = STOP
        try:
            report = Report.from_json(json.loads(result[REPORT]))
            decision = self.driver.report(self._legs[trial.trial_id], report)
        except BaseException as error:
            self.error = error
        if decision != CONTINUE:
            trial.temporary_state.ray_actor.decide.remote(decision)

    def finish(self, ray_id: str, outcome: Outcome) -> None:
        """A leg ended, or its worker died."""
        self._trials.pop(ray_id, None)
        trial_id = self._legs.pop(ray_id, None)
        if self.error or self._halted or trial_id is None:
            return
        try:
            self.driver.finish(trial_id, outcome)
        except BaseException as error:
            self.error = error

    def should_end(self) -> bool:
        """Whether the run is to end now, whatever still trains; if so, the workers are sent home."""
        if not (self.error or self.driver.failure):
            return False
        if not self._halted:
            self._halted = True
            for trial in self._trials.values():
                if trial.temporary_state.ray_actor is not None:
                    ray.kill(trial.temporary_state.ray_actor)
        return True


class LegSearcher(Searcher):
    """Suggests legs."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def set_search_properties(self, metric: Any, mode: Any, config: Any, **spec: Any) -> bool:
        return True

    def suggest(self, trial_id: str) -> Any:
        return self._conductor.ask(trial_id)

    def on_trial_complete(self, trial_id: str, result: Any = None, error: bool = False) -> None:
        """The scheduler has heard of it."""

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the journal is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing, as nothing was saved."""


class LegScheduler(FIFOScheduler):
    """First come, first served; the decisions are the driver's."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()
        self._conductor = conductor

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._conductor.add(trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self._conductor.report(trial, result)
        return str(FIFOScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        self._conductor.finish(trial.trial_id, Outcome(**json.loads(result[OUTCOME])))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self._conductor.finish(trial.trial_id, Outcome("failed", f"the worker died: {_cause(trial)}"))

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._conductor.finish(trial.trial_id, Outcome("failed", "the worker could not be started"))

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        return self._conductor.pending()


class LegStopper(Stopper):
    """Ends the run when the job has failed or was interrupted."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._conductor.should_end()


def _cause(trial: Any) -> str:
    """What Ray knows of a death, in few words."""
    try:
        error = trial.get_error()
    except Exception as unreadable:
        error = unreadable
    lines = [line.strip() for line in str(error or "").splitlines() if line.strip()]
    return "killed, out of memory, or it ended itself" if not lines else " ".join(lines)[:500]
