"""Where a job's prior comes from, that it is settled once, and that it travels with the experiment."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.samples.past import bowls
from tests.samples.spaces import SMALL
from tune_lr.errors import BadInput
from tune_lr.experiment import Experiment
from tune_lr.history.history import History
from tune_lr.jobs import prepare, resume, tune
from tune_lr.prior.prior import Prior
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space
from tune_lr.trials.run import Leg

ALIEN = SearchSpace.from_dict({"name": "alien", "knobs": {"depth": {"type": "int", "low": 1, "high": 9}}})


def train(config: dict[str, Any], trial: Any) -> None:
    trial.load()
    for epoch in trial.epochs():
        trial.save({"epoch": epoch})
        trial.report(val_loss=(config.get("lr", 0.0) - 0.1) ** 2 + 1 / epoch)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A history of this test's own, empty at first."""
    monkeypatch.setenv("TUNE_LR_HISTORY", str(tmp_path / "store"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "store"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """An experiment of long ago, over the small space."""
    what: dict[str, Any] = {"searcher": "random", "trials": 6, "max_epochs": 3, "task": {"name": "old task"}}
    tune(train, SMALL, out=tmp_path / "old", progress=False, **what)
    return tmp_path / "old"


def made(out: str, space: Any = SMALL, **asked: Any) -> Experiment:
    """An experiment that is made and not run."""
    return prepare(train, space, out=out, **{"trials": 8, "max_epochs": 9, **asked})[0]


def noted(folder: str) -> Any:
    return json.loads(Path(folder, "experiment.json").read_text())["prior"]


def names(prior: Prior | None) -> list[str]:
    assert prior is not None
    return [task.name for task in prior.tasks]


class TestAuto:
    def test_the_history_comes_first(self, old: Path, store: Path) -> None:
        History(store).add(old)
        experiment = made("x")
        assert names(experiment.prior) == ["old task"]
        assert experiment.prior_told == noted("x") == "history: 1 task"
        assert Prior.load("x/prior").space == SMALL

    def test_else_the_starter_where_it_knows_the_space(self, old: Path, store: Path) -> None:
        assert made("x", "greedy_lr").prior_told == "starter, 21 tasks"
        tune(train, ALIEN, out="alien", searcher="random", trials=4, max_epochs=2, progress=False)
        History(store).add("alien")  # of another space, so of no use
        experiment = made("y", "greedy_lr")
        assert experiment.prior_told == noted("y") == "starter, 21 tasks"
        assert len(names(experiment.prior)) == 21

    def test_else_none(self) -> None:
        experiment = made("x", ALIEN)
        assert experiment.prior is None
        assert experiment.prior_told == noted("x") == "none"
        assert not Path("x/prior").exists()

    def test_a_space_in_which_nothing_varies_has_none(self) -> None:
        fixed = {"name": "fixed", "knobs": {"lr": {"type": "constant", "value": 0.1}}}
        assert made("x", fixed).prior_told == "none"

    def test_of_a_damaged_history_what_is_sound_is_taken(self, old: Path, store: Path) -> None:
        History(store).add(old)
        tune(train, SMALL, out="new", searcher="random", seed=1, trials=6, max_epochs=3, progress=False)
        History(store).add("new", task="another")
        for info in History(store).filter(task="another").tasks():
            file = store / f"{info.id}.parquet"
            content = bytearray(file.read_bytes())
            content[4:200] = bytes(196)  # the footer stays
            file.write_bytes(content)
        with pytest.warns(UserWarning, match="left out of the prior"):
            assert names(made("x").prior) == ["old task"]

    def test_where_the_history_should_be_is_a_file(self, store: Path) -> None:
        store.write_text("no store")
        with pytest.warns(UserWarning, match="the history is left out of the prior"):
            assert made("x", "greedy_lr").prior_told == "starter, 21 tasks"


class TestNamed:
    def test_none(self, old: Path, store: Path) -> None:
        History(store).add(old)
        for out, prior in (("x", "none"), ("y", None)):
            experiment = made(out, prior=prior)
            assert (experiment.prior, experiment.prior_told) == (None, "none")

    def test_the_starter_is_refused_where_it_tells_nothing(self) -> None:
        assert made("x", "greedy_lr", prior="starter").prior_told == "starter, 21 tasks"
        with pytest.raises(BadInput, match=r"^prior: 'starter'.*lr"):
            made("y", ALIEN, prior="starter")
        assert not Path("y").exists()

    def test_an_experiment_is_read_and_the_history_left_alone(self, old: Path, store: Path) -> None:
        experiment = made("x", prior="old")
        assert names(experiment.prior) == ["old task"]
        assert experiment.prior_told == "old: 1 task"
        assert not store.exists()

    def test_a_saved_prior_is_taken_as_it_is(self) -> None:
        saved = Prior.fit(bowls([0.2, 0.4, 0.9]), SMALL)
        saved.save("saved")
        found = made("x", prior="saved").prior
        assert found is not None
        assert found.points(9) == saved.points(9)
        assert (found.kernel.lengths == saved.kernel.lengths).all()

    def test_several_are_joined(self, old: Path) -> None:
        Prior.fit(bowls([0.2, 0.4]), SMALL).save("saved")
        Prior.fit(bowls([0.4, 0.9], seed=1), SMALL).save("more")
        experiment = made("x", prior=["old", "saved", "more", "saved"])
        assert names(experiment.prior) == ["old task", "bowl0", "bowl1", "bowl0", "bowl1"]
        assert experiment.prior_told == "old, saved, more, saved: 5 tasks"

    @pytest.mark.parametrize(
        ("prior", "said"),
        [
            ("nowhere", "a path that exists"),
            ("notes.txt", "no log of a kind that is known"),
            ("alien", "two configurations of the space 'small'"),
            (["saved", "nowhere"], "a path that exists"),
            ("other", "a prior of the space 'small' as it is here"),
            ("torn", "hash"),
            ("<prior 0123456789abcdef>", "the object itself"),
        ],
    )
    def test_what_gives_nothing_is_named_and_leaves_nothing(self, prior: Any, said: str, old: Path) -> None:
        Path("notes.txt").write_text("to do")
        tune(train, ALIEN, out="alien", searcher="random", trials=3, max_epochs=2, progress=False)
        for folder in ("saved", "torn"):
            Prior.fit(bowls([0.5]), SMALL).save(folder)
        shutil.copy("alien/trials.parquet", "torn/trials.parquet")
        content = SMALL.to_dict()
        content["knobs"]["lr"]["high"] *= 2
        Prior.fit(bowls([0.5]), SearchSpace.from_dict(content)).save("other")
        with pytest.raises(BadInput, match=said):
            made("x", prior=prior)
        assert not Path("x").exists()


class TestObjects:
    def test_a_prior(self) -> None:
        given = Prior.fit(bowls([0.2, 0.8]), SMALL)
        experiment = made("x", prior=given)
        assert experiment.prior_told == "given, 2 tasks"
        assert experiment.prior is not None
        assert experiment.prior.points(5) == given.points(5)
        assert made("x", prior=Prior.fit(bowls([0.2, 0.8]), SMALL)).prior_told == "given, 2 tasks"
        with pytest.raises(BadInput, match="another folder: the experiment there has prior"):
            made("x", prior=Prior.fit(bowls([0.3]), SMALL))

    def test_a_history(self) -> None:
        experiment = made("x", prior=bowls([0.2, 0.8]))
        assert names(experiment.prior) == ["bowl0", "bowl1"]
        assert experiment.prior_told == "given history: 2 tasks"

    def test_a_prior_of_another_space_is_refused(self) -> None:
        with pytest.raises(BadInput, match=r"^prior: .*space 'alien'"):
            made("x", ALIEN, prior=Prior.fit(bowls([0.2]), SMALL))
        assert not Path("x").exists()


class TestParts:
    def test_a_searcher_that_takes_no_prior_costs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Prior, "fit", lambda *_: pytest.fail("fitted"))
        monkeypatch.setattr(Prior, "load", lambda *_: pytest.fail("loaded"))
        experiment = made("x", "greedy_lr", searcher="random")
        assert (experiment.prior, noted("x")) == (None, "unused")
        assert not Path("x/prior").exists()

    @pytest.mark.parametrize("prior", ["starter", "old", ["old", "old"]])
    def test_nor_may_one_be_given_to_it(self, prior: Any, old: Path) -> None:
        with pytest.raises(BadInput, match=r"^prior: .*searcher 'random'.*takes no prior"):
            made("x", searcher="random", prior=prior)
        assert not Path("x").exists()

    def test_another_trial_scheduler_is_warned_of_once(self) -> None:
        with pytest.warns(
            UserWarning, match="prior is at its best under trial scheduler freeze-thaw"
        ) as said:
            made("x", trial_scheduler="asha")
        assert len(said) == 1
        assert said[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made("x", trial_scheduler="asha")
            made("y")
            made("z", searcher="random", trial_scheduler="asha")


class TestGoingOn:
    def test_what_is_settled_stays(self, old: Path, store: Path) -> None:
        History(store).add(old)
        first = made("x").prior
        shutil.rmtree(store)
        Path(store).write_text("damage")
        again = Experiment.open("x")
        assert again.prior_told == "history: 1 task"
        assert names(again.prior) == names(first)
        assert names(made("x").prior) == ["old task"]
        assert len(resume("x", train, progress=False).record().trials) > 1

    def test_a_kill_before_it_is_settled_is_made_good(self, old: Path, store: Path) -> None:
        made("x", prior="old")
        shutil.rmtree("x/prior")
        content = json.loads(Path("x/experiment.json").read_text())
        Path("x/experiment.json").write_text(json.dumps({**content, "prior": None}))
        resume("x", train, progress=False)
        assert noted("x") == "old: 1 task"
        assert names(Experiment.open("x").prior) == ["old task"]

    def test_a_prior_that_is_gone_is_said(self) -> None:
        made("x", "greedy_lr")
        shutil.rmtree("x/prior")
        with pytest.raises(BadInput, match="prior"):
            resume("x", train, progress=False)

    def test_it_goes_where_the_experiment_goes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        uri = f"file://{tmp_path}/remote/x"
        monkeypatch.setenv("TUNE_LR_CACHE", str(tmp_path / "A"))
        tune(train, "greedy_lr", out=uri, trials=2, max_epochs=2, progress=False)
        assert fsspec.filesystem("file").exists(f"{tmp_path}/remote/x/prior/prior.json")
        monkeypatch.setenv("TUNE_LR_CACHE", str(tmp_path / "B"))
        assert len(names(Experiment.open(uri).prior)) == 21

    def test_an_experiment_that_is_older_than_priors_goes_on(self, old: Path) -> None:
        content = json.loads((old / "experiment.json").read_text())
        del content["prior"], content["job"]["prior"]
        (old / "experiment.json").write_text(json.dumps(content))
        assert Experiment.open(old).prior is None
        again = {"searcher": "random", "max_epochs": 3, "task": {"name": "old task"}, "progress": False}
        assert len(tune(train, SMALL, out=old, trials=7, **again).record().trials) == 7
        assert len(resume(old, train, trials=8, progress=False).record().trials) == 8

    def test_in_memory_the_object_is_kept(self) -> None:
        job = made("x").job
        experiment, prior = Experiment.open(None, job), Prior.fit(bowls([0.5]), SMALL)
        assert (experiment.prior, experiment.prior_told) == (None, None)
        experiment.take_prior(prior, "mine")
        assert experiment.prior is prior


class TestProposals:
    def test_the_first_ones_are_what_the_prior_recommends(self) -> None:
        space = load_space("greedy_lr")
        experiment = made("x", space)
        with experiment.drive() as driver:
            leg = driver.next()
        assert isinstance(leg, Leg)
        why = experiment.record().trials[leg.trial_id].why
        assert why["source"] == "prior"
        assert set(why["tasks"]) <= set(names(experiment.prior))
        other = made("y", space, prior="none")
        with other.drive() as driver:
            second = driver.next()
        assert isinstance(second, Leg)
        assert second.config != leg.config
        assert other.record().trials[second.trial_id].why["source"] != "prior"
