"""What a report tells of an experiment, gathered once."""

from __future__ import annotations

import math
import random
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tune_lr.comparing.run import Run, read_run
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.record import Record, TrialRecord
from tune_lr.space import ConstantKnob
from tune_lr.views.importance import Importance, importance_of
from tune_lr.views.paste import paste
from tune_lr.views.standing import standing
from tune_lr.views.trust import told, trust_in
from tune_lr.views.words import STATUSES, counted, duration, short

#: Of so many trials the curves are drawn: the best, and some of the others.
BEST_DRAWN, OTHERS_DRAWN = 120, 180

#: With less explained, what mattered is not to be believed.
BELIEVED = 0.3
#: Of more trials so many, chosen by chance, tell what mattered.
_JUDGED = 2000


@dataclass(frozen=True)
class Facts:
    """An experiment as a report sees it.

    Args:
        experiment: of which.
        record: its trials, as they stand now.
        status: in words.
        run: what was paid for, when.
    """

    experiment: Experiment
    record: Record
    status: str
    run: Run

    @property
    def metric(self) -> str:
        return self.experiment.objective.metric

    @cached_property
    def ranked(self) -> list[TrialRecord]:
        """The trials that have a value, the best first."""
        return self.record.ranked(self.experiment.objective)

    def value(self, trial: TrialRecord) -> float:
        """A trial's value, in the metric's own direction; NaN where it has none."""
        objective = self.experiment.objective
        losses = trial.losses(objective)
        return objective.value(objective.score(losses)) if losses else math.nan

    @cached_property
    def knobs(self) -> list[str]:
        """The knobs that vary, in the order of the space."""
        space = self.experiment.space
        return [name for name, knob in space.knobs.items() if not isinstance(knob, ConstantKnob)]

    @cached_property
    def importance(self) -> Importance | None:
        """How much knobs matter; None where there are too few trials, or no library to tell it."""
        objective = self.experiment.objective
        return importance_of(
            self.experiment.space,
            [
                (trial.values, trial.epochs, objective.score(trial.losses(objective)))
                for trial in random.Random(0).sample(self.ranked, min(_JUDGED, len(self.ranked)))
            ],
        )

    @cached_property
    def by_importance(self) -> list[str]:
        """The knobs, those that matter most first."""
        if self.importance is None:
            return self.knobs
        return [name for name, _ in self.importance.of]

    def drawn(self, most: int = BEST_DRAWN + OTHERS_DRAWN) -> list[TrialRecord]:
        """The trials that are drawn: the best, and some of the others, always the same."""
        reported = [trial for trial in self.record.trials.values() if trial.reports]
        if len(reported) <= most:
            return reported
        best = self.ranked[: most * BEST_DRAWN // (BEST_DRAWN + OTHERS_DRAWN)]
        names = {trial.trial_id for trial in best}
        rest = [trial for trial in reported if trial.trial_id not in names]
        return [*best, *random.Random(0).sample(rest, min(len(rest), most - len(best)))]

    @cached_property
    def sentence(self) -> str:
        """The whole in a sentence or two."""
        record = self.record
        spent = f"{counted(len(record.trials), 'trial')}, {counted(record.epochs, 'epoch')}"
        spent += f" and {duration(record.seconds)}"
        ended = f"{self.status}, since {record.why}" if record.why else self.status
        if not self.ranked:
            return f"No trial has a usable {self.metric} after {spent}; the experiment is {ended}."
        best = self.ranked[0]
        said = f"Best {self.metric} {short(self.value(best))}, of trial {best.trial_id} ({best.status} after "
        said += f"{counted(best.epochs, 'epoch')}), found in {spent}; the experiment is {ended}."
        found = self.importance
        matters = [name for name, share in (found.of if found else []) if share >= 0.1]
        if found and found.fit >= BELIEVED and matters:
            said += f" What mattered most: {', '.join(matters[:3])}."
        return said

    @property
    def prior(self) -> str:
        """What the history did, in a line; empty where there was none."""
        return told(trust_in(self.record))

    @cached_property
    def code(self) -> dict[str, str]:
        """The best configuration as code to paste, by library."""
        if not self.ranked:
            return {}
        config, epochs = self.ranked[0].config, self.experiment.job.max_epochs
        given = f"config = {config!r}"
        return {
            "PyTorch": "\n".join(["import tune_lr", "", *paste(config, epochs)]),
            "Hugging Face": "\n".join(
                [
                    "from tune_lr.trials.huggingface import use_schedule",
                    "",
                    given,
                    "arguments = TrainingArguments(",
                    f'    learning_rate=config["lr"], num_train_epochs={epochs}, logging_steps=1,',
                    '    logging_nan_inf_filter=False, eval_strategy="epoch",',
                    '    metric_for_best_model="eval_loss",',
                    ")",
                    "trainer = Trainer(model, arguments, train_dataset=train_set, eval_dataset=val_set)",
                    f"use_schedule(trainer, config, {epochs})",
                    "trainer.train()",
                ]
            ),
            "Lightning": "\n".join(
                [
                    "from tune_lr.trials.lightning import with_schedule",
                    "",
                    given,
                    "class Module(Net):",
                    "    def configure_optimizers(self):",
                    '        optimizer = torch.optim.SGD(self.parameters(), lr=config["lr"])',
                    "        return with_schedule(config, optimizer, self)",
                    "",
                    f"Trainer(max_epochs={epochs}).fit(Module())",
                ]
            ),
        }

    @property
    def command(self) -> str:
        """The command line that asks for the same."""
        job, asked = self.experiment.job, ["tune-lr", "run", self.experiment.job.trainer]
        asked += ["--space", str(job.space.get("name", "space.yaml"))]
        for name, field in Job.model_fields.items():
            value = getattr(job, name)
            plain = isinstance(value, (str, int, float)) and not isinstance(value, bool)
            if name not in ("trainer", "space") and plain and value != field.default:
                asked += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join(asked)

    def to_dict(self) -> dict[str, Any]:
        """What a program wants of it, as JSON has it."""
        counts = {status: len(self.record.with_status(status)) for status in STATUSES}
        best = self.ranked[0] if self.ranked else None
        return {
            "sentence": self.sentence,
            "status": self.status,
            "ended_early": self.record.why,
            "metric": self.metric,
            "mode": self.experiment.objective.mode,
            "trials": {name: number for name, number in counts.items() if number},
            "epochs": self.record.epochs,
            "seconds": self.record.seconds,
            "best": best and {"trial_id": best.trial_id, "value": self.value(best), "config": best.config},
            "importance": dict(self.importance.of) if self.importance else None,
            "interactions": [list(one) for one in self.importance.pairs] if self.importance else None,
            "fit": self.importance.fit if self.importance else None,
            "prior": self.prior,
            "command": self.command,
            "code": self.code,
        }


def gather(experiment: Experiment) -> Facts:
    """What a report tells of an experiment, also of one that runs.

    Raises:
        BadInput: its journal is damaged.
    """
    record, status = standing(experiment)
    run = read_run("it", experiment.job.seed, experiment.job, experiment.journal.read())
    return Facts(experiment, record, status, run)
