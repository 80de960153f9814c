"""Columns of unsigned numbers as a stream of bits, each number in as many as its column needs.

Bit ``i`` of a stream is bit ``i % 64`` of its word ``i // 64``; numbers lie one behind the other,
least significant bit first, columns too. Words are little-endian 64 bits in a record.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled

#: Bits of a word, and the widest column.
WORD = 64


@compiled
def width_of(column: NDArray[np.uint64], n: Index) -> Index:
    """Return the bits that the largest of the first ``n`` numbers needs, 0 to 64."""
    union = np.uint64(0)
    for i in range(n):
        union |= column[i]
    width = np.int64(0)
    for step in (32, 16, 8, 4, 2, 1):
        if union >> np.uint64(step):
            union >>= np.uint64(step)
            width += step
    return np.int64(width + np.int64(union))


@compiled
def pack(
    words: NDArray[np.uint64], bit: Index, column: NDArray[np.uint64], n: Index, width: Index
) -> Index:
    """Add the first ``n`` numbers of a column to a stream and return where it goes on.

    Args:
        words: Where the stream lies; zero from ``bit`` on.
        bit: Where the column begins.
        column: Numbers below ``2**width``.
        n: How many.
        width: Bits of each.
    """
    for i in range(n):
        word, shift = bit // WORD, bit % WORD
        words[word] |= column[i] << np.uint64(shift)
        if shift + width > WORD:
            words[word + 1] = column[i] >> np.uint64(WORD - shift)
        bit += width
    return np.int64(bit)


@compiled
def unpack(
    words: NDArray[np.uint64], bit: Index, column: NDArray[np.integer], n: Index, width: Index
) -> Index:
    """Read ``n`` numbers of a stream into a column of any integers; return where it goes on."""
    if width == 0:
        column[:n] = 0
        return np.int64(bit)
    mask = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(WORD - width)
    for i in range(n):
        word, shift = bit // WORD, bit % WORD
        number = words[word] >> np.uint64(shift)
        if shift + width > WORD:
            number |= words[word + 1] << np.uint64(WORD - shift)
        column[i] = number & mask
        bit += width
    return np.int64(bit)
