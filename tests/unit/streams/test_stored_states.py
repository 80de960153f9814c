"""The plain reading of a copy, rows and journal, against the twin."""

import random
from pathlib import Path

import pytest
from factories import DecayUpdater, make_batch, make_center, make_history, small_config
from reference.interest_state import ReferenceCenter, User

from interest_center.stores.rocksdb import RocksStore
from streams.reference.states import State
from streams.reference.stored_states import StoredStates

CONFIG, LIMITS = small_config()


def assert_same(state: State, user: User) -> None:
    names = CONFIG.event_types
    assert (state.event_count, state.chain) == (user.event_count, user.chain_hash)
    assert state.recent_ids == user.event_ids
    assert state.behaviors == [
        (item, category, names[code - 1], time) for item, category, code, time in user.behaviors
    ]
    kept = {
        category: (one.updated_at, [(item, time) for item, _, _, time in one.behaviors])
        for category, one in state.subsequences.items()
    }
    assert kept == {
        category: (updated_at, [(item, time) for item, _, time in behaviors])
        for category, (updated_at, behaviors) in user.categories.items()
    }


@pytest.mark.parametrize("seed", range(6))
def test_rows_and_journal_make_the_state_at_the_watermark(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    events, twin = make_history(seed, 400), ReferenceCenter(LIMITS)
    sizes = {"hot_users": rng.choice([3, 100]), "replay_cost": rng.choice([20, 100, 1000])}
    center = make_center(RocksStore(tmp_path / "s"), CONFIG, DecayUpdater(), **sizes)
    start = 0
    while start < len(events):
        end = min(start + rng.randrange(1, 60), len(events))
        center.apply(make_batch(events[start:end], start))
        center.checkpoint()
        start = end
    assert center.meta().journal_events > 0
    center.close()
    twin.apply(events)
    stored = StoredStates(tmp_path / "s", CONFIG, 0)
    for number in range(1, 11):
        assert_same(stored.state_of(str(number)), twin.users.get(number, User()))
    stored.close()
