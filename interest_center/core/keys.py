"""Keys of a partition's store: all records of one user lie together.

::

    user record        'u' | user 8 | kind 1 | sub 8      integers big-endian, 18 bytes
                                     kind 'p' profile       sub = 0
                                     kind 's' sub-sequence  sub = category id
                                     kind 'm' memory        sub = memory fingerprint
    dictionary record  'd' | id 8                           value: text of a hashed id
    journal piece      'j' | start position 8               events since the checkpoint before
    rows written       'w' | position 8 | number 8          users whose rows are as of a position
    meta record        'm'                                  watermark, counters, identity
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

PROFILE = b"p"
SUBSEQUENCE = b"s"
MEMORY = b"m"
META_KEY = b"m"
JOURNAL_PREFIX = b"j"
WRITTEN_PREFIX = b"w"

_USER_KEY = np.dtype([("tag", "S1"), ("user", ">u8"), ("kind", "S1"), ("sub", ">u8")])


def user_prefix(user: int) -> bytes:
    """Return what every key of one user's records begins with."""
    return b"u" + user.to_bytes(8, "big")


def user_key(user: int, kind: bytes, sub: int = 0) -> bytes:
    """Return the key of one record of a user."""
    return user_prefix(user) + kind + sub.to_bytes(8, "big")


def user_keys(users: NDArray[np.uint64], kind: bytes, subs: ArrayLike = 0) -> list[bytes]:
    """Return the keys of the same kind of record of many users.

    Args:
        users: User ids, ``[n]``.
        kind: ``PROFILE``, ``SUBSEQUENCE`` or ``MEMORY``.
        subs: Category ids or memory fingerprint, ``[n]`` or one for all.
    """
    keys = np.empty(len(users), _USER_KEY)
    keys["tag"] = b"u"
    keys["user"] = users
    keys["kind"] = kind
    keys["sub"] = subs
    raw = keys.tobytes()
    width = _USER_KEY.itemsize
    return [raw[i : i + width] for i in range(0, len(raw), width)]


def dictionary_key(identifier: int) -> bytes:
    """Return the key of the text of a hashed item or category id."""
    return b"d" + identifier.to_bytes(8, "big")


def journal_key(start_position: int) -> bytes:
    """Return the key of the piece of the journal that begins at a position."""
    return JOURNAL_PREFIX + start_position.to_bytes(8, "big")


def written_key(position: int, number: int) -> bytes:
    """Return the key of a list of users whose rows were written at a position."""
    return WRITTEN_PREFIX + position.to_bytes(8, "big") + number.to_bytes(8, "big")
