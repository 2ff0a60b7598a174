"""The recording for the starter prior: tasks learn, parts are whole and repeatable, the file is read back."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import tune_lr

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks/starter.py"
QUICK = ["--tasks", "diabetes-squares", "wine-mlp", "--configs", "4", "--epochs", "2"]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("starter", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


STARTER = _load()
TASKS = list(STARTER.TASKS)


@pytest.fixture(scope="module")
def part():
    """A module of the benchmark by its name."""
    return lambda name: sys.modules[f"starter_.{name}"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Two tasks, recorded in this process and packed."""
    folder = tmp_path_factory.mktemp("starter")
    threads = torch.get_num_threads()
    STARTER.main([*QUICK, "--record", "--out", str(folder / "parts")])
    torch.set_num_threads(threads)
    STARTER.main([*QUICK, "--out", str(folder / "parts"), "--pack", str(folder / "all.parquet")])
    return folder


def parts_of(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.glob("*/*"))}


class TestTasks:
    def test_they_are_of_many_kinds(self):
        facts = [task.facts() for task in STARTER.TASKS.values()]
        kinds = {"mlp", "cnn", "recurrent", "attention", "linear", "factorization"}
        assert len(facts) >= 16
        assert {one["family"] for one in facts} == kinds
        assert {one["kind"] for one in facts} == {"classification", "regression", "language"}
        assert {(one["optimizer"], one["momentum"]) for one in facts} == {
            ("sgd", 0.9), ("sgd", 0.0), ("adamw", 0.0)
        }  # fmt: skip
        assert all(15 <= one["steps_per_epoch"] <= 30 for one in facts)

    @pytest.mark.parametrize("name", TASKS)
    def test_the_default_comes_near_to_chance_or_below_within_a_few_epochs(self, part, name):
        task = STARTER.TASKS[name]
        found = part("record").curves(task, part("record").values(1)[0], 0, 4)
        loss, accuracy, lr = found[:, -1]
        assert loss < 1.02 * task.constant
        assert math.isnan(accuracy) == (task.classes == 0)
        assert lr > 0

    @pytest.mark.parametrize("name", TASKS)
    def test_a_step_moves_every_weight_and_batches_are_as_said(self, part, name):
        task = STARTER.TASKS[name]
        seen = part("tasks").made(task)
        torch.manual_seed(0)
        model, batches = task.model(), list(part("tasks").Batches(task, seen))
        assert [len(x) for x, _ in batches] == [task.size] * task.steps
        task.loss(model(batches[0][0]), batches[0][1]).backward()
        assert all(weight.grad is not None for weight in model.parameters())

    def test_flipped_labels_are_in_the_training_set_alone(self, part):
        clean = part("data").wine()
        wrong = part("data").flipped(clean, 0.5, 3)
        assert 0.2 < float((clean.y != wrong.y).float().mean()) < 0.5
        assert torch.equal(clean.y_val, wrong.y_val)


class TestConfigurations:
    def test_the_default_comes_first_and_fewer_are_the_first_of_more(self, part):
        space, values = part("record").space(), part("record").values
        assert values(9)[0] == space.default()
        assert values(256)[:9] == values(9)
        assert len({space.key(point) for point in values(256)}) == 256

    def test_each_trial_has_a_seed_of_its_own(self, part):
        seeds = {part("record").seed_of(seed, number) for seed in (0, 1) for number in range(256)}
        assert len(seeds) == 512


class TestRecording:
    @pytest.mark.kill
    def test_killed_and_called_again_it_has_the_same_bytes(self, recorded, tmp_path):
        command = [sys.executable, str(SCRIPT), *QUICK, "--record", "--workers", "2", "--out", str(tmp_path)]
        with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as running:
            ends = time.monotonic() + 120
            while not list(tmp_path.glob("*/*.npz")) and time.monotonic() < ends and running.poll() is None:
                time.sleep(0.01)
            os.killpg(running.pid, signal.SIGKILL)
        assert list(tmp_path.glob("*/*.npz"))
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        assert parts_of(tmp_path) == parts_of(recorded / "parts")
        again = tmp_path / "again.parquet"
        STARTER.main([*QUICK, "--out", str(tmp_path), "--pack", str(again)])
        assert again.read_bytes() == (recorded / "all.parquet").read_bytes()

    def test_what_is_done_is_not_done_again_and_parts_can_be_counted_out(self, part, tmp_path, capsys):
        STARTER.main([*QUICK, "--record", "--parts", "1", "--out", str(tmp_path)])
        assert len(list(tmp_path.glob("*/*.npz"))) == 1
        STARTER.main([*QUICK, "--out", str(tmp_path)])
        told = capsys.readouterr().err
        assert "4 parts, 1 done, 3 to go" in told
        assert "nothing was run" in told

    @pytest.mark.parametrize("damage", ["torn", "empty", "foreign", "text"])
    def test_a_part_that_is_not_sound_is_not_taken(self, part, recorded, tmp_path, damage):
        one = part("record").Part("wine-mlp", 0, 0, 4, 2)
        whole = one.path(recorded / "parts").read_bytes()
        path = one.path(tmp_path)
        path.parent.mkdir()
        path.write_bytes(whole)
        assert part("record").read(one, tmp_path) is not None
        other = part("record").Part("wine-mlp", 1, 0, 4, 2).path(recorded / "parts").read_bytes()
        path.write_bytes({"torn": whole[:-40], "empty": b"", "foreign": other, "text": b"PK\3\4 no"}[damage])
        assert part("record").read(one, tmp_path) is None

    def test_what_a_killed_process_left_behind_is_removed(self, part, recorded):
        left = recorded / "parts" / "wine-mlp" / ".some.npz.99999999"
        left.write_bytes(b"")
        part("run").missing([], recorded / "parts")
        assert not left.exists()

    def test_from_where_it_diverged_a_curve_is_nan(self, part):
        calm = part("data").squares()
        loud = type(calm)(100 * calm.x, calm.y, 100 * calm.x_val, calm.y_val)
        fixed = part("tasks").PLAIN
        hot = dataclasses.replace(STARTER.TASKS["squares"], fixed=fixed, data=lambda: loud)
        found = part("record").curves(hot, part("record").values(1)[0], 0, 3)
        assert np.isnan(found).all()


class TestPacking:
    def test_the_file_has_every_report_and_the_facts(self, part, recorded):
        frame, told = part("pack").read(recorded / "all.parquet")
        assert len(frame) == 2 * 2 * 4 * 2
        assert list(frame)[:7] == ["task", "trial_id", "seed", "epoch", "val_loss", "val_accuracy", "lr"]
        assert set(told["tasks"]) == {"diabetes-squares", "wine-mlp"}
        assert told["tasks"]["wine-mlp"]["chance_loss"] == pytest.approx(1.08, abs=0.05)
        assert frame["config/lr"].iloc[0] == 0.01
        curves = part("record").read(part("record").Part("wine-mlp", 1, 0, 4, 2), recorded / "parts")
        rows = frame[(frame["task"] == "wine-mlp") & (frame["seed"] == 1)]
        assert np.array_equal(rows["val_loss"].to_numpy().reshape(4, 2), curves[:, 0])

    def test_the_history_reads_the_file_as_it_is(self, recorded, tmp_path):
        history = tune_lr.History(tmp_path)
        history.add(recorded / "all.parquet", space="greedy_lr")
        infos = history.tasks()
        assert [info.task for info in infos] == ["diabetes-squares", "wine-mlp"]
        assert {(info.trials, info.reports, info.epochs, info.outside) for info in infos} == {(8, 16, 2, 0)}
        assert infos[0].metric == "val_loss"

    def test_a_store_has_the_facts_as_descriptors(self, recorded, tmp_path, capsys):
        asked = [*QUICK, "--out", str(recorded / "parts"), "--pack", str(tmp_path / "a.parquet")]
        STARTER.main([*asked, "--history", str(tmp_path / "store")])
        info = tune_lr.History(tmp_path / "store").tasks()[1]
        assert (info.task, info.space, info.mode, info.guessed) == ("wine-mlp", "greedy_lr", "min", [])
        assert info.descriptors["family"] == "mlp"
        assert info.descriptors["optimizer"] == "adamw"
        trials = tune_lr.History(tmp_path / "store").filter(task="wine-mlp").trials()
        assert list(trials["seed"]) == [0, 1, 2, 3, 10_000, 10_001, 10_002, 10_003]

    def test_a_diverged_trial_is_one_to_the_history(self, part, tmp_path):
        curves = np.ones((2, 3, 4), np.float32)
        curves[1, :, 2:] = math.nan
        table = part("pack").table({"squares": {0: curves}}, {"squares": {}})
        part("pack").write(tmp_path / "a.parquet", table)
        history = tune_lr.History(tmp_path / "store")
        history.add(tmp_path / "a.parquet", space="greedy_lr")
        assert history.tasks()[0].statuses == {"completed": 1, "diverged": 1}


class TestShipping:
    def test_of_a_packed_file_come_a_store_and_its_prior(self, recorded, tmp_path, capsys):
        asked = ["--ship", str(recorded / "all.parquet"), "--data", str(tmp_path)]
        STARTER.main(asked)
        infos = tune_lr.History(tmp_path / "starter").tasks()
        assert [info.task for info in infos] == ["diabetes-squares", "wine-mlp"]
        assert [(info.trials, info.reports, info.metrics) for info in infos] == [(8, 16, ["val_loss"])] * 2
        assert list(infos[0].space_dict["knobs"]) == list(tune_lr.load_space("greedy_lr").knobs)
        assert infos[0].origin.startswith("all.parquet, SHA-256 ")
        prior = tune_lr.Prior.load(tmp_path / "starter_prior")
        assert [task.id for task in prior.tasks] == [info.id for info in infos]
        before = {file: file.read_bytes() for file in (tmp_path / "starter").iterdir()}
        STARTER.main(asked)
        assert {file: file.read_bytes() for file in (tmp_path / "starter").iterdir()} == before


class TestFigures:
    def test_what_diverged_ranks_last_and_ties_share(self, part):
        scores = part("figures").normal_scores(np.array([math.nan, 1.0, 3.0, math.nan]))
        assert scores[0] == scores[3] > scores[2] > scores[1]

    def test_the_knobs_that_decide_are_found(self, part):
        cube = part("figures").coordinates(96)
        names = part("record").space().names
        lr, factor = (cube[:, names.index(name)] for name in ("lr", "factor"))
        found = part("figures").importances(cube, np.sin(3 * lr) + 0.8 * factor)
        assert 0.2 < found["lr"] < 0.9 < found["all"]
        others = [found[f"-{name}"] for name in names if name not in ("lr", "factor")]
        assert min(found["-lr"], found["-factor"]) > 10 * max(map(abs, others))

    def test_the_pilot_prints_them_and_a_document_takes_them(self, recorded, tmp_path, capsys):
        asked = [*QUICK, "--out", str(recorded / "parts")]
        STARTER.main([*asked, "--pilot"])
        assert "| diabetes-squares | linear |" in capsys.readouterr().out
        document = tmp_path / "data.md"
        document.write_text("before\n<!-- starter:begin -->\nstale words\n<!-- starter:end -->\nafter\n")
        STARTER.main([*asked, "--insert", str(document)])
        text = document.read_text()
        assert "2 tasks, 4 configurations, 2 epochs, 2 seed(s): 16 trials, 32 epochs" in text
        assert text.endswith("<!-- starter:end -->\nafter\n")
        assert "stale words" not in text

    def test_the_page_has_the_markers(self):
        text = (ROOT / "docs/data.md").read_text(encoding="utf-8")
        assert STARTER.BEGIN in text
        assert STARTER.END in text


class TestArguments:
    @pytest.mark.parametrize("arguments", [["--configs", "0"], ["--tasks", "x"], ["--history", "x"]])
    def test_bad_arguments_are_refused(self, arguments, capsys):
        with pytest.raises(SystemExit):
            STARTER.main(arguments)

    def test_nothing_recorded_is_nothing_to_pack(self, tmp_path):
        with pytest.raises(SystemExit, match="no task is recorded whole"):
            STARTER.main([*QUICK, "--out", str(tmp_path), "--pack", str(tmp_path / "a.parquet")])
