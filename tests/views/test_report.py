"""The report in a real browser: of a real job, of ten thousand trials, and of names that mean harm."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import tune_lr
from tests.samples import trainers
from tests.samples.spaces import SMALL
from tests.views.browser import look, needs_browser
from tune_lr import Job, SearchSpace
from tune_lr.cli import app
from tune_lr.experiment import Experiment
from tune_lr.journal import Journal
from tune_lr.views.importance import importance_of
from tune_lr.views.report.facts import gather
from tune_lr.views.report.markdown import markdown
from tune_lr.views.report.page import page

EVIL = (
    "</script><script>window.hacked = true; document.hacked = true</script>",
    '"><img src=x onerror="hacked = true">',
    "<b onmouseover=alert(1)>bold</b>",
    "$\\frac{a}{b}$ & {{7*7}} ${7*7}",
    "<a href='javascript:hacked=true'>click</a>",
    "long " * 200,
    "\u2028\u2029\u202e\x1b[31mred",
)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job of 40 trials with the prior, as a person would run it."""
    out = tmp_path_factory.mktemp("real") / "x"
    tune_lr.tune(
        trainers.good, "greedy_lr", out=out, trials=40, max_epochs=9, workers=2, engine="syne-tune",
        prior="starter", progress=False,
    )  # fmt: skip
    return out


def made_up(folder: Path, trials: int, space: SearchSpace, metric: str = "val_loss", error: str = "") -> Path:
    """An experiment's folder with a journal of made-up trials."""
    job = Job.make(
        {"trainer": "t.py", "space": space.to_dict(), "metric": metric, "workers": 4, "prior": "none",
         "searcher": "random", "trials": trials}
    )  # fmt: skip
    Experiment.open(folder, job)
    journal, draws, now = Journal(folder / "journal.jsonl"), random.Random(0), 1e9
    journal.append({"event": "session", "time": now, "asked": job.model_dump(mode="json", exclude={"space"})})
    for number, values in enumerate(space.sample(trials, 0)):
        name, config = f"{number:05d}", space.config(values)
        why = {"source": "prior" if number % 3 else "model", "trust": 0.5, "tasks": [*EVIL[:2], "digits"]}
        journal.append(
            {"event": "ask", "time": now, "trial_id": name, "values": values, "config": config, "why": why}
        )
        for epoch in range(1, draws.choice((1, 1, 3, 9)) + 1):
            now += 0.01
            loss = draws.random() + 1 / epoch
            journal.append(
                {"event": "report", "time": now, "trial_id": name, "epoch": epoch, "seconds": 0.1 * epoch,
                 "metrics": {metric: loss, "lr": 0.1 / epoch}, "decision": "continue"}
            )  # fmt: skip
        status = "failed" if error and number % 5 == 0 else "completed"
        journal.append(
            {"event": "end", "time": now, "trial_id": name, "status": status, "error": error or None}
        )
    journal.append({"event": "close", "time": now, "status": "finished"})
    journal.close()
    return folder


def written(folder: Path) -> Path:
    file = folder / "report.html"
    file.write_text(page(Experiment.open(folder)), encoding="utf-8")
    return file


@needs_browser
@pytest.mark.parametrize("width", [1280, 390])
def test_a_real_job_on_a_desk_and_on_a_phone(real: Path, width: int) -> None:
    seen = look(written(real), width)
    assert seen["errors"] == []
    assert seen["fetched"] == []
    assert seen["at_once"] < seen["places"]  # the others once they come into sight, or are printed
    assert seen["charts"] == seen["drawn"] == seen["places"] >= 8
    assert {"scattergl", "parcoords", "bar", "scatter"} <= set(seen["types"])
    assert seen["wide"] <= seen["room"]
    assert seen["plots_wide"] <= seen["room"]
    assert seen["hovered"] != ""
    for part in ("Best val_loss", "What mattered", "What the history did", "Use the best", "Make it again"):
        assert part in seen["text"]


@needs_browser
def test_ten_thousand_trials(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "x", 10_000, SMALL)
    file = written(folder)
    assert file.stat().st_size < 12e6
    seen = look(file)
    assert seen["errors"] == []
    assert seen["charts"] == seen["drawn"] >= 6
    assert "Of 10000 trials 300 are drawn" in seen["text"]


@needs_browser
def test_names_that_mean_harm_are_only_names(tmp_path: Path) -> None:
    knobs: dict[str, Any] = {
        "lr": {"type": "float", "low": 0.1, "high": 1.0},
        "choice": {"type": "categorical", "values": list(EVIL)},
    }
    space = SearchSpace.from_dict({"name": "evil", "description": EVIL[0], "knobs": knobs})
    folder = made_up(tmp_path / "x<img src=y>", 30, space, metric=EVIL[1], error=EVIL[0] + EVIL[1])
    file = written(folder)
    inert = tmp_path / "report.html"
    file.rename(inert)
    seen = look(inert)
    assert not seen["hacked"]
    assert seen["errors"] == []
    assert seen["fetched"] == []
    assert seen["charts"] == seen["drawn"] >= 5
    assert "<img src=x onerror" in seen["text"]
    content = inert.read_text()
    body = re.sub(r"<script.*?</script>", "", content, flags=re.DOTALL)
    assert "<img" not in body
    assert "<b onmouseover" not in body
    assert "javascript:hacked" not in re.sub(r"&lt;a href.*?&gt;", "", body)


def test_every_format_by_the_command(real: Path, tmp_path: Path) -> None:
    def told(*arguments: str) -> tuple[int, str, str]:
        result = CliRunner().invoke(app, ["report", str(real), *arguments])
        return result.exit_code, result.stdout, result.stderr

    code, said, _ = told()
    assert (code, said.strip().endswith("report.html")) == (0, True)
    assert (real / "report.html").read_text().startswith("<!DOCTYPE html>")
    code, said, _ = told("--format", "json", "--out", "-")
    found = json.loads(said)
    best = Experiment.open(real).best
    assert best is not None
    assert (code, found["best"]["value"]) == (0, best.value)
    assert sum(found["importance"].values()) == pytest.approx(1.0)
    code, said, _ = told("--format", "md", "--out", "-")
    assert (code, said.count("\n| 00")) == (0, 10)
    code, _, _ = told("--out", str(tmp_path / "x.png"))
    assert (code, (tmp_path / "x.png").read_bytes()[:4]) == (0, b"\x89PNG")
    for arguments in (("--format", "docx"), ("--out", str(tmp_path / "no" / "x.html")), ("--out", "x.docx")):
        code, _, error = told(*arguments)
        assert (code, bool(error)) == (2, True)


def test_code_to_paste_is_code(real: Path) -> None:
    facts = gather(Experiment.open(real))
    for code in facts.code.values():
        compile(code, "paste", "exec")


def test_of_nothing_and_of_what_just_began(tmp_path: Path) -> None:
    job = Job.make({"trainer": "t.py", "space": SMALL.to_dict(), "prior": "none"})
    empty = Experiment.open(tmp_path / "empty", job)
    assert "No trial has a usable val_loss" in page(empty)
    assert "No trial has a usable" in markdown(empty)
    few = made_up(tmp_path / "few", 3, SMALL)
    assert "Too few trials to tell" in page(Experiment.open(few))


def test_what_matters_is_found_and_what_acts_together_too() -> None:
    knob = {"type": "float", "low": 0.0, "high": 1.0}
    space = SearchSpace.from_dict({"name": "four", "knobs": dict.fromkeys("abcd", knob)})
    points = space.sample(300, 0)
    found = importance_of(space, [(one, 9, one["a"] + 0.1 * one["b"]) for one in points])
    assert found is not None
    assert found.of[0][0] == "a"
    assert dict(found.of)["c"] < 0.05
    assert found.fit > 0.8
    together = importance_of(space, [(one, 9, (one["a"] - 0.5) * (one["b"] - 0.5)) for one in points])
    assert together is not None
    assert {name for name, _ in together.of[:2]} == {"a", "b"}
    noise = random.Random(0)
    nothing = importance_of(space, [(one, 9, noise.random()) for one in points])
    assert nothing is not None
    assert nothing.fit < 0.1
    assert importance_of(space, [(one, 9, one["a"]) for one in points[:19]]) is None
