"""A log small enough to score in a moment: events and samples of some users."""

import numpy as np

from models.tables import NO_PAGE, TEST, TRAIN, Events, Samples

HOUR_MS = 3_600_000


def make_small_log(n_users: int = 24, seed: int = 0) -> tuple[Events, Samples]:
    """Return 0 to 40 hourly events of each user, and samples between and after them.

    Some samples have a trigger, some a page; half of them are for training.
    """
    rng = np.random.default_rng(seed)
    lengths = rng.permutation(np.linspace(0, 40, n_users).astype(np.int64))
    users = np.repeat(np.arange(1, n_users + 1), lengths)
    times = np.concatenate([np.arange(length) * HOUR_MS for length in lengths])
    items = rng.integers(1, 60, len(users))
    order = np.argsort(times, kind="stable")
    events = Events(
        users[order].astype(np.uint64),
        items[order].astype(np.uint64),
        (items % 5 + 1)[order].astype(np.uint64),
        rng.integers(1, 3, len(users)).astype(np.uint8),
        times[order].astype(np.int64),
    )
    n = n_users * 12
    shown = rng.integers(1, 60, n)
    times = rng.integers(0, 60, n // 3).repeat(3) * HOUR_MS + 1
    trigger = np.where(rng.random(n // 3) < 0.5, rng.integers(1, 60, n // 3), 0).repeat(3)
    samples = Samples(
        users=np.repeat(np.arange(1, n_users + 1), 12).astype(np.uint64),
        items=shown.astype(np.uint64),
        categories=(shown % 5 + 1).astype(np.uint64),
        times_ms=times.astype(np.int64),
        labels=(rng.random(n) < 0.2 + 0.1 * (shown % 5)).astype(np.int8),
        splits=np.where(np.arange(n) // 3 % 2, TEST, TRAIN).astype(np.int8),
        pages=rng.integers(NO_PAGE, 14, n // 3).repeat(3).astype(np.int64),
        triggers=trigger.astype(np.uint64),
        trigger_categories=np.zeros(n, np.uint64),
        oracle=None,
    )
    return events, samples
