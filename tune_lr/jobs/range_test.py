"""The learning-rate range test as a job: train once while the LR grows, and propose the bounds of ``lr``."""

from __future__ import annotations

import csv
import math
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from tune_lr.errors import BadInput, JobFailed
from tune_lr.job import Cpus, Device, Epochs, Seed, made
from tune_lr.jobs.tuning import Space, space_of, trainer_of
from tune_lr.journal import CONTINUE, STOP, Decision, Report
from tune_lr.schedules.base import read_range
from tune_lr.schedules.range_bounds import Bounds, NoBounds, propose_bounds, smooth
from tune_lr.schedules.range_sweep import FEWEST_STEPS, Row, SweepEnded, read_trace
from tune_lr.space import ConstantKnob
from tune_lr.trials import randomness
from tune_lr.trials.device import device_of
from tune_lr.trials.run import threads
from tune_lr.trials.trainer import Train
from tune_lr.trials.trial import Trial


class _Asked(BaseModel):
    """What a range test is asked that a job is asked as well, with the same limits."""

    epochs: Epochs
    seed: Seed
    device: Device
    cpus: Cpus


@dataclass(frozen=True)
class LRRange:
    """What a range test saw, and what it proposes.

    Args:
        asked: the lowest and highest LR of the sweep.
        total_steps: how many steps the sweep was to have.
        lrs: the LR of each update seen, growing; shape (n,).
        losses: the training loss after each, all finite.
        smoothed: the same, smoothed.
        ended: why the sweep ended.
        bounds: the proposal; None where there is none.
        why_not: why there is none.
    """

    asked: tuple[float, float]
    total_steps: int
    lrs: list[float]
    losses: list[float]
    smoothed: list[float]
    ended: str
    bounds: Bounds | None
    why_not: str | None


def lr_range(
    train: Train | str,
    space: Space = "greedy_lr",
    *,
    low: float = 1e-6,
    high: float = 10.0,
    epochs: int = 10,
    seed: int = 0,
    device: str = "auto",
    cpus: int = 1,
) -> LRRange:
    """Run the range test (Smith 2015, arXiv 1506.01186) on a trainer, in this process.

    The trainer trains in a temporary folder with the space's defaults, but for ``lr``, which grows at every
    step of its schedule from ``low`` to ``high`` over ``epochs``; it ends early where the loss blows up. A
    trainer that does not say how many steps its epochs have trains one epoch more, in which they are counted.

    Args:
        train: ``train(config, trial)``, or where it is: ``path/to/file.py[:function]``. It steps what
            ``build_schedule`` builds with the loss of every batch, as ``fit`` does.
        space: whose defaults the other knobs have.
        low: the first LR; above 0.
        high: the last; above ``low``.
        epochs: how many epochs the sweep takes.
        seed: repeatable by it.
        device: as for a trial.
        cpus: threads that PyTorch may use.

    Raises:
        BadInput: something asked for is not usable, or the epochs have too few steps for a sweep.
        JobFailed: the trainer failed, never stepped its schedule, or spoilt the table of its steps.
    """
    asked = made(_Asked, {"epochs": epochs, "seed": seed, "device": device, "cpus": cpus})
    device_of(asked.device)
    epochs = asked.epochs
    low = read_range("low", low, 0, open_ends=True)
    high = read_range("high", high, low, open_ends=True)
    trainer, where = trainer_of(train), space_of(space)
    if where.knobs.get("lr") is None or isinstance(where.knobs["lr"], ConstantKnob):
        raise BadInput("space", where.name, "a space in which lr has a range")
    config = {
        **where.config(where.default()),
        "lr": low,
        "schedule": "range-sweep",
        "step_every": "batch",
        "max_epochs": epochs,
        "sweep_low": low,
        "sweep_high": high,
    }
    function = trainer.load()
    with _out_of_the_way() as folder, threads(asked.cpus):
        sweep = _Sweep(function, config, epochs, asked.seed, asked.device)
        ran = sweep.run(folder / "first")
        if ran.rows and ran.rows[0].of == 0:
            steps = ran.steps_in_first_epoch * epochs
            if steps < FEWEST_STEPS:
                raise _too_short(epochs, steps)
            sweep.config["sweep_steps"] = steps
            ran = sweep.run(folder / "second")
    return _found(ran, (low, high))


@dataclass
class _Ran:
    """How one training with the sweep went."""

    rows: list[Row] = field(default_factory=list)
    ended: str | None = None
    steps_in_first_epoch: int = 0
    diverged: bool = False


@dataclass
class _Sweep:
    """Runs the trainer under the sweep."""

    train: Train
    config: dict[str, Any]
    epochs: int
    seed: int
    device: str

    def run(self, folder: Path) -> _Ran:
        """Train once; what a sweep noted, and how it ended.

        Raises:
            JobFailed: the trainer failed.
        """
        folder.mkdir()
        trace, ran = folder / "trace.csv", _Ran()

        def channel(report: Report) -> Decision:
            if not ran.steps_in_first_epoch:
                ran.steps_in_first_epoch = len(_rows(trace))
            values = [report.metrics.get(name) for name in ("train_loss", "val_loss", "loss")]
            ran.diverged = any(value is not None and not math.isfinite(value) for value in values)
            rows = _rows(trace)
            return STOP if rows and rows[-1].of == 0 else CONTINUE  # counting takes one epoch

        randomness.seed_everything(self.seed)
        trial = Trial(
            "range",
            seed=self.seed,
            max_epochs=self.epochs,
            device=self.device,
            folder=folder,
            channel=channel,
        )
        try:
            self.train({**self.config, "sweep_trace": str(trace)}, trial)
        except SweepEnded as end:
            ran.ended = str(end)
        except (Exception, SystemExit) as error:
            if isinstance(error, BadInput) and error.field == "steps":
                raise _too_short(self.epochs, int(str(error.value))) from error
            raise _failed(error, _rows(trace)) from error
        finally:
            trial.close()
        ran.rows = _rows(trace)
        if not ran.steps_in_first_epoch:  # it never reports: all that it did was the epochs
            ran.steps_in_first_epoch = -(-len(ran.rows) // self.epochs)
        return ran


def _found(ran: _Ran, asked: tuple[float, float]) -> LRRange:
    """What a sweep comes to."""
    if not ran.rows:
        if ran.diverged or ran.ended:
            raise JobFailed(
                f"the loss was not finite at the very first steps, at lr {asked[0]:.2g}; "
                "sweep from a lower LR, or see whether the model learns at all"
            )
        raise JobFailed(
            "the trainer never stepped its schedule: build it with tune_lr.build_schedule(config, optimizer) "
            "and call schedule.step(loss) after every batch, or train with tune_lr.fit"
        )
    if any(after.step <= before.step for before, after in zip(ran.rows, ran.rows[1:], strict=False)):
        raise JobFailed("the trainer steps several schedules, and a range test can follow one only")
    steps, total = ran.rows[-1].step, ran.rows[-1].of
    rows = [row for row in ran.rows if math.isfinite(row.loss)]
    lrs, losses = [row.lr for row in rows], [row.loss for row in rows]
    ended = ran.ended or (
        f"the loss was not finite after step {steps} of {total}"
        if ran.diverged
        else f"the training ended by itself after step {steps} of {total}"
    )
    bounds, why_not = None, None
    try:
        # A loop that ends at such a loss never shows it to the sweep.
        beyond = [ran.rows[-1].lr * (asked[1] / asked[0]) ** (1 / (total - 2))] if ran.diverged else []
        bounds = propose_bounds(
            [row.lr for row in ran.rows] + beyond,
            [row.loss for row in ran.rows] + [math.inf] * len(beyond),
        )
    except NoBounds as error:
        why_not = str(error)
    smoothed = [float(value) for value in smooth(losses)]
    return LRRange(asked, total, lrs, losses, smoothed, ended, bounds, why_not)


def _rows(trace: Path) -> list[Row]:
    """The rows of a trace that nothing but the sweep has written.

    Raises:
        JobFailed: something else has.
    """
    try:
        return read_trace(trace)
    except (OSError, ValueError, csv.Error) as error:
        raise JobFailed(
            f"something else than the sweep has written to its table, {trace.name}: {error}"
        ) from error


def _failed(error: BaseException, rows: list[Row]) -> JobFailed:
    """The trainer's own failure, and how far it had got."""
    when = (
        f"after step {rows[-1].step}, at lr {rows[-1].lr:.2g}"
        if rows
        else "before its schedule's second step"
    )
    said = f"{type(error).__name__}: {error}".split("\n")[0]
    hint = "; where that is how it diverges, sweep to a lower LR" if rows else ""
    return JobFailed(f"the trainer failed {when}: {said}{hint}", traceback.format_exc())


def _too_short(epochs: int, steps: int) -> BadInput:
    needed = math.ceil(FEWEST_STEPS * epochs / max(1, steps))
    return BadInput(
        "epochs", epochs, f"{needed} or more: the sweep needs {FEWEST_STEPS} steps, and these have {steps}"
    )


@contextmanager
def _out_of_the_way() -> Iterator[Path]:
    """A temporary folder; afterwards generators and the working folder are as they were."""
    before = randomness.capture(), os.getcwd()
    try:
        with tempfile.TemporaryDirectory(prefix="tune-lr-range-") as folder:
            yield Path(folder)
    finally:
        os.chdir(before[1])
        randomness.restore(before[0])
