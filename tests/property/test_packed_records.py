"""Packed records come back as they were, found by compiled loops and by plain Python alike."""

from contextlib import suppress
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from packed import packed

from interest_center.core.errors import CorruptRecordError
from interest_center.core.packed_records import PackedRecords, Record

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
    cut = replace(packed(records), first_offset=start, end_offset=end)
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
    harmed = PackedRecords(bytes(data), taken.batches, taken.first_offset, taken.end_offset)
    with suppress(CorruptRecordError):
        spans = harmed.places[:, 2:7]
        assert (spans <= len(data)).all()
        assert ((spans[:, [0, 2]] == -1) | (spans[:, [0, 2]] <= spans[:, [1, 3]])).all()
        assert np.isin(len(harmed), range(len(given_) + 1))
