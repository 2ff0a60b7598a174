"""``PriorSearcher``: proposes what past experiments recommend, and learns from the running one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tune_lr.errors import BadInput
from tune_lr.journal import Status
from tune_lr.prior.model import Model
from tune_lr.prior.prior import Prior
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace


class PriorSearcher(Searcher):
    """A model-based, multi-fidelity searcher that begins where the past left off.

    Without a prior it learns from the running trials alone. With one it begins with what did well on past
    tasks, and trusts the past as far as the running trials bear it out. It is at its best with the trial
    scheduler ``freeze-thaw``, which shares its model and may go on with a paused trial instead.

    What it proposes is a function of the seed and of what it was told before, so a journal rebuilds it.

    Args:
        space: where to search.
        prior: what past experiments teach (``Prior.fit``, ``Prior.load``); None: nothing.
        mode: whether small or large values are good, of those that ``tell`` gets. Jobs and the adapters of
            both engines tell losses.
        max_epochs: the most epochs a trial may train.
        seed: repeatable by it.
        candidates: the only configurations there are, as tables need it; None: any of the space.
        model: the model that a trial scheduler shares; made here if not given.

    Raises:
        BadInput: the prior is another space's, a candidate is no point of the space, or the mode unknown.
    """

    def __init__(
        self,
        space: SearchSpace,
        prior: Prior | None = None,
        mode: Literal["min", "max"] = "min",
        max_epochs: int = 27,
        seed: int = 0,
        candidates: Sequence[Mapping[str, Any]] | None = None,
        model: Model | None = None,
    ) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        if mode not in ("min", "max"):
            raise BadInput("mode", mode, "min or max")
        self._sign = 1.0 if mode == "min" else -1.0
        #: Whether a trial scheduler weighs new trials against paused ones with the same model.
        self._shared = model is not None
        self.model = model or Model(
            space,
            prior=prior,
            candidates=None if candidates is None else [_values(space, one) for one in candidates],
            max_epochs=max_epochs,
            seed=seed,
        )

    def ask(self) -> Suggestion | None:
        choice = self.model.choose() if self._shared else self.model.choose_new()
        if choice.values is None and self._shared:  # asked although a paused trial promises more
            choice = self.model.choose_new()
        if choice.values is None:
            return None
        suggestion = self._suggest(dict(choice.values), **choice.why)
        self.model.begin(suggestion.trial_id, suggestion.values)
        return suggestion

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        self.model.observe(trial_id, epoch, self._sign * value)

    def done(self, trial_id: str, status: Status) -> None:
        self.model.end(trial_id)

    def replay(self, suggestion: Suggestion) -> None:
        """Take over what was proposed: what led to it need not be worked out again."""
        self._asked += 1
        self.model.begin(suggestion.trial_id, suggestion.values)


def _values(space: SearchSpace, config: Mapping[str, Any]) -> dict[str, Any]:
    """A candidate as values, whether it has ratios or absolute bounds."""
    try:
        return space.normalize(space.values(config))
    except BadInput as error:
        raise BadInput("candidates", dict(config), f"points of the space ({error})") from None
