"""examples/prior_speedup.py: the lie that it tells, the figures that it makes, and a small run of it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import tune_lr

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "prior_speedup.py"


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("prior_speedup", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def past(space: tune_lr.SearchSpace) -> pd.DataFrame:
    """Two tasks over the same configurations: the higher the LR, the better."""
    points = sorted(space.sample(16, seed=3), key=lambda values: -values["lr"])
    return pd.DataFrame(
        [
            {
                "task": task,
                "trial_id": f"{at:03d}-0",
                "epoch": epoch,
                "val_loss": scale * (1 + at + 1 / epoch),
            }
            | {f"config/{name}": value for name, value in space.config(values).items()}
            for task, scale in (("one", 1.0), ("other", 7.0))
            for at, values in enumerate(points)
            for epoch in (1, 2, 3)
        ]
    )


def test_a_history_turned_round_recommends_what_was_worst(example: Any) -> None:
    space = tune_lr.load_space("greedy_lr")
    reports = past(space)
    history = tune_lr.History.from_pandas(reports, "val_loss", "min")
    lies = example.turned_round(history, space)
    assert {task.name for task in lies.tasks} == {"one", "other"}
    (worst,) = lies.configs(1)
    assert worst["lr"] == pytest.approx(reports["config/lr"].min())
    (best,) = tune_lr.Prior.fit(history, space).configs(1)
    assert best["lr"] == pytest.approx(reports["config/lr"].max())


def test_the_table_says_how_many_epochs_it_takes_without(example: Any) -> None:
    without = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0] + [2.0] * 7 + [1.0]
    starters = [[5.0, 2.0, *[0.5] * 6], [9.0] * 8, [4.0, 1.0, *[0.25] * 6]]
    found = {("ray", "starter"): starters, ("ray", "none"): [without]}
    heads, _, starter, none, _, told = example.table(found, budget=8).splitlines()
    assert heads == "| engine | method | after 1 | after 2 | after 4 | after 8 | the seeds, at the end |"
    assert starter == (
        "| ray | starter | 5.000 (5) | 2.000 (8) | 0.500 (over 16) | 0.500 (over 16) | 0.250, 0.500, 9.000 |"
    )
    assert none == "| ray | none | 9.000 | 8.000 | 6.000 | 2.000 | 2.000 |"
    assert told == "ray, starter: what none has after 8 epochs, it has after 2."


def test_what_a_job_has_is_told_in_the_order_of_its_epochs(example: Any, tmp_path: Path) -> None:
    losses = [5.0, "NaN", 3.0, None, 1.0]  # as journals write what is no finite number
    lines = [{"event": "report", "metrics": {"val_loss": loss}} for loss in losses]
    lines.insert(1, {"event": "ask", "values": {}})
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert example.best_so_far(SimpleNamespace(path=tmp_path), 9) == [5.0, 5.0, 3.0, 3.0, 1.0]
    assert example.best_so_far(SimpleNamespace(path=tmp_path), 3) == [5.0, 5.0, 3.0]


def test_small_it_runs_to_its_table_and_called_again_runs_nothing(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--engines", "inline", "--methods", "starter", "none", "--seeds", "1", "--budget", "8"]
    small += ["--longer", "2", "--max-epochs", "3", "--workers", "1", "--out", str(tmp_path)]
    example.main(small)
    first = capsys.readouterr().out
    folders = {name: tmp_path / f"inline-{name}-0" for name in ("starter", "none")}
    paid = {name: len(pd.read_parquet(folder / "reports.parquet")) for name, folder in folders.items()}
    assert paid == {"starter": 8, "none": 16}
    journals = {name: (folder / "journal.jsonl").read_bytes() for name, folder in folders.items()}
    example.main(small)
    assert capsys.readouterr().out == first
    again = {name: (folder / "journal.jsonl").read_bytes() for name, folder in folders.items()}
    assert {n: again[n].count(b'"ask"') for n in again} == {n: journals[n].count(b'"ask"') for n in journals}
