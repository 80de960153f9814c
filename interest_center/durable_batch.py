"""What a checkpoint writes: rows as records, what must go, and texts, as one batch."""

from collections.abc import Iterable
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
from interest_center.hot_rows import DirtyRows, HotRows
from interest_center.row_codec import encode_memories, encode_profiles, encode_subsequences


@dataclass
class DurableBatch:
    """Puts and deletes of one atomic write; a key in both is put."""

    puts: dict[bytes, bytes] = field(default_factory=dict)
    deletes: list[bytes] = field(default_factory=list)

    def add(self, keys: list[bytes], encoded: tuple[NDArray[np.uint64], NDArray[np.int64]]) -> None:
        """Put encoded rows; those without bytes are no records."""
        self.puts.update(pair for pair in zip(keys, slices_of(encoded), strict=True) if pair[1])

    def drop(self, key: bytes) -> None:
        """Delete a record, and do not put it."""
        self.puts.pop(key, None)
        self.deletes.append(key)

    @property
    def n_bytes(self) -> int:
        """Bytes of all values put."""
        return sum(map(len, self.puts.values()))


def slices_of(encoded: tuple[NDArray[np.uint64], NDArray[np.int64]]) -> list[bytes]:
    """Return the bytes of each encoded row, empty where it is no record."""
    words, ends = encoded
    raw = words.tobytes()
    stops = (ends * 8).tolist()
    return [raw[start:stop] for start, stop in pairwise([0, *stops])]


def add_rows(batch: DurableBatch, hot: HotRows, rows: DirtyRows, fingerprint: int) -> None:
    """Put rows as records."""
    users, pairs = hot.users.index, hot.pairs.index
    batch.add(
        user_keys(users.first[rows.profiles], PROFILE), encode_profiles(hot.profiles, rows.profiles)
    )
    if hot.keeps_memory and len(rows.memories):
        encoded = encode_memories(hot.profiles, hot.memories, rows.memories, np.uint64(fingerprint))
        batch.add(user_keys(users.first[rows.memories], MEMORY, fingerprint), encoded)
    categories = pairs.second[rows.pairs]
    batch.add(
        user_keys(pairs.first[rows.pairs], SUBSEQUENCE, categories),
        encode_subsequences(hot.subsequences, rows.pairs, categories),
    )


def delete_users(batch: DurableBatch, users: Iterable[int], store: Store) -> None:
    """Delete all stored records of users, whatever weights wrote them; those that are put stay."""
    for user in users:
        batch.deletes.extend(key for key, _ in store.scan_prefix(user_prefix(user)))


def delete_evicted(batch: DurableBatch, user: int, categories: Iterable[int]) -> None:
    """Delete sub-sequences of a user that were evicted; those that returned are put."""
    batch.deletes.extend(user_key(user, SUBSEQUENCE, category) for category in categories)


def add_texts(batch: DurableBatch, texts: dict[int, str]) -> None:
    """Put the texts of hashed ids."""
    batch.puts.update((dictionary_key(i), encode_text(text)) for i, text in texts.items())
