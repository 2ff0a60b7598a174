"""The trials of the running experiment, as the model sees them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tune_lr.objective import WORST_LOSS
from tune_lr.prior.running import MOST_KEPT, Running, Seen


def running(*curves: list[float], max_epochs: int = 9) -> Running:
    made = Running(max_epochs)
    for i, curve in enumerate(curves):
        made.trials[f"{i:04d}"] = Seen(f"{i:04d}", i, list(curve))
    return made


def test_a_report_counts_once() -> None:
    trial = Seen("a", 0)
    assert trial.observe(1, 0.5)
    assert not trial.observe(1, 0.4)
    assert trial.observe(2, 0.4)
    assert not trial.observe(1, 0.1)
    assert trial.curve == [0.5, 0.4]
    assert trial.epochs == 2


def test_epochs_that_were_not_reported_are_gaps() -> None:
    trial = Seen("a", 0)
    assert trial.observe(3, 0.5)
    assert trial.observe(5, 0.4)
    assert trial.epochs == 5
    assert np.isnan(trial.curve).tolist() == [True, True, False, True, False]
    assert not trial.observe(4, 0.1)


def test_trials_are_known_by_place_and_by_state() -> None:
    made = running([1.0], [], [2.0])
    made.trials["0001"].state = "paused"
    assert made.begun == {0, 1, 2}
    assert [trial.trial_id for trial in made.of_state("running")] == ["0000", "0002"]
    assert [trial.trial_id for trial in made.of_state("paused")] == ["0001"]


def test_only_what_has_reported_is_judged() -> None:
    seen, scores, last = running().judged()
    assert (seen, len(scores), len(last)) == ([], 0, 0)
    seen, scores, last = running([3.0, 1.0], [], [2.0]).judged()
    assert [trial.place for trial in seen] == [0, 2]
    assert last.tolist() == [2, 1]
    assert scores[1] > scores[0], "at the first epoch, which both have reached"


def test_what_has_diverged_counts_as_trained_to_the_end() -> None:
    made = running([0.1, WORST_LOSS], [0.5], [0.6, 0.5, 0.4])
    assert made.trials["0000"].ruined
    _, scores, last = made.judged()
    assert last.tolist() == [9, 1, 3]
    assert scores[0] < min(scores[1:]), "however well it began"


def test_one_of_many_that_diverged_is_the_worst() -> None:
    _, scores, _ = running([1.0] * 9, [WORST_LOSS], [2.0] * 9, [WORST_LOSS]).judged()
    assert scores[1] == scores[3] == scores.min()
    assert np.isfinite(scores).all()


def test_epochs_beyond_the_most_are_taken_in() -> None:
    seen, scores, last = running([1.0] * 12, [2.0] * 9).judged()
    assert len(seen) == 2
    assert last.tolist() == [12, 9]
    assert scores[0] > scores[1]


def test_where_trials_are_many_the_longest_the_best_and_the_newest_are_kept() -> None:
    count = MOST_KEPT + 160
    made = running(*([float(i)] for i in range(count)))
    made.trials["0300"].curve = [900.0, 800.0, 700.0]
    seen, scores, last = made.judged()
    assert len(seen) == len(scores) == len(last) == MOST_KEPT
    names = [trial.trial_id for trial in seen]
    assert names == sorted(names)
    assert "0300" in names, "it was trained longest"
    assert names[:20] == [f"{i:04d}" for i in range(20)]
    assert names[-80:] == [f"{i:04d}" for i in range(count - 80, count)]


@pytest.mark.parametrize("gap", [0, 3])
def test_sparse_reports_are_kept_by_their_best_too(gap: int) -> None:
    curves = [[math.nan] * gap + [500.0, float((i * 77) % 400)] for i in range(400)]
    kept = sorted(curves[trial.place][-1] for trial in running(*curves).judged()[0] if trial.place < 320)
    assert kept == sorted(curves[i][-1] for i in range(320))[: MOST_KEPT - 80]
