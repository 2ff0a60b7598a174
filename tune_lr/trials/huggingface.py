"""Hugging Face ``Trainer``: reports to a trial, and any schedule of tune-lr where Trainer has its own.

``Trainer`` of ``transformers`` 5 steps a scheduler once an optimizer step and without a metric, unless it is
a ``ReduceLROnPlateau`` or its own ``GreedyLR``: those it steps after every evaluation, with
``args.metric_for_best_model``.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from tune_lr.errors import BadInput, Missing, MissingExtra
from tune_lr.schedules import Schedule, build_schedule, step_every
from tune_lr.schedules.as_torch import Idle, PerCall, PerMetric
from tune_lr.trials.adoption import adopt, kinds
from tune_lr.trials.parcel import pack, unpack
from tune_lr.trials.trial import Trial

if TYPE_CHECKING:
    from transformers import Trainer, TrainerControl, TrainerState, TrainingArguments

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    raise MissingExtra("tune_lr.trials.huggingface", "huggingface") from error

#: Ends of the names under which Trainer says how fast it was, by which no trial is judged.
_SPEED = ("_runtime", "_per_second", "_preparation_time")


class TrialCallback(TrainerCallback):
    """Reports every evaluation of a ``Trainer`` to a trial, keeps its checkpoint there, and stops it.

    One evaluation is one epoch of the trial, whatever ``eval_strategy`` says::

        callback = TrialCallback(trial)
        arguments = TrainingArguments(..., save_strategy="no", eval_strategy="epoch")
        trainer = Trainer(..., args=arguments, callbacks=[callback])
        trainer.train(resume_from_checkpoint=callback.checkpoint())

    Reported are the metrics of all evaluation sets under Trainer's names (``eval_loss``), and ``lr``. The
    checkpoint is Trainer's own (model, optimizer, scheduler, scaler, random states, counters): it is written
    to ``output_dir``, carried over into the trial's, through memory, and removed. So a trial that was killed
    goes on as if it had not been, as far as Trainer's checkpoints go. For Trainer in one process.

    Args:
        trial: the trial.
        names: Trainer's name of a metric -> the name to report it under, for those that shall have another.

    Raises:
        BadInput: once training: an argument of Trainer's does not fit, or a name is none of a metric's.
    """

    def __init__(self, trial: Trial, *, names: Mapping[str, str] | None = None) -> None:
        self.trial = trial
        self._names = dict(names or {})
        self._epochs = trial.epochs()
        self._epoch: int | None = None
        self._step = 0
        self._found: dict[str, Any] = {}
        self._asked = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        #: States of another trial's optimizer and scheduler, by the names under which callbacks know these.
        self._others: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}

    def checkpoint(self) -> str | None:
        """A folder with the trial's newest checkpoint, for ``resume_from_checkpoint``; None without one.

        The folder is removed once the training has read it. Where the trial begins at a copy of another's
        checkpoint, Trainer finds no optimizer and no scheduler in it: they go on from there under their own
        settings, as ``Trial.resume`` has it.
        """
        self._asked = True
        state = self.trial.load()
        if state is None:
            return None
        self._folder = tempfile.TemporaryDirectory(prefix="tune-lr-")
        unpack(state["trainer"], Path(self._folder.name))
        if self.trial.copied:
            self._others = {name: _take_out(Path(self._folder.name) / file) for name, file in _FILES.items()}
            self._kinds = state.get("kinds", {})
        return self._folder.name

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **known: Any
    ) -> None:
        """Begin where the trial stands.

        Raises:
            BadInput: Trainer does not go on from ``checkpoint()``, saves checkpoints of its own, or never
                evaluates.
        """
        if not self._asked or (self.trial.loaded_epoch and not state.global_step):
            raise Missing(
                "resume_from_checkpoint", "TrialCallback.checkpoint(), in the call of trainer.train"
            )
        if args.save_strategy != "no" or args.save_only_model:
            right = "'no', without save_only_model: the trial keeps the checkpoints"
            raise BadInput("save_strategy", _plain(args.save_strategy), right)
        _require_evaluations(args, "each is an epoch of the trial")
        for name, other in self._others.items():
            done = self.trial.loaded_epoch / self.trial.max_epochs
            adopt(known[name], other, self._kinds.get(name), done)
        self._others = {}
        self._step = state.global_step
        self._go_on(control)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._drop_folder()

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **known: Any
    ) -> None:
        """Note what was found. Trainer steps its scheduler next, so it is to save after that."""
        if self._epoch is None or state.global_step == self._step:
            return  # before the training, after it, or the same net once more
        for name, value in known["metrics"].items():
            if name != "epoch" and not name.endswith(_SPEED):
                self._found[name] = value
        control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **known: Any
    ) -> None:
        """Take the checkpoint over, report, and hear whether to go on.

        Raises:
            BadInput: a metric that was to have another name is not there.
        """
        if self._epoch is None or not self._found:
            return
        if missing := sorted(set(self._names) - set(self._found)):
            raise BadInput("names", missing, f"metrics that Trainer found: {', '.join(sorted(self._found))}")
        folder = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        stepped = {name: known[name] for name in _FILES}
        self.trial.save({"trainer": pack(folder), "kinds": kinds(stepped)})
        shutil.rmtree(folder)
        self.trial.keep_decisions(schedule=known.get("lr_scheduler"))
        self._step, found, self._found = state.global_step, self._found, {}
        named = {self._names.get(name, name): value for name, value in found.items()}
        self.trial.report(**{"lr": known["optimizer"].param_groups[0]["lr"], **named})
        self._go_on(control)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """End the trial.

        Raises:
            BadInput: nothing was ever evaluated.
        """
        at_work, self._epoch = self._epoch is not None, None
        self._drop_folder()
        if at_work and not self.trial.reported:
            raise BadInput("eval_delay", args.eval_delay, "an evaluation within the training")

    def _go_on(self, control: TrainerControl) -> None:
        self._epoch = next(self._epochs, None)
        if self._epoch is None:
            control.should_training_stop = True

    def _drop_folder(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


#: What Trainer calls the files of a checkpoint that settings are in.
_FILES = {"optimizer": "optimizer.pt", "lr_scheduler": "scheduler.pt"}


def _take_out(file: Path) -> Any:
    """The content of a file that Trainer is not to find."""
    content = torch.load(file, map_location="cpu", weights_only=True)
    file.unlink()
    return content


class EveryBatch(TrainerCallback):
    """Steps a schedule once an optimizer step, with what it needs.

    In use::

        every = EveryBatch(tune_lr.GreedyLR(optimizer))
        Trainer(..., optimizers=(optimizer, every.scheduler), callbacks=[every])

    A schedule that needs the loss gets the training loss from Trainer's log, where alone Trainer tells it. So
    set ``logging_steps=1`` and ``logging_nan_inf_filter=False``: Trainer logs every 500 steps by default, and
    in place of a loss that is not finite the mean of those before it since the last log, or 0. Without that
    filter it goes on to log NaN after the first such loss.

    Raises:
        BadInput: the schedule needs a closure, which Trainer has not; or, once training, Trainer's arguments
            keep the loss from a schedule that needs it, or Trainer steps another scheduler.
    """

    def __init__(self, schedule: Schedule) -> None:
        if schedule.needs == "closure":
            raise BadInput("schedule", type(schedule).__name__, "one that needs no closure: Trainer has none")
        self.schedule = schedule
        #: What Trainer gets for its scheduler: it saves and loads it, and asks it for the LR.
        self.scheduler: LRScheduler = PerCall(schedule) if schedule.needs == "nothing" else Idle(schedule)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **known: Any
    ) -> None:
        """Refuse arguments under which the schedule would not be stepped, or with something else."""
        if known.get("lr_scheduler") is not self.scheduler:
            theirs = type(known.get("lr_scheduler")).__name__
            raise BadInput("optimizers", theirs, "the scheduler of EveryBatch: (optimizer, every.scheduler)")
        if self.schedule.needs != "loss":
            return
        if _plain(args.logging_strategy) != "steps":
            right = "'steps', with logging_steps=1: the schedule hears the loss from the log"
            raise BadInput("logging_strategy", _plain(args.logging_strategy), right)
        if state.logging_steps != 1:
            raise BadInput("logging_steps", args.logging_steps, "1: the schedule hears the loss from the log")
        if args.logging_nan_inf_filter:
            right = "False: else Trainer logs another number, such as 0, where the loss is not finite"
            raise BadInput("logging_nan_inf_filter", True, right)

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.schedule.needs == "gradient":
            self.schedule.step(None)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **known: Any
    ) -> None:
        if self.schedule.needs == "loss" and "loss" in known["logs"]:
            self.schedule.step(known["logs"]["loss"])


def use_schedule(trainer: Trainer, config: Mapping[str, Any], total_epochs: int | None = None) -> Schedule:
    """Give a ``Trainer`` the schedule that a config asks for; before ``train()``.

    Trainer makes its optimizer as always (``optim``, ``learning_rate``, ``weight_decay``), and the schedule
    is ``build_schedule(config, ...)`` over it. With ``step_every: epoch`` it is stepped after every
    evaluation, with ``args.metric_for_best_model`` (``lr_scheduler_type="greedy"`` makes that ``eval_loss``);
    else it is stepped every batch, as ``EveryBatch`` says.

    Args:
        trainer: a Trainer that has not trained.
        config: a trial's configuration.
        total_epochs: how many evaluations the training has; ``args.num_train_epochs`` if not given.

    Raises:
        BadInput: a setting cannot be used, or the schedule needs what Trainer does not have.
    """
    made: Any = trainer  # whose scheduler is typed as one of a single class
    args = trainer.args
    epochs = total_epochs or math.ceil(args.num_train_epochs)
    steps = args.max_steps
    if steps <= 0:
        batches = len(trainer.get_train_dataloader())
        steps = math.ceil(args.num_train_epochs * math.ceil(batches / args.gradient_accumulation_steps))
    schedule = build_schedule(config, trainer.create_optimizer(), epochs, math.ceil(steps / epochs))
    if step_every(config) == "batch":
        every = EveryBatch(schedule)
        trainer.add_callback(every)
        made.lr_scheduler = every.scheduler
        return schedule
    if schedule.needs not in ("nothing", "loss"):
        raise BadInput("step_every", "epoch", f"batch, for a schedule that needs the {schedule.needs}")
    if args.metric_for_best_model is None:
        raise Missing("metric_for_best_model", "what the schedule is to be stepped with, such as 'eval_loss'")
    _require_evaluations(args, "after each the schedule is stepped")
    made.lr_scheduler = PerMetric(schedule)
    return schedule


def _require_evaluations(args: TrainingArguments, why: str) -> None:
    if _plain(args.eval_strategy) == "no":
        raise BadInput("eval_strategy", "no", f"'epoch' or 'steps': {why}")


def _plain(strategy: Any) -> str:
    """The text that stands for a strategy in Trainer's arguments."""
    return str(getattr(strategy, "value", strategy))
