"""GreedyLR by itself: cases worked by hand, bounds, wild metrics, tensor LRs, states, refusals."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.schedules import GreedyLR


def optimizer(*lrs: Any, kind: Any = torch.optim.SGD) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return kind(groups, lr=0.1)


def trace(schedule: GreedyLR, losses: list[float]) -> list[list[float]]:
    lrs = []
    for loss in losses:
        schedule.step(loss)
        lrs.append(schedule.get_last_lr())
    return lrs


def test_a_case_worked_by_hand() -> None:
    opt = optimizer(0.1)
    schedule = GreedyLR(
        opt, factor=0.5, patience=1, threshold=0.0, cooldown=1, min_lr=0.05, max_lr=0.3, reset_start=2
    )
    #        good good!  good good!  bad  bad!  wait  bad  bad!  wait  bad  bad!
    losses = [9.0, 8.0, 7.0, 6.0, 6.0, 6.0, 1.0, 6.0, 7.0, 8.0, 8.0, 8.0]
    expected = [0.1, 0.2, 0.2, 0.3, 0.3, 0.15, 0.15, 0.15, 0.075, 0.075, 0.075, 0.05]
    assert [lr for (lr,) in trace(schedule, losses)] == pytest.approx(expected)
    # At the bound for the first time; the second time sets everything back, and the cooldown begins.
    assert [lr for (lr,) in trace(schedule, [8.0, 8.0, 8.0])] == pytest.approx([0.05, 0.05, 0.1])
    assert (schedule.best, schedule.cooldown_counter, schedule.reset_start) == (math.inf, 1, 2)


def test_smoothing_judges_the_mean() -> None:
    rough, smooth = (
        GreedyLR(optimizer(0.1), factor=0.5, patience=0, smooth=on, window_size=2) for on in (False, True)
    )
    assert trace(rough, [4.0, 5.0, 2.0])[-1] == [0.2]
    #            means:  4.0  4.5  3.5
    assert trace(smooth, [4.0, 5.0, 2.0]) == [[0.2], [0.1], [0.2]]


@given(
    st.lists(st.floats(), max_size=60),
    st.floats(0.05, 0.99),
    st.integers(0, 2),
    st.booleans(),
    st.integers(0, 3),
)
def test_lrs_stay_within_their_bounds(
    losses: list[float], factor: float, patience: int, smooth: bool, reset_start: int
) -> None:
    schedule = GreedyLR(
        optimizer(0.1, 0.4), factor=factor, patience=patience, smooth=smooth, window_size=3,
        min_lr=[0.01, 0.3], max_lr=[0.2, 0.5], reset_start=reset_start, threshold=0.0,
    )  # fmt: skip
    for first, second in trace(schedule, losses):
        assert 0.01 <= first <= 0.2
        assert 0.3 <= second <= 0.5


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("wild", [math.nan, math.inf, -math.inf, 10**400])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_metric_that_is_not_finite_counts_as_bad_and_passes(smooth: bool, wild: float, mode: str) -> None:
    sign = 1.0 if mode == "min" else -1.0
    schedule = GreedyLR(
        optimizer(0.1), mode=mode, factor=0.5, patience=0, smooth=smooth, window_size=2, max_lr=1e9
    )
    assert trace(schedule, [sign * 4.0, wild]) == [[0.2], [0.1]]
    later = [sign * loss for loss in (3.0, 2.0, 1.0)]
    assert trace(schedule, later) == [[0.2], [0.4], [0.8]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tensor_lrs_are_written_in_place_and_follow_the_trace_of_floats(dtype: torch.dtype) -> None:
    tensor = torch.tensor(0.125, dtype=dtype)
    settings: dict[str, Any] = {"factor": 0.7, "patience": 0, "min_lr": 0.003, "reset_start": 2}
    held = GreedyLR(optimizer(tensor, kind=torch.optim.Adam), **settings)
    plain = GreedyLR(optimizer(0.125), **settings)
    losses = [3.0, 2.0, *[2.0] * 20, 1.0]
    assert trace(held, losses) == trace(plain, losses)
    assert held.optimizer.param_groups[0]["lr"] is tensor
    assert float(tensor) == pytest.approx(plain.get_last_lr()[0])
    resumed = GreedyLR(optimizer(other := torch.tensor(0.5, dtype=dtype), kind=torch.optim.Adam))
    resumed.load_state_dict(held.state_dict())
    assert resumed.optimizer.param_groups[0]["lr"] is other
    assert trace(resumed, losses) == trace(plain, losses)


def test_a_change_of_the_lr_from_outside_is_built_upon() -> None:
    schedule = GreedyLR(optimizer(0.1), factor=0.5, patience=0)
    schedule.optimizer.param_groups[0]["lr"] = 0.2
    assert trace(schedule, [1.0]) == [[0.4]]


def test_a_group_that_is_added_later_is_scheduled_too() -> None:
    schedule = GreedyLR(optimizer(0.1), factor=0.5, patience=0)
    schedule.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.3})
    assert trace(schedule, [1.0]) == [[0.2, 0.6]]


def test_a_state_resumes_in_mid_run_and_shares_nothing() -> None:
    losses = [math.sin(i) + 3 / (i + 1) for i in range(60)]
    settings: dict[str, Any] = {"factor": 0.8, "patience": 1, "smooth": True, "window_size": 4}
    whole = trace(GreedyLR(optimizer(0.1, 0.2), **settings), losses)
    first = GreedyLR(optimizer(0.1, 0.2), **settings)
    assert trace(first, losses[:25]) == whole[:25]
    state = first.state_dict()
    frozen = copy.deepcopy(state)
    second = GreedyLR(optimizer(0.1, 0.2))
    second.load_state_dict(state)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    buffer.seek(0)
    assert torch.load(buffer, weights_only=True) == json.loads(json.dumps(state)) == frozen
    first.get_last_lr().append(7.0)
    assert trace(first, losses[25:]) == trace(second, losses[25:]) == whole[25:]
    assert state == frozen
    for entry in (*state.values(), state["_streaming_avg"]["values"]):
        if isinstance(entry, list):
            entry.clear()
    assert trace(second, [1.0])
    assert trace(pickle.loads(pickle.dumps(second)), losses) == trace(copy.deepcopy(second), losses)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    schedule = GreedyLR(optimizer(0.1))
    before = schedule.state_dict()
    for bad in ({"_last_lr": [0.1, 0.2]}, {"factor": 2.0, "patience": 3}, {"min_lrs": [math.nan]}):
        with pytest.raises(BadInput):
            schedule.load_state_dict(bad)
        assert schedule.state_dict() == before


@pytest.mark.parametrize(
    "bad",
    [
        {"num_bad_epochs": "three"}, {"last_epoch": -1}, {"last_epoch": 1.5}, {"best": "good"},
        {"best": None},
        {"cooldown_counter": -2}, {"reset_start": None}, {"after_change": "drift"}, {"_init_lrs": [math.nan]},
        {"smooth": True, "_streaming_avg": 3}, {"smooth": True, "_streaming_avg": {"values": ["x"]}},
        {"smooth": True, "_streaming_avg": {"values": [1.0], "sum": "x"}}, {"history": None},
        {"_last_lr": [math.inf]}, {"last_epoch": 10**400}, {"last_epoch": 1e308},
        {"history": torch.ones(2)},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_of_anything_else_is_refused_and_changes_nothing(bad: dict[str, Any]) -> None:
    schedule = GreedyLR(optimizer(0.1))
    schedule.step(2.0)
    before = schedule.state_dict()
    with pytest.raises(BadInput):
        schedule.load_state_dict({**before, **bad})
    assert schedule.state_dict() == before


@pytest.mark.parametrize("state", [None, [], 5, "x", {"T_max": 10, "base_lrs": [0.1]}])
def test_what_is_no_state_of_it_is_refused(state: Any) -> None:
    with pytest.raises(BadInput, match="the state of a GreedyLR"):
        GreedyLR(optimizer(0.1)).load_state_dict(state)


def test_a_window_whose_sum_is_wrong_is_summed_afresh() -> None:
    schedule = GreedyLR(optimizer(0.1), patience=0, smooth=True, window_size=3)
    window = {"window_size": 3, "values": [1.0, 1.0, 1.0], "sum": 1e3}
    schedule.load_state_dict({**schedule.state_dict(), "_streaming_avg": window})
    schedule.step(1.0)
    assert schedule.best == 1.0


def test_a_window_that_became_smaller_keeps_the_newest() -> None:
    schedule = GreedyLR(optimizer(0.1), patience=0, smooth=True, window_size=2)
    window = {"window_size": 5, "values": [9.0, 9.0, 9.0, 3.0, 1.0], "sum": 31.0}
    schedule.load_state_dict({**schedule.state_dict(), "_streaming_avg": window})
    schedule.step(2.0)
    assert schedule.best == 1.5


def test_groups_that_share_a_tensor_get_rates_of_their_own() -> None:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(2)]
    opt = torch.optim.Adam(groups, lr=torch.tensor(0.5))
    schedule = GreedyLR(opt, factor=0.5, patience=0, max_lr=[0.5, 1.0])
    assert trace(schedule, [1.0]) == [[0.5, 1.0]]
    assert [float(group["lr"]) for group in opt.param_groups] == [0.5, 1.0]


@pytest.mark.parametrize("lr", [-0.1, math.nan, math.inf])
def test_an_unusable_rate_from_outside_is_told(lr: float) -> None:
    schedule = GreedyLR(optimizer(0.1, 0.2), patience=0)
    schedule.optimizer.param_groups[1]["lr"] = lr
    with pytest.raises(BadInput, match="the LR of parameter group 1"):
        schedule.step(1.0)


def test_a_group_that_is_taken_away_is_told() -> None:
    schedule = GreedyLR(optimizer(0.1, 0.2), patience=0)
    del schedule.optimizer.param_groups[1]
    with pytest.raises(BadInput, match=r"parameter groups: 1 .* the 2 that"):
        schedule.step(1.0)


def test_a_loss_with_a_graph_is_read_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    schedule = GreedyLR(optimizer(0.1), patience=0)
    schedule.step(torch.tensor(1.5, requires_grad=True) * 2)
    assert schedule.best == 3.0
    assert not recwarn.list


def test_it_is_a_torch_scheduler_that_leaves_the_optimizer_alone() -> None:
    opt = optimizer(0.1)
    before = vars(opt).keys() | set()
    schedule = GreedyLR(opt)
    assert isinstance(schedule, torch.optim.lr_scheduler.LRScheduler)
    assert vars(opt).keys() == before
    with pytest.raises(TypeError):
        GreedyLR(torch.nn.Linear(1, 1))  # type: ignore[arg-type]


def test_verbose_tells_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    trace(GreedyLR(optimizer(0.1), factor=0.5, patience=0, verbose=True), [1.0, 1.0])
    raised, cut = capsys.readouterr().out.splitlines()
    assert "raise" in raised
    assert "2.0000e-01" in raised
    assert "cut" in cut


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"factor": 1.0}, "factor: 1.0 .* above 0 and below 1"),
        ({"factor": 0.0}, "factor: 0.0 "),
        ({"factor": -0.5}, "factor"),
        ({"factor": math.nan}, "factor: nan"),
        ({"factor": "half"}, "factor: 'half' .* one number"),
        ({"patience": -1}, "patience: -1 .* 0 or more"),
        ({"patience": 2.5}, "patience: 2.5 .* whole"),
        ({"patience": True}, "patience"),
        ({"cooldown": -1}, "cooldown"),
        ({"warmup": -1}, "warmup"),
        ({"reset_start": -1}, "reset_start"),
        ({"window_size": 0}, "window_size: 0 .* 1 or more"),
        ({"threshold": -1e-3}, "threshold"),
        ({"threshold": math.inf}, "threshold"),
        ({"threshold": 1.0, "threshold_mode": "rel"}, "threshold: 1.0 .* less than 1"),
        ({"threshold_mode": "relative"}, "threshold_mode: 'relative' .* abs or rel"),
        ({"mode": "maximum"}, "mode: 'maximum' .* min or max"),
        ({"eps": math.nan}, "eps"),
        ({"smooth": "false"}, "smooth: 'false' .* true or false"),
        ({"min_lr": math.nan}, "min_lr: nan"),
        ({"max_lr": math.nan}, "max_lr: nan"),
        ({"min_lr": -0.1}, "min_lr: -0.1"),
        ({"min_lr": 0.5, "max_lr": 0.4}, "min_lr: 0.5 .* at most max_lr, which is 0.4"),
        ({"min_lr": 0.2}, "min_lr: 0.2 .* at most the LR of parameter group 0, which is 0.1"),
        ({"max_lr": 0.05}, "max_lr: 0.05 .* at least the LR of parameter group 0, which is 0.1"),
        ({"min_lr": [0.01, 0.02]}, re.escape("min_lr") + ".* 1 numbers"),
    ],
)
def test_what_can_do_no_good_is_refused_with_what_would(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        GreedyLR(optimizer(0.1), **setting)


@pytest.mark.parametrize("metric", [None, "0.5", [1.0, 2.0], torch.zeros(2)])
def test_a_metric_that_is_no_number_is_refused(metric: Any) -> None:
    schedule = GreedyLR(optimizer(0.1))
    before = schedule.state_dict()
    with pytest.raises(BadInput, match=r"metrics: .* one number"):
        schedule.step(metric)
    assert schedule.state_dict() == before


def test_numbers_of_other_libraries_are_read() -> None:
    import numpy as np

    schedule = GreedyLR(optimizer(0.1), factor=np.float32(0.5), patience=np.int64(0), smooth=np.bool_(True))
    assert trace(schedule, [torch.tensor(1.0), np.float64(0.5)])[-1] == [0.4]  # type: ignore[list-item]
    json.dumps(schedule.state_dict())
