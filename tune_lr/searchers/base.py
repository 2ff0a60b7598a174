"""What a searcher is: it proposes configurations and learns from what they come to."""

from __future__ import annotations

import enum
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Final

from tune_lr.journal import Status
from tune_lr.space import SearchSpace


class Wait(enum.Enum):
    """The type of ``WAIT``."""

    WAIT = "nothing now, more may come"


#: Nothing to run now, but there may be once something running reports or ends.
WAIT: Final = Wait.WAIT


@dataclass(frozen=True)
class Suggestion:
    """One configuration to try.

    Args:
        trial_id: the name of the trial that it becomes, in the order of asking.
        values: the knobs, as the search space has them.
        config: what the trainer gets (``space.config(values)``).
        why: what led to it, JSON-safe; journaled.
    """

    trial_id: str
    values: dict[str, Any]
    config: dict[str, Any]
    why: dict[str, Any] = field(default_factory=dict)


class Searcher(ABC):
    """Proposes configurations.

    Laws, held by the contract tests: what ``ask`` returns depends only on the seed and the calls before
    it; ``tell`` is idempotent per (trial, epoch), since engines repeat reports; an ``ask`` that returns
    ``WAIT`` or None changes nothing; no configuration is proposed twice.

    Args:
        space: where to search.
        seed: repeatable by it.
        max_epochs: the most epochs a trial may train.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, max_epochs: int = 27) -> None:
        self.space, self.seed, self.max_epochs = space, seed, max_epochs
        self._asked = 0

    @abstractmethod
    def ask(self) -> Suggestion | Wait | None:
        """The next configuration; ``WAIT``: none now; None: none will ever come."""

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        """A trial's value after an epoch: finite, lower is better."""

    def done(self, trial_id: str, status: Status) -> None:
        """A trial ended for good."""

    def replay(self, suggestion: Suggestion) -> None:
        """Make a journaled proposal again, after a kill. By the first law ``ask`` does; a searcher for which
        the law does not hold takes over what was proposed then.

        Warns where the proposal is another one (by another version of a library, say): the searcher then
        knows of a configuration that was never tried.
        """
        again = self.ask()
        if not isinstance(again, Suggestion) or again.values != suggestion.values:
            kind, name = type(self).__name__, suggestion.trial_id
            warnings.warn(
                f"{kind} proposes another configuration than the journal has for {name}", stacklevel=2
            )

    def _suggest(self, values: dict[str, Any], **why: Any) -> Suggestion:
        """Number and wrap a proposal; called once for each that is handed out."""
        suggestion = Suggestion(f"{self._asked:04d}", values, self.space.config(values), why)
        self._asked += 1
        return suggestion
