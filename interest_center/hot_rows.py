"""Rows of recently touched users: which row is whose, which are free, and which may be dropped."""

import numpy as np
from numpy.typing import NDArray

from interest_center.answers import CenterOptions
from interest_center.core.layout import StateConfig
from interest_center.row_arrays import new_memory_rows, new_profile_rows, new_subsequence_rows
from interest_center.row_index import find_rows, insert_rows, new_index, remove_rows
from interest_center.scan_arrays import Hot

_NEVER = np.iinfo(np.int64).max
#: Dropping costs a pass over all rows, so this share of them is dropped at once.
_DROP_SHARE = 10


class RowPool:
    """Rows of one kind: an index by key, free rows, and when each was last used.

    Args:
        capacity: Number of rows.
        dirty: Non-zero for rows whose last value is not in the store, ``[capacity]``.
    """

    def __init__(self, capacity: int, dirty: NDArray[np.uint8]) -> None:
        self.capacity = capacity
        self.index = new_index(capacity)
        self._dirty = dirty
        self._free = np.arange(capacity, dtype=np.int64)[::-1].copy()
        self._n_free = capacity
        self._touched = np.full(capacity, _NEVER, np.int64)

    @property
    def n_free(self) -> int:
        """Rows that belong to nobody."""
        return self._n_free

    @property
    def n_dirty(self) -> int:
        """Rows that may not be dropped before a checkpoint."""
        return int(np.count_nonzero(self._dirty))

    def find(self, first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return the row of each key, -1 where it has none."""
        return find_rows(self.index, first, second)

    def touch(self, rows: NDArray[np.int64], tick: int) -> None:
        """Note that rows are used now, and are not to be dropped at this tick."""
        self._touched[rows] = tick

    def next_free(self, n: int) -> NDArray[np.int64]:
        """Return ``n`` free rows; they stay free until ``publish``."""
        assert n <= self._n_free
        return self._free[self._n_free - n : self._n_free].copy()

    def publish(
        self,
        rows: NDArray[np.int64],
        first: NDArray[np.uint64],
        second: NDArray[np.uint64],
        tick: int,
    ) -> None:
        """Give the rows of the last ``next_free`` to keys that have none."""
        self._n_free -= len(rows)
        insert_rows(self.index, rows, first, second)
        self._touched[rows] = tick

    def droppable(self, n: int, tick: int) -> NDArray[np.int64]:
        """Return clean rows not used at this tick, least recently used first, ``n`` or more.

        Fewer than ``n`` are returned when there are no more.
        """
        rows = np.flatnonzero((self._touched < tick) & (self._dirty == 0))
        n = max(n, self.capacity // _DROP_SHARE)
        if len(rows) > n:
            rows = rows[np.argpartition(self._touched[rows], n - 1)[:n]]
        return rows

    def drop(self, rows: NDArray[np.int64]) -> None:
        """Free rows whose last value is in the store."""
        remove_rows(self.index, rows)
        self._touched[rows] = _NEVER
        self._free[self._n_free : self._n_free + len(rows)] = rows
        self._n_free += len(rows)


class HotRows:
    """All hot rows of one partition; memories lie in the same rows as the profiles.

    Args:
        config: Rules of the states.
        initial_memory: Memory of a user without events; None: no memory is kept.
        options: Sizes.
    """

    def __init__(
        self,
        config: StateConfig,
        initial_memory: NDArray[np.float32] | None,
        options: CenterOptions,
    ) -> None:
        n_users = options.hot_users
        n_pairs = n_users * options.subsequences_per_user
        self.profiles = new_profile_rows(config, n_users)
        self.subsequences = new_subsequence_rows(config, n_pairs)
        self.memories = new_memory_rows(initial_memory, n_users)
        self.users = RowPool(n_users, self.profiles.dirty)
        self.pairs = RowPool(n_pairs, self.subsequences.dirty)
        self.dirty_bytes = 0

    @property
    def keeps_memory(self) -> bool:
        """Whether there is a memory model."""
        return bool(self.memories.kept[0])

    @property
    def hot(self) -> Hot:
        """The arrays as the scan takes them."""
        return Hot(self.profiles, self.subsequences, self.memories, self.pairs.index)

    def clear_users(self, rows: NDArray[np.int64]) -> None:
        """Make rows those of users without events."""
        self.profiles.head[rows] = 0
        self.profiles.type_counts[rows] = 0
        self.profiles.dirty[rows] = 0
        if self.keeps_memory:
            self.memories.values[rows] = self.memories.initial

    def clear_pairs(self, rows: NDArray[np.int64]) -> None:
        """Make rows those of sub-sequences that do not exist."""
        self.subsequences.n_behaviors[rows] = 0
        self.subsequences.dirty[rows] = 0

    def all_durable(self) -> None:
        """Note that a checkpoint has written every dirty row."""
        self.profiles.dirty[:] = 0
        self.subsequences.dirty[:] = 0
        self.dirty_bytes = 0
