"""The rows of a table as trials and reports, taken batch by batch."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tune_lr.history import files
from tune_lr.history.columns import MOST_CELLS
from tune_lr.history.importers.table_columns import Roles
from tune_lr.history.importers.table_files import Kind, TooLarge
from tune_lr.history.importers.table_sense import WrongGuess, check_long
from tune_lr.history.importers.table_spelling import without_percent
from tune_lr.history.importers.table_values import (
    constant,
    first_of,
    first_values,
    joined,
    knob_column,
    numbered,
    numbers,
    statuses,
    whole,
    whole_column,
)
from tune_lr.history.log import Skipped
from tune_lr.history.matching import CONFIG

if TYPE_CHECKING:
    import pandas as pd

Batch = dict[str, pa.Array]
#: Each is an experiment of its own, and a file of the history.
MOST_TASKS = 1000
#: Keys that no column has.
_TRIAL, _EPOCH, _VALID = ("trial",), ("epoch",), "valid"


class Rows:
    """What is common to both layouts: the trials, each at its first row."""

    def __init__(self, roles: Roles, kinds: dict[str, Kind], where: str, skipped: Skipped) -> None:
        self.roles, self.kinds, self.where, self.skipped = roles, kinds, where, skipped
        self.mixed: set[str] = set()
        self.percents: set[str] = set()
        self._made: tuple[pd.DataFrame, pd.DataFrame] | None = None
        self._places: dict[str, int] = {}
        self._firsts: defaultdict[str, list[pa.Array]] = defaultdict(list)
        self._numbers: defaultdict[str | tuple[str, ...], list[np.ndarray[Any, Any]]] = defaultdict(list)
        self._status: dict[int, str] = {}
        self._error: dict[int, str] = {}
        self._cells = 0

    def logs(self) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
        """For every task its name, trials and reports (BadInput: they are too many)."""
        made, self._made = self._made, None
        trials, reports = made or self._frames()
        if self.roles.task is None:
            yield "", trials, reports
            return
        tasks = trials.pop("task")
        names = tasks.unique()
        if len(names) > MOST_TASKS:
            what = f"column {self.roles.task!r} to name at most {MOST_TASKS} tasks; it names {len(names)}"
            raise files.bad(self.where, f"{what}. Is it another column that names them?")
        for task in names:
            here = (tasks == task).to_numpy()
            place = np.cumsum(here) - 1
            mine = reports[here[reports["trial"].to_numpy()]]
            own = trials[here].dropna(axis="columns", how="all").reset_index(drop=True)
            own = own.assign(trial_id=trials["trial_id"][here].to_numpy())
            metrics = [name for name in mine if name == "epoch" or not mine[name].isna().all()]
            mine = mine[metrics].assign(trial=place[mine["trial"].to_numpy()]).reset_index(drop=True)
            yield str(task), own, mine

    def _frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        raise NotImplementedError

    def check(self) -> None:
        """That the rows bear out what the columns were taken for, once all are taken.

        Raises:
            WrongGuess, BadInput: as ``table_sense`` has it.
        """

    def _room(self, rows: int, columns: int) -> None:
        """That there is room for so many rows of numbers more, before they are kept.

        Raises:
            TooLarge: there is none.
        """
        self._cells += rows * columns
        if self._cells > MOST_CELLS:
            raise TooLarge(self.where, columns)

    def _number(self, batch: Batch, name: str) -> np.ndarray[Any, Any]:
        column = batch[name]
        if name in self.percents and pa.types.is_string(column.type):
            column, lost = without_percent(column)
            self.skipped.add(self.where, f"a value of {name[:100]!r} that is no percentage", lost)
        return numbers(column, name, self.where, self.skipped)

    def _first(self, batch: Batch, rows: np.ndarray[Any, Any]) -> None:
        """Keeps of trials' first rows what says what they are."""
        at = pa.array(rows)
        for name in [*self.roles.knobs, *filter(None, [self.roles.seed])]:
            self._firsts[name].append(batch[name].take(at))

    def _last(self, batch: Batch, places: np.ndarray[Any, Any]) -> None:
        """Keeps of trials' last rows how they ended."""
        for name, kept in ((self.roles.status, self._status), (self.roles.error, self._error)):
            if name is None:
                continue
            rows = np.flatnonzero(batch[name].is_valid().to_numpy(zero_copy_only=False) & (places >= 0))
            last, index = np.unique(places[rows][::-1], return_index=True)
            texts = batch[name].take(pa.array(rows[::-1][index])).to_pylist()
            kept.update(zip(last.tolist(), texts, strict=True))

    def _trials(self) -> dict[str, Any]:
        """The columns of the trials' frame but for metrics."""
        import pandas as pd

        count, roles = len(self._places), self.roles
        keys = [*self._places]
        columns: dict[str, Any] = {}
        if roles.task is not None:
            tasks, keys = map(list, zip(*map(first_of, keys), strict=True)) if keys else ([], [])
            columns["task"] = pd.Series(tasks, dtype=object)
        columns["trial_id"] = keys if roles.trial else [str(place) for place in range(count)]
        if roles.status is not None:
            texts = [self._status.get(place) for place in range(count)]
            columns["status"] = pd.Series(
                statuses(texts, roles.words, self.where, self.skipped), dtype=object
            )
        if roles.error is not None:
            columns["error"] = pd.Series([self._error.get(place) for place in range(count)], dtype=object)
        if roles.seed is not None and count:
            columns["seed"] = whole_column(self._firsts[roles.seed], "seed", self.where, self.skipped)
        return columns

    def _knob(self, name: str) -> Any:
        knob = self.roles.knobs[name]
        mixed = name in self.mixed
        return knob_column(self._firsts[name], self.kinds[name], mixed, knob, self.where, self.skipped)


class LongRows(Rows):
    """One row a report."""

    _unnamed = 0

    def take(self, batch: Batch) -> None:
        roles, count = self.roles, len(next(iter(batch.values())))
        self._room(count, 2 + len(self._valued()))
        places = self._placed(batch, count)
        self._last(batch, places)
        # What is no number at all is no whole number either, and counted as that.
        epoch = numbers(batch[roles.epoch], roles.epoch, self.where, Skipped())  # type: ignore
        good = whole(epoch)
        self.skipped.add(self.where, "a row whose epoch is no whole number", int((~good).sum()))
        unnamed = int((places < 0).sum())
        self._unnamed += unnamed
        self.skipped.add(self.where, "a row that names no trial", unnamed)
        good &= places >= 0
        kept = slice(None) if good.all() else good
        self._numbers[_TRIAL].append(places[kept])
        self._numbers[_EPOCH].append(epoch[kept].astype("int64"))
        for name in self._valued():
            self._numbers[name].append(self._number(batch, name)[kept])

    def check(self) -> None:
        self._made = self._frames()
        check_long(self.roles, self._made[1], len(self._places), self._unnamed, self.where)

    def _valued(self) -> list[str]:
        """The columns that have a number in every report."""
        likely = [name for name in self.roles.likely_knobs if self.kinds[name] in ("whole", "number")]
        return [*filter(None, [self.roles.seconds]), *self.roles.metrics, *sorted(likely)]

    def _placed(self, batch: Batch, count: int) -> np.ndarray[Any, Any]:
        """The position of every row's trial, -1 where it names none; new ones are begun."""
        roles = self.roles
        knobs = [name for name in roles.knobs if name not in roles.likely_knobs]
        told = [roles.trial] if roles.trial else [*filter(None, [roles.seed]), *knobs]
        parts = [batch[name] for name in [*filter(None, [roles.task]), *filter(None, told)]]
        if not roles.trial:  # rows of one configuration are one trial, and a lone curve is one as well
            parts = [*(pc.fill_null(part.cast(pa.string()), "") for part in parts), constant(count)]
        encoded = joined(parts).dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        seen, first = np.unique(codes, return_index=True)
        new = []
        lookup = np.full(len(encoded.dictionary) + 1, -1, dtype="int64")
        keys = encoded.dictionary.to_pylist()
        for row in np.sort(first[seen >= 0]):
            key = keys[codes[row]]
            if key not in self._places:
                self._places[key] = len(self._places)
                new.append(row)
            lookup[codes[row]] = self._places[key]
        self._first(batch, np.array(new, dtype="int64"))
        placed: np.ndarray[Any, Any] = lookup[codes]
        return placed

    def _frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        import pandas as pd

        trials = self._trials()
        place = np.concatenate(self._numbers.pop(_TRIAL, [np.empty(0, "int64")]))
        epoch = np.concatenate(self._numbers.pop(_EPOCH, [np.empty(0, "int64")]))
        reports: dict[str, Any] = {"trial": place, "epoch": epoch}
        for name in self._valued():
            values = np.concatenate(self._numbers.pop(name, [np.empty(0)]))
            if name in self.roles.likely_knobs and self._places:
                told = [self._number({name: chunk}, name) for chunk in self._firsts[name]]
                own = first_values(np.concatenate(told), place, values)
                if ((values == own[place]) | np.isnan(values)).all():  # an empty cell is no other value
                    self._firsts[name] = [pa.array(own)]
                    continue
                self._firsts.pop(name)
            reports["seconds" if name == self.roles.seconds else name] = values
        for name, knob in self.roles.knobs.items():
            if self._firsts.get(name):
                trials[f"{CONFIG}{knob}"] = self._knob(name)
        return pd.DataFrame(trials), pd.DataFrame(reports, copy=False)


class WideRows(Rows):
    """One row a trial."""

    _rows = 0

    def take(self, batch: Batch) -> None:
        roles, count = self.roles, len(next(iter(batch.values())))
        self._room(count, len(roles.wanted))
        names = batch[roles.trial] if roles.trial else numbered(self._rows, count)
        self._rows += count
        keys = joined([*([batch[roles.task]] if roles.task else []), names]).to_pylist()
        places = np.full(count, -1, dtype="int64")
        for row, key in enumerate(keys):
            if key is None and self.roles.trial in self.roles.guessed:
                raise WrongGuess(self.roles.trial or "")
            if key is None:
                self.skipped.add(self.where, "a row that names no trial")
            elif key in self._places and self.roles.trial in self.roles.guessed:
                raise WrongGuess(self.roles.trial or "")
            elif key in self._places:
                self.skipped.add(self.where, "a row of a trial that has one already")
            else:
                places[row] = self._places[key] = len(self._places)
        rows = np.flatnonzero(places >= 0)
        self._first(batch, rows)
        self._last(batch, places)
        at = pa.array(rows)
        curves = [name for columns in roles.curves.values() for name, _ in columns]
        for name in filter(None, [roles.seconds, *roles.metrics, *curves]):
            self._numbers[name].append(self._number(batch, name)[rows])
            if name in curves:
                valid = batch[name].take(at).is_valid().to_numpy(zero_copy_only=False)
                self._numbers[(_VALID, name)].append(valid)

    def _frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        import pandas as pd

        trials = self._trials()
        reports = self._curves()
        for name in filter(None, [self.roles.seconds, *self.roles.metrics]):
            here = self.roles.final_names.get(name, name)
            trials[here] = np.concatenate(self._numbers.pop(name, [np.empty(0)]))
        for name, knob in self.roles.knobs.items():
            if self._firsts.get(name):
                trials[f"{CONFIG}{knob}"] = self._knob(name)
        return pd.DataFrame(trials), reports

    def _curves(self) -> pd.DataFrame:
        """The cells of the curves as reports; an empty cell is none."""
        import pandas as pd

        epochs = sorted({epoch for columns in self.roles.curves.values() for _, epoch in columns})
        place = {epoch: at for at, epoch in enumerate(epochs)}
        shape = len(self._places), len(epochs)
        if shape[0] * shape[1] * len(self.roles.curves) > MOST_CELLS:  # each metric may have other epochs
            raise TooLarge(self.where, len(epochs) * len(self.roles.curves))
        told, values = np.zeros(shape, dtype=bool), dict[str, np.ndarray[Any, Any]]()
        for metric, columns in self.roles.curves.items():
            values[metric] = np.full(shape, np.nan)
            for name, epoch in columns:
                values[metric][:, place[epoch]] = np.concatenate(self._numbers.pop(name))
                told[:, place[epoch]] |= np.concatenate(self._numbers.pop((_VALID, name)))
        trial, at = np.nonzero(told)
        reports: dict[str, Any] = {"trial": trial, "epoch": np.array(epochs, dtype="int64")[at]}
        reports |= {metric: found[told] for metric, found in values.items()}
        frame: pd.DataFrame = pd.DataFrame(reports, copy=False)
        return frame
