"""Two runs of a Hugging Face Trainer, really trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

EXPECTED: dict[str, Any] = {
    "trials": 2,
    "reports": 6,
    "metric": None,
    "knobs": {"lr", "patience"},
    "first": None,
}


def make(folder: Path) -> Path:
    """Two runs of three epochs, each in a folder with its knobs beside it."""
    import torch
    from torch import nn
    from transformers import PrinterCallback, Trainer, TrainingArguments

    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            y = self.layer(x)[:, 0]
            return {"loss": nn.functional.mse_loss(y, labels), "logits": y}

    x = torch.linspace(-1, 1, 16).reshape(8, 2)
    data = [{"x": one, "labels": one.sum()} for one in x]
    for number, lr in enumerate((0.1, 0.01)):
        run = folder / "runs" / f"run-{number}"
        arguments = TrainingArguments(
            output_dir=str(run),
            num_train_epochs=3,
            per_device_train_batch_size=4,
            learning_rate=lr,
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
        )
        torch.manual_seed(0)
        trainer = Trainer(Line(), arguments, train_dataset=data, eval_dataset=data)
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        (run / "params.json").write_text(json.dumps({"lr": lr, "patience": 3}), "utf-8")
    return folder / "runs"
