"""A log of many requests, and each of them as the ranking worker would lay it out."""

import numpy as np
from numpy.typing import NDArray

from interest_center.core.behaviors import Behaviors
from interest_center.core.layout import StateConfig
from models.bundle import Bundle
from models.inputs import RankInputs
from models.tables import Events, Samples

SEED = 20240612
STATE = StateConfig()
N_REQUESTS = 200


def make_log() -> tuple[Events, Samples]:
    """30 users of few to many events, some never seen, 200 impressions of several items each."""
    rng = np.random.default_rng(SEED)
    n = 2000
    events = Events(
        users=(rng.integers(1, 30, n) ** 2 // 30 + 1).astype(np.uint64),
        items=rng.integers(1, 1100, n).astype(np.uint64),
        categories=rng.integers(0, 55, n).astype(np.uint64),
        types=rng.integers(1, 8, n).astype(np.uint8),
        times_ms=np.sort(rng.integers(0, STATE.late_after_ms, n)),
    )
    shown = np.repeat(np.arange(N_REQUESTS), rng.integers(1, 9, N_REQUESTS))
    m = len(shown)
    triggers = rng.integers(0, 1100, N_REQUESTS) * rng.integers(0, 2, N_REQUESTS)
    samples = Samples(
        users=rng.integers(1, 33, N_REQUESTS).astype(np.uint64)[shown],
        items=rng.integers(1, 1100, m).astype(np.uint64),
        categories=rng.integers(0, 55, m).astype(np.uint64),
        times_ms=rng.integers(0, STATE.late_after_ms, N_REQUESTS)[shown],
        labels=rng.integers(0, 2, m).astype(np.int8),
        splits=np.full(m, 2, np.int8),
        pages=rng.integers(-1, 5, N_REQUESTS)[shown],
        triggers=triggers.astype(np.uint64)[shown],
        trigger_categories=np.zeros(m, np.uint64),
        oracle=None,
    )
    return events, samples


def online_inputs(
    bundle: Bundle, events: Events, samples: Samples, rows: NDArray[np.int64]
) -> RankInputs:
    """Lay out the request of some rows, from states that plain loops over the log keep."""
    row = rows[0]
    past = (events.users == samples.users[row]) & (events.times_ms < samples.times_ms[row])
    past &= events.types != 1 + STATE.event_types.index("dislike")
    page = int(samples.pages[row])
    return RankInputs(
        behavior_items=events.items[past],
        behavior_categories=events.categories[past],
        behavior_types=events.types[past],
        behavior_times_ms=events.times_ms[past],
        memory=_memory_after(bundle, events.items[past], events.categories[past]),
        subsequences=_by_category(events, past),
        candidate_items=samples.items[rows],
        candidate_categories=samples.categories[rows],
        time_ms=int(samples.times_ms[row]),
        page=None if page < 0 else page,
        trigger_item=int(samples.triggers[row]),
    )


def _memory_after(
    bundle: Bundle, items: NDArray[np.uint64], categories: NDArray[np.uint64]
) -> NDArray[np.float32] | None:
    if bundle.updater is None or not len(items):
        return None
    rows = bundle.updater.initial_row()[None].copy()
    bundle.updater.update_many(rows, np.zeros(len(items), np.int64), items, categories)
    return rows[0]


def _by_category(events: Events, past: NDArray[np.bool_]) -> dict[int, Behaviors]:
    """Return the newest behaviors of each category; none is evicted here."""
    found = {}
    for category in np.unique(events.categories[past]).tolist():
        newest = np.flatnonzero(past & (events.categories == category))
        newest = newest[-STATE.n_subsequence_behaviors :]
        columns = (events.items, events.categories, events.types, events.times_ms)
        found[category] = Behaviors(*(column[newest] for column in columns))
    found.pop(0, None)
    return found
