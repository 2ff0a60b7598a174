"""The sweep of the range test, worked by hand, and the bounds that are read off curves with known answers."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.schedules import Schedule, build_schedule
from tune_lr.schedules.range_bounds import NoBounds, propose_bounds, smooth
from tune_lr.schedules.range_sweep import FEWEST_STEPS, RangeSweep, Row, SweepEnded, read_trace

# The schedule


def optimizer(*lrs: float) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=lrs[0])


def sweep(losses: list[float], steps: int = 32, low: float = 1e-3, high: float = 1.0) -> tuple[Any, str]:
    """The schedule after these losses, and why it ended ("" if it has not)."""
    made = RangeSweep(optimizer(low), low, high, steps)
    try:
        for loss in losses:
            made.step(loss)
    except SweepEnded as end:
        return made, str(end)
    return made, ""


def test_the_lr_grows_by_the_same_factor_every_step_and_each_loss_belongs_to_the_update_before() -> None:
    made, ended = sweep([1.0 - 0.01 * i for i in range(32)])
    assert ended == "lr 1 was reached"
    assert [row.step for row in made.rows] == list(range(2, 33))
    assert [row.loss for row in made.rows] == [1.0 - 0.01 * i for i in range(1, 32)]
    # 32 steps show the losses of 31 updates: 30 factors of 1000 ** (1 / 30).
    assert [row.lr for row in made.rows] == pytest.approx([1e-3 * 10 ** (i / 10) for i in range(31)])
    assert made.rows[-1].lr == 1.0


def test_groups_keep_their_ratio() -> None:
    two = optimizer(1e-3, 5e-4)
    made = RangeSweep.from_config({"lr": 1e-3, "sweep_low": 1e-3, "sweep_high": 1.0}, two, 32)
    made.step(1.0)
    assert made.get_last_lr() == pytest.approx([1e-3 * 10**0.1, 5e-4 * 10**0.1])


def test_it_ends_where_the_loss_exceeds_four_times_its_lowest_and_the_start_by_the_fall() -> None:
    # 32 steps: no averaging, and the start is the first loss, 8. The lowest is 1, so the limit is 8 + 7.
    falling = [8.0, 4.0, 2.0, 1.0]
    assert sweep([*falling, 4.5, 9.0, 14.9])[1] == ""
    made, ended = sweep([*falling, 4.5, 9.0, 15.1])
    assert ended == f"the loss blew up at lr {made.rows[-1].lr:.2g}"
    # Where it has hardly fallen: 8 + 3 * 7.9.
    assert sweep([8.0, 7.9, 31.6])[1] == ""
    assert sweep([8.0, 7.9, 31.8])[1].startswith("the loss blew up")


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_it(loss: float) -> None:
    made, ended = sweep([1.0, 0.9, loss])
    assert ended.startswith("the loss blew up")
    assert len(made.rows) == 2


def test_negative_losses_are_nothing_special() -> None:
    assert sweep([-1.0 - 0.1 * i for i in range(30)])[1] == ""


def test_an_except_exception_does_not_catch_the_end() -> None:
    assert not issubclass(SweepEnded, Exception)


def test_steps_are_counted_where_the_length_is_not_known(tmp_path: Path) -> None:
    config = {"schedule": "range-sweep", "max_epochs": 5, "sweep_trace": str(tmp_path / "trace.csv")}
    made = build_schedule(config, optimizer(0.1), 5)  # five epochs of one step: it was not said
    for _ in range(100):
        made.step(1e9)
    assert made.get_last_lr() == [1e-6]
    rows = read_trace(tmp_path / "trace.csv")
    assert rows[0] == Row(1, 0, 1e-6, 1e9)
    assert len(rows) == 100


def test_a_length_that_is_known_is_taken(tmp_path: Path) -> None:
    config = {"schedule": "range-sweep", "max_epochs": 5, "sweep_trace": str(tmp_path / "trace.csv")}
    made = build_schedule(config, optimizer(0.1), 5, steps_per_epoch=20)
    assert isinstance(made, Schedule)
    assert isinstance(made, RangeSweep)
    assert made.total_steps == 100
    assert build_schedule({**config, "sweep_steps": 40}, optimizer(0.1), 5).total_steps == 40  # type: ignore[attr-defined]
    assert read_trace(tmp_path / "trace.csv") == []


def test_a_state_goes_on() -> None:
    losses = [1.0 - 0.02 * i for i in range(30)]
    whole, _ = sweep(losses)
    first, _ = sweep(losses[:11])
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second, _ = sweep([])
    second.load_state_dict(torch.load(file, weights_only=True))
    assert second.get_last_lr() == first.get_last_lr()
    for loss in losses[11:]:
        second.step(loss)
    assert first.rows + second.rows == whole.rows


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"low": 0.0}, "low"),
        ({"high": 1e-3}, "high"),
        ({"high": math.inf}, "high"),
        ({"low": math.nan}, "low"),
        ({"total_steps": FEWEST_STEPS - 1}, "steps"),
    ],
)
def test_what_is_no_sweep_is_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as caught:
        RangeSweep(optimizer(0.1), **{"low": 1e-3, "high": 1.0, "total_steps": 100, **change})
    assert caught.value.field == field
    with pytest.raises(BadInput, match="one number"):
        RangeSweep(optimizer(0.1), 1e-3, 1.0, 100).step(None)


@pytest.mark.parametrize(
    ("knob", "value"),
    [
        ("sweep_low", 0.0), ("sweep_low", True), ("sweep_high", 1e-9), ("sweep_high", "x"),
        ("sweep_trace", 5), ("sweep_steps", 1.5), ("max_epochs", "x"), ("lr", 1e-320),
    ],
)  # fmt: skip
def test_a_knob_that_cannot_be_is_named(knob: str, value: Any) -> None:
    with pytest.raises(BadInput) as caught:
        build_schedule({"schedule": "range-sweep", knob: value}, optimizer(0.1), 100)
    assert caught.value.field == knob


@pytest.mark.parametrize(
    "bad",
    [
        {"count": -1}, {"count": "x"}, {"lr": 0.0}, {"lr": math.nan}, {"last_lr": 9.0}, {"ended": None},
        {"watch": None}, {"watch": {}}, {"more": 1}, {"head": 0}, {"keep": 1.0}, {"mean": math.nan},
        {"lowest": math.nan}, {"weight": 2.0},
    ],
    ids=str,
)  # fmt: skip
def test_a_hostile_state_changes_nothing(bad: dict[str, Any]) -> None:
    made, _ = sweep([1.0, 0.9])
    before = made.state_dict()
    if bad.keys() & before["watch"].keys() - before.keys():
        bad = {"watch": {**before["watch"], **bad}}
    for state in ({**before, **bad}, None, [], {}, {"count": 3}):
        with pytest.raises(BadInput):
            made.load_state_dict(state)
    assert made.state_dict() == before


def test_a_sweep_that_has_ended_stays_so_in_its_state() -> None:
    ended, why = sweep([1.0, math.nan])
    other, _ = sweep([])
    other.load_state_dict(ended.state_dict())
    with pytest.raises(SweepEnded, match=why):
        other.step(1.0)


def test_a_group_that_comes_or_goes_is_told() -> None:
    made, _ = sweep([1.0])
    made.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))]})
    with pytest.raises(BadInput, match=r"parameter groups: 2 .* the 1 that"):
        made.step(1.0)


# The bounds


def descent(
    curvatures: list[float], steps: int = 200, noise: float = 0.0, high: float = 10.0
) -> tuple[list[float], list[float]]:
    """Losses of gradient descent on a quadratic from ones, the LR growing from 1e-6."""
    random, curvature = np.random.default_rng(0), np.array(curvatures)
    x, losses = np.ones(len(curvatures)), []
    lrs = np.geomspace(1e-6, high, steps)
    for lr in lrs:
        x = x - lr * (curvature * x + noise * random.normal(size=len(x)))
        losses.append(float((curvature * x * x).sum() / 2))
        if losses[-1] > 1e3 * sum(curvatures):
            break
    return lrs[: len(losses)].tolist(), losses


@pytest.mark.parametrize("curvature", [0.5, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_blow_up_is_just_above_two_over_the_curvature(curvature: float, noise: float) -> None:
    lrs, losses = descent([curvature] * 10, noise=noise * curvature)
    found = propose_bounds(lrs, losses)
    assert 0.8 < found.high / (2 / curvature) < 1.5
    assert found.low < 0.02 / curvature  # a fiftieth of the fall: the sum of the LRs so far is about 0.01 / L
    assert found.suggestion == found.high / 10


def test_the_largest_curvature_decides() -> None:
    lrs, losses = descent([10.0, 1.0, 0.1], noise=0.05)
    assert 0.9 < propose_bounds(lrs, losses).high / 0.2 < 1.5


def curve(noise: float = 0.0, n: int = 150, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """2 until lr 1e-3, falling by 1.5 until 0.1, level until 1, then blowing up."""
    lrs = np.geomspace(1e-6, 10, n)
    losses = 2 - 0.75 * np.clip(np.log10(lrs) + 3, 0, 2) + 5 * np.clip(np.log10(lrs), 0, None)
    return lrs, losses + noise * np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.1])
@pytest.mark.parametrize("n", [60, 150, 1000])
@pytest.mark.parametrize("seed", range(5))
def test_a_curve_with_known_bounds(noise: float, n: int, seed: int) -> None:
    found = propose_bounds(*curve(noise, n, seed))
    assert 3e-4 < found.low < 6e-3
    assert 0.7 < found.high < 2.0
    assert found.suggestion == pytest.approx(found.high / 10)


def test_losses_shifted_below_zero_make_no_difference() -> None:
    lrs, losses = curve(0.05)
    shifted, found = propose_bounds(lrs, losses - 2.5), propose_bounds(lrs, losses)
    assert shifted.low == found.low
    assert found.high <= shifted.high < 1.6 * found.high  # the power of the rise is told by positive losses


def test_spikes_make_no_difference() -> None:
    lrs, losses = curve(0.02)
    spiked = losses.copy()
    spiked[10:100:13] += 50
    assert tuple(propose_bounds(lrs, spiked)) == pytest.approx(tuple(propose_bounds(lrs, losses)), rel=0.5)


def test_a_sweep_that_ends_while_the_loss_falls_reaches_to_its_end() -> None:
    lrs, losses = curve()
    keep = lrs < 0.03
    assert propose_bounds(lrs[keep], losses[keep]).high == lrs[keep][-1]


def test_it_is_cut_at_the_first_loss_that_is_not_finite() -> None:
    lrs, losses = curve()
    cut = np.where(lrs > 2, math.nan, losses)
    cut[-1] = -100.0
    assert propose_bounds(lrs, cut) == propose_bounds(lrs[lrs <= 2], losses[lrs <= 2])


LRS = np.geomspace(1e-6, 10, 100).tolist()


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ([1.0] * 100, "stays as it is"),
        ([2.3 + 0.1 * math.sin(7.0 * i * i) for i in range(100)], "stays as it is"),
        ([1.0 - 1e-4 * i / 100 for i in range(100)], "stays as it is"),
        ([0.0] * 100, "stays as it is"),
        ([1.0] * 60 + [1.0 + 0.1 * i for i in range(40)], "rises from lr"),
        ([math.exp(i) for i in range(100)], "rises from lr"),
        ([1.0, 1e6, 1e30, math.inf], "blew up within 4 steps, at lr 1.6e-06"),
        ([math.nan], "blew up within 1 steps"),
        ([1.0, 0.5, 0.2], "3 losses are too few"),
        ([], "0 losses are too few"),
    ],
)
def test_what_shows_no_bounds_says_so(losses: list[float], said: str) -> None:
    with pytest.raises(NoBounds, match=said):
        propose_bounds(LRS[: len(losses)], losses)


def test_pure_noise_hardly_ever_has_bounds() -> None:
    found = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        try:
            propose_bounds(LRS, 2 + 0.2 * random.normal(size=100))
            found += 1
        except NoBounds:
            pass
    assert found <= 6


@pytest.mark.parametrize(
    ("lrs", "losses"),
    [([1.0, 2.0], [1.0]), ([2.0, 1.0], [1.0, 1.0]), ([0.0, 1.0], [1.0, 1.0]), ([math.nan], [1.0])],
)
def test_what_is_no_sweep_at_all_is_bad_input(lrs: list[float], losses: list[float]) -> None:
    with pytest.raises(BadInput):
        propose_bounds(lrs, losses)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=80))
def test_whatever_the_losses_there_are_bounds_within_the_sweep_or_a_reason(losses: list[float]) -> None:
    lrs = LRS[: len(losses)]
    try:
        low, high, suggestion = propose_bounds(lrs, losses)
    except NoBounds:
        return
    assert lrs[0] <= low <= suggestion <= high <= lrs[-1]


def test_the_running_median_by_hand() -> None:
    assert smooth([5.0, 1.0, 9.0, 2.0, 3.0]).tolist() == [5.0, 5.0, 2.0, 3.0, 3.0]
    assert smooth([]).tolist() == []
