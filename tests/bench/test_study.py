"""A small study from beginning to end: cells, the folder, going on, the report, the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from tune_lr.bench import cell as cells
from tune_lr.bench import document, memory, pool, report
from tune_lr.bench.cell import compare_run, run_cell, tune_cell
from tune_lr.bench.plan import Cell, Settings
from tune_lr.bench.store import Study, table
from tune_lr.bench.verdicts import judge
from tune_lr.cli import app
from tune_lr.errors import BadInput, JobFailed, MissingExtra

SMALL = Settings(trials=3, epochs=4, seeds=3)
ASKED = "--tasks diabetes --contenders cosine --optimizers sgd --trials 3 --epochs 4 --seeds 3"


def command(text: str, *more: str) -> Any:
    return CliRunner().invoke(app, ["bench", "schedules", *text.split(), *more])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study of two cells."""
    path = tmp_path_factory.mktemp("bench") / "study"
    done = command(f"{ASKED} --workers 1 --yes --out {path}")
    assert done.exit_code == 0, done.output
    assert "2 cells. Each: 12 epochs of tuning (3 trainings of 4)" in done.output
    assert "It will take" in done.output
    assert "2 of 2  cosine with sgd on diabetes" in done.output
    assert "Making the report ..." in done.output
    last = done.output.strip().splitlines()[-2:]
    assert [line.split(":")[0] for line in last] == ["Tuned", "Default"]
    assert all(" of 1 cases, worse in " in line and "*" not in line for line in last)
    return path


# Cells ----------------------------------------------------------------------------------------------


def test_a_cell_gives_the_same_losses_each_time() -> None:
    one, other = (run_cell(Cell("diabetes", "adamw", "greedy"), SMALL) for _ in range(2))
    assert one["tuned"] == other["tuned"]
    for run in (*one["runs"], *other["runs"]):
        del run["seconds"]
    assert one["runs"] == other["runs"]
    assert [run["seed"] for run in one["runs"]] == [*SMALL.fresh] * 2
    assert [run["setting"] for run in one["runs"]] == ["tuned"] * 3 + ["default"] * 3
    json.dumps(one, allow_nan=False)


def test_tuning_keeps_to_its_epochs_and_finds_no_worse_than_the_default() -> None:
    cell = Cell("diabetes", "sgd", "constant")
    first = tune_cell(cell, Settings(trials=1, epochs=4, seeds=2))
    assert (first.epochs, first.trials, first.source, len(first.losses)) == (4, 1, "default", 1)
    more = tune_cell(cell, Settings(trials=4, epochs=4, seeds=2))
    assert (more.epochs, more.trials) == (16, 4)
    assert more.losses[0] <= first.losses[0]
    again = tune_cell(cell, Settings(trials=10, epochs=4, seeds=2))
    assert (again.epochs, len(again.losses)) == (40, 2)
    assert again.trials >= 6  # more, where one diverges and leaves its epochs to others


def test_tuning_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tune_cell(Cell("diabetes", "sgd", "constant"), SMALL)
    assert list(tmp_path.iterdir()) == []


def test_what_diverges_is_written_down_as_such_and_breaks_nothing() -> None:
    config = {"task": "diabetes", "schedule": "constant", "optimizer": "sgd", "lr": 1e6}
    run = compare_run(config, 0, 4)
    assert run["val_loss"] is None
    assert run["train_100"] is None
    assert run["error"] is None


def test_what_fails_is_written_down_with_its_reason() -> None:
    config = {"task": "diabetes", "schedule": "constant", "optimizer": "sgd", "lr": 0.1, "clip_norm": "x"}
    run = compare_run(config, 0, 4)
    assert run["val_loss"] is None
    assert "could not convert" in run["error"]


def test_the_loss_is_noted_on_the_way() -> None:
    config = {"task": "diabetes", "schedule": "constant", "optimizer": "sgd", "lr": 0.01}
    run = compare_run(config, 0, 10)
    assert run["train_10"] > run["train_50"] > run["train_100"] > 0
    assert run["passes"] == 10 * 15


@pytest.mark.parametrize("task", sorted(cells.train.__globals__["TASKS"]))
def test_every_task_learns(task: str) -> None:
    chance = cells.train.__globals__["TASKS"][task].chance
    config = {"task": task, "schedule": "constant", "optimizer": "adamw", "lr": 0.01}
    assert compare_run(config, 0, 6)["val_loss"] < 0.9 * chance


def test_a_contender_that_cannot_train_is_told_before_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(config: Any, trial: Any) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(cells, "train", broken)
    with pytest.raises(JobFailed, match="diabetes--sgd--cosine does not train: RuntimeError: no such thing"):
        cells.seconds_an_epoch(Cell("diabetes", "sgd", "cosine"))


# The folder -----------------------------------------------------------------------------------------


def test_the_same_command_does_nothing_more(folder: Path) -> None:
    done = command(f"{ASKED} --out {folder}")
    assert done.exit_code == 0
    assert "All 2 cells are finished." in done.output


def test_only_what_is_missing_is_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill loses no more than the cells that were under way."""
    study = Study.create(tmp_path / "study", SMALL)
    with study.begun():
        pass
    wanted = [Cell("diabetes", "sgd", name) for name in ("greedy", "constant", "cosine")]

    def stop_after_one(result: dict[str, Any]) -> None:
        study.write(result)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pool.run_cells(study.left(wanted), SMALL, 1, stop_after_one)
    left = Study.open(tmp_path / "study").left(wanted)
    assert left == wanted[1:]
    pool.run_cells(left, SMALL, 1, study.write)
    whole = {one["cell"]["contender"]: one["tuned"] for one in study.results()}
    before = {one["cell"]["contender"]: one["tuned"] for one in Study.open(folder).results()}
    assert whole["greedy"] == before["greedy"]
    assert whole["cosine"] == before["cosine"]


def test_worker_processes_find_the_same(folder: Path, tmp_path: Path) -> None:
    study = Study.create(tmp_path / "study", SMALL)
    with study.begun():
        pass
    wanted = [Cell("diabetes", "sgd", name) for name in ("greedy", "cosine")]
    pool.run_cells(wanted, SMALL, 2, study.write)
    columns = ["contender", "setting", "seed", "val_loss", "train_10"]
    here, there = (table(one.results())[columns] for one in (study, Study.open(folder)))
    pd.testing.assert_frame_equal(here, there)


def test_a_study_with_other_settings_is_refused(folder: Path) -> None:
    done = command(f"{ASKED} --out {folder}".replace("--seeds 3", "--seeds 5"))
    assert done.exit_code == 2
    assert "the study there was begun with --trials 3 --epochs 4 --seeds 3 --seed 0" in done.output


def test_a_cell_of_another_space_is_refused(folder: Path, tmp_path: Path) -> None:
    study = Study.create(tmp_path / "study", SMALL)
    with study.begun():
        pass
    result = next(one for one in Study.open(folder).results() if one["cell"]["contender"] == "cosine")
    wider = json.loads(json.dumps(result))
    wider["space"]["knobs"]["lr"]["high"] = 5.0
    study.write(wider)
    with pytest.raises(BadInput, match=r"one without cells/diabetes--sgd--cosine.json: the search space"):
        study.left([Cell("diabetes", "sgd", "cosine")])


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = command(f"{ASKED} --yes --out {tmp_path}")
    assert done.exit_code == 2
    assert "expected a new or empty folder, or that of a study to go on with" in done.output
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


# The report -----------------------------------------------------------------------------------------


def test_the_report_says_what_it_must(folder: Path) -> None:
    text = (folder / "report.md").read_text("utf-8")
    for said in (
        "- command: `tune-lr bench schedules --tasks diabetes --contenders greedy,cosine --optimizers sgd "
        "--trials 3 --epochs 4 --seeds 3 --seed 0`",
        "torch ",
        "3 others (1000 to 1002) are reported",
        "**Not part of this run:** tasks digits-mlp",
        "; optimizers adam, adamw; contenders constant, linear",
        " seconds of a worker in all",
        "| the paper (arXiv 2512.14527), small models | 132 | 86.7 % | 24.5 % |",
        "Holm-corrected",
        "they do not speak of the tuning",
        "### Over the tunings",
        "### Where GreedyLR loses",
        "### Trainings that diverged",
        "| **greedy** |",
        "### Training loss on the way",
        "### How fair it is",
    ):
        assert said in text, said
    assert re.search(r"\d{4}-\d\d-\d\d", text)
    assert "nan" not in text.lower()


def test_how_verdicts_are_to_be_read_is_said_once_and_pointed_to_elsewhere(folder: Path) -> None:
    text = (folder / "report.md").read_text("utf-8")
    assert text.count("they do not speak of the tuning") == 1
    assert text.count("is said under *In short*") >= 3


@pytest.mark.parametrize(("seconds", "said"), [(20, "20 seconds"), (90, "2 minutes"), (4000, "1.1 hours")])
def test_the_time_of_workers_is_told_in_a_unit_that_fits(folder: Path, seconds: float, said: str) -> None:
    first, second = Study.open(folder).results()
    cells = [{**first, "seconds": seconds}, {**second, "seconds": 0}]
    assert f"2 cells, {said} of a worker in all" in report.report(cells, SMALL, {}, [])


def test_the_statistics_can_be_made_again_from_the_raw_file(folder: Path) -> None:
    raw = pd.read_csv(folder / "results.csv")
    assert len(raw) == 2 * 2 * 3
    full = pd.read_parquet(folder / "results.parquet")
    for setting in ("tuned", "default"):
        (one,), (other,) = (judge(frame, setting, {"diabetes": 1.0}) for frame in (raw, full))
        assert one.ratio == pytest.approx(other.ratio, rel=1e-4)
        assert one.verdict == other.verdict


def test_a_report_of_what_diverged(folder: Path) -> None:
    results = Study.open(folder).results()
    for result in results:
        for run in result["runs"]:
            if result["cell"]["contender"] == "cosine" or run["seed"] == 1000:
                run.update(dict.fromkeys(("val_loss", "train_10", "train_50", "train_100", "passes")))
    text = report.report(results, SMALL, {}, [])
    assert "all diverged" in text
    assert "(1 diverged)" in text
    assert "| cosine | 3 of 3 | 3 of 3 |" in text
    assert "| **greedy** | 1 of 3 | 1 of 3 |" in text
    assert "| cosine | tuned | 0 | 2 |" in text


def test_a_report_says_where_the_code_changed_meanwhile(folder: Path) -> None:
    first, second = Study.open(folder).results()
    said = "not all run by the same source and versions"
    assert said not in report.report([first, second], SMALL, {}, [])
    text = report.report([first, {**second, "code": "other"}], SMALL, {}, [])
    assert said in text
    assert f"source {', '.join(sorted([first['code'], 'other']))}" in text
    newer = {**second, "versions": {"torch": "99"}}
    assert "**or** torch 99" in report.report([first, newer], SMALL, {}, [])


def test_a_report_of_cells_that_do_not_note_their_versions(folder: Path) -> None:
    results = Study.open(folder).results()
    for result in results:
        for later in ("versions", "cores", "ended"):
            del result[later]
    text = report.report(
        results, SMALL, {"versions": {"torch": "1.2"}, "begun": "2026-01-02T", "seen": "2026-01-03T"}, []
    )
    assert "- date: 2026-01-02 to 2026-01-03, one thread" in text
    assert "- versions: torch 1.2; source" in text
    assert "this tells of the training code only" in text


def test_a_report_without_anyone_to_compare_with(folder: Path) -> None:
    results = [one for one in Study.open(folder).results() if one["cell"]["contender"] == "greedy"]
    assert "| tuned, validation loss at the end | 0 | 0 (-) |" in report.report(results, SMALL, {}, [])


def test_the_report_goes_between_its_markers(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "docs" / "evidence.md"
    file.parent.mkdir()
    file.write_text(f"# Evidence\n\n{document.BEGIN}\nold\n{document.END}\n\n## Another's\n\nkept\n", "utf-8")
    for _ in range(2):
        done = command(f"--report-only --out {folder} --write {file}")
        assert done.exit_code == 0, done.output
    text = file.read_text("utf-8")
    assert "\nold\n" not in text
    assert text.startswith("# Evidence\n")
    assert text.endswith(f"{document.END}\n\n## Another's\n\nkept\n")
    assert text.count("### In short") == 1
    raw = file.parent / "evidence" / "schedules.csv"
    assert raw.read_bytes() == (folder / "results.csv").read_bytes()


def test_a_document_without_markers_gets_them_and_one_with_half_of_them_is_refused() -> None:
    text = document.insert("new", "# Evidence\n", "x.md")
    assert text == f"# Evidence\n\n{document.BEGIN}\nnew\n{document.END}\n"
    assert document.insert("newer", text, "x.md") == text.replace("new", "newer")
    twice = f"{text}\n{text}"
    for half in (document.BEGIN, document.END, f"{document.END}\n{document.BEGIN}", twice):
        with pytest.raises(BadInput, match=r"x\.md"):
            document.insert("new", half, "x.md")


# The command ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("--tasks digit-mlp", "did you mean digits-mlp"),
        ("--contenders cosin", "did you mean cosine"),
        ("--optimizers adamax", "unknown name 'adamax'"),
        ("--workers 0", "--workers: 0 is not usable"),
        ("--seeds 1", "--seeds: 1 is not usable; expected a whole number from 2 to 500"),
        ("--trials 5001", "--trials: 5001 is not usable; expected a whole number from 1 to 5000"),
        ("--tasks ,", "--tasks: ',' is not usable; expected names with one comma between them"),
        ("--tasks diabetes,,letters", "--tasks: 'diabetes,,letters' is not usable"),
        ("--contenders ,", "--contenders: ',' is not usable"),
        ("--optimizers ,", "--optimizers: ',' is not usable"),
        ("--write x.txt", "the path of a Markdown document"),
        ("--report-only", "expected the folder of a study"),
        ("--trials 2 --epochs 2 --tasks diabetes --contenders cosine", "--yes: not given"),
    ],
)
def test_bad_use_is_told_in_a_line_and_leaves_nothing(asked: str, message: str, tmp_path: Path) -> None:
    done = command(asked, "--out", str(tmp_path / "study"))
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output
    assert not (tmp_path / "study").exists()


def test_the_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "scipy" else name)
    done = command("--yes")
    assert done.exit_code == 2
    assert "pip install 'tune-lr[bench]'" in done.output
    assert issubclass(MissingExtra, ImportError)


# Memory ---------------------------------------------------------------------------------------------


def test_the_size_of_a_state_is_that_of_its_tensors_and_numbers() -> None:
    import torch

    state = {"a": torch.zeros(10), "b": [1, 2.0, None], "c": {"name": "abc"}, "d": (True,)}
    assert memory.state_bytes(state) == 40 + 16 + 3 + 8


def test_memory_is_measured_with_one_thread_and_the_others_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    seen = []
    monkeypatch.setattr(
        memory, "_state_after_steps", lambda *asked: seen.append(torch.get_num_threads()) or {}
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        memory.measure()
        assert set(seen) <= {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_greedy_remembers_little_for_any_net_and_a_rate_for_each_parameter_more() -> None:
    rows = memory.measure()
    if not rows:
        pytest.skip("no hypergradient schedule is registered")
    assert all(row["greedy"] < 1000 for row in rows)
    assert all(row["hypergradient-parameter"] > row["parameters"] for row in rows)
