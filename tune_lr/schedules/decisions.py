"""What a schedule decided, when and why: a compact log, the table made of it, and the LR trace to replay."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, get_args

from tune_lr.errors import BadInput
from tune_lr.schedules.base import read_choice, read_number, read_whole

Move = Literal["raise", "cut", "reset", "warmup", "cooldown", "set"]
MOVES: tuple[str, ...] = get_args(Move)


class Decision(NamedTuple):
    """One row of a history: what was decided for the steps ``first`` to ``last``, both included.

    Attributes:
        first: the step it began with, counted from 1.
        last: the step it ended with; ``first``, except for what lasts (hold, and rest after a change).
        decision: ``raise``, ``cut``, ``reset`` (everything back to the start), ``warmup`` (after a raise),
            ``cooldown`` (after a cut), ``hold`` (neither enough good steps nor bad ones), or ``set`` (the LR
            was found changed by somebody else).
        loss: the (smoothed) metric that caused it; None for ``hold`` and ``set``.
        lr: the LR of the first parameter group afterwards.
        lrs: that of every group; NaN for a group that did not exist yet.
    """

    first: int
    last: int
    decision: str
    loss: float | None
    lr: float
    lrs: tuple[float, ...]


class Decisions:
    """The log behind a history. Only changes are noted, at some 40 bytes each; the rest is derived.

    Args:
        step: the last step before the log begins.
        lrs: the LR of every parameter group then.
    """

    def __init__(self, step: int, lrs: Sequence[float]) -> None:
        self.start = step
        self.start_lrs = [float(lr) for lr in lrs]
        self._steps, self._moves, self._losses = array("q"), array("b"), array("d")
        self._lrs = [array("d") for _ in lrs]
        self._fresh: list[tuple[int, Move, float, list[float]]] = []  # not packed into the columns yet

    def note(self, step: int, move: Move, loss: float, lrs: list[float]) -> None:
        """Write down one move and the LRs after it; the list is kept, and must not be changed any more."""
        self._fresh.append((step, move, loss, lrs))
        if len(self._fresh) > 500:
            self._pack()

    def repeats(self, move: Move, lrs: list[float]) -> bool:
        """Whether the last note is of the same move, and the LRs have been these since."""
        if self._fresh:
            return self._fresh[-1][1] == move and self._fresh[-1][3] == lrs
        return bool(self._steps) and MOVES[self._moves[-1]] == move and self._lasts() == lrs

    def _lasts(self) -> list[float]:
        return [column[-1] for column in self._lrs]

    def _pack(self) -> None:
        for step, move, loss, lrs in self._fresh:
            while len(self._lrs) < len(lrs):
                self._lrs.append(array("d", [math.nan] * len(self._steps)))
                self.start_lrs.append(math.nan)
            self._steps.append(step)
            self._moves.append(MOVES.index(move))
            self._losses.append(loss)
            for column, lr in zip(self._lrs, lrs, strict=True):
                column.append(lr)
        self._fresh.clear()

    def changes(self) -> Iterator[tuple[int, str, float, tuple[float, ...]]]:
        """Step, move, loss and LRs of every note, in order."""
        self._pack()
        for i, step in enumerate(self._steps):
            yield step, MOVES[self._moves[i]], self._losses[i], tuple(column[i] for column in self._lrs)

    def table(self, last: int, warmup: int, cooldown: int) -> list[Decision]:
        """The rows for the steps up to ``last``, if a change is followed by so many steps of rest."""
        self._pack()
        rows: list[Decision] = []
        at, lrs = self.start, tuple(self.start_lrs)
        rest, why, loss = 0, "hold", math.nan
        for step, move, value, after in self.changes():
            rows += _between(at, step - 1, min(at + rest, step - 1), why, loss, lrs)
            if move == "set":  # found at the decision of the same step, which follows
                rows.append(Decision(step, step, move, None, after[0], after))
                at, lrs, rest = step - 1, after, 0
                continue
            rows.append(Decision(step, step, move, value, after[0], after))
            at, lrs, loss = step, after, value
            rest = {"raise": warmup, "cut": cooldown, "reset": cooldown}.get(move, 0)
            why = "warmup" if move == "raise" else "cooldown"
        return rows + _between(at, last, min(at + rest, last), why, loss, lrs)

    def state_dict(self) -> dict[str, Any]:
        """The log as plain lists, for a checkpoint."""
        self._pack()
        return {
            "start": self.start,
            "start_lrs": list(self.start_lrs),
            "steps": self._steps.tolist(),
            "moves": [MOVES[move] for move in self._moves],
            "losses": self._losses.tolist(),
            "lrs": [column.tolist() for column in self._lrs],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Decisions:
        """The log that ``state_dict`` gave.

        Raises:
            BadInput: it is none, or its columns differ in length.
        """
        if not isinstance(state, Mapping):
            raise BadInput("history", state, "the history that a state_dict holds")
        try:
            log = cls(read_whole("history start", state["start"], 0), state["start_lrs"])
            log._steps = array("q", state["steps"])
            log._moves = array("b", (MOVES.index(read_choice("move", m, MOVES)) for m in state["moves"]))
            log._losses = array("d", [read_number("loss", loss) for loss in state["losses"]])
            log._lrs = [array("d", column) for column in state["lrs"]]
        except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput("history", type(state).__name__, "the history that a state_dict holds") from error
        lengths = {len(log._steps), len(log._moves), len(log._losses), *map(len, log._lrs)}
        if len(lengths) > 1 or len(log._lrs) != len(log.start_lrs):
            raise BadInput("history", sorted(lengths), "columns of one length")
        return log


def _between(
    at: int, last: int, rest_until: int, why: str, loss: float, lrs: tuple[float, ...]
) -> list[Decision]:
    """The rows from step ``at + 1`` to ``last``: first the rest after a change, then holding still."""
    rows = []
    if rest_until > at:
        rows.append(Decision(at + 1, rest_until, why, loss, lrs[0], lrs))
        at = rest_until
    if last > at:
        rows.append(Decision(at + 1, last, "hold", None, lrs[0], lrs))
    return rows
