"""The history in tables and pictures: what they say, and that nothing in a stranger's log upsets them."""

from __future__ import annotations

import io
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from tune_lr.history.entry import TaskInfo
from tune_lr.history.history import History
from tune_lr.spacefile import load_space
from tune_lr.views import draw
from tune_lr.views.history import as_json, bars, list_tasks, objective, show_task
from tune_lr.views.history_added import skipped_lines
from tune_lr.views.history_coverage import BINS, CHOICES, OTHERS, Covered, coverage
from tune_lr.views.history_curves import MOST, curves_of
from tune_lr.views.history_page import page
from tune_lr.views.history_plot import figure

#: What somebody might call something to upset whoever shows it.
HOSTILE = ["[red]a[/red] $x_$ {b}", "\x1b[31mred\r\n", "a\x00\u202eb", "n" * 100_000, "\ud800half"]


def task(**known: Any) -> TaskInfo:
    """One of 40 trials, with what is given in place of the usual."""
    usual: dict[str, Any] = {
        "id": "3fa2b1c90d11", "task": "digits", "source": "ray", "origin": "/logs/ray", "metric": "val_loss",
        "mode": "min", "scope": "best", "fidelity": "epochs", "trials": 40, "reports": 400, "epochs": 27,
        "statuses": {"completed": 25, "stopped": 15}, "space": None, "space_dict": None, "matched": {},
        "unmatched": [], "outside": 0, "knobs": {}, "descriptors": {}, "versions": {}, "notes": [],
        "best": 0.0123, "metrics": ["val_loss", "lr"], "guessed": [],
    }  # fmt: skip
    return TaskInfo(**{**usual, **known})


def trials_frame(configs: list[dict[str, Any]]) -> pd.DataFrame:
    """One row a configuration, the first the best under ``min``."""
    rows = [
        {
            "task": "digits",
            "trial_id": f"t{i}",
            "status": "completed" if i % 8 < 5 else "stopped",
            "epochs": 10,
            "best": i / 10,
            **{f"config/{name}": value for name, value in config.items()},
        }
        for i, config in enumerate(configs)
    ]
    return pd.DataFrame(rows)


def reports_frame(trials: int, epochs: int) -> pd.DataFrame:
    """``val_loss`` and ``lr`` of every trial at every epoch."""
    rows = [
        {"task": "digits", "trial_id": f"t{i}", "epoch": epoch, "val_loss": i / 10 + 1 / epoch,
         "lr": 0.1 / epoch}
        for i in range(trials)
        for epoch in range(1, epochs + 1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def shown(call: Any, *arguments: Any, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    call(*arguments, Console(file=stream, width=250, soft_wrap=True, highlight=False))
    stream.flush()
    return raw.getvalue().decode(encoding)


def covered(values: list[Any], name: str = "lr", **known: Any) -> Covered:
    info = task(**{"space": "greedy_lr", "space_dict": load_space("greedy_lr").to_dict(), **known})
    frame = pd.DataFrame(
        {"trial_id": list(map(str, range(len(values)))), "best": np.arange(float(len(values)))}
    )
    frame[f"config/{name}"] = values
    return coverage(info, frame)[0]


# coverage


def test_numbers_are_counted_in_the_range_of_their_knob() -> None:
    found = covered([1e-4, 1e-4, 1e-2, 1.0, 7.0])
    assert (found.kind, found.known, found.log, found.trials, found.outside) == ("float", True, True, 5, 1)
    assert found.counts == (2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    assert found.edges[0] == pytest.approx(1e-4)
    assert found.edges[-1] == pytest.approx(1.0)
    assert (found.smallest, found.largest) == (1e-4, 7.0)
    assert sum(found.good) == 1
    assert found.good[0] == 1  # the best tenth of five is one trial, the first


def test_the_good_ones_follow_the_mode() -> None:
    assert covered([1e-4, 1e-2, 1.0], mode="max").good[-1] == 1
    assert sum(covered([1e-4, 1e-2, 1.0], mode=None).good) == 0


@pytest.mark.parametrize(("name", "low", "high"), [("patience", 0, 15), ("window_size", 2, 50)])
def test_every_part_of_a_whole_number_has_one(name: str, low: int, high: int) -> None:
    found = covered(list(range(low, high + 1)), name)
    assert found.kind == "int"
    assert sum(found.counts) == high - low + 1
    assert min(found.counts) >= 1
    assert len(found.counts) <= BINS


def test_missing_values_do_not_count() -> None:
    found = covered([0.1, None, math.nan, 0.2])
    assert (found.trials, sum(found.counts)) == (2, 2)


def test_choices_of_the_space_stand_in_its_order() -> None:
    found = covered(["rel", "rel", "odd"], "threshold_mode")
    assert (found.labels, found.counts, found.outside) == (("abs", "rel"), (0, 2), 1)
    found = covered([True, False, True], "smooth")
    assert (found.labels, found.counts) == (("true", "false"), (2, 1))


def test_what_is_no_knob_is_seen_from_the_least_to_the_greatest() -> None:
    found = covered([2.0**i for i in range(12)], "batch")
    assert (found.known, found.kind, found.log, found.outside) == (False, "number", True, 0)
    assert sum(found.counts) == 12
    found = covered([32, 16, 16, 64], "batch")
    assert (found.labels, found.counts) == (("16", "32", "64"), (2, 1, 1))


def test_of_many_choices_the_most_frequent_are_shown() -> None:
    found = covered([f"v{i % 50}" for i in range(60)], "word")
    assert len(found.labels) == CHOICES
    assert found.labels[-1] == OTHERS
    assert sum(found.counts) == 60
    assert found.counts[0] == 2


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, None],
        [0.0] * 9,
        [-1e308, 1e308, *map(float, range(9))],
        [5e-324, 1e308, *map(float, range(1, 9))],
        ["a", 1, 2.0, True, None],
        list(range(2**53, 2**53 + 9)),
        [1.0, 1.0 + 2**-52] * 9,
        ["x" * 10**6],
    ],
    ids=["none", "missing", "equal", "widest", "tiniest", "mixed", "large", "close", "long"],
)
@pytest.mark.parametrize("name", ["lr", "patience", "smooth", "schedule", "of_mine"])
def test_nothing_upsets_coverage(values: list[Any], name: str) -> None:
    found = covered(values, name)
    there = sum(value is not None for value in values)
    assert found.trials == there
    assert sum(found.counts) + found.outside == there
    assert len(found.labels or found.edges[1:]) == len(found.counts) == len(found.good)
    assert all(a < b for a, b in zip(found.edges, found.edges[1:], strict=False)) or len(found.edges) == 2


def test_a_space_that_cannot_be_read_is_as_none() -> None:
    assert not covered([0.1, 0.2], space_dict={"name": "x", "knobs": 3}).known


def test_bounds_of_the_lr_are_seen_as_ratios() -> None:
    info = task(space="greedy_lr", space_dict=load_space("greedy_lr").to_dict())
    frame = pd.DataFrame({"best": [1.0, 2.0], "config/lr": [0.1, 0.2], "config/max_lr": [1.0, 1.0]})
    found = {knob.name: knob for knob in coverage(info, frame)}
    assert list(found) == ["lr", "max_lr_ratio"]
    assert (found["max_lr_ratio"].smallest, found["max_lr_ratio"].largest) == pytest.approx((5.0, 10.0))


# tables


def test_the_list() -> None:
    text = shown(list_tasks, [task(), task(id="beef12345678", task="other", metric=None, best=None)])
    assert re.search(r"3fa2b1c90d11 +digits +ray +40 +400 +val_loss \(min\) +0.0123", text)
    assert "2 experiments of 2 tasks: 80 trials, 800 reports." in text
    assert "tune-lr history add PATH" in shown(list_tasks, [])


def test_what_is_said_of_one() -> None:
    space = load_space("greedy_lr")
    info = task(
        space="greedy_lr",
        space_dict=space.to_dict(),
        matched={"lr": 40, "factor": 0},
        unmatched=["batch"],
        outside=3,
        descriptors={"dataset": "digits"},
        versions={"ray": "2.60"},
        guessed=["mode"],
        notes=["Epochs counted from 0."],
    )
    trials = trials_frame(space.sample(40, 0))
    text = shown(lambda console: show_task(info, coverage(info, trials), console))
    for said in (
        "digits: 40 trials (25 completed, 15 stopped), 400 reports, up to 27 epochs",
        "val_loss (min), best report; best 0.0123",
        "greedy_lr: 1 of 18 knobs found; 3 trials outside of it; no knob of it: batch",
        "dataset     digits",
        "written by  ray 2.60",
        "guessed     mode",
        "Epochs counted from 0.",
        "constant: schedule greedy",
    ):
        assert said in text
    assert re.search(r"  lr +log float +0.0001 to 1 +40 +\S+ to \S+ +[▁▂▃▄▅▆▇█·]{12} ", text)


def test_what_decides_about_a_trial_is_said() -> None:
    assert objective(task(best=0.7)) == "val_loss (min), best report; best 0.7"
    assert objective(task(scope="avg-3", best=None)) == "val_loss (min), avg-3"
    final = task(by_final=True, best=0.7)
    assert objective(final) == "val_loss (min), final value, else best report; best 0.7"


def test_bars() -> None:
    assert bars([0, 1, 4, 8]) == "·▁▄█"
    assert bars([0, 1, 4, 8], plain=True) == ".148"
    assert bars([0, 1, 1000]) == "·▁█"
    assert bars([]) == bars([], plain=True) == ""


def test_a_terminal_without_bars_gets_digits() -> None:
    info, trials = task(), trials_frame(load_space("greedy_lr").sample(40, 0))
    text = shown(lambda console: show_task(info, coverage(info, trials), console), encoding="ascii")
    assert "1" in text


def test_nothing_in_a_log_reaches_the_terminal_as_it_is() -> None:
    for text in HOSTILE:
        info = task(
            task=text, source=text, origin=text, metric=text, metrics=[text], unmatched=[text],
            descriptors={text: text}, versions={text: text}, notes=[text], guessed=[text],
            statuses={text: 40},
        )  # fmt: skip
        # Neither pandas nor Parquet has lone surrogates, so only the footer may bring one.
        value = text if text.isascii() or "\u202e" in text else "plain"
        trials = trials_frame([{value: value}, {value: "b"}])
        said = shown(lambda console, i=info, t=trials: show_task(i, coverage(i, t), console))
        said += shown(list_tasks, [info])
        said += "\n".join(skipped_lines(Counter({(text, text): 2})))
        assert [line for line in said.splitlines() if not line.isprintable()] == []
        assert "[/red]" not in text or "[/red]" in said  # no markup: it stands there as it is
        assert len(said) < 20_000


def test_json_is_strict() -> None:
    made = json.loads(json.dumps(as_json(task(best=math.nan, task=HOSTILE[-1])), allow_nan=False))
    assert made["best"] is None
    assert made["task"] == HOSTILE[-1]
    assert made["statuses"] == {"completed": 25, "stopped": 15}


def test_what_to_do_about_a_table_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / f"{'long' * 20}.csv"
    names = ",".join(f"a_column_of_whatever_{place}" for place in range(100))
    path.write_text(f"epoch,{names}\n{'text,' * 100}text\n")
    counts = History(tmp_path / "store").add(path).skipped.counts
    (line,) = [line for line in skipped_lines(counts) if "cannot be told" in line]
    for advice in ("--rename OLD=NEW", "--metric NAME", "--mapping FILE", "trial: run", "metric: val_loss"):
        assert advice in line
    assert len(line) < 600


def test_what_was_skipped_is_told_by_reason() -> None:
    counts = Counter({(f"trial_{i}/result.json", "a line that is no JSON"): 2 for i in range(5)})
    counts["params.json", "an empty file"] = 1
    assert skipped_lines(counts) == [
        "skipped, 11 times:",
        "  10 x a line that is no JSON: trial_0/result.json and 4 other places",
        "  1 x an empty file: params.json",
    ]
    many = Counter({("here", f"reason {i}"): 1 for i in range(30)})
    assert len(skipped_lines(many)) == 22
    assert skipped_lines(many)[-1] == "  and 10 other reasons; --verbose tells all"
    assert len(skipped_lines(many, None)) == 31
    assert skipped_lines({}) == []


# pictures


def sample(count: int = 40, epochs: int = 10, **known: Any) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    space = load_space("greedy_lr")
    info = task(**{"trials": count, "space": "greedy_lr", "space_dict": space.to_dict(), **known})
    return info, trials_frame(space.sample(count, 0)), reports_frame(count, epochs)


def test_the_curves() -> None:
    info, trials, reports = sample(3)
    found = curves_of(info, trials, reports.sample(frac=1, random_state=0))
    assert found.best == "t0"
    assert found.unit == "epoch"
    curve = found.best_curve
    assert curve is not None
    assert curve.epochs == list(range(1, 11))
    assert curve.values == pytest.approx([1 / epoch for epoch in range(1, 11)])
    assert curve.lrs == pytest.approx([0.1 / epoch for epoch in range(1, 11)])
    assert curves_of(task(mode="max", trials=3), trials, reports).best == "t2"
    assert curves_of(task(fidelity="steps", trials=3), trials, reports).unit == "step"


def test_values_without_a_curve_are_points() -> None:
    info, trials, reports = sample(3)
    found = curves_of(info, trials, reports.iloc[:0])
    assert found.unit == "trial"
    assert {curve.trial_id: (curve.epochs, curve.values) for curve in found.trials} == {
        "t0": ([1], [0.0]), "t1": ([2], [0.1]), "t2": ([3], [0.2]),
    }  # fmt: skip


def test_thousands_of_trials_are_drawn_by_a_few_hundred() -> None:
    info, trials, reports = sample(2000, 2)
    found = curves_of(info, trials, reports)
    assert len(found.trials) <= MOST
    assert found.best == "t0"
    titles = [text.get_text() for text in figure(info, trials, reports).texts]
    assert f"2000 trials, {MOST} of them drawn" in str(figure(info, trials, reports)._suptitle) or titles


def test_the_figure_has_a_panel_for_each_curve_and_knob_that_varies() -> None:
    titles = [axes.get_title(loc="left") for axes in figure(*sample()).axes if axes.axison]
    assert titles[:3] == ["val_loss of each trial", "learning rate of each trial", "lr"]
    assert len(titles) == 2 + 12
    assert not {"schedule", "eps"} & set(titles)
    lr = next(axes for axes in figure(*sample()).axes if axes.get_title(loc="left") == "lr")
    assert lr.get_xscale() == "log"
    assert lr.get_xlim() == pytest.approx((1e-4, 1.0))


def test_the_page_needs_no_network_and_takes_nothing_for_markup() -> None:
    info, trials, reports = sample(6, task="<script>alert(1)</script>", metric="<b>loss")
    trials["config/threshold_mode"] = "<i>it"
    trials["trial_id"] = "<b>" + trials["trial_id"]
    text = page(info, trials, reports.assign(**{"<b>loss": 1.0}))
    assert not re.search(r"<(script|link)[^>]+(src|href)=", text[: text.index("<body")])
    for tag in ("<script>alert", "<b>loss", "<i>it", "<b>t0"):
        assert tag not in text


@pytest.mark.parametrize("suffix", ["png", "html"])
@pytest.mark.parametrize("name", ["usual", "no trials", "no reports", "hostile", "nothing said", "constant"])
def test_nothing_upsets_a_picture(name: str, suffix: str, tmp_path: Path) -> None:
    info, trials, reports = sample(6)
    if name == "no trials":
        trials, reports = trials.iloc[:0], reports.iloc[:0]
    elif name == "no reports":
        reports = reports.iloc[:0]
    elif name == "hostile":
        info = task(task=HOSTILE[0], metric=HOSTILE[1])
        trials["config/a"] = [*HOSTILE[:-1], "x", "y"]
        trials = trials.rename(columns={"config/lr": f"config/{HOSTILE[-2]}"})
        trials["status"] = [None, "odd", math.nan, "failed", "diverged", "paused"]
        reports = reports.rename(columns={"val_loss": HOSTILE[1]})
        reports[HOSTILE[1]] = [math.nan, math.inf, None, 1e300, -1e300, 0.0] * 10
    elif name == "nothing said":
        info = task(metric=None, mode=None, best=None)
        trials["best"] = None
    elif name == "constant":
        trials = trials[["trial_id", "status", "best", "config/lr"]].assign(**{"config/lr": 0.1})
    file = tmp_path / f"a.{suffix}"
    draw.save(file, "--plot", lambda: figure(info, trials, reports), lambda: page(info, trials, reports))
    assert file.stat().st_size > 5000
