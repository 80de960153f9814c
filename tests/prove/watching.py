"""Asks the workers for users' states again and again, and recomputes every answer afterwards."""

import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

import numpy as np

from prove.comparison import Answer, Comparison, compare_memory, compare_profile
from prove.oracle import Oracle
from prove.oracle_memory import MemoryOracle
from prove.reading import Connection, interest_path

PAUSE_SECONDS = 0.015
TIMEOUT_SECONDS = 3.0
MEMORY_EVERY = 10


@dataclass(frozen=True)
class Seen:
    """One request and what came back; ``status`` 0 when nobody answered."""

    asked_at: float
    answered_at: float
    worker: str
    user: str
    status: int
    body: Answer | None

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
        for choice in choices:
            if self._over.is_set():
                break
            user = self.users[choice]
            asked_at = time.monotonic()
            try:
                status, body = connection.call("GET", interest_path(user) + "?raw_memory=true")
            except (OSError, HTTPException):
                status, body = 0, b""
                connection.close()
            answer = json.loads(body) if status == 200 else None
            self.seen.append(Seen(asked_at, time.monotonic(), name, user, status, answer))
            time.sleep(PAUSE_SECONDS)
        connection.close()


def recomputed(seen: Sequence[Seen], oracle: Oracle, memory: MemoryOracle) -> Comparison:
    """Recompute every answer at the offset it states; every tenth with its memory."""
    outcome = Comparison()
    for number, one in enumerate(answers := [s for s in seen if s.body is not None]):
        assert one.body is not None
        partition, watermark = one.place
        if partition != oracle.partition_of(one.user):
            outcome.differences.append(f"user {one.user}: answered from partition {partition}")
            continue
        state = oracle.state_of(one.user, watermark)
        compare_profile(one.user, one.body, state, outcome)
        if number % MEMORY_EVERY == 0:
            compare_memory(one.user, one.body, state, memory, outcome)
    assert outcome.users + len(outcome.differences) >= len(answers)
    return outcome


def steps_back(seen: Sequence[Seen], since: float) -> list[str]:
    """Return the answers, asked after ``since``, that are below an offset answered before.

    An answer counts as before when it had arrived when the later one was asked.
    """
    answers = [one for one in seen if one.body is not None]
    arrivals = sorted(answers, key=lambda one: one.answered_at)
    highest: dict[int, int] = {}
    arrived = 0
    told = []
    for one in sorted(answers, key=lambda one: one.asked_at):
        while arrived < len(arrivals) and arrivals[arrived].answered_at <= one.asked_at:
            partition, watermark = arrivals[arrived].place
            highest[partition] = max(highest.get(partition, 0), watermark)
            arrived += 1
        partition, watermark = one.place
        if one.asked_at >= since and watermark < highest.get(partition, 0):
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
