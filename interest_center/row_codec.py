"""Compiled encoding of hot rows; the bytes are those drawn in ``core/records.py``.

Records are written as 64-bit words, on little-endian machines only (checked at import).
"""

import sys

import numpy as np
from numpy.typing import NDArray

from interest_center.core.bit_columns import WORD, pack, width_of
from interest_center.core.compiled import Index, compiled
from interest_center.core.layout import LAYOUT_VERSION
from interest_center.core.record_header import MAGIC
from interest_center.core.records import MEMORY_KIND, PROFILE_KIND, SUBSEQUENCE_KIND
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

assert sys.byteorder == "little", "hot rows are encoded by little-endian machines only"

# Lengths of the headers with the fixed parts, in words.
HEADER_WORDS = 2
PROFILE_WORDS = 7
SUBSEQUENCE_WORDS = 5
MEMORY_WORDS = 5


def first_word(kind: int) -> np.uint64:
    """Return the first header word of a kind of record, with a length of 0."""
    return np.uint64(int.from_bytes(MAGIC + bytes((kind, LAYOUT_VERSION)), "little"))


PROFILE_FIRST = first_word(PROFILE_KIND)
SUBSEQUENCE_FIRST = first_word(SUBSEQUENCE_KIND)
MEMORY_FIRST = first_word(MEMORY_KIND)


@compiled
def longest_profile(rows: ProfileRows, row: Index) -> Index:
    """Return the most words that a profile's record takes; 0 for a user without events."""
    head = rows.head[row]
    if head[EVENT_COUNT] == 0:
        return np.int64(0)
    n_ids = min(head[N_EVENT_IDS], rows.event_ids.shape[1])
    n = min(head[N_BEHAVIORS], rows.item.shape[1])
    n_numbers = rows.type_counts.shape[1] + 4 * n + 4 * head[N_CATEGORIES]
    return np.int64(PROFILE_WORDS + n_ids + n_numbers)


@compiled
def longest_subsequence(rows: SubsequenceRows, row: Index) -> Index:
    """Return the most words that a sub-sequence's record takes; 0 when there is none."""
    n = min(rows.n_behaviors[row], rows.item.shape[1])
    return np.int64(0) if n == 0 else np.int64(SUBSEQUENCE_WORDS + 3 * n)


@compiled
def memory_words(profiles: ProfileRows, memories: MemoryRows, row: Index) -> Index:
    """Return the length of a memory's record in words; 0 when there is none."""
    if not memories.kept[0] or profiles.head[row, N_MEMORY_EVENTS] == 0:
        return np.int64(0)
    return np.int64(MEMORY_WORDS + (len(memories.initial) + 1) // 2)


@compiled
def _seal(words: NDArray[np.uint64], start: Index, end: Index, first: np.uint64) -> None:
    """Write the header of the record in ``words[start:end]``."""
    words[start] = first | (np.uint64((end - start) * 8) << np.uint64(32))
    what = crc32_words(words, start, start + 1, np.uint64(0))
    words[start + 1] = crc32_words(words, start + HEADER_WORDS, end, what)


@compiled
def profile_column(rows: ProfileRows) -> NDArray[np.uint64]:
    """Return room for the longest column of a profile."""
    longest = max(rows.type_counts.shape[1], rows.event_ids.shape[1])
    return np.empty(max(longest, rows.item.shape[1], rows.directory_size.shape[1]), np.uint64)


@compiled
def _in_order(ring: NDArray[np.int64], oldest: Index, n: Index, column: NDArray[np.uint64]) -> None:
    """Take ``n`` numbers of a ring into a column, oldest first."""
    slot = oldest
    for i in range(n):
        column[i] = np.uint64(ring[slot])
        slot += 1
        if slot == len(ring):
            slot = 0


@compiled
def _ages_in_order(
    times: NDArray[np.int64], oldest: Index, n: Index, newest: np.int64, column: NDArray[np.uint64]
) -> None:
    """Take into a column by how much ``n`` times of a ring are older than ``newest``."""
    _in_order(times, oldest, n, column)
    for i in range(n):
        column[i] = np.uint64(newest) - column[i]


@compiled
def _put(
    words: NDArray[np.uint64], bit: Index, column: NDArray[np.uint64], n: Index
) -> tuple[Index, Index]:
    """Pack a column in as few bits as it needs; return where it goes on, and its width."""
    width = width_of(column, n)
    return pack(words, bit, column, n, width), width


@compiled
def _put_behaviors(
    rows: ProfileRows, row: Index, words: NDArray[np.uint64], bit: Index, column: NDArray[np.uint64]
) -> tuple[Index, Index]:
    """Pack the ring of recent behaviors; return where it goes on, and the widths of its columns."""
    n = min(rows.head[row, N_BEHAVIORS], rows.item.shape[1])
    oldest = (rows.head[row, N_BEHAVIORS] - n) % rows.item.shape[1]
    newest = rows.head[row, LAST_EVENT_TIME_MS]
    _in_order(rows.item[row], oldest, n, column)
    bit, items = _put(words, bit, column, n)
    _in_order(rows.category[row], oldest, n, column)
    bit, categories = _put(words, bit, column, n)
    _ages_in_order(rows.event_time_ms[row], oldest, n, newest, column)
    bit, ages = _put(words, bit, column, n)
    _in_order(rows.event_type[row], oldest, n, column)
    bit, types = _put(words, bit, column, n)
    return bit, items | (categories << 8) | (ages << 16) | (types << 24)


@compiled
def _put_directory(
    rows: ProfileRows, row: Index, words: NDArray[np.uint64], bit: Index, column: NDArray[np.uint64]
) -> tuple[Index, Index]:
    """Pack the directory of sub-sequences; return where it goes on, and its columns' widths."""
    n, newest = rows.head[row, N_CATEGORIES], rows.head[row, LAST_EVENT_TIME_MS]
    _in_order(rows.directory_category[row], 0, n, column)
    bit, categories = _put(words, bit, column, n)
    _in_order(rows.directory_updated_at[row], 0, n, column)
    bit, updates = _put(words, bit, column, n)
    _ages_in_order(rows.directory_time_ms[row], 0, n, newest, column)
    bit, ages = _put(words, bit, column, n)
    _in_order(rows.directory_size[row], 0, n, column)
    bit, sizes = _put(words, bit, column, n)
    return bit, categories | (updates << 8) | (ages << 16) | (sizes << 24)


@compiled
def encode_profile(
    rows: ProfileRows,
    row: Index,
    words: NDArray[np.uint64],
    start: Index,
    column: NDArray[np.uint64],
) -> Index:
    """Write a profile's record from ``start`` on, where all is zero, and return its end.

    Args:
        rows: Profiles.
        row: Of the user.
        words: Where to.
        start: Word at which the record begins.
        column: Room for the longest column.
    """
    head = rows.head[row]
    if head[EVENT_COUNT] == 0:
        return start
    types, k = rows.type_counts.shape[1], head[N_CATEGORIES]
    n_ids = min(head[N_EVENT_IDS], rows.event_ids.shape[1])
    n = min(head[N_BEHAVIORS], rows.item.shape[1])
    _in_order(
        rows.event_ids[row], (head[N_EVENT_IDS] - n_ids) % len(rows.event_ids[row]), n_ids, column
    )
    bit = pack(words, WORD * (start + PROFILE_WORDS), column, n_ids, WORD)
    _in_order(rows.type_counts[row], 0, types, column)
    bit, counts = _put(words, bit, column, types)
    bit, behaviors = _put_behaviors(rows, row, words, bit, column)
    bit, directory = _put_directory(rows, row, words, bit, column)
    words[start + 2] = np.uint64(head[EVENT_COUNT])
    words[start + 3] = np.uint64(head[LAST_EVENT_TIME_MS])
    words[start + 4] = np.uint64(head[CHAIN_HASH])
    words[start + 5] = np.uint64(types | (counts << 8) | (n_ids << 16) | (n << 32) | (k << 48))
    words[start + 6] = np.uint64(behaviors | (directory << 32))
    end = (bit + WORD - 1) // WORD
    _seal(words, start, end, PROFILE_FIRST)
    return end


@compiled
def encode_subsequence(
    rows: SubsequenceRows,
    row: Index,
    category: np.uint64,
    words: NDArray[np.uint64],
    start: Index,
    column: NDArray[np.uint64],
) -> Index:
    """Write a sub-sequence's record from ``start`` on, where all is zero, and return its end."""
    ring = rows.item.shape[1]
    n = min(rows.n_behaviors[row], ring)
    if n == 0:
        return start
    oldest = (rows.n_behaviors[row] - n) % ring
    newest = rows.event_time_ms[row, :n].max()
    bit = WORD * (start + SUBSEQUENCE_WORDS)
    _in_order(rows.item[row], oldest, n, column)
    bit, items = _put(words, bit, column, n)
    _ages_in_order(rows.event_time_ms[row], oldest, n, newest, column)
    bit, ages = _put(words, bit, column, n)
    _in_order(rows.event_type[row], oldest, n, column)
    bit, types = _put(words, bit, column, n)
    words[start + 2] = category
    words[start + 3] = np.uint64(newest)
    words[start + 4] = np.uint64(n | (items << 16) | (ages << 24) | (types << 32))
    end = (bit + WORD - 1) // WORD
    _seal(words, start, end, SUBSEQUENCE_FIRST)
    return end


@compiled
def encode_memory(
    profiles: ProfileRows,
    memories: MemoryRows,
    row: Index,
    fingerprint: np.uint64,
    words: NDArray[np.uint64],
    start: Index,
) -> Index:
    """Write a memory's record from ``start`` on and return its end."""
    end = start + memory_words(profiles, memories, row)
    if end == start:
        return np.int64(end)
    values = memories.values[row]
    words[start + 2] = fingerprint
    words[start + 3] = np.uint64(profiles.head[row, N_MEMORY_EVENTS])
    words[start + 4] = np.uint64(len(values))
    words[end - 1] = 0  # The last float may fill half a word.
    floats = words[start + MEMORY_WORDS : end].view(np.float32)
    for i in range(len(values)):
        floats[i] = values[i]
    _seal(words, start, end, MEMORY_FIRST)
    return np.int64(end)


@compiled
def encode_profiles(
    rows: ProfileRows, which: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the records of rows one behind the other, and where each ends, in words."""
    ends = np.empty(len(which), np.int64)
    most: Index = 0
    for i in range(len(which)):
        most += longest_profile(rows, which[i])
    words = np.zeros(most, np.uint64)
    column = profile_column(rows)
    at: Index = 0
    for i in range(len(which)):
        at = ends[i] = encode_profile(rows, which[i], words, at, column)
    return words[:at], ends


@compiled
def encode_subsequences(
    rows: SubsequenceRows, which: NDArray[np.int64], categories: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the records of rows one behind the other, and where each ends, in words."""
    ends = np.empty(len(which), np.int64)
    most: Index = 0
    for i in range(len(which)):
        most += longest_subsequence(rows, which[i])
    words = np.zeros(most, np.uint64)
    column = np.empty(rows.item.shape[1], np.uint64)
    at: Index = 0
    for i in range(len(which)):
        at = ends[i] = encode_subsequence(rows, which[i], categories[i], words, at, column)
    return words[:at], ends


@compiled
def encode_memories(
    profiles: ProfileRows, memories: MemoryRows, which: NDArray[np.int64], fingerprint: np.uint64
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the records of rows one behind the other, and where each ends, in words."""
    ends = np.empty(len(which), np.int64)
    total: Index = 0
    for i in range(len(which)):
        total += memory_words(profiles, memories, which[i])
        ends[i] = total
    words = np.empty(total, np.uint64)
    at: Index = 0
    for i in range(len(which)):
        at = encode_memory(profiles, memories, which[i], fingerprint, words, at)
    return words, ends
