"""What a prior tells of a space, from much history, little, and hardly any."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr import Prior
from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.space import SearchSpace

LR = SearchSpace.from_dict(
    {"name": "rates", "knobs": {"lr": {"type": "float", "low": 0.01, "high": 1.0, "log": True}}}
)
KINDS = SearchSpace.from_dict(
    {
        "name": "kinds",
        "knobs": {
            "rule": {"type": "categorical", "values": ["a", "b", "c"]},
            "flag": {"type": "categorical", "values": [True, False]},
        },
    }
)


@pytest.fixture(scope="module")
def prior() -> Prior:
    return Prior.fit(bowls([0.4, 0.5, 0.6], trials=40), SMALL)


def at(first: float, n: int = 1, seed: int = 5) -> list[dict[str, Any]]:
    """Points whose first coordinate is given."""
    rows = np.random.default_rng(seed).random((n, SMALL.dimension))
    rows[:, 0] = first
    return [SMALL.decode(row) for row in rows]


def test_points_are_the_ones_that_did_well(prior: Prior) -> None:
    first = [SMALL.knobs["lr"].to_unit(point["lr"]) for point in prior.points(5)]
    assert np.abs(np.array(first) - 0.5).max() < 0.3
    assert abs(first[0] - 0.5) < 0.15
    assert prior.points(0) == []
    assert len(prior.points(1000)) == 40
    assert prior.points(3) == prior.points(10)[:3]


def test_points_values_and_configs_are_the_same_in_three_forms(prior: Prior) -> None:
    for point, values, config in zip(prior.points(9), prior.values(9), prior.configs(9), strict=True):
        assert set(point) == {"lr", "min_lr_ratio", "smooth", "window"}, "no constant, and no condition"
        assert SMALL.normalize(point) == values
        assert SMALL.config(values) == config
        assert config["min_lr"] <= config["lr"]
        assert config["momentum"] == 0.9


@pytest.mark.parametrize("n", [-1, 2.5, True, "3"])
def test_a_number_of_points_that_is_none_is_refused(prior: Prior, n: Any) -> None:
    with pytest.raises(BadInput, match="number of points"):
        prior.points(n)


def test_a_prediction_ranks_what_was_never_tried(prior: Prior) -> None:
    found = prior.predict(at(0.5, 10) + at(0.0, 10))
    assert list(found.columns) == ["mean", "std"]
    assert found["mean"][:10].min() > found["mean"][10:].max()
    assert (found["std"] > 0).all()
    assert len(prior.predict([])) == 0
    alone = prior.predict(at(0.5))
    assert alone["mean"][0] == pytest.approx(found["mean"][0])


def test_the_fewer_epochs_the_less_a_score_tells(prior: Prior) -> None:
    points = at(0.5, 3)
    deviations = [prior.predict(points, epochs=n)["std"].to_numpy() for n in (1, 3, 9)]
    assert (np.diff(deviations, axis=0) < 0).all()
    assert (deviations[-1] > prior.predict(points)["std"]).all()
    assert prior.predict(points, epochs=900)["std"].to_numpy() == pytest.approx(deviations[-1])
    for none in (0, True, 1.5):
        with pytest.raises(BadInput, match="epochs"):
            prior.predict(points, epochs=none)  # type: ignore[arg-type]


def test_the_density_is_high_where_the_best_lie(prior: Prior) -> None:
    good, bad = prior.density(at(0.5, 10)), prior.density(at(0.0, 10))
    assert good.min() > 1.0 > bad.max()
    assert prior.density([]).shape == (0,)
    with pytest.raises(BadInput):
        prior.density([{"lr": 7.0}])


def test_tasks_are_related_by_results_and_by_what_they_are() -> None:
    prior = Prior.fit(bowls([0.2, 0.25, 0.9], trials=40), SMALL)
    found = prior.related()
    assert found.index.tolist() == found.columns.tolist() == ["bowl0", "bowl1", "bowl2"]
    assert found.loc["bowl0", "bowl1"] > 0.8 > 0 > found.loc["bowl0", "bowl2"]
    assert np.diag(found).tolist() == [1.0] * 3
    assert np.isnan(prior.related("descriptors").loc["bowl0", "bowl1"])
    with pytest.raises(BadInput, match="by"):
        prior.related("metric")  # type: ignore[arg-type]


def test_descriptors_say_how_alike_tasks_are(tmp_path: Any) -> None:
    history = History(tmp_path / "store")
    for name, facts in (("a", {"net": "mlp", "data": "digits"}), ("b", {"net": "mlp", "data": "wine"})):
        bowls([0.5]).filter(task="bowl0").to_pandas().assign(task=name).to_csv(tmp_path / f"{name}.csv")
        history.add(tmp_path / f"{name}.csv", metric="loss", mode="min", describe=facts)
    assert Prior.fit(history, SMALL).related("descriptors").loc["a", "b"] == 0.5


def test_no_history_says_what_would_be_needed() -> None:
    for history in (bowls([0.5]).filter(task="none"), past(a=[trial({"depth": 1}, [1.0])])):
        with pytest.raises(BadInput, match="two configurations of the space 'small'"):
            Prior.fit(history, SMALL)
    with pytest.raises(BadInput, match="a History"):
        Prior.fit([], SMALL)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="SearchSpace"):
        Prior.fit(bowls([0.5]), "small")  # type: ignore[arg-type]
    still = SearchSpace.from_dict({"name": "still", "knobs": {"lr": {"type": "constant", "value": 0.1}}})
    with pytest.raises(BadInput, match="no constant"):
        Prior.fit(bowls([0.5]), still)


def _rates(*curves: list[float]) -> History:
    return past(a=[trial({"lr": 0.01 * 2**i}, curve) for i, curve in enumerate(curves)])


@pytest.mark.parametrize(
    ("space", "history"),
    [
        pytest.param(LR, _rates([1.0, 0.5], [2.0]), id="two trials"),
        pytest.param(LR, _rates(*[[1.0, 1.0]] * 5), id="all equal"),
        pytest.param(LR, _rates(*[[math.nan]] * 4), id="all diverged"),
        pytest.param(LR, _rates([3.0], [1.0], [2.0]), id="one epoch"),
        pytest.param(LR, _rates([1e300], [-1e300], [math.inf]), id="huge"),
        pytest.param(
            KINDS,
            past(
                a=[
                    trial({"rule": rule, "flag": flag}, [float(i)])
                    for i, (rule, flag) in enumerate([("a", True), ("b", True), ("c", False)])
                ]
            ),
            id="categories only",
        ),
        pytest.param(SMALL, bowls([0.5], trials=2, epochs=1), id="few of many knobs"),
    ],
)
def test_hardly_any_history_is_enough_to_go_on(space: SearchSpace, history: History, tmp_path: Any) -> None:
    prior = Prior.fit(history, space)
    values = space.sample(7, 0)
    assert 2 <= len(prior.points(100)) <= 5
    assert np.isfinite(prior.predict(values, epochs=1).to_numpy()).all()
    assert np.isfinite(prior.density(values)).all()
    for one in prior.box().sample(5, 0):
        space.validate(one)
    assert prior.related().shape == (1, 1)
    prior.save(tmp_path / "prior")
    assert Prior.load(tmp_path / "prior").points(100) == prior.points(100)


def test_the_best_of_two_trials_comes_first() -> None:
    assert Prior.fit(_rates([1.0], [0.5]), LR).points(1) == [{"lr": pytest.approx(0.02)}]


def test_logs_with_other_knobs_speak_of_those_they_have() -> None:
    lone = [trial({"lr": lr}, [abs(math.log10(lr) + 1)] * 9) for lr in np.geomspace(0.01, 1.0, 15)]
    prior = Prior.fit(past(lone=lone), SMALL)
    found = prior.predict(at(0.5) + at(0.0))
    assert found["mean"][0] > found["mean"][1]


def test_it_is_the_same_every_time() -> None:
    one, two = (Prior.fit(bowls([0.3, 0.7]), SMALL) for _ in range(2))
    assert one.points(20) == two.points(20)
    assert one.predict(at(0.5, 5)).equals(two.predict(at(0.5, 5)))
    assert repr(one) == "<Prior of small: 2 tasks, 40 configurations>"
