"""In which order an epoch meets the training requests: parts, and in them requests at random.

Requests that share a walk stay together, so that the walk is walked once; walks come at random. A
part holds whole users, whose histories are then scanned once, and no more walks than fit in memory.

Where nothing is walked, a batch is padded to its longest history. Requests with long histories are
therefore met beside others of about their length, in batches that come at random.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

#: Histories up to this are padded together: sorting them would save little.
_SHORT = 128


@dataclass(frozen=True)
class Grouping:
    """Which requests share a walk.

    Attributes:
        users: Of each training request, ``[n]``.
        starts: Event that its walk begins with, ``[n]``.
    """

    users: Ints
    starts: Ints


@dataclass(frozen=True)
class Padding:
    """What batches are padded to, where nothing is walked.

    Attributes:
        lengths: Behaviors of each training request, ``[n]``.
        batch_size: Requests of a batch.
    """

    lengths: Ints
    batch_size: int


def epoch_parts(
    requests: Ints, grouping: Grouping | Padding, part_size: int, rng: np.random.Generator
) -> list[Ints]:
    """Return the requests of each part of an epoch, in training order.

    Args:
        requests: All training requests.
        grouping: Their walks; the lengths of their histories for a model that walks nothing.
        part_size: Requests of a part, or walks where there are some; more only where the walks of
            one user are more.
        rng: Of the epoch; nothing else decides the order.
    """
    if isinstance(grouping, Padding):
        order = rng.permutation(len(requests))
        # Parts of equal size: a short last one would tell little of the whole.
        parts = np.array_split(order, max(1, -(-len(order) // part_size)))
        return [requests[_alike_together(part, grouping, rng)] for part in parts]
    pairs = np.stack((grouping.users, grouping.starts))
    walks, walk = np.unique(pairs, axis=1, return_inverse=True)
    walk = walk.reshape(-1)
    users, user = np.unique(walks[0], return_inverse=True)
    place = rng.permutation(len(users))
    n_walks = np.bincount(user, minlength=len(users))
    by_place = np.empty(len(users), np.int64)
    by_place[place] = n_walks
    before = np.cumsum(by_place) - by_place
    n_parts = max(1, -(-walks.shape[1] // part_size))
    part = (before * n_parts // walks.shape[1])[place[user]][walk]
    drawn = rng.permutation(walks.shape[1])[walk]
    order = np.lexsort((drawn, part))
    edges = np.flatnonzero(np.diff(part[order])) + 1
    return np.split(requests[order], edges)


def _alike_together(part: Ints, padding: Padding, rng: np.random.Generator) -> Ints:
    """Return a part so that each batch cut from it holds histories of one doubling of length."""
    doublings = np.ceil(np.log2(np.maximum(padding.lengths[part], _SHORT) / _SHORT))
    if len(np.unique(doublings)) < 2:
        return part
    part = part[np.argsort(doublings, kind="stable")]
    size = padding.batch_size
    full = part[: len(part) // size * size].reshape(-1, size)
    return np.concatenate((rng.permutation(full).reshape(-1), part[full.size :]))
