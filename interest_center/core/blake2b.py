"""BLAKE2b with a digest of eight bytes, compiled: ``hashlib.blake2b(data, digest_size=8)``.

RFC 7693; words are little-endian, as everywhere in this project.
"""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.compiled import Index, compiled

_IV = np.array(
    [
        0x6A09E667F3BCC908,
        0xBB67AE8584CAA73B,
        0x3C6EF372FE94F82B,
        0xA54FF53A5F1D36F1,
        0x510E527FADE682D1,
        0x9B05688C2B3E6C1F,
        0x1F83D9ABFB41BD6B,
        0x5BE0CD19137E2179,
    ],
    np.uint64,
)
#: Order of the message words in each of the twelve rounds; the last two repeat the first.
_SIGMA = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    np.int64,
)
#: Parameters: fan-out 1, depth 1, no key, digest of eight bytes.
_PARAMETERS = np.uint64(0x01010008)
_BLOCK_BYTES = 128
#: Words that ``digest`` needs to work in: the state, 16 of a round, 16 of the message.
SCRATCH_WORDS = 40


@compiled
def _g(
    v: NDArray[np.uint64], at: tuple[int, int, int, int], first: np.uint64, second: np.uint64
) -> None:
    """Mix two message words into four words of the round (function G of the RFC)."""
    a, b, c, d = at
    va, vb, vc, vd = v[a] + v[b] + first, v[b], v[c], v[d]
    vd ^= va
    vd = (vd >> np.uint64(32)) | (vd << np.uint64(32))
    vc += vd
    vb ^= vc
    vb = (vb >> np.uint64(24)) | (vb << np.uint64(40))
    va += vb + second
    vd ^= va
    vd = (vd >> np.uint64(16)) | (vd << np.uint64(48))
    vc += vd
    vb ^= vc
    v[b] = (vb >> np.uint64(63)) | (vb << np.uint64(1))
    v[a], v[c], v[d] = va, vc, vd


@compiled
def _compress(scratch: NDArray[np.uint64], n_bytes: Index, is_last: bool) -> None:
    """Take the message block in the scratch into the state (function F of the RFC)."""
    h, v, m = scratch[:8], scratch[8:24], scratch[24:40]
    for i in range(8):
        v[i] = h[i]
        v[8 + i] = _IV[i]
    v[12] ^= np.uint64(n_bytes)
    if is_last:
        v[14] = ~v[14]
    for turn in range(12):
        s = _SIGMA[turn]
        _g(v, (0, 4, 8, 12), m[s[0]], m[s[1]])
        _g(v, (1, 5, 9, 13), m[s[2]], m[s[3]])
        _g(v, (2, 6, 10, 14), m[s[4]], m[s[5]])
        _g(v, (3, 7, 11, 15), m[s[6]], m[s[7]])
        _g(v, (0, 5, 10, 15), m[s[8]], m[s[9]])
        _g(v, (1, 6, 11, 12), m[s[10]], m[s[11]])
        _g(v, (2, 7, 8, 13), m[s[12]], m[s[13]])
        _g(v, (3, 4, 9, 14), m[s[14]], m[s[15]])
    for i in range(8):
        h[i] ^= v[i] ^ v[8 + i]


@compiled
def digest(
    data: NDArray[np.uint8], start: Index, end: Index, scratch: NDArray[np.uint64]
) -> np.uint64:
    """Return the eight bytes of the digest of ``data[start:end]`` as a little-endian number.

    Args:
        data: Bytes.
        start: First byte.
        end: Behind the last byte.
        scratch: ``SCRATCH_WORDS`` words to work in.
    """
    for i in range(8):
        scratch[i] = _IV[i]
    scratch[0] ^= _PARAMETERS
    done: Index = 0
    while True:
        n: Index = min(int(end - start - done), _BLOCK_BYTES)
        for word in range(16):
            packed = np.uint64(0)
            for byte in range(min(8, n - 8 * word)):
                at = start + done + 8 * word + byte
                packed |= np.uint64(data[at]) << np.uint64(8 * byte)
            scratch[24 + word] = packed
        done += n
        is_last = done == end - start
        _compress(scratch, done, is_last)
        if is_last:
            return np.uint64(scratch[0])
