"""Records of users as layouts 1 and 2 drew them; layout 3 (``records.py``) packs the columns.

Behind the header, every part padded with zeros to 8 bytes::

    'p' profile
      event_count 8 | last_event_time_ms 8 | chain_hash 8
      n_types 2 | n_event_ids 2 | n_behaviors 2 | n_categories 2
      counts      n_types x 8
      event ids   n_event_ids x 8
      behaviors   n_behaviors x 8 item | x 8 category | x 8 event_time_ms | x 1 type
      directory   n_categories x 8 category | x 8 updated_at | x 8 event_time_ms | x 4 size
    's' sub-sequence
      category 8 | n_behaviors 4 | zero 4
      behaviors   n_behaviors x 8 item | x 8 event_time_ms | x 1 type
"""

import struct
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors, Directory, Profile
from interest_center.core.errors import CorruptRecordError

#: The last layout that is drawn so.
LAST_VERSION = 2
PROFILE_HEAD = struct.Struct("<qqQHHHH")
SUBSEQUENCE_HEAD = struct.Struct("<QII")

Number = TypeVar("Number", bound=np.number)


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


def decode_profile_2(payload: bytes) -> Profile:
    """Decode what stands behind the header of a profile.

    Raises:
        CorruptRecordError: It has another length than its counts say.
    """
    if len(payload) < PROFILE_HEAD.size:
        raise CorruptRecordError("profile is shorter than its fixed part")
    count, last, chain, n_types, n_ids, n, k = PROFILE_HEAD.unpack_from(payload)
    parts = _Parts(payload, PROFILE_HEAD.size)
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


def decode_subsequence_2(payload: bytes) -> Behaviors:
    """Decode what stands behind the header of a sub-sequence.

    Raises:
        CorruptRecordError: It has another length than its counts say.
    """
    if len(payload) < SUBSEQUENCE_HEAD.size:
        raise CorruptRecordError("sub-sequence is shorter than its fixed part")
    category, n, _ = SUBSEQUENCE_HEAD.unpack_from(payload)
    parts = _Parts(payload, SUBSEQUENCE_HEAD.size)
    item, time = parts.take(np.uint64, n), parts.take(np.int64, n)
    event_type = parts.take(np.uint8, n)
    parts.end()
    return Behaviors(item, np.full(n, category, np.uint64), event_type, time)
