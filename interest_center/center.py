"""The engine of one partition: an event meets a state here."""

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

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
from interest_center.core.keys import META_KEY
from interest_center.core.layout import StateConfig
from interest_center.core.meta import Counters, LogIdentity, MetaRecord
from interest_center.core.protocols import MemoryUpdater, Store
from interest_center.core.records import decode_meta, encode_meta
from interest_center.dictionary import Dictionary
from interest_center.durable_batch import add_evicted, add_texts, dirty_rows_batch
from interest_center.hot_rows import HotRows
from interest_center.partition_lock import PartitionLock
from interest_center.progress import NOTHING_APPLIED, Progress, check_copy
from interest_center.slices import LONGEST_CHUNK, SliceScanner
from interest_center.state_read import StateReader

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
        self._evicted: set[tuple[int, int]] = set()
        self._counters = self._progress.counters
        self._reports: deque[CheckpointReport] = deque(maxlen=MOST_REPORTS)
        self._dictionary = Dictionary(store)
        self._loader = RowLoader(self._hot, store, self._lock, fingerprint, self.checkpoint)
        self._scanner = SliceScanner(self._hot, config, served, self._options)
        self._reader = StateReader(self._hot, store, fingerprint)

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
        n_chunk = min(self._options.hot_users, LONGEST_CHUNK)
        for start in range(0, len(batch.events), n_chunk):
            self._apply_chunk(batch.events[start : start + n_chunk], dead_offsets)
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

    def _apply_chunk(self, events: NDArray[np.void], dead_offsets: NDArray[np.int64]) -> None:
        """Apply as many events as there may be rows in memory."""
        columns = self._loader.columns(events, self._scanner.rules)
        offsets = events["offset"]
        at = 0
        while at < len(events):
            with self._lock:
                at = self._scanner.scan(columns, at)
                self._evicted |= self._scanner.evicted()
                self._advance(int(offsets[at - 1]) + 1, self._scanner.sums, dead_offsets)

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
        """Bytes that a checkpoint would write now."""
        return self._hot.dirty_bytes

    def needs_checkpoint(self) -> bool:
        """Whether so few clean rows are left that the next ``apply`` is likely to checkpoint."""
        return any(
            4 * pool.n_dirty > 3 * pool.capacity for pool in (self._hot.users, self._hot.pairs)
        )

    def checkpoint(self) -> CheckpointReport | None:
        """Make everything before the watermark durable, as one atomic write; None: it is."""
        timer = self._options.timer
        with self._lock:
            begun = timer() if timer is not None else 0.0
            meta = self.meta()
            if self._closed or meta == self._durable:
                return None
            batch = dirty_rows_batch(self._hot, self._fingerprint, self._store)
            add_evicted(batch, self._evicted)
            add_texts(batch, self._dictionary.pending)
            batch.puts.append((META_KEY, encode_meta(meta)))
            fault_point("before_checkpoint_write")
            fault_point("in_checkpoint_write", after_ms=IN_WRITE_MS)
            self._store.write(batch.puts, batch.deletes)
            fault_point("after_checkpoint_write")
            self._hot.all_durable()
            self._evicted = set()
            self._dictionary.written()
            self._durable = meta
            seconds = timer() - begun if timer is not None else 0.0
        n_rows = len(batch.puts) + len(batch.deletes)
        report = CheckpointReport(meta.watermark, n_rows, batch.state_bytes, seconds, meta.counters)
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

    def texts_of(self, ids: Iterable[int]) -> dict[int, str]:
        """Return the texts of those ids (hashed ones) that the dictionary knows.

        Raises:
            NotReadyError: The center is closed: another worker owns the partition now.
        """
        with self._lock:
            self._refuse_closed()
            return self._dictionary.texts_of(ids)

    def take_snapshot_copy(self, directory: Path) -> None:
        """Checkpoint, then make a copy of the store in ``directory``, which must not exist."""
        self.checkpoint()
        self._store.checkpoint(directory)

    def meta(self) -> MetaRecord:
        """Return what a checkpoint would now say about this copy."""
        return self._progress.meta(self._config, self._identity)

    def close(self) -> None:
        """Close the store without a checkpoint; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._store.close()
