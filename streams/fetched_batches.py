"""Batches of a fetch, one by one, as a reader of committed records has to take them."""

import struct
from typing import Any

import numpy as np
from aiokafka import codec
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from interest_center.core.errors import CorruptRecordError
from interest_center.core.packed_records import N_BATCH, NO_APPEND_TIME, PackedRecords, pack

#: Header of a batch in format version 2.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH, _LENGTH_AT = struct.Struct(">i"), 8
_CRC_COVERS_FROM = 21
_FORMAT = 2
_CODEC, _APPEND_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_DECODERS = {
    1: codec.gzip_decode,
    2: codec.snappy_decode,
    3: codec.lz4_decode,
    4: codec.zstd_decode,
}
#: Type of the control record that ends an aborted transaction.
_ABORT, _NO_MARKER = 0, -1


class KeptRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of a fetch, with their bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data
        self._at = 0

    def _end(self) -> int:
        """Return where the next batch ends, behind the data when it is not there as a whole."""
        if self._at + _HEADER.size > len(self._data):
            return len(self._data) + 1
        (length,) = _LENGTH.unpack_from(self._data, self._at + _LENGTH_AT)
        if length < _HEADER.size - _LENGTH_AT - _LENGTH.size:
            raise CorruptRecordException(f"a batch of {length} bytes")
        return self._at + _LENGTH_AT + _LENGTH.size + int(length)

    def has_batch(self) -> bool:
        """Tell whether there is one more batch."""
        return self._end() <= len(self._data)

    def next_bytes(self) -> bytes:
        """Return the next batch as it came."""
        start, self._at = self._at, self._end()
        return self._data[start : self._at]

    def put_back(self, batch: bytes) -> None:
        """Give the last batch once more."""
        self._at -= len(batch)


def keep_fetched_bytes() -> None:
    """Let the fetchers of this process keep what ``take_batches`` needs."""
    aiokafka_fetcher.MemoryRecords = KeptRecords


def take_batches(fetched: PartitionRecords, n_records: int) -> PackedRecords:
    """Take batches with so many records at most, and move the position behind the last one.

    Differs from iterating over the records in that nothing is unpacked, and that a header name need
    not be UTF-8. A batch with gaps, which compaction leaves, is not cut.

    Raises:
        CorruptRecordException: A batch is damaged, or of a format older than Kafka 0.11.
        UnsupportedCodecError: It is compressed in an unknown way.
    """
    kept = fetched._records
    first = fetched.next_fetch_offset
    parts = list[bytes]()
    batches = list[tuple[int, ...]]()
    size = n = 0
    while n < n_records and kept.has_batch():
        raw = kept.next_bytes()
        (offset, _, _, form, crc, attributes, last, base_ms, max_ms, producer, _, _, count) = (
            _HEADER.unpack_from(raw)
        )
        if form != _FORMAT or crc != calc_crc32c(raw[_CRC_COVERS_FROM:]):
            kept.put_back(raw)
            raise CorruptRecordException(f"batch at {offset} of {fetched._tp}")
        if fetched._isolation_level == READ_COMMITTED and producer >= 0:
            fetched._consume_aborted_up_to(offset)
        is_aborted = attributes & _TRANSACTIONAL and producer in fetched._aborted_producers
        batch = (count, offset, base_ms, max_ms if attributes & _APPEND_TIME else NO_APPEND_TIME)
        stop = offset + last + 1
        if attributes & _CONTROL:
            if _marker_of(raw, batch) == _ABORT:
                fetched._aborted_producers.discard(producer)
        elif not is_aborted:
            most = max(offset, first) + n_records - n
            if count == last + 1 and stop > most:
                stop = most
                kept.put_back(raw)
            records = _uncompressed(raw, attributes & _CODEC)
            batches.append((size, size + len(records), *batch))
            parts.append(records)
            size, n = size + len(records), n + min(count, stop - max(offset, first))
        fetched.next_fetch_offset = stop
    found = np.array(batches, np.int64).reshape(-1, N_BATCH)
    try:
        return pack(b"".join(parts), found, first, fetched.next_fetch_offset)
    except CorruptRecordError as error:  # Not of our own records: those are another matter.
        raise CorruptRecordException(f"{error} ({fetched._tp} from {first} on)") from error


def _uncompressed(raw: bytes, how: int) -> bytes:
    records = raw[_HEADER.size :]
    if how == 0:
        return records
    decode: Any = _DECODERS.get(how)
    if decode is None:
        raise UnsupportedCodecError(f"unknown compression {how}")
    try:
        return bytes(decode(records))
    except Exception as error:  # Each library has errors of its own.
        raise CorruptRecordException(f"compressed by {how}: {error}") from error


def _marker_of(raw: bytes, batch: tuple[int, ...]) -> int:
    """Return what a control batch says: the key of its record is version and type, 2 bytes each.

    A cleaner may have left a control batch without its record.
    """
    records = raw[_HEADER.size :]
    found = np.array([(0, len(records), *batch)], np.int64)
    markers = pack(records, found, batch[1], batch[1] + 1)
    key = markers.record(0).key if len(markers) else None
    return _NO_MARKER if key is None else int.from_bytes(key[2:4], "big")
