"""Packed records come back as they were, found by compiled loops and by plain Python alike."""

from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import packed, varint

from interest_center.core.errors import CorruptRecordError
from interest_center.core.packed_records import N_PLACE, NO_APPEND_TIME, PackedRecords, Record, pack

BYTES = st.none() | st.binary(max_size=80)
RECORDS = st.lists(
    st.tuples(
        st.integers(1, 300),
        st.integers(-(2**40), 2**40),
        BYTES,
        BYTES,
        st.lists(st.tuples(st.text(max_size=5), BYTES), max_size=3).map(tuple),
    ),
    max_size=8,
)


def made(given_: list[Any]) -> list[Record]:
    """Return records whose offsets grow."""
    offsets = accumulate(gap for gap, *_ in given_)
    return [
        Record(at, 10**12 + ms, *rest) for at, (_, ms, *rest) in zip(offsets, given_, strict=True)
    ]


@settings(deadline=None)
@given(RECORDS)
def test_records_are_what_was_packed(given_: list[Any]) -> None:
    records = made(given_)
    taken = packed(records)
    assert list(taken.records()) == records
    assert [taken.record(number) for number in range(len(taken))] == records


@settings(deadline=None)
@given(RECORDS, st.integers(0, 1_000), st.integers(0, 1_000))
def test_only_records_between_two_offsets_are_part(given_: list[Any], start: int, end: int) -> None:
    records = made(given_)
    whole = packed(records)
    cut = pack(whole.data, whole.batches, start, end)
    wanted = [record for record in records if start <= record.offset < end]
    assert list(cut.records()) == wanted
    assert [cut.record(number) for number in range(len(cut))] == wanted
    assert len(cut.until(start + 5)) == sum(record.offset < start + 5 for record in wanted)


@settings(max_examples=300, deadline=None)
@given(
    RECORDS, st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_damage_is_refused_or_stays_inside(
    given_: list[Any], damage: list[tuple[int, int]]
) -> None:
    taken = packed(made(given_))
    data = bytearray(taken.data)
    for at, byte in damage:
        if data:
            data[at % len(data)] = byte
    try:
        harmed = pack(bytes(data), taken.batches, taken.first_offset, taken.end_offset)
    except CorruptRecordError:
        return
    assert list(harmed.records()) == [harmed.record(number) for number in range(len(harmed))]


@pytest.mark.parametrize("length", [2**62, 2**63 - 1, -(2**63), 2**31, 300])
@pytest.mark.parametrize("part", ["key", "value", "header name", "header value", "record"])
def test_lengths_that_reach_beyond_the_batch_are_refused(part: str, length: int) -> None:
    parts = {"key": b"\x02k", "value": b"\x02v", "header name": b"\x02h", "header value": b"\x02x"}
    if part in parts:
        parts[part] = varint(length) + b"a"
    content = b"\0\0\0" + parts["key"] + parts["value"] + b"\x02"
    content += parts["header name"] + parts["header value"]
    data = varint(length if part == "record" else len(content)) + content
    batch = np.array([(0, len(data), 1, 0, 0, NO_APPEND_TIME)])
    with pytest.raises(CorruptRecordError):
        pack(data, batch, 0, 1)
    plain = PackedRecords(data, batch, 0, 1, np.zeros((0, N_PLACE), np.int64))
    with pytest.raises(CorruptRecordError):
        list(plain.records())
