"""One model behind the searcher ``prior`` and the trial scheduler ``freeze-thaw``: what to train next.

It begins with the configuration that past tasks recommend and holds on to it as long as its curve goes as the
curves of good configurations went. Then a few configurations at random are trained for an epoch, so that a
history that lies is found out. From there on the next is, among the new and the paused, the one whose score
promises the largest improvement (expected improvement under each belief, weighed by evidence). Freeze-thaw
goes back to Swersky, Snoek and Adams 2014 (arXiv 1406.3896).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from tune_lr.errors import BadInput
from tune_lr.prior.ambition import ambition, past_leads, running_leads
from tune_lr.prior.pool import Pool
from tune_lr.prior.prior import Prior
from tune_lr.prior.resemblance import resemblance
from tune_lr.prior.running import Running, Seen
from tune_lr.prior.surrogate import Outlook, Surrogate
from tune_lr.space import SearchSpace

Array = NDArray[np.float64]

#: Configurations drawn at random from the space, and how many of the history's are considered beside them.
_DRAWN, _FROM_PAST = 400, 400
#: Near the best so many neighbours each are added, whenever the trials have grown by so many.
_BEST, _NEIGHBOURS, _GROWN = 3, 12, 8
#: Trained for an epoch before the model decides: at random, with a history and without.
_CONTROLS, _BEGINNERS = 3, 6
#: Evidence against the favourite's curve at which it is let go.
_DISAPPOINTED = -0.3
_NOWHERE = np.zeros(0, dtype=np.int64)
#: Each rung lies at so many times the epochs of the one before.
_FACTOR = 3


@dataclass(frozen=True)
class Choice:
    """What to train next: a paused trial, or a new one; neither where there is nothing.

    Args:
        trial_id: the paused trial.
        values: the new configuration.
        why: what led to it, JSON-safe.
    """

    trial_id: str | None = None
    values: dict[str, Any] | None = None
    why: dict[str, Any] = field(default_factory=dict)


class Model:
    """What is known, and what follows from it. Fed with what happens, in order; nothing else moves it.

    Args:
        space: where configurations come from.
        prior: what past experiments tell; None: nothing.
        candidates: the only configurations there are, values of the space; None: any.
        max_epochs: the most epochs that a trial may train.
        seed: repeatable by it.
        trials: how many trials there may be.

    Raises:
        BadInput: the prior is none, or of another space; there are no candidates, or one is no point of the
            space; there is no epoch to train.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        prior: Prior | None = None,
        candidates: Sequence[Mapping[str, Any]] | None = None,
        max_epochs: int = 27,
        seed: int = 0,
        trials: int | None = None,
    ) -> None:
        _check_prior(prior, space)
        if isinstance(max_epochs, bool) or not isinstance(max_epochs, (int, np.integer)) or max_epochs < 1:
            raise BadInput("max_epochs", max_epochs, "a whole number of at least 1")
        if candidates is not None and not len(candidates):
            raise BadInput("candidates", candidates, "at least one configuration, or None for any")
        self.space, self.prior, self.seed, self.limit = space, prior, seed, trials
        self.running = Running(max_epochs)
        self._grows = candidates is None
        self._pool = Pool(space, _beginning(space, prior, seed) if candidates is None else candidates)
        self._surrogate = Surrogate(self._pool, prior)
        self.rungs = rungs(max_epochs)
        self._look = resemblance(prior.tasks, self.rungs[1:-1]) if prior else None
        self._leads = past_leads(prior.tasks) if prior else []
        self._next_growth = _GROWN
        #: The first trial, where the history recommended it, as long as it is held.
        self._held: Seen | None = None
        self._evidence: dict[int, float] = {}
        self._chosen: Choice | None = None
        self._new_one: Choice | None = None
        #: Whether new configurations have run out, for a reason that lies outside.
        self.closed = False

    # What happens -----------------------------------------------------------------------------------

    def begin(self, trial_id: str, values: Mapping[str, Any]) -> None:
        """A trial begins; one that is known already changes nothing."""
        if trial_id in self.running.trials:
            return
        place = self._pool.place(values)
        if place is None:
            (place,) = self._pool.add([values])
            self._surrogate.grow()
        trial = Seen(trial_id, place)
        if not self.running.trials and place == self._surrogate.favourite:
            self._held = trial
        self.running.trials[trial_id] = trial
        self._grow()
        self._changed()

    def observe(self, trial_id: str, epoch: int, loss: float) -> None:
        """A trial's loss after an epoch; one that was heard already changes nothing."""
        trial = self.running.trials.get(trial_id)
        if trial is not None and trial.observe(epoch, loss):
            if trial is self._held:
                self._reconsider(trial, epoch)
            self._surrogate.learn(self.running)
            self._changed()

    def pause(self, trial_id: str) -> None:
        """A trial waits; it may be chosen."""
        self._set(trial_id, "paused")

    def go_on(self, trial_id: str) -> None:
        """A trial that waited is trained again."""
        self._set(trial_id, "running")

    def end(self, trial_id: str) -> None:
        """A trial will never be trained again."""
        self._set(trial_id, "ended")

    def close(self) -> None:
        """No new configuration can be tried, as far as others know."""
        if not self.closed:
            self.closed = True
            self._changed()

    # What follows -----------------------------------------------------------------------------------

    def choose(self) -> Choice:
        """What to train next, new or paused. Asking changes nothing."""
        if self._chosen is None:
            self._chosen = self._decide(self.running.of_state("paused"), self._open())
        return self._chosen

    def choose_new(self) -> Choice:
        """Which new configuration to train next, whatever is paused. Asking changes nothing."""
        if self._new_one is None:
            self._new_one = self._decide([], self._open())
        return self._new_one

    def _decide(self, paused: Sequence[Seen], new: NDArray[np.int64]) -> Choice:
        trials = self.running.trials
        if self._held in paused and self._held is not None:
            return Choice(trial_id=self._held.trial_id, why=self._told("prior", self._trust()))
        if len(new):
            favourite = self._surrogate.favourite
            if not trials and favourite is not None:
                return self._start(favourite, self._told("prior", self._trust()))
            if len(trials) < (_BEGINNERS if favourite is None else _CONTROLS + 1):
                return self._start(self._drawn(new), {"source": "start" if favourite is None else "control"})
        if not len(new) and not paused:
            return Choice()
        return self._most_promising(paused, new)

    def _most_promising(self, paused: Sequence[Seen], new: NDArray[np.int64]) -> Choice:
        waiting = np.array([trial.place for trial in paused], dtype=np.int64)
        seen = np.array(
            [t.place for t in self.running.trials.values() if t.curve and not t.ruined], dtype=np.int64
        )
        asked = np.concatenate([new, waiting, seen])
        outlook = self._surrogate.outlook(self.running, asked)
        count, mean = len(new) + len(waiting), outlook.mean
        best = float(mean[count:].max()) if len(seen) else float(mean.mean())
        gain = _improvement(outlook, best + self._ambition(outlook.trust))[:count]
        # Rounded: of equals the first, whatever the last digits, which differ with the order of the work.
        at = int((gain / max(float(gain.max()), 1e-300)).round(9).argmax())
        why = self._told("prior" if outlook.trust > 0.5 else "model", outlook.trust, outlook.tasks)
        if at < len(new):
            return self._start(int(new[at]), why)
        return Choice(trial_id=paused[at - len(new)].trial_id, why=why)

    def _trust(self) -> float:
        return self._surrogate.outlook(self.running, _NOWHERE).trust

    def _ambition(self, trust: float) -> float:
        """How much more than the best to seek: as past curves say, as far as they are trusted, or these."""
        own = running_leads(list(self.running.trials.values()), self.running.max_epochs)
        alone = ambition(own)
        return trust * ambition(self._leads) + (1.0 - trust) * alone if self._leads else alone

    def _start(self, place: int, why: dict[str, Any]) -> Choice:
        return Choice(values=self._pool.values[place], why=why)

    def _told(self, source: str, trust: float, tasks: Sequence[str] = ()) -> dict[str, Any]:
        """What is noted beside a choice; of trust and tasks only where there is a history."""
        return {"source": source} | (
            {"trust": round(trust, 3), "tasks": list(tasks)} if self.prior is not None else {}
        )

    def _drawn(self, new: NDArray[np.int64]) -> int:
        """One at random; the first of all, without a history, is the default where it is there."""
        if not self.running.trials and self._grows:
            return int(new[0])
        return int(np.random.default_rng([self.seed, len(self.running.trials)]).choice(new))

    def _open(self) -> NDArray[np.int64]:
        """The places that have no trial yet, where another trial may begin."""
        full = self.limit is not None and len(self.running.trials) >= self.limit
        if full or self.closed:
            return np.zeros(0, dtype=np.int64)
        free = np.ones(len(self._pool), dtype=bool)
        free[list(self.running.begun)] = False
        return np.flatnonzero(free)

    # Keeping up -------------------------------------------------------------------------------------

    def _reconsider(self, trial: Seen, epoch: int) -> None:
        """Let the favourite go once it was held long enough, or its curve is unlike those of the good."""
        if self._look is not None and epoch in self._look.epochs and epoch not in self._evidence:
            best = np.fmin.accumulate(np.asarray(trial.curve))
            self._evidence[epoch] = self._look.evidence(best.tolist(), epoch)
        enough = next(rung for rung in self.rungs if rung >= self.running.max_epochs / 2)
        if epoch >= enough or trial.ruined or sum(self._evidence.values()) < _DISAPPOINTED:
            self._held = None

    def _grow(self) -> None:
        """Consider neighbours of the best, now and then."""
        if not self._grows or len(self.running.trials) < self._next_growth:
            return
        self._next_growth = len(self.running.trials) + _GROWN
        seen, scores, _ = self.running.judged()
        best = [seen[i].place for i in np.argsort(-scores, kind="stable")[:_BEST]]
        rng = np.random.default_rng([self.seed, len(self.running.trials), 1])
        self._pool.add(self._pool.neighbours(best, _NEIGHBOURS, rng))
        self._surrogate.grow()

    def _set(self, trial_id: str, state: Any) -> None:
        trial = self.running.trials.get(trial_id)
        if trial is not None and trial.state != state and trial.state != "ended":
            trial.state = state
            if trial is self._held and state == "ended":
                self._held = None
            self._changed()

    def _changed(self) -> None:
        self._chosen = self._new_one = None


def rungs(max_epochs: int) -> list[int]:
    """The epochs after which a trial is weighed against the others: 1, 3, 9, .. and the last."""
    found, epoch = [], 1
    while epoch < max_epochs:
        found.append(epoch)
        epoch *= _FACTOR
    return [*found, max_epochs]


def _improvement(outlook: Outlook, target: float) -> Array:
    """The expected improvement over a score, of each place (Mockus 1978; Jones et al. 1998, equation 15)."""
    total = np.zeros(len(outlook.places))
    for weight, one in zip(outlook.weights, outlook.posteriors, strict=True):
        spread = np.sqrt(one.variance)
        above = (one.mean - target) / spread
        total += weight * spread * (above * ndtr(above) + np.exp(-0.5 * above**2) / np.sqrt(2.0 * np.pi))
    return total


def _beginning(space: SearchSpace, prior: Prior | None, seed: int) -> list[dict[str, Any]]:
    """The default, what the past has tried, and points drawn from the space."""
    past = [space.decode(row) for row in prior.pool[:_FROM_PAST]] if prior else []
    return [space.default(), *past, *space.sample(_DRAWN, seed)]


def _check_prior(prior: object, space: SearchSpace) -> None:
    if prior is None:
        return
    if not isinstance(prior, Prior):
        raise BadInput("prior", prior, "a Prior, as Prior.fit and Prior.load make one, or None")
    if list(prior.space.knobs.items()) != list(space.knobs.items()):
        raise BadInput("prior", f"one of the space {prior.space.name!r}", f"one of {space.name!r}")
