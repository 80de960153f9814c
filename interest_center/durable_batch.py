"""What a checkpoint writes: dirty rows as records, what must go, and texts, as one batch."""

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from interest_center.core.keys import (
    MEMORY,
    PROFILE,
    SUBSEQUENCE,
    dictionary_key,
    user_key,
    user_keys,
    user_prefix,
)
from interest_center.core.protocols import Store
from interest_center.core.records import encode_text
from interest_center.hot_rows import HotRows
from interest_center.row_arrays import DIRTY, ERASED, MEMORY_DIRTY
from interest_center.row_codec import encode_memories, encode_profiles, encode_subsequences


@dataclass
class DurableBatch:
    """Puts and deletes of one atomic write; a key in both is put."""

    puts: list[tuple[bytes, bytes]] = field(default_factory=list)
    deletes: list[bytes] = field(default_factory=list)

    def add(self, keys: list[bytes], encoded: tuple[NDArray[np.uint64], NDArray[np.int64]]) -> None:
        """Put encoded rows; those without bytes are no records."""
        self.puts.extend(pair for pair in zip(keys, slices_of(encoded), strict=True) if pair[1])

    @property
    def state_bytes(self) -> int:
        """Bytes of all values put."""
        return sum(len(value) for _, value in self.puts)


def slices_of(encoded: tuple[NDArray[np.uint64], NDArray[np.int64]]) -> list[bytes]:
    """Return the bytes of each encoded row, empty where it is no record."""
    words, ends = encoded
    raw = words.tobytes()
    stops = (ends * 8).tolist()
    return [raw[start:stop] for start, stop in pairwise([0, *stops])]


def dirty_rows_batch(hot: HotRows, fingerprint: int, store: Store) -> DurableBatch:
    """Return the dirty rows as records, and the older records of erased users as deletes."""
    batch = DurableBatch()
    dirty, users, pairs = hot.profiles.dirty, hot.users.index, hot.pairs.index
    for user in users.first[np.flatnonzero(dirty & ERASED)].tolist():
        batch.deletes.extend(key for key, _ in store.scan_prefix(user_prefix(user)))
    rows = np.flatnonzero(dirty & DIRTY)
    batch.add(user_keys(users.first[rows], PROFILE), encode_profiles(hot.profiles, rows))
    rows = np.flatnonzero(dirty & MEMORY_DIRTY)
    if hot.keeps_memory and len(rows):
        encoded = encode_memories(hot.profiles, hot.memories, rows, np.uint64(fingerprint))
        batch.add(user_keys(users.first[rows], MEMORY, fingerprint), encoded)
    rows = np.flatnonzero(hot.subsequences.dirty)
    categories = pairs.second[rows]
    batch.add(
        user_keys(pairs.first[rows], SUBSEQUENCE, categories),
        encode_subsequences(hot.subsequences, rows, categories),
    )
    return batch


def add_evicted(batch: DurableBatch, evicted: set[tuple[int, int]]) -> None:
    """Delete the sub-sequences that were evicted (user, category); those that returned are put."""
    batch.deletes.extend(user_key(user, SUBSEQUENCE, category) for user, category in evicted)


def add_texts(batch: DurableBatch, texts: dict[int, str]) -> None:
    """Put the texts of hashed ids."""
    batch.puts.extend((dictionary_key(i), encode_text(text)) for i, text in texts.items())
