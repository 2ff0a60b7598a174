"""The judge of the prior: its pasts and methods are what they are called; no run is lost or made twice."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tune_lr.jobs.replaying import replay
from tune_lr.space import SearchSpace

ROOT = Path(__file__).resolve().parents[2]
SPACE = SearchSpace.from_dict(
    {
        "name": "small",
        "knobs": {
            "lr": {"type": "float", "low": 1e-3, "high": 1.0, "log": True},
            "patience": {"type": "int", "low": 0, "high": 20},
            "smooth": {"type": "categorical", "values": [True, False]},
            "window_size": {"type": "int", "low": 2, "high": 50, "log": True, "when": {"smooth": True}},
            "momentum": {"type": "constant", "value": 0.9},
        },
    }
)
CONFIGS, EPOCHS, BUDGET = 40, 9, 60


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("transfer", ROOT / "benchmarks/transfer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRANSFER = _load()
histories, baseline, methods, filing = (
    importlib.import_module(f"transfer_.{name}") for name in ("histories", "baseline", "methods", "parts")
)
files = sys.modules["transfer_.tables"]


@pytest.fixture(scope="module")
def tables():
    """Four tasks that agree on where the best LR is, each with trainings that diverge where it is large."""
    rng = np.random.default_rng(0)
    values = SPACE.sample(CONFIGS, 1)
    lr = np.log10([point["lr"] for point in values])
    curves = {}
    for number in range(4):
        floor = 0.1 + (lr - (-1.5 + 0.1 * number)) ** 2 + 0.01 * rng.random(CONFIGS)
        curve = floor[:, None] + 2.0 / np.arange(1, EPOCHS + 1) + 0.05 * rng.random((CONFIGS, EPOCHS))
        curve[lr > -0.2, 4:] = np.nan
        curve[lr > -0.1, :] = np.nan
        curves[f"task-{number}"] = curve
    return files.Tables(SPACE, values, curves)


@pytest.fixture(scope="module")
def source(tables, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "small.npz"
    files.save(tables, path)
    return path


def past(tables, kind, group=0):
    return histories.past_of(kind, tables, "task-0", group, BUDGET)


class TestTables:
    def test_a_file_of_anybodys_is_read_as_it_was_written(self, tables, source):
        found = files.load(source)
        assert found.digest == tables.digest
        assert found.values[3] == pytest.approx(tables.values[3])
        np.testing.assert_array_equal(found.curves["task-2"], tables.curves["task-2"])

    def test_the_packed_data_set_is_read_as_it_was_recorded(self, tmp_path):
        pack, record = (importlib.import_module(f"starter_.{name}") for name in ("pack", "record"))
        curves = np.random.default_rng(0).random((16, len(record.METRICS), EPOCHS), np.float32)
        curves[4, :, 3:] = np.nan
        held = {task: {0: curves + at, 1: curves[::-1]} for at, task in enumerate(("later", "earlier"))}
        path = tmp_path / "all.parquet"
        pack.write(path, pack.table(held, {"later": {}, "earlier": {}}))
        found = files.load(path)
        assert found.space == record.space()
        assert [found.space.key(one) for one in found.values] == list(
            map(record.space().key, record.values(16))
        )
        assert sorted(found.tasks) == ["earlier", "later"]
        np.testing.assert_array_equal(found.curves["earlier"], curves[:, 0] + np.float32(1))

    def test_one_other_number_is_another_table(self, tables):
        curves = {task: curve.copy() for task, curve in tables.curves.items()}
        curves["task-1"][0, 0] += 1e-9
        assert files.Tables(SPACE, tables.values, curves).digest != tables.digest


class TestBaseline:
    @pytest.mark.parametrize("seed", range(5))
    def test_it_trains_what_a_replay_of_random_search_under_asha_trains(self, tables, seed):
        for task in tables.tasks[:2]:
            told = replay(
                SPACE, tables.values, tables.curves[task],
                searcher="random", trial_scheduler="asha", budget=BUDGET, seed=seed,
            )  # fmt: skip
            found = baseline.walk(tables, task, seed, BUDGET)
            assert found[:, 0].tolist() == told["config_index"].tolist()
            assert found[:, 1].tolist() == told["epoch"].tolist()
            np.testing.assert_array_equal(baseline.values_of(tables, task, found), told["value"])

    def test_where_the_table_is_used_up_the_stopped_trials_are_trained_on(self, tables):
        found = baseline.walk(tables, "task-0", 3, 10_000)
        assert len({tuple(one) for one in found.tolist()}) == len(found)
        for row in range(CONFIGS):
            epochs = found[found[:, 0] == row, 1]
            curve = tables.curves["task-0"][row]
            assert epochs.tolist() == list(range(1, len(epochs) + 1))
            assert len(epochs) == EPOCHS or np.isnan(curve[len(epochs) - 1])
        assert baseline.walk(tables, "task-0", 3, BUDGET).tolist() == found[:BUDGET].tolist()


class TestPasts:
    @pytest.mark.parametrize("kind", histories.KINDS)
    def test_the_task_that_is_judged_is_in_no_past_and_the_same_is_drawn_again(self, tables, kind):
        found, again = past(tables, kind), past(tables, kind)
        assert found
        assert "task-0" not in found
        for task in found:
            np.testing.assert_array_equal(found[task].curves, again[task].curves)
            np.testing.assert_array_equal(found[task].rows, again[task].rows)

    @pytest.mark.parametrize("kind", sorted(histories.DRAWN - {"three", "half"}))
    def test_another_group_of_seeds_is_told_another_past(self, tables, kind):
        one, other = past(tables, kind), past(tables, kind, group=1)
        assert any(not np.array_equal(one[task].curves, other[task].curves, equal_nan=True) for task in one)

    def test_flipped_ranks_are_the_other_way_round_after_every_epoch_and_values_stay(self, tables):
        curves = tables.curves["task-1"]
        sound = curves[~np.isnan(curves).any(axis=1)]
        found = histories.flip(sound)
        for epoch in range(EPOCHS):
            order = np.argsort(sound[:, epoch])
            assert np.argsort(found[:, epoch]).tolist() == order[::-1].tolist()
            assert sorted(found[:, epoch]) == sorted(sound[:, epoch])
        assert np.isfinite(histories.flip(curves)).all()

    def test_what_diverged_is_the_best_of_a_flipped_past(self, tables):
        curves = tables.curves["task-1"]
        best = histories.flip(curves)[:, -1].argsort()[: int(np.isnan(curves[:, -1]).sum())]
        assert np.isnan(curves[best, -1]).all()

    def test_half_of_the_tasks_are_flipped(self, tables):
        found = past(tables, "half")
        whole = [np.array_equal(found[t].curves, tables.curves[t], equal_nan=True) for t in found]
        assert sum(whole) == 2

    def test_shuffled_curves_are_the_same_of_other_configurations(self, tables):
        found, true = past(tables, "shuffled")["task-1"].curves, tables.curves["task-1"]
        assert not np.array_equal(found, true, equal_nan=True)
        assert {row.tobytes() for row in found} == {row.tobytes() for row in true}

    def test_unrelated_functions_are_smooth_and_of_nothing_that_was_recorded(self, tables):
        cube = np.random.default_rng(5).random((300, 3))
        curves = np.random.default_rng(6).random((300, EPOCHS))
        finals = []
        for seed in range(30):
            found = histories.unrelated(cube, curves, np.random.default_rng(seed))
            assert np.sort(found, axis=0).tolist() == np.sort(curves, axis=0).tolist()
            finals.append(found[:, -1].argsort().argsort())
        distance = ((cube[:, None] - cube) ** 2).sum(axis=2) + 9 * np.eye(300)
        near = distance.argmin(axis=1)
        assert np.mean([np.corrcoef(one, one[near])[0, 1] for one in finals]) > 0.7
        to_truth = [np.corrcoef(one, curves[:, -1])[0, 1] for one in finals]
        assert abs(np.mean(to_truth)) < 0.1

    def test_a_past_cut_short_by_asha_is_what_a_job_left_behind(self, tables):
        for task, one in past(tables, "asha").items():
            seen = ~np.isnan(one.curves)
            assert BUDGET - len(one.rows) <= seen.sum() <= BUDGET
            np.testing.assert_array_equal(one.curves[seen], tables.curves[task][one.rows][seen])
            assert one.stopped.any()
            assert not one.stopped[seen.all(axis=1)].any()

    def test_thin_pasts_are_thin(self, tables):
        assert {len(one.rows) for one in past(tables, "twenty").values()} == {20}
        assert len(past(tables, "three")) == 3

    @pytest.mark.parametrize("kind", ["all", "asha"])
    def test_a_history_is_made_of_them_with_the_status_of_every_trial(self, tables, kind):
        found = past(tables, kind)
        history = histories.history_of(tables, found)
        trials, reports = history.trials(), history.to_pandas()
        assert set(trials["task"]) == set(found)
        for task, one in found.items():
            told = trials[trials["task"] == task]
            status = told["status"].value_counts()
            assert status.get("stopped", 0) == one.stopped.sum()
            ended = np.isnan(one.curves).any(axis=1) & ~one.stopped
            assert status.get("diverged", 0) == ended.sum()
            losses = reports.loc[reports["task"] == task, "val_loss"].dropna()
            assert len(losses) == (~np.isnan(one.curves)).sum()
            lr = sorted(tables.values[row]["lr"] for row in one.rows)
            assert sorted(told["config/lr"]) == pytest.approx(lr)


def play(tables, name, kind="none", seed=0):
    pasts = None if kind == "none" else past(tables, kind)
    told = methods.Told(tables, "task-0", BUDGET, pasts, lambda: Listed(tables))
    return methods.METHODS[name].play(told, seed)


class Listed:
    """A prior that knows of one list of configurations."""

    rows = (7, 3, 11, 30, 5)

    def __init__(self, tables) -> None:
        self.tables = tables

    def points(self, n):
        return [self.tables.values[row] for row in self.rows][:n]


class TestMethods:
    @pytest.mark.parametrize("name", ["random", "one-epoch-each", "tpe", "bohb"])
    def test_a_run_is_repeatable_by_its_seed_and_pays_no_more_than_the_budget(self, tables, name):
        found, again, other = play(tables, name), play(tables, name), play(tables, name, seed=1)
        assert found.equals(again)
        assert not found.equals(other)
        assert len(found) == BUDGET

    def test_one_epoch_each_and_then_the_best_to_the_end(self, tables):
        found = play(tables, "one-epoch-each")
        first, rest = found[: BUDGET // 2], found[BUDGET // 2 :]
        assert (first["epoch"] == 1).all()
        assert first["trial_id"].is_unique
        ranked = first.sort_values("value")["trial_id"].tolist()
        finished = list(dict.fromkeys(rest["trial_id"]))
        assert finished == ranked[: len(finished)]
        assert (rest["epoch"] > 1).all()

    @pytest.mark.parametrize("name", ["portfolio", "tpe-portfolio"])
    def test_a_portfolio_is_tried_in_its_order(self, tables, name):
        found = play(tables, name, "all")
        tried = list(dict.fromkeys(found["config_index"]))
        assert tuple(tried[:5]) == Listed.rows
        assert len(tried) > 5

    def test_the_box_is_of_the_best_of_past_tasks(self, tables):
        found = play(tables, "box", "all")
        tried = [tables.values[row]["lr"] for row in dict.fromkeys(found["config_index"])]
        best = [tables.values[int(np.nanargmin(tables.curves[t][:, -1]))]["lr"] for t in tables.tasks[1:]]
        assert min(best) / 2 < tried[0] < 2 * max(best)

    def test_the_pruner_ends_most_trials_before_their_time(self, tables):
        found = play(tables, "tpe")
        epochs = found.groupby("trial_id")["epoch"].max()
        assert (epochs < EPOCHS).mean() > 0.3
        assert (epochs == EPOCHS).any()

    def test_suggestions_and_reports_are_timed(self, tables):
        told = methods.Told(tables, "task-0", BUDGET)
        found = methods.run(methods.METHODS["random"], told, 0)
        assert 0 < found.report < found.ask < found.seconds
        assert (np.diff(found.best) <= 0).sum() == BUDGET - 1

    def test_a_method_whose_parts_are_missing_says_so(self, tables):
        absent = methods.Method("absent", lambda told, seed: told.replay("no-such", "asha", seed))
        with pytest.raises(methods.MissingPart, match="no-such"):
            methods.run(absent, methods.Told(tables, "task-0", BUDGET), 0)


class TestParts:
    def test_every_part_has_seeds_of_its_own(self):
        parts = filing.plan(["random", "portfolio"], ["none", "all"], ["a", "b"], BUDGET)
        seeds = [seed for part in parts for seed in part.seeds]
        assert len(parts) == 2 * 2 * 3
        assert len(set(seeds)) == len(seeds) == 2 * 2 * 31

    def test_what_follows_from_something_else_is_not_taken(self, tables, tmp_path):
        part = filing.Part("random", "none", "task-0", 0, 2, BUDGET)
        arrays = {"best": np.zeros((2, BUDGET))}
        filing.write(part, tables, tmp_path, arrays)
        assert filing.read(part, tables, tmp_path)["best"].shape == (2, BUDGET)
        other = {**tables.curves, "task-3": tables.curves["task-3"] + 1}
        assert filing.read(part, files.Tables(SPACE, tables.values, other), tmp_path) is None
        part.path(tmp_path).write_bytes(b"PK torn")
        assert filing.read(part, tables, tmp_path) is None

    def test_what_a_kill_left_half_written_is_removed(self, tables, tmp_path):
        part = filing.Part("random", "none", "task-0", 0, 2, BUDGET)
        filing.write(part, tables, tmp_path, {"best": np.zeros((2, BUDGET))})
        gone = part.path(tmp_path).with_name(f".{part.path(tmp_path).name}.{2**31 - 1}")
        gone.write_bytes(b"half")
        (tmp_path / "priors" / f".abc.{2**31 - 1}").mkdir(parents=True)
        assert filing.missing([part], tables, tmp_path) == []
        assert [file.name for file in tmp_path.rglob("*.npz*")] == [part.path(tmp_path).name]
        assert list((tmp_path / "priors").iterdir()) == []

    def test_a_prior_is_fitted_once_and_found_again(self, tables, tmp_path):
        part = filing.Part("portfolio", "all", "task-0", 0, 2, BUDGET)
        made = filing.prior(part, tables, past(tables, "all"), tmp_path)
        (kept,) = (tmp_path / "priors").iterdir()
        before = {file.name: file.stat().st_mtime_ns for file in kept.iterdir()}
        found = filing.prior(part, tables, {}, tmp_path)  # of no past: it can only have been found
        assert found.points(5) == made.points(5)
        assert {file.name: file.stat().st_mtime_ns for file in kept.iterdir()} == before


class TestScript:
    METHODS = ("--methods", "random", "random-again", "portfolio", "--histories", "none", "all")

    def call(self, source, out, *more, methods=METHODS):
        quick = ["--seeds", "3", "--baseline-seeds", "21", "--budget", str(BUDGET)]
        TRANSFER.main(["--tables", str(source), "--out", str(out), *quick, *methods, *more])

    def test_it_tells_the_cost_plays_once_goes_on_and_fills_the_page(self, source, tmp_path, capsys):
        out, page = tmp_path / "out", tmp_path / "page.md"
        self.call(source, out)
        told = capsys.readouterr().err
        assert "16 parts, 0 done, 16 to go" in told
        assert "by the clock" in told
        assert "nothing was run" in told
        assert not out.exists()

        self.call(source, out, "--run", "--parts", "7")
        self.call(source, out)
        assert "7 done, 9 to go" in capsys.readouterr().err
        before = {file: file.stat().st_mtime_ns for file in out.glob("*/*/*.npz")}
        self.call(source, out, "--run")
        after = {file: file.stat().st_mtime_ns for file in out.glob("*/*/*.npz")}
        assert len(after) == 16
        assert before.items() <= after.items()

        begin, end = TRANSFER.markers.markers_of("transfer")
        page.write_text(f"before\n{begin}\n{end}\nafter\n")
        self.call(source, out, "--insert", str(page))
        text = page.read_text()
        assert "| the plain portfolio, `asha` | 4 x 3 |" in text
        assert "History: all other tasks" in text
        assert text.count("not yet") >= 15
        assert text.startswith("before")

        capsys.readouterr()
        self.call(source, out, "--run", "--renew", "portfolio")
        assert "16 parts, 12 done, 4 to go" in capsys.readouterr().err

    def test_a_table_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(SystemExit, match=r"none\.npz"):
            TRANSFER.main(["--tables", str(tmp_path / "none.npz")])

    def test_without_a_recording_it_judges_on_what_the_package_brings(self):
        found = files.load(TRANSFER.SOURCES[-1])
        assert (len(found.tasks), len(found.values), found.epochs) == (21, 256, 27)
        assert found.values[0] == found.space.normalize(found.space.default())

    def test_an_unknown_task_is_named(self, source, tmp_path):
        with pytest.raises(SystemExit, match="no task 'other'"):
            TRANSFER.main(["--tables", str(source), "--tasks", "other"])
