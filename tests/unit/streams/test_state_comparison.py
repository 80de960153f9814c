"""The comparison of `uic verify`: right states are equal, and each kind of damage is named."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from packed import packed

from interest_center.center import PartitionCenter
from interest_center.core.event_decoder import EventDecoder
from interest_center.core.events import EventRules
from interest_center.core.ids import encode_id
from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from interest_center.core.meta import LogIdentity
from interest_center.stores.memory import MemoryStore
from models.bundle import load_updater, untrained_bundle
from streams.reference.history import PartitionHistory
from streams.reference.memories import MemoryReference, memory_reference
from streams.reference.states import Behavior, State
from streams.state_comparison import Comparison, StateComparer

USER = "u1"
RULES = StateConfig(n_behaviors=5, n_event_ids=4, n_subsequences=3, n_subsequence_behaviors=2)
NOON_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Sent:
    """A record as Kafka hands it out."""

    offset: int
    value: bytes
    key: bytes = USER.encode()
    timestamp: int = NOON_MS
    headers: tuple[tuple[str, bytes | None], ...] = ()


@dataclass(frozen=True)
class Both:
    """What the engine says of a user, what it must say, and how memories are computed."""

    told: UserState
    wanted: State
    memory: MemoryReference


@pytest.fixture(scope="module", params=["din+mimn", "din+hpmn"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    bundle = tmp_path_factory.mktemp("bundle")
    untrained_bundle(bundle, request.param, state=RULES)
    rng = np.random.default_rng(1)
    records = [
        Sent(
            offset,
            json.dumps(
                {
                    "event_id": f"e{rng.integers(150)}",
                    "user_id": USER,
                    "item_id": str(rng.integers(1, 2000)),
                    "category_id": str(rng.integers(1, 6)),
                    "event_type": str(rng.choice(["click", "cart", "dislike"])),
                    "event_time_ms": int(NOON_MS - rng.integers(2 * RULES.late_after_ms)),
                }
            ).encode(),
        )
        for offset in range(200)
    ]
    updater = load_updater(bundle)
    identity = LogIdentity("cluster", "events", "id", 1, 0)
    center = PartitionCenter(MemoryStore(), RULES, updater, identity)
    center.apply(EventDecoder(EventRules("events", 1)).decode(0, packed(records), 0, 200))
    history = PartitionHistory(0, 1, RULES, lambda _: True)
    history.add(records)
    counters = center.counters
    assert history.outcomes(200) == {
        "applied": counters.applied,
        "duplicate": counters.duplicate,
        "late_dropped": counters.late_dropped,
        "dead_lettered": 0,
    }
    assert counters.duplicate
    assert counters.late_dropped
    read = center.read([encode_id(USER)], history.categories_of(USER))
    stored = read.states[0]
    told = UserState(
        USER, 0, read.watermark, stored.profile, stored.memory, 1, 0, dict(stored.subsequences)
    )
    memory = memory_reference(bundle)
    assert memory is not None
    return Both(told, history.state_of(USER, read.watermark), memory)


def differences(both: Both, wanted: State) -> list[str]:
    found = Comparison()
    StateComparer(RULES, both.memory).compare(both.told, wanted, found)
    assert found.users == 1
    return found.differences


def test_right_states_are_equal(both: Both) -> None:
    found = Comparison()
    StateComparer(RULES, both.memory).compare(both.told, both.wanted, found)
    assert found.differences == []
    assert found.memories == 1
    assert found.subsequences == 3
    kept = both.wanted.subsequences.values()
    assert found.behaviors == 5 + sum(len(one.behaviors) for one in kept) > 8
    assert 0 < found.worst_memory < 1e-5


@dataclass
class OffReference:
    """A reference whose rows are off in one value, and which knows of some noise."""

    right: MemoryReference
    at: int
    off: float
    noise_at: int
    noise: float

    def row_of(self, *asked: Any) -> NDArray[np.float64]:
        row = self.right.row_of(*asked)
        row[self.at] += self.off
        return row

    def noise_of(self, *asked: Any) -> NDArray[np.float64]:
        noise = np.zeros_like(self.right.row_of(*asked))
        noise[self.noise_at] = self.noise
        return noise


@pytest.mark.parametrize(
    ("at", "off", "noise_at", "noise", "is_equal"),
    [
        (0, 5e-4, 0, 2e-4, True),
        (0, 5e-4, 0, 1e-4, False),
        (0, 5e-4, 1, 1.0, False),
        (0, 2e-2, 0, 1.0, False),
        (-1, 1.0, 0, 1.0, False),
    ],
    ids=["by noise", "more than noise", "noise elsewhere", "beyond any noise", "number of events"],
)
def test_a_memory_may_differ_where_and_as_much_as_noise_makes_it(
    both: Both, at: int, off: float, noise_at: int, noise: float, is_equal: bool
) -> None:
    found = Comparison()
    memory = OffReference(both.memory, at, off, noise_at, noise)
    StateComparer(RULES, memory).compare(both.told, both.wanted, found)  # type: ignore[arg-type]
    assert (found.differences == []) == is_equal


def test_the_noise_of_a_memory_is_small_and_of_its_values_alone(both: Both) -> None:
    events = [(item, category) for item, category, _ in both.wanted.memory_events]
    row = both.memory.row_of(events, np.zeros(0))
    noise = both.memory.noise_of(events, row)
    assert noise.shape == row.shape
    assert noise[-1] == 0
    assert 0 < noise.max() < 1e-4


def longest(state: State) -> list[Behavior]:
    return max((kept.behaviors for kept in state.subsequences.values()), key=len)


DAMAGES: dict[str, Callable[[State], object]] = {
    "event count": lambda state: setattr(state, "event_count", state.event_count + 1),
    "counts": lambda state: state.counts.update(["click"]),
    "last event time": lambda state: setattr(state, "last_time_ms", 1),
    "chained hash": lambda state: setattr(state, "chain", state.chain ^ 1),
    "remembered event ids": lambda state: state.recent_ids.reverse(),
    "behaviors": lambda state: state.behaviors.reverse(),
    "directory": lambda state: state.subsequences.popitem(),
    "sub-sequence": lambda state: longest(state).reverse(),
    "memory": lambda state: state.memory_events.pop(0),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(both: Both, name: str) -> None:
    damaged = deepcopy(both.wanted)
    DAMAGES[name](damaged)
    found = differences(both, damaged)
    assert len(found) == 1
    assert name in found[0]


def test_a_user_without_records_is_found(both: Both) -> None:
    nobody = UserState(USER, 0, 200)
    found = Comparison()
    StateComparer(RULES, both.memory).compare(nobody, both.wanted, found)
    assert found.n_different == 1
    assert "no profile" in found.differences[0]
    assert "no memory" in found.differences[0]
