"""What ships with the package: recorded runs that say where they come from, and a prior that is theirs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tune_lr.prior.prior import Prior
from tune_lr.prior.starter import DATA, starter_history, starter_prior
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space


def test_the_recorded_runs_say_what_they_are_and_what_they_were_made_from() -> None:
    infos = starter_history().tasks()
    assert len(infos) >= 12
    for info in infos:
        assert (info.trials, info.epochs, info.metric, info.space) == (512, 27, "val_loss", "greedy_lr")
        assert info.outside == 0
        assert info.origin.startswith("starter.parquet, SHA-256 ")
        assert {"torch", "tune-lr"} <= set(info.versions)
        assert {"family", "optimizer", "net", "source"} <= set(info.descriptors)
    kinds = {info.descriptors["family"] for info in infos}
    assert kinds == {"mlp", "cnn", "recurrent", "attention", "linear", "factorization"}


def test_what_ships_is_small_and_holds_tables_and_json_alone() -> None:
    files = [file for file in DATA.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 3e6
    assert {file.suffix for file in files} == {".parquet", ".json"}
    assert all(file.read_bytes()[:4] == b"PAR1" for file in files if file.suffix == ".parquet")


def test_the_prior_that_ships_is_the_one_that_a_fit_gives() -> None:
    space = load_space("greedy_lr")
    shipped, fitted = starter_prior(space), Prior.fit(starter_history(), space)
    assert shipped is not None
    assert [task.id for task in shipped.tasks] == [task.id for task in fitted.tasks]
    for one, other in zip(shipped.tasks, fitted.tasks, strict=True):
        assert np.allclose(one.scores, other.scores)
        assert np.allclose(one.noise, other.noise)
    assert np.allclose(shipped.kernel.lengths, fitted.kernel.lengths, rtol=1e-3)
    assert shipped.points(10) == fitted.points(10)


def changed(**knobs: dict[str, Any] | None) -> SearchSpace:
    content = load_space("greedy_lr").to_dict()
    content["knobs"] |= knobs
    content["knobs"] = {name: knob for name, knob in content["knobs"].items() if knob is not None}
    return SearchSpace.from_dict(content)


def test_another_name_is_no_other_space() -> None:
    space = SearchSpace.from_dict({**load_space("greedy_lr").to_dict(), "name": "mine", "description": "x"})
    prior = starter_prior(space)
    assert prior is not None
    assert prior.space.name == "mine"


def test_a_space_with_other_ranges_gets_a_prior_of_the_trials_that_lie_in_it() -> None:
    momentum = {"type": "float", "low": 0.0, "high": 0.99}
    space = changed(lr={"type": "float", "low": 1e-3, "high": 0.1, "log": True}, momentum=momentum)
    prior = starter_prior(space)
    assert prior is not None
    rates = [config["lr"] for config in prior.configs(50)]
    assert 1e-3 <= min(rates) <= max(rates) <= 0.1


@pytest.mark.parametrize(
    "space",
    [
        load_space("cosine"),
        load_space("prodigy"),
        changed(lr={"type": "constant", "value": 0.1}),
        changed(step_every={"type": "constant", "value": "epoch"}),
        changed(**{f"x{i}": {"type": "float", "low": 0, "high": 1} for i in range(13)}),
        changed(lr={"type": "float", "low": 2.0, "high": 3.0}),
    ],
    ids=["cosine", "prodigy", "lr fixed", "another constant", "mostly other knobs", "another range"],
)
def test_a_space_of_which_too_little_is_known_gets_none(space: SearchSpace) -> None:
    assert starter_prior(space) is None
