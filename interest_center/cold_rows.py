"""From the store into hot rows: the records of users that a chunk of events touches.

Only the thread that applies loads rows. Rows are filled before they enter the index, so that
nobody else sees them half filled; the store may be read without the partition's lock, because a
checkpoint that runs meanwhile writes hot rows only.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled
from interest_center.core.errors import MOVE_COPY_AWAY, CorruptRecordError
from interest_center.core.keys import MEMORY, PROFILE, SUBSEQUENCE, user_keys
from interest_center.core.protocols import Store
from interest_center.hot_rows import HotRows, RowPool
from interest_center.partition_lock import PartitionLock
from interest_center.row_arrays import N_CATEGORIES, ProfileRows
from interest_center.row_decode import decode_memories, decode_profiles, decode_subsequences
from interest_center.scan_arrays import Columns, Rules, feeds_subsequence


@compiled
def listed(
    profiles: ProfileRows, rows: NDArray[np.int64], categories: NDArray[np.uint64]
) -> NDArray[np.bool_]:
    """Tell of each profile row and category whether the user has that sub-sequence."""
    found = np.zeros(len(rows), np.bool_)
    for i in range(len(rows)):
        for slot in range(profiles.head[rows[i], N_CATEGORIES]):
            if profiles.directory_category[rows[i], slot] == categories[i]:
                found[i] = True
    return found


def words_of(
    records: Sequence[bytes | None],
) -> tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return which records are there, their bytes as words, and where each ends, in words."""
    there = [i for i, record in enumerate(records) if record is not None]
    found = [record for record in records if record is not None]
    lengths = np.array([len(record) for record in found], np.int64)
    if (lengths % 8).any():
        raise CorruptRecordError("record length is not a multiple of eight")
    words = np.frombuffer(b"".join(found), np.uint64)
    return np.array(there, np.int64), words, np.cumsum(lengths // 8)


def _all_decoded(n_decoded: Index, n: int, kind: str) -> None:
    """Refuse to go on when a record was not decoded."""
    if n_decoded < n:
        raise CorruptRecordError(
            f"stored {kind} record fails its checksum, layout or configuration",
            hint=MOVE_COPY_AWAY,
        )


class RowLoader:
    """Brings the rows of a chunk of events into memory.

    Args:
        hot: Rows of the partition.
        store: Where cold rows are.
        lock: The partition's lock; taken while the index changes.
        memory_fingerprint: Weights whose memories are read.
    """

    def __init__(
        self,
        hot: HotRows,
        store: Store,
        lock: PartitionLock,
        memory_fingerprint: int,
    ) -> None:
        self._hot = hot
        self._store = store
        self._lock = lock
        self._fingerprint = memory_fingerprint
        self._tick = 0
        self.n_cold_users = 0
        self.n_forced_checkpoints = 0

    def columns(
        self, events: NDArray[np.void], rules: Rules, make_clean: Callable[[], object]
    ) -> Columns:
        """Return a chunk of events as columns, with all rows that they touch in memory.

        Args:
            events: No more than there are rows.
            rules: Of the states.
            make_clean: Writes some dirty rows, those not used for longest: a checkpoint.
        """
        self._tick += 1
        user, category = events["user"].copy(), events["category"].copy()
        event_type, op = events["event_type"].copy(), events["op"].copy()
        rows = self._user_rows(user, make_clean)
        pairs = np.full(len(events), -1, np.int64)
        feeding = np.flatnonzero(feeds_subsequence(rules, category, event_type) & (op == 0))
        pairs[feeding] = self._pair_rows(
            user[feeding], category[feeding], rows[feeding], make_clean
        )
        return Columns(
            event_time_ms=events["event_time_ms"].copy(),
            user=user,
            item=events["item"].copy(),
            category=category,
            event_hash=events["event_hash"].copy(),
            event_type=event_type,
            op=op,
            row=rows,
            subsequence_row=pairs,
        )

    def _user_rows(
        self, user: NDArray[np.uint64], make_clean: Callable[[], object]
    ) -> NDArray[np.int64]:
        """Return the row of each user, loading those that have none."""
        pool, zero = self._hot.users, np.zeros(len(user), np.uint64)
        rows = pool.find(user, zero)
        pool.touch(rows[rows >= 0], self._tick)
        missing = np.unique(user[rows < 0])
        if len(missing):
            self._make_room(pool, len(missing), make_clean)
            fresh = pool.next_free(len(missing))
            self._hot.clear_users(fresh)
            self._read_users(missing, fresh)
            with self._lock:
                pool.publish(fresh, missing, zero[: len(missing)], self._tick)
            self.n_cold_users += len(missing)
            rows = pool.find(user, zero)
        return rows

    def _pair_rows(
        self,
        user: NDArray[np.uint64],
        category: NDArray[np.uint64],
        profile_rows: NDArray[np.int64],
        make_clean: Callable[[], object],
    ) -> NDArray[np.int64]:
        """Return the row of each (user, category), loading those that have none."""
        pool = self._hot.pairs
        rows = pool.find(user, category)
        pool.touch(rows[rows >= 0], self._tick)
        cold = np.flatnonzero(rows < 0)
        if len(cold):
            order = np.lexsort((category[cold], user[cold]))
            cold = cold[order]
            again = (user[cold][1:] == user[cold][:-1]) & (
                category[cold][1:] == category[cold][:-1]
            )
            cold = cold[np.concatenate(([True], ~again))]
            self._make_room(pool, len(cold), make_clean)
            fresh = pool.next_free(len(cold))
            self._hot.clear_pairs(fresh)
            stored = np.flatnonzero(listed(self._hot.profiles, profile_rows[cold], category[cold]))
            self._read_pairs(user[cold][stored], category[cold][stored], fresh[stored])
            with self._lock:
                pool.publish(fresh, user[cold], category[cold], self._tick)
            rows = pool.find(user, category)
        return rows

    def _make_room(self, pool: RowPool, n: int, make_clean: Callable[[], object]) -> None:
        """Free rows until there are ``n``; checkpoint first when too many are dirty."""
        if pool.n_free >= n:
            return
        rows = pool.droppable(n - pool.n_free, self._tick)
        while pool.n_free + len(rows) < n:
            assert self._hot.users.n_dirty
            make_clean()
            self.n_forced_checkpoints += 1
            rows = pool.droppable(n - pool.n_free, self._tick)
        with self._lock:
            pool.drop(rows)

    def _read_users(self, users: NDArray[np.uint64], rows: NDArray[np.int64]) -> None:
        """Fill rows with the stored profiles and memories of users."""
        keys = user_keys(users, PROFILE)
        if self._hot.keeps_memory:
            keys += user_keys(users, MEMORY, self._fingerprint)
        records = self._store.get_many(keys)
        there, words, ends = words_of(records[: len(users)])
        n = decode_profiles(self._hot.profiles, rows[there], words, ends)
        _all_decoded(n, len(there), "profile")
        if self._hot.keeps_memory:
            there, words, ends = words_of(records[len(users) :])
            n = decode_memories(
                self._hot.profiles,
                self._hot.memories,
                rows[there],
                np.uint64(self._fingerprint),
                words,
                ends,
            )
            _all_decoded(n, len(there), "memory")

    def _read_pairs(
        self,
        users: NDArray[np.uint64],
        categories: NDArray[np.uint64],
        rows: NDArray[np.int64],
    ) -> None:
        """Fill rows with stored sub-sequences, which must be there."""
        records = self._store.get_many(user_keys(users, SUBSEQUENCE, categories))
        there, words, ends = words_of(records)
        n = decode_subsequences(self._hot.subsequences, rows[there], categories[there], words, ends)
        _all_decoded(n, len(users), "sub-sequence")
