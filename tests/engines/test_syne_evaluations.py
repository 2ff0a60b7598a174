"""A history's trials as evaluations for Syne Tune's transfer learning."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from syne_tune.optimizer.baselines import RandomSearch
from syne_tune.optimizer.schedulers.transfer_learning.bounding_box import BoundingBox

from tests.samples.history import syne_tune as sample
from tests.samples.spaces import SMALL as SPACE
from tune_lr import Trial, tune
from tune_lr.engines.on_syne import to_syne
from tune_lr.engines.on_syne.evaluations import transfer_evaluations
from tune_lr.errors import BadInput
from tune_lr.history.history import History
from tune_lr.history.importers.syne_tune_space import space_of
from tune_lr.space import SearchSpace
from tune_lr.spacefile import load_space

LR = SearchSpace.from_dict({"name": "lr", "knobs": {"lr": {"type": "float", "low": 0.0, "high": 1.0}}})


def box(space: SearchSpace, metric: str, known: Any, **more: Any) -> BoundingBox:
    def make(config_space: Any, metric: str, do_minimize: bool, random_seed: int) -> RandomSearch:
        made = RandomSearch(config_space, [metric], do_minimize=do_minimize, random_seed=random_seed)
        made.box = config_space
        return made

    return BoundingBox(make, to_syne(space), metric, known, random_seed=0, **more)


def history(**tasks: list[tuple[dict[str, Any], list[float]]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of trials with given configurations and curves."""
    rows = [
        {"task": task, "trial_id": str(at), "epoch": epoch, "loss": value, **as_columns(config)}
        for task, trials in tasks.items()
        for at, (config, curve) in enumerate(trials)
        for epoch, value in enumerate(curve, 1)
    ]
    made = History.from_pandas(pd.DataFrame(rows), "loss", "min")
    return made.trials(), made.to_pandas()


def as_columns(config: dict[str, Any]) -> dict[str, Any]:
    return {f"config/{name}": value for name, value in config.items()}


def test_curves_by_configuration_seed_and_epoch() -> None:
    trials, reports = history(
        digits=[
            ({"lr": 0.1}, [3.0, 2.0, 1.0]),
            ({"lr": 0.2}, [5.0]),
            ({"lr": 0.1}, [7.0, 6.0, 5.0]),
            ({"lr": 5.0}, [0.0]),
        ],
        other=[({"lr": 0.3}, [1.0, 0.5])],
    )
    found = transfer_evaluations(trials, reports, LR, "loss", "min")
    assert list(found) == ["digits", "other"]
    digits = found["digits"]
    assert digits.objectives_names == ["loss"]
    assert digits.hyperparameters["lr"].tolist() == [0.1, 0.2], "what lies outside is left out"
    assert digits.objectives_evaluations.shape == (2, 2, 3, 1)
    assert digits.objectives_evaluations[0, :, :, 0].tolist() == [[3.0, 2.0, 1.0], [7.0, 6.0, 5.0]]
    assert digits.objectives_evaluations[1, :, :, 0].tolist() == [[5.0] * 3] * 2
    assert found["other"].objectives_evaluations.tolist() == [[[[1.0], [0.5]]]]


def test_a_bounding_box_is_made_of_the_best() -> None:
    good, bad = [1.0, 0.1], [1.0, 0.9]
    fixed = {"smooth": False, "momentum": 0.9}
    trials, reports = history(
        a=[
            ({"lr": 0.2, "min_lr": 0.02, **fixed}, good),
            ({"lr": 0.9, "min_lr": 0.2, **fixed}, bad),
        ],
        b=[
            ({"lr": 0.4, "min_lr": 0.08, **fixed}, good),
            ({"lr": 0.02, "min_lr": 0.01, "window": 3, **fixed, "smooth": True}, bad),
        ],
    )
    known = transfer_evaluations(trials, reports, SPACE, "loss", "min")
    made = box(SPACE, "loss", known)
    found = made.scheduler.box
    assert (found["lr"].lower, found["lr"].upper) == (0.2, 0.4)
    assert found["min_lr_ratio"].lower == pytest.approx(0.1)
    assert found["min_lr_ratio"].upper == pytest.approx(0.2)
    assert found["smooth"].categories == [False]
    assert found["momentum"] == 0.9
    for _ in range(10):
        config = made.suggest().config
        assert 0.2 <= config["lr"] <= 0.4
        SPACE.validate(SPACE.values({name: value for name, value in config.items() if name != "window"}))


def test_the_direction_decides_what_is_best() -> None:
    trials, reports = history(a=[({"lr": 0.2}, [1.0, 0.1]), ({"lr": 0.9}, [1.0, 0.9, math.inf])])
    most = transfer_evaluations(trials, reports, LR, "loss", "max")
    assert most["a"].objectives_evaluations[1, 0, :, 0].tolist() == [1.0, 0.9, 0.1]
    made = box(LR, "loss", transfer_evaluations(trials, reports, LR, "loss", "min"), do_minimize=True)
    assert made.scheduler.box["lr"].upper == 0.2


def test_gaps_and_what_diverged() -> None:
    frame = pd.DataFrame(
        {
            "trial_id": ["a", "a", "b", "c", "c", "c"],
            "epoch": [2, 6, 4, 2, 4, 6],
            "loss": [3.0, 2.0, 9.0, 1.0, math.nan, math.nan],
            "config/lr": [0.1, 0.1, 0.2, 0.3, 0.3, 0.3],
        }
    )
    made = History.from_pandas(frame, "loss", "min")
    assert made.trials()["status"].tolist()[-1] == "diverged"
    (found,) = transfer_evaluations(made.trials(), made.to_pandas(), LR, "loss", "min").values()
    assert found.objectives_evaluations[:, 0, :, 0].tolist() == [
        [3.0, 3.0, 2.0],
        [9.0, 9.0, 9.0],
        [1.0, 9.0, 9.0],
    ]
    assert np.isfinite(found.objectives_evaluations).all()


def test_a_trial_without_reports_is_its_final_value() -> None:
    trials = pd.DataFrame(
        {
            "trial_id": [0, 1, 2],
            "best": [0.5, None, 0.25],
            "status": ["completed", "failed", "completed"],
            "config/lr": [0.1, 0.2, 0.3],
        }
    )
    reports = pd.DataFrame({"trial_id": [], "epoch": [], "loss": []})
    found = transfer_evaluations(trials, reports, LR, "loss", "min", name="mine")
    assert list(found) == ["mine"]
    assert found["mine"].hyperparameters["lr"].tolist() == [0.1, 0.3], "one has nothing to say"
    assert found["mine"].objectives_evaluations.reshape(-1).tolist() == [0.5, 0.25]


def test_two_experiments_of_one_task_keep_their_curves(tmp_path: Path) -> None:
    store = History(tmp_path / "store")
    for number, lr in enumerate((0.1, 0.2)):
        file = tmp_path / f"{number}.csv"
        file.write_text(f"trial_id,epoch,loss,config/lr\n0,1,{number + 1},{lr}\n0,2,{number + 0.5},{lr}\n")
        store.add(file, task="same", metric="loss", mode="min")
    found = transfer_evaluations(store.trials(), store.to_pandas(), LR, "loss", "min")["same"]
    curves = dict(
        zip(found.hyperparameters["lr"], found.objectives_evaluations[:, 0, :, 0].tolist(), strict=True)
    )
    assert curves == {0.1: [1.0, 0.5], 0.2: [2.0, 1.5]}


def test_the_same_trials_of_two_experiments_are_two_seeds(tmp_path: Path) -> None:
    store = History(tmp_path / "store")
    for number in (1, 2):
        file = tmp_path / f"{number}.csv"
        file.write_text(f"trial_id,epoch,loss,config/lr\n0,1,{number},0.1\n0,2,{number / 2},0.1\n")
        store.add(file, task="same", metric="loss", mode="min")
    found = transfer_evaluations(store.trials(), store.to_pandas(), LR, "loss", "min")["same"]
    curves = found.objectives_evaluations[0, :, :, 0].tolist()
    assert sorted(curves) == [[1.0, 0.5], [2.0, 1.0]]


def test_a_trial_that_never_told_the_metric_gets_no_other() -> None:
    frame = pd.DataFrame(
        {"trial_id": ["a", "b"], "epoch": [1, 1], "loss": [0.5, 0.9], "acc": [0.75, math.nan]}
    )
    made = History.from_pandas(frame.assign(**{"config/lr": [0.1, 0.2]}), "loss", "min")
    (found,) = transfer_evaluations(made.trials(), made.to_pandas(), LR, "acc", "max").values()
    assert found.hyperparameters["lr"].tolist() == [0.1]


def far_from_a_tenth(config: dict[str, Any], trial: Trial) -> None:
    """The nearer to 0.1 the LR begins, the lower the loss; a longer training helps every one."""
    for epoch in trial.epochs():
        trial.report(val_loss=abs(math.log10(config["lr"]) + 1) + 1 / epoch, lr=config["lr"])


def test_an_experiment_of_our_own_goes_over(tmp_path: Path) -> None:
    space = load_space("greedy_lr")
    out = tmp_path / "experiment"
    what: dict[str, Any] = {"searcher": "random", "trials": 12, "max_epochs": 5, "trial_scheduler": "none"}
    tune(far_from_a_tenth, space, engine="inline", out=out, **what)
    store = History(tmp_path / "store")
    store.add(out)
    trials, reports = store.trials(), store.to_pandas()
    known = transfer_evaluations(trials, reports, space, "val_loss", "min")
    (found,) = known.values()
    assert found.objectives_evaluations.shape == (12, 1, 5, 1)
    assert found.objectives_evaluations.min() == trials["best"].min()
    best = trials.loc[trials["best"].idxmin()]
    (top,) = found.top_k_hyperparameter_configurations(1, "val_loss", do_minimize=True)
    assert top["lr"] == best["config/lr"]
    assert top["lr"] * top["max_lr_ratio"] == pytest.approx(best["config/max_lr"])
    assert box(space, "val_loss", known).suggest().config["lr"] == pytest.approx(best["config/lr"])


def test_an_experiment_of_syne_tunes_goes_back(tmp_path: Path) -> None:
    store = History(tmp_path / "store")
    store.add(sample.make_old(tmp_path))
    space = SearchSpace.from_dict(space_of(sample.OLD_METADATA["config_space"]))
    known = transfer_evaluations(store.trials(), store.to_pandas(), space, "accuracy", "max")
    (found,) = known.values()
    assert found.hyperparameters["optimizer"].tolist() == ["sgd", "None", "sgd", "None", "sgd"]
    assert found.objectives_evaluations[0, 0, :, 0].tolist() == [0.1, 0.3, 0.6]
    assert box(space, "accuracy", known, do_minimize=False).scheduler.box["lr"].lower == 0.01


def test_final_values_alone_are_evaluations_too(tmp_path: Path) -> None:
    file = tmp_path / "final.csv"
    file.write_text("trial_id,loss,config/lr\na,0.5,0.1\nb,0.25,0.2\n")
    store = History(tmp_path / "store")
    store.add(file)
    (found,) = transfer_evaluations(store.trials(), store.to_pandas(), LR, "loss", "min").values()
    assert found.objectives_evaluations.reshape(-1).tolist() == [0.5, 0.25]


@pytest.mark.parametrize("lacking", ["trial_id", "best", "task"])
def test_a_column_that_is_missing_is_named(lacking: str) -> None:
    trials, reports = history(a=[({"lr": 0.2}, [1.0])])
    with pytest.raises(BadInput, match=lacking):
        transfer_evaluations(trials.drop(columns=lacking), reports, LR, "loss", "min")
    with pytest.raises(BadInput, match="nothing"):
        transfer_evaluations(trials, reports, LR, "nothing", "min")


def test_a_mode_that_is_none_is_refused() -> None:
    trials, reports = history(a=[({"lr": 0.2}, [1.0])])
    with pytest.raises(BadInput, match="min or max"):
        transfer_evaluations(trials, reports, LR, "loss", "least")  # type: ignore[arg-type]


def test_a_task_without_a_point_of_the_space_is_left_out() -> None:
    trials, reports = history(
        a=[({"lr": 0.2}, [1.0])], b=[({"lr": 7.0}, [1.0])], c=[({"momentum": 1}, [1.0])]
    )
    assert list(transfer_evaluations(trials, reports, LR, "loss", "min")) == ["a"]
