"""However a history is cut, ordered between users, checkpointed or squeezed: the same state."""

import random
from pathlib import Path

import pytest
from factories import (
    DecayUpdater,
    assert_equal_states,
    make_batch,
    make_center,
    make_history,
    small_config,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.interest_state import Event, ReferenceCenter

from interest_center.core.journal_records import decode_journal
from interest_center.stores.memory import MemoryStore
from interest_center.stores.rocksdb import RocksStore

CONFIG, LIMITS = small_config()
HISTORY = make_history(21, 500)


def records_of(store: MemoryStore) -> dict[bytes, bytes]:
    return {key: value for key, value in store.scan_prefix(b"") if key.startswith(b"u")}


def applied_at_once(events: list[Event]) -> dict[bytes, bytes]:
    store = MemoryStore()
    center = make_center(store, CONFIG, DecayUpdater())
    center.apply(make_batch(events))
    center.settle()
    return records_of(store)


@settings(max_examples=40, deadline=None)
@given(cuts=st.sets(st.integers(1, len(HISTORY) - 1), max_size=40), slice_=st.integers(1, 64))
def test_any_split_into_batches_and_slices_gives_the_same_bytes(
    cuts: set[int], slice_: int
) -> None:
    store = MemoryStore()
    center = make_center(store, CONFIG, DecayUpdater())
    center._scanner._n_slice = slice_
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(HISTORY)], strict=True):
        center.apply(make_batch(HISTORY[start:end], start))
    center.settle()
    assert records_of(store) == applied_at_once(HISTORY)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_only_the_order_within_a_user_matters(seed: int) -> None:
    queues = [[event for event in HISTORY if event.user == user] for user in range(1, 11)]
    turns = [number for number, queue in enumerate(queues) for _ in queue]
    random.Random(seed).shuffle(turns)
    mixed = [queues[number].pop(0) for number in turns]
    assert applied_at_once(mixed) == applied_at_once(HISTORY)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_checkpoints_and_dropped_rows_at_random_change_nothing(seed: int) -> None:
    rng = random.Random(seed)
    store, twin = MemoryStore(), ReferenceCenter(LIMITS)
    sizes = {
        "hot_users": rng.randrange(1, 12),
        "subsequences_per_user": rng.randrange(1, 4),
        "replay_cost": rng.randrange(1, 300),
    }
    center = make_center(store, CONFIG, DecayUpdater(), **sizes)
    start = 0
    while start < len(HISTORY):
        end = min(start + rng.randrange(1, 60), len(HISTORY))
        center.apply(make_batch(HISTORY[start:end], start))
        twin.apply(HISTORY[start:end])
        if rng.random() < 0.3:
            center.checkpoint()
        if rng.random() < 0.3:
            assert_equal_states(center, twin, DecayUpdater())
        start = end
    center.settle()
    assert_equal_states(center, twin, DecayUpdater())
    assert records_of(store) == applied_at_once(HISTORY)


@pytest.mark.parametrize("seed", range(16))
def test_a_crash_at_any_time_and_a_replay_from_the_watermark(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    twin = ReferenceCenter(LIMITS)
    twin.apply(HISTORY)
    sizes = {"hot_users": rng.choice([2, 8, 100]), "replay_cost": rng.choice([1, 60, 300, 5000])}
    center = make_center(RocksStore(tmp_path / "s"), CONFIG, DecayUpdater(), **sizes)
    crashes = 0
    while center.watermark < len(HISTORY):
        start = center.watermark
        center.apply(make_batch(HISTORY[start : start + rng.randrange(1, 90)], start))
        if rng.random() < 0.4:
            center.checkpoint()
        if rng.random() < 0.3:
            crashes += 1
            durable = center.durable_watermark
            center.close()
            center = make_center(RocksStore(tmp_path / "s"), CONFIG, DecayUpdater(), **sizes)
            assert center.watermark == durable
    assert crashes > 0
    assert_equal_states(center, twin, DecayUpdater())
    counters = center.counters
    assert counters.applied == twin.applied
    assert counters.duplicate == twin.duplicate
    assert counters.late_dropped == twin.late_dropped
    assert counters.erased == twin.erased
    assert counters.consumed == len(HISTORY)
    center.close()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_journal_stays_as_short_as_its_replay_may_cost(seed: int) -> None:
    rng = random.Random(seed)
    cost, store = rng.randrange(100, 400), MemoryStore()
    center = make_center(store, CONFIG, DecayUpdater(), replay_cost=cost)
    start = longest = 0
    while start < len(HISTORY):
        end = min(start + rng.randrange(1, 20), len(HISTORY))
        center.apply(make_batch(HISTORY[start:end], start))
        center.checkpoint()
        longest = max(longest, center.meta().journal_events)
        start = end
    assert longest <= cost + 20
    pieces = sum(len(decode_journal(record).events) for _, record in store.scan_prefix(b"j"))
    assert pieces == center.meta().journal_events
