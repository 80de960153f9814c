"""Compiled decoding of profiles and sub-sequences of layouts 1 and 2 (``records_layout_2.py``)."""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled
from interest_center.row_arrays import (
    CHAIN_HASH,
    EVENT_COUNT,
    LAST_EVENT_TIME_MS,
    N_BEHAVIORS,
    N_CATEGORIES,
    N_EVENT_IDS,
    ProfileRows,
    SubsequenceRows,
)

_PROFILE_WORDS = 6
_SUBSEQUENCE_WORDS = 4
_U16 = np.uint64(0xFFFF)
_U32 = np.uint64(0xFFFFFFFF)


@compiled
def _take_bytes(words: NDArray[np.uint64], at: Index, into: NDArray[np.uint8], n: Index) -> Index:
    """Unpack ``n`` bytes; return where the next part begins."""
    for i in range(n):
        into[i] = np.uint8((words[at + i // 8] >> np.uint64(8 * (i % 8))) & np.uint64(255))
    return np.int64(at + (n + 7) // 8)


@compiled
def _take(words: NDArray[np.uint64], at: Index, into: NDArray[np.int64], n: Index) -> Index:
    """Copy ``n`` numbers; return where the next part begins."""
    for i in range(n):
        into[i] = words[at + i]
    return np.int64(at + n)


@compiled
def take_head(
    rows: ProfileRows, row: Index, words: NDArray[np.uint64], start: Index, types: Index
) -> np.bool_:
    """Take the first words of a profile, which all layouts draw alike, but for ``types``.

    Returns:
        False when the rows have no room for what they promise.
    """
    counts = words[start + 5]
    n_ids = np.int64((counts >> np.uint64(16)) & _U16)
    n = np.int64((counts >> np.uint64(32)) & _U16)
    k = np.int64(counts >> np.uint64(48))
    fits = n_ids <= rows.event_ids.shape[1] and n <= rows.item.shape[1]
    if not fits or types != rows.type_counts.shape[1] or k > rows.directory_size.shape[1]:
        return np.bool_(False)
    head = rows.head[row]
    head[EVENT_COUNT] = np.int64(words[start + 2])
    head[LAST_EVENT_TIME_MS] = np.int64(words[start + 3])
    head[CHAIN_HASH] = np.int64(words[start + 4])
    head[N_EVENT_IDS], head[N_BEHAVIORS], head[N_CATEGORIES] = n_ids, n, k
    return np.bool_(True)


@compiled
def decode_profile_2(
    rows: ProfileRows,
    row: Index,
    words: NDArray[np.uint64],
    start: Index,
    end: Index,
) -> np.bool_:
    """Take one profile, whose header holds, into a row; False when it is not one."""
    if end - start < _PROFILE_WORDS:
        return np.bool_(False)
    types = np.int64(words[start + 5] & _U16)
    if not take_head(rows, row, words, start, types):
        return np.bool_(False)
    head = rows.head[row]
    n_ids, n, k = head[N_EVENT_IDS], head[N_BEHAVIORS], head[N_CATEGORIES]
    n_words = _PROFILE_WORDS + types + n_ids + 3 * n + (n + 7) // 8 + 3 * k + (k + 1) // 2
    if n_words != end - start:
        return np.bool_(False)
    at = _take(words, start + _PROFILE_WORDS, rows.type_counts[row], types)
    at = _take(words, at, rows.event_ids[row], n_ids)
    at = _take(words, at, rows.item[row], n)
    at = _take(words, at, rows.category[row], n)
    at = _take(words, at, rows.event_time_ms[row], n)
    at = _take_bytes(words, at, rows.event_type[row], n)
    at = _take(words, at, rows.directory_category[row], k)
    at = _take(words, at, rows.directory_updated_at[row], k)
    at = _take(words, at, rows.directory_time_ms[row], k)
    for i in range(k):
        size = (words[at + i // 2] >> np.uint64(32 * (i % 2))) & _U32
        rows.directory_size[row, i] = np.uint32(size)
    return np.bool_(True)


@compiled
def decode_subsequence_2(
    rows: SubsequenceRows, row: Index, words: NDArray[np.uint64], start: Index, end: Index
) -> np.bool_:
    """Take one sub-sequence, whose header holds, into a row; False when it is not one."""
    if end - start < _SUBSEQUENCE_WORDS:
        return np.bool_(False)
    n = np.int64(words[start + 3])
    if n > rows.item.shape[1] or _SUBSEQUENCE_WORDS + 2 * n + (n + 7) // 8 != end - start:
        return np.bool_(False)
    rows.n_behaviors[row] = n
    at = _take(words, start + _SUBSEQUENCE_WORDS, rows.item[row], n)
    at = _take(words, at, rows.event_time_ms[row], n)
    _take_bytes(words, at, rows.event_type[row], n)
    return np.bool_(True)
