"""The perturbation study: perturbations are what they say, measures are right by hand, kept cells stay."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("robustness", ROOT / "benchmarks/robustness.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def part(script):
    """A module of the benchmark by its name; there only once the script has been imported."""
    return lambda name: sys.modules[f"robustness_.{name}"]


def cell(part, **other):
    given = {"suite": "ours", "optimizer": "sgd", "problem": "quadratic", "perturbation": "none"}
    given |= {"schedule": "constant", "steps": 20, "seeds": 2, "tuning_seeds": 1, **other}
    return part("runs").Cell(**given)


class TestPerturbations:
    def test_the_same_for_the_same_seed_only(self, part):
        first, again, other = (part("perturbations").draw("gaussian", 0.5, 50, 4, seed) for seed in (1, 1, 2))
        assert first.effects == again.effects
        assert torch.equal(first.directions, again.directions)
        assert first.effects != other.effects

    def test_directions_have_length_1(self, part):
        assert (
            part("perturbations")
            .draw("random", 1.0, 50, 7, 0)
            .directions.norm(dim=1)
            .allclose(torch.ones(50))
        )

    def test_none_does_nothing(self, part):
        assert set(part("perturbations").draw("none", 1.0, 50, 3, 0).effects) == {(0.0, 0.0, 0.0, 1.0)}

    def test_gaussian_has_the_size_it_says(self, part):
        shifts = [e.shift for e in part("perturbations").draw("gaussian", 0.5, 20_000, 1, 0).effects]
        assert torch.tensor(shifts).mean().abs() < 0.002
        assert float(torch.tensor(shifts).std()) == pytest.approx(0.05, rel=0.03)

    def test_periodic_spikes_are_three_steps_long_and_never_at_the_start(self, part):
        drawn = part("perturbations").draw("periodic", 0.5, 200, 3, 0)
        assert drawn.starts == (75, 150)
        assert [i for i, e in enumerate(drawn.effects) if e.push] == [75, 76, 77, 150, 151, 152]
        assert drawn.effects[75].push == drawn.effects[75].shift == 1.0

    def test_random_spikes_come_at_2_percent_of_the_steps(self, part):
        drawn = part("perturbations").draw("random", 0.5, 20_000, 1, 0)
        sizes = [drawn.effects[start].push for start in drawn.starts]
        assert len(sizes) / 20_000 == pytest.approx(0.02, rel=0.15)
        assert 0.5 <= min(sizes) < 0.6
        assert 1.9 < max(sizes) <= 2.0

    def test_the_adversary_acts_only_after_a_step_that_lowered_the_loss(self, part):
        drawn = part("perturbations").draw("adversarial", 0.5, 5, 3, 0)
        assert drawn.effect(3, loss=1.0, before=2.0) == (0.0, 0.0, 0.25, -0.25)
        assert drawn.effect(3, loss=2.0, before=2.0) == (0.0, 0.0, 0.0, 1.0)

    def test_an_unknown_kind_is_refused(self, part):
        with pytest.raises(ValueError, match="'earthquake' is none of none, gaussian"):
            part("perturbations").draw("earthquake", 0.5, 5, 3, 0)

    def test_a_spike_moves_the_parameters_by_lr_times_its_size(self, part, monkeypatch):
        """On a flat slope: loss 3 x, so L0 = 3 x0 and G0 = 3; every clean step moves x by 0.01 * 3."""
        task = part("problems").Task(torch.tensor([10.0]), lambda x: 3.0 * x.sum())
        monkeypatch.setattr(part("runs"), "make_task", lambda problem, seed: task)
        seen = []

        class Watching:
            needs = "loss"

            def step(self, loss):
                seen.append(loss)

        monkeypatch.setattr(part("runs"), "build", lambda config, optimizer, cell: Watching())
        run = part("runs").train(cell(part, perturbation="periodic", steps=80), {"lr": 0.01}, seed=0)
        moves = [(b - a) / 3 for a, b in zip(run.trace, run.trace[1:], strict=False)]
        assert moves[:75] == pytest.approx([-0.03] * 75, abs=1e-5)
        for move in moves[75:78]:  # u is 1 or -1: the kick doubles the gradient or takes it all away
            assert move == pytest.approx(-0.06, abs=1e-5) or move == pytest.approx(0.0, abs=1e-5)
        assert seen[74] == pytest.approx(run.trace[74])
        assert seen[75] == pytest.approx(run.trace[75] + 30.0)


class TestMeasures:
    def test_episodes_of_a_trace_worked_by_hand(self, part):
        #        spike           peak               back   spike   peak              end
        trace = [2.0, 2.0, 3.0, 6.0, 4.0, 2.5, 2.1, 1.0, 1.0, 5.0, 4.0, 3.0]
        first, second = part("measures").episodes(trace, [1, 8])
        assert first.share == 1.0  # from 6 down to 1, below the 2 it had before
        assert first.steps == 5  # 2.1 is within a tenth of 2, five steps after step 1
        assert second.share == pytest.approx((5 - 3) / (5 - 1))
        assert second.steps is None

    def test_a_spike_without_harm_and_one_after_the_end_of_all_numbers(self, part):
        assert part("measures").episodes([2.0, 2.0, 2.1, 1.9], [1]) == [None]
        assert part("measures").episodes([2.0, math.inf, math.inf], [1]) == [None]
        assert part("measures").episodes([2.0, 1.0], []) == []

    def test_a_spike_that_ends_the_run_is_not_made_good(self, part):
        (episode,) = part("measures").episodes([2.0, 2.0, 9.0, math.nan, math.nan], [1])
        assert (episode.share, episode.steps) == (0.0, None)

    def test_spread_ranks_what_diverged_last(self, part):
        assert part("measures").spread([3.0, math.nan, 1.0, 2.0, 1.5]) == (1.0, 2.0, 1e30)


class TestStatistics:
    def test_better_worse_and_equal(self, part):
        low, high = [0.1 + i / 100 for i in range(20)], [1.1 + i / 100 for i in range(20)]
        cells = [
            {"problem": "p", "perturbation": "none", "schedule": name, "tuned": {"final": final}}
            for name, final in {"greedy": low, "a": high, "b": low, "c": [x / 9 for x in low]}.items()
        ]
        found = part("statistics").compare(cells, "greedy", "tuned", ["a", "b", "c"])
        assert [(c.rival, c.verdict) for c in found] == [("a", "better"), ("b", "equal"), ("c", "worse")]
        assert part("statistics").shares(found) == (1, 1, 1)
        assert part("statistics").ranks(cells, "tuned") == {
            "greedy": (2.5, 0), "a": (4.0, 0), "b": (2.5, 0), "c": (1.0, 1)
        }  # fmt: skip

    def test_recovery_of_several_spikes(self, part):
        told = [{"share": 1.0, "steps": 4}, None, {"share": 0.5, "steps": None}, {"share": 0.8, "steps": 6}]
        assert part("statistics").recovery([{"tuned": {"episodes": [told[:2], told[2:]]}}], "tuned") == (
            4, 3, 0.8, 6
        )  # fmt: skip

    def test_weighted_median(self, part):
        assert part("statistics").weighted_median([3.0, 1.0, 2.0], [3, 1, 1]) == 3.0
        assert part("statistics").weighted_median([3.0, 1.0, 2.0], [1, 1, 1]) == 2.0


class TestRuns:
    def test_every_schedule_has_as_many_configurations_to_choose_from(self, part):
        counts = {
            name: len(part("runs").configs(cell(part, schedule=name)))
            for name in ("cosine", "greedy", "greedy+")
        }
        assert set(counts.values()) == {8}

    def test_tuning_and_final_seeds_share_nothing(self, part, monkeypatch):
        seeds = []
        run = part("runs").Run([1.0, 0.5], ())
        monkeypatch.setattr(part("runs"), "train", lambda cell, config, seed: (seeds.append(seed), run)[1])
        part("runs").measure(cell(part, seeds=3, tuning_seeds=2))
        assert set(seeds) == {0, 1, 1000, 1001, 1002}

    @pytest.mark.parametrize("perturbation", ["none", "gaussian", "periodic", "random", "adversarial"])
    def test_a_run_repeats_itself(self, part, perturbation):
        asked = cell(part, schedule="greedy", perturbation=perturbation, problem="net", optimizer="adam")
        config = part("runs").configs(asked)[2]
        assert part("runs").train(asked, config, 3) == part("runs").train(asked, config, 3)

    def test_a_constant_added_to_the_loss_changes_no_gradient(self, part):
        """Why the published perturbations reach nothing: the noise there is a number, and the schedule is
        shown the loss without it."""
        task = part("problems").make_task("rosenbrock", 0)
        gradients = []
        for noise in (0.0, 5.0):
            x = task.start.clone().requires_grad_()
            (task.loss(x) + noise).backward()
            gradients.append(x.grad)
        assert torch.equal(*gradients)


class TestStudy:
    def test_finished_cells_are_kept_and_a_torn_line_is_survived(self, part, tmp_path):
        path, asked = tmp_path / "cells.jsonl", [cell(part, seeds=n) for n in (2, 3, 4)]
        measured = []

        def work(cell):
            measured.append(cell.seeds)
            return {
                "key": cell.key,
                "suite": "",
                "optimizer": "",
                "problem": "",
                "perturbation": "",
                "schedule": "",
            }

        part("study").run(asked[:2], path, work=work)
        path.write_bytes(path.read_bytes()[:-20])  # a kill tore the second line
        found = part("study").run(asked, path, work=work)
        assert measured == [2, 3, 3, 4]
        assert list(found) == [c.key for c in asked]
        part("study").run(asked, path, work=work)
        assert measured == [2, 3, 3, 4]

    def test_tables_of_an_unfinished_study_have_no_place_with_a_schedule_missing(self, part):
        cells = [cell(part, problem=p, schedule=s) for p in ("net", "ackley") for s in ("cosine", "greedy")]
        done = {c.key: {"problem": c.problem} for c in cells[:3]}
        assert part("study").whole_places(cells, done) == [{"problem": "net"}] * 2

    def test_other_sizes_are_other_cells(self, part):
        keys = {cell(part, **other).key for other in ({}, {"steps": 21}, {"seeds": 9}, {"strength": 1.0})}
        assert len(keys) == 4


class TestScript:
    def test_the_quick_run_makes_tables_and_the_next_has_nothing_to_do(self, script, tmp_path, capsys):
        document = tmp_path / "evidence.md"
        document.write_text("before\n<!-- robustness:begin -->\nold\n<!-- robustness:end -->\nafter\n")
        asked = ["--quick", "--steps", "80", "--seeds", "3", "--workers", "1", "--out", str(tmp_path / "out")]
        script.main([*asked, "--insert", str(document)])
        text = document.read_text()
        assert text.startswith("before\n<!-- robustness:begin -->\n")
        assert text.endswith("<!-- robustness:end -->\nafter\n")
        assert "old" not in text
        assert "`python benchmarks/robustness.py --quick --steps 80 --seeds 3 --workers 1`" in text
        assert "| against | greedy, defaults at LR 0.01 |" in text
        assert "| quadratic | periodic |" in text
        kept = [json.loads(line) for line in (tmp_path / "out/cells.jsonl").read_text().splitlines()]
        assert all(len(one["tuned"]["final"]) == 3 for one in kept)
        assert f"{len(kept)} cells, 0 done" in capsys.readouterr().err
        script.main(asked)
        assert f"{len(kept)} cells, {len(kept)} done; 0 runs" in capsys.readouterr().err

    def test_a_document_without_markers_is_left_alone(self, script, tmp_path):
        (tmp_path / "a.md").write_text("text")
        with pytest.raises(SystemExit, match="needs the lines <!-- robustness:begin -->"):
            script.insert("tables", tmp_path / "a.md")
        assert (tmp_path / "a.md").read_text() == "text"

    @pytest.mark.parametrize("arguments", [["--seeds", "0"], ["--workers", "x"], ["--strength", "2"]])
    def test_bad_arguments_are_refused(self, script, arguments, capsys):
        with pytest.raises(SystemExit):
            script.main(arguments)
        assert "is no " in capsys.readouterr().err
