"""The state of one user, event by event; the rules are those of ``docs/engine.md``.

In this order: a null value erases everything; an event id among the last applied ones is a
duplicate; an event too far behind the user's newest is dropped as late; any other is applied:
counted, chained, and put into the ring, the sub-sequence of its category and the memory if its type
feeds them.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from interest_center.core.layout import StateConfig
from streams.reference.records import Event, id_bits

APPLIED, DUPLICATE, LATE, DEAD, ERASED = (
    "applied",
    "duplicate",
    "late_dropped",
    "dead_lettered",
    "erased",
)
OUTCOMES = (APPLIED, DUPLICATE, LATE, DEAD, ERASED)
_MASK = (1 << 64) - 1

#: Item bits, category bits (0: none), event type, event time.
Behavior = tuple[int, int, str, int]


@dataclass
class Subsequence:
    """The last behaviors of a user in one category, oldest first, and when they last grew."""

    updated_at: int = 0
    behaviors: list[Behavior] = field(default_factory=list)


@dataclass
class State:
    """The state of one user.

    Attributes:
        event_count: Applied events.
        counts: Of them, by type.
        last_time_ms: Largest event time, None before the first event.
        chain: Chained hash of the applied ids.
        recent_ids: Hashes of the last applied ids, oldest first.
        behaviors: Ring of recent behaviors, oldest first.
        subsequences: By category bits.
        memory_events: Item and category bits of what fed the memory, with the record's offset.
        memory_row: The memory before these, None: that of a user without events.
    """

    event_count: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    last_time_ms: int | None = None
    chain: int = 0
    recent_ids: list[int] = field(default_factory=list)
    behaviors: list[Behavior] = field(default_factory=list)
    subsequences: dict[int, Subsequence] = field(default_factory=dict)
    memory_events: list[tuple[int, int, int]] = field(default_factory=list)
    memory_row: NDArray[np.float32] | None = None


def event_hash(event_id: str) -> int:
    """Return the 64 bits that stand for an event id."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little")


def chained(chain: int, identifier: int) -> int:
    """Return the chained hash after one more applied event (the splitmix64 finaliser)."""
    x = ((chain ^ identifier) + 0x9E3779B97F4A7C15) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)


def apply_event(state: State, event: Event, offset: int, rules: StateConfig) -> str:
    """Apply one event of the user to the state and tell what became of it."""
    category = 0 if event.category is None else id_bits(event.category)
    behavior = (id_bits(event.item), category, event.event_type, event.time_ms)
    return apply_behavior(state, event_hash(event.event_id), behavior, offset, rules)


def apply_behavior(
    state: State, identifier: int, behavior: Behavior, offset: int, rules: StateConfig
) -> str:
    """Apply one behavior, given the hash of its event id, and tell what became of it."""
    item, category, event_type, time_ms = behavior
    if identifier in state.recent_ids:
        return DUPLICATE
    newest = state.last_time_ms
    if newest is not None and time_ms < newest - rules.late_after_ms:
        return LATE
    state.event_count += 1
    state.counts[event_type] += 1
    state.chain = chained(state.chain, identifier)
    state.recent_ids.append(identifier)
    del state.recent_ids[: -rules.n_event_ids]
    state.last_time_ms = time_ms if newest is None else max(newest, time_ms)
    if event_type in rules.behavior_types:
        state.behaviors.append(behavior)
        del state.behaviors[: -rules.n_behaviors]
    if event_type in rules.subsequence_types and category:
        _grow(state, category, behavior, rules)
    if event_type in rules.memory_types:
        state.memory_events.append((item, category, offset))
    return APPLIED


def _grow(state: State, category: int, behavior: Behavior, rules: StateConfig) -> None:
    """Put a behavior into the sub-sequence of its category; the longest not updated may go."""
    kept = state.subsequences.get(category)
    if kept is None:
        if len(state.subsequences) == rules.n_subsequences:
            oldest = min(state.subsequences, key=lambda one: state.subsequences[one].updated_at)
            del state.subsequences[oldest]
        kept = state.subsequences[category] = Subsequence()
    kept.updated_at = state.event_count
    kept.behaviors.append(behavior)
    del kept.behaviors[: -rules.n_subsequence_behaviors]
