"""``tune-lr compare`` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.samples import trainers
from tests.samples.spaces import SMALL
from tune_lr.cli import app
from tune_lr.spacefile import dump_space

TRAINER = f"{trainers.__file__}:good"


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("space") / "small.yaml"
    file.write_text(dump_space(SMALL))
    return str(file)


def command(space: str, *more: str) -> list[str]:
    return [
        "compare", TRAINER, "--space", space, "--engines", "inline", "--searchers", "random",
        "--trial-schedulers", "none,asha", "--seeds", "2", "--budget", "12epochs", "--max-epochs", "4", *more,
    ]  # fmt: skip


def told(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


def test_it_runs_tells_and_tells_again_from_the_folder(tmp_path: Path, space: str) -> None:
    out, picture, rows = (str(tmp_path / name) for name in ("x", "x.png", "x.csv"))
    code, said, _ = told(*command(space, "--out", out, "--plot", picture, "--csv", rows))
    assert code == 0
    assert "6 runs to go" in said
    assert "asha against none, after 12 epochs: too few seeds to tell (2;" in said
    assert "none (again)" in said
    assert Path(picture).read_bytes()[:4] == b"\x89PNG"
    assert len(Path(rows).read_text().splitlines()) == 7
    code, again, _ = told("compare", out)
    assert code == 0
    assert again.splitlines()[0] in said
    code, as_json, _ = told("compare", out, "--json")
    assert (code, json.loads(as_json)["budget"]) == (0, {"epochs": 12.0})
    code, resumed, _ = told(*command(space, "--out", out))
    assert code == 0
    assert "to go" not in resumed
    code, held, _ = told("compare", f"{out}/runs/01-0", f"{out}/runs/02-0", "--json", "--target", "1.0")
    assert (code, json.loads(held)["baseline"]) == (0, "none")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--trial-schedulers", "none"], "two or more"),
        (["--trial-schedulers", "none,,asha"], "--trial-schedulers"),
        (["--trial-schedulers", "none,ashes"], "ashes"),
        (["--engines", "inline,rai"], "rai"),
        (["--budget", "soon"], "budget"),
        (["--beyond", "0"], "beyond"),
        (["--baseline", "x"], "baseline"),
        (["--space", "nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_said_and_leaves_nothing(
    tmp_path: Path, space: str, change: list[str], message: str
) -> None:
    out = tmp_path / "x"
    code, _, error = told(*command(space, "--out", str(out)), *change)
    assert (code, message in error) == (2, True)
    assert not out.exists()


def test_folders_take_no_options_of_a_run(tmp_path: Path, space: str) -> None:
    for arguments, message in (
        ((str(tmp_path),), "experiment"),
        ((str(tmp_path), "--engines", "ray"), "--engines"),
        (("a.py", "b.py"), "one trainer"),
        ((TRAINER,), "--space"),
    ):
        code, _, error = told("compare", *arguments)
        assert (code, message in error) == (2, True)
