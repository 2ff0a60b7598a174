"""What the rules cost does not grow out of hand with the trials (benchmarks/scale.py has the figures)."""

from __future__ import annotations

import random
import time

import pytest

from tune_lr import registry

TRIALS, EPOCHS = 5000, 30
#: Some fifty times what they take; going through all trials at each report takes ten times this and more.
SECONDS = 30.0


@pytest.mark.parametrize("name", registry.names("trial_schedulers"))
def test_many_trials_take_seconds(name: str) -> None:
    rule = registry.load("trial_schedulers", name)(max_epochs=EPOCHS)
    chance = random.Random(0)
    trials = [f"{number:04d}" for number in range(TRIALS)]
    began = time.process_time()
    for trial in trials:
        rule.started(trial, {})
    for epoch in range(1, EPOCHS + 1):  # each trains all epochs, whatever the rule says: the most it can hear
        for trial in trials:
            rule.decide(trial, epoch, chance.random())
            rule.resume()
        assert time.process_time() - began < SECONDS, f"epoch {epoch}"
    for trial in trials:
        rule.done(trial, "completed")
    assert time.process_time() - began < SECONDS
