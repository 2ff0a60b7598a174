"""Logs of many trials as each tool writes them, but written as text: the tools would take hours.

Every trial has a configuration of three knobs and a falling curve of ``val_loss``; all of them report every
epoch. The lines bear what the tool's own lines bear, so that parsing them costs what it costs in practice.
"""

from __future__ import annotations

import json
import random
import sqlite3
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

KNOBS = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "patience": {"type": "int", "low": 1, "high": 10},
    "optimizer": {"type": "categorical", "values": ["adam", "sgd"]},
}
BEGAN = 1_700_000_000


def trials_of(trials: int, epochs: int) -> Iterator[tuple[int, dict[str, Any], list[float]]]:
    """Number, configuration and curve of every trial, the same at every call."""
    chance = random.Random(0)
    for number in range(trials):
        config = {
            "lr": 10 ** chance.uniform(-4, 0),
            "patience": chance.randint(1, 10),
            "optimizer": chance.choice(("adam", "sgd")),
        }
        start, end, noise = chance.uniform(1, 3), chance.random(), chance.uniform(0, 0.1)
        curve = [end + (start - end) / epoch + noise * chance.random() for epoch in range(1, epochs + 1)]
        yield number, config, curve


def tune_lr(folder: Path, trials: int, epochs: int) -> Path:
    """An experiment's journal and its facts."""
    job = {"trainer": "train.py:train", "space": {"name": "bench", "knobs": KNOBS}, "engine": "inline"}
    job |= {"searcher": "random", "trial_scheduler": "none", "trials": trials, "max_epochs": epochs}
    job |= {"workers": 1, "seed": 0, "metric": "val_loss", "mode": "min", "scope": "best", "budget": None}
    facts = {"format": 1, "status": "finished", "start": "2026-01-01T00:00:00+00:00", "job": job}
    facts["versions"] = {"tune-lr": "0.1.0"}
    (folder / "experiment.json").write_text(json.dumps(facts, indent=2))
    asked = {name: value for name, value in job.items() if name != "space"}
    with (folder / "journal.jsonl").open("w") as file:
        file.write(json.dumps({"event": "session", "time": BEGAN, "asked": asked}) + "\n")
        for number, config, curve in trials_of(trials, epochs):
            said, trial = json.dumps(config, separators=(",", ":")), f"{number:04d}"
            file.write(
                f'{{"event":"ask","time":{BEGAN}.5,"trial_id":"{trial}","values":{said},"config":{said},'
                '"why":{"source":"random"}}\n'
            )
            lines = [
                f'{{"event":"report","time":{BEGAN}.{epoch:03d},"trial_id":"{trial}","epoch":{epoch},'
                f'"seconds":{epoch}.25,"metrics":{{"val_loss":{loss!r}}},"decision":"continue"}}\n'
                for epoch, loss in enumerate(curve, 1)
            ]
            lines[-1] = lines[-1][:-2] + ',"status":"completed"}\n'
            file.writelines(lines)
        file.write(f'{{"event":"close","time":{BEGAN}.9,"status":"finished"}}\n')
    return folder


def syne_tune(folder: Path, trials: int, epochs: int) -> Path:
    """An experiment folder of Syne Tune: the facts, and the zipped table of results."""
    domains = {
        "lr": _domain("Float", {"lower": 1e-4, "upper": 1.0}, "LogUniform"),
        "patience": _domain("Integer", {"lower": 1, "upper": 10}, "Uniform"),
        "optimizer": _domain("Categorical", {"categories": ["adam", "sgd"]}, "Uniform"),
        "epochs": epochs,
    }
    facts = {"metric_names": ["val_loss"], "metric_mode": "min", "st_tuner_creation_timestamp": BEGAN}
    facts |= {"tuner_name": "bench", "entrypoint": "train", "config_space": json.dumps(domains)}
    (folder / "metadata.json").write_text(json.dumps(facts))
    columns = (
        "val_loss,epoch,st_worker_timestamp,st_worker_time,st_worker_iter,st_decision,st_status,trial_id"
    )
    columns += "".join(f",config_{name}" for name in [*KNOBS, "epochs"]) + ",st_tuner_time\n"
    with (
        zipfile.ZipFile(folder / "results.csv.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("results.csv", "w", force_zip64=True) as member,
    ):
        member.write(columns.encode())
        for number, config, curve in trials_of(trials, epochs):
            tail = (
                f"CONTINUE,InProgress,{number},{config['lr']!r},{config['patience']},{config['optimizer']},"
            )
            tail += f"{epochs}"
            lines = [
                f"{loss!r},{epoch},{BEGAN + epoch}.125,{epoch}.25,{epoch - 1},{tail},{number + epoch}.625\n"
                for epoch, loss in enumerate(curve, 1)
            ]
            member.write("".join(lines).encode())
    return folder


def _domain(kind: str, bounds: dict[str, Any], sampler: str) -> dict[str, Any]:
    return {"domain_cls": kind, "domain_kwargs": bounds, "sampler_cls": sampler, "sampler_kwargs": {}}


def _ray(folder: Path, trials: int, epochs: int) -> Iterator[tuple[Path, int, dict[str, Any], list[float]]]:
    """Ray's folders of trials with their configurations."""
    for number, config, curve in trials_of(trials, epochs):
        trial = folder / f"train_{number:05x}_{number:05d}_{number}_lr={config['lr']:.4f}_2026-01-01_00-00-00"
        trial.mkdir()
        (trial / "params.json").write_text(json.dumps(config, indent=2))
        yield trial, number, config, curve


def ray_json(folder: Path, trials: int, epochs: int) -> Path:
    """An experiment folder of Ray Tune, its results as JSON lines."""
    for trial, number, config, curve in _ray(folder, trials, epochs):
        said = json.dumps(config)
        name = f'"trial_id": "{number:05x}_{number:05d}", "date": "2026-01-01_00-00-00"'
        where = '"pid": 4711, "hostname": "machine", "node_ip": "127.0.0.1"'
        lines = [
            f'{{"val_loss": {loss!r}, "timestamp": {BEGAN}, "checkpoint_dir_name": null, '
            f'"done": {"true" if epoch == epochs else "false"}, "training_iteration": {epoch}, {name}, '
            f'"time_this_iter_s": 0.25, "time_total_s": {epoch}.25, {where}, "config": {said}, '
            f'"time_since_restore": {epoch}.25, "iterations_since_restore": {epoch}, '
            f'"experiment_tag": "{number}_lr"}}\n'
            for epoch, loss in enumerate(curve, 1)
        ]
        (trial / "result.json").write_text("".join(lines))
    return folder


def ray_csv(folder: Path, trials: int, epochs: int) -> Path:
    """The same with ``progress.csv`` alone."""
    columns = (
        "val_loss,timestamp,checkpoint_dir_name,done,training_iteration,trial_id,date,time_this_iter_s,"
        "time_total_s,pid,hostname,node_ip,time_since_restore,iterations_since_restore,config/lr,"
        "config/patience,config/optimizer\n"
    )
    for trial, number, config, curve in _ray(folder, trials, epochs):
        tail = f"{config['lr']!r},{config['patience']},{config['optimizer']}\n"
        name = f"{number:05x}_{number:05d}"
        lines = [
            f"{loss!r},{BEGAN},,{epoch == epochs},{epoch},{name},2026-01-01_00-00-00,0.25,{epoch}.25,4711,"
            f"machine,127.0.0.1,{epoch}.25,{epoch},{tail}"
            for epoch, loss in enumerate(curve, 1)
        ]
        (trial / "progress.csv").write_text(columns + "".join(lines))
    return folder


#: Optuna's own form of a distribution.
_DISTRIBUTIONS = {
    "lr": '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-4, "high": 1, "log": true}}',
    "patience": '{"name": "IntDistribution", "attributes": {"log": false, "step": 1, "low": 1, "high": 10}}',
    "optimizer": '{"name": "CategoricalDistribution", "attributes": {"choices": ["adam", "sgd"]}}',
}
_TABLES = """
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);
CREATE TABLE version_info (version_info_id INTEGER NOT NULL PRIMARY KEY, schema_version INTEGER,
    library_version VARCHAR(256));
CREATE TABLE studies (study_id INTEGER NOT NULL PRIMARY KEY, study_name VARCHAR(512) NOT NULL);
CREATE TABLE study_directions (study_direction_id INTEGER NOT NULL PRIMARY KEY, direction VARCHAR(8) NOT NULL,
    study_id INTEGER NOT NULL, objective INTEGER NOT NULL, UNIQUE (study_id, objective));
CREATE TABLE study_user_attributes (study_user_attribute_id INTEGER NOT NULL PRIMARY KEY, study_id INTEGER,
    "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
CREATE TABLE study_system_attributes (study_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
    study_id INTEGER, "key" VARCHAR(512), value_json TEXT, UNIQUE (study_id, "key"));
CREATE TABLE trials (trial_id INTEGER NOT NULL PRIMARY KEY, number INTEGER, study_id INTEGER,
    state VARCHAR(8) NOT NULL, datetime_start DATETIME, datetime_complete DATETIME);
CREATE TABLE trial_user_attributes (trial_user_attribute_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER,
    "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
CREATE TABLE trial_system_attributes (trial_system_attribute_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER, "key" VARCHAR(512), value_json TEXT, UNIQUE (trial_id, "key"));
CREATE TABLE trial_params (param_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER, param_name VARCHAR(512),
    param_value FLOAT, distribution_json TEXT, UNIQUE (trial_id, param_name));
CREATE TABLE trial_values (trial_value_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER NOT NULL,
    objective INTEGER NOT NULL, value FLOAT, value_type VARCHAR(7) NOT NULL, UNIQUE (trial_id, objective));
CREATE TABLE trial_intermediate_values (trial_intermediate_value_id INTEGER NOT NULL PRIMARY KEY,
    trial_id INTEGER NOT NULL, step INTEGER NOT NULL, intermediate_value FLOAT,
    intermediate_value_type VARCHAR(7) NOT NULL, UNIQUE (trial_id, step));
CREATE TABLE trial_heartbeats (trial_heartbeat_id INTEGER NOT NULL PRIMARY KEY, trial_id INTEGER NOT NULL,
    heartbeat DATETIME NOT NULL, UNIQUE (trial_id));
INSERT INTO alembic_version VALUES ('v3.2.0.a');
INSERT INTO version_info VALUES (1, 12, '5.0.0');
INSERT INTO studies VALUES (1, 'bench');
INSERT INTO study_directions VALUES (1, 'MINIMIZE', 1, 0);
"""


def _internal(config: dict[str, Any]) -> dict[str, float]:
    """A configuration as Optuna stores it: of a choice the place."""
    return config | {"optimizer": float(config["optimizer"] == "sgd")}


def optuna_sqlite(folder: Path, trials: int, epochs: int) -> Path:
    """An RDB storage of Optuna in SQLite."""
    path = folder / "optuna.db"
    base = sqlite3.connect(path)
    base.executescript(_TABLES)
    for number, config, curve in trials_of(trials, epochs):
        trial = number + 1
        times = "2026-01-01 00:00:00.000000", "2026-01-01 00:10:00.000000"
        base.execute("INSERT INTO trials VALUES (?, ?, 1, 'COMPLETE', ?, ?)", (trial, number, *times))
        base.execute("INSERT INTO trial_values VALUES (?, ?, 0, ?, 'FINITE')", (trial, trial, curve[-1]))
        base.executemany(
            "INSERT INTO trial_params VALUES (NULL, ?, ?, ?, ?)",
            [(trial, name, value, _DISTRIBUTIONS[name]) for name, value in _internal(config).items()],
        )
        base.executemany(
            "INSERT INTO trial_intermediate_values VALUES (NULL, ?, ?, ?, 'FINITE')",
            [(trial, step, loss) for step, loss in enumerate(curve)],
        )
    base.commit()
    base.close()
    return path


def optuna_journal(folder: Path, trials: int, epochs: int) -> Path:
    """A journal file of Optuna."""
    path = folder / "optuna.log"
    by = '"worker_id":"13154a75-1ba8-466d-9476-57e2957a4743-140129625009024"'
    with path.open("w") as file:
        file.write(f'{{"op_code":0,{by},"study_name":"bench","directions":[1]}}\n')
        for number, config, curve in trials_of(trials, epochs):
            start, end = "2026-01-01T00:00:00.000000+00:00", "2026-01-01T00:10:00.000000+00:00"
            lines = [f'{{"op_code":4,{by},"study_id":0,"datetime_start":"{start}"}}\n']
            lines += [
                f'{{"op_code":5,{by},"trial_id":{number},"param_name":"{name}","param_value_internal":{value!r},'
                f'"distribution":{json.dumps(_DISTRIBUTIONS[name])}}}\n'
                for name, value in _internal(config).items()
            ]
            lines += [
                f'{{"op_code":7,{by},"trial_id":{number},"step":{step},"intermediate_value":{loss!r}}}\n'
                for step, loss in enumerate(curve)
            ]
            lines.append(
                f'{{"op_code":6,{by},"trial_id":{number},"state":1,"values":[{curve[-1]!r}],'
                f'"datetime_complete":"{end}"}}\n'
            )
            file.writelines(lines)
    return path


def huggingface(folder: Path, trials: int, epochs: int) -> Path:
    """The runs of a hyperparameter search of transformers' Trainer, the state of each at its end."""
    for number, config, curve in trials_of(trials, epochs):
        at = folder / f"run-{number}" / f"checkpoint-{10 * epochs}"
        at.mkdir(parents=True)
        history: list[dict[str, float]] = []
        for epoch, loss in enumerate(curve, 1):
            history.append(
                {"epoch": float(epoch), "grad_norm": 1.5, "learning_rate": config["lr"], "loss": loss / 2}
                | {"step": 10 * epoch}
            )
            history.append(
                {"epoch": float(epoch), "eval_loss": loss, "eval_runtime": 0.25}
                | {"eval_samples_per_second": 123.5, "eval_steps_per_second": 12.25, "step": 10 * epoch}
            )
        state = {"best_global_step": 10 * epochs, "best_metric": min(curve), "best_model_checkpoint": str(at)}
        state |= {"epoch": float(epochs), "eval_steps": 500, "global_step": 10 * epochs}
        state |= {"is_hyper_param_search": True, "is_local_process_zero": True, "is_world_process_zero": True}
        state |= {"log_history": history, "logging_steps": 10, "max_steps": 10 * epochs}
        state |= {"num_train_epochs": epochs, "trial_name": None, "trial_params": config}
        (at / "trainer_state.json").write_text(json.dumps(state, indent=2))
    return folder


def mlflow(folder: Path, trials: int, epochs: int) -> Path:
    """A file store of MLflow with one experiment."""
    store, name = folder / "mlruns", "224180949653360748"
    (store / "0").mkdir(parents=True)
    (store / name).mkdir()
    for number, title in (("0", "Default"), (name, "bench")):
        (store / number / "meta.yaml").write_text(
            f"artifact_location: file:///runs/{number}\ncreation_time: {BEGAN}000\n"
            f"experiment_id: '{number}'\nlast_update_time: {BEGAN}000\nlifecycle_stage: active\n"
            f"name: {title}\n"
        )
    for number, config, curve in trials_of(trials, epochs):
        run = f"a{number:031x}"  # all digits would be a number to YAML
        at = store / name / run
        for part in ("artifacts", "metrics", "params", "tags"):
            (at / part).mkdir(parents=True)
        (at / "meta.yaml").write_text(
            f"artifact_uri: file:///runs/{name}/{run}/artifacts\nend_time: {BEGAN}500\nentry_point_name: ''\n"
            f"experiment_id: '{name}'\nlifecycle_stage: active\nrun_id: {run}\nrun_name: run-{number}\n"
            f"source_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {BEGAN}000\nstatus: 3\n"
            "tags: []\nuser_id: unknown\n"
        )
        (at / "tags" / "mlflow.runName").write_text(f"run-{number}")
        for knob, value in config.items():
            (at / "params" / knob).write_text(str(value))
        lines = [f"{BEGAN}{step:03d} {loss!r} {step}\n" for step, loss in enumerate(curve)]
        (at / "metrics" / "val_loss").write_text("".join(lines))
    return store


_DIFFERENT = 50


def tensorboard(folder: Path, trials: int, epochs: int) -> Path:
    """Event files, one a run; after the first 50 trials the curves repeat, as check sums take long."""
    made: list[bytes] = []
    for number, _, curve in trials_of(trials, epochs):
        if number < _DIFFERENT:
            events = [_event(0, b"\x1a\x0dbrain.Event:2")]
            events += [_event(step, _scalar("val_loss", loss)) for step, loss in enumerate(curve)]
            made.append(b"".join(events))
        at = folder / f"run_{number:05d}"
        at.mkdir()
        (at / f"events.out.tfevents.{BEGAN}.machine.4711.0").write_bytes(made[number % len(made)])
    return folder


def _event(step: int, what: bytes) -> bytes:
    """One record of an event file: length, check sum, event, check sum."""
    event = b"\x09" + struct.pack("<d", BEGAN + step / 4) + b"\x10" + _varint(step) + what
    length = struct.pack("<Q", len(event))
    return length + _checksum(length) + event + _checksum(event)


def _scalar(name: str, value: float) -> bytes:
    """The field of an event that holds a summary of one value, ``simple_value`` as PyTorch writes it."""
    said = b"\x0a" + _sized(name.encode()) + b"\x15" + struct.pack("<f", value)
    return b"\x2a" + _sized(b"\x0a" + _sized(said))


def _varint(number: int) -> bytes:
    low, high = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _checksum(content: bytes) -> bytes:
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    return struct.pack("<I", masked_crc32c(content))


def csv_long(folder: Path, trials: int, epochs: int) -> Path:
    """A table with one row a report."""
    path = folder / "runs.csv"
    with path.open("w") as file:
        file.write("trial_id,epoch,seconds,status,seed,val_loss,config/lr,config/patience,config/optimizer\n")
        for number, config, curve in trials_of(trials, epochs):
            tail = f"{config['lr']!r},{config['patience']},{config['optimizer']}\n"
            file.writelines(
                f"{number},{epoch},{epoch}.25,completed,{number % 5},{loss!r},{tail}"
                for epoch, loss in enumerate(curve, 1)
            )
    return path


def csv_wide(folder: Path, trials: int, epochs: int) -> Path:
    """A table with one row a trial, its curve in columns."""
    path = folder / "sweep.csv"
    with path.open("w") as file:
        file.write("lr,patience,optimizer," + ",".join(f"val_loss_{e}" for e in range(1, epochs + 1)) + "\n")
        for _, config, curve in trials_of(trials, epochs):
            file.write(f"{config['lr']!r},{config['patience']},{config['optimizer']},")
            file.write(",".join(map(repr, curve)) + "\n")
    return path


def jsonl(folder: Path, trials: int, epochs: int) -> Path:
    """A table of JSON lines, one a report."""
    path = folder / "runs.jsonl"
    with path.open("w") as file:
        for number, config, curve in trials_of(trials, epochs):
            tail = "".join(f', "config/{name}": {json.dumps(value)}' for name, value in config.items())
            file.writelines(
                f'{{"trial_id": "{number}", "epoch": {epoch}, "seconds": {epoch}.25, '
                f'"val_loss": {loss!r}{tail}}}\n'
                for epoch, loss in enumerate(curve, 1)
            )
    return path


def parquet(folder: Path, trials: int, epochs: int) -> Path:
    """The long table as Parquet."""
    import pyarrow.csv
    import pyarrow.parquet

    source = csv_long(folder, trials, epochs)
    options = pyarrow.csv.ConvertOptions(column_types={"trial_id": "string"})
    table = pyarrow.csv.read_csv(source, convert_options=options)
    source.unlink()
    pyarrow.parquet.write_table(table, folder / "runs.parquet")
    return folder / "runs.parquet"


def wandb(folder: Path, trials: int, epochs: int) -> Path:
    """Exports of Weights & Biases: the table of runs, and charts of ``val_loss`` of a thousand runs each."""
    runs = ['"Name","State","Created","Runtime","Sweep","lr","patience","optimizer","val_loss"\n']
    names, curves = [], []
    for number, config, curve in trials_of(trials, epochs):
        names.append(f"warm-sweep-{number}")
        curves.append(curve)
        knobs = ",".join(f'"{value}"' for value in config.values())
        runs.append(f'"{names[-1]}","finished","2026-01-01T00:00:00Z","61","s1",{knobs},"{curve[-1]!r}"\n')
    (folder / "wandb_export_2026-01-01T00_00_00.000+00_00.csv").write_text("".join(runs))
    for part in range(0, trials, 1000):
        shown, drawn = names[part : part + 1000], curves[part : part + 1000]
        of_all = (f'"{n} - val_loss","{n} - val_loss__MIN","{n} - val_loss__MAX"' for n in shown)
        lines = [f'"Step",{",".join(of_all)}\n']
        for step in range(epochs):
            losses = (repr(curve[step]) for curve in drawn)
            lines.append(f'"{step}",' + ",".join(f'"{loss}","{loss}","{loss}"' for loss in losses) + "\n")
        (folder / f"wandb_export_2026-01-01T01_{part // 1000:02d}_00.000+00_00.csv").write_text(
            "".join(lines)
        )
    return folder


FORMATS = {
    "tune-lr journal": tune_lr,
    "syne-tune": syne_tune,
    "ray result.json": ray_json,
    "ray progress.csv": ray_csv,
    "optuna sqlite": optuna_sqlite,
    "optuna journal": optuna_journal,
    "huggingface": huggingface,
    "mlflow": mlflow,
    "tensorboard": tensorboard,
    "csv long": csv_long,
    "csv wide": csv_wide,
    "jsonl": jsonl,
    "parquet": parquet,
    "wandb": wandb,
}
