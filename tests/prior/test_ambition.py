"""Breadth or depth: leads worked out by hand, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.samples.past import past, trial
from tests.samples.spaces import SMALL
from tune_lr.objective import WORST_LOSS
from tune_lr.prior.ambition import ambition, past_leads, running_leads
from tune_lr.prior.running import Seen
from tune_lr.prior.tasks import PastTask, past_tasks


def task(early: list[float], final: list[float]) -> PastTask:
    """Nine epochs: the first, and seven at the last value."""
    points = SMALL.sample(len(early), 0)
    trials = [trial(SMALL.config(p), [a] + [b] * 8) for p, a, b in zip(points, early, final, strict=True)]
    (made,) = past_tasks(past(one=trials), SMALL)
    return made


def seen(*curves: list[float]) -> list[Seen]:
    return [Seen(str(i), i, curve) for i, curve in enumerate(curves)]


def test_nothing_known_is_between_none_and_most() -> None:
    usual = ambition([])
    assert 0.0 < usual < ambition([1.0] * 50) == 1.0
    assert ambition([0.0] * 50) == 0.0
    # (2 * .65 + .9 + .8) / 4 = .75; (.75 - .45) / (.9 - .45)
    assert ambition([0.9, 0.8]) == pytest.approx(0.3 / 0.45)
    assert ambition([0.9, 0.8], 0.5) == pytest.approx((2.15 / 3 - 0.45) / 0.45)


def test_more_of_the_same_lead_moves_it_further() -> None:
    high = [ambition([0.85] * n) for n in (0, 1, 3, 10)]
    low = [ambition([0.5] * n) for n in (0, 1, 3, 10)]
    assert high == sorted(high)
    assert low == sorted(low, reverse=True)
    assert high[0] == low[0]


def test_the_lead_of_a_past_task_is_counted_by_hand() -> None:
    final = [float(i) for i in range(20)]
    early = [9.5, *(value + 20.0 for value in final[1:])]
    # The best ends at 0 and is at 9.5 after one epoch: 10 of the 20 end worse.
    assert past_leads([task(early, final)]) == [0.5]
    assert past_leads([task([0.5, *early[1:]], final)]) == [0.95]
    assert past_leads([task([90.0, *early[1:]], final)]) == [0.0]


def test_tasks_that_are_short_small_or_not_trained_to_the_end_have_no_lead() -> None:
    whole = task([float(i) + 1 for i in range(20)], [float(i) for i in range(20)])
    assert len(past_leads([whole, whole])) == 2
    short = replace(whole, curves=whole.curves[:, :8], last=np.full(20, 8))
    stopped = replace(whole, last=np.where(np.arange(20) < 9, 9, 3))
    small = task([2.0] * 9, [float(i) for i in range(9)])
    assert past_leads([short, stopped, small]) == []


def test_the_leads_of_running_trials_are_counted_by_hand() -> None:
    # After a third of 9 epochs, 3, a trial counts. The best of them (1.0) was at 3.5 after the first epoch.
    curves = [[3.5, 2.0, 1.0], [9.0, 5.0, 4.0], [9.0, 5.0, 3.0], [9.0, 9.0]]
    assert running_leads(seen(*curves), 9) == [0.5]
    assert running_leads(seen([2.5, 2.0, 1.0], *curves[1:]), 9) == [1.0]
    assert running_leads(seen([5.0, 2.0, 1.0], *curves[1:]), 9) == [0.0]


def test_the_best_so_far_counts_and_what_diverged_does_not() -> None:
    curves = [[3.5, 1.0, 8.0], [9.0, 5.0, 4.0], [9.0, 3.0, 5.0]]
    assert running_leads(seen(*curves), 9) == [0.5]
    ruined = [0.1, 0.1, WORST_LOSS]
    assert running_leads(seen(*curves, ruined), 9) == [0.5]
    assert running_leads(seen(*curves[:2], ruined), 9) == []


@pytest.mark.parametrize("most", [1, 2, 3, 27])
def test_few_trials_or_short_ones_have_no_lead(most: int) -> None:
    assert running_leads([], most) == []
    assert running_leads(seen([1.0], [2.0], [3.0], [4.0]), most) == []


def test_each_of_the_best_third_has_a_lead() -> None:
    curves = [[5.0 + i, 1.0, float(i)] for i in range(9)]
    leads = running_leads(seen(*curves), 9)
    assert len(leads) == 3
    assert all(0.0 <= lead <= 1.0 for lead in leads)
