from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.objective import WORST_LOSS, Objective


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, None, "0.3", "nan", True, object(), 10**400]
)
def test_what_is_no_finite_number_is_divergence(value: object) -> None:
    assert Objective().loss(value) is None


@pytest.mark.parametrize("value", [0, -3, 2.5, torch.tensor(2.5).item()])
def test_finite_numbers_are_losses(value: float) -> None:
    assert Objective(mode="min").loss(value) == value
    assert Objective(mode="max").loss(value) == -value


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["min", "max"]))
def test_no_finite_value_is_worse_than_divergence(value: float, mode: str) -> None:
    loss = Objective(mode=mode).loss(value)  # type: ignore[arg-type]
    assert loss is not None
    assert -WORST_LOSS <= loss <= WORST_LOSS


def test_scopes() -> None:
    losses = [3.0, 1.0, 2.0, 4.0]
    assert Objective(scope="best").score(losses) == 1.0
    assert Objective(scope="last").score(losses) == 4.0
    assert Objective(scope="avg-2").score(losses) == 3.0
    assert Objective(scope="avg-9").score(losses) == 2.5
    assert Objective().score([]) == WORST_LOSS


def test_a_missing_metric_names_what_was_reported() -> None:
    with pytest.raises(BadInput, match=r"val_loss.*acc, loss"):
        Objective().read({"loss": 1.0, "acc": 0.5})


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"mode": "least"}, "mode"),
        ({"scope": "avg-0"}, "scope"),
        ({"scope": "avg-" + "9" * 5000}, "scope"),
        ({"scope": "median"}, "scope"),
        ({"metric": ""}, "metric"),
    ],
)
def test_unusable_fields_are_named(asked: dict[str, str], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        Objective(**asked)  # type: ignore[arg-type]


def test_values_come_back_in_the_metrics_direction() -> None:
    accuracy = Objective("accuracy", "max")
    assert accuracy.value(accuracy.score([-0.5, -0.9])) == 0.9
