"""Asking for help must not cost the import of torch or of an engine (benchmarks/help.py has the seconds)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "plotly"}
ENGINES = {"ray", "syne_tune", "optuna"}

# Runs the command in this interpreter, then says what got imported on the way.
PROBE = """
import json, sys
sys.argv = ["tune-lr", *json.loads(sys.argv[1])]
from tune_lr.cli import main
code = 0
try:
    main()
except SystemExit as end:
    code = end.code or 0
print("\\n@" + json.dumps({"code": code, "modules": sorted({m.split(".")[0] for m in sys.modules})}))
"""


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]], ids=" ".join)
def test_help_imports_neither_torch_nor_an_engine(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    text, _, found = done.stdout.rpartition("\n@")
    answer = json.loads(found)
    assert answer["code"] == 0, done.stderr
    assert text.strip()
    assert set(answer["modules"]) & (HEAVY | ENGINES) == set()


def test_the_installed_command_answers(tmp_path: Path) -> None:
    command = shutil.which("tune-lr", path=str(Path(sys.executable).parent))
    assert command, "the package is not installed in this environment"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("run", "resume", "show", "plot", "spaces"))
