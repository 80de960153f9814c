"""Stored records written by their drawn layout (core/records.py), by no code of the engine."""

import struct
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from interest_center.core.record_header import seal
from interest_center.core.records import MEMORY_KIND, PROFILE_KIND, SUBSEQUENCE_KIND


@dataclass(frozen=True)
class Did:
    """One behavior: item, category, type code, time."""

    item_id: str
    category_id: str | None = None
    event_type: int = 1
    event_time_ms: int = 1_764_000_000_000


@dataclass(frozen=True)
class Known:
    """What a stored state holds.

    Attributes:
        behaviors: Oldest first.
        memory: Row of the memory, None for none.
        written_by: Fingerprint in the memory record.
        served_by: Fingerprint that the worker says it serves.
        type_counts: Applied events by type code; of ``behaviors`` when empty.
        rules: State rules.
        subsequences: By category id as sent, behaviors of that category, oldest first.
    """

    behaviors: list[Did] = field(default_factory=list)
    memory: NDArray[np.float32] | None = None
    written_by: int = 0
    served_by: int = 0
    type_counts: list[int] = field(default_factory=list)
    rules: StateConfig = field(default_factory=StateConfig)
    subsequences: dict[str, list[Did]] = field(default_factory=dict)


def packed(*columns: list[int]) -> tuple[list[int], bytes]:
    """Return the widths of columns and their stream of bits, as one large number."""
    widths = [max(column, default=0).bit_length() for column in columns]
    stream = at = 0
    for column, width in zip(columns, widths, strict=True):
        for number in column:
            stream |= number << at
            at += width
    return widths, stream.to_bytes(-(-at // 64) * 8, "little")


def profile_record(known: Known) -> bytes:
    """Write a profile without event ids and sub-sequences."""
    done = known.behaviors
    counts = known.type_counts or [
        sum(one.event_type == code for one in done) for code in range(1, 8)
    ]
    last = max((one.event_time_ms for one in done), default=0)
    widths, stream = packed(
        counts,
        [encode_id(one.item_id) for one in done],
        [encode_id(one.category_id) if one.category_id else 0 for one in done],
        [last - one.event_time_ms for one in done],
        [one.event_type for one in done],
    )
    numbers = (len(counts), widths[0], 0, len(done), 0)
    head = struct.pack("<qqQBBHHH8B", sum(counts), last, 0, *numbers, *widths[1:], 0, 0, 0, 0)
    return seal(PROFILE_KIND, head + stream)


def memory_record(row: NDArray[np.float32], fingerprint: int, n_events: int) -> bytes:
    """Write a memory."""
    head = struct.pack("<QQII", fingerprint, n_events, len(row), 0)
    floats = row.astype(np.float32).tobytes()
    return seal(MEMORY_KIND, head + floats + bytes(-len(floats) % 8))


def subsequence_record(category: str, done: list[Did]) -> bytes:
    """Write the behaviors of one category."""
    newest = max(one.event_time_ms for one in done)
    widths, stream = packed(
        [encode_id(one.item_id) for one in done],
        [newest - one.event_time_ms for one in done],
        [one.event_type for one in done],
    )
    head = struct.pack("<QqHBBB3x", encode_id(category), newest, len(done), *widths)
    return seal(SUBSEQUENCE_KIND, head + stream)


def make_user_state(user_id: str, known: Known, watermark: int = 7) -> UserState:
    """Return a state as the binary multi-get carries it."""
    memory = None
    if known.memory is not None:
        memory = memory_record(known.memory, known.written_by, len(known.behaviors))
    return UserState(
        user_id=user_id,
        partition=0,
        watermark=watermark,
        profile=profile_record(known),
        memory=memory,
        memory_fingerprint=known.served_by,
        memory_from=0 if known.served_by else None,
        subsequences={
            encode_id(category): subsequence_record(category, done)
            for category, done in known.subsequences.items()
        },
        state_rules=known.rules.fingerprint,
    )
