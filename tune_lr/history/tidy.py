"""A log's tables put in order: names, types, epochs from 1, one report an epoch, a status for every trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.log import Asked, Fidelity, Log, Skipped
from tune_lr.history.matching import CONFIG, named_as_here
from tune_lr.history.outcome import outcome
from tune_lr.journal import Status
from tune_lr.objective import Objective

if TYPE_CHECKING:
    import pandas as pd

#: Columns that mean something in the schema; a metric of such a name gets "_" at its end.
_OWN = {
    "task",
    "trial_id",
    "trial",
    "epoch",
    "seconds",
    "status",
    "epochs",
    "best",
    "seed",
    "outside",
    "error",
}
_OF_TRIALS = {"trial_id", "status", "seed", "error"}
_OF_REPORTS = {"trial", "epoch", "seconds"}
_SEEDS = ("seed", "random_seed")
_STATUSES = frozenset(get_args(Status))
_LARGEST_EPOCH = 2**53


@dataclass
class Tidy:
    """Tables in the schema, but for what depends on the objective."""

    trials: pd.DataFrame
    reports: pd.DataFrame
    fidelity: Fidelity
    #: Every value that is reported or final, in the order in which they came.
    metrics: list[str]
    renamed: Mapping[str, str]
    notes: list[str] = field(default_factory=list)

    def named(self, metric: str | None) -> str | None:
        """What a metric of the source is called here."""
        return None if metric is None else self.renamed.get(metric, metric)

    def judged(self, objective: Objective) -> tuple[pd.DataFrame, float | None]:
        """The trials with ``epochs``, ``best`` and their status, and the best of all."""
        trials = self.trials.copy()
        last, values, diverged = outcome(self.reports, objective, len(trials))
        trials["epochs"] = last
        if objective.metric in trials:
            final = trials[objective.metric].to_numpy(np.float64, na_value=np.nan)
            values = np.where(np.isnan(values), np.where(np.isfinite(final), final, np.nan), values)
            diverged |= np.isinf(final)
        status = trials["status"].to_numpy(dtype=object)
        said = np.array([one in _STATUSES for one in status], dtype=bool)
        full = (last == last.max(initial=0)) | (last == 0)
        status = np.where(said, status, np.where(full, "completed", "stopped"))
        ended = np.isin(status.astype(str), ["completed", "stopped"])
        trials["status"] = np.where(ended & diverged, "diverged", status)
        trials["best"] = values
        good = values[(trials["status"] != "diverged").to_numpy() & ~np.isnan(values)]
        best = None if not len(good) else float(good.min() if objective.mode == "min" else good.max())
        front = ["trial_id", "status", "epochs", "best", "seed"]
        rest = [name for name in trials.columns if name not in (*front, "error")]
        return trials[[*front, *rest, "error"]], best


def tidy(log: Log, asked: Asked, skipped: Skipped) -> Tidy:
    """Put a log's tables in order.

    Raises:
        BadInput: there is no trial.
    """
    import pandas as pd

    if not len(log.trials):
        raise BadInput("log", log.name, "at least one trial")
    notes: list[str] = []
    names = _new_names(log, asked)
    trials = _renamed(log.trials, names, skipped).reset_index(drop=True)
    reports = _renamed(log.reports, names, skipped)
    configs = {
        name: _config_values(trials[name], str(name), skipped)
        for name in trials.columns
        if str(name).startswith(CONFIG)
    }
    final = {
        name: values
        for name in trials.columns
        if name not in _OF_TRIALS and name not in configs
        if (values := _metric_values(trials[name], str(name), skipped)) is not None
    }
    known = pd.DataFrame({name: column for name, column in configs.items() if column is not None})
    known = named_as_here(known.reindex(trials.index))
    seeds, known = _seeds(trials, known)
    columns = {
        "trial_id": trials["trial_id"].astype("string"),
        "status": trials["status"] if "status" in trials else pd.Series(None, trials.index, dtype=object),
        "seed": seeds,
        **final,
        **{name: known[name] for name in known.columns},
        "error": (trials["error"] if "error" in trials else pd.Series(None, trials.index)).astype("string"),
    }
    table = pd.DataFrame(columns)
    table["trial_id"] = _unique(table["trial_id"])
    ordered, fidelity = _ordered(reports, log, len(table), skipped, notes)
    metrics = [str(n) for n in ordered.columns if n not in _OF_REPORTS]
    metrics += [str(name) for name in final if name not in metrics]
    return Tidy(table, ordered, fidelity, metrics, names, notes)


def _new_names(log: Log, asked: Asked) -> dict[str, str]:
    """The column of the log -> the column here, for those that change."""
    found = {}
    for frame, own in ((log.trials, _OF_TRIALS), (log.reports, _OF_REPORTS)):
        for column in map(str, frame.columns):
            bare = column.removeprefix(CONFIG)
            if (new := asked.rename.get(column, asked.rename.get(bare))) is not None:
                inside = column != bare and not new.startswith(CONFIG)
                found[column] = CONFIG + new if inside else new
            elif column not in own and column in _OWN:
                found[column] = f"{column}_"
    return found


def _renamed(frame: pd.DataFrame, names: Mapping[str, str], skipped: Skipped) -> pd.DataFrame:
    """A frame under the new names; of several columns of one name the first."""
    frame = frame.rename(columns=dict(names))
    twice = frame.columns.duplicated()
    if twice.any():
        skipped.add("columns", "a name that another column has", int(twice.sum()))
        frame = frame.loc[:, ~twice]
    return frame


def _config_values(column: pd.Series[Any], name: str, skipped: Skipped) -> pd.Series[Any] | None:
    """A knob's column as one type: whole numbers, numbers, booleans or text; None where nothing is left."""
    import pandas as pd

    if column.dtype != object:
        if not pd.api.types.is_float_dtype(column.dtype):
            return column
        infinite = np.isinf(column.to_numpy(np.float64, na_value=np.nan))
        skipped.add(name, "a value that is not finite", int(infinite.sum()))
        masked: pd.Series[Any] = column.mask(infinite)
        return masked
    kept = column.map(lambda value: value if _is_plain(value) else None).astype(object)
    skipped.add(name, "a value that is no text, number or boolean", int((column.notna() & kept.isna()).sum()))
    kinds = {type(value.item() if isinstance(value, np.generic) else value) for value in kept.dropna()}
    if not kinds:
        return None
    if kinds <= {int, float}:
        return pd.to_numeric(kept, errors="coerce")
    if kinds == {bool}:
        return kept.astype("boolean")
    return kept.map(lambda value: None if value is None else str(value)).astype("string")


def _is_plain(value: Any) -> bool:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return isinstance(value, (str, bool)) or (isinstance(value, int) and abs(value) < 2**63)


def _metric_values(column: pd.Series[Any], name: str, skipped: Skipped) -> pd.Series[Any] | None:
    """A metric's column as floats; None where none of it is a number."""
    import pandas as pd

    if column.dtype == np.float64:
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    lost = int((numbers.isna() & column.notna()).sum())
    if lost and lost == int(column.notna().sum()) and not (column.astype(str).str.lower() == "nan").any():
        skipped.add(name, "a value that is no number", lost)
        return None
    floats: pd.Series[Any] = pd.Series(numbers.to_numpy(np.float64, na_value=np.nan), index=column.index)
    return floats


def _seeds(trials: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
    """The trials' seeds, wherever they stand; a seed is no knob."""
    import pandas as pd

    column, drop = trials.get("seed"), []
    for name in _SEEDS:
        if CONFIG + name in known:
            column = known[CONFIG + name] if column is None else column
            drop.append(CONFIG + name)
    if column is None:
        return pd.Series(pd.NA, trials.index, dtype="Int64"), known
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < _LARGEST_EPOCH)
    seeds = pd.Series(np.where(whole, numbers, np.nan), trials.index).astype("Int64")
    return seeds, known.drop(columns=drop)


def _unique(names: pd.Series[Any]) -> pd.Series[Any]:
    """Trial names that differ; what has none, or another's, gets its position added."""
    import pandas as pd

    filled = names.fillna("trial")
    twice = filled.duplicated(keep=False).to_numpy()
    if not twice.any():
        return filled.astype("string")
    numbered = [
        f"{name}-{i}" if again else str(name)
        for i, (name, again) in enumerate(zip(filled, twice, strict=True))
    ]
    return pd.Series(numbered, index=names.index, dtype="string")


def _ordered(
    reports: pd.DataFrame, log: Log, trials: int, skipped: Skipped, notes: list[str]
) -> tuple[pd.DataFrame, Fidelity]:
    """Reports by trial and epoch, epochs from 1, each once; and what epochs are."""
    import pandas as pd

    if not len(reports):
        empty = {"trial": np.array([], np.int32), "epoch": np.array([], np.int64), "seconds": np.array([])}
        return pd.DataFrame(empty), log.fidelity or "epochs"
    trial, epoch = _as_numbers(reports["trial"]), _as_numbers(reports["epoch"])
    with np.errstate(invalid="ignore"):
        good = (trial >= 0) & (trial < trials) & (epoch >= 0) & (epoch < _LARGEST_EPOCH) & (epoch % 1 == 0)
    skipped.add("reports", "an epoch that is no whole number from 0 upwards", int((~good).sum()))
    if not good.all():
        reports, trial, epoch = reports[good], trial[good], epoch[good]
    codes, counted = trial.astype(np.int32), epoch.astype(np.int64)
    order = _order(codes, counted)
    if order is not None:
        reports, codes, counted = reports.iloc[order], codes[order], counted[order]
    again = np.zeros(len(codes), dtype=bool)
    again[:-1] = (codes[1:] == codes[:-1]) & (counted[1:] == counted[:-1])
    skipped.add("reports", "an epoch that was reported again later", int(again.sum()))
    if again.any():
        reports, codes, counted = reports[~again], codes[~again], counted[~again]
    fidelity, shift = _counting(codes, counted, log, notes)
    counted = counted + shift
    before = counted < 1
    skipped.add("reports", "a report before the first epoch", int(before.sum()))
    if before.any():
        reports, codes, counted = reports[~before], codes[~before], counted[~before]
    found: dict[str, Any] = {"trial": codes, "epoch": counted, "seconds": np.full(len(codes), np.nan)}
    for name in reports.columns:
        if name not in ("trial", "epoch"):
            values = _metric_values(reports[name], str(name), skipped)
            if values is not None:
                found[str(name)] = values.to_numpy()
    return pd.DataFrame(found), fidelity


def _as_numbers(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    """A column's values as they are where they are numbers, else as floats."""
    import pandas as pd

    if column.dtype in (np.int64, np.int32, np.float64):
        return column.to_numpy()
    return pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _order(trial: np.ndarray[Any, Any], epoch: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """What sorts by trial and epoch and keeps the order of equals; None where it is sorted."""
    later = trial[1:] > trial[:-1]
    if (later | ((trial[1:] == trial[:-1]) & (epoch[1:] >= epoch[:-1]))).all():
        return None
    return np.lexsort((epoch, trial))


def _counting(
    trial: np.ndarray[Any, Any], epoch: np.ndarray[Any, Any], log: Log, notes: list[str]
) -> tuple[Fidelity, int]:
    """What the numbers count, and what to add so that they begin with 1."""
    fidelity = log.fidelity
    if fidelity is None:
        first = np.ones(len(trial), dtype=bool)
        first[1:] = trial[1:] != trial[:-1]
        by_one = np.ones(len(trial), dtype=bool)
        by_one[1:] = epoch[1:] == epoch[:-1] + 1
        in_a_row = bool(np.where(first, epoch <= 1, by_one).all())
        fidelity = "epochs" if in_a_row else "steps"
        if fidelity == "steps":
            notes.append("the numbers of the reports have gaps, so they are taken for steps")
    from_zero = log.counts_from == 0 or (log.counts_from is None and bool((epoch == 0).any()))
    if from_zero:
        notes.append("epochs were counted from 0 and are now counted from 1")
    return fidelity, int(from_zero)
