"""CRC-32 over 64-bit words, compiled: the checksum of records, as ``zlib.crc32`` of their bytes."""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled

_M32 = np.uint64(0xFFFFFFFF)


def _crc_tables() -> NDArray[np.uint64]:
    """Return the eight tables that take a CRC-32 (IEEE) forward by eight bytes at once."""
    tables = np.zeros((8, 256), np.uint64)
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
        tables[0, byte] = crc
    for k in range(1, 8):
        before = tables[k - 1]
        tables[k] = (before >> np.uint64(8)) ^ tables[0][(before & np.uint64(255)).astype(np.int64)]
    return tables


_CRC = _crc_tables()


@compiled
def crc32_words(
    words: NDArray[np.uint64], start: Index, end: Index, before: np.uint64
) -> np.uint64:
    """Return the CRC-32 of ``words[start:end]``, as ``zlib.crc32`` of their bytes.

    Args:
        words: Words of a record.
        start: First one.
        end: Behind the last one.
        before: CRC-32 of what stands before them, 0 for nothing.
    """
    crc = before ^ _M32
    byte = np.uint64(255)
    for i in range(start, end):
        x = words[i] ^ crc
        crc = (
            _CRC[7, x & byte]
            ^ _CRC[6, (x >> np.uint64(8)) & byte]
            ^ _CRC[5, (x >> np.uint64(16)) & byte]
            ^ _CRC[4, (x >> np.uint64(24)) & byte]
            ^ _CRC[3, (x >> np.uint64(32)) & byte]
            ^ _CRC[2, (x >> np.uint64(40)) & byte]
            ^ _CRC[1, (x >> np.uint64(48)) & byte]
            ^ _CRC[0, x >> np.uint64(56)]
        )
    return crc ^ _M32
