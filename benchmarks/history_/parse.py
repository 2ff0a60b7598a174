"""The measure of an import: the natural call that merely parses the same files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def tune_lr(path: Path) -> None:
    import pandas as pd

    json.loads((path / "experiment.json").read_text())
    pd.read_json(path / "journal.jsonl", lines=True)


def syne_tune(path: Path) -> None:
    import pandas as pd

    json.loads((path / "metadata.json").read_text())
    pd.read_csv(path / "results.csv.zip")


def _params(trial: Path) -> Any:
    return json.loads((trial / "params.json").read_text())


def ray_json(path: Path) -> None:
    import pandas as pd

    kept = [
        (_params(trial), pd.read_json(trial / "result.json", lines=True)) for trial in sorted(path.iterdir())
    ]
    pd.concat([frame for _, frame in kept])


def ray_csv(path: Path) -> None:
    import pandas as pd

    kept = [(_params(trial), pd.read_csv(trial / "progress.csv")) for trial in sorted(path.iterdir())]
    pd.concat([frame for _, frame in kept])


def optuna_sqlite(path: Path) -> None:
    import sqlite3

    import pandas as pd

    base = sqlite3.connect(path)
    for table in ("studies", "trials", "trial_params", "trial_values", "trial_intermediate_values"):
        pd.read_sql(f"SELECT * FROM {table}", base)


def lines(path: Path) -> None:
    import pandas as pd

    pd.read_json(path, lines=True)


def huggingface(path: Path) -> list[Any]:
    return [json.loads(file.read_text()) for file in sorted(path.rglob("trainer_state.json"))]


def mlflow(path: Path) -> list[Any]:
    import pandas as pd
    import yaml

    kept = []
    for facts in sorted(path.glob("*/*/meta.yaml")):
        run = facts.parent
        knobs = {file.name: file.read_text() for file in (run / "params").iterdir()}
        curves = {
            file.name: pd.read_csv(file, sep=" ", names=["time", "value", "step"])
            for file in (run / "metrics").iterdir()
        }
        kept.append((yaml.load(facts.read_text(), yaml.CSafeLoader), knobs, curves))
    return kept


def tensorboard(path: Path) -> list[Any]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kept = []
    for run in sorted(path.iterdir()):
        read = EventAccumulator(str(run), size_guidance={"scalars": 0})
        read.Reload()
        kept.append(read.Scalars("val_loss"))
    return kept


def csv(path: Path) -> None:
    import pandas as pd

    pd.read_csv(path)


def csv_by_pyarrow(path: Path) -> None:
    import pyarrow.csv

    pyarrow.csv.read_csv(path, pyarrow.csv.ReadOptions(use_threads=False))


def parquet_by_pyarrow(path: Path) -> None:
    import pyarrow.parquet

    pyarrow.parquet.read_table(path, use_threads=False)


def parquet(path: Path) -> None:
    import pandas as pd

    pd.read_parquet(path)


def wandb(path: Path) -> None:
    for file in sorted(path.iterdir()):
        csv(file)


PARSERS = {
    "tune-lr journal": tune_lr,
    "syne-tune": syne_tune,
    "ray result.json": ray_json,
    "ray progress.csv": ray_csv,
    "optuna sqlite": optuna_sqlite,
    "optuna journal": lines,
    "huggingface": huggingface,
    "mlflow": mlflow,
    "tensorboard": tensorboard,
    "csv long": csv,
    "csv wide": csv,
    "jsonl": lines,
    "parquet": parquet,
    "wandb": wandb,
}
BY_PYARROW = {"csv long": csv_by_pyarrow, "csv wide": csv_by_pyarrow, "parquet": parquet_by_pyarrow}
#: What a format's own reader needs; imported before the clock starts, on both sides.
NEEDS = {
    "mlflow": ["yaml"],
    "tensorboard": ["tensorboard.backend.event_processing.event_accumulator"],
}
