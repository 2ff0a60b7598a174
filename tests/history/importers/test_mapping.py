from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tune_lr.errors import BadInput
from tune_lr.history.importers.mapping import EXAMPLE, checked, load_mapping, metric_of


def test_the_example_is_a_mapping(tmp_path: Path) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text(EXAMPLE)
    mapping = load_mapping(file)
    assert mapping["trial"] == "run"
    columns = checked(mapping)
    assert columns.knob_names == {"learning_rate": "lr", "patience": "patience"}
    assert columns.status_words == {"ok": "completed", "killed": "stopped"}
    assert columns.metrics == ["val_loss"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ({"trail": "x"}, "did you mean trial"),
        ({"trial": 3}, "trial: 3 is not usable; expected the name of a column"),
        ({"trial": ""}, "the name of a column"),
        ({"status": {"column": "a", "values": {"x": "dead"}}}, "status of 'x': 'dead'"),
        ({"status": {"colum": "a"}}, "did you mean column"),
        ({"knobs": {"a": 3}}, "knobs: 3"),
        ({"wide_curves": "loss"}, "{epoch} in it once"),
        ({"wide_curves": ["{epoch}{epoch}"]}, "{epoch} in it once"),
        ({"counts_from": 2}, "0 or 1"),
        ({"mode": "up"}, "'min' or 'max'"),
        ({"layout": "tall"}, "'long' or 'wide'"),
        ([1], "fields with names of columns"),
        (None, "fields with names of columns"),
    ],
)
def test_what_is_no_mapping_is_said(content: Any, complaint: str) -> None:
    with pytest.raises(BadInput) as caught:
        checked(content)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "a", "- b", "trial: &x run", "trial: [", "trial: !!python/name:os.system x"]
)
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "columns.yaml"
    file.write_text(text)
    with pytest.raises(BadInput, match=r"columns\.yaml"):
        load_mapping(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.yaml"):
        load_mapping(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("pattern", "metric"),
    [
        ("val_loss_{epoch}", "val_loss"),
        ("val_loss@{epoch}", "val_loss"),
        ("loss_epoch_{epoch}", "loss"),
        ("epoch{epoch}/loss", "loss"),
        ("{epoch}", "value"),
    ],
)
def test_a_curve_is_named_by_its_columns(pattern: str, metric: str) -> None:
    assert metric_of(pattern) == metric
