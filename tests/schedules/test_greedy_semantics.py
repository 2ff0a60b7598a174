"""GreedyLR against the tables of docs/greedylr.md, and against a second, slow account of its description."""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tune_lr.errors import BadInput
from tune_lr.schedules import GreedyLR, optimal_factor

PAGE = Path(__file__).resolve().parents[2] / "docs" / "greedylr.md"


def optimizer(*lrs: float) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=0.1)


def tables() -> list[tuple[dict[str, Any], list[dict[str, str]]]]:
    """The settings and the rows of every worked table of the page."""
    found = []
    for code, table in re.findall(
        r"```python\n(GreedyLR\(.*?)\n```\n\n((?:\|[^\n]*\n)+)", PAGE.read_text(), re.S
    ):
        call = ast.parse(code).body[0].value  # type: ignore[attr-defined]
        settings = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
        lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
        header, _, *rows = lines
        found.append((settings, [dict(zip(header, row, strict=True)) for row in rows]))
    return found


TABLES = tables()


def test_the_page_has_its_tables() -> None:
    assert len(TABLES) == 9
    assert {settings.get("after_change", "freeze") for settings, _ in TABLES} == {
        "freeze",
        "ignore",
        "continue",
    }


@pytest.mark.parametrize("which", range(len(TABLES)))
def test_a_table_worked_by_hand_is_what_happens(which: int) -> None:
    settings, rows = TABLES[which]
    opt = optimizer(settings.pop("lr"))
    schedule = GreedyLR(opt, **settings)
    for row in rows:
        schedule.step(float(row["loss"]))
        now = schedule.history[-1]
        got = {
            "good": schedule.num_good_epochs,
            "bad": schedule.num_bad_epochs,
            "best": schedule.best,
            "rest": schedule.cooldown_counter + schedule.warmup_counter,
            "lr": opt.param_groups[0]["lr"],
        }
        assert got == {name: float(row[name]) for name in got}, row
        assert (now.last, now.decision, now.lr) == (int(row["step"]), row["decision"], got["lr"])


@dataclass
class Oracle:
    """GreedyLR once more, slowly and from its description; shares no code with the package."""

    lrs: list[float]
    min_lr: Sequence[float]
    max_lr: Sequence[float]
    mode: str = "min"
    factor: float = 0.95
    patience: int = 10
    threshold: float = 1e-6
    threshold_mode: str = "abs"
    cooldown: int = 0
    warmup: int = 0
    eps: float = 1e-8
    smooth: bool = False
    window_size: int = 50
    reset_start: int = 500
    after_change: str = "freeze"

    def __post_init__(self) -> None:
        self.initial = list(self.lrs)
        self.start_over()

    def start_over(self) -> None:
        self.best: float | None = None
        self.good = self.bad = self.cooling = self.warming = 0
        self.cuts_left = self.reset_start
        self.window: list[float] = []

    def step(self, metric: float) -> list[float]:
        finite = math.isfinite(metric)
        if self.smooth and finite:
            self.window = [*self.window, metric][-self.window_size :]
            metric = float(sum(map(Fraction, self.window)) / len(self.window))
        cooling, warming = self.cooling > 0, self.warming > 0
        if cooling:
            self.cooling -= 1
        if warming and (self.after_change == "ignore" or not cooling):
            self.warming -= 1
        if self.after_change == "freeze" and (cooling or warming):
            self.good = self.bad = 0
            return list(self.lrs)
        if finite and self.better(metric):
            self.best, self.good, self.bad = metric, self.good + 1, 0
        else:
            self.good, self.bad = 0, self.bad + 1
        if self.after_change == "continue" and (cooling or warming):
            self.good = self.bad = 0
            self.lower() if cooling else self.higher()
            return list(self.lrs)
        self.bad = 0 if cooling else self.bad
        self.good = 0 if warming else self.good
        if self.good > self.patience:
            self.good, self.warming = 0, self.warmup
            self.higher()
        elif self.bad > self.patience:
            self.bad, self.cooling = 0, self.cooldown
            self.lower()
        return list(self.lrs)

    def better(self, metric: float) -> bool:
        if self.best is None:
            return True
        margin = self.threshold if self.threshold_mode == "abs" else self.threshold * abs(self.best)
        return metric < self.best - margin if self.mode == "min" else metric > self.best + margin

    def higher(self) -> None:
        self.cuts_left = self.reset_start
        for i, lr in enumerate(self.lrs):
            whole = lr / self.factor
            new = min(whole, self.max_lr[i])
            if new > lr and (new - lr > self.eps or whole - lr <= self.eps):
                self.lrs[i] = new

    def lower(self) -> None:
        for i, lr in enumerate(self.lrs):
            whole = lr * self.factor
            new = max(whole, self.min_lr[i])
            if new < lr and (lr - new > self.eps or lr - whole <= self.eps):
                self.lrs[i] = new
        if all(lr <= low for lr, low in zip(self.lrs, self.min_lr, strict=True)):
            self.cuts_left -= 1
            if self.cuts_left <= 0:
                self.start_over()
                self.lrs = list(self.initial)
                self.cooling = 0 if self.after_change == "continue" else self.cooldown


# Multiples of 1/64 and thresholds that are powers of two: no sum and no bar is rounded, and ties are ties.
METRICS = st.one_of(
    st.integers(-8, 8).map(float),
    st.integers(-200, 200).map(lambda n: n / 64),
    st.sampled_from([math.nan, math.inf, -math.inf]),
)


@given(
    losses=st.lists(METRICS, max_size=80),
    settings=st.fixed_dictionaries(
        {
            "mode": st.sampled_from(["min", "max"]),
            "factor": st.sampled_from([0.5, 0.9, 0.3]),
            "patience": st.integers(0, 2),
            "threshold": st.sampled_from([0.0, 0.125, 0.5]),
            "threshold_mode": st.sampled_from(["abs", "rel"]),
            "cooldown": st.integers(0, 3),
            "warmup": st.integers(0, 3),
            "eps": st.sampled_from([0.0, 1e-8, 0.03, 0.2]),
            "smooth": st.booleans(),
            "window_size": st.sampled_from([1, 2, 4]),
            "reset_start": st.integers(0, 4),
            "after_change": st.sampled_from(["freeze", "ignore", "continue"]),
        }
    ),
)
def test_it_does_what_the_slow_account_does(losses: list[float], settings: dict[str, Any]) -> None:
    low, high = [0.01, 0.3], [0.2, 0.5]
    oracle = Oracle([0.1, 0.4], low, high, **settings)
    opt = optimizer(0.1, 0.4)
    schedule = GreedyLR(opt, min_lr=low, max_lr=high, **settings)
    for loss in losses:
        expected = oracle.step(loss)
        schedule.step(loss)
        assert [group["lr"] for group in opt.param_groups] == expected
        assert schedule.num_good_epochs == oracle.good
        assert schedule.num_bad_epochs == oracle.bad
        assert (schedule.cooldown_counter, schedule.warmup_counter) == (oracle.cooling, oracle.warming)
    rows = schedule.history
    assert [row.first for row in rows] == [1, *(row.last + 1 for row in rows[:-1])][: len(rows)]
    assert sum(row.last - row.first + 1 for row in rows) == len(losses)


def test_the_oracle_has_every_setting() -> None:
    names = {field.name for field in fields(Oracle)} - {"lrs"}
    assert names | {"min_lr_ratio", "max_lr_ratio", "verbose"} == {*GreedyLR.knobs}


def test_the_factor_of_the_paper() -> None:
    assert optimal_factor(20.0) == pytest.approx(0.95)
    for smoothness, factor in itertools.product((2.0, 10.0), (0.5, 0.9)):
        assert (optimal_factor(smoothness) == pytest.approx(factor)) == (
            smoothness == round(1 / (1 - factor))
        )
    for bad in (1.0, 0.5, -3.0, math.inf, math.nan, "big"):
        with pytest.raises(BadInput, match="smoothness"):
            optimal_factor(bad)  # type: ignore[arg-type]
