"""The engine's scan: compiled, without the GIL, one event after the other in offset order.

It decides duplicate and late, moves rings, counts, sub-sequences and their directory, and leaves
the mask of events that the memory model sees next.
"""

import numpy as np

from interest_center.core.compiled import Index, compiled
from interest_center.core.events import OP_ERASE
from interest_center.core.layout import FEEDS_BEHAVIORS, FEEDS_MEMORY
from interest_center.row_arrays import (
    CHAIN_HASH,
    DIRTY,
    ERASED,
    EVENT_COUNT,
    LAST_EVENT_TIME_MS,
    MEMORY_DIRTY,
    N_BEHAVIORS,
    N_CATEGORIES,
    N_EVENT_IDS,
    N_MEMORY_EVENTS,
    ProfileRows,
)
from interest_center.row_index import find_row, mix
from interest_center.scan_arrays import (
    APPLIED,
    DUPLICATE,
    ERASURES,
    LATE,
    MAX_TIME_MS,
    N_EVICTED,
    Columns,
    Hot,
    Outcome,
    Rules,
)


@compiled
def _is_duplicate(profiles: ProfileRows, row: Index, event_hash: np.uint64) -> np.bool_:
    """Tell whether an event id is among the user's last applied ones."""
    ids = profiles.event_ids[row]
    found = False
    for i in range(min(profiles.head[row, N_EVENT_IDS], len(ids))):
        found |= ids[i] == event_hash
    return np.bool_(found)


@compiled
def _drop_subsequence(hot: Hot, user: np.uint64, category: np.uint64) -> None:
    """Empty the hot row of a sub-sequence that is gone; its record is deleted by the caller."""
    row = find_row(hot.subsequence_index, user, category)
    if row >= 0:
        hot.subsequences.n_behaviors[row] = 0
        hot.subsequences.dirty[row] = 0


@compiled
def _erase(hot: Hot, row: Index, user: np.uint64) -> None:
    """Make a user's rows those of a user without events, and mark older records to be deleted."""
    profiles = hot.profiles
    for i in range(profiles.head[row, N_CATEGORIES]):
        _drop_subsequence(hot, user, profiles.directory_category[row, i])
    profiles.head[row] = 0
    profiles.type_counts[row] = 0
    profiles.dirty[row] = DIRTY | ERASED
    if hot.memories.kept[0]:
        hot.memories.values[row] = hot.memories.initial


@compiled
def _directory_slot(
    hot: Hot, row: Index, user: np.uint64, category: np.uint64, out: Outcome
) -> Index:
    """Return the directory slot of a category; a new one may evict the longest not updated.

    The count of the last update is unique within a user, so there are no ties to break.
    """
    profiles = hot.profiles
    head, categories = profiles.head[row], profiles.directory_category[row]
    k = head[N_CATEGORIES]
    for i in range(k):
        if categories[i] == category:
            return np.int64(i)
    if k < len(categories):
        head[N_CATEGORIES] = k + 1
        slot = k
    else:
        slot = np.argmin(profiles.directory_updated_at[row])
        evicted = categories[slot]
        _drop_subsequence(hot, user, evicted)
        out.evicted_user[out.sums[N_EVICTED]] = user
        out.evicted_category[out.sums[N_EVICTED]] = evicted
        out.sums[N_EVICTED] += 1
    categories[slot] = category
    profiles.directory_size[row, slot] = 0
    return np.int64(slot)


@compiled
def _feed_subsequence(hot: Hot, events: Columns, i: Index, out: Outcome) -> None:
    """Put a behavior into the sub-sequence of its category."""
    profiles, rows = hot.profiles, hot.subsequences
    row, sub = events.row[i], events.subsequence_row[i]
    slot = _directory_slot(hot, row, events.user[i], events.category[i], out)
    at = rows.n_behaviors[sub] % rows.item.shape[1]
    rows.item[sub, at] = events.item[i]
    rows.event_time_ms[sub, at] = events.event_time_ms[i]
    rows.event_type[sub, at] = events.event_type[i]
    rows.n_behaviors[sub] += 1
    rows.dirty[sub] = DIRTY
    profiles.directory_updated_at[row, slot] = profiles.head[row, EVENT_COUNT]
    profiles.directory_time_ms[row, slot] = events.event_time_ms[i]
    profiles.directory_size[row, slot] = min(rows.n_behaviors[sub], rows.item.shape[1])


@compiled
def _feed_behaviors(profiles: ProfileRows, events: Columns, i: Index) -> None:
    """Put a behavior into the ring of recent ones."""
    row = events.row[i]
    at = profiles.head[row, N_BEHAVIORS] % profiles.item.shape[1]
    profiles.item[row, at] = events.item[i]
    profiles.category[row, at] = events.category[i]
    profiles.event_time_ms[row, at] = events.event_time_ms[i]
    profiles.event_type[row, at] = events.event_type[i]
    profiles.head[row, N_BEHAVIORS] += 1


@compiled
def _count(profiles: ProfileRows, events: Columns, i: Index) -> None:
    """Count an applied event and remember its id."""
    row = events.row[i]
    head = profiles.head[row]
    time = events.event_time_ms[i]
    if head[EVENT_COUNT] == 0 or time > head[LAST_EVENT_TIME_MS]:
        head[LAST_EVENT_TIME_MS] = time
    head[EVENT_COUNT] += 1
    profiles.type_counts[row, events.event_type[i] - 1] += 1
    profiles.event_ids[row, head[N_EVENT_IDS] % profiles.event_ids.shape[1]] = events.event_hash[i]
    head[N_EVENT_IDS] += 1
    head[CHAIN_HASH] = np.int64(mix(np.uint64(head[CHAIN_HASH]) ^ events.event_hash[i]))


@compiled
def _apply(hot: Hot, rules: Rules, events: Columns, i: Index, out: Outcome) -> None:
    """Apply one event that is neither duplicate nor late."""
    profiles = hot.profiles
    row = events.row[i]
    feeds = rules.feeds[events.event_type[i]]
    _count(profiles, events, i)
    if feeds & FEEDS_BEHAVIORS:
        _feed_behaviors(profiles, events, i)
    if events.subsequence_row[i] >= 0:
        _feed_subsequence(hot, events, i, out)
    profiles.dirty[row] |= DIRTY
    if feeds & FEEDS_MEMORY and hot.memories.kept[0]:
        profiles.head[row, N_MEMORY_EVENTS] += 1
        profiles.dirty[row] |= MEMORY_DIRTY
        out.to_memory[i] = True
    out.sums[APPLIED] += 1
    out.sums[MAX_TIME_MS] = max(out.sums[MAX_TIME_MS], events.event_time_ms[i])


@compiled
def scan_events(
    hot: Hot, rules: Rules, events: Columns, start: Index, end: Index, out: Outcome
) -> None:
    """Walk ``events[start:end]`` and change the hot rows in place.

    An erasure takes back what earlier events of the slice would have sent to the user's memory.
    """
    for i in range(start, end):
        row = events.row[i]
        head = hot.profiles.head[row]
        if events.op[i] == OP_ERASE:
            _erase(hot, row, events.user[i])
            for j in range(start, i):
                if events.row[j] == row:
                    out.to_memory[j] = False
            out.sums[ERASURES] += 1
        elif _is_duplicate(hot.profiles, row, events.event_hash[i]):
            out.sums[DUPLICATE] += 1
        elif (
            head[EVENT_COUNT] > 0
            and events.event_time_ms[i] < head[LAST_EVENT_TIME_MS] - rules.late_after_ms[0]
        ):
            out.sums[LATE] += 1
        else:
            _apply(hot, rules, events, i, out)
