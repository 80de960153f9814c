"""The compiled hash index against a dictionary, through insertions and removals."""

import random

import numpy as np
import pytest

from interest_center.row_index import find_rows, insert_rows, new_index, remove_rows


def u64(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.uint64)


@pytest.mark.parametrize("capacity", [1, 2, 7, 100])
def test_finds_what_a_dictionary_finds(capacity: int) -> None:
    rng = random.Random(capacity)
    index, twin, free = new_index(capacity), {}, list(range(capacity))
    keys = [(rng.getrandbits(64), rng.choice([0, 1, 2**64 - 1])) for _ in range(2 * capacity)]
    for _ in range(300):
        key = rng.choice(keys)
        if key in twin:
            row = twin.pop(key)
            remove_rows(index, np.array([row]))
            free.append(row)
        elif free:
            twin[key] = free.pop(rng.randrange(len(free)))
            insert_rows(index, np.array([twin[key]]), u64([key[0]]), u64([key[1]]))
        found = find_rows(index, u64([a for a, _ in keys]), u64([b for _, b in keys]))
        assert found.tolist() == [twin.get(key, -1) for key in keys]
    assert (index.slots >= 0).sum() == len(twin)
