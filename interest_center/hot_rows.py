"""Rows of recently touched users: which row is whose, which are free, and which may be dropped."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.answers import CenterOptions
from interest_center.core.compiled import Index, compiled
from interest_center.core.layout import StateConfig
from interest_center.row_arrays import (
    ERASED,
    MEMORY_DIRTY,
    N_CATEGORIES,
    new_memory_rows,
    new_profile_rows,
    new_subsequence_rows,
)
from interest_center.row_index import find_row, find_rows, insert_rows, new_index, remove_rows
from interest_center.scan_arrays import Hot

_NEVER = np.iinfo(np.int64).max
#: Dropping costs a pass over all rows, so this share of them is dropped at once.
_DROP_SHARE = 10


@compiled
def _n_flagged(flags: NDArray[np.uint8], bits: np.uint8) -> Index:
    """Return how many rows have one of some bits: called often, over all rows."""
    n = 0
    for i in range(len(flags)):
        n += (flags[i] & bits) != 0
    return n


@compiled
def _flagged(flags: NDArray[np.uint8], bits: np.uint8) -> NDArray[np.int64]:
    """Return the rows that have one of some bits."""
    rows = np.empty(_n_flagged(flags, bits), np.int64)
    n = 0
    if len(rows):
        for i in range(len(flags)):
            if flags[i] & bits:
                rows[n] = i
                n += 1
    return rows


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
        """Rows that may not be dropped before they are written."""
        return int(_n_flagged(self._dirty, np.uint8(0xFF)))

    def dirty_rows(self) -> NDArray[np.int64]:
        """Return the rows that may not be dropped before they are written."""
        return _flagged(self._dirty, np.uint8(0xFF))

    def oldest_dirty(self, n: int) -> NDArray[np.int64]:
        """Return the dirty rows, of more than ``n`` those that were not used for longest."""
        return self._oldest(self.dirty_rows(), n)

    def _oldest(self, rows: NDArray[np.int64], n: int) -> NDArray[np.int64]:
        """Return the ``n`` of some rows that were not used for longest, in no order."""
        if len(rows) > n:
            rows = rows[np.argpartition(self._touched[rows], n - 1)[:n]]
        return rows

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
        return self._oldest(rows, max(n, self.capacity // _DROP_SHARE))

    def drop(self, rows: NDArray[np.int64]) -> None:
        """Free rows whose last value is in the store."""
        remove_rows(self.index, rows)
        self._touched[rows] = _NEVER
        self._free[self._n_free : self._n_free + len(rows)] = rows
        self._n_free += len(rows)


def user_bytes(config: StateConfig, row_floats: int, subsequences_per_user: int) -> int:
    """Return the bytes that the rows of one user take in memory.

    Args:
        config: Rules of the states.
        row_floats: Length of a memory, 0 without.
        subsequences_per_user: Sub-sequence rows kept for each user, on average.
    """
    initial = np.zeros(row_floats, np.float32) if row_floats else None
    kinds = (
        new_profile_rows(config, 1),
        new_subsequence_rows(config, subsequences_per_user),
        new_memory_rows(initial, 1)[:1],
    )
    return sum(array.nbytes for kind in kinds for array in kind)


class DirtyRows(NamedTuple):
    """Rows of some users that the store does not hold; each int64 ``[n]``, of its own length.

    Attributes:
        profiles: Rows of the profiles.
        memories: Of these, the rows whose memory has changed too.
        pairs: Rows of the users' sub-sequences.
        erased: Of the profiles, those of users whose older records must go.
    """

    profiles: NDArray[np.int64]
    memories: NDArray[np.int64]
    pairs: NDArray[np.int64]
    erased: NDArray[np.int64]


@compiled
def _dirty_pairs(hot: Hot, users: NDArray[np.uint64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the changed sub-sequence rows of users, by their directories."""
    found = np.empty(len(rows) * hot.profiles.directory_category.shape[1], np.int64)
    n = 0
    for i in range(len(rows)):
        for slot in range(hot.profiles.head[rows[i], N_CATEGORIES]):
            category = hot.profiles.directory_category[rows[i], slot]
            pair = find_row(hot.subsequence_index, users[i], category)
            if pair >= 0 and hot.subsequences.dirty[pair]:
                found[n] = pair
                n += 1
    return found[:n].copy()


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

    def dirty(self, rows: NDArray[np.int64]) -> DirtyRows:
        """Return what the store does not hold of the users in these rows, and of erased ones."""
        dirty = self.profiles.dirty
        rows = rows[dirty[rows] != 0]
        erased = _flagged(dirty, np.uint8(ERASED))
        if len(erased):
            rows = np.union1d(rows, erased)
        return DirtyRows(
            profiles=rows,
            memories=rows[(dirty[rows] & MEMORY_DIRTY) != 0],
            pairs=_dirty_pairs(self.hot, self.users.index.first[rows], rows),
            erased=rows[(dirty[rows] & ERASED) != 0],
        )

    def durable(self, rows: DirtyRows) -> None:
        """Note that the store holds these rows."""
        self.profiles.dirty[rows.profiles] = 0
        self.subsequences.dirty[rows.pairs] = 0
