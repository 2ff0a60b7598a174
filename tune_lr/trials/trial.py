"""The handle that a trainer gets: where it runs, how long, what it reports, and its checkpoints."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from tune_lr.errors import BadInput
from tune_lr.journal import CONTINUE, Decision, Report, storable
from tune_lr.trials import randomness
from tune_lr.trials.folder import TrialFolder, TrialMemory


class Channel(Protocol):
    """How a report reaches whoever decides. Returns the decision; the trial waits for it."""

    def __call__(self, report: Report) -> Decision: ...


class Trial:
    """One training run of one configuration, as the trainer sees it.

    Alone, for debugging, ``train(config, Trial(max_epochs=3))`` prints what it reports.

    Args:
        id: the trial's name.
        seed: what the trainer should seed with; a worker has seeded the global generators with it.
        max_epochs: the most epochs it may train.
        device: ``auto`` (CUDA, else MPS, else CPU), or a torch device string.
        folder: where checkpoints and reports go; None keeps the newest checkpoint in memory.
        metric: the metric that every report must hold; None asks for none.
        channel: who hears of reports and decides; None prints them and goes on.
    """

    def __init__(
        self,
        id: str = "alone",
        *,
        seed: int = 0,
        max_epochs: int = 27,
        device: str = "auto",
        folder: Path | None = None,
        metric: str | None = None,
        channel: Channel | None = None,
    ) -> None:
        self.id, self.seed, self.max_epochs = id, seed, max_epochs
        #: What was decided about the trial at its last report.
        self.decision: Decision = CONTINUE
        #: Whether a checkpoint was ever written or found.
        self.saved = False
        self._device = device
        #: The metric that every report must hold, if any.
        self.metric = metric
        self._channel = channel or _print_report
        self._folder: TrialFolder | TrialMemory = TrialFolder(folder) if folder else TrialMemory()
        past = self._folder.reports()
        self._known = {report.epoch for report in past}
        self._began = time.monotonic() - (past[-1].seconds if past else 0.0)
        self._epoch = 0
        #: The last epoch reported in this leg; 0 before any.
        self.last_reported = 0
        #: The epoch of the checkpoint that was loaded; 0 without one.
        self.loaded_epoch = 0
        #: Whether it reported outside of ``epochs()``, before any epoch.
        self.spoke_too_soon = False
        self._objects: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}
        self._randomness: dict[str, Any] | None = None

    @property
    def device(self) -> Any:
        """The ``torch.device`` to train on.

        Raises:
            BadInput: this machine has none of that name.
        """
        from tune_lr.trials.device import device_of

        return device_of(self._device)

    @property
    def copied(self) -> bool:
        """Whether the checkpoint that was loaded is a copy of another trial's."""
        return self._folder.on_a_copy

    @property
    def reported(self) -> bool:
        """Whether the trial has ever reported, in this leg or an earlier one."""
        return bool(self._known)

    def epochs(self) -> Iterator[int]:
        """The epochs to train, from 1, beginning after the checkpoint that was loaded, if any.

        Ends when ``max_epochs`` are trained or the trial is to stop, so that code after the loop runs. The
        global generators begin where the checkpoint found them, whatever was drawn since it was loaded.
        """
        if self._randomness is not None:
            randomness.restore(self._randomness)
            self._randomness = None
        while not self.over:
            self._epoch += 1
            yield self._epoch

    @property
    def over(self) -> bool:
        """Whether no epoch is left: ``max_epochs`` are trained, or the last decision was to end.

        Where ``epochs()`` ends; callbacks of other people's loops ask for it instead.
        """
        return self._epoch >= self.max_epochs or self.decision != CONTINUE

    def report(self, **metrics: Any) -> None:
        """Report what this epoch came to, once an epoch, and hear the decision before the next.

        Values are numbers, one-element tensors or None; a loss that is NaN, infinite or None makes the
        trial diverged. Before the first epoch a report is noted in the trial's folder and goes no further:
        an untrained net says nothing about a configuration.

        Raises:
            BadInput: the metric the job optimizes is missing, a value is no number, a name is one that the
                tables use (``trial_id``, ``epoch``, ``seconds``), or this epoch was reported already.
        """
        for name in metrics:
            if name in _TAKEN or name.startswith("config/"):
                raise BadInput("trial.report", name, f"another name: the tables use {', '.join(_TAKEN)}")
        if self.metric is not None and self.metric not in metrics:
            names = ", ".join(sorted(metrics)) or "nothing"
            raise BadInput("metric", self.metric, f"a metric that the trainer reports (it reported: {names})")
        if self._epoch and self._epoch == self.last_reported:
            raise BadInput(
                "trial.report", f"epoch {self._epoch}", "one report an epoch, with all its metrics"
            )
        numbers = {storable(name): _number(name, value) for name, value in metrics.items()}
        report = Report(self._epoch, time.monotonic() - self._began, numbers)
        if self._epoch not in self._known:
            self._folder.append(report)
        if self._epoch == 0:
            if self.spoke_too_soon:
                raise BadInput(
                    "trial.report",
                    report.metrics,
                    "reports within `for epoch in trial.epochs():`, one an epoch",
                )
            self.spoke_too_soon = True
            return
        self._known.add(self._epoch)
        self.last_reported = self._epoch
        asked = time.monotonic()
        self.decision = self._channel(report)
        self._began += time.monotonic() - asked  # waiting for a decision is no training

    def catch_up(self, heard: int) -> None:
        """Send what was reported after epoch ``heard`` and reached nobody.

        A worker that outlives its driver, or is cut off while it reports, may write to the trial's folder
        after the next driver has looked there.
        """
        for report in self._folder.reports():
            if report.epoch > heard and self.decision == CONTINUE:
                self.decision = self._channel(report)

    def resume(self, **objects: Any) -> int:
        """Name what a checkpoint holds, and load the newest one into it, if any.

        Where that is a copy of another trial's (population-based training), optimizer and schedule take over
        what it learned and keep their own settings: see ``adoption.adopt``. Call it before the first step.

        Args:
            objects: name -> anything with ``state_dict``/``load_state_dict`` (model, optimizer, schedule,
                loader, scaler) or ``get_state``/``set_state`` (a ``torch.Generator``).

        Returns:
            The epoch of the checkpoint; 0 where there is none.
        """
        from tune_lr.trials import adoption

        self._objects = objects
        state = self.load()
        if state is None:
            return 0
        missing = sorted(set(objects) - set(state))
        if missing:
            raise BadInput(
                "trial.resume", missing, f"names that the checkpoint holds: {', '.join(sorted(state))}"
            )
        for name, thing in objects.items():
            if self.copied:
                done = self._epoch / self.max_epochs
                adoption.adopt(thing, state[name], self._kinds.get(name), done)
            else:
                adoption.load_exactly(thing, state[name])
        return self._epoch

    def save(self, state: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint of this epoch: ``state``, or what ``resume`` was given.

        The states of Python's, NumPy's and PyTorch's global generators ride along, so a resumed trial
        trains on as if it had never been interrupted. What the schedules among the objects of ``resume`` have
        decided is kept along (``keep_decisions``).

        Raises:
            BadInput: neither a state nor a ``resume(model=...)`` before, or the state cannot be read back
                with ``weights_only=True``.
        """
        from tune_lr.trials import adoption

        if state is None:
            if not self._objects:
                raise BadInput(
                    "trial.save", None, "trial.resume(model=..., ...) before it, or trial.save(state)"
                )
            state = {
                name: thing.state_dict() if hasattr(thing, "state_dict") else thing.get_state()
                for name, thing in self._objects.items()
            }
        kinds = adoption.kinds(self._objects)
        whole = {"state": dict(state), "randomness": randomness.capture(), "kinds": kinds}
        self._folder.save(self._epoch, whole, max(self._known, default=0))
        self.saved = True
        self.keep_decisions(**self._objects)

    def keep_decisions(self, **schedules: Any) -> None:
        """Write what schedules have decided so far into the trial's folder, as ``decisions.jsonl``.

        ``save()`` does it for what ``resume`` was given; this is for who saves otherwise. What keeps no
        ``history`` is passed over; without a folder nothing is written.

        Args:
            schedules: name -> a schedule; all of them at once, since they replace what was written before.
        """
        self._folder.keep_decisions(schedules)

    def load(self) -> Any:
        """The newest checkpoint's state, or None; ``epochs()`` goes on after it.

        Tensors come back on the CPU; a module's or optimizer's ``load_state_dict`` puts them where it is.
        Where it is another trial's (``copied``), so are the settings in it.
        """
        found = self._folder.load()
        if found is None:
            return None
        self._epoch, whole = found
        self.loaded_epoch = self._epoch
        self.saved = True
        self._randomness = whole["randomness"]
        self._kinds = whole.get("kinds", {})
        randomness.restore(self._randomness)
        return whole["state"]

    def close(self) -> None:
        """Let go of the trial's files."""
        self._folder.close()


#: Names of the tables' own columns.
_TAKEN = ("trial_id", "epoch", "seconds")


def _number(name: str, value: Any) -> float | int | None:
    if value is None:
        return None
    try:
        number = value.item() if hasattr(value, "item") else value
        whole = isinstance(number, (bool, int)) and abs(number) < 2**63  # what a table's column holds
        return int(number) if whole else float(number)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise BadInput(
            f"trial.report({name}=...)", value, "a number, a one-element tensor, or None"
        ) from error


def _print_report(report: Report) -> Decision:
    shown = "  ".join(
        f"{name} {value:.6g}" if value is not None else f"{name} None"
        for name, value in report.metrics.items()
    )
    print(f"epoch {report.epoch}  {shown}")
    return CONTINUE
