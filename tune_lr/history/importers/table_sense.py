"""Whether the rows of a table bear out what the names of its columns were taken to mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tune_lr.errors import BadInput
from tune_lr.history.importers.table_columns import Roles, told
from tune_lr.history.importers.table_names import plain, within_epochs

if TYPE_CHECKING:
    import pandas as pd


class WrongGuess(Exception):
    """A column does not mean what its name was taken for: read again without that."""

    def __init__(self, column: str) -> None:
        self.column = column
        super().__init__(column)


def check_long(roles: Roles, reports: pd.DataFrame, trials: int, unnamed: int, where: str) -> None:
    """That the rows of a long table are told apart.

    A trial may report an epoch again, as one that was resumed does, and the later report counts. But where
    even its first epoch comes several times, the rows are of several trials, and most would be lost.

    Raises:
        WrongGuess: a column that only its name explains is something else.
        BadInput: no column says which trial a row belongs to.
    """
    trial, epoch, rows = roles.trial, roles.epoch, len(reports)
    one_each = trials == rows > 1
    if trial in roles.guessed and (unnamed >= rows or (one_each and plain(trial or "") == "id")):
        raise WrongGuess(trial or "")
    if epoch in roles.guessed and one_each:
        raise WrongGuess(epoch or "")  # the last epoch of each trial: a wide table
    if trial is not None and trial not in roles.guessed:
        return
    began_anew = _begins_again(roles, reports)
    if trial is not None:
        if began_anew:
            raise WrongGuess(trial)
        return
    unsure = began_anew or (epoch in roles.guessed and not _in_order(reports))
    if roles.free and unsure and _differ(roles, reports):
        raise WrongGuess(epoch or "")
    if began_anew:
        raise _unnamed(roles, int(reports.duplicated(["trial", "epoch"]).sum()), rows, where)


def _begins_again(roles: Roles, reports: pd.DataFrame) -> bool:
    """Whether a trial has several values of a metric at its first epoch."""
    least = reports.groupby("trial")["epoch"].transform("min")
    first = reports[(reports["epoch"] == least).to_numpy()]
    by = ["trial", *within_epochs(name for name in reports.columns if name != "epoch")]
    metrics = [name for name in roles.metrics if name in first and name not in by]
    if not first.duplicated(by).any():
        return False
    # The training's row and the validation's, each without the other's metrics, are one trial's.
    return bool((first.groupby(by, dropna=False)[metrics].count() > 1).any(axis=None))


def _in_order(reports: pd.DataFrame) -> bool:
    """Whether every trial's epochs grow from row to row."""
    trial, epoch = reports["trial"].to_numpy(), reports["epoch"].to_numpy()
    order = np.argsort(trial, kind="stable")
    trial, epoch = trial[order], epoch[order]
    return bool((np.diff(epoch)[trial[1:] == trial[:-1]] > 0).all())


def _differ(roles: Roles, reports: pd.DataFrame) -> bool:
    """Whether every row has another configuration, as in a table of trials."""
    knobs = [name for name in roles.likely_knobs if name in reports]
    return bool(knobs) and not reports.duplicated(knobs).any()


def _unnamed(roles: Roles, again: int, rows: int, where: str) -> BadInput:
    error = BadInput("table", where, "a column that names the trial")
    by_knobs = roles.knobs and not roles.likely_knobs
    same = " and rows of one configuration count as one" if by_knobs else ""
    other = "" if by_knobs else ", or there the knobs that tell trials apart, as knobs: [lr]"
    error.args = (
        f"{where[:60]}: no column says which trial a row belongs to{same}, so {again} of {rows} rows report "
        "an epoch that was reported already. Name the column, as --rename run=trial_id or as trial: run in a "
        f"mapping file{other}. {told([*roles.columns])}",
    )
    return error
