"""The command of a report asks for the cells that are there, and what is not there is told."""

from __future__ import annotations

import pytest

from tune_lr.bench.contenders import CONTENDERS, registered
from tune_lr.bench.extent import command, left_out
from tune_lr.bench.plan import Settings, make_plan

NUMBERS = "--trials 50 --epochs 30 --seeds 15 --seed 0"


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({}, ""),
        ({"tasks": ["diabetes"]}, "--tasks diabetes "),
        ({"optimizers": ["sgd"]}, "--optimizers sgd "),
        (
            {"contenders": ["prodigy"], "optimizers": ["adamw"]},
            "--contenders greedy,prodigy --optimizers adamw ",
        ),
        ({"contenders": ["greedy"]}, "--contenders greedy "),
    ],
)
def test_the_command_names_what_is_not_all_and_asks_for_the_same_cells(
    asked: dict[str, list[str]], named: str
) -> None:
    cells = make_plan(**asked)
    told = command(cells, Settings())
    assert told == f"tune-lr bench schedules {named}{NUMBERS}"
    words = told.split()[3:]
    options = {word.removeprefix("--"): words[at + 1] for at, word in enumerate(words) if at % 2 == 0}
    again = {name: options[name].split(",") for name in options if name not in Settings().to_json()}
    assert make_plan(**again) == cells


def test_what_is_not_there_is_told_by_kind() -> None:
    unregistered = [name for name in CONTENDERS if name not in registered()]
    assert left_out(make_plan()) == (f"contenders {', '.join(unregistered)}" if unregistered else "")
    some = left_out(make_plan(["diabetes"], ["cosine"], ["sgd", "adam"]))
    tasks, optimizers, contenders = some.split("; ")
    assert tasks.startswith("tasks ")
    assert "diabetes" not in tasks
    assert optimizers == "optimizer adamw"
    assert contenders.startswith("contenders constant, linear, cosine-restarts")


def test_cells_that_are_not_finished_are_counted() -> None:
    cells = make_plan(contenders=["cosine"], optimizers=["sgd", "adam"])
    assert "not finished" not in left_out(cells)
    assert left_out(cells[:-1]).endswith(
        f"1 of the {len(cells)} cells of the command, which are not finished"
    )
