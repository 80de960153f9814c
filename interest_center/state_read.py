"""Reading states: hot rows first, then the store; all at the offset at which the lock is held."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from interest_center.answers import StoredState
from interest_center.cold_rows import listed
from interest_center.core.keys import MEMORY, PROFILE, SUBSEQUENCE, user_key
from interest_center.core.protocols import Store
from interest_center.durable_batch import slices_of
from interest_center.hot_rows import HotRows
from interest_center.row_codec import encode_memories, encode_profiles, encode_subsequences

_Pairs = dict[tuple[int, int], bytes]


class StateReader:
    """Collects the records of users.

    Args:
        hot: Rows of the partition.
        store: Where cold users are.
        memory_fingerprint: Weights whose memories are read.
    """

    def __init__(self, hot: HotRows, store: Store, memory_fingerprint: int) -> None:
        self._hot = hot
        self._store = store
        self._fingerprint = memory_fingerprint

    def read(
        self, users: Sequence[int], categories: Sequence[int], memory: bool
    ) -> list[StoredState]:
        """Return the states of users, in order; the caller holds the partition's lock."""
        ids = np.array(users, np.uint64)
        rows = self._hot.users.find(ids, np.zeros(len(ids), np.uint64))
        memory = memory and self._hot.keeps_memory
        records: dict[bytes, bytes] = {}
        cold = [user_key(user, PROFILE) for user in ids[rows < 0].tolist()]
        if memory:
            cold += [user_key(user, MEMORY, self._fingerprint) for user in ids[rows < 0].tolist()]
        pairs, cold_pairs = self._hot_pairs(ids, rows, categories)
        cold += [user_key(user, SUBSEQUENCE, category) for user, category in cold_pairs]
        records = {
            key: value
            for key, value in zip(cold, self._store.get_many(cold), strict=True)
            if value is not None
        }
        for pair in cold_pairs:
            record = records.get(user_key(pair[0], SUBSEQUENCE, pair[1]))
            if record is not None:
                pairs[pair] = record
        profiles, memories = self._hot_users(rows, memory)
        return [
            StoredState(
                profile=profiles.get(row) or records.get(user_key(user, PROFILE)),
                subsequences={c: pairs[user, c] for c in categories if (user, c) in pairs},
                memory=memories.get(row) or records.get(user_key(user, MEMORY, self._fingerprint)),
            )
            for user, row in zip(users, rows.tolist(), strict=True)
        ]

    def _hot_users(
        self, rows: NDArray[np.int64], memory: bool
    ) -> tuple[dict[int, bytes], dict[int, bytes]]:
        """Return profiles and memories of hot rows, by row; without those that are empty."""
        hot = np.unique(rows[rows >= 0])
        profiles = _by_row(hot, slices_of(encode_profiles(self._hot.profiles, hot)))
        if not memory:
            return profiles, {}
        fingerprint = np.uint64(self._fingerprint)
        encoded = encode_memories(self._hot.profiles, self._hot.memories, hot, fingerprint)
        return profiles, _by_row(hot, slices_of(encoded))

    def _hot_pairs(
        self, users: NDArray[np.uint64], rows: NDArray[np.int64], categories: Sequence[int]
    ) -> tuple[_Pairs, list[tuple[int, int]]]:
        """Return hot sub-sequences, and the pairs that must be looked up in the store.

        The directory of a hot user decides what exists: a record of an evicted category or of an
        erased user may lie in the store until the next checkpoint.
        """
        user = np.repeat(users, len(categories))
        category = np.tile(np.array(categories, np.uint64), len(users))
        profile_row = np.repeat(rows, len(categories))
        is_hot = profile_row >= 0
        exists = ~is_hot
        exists[is_hot] = listed(self._hot.profiles, profile_row[is_hot], category[is_hot])
        user, category, is_hot = user[exists], category[exists], is_hot[exists]
        row = self._hot.pairs.find(user, category)
        found = np.flatnonzero(is_hot & (row >= 0))
        encoded = encode_subsequences(self._hot.subsequences, row[found], category[found])
        pairs = dict(zip(_keys(user[found], category[found]), slices_of(encoded), strict=True))
        cold = np.flatnonzero(~is_hot | (row < 0))
        return pairs, _keys(user[cold], category[cold])


def _by_row(rows: NDArray[np.int64], records: list[bytes]) -> dict[int, bytes]:
    """Return the records that are not empty by their row."""
    return {row: record for row, record in zip(rows.tolist(), records, strict=True) if record}


def _keys(users: NDArray[np.uint64], categories: NDArray[np.uint64]) -> list[tuple[int, int]]:
    """Return (user, category) pairs as Python numbers."""
    return list(zip(users.tolist(), categories.tolist(), strict=True))
