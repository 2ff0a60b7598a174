"""How long `tune-lr --help` takes, beside what an interpreter and a bare Typer command take here anyway.

    python benchmarks/help.py [runs]

The rows take turns, so that a machine that slows down slows down all of them.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TYPER = """
import typer
app = typer.Typer()
@app.command()
def run(trials: int = 1) -> None: ...
@app.command()
def show(folder: str) -> None: ...
app(["--help"])
"""


def seconds(command: list[str], folder: str) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main(runs: int = 20) -> None:
    rows = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "a bare typer --help": [sys.executable, "-c", TYPER],
        "tune-lr --help": [str(Path(sys.executable).parent / "tune-lr"), "--help"],
    }
    times: dict[str, list[float]] = {name: [] for name in rows}
    with tempfile.TemporaryDirectory() as folder:
        for command in rows.values():  # once unmeasured: byte code and the disk cache
            seconds(command, folder)
        for _ in range(runs):
            for name, command in rows.items():
                times[name].append(seconds(command, folder))
    print(f"seconds, {runs} runs a row, Python {sys.version.split()[0]}, {os.cpu_count()} cores")
    print(f"{'':22}{'median':>8}{'fastest':>9}{'slowest':>9}")
    for name, taken in times.items():
        print(f"{name:22}{statistics.median(taken):8.3f}{min(taken):9.3f}{max(taken):9.3f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
