"""Plain-Python twin of the engine: lists, dictionaries and loops, one event after the other.

Written from the rules, not from the compiled code; shares nothing with it but numbers.
"""

from dataclasses import dataclass, field

M64 = (1 << 64) - 1


def chained(chain: int, event_hash: int) -> int:
    x = ((chain ^ event_hash) + 0x9E3779B97F4A7C15) & M64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M64
    return x ^ (x >> 31)


@dataclass
class Event:
    """One event or erasure, as the engine gets it."""

    user: int
    item: int
    event_hash: int
    event_time_ms: int
    category: int = 0
    event_type: int = 1
    erase: bool = False


@dataclass
class User:
    """All that is known of a user."""

    event_count: int = 0
    last_event_time_ms: int = 0
    chain_hash: int = 0
    type_counts: dict[int, int] = field(default_factory=dict)
    event_ids: list[int] = field(default_factory=list)
    behaviors: list[tuple[int, int, int, int]] = field(default_factory=list)
    # category -> (event count at its last behavior, [(item, type, time), ...])
    categories: dict[int, tuple[int, list[tuple[int, int, int]]]] = field(default_factory=dict)
    # What the memory model saw: (item, category).
    memory_events: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class Limits:
    """The configuration."""

    feeding: frozenset[int] = frozenset({1, 2, 3, 4, 5, 6})
    n_behaviors: int = 100
    n_event_ids: int = 128
    n_subsequences: int = 64
    n_subsequence_behaviors: int = 50
    late_after_ms: int = 86_400_000


class ReferenceCenter:
    """States of all users, computed event by event."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.users: dict[int, User] = {}
        self.applied = self.duplicate = self.late_dropped = self.erased = 0

    def apply(self, events: list[Event]) -> None:
        for event in events:
            self.apply_one(event)

    def apply_one(self, event: Event) -> None:
        if event.erase:
            self.users.pop(event.user, None)
            self.erased += 1
            return
        user = self.users.setdefault(event.user, User())
        if event.event_hash in user.event_ids:
            self.duplicate += 1
            return
        oldest = user.last_event_time_ms - self.limits.late_after_ms
        if user.event_count > 0 and event.event_time_ms < oldest:
            self.late_dropped += 1
            return
        self.applied += 1
        self.count(user, event)
        if event.event_type in self.limits.feeding:
            self.feed(user, event)

    def count(self, user: User, event: Event) -> None:
        times = [event.event_time_ms]
        if user.event_count > 0:
            times.append(user.last_event_time_ms)
        user.last_event_time_ms = max(times)
        user.event_count += 1
        user.chain_hash = chained(user.chain_hash, event.event_hash)
        user.type_counts[event.event_type] = user.type_counts.get(event.event_type, 0) + 1
        user.event_ids = [*user.event_ids, event.event_hash][-self.limits.n_event_ids :]

    def feed(self, user: User, event: Event) -> None:
        behavior = (event.item, event.category, event.event_type, event.event_time_ms)
        user.behaviors = [*user.behaviors, behavior][-self.limits.n_behaviors :]
        user.memory_events.append((event.item, event.category))
        if event.category == 0:
            return
        kept = user.categories.pop(event.category, (0, []))[1]
        if len(user.categories) == self.limits.n_subsequences:
            oldest = min(user.categories, key=lambda category: user.categories[category][0])
            del user.categories[oldest]
        kept = [*kept, (event.item, event.event_type, event.event_time_ms)]
        kept = kept[-self.limits.n_subsequence_behaviors :]
        user.categories[event.category] = (user.event_count, kept)
