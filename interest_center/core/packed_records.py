"""Records of one partition as Kafka keeps them: a block of bytes, and where each record lies in it.

The records of a batch (format version 2, uncompressed) lie one behind the other, each::

    length varint | attributes 1 | timestamp delta varint | offset delta varint
    key length varint, -1: none | key | value length varint, -1: none | value
    headers varint | of each: name length varint | name | value length varint, -1: none | value

Varints are zigzag-coded, seven bits a byte, least significant first.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled
from interest_center.core.errors import CorruptRecordError

Headers = tuple[tuple[str, bytes | None], ...]

#: Columns of ``PackedRecords.batches``.
START, END, N_RECORDS, BASE_OFFSET, BASE_TIME_MS, APPEND_TIME_MS = range(6)
N_BATCH = 6
#: In the place of an append time: the records have times of their own, from their sender.
NO_APPEND_TIME = -1

#: Columns of ``PackedRecords.places``: of a key or value that is not there, the start is -1.
OFFSET, TIME_MS, KEY_START, KEY_END, VALUE_START, VALUE_END, HEADERS_START, N_HEADERS = range(8)
N_PLACE = 8
_NOT_THERE = -1
#: A length, attributes, two deltas, two lengths, a number of headers.
_SHORTEST_RECORD = 7


class Record(NamedTuple):
    """One record; its fields as those of ``events.ConsumedRecord``."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, eq=False)
class PackedRecords:
    """Consecutive records of a partition; made by ``pack``.

    Attributes:
        data: Records of all batches, one batch behind the other.
        batches: Where each batch lies and what its header says, int64 ``[n, N_BATCH]``.
        first_offset: What the first batch holds before it is no part of this.
        end_offset: What the last batch holds from it on is no part of this.
        places: Where each record lies, int64 ``[n, N_PLACE]``.
    """

    data: bytes
    batches: NDArray[np.int64]
    first_offset: int
    end_offset: int
    places: NDArray[np.int64]

    @property
    def numbers(self) -> NDArray[np.uint8]:
        """The data as numbers."""
        return np.frombuffer(self.data, np.uint8)

    @property
    def append_times_ms(self) -> tuple[int, ...]:
        """When the first record was appended, and the last one; nothing without records."""
        times = self.places[:, TIME_MS]
        return (int(times[0]), int(times[-1])) if len(times) else ()

    def __len__(self) -> int:
        """Return how many records there are."""
        return len(self.places)

    def record(self, number: int) -> Record:
        """Return one record."""
        offset, time_ms, key, key_end, value, value_end, at, n_headers = self.places[
            number
        ].tolist()
        return Record(
            offset,
            time_ms,
            None if key == _NOT_THERE else self.data[key:key_end],
            None if value == _NOT_THERE else self.data[value:value_end],
            _headers(self.data, at, n_headers)[0],
        )

    def records(self) -> Iterator[Record]:
        """Yield all records, found by plain Python: ``uic verify`` shares no loop with the engine.

        Raises:
            CorruptRecordError: A batch does not hold the records that its header promises.
        """
        for batch in self.batches.tolist():
            at = batch[START]
            for _ in range(batch[N_RECORDS]):
                record, at = _record_at(self.data, at, batch)
                if self.first_offset <= record.offset < self.end_offset:
                    yield record

    def until(self, end: int) -> "PackedRecords":
        """Return the records before an offset."""
        places = self.places[: np.searchsorted(self.places[:, OFFSET], end)]
        return replace(self, end_offset=min(end, self.end_offset), places=places)


def pack(
    data: bytes, batches: NDArray[np.int64], first_offset: int, end_offset: int
) -> PackedRecords:
    """Find the records between two offsets in some batches.

    Args:
        data: Records of all batches, one batch behind the other.
        batches: Where each batch lies and what its header says, int64 ``[n, N_BATCH]``.
        first_offset: Of the records wanted.
        end_offset: Behind the last one wanted.

    Raises:
        CorruptRecordError: A batch does not hold the records that its header promises.
    """
    counts = batches[:, N_RECORDS]
    most = (batches[:, END] - batches[:, START]) // _SHORTEST_RECORD
    if ((counts < 0) | (counts > most)).any():
        raise CorruptRecordError("a batch of Kafka promises more records than it has room for")
    places = np.empty((int(counts.sum()) + 1, N_PLACE), np.int64)
    numbers = np.frombuffer(data, np.uint8)
    n = int(_find_places(numbers, batches, (first_offset, end_offset), places))
    if n < 0:
        raise CorruptRecordError("a batch of Kafka does not hold the records it promises")
    return PackedRecords(data, batches, first_offset, end_offset, places[:n])


def _record_at(data: bytes, at: int, batch: list[int]) -> tuple[Record, int]:
    """Return the record that begins at ``at``, and where it ends."""
    try:
        n, at = _varint(data, at)
        end = at + n
        time_delta, at = _varint(data, at + 1)
        offset_delta, at = _varint(data, at)
        key, at = _bytes(data, at)
        value, at = _bytes(data, at)
        n_headers, at = _varint(data, at)
        headers, at = _headers(data, at, n_headers)
    except IndexError as error:
        raise CorruptRecordError("a record of Kafka ends behind its batch") from error
    if at != end or end > batch[END] or n_headers < 0:
        raise CorruptRecordError("a record of Kafka has another length than it says")
    time_ms = batch[APPEND_TIME_MS]
    if time_ms == NO_APPEND_TIME:
        time_ms = batch[BASE_TIME_MS] + time_delta
    return Record(batch[BASE_OFFSET] + offset_delta, time_ms, key, value, headers), end


def _headers(data: bytes, at: int, n_headers: int) -> tuple[Headers, int]:
    """Return headers and where they end; a name's bytes that are no UTF-8 are shown in hex."""
    headers = []
    for _ in range(n_headers):
        name, at = _bytes(data, at)
        if name is None:
            raise CorruptRecordError("a header of Kafka has no name")
        content, at = _bytes(data, at)
        headers.append((name.decode(errors="backslashreplace"), content))
    return tuple(headers), at


def _bytes(data: bytes, at: int) -> tuple[bytes | None, int]:
    """Return bytes behind their length, None for a negative one, and where they end."""
    n, at = _varint(data, at)
    if at + n > len(data):
        raise IndexError
    return (None, at) if n < 0 else (data[at : at + n], at + n)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends."""
    shift = number = 0
    while True:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at


@compiled
def read_varint(data: NDArray[np.uint8], at: Index, end: Index) -> tuple[Index, Index]:
    """Return a varint and where it ends; ends behind ``end`` when it is not whole."""
    number, shift = np.uint64(0), np.uint64(0)
    while at < end and shift < np.uint64(64):
        byte = np.uint64(data[at])
        number |= (byte & np.uint64(0x7F)) << shift
        at += 1
        shift += np.uint64(7)
        if byte < np.uint64(0x80):
            return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), at
    return np.int64(0), end + 1


@compiled
def find_bytes(data: NDArray[np.uint8], at: Index, end: Index) -> tuple[Index, Index]:
    """Return where bytes begin that stand behind their length, and where they end.

    The begin is -1 for a negative length; the end lies behind ``end`` when they are not whole.
    """
    n, at = read_varint(data, at, end)
    if at > end or n > end - at:
        return np.int64(_NOT_THERE), end + 1
    return (np.int64(_NOT_THERE), at) if n < 0 else (at, at + n)


@compiled
def _find_headers_end(data: NDArray[np.uint8], at: Index, end: Index, n_headers: Index) -> Index:
    """Return where the headers of a record end; behind ``end`` when they are not whole."""
    for _ in range(n_headers):
        name, at = find_bytes(data, at, end)
        if name < 0 or at > end:
            return end + 1
        _, at = find_bytes(data, at, end)
        if at > end:
            return at
    return at


@compiled
def _find_places(
    data: NDArray[np.uint8],
    batches: NDArray[np.int64],
    span: tuple[int, int],
    places: NDArray[np.int64],
) -> Index:
    """Fill the places of all records; return their number, -1 when a batch is not whole.

    Args:
        data: Records.
        batches: Of ``PackedRecords``.
        span: First offset, and the one behind the last.
        places: One more than there are records.
    """
    found = 0
    first, last = span
    for i in range(len(batches)):
        batch = batches[i]
        at, end = batch[START], batch[END]
        for _ in range(batch[N_RECORDS]):
            n, at = read_varint(data, at, end)
            if at > end or n < 1 or n > end - at:
                return -1
            record_end = at + n
            time_delta, at = read_varint(data, at + 1, record_end)
            offset_delta, at = read_varint(data, at, record_end)
            place = places[found]
            place[KEY_START], place[KEY_END] = find_bytes(data, at, record_end)
            place[VALUE_START], place[VALUE_END] = find_bytes(data, place[KEY_END], record_end)
            n_headers, at = read_varint(data, place[VALUE_END], record_end)
            place[HEADERS_START], place[N_HEADERS] = at, n_headers
            if at > record_end or n_headers < 0:
                return -1
            if _find_headers_end(data, at, record_end, n_headers) != record_end:
                return -1
            at = record_end
            place[OFFSET] = batch[BASE_OFFSET] + offset_delta
            time_ms = batch[APPEND_TIME_MS]
            place[TIME_MS] = batch[BASE_TIME_MS] + time_delta if time_ms < 0 else time_ms
            if first <= place[OFFSET] < last:
                found += 1
        if at != end:
            return -1
    return found
