"""A small GPT-2 from scratch, letter by letter, with Hugging Face's Trainer on Python's own help pages.

Tune it:   tune-lr run examples/huggingface_trainer.py --space greedy_lr --trials 40 --max-epochs 27
Debug it:  python examples/huggingface_trainer.py
Needs:     pip install 'tune-lr[huggingface]'
"""

import tempfile
from functools import cache

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments
from transformers.utils import logging

import tune_lr
from tune_lr.trials.huggingface import TrialCallback, use_schedule

logging.set_verbosity_error()
logging.disable_progress_bar()

LETTERS = " \n.,:;()[]'\"_-=<>*abcdefghijklmnopqrstuvwxyz"  # whatever else there is reads as a space
CONTEXT = 32


@cache
def text():
    """Training and validation text, in 480 and 96 pieces of 32 letters, as the model's arguments."""
    from pydoc_data.topics import topics

    pages = "\n".join(topics[name] for name in sorted(topics)).lower()
    number = {letter: i for i, letter in enumerate(LETTERS)}
    letters = torch.tensor([number.get(letter, 0) for letter in pages[: 576 * CONTEXT]])
    pieces = [{"input_ids": piece, "labels": piece} for piece in letters.split(CONTEXT)]
    return pieces[:480], pieces[480:]


def make_model():
    shape = GPT2Config(
        vocab_size=len(LETTERS), n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=2,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    return GPT2LMHeadModel(shape)


def train(config, trial):
    torch.manual_seed(trial.seed)
    training_set, validation_set = text()
    callback = TrialCallback(trial, names={"eval_loss": "val_loss"})
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            make_model(),
            TrainingArguments(
                output_dir=folder,
                num_train_epochs=trial.max_epochs,
                per_device_train_batch_size=16,  # 30 batches an epoch
                per_device_eval_batch_size=96,
                learning_rate=config["lr"],
                weight_decay=config.get("weight_decay", 0.01),
                metric_for_best_model="eval_loss",  # what a schedule hears that is stepped once an epoch
                logging_steps=1,  # what it hears that is stepped every batch
                logging_nan_inf_filter=False,  # and hears as it is
                eval_strategy="epoch",
                save_strategy="no",  # the trial saves
                seed=trial.seed,
                use_cpu=trial.device.type == "cpu",
                dataloader_pin_memory=trial.device.type == "cuda",
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=training_set,
            eval_dataset=validation_set,
            callbacks=[callback],
        )
        trainer.remove_callback(PrinterCallback)
        use_schedule(trainer, config, trial.max_epochs)
        trainer.train(resume_from_checkpoint=callback.checkpoint())


if __name__ == "__main__":
    space = tune_lr.load_space("greedy_lr")
    train(space.config(space.default()), tune_lr.Trial(max_epochs=3))
