"""The same work by several methods, really run; and what is there, held against each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import tune_lr
from tests.samples import trainers
from tests.samples.spaces import SMALL
from tune_lr.comparing.plan import Plan
from tune_lr.errors import BadInput
from tune_lr.jobs.compared import compare_folders, compared
from tune_lr.jobs.comparing import compare

ASKED: dict[str, Any] = {
    "searcher": "random", "trial_scheduler": ["none", "asha"], "engine": "inline",
    "budget": 12, "max_epochs": "4", "workers": "1", "seeds": 2,  # text, as the command line has it
}  # fmt: skip
TRAINER = f"{trainers.__file__}:good"


class Cut:
    """Presses Ctrl-C after so many runs, and notes what it heard."""

    def __init__(self, after: int = 999) -> None:
        self.after, self.ran_, self.todo = after, list[tuple[str, int]](), 0

    def begins(self, plan: Plan, todo: int, seconds: float) -> None:
        self.todo = todo
        assert 0 < seconds < 60

    def ran(self, method: str, seed: int, seconds: float, left: float) -> None:
        self.ran_.append((method, seed))
        if len(self.ran_) == self.after:
            raise KeyboardInterrupt


def go(out: Path, watcher: Cut | None = None, **changes: Any) -> Any:
    return compare(TRAINER, SMALL, out=out, watcher=watcher, **{**ASKED, **changes})


def test_cut_off_it_goes_on_and_comes_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    cut, rest = Cut(2), Cut()
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "cut", cut)
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("journal.jsonl")}
    found = go(tmp_path / "cut", rest)
    assert (cut.todo, rest.todo) == (6, 4)
    assert len({*cut.ran_, *rest.ran_}) == 6
    assert all(file.stat().st_mtime_ns == at for file, at in written.items())
    whole = go(tmp_path / "whole")
    left = ["method", "seed", "best", "epochs", "begun", "completed", "stopped"]
    assert found.to_pandas()[left].equals(whole.to_pandas()[left])
    assert (found.methods, found.baseline, found.budget) == (["none", "asha"], "none", 12.0)
    assert found.has_neutral
    assert (found.to_pandas()["memory"] >= 0).all()
    nothing = Cut()
    go(tmp_path / "cut", nothing)
    assert nothing.ran_ == []
    assert not list(Path().iterdir())  # what told how long it takes is kept nowhere


def test_more_seeds_run_only_those_and_another_question_is_refused(tmp_path: Path) -> None:
    go(tmp_path / "x", neutral=False)
    more = Cut()
    found = go(tmp_path / "x", more, neutral=False, seeds=3)
    assert [seed for _, seed in more.ran_] == [2, 2]
    assert len(found.runs) == 6
    with pytest.raises(BadInput, match="budget"):
        go(tmp_path / "x", neutral=False, budget=13)
    with pytest.raises(BadInput, match="methods"):
        go(tmp_path / "x", neutral=False, trial_scheduler=["none", "median"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes").write_text("mine")
    with pytest.raises(BadInput, match="out"):
        go(tmp_path / "other")


def test_a_driver_killed_in_the_middle_loses_nothing(tmp_path: Path) -> None:
    asked = json.dumps({**ASKED, "seeds": 3})
    script = (
        "import json, sys; from pathlib import Path; sys.path.insert(0, sys.argv[3]);"
        "from tests.jobs.test_comparing import go;"
        "go(Path(sys.argv[1]), **json.loads(sys.argv[2]))"
    )
    root = str(Path(__file__).resolve().parents[2])
    driver = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "x"), asked, root])
    deadline = time.monotonic() + 60
    while len(list(tmp_path.rglob("reports.parquet"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    found = go(tmp_path / "x", seeds=3)
    whole = go(tmp_path / "whole", seeds=3)
    left = ["method", "seed", "best", "epochs", "begun"]
    assert found.to_pandas()[left].equals(whole.to_pandas()[left])


def test_a_run_that_was_killed_while_its_folder_was_made_is_run(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "x", Cut(1))
    (tmp_path / "x" / "runs" / "02-1").mkdir()
    (tmp_path / "x" / "runs" / "02-1" / ".experiment.json.123").write_text("{")
    assert len(go(tmp_path / "x").runs) == 6


def test_only_seeds_that_every_method_has_finished_count(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "x", Cut(4))
    assert {run.seed for run in compared(tmp_path / "x").runs} == {0}
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "y", Cut(1))
    with pytest.raises(BadInput, match="every method has finished"):
        compared(tmp_path / "y")
    with pytest.raises(BadInput, match="comparison"):
        compared(tmp_path / "nowhere")


def test_experiments_that_anybody_ran(tmp_path: Path) -> None:
    for rule in ("none", "asha"):
        for seed in (0, 1):
            tune_lr.tune(
                trainers.good, SMALL, out=tmp_path / rule / str(seed), seed=seed, searcher="random",
                trial_scheduler=rule, trials=4, max_epochs=4, progress=False,
            )  # fmt: skip
    found = compare_folders([tmp_path / "none", tmp_path / "asha"])
    assert found.methods == ["none", "asha"]
    assert found.budget == min(float(run.reports["spent"].max()) for run in found.runs)
    held = compare_folders(
        [tmp_path / "none" / "0", tmp_path / "asha" / "0"], budget="5epochs", baseline="asha"
    )
    assert (held.methods, held.budget) == (["asha", "none"], 5.0)
    with pytest.raises(BadInput, match="at least two methods"):
        compare_folders([tmp_path / "none"])
    with pytest.raises(BadInput, match="seed"):
        compare_folders([tmp_path / "none", tmp_path / "none" / "0", tmp_path / "asha"])
    tune_lr.tune(
        trainers.good,
        SMALL,
        out=tmp_path / "longer",
        searcher="random",
        trials=2,
        max_epochs=5,
        progress=False,
    )
    with pytest.raises(BadInput, match="max_epochs"):
        compare_folders([tmp_path / "none", tmp_path / "longer"])
