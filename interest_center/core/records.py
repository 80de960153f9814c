"""Bytes of every stored record, and their decoding; unknown bytes are refused, never guessed.

All numbers little-endian, every part padded with zeros to 8 bytes, only filled entries::

    header    'UI' | kind 1 | layout version 1 | length 4 | CRC-32 4 | zero 4          16 bytes
              length = bytes of the whole record; the CRC covers everything behind the header

    'p' profile
      event_count 8 | last_event_time_ms 8 | chain_hash 8
      n_types 2 | n_event_ids 2 | n_behaviors 2 | n_categories 2
      counts      n_types x 8           applied events by type, in the order of the configuration
      event ids   n_event_ids x 8       hashes of the last applied event ids, oldest first
      behaviors   n_behaviors x 8 item | x 8 category | x 8 event_time_ms | x 1 type
                                        oldest first
      directory   n_categories x 8 category | x 8 updated_at | x 8 event_time_ms | x 4 size
                                        updated_at = event_count after the category's last behavior
    's' sub-sequence
      category 8 | n_behaviors 4 | zero 4
      behaviors   n_behaviors x 8 item | x 8 event_time_ms | x 1 type
    'm' memory
      fingerprint 8 | n_events 8 | row_floats 4 | zero 4 | row_floats x 4 float32
    'd' dictionary text     UTF-8
    'j' journal piece, 'w' users written: drawn in core/journal_records.py, since layout 2
    'M' meta                MessagePack of meta.MetaRecord

The chained hash of applied event ids starts at 0; an event id's 8 bytes ``h`` (first bytes of its
BLAKE2b digest, little-endian) move it to ``mix(chain ^ h)``, where all arithmetic is modulo 2**64::

    mix(x):  x += 0x9E3779B97F4A7C15
             x ^= x >> 30;  x *= 0xBF58476D1CE4E5B9
             x ^= x >> 27;  x *= 0x94D049BB133111EB
             x ^= x >> 31
"""

import struct
import zlib
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from interest_center.core.errors import MOVE_COPY_AWAY, CorruptRecordError, StateMismatchError
from interest_center.core.layout import LAYOUT_VERSION, READ_VERSIONS
from interest_center.core.meta import MetaRecord

HEADER = struct.Struct("<2sBBIII")
MAGIC = b"UI"
PROFILE_KIND = ord("p")
SUBSEQUENCE_KIND = ord("s")
MEMORY_KIND = ord("m")
TEXT_KIND = ord("d")
META_KIND = ord("M")
_PROFILE_HEAD = struct.Struct("<qqQHHHH")
_SUBSEQUENCE_HEAD = struct.Struct("<QII")
_MEMORY_HEAD = struct.Struct("<QQII")

Number = TypeVar("Number", bound=np.number)


@dataclass(frozen=True)
class Behaviors:
    """Behaviors of one user, oldest first.

    Attributes:
        item: Item ids, uint64 ``[n]``.
        category: Category ids, 0 where there is none, uint64 ``[n]``.
        event_type: Event type codes (1 + index in the configuration), uint8 ``[n]``.
        event_time_ms: Event times, int64 ``[n]``.
    """

    item: NDArray[np.uint64]
    category: NDArray[np.uint64]
    event_type: NDArray[np.uint8]
    event_time_ms: NDArray[np.int64]


@dataclass(frozen=True)
class Directory:
    """Which sub-sequences a user has, in no meaningful order.

    Attributes:
        category: Category ids, uint64 ``[k]``.
        updated_at: The user's event count after the last behavior of the category, int64 ``[k]``.
        event_time_ms: Event time of that behavior, int64 ``[k]``.
        size: Behaviors kept, uint32 ``[k]``.
    """

    category: NDArray[np.uint64]
    updated_at: NDArray[np.int64]
    event_time_ms: NDArray[np.int64]
    size: NDArray[np.uint32]


@dataclass(frozen=True)
class Profile(Behaviors):
    """The profile record: the ring of recent behaviors, and what is known of the whole history.

    Attributes:
        event_count: Applied events.
        last_event_time_ms: Largest event time applied.
        chain_hash: Chained hash of the applied event ids.
        type_counts: Applied events by event type code.
        event_ids: Hashes of the last applied event ids, oldest first, uint64 ``[m]``.
        directory: The user's sub-sequences.
    """

    event_count: int
    last_event_time_ms: int
    chain_hash: int
    type_counts: dict[int, int]
    event_ids: NDArray[np.uint64]
    directory: Directory


def seal(kind: int, payload: bytes) -> bytes:
    """Put the header before a payload."""
    length = HEADER.size + len(payload)
    return HEADER.pack(MAGIC, kind, LAYOUT_VERSION, length, zlib.crc32(payload), 0) + payload


def unseal(kind: int, record: bytes) -> bytes:
    """Check a record's header and return what stands behind it.

    Raises:
        CorruptRecordError: These are not the bytes of a record of this kind and layout.
    """
    if len(record) < HEADER.size:
        raise CorruptRecordError(f"record of {len(record)} bytes is shorter than a header")
    magic, found, version, length, checksum, zero = HEADER.unpack_from(record)
    if magic != MAGIC or found != kind or zero != 0:
        raise CorruptRecordError(f"not a record of kind {chr(kind)!r}: begins {record[:16].hex()}")
    if version not in READ_VERSIONS:
        raise CorruptRecordError(f"record of layout {version}, this release reads {READ_VERSIONS}")
    payload = record[HEADER.size :]
    if length != len(record) or checksum != zlib.crc32(payload):
        raise CorruptRecordError(f"record of {len(record)} bytes fails its length or checksum")
    return payload


class _Parts:
    """Reads the padded parts of a payload one behind the other."""

    def __init__(self, payload: bytes, start: int) -> None:
        self._payload = payload
        self._at = start

    def take(self, number: type[Number], count: int) -> NDArray[Number]:
        """Return the next ``count`` numbers."""
        part = np.dtype(number).newbyteorder("<")
        if self._at + part.itemsize * count > len(self._payload):
            raise CorruptRecordError("record is shorter than its counts say")
        taken: NDArray[Number] = np.frombuffer(self._payload, part, count, self._at)
        self._at += -(-part.itemsize * count // 8) * 8
        return taken

    def end(self) -> None:
        """Refuse a payload that goes on."""
        if self._at != len(self._payload):
            raise CorruptRecordError("record is longer than its counts say")


def decode_profile(record: bytes) -> Profile:
    """Decode a profile record.

    Raises:
        CorruptRecordError: The bytes are not a profile record of this layout.
    """
    payload = _with_head(PROFILE_KIND, record, _PROFILE_HEAD)
    count, last, chain, n_types, n_ids, n, k = _PROFILE_HEAD.unpack_from(payload)
    parts = _Parts(payload, _PROFILE_HEAD.size)
    type_counts = parts.take(np.uint64, n_types)
    event_ids = parts.take(np.uint64, n_ids)
    item, category = parts.take(np.uint64, n), parts.take(np.uint64, n)
    time, event_type = parts.take(np.int64, n), parts.take(np.uint8, n)
    directory = Directory(
        parts.take(np.uint64, k),
        parts.take(np.int64, k),
        parts.take(np.int64, k),
        parts.take(np.uint32, k),
    )
    parts.end()
    counts = {code: int(c) for code, c in enumerate(type_counts.tolist(), start=1) if c}
    return Profile(
        item, category, event_type, time, count, last, chain, counts, event_ids, directory
    )


def decode_subsequence(record: bytes) -> Behaviors:
    """Decode the last behaviors of one category.

    Raises:
        CorruptRecordError: The bytes are not a sub-sequence record of this layout.
    """
    payload = _with_head(SUBSEQUENCE_KIND, record, _SUBSEQUENCE_HEAD)
    category, n, _ = _SUBSEQUENCE_HEAD.unpack_from(payload)
    parts = _Parts(payload, _SUBSEQUENCE_HEAD.size)
    item, time = parts.take(np.uint64, n), parts.take(np.int64, n)
    event_type = parts.take(np.uint8, n)
    parts.end()
    return Behaviors(item, np.full(n, category, np.uint64), event_type, time)


def decode_memory(record: bytes) -> NDArray[np.float32]:
    """Decode a memory record: the row of the model that wrote it, float32 ``[row_floats]``.

    Raises:
        CorruptRecordError: The bytes are not a memory record of this layout.
    """
    payload = _with_head(MEMORY_KIND, record, _MEMORY_HEAD)
    parts = _Parts(payload, _MEMORY_HEAD.size)
    row = parts.take(np.float32, _MEMORY_HEAD.unpack_from(payload)[2])
    parts.end()
    return row


def memory_head(record: bytes) -> tuple[int, int]:
    """Return the fingerprint of the weights that wrote a memory record, and its events."""
    payload = _with_head(MEMORY_KIND, record, _MEMORY_HEAD)
    fingerprint, n_events, _, _ = _MEMORY_HEAD.unpack_from(payload)
    return fingerprint, n_events


def encode_text(text: str) -> bytes:
    """Encode the text of a hashed id."""
    return seal(TEXT_KIND, text.encode())


def decode_text(record: bytes) -> str:
    """Decode the text of a hashed id.

    Raises:
        CorruptRecordError: The bytes are not a dictionary record of this layout.
    """
    try:
        return unseal(TEXT_KIND, record).decode()
    except UnicodeDecodeError as error:
        raise CorruptRecordError("dictionary record is not UTF-8") from error


def encode_meta(meta: MetaRecord) -> bytes:
    """Encode the meta record."""
    return seal(META_KIND, msgspec.msgpack.encode(meta))


def decode_meta(record: bytes) -> MetaRecord:
    """Decode the meta record.

    Raises:
        StateMismatchError: It has a layout that this release does not read.
        CorruptRecordError: The bytes are not a meta record.
    """
    if len(record) >= HEADER.size:
        magic, kind, version, *_ = HEADER.unpack_from(record)
        if (magic, kind) == (MAGIC, META_KIND) and version not in READ_VERSIONS:
            raise StateMismatchError(
                f"the copy has layout {version}, this release reads {READ_VERSIONS}"
            )
    try:
        return msgspec.msgpack.decode(unseal(META_KIND, record), type=MetaRecord)
    except msgspec.MsgspecError as error:
        raise CorruptRecordError(
            f"meta record: {error}",
            hint=MOVE_COPY_AWAY,
        ) from error


def _with_head(kind: int, record: bytes, head: struct.Struct) -> bytes:
    """Return the payload of a record, at least as long as its fixed part."""
    payload = unseal(kind, record)
    if len(payload) < head.size:
        raise CorruptRecordError(f"record of {len(record)} bytes is shorter than its fixed part")
    return payload
