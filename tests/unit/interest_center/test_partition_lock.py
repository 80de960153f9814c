"""A loop that takes the lock again at once does not keep a reader out."""

import threading
import time

import pytest

from interest_center.partition_lock import PartitionLock


def slices_until_read() -> int:
    """Return how many times a loop took the lock again before a waiting reader had it."""
    lock, taken, seen = PartitionLock(), [], []

    def read() -> None:
        with lock:
            seen.append(len(taken))

    lock.__enter__()
    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.01)  # Until the reader waits.
    while not seen and len(taken) < 1000:
        taken.append(None)
        lock.__exit__(None, None, None)
        lock.__enter__()
    lock.__exit__(None, None, None)
    reader.join()
    return seen[0]


def test_a_waiting_reader_is_next_although_the_loop_comes_back_at_once() -> None:
    assert [slices_until_read() for _ in range(20)] == [1] * 20


def test_it_is_released_by_an_error() -> None:
    lock = PartitionLock()
    with pytest.raises(ValueError, match="in the slice"), lock:
        raise ValueError("in the slice")
    with lock:
        pass
