"""One part of the judging: a method, a history, a task and a group of seeds, in a file of its own.

A file is put in place whole or not at all and says by a hash what it follows from: the tables, the method
and its version, the history, the budget, the seeds. So the judging can be killed at any time and called
again. The code of the package is not in the hash, for most changes of it change nothing; ``code`` says which
it was, and ``--renew`` makes a method's parts anew.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from resumable import alive
from transfer_ import baseline
from transfer_.histories import DRAWN, NONE, Pasts, history_of, past_of, seed_of
from transfer_.methods import METHODS, MissingPart, Told, run
from transfer_.tables import Array, Tables, load

import tune_lr

#: Runs a part. A history that is drawn is another one for every group of seeds.
GROUP = 11
BASELINE = "baseline"
BASELINE_SEEDS, BASELINE_BUDGETS = 301, 9


@dataclass(frozen=True)
class Part:
    """Runs ``first`` to ``last`` (which is not among them) of a method on a task, told a history."""

    method: str
    kind: str
    task: str
    first: int
    last: int
    budget: int

    @property
    def group(self) -> int:
        return self.first // GROUP

    @property
    def seeds(self) -> list[int]:
        """Seeds of its runs, independent of those of other tasks, histories and methods."""
        names = self.method, self.kind, self.task
        return [seed_of("run", *names, number) for number in range(self.first, self.last)]

    def path(self, out: Path) -> Path:
        return out / self.method / self.kind / f"{self.task}-{self.first:03}-{self.last:03}.npz"

    def key(self, tables: Tables) -> str:
        """A hash of what its content follows from, but for the code."""
        version = METHODS[self.method].version if self.method in METHODS else BASELINE_BUDGETS
        told = [tables.digest, *self.__dict__.values(), version, self.seeds]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def baseline_of(task: str, budget: int, seeds: int = BASELINE_SEEDS) -> Part:
    """The part that holds a task's baseline."""
    return Part(BASELINE, NONE, task, 0, seeds, budget)


def plan(
    methods: Sequence[str], kinds: Sequence[str], tasks: Sequence[str], budget: int, seeds: int | None = None
) -> list[Part]:
    """Every part, of ``seeds`` runs a task at most.

    All of the first group of seeds come first, so that a part of it all is of use.
    """
    most = {name: min(seeds or math.inf, METHODS[name].seeds) for name in methods}
    return [
        Part(name, kind, task, first, min(first + GROUP, most[name]), budget)
        for first in range(0, max(most.values(), default=0), GROUP)
        for task in tasks
        for kind in kinds
        for name in methods
        if kind in METHODS[name].kinds and first < most[name]
    ]


def read(part: Part, tables: Tables, out: Path) -> dict[str, Any] | None:
    """What a part holds: ``best`` (runs x epochs), ``ask``, ``report``, ``seconds``, ``code``; None if it is
    not there, not whole, or follows from something else.
    """
    try:
        with np.load(part.path(out), allow_pickle=False) as file:
            found: dict[str, Any] = {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError):
        return None
    except Exception as error:  # what zipfile raises has no other parent
        if type(error).__module__ != "zipfile":
            raise
        return None
    return found if str(found.get("key")) == part.key(tables) else None


def make(part: Part, source: Path, out: Path) -> tuple[Part, str | None]:
    """Play the runs of a part and put its file in place; why it could not be, if so."""
    tables = _loaded(source)
    try:
        arrays = _baseline(part, tables) if part.method == BASELINE else _runs(part, tables, out)
    except MissingPart as error:
        return part, str(error)
    write(part, tables, out, arrays)
    return part, None


def write(part: Part, tables: Tables, out: Path, arrays: dict[str, Any]) -> None:
    """Put a part's file in place, whole."""
    path = part.path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, key=np.array(part.key(tables)), code=np.array(code()), **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


_loaded = cache(load)


def _baseline(part: Part, tables: Tables) -> dict[str, Any]:
    best: Array = baseline.runs(tables, part.task, part.seeds, BASELINE_BUDGETS * part.budget)
    return {"best": best}


def _runs(part: Part, tables: Tables, out: Path) -> dict[str, Any]:
    pasts = None if part.kind == NONE else past_of(part.kind, tables, part.task, part.group, part.budget)
    told = Told(tables, part.task, part.budget, pasts, lambda: prior(part, tables, pasts or {}, out))
    runs = [run(METHODS[part.method], told, seed) for seed in part.seeds]
    return {
        "best": np.stack([one.best for one in runs]),
        **{name: np.array([getattr(one, name) for one in runs]) for name in ("ask", "report", "seconds")},
    }


# Priors -----------------------------------------------------------------------------------------------


def prior(part: Part, tables: Tables, pasts: Pasts, out: Path) -> Any:
    """The prior of a past, kept in the work folder for as long as the code of priors stays the same.

    Raises:
        MissingPart: there is no ``Prior``.
    """
    try:
        from tune_lr.prior.prior import Prior
    except ImportError as error:
        raise MissingPart(f"no prior: {error}") from error
    group = part.group if part.kind in DRAWN else 0
    told = [tables.digest, part.kind, part.task, group, part.budget, code()]
    kept = out / "priors" / hashlib.sha256(json.dumps(told).encode()).hexdigest()[:20]
    if kept.exists():
        return Prior.load(kept)
    made = Prior.fit(history_of(tables, pasts), tables.space)
    kept.parent.mkdir(parents=True, exist_ok=True)
    temporary = kept.with_name(f".{kept.name}.{os.getpid()}")
    made.save(temporary)
    try:
        temporary.replace(kept)
    except OSError:  # another process was first
        shutil.rmtree(temporary, ignore_errors=True)
    return made


@cache
def code() -> str:
    """A hash of the code that decides what a prior is and what is proposed."""
    root, found = Path(tune_lr.__file__).parent, hashlib.sha256()
    for room in ("prior", "searchers", "stopping"):
        for file in sorted((root / room).rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()[:12]


def missing(parts: Sequence[Part], tables: Tables, out: Path) -> list[Part]:
    """The parts of which no sound file is there. What a kill left half written is removed."""
    for left in (*out.glob("*/*/.*.npz.*"), *out.glob("priors/.*")):
        if not alive(left.name.rpartition(".")[2]):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
    return [part for part in parts if read(part, tables, out) is None]


def seconds_of(parts: Sequence[Part], tables: Tables, out: Path) -> float:
    """What parts will take on one core, by what was measured so far; a line a method is printed."""
    total = 0.0
    for name in dict.fromkeys(part.method for part in parts):
        runs = sum(part.last - part.first for part in parts if part.method == name)
        a_run, how = _seconds_a_run(name, out)
        total += runs * a_run
        line = f"  {name:<15} {runs:6} runs of about {a_run:6.2f} s ({how}): {runs * a_run / 60:6.1f} min"
        print(line, file=sys.stderr, flush=True)
    return total


def _seconds_a_run(name: str, out: Path) -> tuple[float, str]:
    if name == BASELINE:
        return 0.05, "guessed"
    taken = []
    for file in sorted((out / name).glob("*/*.npz"))[:40]:
        try:
            with np.load(file, allow_pickle=False) as found:
                taken += found["seconds"].tolist()
        except (OSError, ValueError, KeyError, EOFError):
            continue
    return (float(np.mean(taken)), "measured") if taken else (METHODS[name].seconds, "guessed")
