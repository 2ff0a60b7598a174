"""A small language model, letter by letter, on text that Python itself ships: its own help pages.

Tune it:   tune-lr run examples/char_lm.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/char_lm.py
"""

from functools import cache

import torch
from torch import nn

import tune_lr

LETTERS = " \n.,:;()[]'\"_-=<>*abcdefghijklmnopqrstuvwxyz"  # whatever else there is reads as a space
CONTEXT, BATCH, BATCHES = 32, 16, 30  # 30 batches an epoch, each of 16 pieces of 32 letters


@cache
def text():
    """Training and validation text as numbers, one a letter (90 000 and 10 000 of them)."""
    from pydoc_data.topics import topics

    pages = "\n".join(topics[name] for name in sorted(topics)).lower()
    number = {letter: i for i, letter in enumerate(LETTERS)}
    letters = torch.tensor([number.get(letter, 0) for letter in pages[:100_000]])
    return letters[:90_000], letters[90_000:]


class LetterModel(nn.Module):
    """Scores for every next letter, from the letters before it."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS), 24)
        self.read = nn.GRU(24, 48, batch_first=True)
        self.score = nn.Linear(48, len(LETTERS))

    def forward(self, letters):
        return self.score(self.read(self.embed(letters))[0])


def loss_of(model, pieces):
    """Mean cross-entropy, in nats a letter, of pieces of shape (batch, CONTEXT + 1)."""
    scores = model(pieces[:, :-1])
    return nn.functional.cross_entropy(scores.flatten(0, 1), pieces[:, 1:].flatten())


def train(config, trial):
    torch.manual_seed(trial.seed)
    train_text, val_text = (part.to(trial.device) for part in text())
    val_pieces = val_text.unfold(0, CONTEXT + 1, CONTEXT)[::2]
    window = torch.arange(CONTEXT + 1, device=trial.device)
    model = LetterModel().to(trial.device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config["lr"], weight_decay=config.get("weight_decay", 0.01)
    )
    schedule = tune_lr.build_schedule(config, optimizer, trial.max_epochs, steps_per_epoch=BATCHES)
    trial.resume(model=model, optimizer=optimizer, schedule=schedule)

    for _ in trial.epochs():
        for _ in range(BATCHES):
            starts = torch.randint(len(train_text) - CONTEXT, (BATCH, 1)).to(trial.device)
            loss = loss_of(model, train_text[starts + window])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step(loss.item())

        with torch.no_grad():
            val_loss = loss_of(model, val_pieces)
        trial.save()
        trial.report(val_loss=val_loss, lr=optimizer.param_groups[0]["lr"])


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
