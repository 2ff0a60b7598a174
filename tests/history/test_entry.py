"""The one schema: what a log comes to."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from tune_lr.errors import BadInput
from tune_lr.history.entry import Entry, TaskInfo, make_entry
from tune_lr.history.log import Asked, Log, Skipped
from tune_lr.history.matching import outside
from tune_lr.space import SearchSpace


def entry(
    trials: dict[str, Any], reports: dict[str, Any], asked: Asked | None = None, **log: Any
) -> tuple[Entry, Skipped]:
    skipped = Skipped()
    frame = pd.DataFrame({"trial": pd.Series(dtype=int), "epoch": pd.Series(dtype=int), **reports})
    given = Log("test", "task", pd.DataFrame(trials), frame, **log)
    return make_entry(given, asked or Asked(), "here", skipped), skipped


def losses(*curves: list[float], first: int = 1, metric: str = "val_loss") -> dict[str, Any]:
    return {
        "trial": [t for t, curve in enumerate(curves) for _ in curve],
        "epoch": [first + e for curve in curves for e in range(len(curve))],
        metric: [value for curve in curves for value in curve],
    }


def test_epochs_that_count_from_0_are_shifted_and_the_note_says_so() -> None:
    made, _ = entry({"trial_id": ["a"]}, losses([3.0, 2.0], first=0))
    assert made.reports["epoch"].tolist() == [1, 2]
    assert any("from 0" in note for note in made.info.notes)


def test_where_epochs_count_from_1_epoch_0_is_no_fidelity() -> None:
    made, skipped = entry({"trial_id": ["a"]}, losses([9.0, 2.0], first=0), counts_from=1)
    assert made.reports["epoch"].tolist() == [1]
    assert skipped.counts["reports", "a report before the first epoch"] == 1


def test_numbers_with_gaps_are_steps() -> None:
    reports = {"trial": [0, 0], "epoch": [50, 100], "val_loss": [2.0, 1.0]}
    made, _ = entry({"trial_id": ["a"]}, reports)
    assert (made.info.fidelity, made.reports["epoch"].tolist()) == ("steps", [50, 100])


def test_of_an_epoch_reported_twice_the_later_row_counts() -> None:
    reports = {"trial": [0, 0, 0], "epoch": [2, 1, 2], "val_loss": [5.0, 3.0, 1.0]}
    made, skipped = entry({"trial_id": ["a"]}, reports)
    assert made.reports["val_loss"].tolist() == [3.0, 1.0]
    assert skipped.counts["reports", "an epoch that was reported again later"] == 1


def test_statuses_that_nobody_said_follow_from_the_epochs() -> None:
    made, _ = entry({"trial_id": ["a", "b", "c"]}, losses([2.0, 1.0], [3.0], [math.nan]))
    assert made.trials["status"].tolist() == ["completed", "stopped", "diverged"]
    assert made.trials["epochs"].tolist() == [2, 1, 1]


def test_what_the_source_says_of_failures_is_kept() -> None:
    trials = {"trial_id": ["a", "b"], "status": ["failed", None], "error": ["ValueError", None]}
    made, _ = entry(trials, losses([2.0], [1.0]))
    assert made.trials["status"].tolist() == ["failed", "completed"]
    assert made.trials["error"][0] == "ValueError"


def test_gaps_before_a_number_mean_not_reported() -> None:
    made, _ = entry({"trial_id": ["a"]}, losses([math.nan, 1.0, math.nan]))
    assert made.trials["status"].tolist() == ["completed"]
    assert made.trials["best"].tolist() == [1.0]


def test_only_the_end_of_a_curve_says_that_it_diverged() -> None:
    curves = losses([1.0, math.inf, 2.0], [math.inf, 3.0, 2.0], [3.0, 2.0, math.inf])
    made, _ = entry({"trial_id": ["a", "b", "c"]}, curves)
    assert made.trials["status"].tolist() == ["completed", "completed", "diverged"]
    assert made.info.best == 1.0


def test_a_trial_that_recovers_excuses_no_other() -> None:
    made, _ = entry({"trial_id": ["a", "b"]}, losses([math.nan, 0.8, 0.7], [0.9, math.nan, math.nan]))
    assert made.trials["status"].tolist() == ["completed", "diverged"]


def test_a_metric_that_is_evaluated_now_and_then() -> None:
    """Every third epoch; the second trial ends between two evaluations, the third without its last number."""
    nan = math.nan
    made, _ = entry(
        {"trial_id": ["a", "b", "c"]},
        losses([nan, nan, 3.0, nan, nan, 2.0, nan], [nan, nan, 4.0, nan], [nan, nan, 5.0, nan, nan, nan]),
    )
    assert made.trials["status"].tolist() == ["completed", "stopped", "diverged"]


def test_where_the_final_value_counts_reports_only_led_there() -> None:
    trials = {"trial_id": ["a", "b", "c"], "val_loss": [0.5, math.nan, 0.25]}
    made, _ = entry(trials, losses([0.1, 0.9], [0.75, 0.5], [0.5, math.nan]), by_final=True)
    assert made.trials["best"].tolist() == [0.5, 0.5, 0.25]
    assert made.trials["status"].tolist() == ["completed"] * 3
    assert made.info.best == 0.25
    assert made.info.by_final


def test_reports_count_where_no_trial_has_a_final_value() -> None:
    made, _ = entry({"trial_id": ["a"]}, losses([0.1, 0.9]), by_final=True)
    assert (made.info.best, made.info.by_final) == (0.1, False)


def test_a_footer_from_before_final_values_is_read() -> None:
    made, _ = entry({"trial_id": ["a"]}, losses([0.1, 0.9]))
    told = json.loads(made.info.to_json())
    told.pop("by_final")
    assert TaskInfo.from_json(json.dumps(told)) == made.info


def test_a_metric_may_bear_the_name_of_a_column_of_trials() -> None:
    reports = losses([2.0, 1.0]) | {"error": [0.5, 0.25]}
    made, _ = entry({"trial_id": ["a"], "epoch": [7.0], "error": ["none to tell"]}, reports)
    assert made.reports["epoch"].tolist() == [1, 2]
    assert made.reports["error_"].tolist() == [0.5, 0.25]
    assert made.trials["error"].tolist() == ["none to tell"]
    assert made.trials["epoch_"].tolist() == [7.0]


def test_a_metric_is_asked_for_by_either_name() -> None:
    for name in ("best", "best_"):
        made, _ = entry(
            {"trial_id": ["a"]}, losses([2.0, 1.0], metric="best"), Asked(metric=name, mode="min")
        )
        assert made.info.metric == "best_"


def test_the_source_knows_the_direction_of_other_metrics_too() -> None:
    reports = losses([1.0, 3.0]) | {"loss_reduction": [4.0, 9.0]}
    log = {"metric": "val_loss", "mode": "min", "modes": {"val_loss": "min", "loss_reduction": "max"}}
    made, _ = entry({"trial_id": ["a"]}, reports, Asked(metric="loss_reduction"), **log)
    assert (made.info.mode, made.info.best, made.info.guessed) == ("max", 9.0, [])


def test_a_report_that_is_missing_makes_no_steps() -> None:
    curves = losses(*([1.0] * 10 for _ in range(3)))
    kept = {name: [v for at, v in enumerate(values) if at != 14] for name, values in curves.items()}
    made, _ = entry({"trial_id": ["a", "b", "c"]}, kept)
    assert made.info.fidelity == "epochs"


SPACE = {
    "name": "theirs",
    "knobs": {
        "learning_rate": {"type": "float", "low": 0.01, "high": 1.0},
        "momentum": {"type": "float", "low": 0.0, "high": 1.0, "when": {"optimizer": ["sgd"]}},
        "optimizer": {"type": "categorical", "values": ["sgd", "adam"]},
    },
}


def test_a_sources_own_space_calls_its_knobs_as_its_trials_do() -> None:
    own = {
        **SPACE,
        "knobs": {name: SPACE["knobs"][name] for name in ("learning_rate", "optimizer", "momentum")},
    }
    trials = {
        "trial_id": ["a", "b"],
        "config/learning_rate": [0.1, 0.2],
        "config/optimizer": ["sgd", "adam"],
        "config/momentum": [0.5, None],
        "val_loss": [1.0, 2.0],
    }
    made, _ = entry(trials, {}, space=own)
    assert made.info.space == "theirs"
    assert made.info.matched == {"lr": 2, "optimizer": 2, "momentum": 1}
    assert (made.info.unmatched, made.info.outside) == ([], 0)


def test_a_log_of_other_knobs_is_of_no_shipped_space() -> None:
    trials = {
        "trial_id": ["a", "b"],
        "config/lr": [0.1, 0.2],
        "config/width": [8, 16],
        "config/depth": [1, 2],
    }
    made, _ = entry(trials | {"val_loss": [1.0, 2.0]}, {})
    assert made.info.space is None


def test_names_of_trials_come_out_different() -> None:
    made, _ = entry({"trial_id": ["a", "a", "a-1", None, "a-1-1"], "val_loss": [1.0] * 5}, {})
    assert made.trials["trial_id"].nunique() == 5


def test_of_two_seeds_that_differ_neither_is_lost() -> None:
    trials = {"trial_id": ["a"], "config/seed": [1], "config/random_seed": [2], "val_loss": [1.0]}
    made, _ = entry(trials, {})
    assert made.trials["seed"].tolist() == [1]
    assert made.trials["config/random_seed"].tolist() == [2]


def test_a_final_value_belongs_to_the_trial_and_is_no_report() -> None:
    made, _ = entry({"trial_id": ["a", "b"], "accuracy": [0.5, 0.75]}, {})
    assert (made.info.reports, made.info.best, made.info.mode) == (0, 0.75, "max")
    assert made.trials["best"].tolist() == [0.5, 0.75]


@pytest.mark.parametrize(("scope", "best"), [("best", 1.0), ("last", 3.0), ("avg-2", 2.0)])
def test_a_trial_is_worth_what_the_scope_says(scope: str, best: float) -> None:
    made, _ = entry({"trial_id": ["a"]}, losses([5.0, 1.0, 3.0]), scope=scope)
    assert made.trials["best"].tolist() == [best]


def test_knobs_get_their_names_and_ratios_become_absolute() -> None:
    trials = {"trial_id": ["a"], "config/learning_rate": [0.1], "config/max_lr_ratio": [10.0]}
    made, _ = entry(trials, losses([1.0]))
    assert made.trials["config/lr"].tolist() == [0.1]
    assert made.trials["config/max_lr"].tolist() == pytest.approx([1.0])


def test_what_a_person_renames_is_renamed() -> None:
    asked = Asked(rename={"alpha": "lr", "objective": "val_loss"})
    trials = {"trial_id": ["a"], "config/alpha": [0.1]}
    made, _ = entry(trials, losses([1.0], metric="objective"), asked, metric="objective", mode="min")
    assert made.info.metric == "val_loss"
    assert made.trials["config/lr"].tolist() == [0.1]


def test_a_seed_is_no_knob() -> None:
    made, _ = entry(
        {"trial_id": ["a", "b"], "config/seed": [3, 4], "config/lr": [0.1, 0.1]}, losses([1.0], [2.0])
    )
    assert made.trials["seed"].tolist() == [3, 4]
    assert "seed" not in made.info.knobs


def test_trials_outside_of_the_space_are_kept_and_flagged() -> None:
    trials = {"trial_id": ["a", "b"], "config/lr": [0.1, 50.0]}
    made, _ = entry(trials, losses([1.0], [2.0]), Asked(space="constant"))
    assert made.trials["outside"].tolist() == ["", "lr"]
    assert made.info.outside == 1


def test_a_metric_that_the_names_do_not_tell_is_asked_for() -> None:
    reports = {"trial": [0], "epoch": [1], "alpha": [1.0], "beta": [2.0]}
    with pytest.raises(BadInput, match=r"--metric.*alpha, beta"):
        entry({"trial_id": ["a"]}, reports)
    with pytest.raises(BadInput, match="--mode"):
        entry({"trial_id": ["a"]}, reports, Asked(metric="alpha"))
    with pytest.raises(BadInput, match="did you mean alpha"):
        entry({"trial_id": ["a"]}, reports, Asked(metric="alpa", mode="min"))


def test_the_id_is_of_the_content_alone() -> None:
    trials, reports = {"trial_id": ["a"], "config/lr": [0.1]}, losses([2.0, 1.0])
    one, _ = entry(trials, reports)
    again, _ = entry(trials, {name: values[::-1] for name, values in reports.items()})
    other, _ = entry(trials, losses([2.0, 1.5]))
    assert one.info.id == again.info.id != other.info.id
    pd.testing.assert_frame_equal(one.reports, again.reports)


@pytest.mark.parametrize("name", ["kind", "experiment", "metric", "config/lr", "outside"])
def test_a_metric_of_any_name_is_kept(name: str) -> None:
    reports = losses([2.0, 1.0]) | {name: [0.5, 0.25]}
    made, _ = entry({"trial_id": ["a"], "config/lr": ["text"], name.replace("/", "_"): [4.0]}, reports)
    (kept,) = [one for one in made.reports.columns if one not in ("trial", "epoch", "seconds", "val_loss")]
    assert made.reports[kept].tolist() == [0.5, 0.25]
    assert made.trials["config/lr"].tolist() == ["text"]


def test_what_a_stranger_says_at_length_is_cut() -> None:
    long = {"config/note": ["x" * 100_000], "config/" + "y" * 5000: [1]}
    trials = {"trial_id": ["a"], **long, "val_loss": [1.0]}
    facts = {str(number): "z" * 100_000 for number in range(1000)}
    made, skipped = entry(trials, {}, descriptors=facts)
    assert len(made.info.to_json()) < 400_000
    assert skipped.counts["columns", "a name of more than 1000 letters"] == 1


def test_values_are_as_large_as_they_are() -> None:
    made, _ = entry({"trial_id": ["a"]}, losses([1e35, 2e35]))
    assert made.info.best == 1e35


def test_one_of_many_numbers_is_found_quickly() -> None:
    values = [number / 7 for number in range(100_000)]
    own = {"name": "many", "knobs": {"lr": {"type": "categorical", "values": values}}}
    trials = {"trial_id": ["a", "b"], "config/lr": [values[77], 0.01], "val_loss": [1.0, 1.0]}
    assert outside(pd.DataFrame(trials), SearchSpace.from_dict(own)) == ["", "lr"]
