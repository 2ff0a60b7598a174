"""A log's tables put in order: names, types, epochs from 1, one report an epoch, a status for every trial."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.columns import LARGEST_WHOLE
from tune_lr.history.log import Asked, Fidelity, Log, Skipped
from tune_lr.history.matching import CONFIG, named_as_here
from tune_lr.history.ordering import metric_values, ordered
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
    "kind",
    "experiment",
    "metric",
}
_OF_TRIALS = {"trial_id", "status", "seed", "error"}
_OF_REPORTS = {"trial", "epoch", "seconds"}
_LONGEST_NAME = 1000
_SEEDS = ("seed", "random_seed")
_STATUSES = frozenset(get_args(Status))


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
        if metric is None or metric in self.renamed:
            return self.renamed.get(metric or "")
        return f"{metric}_" if metric in _OWN and f"{metric}_" in self.metrics else metric

    def judged(self, objective: Objective, by_final: bool) -> tuple[pd.DataFrame, float | None]:
        """The trials with ``epochs``, ``best`` and their status, and the best of all.

        ``by_final``: a trial's final value is what counts, where it has one, whatever its reports say.
        """
        trials = self.trials.copy()
        last, values, diverged = outcome(self.reports, objective, len(trials))
        trials["epochs"] = last
        if objective.metric in trials:
            final = trials[objective.metric].to_numpy(np.float64, na_value=np.nan)
            counts = np.isfinite(final) & (by_final | np.isnan(values))
            values = np.where(counts, final, values)
            diverged = np.isinf(final) | (diverged & ~(by_final & counts))
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
    names = _new_names(log.trials, _OF_TRIALS, asked)
    names_in_reports = _new_names(log.reports, _OF_REPORTS, asked)
    trials = _renamed(log.trials, names, skipped).reset_index(drop=True)
    reports = _renamed(log.reports, names_in_reports, skipped)
    configs = {
        name: _config_values(trials[name], str(name), skipped)
        for name in trials.columns
        if str(name).startswith(CONFIG)
    }
    final = {
        name: values
        for name in trials.columns
        if name not in _OF_TRIALS and name not in configs
        if (values := metric_values(trials[name], str(name), skipped)) is not None
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
    in_order, fidelity = ordered(reports, log, len(table), skipped, notes)
    metrics = [str(n) for n in in_order.columns if n not in _OF_REPORTS]
    metrics += [str(name) for name in final if name not in metrics]
    return Tidy(table, in_order, fidelity, metrics, names | names_in_reports, notes)


def _new_names(frame: pd.DataFrame, own: Container[str], asked: Asked) -> dict[str, str]:
    """The column of a table -> the column here, for those that change; ``own`` mean here what they say."""
    found = {}
    for column in map(str, frame.columns):
        bare = column.removeprefix(CONFIG)
        if (new := asked.rename.get(column, asked.rename.get(bare))) is not None:
            inside = column != bare and not new.startswith(CONFIG)
            found[column] = CONFIG + new if inside else new
        elif column not in own and column in _OWN:
            found[column] = f"{column}_"
        elif column != bare and own is _OF_REPORTS:  # a metric of such a name would be taken for a knob
            found[column] = f"{CONFIG[:-1]}_{bare}"
    return found


def _renamed(frame: pd.DataFrame, names: Mapping[str, str], skipped: Skipped) -> pd.DataFrame:
    """A frame under the new names; of several columns of one name the first."""
    frame = frame.rename(columns=dict(names))
    long = np.array([len(str(name)) > _LONGEST_NAME for name in frame.columns], dtype=bool)
    if long.any():
        skipped.add("columns", f"a name of more than {_LONGEST_NAME} letters", int(long.sum()))
        frame = frame.loc[:, ~long]
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


def _seeds(trials: pd.DataFrame, known: pd.DataFrame) -> tuple[pd.Series[Any], pd.DataFrame]:
    """The trials' seeds, wherever they stand; a seed is no knob."""
    import pandas as pd

    column, drop = trials.get("seed"), []
    for name in _SEEDS:
        if CONFIG + name in known and (column is None or known[CONFIG + name].equals(column)):
            column = known[CONFIG + name]
            drop.append(CONFIG + name)
    if column is None:
        return pd.Series(pd.NA, trials.index, dtype="Int64"), known
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    whole = np.isfinite(numbers) & (numbers == np.round(numbers)) & (np.abs(numbers) < LARGEST_WHOLE)
    seeds = pd.Series(np.where(whole, numbers, np.nan), trials.index).astype("Int64")
    return seeds, known.drop(columns=drop)


def _unique(names: pd.Series[Any]) -> pd.Series[Any]:
    """Trial names that differ; what has none, or another's, gets its position added."""
    import pandas as pd

    filled = names.fillna("trial")
    twice = filled.duplicated(keep=False).to_numpy()
    if not twice.any():
        return filled.astype("string")
    taken, numbered = {*filled[~twice]}, list[str]()
    for place, (name, again) in enumerate(zip(filled, twice, strict=True)):
        chosen = str(name)
        while again and (chosen == name or chosen in taken):
            chosen = f"{chosen}-{place}"
        taken.add(chosen)
        numbered.append(chosen)
    return pd.Series(numbered, index=names.index, dtype="string")
