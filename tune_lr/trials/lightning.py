"""Lightning: reports to a trial, and any schedule of tune-lr from ``configure_optimizers``.

Lightning 2 takes an ``LRScheduler`` only. It steps it without a metric, or with what ``monitor`` names where
the configuration says ``reduce_on_plateau``, which for a ``ReduceLROnPlateau`` it says by itself.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from tune_lr.errors import BadInput, Missing, MissingExtra
from tune_lr.schedules import build_schedule, step_every
from tune_lr.schedules.as_torch import as_torch
from tune_lr.trials.adoption import adopt, kinds
from tune_lr.trials.decisions import names
from tune_lr.trials.parcel import pack, unpack
from tune_lr.trials.trial import Trial

try:
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Checkpoint
except ModuleNotFoundError as error:
    raise MissingExtra("tune_lr.trials.lightning", "lightning") from error


class TrialCallback(Checkpoint):
    """Reports every validation of a Lightning ``Trainer`` to a trial, keeps its checkpoint, and stops it.

    One validation is one epoch of the trial, however often ``check_val_every_n_epoch`` and
    ``val_check_interval`` make them::

        callback = TrialCallback(trial, "val_loss")
        trainer = Trainer(max_epochs=trial.max_epochs, callbacks=[callback])
        trainer.fit(module, ckpt_path=callback.checkpoint())

    Reported are metrics that were logged, under their names, and ``lr``, as the validation found it. After
    the last batch of an epoch the report waits for the end of the epoch, so the epoch's own metrics are in
    it. The checkpoint is Lightning's own, taken when its scheduler was stepped, and carried in the trial's,
    through memory; the global random states ride along. So a trial that was killed goes on as if it had not
    been, if it validates at the ends of epochs; in the middle of one, Lightning itself loses the place in the
    data, unless the loader has a state. For one process.

    To Lightning this is its checkpoint callback, so it makes none of its own.

    Args:
        trial: the trial.
        metrics: the names to report; none for everything that was logged.
    """

    def __init__(self, trial: Trial, *metrics: str) -> None:
        self.trial = trial
        self._metrics = metrics
        self._epochs = trial.epochs()
        self._epoch: int | None = None
        self._asked = False
        self._validated = False
        self._reported = False
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        #: States of another trial's optimizers and schedulers, and what they were.
        self._others: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}

    def checkpoint(self) -> str | None:
        """The file of the trial's newest checkpoint, for ``ckpt_path``; None where it has none.

        The file is removed once the training has read it. Where the trial begins at a copy of another's
        checkpoint, optimizers and schedulers go on from there under their own settings, as ``Trial.resume``
        has it.
        """
        self._asked = True
        state = self.trial.load()
        if state is None:
            return None
        self._folder = tempfile.TemporaryDirectory(prefix="tune-lr-")
        unpack(state["lightning"], Path(self._folder.name))
        self._kinds = state.get("kinds", {})
        return str(Path(self._folder.name) / _FILE)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin where the trial stands, before Lightning draws the order of the first batches.

        Raises:
            BadInput: the training does not go on from ``checkpoint()``, or never validates.
        """
        if not self._asked or (self.trial.loaded_epoch and trainer.ckpt_path is None):
            raise Missing("ckpt_path", "TrialCallback.checkpoint(), in the call of trainer.fit")
        if not trainer.enable_validation:
            right = "a validation_step, val_dataloaders and limit_val_batches above 0"
            raise Missing("validation", f"{right}: each validation is an epoch of the trial")
        self._go_on(trainer)
        # Whoever asks for estimated_stepping_batches in configure_optimizers has begun the first epoch's data
        # already, with other random states.
        fetcher = getattr(trainer.fit_loop, "_data_fetcher", None)
        if self.trial.loaded_epoch and fetcher is not None:
            iter(fetcher)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep another trial's optimizers and schedulers from Lightning, which would load their settings."""
        if self.trial.copied:
            for kind in ("optimizer_states", "lr_schedulers"):
                self._others.update({f"{kind} {i}": state for i, state in enumerate(checkpoint[kind])})
                checkpoint[kind] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._drop_folder()
        stepped = _stepped(trainer)
        for name, other in self._others.items():
            if name in stepped:
                done = self.trial.loaded_epoch / self.trial.max_epochs
                adopt(stepped[name], other, self._kinds.get(name), done)
        self._others = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validated = self._epoch is not None and not trainer.sanity_checking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._validated:
            self._report(trainer)
            trainer.should_stop = trainer.should_stop or self.trial.over

    # Each of these is the first hook after Lightning has stepped its schedulers.

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A checkpoint of an epoch that is ready and not started would go on with an empty epoch.
        progress = trainer.fit_loop.epoch_progress
        progress.current.ready -= 1
        progress.total.ready -= 1
        self._settle(trainer)
        progress.current.ready += 1
        progress.total.ready += 1

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._settle(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._settle(trainer)
        at_work, self._epoch = self._epoch is not None, None
        if at_work and not self.trial.reported:
            how_often = f"check_val_every_n_epoch={trainer.check_val_every_n_epoch}"
            raise BadInput("validation", how_often, "one within the training, on data that is not empty")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._drop_folder()

    def _report(self, trainer: Trainer) -> None:
        found = dict(trainer.callback_metrics)
        missing = [name for name in self._metrics if name not in found]
        if missing:
            raise BadInput("metrics", missing, f"names that were logged: {', '.join(sorted(found))}")
        wanted = self._metrics or [name for name in found if name != "epoch"]
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        self.trial.report(**{"lr": lr, **{name: found[name] for name in wanted}})
        self._reported = True

    def _settle(self, trainer: Trainer) -> None:
        """Report, if that is still to do, save, and hear whether to go on."""
        if not self._validated:
            return
        if not self._reported:
            self._report(trainer)
        with tempfile.TemporaryDirectory(prefix="tune-lr-") as folder:
            trainer.save_checkpoint(Path(folder) / _FILE)
            self.trial.save({"lightning": pack(Path(folder)), "kinds": kinds(_stepped(trainer))})
        self.trial.keep_decisions(**names(given.scheduler for given in trainer.lr_scheduler_configs))
        self._validated = self._reported = False
        self._go_on(trainer)

    def _go_on(self, trainer: Trainer) -> None:
        self._epoch = next(self._epochs, None)
        if self._epoch is None:
            trainer.should_stop = True

    def _drop_folder(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _stepped(trainer: Trainer) -> dict[str, Any]:
    """Optimizers and schedulers, by the names of a checkpoint's lists of their states."""
    found: dict[str, Any] = {f"optimizer_states {i}": each for i, each in enumerate(trainer.optimizers)}
    for i, given in enumerate(trainer.lr_scheduler_configs):
        found[f"lr_schedulers {i}"] = given.scheduler
    return found


def with_schedule(
    config: Mapping[str, Any],
    optimizer: Optimizer,
    module: LightningModule,
    *,
    monitor: str = "val_loss",
    monitor_batch: str = "train_loss",
    total_epochs: int | None = None,
) -> dict[str, Any]:
    """What ``configure_optimizers`` returns for the schedule that a config asks for.

    The schedule is ``build_schedule(config, optimizer, ...)``. With ``step_every: epoch`` it is stepped at
    the end of every epoch (if it needs the loss, of every epoch that validates), else after every optimizer
    step.

    Args:
        config: a trial's configuration.
        optimizer: over the module's parameters.
        module: whose ``configure_optimizers`` this is.
        monitor: what is logged once an epoch, to step with.
        monitor_batch: what ``training_step`` logs of every batch, to step with.
        total_epochs: the length of the training; the Trainer's ``max_epochs`` if not given.

    Raises:
        BadInput: a setting cannot be used, or the schedule needs the gradient or a closure.
    """
    steps = module.trainer.estimated_stepping_batches
    if steps == math.inf:
        raise BadInput("max_epochs", module.trainer.max_epochs, "a number of epochs or of steps")
    epochs = total_epochs or module.trainer.max_epochs
    if epochs is None or epochs < 1:  # the length is said in steps
        epochs = math.ceil(steps / module.trainer.num_training_batches)
    every = step_every(config)
    schedule = build_schedule(config, optimizer, epochs, math.ceil(steps / epochs))
    how: dict[str, Any] = {"scheduler": as_torch(schedule), "interval": "step"}
    if every == "epoch":
        how["interval"] = "epoch"
    if schedule.needs == "loss":
        how["monitor"] = monitor if every == "epoch" else monitor_batch
        how["frequency"] = module.trainer.check_val_every_n_epoch or 1 if every == "epoch" else 1
    return {"optimizer": optimizer, "lr_scheduler": how}


#: The one file of a checkpoint.
_FILE = "lightning.ckpt"
