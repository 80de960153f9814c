"""What a copy of a partition's state says about itself; one record, part of every checkpoint.

Bytes: a record header (``records.py``, kind ``M``), then MessagePack of ``MetaRecord``.
"""

import msgspec


class LogIdentity(msgspec.Struct, frozen=True):
    """Which log a state is a function of.

    Attributes:
        cluster_id: Id of the Kafka cluster.
        topic: Name of the events topic.
        topic_id: Id of the topic; a recreated topic has another one.
        n_partitions: Partitions of the topic: a user's partition follows from the count.
        partition: Partition of the topic.
    """

    cluster_id: str
    topic: str
    topic_id: str
    n_partitions: int
    partition: int

    def __str__(self) -> str:
        return (
            f"topic {self.topic} with id {self.topic_id} of cluster {self.cluster_id}, "
            f"partition {self.partition}"
        )


class Counters(msgspec.Struct, frozen=True):
    """Cumulative counts of one partition since ``start_position``; stored with the watermark.

    ``consumed = applied + duplicate + late_dropped + dead_lettered + erased`` and
    ``watermark - start_position = consumed + skipped``, always.

    Attributes:
        consumed: Records read.
        applied: Events that changed a state.
        duplicate: Events whose id was among the user's last applied ones.
        late_dropped: Events too far behind their user's last one.
        dead_lettered: Records that went to the dead-letter topic.
        erased: Erasures of a user.
        skipped: Offsets that carry no record for us: transaction markers, aborted records, and
            offsets that the log no longer held.
        start_position: First position ever consumed.
    """

    consumed: int = 0
    applied: int = 0
    duplicate: int = 0
    late_dropped: int = 0
    dead_lettered: int = 0
    erased: int = 0
    skipped: int = 0
    start_position: int = 0

    @property
    def position(self) -> int:
        """Next offset to consume."""
        return self.start_position + self.consumed + self.skipped


class MetaRecord(msgspec.Struct, frozen=True):
    """The meta record of a copy.

    Attributes:
        layout_version: Layout in which records are written now; older ones may lie beside them.
        config_fingerprint: ``StateConfig.fingerprint`` of the rules that made the copy.
        identity: The log.
        watermark: Next fetch position; the copy is f(events before it).
        counters: Counts up to the watermark.
        history_from: First offset that the states have seen completely from.
        memory_fingerprint: Weights that wrote the memories, 0 when none did.
        memory_from: First offset that the memories have seen, None when none were built.
        memory_watermark: Offset up to which the memories are applied; behind ``watermark`` when
            events were applied without the weights, and then the memories are not readable.
        last_record: Offset and checksum of a consumed record at or near the end, to notice another
            log; None before the first record.
        as_of_ms: Largest event time applied, None before the first event.
        journal_from: Position that all rows have seen; the journal begins there. None: there is no
            journal, the rows have seen everything.
        journal_events: Events in the journal.
    """

    layout_version: int
    config_fingerprint: str
    identity: LogIdentity
    watermark: int
    counters: Counters
    history_from: int
    memory_fingerprint: int = 0
    memory_from: int | None = None
    memory_watermark: int | None = None
    last_record: tuple[int, int] | None = None
    as_of_ms: int | None = None
    journal_from: int | None = None
    journal_events: int = 0
