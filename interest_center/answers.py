"""What the center takes and gives: options, reports of its work, and what a read returns."""

from collections.abc import Callable
from dataclasses import dataclass, field

from interest_center.core.meta import Counters


@dataclass(frozen=True)
class CenterOptions:
    """Sizes of one partition's center; none of them changes a result.

    Attributes:
        hot_users: Users whose rows are kept in memory.
        replay_cost: What replaying the journal after a crash may cost: an event 1, a user 4, a
            checkpoint 50; some 200,000 a second.
        subsequences_per_user: Sub-sequence rows kept in memory, as a multiple of ``hot_users``.
        slice_seconds: Longest scan during which a read has to wait.
        timer: Returns seconds, for example ``time.perf_counter``; with it slices are cut to
            ``slice_seconds``, without it they have a fixed length.
    """

    hot_users: int = 50_000
    subsequences_per_user: int = 4
    replay_cost: int = 250_000
    slice_seconds: float = 0.002
    timer: Callable[[], float] | None = None


@dataclass(frozen=True)
class ApplyReport:
    """What one batch came to; the counts are of this batch alone.

    Attributes:
        watermark: Next fetch position after the batch.
        applied: Events that changed a state.
        duplicate: Events seen before.
        late_dropped: Events too far behind.
        erased: Users erased.
        dead_lettered: Records that went to the dead-letter topic.
        cold_users: Users whose rows had to be read from the store.
        checkpoints: Checkpoints that the center made because all hot rows were dirty.
    """

    watermark: int
    applied: int = 0
    duplicate: int = 0
    late_dropped: int = 0
    erased: int = 0
    dead_lettered: int = 0
    cold_users: int = 0
    checkpoints: int = 0


@dataclass(frozen=True)
class CheckpointReport:
    """What one checkpoint wrote.

    Attributes:
        watermark: Everything before this offset is now durable.
        rows: Records written or deleted.
        state_bytes: Bytes of the records written.
        seconds: How long reads and applies had to wait; 0 without a timer.
        counters: Counts up to the watermark.
    """

    watermark: int
    rows: int
    state_bytes: int
    seconds: float
    counters: Counters


@dataclass(frozen=True)
class StoredState:
    """The records of one user, as bytes of ``core/records.py``; None or missing means empty.

    Attributes:
        profile: Profile record.
        subsequences: Sub-sequence record by category id, of the categories asked for.
        memory: Memory record, written by the weights of the center's updater and by no others.
    """

    profile: bytes | None = None
    subsequences: dict[int, bytes] = field(default_factory=dict)
    memory: bytes | None = None


@dataclass(frozen=True)
class PartitionRead:
    """States of some users, all at the same offset.

    Attributes:
        watermark: Every event before this offset is in the states, and no other.
        as_of_ms: Largest event time applied in the partition, None before the first.
        history_from: First offset that the states have seen.
        memory_from: First offset that the memories have seen, None when no memory is served.
        states: One state a user, in the order asked for.
    """

    watermark: int
    as_of_ms: int | None
    history_from: int
    memory_from: int | None
    states: list[StoredState]
