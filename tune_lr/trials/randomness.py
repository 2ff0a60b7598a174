"""The global random generators of a trial: seeding them, and carrying their state in checkpoints."""

from __future__ import annotations

import random
from typing import Any


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and PyTorch's global generators (CUDA's included)."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def capture() -> dict[str, Any]:
    """The generators' states as tensors, numbers and lists, readable with ``weights_only=True``."""
    import numpy as np
    import torch

    version, internal, gauss = random.getstate()
    state: dict[str, Any] = np.random.get_state(legacy=False)
    return {
        "python": [version, list(internal), gauss],
        "numpy": {
            "key": state["state"]["key"].tolist(),
            "pos": int(state["state"]["pos"]),
            "has_gauss": int(state["has_gauss"]),
            "gauss": float(state["gauss"]),
        },
        "torch": torch.get_rng_state(),
        # Asking a GPU that the trial never touched would claim memory on it.
        "cuda": torch.cuda.get_rng_state_all() if _cuda_in_use() else [],
    }


def restore(states: dict[str, Any]) -> None:
    """Put the generators back where ``capture`` found them."""
    import numpy as np
    import torch

    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    saved = states["numpy"]
    np.random.set_state(
        ("MT19937", np.array(saved["key"], dtype=np.uint32), saved["pos"], saved["has_gauss"], saved["gauss"])
    )
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


def _cuda_in_use() -> bool:
    import torch

    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
