"""Recomputes states from the log and holds what the workers say of the users against them.

A partition after the other: its records are read and grouped by user, the owner is asked for the
users' records, the log is read on to the offset that each answer states, and the two are compared.
So the stream may go on meanwhile.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from interest_center.settings import Settings
from streams.reference.history import PartitionHistory
from streams.reference.memories import MemoryReference
from streams.reference.records import NotGoodError, id_bits, user_of
from streams.reference.states import DEAD, OUTCOMES
from streams.state_comparison import Comparison, StateComparer
from streams.state_questions import StateQuestions
from streams.topic_reading import TopicReading

USERS_AT_ONCE = 200
#: Records held in memory at once; a partition with more is read several times.
MOST_RECORDS = 2_000_000
MOST_TOLD = 20
#: A user who is active meanwhile may get a category that was not asked for: it is asked for again.
ASKS = 5

#: Told how far it is: what goes on, how much of it is done, of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Selection:
    """Which users to verify.

    Attributes:
        users: These; empty: all, or a sample.
        sample: So many, drawn at random; 0: all.
        seed: Of the draw.
    """

    users: tuple[str, ...] = ()
    sample: int = 0
    seed: int = 0

    @property
    def is_all(self) -> bool:
        """Whether every user is wanted."""
        return not self.users and not self.sample


@dataclass
class Report:
    """What was found.

    Attributes:
        comparison: Of users.
        records: Records of these users, and bad ones, up to ``positions``.
        positions: Offset of each partition at which the comparison began.
        other: Differences of counters, dead letters and texts, one sentence each, the first few.
        n_other: How many there are.
        checked_all: Whether counters and dead letters were compared, which takes all users.
    """

    comparison: Comparison = field(default_factory=Comparison)
    records: int = 0
    positions: dict[int, int] = field(default_factory=dict)
    other: list[str] = field(default_factory=list)
    n_other: int = 0
    checked_all: bool = False

    def add(self, difference: str) -> None:
        """Count a difference that is not one of a user's records."""
        self.n_other += 1
        if len(self.other) < MOST_TOLD:
            self.other.append(difference)

    @property
    def clean(self) -> bool:
        """Whether something was compared and nothing differs."""
        return self.comparison.users > 0 and not self.comparison.n_different and not self.n_other


class PartitionLog:
    """What is known of a partition's log so far, read on when more is needed."""

    def __init__(
        self, topic: TopicReading, history: PartitionHistory, start: int, progress: Progress
    ) -> None:
        self._topic = topic
        self.history = history
        self._start = self._position = start
        self._progress = progress

    async def read_to(self, end: int) -> None:
        """Read up to an offset, unless that is done.

        Raises:
            TruncatedLogError: The log no longer holds what is to be read.
        """
        if end <= self._position:
            return
        number = self.history.partition
        async for records in self._topic.records(number, self._position, end):
            self.history.add(records)
            done = records[-1].offset + 1 - self._start
            self._progress(f"partition {number}: records read", done, end - self._start)
        self._position = end


class Verification:
    """One run.

    Args:
        settings: Connections and topics.
        rules: Of the states.
        memory: Computes memories, None to compare none.
        selection: Which users.
        progress: Told how far it is.
        memories_due: Whether it is a mistake that memories are kept and not compared.
    """

    def __init__(
        self,
        settings: Settings,
        rules: StateConfig,
        memory: MemoryReference | None,
        selection: Selection,
        progress: Progress,
        memories_due: bool = True,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._memory = memory
        self._selection = selection
        self._progress = progress
        self._comparer = StateComparer(rules, memory)
        self._memories_due = memories_due
        self._report = Report(checked_all=selection.is_all)

    async def run(self) -> Report:
        """Verify all partitions.

        Raises:
            NoAnswerError: Workers do not answer.
            ConfigurationError: The workers follow other rules than those given.
            TruncatedLogError: The log no longer holds what the states have seen.
            KafkaUnreachableError: No broker answers.
        """
        dead: set[tuple[int, int]] = set()
        async with (
            TopicReading(self._settings, self._settings.events_topic) as topic,
            StateQuestions(self._settings.worker_urls.split(",")) as questions,
        ):
            told = await questions.partitions()
            self._check_memories(told)
            chosen = await self._chosen(topic, told)
            for number, status in sorted(told.items()):
                self._report.positions[number] = int(status["position"])
                dead |= await self._partition(topic, questions, told, number, chosen)
        if self._selection.is_all:
            await self._compare_dead_letters(dead)
        return self._report

    def _check_memories(self, told: Mapping[int, Mapping[str, Any]]) -> None:
        kept = {status["memory_model"] for status in told.values()} - {None}
        if kept and self._memory is None and self._memories_due:
            raise ConfigurationError(
                f"the workers keep memories of {', '.join(sorted(kept))}",
                hint="name their bundle with --bundle, or leave memories out with --no-memory",
            )

    async def _chosen(
        self, topic: TopicReading, told: Mapping[int, Mapping[str, Any]]
    ) -> frozenset[str] | None:
        """Return the users to verify, None for all."""
        if self._selection.users:
            return frozenset(self._selection.users)
        if not self._selection.sample:
            return None
        users: set[str] = set()
        for number, status in sorted(told.items()):
            start, end = int(status["history_from"]), int(status["position"])
            async for records in topic.records(number, start, end):
                users.update(_users_of(records))
                done = records[-1].offset + 1 - start
                self._progress(f"partition {number}: looking for users", done, end - start)
        n = min(self._selection.sample, len(users))
        return frozenset(Random(self._selection.seed).sample(sorted(users), n))

    async def _partition(
        self,
        topic: TopicReading,
        questions: StateQuestions,
        told: Mapping[int, Mapping[str, Any]],
        number: int,
        chosen: frozenset[str] | None,
    ) -> set[tuple[int, int]]:
        """Verify a partition; return the places of its bad records."""
        status = told[number]
        start, end = int(status["history_from"]), int(status["position"])
        n_turns = 1 if chosen is not None else 1 + (end - start) // MOST_RECORDS
        counted: Counter[str] = Counter()
        dead: set[tuple[int, int]] = set()
        for turn in range(n_turns):
            wanted = chosen.__contains__ if chosen is not None else _share(n_turns, turn)
            history = PartitionHistory(number, len(told), self._rules, wanted)
            log = PartitionLog(topic, history, start, self._progress)
            await log.read_to(end)
            outcomes = history.outcomes(end)
            # A bad record belongs to no user: every turn finds all of them.
            counted.update(outcomes if not turn else outcomes - Counter({DEAD: outcomes[DEAD]}))
            dead |= {(number, offset) for offset in history.dead if offset < end}
            await self._users(log, questions)
        self._report.records += sum(counted.values())
        if chosen is None:
            self._compare_counters(number, status, counted)
        return dead

    async def _users(self, log: PartitionLog, questions: StateQuestions) -> None:
        """Compare all users whose records are kept."""
        users = sorted(log.history.by_user)
        for at in range(0, len(users), USERS_AT_ONCE):
            some = users[at : at + USERS_AT_ONCE]
            await self._some_users(some, log, questions)
            what = f"partition {log.history.partition}: users compared"
            self._progress(what, at + len(some), len(users))

    async def _some_users(
        self, users: Collection[str], log: PartitionLog, questions: StateQuestions
    ) -> None:
        """Compare some users, and how their ids are shown."""
        due = set(users)
        for ask in range(ASKS):
            asked = {user: log.history.categories_of(user) for user in sorted(due)}
            states = await questions.states(asked, memory=self._memory is not None)
            await log.read_to(max((state.watermark for state in states), default=0))
            for state in states:
                if state.state_rules != self._rules.fingerprint:
                    raise ConfigurationError(
                        "the workers follow other state rules",
                        hint="name their --bundle, or their rules by --state-config",
                    )
                wanted = log.history.state_of(state.user_id, state.watermark)
                if wanted.subsequences.keys() <= set(asked[state.user_id]) or ask == ASKS - 1:
                    self._comparer.compare(state, wanted, self._report.comparison)
                    due.discard(state.user_id)
            if not due:
                break
        answers = await questions.interests(list(users))
        await log.read_to(max(answer["freshness"]["watermark"] for answer in answers))
        known = log.history.known_ids
        for answer in answers:
            for shown in _shown_ids(answer):
                if id_bits(shown) not in known:
                    self._report.add(f"user {answer['user_id']}: id {shown!r} was never sent")

    def _compare_counters(
        self, number: int, status: Mapping[str, Any], counted: Counter[str]
    ) -> None:
        """Compare what became of the records; a state with a gap counts from before it."""
        told = status["counters"]
        if told["start_position"] != status["history_from"]:
            return
        for outcome in OUTCOMES:
            if told[outcome] != counted[outcome]:
                self._report.add(
                    f"partition {number}: counter {outcome} is {told[outcome]:,}, "
                    f"not {counted[outcome]:,}"
                )

    async def _compare_dead_letters(self, dead: set[tuple[int, int]]) -> None:
        """Compare the places of bad records with those that dead letters name."""
        found = set()
        name, begun = self._settings.events_topic.encode(), self._report.positions
        async with TopicReading(self._settings, self._settings.dead_letters_topic) as topic:
            for number in await topic.partitions():
                start, end = await topic.bounds(number)
                async for records in topic.records(number, start, end):
                    for record in records:
                        said = dict(record.headers)
                        if said.get("topic") == name:
                            found.add((int(said["partition"]), int(said["offset"])))
        for number, offset in sorted(dead - found):
            self._report.add(f"partition {number}: no dead letter of the bad record at {offset}")
        for number, offset in sorted(found - dead):
            if offset < begun.get(number, 0):
                self._report.add(f"partition {number}: dead letter of the good record at {offset}")


def _share(n_shares: int, which: int) -> Callable[[str], bool]:
    """Return what tells of which users a turn keeps the records."""
    return lambda user: zlib.crc32(user.encode()) % n_shares == which


def _users_of(records: Collection[Any]) -> set[str]:
    users = set()
    for record in records:
        try:
            users.add(user_of(record.key))
        except NotGoodError:
            continue
    return users


def _shown_ids(answer: Mapping[str, Any]) -> set[str]:
    """Return every item and category that an answer shows."""
    behaviors = answer["behaviors"]
    shown = {behavior["item_id"] for behavior in behaviors}
    shown |= {behavior["category_id"] for behavior in behaviors}
    shown |= {category["category_id"] for category in answer["categories"]}
    return shown - {None}
