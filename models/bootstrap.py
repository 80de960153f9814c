"""Bootstrap of AUC and GAUC over users: what other users of the same kind would have given.

Samples of a user hang together, so users are drawn, each with all samples. All models are figured
on the same draws: differences are paired, and their intervals much shorter than those of the
figures themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import compiled
from models.ctr_metrics import Floats, Labels, user_aucs

CONFIDENCE = 0.95
#: Draws of fewer users say nothing of other users.
MIN_USERS = 10
#: Counts of users by resamples kept at once: 64 MiB.
_COUNTS_AT_ONCE = 2**24

Interval = tuple[float, float]
Counts = NDArray[np.float32]


@dataclass(frozen=True)
class BootstrapOptions:
    """How to resample.

    Attributes:
        n_resamples: Draws of as many users as there are, with replacement.
        seed: Of the draws.
    """

    n_resamples: int = 200
    seed: int = 0


@dataclass(frozen=True)
class Resampled:
    """Figures of every model on every draw, ``[n_models, n_resamples]``; NaN with a single class.

    All of it is NaN with fewer than ``MIN_USERS`` users.

    Attributes:
        auc: AUC.
        gauc: GAUC.
    """

    auc: Floats
    gauc: Floats


def interval_of(values: Floats) -> Interval:
    """Return the percentile interval of resampled values, NaN left out; NaN without any."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(known, (tail, 1 - tail))
    return float(low), float(high)


def resample_users(
    labels: Labels,
    users: NDArray[np.generic],
    scores: Sequence[Floats],
    options: BootstrapOptions,
) -> Resampled:
    """Draw users with replacement and figure every model on each draw.

    A user drawn k times counts as k users for GAUC and weighs k in AUC. Scores are sorted once a
    model, not once a draw.

    Args:
        labels: Clicks, ``[n]``.
        users: Whose samples they are, ``[n]``.
        scores: Scores of each model, ``[n]`` each.
        options: How many draws, and their seed.
    """
    positive = np.asarray(labels, np.bool_)
    ids, user = np.unique(users, return_inverse=True)
    orders = [np.argsort(of_model, kind="stable") for of_model in scores]
    within = [user_aucs(positive, of_model, user) for of_model in scores]
    auc = np.full((len(scores), options.n_resamples), np.nan)
    gauc = auc.copy()
    if len(ids) < MIN_USERS:
        return Resampled(auc, gauc)
    done = 0
    for counts in _draws(len(ids), options):
        now = slice(done, done + counts.shape[1])
        for k, (of_model, order) in enumerate(zip(scores, orders, strict=True)):
            sorted_scores = np.asarray(of_model, np.float64)[order]
            auc[k, now] = _weighted_aucs(sorted_scores, positive[order], user[order], counts)
            gauc[k, now] = _weighted_means(
                within[k].aucs, within[k].weights, counts[within[k].users]
            )
        done += counts.shape[1]
    return Resampled(auc, gauc)


def _draws(n_users: int, options: BootstrapOptions) -> Iterator[Counts]:
    """Yield how often each user was drawn, ``[n_users, some of the resamples]``."""
    rng = np.random.default_rng(options.seed)
    at_once = max(1, _COUNTS_AT_ONCE // max(n_users, 1))
    for first in range(0, options.n_resamples, at_once):
        n_now = min(at_once, options.n_resamples - first)
        counts = np.empty((n_users, n_now), np.float32)
        for k in range(n_now):
            counts[:, k] = np.bincount(rng.integers(0, n_users, n_users), minlength=n_users)
        yield counts


def _weighted_means(values: Floats, weights: Floats, counts: Counts) -> Floats:
    """Return the mean of ``values`` [users] for each column of ``counts`` [users, draws]."""
    total = weights @ counts
    with np.errstate(invalid="ignore"):
        return np.asarray((values * weights) @ counts / total)


@compiled
def _weighted_aucs(
    scores: Floats, positive: NDArray[np.bool_], user: NDArray[np.int64], counts: Counts
) -> Floats:
    """Return the AUC of sorted scores for each draw; ties count half.

    Args:
        scores: From the lowest to the highest, ``[n]``.
        positive: Clicks in that order, ``[n]``.
        user: Row of ``counts`` of each sample, ``[n]``.
        counts: How often each user was drawn, ``[n_users, n_draws]``.

    Returns:
        ``[n_draws]``, NaN where a draw has one class only.
    """
    n_draws = counts.shape[1]
    below, tied, clicked, wins = np.zeros((4, n_draws))
    all_clicked = np.zeros(n_draws)
    for i in range(scores.shape[0]):
        if i > 0 and scores[i] != scores[i - 1]:
            for k in range(n_draws):
                wins[k] += clicked[k] * (below[k] + 0.5 * tied[k])
                all_clicked[k] += clicked[k]
                below[k] += tied[k]
                tied[k] = 0.0
                clicked[k] = 0.0
        here = clicked if positive[i] else tied
        drawn = counts[user[i]]
        for k in range(n_draws):
            here[k] += drawn[k]
    wins += clicked * (below + 0.5 * tied)
    return wins / ((all_clicked + clicked) * (below + tied))
