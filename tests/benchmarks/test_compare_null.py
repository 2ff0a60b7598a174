"""The benchmark of false findings, but small."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def test_two_comparisons_end_in_a_row_a_kind(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    monkeypatch.delitem(sys.modules, "compare_null", raising=False)
    import compare_null

    page = tmp_path / "page.md"
    page.write_text("<!-- compare-null:begin -->\n<!-- compare-null:end -->\n")
    compare_null.main(["--comparisons", "2", "--insert", str(page)])
    rows = [line for line in page.read_text().splitlines() if line.startswith("| ")][2:]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [cell[0] for cell in cells] == [compare_null.SAME, compare_null.WITHHELD, compare_null.FIVE]
    assert all(cell[1] == "2" for cell in cells)
    assert cells[1][2] == "2"  # a quarter of the configurations is a difference that two of two find
    assert cells[2][2] == "0 (too few to tell)"
    assert capsys.readouterr().out.count("\n") == 7
