"""One trial's learning rate in words and pictures: what they show, and that nothing upsets them."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from rich.console import Console

from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.trials.run import Leg, Outcome
from tune_lr.views.draw import write
from tune_lr.views.moves import COLOURS, stories
from tune_lr.views.show import show_trial
from tune_lr.views.trial_page import page
from tune_lr.views.trial_plot import figure

SPACE = {"name": "line", "knobs": {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}}

#: first, last, decision, loss, lr
Told = tuple[int, int, str, float | str | None, float | str]
WORKED: list[Told] = [
    (1, 4, "hold", None, 0.1),
    (5, 5, "raise", 2.0, 0.2),
    (6, 9, "warmup", 2.0, 0.2),
    (10, 12, "hold", None, 0.2),
    (13, 13, "cut", 3.0, 0.1),
    (14, 15, "cooldown", 3.0, 0.1),
    (16, 16, "set", None, 0.5),
    (16, 16, "cut", 2.5, 0.5),
    (17, 17, "reset", 2.25, 0.1),
    (18, 20, "hold", None, 0.1),
]


def experiment(at: Path, rows: list[Told], name: str = "schedule", groups: int = 1) -> Experiment:
    made = Experiment.open(
        at,
        Job.make(
            {"trainer": "x.py", "space": SPACE, "searcher": "random", "trial_scheduler": "none", "trials": 1}
        ),
    )
    with made.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            driver.report(leg.trial_id, Report(1, 1.0, {"val_loss": 1.0}))
            driver.finish(leg.trial_id, Outcome("completed"))
    add(at, rows, name, groups)
    return made


def add(at: Path, rows: list[Told], name: str, groups: int = 1) -> None:
    file = at / "trials" / "0000" / "decisions.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "a") as out:
        for first, last, decision, loss, lr in rows:
            lrs = [lr] * groups
            line = {"schedule": name, "first": first, "last": last, "decision": decision, "loss": loss}
            out.write(json.dumps({**line, "lr": lr, "lrs": lrs}) + "\n")


def shown(made: Experiment) -> str:
    stream = io.StringIO()
    show_trial(made, "0", Console(file=stream, width=200, soft_wrap=True, highlight=False))
    return stream.getvalue()


def marks(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """What is marked in which colour, by the decision that the colour stands for."""
    names = {to_hex(colour): kind for kind, colour in COLOURS.items()}
    found: dict[str, list[tuple[float, float]]] = {}
    for line in axes.get_lines():
        if line.get_marker() != "None":
            points = [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
            found[names[to_hex(line.get_color())]] = points
    return found


def test_the_lr_is_drawn_as_it_was_at_every_step(tmp_path: Path) -> None:
    upper, lower = figure(experiment(tmp_path / "it", WORKED), "0000").axes
    line = next(line for line in upper.get_lines() if line.get_drawstyle() == "steps-post")
    steps, lrs = (np.asarray(data, float) for data in line.get_data())
    for first, last, _, _, lr in WORKED:
        for step in range(first, last + 1):
            after = float(lrs[np.searchsorted(steps, step, side="right") - 1])
            assert after == lr or step == 16  # where it was set and decided upon in one step
    assert (steps[0], steps[-1]) == (1, 20)
    assert upper.get_yscale() == "log"
    assert upper.get_shared_x_axes().joined(upper, lower)


def test_every_move_is_marked_in_its_colour_with_the_loss_behind_it(tmp_path: Path) -> None:
    upper, lower = figure(experiment(tmp_path / "it", WORKED), "0").axes
    assert marks(upper) == {
        "raise": [(5, 0.2)],
        "cut": [(13, 0.1), (16, 0.5)],
        "reset": [(17, 0.1)],
        "set": [(16, 0.5)],
    }
    assert marks(lower) == {"raise": [(5, 2.0)], "cut": [(13, 3.0), (16, 2.5)], "reset": [(17, 2.25)]}
    labels = upper.get_legend().get_texts()
    said = {"warmup (4 steps)", "cooldown (2 steps)", "raise (1)", "cut (2)", "reset (1)", "set (1)"}
    assert {text.get_text() for text in labels} == said


def test_rests_that_move_the_lr_are_moves(tmp_path: Path) -> None:
    rows: list[Told] = [
        (1, 1, "raise", 1.0, 0.2),
        (2, 2, "warmup", 0.9, 0.4),
        (3, 3, "warmup", 0.8, 0.8),
        (4, 5, "warmup", 0.8, 0.8),
    ]
    made = experiment(tmp_path / "it", rows)
    (story,) = stories(made, "0000")
    assert [row.first for row in story.changes()] == [1, 2, 3]
    assert [row.first for row in story.rests("warmup")] == [4]
    assert marks(figure(made, "0000").axes[0])["warmup"] == [(2, 0.4), (3, 0.8)]


def test_show_counts_the_moves_and_lists_the_last(tmp_path: Path) -> None:
    text = shown(experiment(tmp_path / "it", WORKED))
    assert (
        "The schedule: 1 raise, 2 cuts, 1 reset, 1 set by others, 3 holds in 20 steps "
        "(4 steps of warmup; 2 steps of cooldown; 1 move without effect, at a bound)" in text
    )
    assert [line.split() for line in text.splitlines() if "cut " in line and "The" not in line] == [
        ["13", "cut", "3", "0.1"],
        ["16", "cut", "2.5", "0.5"],
    ]
    assert "more before these" not in text
    assert str(tmp_path / "it/trials/0000/decisions.jsonl") in text


def test_show_says_how_many_moves_it_leaves_out(tmp_path: Path) -> None:
    rows: list[Told] = [(i, i, "cut", 1.0, 1 / i) for i in range(1, 31)]
    text = shown(experiment(tmp_path / "it", rows))
    assert "30 cuts in 30 steps" in text
    assert "18 more before these" in text


def test_a_trial_without_decisions_is_shown_without_a_word_of_them(tmp_path: Path) -> None:
    made = experiment(tmp_path / "it", [])
    (tmp_path / "it/trials/0000/decisions.jsonl").unlink()
    assert "schedule:" not in shown(made)
    for draw in (figure, page):
        with pytest.raises(BadInput, match=r"decisions of trial: '0000'"):
            draw(made, "0000")
    with pytest.raises(BadInput, match="unknown name '9'"):
        made.plot("9")


def test_a_damaged_file_hides_nothing_else(tmp_path: Path) -> None:
    made = experiment(tmp_path / "it", WORKED)
    with open(tmp_path / "it/trials/0000/decisions.jsonl", "a") as out:
        out.write('{"schedule": "sch')
    text = shown(made)
    assert "val_loss" in text
    assert "line 11" in text or "the end of this one is missing" in text
    with pytest.raises(BadInput, match="the end of this one is missing"):
        write(made, tmp_path / "a.png", "0000")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "rows",
    [
        [(1, 9, "hold", None, 0.1)],
        [(1, 1, "hold", None, 0.0), (2, 2, "cut", 1.0, 0.0)],
        [(1, 1, "cut", "NaN", 0.1), (2, 2, "cut", "Infinity", 0.05), (3, 3, "raise", "-Infinity", 0.1)],
        [(1, 1, "cut", 1e300, 1e-300), (2, 2, "raise", -1e300, 1e300)],
        [(1, 1, "<b>$x_1$\x1b[31m", 1.0, 0.1), (2, 5, "cut", 1.0, 0.05)],
        [(1, 1, "set", None, "NaN"), (2, 2, "set", None, "Infinity")],
        [(i, i, ("raise", "cut")[i % 2], math.sin(i), 0.1 + 0.01 * (i % 2)) for i in range(1, 3001)],
    ],
    ids=["still", "zero", "not finite", "extremes", "markup", "strange rates", "many"],
)
@pytest.mark.parametrize("groups", [1, 12])
def test_nothing_upsets_it(rows: list[Told], groups: int, tmp_path: Path) -> None:
    made = experiment(tmp_path / "it", rows, "gen", groups)
    add(tmp_path / "it", WORKED, "<i>critic$")
    write(made, tmp_path / "a.png", "0")
    assert (tmp_path / "a.png").stat().st_size > 5000
    text = page(made, "0")
    assert "<i>critic" not in text
    assert "<b>$" not in text.split("plotly.js")[-1]
    said = shown(made)
    assert "The schedule 'gen': " in said
    assert "\x1b[31m" not in said


def test_a_notebook_shows_it(tmp_path: Path) -> None:
    made = experiment(tmp_path / "it", WORKED)
    assert made.plot("0000")._repr_png_().startswith(b"\x89PNG")
    assert made.plot(trial="0000").axes
