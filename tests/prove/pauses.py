"""How long this machine keeps a process from running: what no time measured on it can be below."""

import os
import time
from concurrent.futures import ProcessPoolExecutor

SECONDS = 5.0


def longest_pause() -> float:
    """Let a process compute on each processor for some seconds; return the longest gap, seconds."""
    n = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(n) as processes:
        return max(processes.map(_longest_gap, [SECONDS] * n))


def _longest_gap(seconds: float) -> float:
    last = begun = time.perf_counter()
    longest = 0.0
    while last < begun + seconds:
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest
