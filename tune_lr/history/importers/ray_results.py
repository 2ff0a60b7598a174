"""The results of Ray Tune's trials: ``result.json``, and ``progress.csv`` for what that has lost."""

from __future__ import annotations

import csv
import math
from array import array
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import LARGEST_WHOLE, Columns
from tune_lr.history.files import json_lines, lines
from tune_lr.history.log import Skipped
from tune_lr.history.matching import CONFIG

LINES, CSV = "result.json", "progress.csv"
#: What Ray adds to every result.
RAYS_OWN = frozenset(
    {
        "agent_timesteps_total",
        "checkpoint_dir_name",
        "config",
        "date",
        "done",
        "episodes_total",
        "experiment_id",
        "experiment_tag",
        "hostname",
        "iterations_since_restore",
        "node_ip",
        "pid",
        "should_checkpoint",
        "time_since_restore",
        "time_this_iter_s",
        "time_total_s",
        "timestamp",
        "timesteps_since_restore",
        "timesteps_this_iter",
        "timesteps_total",
        "training_iteration",
        "trial_id",
        "trial_name",
        "warmup_time",
    }
)
#: Columns that a log's reports have of their own. A metric of such a name gets "_" at its end.
_OF_REPORTS = ("trial", "epoch", "seconds")
_EPOCH, _SECONDS = "training_iteration", "time_total_s"
_NO_EPOCH = "a result without a training_iteration"
_DEEPEST = 6
#: Rows of a table that are looked at together.
_BLOCK = 4096


@dataclass
class Told:
    """What a trial's results say of the trial; the last one counts. ``began`` is the first one's config."""

    rows: int = 0
    trial_id: str | None = None
    done: bool = False
    config: dict[str, Any] | None = None
    began: dict[str, Any] | None = None


class Results:
    """The reports of all trials, as columns."""

    def __init__(self) -> None:
        self._of, self._epochs, self._seconds = array("q"), array("q"), array("d")
        self._metrics = Columns()
        #: Ray's name of a metric -> the column of it in :meth:`reports`, once these were asked for.
        self.names: dict[str, str] = {}

    def read(self, trial: int, files: Mapping[str, Path], shown: str, skipped: Skipped) -> Told:
        """Add a trial's results; what cannot be read goes to ``skipped``."""
        told, own, began = Told(), Skipped(), len(self._epochs)
        if LINES in files:
            try:
                self._lines(trial, files[LINES], f"{shown}/{LINES}", told, own)
            except BadInput as error:
                own.add(f"{shown}/{LINES}", str(error))
        if CSV in files and (own or not told.rows):
            try:
                seen = frozenset(self._epochs[began:])
                self._table(trial, files[CSV], f"{shown}/{CSV}", seen, told, own)
            except (BadInput, csv.Error) as error:
                own.add(f"{shown}/{CSV}", str(error))
        skipped.counts.update(own.counts)
        return told

    def reports(self, skipped: Skipped) -> dict[str, Any]:
        """All that was read: ``trial``, ``epoch``, ``seconds`` and the metrics."""
        own = (
            np.array(self._of, np.int64),
            np.array(self._epochs, np.int64),
            np.array(self._seconds, np.float64),
        )
        found = self._metrics.arrays(skipped=skipped)
        taken = {*found, *_OF_REPORTS}
        for name in found:
            called = name
            while name in _OF_REPORTS and called in taken:
                called += "_"
            taken.add(called)
            self.names[name] = called
        metrics = {self.names[name]: column for name, column in found.items()}
        return {**dict(zip(_OF_REPORTS, own, strict=True)), **metrics}

    def _lines(self, trial: int, file: Path, shown: str, told: Told, skipped: Skipped) -> None:
        results = json_lines(file, skipped, shown)
        first = next(results, None)
        result: dict[str, Any] = first or {}
        for result in chain([] if first is None else [first], results):
            epoch, seconds = result.get(_EPOCH), result.get(_SECONDS)
            if not isinstance(epoch, (int, float)) or not _counts(epoch):
                skipped.add(shown, _NO_EPOCH)
                continue
            self._of.append(trial)
            self._epochs.append(int(epoch))
            self._seconds.append(_known(seconds))
            self._metrics.add(_flat(result))
            told.rows += 1
        name, config = result.get("trial_id"), result.get("config")
        told.trial_id = name if isinstance(name, str) and name else None
        told.done = result.get("done") is True
        told.config = config if isinstance(config, dict) else None
        began = first.get("config") if first else None
        told.began = began if isinstance(began, dict) else None

    def _table(
        self, trial: int, file: Path, shown: str, seen: Collection[int], told: Told, skipped: Skipped
    ) -> None:
        texts = (line.decode("utf-8", "replace") for line in lines(file, skipped, shown))
        reader = csv.reader(texts)
        names = next(reader, [])
        if _EPOCH not in names:
            if names:
                skipped.add(shown, _NO_EPOCH)
            return
        while block := list(islice(reader, _BLOCK)):
            rows = [row for row in block if len(row) == len(names)]
            skipped.add(shown, "a row of another length than the first", len(block) - len(rows))
            if rows:
                table = dict(zip(names, zip(*rows, strict=True), strict=False))
                self._block(trial, table, seen, shown, told, skipped)

    def _block(
        self,
        trial: int,
        table: Mapping[str, Sequence[str]],
        seen: Collection[int],
        shown: str,
        told: Told,
        skipped: Skipped,
    ) -> None:
        """Add some rows of a table, but for those of epochs already ``seen``."""
        epochs = _floats(table[_EPOCH])
        good = [_counts(epoch) for epoch in epochs]
        skipped.add(shown, _NO_EPOCH, good.count(False))
        kept = [fine and epoch not in seen for fine, epoch in zip(good, epochs, strict=True)]
        count = kept.count(True)
        if not count:
            return
        if count < len(kept):
            table = {name: tuple(compress(texts, kept)) for name, texts in table.items()}
        self._of.extend([trial] * count)
        self._epochs.extend([int(epoch) for epoch in compress(epochs, kept)])
        self._seconds.extend(_floats(table[_SECONDS]) if _SECONDS in table else [math.nan] * count)
        found = {}
        for name, texts in table.items():
            if name not in RAYS_OWN and not name.startswith(CONFIG):
                numbers = _floats(texts)
                if not all(map(math.isnan, numbers)) or _says_nan(texts):
                    found[name] = numbers
        self._metrics.extend(count, found)
        if not told.rows:
            told.trial_id = table["trial_id"][-1] or None if "trial_id" in table else None
            told.began = _knobs(table, 0)
        if not seen:  # no line could be read that says it better
            told.config = _knobs(table, -1)
        told.done = "done" in table and table["done"][-1] == "True"
        told.rows += count


def _counts(epoch: float) -> bool:
    """Whether a number is one that epochs are counted by."""
    return 1 <= epoch < LARGEST_WHOLE and epoch % 1 == 0 and epoch is not True


def _known(seconds: Any) -> float:
    return seconds if type(seconds) in (int, float) and abs(seconds) < LARGEST_WHOLE else math.nan


def _flat(result: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The numbers of a result; those of nested results under names joined with "/"."""
    found: dict[str, Any] = {}
    for name, value in result.items():
        if type(value) is float or type(value) is int:
            if prefix or name not in RAYS_OWN:
                found[f"{prefix}{name}"] = value
        elif type(value) is dict and depth < _DEEPEST and (prefix or name not in RAYS_OWN):
            found.update(_flat(value, f"{prefix}{name}/", depth + 1))
    return found


def _floats(texts: Sequence[str]) -> array[float]:
    """A column of text as numbers, NaN where there is none."""
    try:
        return array("d", map(float, texts))
    except ValueError:
        return array("d", [_float(text) for text in texts])


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _says_nan(texts: Sequence[str]) -> bool:
    return any(text.strip().lower() == "nan" for text in texts)


def _knobs(table: Mapping[str, Sequence[str]], row: int) -> dict[str, Any]:
    """The configuration in a row; a table joins nested keys with "/", and dots do so everywhere else."""
    return {
        name[len(CONFIG) :].replace("/", "."): _value(texts[row])
        for name, texts in table.items()
        if name.startswith(CONFIG)
    }


def _value(text: str) -> str | float | bool | None:
    """What a cell of a knob holds."""
    if text in ("True", "False"):
        return text == "True"
    number = _float(text)
    if math.isnan(number):
        return text or None
    return int(number) if number % 1 == 0 and abs(number) < LARGEST_WHOLE and text.isdigit() else number
