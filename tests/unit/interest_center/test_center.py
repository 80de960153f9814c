"""The center against the plain-Python twin, and what it promises about offsets and durability."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from factories import (
    DAY_MS,
    IDENTITY,
    NOON_MS,
    DecayUpdater,
    assert_equal_states,
    make_batch,
    make_center,
    make_event,
    make_history,
    small_config,
)
from reference.interest_state import ReferenceCenter

from interest_center.center import PartitionCenter
from interest_center.core.errors import LogMismatchError, NotReadyError, StateMismatchError
from interest_center.core.events import DeadLetter
from interest_center.core.journal_records import EVENT_BYTES
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.records import decode_profile
from interest_center.stores.memory import MemoryStore
from interest_center.stores.rocksdb import RocksStore


def dead_letter(offset: int) -> DeadLetter:
    return DeadLetter("events", 3, offset, NOON_MS, "not_json", "", None, b"", ())


def test_follows_the_twin_through_a_long_history() -> None:
    config, limits = small_config()
    updater = DecayUpdater()
    events = make_history(1, 4000)
    center, twin = make_center(MemoryStore(), config, updater), ReferenceCenter(limits)
    twin.apply(events)
    report = center.apply(make_batch(events))
    assert_equal_states(center, twin, updater)
    assert report.applied == twin.applied > 2000
    assert report.duplicate == twin.duplicate > 50
    assert report.late_dropped == twin.late_dropped > 50
    assert report.erased == twin.erased > 10


def test_follows_the_twin_at_full_size() -> None:
    events = make_history(2, 12_000, n_users=5, n_categories=90, erased_share=0)
    center, twin = make_center(MemoryStore()), ReferenceCenter()
    twin.apply(events)
    center.apply(make_batch(events))
    assert_equal_states(center, twin, users=range(1, 7), categories=range(1, 91))
    assert len(twin.users[1].categories) == 64
    assert len(twin.users[1].behaviors) == 100


def test_an_event_id_is_forgotten_after_so_many_others() -> None:
    config, _ = small_config()
    center = make_center(MemoryStore(), config)
    events = [make_event(event_hash=n) for n in (1, 2, 3, 4, 5, 1, 6, 1, 5)]
    report = center.apply(make_batch(events))
    assert (report.applied, report.duplicate) == (7, 2)


def test_late_is_measured_from_the_users_latest_event_time() -> None:
    center = make_center(MemoryStore())
    times = (NOON_MS, NOON_MS - DAY_MS, NOON_MS - DAY_MS - 1, NOON_MS + 5, NOON_MS - DAY_MS + 4)
    report = center.apply(make_batch([make_event(event_time_ms=time) for time in times]))
    assert (report.applied, report.late_dropped) == (3, 2)


def test_a_category_that_returns_starts_empty_though_its_record_is_still_stored() -> None:
    config, limits = small_config(n_subsequences=2)
    center, twin = make_center(MemoryStore(), config), ReferenceCenter(limits)
    first = [make_event(category=category) for category in (1, 1, 2)]
    center.apply(make_batch(first))
    center.checkpoint()
    second = [make_event(category=category) for category in (3, 1)]
    center.apply(make_batch(second, 3))
    twin.apply(first + second)
    assert_equal_states(center, twin)
    center.checkpoint()
    center.apply(make_batch([make_event(category=2)], 5))
    center.checkpoint()
    read = center.read([1], [1, 2, 3])
    assert set(read.states[0].subsequences) == {1, 2}


@pytest.mark.parametrize("checkpoint_between", [False, True])
def test_an_erased_user_is_gone_at_once_and_from_the_store_at_the_checkpoint(
    checkpoint_between: bool,
) -> None:
    store = MemoryStore()
    other = make_center(store, updater=DecayUpdater(0xAAAA))
    other.apply(make_batch([make_event(user, category=5) for user in (1, 2)]))
    other.settle()
    center = make_center(store, updater=None)
    center.apply(make_batch([make_event(1, erase=True)], 2))
    assert center.read([1], [5]).states[0].profile is None
    assert center.read([1], [5]).states[0].subsequences == {}
    if checkpoint_between:
        center.checkpoint()
        assert list(store.scan_prefix(b"u" + (1).to_bytes(8, "big"))) == []
    center.apply(make_batch([make_event(1, item=77, category=6)], 3))
    center.settle()
    kinds = [key[9:10] for key, _ in store.scan_prefix(b"u" + (1).to_bytes(8, "big"))]
    assert kinds == [b"p", b"s"]
    assert len(list(store.scan_prefix(b"u" + (2).to_bytes(8, "big")))) == 3
    assert set(center.read([1], [5, 6]).states[0].subsequences) == {6}


def test_an_erasure_inside_a_batch_takes_the_memory_back() -> None:
    updater = DecayUpdater()
    center, twin = make_center(MemoryStore(), updater=updater), ReferenceCenter()
    events = [make_event(1), make_event(2), make_event(1, erase=True), make_event(1, item=3)]
    events += [make_event(2, erase=True), make_event(1, item=4)]
    center.apply(make_batch(events))
    twin.apply(events)
    assert_equal_states(center, twin, updater)


def test_offsets_with_gaps_and_dead_letters_add_up_at_every_slice() -> None:
    center = make_center(MemoryStore())
    events = [make_event(user) for user in range(5)]
    letters = [dead_letter(offset) for offset in (0, 7, 30)]
    batch = make_batch(
        events,
        offsets=(3, 5, 8, 9, 20),
        next_position=40,
        n_records=8,
        dead_letters=letters,
        last_record=(30, 9),
    )
    center._scanner._n_slice = 2
    seen = []
    scan = center._scanner.scan

    def watch(*arguments: object) -> int:
        seen.append((center.watermark, center._progress.counters))
        return scan(*arguments)  # type: ignore[arg-type]

    center._scanner.scan = watch  # type: ignore[method-assign, assignment]
    center.apply(batch)
    seen.append((center.watermark, center.counters))
    assert [watermark for watermark, _ in seen] == [0, 6, 10, 40]
    assert [counters.dead_lettered for _, counters in seen] == [0, 1, 2, 3]
    for watermark, counters in seen:
        assert counters.consumed == counters.applied + counters.dead_lettered
        assert watermark - counters.start_position == counters.consumed + counters.skipped
    assert center.counters.skipped == 32
    assert center.last_record == (30, 9)


def test_an_empty_advance_moves_the_watermark() -> None:
    center = make_center(MemoryStore())
    center.apply(make_batch([], next_position=4))
    assert (center.watermark, center.counters.skipped) == (4, 4)


def test_a_batch_that_does_not_go_on_at_the_watermark_is_refused() -> None:
    center = make_center(MemoryStore())
    center.apply(make_batch([make_event()]))
    for start in (0, 2):
        with pytest.raises(LogMismatchError, match="does not go on at 1"):
            center.apply(make_batch([make_event()], start))
    with pytest.raises(LogMismatchError):
        center.apply(make_batch([make_event()], 1, partition=2))


def test_what_is_checkpointed_is_there_after_a_restart_and_nothing_else(tmp_path: Path) -> None:
    config, limits = small_config()
    updater = DecayUpdater()
    events = make_history(3, 900)
    twin = ReferenceCenter(limits)
    twin.apply(events[:600])
    center = make_center(RocksStore(tmp_path / "s"), config, updater)
    center.apply(make_batch(events[:600], texts={(1 << 63) + 5: "shoes"}))
    report = center.checkpoint()
    assert report is not None
    assert report.watermark == center.durable_watermark == 600
    assert center.checkpoint() is None
    counters = center.counters
    center.apply(make_batch(events[600:], 600, texts={(1 << 63) + 6: "hats"}))
    assert center.texts_of([(1 << 63) + 5, (1 << 63) + 6, 7]) == {
        (1 << 63) + 5: "shoes",
        (1 << 63) + 6: "hats",
    }
    center.close()
    again = make_center(RocksStore(tmp_path / "s"), config, updater)
    assert (again.watermark, again.counters) == (600, counters)
    assert again.last_record == (599, 599 % 7)
    assert again.texts_of([(1 << 63) + 5, (1 << 63) + 6]) == {(1 << 63) + 5: "shoes"}
    assert_equal_states(again, twin, updater)
    again.apply(make_batch(events[600:], 600))
    twin.apply(events[600:])
    assert_equal_states(again, twin, updater)
    again.close()


def test_dirty_bytes_are_those_of_events_that_no_checkpoint_holds() -> None:
    center = make_center(MemoryStore())
    center.apply(make_batch([make_event() for _ in range(3)]))
    assert center.dirty_bytes() == 3 * EVENT_BYTES
    center.checkpoint()
    assert center.dirty_bytes() == 0


def test_rows_that_are_due_are_written_until_none_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interest_center.center.MOST_USERS", 2)
    config, limits = small_config()
    store, twin = MemoryStore(), ReferenceCenter(limits)
    center = make_center(store, config, DecayUpdater(), replay_cost=200)
    events = make_history(6, 2000, n_users=40)
    for start in range(0, 2000, 50):
        center.apply(make_batch(events[start : start + 50], start))
        center.checkpoint()
        for _ in range(40):
            if not center.needs_checkpoint():
                break
            center.checkpoint()
        assert not center.needs_checkpoint()
        assert center.meta().journal_events <= 200 + 50
    twin.apply(events)
    again = make_center(store, config, DecayUpdater(), replay_cost=200)
    assert_equal_states(again, twin, DecayUpdater(), users=range(1, 41))
    center.close()
    assert not center.needs_checkpoint()


def test_more_users_than_rows_forces_checkpoints_and_changes_nothing() -> None:
    config, limits = small_config()
    updater = DecayUpdater()
    events = make_history(5, 2000, n_users=40)
    center = make_center(MemoryStore(), config, updater, hot_users=7, subsequences_per_user=1)
    twin = ReferenceCenter(limits)
    twin.apply(events)
    report = center.apply(make_batch(events))
    assert report.checkpoints > 100
    assert report.cold_users > 500
    assert_equal_states(center, twin, updater, users=range(1, 42))


def test_memory_of_other_weights_is_kept_but_never_served() -> None:
    store = MemoryStore()
    first, second = DecayUpdater(1), DecayUpdater(2)
    center = make_center(store, updater=first)
    center.apply(make_batch([make_event()]))
    center.settle()
    assert (center.memory_from, center.read([1]).states[0].memory is None) == (0, False)
    other = make_center(store, updater=second)
    assert other.memory_from is None
    assert other.read([1]).states[0].memory is None
    assert other.read([1]).memory_from is None
    back = make_center(store, updater=first)
    assert back.memory_from == 0
    assert back.read([1]).states[0].memory is not None
    other.apply(make_batch([make_event(item=5)], 1))
    other.checkpoint()
    assert other.read([1]).states[0].memory is None
    fell_behind = make_center(store, updater=first)
    assert fell_behind.memory_from is None
    assert fell_behind.read([1]).states[0].memory is None
    assert fell_behind.meta().memory_watermark == 1


def test_a_fresh_copy_beside_the_old_one_builds_the_new_memory() -> None:
    events = make_history(6, 500)
    old = make_center(MemoryStore(), updater=DecayUpdater(1))
    old.apply(make_batch(events))
    new, updater, twin = MemoryStore(), DecayUpdater(2), ReferenceCenter()
    building = make_center(new, updater=updater)
    for start in range(0, 500, 50):
        building.apply(make_batch(events[start : start + 50], start))
    assert (building.watermark, building.memory_from) == (old.watermark, 0)
    twin.apply(events)
    assert_equal_states(building, twin, updater)


def test_a_truncated_log_is_begun_where_it_begins() -> None:
    store = MemoryStore()
    center = make_center(store, updater=DecayUpdater())
    assert center.is_empty
    center.begin_at(100)
    assert (center.watermark, center.history_from, center.memory_from) == (100, 100, 100)
    assert center.counters.start_position == 100
    center.apply(make_batch([make_event()], 100))
    center.begin_at(150)
    center.apply(make_batch([make_event(item=3)], 150))
    center.checkpoint()
    center = make_center(store, updater=DecayUpdater())
    assert (center.watermark, center.history_from, center.memory_from) == (151, 150, 150)
    assert (center.counters.skipped, center.counters.consumed) == (49, 2)
    with pytest.raises(LogMismatchError, match="cannot begin"):
        center.begin_at(120)


def test_a_copy_of_another_log_or_other_rules_is_no_start() -> None:
    store = MemoryStore()
    center = make_center(store)
    center.apply(make_batch([make_event()]))
    center.checkpoint()
    foreign = LogIdentity("cluster", "events", "recreated", 4, 3)
    with pytest.raises(LogMismatchError, match="recreated"):
        PartitionCenter(store, StateConfig(), None, foreign)
    with pytest.raises(StateMismatchError, match="configuration"):
        PartitionCenter(store, StateConfig(n_behaviors=50), None, IDENTITY)


def test_a_closed_center_refuses() -> None:
    center = make_center(MemoryStore())
    center.close()
    center.close()
    with pytest.raises(NotReadyError):
        center.read([1])
    with pytest.raises(NotReadyError):
        center.apply(make_batch([make_event()]))


def test_an_unknown_user_is_an_empty_state_and_order_is_kept() -> None:
    center = make_center(MemoryStore())
    center.apply(make_batch([make_event(user, item=user) for user in (7, 8)]))
    read = center.read([8, 99, 7, 8])
    assert [state.profile is None for state in read.states] == [False, True, False, False]
    profiles = [decode_profile(state.profile) for state in read.states if state.profile]
    assert [profile.item[0] for profile in profiles] == [8, 7, 8]
    assert (read.watermark, read.as_of_ms) == (2, NOON_MS)


def test_ids_use_all_64_bits() -> None:
    largest = 2**64 - 1
    center, twin = make_center(MemoryStore(), hot_users=1), ReferenceCenter()
    events = [
        make_event(user, largest - 1, category=largest, event_hash=largest - user)
        for user in (largest, largest - 1, largest)
    ]
    twin.apply(events)
    center.apply(make_batch(events))
    assert_equal_states(center, twin, users=[largest, largest - 1], categories=[largest])


def test_reads_between_slices_are_prefixes() -> None:
    config, limits = small_config()
    updater = DecayUpdater()
    events = make_history(8, 400)
    center = make_center(MemoryStore(), config, updater)
    center._scanner._n_slice = 16
    batch = make_batch(events).events
    columns = center._loader.columns(batch, center._scanner.rules, center.checkpoint)
    at = 0
    while at < len(events):
        at = center._scanner.scan(columns, at)
        center._evicted |= center._scanner.evicted()
        center._advance(at, center._scanner.sums, np.empty(0, np.int64))
        twin = ReferenceCenter(limits)
        twin.apply(events[:at])
        assert center.read([1]).watermark == at
        assert_equal_states(center, twin, updater)


def test_every_checkpoint_is_told_once_whoever_asked_for_it(tmp_path: Path) -> None:
    center = make_center(RocksStore(tmp_path / "store"))
    center.apply(make_batch([make_event(1)]))
    center.take_snapshot_copy(tmp_path / "copy")
    center.apply(make_batch([make_event(2)], 1))
    report = center.checkpoint()
    assert [told.watermark for told in center.new_reports()] == [1, 2]
    assert report is not None
    assert report.watermark == 2
    assert center.new_reports() == []
    center.close()


def test_counters_never_wait_and_belong_together() -> None:
    center = make_center(MemoryStore())
    center.apply(make_batch([make_event(1), make_event(2)], offsets=[3, 9], start=0))
    with center._lock:
        counters = center.counters
    assert (counters.position, counters.consumed, counters.skipped) == (10, 2, 8)


def test_texts_of_a_closed_center_are_refused_not_guessed() -> None:
    center = make_center(MemoryStore())
    center.close()
    with pytest.raises(NotReadyError):
        center.texts_of([1 << 63])


def test_a_closed_center_leaves_no_memory_behind() -> None:
    """It takes hundreds of megabytes, and nobody looks for cycles of objects that are this few."""
    gc.collect()
    gc.disable()
    try:
        center = make_center(MemoryStore(), updater=DecayUpdater())
        center.apply(make_batch(make_history(1, 300)))
        center.checkpoint()
        center.close()
        kept = weakref.ref(center)
        del center
        assert kept() is None
    finally:
        gc.enable()
