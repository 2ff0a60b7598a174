"""What a GreedyLR is made of and remembers: settings, counters, LRs, its decisions; to and from states."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from tune_lr.errors import BadInput
from tune_lr.schedules.base import (
    carried_lrs,
    check_no_group_gone,
    exact_lrs,
    read_lrs,
    read_number,
    read_whole,
    write_lr,
)
from tune_lr.schedules.decisions import Decision, Decisions, Move
from tune_lr.schedules.greedy_rule import bar_below
from tune_lr.schedules.greedy_settings import check_settings, spread_bounds
from tune_lr.schedules.lr_bounds import within
from tune_lr.schedules.replay import LRTrace
from tune_lr.schedules.smoothing import RunningMean

SETTINGS = (
    "mode", "factor", "patience", "threshold", "threshold_mode", "cooldown", "warmup", "eps", "verbose",
    "smooth", "window_size", "min_lrs", "max_lrs", "reset_start_original", "after_change",
)  # fmt: skip
COUNTERS = (
    "last_epoch", "num_bad_epochs", "num_good_epochs", "cooldown_counter", "warmup_counter", "reset_start",
)  # fmt: skip
_LRS = ("_last_lr", "_init_lrs")


class GreedyMemory(ReduceLROnPlateau):
    """The settings and the memory of a ``GreedyLR``, which adds what a step does with them.

    It is a ``ReduceLROnPlateau`` to whatever asks, since frameworks hand a metric to that class alone; of
    that class it uses nothing.
    """

    # What a step reads and writes, in slots, which are twice as fast as the dict of the other attributes.
    __slots__ = (
        "_bar", "_best", "_decisions", "_lrs", "_streaming_avg", "_turned", "cooldown_counter", "eps",
        "factor", "last_epoch", "max_lrs", "min_lrs", "num_bad_epochs", "num_good_epochs", "optimizer",
        "patience", "reset_start", "threshold", "threshold_mode", "warmup_counter",
    )  # fmt: skip

    optimizer: Optimizer
    factor: float
    verbose: bool
    warmup: int
    smooth: bool
    window_size: int
    max_lrs: list[float]
    reset_start_original: int
    after_change: str
    num_good_epochs: int
    warmup_counter: int
    reset_start: int
    _init_lrs: list[float]
    _lrs: list[float]  # of every parameter group, as last written or found
    _best: float  # with its sign turned for mode max, so that lower is better
    _bar: float  # what a value must be below to be better
    _turned: bool
    _streaming_avg: RunningMean | None
    _decisions: Decisions

    @property
    def best(self) -> float:
        """The best (smoothed) metric so far, infinite before the first."""
        return -self._best if self._turned else self._best

    @best.setter
    def best(self, metric: float) -> None:
        self._best = -metric if self._turned else metric
        if not math.isfinite(self._best):  # the original may have taken an infinite metric for the best
            self._best = self._bar = math.inf
        elif self.threshold_mode == "abs":
            self._bar = self._best - self.threshold
        else:
            self._bar = bar_below(self._best, self.threshold)

    @property
    def history(self) -> list[Decision]:
        """What was decided in which steps, and why; a table that ``pandas.DataFrame`` takes as it is.

        A move that changes no LR, since all are at their bound, is told once and not each time anew. An LR
        that somebody else has set is found, and told, at the next move.
        """
        goes_on = self.after_change == "continue"
        rest = (0, 0) if goes_on else (self.warmup, self.cooldown)
        return self._decisions.table(self.last_epoch, *rest)

    def to_fixed(self) -> LRTrace:
        """The LRs that this run took, as a fixed schedule: ``schedule.to_fixed().on(optimizer)``.

        An LR that somebody else has set counts from the next move on, as in ``history``.

        Raises:
            BadInput: the first steps are not known, since the schedule went on from a state without history.
        """
        log = self._decisions
        if log.start != 0:
            raise BadInput("history", f"begins after step {log.start}", "the history of a whole run")
        return LRTrace.of(log.start_lrs, ((step, lrs) for step, _, _, lrs in log.changes()), self.last_epoch)

    @property
    def _last_lr(self) -> list[float]:  # type: ignore[override]
        return exact_lrs(self.optimizer.param_groups, self._lrs)

    def get_last_lr(self) -> list[float]:  # type: ignore[override]
        """The LR of every parameter group, as a new list of floats."""
        return self._last_lr

    def state_dict(self) -> dict[str, Any]:
        """Settings and memory, as copies, under the names of ``transformers.optimization.GreedyLR``."""
        names = (*SETTINGS, *COUNTERS, "best", "_init_lrs", "_last_lr")
        state = {name: copy.copy(getattr(self, name)) for name in names}
        if self._streaming_avg is not None:
            state["_streaming_avg"] = self._streaming_avg.state_dict()
        state["history"] = self._decisions.state_dict()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from a state of this class or of ``transformers.optimization.GreedyLR``, LRs included.

        What the state lacks stays as it is; what it holds more is ignored. A history begins where a state has
        none.

        Raises:
            BadInput: the state cannot be used (another number of parameter groups, say); nothing changed.
        """
        if not isinstance(state_dict, Mapping):
            raise BadInput("state_dict", state_dict, "the state of a GreedyLR")
        state = {**self.state_dict(), **state_dict}
        groups = self.optimizer.param_groups
        settings = check_settings(state, len(groups))
        if state_dict and not state_dict.keys() & {*SETTINGS, *COUNTERS, *_LRS}:
            raise BadInput("state_dict", sorted(map(str, state_dict)), "the state of a GreedyLR")
        last, first = (read_lrs(name, state[name], len(groups)) for name in _LRS)
        counters = {name: read_whole(name, state[name], 0, 2**53) for name in COUNTERS}
        best = read_number("best", state["best"])
        window = RunningMean(settings["window_size"]) if settings["smooth"] else None
        if window is not None and "_streaming_avg" in state:
            window.load_state_dict(state["_streaming_avg"], window.window_size)
        if "history" in state_dict or not state_dict:
            log = Decisions.from_state(state["history"])
        else:
            log = Decisions(counters["last_epoch"], last)
        for name, value in (*settings.items(), *counters.items()):
            setattr(self, name, value)
        self._init_lrs, self._lrs, self._decisions, self._streaming_avg = first, last, log, window
        self._turned = self.mode == "max"
        self.best = best
        for group, lr in zip(groups, last, strict=True):
            write_lr(group, lr)

    def adopt(self, state: Mapping[str, Any] | None, done: float, /) -> None:
        """Go on from another run's memory under one's own settings, before the first step.

        Taken over are the step, the best metric, the counts, as far as one's own settings let them go, and
        the newest metrics of the window. The LRs are the other's in proportion to those that the two began
        with, within one's own bounds. The history begins here: what was decided before was the other's.

        Args:
            state: that of a schedule of this class; None leaves everything as it is.
            done: not looked at; nothing here depends on the length of the run.

        Raises:
            BadInput: the state cannot be used (another number of parameter groups, say); nothing changed.
        """
        if state is None:
            return
        state, groups = {**self.state_dict(), **state}, len(self.optimizer.param_groups)
        theirs = check_settings(state, groups)
        last, first = (read_lrs(name, state[name], groups) for name in _LRS)
        lrs = within(carried_lrs(self._init_lrs, last, first), self.min_lrs, self.max_lrs)
        own = {name: getattr(self, name) for name in (*SETTINGS, "_init_lrs")}
        memory = {name: state[name] for name in COUNTERS}
        cuts = theirs["reset_start_original"] - state["reset_start"]
        memory["reset_start"] = max(self.reset_start_original - cuts, min(self.reset_start_original, 1))
        memory["cooldown_counter"] = min(state["cooldown_counter"], self.cooldown)
        memory["warmup_counter"] = min(state["warmup_counter"], self.warmup)
        memory["best"] = state["best"] if theirs["mode"] == self.mode else math.inf
        if self.smooth and "_streaming_avg" in state:
            memory["_streaming_avg"] = state["_streaming_avg"]  # cut to its own window_size when loaded
        history = Decisions(state["last_epoch"], lrs).state_dict()
        self.load_state_dict({**own, **memory, "_last_lr": lrs, "history": history})

    def __repr__(self) -> str:
        lrs = ", ".join(f"{lr:.4g}" for lr in self._last_lr)
        return (
            f"{type(self).__name__}(lr={lrs}, best={self.best:.6g}, steps={self.last_epoch}, "
            f"mode={self.mode}, factor={self.factor:g}, patience={self.patience}, "
            f"after_change={self.after_change})"
        )

    def _apply(self, given: Mapping[str, Any]) -> None:
        """Check every setting, then set them all."""
        for name, value in check_settings(given, len(self.optimizer.param_groups)).items():
            setattr(self, name, value)
        self._turned = self.mode == "max"

    def _forget(self) -> None:
        """Set all memory but the LRs and the step to that of a run that has seen nothing."""
        self.num_bad_epochs = self.num_good_epochs = 0
        self.cooldown_counter = self.warmup_counter = 0
        self.reset_start = self.reset_start_original
        self._best = self._bar = math.inf
        self._streaming_avg = RunningMean(self.window_size) if self.smooth else None

    def _take_stock(self) -> list[float]:
        """The LRs as they are, whoever set them; bounds for parameter groups that were added since."""
        lrs = [group["lr"] for group in self.optimizer.param_groups]
        return self._lrs if lrs == self._lrs else self._look_again()

    def _look_again(self) -> list[float]:
        groups = self.optimizer.param_groups
        check_no_group_gone(self.optimizer, len(self.min_lrs))
        lrs = exact_lrs(groups, self._lrs)
        for i, lr in enumerate(lrs):
            if not 0.0 <= lr < math.inf:
                raise BadInput(f"the LR of parameter group {i}", lr, "a finite number of 0 or more")
        if len(groups) > len(self.min_lrs):
            spread_bounds(self.min_lrs, self.max_lrs, len(groups))
            self._init_lrs += lrs[len(self._init_lrs) :]
        if lrs != self._lrs:
            self._decisions.note(self.last_epoch, "set", math.nan, lrs)
            self._lrs = lrs
        return lrs

    def _write(self, move: Move, value: float, after: list[float]) -> None:
        """Set the LRs, and note what was done and why."""
        if after != self._lrs:
            for i, group in enumerate(self.optimizer.param_groups):
                if group["lr"].__class__ is float:
                    group["lr"] = after[i]
                else:
                    write_lr(group, after[i])
            if self.verbose:
                self._tell(move, after)
            self._lrs = after
        elif self._decisions.repeats(move, after):  # once more against the same bound
            return
        self._decisions.note(self.last_epoch, move, -value if self._turned else value, after)

    def _tell(self, move: Move, after: list[float]) -> None:
        for i, (old, new) in enumerate(zip(self._lrs, after, strict=True)):
            if new != old:
                print(f"GreedyLR step {self.last_epoch}: {move}, LR of group {i} {old:.4e} -> {new:.4e}")
