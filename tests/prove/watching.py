"""Asks the workers for users' states again and again, and recomputes every answer afterwards."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

import numpy as np

from prove.comparison import (
    Answer,
    Comparison,
    compare_category,
    compare_memory,
    compare_profile,
)
from prove.oracle import Oracle
from prove.oracle_memory import MemoryOracle
from prove.reading import Connection, category_path, interest_path

PAUSE_SECONDS = 0.015
TIMEOUT_SECONDS = 3.0
#: After so many answers one sub-sequence of the user is asked for as well.
CATEGORY_EVERY = 3


@dataclass(frozen=True)
class Seen:
    """One request and what came back; ``status`` 0 when nobody answered.

    ``category`` is the one whose sub-sequence was asked for, None: the whole interest was.
    """

    asked_at: float
    answered_at: float
    worker: str
    user: str
    status: int
    body: Answer | None
    category: str | None = None

    @property
    def place(self) -> tuple[int, int]:
        """Partition and watermark that the answer states."""
        assert self.body is not None
        fresh = self.body["freshness"]
        return int(fresh["partition"]), int(fresh["watermark"])


@dataclass
class Watcher:
    """One thread a worker that asks it for random users until told to stop.

    Attributes:
        users: Whom to ask for.
        rng: Chooses them.
        seen: Everything asked, by all threads.
    """

    users: Sequence[str]
    rng: np.random.Generator
    seen: list[Seen] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def watch(self, name: str, url: str) -> None:
        """Begin to ask one more worker."""
        choices = self.rng.integers(len(self.users), size=100_000)
        thread = threading.Thread(target=self._ask, args=(name, url, choices), daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """Stop all threads; returns when they have ended."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, name: str, url: str, choices: Sequence[int]) -> None:
        connection = Connection(url, TIMEOUT_SECONDS)
        for number, choice in enumerate(choices):
            if self._over.is_set():
                break
            user = self.users[choice]
            answer = self._ask_one(connection, name, user)
            if answer is not None and answer["categories"] and number % CATEGORY_EVERY == 0:
                categories = answer["categories"]
                category = categories[choice % len(categories)]["category_id"]
                self._ask_one(connection, name, user, category)
            time.sleep(PAUSE_SECONDS)
        connection.close()

    def _ask_one(
        self, connection: Connection, name: str, user: str, category: str | None = None
    ) -> Answer | None:
        """Ask once and remember what came back."""
        path = interest_path(user) + "?raw_memory=true"
        if category is not None:
            path = category_path(user, category)
        asked_at = time.monotonic()
        try:
            status, body = connection.call("GET", path)
        except (OSError, HTTPException):
            status, body = 0, b""
            connection.close()
        answer: Answer | None = json.loads(body) if status == 200 else None
        now = time.monotonic()
        self.seen.append(Seen(asked_at, now, name, user, status, answer, category))
        return answer


def recomputed(seen: Sequence[Seen], oracle: Oracle, memory: MemoryOracle) -> Comparison:
    """Recompute every answer at the offset it states, memories and sub-sequences included."""
    outcome = Comparison()
    for one in (answers := [s for s in seen if s.body is not None]):
        assert one.body is not None
        partition, watermark = one.place
        if partition != oracle.partition_of(one.user):
            outcome.differences.append(f"user {one.user}: answered from partition {partition}")
            continue
        state = oracle.state_of(one.user, watermark)
        if one.category is not None:
            compare_category(one.user, one.category, one.body, state, outcome)
            continue
        compare_profile(one.user, one.body, state, outcome)
        compare_memory(one.user, one.body, state, memory, outcome)
    n_compared = outcome.users + outcome.subsequences + len(outcome.differences)
    assert n_compared >= len(answers)
    return outcome


def steps_back(seen: Sequence[Seen], since: float) -> list[str]:
    """Return the answers, given after ``since``, that are below an offset answered before.

    An answer counts as before when it had arrived when the later one was asked; or, when the later
    one was asked of a stopped worker, when it had arrived before that one went on at ``since``.
    """
    answers = [one for one in seen if one.body is not None]
    arrivals = sorted(answers, key=lambda one: one.answered_at)
    highest: dict[int, int] = {}
    arrived = 0
    told = []
    for one in sorted(answers, key=lambda one: one.asked_at):
        known_by = max(one.asked_at, since) if one.answered_at >= since else one.asked_at
        while arrived < len(arrivals) and arrivals[arrived].answered_at <= known_by:
            partition, watermark = arrivals[arrived].place
            highest[partition] = max(highest.get(partition, 0), watermark)
            arrived += 1
        partition, watermark = one.place
        if one.answered_at >= since and watermark < highest.get(partition, 0):
            told.append(
                f"{one.worker} answered offset {watermark} of partition {partition} "
                f"after {highest[partition]}"
            )
    return told


def statuses(seen: Sequence[Seen]) -> Counter[int]:
    """Count the answers by status; 0 is no answer at all."""
    return Counter(one.status for one in seen)


def told_statuses(seen: Sequence[Seen]) -> str:
    """Return the counts in words."""
    counts = statuses(seen)
    named = {0: "without answer"}
    return ", ".join(f"{named.get(k, k)}: {n:,}" for k, n in sorted(counts.items(), reverse=True))
