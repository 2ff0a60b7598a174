"""The checkpoint that a library wrote, as files, to ride in a trial's own checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def pack(folder: Path) -> dict[str, Any]:
    """Every file below a folder: its path in there -> its bytes, as a tensor of ``uint8``."""
    import numpy as np
    import torch

    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): torch.from_numpy(np.fromfile(path, dtype=np.uint8))
        for path in files
    }


def unpack(parcel: Mapping[str, Any], folder: Path) -> None:
    """Write what ``pack`` read below another folder."""
    for name, content in parcel.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content.numpy().tofile(path)
