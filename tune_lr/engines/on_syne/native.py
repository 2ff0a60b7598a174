"""What Syne Tune brings: its searchers CQR, BORE and BOHB, and (from ``rules``) its own trial schedulers.

The searchers draw from numpy's global generator and propose duplicates; here their draws depend on the seed,
the number of the proposal and what they were told, so that after a kill they are told the journal and go on
without proposing it all again, and what they propose is brought into our space.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any, ClassVar

import numpy as np
from syne_tune.optimizer.schedulers.searchers.last_value_multi_fidelity_searcher import (
    LastValueMultiFidelitySearcher,
)

from tune_lr.engines.on_syne.borrowed import Randomness, domains, into
from tune_lr.engines.on_syne.rules import NativeAsha, NativeMedian, Pbt
from tune_lr.engines.on_syne.space import to_syne
from tune_lr.objective import WORST_LOSS
from tune_lr.searchers.base import Searcher, Suggestion
from tune_lr.space import SearchSpace

__all__ = ["Bohb", "Bore", "Cqr", "NativeAsha", "NativeMedian", "Pbt"]

#: Proposals in a row that were known already, after which one is drawn at random.
_TRIES = 10
#: Random draws in a row that were known already, after which a space counts as used up.
_PATIENCE = 1000


class _SyneSearcher(Searcher):
    """One of Syne Tune's searchers, fitted to the last value of each trial."""

    _name: ClassVar[str]
    _method: ClassVar[str]

    def __init__(self, space: SearchSpace, *, seed: int = 0, max_epochs: int = 27) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._config_space = to_syne(space)
        self._inner = LastValueMultiFidelitySearcher(
            self._config_space, random_seed=seed, searcher=self._method, searcher_kwargs=self._options()
        )
        self._configs: dict[str, dict[str, Any]] = {}
        self._proposed: set[Hashable] = set()
        self._told: set[tuple[str, int]] = set()
        self._worst: float | None = None
        self._used_up = False

    def _options(self) -> dict[str, Any]:
        return {}

    def _is_fitted(self) -> bool:
        return self._inner.searcher is not None

    def ask(self) -> Suggestion | None:
        if self._used_up:
            return None
        found = self._from_model() or self._at_random()
        if found is None:
            self._used_up = True
            return None
        suggestion = self._suggest(*found[:1], **found[1])
        self._adopt(suggestion)
        return suggestion

    def replay(self, suggestion: Suggestion) -> None:
        self._asked += 1
        self._adopt(suggestion)

    def _adopt(self, suggestion: Suggestion) -> None:
        self._proposed.add(self.space.key(suggestion.values))
        self._configs[suggestion.trial_id] = domains(self._config_space, self.space.flat(suggestion.values))

    def _from_model(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """What Syne Tune proposes, unless it is all known."""
        number = int(np.random.SeedSequence([self.seed, self._asked]).generate_state(1)[0]) >> 1
        self._inner.random_state.seed(number)
        with Randomness(number)(), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for _ in range(_TRIES):
                try:
                    values = into(self.space, self._inner.suggest())
                except Exception:  # a model may fail on any data; a random draw takes its place
                    return None
                if self.space.key(values) not in self._proposed:
                    return values, {"source": self._name if self._is_fitted() else "random"}
        return None

    def _at_random(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        generator = np.random.default_rng([self.seed, self._asked])
        for _ in range(_PATIENCE):
            (values,) = self.space.sample(1, generator)
            if self.space.key(values) not in self._proposed:
                return values, {"source": "random"}
        return None

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        if (trial_id, epoch) in self._told or trial_id not in self._configs:
            return
        self._told.add((trial_id, epoch))
        if value >= WORST_LOSS:  # a number that size would be all that a model sees
            value = 0.0 if self._worst is None else self._worst
        else:
            self._worst = value if self._worst is None else max(self._worst, value)
        self._inner.on_trial_result(
            int(trial_id), self._configs[trial_id], metric=value, resource_level=epoch
        )


class Cqr(_SyneSearcher):
    """Conformal quantile regression (Salinas et al. 2023)."""

    _name, _method = "cqr", "cqr"


class Bore(_SyneSearcher):
    """Bayesian optimization by density-ratio estimation (Tiao et al. 2021)."""

    _name, _method = "bore", "bore"


class Bohb(_SyneSearcher):
    """Kernel density estimators of good and bad configurations (Falkner et al. 2018, BOHB)."""

    _name, _method = "bohb", "kde"

    def _options(self) -> dict[str, Any]:
        # Its own default is one too few, and then it fits nothing until it has seen dozens of trials.
        return {"num_min_data_points": len(domains(self._config_space, self._config_space)) + 1}

    def _is_fitted(self) -> bool:
        return getattr(self._inner.searcher, "good_kde", None) is not None
