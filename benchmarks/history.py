"""What importing a log costs, beside what merely parsing its files costs, for each format.

    python benchmarks/history.py [--trials 10000] [--epochs 100] [--rounds 3] [--format 'ray result.json' ...]

For each format a log is made (history_/generate.py), then three things take turns, each in a fresh process:
the natural call that parses the files (history_/parse.py), ``History.add`` of the same files with all that it
writes, and the parsing again, which is the neutral row. What is timed begins when the libraries are imported
and the shipped spaces are read. Tables are also parsed by pyarrow (in one thread; pandas 3.1 reads CSV in
several), and that ratio is told beside the others. The ratios are of medians: of the clock's seconds, which
count, and of the processor's, which other work on the machine moves less. The peak is all of the process's
memory, its libraries' 150 MB or so among it.

Two are the most the import may take (2.0 times the seconds, 1 GB), and how far it is from them is printed;
the exit status is 1 where one is passed or a report is lost.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from history_.generate import FORMATS
from history_.parse import BY_PYARROW, NEEDS, PARSERS

LONGEST, LARGEST = 2.0, 1024.0
COLUMNS = {"parse s": 9, "import s": 9, "neutral": 9, "ratio": 7, "cpu": 7, "parse MB": 9, "MB": 9}
ROWS = ("parse", "import", "neutral")


def measure(row: str, name: str, path: Path, store: Path) -> dict[str, float]:
    """One row in this process: seconds, processor seconds, peak MB, and reports, where they are known."""
    for module in ("pandas", "pyarrow.parquet", "tune_lr.history.history", *NEEDS.get(name, ())):
        importlib.import_module(module)
    from tune_lr.history import finder
    from tune_lr.history.history import History
    from tune_lr.spacefile import shipped_spaces

    finder.importers()  # what is loaded once, whatever is imported
    shipped_spaces()
    reports = None
    began, began_cpu = time.perf_counter(), time.process_time()
    if row == "import":
        History(store).add(path)
    else:
        kept = (BY_PYARROW if row == "pyarrow" else PARSERS)[name](path)
        del kept
    seconds, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**2
    if row == "import":
        reports = len(History(store).to_pandas())
    return {"seconds": seconds, "cpu": cpu, "peak": peak, "reports": reports}


def generate(name: str, folder: Path, trials: int, epochs: int) -> str:
    return str(FORMATS[name](folder, trials, epochs))


def in_fresh_process(*arguments: object) -> Any:
    """What this script prints as JSON: a process's peak is never below that of the one it came from."""
    command = [sys.executable, __file__, *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr[-5000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(name: str, trials: int, epochs: int, rounds: int) -> bool:
    """Print one format's line; whether it keeps within the bounds."""
    with tempfile.TemporaryDirectory(prefix="tune-lr-history-") as folder:
        (made := Path(folder, "log")).mkdir()
        path = in_fresh_process("--generate", name, made, "--trials", trials, "--epochs", epochs)
        rows = (*ROWS, "pyarrow") if name in BY_PYARROW else ROWS
        found: dict[str, list[dict[str, Any]]] = {row: [] for row in rows}
        for turn in range(rounds):
            for row in rows:
                store = Path(folder, f"store-{turn}")
                found[row].append(in_fresh_process("--measure", row, name, path, store))

    def of(row: str, what: str) -> float:
        return statistics.median(one[what] for one in found[row])

    ratio, peak = of("import", "seconds") / of("parse", "seconds"), of("import", "peak")
    lost = trials * epochs - min(one["reports"] for one in found["import"])
    good = ratio <= LONGEST and peak < LARGEST and not lost
    print(
        f"{name:<18}{of('parse', 'seconds'):>9.2f}{of('import', 'seconds'):>9.2f}"
        f"{of('neutral', 'seconds') / of('parse', 'seconds'):>9.2f}{ratio:>7.2f}"
        f"{of('import', 'cpu') / of('parse', 'cpu'):>7.2f}{of('parse', 'peak'):>9.0f}{peak:>9.0f}  "
        + ("within" if good else f"{lost} reports are lost" if lost else "beyond")
        + (
            f" ({of('import', 'seconds') / of('pyarrow', 'seconds'):.2f} of pyarrow's time)"
            if "pyarrow" in found
            else ""
        ),
        flush=True,
    )
    return good


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--format", choices=list(FORMATS), action="append", help="all, if not given")
    parser.add_argument("--generate", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.generate:
        name, folder = asked.generate
        print(json.dumps(generate(name, Path(folder), asked.trials, asked.epochs)))
        return
    if asked.measure:
        row, name, path, store = asked.measure
        print(json.dumps(measure(row, name, Path(path), Path(store))))
        return
    print(f"{asked.trials} trials x {asked.epochs} epochs, medians of {asked.rounds} rounds")
    print(f"{'format':<18}" + "".join(f"{name:>{width}}" for name, width in COLUMNS.items()))
    good = [compare(name, asked.trials, asked.epochs, asked.rounds) for name in asked.format or FORMATS]
    print(f"{sum(good)} of {len(good)} formats take at most {LONGEST} times as long and less than 1 GB")
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
