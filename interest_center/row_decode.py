"""Compiled decoding of stored records into hot rows; the inverse of ``row_codec``.

Each function returns how many records it took in: fewer than given means that the next one is not
a record of this layout and configuration.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled
from interest_center.core.layout import LAYOUT_VERSION
from interest_center.row_arrays import (
    CHAIN_HASH,
    EVENT_COUNT,
    LAST_EVENT_TIME_MS,
    N_BEHAVIORS,
    N_CATEGORIES,
    N_EVENT_IDS,
    N_MEMORY_EVENTS,
    MemoryRows,
    ProfileRows,
    SubsequenceRows,
)
from interest_center.row_checksum import crc32_words
from interest_center.row_codec import (
    HEADER_WORDS,
    MEMORY_FIRST,
    MEMORY_WORDS,
    PROFILE_FIRST,
    PROFILE_WORDS,
    SUBSEQUENCE_FIRST,
    SUBSEQUENCE_WORDS,
    profile_words,
    subsequence_words,
)

#: Bits in which the first header word of the other layout that is read differs: layout 1.
_OTHER_VERSION = np.uint64((LAYOUT_VERSION ^ 1) << 24)
_U16 = np.uint64(0xFFFF)
_U32 = np.uint64(0xFFFFFFFF)


@compiled
def _intact(
    words: NDArray[np.uint64], start: Index, end: Index, first: np.uint64, least: Index
) -> np.bool_:
    """Tell whether the header of ``words[start:end]`` holds."""
    if end - start < least:
        return np.bool_(False)
    length = np.uint64((end - start) * 8) << np.uint64(32)
    known = words[start] == first | length or words[start] == (first ^ _OTHER_VERSION) | length
    return np.bool_(known and words[start + 1] == crc32_words(words, start + HEADER_WORDS, end))


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
def _decode_profile(
    rows: ProfileRows, row: Index, words: NDArray[np.uint64], start: Index, end: Index
) -> np.bool_:
    """Take one profile into a row; False when it is not one."""
    if not _intact(words, start, end, PROFILE_FIRST, PROFILE_WORDS):
        return np.bool_(False)
    counts = words[start + 5]
    types = np.int64(counts & _U16)
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
    if profile_words(rows, row) != end - start:
        return np.bool_(False)
    at = _take(words, start + PROFILE_WORDS, rows.type_counts[row], types)
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
def decode_profiles(
    rows: ProfileRows,
    which: NDArray[np.int64],
    words: NDArray[np.uint64],
    ends: NDArray[np.int64],
) -> Index:
    """Take profile records into empty rows."""
    start = 0
    for i in range(len(which)):
        if not _decode_profile(rows, which[i], words, start, ends[i]):
            return i
        start = ends[i]
    return len(which)


@compiled
def decode_subsequences(
    rows: SubsequenceRows,
    which: NDArray[np.int64],
    categories: NDArray[np.uint64],
    words: NDArray[np.uint64],
    ends: NDArray[np.int64],
) -> Index:
    """Take sub-sequence records of the categories given into empty rows."""
    start = 0
    for i in range(len(which)):
        end, row = ends[i], which[i]
        if not _intact(words, start, end, SUBSEQUENCE_FIRST, SUBSEQUENCE_WORDS):
            return i
        n = np.int64(words[start + 3])
        if words[start + 2] != categories[i] or n > rows.item.shape[1] or n < 1:
            return i
        rows.n_behaviors[row] = n
        if subsequence_words(rows, row) != end - start:
            return i
        at = _take(words, start + SUBSEQUENCE_WORDS, rows.item[row], n)
        at = _take(words, at, rows.event_time_ms[row], n)
        _take_bytes(words, at, rows.event_type[row], n)
        start = end
    return len(which)


@compiled
def decode_memories(
    profiles: ProfileRows,
    memories: MemoryRows,
    which: NDArray[np.int64],
    fingerprint: np.uint64,
    words: NDArray[np.uint64],
    ends: NDArray[np.int64],
) -> Index:
    """Take memory records of the weights given into rows."""
    start, floats = 0, len(memories.initial)
    n_words = MEMORY_WORDS + (floats + 1) // 2
    for i in range(len(which)):
        end, row = ends[i], which[i]
        if end - start != n_words or not _intact(words, start, end, MEMORY_FIRST, n_words):
            return i
        if words[start + 2] != fingerprint or words[start + 4] != np.uint64(floats):
            return i
        profiles.head[row, N_MEMORY_EVENTS] = np.int64(words[start + 3])
        values = memories.values[row].view(np.uint32)
        for j in range(floats):
            word = words[start + MEMORY_WORDS + j // 2]
            values[j] = np.uint32((word >> np.uint64(32 * (j % 2))) & _U32)
        start = end
    return len(which)
