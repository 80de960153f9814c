"""What a worker says of a user, held against what the reference computes from the log."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from interest_center.core.layout import StateConfig
from interest_center.core.messages import UserState
from interest_center.core.records import decode_memory, decode_profile, decode_subsequence
from streams.reference.memories import MemoryReference
from streams.reference.states import State
from streams.reference.stored_states import behaviors_of

#: Of a memory value: float32 in the engine, float64 in the reference.
MEMORY_TOLERANCE = 1e-4
#: Where it differs more: how many times what inexact steps alone do to this user's memory. Of 1,500
#: users with 185 events 16 differed by more than 5e-5, none by more than .6 times that.
MOST_OF_NOISE = 4.0
#: Whatever the noise; the largest difference seen was .002, after 1,000 events.
MOST_DIFFERENCE = 1e-2
_MOST_TOLD = 20


@dataclass
class Comparison:
    """What was compared and what differs.

    Attributes:
        users: Users compared.
        events: Applied events of these users.
        subsequences: Sub-sequences compared.
        behaviors: Behaviors compared, of rings and sub-sequences.
        memories: Memories compared that have seen an event.
        worst_memory: Largest difference of a memory value.
        n_different: Users that differ.
        differences: What differs, the first few.
    """

    users: int = 0
    events: int = 0
    subsequences: int = 0
    behaviors: int = 0
    memories: int = 0
    worst_memory: float = 0.0
    n_different: int = 0
    differences: list[str] = field(default_factory=list)

    def add(self, user: str, found: Sequence[str]) -> None:
        """Count a user, and what differs of it."""
        self.users += 1
        if found:
            self.n_different += 1
            if len(self.differences) < _MOST_TOLD:
                self.differences.append(f"user {user}: " + "; ".join(found))


class StateComparer:
    """Compares the stored records of users with reference states.

    Args:
        rules: Of the states.
        memory: Computes memories, None to compare none.
    """

    def __init__(self, rules: StateConfig, memory: MemoryReference | None) -> None:
        self._rules = rules
        self._memory = memory

    def compare(self, told: UserState, wanted: State, into: Comparison) -> None:
        """Compare one user; all records were taken at ``told.watermark``."""
        found = [*self._profile(told, wanted, into), *self._subsequences(told, wanted, into)]
        if self._memory is not None:
            found += self._memory_row(told, wanted, self._memory, into)
        into.events += wanted.event_count
        into.add(told.user_id, found)

    def _profile(self, told: UserState, wanted: State, into: Comparison) -> list[str]:
        if told.profile is None:
            return [f"no profile, {wanted.event_count} events applied"] * bool(wanted.event_count)
        profile = decode_profile(told.profile)
        into.behaviors += len(wanted.behaviors)
        names = self._rules.event_types
        directory = profile.directory
        columns = (directory.category, directory.updated_at, directory.event_time_ms)
        listed = {
            category: (updated, time_ms, size)
            for category, updated, time_ms, size in zip(
                *(column.tolist() for column in (*columns, directory.size)), strict=True
            )
        }
        pairs = {
            "event count": (profile.event_count, wanted.event_count),
            "counts": (
                {names[code - 1]: n for code, n in profile.type_counts.items()},
                dict(wanted.counts),
            ),
            "last event time": (profile.last_event_time_ms, wanted.last_time_ms or 0),
            "chained hash": (profile.chain_hash, wanted.chain),
            "remembered event ids": (profile.event_ids.tolist(), wanted.recent_ids),
            "behaviors": (behaviors_of(profile, self._rules), wanted.behaviors),
            "directory": (
                listed,
                {
                    category: (kept.updated_at, kept.behaviors[-1][3], len(kept.behaviors))
                    for category, kept in wanted.subsequences.items()
                },
            ),
        }
        return [_difference(name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]

    def _subsequences(self, told: UserState, wanted: State, into: Comparison) -> list[str]:
        into.subsequences += len(wanted.subsequences)
        found = [
            f"sub-sequence {c} is one too many"
            for c in told.subsequences.keys() - wanted.subsequences.keys()
        ]
        for category, kept in wanted.subsequences.items():
            into.behaviors += len(kept.behaviors)
            record = told.subsequences.get(category)
            have = [] if record is None else behaviors_of(decode_subsequence(record), self._rules)
            if have != kept.behaviors:
                found.append(_difference(f"sub-sequence {category}", have, kept.behaviors))
        return found

    def _memory_row(
        self, told: UserState, wanted: State, memory: MemoryReference, into: Comparison
    ) -> list[str]:
        since = told.memory_from or 0
        events = [(item, category) for item, category, at in wanted.memory_events if at >= since]
        if told.memory is None:
            some = bool(events) or wanted.memory_row is not None
            return [f"no memory, {len(events)} events fed it"] * some
        row = decode_memory(told.memory).astype(np.float64)
        start = None if wanted.memory_row is None else wanted.memory_row.astype(np.float64)
        right = memory.row_of(events, row, start)
        into.memories += bool(events) or start is not None
        if row.shape != right.shape:
            return [f"memory of shape {row.shape}, expected {right.shape}"]
        differences = np.abs(row - right)
        worst = float(differences.max())
        into.worst_memory = max(into.worst_memory, worst)
        if worst <= MEMORY_TOLERANCE:
            return []
        if worst <= MOST_DIFFERENCE:
            noise = MOST_OF_NOISE * memory.noise_of(events, row, start)
            if (differences <= np.maximum(noise, MEMORY_TOLERANCE)).all():
                return []
        return [f"memory differs by {worst:.2e}"]


def _difference(name: str, have: object, wanted: object) -> str:
    """Say how two values differ, briefly."""
    if isinstance(have, list) and isinstance(wanted, list):
        if len(have) != len(wanted):
            return f"{name}: {len(have)} entries, not {len(wanted)}"
        first = next(
            i for i, pair in enumerate(zip(have, wanted, strict=True)) if pair[0] != pair[1]
        )
        return f"{name}: entry {first} is {_short(have[first])}, not {_short(wanted[first])}"
    return f"{name}: {_short(have)}, not {_short(wanted)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
