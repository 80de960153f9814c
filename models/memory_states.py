"""Long-term memories as they stood at any position, by the scan that serves: one walk a user."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from interest_center.core.protocols import MemoryUpdater
from models.request_batches import ranges
from models.samples import Histories, Ints

#: Few enough that progress is seen, many enough that the scan has work.
_USERS_AT_ONCE = 256


def memories_at(
    history: Histories, users: Ints, positions: Ints, updater: MemoryUpdater
) -> Iterator[tuple[Ints, NDArray[np.float32]]]:
    """Yield the memories of users as they stood at positions of their histories.

    Every event is applied once, in arrival order; a user's positions are met on the way.

    Args:
        history: Events that feed the memory.
        users: Whose memory, ``[n]``.
        positions: How many of the user's events it has seen, ``[n]``.
        updater: The model.

    Yields:
        Indices of some of them, and their rows ``[k, row_floats]``.
    """
    order = np.lexsort((positions, users))
    users, positions = users[order], positions[order]
    new_user = np.append(True, users[1:] != users[:-1])
    firsts = np.flatnonzero(new_user)
    for part in range(0, len(firsts), _USERS_AT_ONCE):
        begin = firsts[part]
        end = firsts[part + _USERS_AT_ONCE] if part + _USERS_AT_ONCE < len(firsts) else len(users)
        mine = slice(begin, end)
        yield order[mine], _walk(history, users[mine], positions[mine], updater)


def _walk(
    history: Histories, users: Ints, positions: Ints, updater: MemoryUpdater
) -> NDArray[np.float32]:
    """Return the rows of sorted positions; one round for the first of each user, and so on."""
    new_user = np.append(True, users[1:] != users[:-1])
    row = np.cumsum(new_user) - 1
    first = np.flatnonzero(new_user)
    turn = np.arange(len(users)) - first[row]
    rows = np.tile(updater.initial_row(), (len(first), 1))
    found = np.empty((len(users), updater.row_floats), np.float32)
    seen = np.zeros(len(first), np.int64)
    for k in range(int(turn.max(initial=-1)) + 1):
        now = np.flatnonzero(turn == k)
        mine = row[now]
        index, owner = ranges(history.starts[users[now]] + seen[mine], positions[now] - seen[mine])
        updater.update_many(rows, mine[owner], history.items[index], history.categories[index])
        seen[mine] = positions[now]
        found[now] = rows[mine]
    return found
