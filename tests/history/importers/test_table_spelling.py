"""Numbers as spreadsheets spell them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.history.importers.test_table_names import read


def test_decimal_commas(tmp_path: Path) -> None:
    text = "trial_id;epoch;lr;val_loss;val_acc\n1,5;1;0,001;0,5;1\n1,5;2;0,001;1,25e-1;0,75\n2;1;1;NaN;-,5\n"
    log, skipped = read(tmp_path / "a.csv", text)
    assert not skipped
    assert log.trials["trial_id"].tolist() == ["1,5", "2"]
    assert log.trials["config/lr"].tolist() == [0.001, 1.0]
    np.testing.assert_array_equal(log.reports["val_loss"], [0.5, 0.125, np.nan])
    assert log.reports["val_acc"].tolist() == [1.0, 0.75, -0.5]


def test_cells_that_are_wrong_among_decimal_commas(tmp_path: Path) -> None:
    rows = ["1;1;0,5;0,5", "1;2;0,5;oops", "2;1;none;1.234", "2;2;none;0,25", "3;1;1;1,5"]
    text = "\n".join(["trial_id;epoch;config/k;val_loss", *rows])
    log, skipped = read(tmp_path / "a.csv", text)
    assert log.trials["config/k"].tolist() == [0.5, "none", 1]
    np.testing.assert_array_equal(log.reports["val_loss"], [0.5, np.nan, np.nan, 0.25, 1.5])
    assert {why: times for (_, why), times in skipped.counts.items()} == {
        "a value of 'val_loss' that is no number": 1,
        "a value of 'val_loss' with a point among decimal commas": 1,
    }


def test_a_comma_that_is_no_decimal_one(tmp_path: Path) -> None:
    text = "trial_id;epoch;config/layers;val_loss\n1;1;64,128;0.5\n1;2;64,128;0.25\n"
    log, skipped = read(tmp_path / "a.csv", text)
    assert not skipped
    assert log.trials["config/layers"].tolist() == ["64,128"]
    assert log.reports["val_loss"].tolist() == [0.5, 0.25]


def test_commas_that_begin_late_among_words(tmp_path: Path) -> None:
    rows = "".join(f"1;{epoch};0,{epoch}\n" for epoch in range(1, 200_000))
    log, skipped = read(tmp_path / "a.csv", f"trial_id;epoch;val_loss\n{rows}1;200000;late\n")
    assert dict(skipped.counts) == {("a.csv", "a value of 'val_loss' that is no number"): 1}
    assert log.reports["val_loss"].iloc[[0, -2]].tolist() == [0.1, 0.199999]


def test_percentages(tmp_path: Path) -> None:
    log, skipped = read(tmp_path / "a.csv", "trial_id,epoch,val_acc\n1,1,90.5%\n1,2,91 %\n1,3,NaN\n1,4,\n")
    assert not skipped
    np.testing.assert_array_equal(log.reports["val_acc"], [90.5, 91.0, np.nan, np.nan])
    log, _ = read(tmp_path / "b.csv", "trial_id;lr;val_acc\n1;0,1;90,5%\n2;0,2;7%\n")
    assert log.trials["val_acc"].tolist() == [90.5, 7.0]


def test_numbers_among_percentages_say_nothing(tmp_path: Path) -> None:
    rows = "".join(f"1,{epoch},50%\n" for epoch in range(1, 2000))
    log, skipped = read(tmp_path / "a.csv", f"trial_id,epoch,val_acc\n{rows}1,2000,0.5\n")
    assert np.isnan(log.reports["val_acc"].iloc[-1])
    assert dict(skipped.counts) == {("a.csv", "a value of 'val_acc' that is no percentage"): 1}


def test_a_percentage_in_a_knob_is_text(tmp_path: Path) -> None:
    log, _ = read(tmp_path / "a.csv", "trial_id,config/drop,val_loss\n1,10%,0.5\n2,20%,0.4\n")
    assert log.trials["config/drop"].tolist() == ["10%", "20%"]
