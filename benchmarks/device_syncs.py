"""How often a training step makes the host wait for the GPU, with each GreedyLR, and what `step` costs.

    python benchmarks/device_syncs.py [--steps 50] [--cost]

Waits are what PyTorch itself warns of (`torch.cuda.set_sync_debug_mode`). A training step is forward,
backward, AdamW (`fused`), and the schedule on the loss as a tensor; "no schedule" is the same without it.
Then the same step, schedule included, is captured in a CUDA graph and replayed, and its LRs are compared with
those that GreedyLR has on the same losses. With `--cost` also what a step of the schedule alone takes, which
needs no GPU.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch

from tune_lr.schedules import GreedyLR
from tune_lr.schedules.greedy_device import DeviceGreedyLR

BRISK: dict[str, Any] = {"patience": 1, "factor": 0.9, "min_lr": 1e-5, "max_lr": 0.1, "smooth": True}
KINDS: dict[str, Any] = {"no schedule": None, "GreedyLR": GreedyLR, "DeviceGreedyLR": DeviceGreedyLR}


class Training:
    """A small net on one batch, in a step that may be captured."""

    def __init__(self, kind: Any, device: str) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
        self.model.to(device)
        self.inputs, self.targets = torch.randn(64, 16, device=device), torch.randn(64, 1, device=device)
        lr = torch.tensor(1e-3, device=device)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=lr, fused=True)
        self.schedule = None if kind is None else kind(self.optimizer, **BRISK)

    def step(self) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        loss = (self.model(self.inputs) - self.targets).square().mean()
        loss.backward()
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step(loss.detach())
        return loss.detach()


def waits(training: Training, steps: int) -> int:
    """How many synchronizing calls PyTorch reports in so many steps."""
    for _ in range(3):
        training.step()
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            for _ in range(steps):
                training.step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in caught)


def captured_agrees(steps: int) -> bool:
    """Whether a captured training step has the LRs that GreedyLR has on its losses."""
    training = Training(DeviceGreedyLR, "cuda")
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            training.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = training.step()
    plain = GreedyLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-3), **BRISK)
    plain.load_state_dict(training.schedule.state_dict())
    for _ in range(steps):
        graph.replay()
        plain.step(loss.item())
        if plain.get_last_lr() != training.schedule.get_last_lr():
            return False
    return True


def cost(step: Callable[[torch.Tensor], None], loss: torch.Tensor, steps: int) -> float:
    """Microseconds of the host for a step, the median of five rounds."""
    rounds = []
    for i in range(6):
        begin = time.perf_counter()
        for _ in range(steps):
            step(loss)
        if loss.is_cuda:
            torch.cuda.synchronize()
        rounds.append((time.perf_counter() - begin) / steps * 1e6)
        if i == 0:  # compiling
            rounds.clear()
    return statistics.median(rounds)


def costs(device: str, steps: int) -> None:
    loss = torch.ones((), device=device)
    print(f"microseconds a step of the schedule alone, smoothed, loss on {device}")
    plain, eager, whole = (Training(kind, device).schedule for kind in [GreedyLR, *[DeviceGreedyLR] * 2])
    compiled = torch.compile(whole.step, fullgraph=True)
    for name, step in (("GreedyLR", plain.step), ("DeviceGreedyLR", eager.step), ("... compiled", compiled)):
        print(f"  {name:26}{cost(step, loss, steps):9.1f}")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--cost", action="store_true", help="also what a step costs (compiles, some 20 s)")
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print("no GPU here: there is nothing that a step could wait for, so nothing was counted")
    else:
        print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
        for name, kind in KINDS.items():
            print(
                f"  {name:26}{waits(Training(kind, 'cuda'), options.steps) / options.steps:9.2f} waits a step"
            )
        which = "those" if captured_agrees(options.steps) else "NOT those"
        print(f"  captured in a CUDA graph: the LRs are {which} of GreedyLR")
    if options.cost:
        costs("cuda" if torch.cuda.is_available() else "cpu", options.steps)


if __name__ == "__main__":
    main()
