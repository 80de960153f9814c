"""Figures of click prediction: exact AUC, GAUC by impressions, log loss, RelaImpr; numpy only.

The AUC routine published with DIEN and MIMN is biased low and is not used.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_CLIP = 1e-7

Floats = NDArray[np.float64]
Labels = NDArray[np.integer] | NDArray[np.bool_]


def group_ranks(scores: Floats, groups: NDArray[np.int64]) -> Floats:
    """Return ranks from 1 within each group, ties at their mean."""
    order = np.lexsort((scores, groups))
    s, g = scores[order], groups[order]
    new_group = np.ones(len(s), np.bool_)
    new_group[1:] = g[1:] != g[:-1]
    new_value = new_group.copy()
    new_value[1:] |= s[1:] != s[:-1]
    position = np.arange(len(s))
    group_start = np.maximum.accumulate(np.where(new_group, position, 0))
    first = np.flatnonzero(new_value)
    last = np.append(first[1:], len(s)) - 1
    run = np.cumsum(new_value) - 1
    ranks = np.empty(len(s))
    ranks[order] = (first[run] + last[run]) / 2 - group_start + 1
    return ranks


def auc(labels: Labels, scores: Floats) -> float:
    """Return P(positive scores higher) + P(tie) / 2; NaN with a single class."""
    positive = np.asarray(labels, np.bool_)
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if n_positive == 0 or n_negative == 0:
        return float("nan")
    ranks = group_ranks(np.asarray(scores, np.float64), np.zeros(len(positive), np.int64))
    total = float(ranks[positive].sum()) - n_positive * (n_positive + 1) / 2
    return total / (n_positive * n_negative)


class UserAucs(NamedTuple):
    """AUC of each user who has both classes, and what it weighs."""

    users: NDArray[np.int64]  # Index into the sorted distinct users.
    aucs: Floats
    weights: Floats  # Impressions of the user.


def user_aucs(labels: Labels, scores: Floats, users: NDArray[np.generic]) -> UserAucs:
    """Return the AUC within each user; users with a single class are left out."""
    positive = np.asarray(labels, np.bool_)
    _, group = np.unique(users, return_inverse=True)
    n = np.bincount(group).astype(np.float64)
    n_positive = np.bincount(group, positive)
    n_negative = n - n_positive
    ranks = group_ranks(np.asarray(scores, np.float64), group.astype(np.int64))
    total = np.bincount(group, ranks * positive) - n_positive * (n_positive + 1) / 2
    both = np.flatnonzero((n_positive > 0) & (n_negative > 0))
    return UserAucs(both, total[both] / (n_positive[both] * n_negative[both]), n[both])


def group_auc(labels: Labels, scores: Floats, users: NDArray[np.generic]) -> float:
    """Return the AUC within users, weighted by impressions; NaN when no user has both classes.

    Users with a single class are left out of both sums, as in the paper of DIN.
    """
    found = user_aucs(labels, scores, users)
    if not len(found.users):
        return float("nan")
    return float((found.aucs * found.weights).sum() / found.weights.sum())


def log_loss(labels: Labels, probabilities: Floats) -> float:
    """Return the mean negative log likelihood; probabilities are kept 1e-7 away from 0 and 1."""
    p = np.clip(np.asarray(probabilities, np.float64), _CLIP, 1 - _CLIP)
    positive = np.asarray(labels, np.bool_)
    return float(-np.log(np.where(positive, p, 1 - p)).mean())


def relative_improvement(auc_model: float, auc_base: float) -> float:
    """Return RelaImpr of the paper of DIN in percent; NaN if the base is no better than chance."""
    if not auc_base > 0.5:
        return float("nan")
    return ((auc_model - 0.5) / (auc_base - 0.5) - 1) * 100


def metrics_of(
    labels: Labels, probabilities: Floats, users: NDArray[np.generic]
) -> Mapping[str, float | int]:
    """Return ``auc``, ``gauc``, ``log_loss`` and ``n``."""
    return {
        "auc": auc(labels, probabilities),
        "gauc": group_auc(labels, probabilities, users),
        "log_loss": log_loss(labels, probabilities),
        "n": len(labels),
    }
