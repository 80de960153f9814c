"""Compiled encoding of hot rows; the bytes are those drawn in ``core/records.py``.

Records are written as 64-bit words, on little-endian machines only (checked at import).
"""

import sys

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled
from interest_center.core.layout import LAYOUT_VERSION
from interest_center.core.records import MAGIC, MEMORY_KIND, PROFILE_KIND, SUBSEQUENCE_KIND
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
PROFILE_WORDS = 6
SUBSEQUENCE_WORDS = 4
MEMORY_WORDS = 5


def first_word(kind: int) -> np.uint64:
    """Return the first header word of a kind of record, with a length of 0."""
    return np.uint64(int.from_bytes(MAGIC + bytes((kind, LAYOUT_VERSION)), "little"))


PROFILE_FIRST = first_word(PROFILE_KIND)
SUBSEQUENCE_FIRST = first_word(SUBSEQUENCE_KIND)
MEMORY_FIRST = first_word(MEMORY_KIND)


@compiled
def profile_words(rows: ProfileRows, row: Index) -> Index:
    """Return the length of a profile's record in words; 0 for a user without events."""
    head = rows.head[row]
    if head[EVENT_COUNT] == 0:
        return np.int64(0)
    n_ids = min(head[N_EVENT_IDS], rows.event_ids.shape[1])
    n = min(head[N_BEHAVIORS], rows.item.shape[1])
    k = head[N_CATEGORIES]
    types = rows.type_counts.shape[1]
    return np.int64(PROFILE_WORDS + types + n_ids + 3 * n + (n + 7) // 8 + 3 * k + (k + 1) // 2)


@compiled
def subsequence_words(rows: SubsequenceRows, row: Index) -> Index:
    """Return the length of a sub-sequence's record in words; 0 when there is none."""
    n = min(rows.n_behaviors[row], rows.item.shape[1])
    return np.int64(0) if n == 0 else np.int64(SUBSEQUENCE_WORDS + 2 * n + (n + 7) // 8)


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
    words[start + 1] = crc32_words(words, start + HEADER_WORDS, end)


@compiled
def _put_ring(
    words: NDArray[np.uint64], at: Index, ring: NDArray[np.int64], start: Index, n: Index
) -> Index:
    """Write ``n`` numbers of a ring from ``start`` on; return where the next part begins."""
    slot = start
    for i in range(n):
        words[at + i] = np.uint64(ring[slot])
        slot += 1
        if slot == len(ring):
            slot = 0
    return np.int64(at + n)


@compiled
def _put_byte_ring(
    words: NDArray[np.uint64], at: Index, ring: NDArray[np.uint8], start: Index, n: Index
) -> Index:
    """Write ``n`` bytes of a ring from ``start`` on; return where the next part begins."""
    slot = start
    for word in range((n + 7) // 8):
        packed = np.uint64(0)
        for byte in range(min(8, n - 8 * word)):
            packed |= np.uint64(ring[slot]) << np.uint64(8 * byte)
            slot += 1
            if slot == len(ring):
                slot = 0
        words[at + word] = packed
    return np.int64(at + (n + 7) // 8)


@compiled
def encode_profile(rows: ProfileRows, row: Index, words: NDArray[np.uint64], start: Index) -> Index:
    """Write a profile's record from ``start`` on and return its end."""
    end = start + profile_words(rows, row)
    if end == start:
        return np.int64(end)
    head = rows.head[row]
    types, ring, k = rows.type_counts.shape[1], rows.item.shape[1], head[N_CATEGORIES]
    n_ids = min(head[N_EVENT_IDS], rows.event_ids.shape[1])
    n = min(head[N_BEHAVIORS], ring)
    words[start + 2] = np.uint64(head[EVENT_COUNT])
    words[start + 3] = np.uint64(head[LAST_EVENT_TIME_MS])
    words[start + 4] = np.uint64(head[CHAIN_HASH])
    counts = np.uint64(types | (n_ids << 16) | (n << 32))
    words[start + 5] = counts | (np.uint64(k) << np.uint64(48))
    at = _put_ring(words, start + PROFILE_WORDS, rows.type_counts[row], 0, types)
    oldest = (head[N_EVENT_IDS] - n_ids) % rows.event_ids.shape[1]
    at = _put_ring(words, at, rows.event_ids[row], oldest, n_ids)
    oldest = (head[N_BEHAVIORS] - n) % ring
    at = _put_ring(words, at, rows.item[row], oldest, n)
    at = _put_ring(words, at, rows.category[row], oldest, n)
    at = _put_ring(words, at, rows.event_time_ms[row], oldest, n)
    at = _put_byte_ring(words, at, rows.event_type[row], oldest, n)
    at = _put_ring(words, at, rows.directory_category[row], 0, k)
    at = _put_ring(words, at, rows.directory_updated_at[row], 0, k)
    at = _put_ring(words, at, rows.directory_time_ms[row], 0, k)
    sizes = rows.directory_size[row]
    for i in range(0, k, 2):
        upper = np.uint64(sizes[i + 1]) if i + 1 < k else np.uint64(0)
        words[at + i // 2] = np.uint64(sizes[i]) | (upper << np.uint64(32))
    _seal(words, start, end, PROFILE_FIRST)
    return np.int64(end)


@compiled
def encode_subsequence(
    rows: SubsequenceRows, row: Index, category: np.uint64, words: NDArray[np.uint64], start: Index
) -> Index:
    """Write a sub-sequence's record from ``start`` on and return its end."""
    end = start + subsequence_words(rows, row)
    if end == start:
        return np.int64(end)
    ring = rows.item.shape[1]
    n = min(rows.n_behaviors[row], ring)
    oldest = (rows.n_behaviors[row] - n) % ring
    words[start + 2] = category
    words[start + 3] = np.uint64(n)
    at = _put_ring(words, start + SUBSEQUENCE_WORDS, rows.item[row], oldest, n)
    at = _put_ring(words, at, rows.event_time_ms[row], oldest, n)
    _put_byte_ring(words, at, rows.event_type[row], oldest, n)
    _seal(words, start, end, SUBSEQUENCE_FIRST)
    return np.int64(end)


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
    values = memories.values[row].view(np.uint32)
    words[start + 2] = fingerprint
    words[start + 3] = np.uint64(profiles.head[row, N_MEMORY_EVENTS])
    words[start + 4] = np.uint64(len(values))
    at = start + MEMORY_WORDS
    for i in range(0, len(values), 2):
        upper = np.uint64(values[i + 1]) if i + 1 < len(values) else np.uint64(0)
        words[at + i // 2] = np.uint64(values[i]) | (upper << np.uint64(32))
    _seal(words, start, end, MEMORY_FIRST)
    return np.int64(end)


@compiled
def encode_profiles(
    rows: ProfileRows, which: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the records of rows one behind the other, and where each ends, in words."""
    ends = np.empty(len(which), np.int64)
    total: Index = 0
    for i in range(len(which)):
        total += profile_words(rows, which[i])
        ends[i] = total
    words = np.empty(total, np.uint64)
    at: Index = 0
    for i in range(len(which)):
        at = encode_profile(rows, which[i], words, at)
    return words, ends


@compiled
def encode_subsequences(
    rows: SubsequenceRows, which: NDArray[np.int64], categories: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Return the records of rows one behind the other, and where each ends, in words."""
    ends = np.empty(len(which), np.int64)
    total: Index = 0
    for i in range(len(which)):
        total += subsequence_words(rows, which[i])
        ends[i] = total
    words = np.empty(total, np.uint64)
    at: Index = 0
    for i in range(len(which)):
        at = encode_subsequence(rows, which[i], categories[i], words, at)
    return words, ends


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
