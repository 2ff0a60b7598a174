"""The benchmark of a suggestion's cost, tiny: what is measured is what happened, and the table says it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr import Prior

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks/suggest_cost.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("suggest_cost", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["suggest_cost"] = module
    spec.loader.exec_module(module)
    return module


BENCHMARK = _load()


@pytest.mark.parametrize("history", [True, False])
def test_so_many_choices_after_so_many_reports(history: bool) -> None:
    prior = Prior.fit(bowls([0.4, 0.6], trials=12), SMALL) if history else None
    training = BENCHMARK.Training(SMALL, prior)
    training.fill(40)
    assert training.observations == len(training.reports) == 40
    assert sum(trial.epochs for trial in training.model.running.trials.values()) == 40
    cost = BENCHMARK.measure(40, 5, prior, SMALL)
    assert cost.history == ("2 tasks" if history else "none")
    assert cost.observations == 40
    assert cost.trials >= len(training.model.running.trials)
    assert 0.0 < cost.choice[0] <= cost.choice[1]
    assert 0.0 < cost.report[0] <= cost.report[1]


def test_every_choice_is_timed_and_followed() -> None:
    training = BENCHMARK.Training(SMALL, None)
    training.fill(10)
    for number in range(1, 13):
        before = training.observations
        training.decide()
        assert len(training.choices) == number
        assert training.observations > before
    states = {trial.state for trial in training.model.running.trials.values()}
    assert states <= {"paused", "ended"}


def test_the_table_has_a_goal_beside_each_row() -> None:
    costs = [
        BENCHMARK.Cost("none", 200, 70, (5.0, 9.0), (0.1, 0.2)),
        BENCHMARK.Cost("21 tasks", 5000, 900, (101.0, 140.0), (0.1, 0.2)),
        BENCHMARK.Cost("none", 40, 9, (1.0, 1.0), (0.1, 0.2)),
    ]
    lines = BENCHMARK.table(costs).splitlines()
    assert len(lines) == 5
    assert lines[2].split() == ["none", "200", "70", "5.0", "9.0", "0.1", "0.2", "20", "reached"]
    assert lines[3].split() == ["21", "tasks", "5000", "900", "101.0", "140.0", "0.1", "0.2", "100", "missed"]
    assert lines[4].split()[-1] == "0.2"
