"""The searcher and the trial scheduler that a job names, built anew with its options."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tune_lr import registry
from tune_lr.errors import UnknownName
from tune_lr.job import Job
from tune_lr.searchers.base import Searcher
from tune_lr.stopping.base import TrialScheduler

#: What parts are given and nobody sets as an option.
_GIVEN = frozenset({"space", "prior", "candidates", "model"})


def assemble(job: Job, **more: Any) -> tuple[Searcher, TrialScheduler]:
    """A fresh searcher and a fresh trial scheduler; a rule that proposes as well brings its own searcher.

    Args:
        job: what names them, and their options.
        more: what else there is for a part that asks for it by name (``candidates``, ``prior``).

    Raises:
        UnknownName: no part has the name, or it has no such option.
        MissingExtra: the part's library is not installed.
        BadInput: an option's value is not usable.
    """
    repeats = job.searcher in registry.PARTS["repeating_searchers"]
    proposes = registry.load("repeating_searchers" if repeats else "searchers", job.searcher)
    rule = _scheduler_class(job)
    if all("model" in inspect.signature(part).parameters for part in (rule, proposes)):
        more = {**more, "model": _model(job, more)}
    scheduler: TrialScheduler = _make(rule, job, "trial_scheduler", more)
    if scheduler.searcher is not None:
        return scheduler.searcher, scheduler
    searcher: Searcher = _make(proposes, job, "searcher", more)
    return searcher, scheduler


def _model(job: Job, more: Mapping[str, Any]) -> Any:
    """The model that a searcher and a trial scheduler share: one decides between new and paused trials."""
    from tune_lr.prior.model import Model

    known = {name: more[name] for name in ("prior", "candidates") if name in more}
    return Model(job.search_space, max_epochs=job.max_epochs, seed=job.seed, trials=job.trials, **known)


def _scheduler_class(job: Job) -> Any:
    """One of ours, or one that this engine brings (``native_schedulers``)."""
    name, native = job.trial_scheduler, f"{job.engine}/{job.trial_scheduler}"
    if native in registry.PARTS["native_schedulers"]:
        return registry.load("native_schedulers", native)
    ours = registry.names("trial_schedulers")
    if name not in ours:
        brought = [key.split("/") for key in registry.PARTS["native_schedulers"]]
        theirs = [scheduler for engine, scheduler in brought if engine == job.engine]
        raise UnknownName(f"trial scheduler on engine {job.engine}", name, [*ours, *theirs])
    return registry.load("trial_schedulers", name)


def _make(part: Any, job: Job, kind: str, more: Mapping[str, Any]) -> Any:
    """A part with the job's options for it, and what of the job it asks for."""
    options = getattr(job, f"{kind}_options")
    known = inspect.signature(part).parameters
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    given: dict[str, Any] = {"seed": job.seed, "max_epochs": job.max_epochs}
    if kind == "searcher" or "space" in known:
        given["space"] = job.search_space
    if "trials" in known:
        given["trials"] = job.trials
    given |= {name: value for name, value in more.items() if name in known}
    for name in options:
        if name in given or name in _GIVEN or not (open_ended or name in known):
            choices = set(known) - set(given) - _GIVEN
            raise UnknownName(f"option of {kind} {getattr(job, kind)}", name, choices)
    return part(**given, **options)
