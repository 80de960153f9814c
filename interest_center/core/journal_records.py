"""Bytes of the journal: events that the rows in the store may not have seen yet.

A header (``record_header.py``), then little-endian numbers, every part padded with zeros to 8
bytes::

    'j' journal piece       the events of one checkpoint, in offset order
      start_position 8 | end_position 8 | n_events 8
      events      n x 8 offset | x 8 event_time_ms | x 8 user | x 8 item | x 8 category
                  x 8 hash of the event id | x 1 type | x 1 op
    'w' users written       users whose rows have seen every event before the position
      position 8 | n_users 8 | n x 8 user
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import CorruptRecordError
from interest_center.core.events import EVENT_DTYPE
from interest_center.core.record_header import seal, unseal

JOURNAL_KIND = ord("j")
WRITTEN_KIND = ord("w")
_JOURNAL_HEAD = struct.Struct("<qqq")
_WRITTEN_HEAD = struct.Struct("<qq")
_COLUMNS = (
    "offset",
    "event_time_ms",
    "user",
    "item",
    "category",
    "event_hash",
    "event_type",
    "op",
)
#: Bytes of one event in a piece.
EVENT_BYTES = sum(EVENT_DTYPE[name].itemsize for name in _COLUMNS)


@dataclass(frozen=True)
class JournalPiece:
    """Events of one checkpoint.

    Attributes:
        start_position: Watermark of the checkpoint before.
        end_position: Watermark of this one.
        events: Of ``EVENT_DTYPE``, in offset order; append times are not kept.
    """

    start_position: int
    end_position: int
    events: NDArray[np.void]


def encode_journal(piece: JournalPiece) -> bytes:
    """Encode a piece of the journal."""
    parts = [_JOURNAL_HEAD.pack(piece.start_position, piece.end_position, len(piece.events))]
    for name in _COLUMNS:
        column = piece.events[name].tobytes()
        parts += [column, bytes(-len(column) % 8)]
    return seal(JOURNAL_KIND, b"".join(parts))


def decode_journal(record: bytes) -> JournalPiece:
    """Decode a piece of the journal.

    Raises:
        CorruptRecordError: The bytes are not a piece of a journal.
    """
    payload = unseal(JOURNAL_KIND, record)
    if len(payload) < _JOURNAL_HEAD.size:
        raise CorruptRecordError("journal piece is shorter than its head")
    start, end, n = _JOURNAL_HEAD.unpack_from(payload)
    if len(payload) != _JOURNAL_HEAD.size + _length(n):
        raise CorruptRecordError("journal piece has another length than its count says")
    events = np.zeros(n, EVENT_DTYPE)
    at = _JOURNAL_HEAD.size
    for name in _COLUMNS:
        number = EVENT_DTYPE[name]
        events[name] = np.frombuffer(payload, number, n, at)
        at += _padded(number.itemsize * n)
    return JournalPiece(start, end, events)


def encode_written(position: int, users: NDArray[np.uint64]) -> bytes:
    """Encode which users' rows were written at a position."""
    return seal(WRITTEN_KIND, _WRITTEN_HEAD.pack(position, len(users)) + users.tobytes())


def decode_written(record: bytes) -> tuple[int, NDArray[np.uint64]]:
    """Return a position and the users whose rows have seen every event before it.

    Raises:
        CorruptRecordError: The bytes are not such a list.
    """
    payload = unseal(WRITTEN_KIND, record)
    if len(payload) < _WRITTEN_HEAD.size:
        raise CorruptRecordError("list of users written is shorter than its head")
    position, n = _WRITTEN_HEAD.unpack_from(payload)
    if len(payload) != _WRITTEN_HEAD.size + 8 * n:
        raise CorruptRecordError("list of users written has another length than its count says")
    return position, np.frombuffer(payload, np.uint64, n, _WRITTEN_HEAD.size)


def _padded(n_bytes: int) -> int:
    """Return a length filled up to a multiple of eight."""
    return -(-n_bytes // 8) * 8


def _length(n_events: int) -> int:
    """Return the bytes of the columns of so many events."""
    if n_events < 0:
        return -1
    return sum(_padded(EVENT_DTYPE[name].itemsize * n_events) for name in _COLUMNS)
