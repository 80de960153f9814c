"""States to begin with, out of the records of a snapshot: rows, and behind them the journal."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from interest_center.core.behaviors import Behaviors
from interest_center.core.events import OP_ERASE
from interest_center.core.journal_records import decode_journal, decode_written
from interest_center.core.keys import (
    JOURNAL_PREFIX,
    MEMORY,
    PROFILE,
    SUBSEQUENCE,
    WRITTEN_PREFIX,
    user_key,
)
from interest_center.core.layout import StateConfig
from interest_center.core.records import (
    decode_memory,
    decode_profile,
    decode_subsequence,
)
from interest_center.stores.rocksdb import RocksStore
from streams.reference.records import id_bits
from streams.reference.states import Behavior, State, Subsequence, apply_behavior


class StoredStates:
    """The states of users in a copy, read record by record.

    Args:
        copy: A RocksDB that nobody changes.
        rules: Of the states.
        memory_fingerprint: Weights whose memories are wanted, 0 for none.
    """

    def __init__(self, copy: Path, rules: StateConfig, memory_fingerprint: int) -> None:
        self._store = RocksStore(copy, read_only=True)
        self._rules = rules
        self._fingerprint = memory_fingerprint
        self._written: dict[int, int] = defaultdict(int)
        self._journal: dict[int, list[Any]] = defaultdict(list)
        for _, record in self._store.scan_prefix(WRITTEN_PREFIX):
            position, users = decode_written(record)
            for user in users.tolist():
                self._written[user] = max(self._written[user], position)
        for _, record in self._store.scan_prefix(JOURNAL_PREFIX):
            for event in decode_journal(record).events:
                self._journal[int(event["user"])].append(event)

    def state_of(self, user_id: str) -> State:
        """Return the state of a user, a new one each time."""
        user = id_bits(user_id)
        state = self._row_of(user)
        for event in self._journal.get(user, ()):
            if event["offset"] < self._written.get(user, 0):
                continue
            if event["op"] == OP_ERASE:
                state = State()
                continue
            behavior = (
                int(event["item"]),
                int(event["category"]),
                self._rules.event_types[event["event_type"] - 1],
                int(event["event_time_ms"]),
            )
            identifier, offset = int(event["event_hash"]), int(event["offset"])
            apply_behavior(state, identifier, behavior, offset, self._rules)
        return state

    def _row_of(self, user: int) -> State:
        """Return what the rows of a user hold."""
        record = self._store.get_many([user_key(user, PROFILE)])[0]
        if record is None:
            return State()
        profile = decode_profile(record)
        names, directory = self._rules.event_types, profile.directory
        state = State(
            profile.event_count,
            last_time_ms=profile.last_event_time_ms if profile.event_count else None,
            chain=profile.chain_hash,
            recent_ids=profile.event_ids.tolist(),
            behaviors=behaviors_of(profile, self._rules),
        )
        state.counts.update({names[code - 1]: n for code, n in profile.type_counts.items()})
        pairs = zip(directory.category.tolist(), directory.updated_at.tolist(), strict=True)
        for category, updated_at in pairs:
            [kept] = self._store.get_many([user_key(user, SUBSEQUENCE, category)])
            behaviors = [] if kept is None else behaviors_of(decode_subsequence(kept), self._rules)
            state.subsequences[category] = Subsequence(updated_at, behaviors)
        [memory] = self._store.get_many([user_key(user, MEMORY, self._fingerprint)])
        if self._fingerprint and memory is not None:
            state.memory_row = decode_memory(memory)
        return state

    def close(self) -> None:
        """Release the copy."""
        self._store.close()


def behaviors_of(stored: Behaviors, rules: StateConfig) -> list[Behavior]:
    """Return stored behaviors as the reference holds them, oldest first."""
    columns = (stored.item, stored.category, stored.event_type, stored.event_time_ms)
    return [
        (item, category, rules.event_types[code - 1], time_ms)
        for item, category, code, time_ms in zip(*(c.tolist() for c in columns), strict=True)
    ]
