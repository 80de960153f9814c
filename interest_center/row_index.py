"""Where a key's row is: a hash index with open addressing, looked up in batches without the GIL.

``slots`` holds row numbers, -1 where free, at least twice as many as rows; linear probing; a
removal moves later entries back, so that no tombstones pile up. Keys lie in the rows' own arrays.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled

_FREE = -1


class RowIndex(NamedTuple):
    """An index over rows; a key is a pair, for example (user, category) or (user, 0).

    Attributes:
        slots: Row numbers, int32 ``[power of two]``.
        first: First half of each row's key, uint64 ``[capacity]``.
        second: Second half, uint64 ``[capacity]``.
    """

    slots: NDArray[np.int32]
    first: NDArray[np.uint64]
    second: NDArray[np.uint64]


def new_index(capacity: int) -> RowIndex:
    """Return an empty index over ``capacity`` rows."""
    n_slots = 1 << (2 * capacity - 1).bit_length()
    return RowIndex(
        np.full(n_slots, _FREE, np.int32),
        np.zeros(capacity, np.uint64),
        np.zeros(capacity, np.uint64),
    )


@compiled
def mix(x: np.uint64) -> np.uint64:
    """Scramble 64 bits (the finaliser of splitmix64; see ``core/records.py``)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def _home(first: np.uint64, second: np.uint64, n_slots: Index) -> Index:
    """Return the slot at which the search for a key begins."""
    return np.int64(mix(first ^ mix(second)) & np.uint64(n_slots - 1))


@compiled
def find_row(index: RowIndex, first: np.uint64, second: np.uint64) -> Index:
    """Return the row of a key, -1 when it has none."""
    n_slots = len(index.slots)
    at = _home(first, second, n_slots)
    while True:
        row = index.slots[at]
        if row < 0 or (index.first[row] == first and index.second[row] == second):
            return np.int64(row)
        at = (at + 1) & (n_slots - 1)


@compiled
def find_rows(
    index: RowIndex, first: NDArray[np.uint64], second: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """Return the row of each key, -1 where it has none."""
    rows = np.empty(len(first), np.int64)
    for i in range(len(first)):
        rows[i] = find_row(index, first[i], second[i])
    return rows


@compiled
def insert_rows(
    index: RowIndex,
    rows: NDArray[np.int64],
    first: NDArray[np.uint64],
    second: NDArray[np.uint64],
) -> None:
    """Give keys that are not in the index their rows."""
    n_slots = len(index.slots)
    for i in range(len(rows)):
        index.first[rows[i]] = first[i]
        index.second[rows[i]] = second[i]
        at = _home(first[i], second[i], n_slots)
        while index.slots[at] >= 0:
            at = (at + 1) & (n_slots - 1)
        index.slots[at] = rows[i]


@compiled
def remove_rows(index: RowIndex, rows: NDArray[np.int64]) -> None:
    """Forget the keys of rows that are in the index."""
    n_slots = len(index.slots)
    for row in rows:
        hole = _home(index.first[row], index.second[row], n_slots)
        while index.slots[hole] != row:
            hole = (hole + 1) & (n_slots - 1)
        at = (hole + 1) & (n_slots - 1)
        while index.slots[at] >= 0:
            mover = index.slots[at]
            home = _home(index.first[mover], index.second[mover], n_slots)
            # It may move into the hole unless its home lies between the hole and itself.
            if ((at - home) & (n_slots - 1)) >= ((at - hole) & (n_slots - 1)):
                index.slots[hole] = mover
                hole = at
            at = (at + 1) & (n_slots - 1)
        index.slots[hole] = _FREE
