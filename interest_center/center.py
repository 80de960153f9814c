"""The engine of one partition: an event meets a state here."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from interest_center.answers import (
    ApplyReport,
    CenterOptions,
    CheckpointReport,
    PartitionRead,
    StoredState,
)
from interest_center.cold_rows import RowLoader
from interest_center.core.errors import LogMismatchError, NotReadyError
from interest_center.core.events import EventBatch
from interest_center.core.fault_points import fault_point
from interest_center.core.journal_records import EVENT_BYTES
from interest_center.core.keys import META_KEY
from interest_center.core.layout import StateConfig
from interest_center.core.meta import Counters, LogIdentity, MetaRecord
from interest_center.core.protocols import MemoryUpdater, Store
from interest_center.core.records import decode_meta, encode_meta
from interest_center.dictionary import Dictionary
from interest_center.durable_batch import (
    DurableBatch,
    add_rows,
    add_texts,
    delete_evicted,
    delete_users,
)
from interest_center.hot_rows import HotRows
from interest_center.journal import Journal, Stored
from interest_center.partition_lock import PartitionLock
from interest_center.progress import NOTHING_APPLIED, Progress, check_copy
from interest_center.scan_arrays import Columns
from interest_center.slices import LONGEST_CHUNK, SliceScanner
from interest_center.state_read import StateReader
from interest_center.write_back import MOST_USERS, WriteBack

#: Events that wait for a checkpoint at most.
MOST_PENDING = 100_000
#: Checkpoints remembered until somebody asks for their reports.
MOST_REPORTS = 64
#: A kill in the write comes so long after its beginning, and the start of what kills.
IN_WRITE_MS = 1

__all__ = [
    "ApplyReport",
    "CenterOptions",
    "CheckpointReport",
    "PartitionCenter",
    "PartitionRead",
    "StoredState",
]


class PartitionCenter:
    """The states of one partition's users: applies batches, makes them durable, answers reads.

    One lock excludes a scan slice, a checkpoint and a read from each other; all methods may be
    called from any thread, ``apply`` from one at a time.

    Args:
        store: Store of this partition; the center owns it from now on and closes it.
        config: Rules of the states.
        updater: Long-term memory, None to keep none (stored memories are kept and ignored).
        identity: The log that the batches come from.
        options: Sizes; none of them changes a result.

    Raises:
        LogMismatchError: The stored copy was computed from another log.
        StateMismatchError: The stored copy follows other rules or another layout version.
        CorruptRecordError: The stored copy is damaged.
    """

    def __init__(
        self,
        store: Store,
        config: StateConfig,
        updater: MemoryUpdater | None,
        identity: LogIdentity,
        options: CenterOptions | None = None,
    ) -> None:
        self._store = store
        self._config = config
        self._identity = identity
        self._options = options or CenterOptions()
        self._closed = False
        record = store.get_many([META_KEY])[0]
        meta = decode_meta(record) if record is not None else None
        check_copy(meta, config, identity)
        self._progress = Progress(meta, updater.fingerprint if updater is not None else 0)
        self._durable: MetaRecord | None = meta
        served = updater if self._progress.memory_from is not None else None
        fingerprint = served.fingerprint if served is not None else 0
        self._fingerprint = fingerprint
        initial = served.initial_row() if served is not None else None
        self._hot = HotRows(config, initial, self._options)
        self._lock = PartitionLock()
        self._evicted: dict[int, set[int]] = {}
        self._counters = self._progress.counters
        self._reports: deque[CheckpointReport] = deque(maxlen=MOST_REPORTS)
        self._dictionary = Dictionary(store)
        self._loader = RowLoader(self._hot, store, self._lock, fingerprint)
        self._scanner = SliceScanner(self._hot, config, served, self._options)
        self._reader = StateReader(self._hot, store, fingerprint)
        self._journal = Journal(store, meta)
        self._replayed_to: int | None = 0
        self._replay_journal()
        self._write_back = WriteBack(
            self._hot, self._options.replay_cost, self.watermark, self._journal.total_cost
        )

    def _replay_journal(self) -> None:
        """Bring the rows of a stored copy up to its watermark."""
        for events in self._journal.unseen():
            for chunk in self._chunks(events):
                columns = self._loader.columns(chunk, self._scanner.rules, self._make_clean)
                at = 0
                while at < len(chunk):
                    at = self._scan(columns, at)
                    self._replayed_to = int(chunk["offset"][at - 1]) + 1
        self._replayed_to = None

    @property
    def watermark(self) -> int:
        """Next fetch position: every event before it is applied."""
        return self._progress.watermark

    @property
    def durable_watermark(self) -> int:
        """Everything before this offset survives a crash."""
        return self._durable.watermark if self._durable is not None else 0

    @property
    def counters(self) -> Counters:
        """Counts up to ``Counters.position``; does not wait for the lock."""
        return self._counters

    @property
    def history_from(self) -> int:
        """First offset that the states have seen."""
        return self._progress.history_from

    @property
    def memory_from(self) -> int | None:
        """First offset that the memories have seen; None: no memory of these weights is built.

        None with an updater means: replay the log into a fresh copy beside this one, then switch.
        """
        return self._progress.memory_from

    @property
    def last_record(self) -> tuple[int, int] | None:
        """Offset and checksum of the last record of the last batch."""
        return self._progress.last_record

    @property
    def as_of_ms(self) -> int | None:
        """Largest event time applied in this partition."""
        return self._progress.as_of_ms

    @property
    def is_empty(self) -> bool:
        """Whether this copy has consumed nothing yet, so that it may begin anywhere."""
        return self._progress.is_empty

    def begin_at(self, position: int) -> None:
        """Begin, or go on, at the first offset that the log still holds (an accepted truncation).

        An empty copy begins there; another one counts the offsets in between as skipped. Both
        report ``history_from = position``. Does nothing when ``position`` is the watermark.

        Raises:
            LogMismatchError: ``position`` lies before the watermark.
        """
        with self._lock:
            self._progress.begin_at(position)
            self._counters = self._progress.counters

    def apply(self, batch: EventBatch) -> ApplyReport:
        """Apply a batch completely, in offset order, in slices during which reads wait.

        Between slices ``watermark`` is the offset after the last applied event, so that every
        read is f(events before the watermark that it states).

        Raises:
            LogMismatchError: The batch does not start at the watermark.
        """
        self._refuse_foreign(batch)
        dead_offsets = np.array([letter.offset for letter in batch.dead_letters], np.int64)
        with self._lock:
            self._dictionary.add(batch.texts)
            before = self._progress.counters
        cold, forced = self._loader.n_cold_users, self._loader.n_forced_checkpoints
        for chunk in self._chunks(batch.events):
            self._apply_chunk(chunk, dead_offsets)
        with self._lock:
            self._advance(batch.next_position, NOTHING_APPLIED, dead_offsets)
            self._progress.last_record = batch.last_record or self._progress.last_record
            after = self._progress.counters
        fault_point("after_apply")
        assert after.consumed - before.consumed == batch.n_records
        return ApplyReport(
            watermark=batch.next_position,
            applied=after.applied - before.applied,
            duplicate=after.duplicate - before.duplicate,
            late_dropped=after.late_dropped - before.late_dropped,
            erased=after.erased - before.erased,
            dead_lettered=after.dead_lettered - before.dead_lettered,
            cold_users=self._loader.n_cold_users - cold,
            checkpoints=self._loader.n_forced_checkpoints - forced,
        )

    def _chunks(self, events: NDArray[np.void]) -> Iterator[NDArray[np.void]]:
        """Yield events in parts of at most as many as there may be rows in memory."""
        n = min(self._options.hot_users, LONGEST_CHUNK)
        for start in range(0, len(events), n):
            yield events[start : start + n]

    def _apply_chunk(self, events: NDArray[np.void], dead_offsets: NDArray[np.int64]) -> None:
        """Apply the events of one part."""
        columns = self._loader.columns(events, self._scanner.rules, self._make_clean)
        offsets = events["offset"]
        at = 0
        while at < len(events):
            with self._lock:
                begun, at = at, self._scan(columns, at)
                self._journal.add(events[begun:at])
                self._advance(int(offsets[at - 1]) + 1, self._scanner.sums, dead_offsets)

    def _scan(self, columns: Columns, at: int) -> int:
        """Scan a slice and return its end."""
        end = self._scanner.scan(columns, at)
        for user, category in self._scanner.evicted():
            self._evicted.setdefault(user, set()).add(category)
        return end

    def _advance(
        self, watermark: int, sums: NDArray[np.int64], dead_offsets: NDArray[np.int64]
    ) -> None:
        """Move the watermark, past dead letters too; the lock is held."""
        passed = np.searchsorted(dead_offsets, (self._progress.watermark, watermark))
        self._progress.advance(watermark, sums, int(passed[1] - passed[0]))
        self._counters = self._progress.counters

    def _refuse_closed(self) -> None:
        if self._closed:
            raise NotReadyError(f"partition {self._identity.partition} is closed here")

    def _refuse_foreign(self, batch: EventBatch) -> None:
        """Refuse a batch that is not the next one."""
        self._refuse_closed()
        if batch.partition != self._identity.partition or batch.start_position != self.watermark:
            raise LogMismatchError(
                f"batch of partition {batch.partition} from {batch.start_position} does not go on "
                f"at {self.watermark} of partition {self._identity.partition}"
            )

    def dirty_bytes(self) -> int:
        """Bytes of the events that no checkpoint holds yet."""
        return EVENT_BYTES * self._journal.n_pending

    def needs_checkpoint(self) -> bool:
        """Whether a checkpoint should come before its time: many events or rows wait for it."""
        journal = self._journal
        return not self._closed and (
            journal.n_pending >= MOST_PENDING
            or self._write_back.n_due(journal.total_cost) >= MOST_USERS
        )

    def checkpoint(self) -> CheckpointReport | None:
        """Make everything before the watermark durable, as one atomic write; None: it is."""
        with self._lock:
            rounds, journal = self._write_back, self._journal
            n = min(rounds.n_due(journal.total_cost), MOST_USERS)
            if self._closed or (n == 0 and self.meta() == self._durable):
                return None
            seen = rounds.began_at if rounds.ends_with(n) else None
            report = self._write(rounds.next_rows(n), seen)
            rounds.done(n, self.watermark, journal.total_cost)
            return report

    def write_due(self) -> None:
        """Checkpoint while ``needs_checkpoint`` says so; reads come in between."""
        while self.needs_checkpoint():
            self.checkpoint()

    def settle(self) -> None:
        """Make everything durable, with all rows: the journal is empty then.

        At the end of a center: whoever opens the copy next has nothing to replay, and may have
        other weights without leaving memories behind. A crash instead costs the replay.
        """
        while True:
            with self._lock:
                settled = self._hot.users.n_dirty == 0 and self._journal.is_empty
                if self._closed or (settled and self.meta() == self._durable):
                    return
                self._write(self._hot.users.oldest_dirty(MOST_USERS), None)

    def _make_clean(self) -> None:
        """Write the rows that were not used for longest, so that they can be dropped."""
        with self._lock:
            self._write(self._hot.users.oldest_dirty(MOST_USERS), None)

    def _write(self, rows: NDArray[np.int64], seen_until: int | None) -> CheckpointReport:
        """Write a checkpoint with these rows; the lock is held.

        Args:
            rows: Rows of users, of which the changed ones are written.
            seen_until: Position that all rows have seen with these; None: unknown.
        """
        timer = self._options.timer
        begun = timer() if timer is not None else 0.0
        dirty, journal, replayed_to = self._hot.dirty(rows), self._journal, self._replayed_to
        users = self._hot.users.index.first
        batch = DurableBatch()
        add_rows(batch, self._hot, dirty, self._fingerprint)
        delete_users(batch, users[dirty.erased].tolist(), self._store)
        written = users[dirty.profiles]
        lost = self._evicted.keys() & set(written.tolist()) if self._evicted else ()
        for user in lost:
            delete_evicted(batch, user, self._evicted[user])
        add_texts(batch, self._dictionary.pending)
        if replayed_to is None and self._hot.users.n_dirty == len(dirty.profiles):
            seen_until = self.watermark
        position = self.watermark if replayed_to is None else replayed_to
        left = journal.put(batch, position, written, seen_until)
        meta = self._meta(left)
        batch.puts[META_KEY] = encode_meta(meta)
        fault_point("before_checkpoint_write")
        fault_point("in_checkpoint_write", after_ms=IN_WRITE_MS)
        self._store.write(batch.puts.items(), batch.deletes)
        fault_point("after_checkpoint_write")
        self._hot.durable(dirty)
        for user in lost:
            del self._evicted[user]
        journal.durable(self.watermark)
        self._dictionary.written()
        self._durable = meta
        seconds = timer() - begun if timer is not None else 0.0
        n_rows = len(batch.puts) + len(batch.deletes)
        report = CheckpointReport(meta.watermark, n_rows, batch.n_bytes, seconds, meta.counters)
        self._reports.append(report)
        return report

    def new_reports(self) -> list[CheckpointReport]:
        """Return the checkpoints since the last call, whoever asked for them."""
        return [self._reports.popleft() for _ in range(len(self._reports))]

    def read(
        self, users: Sequence[int], categories: Sequence[int] | None = None, memory: bool = True
    ) -> PartitionRead:
        """Return the records of users, all at one watermark: hot rows first, then the store.

        Args:
            users: User ids.
            categories: Categories whose sub-sequences are wanted of every user; None: none.
            memory: Whether the memory record is wanted.

        Raises:
            NotReadyError: The center is closed: another worker owns the partition now.
        """
        with self._lock:
            self._refuse_closed()
            states = self._reader.read(users, categories or (), memory)
            progress = self._progress
            return PartitionRead(
                watermark=progress.watermark,
                as_of_ms=progress.as_of_ms,
                history_from=progress.history_from,
                memory_from=progress.memory_from,
                states=states,
            )

    @property
    def is_busy(self) -> bool:
        """Whether a read that begins now would wait."""
        return self._lock.is_taken

    def texts_of(self, ids: Collection[int]) -> dict[int, str]:
        """Return the texts of those ids (hashed ones) that the dictionary knows.

        Raises:
            NotReadyError: The center is closed: another worker owns the partition now.
        """
        if not ids:
            return {}
        with self._lock:
            self._refuse_closed()
            return self._dictionary.texts_of(ids)

    def take_snapshot_copy(self, directory: Path) -> None:
        """Checkpoint, then make a copy of the store in ``directory``, which must not exist."""
        self.checkpoint()
        self._store.checkpoint(directory)

    def meta(self) -> MetaRecord:
        """Return what a checkpoint would now say about this copy."""
        return self._meta(self._journal.stored)

    def _meta(self, journal: Stored) -> MetaRecord:
        return msgspec.structs.replace(
            self._progress.meta(self._config, self._identity),
            journal_from=journal.begins_at,
            journal_events=journal.n_events,
        )

    def close(self) -> None:
        """Close the store without a checkpoint; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._store.close()
