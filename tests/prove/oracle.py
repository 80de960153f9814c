"""The oracle: what the state must be, in plain dicts, lists and Python integers.

Imports no product code and is written from the documents only. It takes the records as they lie in
the topic (what was sent, with the partition and offset of its acknowledgement) and walks the
events of one user at a time, so that the state at any offset can be asked for.

Rules of a user, in this order: a null value erases everything; an event id among the last 128
applied ones is a duplicate; an event older than 24 h behind the user's newest is dropped as late;
any other is applied: counted, chained, and written to the ring, the sub-sequence of its category
and the memory if its type feeds them.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

DAY_MS = 86_400_000
MASK = (1 << 64) - 1

#: What became of a record; the first five are what the worker counts as consumed.
APPLIED, DUPLICATE, LATE, DEAD, ERASED = (
    "applied",
    "duplicate",
    "late_dropped",
    "dead_lettered",
    "erased",
)
OUTCOMES = (APPLIED, DUPLICATE, LATE, DEAD, ERASED)


@dataclass(frozen=True)
class Record:
    """One committed record of the events topic.

    Attributes:
        partition: Where it lies.
        offset: Where it lies.
        append_time_ms: The broker's time of it.
        user: Its user, None for a record that must become a dead letter.
        event: The event as sent, None for an erasure or a dead letter.
        reason: Why it must become a dead letter, empty for any other record.
    """

    partition: int
    offset: int
    append_time_ms: int
    user: str | None = None
    event: dict[str, Any] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Rules:
    """The configured sizes; the defaults are those of the product."""

    feeds_nothing: frozenset[str] = frozenset({"dislike"})
    n_behaviors: int = 100
    n_event_ids: int = 128
    n_subsequences: int = 64
    n_subsequence_behaviors: int = 50
    late_after_ms: int = DAY_MS


RULES = Rules()


@dataclass
class Subsequence:
    """The last behaviors of a user in one category, and when they last grew."""

    updated_at: int
    behaviors: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class UserState:
    """The state of one user."""

    event_count: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    last_event_time_ms: int | None = None
    chain: int = 0
    recent_ids: list[int] = field(default_factory=list)
    behaviors: list[dict[str, Any]] = field(default_factory=list)
    subsequences: dict[str, Subsequence] = field(default_factory=dict)
    memory_events: list[tuple[str, str | None]] = field(default_factory=list)


def event_hash(event_id: str) -> int:
    """Return the 64 bits that stand for an event id."""
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "little")


def chained(chain: int, identifier: int) -> int:
    """Return the chained hash after one more applied event (the splitmix64 finaliser)."""
    x = ((chain ^ identifier) + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def apply_event(state: UserState, event: dict[str, Any], rules: Rules = RULES) -> str:
    """Apply one event of the user to the state and tell what became of it."""
    identifier = event_hash(event["event_id"])
    if identifier in state.recent_ids:
        return DUPLICATE
    newest = state.last_event_time_ms
    if newest is not None and event["event_time_ms"] < newest - rules.late_after_ms:
        return LATE
    state.event_count += 1
    state.counts[event["event_type"]] += 1
    state.chain = chained(state.chain, identifier)
    state.recent_ids = [*state.recent_ids, identifier][-rules.n_event_ids :]
    time_ms = event["event_time_ms"]
    state.last_event_time_ms = time_ms if newest is None else max(newest, time_ms)
    if event["event_type"] not in rules.feeds_nothing:
        _remember(state, event, rules)
    return APPLIED


def _remember(state: UserState, event: dict[str, Any], rules: Rules) -> None:
    """Write an applied event to the ring, to its sub-sequence and to the memory's events."""
    category = event.get("category_id")
    behavior = {
        "item_id": event["item_id"],
        "category_id": category,
        "event_type": event["event_type"],
        "event_time_ms": event["event_time_ms"],
    }
    state.behaviors = [*state.behaviors, behavior][-rules.n_behaviors :]
    state.memory_events.append((event["item_id"], category))
    if category is None:
        return
    if category not in state.subsequences and len(state.subsequences) == rules.n_subsequences:
        oldest = min(state.subsequences, key=lambda name: state.subsequences[name].updated_at)
        del state.subsequences[oldest]
    kept = state.subsequences.setdefault(category, Subsequence(0))
    kept.updated_at = state.event_count
    kept.behaviors = [*kept.behaviors, behavior][-rules.n_subsequence_behaviors :]


class Oracle:
    """The whole topic, sorted by user; states and counters at any offset."""

    def __init__(self, records: Iterable[Record], rules: Rules = RULES) -> None:
        self.rules = rules
        self.records = sorted(records, key=lambda record: (record.partition, record.offset))
        self.by_user: dict[str, list[Record]] = {}
        for record in self.records:
            if record.user is not None:
                self.by_user.setdefault(record.user, []).append(record)

    @property
    def users(self) -> list[str]:
        """Return every user with a record of their own, sorted."""
        return sorted(self.by_user)

    def partition_of(self, user: str) -> int:
        """Return the partition that holds the records of a user.

        Raises:
            ValueError: They lie in more than one, which the product must never see as one user.
        """
        partitions = {record.partition for record in self.by_user[user]}
        if len(partitions) != 1:
            raise ValueError(f"user {user} has records in partitions {sorted(partitions)}")
        return partitions.pop()

    def state_of(self, user: str, watermark: int | None = None) -> UserState:
        """Return the state of a user from all records with an offset below ``watermark``."""
        state = UserState()
        for record in self.by_user.get(user, []):
            if watermark is not None and record.offset >= watermark:
                break
            state, _ = step(state, record, self.rules)
        return state

    def counters(self, partition: int, watermark: int | None = None) -> dict[str, int]:
        """Return what must be counted in a partition below ``watermark``, and ``consumed``."""
        totals = dict.fromkeys(OUTCOMES, 0)
        states: dict[str, UserState] = {}
        for record in self.records:
            if record.partition != partition:
                continue
            if watermark is not None and record.offset >= watermark:
                break
            if record.user is None:
                totals[DEAD] += 1
                continue
            before = states.get(record.user, UserState())
            states[record.user], outcome = step(before, record, self.rules)
            totals[outcome] += 1
        return {**totals, "consumed": sum(totals.values())}


def step(state: UserState, record: Record, rules: Rules = RULES) -> tuple[UserState, str]:
    """Return the state after one record of the user, and what became of the record."""
    if record.event is None:
        return UserState(), ERASED
    return state, apply_event(state, record.event, rules)


def with_one_dropped(records: Sequence[Record], index: int) -> list[Record]:
    """Return the records without the one at ``index``: a product that lost an event."""
    return [*records[:index], *records[index + 1 :]]


def with_one_doubled(records: Sequence[Record], index: int) -> list[Record]:
    """Return the records with the event at ``index`` applied twice: its double has another id."""
    record = records[index]
    assert record.event is not None
    double = {**record.event, "event_id": record.event["event_id"] + "#again"}
    # Half an offset later: between this record and the next one, whatever that is.
    after = Record(record.partition, record.offset, record.append_time_ms, record.user, double)
    return [*records[: index + 1], after, *records[index + 1 :]]


def with_two_swapped(records: Sequence[Record], first: int, second: int) -> list[Record]:
    """Return the records with the events at two indices of one user exchanged."""
    swapped = list(records)
    a, b = records[first], records[second]
    swapped[first] = Record(a.partition, a.offset, a.append_time_ms, a.user, b.event)
    swapped[second] = Record(b.partition, b.offset, b.append_time_ms, b.user, a.event)
    return swapped
