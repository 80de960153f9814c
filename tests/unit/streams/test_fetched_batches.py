"""Batches of a fetch, written byte by byte as Kafka's format 2 draws them, without a broker."""

import gzip
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from packed import record_bytes

from streams.fetched_batches import KeptRecords, take_batches

TP = TopicPartition("events", 0)
APPEND_TIME, TRANSACTIONAL, CONTROL = 0x08, 0x10, 0x20
GZIP, UNKNOWN_CODEC = 1, 7
NO_PRODUCER = -1
ABORT, COMMIT = 0, 1


@dataclass(frozen=True)
class Kept:
    """A record as it lies in a batch."""

    offset: int
    timestamp: int = 1_000
    key: bytes | None = b"k"
    value: bytes | None = b"v"
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True)
class Batch:
    """A batch and what its header says; ``last`` is its last offset, records there or not."""

    offsets: Sequence[int]
    attributes: int = 0
    producer: int = NO_PRODUCER
    last: int | None = None
    form: int = 2
    max_ms: int = 2_000
    keys: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Return its bytes."""
        base = self.offsets[0]
        last = self.offsets[-1] if self.last is None else self.last
        keys = self.keys or tuple(b"k%d" % offset for offset in self.offsets)
        records = b"".join(
            record_bytes(Kept(offset, key=key), base, 1_000)
            for offset, key in zip(self.offsets, keys, strict=True)
        )
        if self.attributes & 0x07 == GZIP:
            records = gzip.compress(records)
        covered = struct.pack(">hiqqqhii", self.attributes, last - base, 1_000, self.max_ms,
                              self.producer, 0, 0, len(self.offsets)) + records  # fmt: skip
        head = struct.pack(">ibI", 0, self.form, calc_crc32c(covered))
        return struct.pack(">qi", base, len(head) + len(covered)) + head + covered


def marker(offset: int, producer: int, what: int) -> Batch:
    """Return the control batch that ends a transaction."""
    key = struct.pack(">hh", 0, what)
    return Batch([offset], CONTROL | TRANSACTIONAL, producer, keys=(key,))


def fetched(
    *batches: Batch | bytes, start: int = 0, aborted: Sequence[tuple[int, int]] = ()
) -> PartitionRecords:
    """Return what a fetch from an offset on has brought."""
    data = b"".join(one if isinstance(one, bytes) else one.encode() for one in batches)
    return PartitionRecords(
        TP, KeptRecords(data), list(aborted), start, None, None, True, READ_COMMITTED
    )


def offsets(of: PartitionRecords, n_records: int = 1_000) -> list[int]:
    """Take batches and return the offsets of their records."""
    return [record.offset for record in take_batches(of, n_records).records()]


@pytest.mark.parametrize("n_records", [1, 2, 3, 5, 7, 100])
def test_batches_are_cut_where_asked_and_nothing_is_lost_or_taken_twice(n_records: int) -> None:
    held = fetched(Batch(range(0, 5)), Batch(range(5, 6)), Batch(range(6, 13), GZIP))
    taken: list[int] = []
    while held._records.has_batch():
        packed = take_batches(held, n_records)
        found = [record.offset for record in packed.records()]
        assert 0 < len(found) <= n_records
        assert held.next_fetch_offset == found[-1] + 1
        assert [record.key for record in packed.records()] == [b"k%d" % n for n in found]
        taken += found
    assert taken == list(range(13))


def test_a_fetch_from_the_middle_of_a_batch_begins_there() -> None:
    held = fetched(Batch(range(0, 10)), start=4)
    assert offsets(held, 3) == [4, 5, 6]
    assert offsets(held, 100) == [7, 8, 9]


def test_a_batch_that_compaction_left_gaps_in_is_taken_as_a_whole() -> None:
    held = fetched(Batch([0, 3, 7], last=9), Batch([10]))
    assert offsets(held, 2) == [0, 3, 7]
    assert held.next_fetch_offset == 10
    assert offsets(held) == [10]


def test_aborted_records_and_markers_move_the_position_only() -> None:
    held = fetched(
        Batch([0, 1], TRANSACTIONAL, producer=5),
        Batch([2], TRANSACTIONAL, producer=6),
        marker(3, 5, ABORT),
        Batch([4], TRANSACTIONAL, producer=5),
        marker(5, 5, COMMIT),
        marker(6, 6, COMMIT),
        aborted=[(5, 0)],
    )
    assert offsets(held) == [2, 4]
    assert held.next_fetch_offset == 7


def test_a_fetch_of_markers_alone_moves_on_without_records() -> None:
    held = fetched(marker(0, 5, COMMIT), marker(1, 5, ABORT))
    assert offsets(held) == []
    assert held.next_fetch_offset == 2


def test_times_are_the_senders_or_the_brokers_as_the_batch_says() -> None:
    of_sender = take_batches(fetched(Batch([0])), 1)
    assert of_sender.append_times_ms == (1_000, 1_000)
    of_broker = take_batches(fetched(Batch([0], APPEND_TIME)), 1)
    assert of_broker.append_times_ms == (2_000, 2_000)


def test_a_batch_that_is_not_there_as_a_whole_waits() -> None:
    half = Batch([1, 2]).encode()[:-1]
    held = fetched(Batch([0]), half)
    assert offsets(held) == [0]
    assert not held._records.has_batch()


def test_a_damaged_batch_is_told_each_time_and_moves_nothing() -> None:
    damaged = bytearray(Batch([1, 2]).encode())
    damaged[-1] ^= 1
    held = fetched(Batch([0]), bytes(damaged))
    assert offsets(held, 1) == [0]
    for _ in range(2):
        with pytest.raises(CorruptRecordException):
            take_batches(held, 10)
        assert held.next_fetch_offset == 1


@pytest.mark.parametrize(
    ("batch", "error"),
    [
        (Batch([0], form=1), CorruptRecordException),
        (Batch([0], UNKNOWN_CODEC), UnsupportedCodecError),
    ],
    ids=["an old format", "an unknown codec"],
)
def test_what_is_no_batch_of_ours_is_refused(batch: Batch, error: type[Exception]) -> None:
    with pytest.raises(error):
        take_batches(fetched(batch), 10)


def test_a_compressed_batch_whose_bytes_are_not_its_codecs_is_refused() -> None:
    with pytest.raises(CorruptRecordException, match="compressed by 1"):
        take_batches(fetched(_recoded(Batch([0]), GZIP)), 10)


def _recoded(batch: Batch, codec: int) -> bytes:
    """Return a batch whose header names a codec that its records are not in."""
    raw = bytearray(batch.encode())
    raw[22] |= codec
    raw[17:21] = struct.pack(">I", calc_crc32c(bytes(raw[21:])))
    return bytes(raw)
