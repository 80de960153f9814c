"""In which order an epoch meets the training requests: parts, and in them requests at random.

Requests that share a walk stay together, so that the walk is walked once; walks come at random. A
part holds whole users, whose histories are then scanned once, and no more walks than fit in memory.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Grouping:
    """Which requests share a walk.

    Attributes:
        users: Of each training request, ``[n]``.
        starts: Event that its walk begins with, ``[n]``.
    """

    users: Ints
    starts: Ints


def epoch_parts(
    requests: Ints, grouping: Grouping | None, part_size: int, rng: np.random.Generator
) -> list[Ints]:
    """Return the requests of each part of an epoch, in training order.

    Args:
        requests: All training requests.
        grouping: Their walks, None for a model that walks nothing.
        part_size: Requests of a part, or walks where there are some; more only where the walks of
            one user are more.
        rng: Of the epoch; nothing else decides the order.
    """
    if grouping is None:
        order = rng.permutation(requests)
        # Parts of equal size: a short last one would tell little of the whole.
        return np.array_split(order, max(1, -(-len(order) // part_size)))
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
