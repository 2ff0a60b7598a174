"""Exports of Weights & Biases, written by hand as its app writes them: that takes an account and a server.

The table of runs has configuration and summary under bare names beside what the app tells of each run. A
chart has its steps, and of each run the metric and the least and greatest of what was averaged into a point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

RUNS = """\
"Name","State","Notes","User","Tags","Created","Runtime","Sweep",\
"lr","patience","optimizer","hidden","val_loss","_step"
"warm-sweep-1","finished","-","ann","a, b","2024-05-05T10:07:23Z","61","s1","0.1","3","adam","64","0.125","2"
"pretty-sweep-2","crashed","-","ann","","2024-05-05T10:08:23Z","30","s1","0.01","5","sgd","128","0.5","1"
"old - one","killed","-","ann","","2024-05-05T10:09:23Z","10","s1","0.5","0","sgd","32","NaN","0"
"""

CHART = """\
"Step","warm-sweep-1 - val_loss","warm-sweep-1 - val_loss__MIN","warm-sweep-1 - val_loss__MAX",\
"pretty-sweep-2 - val_loss","pretty-sweep-2 - val_loss__MIN","pretty-sweep-2 - val_loss__MAX",\
"old - one - val_loss","old - one - val_loss__MIN","old - one - val_loss__MAX"
"0","0.5","0.5","0.5","0.75","0.75","0.75","NaN","NaN","NaN"
"1","0.25","0.25","0.25","0.5","0.5","0.5","","",""
"2","0.125","0.125","0.125","","","","","",""
"""

HISTORY = """\
,_step,_runtime,_timestamp,train/loss,epoch,system/gpu
0,0,1.5,1714903643.5,1.0,0,3
1,1,2.5,1714903644.5,0.5,1,3
"""

EXPECTED: dict[str, Any] = {
    "trials": 3,
    "reports": 6,
    "metric": None,
    "knobs": {"lr", "patience", "optimizer", "hidden"},
    "first": {0: 0.5, 1: 0.25, 2: 0.125},
}


def make(folder: Path) -> Path:
    """A table of runs and the chart of one metric."""
    path = folder / "exports"
    path.mkdir(parents=True)
    (path / "wandb_export_2024-05-05T10_10_23.233-04_00.csv").write_text(RUNS, "utf-8")
    (path / "wandb_export_2024-05-05T10_11_23.233-04_00.csv").write_text(CHART, "utf-8")
    return path
