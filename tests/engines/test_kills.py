"""A real driver killed with SIGKILL in mid-job, on each engine: ``benchmarks/kills.py``, but small."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tune_lr import registry

KILLS = 2
JOB = {"trials": 10, "max_epochs": 9, "seed": 4, "searcher": "random"}
ASHA = {"trial_scheduler": "asha"}
FREEZE_THAW = {"trial_scheduler": "freeze-thaw", "searcher": "prior"}
OTHERS = [name for name in registry.names("engines") if name != "inline"]

pytestmark = pytest.mark.kill


@pytest.fixture(scope="module")
def kills(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("kills", root / "benchmarks" / "kills.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["kills"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def in_peace(kills: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The job that was never killed, on engine inline, by trial scheduler; run by the first to need it."""
    folder = tmp_path_factory.mktemp("peaceful")
    schedulers = ("asha", "asha-promote")
    return {
        name: kills.Job(folder / name, engine="inline", trial_scheduler=name, **JOB) for name in schedulers
    }


@pytest.mark.parametrize(
    ("engine", "scheduler"),
    [("inline", "asha-promote"), *((name, "asha") for name in OTHERS)],
)
def test_a_killed_job_ends_as_if_it_had_never_been(
    engine: str, scheduler: str, tmp_path: Path, kills: ModuleType, in_peace: dict[str, Any]
) -> None:
    job = kills.Job(tmp_path / "killed", engine=engine, trial_scheduler=scheduler, **JOB)
    damage = kills.measure(in_peace[scheduler], job, KILLS)
    assert damage.kills == KILLS
    assert (damage.lost, damage.differing, damage.trials) == (0, 0, JOB["trials"])
    assert damage.repeated <= KILLS
    assert damage.unaccounted == 0 or scheduler == "asha-promote"


@pytest.mark.parametrize(
    ("engine", "rule"),
    [("syne-tune", ASHA), ("syne-tune", FREEZE_THAW), ("ray", FREEZE_THAW)],
    ids=["syne-tune-asha", "syne-tune-freeze-thaw", "ray-freeze-thaw"],
)
def test_two_workers_lose_nothing_either(
    engine: str, rule: dict[str, str], tmp_path: Path, kills: ModuleType, in_peace: dict[str, Any]
) -> None:
    job = kills.Job(tmp_path / "killed", engine=engine, workers=2, **{**JOB, **rule})
    damage = kills.measure(in_peace["asha"], job, KILLS)
    assert (damage.lost, damage.unaccounted, damage.trials) == (0, 0, JOB["trials"])
    assert damage.repeated <= KILLS * 2
