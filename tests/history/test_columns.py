"""Rows of other names each as columns: what is kept, and that memory follows what a log says."""

from __future__ import annotations

import math
import random
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tune_lr.history import columns
from tune_lr.history.columns import MOST_COLUMNS, Columns, most_columns, trials_of
from tune_lr.history.log import Skipped

TOO_MANY = ("metrics", "a metric beside very many others")


def peak(work: Callable[[], Any]) -> float:
    """The most megabytes that it held at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("seed", range(20))
def test_rows_blocks_and_others_below_stand_where_they_belong(seed: int) -> None:
    rng = random.Random(seed)
    found, rows = Columns(), list[dict[str, Any]]()
    for _ in range(12):
        more = [
            {
                name: rng.choice([1, 2.5, math.nan, "text", None])
                for name in rng.sample("abcde", rng.randint(0, 5))
            }
            for _ in range(rng.randint(0, 3))
        ]
        other = Columns()
        for row in more:
            (found if seed % 2 else other).add(row)
        found.join(other)
        block = {name: [rng.random(), 3] for name in rng.sample("abcde", 2)}
        found.extend(2, block)
        rows += [*more, *({name: values[at] for name, values in block.items()} for at in (0, 1))]
    for name, column in found.arrays(besides="e").items():
        values = [row.get(name) for row in rows]
        expected = [value if isinstance(value, (int, float)) else math.nan for value in values]
        np.testing.assert_array_equal(column, expected)


def test_of_too_many_cells_the_fullest_columns_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_CELLS", 15 * 40)
    found, skipped = Columns(), Skipped()
    for row in range(40):
        found.add({"empty": math.nan, **{f"m{at}": row for at in range(20) if row <= at}, "loss": 0.5})
    kept = found.arrays(skipped=skipped)
    assert [*kept] == [*(f"m{at}" for at in range(6, 20)), "loss"]
    assert skipped.counts == {TOO_MANY: 7}
    assert np.nansum(kept["m6"]) == 21
    assert [*found.arrays(besides={"m19"})] == [*(f"m{at}" for at in range(5, 19)), "loss"]


def test_however_many_rows_there_are_some_columns_stay() -> None:
    assert most_columns(10**12) == 10
    assert most_columns(0) == columns.MOST_CELLS


def test_numbers_of_more_names_than_metrics_have_are_counted() -> None:
    found, skipped = Columns(), Skipped()
    for at in range(MOST_COLUMNS + 3):
        found.add({f"m{at}": 1.0})
    assert len(found.arrays(skipped=skipped)) == MOST_COLUMNS
    assert skipped.counts == {("metrics", f"a number of a metric beside {MOST_COLUMNS} others"): 3}


@pytest.mark.parametrize("names_first", [True, False])
def test_many_names_in_one_row_and_many_rows_fill_no_memory(
    monkeypatch: pytest.MonkeyPatch, names_first: bool
) -> None:
    monkeypatch.setattr(columns, "MOST_CELLS", 200_000)
    wide = {f"m{at}": 1.0 for at in range(1000)}

    def work() -> None:
        found = Columns()
        for row in [wide, *[{"m0": 1.0}] * 20_000][:: 1 if names_first else -1]:
            found.add(row)
        assert len(found.arrays()) == 10

    assert peak(work) < 10  # a cell for each would be 160


def test_knobs_of_few_trials_give_way_where_they_are_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MOST_CELLS", 50)
    rows = [{"trial_id": str(at), "config/lr": 0.1, f"config/own{at}": at} for at in range(20)]
    table = trials_of(rows, skipped := Skipped())
    assert {"trial_id", "config/lr"} <= set(table.columns)
    assert len(table.columns) == 10
    assert skipped.counts["trials", "a knob beside very many others"] == 12
