"""What is compared, and in which order it runs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tune_lr.comparing.plan import Plan, planned
from tune_lr.errors import BadInput, TuneLRError

SPACE = {"name": "one", "knobs": {"lr": {"type": "float", "low": 0.1, "high": 1.0}}}
OTHER = {**SPACE, "name": "two"}


def plan(asked: dict[str, Any] | None = None, spaces: Any = (SPACE,), **changes: Any) -> Plan:
    how: dict[str, Any] = {
        "seeds": 3, "budget": "60epochs", "beyond": 1.5, "neutral": True, "baseline": None
    }  # fmt: skip
    given = (
        {"trainer": "t.py", "engine": ["ray", "inline"]} if asked is None else {"trainer": "t.py", **asked}
    )
    return planned(given, list(spaces), **{**how, **changes})


def test_methods_are_all_combinations_named_after_what_varies() -> None:
    asked = {"engine": ["ray", "inline"], "searcher": "random", "prior": ["auto", "none"]}
    assert list(plan(asked).methods) == [
        "ray, prior auto",
        "ray, prior none",
        "inline, prior auto",
        "inline, prior none",
    ]
    assert list(plan({"searcher": "random"}, (SPACE, OTHER)).methods) == ["one", "two"]


def test_every_method_has_every_seed_and_each_comes_first_by_turns() -> None:
    turns = list(plan(seeds=6).turns())
    assert Counter(turns) == Counter(set(turns))
    assert len(turns) == 18
    firsts = Counter(turns[number][0] for number in range(0, 18, 3))
    assert firsts == {"ray": 2, "inline": 2, "ray (again)": 2}
    assert all({seed for _, seed in turns[at : at + 3]} == {at // 3} for at in range(0, 18, 3))


def test_runs_go_on_beyond_the_budget_and_the_neutral_row_has_other_seeds() -> None:
    made = plan()
    assert made.job("ray", 2) == {
        "trainer": "t.py", "space": SPACE, "engine": "ray", "trials": 90, "budget": "90epochs", "seed": 2
    }  # fmt: skip
    assert made.job("ray (again)", 2)["seed"] not in made.seeds
    assert made.budgeted == {"epochs": 60.0}
    assert plan(budget="2m").job("ray", 0)["budget"] == "180s"
    assert plan(budget=None).budget == "270epochs"
    assert plan(budget=40).budget == "40epochs"
    places = [made.place(*turn) for turn in made.turns()]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"seeds": True}, "seeds"),
        ({"seeds": [0, -1]}, "seed"),
        ({"beyond": 0.5}, "beyond"),
        ({"beyond": "2"}, "beyond"),
        ({"beyond": float("nan")}, "beyond"),
        ({"budget": "soon"}, "budget"),
        ({"budget": True}, "budget"),
        ({"baseline": "x"}, "baseline"),
        ({"asked": {"engine": "ray"}}, "methods"),
        ({"asked": {"engine": ["ray", "ray"]}}, "methods"),
        ({"asked": {"engine": ["ray", "inline"], "prior": object()}}, "prior"),
        ({"asked": {"engine": ["ray", None]}}, "engine"),
        ({"asked": {"engine": ["ray", "inline"], "seed": 3}}, "seed"),
        ({"asked": {"engine": ["ray", "inline"], "trials": 3}}, "trials"),
        ({"asked": {"engine": ["ray", "inline"], "color": "red"}}, "color"),
        ({"asked": {"engine": ["ray", "inline"], "workers": 0}}, "workers"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(TuneLRError, match=field):
        plan(**changes)


def test_a_plan_is_read_as_it_was_written(tmp_path: Any) -> None:
    import json

    made = plan()
    (tmp_path / "comparison.json").write_text(json.dumps(made.to_json()))
    assert Plan.read(tmp_path) == made
    assert Plan.read(tmp_path / "nowhere") is None
    for damage in ("", "{}", "[]", '{"format": 9}', json.dumps({**made.to_json(), "budget": "x"})):
        (tmp_path / "comparison.json").write_text(damage)
        with pytest.raises(BadInput, match="comparison"):
            Plan.read(tmp_path)
