"""The schedule as a knob: a loop written by hand trains with every family, and they are tuned together."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest

import tune_lr
from tune_lr.journal import CONTINUE, Decision, Report
from tune_lr.trials.run import Leg, Outcome, run_leg
from tune_lr.trials.trainer import Trainer

EXAMPLE = str(Path(__file__).resolve().parents[2] / "examples" / "digits_mlp.py")
SPACE = tune_lr.load_space("any_schedule")
FAMILIES = SPACE.knobs["schedule"].every()


def reports(config: dict[str, Any], epochs: int) -> list[dict[str, Any]]:
    """What the example reports, epoch by epoch."""
    rows: list[dict[str, Any]] = []

    def channel(report: Report) -> Decision:
        rows.append(report.metrics)
        return CONTINUE

    leg = Leg("t", config, 0, epochs, "val_loss", None, device="cpu")
    assert run_leg(leg, Trainer.from_text(EXAMPLE).load(), channel) == Outcome("completed")
    return rows


def of(schedule: str, **knobs: Any) -> dict[str, Any]:
    """A configuration of one family."""
    starts = {name: knob.start() for name, knob in SPACE.knobs.items()}
    return SPACE.config({**starts, "schedule": schedule, "lr": 0.1, **knobs})


@pytest.mark.parametrize("schedule", FAMILIES)
def test_the_example_learns_with_every_schedule(schedule: str) -> None:
    first, last = reports(of(schedule), 2)
    assert last["val_loss"] < first["val_loss"] < math.log(10)


def test_plateau_counts_epochs() -> None:
    rows = reports(of("plateau", patience=0, factor=0.5, threshold=1e-2, min_lr_ratio=0.2, lr=1.0), 12)
    lrs = [1.0, *(row["lr"] for row in rows)]
    assert {after / before for before, after in itertools.pairwise(lrs)} <= {1.0, 0.5, 0.8}
    assert reports(of("plateau", patience=10), 2)[-1]["lr"] == 0.1


def test_families_are_tuned_together(tmp_path: Path) -> None:
    experiment = tune_lr.tune(
        EXAMPLE, SPACE, out=tmp_path / "run", searcher="random", trials=12, max_epochs=3, progress=False
    )
    trials = experiment.trials()
    assert set(trials["status"]) <= {"completed", "stopped"}
    assert trials["config/schedule"].nunique() >= 6
    by_epoch = trials["config/step_every"] == "epoch"
    assert (by_epoch == (trials["config/schedule"] == "plateau")).all()


@pytest.mark.parametrize("space", ["hypergradient", "line_search"])
def test_a_schedule_that_needs_more_than_a_loss_is_tuned(tmp_path: Path, space: str) -> None:
    experiment = tune_lr.tune(
        EXAMPLE, space, out=tmp_path / "run", searcher="random", trials=3, max_epochs=2, progress=False
    )
    assert set(experiment.trials()["status"]) <= {"completed", "stopped"}
    assert experiment.best.value < math.log(10)
