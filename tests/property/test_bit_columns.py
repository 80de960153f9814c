"""Packed columns are the bits of one large number, and come back as they were."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_states import packed

from interest_center.core.bit_columns import pack, unpack, width_of

NUMBERS = st.integers(0, 64).flatmap(lambda width: st.integers(0, 2**width - 1))
COLUMNS = st.lists(st.lists(NUMBERS, max_size=20), max_size=8)


@settings(max_examples=300, deadline=None)
@given(columns=COLUMNS)
def test_columns_survive_and_are_the_drawn_bits(columns: list[list[int]]) -> None:
    widths, stream = packed(*columns)
    words = np.zeros(len(stream) // 8, np.uint64)
    bit = 0
    for column, width in zip(columns, widths, strict=True):
        numbers = np.array(column, np.uint64)
        assert width_of(numbers, len(numbers)) == width
        bit = int(pack(words, bit, numbers, len(numbers), width))
    assert words.tobytes() == stream
    bit = 0
    for column, width in zip(columns, widths, strict=True):
        numbers = np.zeros(len(column), np.uint64)
        bit = int(unpack(words, bit, numbers, len(column), width))
        assert numbers.tolist() == column
