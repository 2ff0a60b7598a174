from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples.history import tensorboard as sample
from tests.samples.history.tensorboard import curve, only, read
from tune_lr.errors import BadInput, MissingExtra, TuneLRError
from tune_lr.history.importers import tensorboard_events
from tune_lr.history.importers.tensorboard import TensorBoard
from tune_lr.history.log import Asked, Log, Skipped


def config(log: Log) -> dict[str, list[Any]]:
    return {name[7:]: log.trials[name].tolist() for name in log.trials if name.startswith("config/")}


def with_losses(folder: Path) -> Path:
    return next(file for file in folder.iterdir() if b"val/loss" in file.read_bytes())


def test_the_runs_of_pytorchs_writer(tmp_path: Path) -> None:
    log = only(sample.make(tmp_path))
    assert (len(log.trials), len(log.reports)) == (sample.EXPECTED["trials"], sample.EXPECTED["reports"])
    assert log.trials["trial_id"].tolist() == ["a", "b", "c"]
    assert curve(log, "a", "val/loss") == sample.EXPECTED["first"]
    assert curve(log, "b", "val/loss") == {0: 0.75, 1: 0.5}
    assert curve(log, "c", "val/loss") == {0: 1.0}
    assert math.isnan(log.reports["val/loss"].iloc[-1])
    assert curve(log, "c", "lr") == pytest.approx({0: 0.1, 1: 0.1})
    assert set(config(log)) == sample.EXPECTED["knobs"]
    assert config(log)["patience"][:2] == [3, 5]
    assert config(log)["lr"][:2] == [0.1, 1.0]
    assert config(log)["smooth"][:2] == [True, False]
    assert config(log)["optimizer"][:2] == ["adam", "sgd"]
    assert log.trials.loc[2, ["config/lr", "config/optimizer"]].isna().all()
    assert (log.reports["seconds"] >= 0).all()
    assert (log.source, log.name, log.fidelity, log.metric) == ("tensorboard", "runs", None, None)


def test_hyperparameters_in_a_folder_of_their_own_and_several_scalars_at_once(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "run")) as writer:
        for step in (1, 2):
            writer.add_scalar("loss", step / 4, step)
            writer.add_scalars("acc/top", {"train": step / 8, "val": step / 16}, step)
        writer.add_hparams({"lr": 0.1}, {"final": 0.5})
    log = only(tmp_path)
    assert log.trials["trial_id"].tolist() == ["run"]
    assert config(log) == {"lr": [0.1]}
    assert curve(log, "run", "loss") == {1: 0.25, 2: 0.5}
    assert curve(log, "run", "acc/top/train") == {1: 0.125, 2: 0.25}
    assert curve(log, "run", "acc/top/val") == {1: 0.0625, 2: 0.125}
    assert log.trials["final"].tolist() == [0.5]
    assert log.reports["epoch"].tolist() == [1, 2]
    assert "final" not in log.reports


def test_scalars_in_tensors_in_the_folders_of_keras(tmp_path: Path) -> None:
    log = only(sample.make_tensors(tmp_path))
    assert log.trials["trial_id"].tolist() == ["one", "two"]
    assert curve(log, "one", "train/epoch_loss") == {0: 0.125, 1: 0.25, 2: 0.375}
    assert curve(log, "two", "validation/epoch_loss") == {0: 0.25, 1: 0.5, 2: 0.75}


def test_tensorboardx(tmp_path: Path) -> None:
    writers = pytest.importorskip("tensorboardX")
    with writers.SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_hparams({"lr": 0.5}, {"acc": 0.25}, name="h")
        writer.add_scalar("loss", 0.5, 3)
    log = only(tmp_path)
    assert curve(log, "run", "loss") == {3: 0.5}
    assert 0.5 in config(log)["lr"]


@pytest.mark.parametrize("logger", ["csv", "tensorboard"])
def test_lightning(tmp_path: Path, logger: str) -> None:
    log = only(sample.make_lightning(tmp_path, logger))
    assert log.trials["trial_id"].tolist() == ["version_0", "version_1"]
    assert config(log)["lr"] == pytest.approx([0.1, 0.2])
    assert curve(log, "version_1", "val_loss") == pytest.approx({9: 1.8, 19: 3.8})
    assert {*log.reports} == {"trial", "epoch", "seconds", "val_loss"}


def test_a_run_that_went_on_is_one_trial_and_the_later_value_counts(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    for suffix, steps in ((".1", (1, 2)), (".2", (2, 3))):
        with SummaryWriter(str(tmp_path), filename_suffix=suffix) as writer:
            for step in steps:
                writer.add_scalar("loss", step + float(suffix), step)
    files = sorted(tmp_path.iterdir())
    log = only(tmp_path)
    assert curve(log, tmp_path.name, "loss") == pytest.approx({1: 1.1, 2: 2.2, 3: 3.2})
    assert curve(only(files[0]), tmp_path.name, "loss") == pytest.approx({1: 1.1, 2: 2.1})


def test_every_point_is_taken(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "run"), max_queue=10_000) as writer:
        for step in range(20_000):
            writer.add_scalar("loss", step, step)
    log = only(tmp_path)
    assert curve(log, "run", "loss") == {step: step for step in range(20_000)}


def test_of_a_torn_or_damaged_file_what_stands_before(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    torn, damaged = (with_losses(path / run) for run in ("a", "b"))
    whole = torn.read_bytes()
    torn.write_bytes(whole[: whole.rindex(b"val/loss") + 3])
    content = bytearray(damaged.read_bytes())
    at = content.rindex(b"val/loss")
    content[at + 10] ^= 1
    damaged.write_bytes(bytes(content))
    log, skipped = read(path)
    assert curve(log, "a", "val/loss") == {0: 0.5, 1: 0.25}
    assert curve(log, "b", "val/loss") == {0: 0.75}
    assert {why for _, why in skipped.counts} == {
        "a torn record at the end",
        "what stands after a damaged record",
    }


def test_a_length_beyond_belief(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    for file in (path / "a").iterdir():
        file.write_bytes(b"\xff" * 7 + b"\x7f" + file.read_bytes())
    log, skipped = read(path)
    assert log.trials["trial_id"].tolist() == ["b", "c"]
    assert skipped


def test_what_is_not_a_log_folder(tmp_path: Path) -> None:
    assert not TensorBoard().claims(tmp_path)
    assert not TensorBoard().claims(tmp_path / "none")
    project = sample.make(tmp_path / "project").parent
    assert not TensorBoard().claims(project.parent)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "events.out.tfevents.1").touch()
    with pytest.raises(BadInput, match="empty"):
        list(TensorBoard().read(tmp_path / "empty", Asked(), Skipped()))


def test_hparams_with_objects_are_not_made(tmp_path: Path) -> None:
    path = sample.make_lightning(tmp_path, "csv")
    (path / "version_0" / "hparams.yaml").write_text("lr: !!python/object/apply:os.system [false]\n")
    (path / "version_1" / "hparams.yaml").write_text("lr: .nan\nk: [1]\nok: 3\nnone: null\n")
    log, skipped = read(path)
    assert config(log)["ok"][1] == 3
    assert log.trials["config/lr"].isna().all()
    assert len(skipped.counts) == 3


def test_without_tensorboard_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sample.make(tmp_path)
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
    with pytest.raises(MissingExtra, match=r"tune-lr\[tensorboard\]"):
        list(TensorBoard().read(path, Asked(), Skipped()))


def test_tensorflow_is_not_imported(tmp_path: Path) -> None:
    path = sample.make(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from tune_lr.history.importers.tensorboard import TensorBoard\n"
        "from tune_lr.history.log import Asked, Skipped\n"
        "list(TensorBoard().read(pathlib.Path(sys.argv[1]), Asked(), Skipped()))\n"
        "assert not {'tensorflow', 'torch'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_the_sums_are_those_of_the_format() -> None:
    import numpy as np
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

    content = bytes(range(64))
    at = np.array([0, 7, 20])
    sums = tensorboard_events._sums(np.frombuffer(content, "u1"), at, 30)
    assert sums.tolist() == [masked_crc32c(content[start : start + 30]) for start in at]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    path = sample.make(tmp_path_factory.mktemp("made"))
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*tfevents*"))}


_CHANGES = st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=5)


@given(summed=st.booleans(), parts=st.lists(st.tuples(_CHANGES, st.floats(0, 1)), min_size=5, max_size=5))
def test_whatever_the_bytes_are_only_our_errors_come_out(
    made: dict[str, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    summed: bool,
    parts: list[tuple[list[tuple[float, int]], float]],
) -> None:
    path = tmp_path_factory.mktemp("fuzz")
    for (name, whole), (changes, kept) in zip(made.items(), parts, strict=True):
        content = bytearray(whole)
        for at, byte in changes:
            content[int(at * len(content))] = byte
        file = path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(bytes(content[: max(1, round((1 - kept) * len(content)))]))
    with pytest.MonkeyPatch.context() as patch:
        if not summed:  # so that damaged records get through to the parser
            patch.setattr(tensorboard_events, "_unharmed", lambda _, spans: len(spans))
        try:
            for log in TensorBoard().read(path, Asked(), Skipped()):
                assert log.reports["trial"].between(0, len(log.trials) - 1).all()
                assert log.reports["epoch"].dtype == "int64"
                assert isinstance(log.trials, pd.DataFrame)
        except TuneLRError:
            pass
