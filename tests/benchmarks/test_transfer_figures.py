"""The figures that the judge of the prior goes by, and its goals, by hand."""

from __future__ import annotations

import importlib
import math
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
if str(BENCHMARKS) not in sys.path:
    sys.path.insert(0, str(BENCHMARKS))
figures, goals, rows = (importlib.import_module(f"transfer_.{name}") for name in ("figures", "goals", "rows"))


class TestFigures:
    #: Two hundred runs whose best falls by one an epoch, from different heights.
    baseline = (1000.0 - np.arange(360))[None, :] + np.linspace(-20, 20, 201)[:, None]

    def test_the_best_so_far_passes_over_what_diverged_and_is_carried_on(self):
        found = figures.best_so_far([math.nan, 3.0, 4.0, math.nan, 1.0], 7)
        assert found.tolist() == [math.inf, 3.0, 3.0, 3.0, 1.0, 1.0, 1.0]
        assert figures.best_so_far([5.0, 4.0, 3.0], 2).tolist() == [5.0, 4.0]

    def test_epochs_to_a_target_by_hand(self):
        runs = np.array([[5.0, 3.0, 2.0], [2.0, 2.0, 2.0], [9.0, 9.0, 9.0]])
        assert figures.epochs_to(runs, 3.0, 12).tolist() == [2.0, 1.0, 12.0]

    def test_a_method_equal_to_random_search_is_worth_one(self):
        runs = self.baseline[::10, :40]
        assert figures.speed(runs, self.baseline, 40) == pytest.approx(1.0)
        assert figures.safe(runs, self.baseline, 40) == pytest.approx(1.0)

    def test_a_method_that_needs_half_of_the_epochs_is_worth_two(self):
        runs = self.baseline[::10, 1:80:2]  # after epoch e it has what random search has after 2 e
        assert figures.speed(runs, self.baseline, 40) == pytest.approx(2.0)
        assert figures.safe(runs, self.baseline, 40) == pytest.approx(2.0)

    def test_a_method_that_needs_twice_the_epochs_is_worth_a_half_and_misses_the_target(self):
        runs = self.baseline[::10].repeat(2, axis=1)[:, :40]
        assert figures.speed(runs, self.baseline, 40) == 40 / 160
        assert figures.safe(runs, self.baseline, 40) == pytest.approx(0.5, rel=0.1)

    def test_what_random_search_never_comes_to_counts_as_all_that_it_was_run_for(self):
        runs = np.full((11, 40), -1e9)
        worth = [360 / epochs for epochs in (5, 10, 20, 40)]
        assert figures.safe(runs, self.baseline, 40) == pytest.approx(np.prod(worth) ** 0.25)
        assert figures.speed(runs, self.baseline, 40) == 40.0

    def test_a_run_that_has_nothing_yet_is_worth_an_epoch_at_that_look(self):
        runs = np.full((11, 40), np.inf)
        worth = [1 / epochs for epochs in (5, 10, 20, 40)]
        assert figures.safe(runs, self.baseline, 40) == pytest.approx(np.prod(worth) ** 0.25)

    def test_what_a_figure_comes_to_over_tasks(self):
        found = figures.summary(np.arange(11.0))
        assert found == {"median": 5.0, "lower quartile": 2.5, "10th percentile": 1.0, "worst": 0.0}

    def test_a_ratio_is_taken_on_the_same_tasks(self):
        theirs = np.geomspace(1, 100, 21)
        assert figures.ratio(2 * theirs, theirs) == pytest.approx((2.0, 2.0, 2.0))
        middle, low, high = figures.ratio(theirs[::-1], theirs)
        assert middle == pytest.approx(1.0)
        assert low < 0.7 < 1.4 < high


def row(speed, safe):
    values = np.array(speed, float), np.array(safe, float)
    return rows.Row(tuple(map(str, range(len(speed)))), 31, *values, 0.001, 0.0001, 0)


class TestGoals:
    def reached(self, made):
        return {(goal.row, goal.what): goal.reached for goal in goals.goals_of(made)}

    def test_a_goal_is_reached_not_reached_or_not_measured(self):
        made = {
            ("freeze-thaw", "all"): row([20, 30, 40], [5, 6, 7]),
            ("portfolio", "all"): row([25, 30, 35], [5, 6, 7]),
            ("freeze-thaw", "flipped"): row([1, 1, 1], [1.0, 1.9, 2.5]),
            ("freeze-thaw", "none"): row([1, 1, 1], [1.5, 2.1, 2.5]),
            ("tpe", "none"): row([1, 1, 1], [1, 1, 1]),
            ("bohb", "none"): row([1, 1, 1], [3, 3, 3]),
        }
        found = self.reached(made)
        ours = ("freeze-thaw", "all")
        assert found[ours, "speed, median, by the portfolio's"] is True
        assert found[ours, "speed, lower quartile, by the portfolio's"] is False  # 25 by 27.5
        assert found[ours, "safe, 10th percentile"] is True
        flipped = ("freeze-thaw", "flipped")
        assert found[flipped, "safe, median, by that without history"] is False  # 1.9 by 2.1
        assert found[flipped, "safe, 10th percentile"] is False
        none = ("freeze-thaw", "none")
        assert found[none, "safe, median"] is True
        assert found[none, "safe, median, by the best model's: end of the interval"] is False
        assert found[none, "milliseconds a suggestion, at most"] is True
        assert found[("freeze-thaw", "three"), "speed, median"] is None

    def test_a_slow_suggestion_misses_its_goal(self):
        slow = row([1, 1, 1], [1, 1, 1])
        slow = rows.Row(slow.tasks, 31, slow.speed, slow.safe, 0.05, 0.0, 0)
        found = self.reached({("freeze-thaw", "none"): slow})
        assert found[("freeze-thaw", "none"), "milliseconds a suggestion, at most"] is False
