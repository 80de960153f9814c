"""Records packed as Kafka packs them, by the drawn format and by no code of the engine."""

from collections.abc import Sequence

import numpy as np

from interest_center.core.events import ConsumedRecord
from interest_center.core.packed_records import N_BATCH, NO_APPEND_TIME, PackedRecords, pack


def varint(number: int) -> bytes:
    """Return a number zigzag-coded, seven bits a byte."""
    left = number << 1 if number >= 0 else (-number << 1) - 1
    coded = bytearray()
    while left > 0x7F:
        coded.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes((*coded, left))


def with_length(content: bytes | None) -> bytes:
    """Return bytes behind their length; -1 says that there are none."""
    return varint(-1) if content is None else varint(len(content)) + content


def record_bytes(record: ConsumedRecord, base_offset: int, base_ms: int) -> bytes:
    """Return one record of a batch."""
    headers = b"".join(
        with_length(name.encode()) + with_length(value) for name, value in record.headers
    )
    content = (
        b"\0"
        + varint(record.timestamp - base_ms)
        + varint(record.offset - base_offset)
        + with_length(record.key)
        + with_length(record.value)
        + varint(len(record.headers))
        + headers
    )
    return varint(len(content)) + content


def packed(records: Sequence[ConsumedRecord]) -> PackedRecords:
    """Return records as one batch; the times are those of the records."""
    if not records:
        return pack(b"", np.zeros((0, N_BATCH), np.int64), 0, 0)
    base, base_ms = records[0].offset, records[0].timestamp
    data = b"".join(record_bytes(record, base, base_ms) for record in records)
    batch = (0, len(data), len(records), base, base_ms, NO_APPEND_TIME)
    return pack(data, np.array([batch]), base, records[-1].offset + 1)
