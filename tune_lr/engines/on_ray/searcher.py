"""tune-lr's searchers in plain Ray Tune scripts."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher as Base
from ray.tune.search.sample import Domain

from tune_lr import registry
from tune_lr.engines.on_ray.space import from_ray
from tune_lr.errors import BadInput
from tune_lr.journal import Status, write_json
from tune_lr.objective import WORST_LOSS, Objective
from tune_lr.searchers.base import WAIT, Searcher, Suggestion
from tune_lr.space import SearchSpace


class RaySearcher(Base):
    """Any of tune-lr's searchers, for Ray's own ``Tuner`` and any of its schedulers.

    ::

        tuner = tune.Tuner(
            train,
            param_space=to_ray(load_space("greedy_lr")),
            tune_config=tune.TuneConfig(metric="val_loss", mode="min", search_alg=RaySearcher()),
        )

    A trial's config is what tune-lr's own trials get, with absolute bounds. Keys of the ``param_space`` that
    the searcher has nothing to say about stay in it: constants as they are, knobs that take no part at their
    defaults.

    Args:
        searcher: a registered name, or a ``Searcher`` (then ``space``, ``seed``, ``max_epochs`` and options
            are its own).
        metric: what is optimized; None: what ``TuneConfig`` says.
        mode: ``min`` or ``max``; None: what ``TuneConfig`` says.
        space: where to search; None: what the Tuner's ``param_space`` describes.
        seed: repeatable by it.
        max_epochs: the most reports that a trial makes.
        scope: what decides about a trial: its ``best`` report, its ``last``, or ``avg-K``.
        time_attr: the key of a result that counts epochs from 1.
        options: the searcher's own.

    Raises:
        BadInput: the space or an option cannot be used; or, once Ray asks, metric, mode or space are said
            nowhere, or metric and mode twice and not alike.
    """

    def __init__(
        self,
        searcher: str | Searcher | None = None,
        metric: str | None = None,
        mode: str | None = None,
        space: SearchSpace | None = None,
        *,
        seed: int = 0,
        max_epochs: int = 27,
        scope: str = "best",
        time_attr: str = "training_iteration",
        **options: Any,
    ) -> None:
        super().__init__(metric=metric, mode=mode)
        self._metric: str | None = metric
        self._mode: str | None = mode
        self._scope, self._time_attr = scope, time_attr
        self._objective: Objective | None = None
        self._name = searcher if isinstance(searcher, str) else _default_name()
        self._options = {"seed": seed, "max_epochs": max_epochs, **options}
        self._asked = searcher if isinstance(searcher, Searcher) else None
        #: The searcher before it was asked anything, to begin again from; None until the space is known.
        self._fresh = copy.deepcopy(self._asked)
        self._param_space: dict[str, Any] = {}
        self._calls: list[dict[str, Any]] = []
        #: Ray's trial id -> ours, and the losses it was told: epoch -> loss (None: diverged).
        self._trials: dict[str, str] = {}
        self._losses: dict[str, dict[int, float | None]] = {}
        self._ended: set[str] = set()
        if space is not None:
            self._search(space)

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Mapping[str, Any], **spec: Any
    ) -> bool:
        for field, ours, theirs in (("metric", self._metric, metric), ("mode", self._mode, mode)):
            if ours and theirs and ours != theirs:
                raise BadInput(field, theirs, f"{ours!r}, which RaySearcher was given, or nothing")
        self._metric, self._mode = self._metric or metric, self._mode or mode
        self._param_space = dict(config)
        if self._fresh is None:
            self._search(from_ray(config))
            return True
        space = self._fresh.space
        for key, value in config.items():
            if key not in space.knobs and (isinstance(value, Domain) or _is_grid(value)):
                expected = f"a constant, or a knob of space {space.name!r}, which RaySearcher was given"
                raise BadInput(f"param_space[{key!r}]", value, expected)
        return True

    def suggest(self, trial_id: str) -> Any:
        """A configuration; None where there may be one later; ``FINISHED`` where there will be none."""
        searcher, _ = self._begun(), self._read()
        suggestion = searcher.ask()
        if suggestion is WAIT:
            return None
        if suggestion is None:
            return Base.FINISHED
        self._calls.append({"call": "suggest", "ray_id": trial_id, **vars(suggestion)})
        self._trials[trial_id] = suggestion.trial_id
        unsaid = searcher.space.flat(suggestion.values)
        filled = {key: unsaid[key] for key in self._param_space if key in unsaid}
        return {**filled, **suggestion.config}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Tell the searcher, once an epoch: Ray repeats results."""
        objective, epoch = self._read(), result.get(self._time_attr)
        if trial_id not in self._trials or epoch is None or objective.metric not in result:
            return
        self._tell(trial_id, int(epoch), objective.read(result))

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """The end; where a scheduler stopped the trial, its last result comes only here."""
        if trial_id not in self._trials or trial_id in self._ended:
            return
        if result is not None:
            self.on_trial_result(trial_id, result)
        losses = self._losses.get(trial_id, {})
        status: Status = "stopped"
        if error or not losses:
            status = "failed"
        elif None in losses.values():
            status = "diverged"
        elif max(losses) >= self._begun().max_epochs:
            status = "completed"
        self._end(trial_id, status)

    def save(self, checkpoint_path: str) -> None:
        """Write down, as JSON, the calls that led here."""
        write_json(Path(checkpoint_path), {"format": 1, "metric": self._metric, "calls": self._calls})

    def restore(self, checkpoint_path: str) -> None:
        """Make the calls again, on a searcher as it was at first.

        Raises:
            BadInput: the file is another searcher's, or the space is not known yet.
        """
        try:
            saved = json.loads(Path(checkpoint_path).read_text("utf-8"))
            calls = list(saved["calls"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput("checkpoint", checkpoint_path, "a file that RaySearcher.save wrote") from error
        self._metric = self._metric or saved.get("metric")
        self._asked, self._calls = None, []
        self._trials, self._losses, self._ended = {}, {}, set()
        for call in calls:
            self._repeat(call)

    # What is saved and made again -------------------------------------------------------------------

    def _repeat(self, call: Mapping[str, Any]) -> None:
        ray_id = call["ray_id"]
        if call["call"] == "suggest":
            self._trials[ray_id] = call["trial_id"]
            said = {key: call[key] for key in ("trial_id", "values", "config", "why")}
            self._begun().replay(Suggestion(**said))
            self._calls.append(dict(call))
        elif call["call"] == "tell":
            self._tell(ray_id, call["epoch"], call["loss"])
        else:
            self._end(ray_id, call["status"])

    def _tell(self, trial_id: str, epoch: int, loss: float | None) -> None:
        losses = self._losses.setdefault(trial_id, {})
        if epoch in losses:
            return
        losses[epoch] = loss
        self._calls.append({"call": "tell", "ray_id": trial_id, "epoch": epoch, "loss": loss})
        finite = [losses[at] for at in sorted(losses) if losses[at] is not None]
        score = (
            WORST_LOSS if loss is None else self._read().score([each for each in finite if each is not None])
        )
        self._begun().tell(self._trials[trial_id], epoch, score)

    def _end(self, trial_id: str, status: Status) -> None:
        self._ended.add(trial_id)
        self._calls.append({"call": "end", "ray_id": trial_id, "status": status})
        self._begun().done(self._trials[trial_id], status)

    # What is known once Ray has said it -------------------------------------------------------------

    def _search(self, space: SearchSpace) -> None:
        self._fresh = registry.load("searchers", self._name)(space, **self._options)

    def _begun(self) -> Searcher:
        """The searcher that is asked."""
        if self._asked is None:
            if self._fresh is None:
                expected = "a SearchSpace, or a param_space given to the Tuner"
                raise BadInput("space of RaySearcher", None, expected)
            self._asked = copy.deepcopy(self._fresh)
        return self._asked

    def _read(self) -> Objective:
        if self._objective is None:
            if not self._metric or not self._mode:
                raise BadInput("metric and mode", (self._metric, self._mode), "both, here or in TuneConfig")
            self._objective = Objective(self._metric, self._mode, self._scope)  # type: ignore[arg-type]
        return self._objective


def _default_name() -> str:
    return "prior" if "prior" in registry.names("searchers") else "random"


def _is_grid(value: Any) -> bool:
    return isinstance(value, Mapping) and "grid_search" in value
