"""Compiled decoding of stored records into hot rows; the inverse of ``row_codec``.

Each function returns how many records it took in: fewer than given means that the next one is not
a record of this layout and configuration.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.bit_columns import WORD, unpack
from interest_center.core.compiled import Index, compiled
from interest_center.core.layout import LAYOUT_VERSION
from interest_center.core.record_header import LAST_UNCHECKED_HEADER
from interest_center.core.records_layout_2 import LAST_VERSION
from interest_center.row_arrays import (
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
)
from interest_center.row_decode_layout_2 import (
    decode_profile_2,
    decode_subsequence_2,
    take_head,
)

_VERSION_BIT = np.uint64(24)
_ANY_VERSION = ~(np.uint64(0xFF) << _VERSION_BIT)
_U8 = np.uint64(0xFF)
_U16 = np.uint64(0xFFFF)


@compiled
def _intact_layout(words: NDArray[np.uint64], start: Index, end: Index, first: np.uint64) -> Index:
    """Return the layout version of the record in ``words[start:end]``; 0: its header does not hold.

    Args:
        words: Where the record lies.
        start: Where it begins.
        end: Where it ends.
        first: First word of a record of this kind and layout, with a length of 0.
    """
    if end - start < HEADER_WORDS:
        return 0
    length = np.uint64((end - start) * 8) << np.uint64(32)
    version = np.int64((words[start] >> _VERSION_BIT) & _U8)
    known = 1 <= version <= LAYOUT_VERSION
    same = (words[start] & _ANY_VERSION) == ((first & _ANY_VERSION) | length)
    if not known or not same:
        return 0
    before = np.uint64(0)
    if version > LAST_UNCHECKED_HEADER:
        before = crc32_words(words, start, start + 1, before)
    intact = words[start + 1] == crc32_words(words, start + HEADER_WORDS, end, before)
    return version if intact else 0


@compiled
def _byte(word: np.uint64, i: Index) -> Index:
    """Return a byte of a word."""
    return np.int64((word >> np.uint64(8 * i)) & _U8)


@compiled
def _unpack_times(
    words: NDArray[np.uint64],
    bit: Index,
    times: NDArray[np.int64],
    n: Index,
    width: Index,
    newest: np.int64,
) -> Index:
    """Unpack ``n`` ages into a row as times; return where the next column begins."""
    bit = unpack(words, bit, times, n, width)
    for i in range(n):
        times[i] = newest - times[i]
    return bit


@compiled
def _unpack_profile(
    rows: ProfileRows, row: Index, words: NDArray[np.uint64], bit: Index, widths: np.uint64
) -> None:
    """Fill the columns of a profile whose head is filled, the counts by type aside."""
    head = rows.head[row]
    newest, n, k = head[LAST_EVENT_TIME_MS], head[N_BEHAVIORS], head[N_CATEGORIES]
    bit = unpack(words, bit, rows.item[row], n, _byte(widths, 0))
    bit = unpack(words, bit, rows.category[row], n, _byte(widths, 1))
    bit = _unpack_times(words, bit, rows.event_time_ms[row], n, _byte(widths, 2), newest)
    bit = unpack(words, bit, rows.event_type[row], n, _byte(widths, 3))
    bit = unpack(words, bit, rows.directory_category[row], k, _byte(widths, 4))
    bit = unpack(words, bit, rows.directory_updated_at[row], k, _byte(widths, 5))
    bit = _unpack_times(words, bit, rows.directory_time_ms[row], k, _byte(widths, 6), newest)
    unpack(words, bit, rows.directory_size[row], k, _byte(widths, 7))


@compiled
def _decode_profile(
    rows: ProfileRows, row: Index, words: NDArray[np.uint64], start: Index, end: Index
) -> np.bool_:
    """Take one profile, whose header holds, into a row; False when it is not one."""
    if end - start < PROFILE_WORDS:
        return np.bool_(False)
    counts, widths = words[start + 5], words[start + 6]
    types = _byte(counts, 0)
    if not take_head(rows, row, words, start, types):
        return np.bool_(False)
    head = rows.head[row]
    n_ids, n, k = head[N_EVENT_IDS], head[N_BEHAVIORS], head[N_CATEGORIES]
    bits, widest = WORD * n_ids + types * _byte(counts, 1), _byte(counts, 1)
    for i in range(4):
        bits += n * _byte(widths, i) + k * _byte(widths, 4 + i)
        widest = max(widest, _byte(widths, i), _byte(widths, 4 + i))
    if widest > WORD or start + PROFILE_WORDS + (bits + WORD - 1) // WORD != end:
        return np.bool_(False)
    bit = unpack(words, WORD * (start + PROFILE_WORDS), rows.event_ids[row], n_ids, WORD)
    bit = unpack(words, bit, rows.type_counts[row], types, _byte(counts, 1))
    _unpack_profile(rows, row, words, bit, widths)
    return np.bool_(True)


@compiled
def _decode_subsequence(
    rows: SubsequenceRows, row: Index, words: NDArray[np.uint64], start: Index, end: Index
) -> np.bool_:
    """Take one sub-sequence, whose header holds, into a row; False when it is not one."""
    if end - start < SUBSEQUENCE_WORDS:
        return np.bool_(False)
    newest, counts = np.int64(words[start + 3]), words[start + 4]
    n = np.int64(counts & _U16)
    items, ages, types = _byte(counts, 2), _byte(counts, 3), _byte(counts, 4)
    bits = n * (items + ages + types)
    if n > rows.item.shape[1] or max(items, ages, types) > WORD:
        return np.bool_(False)
    if start + SUBSEQUENCE_WORDS + (bits + WORD - 1) // WORD != end:
        return np.bool_(False)
    rows.n_behaviors[row] = n
    bit = unpack(words, WORD * (start + SUBSEQUENCE_WORDS), rows.item[row], n, items)
    bit = _unpack_times(words, bit, rows.event_time_ms[row], n, ages, newest)
    unpack(words, bit, rows.event_type[row], n, types)
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
        end, row = ends[i], which[i]
        version = _intact_layout(words, start, end, PROFILE_FIRST)
        if version == 0:
            return i
        if version > LAST_VERSION:
            taken = _decode_profile(rows, row, words, start, end)
        else:
            taken = decode_profile_2(rows, row, words, start, end)
        if not taken:
            return i
        start = end
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
        version = _intact_layout(words, start, end, SUBSEQUENCE_FIRST)
        if version == 0:
            return i
        if version > LAST_VERSION:
            taken = _decode_subsequence(rows, row, words, start, end)
        else:
            taken = decode_subsequence_2(rows, row, words, start, end)
        if not taken or words[start + 2] != categories[i] or rows.n_behaviors[row] < 1:
            return i
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
        if end - start != n_words or _intact_layout(words, start, end, MEMORY_FIRST) == 0:
            return i
        if words[start + 2] != fingerprint or words[start + 4] != np.uint64(floats):
            return i
        profiles.head[row, N_MEMORY_EVENTS] = np.int64(words[start + 3])
        stored = words[start + MEMORY_WORDS : end].view(np.float32)
        for j in range(floats):
            memories.values[row, j] = stored[j]
        start = end
    return len(which)
