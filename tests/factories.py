"""Events, batches, histories and a small memory model with readable defaults."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reference.interest_state import Event, Limits, ReferenceCenter, User

from interest_center.answers import StoredState
from interest_center.center import CenterOptions, PartitionCenter
from interest_center.core.events import EVENT_DTYPE, OP_ERASE, EventBatch
from interest_center.core.layout import StateConfig
from interest_center.core.meta import LogIdentity
from interest_center.core.protocols import MemoryUpdater, Store
from interest_center.core.records import decode_memory, decode_profile, decode_subsequence

IDENTITY = LogIdentity("cluster", "events", "topic-id", 4, 3)
DAY_MS = 86_400_000
NOON_MS = 1_700_000_000_000


class DecayUpdater:
    """A memory whose value depends on the order of the events: decayed sums of hashed items."""

    name = "decay"
    row_floats = 5

    def __init__(self, fingerprint: int = 0xFEED) -> None:
        self.fingerprint = fingerprint

    def initial_row(self) -> NDArray[np.float32]:
        return np.arange(self.row_floats, dtype=np.float32)

    def update_many(
        self,
        rows: NDArray[np.float32],
        row_index: NDArray[np.int64],
        items: NDArray[np.uint64],
        categories: NDArray[np.uint64],
    ) -> None:
        for row, item, category in zip(
            row_index.tolist(), items.tolist(), categories.tolist(), strict=True
        ):
            self.update_one(rows[row], item, category)

    def update_one(self, row: NDArray[np.float32], item: int, category: int) -> None:
        seen = np.float32((item * 2654435761 + category * 40503) % 1000)
        row[:] = row * np.float32(0.875) + seen * np.arange(1, 6, dtype=np.float32)

    def summarise(self, row: NDArray[np.float32]) -> dict[str, Any]:
        return {"slot_norms": [float(np.abs(row).sum())], "slot_use": [1.0]}


def make_event(user: int = 1, item: int = 10, **fields: Any) -> Event:
    given = {"event_hash": random.getrandbits(64), "event_time_ms": NOON_MS, **fields}
    return Event(user, item, **given)


def make_batch(
    events: Sequence[Event], start: int = 0, *, offsets: Sequence[int] | None = None, **more: Any
) -> EventBatch:
    """Return events as the decoder would hand them over, without gaps unless offsets say so."""
    at = list(range(start, start + len(events))) if offsets is None else list(offsets)
    columns = np.zeros(len(events), EVENT_DTYPE)
    for name in ("event_time_ms", "user", "item", "category", "event_hash", "event_type"):
        columns[name] = np.array([getattr(e, name) for e in events], EVENT_DTYPE[name])
    columns["op"] = [OP_ERASE if event.erase else 0 for event in events]
    columns["offset"] = at
    given: dict[str, Any] = {
        "partition": IDENTITY.partition,
        "start_position": start,
        "next_position": at[-1] + 1 if at else start,
        "n_records": len(events),
        "events": columns,
        "last_record": (at[-1], at[-1] % 7) if at else None,
    }
    return EventBatch(**{**given, **more})


def make_history(
    seed: int,
    n_events: int,
    *,
    n_users: int = 10,
    n_categories: int = 8,
    erased_share: float = 0.01,
) -> list[Event]:
    """Return events with duplicates, late ones, erasures and events that feed nothing."""
    rng = random.Random(seed)
    events: list[Event] = []
    for i in range(n_events):
        user = rng.randrange(1, n_users + 1)
        time = NOON_MS + i * 60_000 - (rng.random() < 0.1) * rng.randrange(2 * DAY_MS)
        event = Event(
            user=user,
            item=rng.randrange(1, 50),
            event_hash=rng.getrandbits(64),
            event_time_ms=time,
            category=rng.choice([0, *range(1, n_categories + 1)]),
            event_type=rng.randrange(1, 8),
        )
        if events and rng.random() < 0.1:
            event = rng.choice(events[-200:])
        elif rng.random() < erased_share:
            event = Event(user, 0, 0, 0, 0, 0, erase=True)
        events.append(event)
    return events


def small_config(**fields: Any) -> tuple[StateConfig, Limits]:
    """Return rules with short rings, so that they overflow soon, and the same for the twin."""
    sizes = {
        "n_behaviors": 7,
        "n_event_ids": 5,
        "n_subsequences": 3,
        "n_subsequence_behaviors": 4,
        **fields,
    }
    return StateConfig(**sizes), Limits(**sizes)


def make_center(
    store: Store,
    config: StateConfig | None = None,
    updater: MemoryUpdater | None = None,
    **options: Any,
) -> PartitionCenter:
    sizes = CenterOptions(**{"hot_users": 100, **options})
    return PartitionCenter(store, config or StateConfig(), updater, IDENTITY, sizes)


def plain_state(stored: StoredState) -> dict[str, Any]:
    """Return stored records as plain numbers, to be compared with ``plain_user``."""
    if stored.profile is None:
        assert not stored.subsequences
        assert stored.memory is None
        return plain_user(User())
    profile = decode_profile(stored.profile)
    directory = profile.directory
    listed = zip(
        directory.category.tolist(),
        directory.updated_at.tolist(),
        directory.event_time_ms.tolist(),
        directory.size.tolist(),
        strict=True,
    )
    subsequences = {}
    for category, record in stored.subsequences.items():
        behaviors = decode_subsequence(record)
        assert set(behaviors.category.tolist()) == {category}
        subsequences[category] = list(
            zip(
                behaviors.item.tolist(),
                behaviors.event_type.tolist(),
                behaviors.event_time_ms.tolist(),
                strict=True,
            )
        )
    columns = (profile.item, profile.category, profile.event_type, profile.event_time_ms)
    return {
        "event_count": profile.event_count,
        "last_event_time_ms": profile.last_event_time_ms,
        "chain_hash": profile.chain_hash,
        "type_counts": profile.type_counts,
        "event_ids": profile.event_ids.tolist(),
        "behaviors": list(zip(*(column.tolist() for column in columns), strict=True)),
        "directory": {category: tuple(rest) for category, *rest in listed},
        "subsequences": subsequences,
        "memory": None if stored.memory is None else decode_memory(stored.memory).tolist(),
    }


def plain_user(user: User, updater: DecayUpdater | None = None) -> dict[str, Any]:
    """Return a user of the twin in the form of ``plain_state``."""
    memory = None
    if updater is not None and user.memory_events:
        row = updater.initial_row()
        for item, category in user.memory_events:
            updater.update_one(row, item, category)
        memory = row.tolist()
    return {
        "event_count": user.event_count,
        "last_event_time_ms": user.last_event_time_ms,
        "chain_hash": user.chain_hash,
        "type_counts": user.type_counts,
        "event_ids": user.event_ids,
        "behaviors": user.behaviors,
        "directory": {
            category: (updated_at, kept[-1][2], len(kept))
            for category, (updated_at, kept) in user.categories.items()
        },
        "subsequences": {category: kept for category, (_, kept) in user.categories.items()},
        "memory": memory,
    }


def assert_equal_states(
    center: PartitionCenter,
    twin: ReferenceCenter,
    updater: DecayUpdater | None = None,
    users: Iterable[int] = range(1, 12),
    categories: Iterable[int] = range(1, 10),
) -> None:
    """Check every user of a center against the plain-Python twin."""
    users = list(users)
    read = center.read(users, list(categories))
    for user, stored in zip(users, read.states, strict=True):
        assert plain_state(stored) == plain_user(twin.users.get(user, User()), updater), user
