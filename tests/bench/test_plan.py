"""Who takes part, over which space, and what it comes to."""

from __future__ import annotations

import inspect

import pytest

from tune_lr import registry
from tune_lr.bench.contenders import CONTENDERS, Contender, contender_named, registered, space_of
from tune_lr.bench.plan import Cell, Settings, estimate, make_plan
from tune_lr.bench.tasks import TASKS
from tune_lr.cli.bench import DEFAULTS
from tune_lr.errors import BadInput, UnknownName


def test_every_registered_schedule_but_one_is_a_contender() -> None:
    same_trace = {"greedy-device"}  # as greedy
    assert set(registry.names("schedules")) - same_trace <= {one.schedule for one in CONTENDERS.values()}


def test_every_schedule_meets_every_optimizer_on_every_task_and_greedy_comes_first() -> None:
    cells = make_plan()
    assert len(set(cells)) == len(cells)
    assert {one.contender for one in cells} == set(registered())
    schedules = [name for name in registered() if not CONTENDERS[name].optimizer]
    assert len([one for one in cells if one.contender in schedules]) == len(schedules) * 3 * len(TASKS)
    assert {one.contender for one in cells[: 3 * len(TASKS)]} == {"greedy"}


def test_a_part_of_it_has_greedy_all_the_same() -> None:
    cells = make_plan(["diabetes"], ["cosine"], ["adam"])
    assert cells == [Cell("diabetes", "adam", "greedy"), Cell("diabetes", "adam", "cosine")]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((["digit-mlp"], [], []), "did you mean digits-mlp"),
        (([], ["cosin"], []), "did you mean cosine"),
        (([], [], ["adamax"]), "known: adam, adamw, sgd"),
    ],
)
def test_an_unknown_name_is_told(asked: tuple[list[str], list[str], list[str]], message: str) -> None:
    with pytest.raises(UnknownName, match=message):
        make_plan(*asked)


def test_an_optimizer_of_its_own_takes_part_beside_the_one_it_is_compared_with() -> None:
    one = Contender("prodigy", "prodigy", optimizer="prodigy", beside="adamw")
    assert one.optimizers(["sgd", "adamw"]) == ("prodigy",)
    assert one.optimizers(["sgd"]) == ()
    assert one.opponent("prodigy") == "adamw"
    assert Contender("cosine", "cosine", "cosine").opponent("sgd") == "sgd"


def test_what_is_not_registered_is_no_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTENDERS, "magic", Contender("magic", "constant", "magic"))
    assert "magic" not in registered()
    with pytest.raises(UnknownName, match="magic"):
        contender_named("magic")


@pytest.mark.parametrize("name", registered())
def test_a_space_is_the_shipped_one_with_task_and_optimizer_in_it(name: str) -> None:
    contender = contender_named(name)
    (optimizer, *_) = contender.optimizers(["sgd", "adam", "adamw"])
    space = space_of(contender, optimizer, "diabetes")
    config = space.config(space.default())
    assert config["task"] == "diabetes"
    assert config["optimizer"] == optimizer
    assert config["schedule"] == contender.schedule
    assert all(config[knob] == value for knob, value in contender.fixed.items())
    assert not set(contender.fixed) & set(space.names)
    for values in space.sample(20, 0):
        space.config(values)


def test_knobs_of_another_optimizer_are_left_out_and_conditions_that_hold_dropped() -> None:
    sgd, adam = (
        space_of(contender_named(name), name, "diabetes").config(
            space_of(contender_named(name), name, "diabetes").default()
        )
        for name in ("dadapt-sgd", "dadapt-adam")
    )
    assert "momentum" in sgd
    assert "beta2" not in sgd
    assert "beta2" in adam
    assert "momentum" not in adam


def test_of_optimizers_only_what_concerns_the_step_is_tuned() -> None:
    for name in registered():
        contender = CONTENDERS[name]
        if contender.optimizer:
            searched = space_of(contender, contender.optimizer, "diabetes").names
            assert not {"weight_decay", "momentum", "beta1", "beta2"} & set(searched)


def test_the_budget_counts_epochs() -> None:
    settings = Settings(trials=10, epochs=20, seeds=5)
    assert settings.budget == 200
    assert (settings.repeats, settings.search_budget) == (1, 120)
    assert Settings(trials=3, epochs=20).search_budget == 60
    assert settings.epochs_of_a_cell == 200 + 2 * 5 * 20
    cells = [Cell("a", "sgd", "x"), Cell("a", "adam", "x"), Cell("b", "sgd", "x")]
    assert estimate(cells, settings, {("a", "x"): 0.1, ("b", "x"): 0.5}, workers=2) == pytest.approx(140.0)


@pytest.mark.parametrize("field", ["trials", "epochs", "seeds"])
def test_settings_that_make_no_sense_are_refused(field: str) -> None:
    with pytest.raises(BadInput, match=f"--{field}: 0 is not usable; expected a whole number from"):
        Settings(**{field: 0})


def test_help_tells_the_defaults_that_there_are() -> None:
    parameters = inspect.signature(Settings).parameters
    assert {name: one.default for name, one in parameters.items()} == DEFAULTS
