"""Trainer with the schedules of tune-lr, and its reports to a trial; with the real library."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD

from tune_lr.errors import BadInput, MissingExtra
from tune_lr.journal import CONTINUE, PAUSE, Decision, Report
from tune_lr.schedules import GreedyLR, build_schedule
from tune_lr.trials.folder import TrialFolder
from tune_lr.trials.run import Leg, Outcome, run_leg
from tune_lr.trials.trial import Trial

transformers = pytest.importorskip("transformers")

from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments  # noqa: E402

from tune_lr.trials.huggingface import EveryBatch, TrialCallback, use_schedule  # noqa: E402

EPOCHS, SAMPLES, BATCH = 4, 32, 8
STEPS = SAMPLES // BATCH
KNOBS = {"factor": 0.7, "patience": 0, "min_lr": 1e-3, "max_lr": 10.0}


def sentences() -> list[dict[str, Any]]:
    """Words that count up, so that there is something to learn."""
    starts = torch.randint(16, (SAMPLES, 1), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": words, "labels": words} for words in (starts + torch.arange(6)) % 16]


def model() -> Any:
    """Two layers, with dropout, so that training draws numbers."""
    torch.manual_seed(0)
    shape = {"vocab_size": 16, "n_positions": 8, "n_embd": 8, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(GPT2Config(**shape, bos_token_id=0, eos_token_id=0))


def arguments(folder: Path, **more: Any) -> Any:
    return TrainingArguments(
        **{
            "output_dir": str(folder),
            "num_train_epochs": EPOCHS,
            "per_device_train_batch_size": BATCH,
            "learning_rate": 0.1,
            "optim": "sgd",
            "eval_strategy": "epoch",
            "save_strategy": "no",
            "metric_for_best_model": "eval_loss",
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": True,
            "seed": 3,
            **more,
        }
    )


def trainer(folder: Path, callbacks: tuple[Any, ...] = (), optimizers: Any = None, **more: Any) -> Any:
    net = model()
    made = Trainer(
        net,
        arguments(folder, **more),
        train_dataset=sentences(),
        eval_dataset=sentences(),
        callbacks=list(callbacks),
        optimizers=optimizers(net) if optimizers else (None, None),
    )
    made.remove_callback(PrinterCallback)
    return made


class Seen(transformers.TrainerCallback):
    """The metrics that Trainer found and the LR after every step, in order."""

    def __init__(self) -> None:
        self.lrs: list[float] = []
        self.evaluations: list[float] = []
        self.losses: list[float] = []

    def on_step_begin(self, *_: Any, optimizer: Any, **__: Any) -> None:
        self.lrs.append(float(optimizer.param_groups[0]["lr"]))

    def on_evaluate(self, *_: Any, metrics: Any, **__: Any) -> None:
        self.evaluations.append(metrics["eval_loss"])

    def on_log(self, *_: Any, logs: Any, **__: Any) -> None:
        self.losses += [logs["loss"]] if "loss" in logs else []


def plain(metrics: list[float], knobs: dict[str, Any]) -> list[float]:
    """The LR before every metric of a plain loop."""
    optimizer = SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule, lrs = build_schedule({"lr": 0.1, **knobs}, optimizer, EPOCHS, STEPS), []
    for metric in metrics:
        lrs.append(optimizer.param_groups[0]["lr"])
        schedule.step(metric)
    return lrs


# Schedules


def greedy(net: Any) -> tuple[Any, Any]:
    optimizer = SGD(net.parameters(), lr=0.1)
    return optimizer, GreedyLR(optimizer, **KNOBS)


def test_greedy_is_stepped_once_an_evaluation_with_its_metric(tmp_path: Path) -> None:
    seen = Seen()
    trainer(tmp_path, (seen,), greedy).train()
    assert seen.lrs[::STEPS] == plain(seen.evaluations, KNOBS)
    assert len({*seen.lrs}) > 2


def test_the_arguments_for_trainers_own_greedy_are_ours(tmp_path: Path) -> None:
    asked = {
        "lr_scheduler_type": "greedy",
        "lr_scheduler_kwargs": {**KNOBS, "smooth": True, "window_size": 2},
    }
    theirs, ours = Seen(), Seen()
    trainer(tmp_path, (theirs,), metric_for_best_model=None, **asked).train()
    made = trainer(tmp_path, (ours,), metric_for_best_model=None, **asked)
    made.lr_scheduler = GreedyLR(made.create_optimizer(), **made.args.lr_scheduler_kwargs)
    made.train()
    assert (theirs.lrs, theirs.evaluations) == (ours.lrs, ours.evaluations)
    assert len({*ours.lrs}) > 2


def test_every_batch_greedy_hears_the_training_loss(tmp_path: Path) -> None:
    seen = Seen()
    made = trainer(tmp_path, (seen,))
    optimizer = made.create_optimizer()
    every = EveryBatch(GreedyLR(optimizer, **KNOBS))
    made.add_callback(every)
    made.lr_scheduler = every.scheduler
    made.train()
    assert len(seen.losses) == EPOCHS * STEPS
    assert seen.lrs == plain(seen.losses, KNOBS)


def test_a_loss_that_is_not_finite_is_heard_as_it_is(tmp_path: Path) -> None:
    seen = Seen()
    made = trainer(tmp_path, (seen,))
    schedule = use_schedule(made, {"lr": 0.1, **KNOBS})
    steps, whole = iter(range(EPOCHS * STEPS)), made.training_step
    made.training_step = lambda *given: whole(*given) * (math.nan if next(steps) == 5 else 1)
    made.train()
    assert [math.isnan(loss) for loss in seen.losses[:6]] == [False] * 5 + [True]
    heard = [row.loss for row in schedule.history if not math.isnan(row.loss)]  # type: ignore[attr-defined]
    assert min(heard) > 0


def test_losses_that_trainer_makes_up_are_refused(tmp_path: Path) -> None:
    made = trainer(tmp_path, logging_nan_inf_filter=True)
    use_schedule(made, {"lr": 0.1, **KNOBS})
    with pytest.raises(BadInput, match=r"logging_nan_inf_filter: True .* expected False"):
        made.train()


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ({"logging_steps": 500}, r"logging_steps: 500 .* expected 1"),
        ({"logging_steps": 2}, r"logging_steps: 2 .* expected 1"),
        ({"logging_strategy": "epoch"}, r"logging_strategy: 'epoch' .* expected 'steps'"),
        ({"logging_strategy": "no"}, r"logging_strategy: 'no' .* expected 'steps'"),
    ],
)
def test_a_log_that_keeps_the_loss_back_is_refused(
    tmp_path: Path, more: dict[str, Any], complaint: str
) -> None:
    made = trainer(tmp_path, **more)
    use_schedule(made, {"lr": 0.1, **KNOBS})
    with pytest.raises(BadInput, match=complaint):
        made.train()
    unheard = trainer(tmp_path, **more, max_steps=1, logging_nan_inf_filter=True)
    use_schedule(unheard, {"lr": 0.1, "schedule": "cosine"})
    unheard.train()


def test_every_batch_beside_a_scheduler_of_trainers_own_is_refused(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    made.add_callback(EveryBatch(GreedyLR(made.create_optimizer(), **KNOBS)))
    with pytest.raises(BadInput, match=r"optimizers: 'LambdaLR' .* every\.scheduler"):
        made.train()


@pytest.mark.parametrize("name", ["constant", "cosine", "linear", "step", "plateau", "greedy"])
@pytest.mark.parametrize("step_every", ["batch", "epoch"])
def test_a_config_names_any_schedule(tmp_path: Path, name: str, step_every: str) -> None:
    seen, config = Seen(), {"lr": 0.1, "schedule": name, "step_every": step_every}
    made = trainer(tmp_path, (seen,))
    use_schedule(made, config)
    made.train()
    by_batch = step_every == "batch"
    heard = seen.losses if by_batch else seen.evaluations
    assert (seen.lrs if by_batch else seen.lrs[::STEPS]) == pytest.approx(plain(heard, config), rel=1e-12)


def test_a_schedule_that_needs_the_gradient_is_stepped_before_the_optimizer(tmp_path: Path) -> None:
    seen = Seen()
    made = trainer(tmp_path, (seen,), max_grad_norm=0)
    use_schedule(made, {"lr": 0.1, "schedule": "hypergradient"})
    made.train()
    assert len({*seen.lrs}) > EPOCHS * STEPS // 2


def test_what_trainer_cannot_step_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Trainer has none"):
        use_schedule(trainer(tmp_path), {"lr": 0.1, "schedule": "line-search"})
    with pytest.raises(BadInput, match="needs the gradient"):
        use_schedule(trainer(tmp_path), {"lr": 0.1, "schedule": "hypergradient", "step_every": "epoch"})
    with pytest.raises(BadInput, match="metric_for_best_model"):
        use_schedule(trainer(tmp_path, metric_for_best_model=None), {"lr": 0.1, "step_every": "epoch"})
    with pytest.raises(BadInput, match="eval_strategy: 'no'"):
        use_schedule(trainer(tmp_path, eval_strategy="no"), {"lr": 0.1, "step_every": "epoch"})


# Trials


class Killed(BaseException):
    """Stands for SIGKILL."""


class Curve:
    """A channel that keeps the curve, and may kill or pause the trial."""

    def __init__(self, kill_at: int = 0, pause_at: int = 0) -> None:
        self.kill_at, self.pause_at = kill_at, pause_at
        self.rows: dict[int, dict[str, Any]] = {}

    def __call__(self, report: Report) -> Decision:
        self.rows[report.epoch] = report.metrics
        if report.epoch == self.kill_at:
            raise Killed
        return PAUSE if report.epoch == self.pause_at else CONTINUE


def training(output: Path, **more: Any) -> Any:
    def train(config: dict[str, Any], trial: Trial) -> None:
        callback = TrialCallback(trial)
        made = trainer(output, (callback,), seed=trial.seed, **more)
        use_schedule(made, config, trial.max_epochs)
        made.train(resume_from_checkpoint=callback.checkpoint())

    return train


def run(folder: Path | None, config: dict[str, Any], curve: Curve, **more: Any) -> Outcome:
    where = str(folder) if folder else None
    leg = Leg("t", {"lr": 0.1, **config}, 3, EPOCHS, "eval_loss", where, device="cpu")
    return run_leg(leg, training((folder or Path("/nowhere")) / "output", **more), curve)


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ({**KNOBS, "step_every": "epoch"}, {"optim": "adamw_torch"}),
        ({**KNOBS, "step_every": "batch"}, {}),
        ({"schedule": "cosine"}, {"gradient_accumulation_steps": 2}),
        ({**KNOBS, "step_every": "epoch"}, {"eval_strategy": "steps", "eval_steps": 3}),
    ],
)
@pytest.mark.parametrize("end", [{"kill_at": 2}, {"pause_at": 1}])
def test_a_trial_that_goes_on_takes_the_same_steps(
    tmp_path: Path, config: dict[str, Any], more: dict[str, Any], end: dict[str, int]
) -> None:
    whole, first, second = Curve(), Curve(**end), Curve()
    assert run(tmp_path / "whole", config, whole, **more) == Outcome("completed")
    assert run(tmp_path / "cut", config, first, **more).status == ("failed" if "kill_at" in end else "ended")
    assert len(first.rows) == max(end.values())
    assert run(tmp_path / "cut", config, second, **more) == Outcome("completed")
    assert {**first.rows, **second.rows} == whole.rows
    tables = [tmp_path / name / "decisions.jsonl" for name in ("whole", "cut")]
    decided = [table.read_bytes() if table.exists() else b"" for table in tables]
    assert decided[0] == decided[1]
    assert bool(decided[0]) == ("schedule" not in config)  # greedy keeps a history
    assert min(second.rows) == len(first.rows) + 1
    assert not list((tmp_path / "cut" / "output").iterdir())


def test_it_reports_what_trainer_finds_and_not_how_fast(tmp_path: Path) -> None:
    curve = Curve()
    run(tmp_path, KNOBS, curve)
    assert list(curve.rows) == [1, 2, 3, 4]
    assert {name for row in curve.rows.values() for name in row} == {"eval_loss", "lr"}
    assert curve.rows[4]["eval_loss"] < curve.rows[1]["eval_loss"]


def test_the_trials_length_ends_the_training(tmp_path: Path) -> None:
    curve = Curve()
    run(tmp_path, KNOBS, curve, num_train_epochs=9)
    assert list(curve.rows) == [1, 2, 3, 4]


def test_a_look_before_the_training_is_no_epoch(tmp_path: Path) -> None:
    curve = Curve()
    run(tmp_path, KNOBS, curve, eval_on_start=True)
    assert list(curve.rows) == [1, 2, 3, 4]


def test_several_evaluation_sets_make_one_report(tmp_path: Path) -> None:
    trial, rows = Trial(max_epochs=2, channel=(curve := Curve())), curve.rows
    callback = TrialCallback(trial, names={"eval_a_loss": "val_loss"})
    made = trainer(tmp_path, (callback,), metric_for_best_model="eval_a_loss")
    made.eval_dataset = {"a": sentences(), "b": sentences()[:4]}
    use_schedule(made, {"lr": 0.1, "step_every": "epoch"})
    made.train(resume_from_checkpoint=callback.checkpoint())
    assert {*rows[1]} == {"val_loss", "eval_b_loss", "lr"}
    assert not math.isnan(rows[2]["val_loss"])


@pytest.mark.parametrize(
    ("more", "resume", "complaint"),
    [
        ({}, False, "resume_from_checkpoint"),
        ({"save_strategy": "epoch"}, True, "save_strategy: 'epoch' .* expected 'no'"),
        ({"eval_delay": 9, "num_train_epochs": 1}, True, "eval_delay: 9 .* within the training"),
        ({"eval_strategy": "no"}, True, "eval_strategy: 'no' .* expected 'epoch' or 'steps'"),
    ],
)
def test_a_trainer_that_would_not_go_on_is_refused(
    tmp_path: Path, more: dict[str, Any], resume: bool, complaint: str
) -> None:
    callback = TrialCallback(Trial())
    made = trainer(tmp_path, (callback,), **more)
    with pytest.raises(BadInput, match=complaint):
        made.train(resume_from_checkpoint=callback.checkpoint() if resume else None)


def test_a_metric_by_a_wrong_name_is_told(tmp_path: Path) -> None:
    callback = TrialCallback(Trial(max_epochs=2), names={"eval_los": "val_loss"})
    made = trainer(tmp_path, (callback,))
    with pytest.raises(BadInput, match=r"names: \['eval_los'\] .* found: eval_loss"):
        made.train(resume_from_checkpoint=callback.checkpoint())
    leg = Leg("t", {"lr": 0.1}, 3, EPOCHS, "val_loss", None, device="cpu")
    outcome = run_leg(leg, training(tmp_path), Curve())
    assert outcome.fatal == "at first"
    assert "metric: 'val_loss' is not usable" in str(outcome.error)
    assert "it reported: eval_loss, lr" in str(outcome.error)


def test_a_trial_that_is_over_reports_no_more(tmp_path: Path) -> None:
    for _ in range(2):
        curve = Curve(pause_at=EPOCHS)
        assert run(tmp_path, KNOBS, curve, num_train_epochs=9).status in ("ended", "completed")
    assert not curve.rows


def test_without_the_library_it_says_which_extra_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.delitem(sys.modules, "tune_lr.trials.huggingface")
    with pytest.raises(MissingExtra, match=r"tune-lr\[huggingface\]"):
        importlib.import_module("tune_lr.trials.huggingface")


# Population-based training


def test_a_trial_that_begins_at_a_copy_trains_with_its_own_settings(tmp_path: Path) -> None:
    def train(folder: str, lr: float, knobs: dict[str, Any], decision: Decision) -> tuple[Trial, Any, Seen]:
        trial = Trial(max_epochs=EPOCHS, folder=tmp_path / folder, channel=lambda report: decision)
        callback, seen = TrialCallback(trial), Seen()
        made = trainer(tmp_path / "out", (callback, seen), learning_rate=lr)
        use_schedule(made, {"lr": lr, **knobs})
        made.train(resume_from_checkpoint=callback.checkpoint())
        trial.close()
        return trial, made, seen

    train("first", 0.1, {"schedule": "linear", "end_factor": 0.5}, PAUSE)
    for name, knobs in (("second", {"schedule": "linear"}), ("third", {"schedule": "cosine"})):
        TrialFolder(tmp_path / name).inherit(TrialFolder(tmp_path / "first"))
        trial, _, seen = train(name, 0.02, knobs, CONTINUE)
        assert trial.loaded_epoch == 1
        alone = plain([1.0] * EPOCHS * STEPS, knobs)
        assert seen.lrs == pytest.approx([lr / 5 for lr in alone[STEPS:]])
