"""The second set of tables: small ones of it can be recorded, and are the same every time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import nets  # noqa: E402
from transfer_.tables import load  # noqa: E402


def test_tables_are_recorded_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one.npz", "two.npz"):
        nets.main(["--tasks", "4", "--configs", "12", "--epochs", "3", "--out", str(tmp_path / name)])
    one, two = load(tmp_path / "one.npz"), load(tmp_path / "two.npz")
    assert one.tasks == ["net-00", "net-01", "net-02", "net-03"]
    assert one.digest == two.digest
    for curve in one.curves.values():
        assert curve.shape == (12, 3)
        assert np.isfinite(curve).mean() > 0.5
        assert np.nanmin(curve[:, -1]) < np.nanmax(curve[:, 0])


def test_a_mask_makes_a_net_narrow_and_a_skip_makes_it_shallow() -> None:
    small = {"units": 8, "layers": 1, "dropout": 0.0}
    made = nets.Nets([small], columns=5, classes=3)
    x = nets.torch.randn(4, 5)
    before = made(x)
    with nets.torch.no_grad():
        made._weights[0][:, :, 8:] += 1.0  # units that the net does not have
        made._weights[1] += 1.0  # a layer that it does not have
    assert nets.torch.equal(made(x), before)
