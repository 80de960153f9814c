"""Recomputes states from the log and holds what the workers say of the users against them.

A partition after the other: its records are read and grouped by user, the owner is asked for the
users' records, the log is read on to the offset that each answer states, and the two are compared.
So the stream may go on meanwhile.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from interest_center.core.errors import ConfigurationError
from interest_center.core.layout import StateConfig
from interest_center.settings import Settings
from streams.reference.history import PartitionHistory
from streams.reference.memories import MemoryReference
from streams.reference.records import NotGoodError, id_bits, partition_of, user_of
from streams.reference.states import DEAD, OUTCOMES
from streams.state_comparison import StateComparer
from streams.state_questions import StateQuestions
from streams.topic_reading import TopicReading
from streams.verification_report import Report
from streams.verification_starts import Start
from streams.verified_logs import FileLog, Log, PartitionLog, Progress

USERS_AT_ONCE = 200
#: Records held in memory at once; a partition with more is read several times.
MOST_RECORDS = 2_000_000
#: A user who is active meanwhile may get a category that was not asked for: it is asked for again.
ASKS = 5


@dataclass(frozen=True)
class Selection:
    """Which users to verify.

    Attributes:
        users: These; empty: all, or a sample.
        sample: So many, drawn at random; 0: all.
        seed: Of the draw.
        memories: Whether their memories are compared.
    """

    users: tuple[str, ...] = ()
    sample: int = 0
    seed: int = 0
    memories: bool = True

    @property
    def is_all(self) -> bool:
        """Whether every user is wanted."""
        return not self.users and not self.sample


class Verification:
    """One run.

    Args:
        settings: Connections and topics.
        rules: Of the states.
        memory: Computes memories, None to compare none.
        selection: Which users.
        progress: Told how far it is.
        starts: Snapshots to begin at, by partition; only these partitions are verified then.
    """

    def __init__(
        self,
        settings: Settings,
        rules: StateConfig,
        memory: MemoryReference | None,
        selection: Selection,
        progress: Progress,
        starts: Mapping[int, Start] | None = None,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._memory = memory
        self._selection = selection
        self._progress = progress
        self._comparer = StateComparer(rules, memory)
        self._starts = starts or {}
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
            self._n_partitions = len(told)
            self._check_memories(told)
            if self._starts:
                told = {number: told[number] for number in self._starts if number in told}
            chosen = await self._chosen(topic, told)
            for number, status in sorted(told.items()):
                self._report.positions[number] = int(status["position"])
                dead |= await self._partition(topic, questions, status, chosen)
        if self._selection.is_all:
            await self._compare_dead_letters(dead)
        return self._report

    async def run_on_file(self, history: PartitionHistory) -> Report:
        """Verify users whose whole history is at hand.

        Raises:
            NoAnswerError: Workers do not answer.
            ConfigurationError: The workers follow other rules than those given.
        """
        self._report.checked_all = False
        async with StateQuestions(self._settings.worker_urls.split(",")) as questions:
            self._check_memories(await questions.partitions())
            await self._users(sorted(history.by_user), FileLog(history), questions)
        return self._report

    def _check_memories(self, told: Mapping[int, Mapping[str, Any]]) -> None:
        kept = {status["memory_model"] for status in told.values()} - {None}
        if kept and self._memory is None and self._selection.memories:
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
            start, end = self._start_of(status), int(status["position"])
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
        status: Mapping[str, Any],
        chosen: frozenset[str] | None,
    ) -> set[tuple[int, int]]:
        """Verify a partition; return the places of its bad records."""
        number = int(status["partition"])
        start, end = self._start_of(status), int(status["position"])
        n_turns = 1 if chosen is not None else 1 + (end - start) // MOST_RECORDS
        counted: Counter[str] = Counter()
        dead: set[tuple[int, int]] = set()
        for turn in range(n_turns):
            wanted = chosen.__contains__ if chosen is not None else _share(n_turns, turn)
            history = PartitionHistory(number, self._n_partitions, self._rules, wanted)
            if number in self._starts:
                history.before = self._starts[number].states.state_of
            log = PartitionLog(topic, history, start, self._progress)
            await log.read_to(end)
            outcomes = history.outcomes(end)
            # A bad record belongs to no user: every turn finds all of them.
            counted.update(outcomes if not turn else outcomes - Counter({DEAD: outcomes[DEAD]}))
            dead |= {(number, offset) for offset in history.dead if offset < end}
            named = [
                user
                for user in self._selection.users
                if partition_of(user.encode(), self._n_partitions) == number
            ]
            await self._users(sorted({*history.by_user, *named}), log, questions)
        self._report.records += sum(counted.values())
        if chosen is None:
            self._compare_counters(number, status, counted)
        return dead

    def _start_of(self, status: Mapping[str, Any]) -> int:
        """Return the offset to begin at."""
        start = self._starts.get(int(status["partition"]))
        return int(status["history_from"]) if start is None else start.watermark

    async def _users(self, users: Sequence[str], log: Log, questions: StateQuestions) -> None:
        """Compare users."""
        for at in range(0, len(users), USERS_AT_ONCE):
            some = users[at : at + USERS_AT_ONCE]
            await self._some_users(some, log, questions)
            self._progress("users compared", at + len(some), len(users))

    async def _some_users(
        self, users: Collection[str], log: Log, questions: StateQuestions
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
                # Of a snapshot's ids nothing is known but their 64 bits.
                if not self._starts and id_bits(shown) not in known:
                    self._report.add(f"user {answer['user_id']}: id {shown!r} was never sent")

    def _compare_counters(
        self, number: int, status: Mapping[str, Any], counted: Counter[str]
    ) -> None:
        """Compare what became of the records; a state with a gap counts from before it."""
        told = status["counters"]
        if number in self._starts:
            counted = counted + Counter({o: self._starts[number].counters[o] for o in OUTCOMES})
        elif told["start_position"] != status["history_from"]:
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
                        said = {header: content or b"" for header, content in record.headers}
                        if said.get("topic") == name:
                            found.add((int(said["partition"]), int(said["offset"])))
        for number, offset in sorted(dead - found):
            self._report.add(f"partition {number}: no dead letter of the bad record at {offset}")
        for number, offset in sorted(found - dead):
            start = self._starts[number].watermark if number in self._starts else 0
            if start <= offset < begun.get(number, 0):
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
