"""Factors of users by id and by behaviors, as plain loops (Koren 2008, eq 14 and 15)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HALF_LIVES = (10.0, 50.0, 400.0)
SHRINKAGE = (3.0, 6.0, 10.0)


def past_factors(
    weights: dict[str, Floats], done: list[tuple[int, int, int]], dim: int
) -> tuple[float, Floats]:
    """Return bias and factors of one user.

    Args:
        weights: ``items`` and ``categories`` (bias first), ``level``, ``scale``, ``shift``,
            ``shares``.
        done: Item, category and type of each behavior, oldest first.
        dim: Width of the factors.
    """
    factors, bias = np.zeros(dim), 0.0
    for item, category, kind in done:
        own = weights["items"][item, 1:] + weights["categories"][category, 1:]
        factors += weights["scale"][kind] * own + weights["shift"][kind]
    if done:
        factors /= np.sqrt(len(done))
    for share, half_life, few in zip(weights["shares"], HALF_LIVES, SHRINKAGE, strict=True):
        total, weight = 0.0, few
        for newer, (item, category, kind) in enumerate(reversed(done)):
            w = 2.0 ** (-newer / half_life)
            surplus = weights["level"][kind]
            surplus += weights["items"][item, 0] + weights["categories"][category, 0]
            total += w * surplus
            weight += w
        bias += share * total / weight
    return bias, factors


def added_logit(
    weights: dict[str, Any], user: int, shown: tuple[int, int], done: list[tuple[int, int, int]]
) -> float:
    """Return what a candidate's logit gets; ``weights["past"]`` is that of ``past_factors``."""
    own: Floats = weights["users"][user]
    item: Floats = weights["items"][shown[0]] + weights["categories"][shown[1]]
    bias, factors = past_factors(weights["past"], done, len(own) - 1)
    return float(item[0] + own[0] + bias + (own[1:] + factors) @ item[1:])
