"""The arrays behind the hot rows: one row a user, one row a (user, category), nothing per event.

Rings hold their entries at ``count % length``, where ``count`` counts what was put in since the row
was loaded, and what was there then; a loaded ring has its oldest entry at 0, so the two agree.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.layout import StateConfig

# Columns of ``ProfileRows.head``: what every event touches lies in one cache line.
EVENT_COUNT = 0
LAST_EVENT_TIME_MS = 1
CHAIN_HASH = 2
N_EVENT_IDS = 3
N_BEHAVIORS = 4
N_CATEGORIES = 5
N_MEMORY_EVENTS = 6
N_HEAD = 8

# Bits of ``dirty``.
DIRTY = 1
MEMORY_DIRTY = 2
ERASED = 4


class ProfileRows(NamedTuple):
    """Profiles of hot users; all arrays have one row a user.

    Attributes:
        head: Numbers of a user, int64 ``[capacity, N_HEAD]``; the chained hash as its 64 bits.
        dirty: ``DIRTY``, ``MEMORY_DIRTY``, ``ERASED`` (older records must go) or 0, uint8.
        type_counts: Applied events by event type code - 1, int64.
        event_ids: Ring of the hashes of applied event ids, uint64.
        item: Ring of behaviors, uint64; so are the next three.
        category: Category of each behavior, uint64.
        event_time_ms: Event time of each behavior, int64.
        event_type: Event type code of each behavior, uint8.
        directory_category: Categories that have a sub-sequence, uint64.
        directory_updated_at: Event count after the category's last behavior, int64.
        directory_time_ms: Event time of that behavior, int64.
        directory_size: Behaviors kept of the category, uint32.
    """

    head: NDArray[np.int64]
    dirty: NDArray[np.uint8]
    type_counts: NDArray[np.int64]
    event_ids: NDArray[np.uint64]
    item: NDArray[np.uint64]
    category: NDArray[np.uint64]
    event_time_ms: NDArray[np.int64]
    event_type: NDArray[np.uint8]
    directory_category: NDArray[np.uint64]
    directory_updated_at: NDArray[np.int64]
    directory_time_ms: NDArray[np.int64]
    directory_size: NDArray[np.uint32]


class SubsequenceRows(NamedTuple):
    """Sub-sequences of hot (user, category) pairs.

    Attributes:
        n_behaviors: Behaviors put into the ring, int64; 0: the user has no such sub-sequence.
        dirty: ``DIRTY`` or 0, uint8.
        item: Ring of behaviors, uint64; so are the next two.
        event_time_ms: Event time of each behavior, int64.
        event_type: Event type code of each behavior, uint8.
    """

    n_behaviors: NDArray[np.int64]
    dirty: NDArray[np.uint8]
    item: NDArray[np.uint64]
    event_time_ms: NDArray[np.int64]
    event_type: NDArray[np.uint8]


class MemoryRows(NamedTuple):
    """Long-term memories of hot users, in the same rows as their profiles.

    Attributes:
        values: float32 ``[capacity, row_floats]``; without a model ``[1, 0]``.
        initial: Memory of a user without events, float32 ``[row_floats]``.
        kept: Whether there is a model, bool ``[1]``.
    """

    values: NDArray[np.float32]
    initial: NDArray[np.float32]
    kept: NDArray[np.bool_]


def new_profile_rows(config: StateConfig, capacity: int) -> ProfileRows:
    """Return empty rows; the system gives the memory when a row is first touched."""
    n, k = config.n_behaviors, config.n_subsequences
    return ProfileRows(
        head=np.zeros((capacity, N_HEAD), np.int64),
        dirty=np.zeros(capacity, np.uint8),
        type_counts=np.zeros((capacity, len(config.event_types)), np.int64),
        event_ids=np.zeros((capacity, config.n_event_ids), np.uint64),
        item=np.zeros((capacity, n), np.uint64),
        category=np.zeros((capacity, n), np.uint64),
        event_time_ms=np.zeros((capacity, n), np.int64),
        event_type=np.zeros((capacity, n), np.uint8),
        directory_category=np.zeros((capacity, k), np.uint64),
        directory_updated_at=np.zeros((capacity, k), np.int64),
        directory_time_ms=np.zeros((capacity, k), np.int64),
        directory_size=np.zeros((capacity, k), np.uint32),
    )


def new_subsequence_rows(config: StateConfig, capacity: int) -> SubsequenceRows:
    """Return empty rows."""
    n = config.n_subsequence_behaviors
    return SubsequenceRows(
        n_behaviors=np.zeros(capacity, np.int64),
        dirty=np.zeros(capacity, np.uint8),
        item=np.zeros((capacity, n), np.uint64),
        event_time_ms=np.zeros((capacity, n), np.int64),
        event_type=np.zeros((capacity, n), np.uint8),
    )


def new_memory_rows(initial: NDArray[np.float32] | None, capacity: int) -> MemoryRows:
    """Return rows for the memories of a model, given its initial row; None: no model."""
    if initial is None:
        return MemoryRows(
            np.zeros((1, 0), np.float32), np.zeros(0, np.float32), np.zeros(1, np.bool_)
        )
    return MemoryRows(
        np.zeros((capacity, len(initial)), np.float32),
        np.ascontiguousarray(initial, np.float32),
        np.ones(1, np.bool_),
    )
