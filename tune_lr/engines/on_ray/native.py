"""What Ray brings: Optuna's TPE as a searcher, and (from the files beside) its own trial schedulers.

The model is fitted anew for every proposal, to all that was told, and draws by the seed and the number of
the proposal. So it never matters how a trial came to be known, and a kill changes nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from ray.tune.search.optuna import OptunaSearch

from tune_lr.engines.on_ray.borrowed import LOSS, into
from tune_lr.engines.on_ray.population import Pbt
from tune_lr.engines.on_ray.rules import HyperBand, NativeAsha, NativeMedian
from tune_lr.engines.on_ray.space import to_ray
from tune_lr.journal import Status
from tune_lr.objective import WORST_LOSS
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace

__all__ = ["HyperBand", "NativeAsha", "NativeMedian", "Pbt", "Tpe"]

#: Proposals in a row that were known already, after which one is drawn at random.
_TRIES = 10
#: Random draws in a row that were known already, after which a space counts as used up.
_PATIENCE = 1000


class Tpe(Searcher):
    """Tree-structured Parzen estimator (Bergstra et al. 2011): Optuna's, by way of Ray's ``OptunaSearch``.

    Trials that trained to the end are told with their value; others as pruned, with their curves, so that
    the model ranks them by how far they came. A knob that takes no part in a trial is told at its start.

    Args:
        space: where to search.
        seed: repeatable by it.
        max_epochs: the most epochs a trial may train.
        startup: trials that are drawn at random before there is a model.
    """

    def __init__(self, space: SearchSpace, *, seed: int = 0, max_epochs: int = 27, startup: int = 10) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._startup = startup
        self._distributions = OptunaSearch.convert_search_space(to_ray(space))
        self._points: dict[str, dict[str, Any]] = {}
        self._curves: dict[str, dict[int, float]] = {}
        self._completed: set[str] = set()
        self._failed: set[str] = set()
        self._proposed: set[str] = set()
        self._used_up = False

    def ask(self) -> Suggestion | None:
        if self._used_up:
            return None
        model = self._from_model()
        values = model or self._at_random()
        if values is None:
            self._used_up = True
            return None
        fitted = model is not None and len(self._curves) >= self._startup
        suggestion = self._suggest(values, source="tpe" if fitted else "random")
        self._adopt(suggestion)
        return suggestion

    def replay(self, suggestion: Suggestion) -> None:
        self._asked += 1
        self._adopt(suggestion)

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        if trial_id in self._points:
            self._curves.setdefault(trial_id, {}).setdefault(epoch, value)

    def done(self, trial_id: str, status: Status) -> None:
        if status == "completed":
            self._completed.add(trial_id)
        elif status == "failed":
            self._failed.add(trial_id)

    def _adopt(self, suggestion: Suggestion) -> None:
        flat = self.space.flat(suggestion.values)
        self._proposed.add(self.space.key(suggestion.values))
        self._points[suggestion.trial_id] = {name: flat[name] for name in self._distributions}

    def _from_model(self) -> dict[str, Any] | None:
        """What Optuna proposes, unless it is all known."""
        if not self._distributions:
            return None
        with _hushed():
            numbers = np.random.SeedSequence([self.seed, self._asked]).generate_state(_TRIES) >> 1
            for number in numbers:
                values = into(self.space, self._model(int(number)).suggest("next"))
                if self.space.key(values) not in self._proposed:
                    return values
        return None

    def _model(self, number: int) -> Any:
        """A model that knows all that was told."""
        sampler = optuna.samplers.TPESampler(seed=number, n_startup_trials=self._startup)
        search = OptunaSearch(space=self._distributions, metric=LOSS, mode="min", sampler=sampler)
        finite = [value for curve in self._curves.values() for value in curve.values() if value < WORST_LOSS]
        worst = max(finite, default=0.0)  # a number the size of WORST_LOSS would be all that a model sees
        for trial_id, curve in self._curves.items():
            values = [min(curve[epoch], worst) for epoch in sorted(curve)]
            search.add_evaluated_point(
                self._points[trial_id],
                values[-1],
                error=trial_id in self._failed,
                pruned=trial_id not in self._completed,
                intermediate_values=values,
            )
        return search

    def _at_random(self) -> dict[str, Any] | None:
        generator = np.random.default_rng([self.seed, self._asked])
        for _ in range(_PATIENCE):
            (values,) = self.space.sample(1, generator)
            if self.space.key(values) not in self._proposed:
                return values
        return None


@contextmanager
def _hushed() -> Iterator[None]:
    """Without Optuna's messages."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(level)
