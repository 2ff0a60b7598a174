"""Imports as tables for pandas, and a table from pandas as logs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from tune_lr.errors import Missing
from tune_lr.history.entry import Entry
from tune_lr.history.log import Log
from tune_lr.history.matching import CONFIG

if TYPE_CHECKING:
    import pandas as pd

_REPORT = ("task", "experiment", "trial_id", "epoch", "seconds")
_TRIAL = ("task", "experiment", "trial_id", "status", "epochs", "metric", "best", "seed", "outside")


def reports_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row a report: ``task experiment trial_id epoch seconds``, the metrics, ``config/<knob>``."""
    import pandas as pd

    frames = []
    for entry in entries:
        codes = entry.reports["trial"].to_numpy()
        configs = [name for name in entry.trials.columns if str(name).startswith(CONFIG)]
        left = entry.reports.drop(columns="trial").reset_index(drop=True)
        left.insert(0, "trial_id", entry.trials["trial_id"].take(codes).to_numpy(dtype=object))
        left["trial_id"] = left["trial_id"].astype("string")
        left.insert(0, "experiment", entry.info.id)
        left.insert(0, "task", entry.info.task)
        right = entry.trials[configs].take(codes).reset_index(drop=True)
        frames.append(pd.concat([left, right], axis=1))
    return _together(frames, _REPORT)


def trials_frame(entries: Sequence[Entry]) -> pd.DataFrame:
    """One row a trial: ``task experiment trial_id status ..``, final values, ``config/<knob>``, ``error``."""
    frames = []
    for entry in entries:
        frame = entry.trials.copy()
        frame.insert(0, "experiment", entry.info.id)
        frame.insert(0, "task", entry.info.task)
        frame.insert(frame.columns.get_loc("best"), "metric", entry.info.metric)
        frames.append(frame)
    return _together(frames, _TRIAL, last=("error",))


def log_of_frame(frame: pd.DataFrame, metric: str, mode: Literal["min", "max"]) -> Iterator[Log]:
    """A table with one row a report as one log an experiment of a task (BadInput: a column is missing)."""
    import pandas as pd

    for name in ("trial_id", "epoch", metric):
        if name not in frame:
            raise Missing(f"column {name!r}", "a column of that name, as docs/history.md has it")
    by = [frame[name].astype(str) for name in ("task", "experiment") if name in frame]
    of_trials = [n for n in frame.columns if str(n).startswith(CONFIG) or n in ("status", "seed", "error")]
    for _, part in frame.groupby(by, sort=False) if by else [("task", frame)]:
        ids = part["trial_id"].astype(str)
        codes, unique = pd.factorize(ids)
        first = part.loc[~ids.duplicated(), of_trials].reset_index(drop=True)
        first.insert(0, "trial_id", unique)
        left = [n for n in part.columns if n not in (*of_trials, "task", "experiment", "trial_id")]
        reports = part[left].reset_index(drop=True)
        reports.insert(0, "trial", codes)
        yield Log(
            "pandas",
            str(part["task"].iloc[0]) if "task" in part else "task",
            first,
            reports,
            metric=metric,
            mode=mode,
            counts_from=1,
            fidelity="epochs",
        )


def _together(frames: list[pd.DataFrame], front: Sequence[str], last: Sequence[str] = ()) -> pd.DataFrame:
    """Frames below one another; a knob that is text in one and a number in another becomes text in all."""
    import pandas as pd

    if not frames:
        nothing: pd.DataFrame = pd.DataFrame({name: [] for name in (*front, *last)})
        return nothing
    kinds: dict[str, set[str]] = {}
    for frame in frames:
        for name, kind in frame.dtypes.items():
            kinds.setdefault(str(name), set()).add("text" if kind == "string" else "other")
    mixed = [name for name, found in kinds.items() if len(found) > 1]
    frames = [f.astype({name: "string" for name in mixed if name in f}) for f in frames]
    table: pd.DataFrame = pd.concat(frames, ignore_index=True)
    metrics = [n for n in table.columns if n not in front and n not in last and not str(n).startswith(CONFIG)]
    configs = [n for n in table.columns if str(n).startswith(CONFIG)]
    ordered: pd.DataFrame = table[[*front, *metrics, *configs, *last]]
    return ordered
