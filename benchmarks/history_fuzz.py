"""Ten thousand damaged logs: whatever is wrong with a log, its import ends, and ends well.

    python benchmarks/history_fuzz.py [--inputs 10000] [--seed 0] [--first 0] [--workers 2] [--seconds 20]
                                      [--importer ray ...] [--keep FOLDER]

The samples of all importers (tests/samples/history), made by the real libraries, and small logs of each
format (history_/generate.py) are damaged by chance (history_/mutate.py) and imported, each into a store of
its own. A failure is an exception that is no ``TuneLRError``, an import that takes longer than ``--seconds``,
a store that holds anything but whole Parquet files that the history reads, or a log that was changed by being
read. What failed is kept in ``--keep``, and the exit status is 1.

The input of a number is the same for the same seed and samples: ``--first 4711 --inputs 1`` is it again.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import queue
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from history_.generate import FORMATS
from history_.mutate import mutate

#: So much memory, no log of some kilobytes needs.
MEMORY = 6 * 1024**3


def make_samples(folder: Path, importers: list[str]) -> None:
    """A folder a log: those of the samples of each importer, and one of each format."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    for name in importers:
        sample = importlib.import_module(f"tests.samples.history.{name.replace('-', '_')}")
        for made, function in inspect.getmembers(sample, inspect.isfunction):
            if made.startswith("make") and list(inspect.signature(function).parameters) == ["folder"]:
                (at := folder / f"{name}.{made}").mkdir()
                try:
                    function(at)
                except Exception as error:  # another version of a library may lack what one of them needs
                    print(f"no {name}.{made}: {error!r}", file=sys.stderr)
                    shutil.rmtree(at)
    for form, generate in FORMATS.items():
        if any(form.startswith(name) for name in importers) or form.split()[0] in ("csv", "jsonl", "parquet"):
            (at := folder / f"{form}.generated").mkdir()
            generate(at, 4, 5)


def damaged(samples: Path, number: int, seed: int, folder: Path) -> list[str]:
    """The input of a number, made in ``folder``."""
    chance = random.Random(f"{seed}-{number}")
    found = sorted(samples.iterdir())
    # Each importer has as many turns as any other, however many samples it has.
    importer = chance.choice(sorted({path.name.split(".")[0] for path in found}))
    sample = chance.choice([path for path in found if path.name.split(".")[0] == importer])
    shutil.copytree(sample, folder, symlinks=True)
    return [sample.name, *mutate(folder, chance)]


def seen(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything in a folder, so far as reading must not change it."""
    return {
        str(path): ((found := path.lstat()).st_mode, found.st_size, found.st_mtime_ns)
        for path in folder.rglob("*")
    }


def imported(log: Path, store: Path) -> str:
    """Import one log and look at what came of it; a sentence where it came out badly."""
    import pyarrow.parquet as pq

    from tune_lr.errors import TuneLRError
    from tune_lr.history.history import FAULT, History

    before = seen(log)
    try:
        added = History(store).add(log)
    except TuneLRError:
        added = None
    for _, why in added.skipped.counts if added else ():
        if why.startswith(FAULT):
            return why
    if seen(log) != before:
        return "the log was changed"
    for file in store.rglob("*") if store.exists() else ():
        if file.suffix != ".parquet" or file.name.startswith("."):
            return f"{file.name!a} was left in the store"
        pq.read_table(file)
    history = History(store)
    found = len(history.trials()), len(history.to_pandas())
    if added is None or not added.imported:
        return "refused"
    # Of the same log twice one import is made, and one of a part and the whole is replaced.
    infos = {one.info.id: one.info for one in added.imported}
    gone = {old for info in history.tasks() for old in info.replaces}
    kept = [info for info in infos.values() if info.id not in gone]
    told = sum(info.trials for info in kept), sum(info.reports for info in kept)
    if told != found or {info.id for info in kept} != {info.id for info in history.tasks()}:
        return f"{told} trials and reports were told of, {found} are there"
    return (
        "imported, some skipped"
        if added.skipped or any(one.skipped for one in added.imported)
        else "imported"
    )


def work(samples: Path, first: int, last: int, step: int, seed: int, scratch: Path) -> None:
    """Import the inputs of some numbers, saying of each when it begins and how it ended."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error", UserWarning)
    for number in range(first, last, step):
        log, store = scratch / "log", scratch / "store"
        for folder in (log, store):
            shutil.rmtree(folder, ignore_errors=True)
        told = damaged(samples, number, seed, log)
        print(json.dumps({"number": number, "told": told}), flush=True)
        began = time.monotonic()
        try:
            outcome = imported(log, store)
        except BaseException:
            outcome = traceback.format_exc()
        said = {"number": number, "outcome": outcome, "seconds": time.monotonic() - began}
        print(json.dumps(said), flush=True)


class Watch:
    """One worker process after another over a share of the numbers; each input has so many seconds."""

    def __init__(self, asked: argparse.Namespace, samples: Path, share: int, scratch: Path) -> None:
        self.asked, self.samples, self.share, self.scratch = asked, samples, share, scratch
        self.outcomes: Counter[str] = Counter()
        self.failures: list[tuple[int, list[str], str]] = []
        self.slowest = (0.0, -1)

    def run(self) -> None:
        last, step = self.asked.first + self.asked.inputs, self.asked.workers
        number = self.asked.first + self.share
        while number < last:
            number = self._until_one_hangs(number, last, step) + step

    def _until_one_hangs(self, first: int, last: int, step: int) -> int:
        """The number that a worker got to; below ``last`` it was the end of the worker."""
        scratch = tempfile.mkdtemp(dir=self.scratch)
        command = [sys.executable, __file__, "--work", str(self.samples), str(first), str(last), str(step)]
        worker = subprocess.Popen(
            [*command, str(self.asked.seed), scratch],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        lines: queue.Queue[str] = queue.Queue()
        assert worker.stdout is not None
        threading.Thread(target=_pump, args=(worker.stdout, lines), daemon=True).start()
        number, told = first, ["the worker's start"]
        try:
            while True:
                # Its imports come before the first.
                line = lines.get(timeout=self.asked.seconds + (60 if number == first else 0))
                if not line:
                    if number + step < last:
                        self._failed(number, told, f"the worker ended with {worker.wait()}")
                    return number
                said = json.loads(line)
                number, told = said["number"], said.get("told", told)
                if "outcome" in said:
                    self._ended(number, told, said["outcome"], said["seconds"])
        except queue.Empty:
            self._failed(number, told, f"it took longer than {self.asked.seconds} s")
            return number
        finally:
            worker.kill()
            worker.wait()
            shutil.rmtree(scratch, ignore_errors=True)

    def _ended(self, number: int, told: list[str], outcome: str, seconds: float) -> None:
        self.slowest = max(self.slowest, (seconds, number))
        if outcome in ("imported", "imported, some skipped", "refused"):
            self.outcomes[outcome] += 1
            self.outcomes[f"{told[0].split('.')[0]}: {outcome}"] += 1
        else:
            self._failed(number, told, outcome)

    def _failed(self, number: int, told: list[str], why: str) -> None:
        self.failures.append((number, told, why))
        target = self.asked.keep / str(number)
        shutil.rmtree(target, ignore_errors=True)
        self.asked.keep.mkdir(parents=True, exist_ok=True)
        damaged(self.samples, number, self.asked.seed, target)
        (self.asked.keep / f"{number}.txt").write_text("\n".join([*told, "", why]))
        print(f"{number}: {'; '.join(told)}\n    {why.strip().splitlines()[-1][:300]}", flush=True)


def _pump(source: Any, lines: queue.Queue[str]) -> None:
    for line in source:
        lines.put(line)
    lines.put("")


def summary(watches: list[Watch], seconds: float) -> None:
    """Print how many came out how, of each importer."""
    outcomes = sum((watch.outcomes for watch in watches), Counter())
    failures = [one for watch in watches for one in watch.failures]
    kinds = ("imported", "imported, some skipped", "refused")
    print(f"\n{'':<18}" + "".join(f"{kind:>24}" for kind in kinds))
    for name in sorted({key.split(": ")[0] for key in outcomes if ": " in key}):
        print(f"{name:<18}" + "".join(f"{outcomes[f'{name}: {kind}']:>24}" for kind in kinds))
    print(f"{'all':<18}" + "".join(f"{outcomes[kind]:>24}" for kind in kinds))
    longest, number = max(watch.slowest for watch in watches)
    print(f"{seconds:.0f} s; the slowest took {longest:.1f} s (number {number}); {len(failures)} failed")


def parsed() -> argparse.Namespace:
    from tune_lr import registry

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--importer", choices=registry.names("importers"), action="append")
    parser.add_argument("--keep", type=Path, default=Path("history-fuzz-failures"))
    parser.add_argument(
        "--samples", type=Path, help="where the samples are or are to be made; a folder of its own"
    )
    return parser.parse_args()


def main() -> None:
    """Damage, import, and tell."""
    if sys.argv[1:2] == ["--work"]:
        samples, first, last, step, seed, scratch = sys.argv[2:]
        work(Path(samples), int(first), int(last), int(step), int(seed), Path(scratch))
        return
    if sys.argv[1:2] == ["--make"]:
        make_samples(Path(sys.argv[2]), sys.argv[3:])
        return
    from tune_lr import registry

    asked = parsed()
    with tempfile.TemporaryDirectory(prefix="tune-lr-fuzz-") as scratch:
        samples = asked.samples or Path(scratch, "samples")
        if not samples.exists():
            samples.mkdir(parents=True)
            names = asked.importer or list(registry.PARTS["importers"])
            subprocess.run([sys.executable, __file__, "--make", str(samples), *names], check=True)
        watches = [Watch(asked, samples, share, Path(scratch)) for share in range(asked.workers)]
        threads = [threading.Thread(target=watch.run) for watch in watches]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    summary(watches, time.monotonic() - began)
    sys.exit(1 if any(watch.failures for watch in watches) else 0)


if __name__ == "__main__":
    main()
