"""The records of a topic's partition by user, and the state of a user at any offset of it."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from interest_center.core.layout import StateConfig
from streams.reference.records import (
    Event,
    NotGoodError,
    event_of,
    id_bits,
    partition_of,
    user_of,
)
from streams.reference.states import DEAD, ERASED, State, apply_event


@dataclass(frozen=True)
class Step:
    """A record of a user: an event, or (None) an erasure."""

    offset: int
    event: Event | None


@dataclass
class PartitionHistory:
    """What some users of a partition did, in offset order.

    Attributes:
        partition: Its number.
        n_partitions: Partitions of the topic.
        rules: Of the states.
        wanted: Tells of which users to keep the records.
        before: Returns the state of a user before the first record.
        by_user: Their records.
        dead: Offsets of the records that are no good events.
        known_ids: 64 bits of every item and category that was sent.
    """

    partition: int
    n_partitions: int
    rules: StateConfig
    wanted: Callable[[str], bool]
    before: Callable[[str], State] = lambda _: State()
    by_user: dict[str, list[Step]] = field(default_factory=dict)
    dead: list[int] = field(default_factory=list)
    known_ids: set[int] = field(default_factory=set)

    def add(self, records: Iterable[Any]) -> None:
        """Take records as a Kafka client hands them out, in offset order."""
        for record in records:
            try:
                user, event = self._read(record)
            except NotGoodError:
                self.dead.append(record.offset)
                continue
            if not self.wanted(user):
                continue
            self.keep(user, record.offset, event)

    def keep(self, user: str, offset: int, event: Event | None) -> None:
        """Take one event of a user, or (None) an erasure."""
        self.by_user.setdefault(user, []).append(Step(offset, event))
        if event is not None:
            self.known_ids.add(id_bits(event.item))
            if event.category is not None:
                self.known_ids.add(id_bits(event.category))

    def _read(self, record: Any) -> tuple[str, Event | None]:
        user = user_of(record.key)
        if partition_of(record.key, self.n_partitions) != self.partition:
            raise NotGoodError("in another partition")
        if record.value is None:
            return user, None
        types = self.rules.event_types
        return user, event_of(user, record.value, record.headers, record.timestamp, types)

    def state_of(self, user: str, watermark: int) -> State:
        """Return the state of a user from the records with an offset below ``watermark``."""
        state = self.before(user)
        for step in self.by_user.get(user, ()):
            if step.offset >= watermark:
                break
            if step.event is None:
                state = State()
            else:
                apply_event(state, step.event, step.offset, self.rules)
        return state

    def outcomes(self, watermark: int) -> Counter[str]:
        """Count what became of the records below ``watermark``; of the users that are kept."""
        counted = Counter({DEAD: sum(offset < watermark for offset in self.dead)})
        for user, steps in self.by_user.items():
            state = self.before(user)
            for step in steps:
                if step.offset >= watermark:
                    break
                if step.event is None:
                    state, outcome = State(), ERASED
                else:
                    outcome = apply_event(state, step.event, step.offset, self.rules)
                counted[outcome] += 1
        return counted

    def categories_of(self, user: str) -> list[int]:
        """Return the 64 bits of every category that a user's state may hold."""
        events = [step.event for step in self.by_user.get(user, ()) if step.event is not None]
        named = {id_bits(e.category) for e in events if e.category is not None}
        return sorted(named | self.before(user).subsequences.keys())
