"""A history explains a run, and its LRs can be replayed without the losses that led to them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.schedules import GreedyLR, LRTrace, build_schedule
from tune_lr.schedules.replay import FixedLR


def optimizer(*lrs: Any) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=0.1)


def lrs_of(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


def run(schedule: GreedyLR, losses: list[float]) -> list[list[float]]:
    trace = [lrs_of(schedule.optimizer)]
    for loss in losses:
        schedule.step(loss)
        trace.append(lrs_of(schedule.optimizer))
    return trace


def test_a_history_worked_by_hand() -> None:
    schedule = GreedyLR(optimizer(1.0), factor=0.5, patience=1, threshold=0.0, warmup=2, max_lr=8.0)
    run(schedule, [3.0, 2.0, 1.0, 1.0, 2.5, 2.25, 0.5])
    table = pd.DataFrame(schedule.history)
    assert list(table.columns) == ["first", "last", "decision", "loss", "lr", "lrs"]
    assert [tuple(row)[:5] for row in schedule.history] == [
        (1, 1, "hold", None, 1.0, ),
        (2, 2, "raise", 2.0, 2.0),
        (3, 4, "warmup", 2.0, 2.0),
        (5, 5, "hold", None, 2.0),
        (6, 6, "cut", 2.25, 1.0),
        (7, 7, "hold", None, 1.0),
    ]  # fmt: skip


def test_a_history_of_nothing_is_empty() -> None:
    assert GreedyLR(optimizer(0.1)).history == []


def test_a_rate_that_somebody_else_set_is_in_the_history() -> None:
    schedule = GreedyLR(optimizer(1.0), factor=0.5, patience=1, threshold=0.0, max_lr=64.0)
    schedule.step(3.0)
    schedule.optimizer.param_groups[0]["lr"] = 8.0
    schedule.step(2.0)
    assert [(row.first, row.decision, row.lr) for row in schedule.history] == [
        (1, "hold", 1.0),
        (2, "set", 8.0),
        (2, "raise", 16.0),
    ]


def test_the_metric_of_a_maximized_run_keeps_its_sign() -> None:
    schedule = GreedyLR(optimizer(0.1), mode="max", patience=0)
    schedule.step(0.75)
    assert schedule.history[0].loss == 0.75


def test_a_history_goes_on_in_a_resumed_run() -> None:
    losses = [math.sin(i) + 3 / (i + 1) for i in range(900)]
    settings: dict[str, Any] = {"factor": 0.8, "patience": 0, "warmup": 1, "cooldown": 2}
    whole = GreedyLR(optimizer(0.1, 0.2), **settings)
    trace = run(whole, losses)
    first, second = GreedyLR(optimizer(0.1, 0.2), **settings), GreedyLR(optimizer(0.1, 0.2))
    run(first, losses[:601])
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    run(second, losses[601:])
    assert second.history == whole.history
    assert [list(second.to_fixed().at(step)) for step in range(901)] == trace


@given(
    losses=st.lists(st.floats(-5, 5), max_size=60),
    patience=st.integers(0, 2),
    after_change=st.sampled_from(["freeze", "ignore", "continue"]),
    smooth=st.booleans(),
)
def test_the_trace_of_a_run_is_the_run(
    losses: list[float], patience: int, after_change: str, smooth: bool
) -> None:
    schedule = GreedyLR(
        optimizer(0.1, 0.4), factor=0.5, patience=patience, warmup=2, cooldown=1, reset_start=2,
        smooth=smooth, window_size=3, min_lr=0.02, max_lr=2.0, after_change=after_change,
    )  # fmt: skip
    trace = run(schedule, losses)
    again = optimizer(0.7, 0.7)
    fixed = schedule.to_fixed().on(again)
    replayed = [lrs_of(again)]
    for _ in losses:
        fixed.step()
        replayed.append(lrs_of(again))
    assert replayed == trace
    fixed.step()
    assert lrs_of(again) == trace[-1], "beyond its end the last rates stay"


def test_a_trace_is_kept_as_json_and_built_by_name(tmp_path: Path) -> None:
    schedule = GreedyLR(optimizer(0.1), factor=0.5, patience=0)
    run(schedule, [2.0, 1.0, 1.0])
    trace = schedule.to_fixed()
    trace.save(tmp_path / "lr.json")
    assert LRTrace.load(tmp_path / "lr.json") == trace
    for given_as in (trace.to_dict(), str(tmp_path / "lr.json"), trace):
        opt = optimizer(0.3)
        fixed = build_schedule({"schedule": "fixed", "trace": given_as}, opt)
        assert isinstance(fixed, FixedLR)
        assert lrs_of(opt) == [0.1]
        fixed.step(7.0)
        assert fixed.get_last_lr() == [0.2]


def test_a_tensor_rate_is_written_in_place() -> None:
    schedule = GreedyLR(optimizer(0.5), factor=0.5, patience=0)
    run(schedule, [2.0])
    rate = torch.tensor(0.1)
    fixed = schedule.to_fixed().on(torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=rate))
    fixed.step()
    assert float(rate) == 1.0


def test_a_group_that_came_late_keeps_its_own_rate_until_then() -> None:
    schedule = GreedyLR(optimizer(0.1), factor=0.5, patience=0)
    schedule.step(2.0)
    schedule.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.3})
    schedule.step(1.0)
    trace = schedule.to_fixed()
    assert LRTrace.from_dict(json.loads(json.dumps(trace.to_dict()))).steps == trace.steps
    opt = optimizer(0.7, 0.7)
    fixed = trace.on(opt)
    assert lrs_of(opt) == [0.1, 0.7]
    fixed.step()
    fixed.step()
    assert lrs_of(opt) == [0.4, 0.6]


def test_a_run_whose_beginning_is_not_known_cannot_be_replayed() -> None:
    schedule = GreedyLR(optimizer(0.1))
    state = schedule.state_dict()
    del state["history"]
    schedule.load_state_dict({**state, "last_epoch": 12})
    schedule.step(1.0)
    assert schedule.history[0].first == 13
    with pytest.raises(BadInput, match="begins after step 12"):
        schedule.to_fixed()


@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        torch.ones(2),
        {"length": 2, "steps": [0], "lrs": []},
        {"length": 2, "steps": [1], "lrs": [[0.1]]},
        {"length": 2, "steps": [0, 0], "lrs": [[0.1], [0.2]]},
        {"length": 2, "steps": [0, 1], "lrs": [[0.1], [0.2, 0.3]]},
        {"length": 2, "steps": [0], "lrs": [["fast"]]},
        {"length": 2, "steps": [0], "lrs": [0.1]},
        {"length": -1, "steps": [0], "lrs": [[0.1]]},
        {"length": 2, "steps": [0], "lrs": [[0.1, 0.2]]},
        {"length": 2, "steps": [0], "lrs": [[math.inf]]},
        {"length": 2, "steps": [0], "lrs": [[10**400]]},
        {"length": 2, "steps": [0], "lrs": [[[0.1]]]},
        {"length": 2, "steps": [0], "lrs": [[-0.1]]},
        {"length": 2, "steps": [0, 50], "lrs": [[0.1], [0.2]]},
        "no/such/file.json",
    ],
)
def test_what_is_no_trace_is_refused(content: Any) -> None:
    with pytest.raises(BadInput, match="trace"):
        build_schedule({"schedule": "fixed", "trace": content}, optimizer(0.1))


def test_a_file_that_is_deeply_nested_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(BadInput, match="trace"):
        LRTrace.load(tmp_path / "deep.json")


def test_a_state_of_other_groups_is_refused_and_changes_nothing() -> None:
    first = LRTrace(1, (0,), ((0.1,),)).on(optimizer(0.1))
    second = LRTrace(1, (0,), ((0.1, 0.2),)).on(optimizer(0.1, 0.2))
    before = second.state_dict()
    for state in (first.state_dict(), {}, None, {"trace": before["trace"], "last_epoch": -1}):
        with pytest.raises(BadInput):
            second.load_state_dict(state)  # type: ignore[arg-type]
        assert second.state_dict() == before


def test_groups_that_came_or_went_are_told() -> None:
    for change in (lambda groups: groups.pop(), lambda groups: groups.append(dict(groups[0]))):
        opt = optimizer(0.1, 0.2)
        fixed = LRTrace(1, (0,), ((0.1, 0.2),)).on(opt)
        change(opt.param_groups)
        with pytest.raises(BadInput, match="2 LRs a step"):
            fixed.step()


def test_moves_against_a_bound_are_told_once() -> None:
    schedule = GreedyLR(optimizer(0.4), factor=0.5, patience=0, min_lr=0.1, max_lr=0.8)
    run(schedule, [5.0] * 10_000)
    assert [row.decision for row in schedule.history if row.decision != "hold"][:4] == [
        "raise",
        "cut",
        "cut",
        "cut",
    ]
    assert len(schedule.history) < 200


@pytest.mark.parametrize(
    "history",
    [3, {}, {"start": -1}, {"steps": [1], "moves": ["jump"]}, {"steps": [1], "moves": []}, {"lrs": [[1.0]]}],
)
def test_a_history_that_is_none_is_refused_and_changes_nothing(history: Any) -> None:
    schedule = GreedyLR(optimizer(0.1))
    before = schedule.state_dict()
    content = {**before["history"], **history} if history and isinstance(history, dict) else history
    with pytest.raises(BadInput, match=r"history|move"):
        schedule.load_state_dict({**before, "history": content})
    assert schedule.state_dict() == before
