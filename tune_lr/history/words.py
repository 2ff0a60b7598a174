"""What the names of metrics tell where a log does not say what was optimized, and in which direction."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from tune_lr.errors import Missing, UnknownName

#: Names under which people report what they optimize, the likeliest first.
_LIKELY = (
    "val_loss", "valid_loss", "validation_loss", "eval_loss", "test_loss", "loss", "objective", "value",
    "val_error", "error", "val_accuracy", "val_acc", "eval_accuracy", "accuracy", "score", "reward",
)  # fmt: skip
#: Reported beside it, and never what is optimized.
_BESIDE = re.compile(
    r"(^|[/_.])(lr|learning_rate|grad_norm|seconds|time|runtime|epoch|step|samples)([/_.]|$)"
)
_SMALL = re.compile(
    r"(loss|err(or)?|mse|mae|rmse|nll|perplexity|ppl|regret|cost|deviance|bpc|wer|cer|log_?loss)s?([/_.@]|$)"
)
_LARGE = re.compile(r"(acc(uracy)?|f1|auc|auroc|r2|bleu|rouge|score|reward|precision|recall|map|iou|return)")


def likely_metric(metrics: Sequence[str]) -> str:
    """The metric that was most likely optimized.

    Raises:
        Missing: the names do not tell.
    """
    plain = {re.sub(r"[/.\- ]", "_", name).lower().rstrip("_"): name for name in reversed(metrics)}
    for name in _LIKELY:
        if name in plain:
            return plain[name]
    candidates = [name for name in metrics if not _BESIDE.search(name.lower())]
    if len(candidates) == 1:
        return candidates[0]
    told = ", ".join(metrics[:20]) or "none"
    raise Missing("--metric", f"what was optimized, one of the values that the log reports: {told}")


def likely_mode(metric: str) -> Literal["min", "max"]:
    """Whether small or large values of a metric are good, by its name.

    Raises:
        Missing: the name does not tell.
    """
    name = metric.lower()
    if _SMALL.search(name):
        return "min"
    if _LARGE.search(name):
        return "max"
    raise Missing("--mode", f"min or max, since the name {metric!r} does not tell")


def known_metric(metric: str, metrics: Sequence[str]) -> str:
    """The metric asked for; UnknownName where the log does not report it."""
    if metric not in metrics:
        raise UnknownName("--metric", metric, metrics)
    return metric
