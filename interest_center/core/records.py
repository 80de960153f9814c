"""Bytes of every stored record, and their decoding; unknown bytes are refused, never guessed.

A header (``record_header.py``), then little-endian numbers, only filled entries. Columns are packed
(``bit_columns.py``): one stream of bits for all columns of a record, whose widths stand before it,
filled up with zeros to 8 bytes::

    'p' profile
      event_count 8 | last_event_time_ms 8 | chain_hash 8
      n_types 1 | width of counts 1 | n_event_ids 2 | n_behaviors 2 | n_categories 2
      widths of item, category, age, type of behaviors, 1 each,
             of category, updated_at, age, size of the directory, 1 each
      event ids   n_event_ids x 8       hashes of the last applied event ids, oldest first
      bits: counts      n_types         applied events by type, in the order of the configuration
            behaviors   n_behaviors item | category | age | type, columns, oldest first
            directory   n_categories category | updated_at | age | size
                                        updated_at = event_count after the category's last behavior
            age = last_event_time_ms - event_time_ms
    's' sub-sequence
      category 8 | newest event_time_ms 8
      n_behaviors 2 | widths of item, age, type, 1 each | zero 3
      bits: behaviors   n_behaviors item | age | type, oldest first
            age = newest event_time_ms - event_time_ms
    'm' memory
      fingerprint 8 | n_events 8 | row_floats 4 | zero 4 | row_floats x 4 float32 | zeros to 8 bytes
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

import msgspec
import numpy as np
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors, Directory, Profile
from interest_center.core.bit_columns import WORD, unpack
from interest_center.core.errors import MOVE_COPY_AWAY, CorruptRecordError, StateMismatchError
from interest_center.core.layout import READ_VERSIONS
from interest_center.core.meta import MetaRecord
from interest_center.core.record_header import (
    HEADER,
    MAGIC,
    layout_of,
    seal,
    unseal,
)
from interest_center.core.records_layout_2 import (
    LAST_VERSION,
    decode_profile_2,
    decode_subsequence_2,
)

PROFILE_KIND = ord("p")
SUBSEQUENCE_KIND = ord("s")
MEMORY_KIND = ord("m")
TEXT_KIND = ord("d")
META_KIND = ord("M")
_PROFILE_HEAD = struct.Struct("<qqQBBHHH8B")
_SUBSEQUENCE_HEAD = struct.Struct("<QqHBBB3x")
_MEMORY_HEAD = struct.Struct("<QQII")


class _Columns:
    """Reads the packed columns of a payload one behind the other."""

    def __init__(self, payload: bytes, start: int, shapes: list[tuple[int, int]]) -> None:
        n_bits = sum(n * width for n, width in shapes)
        if any(width > WORD for _, width in shapes) or (
            len(payload) - start != -(-n_bits // WORD) * WORD // 8
        ):
            raise CorruptRecordError("record has another length than its counts and widths say")
        self._words = np.frombuffer(payload, np.uint64, offset=start)
        self._shapes = iter(shapes)
        self._bit = 0

    def take(self) -> NDArray[np.uint64]:
        """Return the next column."""
        n, width = next(self._shapes)
        column = np.empty(n, np.uint64)
        self._bit = int(unpack(self._words, self._bit, column, n, width))
        return column


def decode_profile(record: bytes) -> Profile:
    """Decode a profile record.

    Raises:
        CorruptRecordError: The bytes are not a profile record of a layout that is read.
    """
    payload = unseal(PROFILE_KIND, record)
    if layout_of(record) <= LAST_VERSION:
        return decode_profile_2(payload)
    head = _head(payload, _PROFILE_HEAD)
    count, last, chain, n_types, count_width, n_ids, n, k, *widths = head
    start = _PROFILE_HEAD.size + 8 * n_ids
    if len(payload) < start:
        raise CorruptRecordError("record is shorter than its counts say")
    event_ids = np.frombuffer(payload, np.uint64, n_ids, _PROFILE_HEAD.size)
    shapes = [(n_types, count_width), *((n, w) for w in widths[:4]), *((k, w) for w in widths[4:])]
    columns = _Columns(payload, start, shapes)
    counts = {code: c for code, c in enumerate(columns.take().tolist(), start=1) if c}
    item, category = columns.take(), columns.take()
    time_ms, event_type = _times(last, columns.take()), columns.take().astype(np.uint8)
    directory = Directory(
        columns.take(),
        columns.take().astype(np.int64),
        _times(last, columns.take()),
        columns.take().astype(np.uint32),
    )
    return Profile(
        item, category, event_type, time_ms, count, last, chain, counts, event_ids, directory
    )


def decode_subsequence(record: bytes) -> Behaviors:
    """Decode the last behaviors of one category.

    Raises:
        CorruptRecordError: The bytes are not a sub-sequence record of a layout that is read.
    """
    payload = unseal(SUBSEQUENCE_KIND, record)
    if layout_of(record) <= LAST_VERSION:
        return decode_subsequence_2(payload)
    category, newest, n, *widths = _head(payload, _SUBSEQUENCE_HEAD)
    columns = _Columns(payload, _SUBSEQUENCE_HEAD.size, [(n, width) for width in widths])
    item, time_ms = columns.take(), _times(newest, columns.take())
    event_type = columns.take().astype(np.uint8)
    return Behaviors(item, np.full(n, category, np.uint64), event_type, time_ms)


def _head(payload: bytes, head: struct.Struct) -> tuple[int, ...]:
    """Return the fixed part of a payload."""
    if len(payload) < head.size:
        raise CorruptRecordError("record is shorter than its fixed part")
    return head.unpack_from(payload)


def _times(newest: int, ages: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return event times by their distance from the newest."""
    return newest - ages.view(np.int64)


def decode_memory(record: bytes) -> NDArray[np.float32]:
    """Decode a memory record: the row of the model that wrote it, float32 ``[row_floats]``.

    Raises:
        CorruptRecordError: The bytes are not a memory record of a layout that is read.
    """
    payload = unseal(MEMORY_KIND, record)
    _, _, n, _ = _head(payload, _MEMORY_HEAD)
    if len(payload) != _MEMORY_HEAD.size + -(-n // 2) * 8:
        raise CorruptRecordError("record has another length than its count says")
    return np.frombuffer(payload, np.float32, n, _MEMORY_HEAD.size)


def memory_head(record: bytes) -> tuple[int, int]:
    """Return the fingerprint of the weights that wrote a memory record, and its events."""
    fingerprint, n_events, _, _ = _head(unseal(MEMORY_KIND, record), _MEMORY_HEAD)
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
