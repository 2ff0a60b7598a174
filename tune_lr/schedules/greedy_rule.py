"""The parts of GreedyLR's rule that are functions of values: what counts as better, and where an LR goes.

The algorithm is that of arXiv 2512.14527, with the details of ``transformers.optimization.GreedyLR``.
"""

from __future__ import annotations

from tune_lr.errors import BadInput
from tune_lr.schedules.base import read_range


def bar_below(best: float, threshold: float) -> float:
    """What a loss must be below to be better than ``best`` by more than the part ``threshold`` of it.

    ``max`` is judged by the same function, with both signs turned. The published rule,
    ``best * (1 - threshold)``, lies above a negative ``best`` and would call a worse loss better; here the
    bar is always below (above, for ``max``) what it is measured from.
    """
    return best * (1.0 - threshold) if best >= 0.0 else best * (1.0 + threshold)


def onto_bound(lr: float, whole: float, bound: float, eps: float) -> float:
    """Where an LR goes that a whole step would take beyond a bound: onto the bound, or nowhere.

    A move of no more than ``eps`` is left out, unless the whole step is no more either: then it is the LR
    that is small, not the move. An LR that is beyond the bound already stays where it is.
    """
    towards = bound > lr if whole > lr else bound < lr
    return bound if towards and (abs(bound - lr) > eps or abs(whole - lr) <= eps) else lr


def optimal_factor(smoothness: float) -> float:
    """The factor ``F = 1 - 1 / L_max``, at which the bound on GreedyLR's convergence is best.

    The result is that of arXiv 2512.14527, for an idealized case: a place to begin, no optimum to rely on. It
    assumes that every loss of a mini-batch has a gradient that is Lipschitz continuous with a constant of at
    most ``L_max``, in the units of the LR; that the LR is changed after every step (patience, cooldown and
    warmup 0, no smoothing); and that it stays below ``1 / L_max``. Deep nets meet none of these exactly, and
    their ``L_max`` is not known; the largest eigenvalue of the Hessian at the start of training is a usual
    stand-in. With an ``L_max`` of 20 it gives the default, 0.95.

    Args:
        smoothness: ``L_max``, above 1; at 1 or below the formula gives no factor between 0 and 1.

    Raises:
        BadInput: ``smoothness`` is not a finite number above 1.
    """
    value = read_range("smoothness", smoothness, 0)
    factor = 1.0 - 1.0 / value if value > 1.0 else 0.0
    if not 0.0 < factor < 1.0:
        raise BadInput("smoothness", smoothness, "a finite number above 1")
    return factor
