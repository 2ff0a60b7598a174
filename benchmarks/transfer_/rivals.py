"""Searchers and trial schedulers of other tools and simple rules, in the shape that a replay drives.

They are here and not in the package since nobody should want them: they are what a prior has to beat.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from typing import Any

from tune_lr.engines.on_ray.native import Tpe
from tune_lr.engines.on_syne.borrowed import Randomness, into
from tune_lr.engines.on_syne.space import to_syne
from tune_lr.journal import CONTINUE, PAUSE, STOP, Decision, Status
from tune_lr.searchers.base import Searcher, Suggestion, Wait
from tune_lr.searchers.random import RandomSearcher
from tune_lr.space import SearchSpace
from tune_lr.stopping.base import TrialScheduler


class Portfolio(Searcher):
    """A list of configurations in its order, then random search."""

    def __init__(
        self, space: SearchSpace, points: Sequence[dict[str, Any]], *, seed: int, max_epochs: int
    ) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._points = list(points)
        self._random = RandomSearcher(space, seed=seed, max_epochs=max_epochs)

    def ask(self) -> Suggestion | None:
        if self._asked < len(self._points):
            return self._suggest(self._points[self._asked], source="portfolio")
        found = self._random.ask()
        return found and self._suggest(found.values, source="random")


class Enqueued(Searcher):
    """Optuna's TPE, with a list of configurations enqueued before its own proposals."""

    def __init__(
        self, space: SearchSpace, points: Sequence[dict[str, Any]], *, seed: int, max_epochs: int
    ) -> None:
        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._points = list(points)
        self._tpe = Tpe(space, seed=seed, max_epochs=max_epochs)

    def ask(self) -> Suggestion | None:
        if self._asked >= len(self._points):
            return self._tpe.ask()
        found = self._suggest(self._points[self._asked], source="portfolio")
        self._tpe.replay(found)
        return found

    def tell(self, trial_id: str, epoch: int, value: float) -> None:
        self._tpe.tell(trial_id, epoch, value)

    def done(self, trial_id: str, status: Status) -> None:
        self._tpe.done(trial_id, status)


class Box(Searcher):
    """Syne Tune's ``BoundingBox`` around its own random search: its box, its proposals."""

    def __init__(
        self, space: SearchSpace, evaluations: Any, metric: str, *, seed: int, max_epochs: int
    ) -> None:
        from syne_tune.optimizer.baselines import RandomSearch
        from syne_tune.optimizer.schedulers.transfer_learning.bounding_box import BoundingBox

        super().__init__(space, seed=seed, max_epochs=max_epochs)
        self._randomness = Randomness(seed)

        def inner(config_space: Any, metric: str, do_minimize: bool, random_seed: int) -> Any:
            return RandomSearch(
                config_space, metrics=[metric], do_minimize=do_minimize, random_seed=random_seed
            )

        with self._quietly():
            self._box = BoundingBox(inner, to_syne(space), metric, evaluations, random_seed=seed)

    def ask(self) -> Suggestion | None:
        with self._quietly():
            found = self._box.suggest()
        if found is None:
            return None
        return self._suggest(into(self.space, found.config), source="box")

    @contextlib.contextmanager
    def _quietly(self) -> Any:
        """With a random state of its own, and without what it prints."""
        with self._randomness(), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield


class AtMost(Searcher):
    """Another searcher's first proposals."""

    def __init__(self, searcher: Searcher, most: int) -> None:
        super().__init__(searcher.space, seed=searcher.seed, max_epochs=searcher.max_epochs)
        self._searcher, self._most = searcher, most

    def ask(self) -> Suggestion | Wait | None:
        if self._asked >= self._most:
            return None
        self._asked += 1
        return self._searcher.ask()


class OneEpochThenBest(TrialScheduler):
    """Every trial is paused after an epoch; once all have been, the best go on to the end, one by one.

    Args:
        trials: how many there are.
    """

    pauses = True

    def __init__(self, *, max_epochs: int, trials: int, seed: int = 0) -> None:
        super().__init__(max_epochs=max_epochs, seed=seed)
        self._trials, self._heard = trials, set[str]()
        self._waiting: list[tuple[float, str]] = []

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        if epoch > 1:
            return CONTINUE
        self._heard.add(trial_id)
        self._waiting.append((value, trial_id))
        return PAUSE

    def resume(self) -> str | None:
        if len(self._heard) < self._trials or not self._waiting:
            return None
        best = min(self._waiting)
        self._waiting.remove(best)
        return best[1]

    def done(self, trial_id: str, status: Status) -> None:
        self._heard.add(trial_id)  # one that diverged in its first epoch: the rule was not asked about it


class OptunaPruner(TrialScheduler):
    """Optuna's own Hyperband pruner, which its authors name as the one for TPE, asked report by report."""

    exact = False

    def __init__(self, *, max_epochs: int, seed: int = 0) -> None:
        import optuna

        super().__init__(max_epochs=max_epochs, seed=seed)
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=max_epochs, reduction_factor=3)
        level = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        # The pruner deals trials out to its brackets by the study's name.
        self._study = optuna.create_study(pruner=pruner, study_name=f"seed {seed}")
        optuna.logging.set_verbosity(level)
        self._trials: dict[str, Any] = {}
        self._last: dict[str, float] = {}

    def started(self, trial_id: str, config: dict[str, Any]) -> None:
        self._trials[trial_id] = self._study.ask()

    def decide(self, trial_id: str, epoch: int, value: float) -> Decision:
        trial = self._trials[trial_id]
        trial.report(value, epoch)
        self._last[trial_id] = value
        return STOP if trial.should_prune() else CONTINUE

    def done(self, trial_id: str, status: Status) -> None:
        import optuna

        state = optuna.trial.TrialState
        trial, value = self._trials[trial_id], self._last.get(trial_id)
        if status == "completed" and value is not None:
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=state.PRUNED if value is not None else state.FAIL)


def in_order(space: SearchSpace, points: Sequence[Any]) -> list[dict[str, Any]]:
    """Points of a space, whichever way they are written, each once."""
    known: dict[str, dict[str, Any]] = {}
    for point in points:
        values = space.normalize(space.values(point))
        known.setdefault(space.key(values), values)
    return list(known.values())
