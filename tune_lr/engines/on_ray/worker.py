"""What runs inside a Ray actor: one leg after another, each on a thread of its own.

A trainer calls back (``trial.report``) while Ray calls in (``train``), so the two meet over queues: ``train``
hands the thread the decision on its last report and waits for the next one, or for the leg's end. A leg
always ends by itself, at ``trial.epochs()``, so no exception runs through the trainer and an actor is free
when its leg says so.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from tune_lr.errors import TuneLRError
from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.trials.run import Leg, Outcome, run_leg
from tune_lr.trials.trainer import Train, Trainer

#: Keys of a Ray trial's config and of what it reports; all hold JSON text, so Ray never sees a NaN.
LEG, REPORT, OUTCOME = "tune_lr_leg", "tune_lr_report", "tune_lr_outcome"

#: How long an actor that Ray stops waits for its leg.
_PATIENCE = 3.0


@dataclass(frozen=True)
class Plan:
    """What all legs of a job share.

    Args:
        trainer: the function that trains, imported by each actor.
        folder: the experiment's folder, which every node must see; None: in memory.
        cwd: where the driver runs, so that a trainer's relative paths mean the same here.
    """

    trainer: Trainer
    folder: str | None
    cwd: str


class LegThread:
    """One leg, running beside the actor's own thread."""

    def __init__(self, leg: Leg, train: Train) -> None:
        self._leg, self._train = leg, train
        self._said: queue.SimpleQueue[Report | Outcome] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Decision] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"trial {leg.trial_id}", daemon=True)
        self._started = False

    def advance(self, decision: Decision) -> Report | Outcome:
        """Answer the last report, if there was one, and wait for the next or for the end."""
        if self._started:
            self._answers.put(decision)
        else:
            self._started = True
            self._thread.start()
        return self._said.get()

    def end(self, decision: Decision, patience: float | None = None) -> None:
        """Let a leg that Ray cut off go home: its next report, or the one it waits at, hears ``decision``."""
        if self._started:
            self._answers.put(decision)
            self._thread.join(patience)

    def _run(self) -> None:
        try:
            with _logged(self._leg.folder):
                outcome = run_leg(self._leg, self._train, self._report)
        except BaseException:
            outcome = Outcome("failed", traceback.format_exc())
        self._said.put(outcome)

    def _report(self, report: Report) -> Decision:
        self._said.put(report)
        return self._answers.get()


class LegRunner(tune.Trainable):
    """The Ray trainable of engine ``ray``. A Ray trial is one leg; an actor runs many in turn."""

    plan: Plan

    def setup(self, config: dict[str, Any]) -> None:
        os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
        self._decision: Decision = CONTINUE
        self._refusal: Outcome | None = None
        try:
            self._enter_folder()
            self._train = self.plan.trainer.load()
        except TuneLRError as error:
            self._refusal = Outcome("failed", str(error), "always")
            return
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        if self._refusal is None:
            self._thread.end(STOP)
            self._enter_folder()
            self._begin(new_config)
        return True

    def decide(self, decision: Decision) -> None:
        """What became of the last report, where the leg is not simply to go on."""
        self._decision = decision

    def step(self) -> dict[str, Any]:
        said = self._refusal or self._thread.advance(self._decision)
        self._decision = CONTINUE
        if isinstance(said, Report):
            return {REPORT: json.dumps(said.to_json())}
        return {OUTCOME: json.dumps(said.to_json()), "done": True}

    def cleanup(self) -> None:
        if self._refusal is None:
            self._thread.end(STOP, _PATIENCE)

    def _begin(self, config: dict[str, Any]) -> None:
        self._decision = CONTINUE
        self._thread = LegThread(Leg.from_json(json.loads(config[LEG])), self._train)

    def _enter_folder(self) -> None:
        """Stand where the driver stands, and see what it sees."""
        if os.path.isdir(self.plan.cwd):
            os.chdir(self.plan.cwd)
        # Ray puts this folder first, where a file named as a library would hide it.
        sys.path.sort(key=lambda entry: entry in ("", self.plan.cwd))
        if self.plan.folder is not None and not Path(self.plan.folder, "journal.jsonl").exists():
            node = ray.util.get_node_ip_address()
            raise TuneLRError(
                f"the experiment's folder {self.plan.folder} is not to be seen on node {node}: "
                "choose an --out on a path that all nodes of the cluster share"
            )


def bound(plan: Plan) -> type[LegRunner]:
    """The trainable of one job; a class of its own travels to the actors with all that it holds."""
    return type("LegRunner", (LegRunner,), {"plan": plan})


@contextmanager
def _logged(folder: str | None) -> Iterator[None]:
    """Append all that this process prints, C libraries included, to the trial's ``output.log``."""
    if folder is None:
        yield
        return
    os.makedirs(folder, exist_ok=True)
    log = os.open(os.path.join(folder, "output.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    before = [os.dup(1), os.dup(2)]
    try:
        _point_output_at(log, log)
        yield
    finally:
        _point_output_at(*before)
        for descriptor in (log, *before):
            os.close(descriptor)


def _point_output_at(out: int, err: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(out, 1)
    os.dup2(err, 2)
