"""tune-lr's searchers in plain Syne Tune scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syne_tune.optimizer.schedulers.searchers.single_objective_searcher import SingleObjectiveBaseSearcher

from tune_lr import registry
from tune_lr.engines.on_syne.space import from_syne
from tune_lr.errors import BadInput
from tune_lr.journal import Status
from tune_lr.objective import WORST_LOSS, Objective
from tune_lr.searchers.base import Searcher, Suggestion

#: Syne Tune's schedulers turn a metric's sign where more is better.
_LOSS = Objective()


class SyneSearcher(SingleObjectiveBaseSearcher):
    """Any of tune-lr's searchers, for Syne Tune's own schedulers.

    ::

        searcher = SyneSearcher(config_space, random_seed=0, searcher="random")
        scheduler = AsynchronousSuccessiveHalving(config_space, metric="val_loss", searcher=searcher, ...)

    Args:
        config_space: Syne Tune's, also from ``to_syne(space)``.
        points_to_evaluate: configurations to propose first, in this order; knobs left out are at their
            defaults.
        random_seed: what the searcher draws with; None draws one.
        searcher: a registered name, or a ``Searcher``.
        max_epochs: the most epochs a trial may train.
        options: the searcher's own.

    Raises:
        BadInput: the space, a point or an option cannot be used.
    """

    def __init__(
        self,
        config_space: dict[str, Any],
        points_to_evaluate: list[dict[str, Any]] | None = None,
        random_seed: int | None = None,
        searcher: str | Searcher = "random",
        max_epochs: int = 27,
        **options: Any,
    ) -> None:
        super().__init__(config_space, points_to_evaluate=points_to_evaluate, random_seed=random_seed)
        self._space = from_syne(config_space)
        if isinstance(searcher, str):
            seed = int(self.random_seed)
            kind = registry.load("searchers", searcher)
            self._searcher: Searcher = kind(self._space, seed=seed, max_epochs=max_epochs, **options)
        else:
            self._searcher = searcher
        #: Whether the searcher takes over proposals that are not its own, and so may learn from them.
        self._adopts = type(self._searcher).replay is not Searcher.replay
        self._first = [self._point(point) for point in points_to_evaluate or []]
        self._given = {self._space.key(point) for point in self._first}
        self._count = 0
        # Syne Tune names trials itself, and not before they report.
        self._waiting: dict[str, list[str]] = {}
        self._names: dict[int, str | None] = {}
        self._losses: dict[int, dict[int, float]] = {}

    def _point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        try:
            return self._space.normalize({**self._space.default(), **self._space.values(point)})
        except BadInput as error:
            raise BadInput("points_to_evaluate", dict(point), f"points of the space ({error})") from error

    def suggest(self, **kwargs: Any) -> dict[str, Any] | None:
        """The next configuration, knobs that take no part filled in; None: none is left."""
        if self._first:
            return self._space.flat(self._give(self._first.pop(0)))
        while isinstance(found := self._searcher.ask(), Suggestion):
            key = self._space.key(found.values)
            if key not in self._given:
                self._waiting.setdefault(key, []).append(found.trial_id)
                return self._space.flat(found.values)
            self._searcher.done(found.trial_id, "stopped")  # it was among the first points
        return None

    def _give(self, values: dict[str, Any]) -> dict[str, Any]:
        """One of the first points, as if the searcher had proposed it where it can take that."""
        if self._adopts:
            suggestion = Suggestion(
                f"{self._count:04d}", values, self._space.config(values), {"source": "points_to_evaluate"}
            )
            self._count += 1
            self._searcher.replay(suggestion)
            self._waiting.setdefault(self._space.key(values), []).append(suggestion.trial_id)
        return values

    def on_trial_result(
        self, trial_id: int, config: dict[str, Any], metric: float, resource_level: int | None = None
    ) -> None:
        """Tell the searcher; without a ``resource_level``, results count as epochs."""
        losses = self._losses.setdefault(trial_id, {})
        self._tell(trial_id, config, metric, len(losses) + 1 if resource_level is None else resource_level)

    def on_trial_complete(
        self, trial_id: int, config: dict[str, Any], metric: float, resource_level: int | None = None
    ) -> None:
        """Comes with the last result once more."""
        losses = self._losses.setdefault(trial_id, {})
        self._tell(
            trial_id, config, metric, max(losses, default=1) if resource_level is None else resource_level
        )
        self._done(trial_id, "completed")

    def on_trial_error(self, trial_id: int) -> None:
        """The trial failed."""
        self._done(trial_id, "failed")

    def _tell(self, trial_id: int, config: Mapping[str, Any], metric: float, epoch: int) -> None:
        if trial_id not in self._names:
            key = self._space.key(self._space.normalize(self._space.values(config)))
            waiting = self._waiting.get(key)
            self._names[trial_id] = waiting.pop(0) if waiting else None
        name, losses = self._names[trial_id], self._losses[trial_id]
        if name is None or epoch in losses:
            return
        loss = _LOSS.loss(metric)
        losses[epoch] = WORST_LOSS if loss is None else loss
        self._searcher.tell(name, epoch, _LOSS.score([losses[at] for at in sorted(losses)]))

    def _done(self, trial_id: int, status: Status) -> None:
        name = self._names.get(trial_id)
        if name is not None:
            self._searcher.done(name, status)
