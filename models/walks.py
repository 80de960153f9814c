"""Parts of histories that requests share: what is walked once serves every request inside it.

A walk begins at a fixed event of a user's history, so requests that begin at the same event belong
to one walk, and each reads it at its own position.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Walks:
    """Walks of a batch of requests.

    Attributes:
        users: Whose history, ``[w]``.
        starts: First event of each, counted from the user's first, ``[w]``.
        lengths: Events of each, ``[w]``.
        group: The walk of each request, ``[s]``.
        seen: Events of its walk that each request sees, ``[s]``.
    """

    users: Ints
    starts: Ints
    lengths: Ints
    group: Ints
    seen: Ints

    @classmethod
    def of(cls, users: Ints, starts: Ints, positions: Ints) -> Self:
        """Collect the walks of requests.

        Args:
            users: Whose, ``[s]``.
            starts: Event that each request's walk begins with, ``[s]``.
            positions: Events that each request sees of its user, ``[s]``.
        """
        pairs, group = np.unique(np.stack((users, starts)), axis=1, return_inverse=True)
        group = group.reshape(-1)
        seen = positions - starts
        lengths = np.zeros(pairs.shape[1], np.int64)
        np.maximum.at(lengths, group, seen)
        return cls(pairs[0], pairs[1], lengths, group, seen)

    def events(self, history_starts: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Return the index of each walk's events and which are real, ``[w, l]`` both.

        Args:
            history_starts: First event of each user in the histories, ``[n_users + 1]``.
        """
        width = max(1, int(self.lengths.max(initial=0)))
        mask = np.arange(width) < self.lengths[:, None]
        first = history_starts[self.users] + self.starts
        return np.where(mask, first[:, None] + np.arange(width), 0), mask


class MemoryWalk(NamedTuple):
    """What training walks of memories, with gradients."""

    items: Tensor  # [w, l] rows of the events' items
    categories: Tensor  # [w, l]
    rows: Tensor  # [w, row_floats] memories at the start of each walk
    fresh: Tensor  # [w] True where that is the start of the history
    group: Tensor  # [s] walk of each request
    seen: Tensor  # [s] events of the walk that each request sees

    def to(self, device: torch.device) -> Self:
        """Return the walk on a device."""
        return type(self)(*(column.to(device) for column in self))


def walk_memory(memory: Any, walk: MemoryWalk, events: Tensor) -> Any:
    """Return the memory state that each request reads, ``[s, ...]``, with gradients.

    Args:
        memory: The torch module of a memory model.
        walk: The walks.
        events: Their embedded events, ``[w, l, D]``.
    """
    state = memory.fresh_where(walk.fresh, memory.state_of(walk.rows))
    states = [state]
    for t in range(events.shape[1]):
        states.append(memory.step(states[-1], events[:, t]))
    return type(state)(
        *(torch.stack(column)[walk.seen, walk.group] for column in zip(*states, strict=True))
    )
