"""Ids are strings on the wire and 64 bits in a state; this is the one place that maps them.

A decimal ``[1-9][0-9]{0,18}`` below 2**63 stands for itself. Any other string is the first eight
bytes of its BLAKE2b digest with the top bit set. 0 is padding and never an id.
"""

import hashlib
import re

PADDING_ID = 0
TOP_BIT = 1 << 63

_DECIMAL = re.compile(r"[1-9][0-9]{0,18}\Z", re.ASCII)


def encode_id(text: str) -> int:
    """Turn the id of a user, an item or a category into its 64 bits.

    Args:
        text: The id as sent, not empty.

    Returns:
        An unsigned 64-bit integer, never ``PADDING_ID``.
    """
    if _DECIMAL.match(text):
        number = int(text)
        if number < TOP_BIT:
            return number
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") | TOP_BIT


def is_hashed(identifier: int) -> bool:
    """Tell whether the text of an id must be kept in a dictionary record to be shown again."""
    return identifier >= TOP_BIT


def shown_id(identifier: int) -> str:
    """Return an id for people who have no dictionary: the number, or ``#`` and 16 hex digits."""
    return f"#{identifier:016x}" if is_hashed(identifier) else str(identifier)


def murmur2(data: bytes) -> int:
    """Hash a record key as Kafka's Java client does (MurmurHash2, seed 0x9747b28c).

    Returns:
        An unsigned 32-bit integer.
    """
    mask = 0xFFFFFFFF
    magic = 0x5BD1E995
    length = len(data)
    h = (0x9747B28C ^ length) & mask
    n_words = length // 4
    for i in range(n_words):
        k = int.from_bytes(data[4 * i : 4 * i + 4], "little")
        k = (k * magic) & mask
        k ^= k >> 24
        k = (k * magic) & mask
        h = ((h * magic) & mask) ^ k
    tail = data[4 * n_words :]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * magic) & mask
    h ^= h >> 13
    h = (h * magic) & mask
    return h ^ (h >> 15)


def partition_of(key: bytes, n_partitions: int) -> int:
    """Return the partition of a key as Kafka's default partitioner chooses it."""
    return (murmur2(key) & 0x7FFFFFFF) % n_partitions
