"""What the engine's scan reads and writes: rules, columns of events, hot rows, counts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.layout import FEEDS_SUBSEQUENCE, StateConfig, feeds_by_type
from interest_center.row_arrays import MemoryRows, ProfileRows, SubsequenceRows
from interest_center.row_index import RowIndex

# Entries of ``Outcome.sums``.
APPLIED = 0
DUPLICATE = 1
LATE = 2
ERASURES = 3
N_EVICTED = 4
MAX_TIME_MS = 5
N_SUMS = 6

NO_TIME_MS = np.iinfo(np.int64).min


class Rules(NamedTuple):
    """The configuration as the scan reads it.

    Attributes:
        feeds: ``FEEDS_*`` bits by event type code, uint8 ``[256]``.
        late_after_ms: Largest distance behind the user's last event, int64 ``[1]``.
    """

    feeds: NDArray[np.uint8]
    late_after_ms: NDArray[np.int64]


class Columns(NamedTuple):
    """Events as columns, with the rows they touch; all ``[n]``.

    Attributes:
        event_time_ms: Event times, int64.
        user: User ids, uint64.
        item: Item ids, uint64.
        category: Category ids, 0 for none, uint64.
        event_hash: Hashes of the event ids, uint64.
        event_type: Event type codes, uint8.
        op: ``OP_EVENT`` or ``OP_ERASE``, uint8.
        row: Row of the user's profile, int64.
        subsequence_row: Row of (user, category), -1 where the event feeds none, int64.
    """

    event_time_ms: NDArray[np.int64]
    user: NDArray[np.uint64]
    item: NDArray[np.uint64]
    category: NDArray[np.uint64]
    event_hash: NDArray[np.uint64]
    event_type: NDArray[np.uint8]
    op: NDArray[np.uint8]
    row: NDArray[np.int64]
    subsequence_row: NDArray[np.int64]


class Hot(NamedTuple):
    """All hot rows of a partition, as the scan needs them."""

    profiles: ProfileRows
    subsequences: SubsequenceRows
    memories: MemoryRows
    subsequence_index: RowIndex


class Outcome(NamedTuple):
    """What a scan leaves.

    Attributes:
        sums: Counts of this slice, int64 ``[N_SUMS]``; the caller zeroes them.
        to_memory: Whether the memory model sees the event, bool ``[n]``.
        evicted_user: Users who lost a sub-sequence, uint64 ``[n]``, ``sums[N_EVICTED]`` filled.
        evicted_category: The category of each, uint64 ``[n]``.
    """

    sums: NDArray[np.int64]
    to_memory: NDArray[np.bool_]
    evicted_user: NDArray[np.uint64]
    evicted_category: NDArray[np.uint64]


def rules_of(config: StateConfig) -> Rules:
    """Return a configuration as the scan reads it."""
    return Rules(feeds_by_type(config), np.array([config.late_after_ms], np.int64))


def new_outcome(n: int) -> Outcome:
    """Return room for the outcome of ``n`` events."""
    return Outcome(
        np.zeros(N_SUMS, np.int64),
        np.zeros(n, np.bool_),
        np.zeros(n, np.uint64),
        np.zeros(n, np.uint64),
    )


def feeds_subsequence(
    rules: Rules, category: NDArray[np.uint64], event_type: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Tell which events feed a sub-sequence."""
    feeds: NDArray[np.bool_] = (category != 0) & ((rules.feeds[event_type] & FEEDS_SUBSEQUENCE) > 0)
    return feeds
