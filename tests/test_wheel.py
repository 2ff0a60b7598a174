"""What people install holds what the checkout holds: spaces, type marker, command, license."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel and one source archive, built without touching the network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_wheel_carries_the_spaces_and_the_package(built: Path, root: Path) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
        points = wheel.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    spaces = {f"tune_lr/searchspaces/{file.name}" for file in (root / "searchspaces").glob("*.yaml")}
    code = {str(file.relative_to(root)) for file in (root / "tune_lr").rglob("*.py")}
    assert "tune_lr/searchspaces/greedy_lr.yaml" in spaces
    data = {str(file.relative_to(root)) for file in (root / "tune_lr/data").rglob("*") if file.is_file()}
    assert {"tune_lr/data/starter_prior/prior.json", "tune_lr/data/starter_prior/trials.parquet"} < data
    assert spaces | code | data | {"tune_lr/py.typed"} <= names
    assert "tune-lr = tune_lr.cli:main" in points
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"tune_lr"}


def test_an_unpacked_wheel_finds_its_spaces_and_its_prior_without_the_checkout(
    built: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(tmp_path)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tune_lr;"
        "assert tune_lr.__file__.startswith(sys.argv[1]);"
        "from tune_lr.prior.starter import starter_history, starter_prior;"
        "space = tune_lr.load_space('greedy_lr');"
        "print(space.name, len(starter_prior(space).tasks), len(starter_history().tasks()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["greedy_lr", "21", "21"]


def test_the_source_archive_can_be_built_and_tested_from(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "Makefile", "constraints.txt", "tests/conftest.py"}
    assert wanted | {"searchspaces/greedy_lr.yaml", "tune_lr/__init__.py"} <= names
    assert not any(name.startswith((".venv", "runs", ".git/")) for name in names)
