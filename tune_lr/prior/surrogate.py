"""Several beliefs about a pool, conditioned on the trials of an experiment and weighed by evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_lr.prior.beliefs import (
    LEAST_PAST,
    PAST,
    Belief,
    Conditioned,
    Posterior,
    from_history,
    weights,
    without_history,
)
from tune_lr.prior.fidelity import noise_of
from tune_lr.prior.filling import Filler
from tune_lr.prior.kernels import Kernel, learn
from tune_lr.prior.likeness import Likeness
from tune_lr.prior.pool import Pool
from tune_lr.prior.prior import Prior
from tune_lr.prior.running import Running

Array = NDArray[np.float64]
Places = NDArray[np.int64]

#: The variance of a running trial's score after parts of its training: early ones tell little among the good.
_NOISE = np.array([2.0, 1.0, 0.3, 0.03])
#: The knobs' own lengths are learned anew when the trials have grown by this factor, from so many of them.
_GROWTH, _FIRST, _MOST_LEARNED, _ROUNDS = 1.4, 8, 120, 12
#: A belief that is trusted less than this decides nothing, and is not worked out.
_NEGLIGIBLE = 1e-9
#: A history whose tasks tell less of one another recommends nothing.
_HEEDED = 0.5
#: A past task speaks where its scores go along with those seen.
_SPEAKS = 0.3


@dataclass(frozen=True)
class Outlook:
    """What is believed now of some configurations.

    Args:
        places: which, in the pool.
        posteriors: one a belief that still counts, of the scores at those places.
        weights: how far each of these is trusted.
        trust: how far what the history recommends is trusted, from 0 to 1. What it tells of which
            configurations are alike is no recommendation, and counts for itself.
        tasks: the past tasks that speak most, the loudest first.
    """

    places: Places
    posteriors: tuple[Posterior, ...]
    weights: Array
    trust: float
    tasks: tuple[str, ...]

    @property
    def mean(self) -> Array:
        """The expected score of each place, over all beliefs."""
        found: Array = sum(
            (weight * one.mean for weight, one in zip(self.weights, self.posteriors, strict=True)),
            np.zeros(len(self.places)),
        )
        return found


class Surrogate:
    """The beliefs, kept up with a pool that grows and with trials that come and are trained.

    Args:
        pool: the configurations.
        prior: what past tasks tell; None: nothing.
    """

    def __init__(self, pool: Pool, prior: Prior | None) -> None:
        self._pool, self._prior = pool, prior
        self._filler = Filler(prior.scored, prior.kernel) if prior else None
        columns = pool.rows.shape[1]
        self._vague, self._own = Kernel.vague(columns), Kernel.vague(columns)
        self._learn_at = _FIRST
        #: Every past task's score of every configuration of the pool.
        self.scores: Array = np.zeros((len(prior.tasks) if prior else 0, 0))
        self._unknown: Array = self.scores.copy()
        self._beliefs: list[Belief] = []
        self._variances: list[Array] = []
        self._rows: list[dict[int, Array]] = []
        #: One a kernel that a belief has.
        self._likeness: list[Likeness] = []
        self.grow()

    def grow(self) -> None:
        """Take in what is new in the pool."""
        rows = self._pool.rows[self.scores.shape[1] :]
        if self._filler is not None and len(rows):
            scores, unknown = self._filler.at(rows)
            self.scores = np.concatenate([self.scores, scores], axis=1)
            self._unknown = np.concatenate([self._unknown, unknown], axis=1)
        self._build()

    @property
    def favourite(self) -> int | None:
        """The place that past tasks recommend most; None without a history that deserves trust."""
        if self._prior is None or self._prior.coherence < _HEEDED:
            return None
        return int(self._beliefs[0].mean.argmax())

    def outlook(self, running: Running, places: Places) -> Outlook:
        """What is believed of the places, after all that was reported."""
        seen, scores, last = running.judged()
        noise = noise_of(last, running.max_epochs, _NOISE) if len(seen) else np.zeros(0)
        where = np.array([trial.place for trial in seen], dtype=np.int64)
        seen_by = [self._conditioned(i, where, noise) for i in range(len(self._beliefs))]
        off = [scores - belief.mean[where] for belief in self._beliefs]
        evidence = [one.evidence(each) for one, each in zip(seen_by, off, strict=True)]
        weighed = weights(self._beliefs, evidence)
        counts = [i for i, weight in enumerate(weighed) if weight > _NEGLIGIBLE]
        after = self._with_pending(running, where, noise, counts, seen_by)
        found = tuple(
            Posterior(
                evidence[i],
                self._beliefs[i].mean[places] + seen_by[i].shift(off[i], places),
                after[i].variance(self._variances[i], places),
            )
            for i in counts
        )
        past = [belief.name == "history" for belief in self._beliefs]
        trust = float(weighed[past].sum())
        return Outlook(places, found, weighed[counts], trust, self._speaking(where, scores))

    def _conditioned(self, i: int, where: Places, noise: Array) -> Conditioned:
        belief, rows = self._beliefs[i], self._rows[i]
        new = list(dict.fromkeys(place for place in where.tolist() if place not in rows))
        if new:
            by_knobs = next(one for one in self._likeness if one.kernel is belief.kernel).rows(new)
            rows |= zip(new, belief.rows(new, by_knobs), strict=True)
        return Conditioned([rows[place] for place in where.tolist()], where, noise)

    def _with_pending(
        self, running: Running, where: Places, noise: Array, counts: list[int], seen_by: list[Conditioned]
    ) -> list[Conditioned]:
        """The same as if trials that have not reported yet had: whatever they come to, less is unknown."""
        pending = [t.place for t in running.of_state("running") if not t.curve]
        if not pending:
            return seen_by
        new = np.array(pending, dtype=np.int64)
        first = noise_of(np.ones(len(new)), running.max_epochs, _NOISE)
        both = np.concatenate([where, new]), np.concatenate([noise, first])
        return [self._conditioned(i, *both) if i in counts else one for i, one in enumerate(seen_by)]

    def learn(self, running: Running) -> None:
        """Now and then, learn which knobs matter from the running trials alone.

        To be called at every report: what is learned must follow from what happened, not from who asked.
        """
        if sum(1 for trial in running.trials.values() if trial.curve) < self._learn_at:
            return
        seen, scores, last = running.judged()
        self._learn_at = int(np.ceil(_GROWTH * max(len(seen), self._learn_at)))
        noise = noise_of(last, running.max_epochs, _NOISE)
        best = np.argsort(-scores, kind="stable")[:_MOST_LEARNED]
        rows = self._pool.rows[[seen[i].place for i in best]]
        self._own = learn([(rows, scores[best], noise[best])], self._own, rounds=_ROUNDS)
        self._build()

    def _kernels(self) -> list[Kernel]:
        return [self._vague, self._own] + ([self._prior.kernel] if self._prior else [])

    def _build(self) -> None:
        past: list[Belief] = []
        if self._prior is not None:
            weight = max(PAST * self._prior.coherence, LEAST_PAST)
            past = from_history(self.scores, self._unknown, self._prior.kernel, weight)
        weight = 1.0 - sum(belief.weight for belief in past)
        self._beliefs = past + without_history(len(self._pool), self._kernels(), weight)
        kept = {id(one.kernel): one for one in self._likeness}
        kernels = self._kernels()
        self._likeness = [kept.get(id(kernel)) or Likeness(kernel, self._pool) for kernel in kernels]
        self._variances = [belief.variance() for belief in self._beliefs]
        self._rows = [{} for _ in self._beliefs]

    def _speaking(self, where: Places, scores: Array) -> tuple[str, ...]:
        """The up to three past tasks whose scores go along best with those of the running trials."""
        if self._prior is None or len(where) < 3 or not scores.std():
            return ()
        told = self.scores[:, where]
        apart = told - told.mean(axis=1, keepdims=True)
        sizes = np.maximum(np.sqrt((apart**2).sum(axis=1)), 1e-12)
        along = apart @ (scores - scores.mean()) / sizes / np.linalg.norm(scores - scores.mean())
        order = [int(i) for i in np.argsort(-along, kind="stable")[:3] if along[i] >= _SPEAKS]
        return tuple(dict.fromkeys(self._prior.tasks[i].name for i in order))
