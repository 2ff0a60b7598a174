"""Several beliefs about a pool, conditioned on the trials of an experiment and weighed by evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tune_lr.prior.beliefs import (
    Belief,
    Posterior,
    from_history,
    posterior,
    weights,
    without_history,
)
from tune_lr.prior.fidelity import noise_of
from tune_lr.prior.filling import Filler
from tune_lr.prior.kernels import Kernel, learn
from tune_lr.prior.pool import Pool
from tune_lr.prior.prior import Prior
from tune_lr.prior.running import Running

Array = NDArray[np.float64]
Places = NDArray[np.int64]

#: The variance of a running trial's score after parts of its training: early ones tell little among the good.
_NOISE = np.array([2.0, 1.0, 0.3, 0.03])
#: The knobs' own lengths are learned anew when the trials have grown by this factor, from so many of them.
_GROWTH, _FIRST, _MOST_LEARNED, _ROUNDS = 1.4, 8, 120, 12
#: A past task speaks where its scores go along with those seen.
_SPEAKS = 0.3


@dataclass(frozen=True)
class Outlook:
    """What is believed now of some configurations.

    Args:
        places: which, in the pool.
        posteriors: one a belief, of the scores at those places.
        weights: how far each belief is trusted.
        trust: how far the history is trusted, from 0 to 1.
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
        """The place that past tasks recommend most; None without a history."""
        return int(self._beliefs[0].mean.argmax()) if self._prior else None

    def outlook(self, running: Running, places: Places) -> Outlook:
        """What is believed of the places, after all that was reported."""
        seen, scores, last = running.judged()
        noise = noise_of(last, running.max_epochs, _NOISE) if len(seen) else np.zeros(0)
        where = np.array([trial.place for trial in seen], dtype=np.int64)
        found = [self._posterior(i, where, scores, noise, places) for i in range(len(self._beliefs))]
        weighed = weights(self._beliefs, [one.evidence for one in found])
        found = self._with_pending(running, where, scores, noise, places, found)
        past = [belief.name != "alone" for belief in self._beliefs]
        trust = float(weighed[past].sum())
        return Outlook(places, tuple(found), weighed, trust, self._speaking(where, scores))

    def _posterior(self, i: int, where: Places, scores: Array, noise: Array, asked: Places) -> Posterior:
        belief, rows = self._beliefs[i], self._rows[i]
        for place in set(where.tolist()) - rows.keys():
            rows[place] = belief.row(self._pool.rows, place)
        known = np.array([rows[place] for place in where.tolist()]).reshape(len(where), len(self._pool))
        return posterior(belief.mean, self._variances[i], known, where, scores, noise, asked)

    def _with_pending(
        self,
        running: Running,
        where: Places,
        scores: Array,
        noise: Array,
        places: Places,
        found: list[Posterior],
    ) -> list[Posterior]:
        """The same where trials that have not reported yet come out as expected."""
        pending = [t.place for t in running.of_state("running") if not t.curve]
        if not pending:
            return found
        new = np.array(pending, dtype=np.int64)
        first = noise_of(np.ones(len(new)), running.max_epochs, _NOISE)
        made = []
        for i, one in enumerate(found):
            expected = self._posterior(i, where, scores, noise, new).mean
            both = np.concatenate([where, new]), np.concatenate([scores, expected])
            after = self._posterior(i, *both, np.concatenate([noise, first]), places)
            made.append(Posterior(one.evidence, one.mean, after.variance))
        return made

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

    def _build(self) -> None:
        kernels = [self._vague, self._own]
        past: list[Belief] = []
        if self._prior is not None:
            past = from_history(self.scores, self._unknown, self._prior.kernel)
            kernels.append(self._prior.kernel)
        self._beliefs = past + without_history(len(self._pool), kernels)
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
