"""Past tasks out of any mix of logs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr.history.entry import make_entry
from tune_lr.history.history import History
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.coordinates import FOREIGN, OUTSIDE
from tune_lr.prior.curves import curves_of
from tune_lr.prior.fidelity import FRACTIONS, USUAL, noise_of
from tune_lr.prior.learned_noise import learned_noise
from tune_lr.prior.tasks import PastTask, past_tasks
from tune_lr.space import SearchSpace

LR = SearchSpace.from_dict(
    {"name": "rates", "knobs": {"lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True}}}
)
A, B, C = {"lr": 0.01}, {"lr": 0.1}, {"lr": 1.0}


def only(history: History, space: SearchSpace = LR) -> PastTask:
    (task,) = past_tasks(history, space)
    return task


def test_a_task_is_its_curves_in_the_cube() -> None:
    task = only(past(a=[trial(A, [3.0, 2.0, 2.5]), trial(B, [2.0, 1.0]), trial(C, [4.0, 4.0, 3.0])]))
    assert (task.name, task.source, task.metric, task.mode) == ("a", "pandas", "loss", "min")
    np.testing.assert_allclose(task.cube[:, 0], [0.0, 0.5, 1.0])
    assert task.curves.tolist() == [[3.0, 2.0, 2.0], [2.0, 1.0, 1.0], [4.0, 4.0, 3.0]]
    assert task.last.tolist() == [3, 2, 3]
    assert task.scores.argsort().tolist() == [2, 0, 1]
    assert task.noise[1] > task.noise[0] == task.noise[2]
    assert task.epochs == 3
    assert task.dropped == {}


def test_large_is_good_where_the_metric_says_so() -> None:
    task = only(past("acc", "max", a=[trial(A, [0.1, 0.3, 0.2]), trial(B, [0.2, 0.2, 0.9])]))
    assert task.curves == pytest.approx(np.array([[-0.1, -0.3, -0.3], [-0.2, -0.2, -0.9]]))
    assert task.scores[1] > task.scores[0]


@pytest.mark.parametrize("end", [math.nan, math.inf])
def test_what_diverged_is_worst_from_there_on(end: float) -> None:
    task = only(past(a=[trial(A, [1.0, end]), trial(B, [9.0, 9.0, 9.0]), trial(C, [8.0, 8.0, 8.0])]))
    assert task.curves[0].tolist() == pytest.approx([1.0, WORST_LOSS, WORST_LOSS])
    assert task.last[0] == 3
    assert task.scores.argmin() == 0


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_bad_end_needs_no_number(status: str) -> None:
    trials = [trial(A, [math.nan], status=status), trial(B, [2.0, 1.0]), trial(C, [1.0, 0.5])]
    task = only(past(a=trials))
    assert task.curves[0].tolist() == pytest.approx([WORST_LOSS] * 2)
    assert task.scores.argmin() == 0
    assert task.dropped == {}


def test_a_trial_without_any_value_is_dropped_and_counted() -> None:
    trials = [trial(A, [math.nan], status="running"), trial(B, [2.0, 1.0]), trial(C, [1.0, 0.5])]
    task = only(past(a=trials))
    assert len(task.scores) == 2
    assert task.dropped == {"no value": 1}


def test_a_final_value_alone_counts_as_trained_to_the_end(tmp_path: Path) -> None:
    table = pd.DataFrame({"lr": [0.01, 0.1, 1.0], "loss": [3.0, 1.0, 2.0]})
    table.to_csv(tmp_path / "finals.csv", index=False)
    history = History(tmp_path / "store")
    history.add(tmp_path / "finals.csv", metric="loss", mode="min")
    task = only(history)
    assert task.curves.tolist() == [[3.0], [1.0], [2.0]]
    assert task.last.tolist() == [1, 1, 1]
    assert task.scores.argmax() == 1
    assert task.noise == pytest.approx(USUAL[-1])


def test_reports_every_few_epochs_are_whole_curves() -> None:
    task = only(past(a=[trial(A, [None, 5.0, None, 3.0]), trial(B, [None, 4.0, None, 2.0])]))
    assert task.curves.tolist() == [[5.0, 5.0, 5.0, 3.0], [4.0, 4.0, 4.0, 2.0]]
    assert task.last.tolist() == [4, 4]


def test_seeds_of_a_configuration_are_one_with_less_noise() -> None:
    task = only(past(a=[trial(A, [1.0]), trial(B, [3.0]), trial(A, [2.0]), trial(C, [5.0])]))
    assert len(task.scores) == 3
    assert task.curves[:, 0].tolist() == [1.5, 3.0, 5.0]
    assert task.repeats == pytest.approx([2.0, 1.0, 1.0])
    assert task.noise[0] == pytest.approx(task.noise[1] / 2)


def test_a_seed_that_was_stopped_early_adds_little() -> None:
    task = only(past(a=[trial(A, [4.0] + [1.0] * 26), trial(A, [9.0]), trial(B, [3.0] * 27)]))
    assert task.curves[0, -1] == 1.0
    assert task.last[0] == 27
    assert 1.0 < task.repeats[0] < 1.2
    assert task.with_noise(USUAL).noise == pytest.approx(task.noise)


def test_what_lies_outside_is_dropped_and_counted() -> None:
    constant = {"min_lr": 0.01, "smooth": False, "momentum": 0.9}
    config: list[dict[str, Any]] = [
        {"lr": 0.1, **constant},
        {"lr": 0.5, **constant},
        {"lr": 7.0, **constant},
        {"lr": 0.2, **constant, "momentum": 0.5},
    ]
    task = only(past(a=[trial(one, [1.0 + i]) for i, one in enumerate(config)]), SMALL)
    assert len(task.scores) == 2
    assert task.dropped == {OUTSIDE: 2}


def test_a_knob_that_a_log_lacks_is_at_its_start_and_makes_noise() -> None:
    whole = bowls([0.5]).filter(task="bowl0")
    (known,) = past_tasks(whole, SMALL)
    task = only(past(a=[trial(one, [1.0, 2.0]) for one in (A, B, C)]), SMALL)
    start = SMALL.encode(SMALL.default())
    assert task.cube[:, 1:] == pytest.approx(np.tile(start[1:], (3, 1)))
    assert task.noise.min() > known.noise.max()


def test_a_condition_is_met_where_only_what_waits_for_it_is_told() -> None:
    task = only(past(a=[trial({"lr": 0.1, "window": n}, [float(n)]) for n in (3, 5)]), SMALL)
    assert [SMALL.decode(row)["window"] for row in task.cube] == [3, 5]


def test_a_log_of_other_things_gives_nothing_and_it_is_told() -> None:
    skipped = Skipped()
    history = past(a=[trial({"depth": n}, [1.0]) for n in range(3)], b=[trial(A, [1.0]), trial(A, [2.0])])
    assert past_tasks(history, LR, skipped) == []
    (first, second) = skipped.lines()
    assert first.startswith("a: fewer than two")
    assert FOREIGN in first
    assert second.startswith("b: fewer than two")


def test_imports_of_one_task_are_one_and_other_metrics_are_others(tmp_path: Path) -> None:
    history = History(tmp_path / "store")
    for name, metric, rates in (
        ("a", "loss", [0.1, 0.2]),
        ("b", "loss", [0.4, 0.5]),
        ("c", "acc", [0.1, 0.3]),
    ):
        frame = pd.DataFrame({"lr": rates, metric: [0.3, 0.4]})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
        mode: Any = "max" if metric == "acc" else "min"
        history.add(tmp_path / f"{name}.csv", task="one", metric=metric, mode=mode, describe={"by": name})
    found = {task.metric: task for task in past_tasks(history, LR)}
    assert len(found["loss"].scores) == 4
    assert "+" in found["loss"].id
    assert found["loss"].descriptors.keys() == {"by"}
    assert len(found["acc"].scores) == 2
    assert {task.name for task in found.values()} == {"one"}


def test_tasks_may_differ_in_length() -> None:
    history = past(a=[trial(A, [1.0] * 3), trial(B, [2.0] * 3)], b=[trial(A, [1.0] * 7), trial(B, [2.0] * 7)])
    assert [task.curves.shape for task in past_tasks(history, LR)] == [(2, 3), (2, 7)]


def test_a_log_that_counts_very_many_steps_is_looked_at_less_often() -> None:
    rows = [
        {"trial_id": name, "epoch": step, "loss": 1.0 / step + lr, "config/lr": lr}
        for name, lr in (("x", 0.1), ("y", 0.2))
        for step in range(1000, 100_001, 1000)
    ]
    task = only(History.from_pandas(pd.DataFrame(rows), "loss", "min"))
    assert task.curves.shape[1] <= 512
    assert abs(task.epochs - 100_000) < task.stride
    assert task.scores.argmax() == 0
    assert task.curves[0, -1] == pytest.approx(0.1 + 1e-5)


def test_noise_falls_with_the_epochs_reached() -> None:
    assert noise_of([1, 3, 9, 27], 27) == pytest.approx(USUAL)
    assert (np.diff(noise_of(np.arange(1, 28), 27)) < 0).all()
    assert noise_of([1], 10_000) == pytest.approx(USUAL[0])


def test_a_final_value_that_was_optimized_stands_in_the_last_place() -> None:
    log = Log(
        "optuna",
        "study",
        pd.DataFrame({"trial_id": ["0", "1"], "loss": [0.7, 0.6], "config/lr": [0.1, 0.2]}),
        pd.DataFrame({"trial": [0, 0, 1, 1], "epoch": [1, 2, 1, 2], "loss": [0.9, 0.1, 0.8, 0.2]}),
        metric="loss",
        mode="min",
        counts_from=1,
        fidelity="epochs",
        by_final=True,
    )
    curves, last = curves_of(make_entry(log, Asked(), "here", Skipped()), 3, 1)
    assert curves.tolist() == [[0.9, 0.7, 0.7], [0.8, 0.6, 0.6]]
    assert last.tolist() == [2, 2]


def test_survivors_alone_say_nothing_of_how_rankings_change() -> None:
    (task,) = _crossing(1, 0.4)
    stopped = replace(task, last=np.where(np.arange(len(task.last)) < 30, 3, task.last))
    assert learned_noise([stopped]) == pytest.approx(USUAL)


def _crossing(tasks: int, mix: float) -> list[PastTask]:
    """Tasks whose first epochs rank the trials by something else than their last one, in part."""
    rng = np.random.default_rng(0)
    made = {}
    for i in range(tasks):
        final, other = rng.standard_normal((2, 40))
        early = mix * final + (1 - mix) * other
        made[f"x{i}"] = [
            trial({"lr": 0.01 * 10 ** (j / 20)}, [50 + early[j]] * 20 + [20 + final[j]] * 7)
            for j in range(40)
        ]
    return past_tasks(past(**made), LR)


def test_noise_is_learned_from_how_rankings_change() -> None:
    steady, changing = learned_noise(_crossing(8, 1.0)), learned_noise(_crossing(8, 0.4))
    assert (steady[:-1] < USUAL[:-1]).all()
    assert (changing[:-1] > USUAL[:-1]).all()
    assert (np.diff(changing) <= 0).all()
    one = learned_noise(_crossing(1, 0.4))
    assert abs(np.log(one[0] / USUAL[0])) < abs(np.log(changing[0] / USUAL[0])), "few tasks tell little"
    assert learned_noise([]) == pytest.approx(USUAL)
    assert len(FRACTIONS) == len(USUAL)
