"""GreedyLR that never waits for its device: the loss stays where it is, and the decision is made there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from tune_lr.errors import BadInput
from tune_lr.schedules.base import Needs, check_no_group_gone, read_flag, read_number, read_whole
from tune_lr.schedules.device_rule import Rule, State, advance
from tune_lr.schedules.device_window import Window, new_window
from tune_lr.schedules.greedy import GreedyLR
from tune_lr.schedules.greedy_settings import spread_bounds
from tune_lr.schedules.states import MOST_STEPS
from tune_lr.schedules.tensor_lrs import check_takes_tensors, device_of, tensor_lrs

#: Names of the plain schedule's counters, and what they are called here.
COUNTERS = {
    "last_epoch": "steps", "num_good_epochs": "good", "num_bad_epochs": "bad", "cooldown_counter": "cooling",
    "warmup_counter": "warming", "reset_start": "resets_in",
}  # fmt: skip
#: A window is a tensor, made at once: of at most 8 MB.
WIDEST = 1_000_000


class DeviceGreedyLR:
    """``GreedyLR`` without device syncs: ``step`` takes the loss as a tensor and reads no value on the host.

    The LR trace is that of ``GreedyLR``, whose settings and state dicts these are too. ``step`` can be
    compiled whole (``torch.compile(fullgraph=True)``), alone or as part of a training step, and be captured
    in a CUDA graph: all state is written in place. So are the LRs, as tensors: the optimizer must take such
    (``tensor_lrs.check_takes_tensors``), and LRs that are floats are replaced by tensors here. LRs that
    somebody else writes into these tensors are found at the next step.

    It is for loops of one's own that keep the loss on the device. ``fit`` and ``training_step`` read every
    loss, since they report or return it: with them it gains nothing over ``GreedyLR``.

    What it lacks: a history, ``to_fixed``, printing (``verbose``), and the paths that frameworks have for a
    ``ReduceLROnPlateau``. Only construction, ``get_last_lr``, ``state_dict``, ``load_state_dict`` and
    ``repr`` may wait for the device. Settings are constants of a compiled or captured step: after loading a
    state with other settings, capture again.

    Where the traces can part, by the last bit of a smoothed loss: see ``device_window.true_sum``; and where
    the sum of the window is beyond the largest float64. On a GPU, a compiler may also fuse a product and a
    difference, with one rounding less than the plain schedule, in the comparisons with ``eps``.

    Args:
        optimizer: whose LRs are scheduled.
        *settings: those of ``GreedyLR``, with its defaults.
        device: where the losses are; that of the optimizer's first parameter if not given.
        **named: settings by name.

    Raises:
        BadInput: a setting cannot be used, or the optimizer takes no tensor for an LR.
        TypeError: ``optimizer`` is no optimizer.
    """

    needs: ClassVar[Needs] = "loss"
    knobs: ClassVar[tuple[str, ...]] = tuple(knob for knob in GreedyLR.knobs if knob != "verbose")

    def __init__(
        self,
        optimizer: Optimizer,
        *settings: Any,
        device: torch.device | str | None = None,
        **named: Any,
    ) -> None:
        self._begin(GreedyLR(optimizer, *settings, **named), device)

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], optimizer: Optimizer, total_steps: int | None = None
    ) -> DeviceGreedyLR:
        """The schedule that a config describes, as ``GreedyLR.from_config``.

        Raises:
            BadInput: as the constructor.
        """
        schedule = cls.__new__(cls)
        known = {name: value for name, value in config.items() if name != "verbose"}
        schedule._begin(GreedyLR.from_config(known, optimizer, total_steps), None)
        return schedule

    def _begin(self, plain: GreedyLR, device: torch.device | str | None) -> None:
        """Take over what a plain schedule holds; it stays behind for its settings and the form of states."""
        self.optimizer = plain.optimizer
        self._plain = plain
        _refuse_verbose(plain.verbose)
        _check_wholes(plain.state_dict())
        check_takes_tensors(self.optimizer)
        self.device = device_of(self.optimizer) if device is None else torch.device(device)
        lrs = plain.get_last_lr()
        tensor_lrs(self.optimizer, self.device)
        self._rule = self._rule_of(plain)
        self._state = self._state_of(plain, lrs)

    @torch.no_grad()  # type: ignore[untyped-decorator,unused-ignore]
    def step(self, loss: Any, /) -> None:
        """Observe one metric and set the LRs, all on the device.

        Args:
            loss: one number, best a tensor on the device; a plain number costs a kernel to bring it there.

        Raises:
            BadInput: it is not one number, or parameter groups were removed.
        """
        check_no_group_gone(self.optimizer, self._state.lrs.numel())
        value = self._value(loss)
        lrs = tensor_lrs(self.optimizer, self.device)
        if len(lrs) > self._state.lrs.numel():
            self._grow(lrs)
        state = self._state
        new = advance(state._replace(lrs=_found(lrs, state.lrs)), value, self._rule)
        for old, fresh in zip(_tensors(state), _tensors(new), strict=True):
            _write(old, fresh)
        for lr, fresh in zip(lrs, new.lrs.unbind(), strict=True):
            _write(lr, fresh)

    def get_last_lr(self) -> list[float]:
        """The LR of every parameter group, as a new list of floats. Waits for the device."""
        self._bring_back()
        return self._plain.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The state of ``GreedyLR``, which can go on from it, less the history. Waits for the device."""
        self._bring_back()
        state = self._plain.state_dict()
        state.pop("history", None)
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on from a state of this class, of ``GreedyLR`` or of transformers', the LRs included.

        Raises:
            BadInput: the state cannot be used; nothing changed.
        """
        if not isinstance(state_dict, Mapping):
            raise BadInput("state_dict", state_dict, "the state of a GreedyLR")
        state = {**self.state_dict(), **state_dict}
        _check_wholes(state)
        _refuse_verbose(read_flag("verbose", state["verbose"]))
        tensor_lrs(self.optimizer, self.device)
        given = {name: value for name, value in state_dict.items() if name != "history"}
        self._plain.load_state_dict(given)
        self._take_in()

    def adopt(self, state: Mapping[str, Any] | None, done: float, /) -> None:
        """Go on from another run's memory under one's own settings, as ``GreedyLR.adopt``.

        Raises:
            BadInput: the state cannot be used; nothing changed.
        """
        own = self.state_dict()
        if isinstance(state, Mapping):
            _check_wholes({**own, **state})
        self._plain.adopt(state, done)
        self._take_in()

    def _take_in(self) -> None:
        """Bring what the plain schedule holds to the device."""
        old_state, old_rule = self._state, self._rule
        self._state = _kept(old_state, self._state_of(self._plain, self._plain._lrs))
        self._rule = _kept(old_rule, self._rule_of(self._plain))

    def __repr__(self) -> str:
        self._bring_back()
        return f"Device{self._plain!r}"

    def _value(self, loss: Any) -> Tensor:
        """The loss as a float64 of shape (1,) on the device, its value unread."""
        if not isinstance(loss, Tensor):
            return torch.full((1,), read_number("loss", loss), dtype=torch.float64, device=self.device)
        if loss.numel() != 1 or loss.is_complex():
            raise BadInput("loss", f"a {loss.dtype} tensor of shape {tuple(loss.shape)}", "one number")
        return loss.detach().reshape(1).to(self.device, torch.float64, non_blocking=True)

    def _grow(self, lrs: list[Tensor]) -> None:
        """Take in parameter groups that were added; they start at the LRs that they have."""
        plain, known = self._plain, self._state.lrs.numel()
        spread_bounds(plain.min_lrs, plain.max_lrs, len(lrs))
        new = _stacked(lrs[known:])
        self._rule = self._rule._replace(
            lows=self._numbers(plain.min_lrs),
            highs=self._numbers(plain.max_lrs),
            first=torch.cat([self._rule.first, new]),
        )
        self._state = self._state._replace(lrs=torch.cat([self._state.lrs, new]))

    def _bring_back(self) -> None:
        """Write what the device holds into the plain schedule."""
        plain, state = self._plain, self._state
        for name, here in COUNTERS.items():
            setattr(plain, name, int(getattr(state, here)))
        best = float(state.best)
        plain.best = -best if self._rule.turned else best
        plain._lrs, plain._init_lrs = state.lrs.tolist(), self._rule.first.tolist()
        if state.window is not None and plain._streaming_avg is not None:
            plain._streaming_avg.load_state_dict(_window_state(state.window))

    def _numbers(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def _rule_of(self, plain: GreedyLR) -> Rule:
        return Rule(
            turned=plain.mode == "max",
            relative=plain.threshold_mode == "rel",
            after_change=plain.after_change,
            patience=plain.patience,
            threshold=plain.threshold,
            cooldown=plain.cooldown,
            warmup=plain.warmup,
            eps=plain.eps,
            reset_start=plain.reset_start_original,
            factor=self._numbers([plain.factor]),
            lows=self._numbers(plain.min_lrs),
            highs=self._numbers(plain.max_lrs),
            first=self._numbers(plain._init_lrs),
        )

    def _state_of(self, plain: GreedyLR, lrs: list[float]) -> State:
        counters = {
            here: torch.tensor([getattr(plain, name)], dtype=torch.int64, device=self.device)
            for name, here in COUNTERS.items()
        }
        window, mean = None, plain._streaming_avg
        if mean is not None:
            window = new_window(plain.window_size, self.device, tuple(mean.values), mean.sum)
        best = self._numbers([-plain.best if plain.mode == "max" else plain.best])
        return State(best=best, lrs=self._numbers(lrs), window=window, **counters)


def _refuse_verbose(verbose: bool) -> None:
    if verbose:
        raise BadInput("verbose", verbose, "false: to print a change its value would be read from the device")


def _check_wholes(state: Mapping[str, Any]) -> None:
    """That what counts has room in an int64, and the window in memory; raises BadInput."""
    for name in (*COUNTERS, "patience", "cooldown", "warmup", "reset_start_original"):
        read_whole(name.removesuffix("_original"), state[name], 0, MOST_STEPS)
    read_whole("window_size", state["window_size"], 1, WIDEST)


def _write(place: Tensor, value: Tensor) -> None:
    """Set a tensor in place.

    Through a view of one dimension: torch 2.13, when it compiles, loses what is written into a float64 of
    shape () on the CPU, without a word.
    """
    place.view(-1).copy_(value.reshape(-1))


def _stacked(lrs: list[Tensor]) -> Tensor:
    return torch.stack([lr.detach().reshape(()).to(torch.float64) for lr in lrs])


def _found(lrs: list[Tensor], written: Tensor) -> Tensor:
    """The LRs as they are, whoever set them; what was written, where a tensor holds that rounded."""
    now = _stacked(lrs)
    if all(lr.dtype == torch.float64 for lr in lrs):
        return now
    rounded = _stacked([old.to(lr.dtype) for old, lr in zip(written.unbind(), lrs, strict=True)])
    return torch.where(now == rounded, written, now)


def _kept(old: Any, new: Any) -> Any:
    """``new``, in the tensors of ``old`` wherever they fit, since a captured step holds on to these."""
    if isinstance(new, Tensor) and isinstance(old, Tensor) and old.shape == new.shape:
        return old.copy_(new)
    if isinstance(new, tuple) and isinstance(old, tuple):
        return type(new)(*map(_kept, old, new))
    return new


def _tensors(state: State) -> Iterator[Tensor]:
    """Every tensor of a state."""
    yield from (part for part in state if isinstance(part, Tensor))
    if state.window is not None:
        yield from state.window


def _window_state(window: Window) -> dict[str, Any]:
    """A window as ``RunningMean`` and the published scheduler save theirs."""
    ring, filled, at = window.values.tolist(), int(window.filled), int(window.at)
    values = ring[at:] + ring[:at] if filled == len(ring) else ring[:filled]
    return {"window_size": len(ring), "values": values, "sum": float(window.total)}
