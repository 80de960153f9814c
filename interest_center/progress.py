"""How far a partition is: watermark and counters, live, and as the meta record says them."""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import (
    MOVE_COPY_AWAY,
    LogMismatchError,
    PartitionCountError,
    StateMismatchError,
)
from interest_center.core.layout import LAYOUT_VERSION, StateConfig
from interest_center.core.meta import Counters, LogIdentity, MetaRecord
from interest_center.scan_arrays import (
    APPLIED,
    DUPLICATE,
    ERASURES,
    LATE,
    MAX_TIME_MS,
    N_SUMS,
    NO_TIME_MS,
)

# The sums that are cumulative counters come first.
_N_COUNTED = 1 + max(APPLIED, DUPLICATE, LATE, ERASURES)
#: The sums of a slice without events.
NOTHING_APPLIED = np.zeros(N_SUMS, np.int64)
NOTHING_APPLIED[MAX_TIME_MS] = NO_TIME_MS


class Progress:
    """Watermark, counters and where history and memory begin.

    Args:
        meta: Meta record of the stored copy, None for a new one.
        memory_fingerprint: Weights of the updater, 0 without one.

    Attributes:
        watermark: Next fetch position.
        history_from: First offset that the states have seen.
        memory_from: First offset that the memories have seen; None: none of these weights.
        last_record: Offset and checksum of a consumed record.
        as_of_ms: Largest event time applied.
    """

    def __init__(self, meta: MetaRecord | None, memory_fingerprint: int) -> None:
        self._stored = meta
        self._fingerprint = memory_fingerprint
        self._sums = np.zeros(_N_COUNTED, np.int64)
        self._dead_lettered = 0
        self.last_record: tuple[int, int] | None = None
        self.as_of_ms: int | None = None
        self.watermark = self.history_from = self._start = 0
        self.memory_from: int | None = 0 if memory_fingerprint else None
        if meta is not None:
            self._take(meta)

    def _take(self, meta: MetaRecord) -> None:
        """Go on where a stored copy ends."""
        counters = meta.counters
        self._sums[APPLIED], self._sums[DUPLICATE] = counters.applied, counters.duplicate
        self._sums[LATE], self._sums[ERASURES] = counters.late_dropped, counters.erased
        self._dead_lettered = counters.dead_lettered
        self._start = counters.start_position
        self.watermark, self.history_from = meta.watermark, meta.history_from
        self.last_record, self.as_of_ms = meta.last_record, meta.as_of_ms
        complete = meta.memory_watermark == meta.watermark
        same = meta.memory_fingerprint == self._fingerprint != 0
        self.memory_from = meta.memory_from if same and complete else None
        if self.is_empty and self._fingerprint:
            self.memory_from = self.watermark

    @property
    def is_empty(self) -> bool:
        """Whether nothing was consumed yet."""
        return self.watermark == self._start

    @property
    def counters(self) -> Counters:
        """Counts up to the watermark."""
        applied, duplicate = int(self._sums[APPLIED]), int(self._sums[DUPLICATE])
        late, erased = int(self._sums[LATE]), int(self._sums[ERASURES])
        consumed = applied + duplicate + late + erased + self._dead_lettered
        return Counters(
            consumed=consumed,
            applied=applied,
            duplicate=duplicate,
            late_dropped=late,
            dead_lettered=self._dead_lettered,
            erased=erased,
            skipped=self.watermark - self._start - consumed,
            start_position=self._start,
        )

    def begin_at(self, position: int) -> None:
        """Begin, or go on, at a later position: what lies before is not in the log any more."""
        if position < self.watermark:
            raise LogMismatchError(
                f"cannot begin at {position}: the state is at {self.watermark} already"
            )
        if position == self.watermark:
            return
        if self.is_empty:
            self._start = position
        self.watermark = self.history_from = position
        if self.memory_from is not None:
            self.memory_from = position

    def advance(self, watermark: int, sums: NDArray[np.int64], dead_letters: int) -> None:
        """Move the watermark past a slice."""
        newest = int(sums[MAX_TIME_MS])
        if newest != NO_TIME_MS and (self.as_of_ms is None or newest > self.as_of_ms):
            self.as_of_ms = newest
        self._sums += sums[: len(self._sums)]
        self._dead_lettered += dead_letters
        self.watermark = watermark

    def meta(self, config: StateConfig, identity: LogIdentity) -> MetaRecord:
        """Return the meta record of a checkpoint made now, the journal aside."""
        fingerprint, begins, until = self._fingerprint, self.memory_from, self.watermark
        if begins is None:
            fingerprint, begins, until = self._memory_before()
        return MetaRecord(
            layout_version=LAYOUT_VERSION,
            config_fingerprint=config.fingerprint,
            identity=identity,
            watermark=self.watermark,
            counters=self.counters,
            history_from=self.history_from,
            memory_fingerprint=fingerprint,
            memory_from=begins,
            memory_watermark=until if begins is not None else None,
            last_record=self.last_record,
            as_of_ms=self.as_of_ms,
        )

    def _memory_before(self) -> tuple[int, int | None, int]:
        """Return whose memories lie in the store, and up to where: they fall behind from here."""
        if self._stored is None or self._stored.memory_watermark is None:
            return 0, None, 0
        stored = self._stored
        until = stored.memory_watermark or 0
        if stored.journal_from is not None:  # It is replayed without these weights.
            until = min(until, stored.journal_from)
        return stored.memory_fingerprint, stored.memory_from, until


def check_copy(meta: MetaRecord | None, config: StateConfig, identity: LogIdentity) -> None:
    """Refuse a stored copy that is not a function of this log under these rules."""
    if meta is None:
        return
    if meta.config_fingerprint != config.fingerprint:
        raise StateMismatchError(
            f"stored copy was made under configuration {meta.config_fingerprint}, "
            f"this worker has {config.fingerprint}",
            hint=MOVE_COPY_AWAY,
        )
    before, now = meta.identity.n_partitions, identity.n_partitions
    if meta.identity.topic_id == identity.topic_id and before != now:
        raise PartitionCountError(identity.topic, before, now)
    if meta.identity != identity:
        raise LogMismatchError(
            f"stored copy was made from {meta.identity}, the log is {identity}", hint=MOVE_COPY_AWAY
        )
