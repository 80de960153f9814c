"""Keys of one user lie together, in the order of kind and sub id."""

import numpy as np

from interest_center.core.keys import (
    MEMORY,
    META_KEY,
    PROFILE,
    SUBSEQUENCE,
    dictionary_key,
    user_key,
    user_keys,
    user_prefix,
)


def test_keys_of_a_user_lie_together() -> None:
    keys = [
        user_key(u, kind, sub)
        for u in (1, 256)
        for kind in (MEMORY, SUBSEQUENCE)
        for sub in (0, 2**64 - 1)
    ]
    assert sorted(keys) == keys
    assert all(key.startswith(user_prefix(1)) for key in keys[:4])
    assert user_key(1, PROFILE) == b"u" + bytes(7) + b"\x01p" + bytes(8)
    assert {len(key) for key in keys} == {18}
    assert len({META_KEY[:1], dictionary_key(5)[:1], user_prefix(1)[:1]}) == 3


def test_many_keys_are_the_same_as_one_by_one() -> None:
    users = np.array([1, 0, 2**64 - 1], np.uint64)
    subs = np.array([0, 7, 2**63], np.uint64)
    expected = [
        user_key(u, SUBSEQUENCE, s) for u, s in zip(users.tolist(), subs.tolist(), strict=True)
    ]
    assert user_keys(users, SUBSEQUENCE, subs) == expected
    assert user_keys(users[:2], MEMORY, 5) == [user_key(1, MEMORY, 5), user_key(0, MEMORY, 5)]
    assert user_keys(users[:0], PROFILE) == []
