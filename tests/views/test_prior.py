"""A prior in numbers, tables and pictures: what they say, and that no stranger's log upsets them."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from tests.samples.past import bowls, past, trial
from tests.samples.spaces import SMALL
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.job import Job
from tune_lr.journal import Report
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace
from tune_lr.trials.run import Leg, Outcome
from tune_lr.views import draw
from tune_lr.views.prior import as_csv, as_json, good_at, points_table, show, show_fitted
from tune_lr.views.prior_kin import LEAST, Kin, kin_of, show_kin
from tune_lr.views.prior_kin import as_json as kin_as_json
from tune_lr.views.prior_page import page, page_of_kin
from tune_lr.views.prior_plot import KNOBS, TASKS, figure, figure_of_kin, rows_of, shown
from tune_lr.views.prior_summary import Marginal, Summary, in_order, summary

#: What somebody might call something to upset whoever shows it.
HOSTILE = [
    "[red]a[/red] $x_$ {b}",
    "\x1b[31mred\r\n",
    "a\x00\u202eb",
    "n" * 1000,
    "<script>alert(1)</script>",
]


def summed(centers: Sequence[float] = (0.3, 0.35, 0.9), **known: Any) -> Summary:
    return summary(Prior.fit(bowls(centers, **known), SMALL))


def knob(told: Summary, name: str) -> Marginal:
    return next(one for one in told.knobs if one.name == name)


def printed(call: Any, *arguments: Any, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    call(*arguments, Console(file=stream, width=250, soft_wrap=True, highlight=False))
    stream.flush()
    return raw.getvalue().decode(encoding)


def experiment(loss_of: Any, trials: int = 12, **asked: Any) -> Experiment:
    """One in memory whose trials report what ``loss_of`` makes of the first coordinate and the epoch."""
    asked = {"searcher": "random", "trial_scheduler": "none", "max_epochs": 3, "trials": trials, **asked}
    made = Experiment.open(None, Job.make({"trainer": "x.py", "space": SMALL.to_dict(), **asked}))
    with made.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            at = float(SMALL.encode(made.record().trials[leg.trial_id].values)[0])
            for epoch in (1, 2, 3):
                if (
                    driver.report(leg.trial_id, Report(epoch, 1.0, {"val_loss": loss_of(at, epoch)}))
                    != "continue"
                ):
                    break
            driver.finish(leg.trial_id, Outcome("completed"))
    return made


# numbers


def test_the_density_is_high_where_the_good_ones_are() -> None:
    told = knob(summed((0.7, 0.75), trials=60), "lr")
    best = told.places[int(np.argmax(told.density))]
    at = SMALL.knobs["lr"].to_unit(best)
    assert 0.65 < at < 0.8
    assert max(told.density) > 2
    assert min(told.density) < 0.5
    assert told.low is not None
    assert told.high is not None
    assert 0.6 < SMALL.knobs["lr"].to_unit(told.low) <= SMALL.knobs["lr"].to_unit(told.high) < 0.85


def test_what_decides_matters_and_what_does_not_hardly_does() -> None:
    told = summed((0.2, 0.5, 0.8), trials=40)
    assert knob(told, "lr").matters > 0.5
    for name in ("min_lr_ratio", "smooth", "window"):
        assert knob(told, name).matters < 0.3


def test_every_configuration_is_counted_where_it_was_tried() -> None:
    told = summed((0.3, 0.8), trials=20)
    assert sum(knob(told, "lr").spread.counts) == 40
    assert sum(knob(told, "lr").spread.good) == 4  # two of twenty a task
    waiting = knob(told, "window").spread
    assert 0 < waiting.trials < 40  # only where it takes part


def test_choices_say_how_much_likelier_each_is_among_the_good() -> None:
    trials = [trial({"lr": 0.02 + i / 100, "smooth": i < 10, "window": 4}, [float(i)]) for i in range(20)]
    told = knob(summary(Prior.fit(past(a=trials), SMALL)), "smooth")
    assert told.spread.labels == ("true", "false")
    assert told.density[0] == pytest.approx((2 + 0.1) / (1 + 0.1))
    assert told.density[1] == pytest.approx(0.1 / 1.1)
    assert good_at(told) == "true x1.9, false x0.1"


def test_a_knob_that_no_good_one_has_tells_nothing() -> None:
    trials = [trial({"lr": 0.02 + i / 100, "smooth": i > 10, "window": 4}, [float(i)]) for i in range(20)]
    told = knob(summary(Prior.fit(past(a=trials), SMALL)), "window")
    assert (told.low, told.high) == (None, None)
    assert set(told.density) == {1.0}
    assert good_at(told) == ""


def test_every_task_counts_the_same() -> None:
    low = [trial({"lr": 0.011 * 1.001**i, "smooth": False}, [float(i)]) for i in range(200)]
    both = [
        trial({"lr": lr, "smooth": False}, [abs(math.log(lr / 0.9))]) for lr in np.geomspace(0.01, 0.95, 20)
    ]
    told = knob(summary(Prior.fit(past(many=low, few=both), SMALL)), "lr")
    assert told.low is not None
    assert told.high is not None
    assert told.low < 0.02  # twenty good ones of the one do not outweigh two of the other
    assert told.high > 0.5


def test_relatives_are_the_most_alike() -> None:
    told = summed((0.1, 0.15, 0.9))
    assert [one.relatives[0][0] for one in told.tasks[:2]] == ["bowl1", "bowl0"]
    assert told.agreement == pytest.approx(np.mean(told.related[np.triu_indices(3, 1)]))
    assert [one.whole for one in told.tasks] == [20, 20, 20]


def test_a_single_task_has_no_relatives() -> None:
    told = summed((0.5,))
    assert told.agreement is None
    assert told.tasks[0].relatives == ()
    assert "correlation" not in printed(show, told)


def test_tasks_that_are_alike_stand_side_by_side() -> None:
    told = summed((0.1, 0.9, 0.12, 0.88))
    order = in_order(told.related)
    assert sorted(order) == [0, 1, 2, 3]
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(3)) == 1
    for odd in (np.ones((1, 1)), np.full((2, 2), np.nan), np.full((5, 5), np.nan)):
        assert sorted(in_order(odd)) == list(range(len(odd)))


# words


def test_a_prior_in_words() -> None:
    text = printed(show, summed())
    assert "prior of small: 3 tasks, 60 configurations, up to 9 epochs" in text
    assert "log float" in text
    assert "passed over:" not in text


def test_what_was_passed_over_is_told() -> None:
    lost = [*[trial({"lr": 0.1, "smooth": False}, [1.0])], trial({"lr": 0.5, "smooth": False}, [0.5])]
    lost += [trial({"lr": 50.0, "smooth": False}, [0.1])] * 2
    told = summary(Prior.fit(past(a=lost, b=lost[:1]), SMALL))
    for view in (show, show_fitted):
        text = printed(view, told)
        assert "a: 2 trials, outside of the space" in text
        assert "b: fewer than two configurations of the space with a value" in text
    assert as_json(told)["tasks"][0]["passed_over"] == {"outside of the space": 2}


def test_ascii_where_the_terminal_has_no_more() -> None:
    text = printed(show, summed(), encoding="ascii")
    assert text.isascii()
    assert printed(show_kin, Kin(5, (("a", 0.5),)), encoding="ascii").isascii()


def test_json_is_strict_and_whole() -> None:
    flat = [trial({"lr": 0.02 + i / 100, "smooth": False}, [1.0]) for i in range(9)]
    good = [trial({"lr": 0.02 + i / 100, "smooth": False}, [float(i)]) for i in range(9)]
    told = as_json(summary(Prior.fit(past(flat=flat, good=good), SMALL)))
    again = json.loads(json.dumps(told, allow_nan=False))
    assert [len(row) for row in again["related"]] == [2, 2]
    assert again["related_by_descriptors"] == [[1.0, None], [None, 1.0]]
    (lr, *_) = again["knobs"]
    assert len(lr["density"]["at"]) == len(lr["density"]["of_good_over_all"])
    assert sum(lr["tried"]["all"]) == 18


def test_points_of_different_knobs() -> None:
    points = [{"lr": 0.1, "smooth": True}, {"lr": 0.25, "window": 4}]
    assert as_csv(points) == "lr,smooth,window\n0.1,true,\n0.25,,4\n"
    assert as_csv([]) == "\n"
    assert printed(lambda console: console.print(points_table(points))).count("0.25") == 1


# an experiment


def test_an_experiment_resembles_the_task_with_the_same_best_place() -> None:
    prior = Prior.fit(bowls((0.1, 0.5, 0.9), trials=40), SMALL)
    kin = kin_of(experiment(lambda at, epoch: abs(at - 0.9) + 1 / epoch), prior)
    assert [name for name, _ in kin.tasks] == ["bowl2", "bowl1", "bowl0"]
    assert kin.tasks[0][1] > 0.9
    assert kin.configurations == 12
    assert kin.chance == pytest.approx(1 / math.sqrt(11))


def test_where_more_is_better_the_order_is_the_same() -> None:
    prior = Prior.fit(bowls((0.1, 0.9)), SMALL)
    kin = kin_of(experiment(lambda at, epoch: -abs(at - 0.9), mode="max"), prior)
    assert kin.tasks[0][0] == "bowl1"


def test_what_diverged_counts_as_bad() -> None:
    prior = Prior.fit(bowls((0.0,)), SMALL)
    kin = kin_of(experiment(lambda at, epoch: math.nan if at > 0.5 else 1.0 + at), prior)
    assert kin.configurations == 12
    assert kin.tasks[0][1] > 0.8


def test_an_experiment_of_another_space_is_placed_in_the_priors() -> None:
    wider = {
        "name": "wide",
        "knobs": {**SMALL.to_dict()["knobs"], "extra": {"type": "int", "low": 0, "high": 9}},
    }
    prior = Prior.fit(bowls((0.1, 0.9)), SMALL)
    made = Experiment.open(
        None,
        Job.make({"trainer": "x.py", "space": wider, "searcher": "random", "trial_scheduler": "none",
                  "max_epochs": 1, "trials": 8}),
    )  # fmt: skip
    with made.drive() as driver:
        while isinstance(leg := driver.next(), Leg):
            driver.report(leg.trial_id, Report(1, 1.0, {"val_loss": math.log(leg.config["lr"])}))
            driver.finish(leg.trial_id, Outcome("completed"))
    assert kin_of(made, prior).tasks[0][0] == "bowl0"


@pytest.mark.parametrize("trials", [1, LEAST - 1])
def test_too_few_trials_tell_nothing(trials: int) -> None:
    prior = Prior.fit(bowls((0.5,)), SMALL)
    with pytest.raises(BadInput, match="3 configurations of space small with a value"):
        kin_of(experiment(lambda at, epoch: at, trials=trials), prior)


def test_a_task_whose_configurations_are_all_as_good_tells_nothing() -> None:
    prior = Prior.fit(bowls((0.1, 0.9)), SMALL)
    kin = kin_of(experiment(lambda at, epoch: 1.0), prior)
    assert all(math.isnan(number) for _, number in kin.tasks)
    told = kin_as_json(kin)
    assert json.loads(json.dumps(told, allow_nan=False))["tasks"][0]["correlation"] is None
    assert "bowl0" in printed(show_kin, kin)
    assert figure_of_kin(kin).axes
    assert "plotly" in page_of_kin(kin)


# pictures


def test_every_knob_has_a_panel_and_the_tasks_a_map() -> None:
    picture = figure(summed())
    titles = [axes.get_title(loc="left") for axes in picture.axes]
    for name in ("lr", "min_lr_ratio", "smooth", "window"):
        assert sum(title.startswith(f"{name} (matters") for title in titles) == 1
    assert any(title.startswith("how the tasks relate by results (mean correlation") for title in titles)
    lr = picture.axes[titles.index(next(title for title in titles if title.startswith("lr")))]
    assert lr.get_xscale() == "log"
    assert lr.get_xlim() == pytest.approx((0.01, 1.0))


def test_of_many_knobs_those_that_matter_are_drawn() -> None:
    knobs = {f"k{i}": {"type": "float", "low": 0.0, "high": 1.0} for i in range(KNOBS + 5)}
    space = SearchSpace.from_dict({"name": "many", "knobs": knobs})
    trials = [trial(values, [values[f"k{KNOBS + 4}"]]) for values in space.sample(40, 0)]
    told = summary(Prior.fit(past(a=trials), space))
    names = [one.name for one in shown(told)]
    assert len(names) == KNOBS
    assert f"k{KNOBS + 4}" in names
    assert names == sorted(names, key=list(knobs).index)


def test_of_many_tasks_some_are_drawn_and_listed() -> None:
    trials = [trial({"lr": lr, "smooth": False}, [lr]) for lr in (0.1, 0.2, 0.4)]
    told = summary(Prior.fit(past(**{f"t{i}": trials for i in range(TASKS + 10)}), SMALL))
    assert len(rows_of(told)) == TASKS
    assert len(set(rows_of(told))) == TASKS
    assert "30 more tasks; --json tells all" in printed(show, told)
    assert len(as_json(told)["tasks"]) == TASKS + 10


@pytest.mark.parametrize("suffix", ["png", "html"])
@pytest.mark.parametrize("name", ["usual", "hostile", "one task", "all the same", "choices only"])
def test_nothing_upsets_a_view(name: str, suffix: str, tmp_path: Path) -> None:
    trials = [trial({"lr": 0.1 * i, "smooth": i > 2, "window": 4}, [float(i)]) for i in range(1, 6)]
    history, space = bowls((0.3, 0.9)), SMALL
    if name == "hostile":
        history = past(metric=HOSTILE[0], **dict.fromkeys(HOSTILE, trials))
    elif name == "one task":
        history = past(a=trials[:2])
    elif name == "all the same":
        history = past(a=[trial(config, [math.nan]) for config, *_ in trials[:3]], b=trials)
    elif name == "choices only":
        choices = {"type": "categorical", "values": HOSTILE[:3]}
        space = SearchSpace.from_dict({"name": "choices", "knobs": {"c": choices}})
        history = past(a=[trial({"c": one}, [float(i)]) for i, one in enumerate(HOSTILE[:3])])
    told = summary(Prior.fit(history, space))
    text = printed(show, told)
    assert all(character.isprintable() or character == "\n" for character in text)
    json.dumps(as_json(told), allow_nan=False)
    file = tmp_path / f"a.{suffix}"
    draw.save(file, "--plot", lambda: figure(told), lambda: page(told))
    assert file.stat().st_size > 5000


def test_the_pages_need_no_network_and_take_nothing_for_markup() -> None:
    trials = [trial({"lr": 0.1 * i, "smooth": False}, [float(i)]) for i in range(1, 6)]
    told = summary(Prior.fit(past(**{HOSTILE[-1]: trials, "b": trials}), SMALL))
    for text in (page(told), page_of_kin(Kin(5, ((HOSTILE[-1], 0.5), ("b", -0.2))))):
        assert not re.search(r"<(script|link)[^>]+(src|href)=", text[: text.index("<body")])
        assert HOSTILE[-1] not in text
