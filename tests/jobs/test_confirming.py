"""The best of a search, really trained again."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tune_lr
from tests.samples import trainers
from tests.samples.spaces import SMALL
from tune_lr.cli import app
from tune_lr.errors import BadInput, MissingExtra
from tune_lr.experiment import Experiment
from tune_lr.jobs.confirming import confirm, confirmed

TRAINER = f"{trainers.__file__}:good"


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("search") / "x"
    tune_lr.tune(TRAINER, SMALL, out=out, searcher="random", trials=6, max_epochs=4, progress=False)
    return out


@pytest.fixture
def there(search: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(search, tmp_path / "x"))


@pytest.mark.parametrize("engine", ["inline", "syne-tune", "ray"])
def test_the_best_are_trained_to_the_end_with_seeds_of_their_own(
    engine: str, there: Path, request: pytest.FixtureRequest
) -> None:
    if engine == "ray":
        request.getfixturevalue("local_ray")
    found = confirm(there, top=2, seeds=3, engine=engine)
    ranked = Experiment.open(there).record().ranked(found.objective)
    assert [one.trial_id for one in found.candidates] == [trial.trial_id for trial in ranked[:2]]
    again = Experiment.open(there / "confirm")
    trials = again.record().trials.values()
    assert [trial.why["time"] for trial in trials] == [1, 1, 2, 2, 3, 3]
    assert {trial.epochs for trial in trials} == {4}
    for one in found.candidates:
        assert one.config == ranked[0 if one is found.candidates[0] else 1].config
        assert len(set(one.losses)) == 3
        assert one.searched not in one.losses
    assert again.job.seed != Experiment.open(there).job.seed


def test_the_same_call_goes_on_and_comes_to_the_same(there: Path, search: Path, tmp_path: Path) -> None:
    heard = 0

    def cut(event: Any, record: Any) -> None:
        nonlocal heard
        heard += event["event"] == "report"
        if heard == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        confirm(there, top=2, seeds=2, listeners=(cut,))
    found = confirm(there, top=2, seeds=2)
    import shutil

    whole = confirm(Path(shutil.copytree(search, tmp_path / "whole")), top=2, seeds=2)
    assert found.to_dict() == whole.to_dict()
    assert confirmed(there).to_dict() == found.to_dict()
    with pytest.raises(BadInput, match="searcher_options"):
        confirm(there, top=3, seeds=2)


def test_the_command(there: Path, tmp_path: Path) -> None:
    def told(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, list(arguments))
        return result.exit_code, result.stdout, result.stderr

    code, said, _ = told("confirm", str(there), "--top", "2", "--seeds", "2")
    assert code == 0
    assert "over 2 fresh seeds" in said
    assert "Use it:" in said
    code, said, _ = told("confirm", str(there), "--top", "2", "--seeds", "2", "--json")
    assert (code, len(json.loads(said)["candidates"])) == (0, 2)
    for arguments in (
        (str(tmp_path / "nowhere"),),
        (str(there), "--top", "0"),
        (str(there), "--engine", "rai"),
    ):
        code, _, error = told("confirm", *arguments)
        assert (code, bool(error)) == (2, True)


def test_what_could_not_be_told_is_not_begun(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(MissingExtra, match=r"tune-lr\[compare\]"):
        confirm(there)
    assert not (there / "confirm").exists()


def test_what_cannot_be_confirmed(there: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="top"):
        confirm(there, top=0)
    with pytest.raises(BadInput, match="seeds"):
        confirm(there, seeds=True)
    with pytest.raises(BadInput, match="experiment"):
        confirmed(there)
    with pytest.raises(BadInput, match="trainer"):
        confirm(there, train="nowhere.py")
    assert not (there / "confirm").exists()
    lost = tune_lr.tune(
        f"{trainers.__file__}:good", SMALL, out=tmp_path / "lost", searcher="random", trials=1, max_epochs=1,
        progress=False, budget="1epochs",
    )  # fmt: skip
    assert lost.path is not None
    assert len(confirm(lost.path, top=3, seeds=1).candidates) == 1
